//! What people and assistants say and are told: times, steps, where the data are, what is wrong with a query.

use rezolus_store::api::{parse_duration, parse_time};
use rezolus_store::promql::Error;

const SECOND: i64 = 1_000_000_000;

/// Where data begin and end, ns since the epoch; None if there are none.
pub type Reach = Option<(i64, i64)>;

/// A time, ns since the epoch: RFC 3339, seconds since 1970, or `-5m`, before the end of the data.
///
/// # Errors
///
/// Says what a time looks like, or that there are no data to count back from.
pub fn time(text: &str, data: Reach) -> Result<i64, String> {
    let time = match (text.strip_prefix('-'), data) {
        (None, _) => parse_time(text),
        (Some(back), Some((_, end))) => parse_duration(back).map(|back| end.saturating_sub(back)),
        (Some(_), None) => return Err("there are no data that it could count back from".into()),
    };
    time.map_err(|_| {
        "a time is expected: RFC 3339 (2026-01-31T12:00:00Z), seconds since 1970, or -5m for five minutes \
         before the data's end"
            .into()
    })
}

/// A step, ns.
///
/// # Errors
///
/// Says what a duration looks like.
pub fn step(text: &str) -> Result<i64, String> {
    match parse_duration(text) {
        Ok(step) if step > 0 => Ok(step),
        _ => Err("a duration is expected, such as 15s, 1m or 0.5 (seconds)".into()),
    }
}

/// The next round duration: whole seconds that divide a minute, minutes, hours. In ns.
pub fn good_step(least: i64) -> i64 {
    let seconds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400];
    let fits = seconds.iter().map(|seconds| seconds * SECOND).find(|step| *step >= least);
    // Whole days.
    fits.unwrap_or_else(|| (least / (86_400 * SECOND) + 1) * 86_400 * SECOND)
}

/// Where the data begin and end, for people.
pub fn reach(data: Reach) -> String {
    match data {
        None => "there are no data".into(),
        Some((first, last)) => format!("the data are from {} to {}", moment(first), moment(last)),
    }
}

/// A time in RFC 3339, to the millisecond.
pub fn moment(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(nanos.into()).map_or_else(
        |_| format!("{} s", nanos / SECOND),
        |time| {
            let digits = if nanos.rem_euclid(SECOND) < 1_000_000 { 0 } else { 3 };
            format!("{time:.digits$}")
        },
    )
}

/// Whether an info says that a metric might be no counter, by its name, of one
/// that is known to be a counter.
pub fn is_doubt(info: &str, is_counter: impl Fn(&str) -> bool) -> bool {
    let name = info
        .strip_prefix("PromQL info: metric might not be a counter")
        .and_then(|rest| rest.split('"').nth(1));
    name.is_some_and(is_counter)
}

/// An error, and what in the query it is about, if that is known.
pub fn explain(expr: &str, error: &Error) -> String {
    let message = error.message.strip_prefix("invalid parameter \"query\": ").unwrap_or(&error.message);
    let range = error.range.clone();
    let marked = range.and_then(|range| Some((expr.get(..range.start)?, expr.get(range)?)));
    let Some((before, marked)) = marked else { return format!("{message}\n  in: {}", expr.trim()) };
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = expr[start..].lines().next().unwrap_or_default();
    let column = before[start..].chars().count();
    // What goes on in the next line is marked to the end of this one.
    let length = marked.lines().next().map_or(0, |marked| marked.chars().count()).max(1);
    format!("{message}\n  {line}\n  {}{}", " ".repeat(column), "^".repeat(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_where_it_is() {
        let error = Error { range: Some(7..11), ..Error::bad_data("invalid parameter \"query\": no") };
        assert_eq!(explain("sum(\n  rate(x)\n)", &error), "no\n    rate(x)\n    ^^^^");
        let error = Error { range: Some(4..4), ..Error::bad_data("no") };
        assert_eq!(explain("sum(", &error), "no\n  sum(\n      ^");
        let error = Error::bad_data("no");
        assert_eq!(explain("sum(", &error), "no\n  in: sum(");
    }

    #[test]
    fn what_is_a_counter_is_not_doubted() {
        let info = r#"PromQL info: metric might not be a counter, name does not end in _total: "a" (1:6)"#;
        assert!(is_doubt(info, |name| name == "a"));
        assert!(!is_doubt(info, |_| false));
        assert!(!is_doubt("PromQL info: \"a\"", |_| true));
    }

    #[test]
    fn steps_are_round() {
        assert_eq!(good_step(1), SECOND);
        assert_eq!(good_step(16 * SECOND), 30 * SECOND);
        assert_eq!(good_step(100_000 * SECOND), 172_800 * SECOND);
    }
}

//! Times as they are asked for, and as they are told.

use schemars::JsonSchema;
use serde::Serialize;

use super::Failure;
use crate::analysis::Frame;
use crate::query::ask::{self, Reach, moment, reach};

/// The times at which values were computed.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Steps {
    /// RFC 3339.
    pub start: String,
    pub end: String,
    pub step_seconds: f64,
    pub steps: usize,
    /// Between samples of the data.
    pub interval_seconds: f64,
}

impl Steps {
    pub fn of(frame: &Frame) -> Self {
        Self {
            start: moment(frame.start),
            end: moment(frame.end()),
            step_seconds: frame.seconds(),
            steps: frame.count,
            interval_seconds: frame.interval as f64 / 1e9,
        }
    }
}

/// From when to when, RFC 3339, both included.
#[derive(Clone, Debug, JsonSchema, PartialEq, Serialize)]
pub struct Span {
    pub start: String,
    pub end: String,
}

impl Span {
    pub fn of((start, end): (i64, i64)) -> Self {
        Self { start: moment(start), end: moment(end) }
    }
}

/// A time that is asked for, ns; `name` is the argument's.
///
/// # Errors
///
/// When it is no time; says how it is written, and from when to when the data are.
pub fn time(name: &str, text: &str, data: Reach) -> Result<i64, Failure> {
    let time = ask::time(text.trim(), data);
    // Half of what there is, so that no difference of two is too large.
    let time = time.and_then(|time| match time.checked_abs() {
        Some(within) if within < i64::MAX / 2 => Ok(time),
        _ => Err("this time is out of this world".into()),
    });
    time.map_err(|why| Failure::usage(format!("{name}: {text:?}: {why}; {}", reach(data))))
}

/// From and to, ns, of a span that is asked for; what is left out is the start or the end of the data.
///
/// # Errors
///
/// When one of them is no time, or the end is before the start.
pub fn span(
    given: (&Option<String>, &Option<String>),
    names: (&str, &str),
    data: Reach,
) -> Result<(i64, i64), Failure> {
    let (first, last) = data.unwrap_or_default();
    let or = |name: &str, text: &Option<String>, other: i64| match text {
        Some(text) => time(name, text, data),
        None => Ok(other),
    };
    let (start, end) = (or(names.0, given.0, first)?, or(names.1, given.1, last)?);
    if end < start {
        let (from, to) = (moment(start), moment(end));
        let why = match given {
            (Some(_), None) => format!("{}: there is nothing from {from} on", names.0),
            (None, Some(_)) => format!("{}: there is nothing up to {to}", names.1),
            _ => format!("the span ends before it starts: {from} to {to}"),
        };
        return Err(Failure::usage(format!("{why}; {}", reach(data))));
    }
    Ok((start, end))
}

/// Like [`span`], none if neither is given: then it is all of the data.
///
/// # Errors
///
/// As [`span`], and when there are no data in it.
pub fn part(
    given: (&Option<String>, &Option<String>),
    names: (&str, &str),
    data: Reach,
) -> Result<Option<(i64, i64)>, Failure> {
    if given.0.is_none() && given.1.is_none() {
        return Ok(None);
    }
    let (start, end) = span(given, names, data)?;
    match data {
        Some((first, last)) if start <= last && end >= first => Ok(Some((start.max(first), end.min(last)))),
        data => Err(Failure::usage(format!(
            "there is nothing from {} to {}; {}",
            moment(start),
            moment(end),
            reach(data)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn of(start: Option<&str>, end: Option<&str>) -> Result<Option<(i64, i64)>, String> {
        let (start, end) = (start.map(String::from), end.map(String::from));
        part((&start, &end), ("start", "end"), Some((100 * SECOND, 200 * SECOND)))
            .map_err(|failure| failure.message)
    }

    #[test]
    fn a_part_of_the_data() {
        assert_eq!(of(None, None), Ok(None));
        assert_eq!(of(Some("-10s"), None), Ok(Some((190 * SECOND, 200 * SECOND))));
        assert_eq!(of(Some("0"), Some("150")), Ok(Some((100 * SECOND, 150 * SECOND))));
    }

    #[test]
    fn a_part_without_data_is_refused() {
        assert!(of(Some("300"), Some("400")).unwrap_err().contains("the data are from 1970-01-01T00:01:40Z"));
        assert!(of(Some("150"), Some("120")).unwrap_err().contains("ends before it starts"));
        assert!(
            of(Some("201"), None)
                .unwrap_err()
                .starts_with("start: there is nothing from 1970-01-01T00:03:21Z on")
        );
        assert!(of(None, Some("99")).unwrap_err().starts_with("end: there is nothing up to"));
        assert!(of(Some("noon"), None).unwrap_err().starts_with("start: \"noon\""));
    }
}

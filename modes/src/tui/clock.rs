//! Times in the local zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn local(time: i64) -> Option<jiff::Zoned> {
    Some(Timestamp::from_nanosecond(time.into()).ok()?.to_zoned(TimeZone::system()))
}

/// As exact as steps of this length need.
fn format(time: i64, step: i64) -> &'static str {
    let midnight = local(time).is_some_and(|at| at.hour() == 0 && at.minute() == 0 && at.second() == 0);
    match step {
        DAY.. => "%e %b",
        MINUTE.. if midnight => "%e %b",
        MINUTE.. => "%H:%M",
        SECOND.. => "%H:%M:%S",
        _ => "%H:%M:%S%.3f",
    }
}

fn text(time: i64, format: &str) -> String {
    local(time).map_or_else(|| "–".into(), |at| at.strftime(format).to_string().trim().into())
}

/// From when to when, with the date if it is not today's.
pub fn range(start: i64, end: i64) -> String {
    let today = text(Timestamp::now().as_nanosecond() as i64, "%F");
    let clock = if end.saturating_sub(start) < 5 * SECOND { "%H:%M:%S%.3f" } else { "%H:%M:%S" };
    let (first, last) = (text(start, "%F"), text(end, "%F"));
    let with_date = format!("%F {clock}");
    let from = text(start, if first == today && last == today { clock } else { &with_date });
    format!("{from} – {}", text(end, if first == last { clock } else { &with_date }))
}

const STEPS: [i64; 24] = [
    SECOND / 100,
    SECOND / 20,
    SECOND / 10,
    SECOND / 4,
    SECOND / 2,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    7 * DAY,
];

/// Round local times in a span, about `count` of them at most, with their labels.
pub fn ticks(start: i64, end: i64, count: usize) -> Vec<(i64, String)> {
    let span = end.saturating_sub(start);
    if span <= 0 || count == 0 {
        return Vec::new();
    }
    let least = (span / count as i64).max(1);
    let known = STEPS.into_iter().find(|step| *step >= least);
    let step = known.unwrap_or_else(|| (least / (7 * DAY)).saturating_add(1).saturating_mul(7 * DAY));
    // The offset of the zone at the start: over a change of clocks they are round on one side only.
    let ahead = local(start).map_or(0, |at| i64::from(at.offset().seconds()) * SECOND);
    let behind = start.saturating_add(ahead).rem_euclid(step);
    let first = if behind == 0 { start } else { start.saturating_add(step - behind) };
    let times = std::iter::successors(Some(first), |time| time.checked_add(step));
    times
        .take_while(|time| *time <= end)
        .take(1000)
        .map(|time| (time, text(time, format(time, step))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_within_the_span_and_not_too_many() {
        let start = 1_790_000_123 * SECOND + 5;
        for span in [1, SECOND / 50, SECOND, 90 * SECOND, 7 * HOUR, 40 * DAY, 4000 * DAY] {
            for count in [1, 2, 5, 20] {
                let ticks = ticks(start, start + span, count);
                assert!(ticks.len() <= count + 1, "{span} {count}");
                assert!(ticks.iter().all(|(time, _)| (start..=start + span).contains(time)));
            }
        }
        assert!(ticks(i64::MIN, i64::MAX, 5).len() < 1000);
        assert!(ticks(i64::MAX - 5, i64::MAX, 5).len() <= 6);
        assert!(ticks(5, 5, 3).is_empty());
        range(i64::MIN, i64::MAX);
    }
}

//! Functions of the date, in UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::args::Args;
use super::{math, times, unlabelled};
use crate::promql::Error;
use crate::promql::value::{Grid, Row};

/// Of values that are seconds since the epoch, or of the time of the step. Times
/// that no date is known for (beyond the year 9999) yield NaN.
pub fn call(function: &str, args: &mut Args<'_>, grid: Grid) -> Result<Option<Vec<Row>>, Error> {
    let Some(part) = part(function) else { return Ok(None) };
    let of = |value: f64| date(value).map_or(f64::NAN, part);
    if args.is_empty() {
        return Ok(Some(vec![unlabelled(times(grid).into_iter().map(of).collect())]));
    }
    Ok(Some(math::map(args.vector()?, |_, value| of(value))))
}

fn date(seconds: f64) -> Option<DateTime> {
    if seconds.is_nan() {
        return None;
    }
    let time = Timestamp::from_second(seconds as i64).ok()?;
    Some(Offset::UTC.to_datetime(time))
}

fn part(function: &str) -> Option<fn(DateTime) -> f64> {
    Some(match function {
        "minute" => |date| f64::from(date.minute()),
        "hour" => |date| f64::from(date.hour()),
        "day_of_week" => |date| f64::from(date.weekday().to_sunday_zero_offset()),
        "day_of_month" => |date| f64::from(date.day()),
        "day_of_year" => |date| f64::from(date.day_of_year()),
        "days_in_month" => |date| f64::from(date.days_in_month()),
        "month" => |date| f64::from(date.month()),
        "year" => |date| f64::from(date.year()),
        _ => return None,
    })
}

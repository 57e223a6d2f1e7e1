//! `anchored` and `smoothed`: ranges with values at their ends, though there are no
//! samples.

use super::ast::Extension;
use super::points::Points;
use super::value::{RangeVector, Row};
use super::{ABSENT, Error};
use crate::sample::{Sample, Samples, Values};

/// Calls a function over an extended range.
///
/// # Errors
///
/// When the function does not take one, or there are histograms.
pub fn call(function: &str, vector: &RangeVector) -> Result<Vec<Row>, Error> {
    let Some((extension, lookback)) = vector.extension else { return Ok(Vec::new()) };
    let (word, safe): (_, &[&str]) = match extension {
        Extension::Anchored => ("anchored", &["changes", "delta", "increase", "rate", "resets"]),
        Extension::Smoothed => ("smoothed", &["delta", "increase", "rate"]),
    };
    if !safe.contains(&function) {
        let safe = safe.join(", ");
        return Err(Error::execution(format!(
            "{word} modifier can only be used with: {safe} - not with {function}"
        )));
    }
    let mut rows = Vec::with_capacity(vector.rows.len());
    for row in &vector.rows {
        let floats = floats(&row.samples)?;
        let mut points = Points::absent(vector.ends.len());
        for (&end, point) in vector.ends.iter().zip(&mut points.floats) {
            let start = end.saturating_sub(vector.range);
            let window = Window::new(&row.samples.times, floats, start, end, extension, lookback);
            *point = window.and_then(|window| window.value(function)).unwrap_or(ABSENT);
        }
        rows.push(Row { labels: row.labels.clone(), drop_name: true, points });
    }
    rows.retain(|row| !row.points.is_absent());
    Ok(rows)
}

/// The samples of an extended range that ends there, those at its ends included.
///
/// # Errors
///
/// When there are histograms.
pub fn samples(
    all: &Samples,
    (start, end): (i64, i64),
    (extension, lookback): (Extension, i64),
) -> Result<Vec<(i64, Sample)>, Error> {
    let floats = floats(all)?;
    let Some(window) = Window::new(&all.times, floats, start, end, extension, lookback) else {
        return Ok(Vec::new());
    };
    let inner = window.times.iter().zip(window.floats).map(|(time, value)| (*time, *value));
    let inner = inner.filter(|(time, _)| *time > start && *time < end);
    let (first, last) = (window.left(false), window.right(false));
    let points = [(start, first)].into_iter().chain(inner).chain([(end, last)]);
    Ok(points.map(|(time, value)| (time, Sample::Float(value))).collect())
}

/// The value at each time, between those of the samples around it; without one
/// after it within the lookback that of the sample before.
///
/// # Errors
///
/// When there are histograms.
pub fn smoothed(samples: &Samples, references: &[i64], lookback: i64) -> Result<Points, Error> {
    let (times, floats) = (&samples.times[..], floats(samples)?);
    let mut points = Points::absent(references.len());
    for (&at, point) in references.iter().zip(&mut points.floats) {
        let after = times.partition_point(|&time| time <= at);
        let Some(before) = after.checked_sub(1).filter(|&index| times[index] > at.saturating_sub(lookback))
        else {
            continue;
        };
        let near = times.get(after).is_some_and(|&time| time <= at.saturating_add(lookback));
        *point = if near {
            between((times[before], floats[before]), (times[after], floats[after]), at)
        } else {
            floats[before]
        };
    }
    Ok(points)
}

fn floats(samples: &Samples) -> Result<&[f64], Error> {
    match &samples.values {
        Values::Floats(floats) => Ok(floats),
        _ => Err(Error::execution("smoothed and anchored modifiers do not work with native histograms")),
    }
}

/// The value at a time between two points.
fn between((before, low): (i64, f64), (after, high): (i64, f64), at: i64) -> f64 {
    let span = after.saturating_sub(before) as f64;
    low + (high - low) * (at.saturating_sub(before) as f64 / span)
}

/// The samples of a range, with the one before it and, if it is smoothed, the one
/// after it.
struct Window<'a> {
    times: &'a [i64],
    floats: &'a [f64],
    start: i64,
    end: i64,
    smoothed: bool,
}

impl<'a> Window<'a> {
    /// None if no sample is after the start.
    fn new(
        times: &'a [i64],
        floats: &'a [f64],
        start: i64,
        end: i64,
        extension: Extension,
        lookback: i64,
    ) -> Option<Self> {
        let smoothed = extension == Extension::Smoothed;
        let inside = times.partition_point(|&time| time <= start);
        let before = inside.checked_sub(1).filter(|&at| times[at] > start.saturating_sub(lookback));
        let mut last = times.partition_point(|&time| time <= end);
        if smoothed {
            let at_end = last > 0 && times[last - 1] == end;
            let near = times.get(last).is_some_and(|&time| time <= end.saturating_add(lookback));
            last += usize::from(near && !at_end);
        }
        if last <= inside {
            return None;
        }
        let which = before.unwrap_or(inside)..last;
        Some(Self { times: &times[which.clone()], floats: &floats[which], start, end, smoothed })
    }

    /// The value at the start. A counter that began anew since the sample before has
    /// gone up from zero.
    fn left(&self, counter: bool) -> f64 {
        match (self.times, self.floats) {
            (&[before, after, ..], &[low, high, ..]) if self.smoothed && before < self.start => {
                let low = if counter && high < low { 0.0 } else { low };
                between((before, low), (after, high), self.start)
            }
            _ => self.floats[0],
        }
    }

    /// The value at the end. A counter that begins anew before the sample after goes
    /// on from where it was.
    fn right(&self, counter: bool) -> f64 {
        match (self.times, self.floats) {
            (&[.., before, after], &[.., low, high]) if self.smoothed && after > self.end => {
                let high = if counter && high < low { high + low } else { high };
                between((before, low), (after, high), self.end)
            }
            _ => self.floats[self.floats.len() - 1],
        }
    }

    fn value(&self, function: &str) -> Option<f64> {
        let pairs = self.floats.windows(2);
        Some(match function {
            "changes" => {
                let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
                pairs.filter(|pair| !same(pair[0], pair[1])).count() as f64
            }
            "resets" => pairs.filter(|pair| pair[1] < pair[0]).count() as f64,
            "delta" => self.right(false) - self.left(false),
            _ => {
                let (left, right) = (self.left(true), self.right(true));
                let increase = right - left + self.lost(left, right);
                let seconds = (self.end - self.start) as f64 / 1e9;
                if function == "rate" { increase / seconds } else { increase }
            }
        })
    }

    /// What a counter had come to each time it began anew, from one end to the other.
    fn lost(&self, left: f64, right: f64) -> f64 {
        let (mut lost, mut before) = (0.0, left);
        let all = self.times.iter().zip(self.floats);
        let inside = all.filter(|(time, _)| **time > self.start && **time < self.end);
        for value in inside.map(|(_, value)| *value).chain([right]) {
            if value < before {
                lost += before;
            }
            before = value;
        }
        lost
    }
}

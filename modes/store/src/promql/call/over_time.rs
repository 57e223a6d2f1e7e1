//! Functions of the samples in a window.

use std::borrow::Cow;

use super::args::Args;
use super::remarks::{Remark, Seen, check_quantile};
use super::windows::rows;
use super::{Context, native, seconds, sums};
use crate::float::format_short;
use crate::promql::Error;
use crate::promql::value::Row;
use crate::promql::window::{Window, WindowValues};
use crate::sample::Sample;

/// A function that needs nothing but the window.
pub type Function = fn(&Window<'_>, &mut Seen) -> Option<Sample>;

/// The functions over a range without further arguments, but for those that are
/// in `rate`.
pub fn named(function: &str) -> Option<Function> {
    Some(match function {
        "sum_over_time" => |window, seen| either(window, seen, sums::sum, native::sum),
        "avg_over_time" => |window, seen| either(window, seen, sums::mean, native::mean),
        "count_over_time" => |window, _| Some(Sample::Float(window.times.len() as f64)),
        "present_over_time" => |_, _| Some(Sample::Float(1.0)),
        "last_over_time" => |window, _| get(window, window.times.len() - 1),
        "first_over_time" => |window, _| get(window, 0),
        "min_over_time" => |window, seen| of_floats(window, seen, |_, values| extreme(values, |a, b| a < b)),
        "max_over_time" => |window, seen| of_floats(window, seen, |_, values| extreme(values, |a, b| a > b)),
        "stdvar_over_time" => {
            |window, seen| of_floats(window, seen, |_, values| Some(sums::variance(values)))
        }
        "stddev_over_time" => {
            |window, seen| of_floats(window, seen, |_, values| Some(sums::variance(values).sqrt()))
        }
        "mad_over_time" => |window, seen| of_floats(window, seen, |_, values| Some(mad(values))),
        "deriv" => |window, seen| {
            of_floats(window, seen, |times, values| {
                (values.len() > 1).then(|| sums::regression(times, values, times[0]).0)
            })
        },
        "changes" => |window, _| Some(Sample::Float(pairs(window, changed, native::differ))),
        "resets" => |window, _| Some(Sample::Float(pairs(window, |a, b| b < a, native::is_reset))),
        "ts_of_first_over_time" => |window, _| time(window.times.first()),
        "ts_of_last_over_time" => |window, _| time(window.times.last()),
        "ts_of_min_over_time" => |window, seen| time_of(window, seen, |a, b| a <= b),
        "ts_of_max_over_time" => |window, seen| time_of(window, seen, |a, b| a >= b),
        _ => return None,
    })
}

/// The functions that take numbers besides the range.
pub fn with_params(
    function: &str,
    args: &mut Args<'_>,
    context: &mut Context<'_>,
) -> Result<Vec<Row>, Error> {
    match function {
        "quantile_over_time" => {
            let q = args.scalar()?;
            // Prometheus says everything of the first argument, here the quantile.
            context.notes.place = context.places.first().copied().or(context.notes.place);
            quantile(&q, args, context)
        }
        "predict_linear" => {
            let (vector, ahead) = (args.range()?, args.scalar()?);
            rows(vector, context, false, |samples, steps, seen| {
                steps.points(samples, |step, window| {
                    Ok(of_floats(window, seen, |times, values| {
                        let (slope, now) =
                            (values.len() > 1).then(|| sums::regression(times, values, window.at))?;
                        Some(slope * ahead[step] + now)
                    }))
                })
            })
        }
        _ => {
            let (vector, smoothing, trend) = (args.range()?, args.scalar()?, args.scalar()?);
            rows(vector, context, false, |samples, steps, seen| {
                steps.points(samples, |step, window| {
                    let smoothing = factor("smoothing factor. Expected: 0 < sf < 1", smoothing[step])?;
                    let trend = factor("trend factor. Expected: 0 < tf < 1", trend[step])?;
                    Ok(of_floats(window, seen, |_, values| smooth(values, smoothing, trend)))
                })
            })
        }
    }
}

fn quantile(q: &[f64], args: &mut Args<'_>, context: &mut Context<'_>) -> Result<Vec<Row>, Error> {
    let rows = rows(args.range()?, context, false, |samples, steps, seen| {
        let mut sorted = Vec::new();
        steps.points(samples, |step, window| {
            Ok(of_floats(window, seen, |_, values| {
                sorted.clear();
                sorted.extend_from_slice(values);
                Some(sums::quantile(q[step], &mut sorted))
            }))
        })
    })?;
    // Said only of steps that have something.
    for (step, &q) in q.iter().enumerate().filter(|(_, q)| !(0.0..=1.0).contains(*q)) {
        if rows.iter().any(|row| row.points.has(step)) {
            check_quantile(q, context.notes);
        }
    }
    Ok(rows)
}

/// A number that has to lie between 0 and 1.
fn factor(what: &str, value: f64) -> Result<f64, Error> {
    if value <= 0.0 || value >= 1.0 {
        let value = if value.is_finite() { format!("{value:.6}") } else { format_short(value) };
        return Err(Error::execution(format!("invalid {what}, got: {value}")));
    }
    Ok(value)
}

/// Of a window of floats alone or histograms alone; a mix has no value.
fn either(
    window: &Window<'_>,
    seen: &mut Seen,
    floats: fn(&[f64]) -> f64,
    histograms: fn(&[&crate::FloatHistogram], &mut Seen) -> Option<crate::FloatHistogram>,
) -> Option<Sample> {
    let split = match window.values {
        WindowValues::Floats(values) => return Some(Sample::Float(floats(values))),
        WindowValues::Mixed(samples) => Split::new(window.times, samples),
    };
    match (split.floats.is_empty(), split.histograms.is_empty()) {
        (false, true) => Some(Sample::Float(floats(&split.floats))),
        (true, false) => {
            histograms(&split.histograms, seen).map(|histogram| Sample::Histogram(histogram.into()))
        }
        _ => {
            seen.add(Remark::MixedFloatsHistograms);
            None
        }
    }
}

/// A window's samples by their kind.
pub struct Split<'a> {
    /// Of the floats.
    pub times: Vec<i64>,
    pub floats: Vec<f64>,
    pub histograms: Vec<&'a crate::FloatHistogram>,
}

impl<'a> Split<'a> {
    pub fn new(all: &[i64], samples: &'a [Sample]) -> Self {
        let (mut times, mut floats, mut histograms) = (Vec::new(), Vec::new(), Vec::new());
        for (time, sample) in all.iter().zip(samples) {
            match sample {
                Sample::Float(value) => {
                    times.push(*time);
                    floats.push(*value);
                }
                Sample::Histogram(histogram) => histograms.push(&**histogram),
            }
        }
        Self { times, floats, histograms }
    }
}

/// Of the floats alone: their times and values, at least one.
fn of_floats(
    window: &Window<'_>,
    seen: &mut Seen,
    function: impl FnOnce(&[i64], &[f64]) -> Option<f64>,
) -> Option<Sample> {
    let (times, values) = match window.values {
        WindowValues::Floats(values) => (Cow::Borrowed(window.times), Cow::Borrowed(values)),
        WindowValues::Mixed(samples) => {
            let split = Split::new(window.times, samples);
            if !split.floats.is_empty() && !split.histograms.is_empty() {
                seen.add(Remark::IgnoredHistograms);
            }
            (Cow::Owned(split.times), Cow::Owned(split.floats))
        }
    };
    if values.is_empty() {
        return None;
    }
    function(&times, &values).map(Sample::Float)
}

pub fn get(window: &Window<'_>, at: usize) -> Option<Sample> {
    match window.values {
        WindowValues::Floats(values) => values.get(at).copied().map(Sample::Float),
        WindowValues::Mixed(samples) => samples.get(at).cloned(),
    }
}

/// The value before which no other comes; NaN only if all are.
fn extreme(values: &[f64], before: fn(f64, f64) -> bool) -> Option<f64> {
    let (&first, rest) = values.split_first()?;
    Some(
        rest.iter()
            .fold(first, |best, &value| if before(value, best) || best.is_nan() { value } else { best }),
    )
}

fn time(time: Option<&i64>) -> Option<Sample> {
    time.map(|&time| Sample::Float(seconds(time)))
}

/// The time of the last value that no other comes before.
fn time_of(window: &Window<'_>, seen: &mut Seen, before: fn(f64, f64) -> bool) -> Option<Sample> {
    of_floats(window, seen, |times, values| {
        let best = (1..values.len()).fold(0, |best, at| {
            if before(values[at], values[best]) || values[best].is_nan() { at } else { best }
        });
        times.get(best).copied().map(seconds)
    })
}

/// The median of the distances from the median.
fn mad(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    let median = sums::quantile(0.5, &mut values);
    for value in &mut values {
        *value = (*value - median).abs();
    }
    sums::quantile(0.5, &mut values)
}

fn changed(a: f64, b: f64) -> bool {
    a != b && !(a.is_nan() && b.is_nan())
}

/// How many of the pairs of neighbours are what is asked for. Those of a float and
/// a histogram always are.
fn pairs(
    window: &Window<'_>,
    floats: fn(f64, f64) -> bool,
    histograms: fn(&crate::FloatHistogram, &crate::FloatHistogram) -> bool,
) -> f64 {
    let count = match window.values {
        WindowValues::Floats(values) => values.windows(2).filter(|pair| floats(pair[0], pair[1])).count(),
        WindowValues::Mixed(samples) => samples
            .windows(2)
            .filter(|pair| match (&pair[0], &pair[1]) {
                (Sample::Float(a), Sample::Float(b)) => floats(*a, *b),
                (Sample::Histogram(a), Sample::Histogram(b)) => histograms(a, b),
                _ => true,
            })
            .count(),
    };
    count as f64
}

/// Double exponential smoothing after Holt: the last smoothed value.
fn smooth(values: &[f64], smoothing: f64, trend: f64) -> Option<f64> {
    let [first, second, ..] = *values else { return None };
    let (mut before, mut last, mut slope) = (0.0, first, second - first);
    for (index, value) in values[1..].iter().enumerate() {
        if index > 0 {
            slope = trend * (last - before) + (1.0 - trend) * slope;
        }
        (before, last) = (last, smoothing * value + (1.0 - smoothing) * (last + slope));
    }
    Some(last)
}

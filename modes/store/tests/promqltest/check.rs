//! Whether what came is what was expected.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rezolus_store::histogram::ResetHint;
use rezolus_store::promql::{Answer, Notes, Value};
use rezolus_store::sample::is_stale;
use rezolus_store::{FloatHistogram, Labels, Sample, Samples, Series};

use crate::load::{negative, positive};
use crate::script::{Expect, Steps, Text, When};
use crate::series::Point;

/// Numbers may differ by so much of their size.
const TOLERANCE: f64 = 1e-6;
/// Lines of an answer that are shown.
const MOST_LINES: usize = 30;

/// Whether two numbers are as good as equal; NaN is NaN, but a mark of staleness
/// is nothing else.
pub fn close(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (size, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || size < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / size.min(f64::MAX) < TOLERANCE
}

/// Whether a histogram is the expected one but for the hint; empty buckets do not
/// count.
fn close_histograms(expected: &FloatHistogram, got: &FloatHistogram) -> bool {
    let close_buckets = |a: BTreeMap<i64, f64>, b: BTreeMap<i64, f64>| {
        a.len() == b.len() && a.iter().zip(&b).all(|((i, a), (j, b))| i == j && close(*a, *b))
    };
    expected.schema == got.schema
        && expected.zero_threshold == got.zero_threshold
        && expected.custom_values == got.custom_values
        && close(expected.count, got.count)
        && close(expected.sum, got.sum)
        && close(expected.zero_count, got.zero_count)
        && close_buckets(positive(expected), positive(got))
        && close_buckets(negative(expected), negative(got))
}

/// Hints are compared only if one is expected.
fn close_samples(expected: &Point, got: &Sample) -> bool {
    match (&expected.sample, got) {
        (Sample::Float(a), Sample::Float(b)) => close(*a, *b),
        (Sample::Histogram(a), Sample::Histogram(b)) => {
            close_histograms(a, b) && (!expected.with_hint || a.hint == b.hint)
        }
        _ => false,
    }
}

/// What is wrong with a value, if anything.
pub fn value(expect: &Expect, when: When, value: &Value) -> Result<(), String> {
    match value {
        Value::Scalar(_, got) => match expect.scalar {
            None => Err("this is a scalar".to_owned()),
            Some(expected) if close(expected, *got) => Ok(()),
            Some(_) => Err("this is another number".to_owned()),
        },
        Value::String(_, got) => match &expect.string {
            Some(expected) if expected == got => Ok(()),
            _ => Err("this is another string".to_owned()),
        },
        _ if expect.scalar.is_some() => Err("this is no scalar".to_owned()),
        _ if expect.string.is_some() => Err("this is no string".to_owned()),
        Value::Vector(got) => match when {
            When::At(at) => vector(expect, at, got),
            When::Range(_) => Err("this is a vector, not a matrix".to_owned()),
        },
        Value::Matrix(got) => {
            let steps = match (when, expect.range) {
                (When::Range(steps), _) | (When::At(_), Some(steps)) => steps,
                (When::At(_), None) => return Err("this is a range vector".to_owned()),
            };
            matrix(expect, steps, got)
        }
    }
}

/// The points of the expected series, by their labels, and where they stand.
fn expected_series(expect: &Expect) -> BTreeMap<&Labels, (usize, &[Option<Point>])> {
    let numbered = expect.series.iter().enumerate();
    numbered.map(|(at, series)| (&series.labels, (at, &series.points[..]))).collect()
}

fn vector(expect: &Expect, at: i64, got: &[(Labels, i64, Sample)]) -> Result<(), String> {
    let mut missing = expected_series(expect);
    for (position, (labels, time, sample)) in got.iter().enumerate() {
        let Some((place, points)) = missing.remove(labels) else {
            return Err(format!("{labels} is not expected, or there twice"));
        };
        if expect.ordered && place != position {
            return Err(format!("{labels} is in the wrong place"));
        }
        if *time != at {
            return Err(format!("{labels} is of another time"));
        }
        match points.first() {
            Some(Some(expected)) if close_samples(expected, sample) => {}
            _ => return Err(format!("{labels} is {}, not {}", shown(sample), shown_points(points))),
        }
    }
    missing.keys().next().map_or(Ok(()), |labels| Err(format!("{labels} is missing")))
}

fn matrix(expect: &Expect, steps: Steps, got: &[Series]) -> Result<(), String> {
    if expect.ordered {
        return Err("a matrix has no other order than that of labels".to_owned());
    }
    sorted(got)?;
    let mut missing = expected_series(expect);
    for Series { labels, samples: points } in got {
        let Some((_, expected)) = missing.remove(labels) else {
            return Err(format!("{labels} is not expected, or there twice"));
        };
        let timed: Vec<(i64, &Point)> = expected
            .iter()
            .enumerate()
            .filter_map(|(at, point)| Some((steps.start + steps.step * at as i64, point.as_ref()?)))
            .collect();
        if expected.len() as i64 - 1 > (steps.end - steps.start) / steps.step {
            return Err(format!("{labels}: the range has no room for {} points", expected.len()));
        }
        if timed.len() != points.len() {
            return Err(format!("{labels} has {} points, not {}", points.len(), timed.len()));
        }
        for ((expected_time, expected), (time, sample)) in timed.iter().zip(points.iter()) {
            if *expected_time != time || !close_samples(expected, &sample) {
                let (wanted, got) = (shown(&expected.sample), shown(&sample));
                return Err(format!(
                    "{labels} is {got} @{}, not {wanted} @{}",
                    seconds(time),
                    seconds(*expected_time)
                ));
            }
        }
    }
    missing.keys().next().map_or(Ok(()), |labels| Err(format!("{labels} is missing")))
}

/// Matrices are in the order of labels.
pub fn sorted(matrix: &[Series]) -> Result<(), String> {
    match matrix.windows(2).find(|pair| pair[0].labels >= pair[1].labels) {
        Some(pair) => Err(format!("{} is before {}", pair[0].labels, pair[1].labels)),
        None => Ok(()),
    }
}

/// What is wrong with the annotations, if anything.
pub fn notes(expect: &Expect, notes: &Notes) -> Result<(), String> {
    for (kind, wanted, none, got) in [
        ("warning", &expect.warn, expect.no_warn, &notes.warnings),
        ("info", &expect.info, expect.no_info, &notes.infos),
    ] {
        if none {
            if let Some(text) = got.first() {
                return Err(format!("there is a {kind}: {text}"));
            }
        } else if !wanted.is_empty() {
            if let Some(wanted) = wanted.iter().find(|wanted| !got.iter().any(|text| wanted.fits(text))) {
                return Err(format!("there is no such {kind}: {wanted}"));
            }
            if let Some(text) = got.iter().find(|text| !wanted.iter().any(|wanted| wanted.fits(text))) {
                return Err(format!("there is another {kind}: {text}"));
            }
        }
    }
    Ok(())
}

fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

fn shown_float(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ if is_stale(value) => "stale".to_owned(),
        _ => format!("{value:?}"),
    }
}

/// A sample as scripts write it.
pub fn shown(sample: &Sample) -> String {
    let histogram = match sample {
        Sample::Float(value) => return shown_float(*value),
        Sample::Histogram(histogram) => histogram,
    };
    let list = |values: &[f64]| values.iter().map(|value| shown_float(*value)).collect::<Vec<_>>().join(" ");
    let mut out = format!(
        "{{{{schema:{} count:{} sum:{}",
        histogram.schema,
        shown_float(histogram.count),
        shown_float(histogram.sum)
    );
    let mut part = |name: &str, value: String| {
        let _ = write!(out, " {name}:{value}");
    };
    if histogram.zero_count != 0.0 {
        part("z_bucket", shown_float(histogram.zero_count));
    }
    if histogram.zero_threshold != 0.0 {
        part("z_bucket_w", shown_float(histogram.zero_threshold));
    }
    if !histogram.custom_values.is_empty() {
        part("custom_values", format!("[{}]", list(&histogram.custom_values)));
    }
    for (offset, name, buckets) in
        [("offset", "buckets", positive(histogram)), ("n_offset", "n_buckets", negative(histogram))]
    {
        let (Some((&first, _)), Some((&last, _))) = (buckets.first_key_value(), buckets.last_key_value())
        else {
            continue;
        };
        if first != 0 {
            part(offset, first.to_string());
        }
        // Gaps are shown as empty buckets, as long as they are few.
        let last = last.min(first + 400);
        let counts: Vec<f64> =
            (first..=last).map(|index| buckets.get(&index).copied().unwrap_or(0.0)).collect();
        part(name, format!("[{}]", list(&counts)));
    }
    match histogram.hint {
        ResetHint::Unknown => {}
        ResetHint::Reset => part("counter_reset_hint", "reset".to_owned()),
        ResetHint::NotReset => part("counter_reset_hint", "not_reset".to_owned()),
        ResetHint::Gauge => part("counter_reset_hint", "gauge".to_owned()),
    }
    out + "}}"
}

pub fn shown_points(points: &[Option<Point>]) -> String {
    let shown: Vec<String> = points
        .iter()
        .map(|point| point.as_ref().map_or_else(|| "_".to_owned(), |point| shown(&point.sample)))
        .collect();
    shown.join(" ")
}

/// What was expected, a line each.
pub fn shown_expect(expect: &Expect) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(expect.scalar.map(shown_float));
    lines.extend(expect.string.iter().map(|string| format!("{string:?}")));
    for series in &expect.series {
        lines.push(format!("{} {}", series.labels, shown_points(&series.points)));
    }
    if expect.ordered {
        lines.push("(in this order)".to_owned());
    }
    let mut texts = |kind: &str, texts: &[Text]| {
        lines.extend(texts.iter().map(|text| format!("{kind}: {text}")));
    };
    texts("error", expect.fail.as_slice());
    texts("warning", &expect.warn);
    texts("info", &expect.info);
    lines.extend(expect.no_warn.then(|| "no warning".to_owned()));
    lines.extend(expect.no_info.then(|| "no info".to_owned()));
    if lines.is_empty() {
        lines.push("(no series)".to_owned());
    }
    shortened(lines)
}

/// What came, a line each.
pub fn shown_answer(answer: &Answer) -> Vec<String> {
    let mut lines = match &answer.value {
        Value::Scalar(_, value) => vec![shown_float(*value)],
        Value::String(_, string) => vec![format!("{string:?}")],
        Value::Vector(vector) => {
            vector.iter().map(|(labels, _, sample)| format!("{labels} {}", shown(sample))).collect()
        }
        Value::Matrix(matrix) => {
            matrix.iter().map(|series| shown_row(&series.labels, &series.samples)).collect()
        }
    };
    if lines.is_empty() {
        lines.push("(no series)".to_owned());
    }
    lines.extend(answer.notes.warnings.iter().map(|text| format!("warning: {text}")));
    lines.extend(answer.notes.infos.iter().map(|text| format!("info: {text}")));
    shortened(lines)
}

fn shown_row(labels: &Labels, points: &Samples) -> String {
    let mut line = labels.to_string();
    for (time, sample) in points.iter().take(MOST_LINES) {
        let _ = write!(line, " {}@{}", shown(&sample), seconds(time));
    }
    line
}

fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let all = lines.len();
    if all > MOST_LINES {
        lines.truncate(MOST_LINES);
        lines.push(format!("({} more)", all - MOST_LINES));
    }
    lines
}

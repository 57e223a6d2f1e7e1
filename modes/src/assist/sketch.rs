//! A series in few words: its numbers, and a sketch of its shape.

use schemars::JsonSchema;
use serde::Serialize;

use crate::query::ask::moment;
use crate::viewer::reduce::{per_lot, reduce};

/// A sketch has at most so many characters.
pub const WIDTH: usize = 40;

/// Numbers of a series. Those that cannot be given, since there are none or they are infinite, are absent.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Serialize)]
pub struct Numbers {
    /// Steps that have a value,
    pub values: usize,
    /// and steps that have none.
    pub gaps: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// When it was least, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// When it was greatest, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p90: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    /// Values that are infinite; the other numbers leave them out.
    #[serde(skip_serializing_if = "is_zero")]
    pub infinite: usize,
    /// Its shape from start to end, each character the greatest of its time, from min to max; a space where there is nothing.
    pub sketch: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The numbers of values at steps from `start` on, ns; NaN where there is none.
pub fn numbers(values: &[f64], start: i64, step: i64) -> Numbers {
    let there = || (0i64..).zip(values).filter(|(_, value)| value.is_finite());
    let infinite = values.iter().filter(|value| value.is_infinite()).count();
    let time = |at: i64| moment(start.saturating_add(step.saturating_mul(at)));
    let least = there().min_by(|a, b| a.1.total_cmp(b.1));
    // The first of those that are the same.
    let greatest = there().reduce(|most, one| if one.1 > most.1 { one } else { most });
    let mut sorted: Vec<f64> = there().map(|(_, value)| *value).collect();
    sorted.sort_by(f64::total_cmp);
    let rounded = |value: f64| value.is_finite().then(|| significant(value));
    let mean = reduce(&sorted, sorted.len()).mean.first().copied().and_then(rounded);
    let quantile = |q: f64| quantile(&sorted, q).and_then(rounded);
    Numbers {
        values: sorted.len() + infinite,
        gaps: values.len() - sorted.len() - infinite,
        first: there().next().map(|(_, value)| *value),
        last: there().last().map(|(_, value)| *value),
        min: least.map(|(_, value)| *value),
        min_at: least.map(|(at, _)| time(at)),
        max: greatest.map(|(_, value)| *value),
        max_at: greatest.map(|(at, _)| time(at)),
        mean,
        p50: quantile(0.5),
        p90: quantile(0.9),
        p99: quantile(0.99),
        infinite,
        sketch: sketch(values, WIDTH),
    }
}

/// A quantile of numbers in order, interpolated between neighbours.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let at = q * (sorted.len().checked_sub(1)? as f64);
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    // A difference of two of the largest numbers would overflow.
    let part = at.fract();
    Some(low * (1.0 - part) + high * part)
}

/// To six digits that count: what is computed has no more to say.
pub fn significant(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// The shape of a series in at most `width` characters.
pub fn sketch(values: &[f64], width: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let lots = reduce(values, per_lot(values.len(), width)).greatest;
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (least, greatest) =
        (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let level = |value: &f64| match *value {
        value if value.is_nan() => ' ',
        f64::INFINITY => LEVELS[7],
        f64::NEG_INFINITY => LEVELS[0],
        // All the same: a line.
        _ if greatest <= least => LEVELS[0],
        value => {
            // Halves, since the whole span may be more than there are numbers for.
            let part = (value / 2.0 - least / 2.0) / (greatest / 2.0 - least / 2.0);
            LEVELS[((part * 8.0) as usize).min(7)]
        }
    };
    lots.iter().map(level).collect()
}

/// A number for people: whole ones as they are, others to six digits that count; no exponent where it can be read
/// without.
pub fn number(value: f64) -> String {
    let value = if value.fract() == 0.0 { value } else { significant(value) };
    if value != 0.0 && !(1e-4..1e15).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn the_numbers_of_a_series() {
        let values = [1.0, 2.0, f64::NAN, 10.0, 3.0];
        let numbers = numbers(&values, 0, SECOND);
        assert_eq!((numbers.values, numbers.gaps), (4, 1));
        assert_eq!((numbers.first, numbers.last), (Some(1.0), Some(3.0)));
        assert_eq!((numbers.min, numbers.max), (Some(1.0), Some(10.0)));
        assert_eq!(numbers.max_at.as_deref(), Some("1970-01-01T00:00:03Z"));
        assert_eq!((numbers.mean, numbers.p50), (Some(4.0), Some(2.5)));
        assert_eq!(numbers.sketch, "▁▁ █▂");
    }

    #[test]
    fn a_spike_is_seen_in_the_sketch() {
        let mut values = vec![1.0; 100_000];
        values[70_001] = 5.0;
        let sketch = sketch(&values, WIDTH);
        assert_eq!(sketch.chars().count(), WIDTH);
        assert_eq!(sketch.chars().filter(|c| *c == '█').count(), 1);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(1_234_567.0), "1234567");
        assert_eq!(number(1_234_567.8), "1234570");
        assert_eq!(number(0.333_333_333), "0.333333");
        assert_eq!(number(1.5e-9), "1.5e-9");
        assert_eq!(number(0.0), "0");
    }

    proptest! {
        #[test]
        fn nothing_is_too_strange(values in prop::collection::vec(prop::num::f64::ANY, 0..200), start: i64, step: i64) {
            let numbers = numbers(&values, start, step);
            prop_assert_eq!(numbers.values + numbers.gaps, values.len());
            prop_assert!(numbers.sketch.chars().count() <= WIDTH);
            // JSON would have null for what is no number.
            let all = [numbers.first, numbers.last, numbers.min, numbers.max, numbers.mean, numbers.p50, numbers.p99];
            prop_assert!(all.into_iter().flatten().all(f64::is_finite));
            if let (Some(mean), Some(min), Some(max)) = (numbers.mean, numbers.min, numbers.max) {
                let slack = 1e-5 * mean.abs();
                prop_assert!(min <= mean + slack && mean <= max + slack, "{} {} {}", min, mean, max);
            }
        }
    }
}

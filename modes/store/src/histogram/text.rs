//! Histograms as text.

use std::fmt;

use super::{Bucket, FloatHistogram, ResetHint, Span, is_exponential};
use crate::float::format_short;

/// Buckets of which empty ones may be written out between others.
const WIDEST: i64 = 1 << 16;

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        let [lower, upper, count] = [self.lower, self.upper, self.count].map(format_short);
        write!(f, "{open}{lower},{upper}{close}:{count}")
    }
}

/// As Prometheus writes them: `{count:4, sum:7, [-1,-0.5):1, (1,2]:3}`.
impl fmt::Display for FloatHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", format_short(self.count), format_short(self.sum))?;
        let negative = super::buckets::backward(&self.negative_spans, &self.negative_buckets);
        for (index, count) in negative.filter(|(_, count)| *count != 0.0) {
            write!(f, ", {}", self.negative(index, count))?;
        }
        if self.zero_count != 0.0 {
            write!(f, ", {}", self.zero_bucket())?;
        }
        let positive = super::buckets::forward(&self.positive_spans, &self.positive_buckets);
        for (index, count) in positive.filter(|(_, count)| *count != 0.0) {
            write!(f, ", {}", self.positive(index, count))?;
        }
        f.write_str("}")
    }
}

/// A histogram as it is written in tests.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    pub histogram: FloatHistogram,
    /// Whether it says what is known of resets; only then that is compared.
    pub with_hint: bool,
}

impl FloatHistogram {
    /// As Prometheus' tests write it: `{{schema:1 count:4 sum:7 buckets:[1 0 3]}}`.
    /// One whose buckets are too far apart for that is written as by `Display`.
    pub fn to_test_expression(&self) -> String {
        let mut compact = self.clone().compact();
        let sides = [&compact.positive_spans, &compact.negative_spans];
        if sides.into_iter().any(|spans| extent(spans) > WIDEST) {
            return self.to_string();
        }
        compact.compact_in_place(WIDEST as usize);
        let mut parts: Vec<String> = Vec::new();
        if compact.schema != 0 {
            parts.push(format!("schema:{}", compact.schema));
        }
        for (key, value) in [
            ("count", compact.count),
            ("sum", compact.sum),
            ("z_bucket", compact.zero_count),
            ("z_bucket_w", compact.zero_threshold),
        ] {
            if value != 0.0 {
                parts.push(format!("{key}:{}", format_short(value)));
            }
        }
        if compact.is_custom() {
            parts.push(format!("custom_values:{}", list(&compact.custom_values)));
        }
        match compact.hint {
            ResetHint::Unknown => {}
            ResetHint::Reset => parts.push("counter_reset_hint:reset".into()),
            ResetHint::NotReset => parts.push("counter_reset_hint:not_reset".into()),
            ResetHint::Gauge => parts.push("counter_reset_hint:gauge".into()),
        }
        for (prefix, spans, counts) in [
            ("", &compact.positive_spans, &compact.positive_buckets),
            ("n_", &compact.negative_spans, &compact.negative_buckets),
        ] {
            if let Some(span) = spans.first().filter(|span| span.offset != 0) {
                parts.push(format!("{prefix}offset:{}", span.offset));
            }
            if !counts.is_empty() {
                parts.push(format!("{prefix}buckets:{}", list(counts)));
            }
        }
        format!("{{{{{}}}}}", parts.join(" "))
    }

    /// What is between the braces of `{{schema:1 count:4 sum:7 buckets:[1 0 3]}}`.
    ///
    /// # Errors
    ///
    /// If it is no such text.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parse_literal(text).map(|literal| literal.histogram)
    }

    /// As [`FloatHistogram::parse`].
    ///
    /// # Errors
    ///
    /// If it is no such text.
    pub fn parse_literal(text: &str) -> Result<Literal, String> {
        let mut histogram = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        let (mut offset, mut negative_offset) = (0, 0);
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (key, after) =
                rest.split_once(':').ok_or_else(|| format!("histogram: no value: {rest:?}"))?;
            let key = key.trim_end();
            if seen.contains(&key) {
                return Err(format!("duplicate key \"{key}\" in histogram"));
            }
            seen.push(key);
            let (value, after) = value(after.trim_start())?;
            rest = after.trim_start();
            match (key, value) {
                ("schema", Value::Word(word)) => histogram.schema = schema(word)?,
                ("sum", Value::Word(word)) => histogram.sum = number(word)?,
                ("count", Value::Word(word)) => histogram.count = number(word)?,
                ("z_bucket", Value::Word(word)) => histogram.zero_count = number(word)?,
                ("z_bucket_w", Value::Word(word)) => histogram.zero_threshold = number(word)?,
                ("offset", Value::Word(word)) => offset = integer(word)?,
                ("n_offset", Value::Word(word)) => negative_offset = integer(word)?,
                ("counter_reset_hint", Value::Word(word)) => histogram.hint = hint(word)?,
                ("buckets", Value::List(list)) => histogram.positive_buckets = numbers(list)?,
                ("n_buckets", Value::List(list)) => histogram.negative_buckets = numbers(list)?,
                ("custom_values", Value::List(list)) => histogram.custom_values = numbers(list)?.into(),
                _ => return Err(format!("bad histogram descriptor found: {key:?}")),
            }
        }
        histogram.positive_spans = spans(offset, &histogram.positive_buckets);
        histogram.negative_spans = spans(negative_offset, &histogram.negative_buckets);
        Ok(Literal { histogram, with_hint: seen.contains(&"counter_reset_hint") })
    }
}

/// From the first bucket to the last.
fn extent(spans: &[Span]) -> i64 {
    let start = spans.first().map_or(0, |span| i64::from(span.offset));
    let lengths = spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length));
    lengths.fold(0i64, i64::saturating_add).saturating_sub(start)
}

fn list(values: &[f64]) -> String {
    let values: Vec<String> = values.iter().map(|value| format_short(*value)).collect();
    format!("[{}]", values.join(" "))
}

enum Value<'a> {
    Word(&'a str),
    /// What is between the brackets.
    List(&'a str),
}

/// A value, and what follows it.
fn value(text: &str) -> Result<(Value<'_>, &str), String> {
    if let Some(list) = text.strip_prefix('[') {
        let (list, rest) = list.split_once(']').ok_or_else(|| format!("histogram: no end of {text:?}"))?;
        return Ok((Value::List(list), rest));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    Ok((Value::Word(word), rest))
}

fn spans(offset: i32, counts: &[f64]) -> Vec<Span> {
    match u32::try_from(counts.len()) {
        Ok(length @ 1..) => vec![Span { offset, length }],
        _ => Vec::new(),
    }
}

fn numbers(list: &str) -> Result<Vec<f64>, String> {
    list.split_whitespace().map(number).collect()
}

/// A number as the language has them, hexadecimal ones included.
fn number(word: &str) -> Result<f64, String> {
    let bad = || format!("histogram: {word:?} is no number");
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        let value = u64::from_str_radix(hex, 16).map_err(|_| bad())? as f64;
        return Ok(if word.starts_with('-') { -value } else { value });
    }
    word.parse().map_err(|_| bad())
}

fn integer(word: &str) -> Result<i32, String> {
    word.parse().map_err(|_| format!("histogram: {word:?} is no whole number"))
}

fn schema(word: &str) -> Result<i32, String> {
    let schema = integer(word)?;
    let known = is_exponential(schema) || schema == super::CUSTOM_SCHEMA;
    if known { Ok(schema) } else { Err(format!("histogram: there is no schema {schema}")) }
}

fn hint(word: &str) -> Result<ResetHint, String> {
    match word {
        "unknown" => Ok(ResetHint::Unknown),
        "reset" => Ok(ResetHint::Reset),
        "not_reset" => Ok(ResetHint::NotReset),
        "gauge" => Ok(ResetHint::Gauge),
        _ => Err(format!("histogram: {word:?} is no counter reset hint")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_prometheus_writes_it() {
        let text = "schema:1 count:10 sum:15 z_bucket:1 z_bucket_w:0.001 \
                    offset:-1 buckets:[2 0 3] n_offset:2 n_buckets:[1 3]";
        let histogram = FloatHistogram::parse(text).unwrap();
        assert_eq!(
            histogram.to_string(),
            "{count:10, sum:15, [-2.82842712474619,-2):3, [-2,-1.414213562373095):1, [-0.001,0.001]:1, \
             (0.5,0.7071067811865475]:2, (1,1.414213562373095]:3}"
        );
        assert_eq!(histogram.to_test_expression(), format!("{{{{{text}}}}}"));
        let text = "schema:-53 count:1e+06 sum:-Inf custom_values:[0.1 5] buckets:[1 0 2]";
        let histogram = FloatHistogram::parse(text).unwrap();
        assert_eq!(histogram.to_string(), "{count:1e+06, sum:-Inf, [-Inf,0.1]:1, (5,+Inf]:2}");
        assert_eq!(histogram.to_test_expression(), format!("{{{{{text}}}}}"));
        assert_eq!(FloatHistogram::default().to_string(), "{count:0, sum:0}");
        assert_eq!(FloatHistogram::default().to_test_expression(), "{{}}");
    }

    #[test]
    fn literals() {
        let parse = FloatHistogram::parse_literal;
        assert_eq!(parse("").unwrap().histogram, FloatHistogram::default());
        let literal = parse("  count: 0x10   sum:NaN buckets:[ 1  2 ] counter_reset_hint:gauge ").unwrap();
        assert_eq!((literal.histogram.hint, literal.with_hint), (ResetHint::Gauge, true));
        assert_eq!((literal.histogram.count, literal.histogram.positive_buckets.len()), (16.0, 2));
        assert!(literal.histogram.sum.is_nan());
        assert!(!parse("count:1").unwrap().with_hint);
        for bad in [
            "count",
            "count:",
            "count:x",
            "count:[1]",
            "buckets:1",
            "buckets:[1",
            "buckets:[x]",
            "schema:9",
            "schema:1.5",
            "offset:9999999999",
            "counter_reset_hint:none",
            "what:1",
            "count:1 count:2",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_far_apart_is_not_filled_up() {
        let mut histogram = FloatHistogram::parse("count:2 offset:-1000000000 buckets:[1]").unwrap();
        histogram.positive_spans.push(Span { offset: i32::MAX, length: 1 });
        histogram.positive_buckets.push(1.0);
        assert_eq!(histogram.to_test_expression(), "{count:2, sum:0, (0,0):1, (+Inf,+Inf]:1}");
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(
            schema in prop::sample::select(vec![-53, -4, 0, 3, 8]),
            counts in prop::collection::vec(-2i8..5, 0..6),
            offset in -5i32..5,
            sum: f64,
        ) {
            let mut histogram = FloatHistogram { schema, sum, ..FloatHistogram::default() };
            histogram.positive_buckets = counts.iter().map(|count| f64::from(*count)).collect();
            histogram.positive_spans = spans(offset, &histogram.positive_buckets);
            if schema == -53 {
                histogram.custom_values = vec![-1.0, 0.5, 1e9].into();
            }
            let text = histogram.to_test_expression();
            let inner = text.strip_prefix("{{").and_then(|text| text.strip_suffix("}}")).unwrap();
            let read = FloatHistogram::parse(inner).unwrap();
            prop_assert!(read.almost_equal(&histogram, 1e-12), "{} {}", text, read.to_test_expression());
        }

        #[test]
        fn nothing_panics(text in "[a-z_:0-9 .eE+-]{0,9}(buckets|n_buckets|custom_values|count|schema|offset|sum):[\\[\\] 0-9.a-zA-Z+-]{0,40}") {
            if let Ok(histogram) = FloatHistogram::parse(&text) {
                let other = FloatHistogram::parse("schema:1 z_bucket_w:0.7 offset:-9 buckets:[1 2 3] n_buckets:[1]").unwrap();
                let _ = histogram.add(&other);
                let _ = other.detect_reset(&histogram);
                let _ = (histogram.quantile(0.3), histogram.fraction(0.1, 2.0), histogram.stddev());
                let _ = (histogram.validate(), histogram.to_string());
            }
        }
    }
}

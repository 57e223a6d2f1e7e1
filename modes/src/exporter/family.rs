//! What is exported, before it is written in one format or another.

use std::borrow::Cow;
use std::sync::Arc;

/// Label names and values; names are unique and valid.
pub type Labels = Arc<[(String, String)]>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Counter,
    Gauge,
    Summary,
    Histogram,
}

/// All series of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Without the `_total` of a counter.
    pub name: Arc<str>,
    pub kind: Kind,
    /// If the name ends in it.
    pub unit: Option<&'static str>,
    pub help: Arc<str>,
    pub series: Vec<Series>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub labels: Labels,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(Number),
    Summary { quantiles: Vec<(f64, f64)>, sum: f64, count: u64 },
    Classic { buckets: Vec<(f64, u64)>, sum: f64, count: u64 },
    Native { buckets: super::h2::Exponential, sum: f64, count: u64 },
}

/// Integers stay what they are as long as they can.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Value {
    /// How many series it is to Prometheus.
    pub fn weight(&self) -> usize {
        match self {
            Self::Number(_) | Self::Native { .. } => 1,
            Self::Summary { quantiles, .. } => quantiles.len() + 2,
            // +Inf, sum and count.
            Self::Classic { buckets, .. } => buckets.len() + 3,
        }
    }
}

impl Number {
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Unsigned(value) => value as f64,
            Self::Signed(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// One number, as in a line of text.
pub struct Sample<'a> {
    /// What follows the family's name.
    pub suffix: &'static str,
    pub labels: &'a Labels,
    /// `le` or `quantile`, with its value.
    pub extra: Option<(&'static str, f64)>,
    pub value: Number,
}

impl Family {
    /// Calls `each` with every sample, in the order of the text formats. Native
    /// histograms have none.
    pub fn samples<'a>(&'a self, mut each: impl FnMut(Sample<'a>)) {
        for Series { labels, value } in &self.series {
            let mut sample = |suffix, extra, value| each(Sample { suffix, labels, extra, value });
            match value {
                Value::Number(number) => {
                    let suffix = if self.kind == Kind::Counter { "_total" } else { "" };
                    sample(suffix, None, *number);
                }
                Value::Summary { quantiles, sum, count } => {
                    for (quantile, value) in quantiles {
                        sample("", Some(("quantile", *quantile)), Number::Float(*value));
                    }
                    sample("_sum", None, Number::Float(*sum));
                    sample("_count", None, Number::Unsigned(*count));
                }
                Value::Classic { buckets, sum, count } => {
                    for (bound, count) in buckets {
                        sample("_bucket", Some(("le", *bound)), Number::Unsigned(*count));
                    }
                    sample("_bucket", Some(("le", f64::INFINITY)), Number::Unsigned(*count));
                    sample("_sum", None, Number::Float(*sum));
                    sample("_count", None, Number::Unsigned(*count));
                }
                Value::Native { .. } => {}
            }
        }
    }

    /// Of the text format and of protobuf, where a counter's family has the name
    /// of its samples.
    pub fn full_name(&self) -> Cow<'_, str> {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name).into(),
            _ => (&*self.name).into(),
        }
    }
}

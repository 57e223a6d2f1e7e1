//! The protobuf format, the only one that can carry native histograms.
//!
//! The messages are those of `io.prometheus.client`, as far as they are used.

use prost::Message;

use super::family::{Family, Kind, Series, Value};
use super::h2::Exponential;

/// Values up to this count as zero; what Prometheus's own libraries use.
pub const ZERO_THRESHOLD: f64 = 2.938735877055719e-39; // 2^-128

#[derive(Clone, PartialEq, Message)]
pub struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub help: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    pub r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub metric: Vec<Metric>,
    #[prost(string, optional, tag = "5")]
    pub unit: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum MetricType {
    Counter = 0,
    Gauge = 1,
    Summary = 2,
    Untyped = 3,
    Histogram = 4,
}

#[derive(Clone, PartialEq, Message)]
pub struct LabelPair {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    pub counter: Option<Number>,
    #[prost(message, optional, tag = "4")]
    pub summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    pub histogram: Option<Histogram>,
}

/// A gauge or a counter.
#[derive(Clone, PartialEq, Message)]
pub struct Number {
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Quantile {
    #[prost(double, optional, tag = "1")]
    pub quantile: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    #[prost(uint64, optional, tag = "1")]
    pub sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub quantile: Vec<Quantile>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    pub cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub upper_bound: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    pub offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub length: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    pub schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    pub zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    pub zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    pub positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    pub positive_delta: Vec<i64>,
}

/// Writes families whose names differ, each after its length.
pub fn render(families: &[Family]) -> Vec<u8> {
    families.iter().flat_map(|family| message(family).encode_length_delimited_to_vec()).collect()
}

fn message(family: &Family) -> MetricFamily {
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Summary => MetricType::Summary,
        Kind::Histogram => MetricType::Histogram,
    };
    MetricFamily {
        name: Some(family.full_name().into_owned()),
        help: Some(family.help.to_string()),
        r#type: Some(kind.into()),
        metric: family.series.iter().map(|series| metric(family.kind, series)).collect(),
        unit: family.unit.map(Into::into),
    }
}

fn metric(kind: Kind, series: &Series) -> Metric {
    let pair =
        |(name, value): &(String, String)| LabelPair { name: Some(name.clone()), value: Some(value.clone()) };
    let mut metric = Metric { label: series.labels.iter().map(pair).collect(), ..Default::default() };
    match &series.value {
        Value::Number(number) => {
            let number = Some(Number { value: Some(number.as_f64()) });
            match kind {
                Kind::Counter => metric.counter = number,
                _ => metric.gauge = number,
            }
        }
        Value::Summary { quantiles, sum, count } => {
            let quantile = |&(quantile, value): &_| Quantile { quantile: Some(quantile), value: Some(value) };
            metric.summary = Some(Summary {
                sample_count: Some(*count),
                sample_sum: Some(*sum),
                quantile: quantiles.iter().map(quantile).collect(),
            });
        }
        Value::Classic { buckets, sum, count } => {
            let bucket = |&(bound, count): &(f64, u64)| Bucket {
                cumulative_count: Some(count),
                upper_bound: Some(bound),
            };
            metric.histogram = Some(Histogram {
                sample_count: Some(*count),
                sample_sum: Some(*sum),
                bucket: buckets.iter().chain([&(f64::INFINITY, *count)]).map(bucket).collect(),
                ..Default::default()
            });
        }
        Value::Native { buckets, sum, count } => metric.histogram = Some(native(buckets, *sum, *count)),
    }
    metric
}

fn native(exponential: &Exponential, sum: f64, count: u64) -> Histogram {
    let (positive_span, positive_delta) = spans(&exponential.buckets);
    Histogram {
        sample_count: Some(count),
        sample_sum: Some(sum),
        schema: Some(exponential.schema),
        zero_threshold: Some(ZERO_THRESHOLD),
        zero_count: Some(exponential.zeros),
        positive_span,
        positive_delta,
        ..Default::default()
    }
}

/// Neighbouring buckets as spans, told by the gaps between them, and counts as
/// differences to the one before.
pub fn spans(buckets: &[(i32, u64)]) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas) = (Vec::<BucketSpan>::new(), Vec::new());
    let (mut next, mut before) = (0, 0u64);
    for &(number, count) in buckets {
        match spans.last_mut() {
            Some(BucketSpan { length: Some(length), .. }) if number == next => *length += 1,
            _ => spans.push(BucketSpan { offset: Some(number - next), length: Some(1) }),
        }
        deltas.push(count.wrapping_sub(before) as i64);
        (next, before) = (number + 1, count);
    }
    (spans, deltas)
}

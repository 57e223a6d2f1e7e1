//! What remote write sends.

use std::collections::{BTreeMap, HashSet};

use prost::Message;

use super::family::{Family, Kind, Labels, Value};
use super::h2::Exponential;
use super::protobuf::{self, BucketSpan};
use super::text::float;

/// What Prometheus takes as the end of a series: a NaN of its own.
pub const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Samples in one request, at most.
const SAMPLES: usize = 5000;

// The messages are those of `prometheus.WriteRequest`, as far as they are used.

#[derive(Clone, PartialEq, Message)]
pub struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    pub histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    #[prost(oneof = "CountOf", tags = "1")]
    pub count: Option<CountOf>,
    #[prost(double, tag = "3")]
    pub sum: f64,
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    #[prost(oneof = "ZerosOf", tags = "6")]
    pub zeros: Option<ZerosOf>,
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
}

/// A variant so that a count of zero is there too.
#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub enum CountOf {
    #[prost(uint64, tag = "1")]
    Int(u64),
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub enum ZerosOf {
    #[prost(uint64, tag = "6")]
    Int(u64),
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Label {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    #[prost(enumeration = "MetricType", tag = "1")]
    pub r#type: i32,
    #[prost(string, tag = "2")]
    pub metric_family_name: String,
    #[prost(string, tag = "4")]
    pub help: String,
    #[prost(string, tag = "5")]
    pub unit: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum MetricType {
    Unknown = 0,
    Counter = 1,
    Gauge = 2,
    Histogram = 3,
    Summary = 5,
}

/// Requests of at most `SAMPLES` series. Series that are in `sent` and have
/// gone since are ended; then `sent` is what there is now.
pub fn requests(
    families: &[Family],
    external: &BTreeMap<String, String>,
    timestamp: i64,
    sent: &mut HashSet<Vec<Label>>,
) -> Vec<WriteRequest> {
    let mut all = Vec::new();
    for family in families {
        let name = |suffix| format!("{}{suffix}", family.name);
        family.samples(|sample| {
            let labels = labels(external, sample.labels, name(sample.suffix), sample.extra);
            let samples = vec![Sample { value: sample.value.as_f64(), timestamp }];
            all.push(TimeSeries { labels, samples, histograms: Vec::new() });
        });
        for series in &family.series {
            if let Value::Native { buckets, sum, count } = &series.value {
                let labels = labels(external, &series.labels, name(""), None);
                let histograms = vec![native(buckets, *sum, *count, timestamp)];
                all.push(TimeSeries { labels, samples: Vec::new(), histograms });
            }
        }
    }
    let current = all.iter().map(|series| series.labels.clone()).collect();
    let gone = std::mem::replace(sent, current).into_iter().filter(|labels| !sent.contains(labels));
    let end = |labels| TimeSeries {
        labels,
        samples: vec![Sample { value: f64::from_bits(STALE), timestamp }],
        histograms: Vec::new(),
    };
    all.extend(gone.map(end));
    let mut requests: Vec<WriteRequest> = all
        .chunks(SAMPLES)
        .map(|chunk| WriteRequest { timeseries: chunk.to_vec(), metadata: Vec::new() })
        .collect();
    if let Some(first) = requests.first_mut() {
        first.metadata = families.iter().map(metadata).collect();
    }
    requests
}

/// Sorted by name, as the protocol demands. A series' own labels win.
fn labels(
    external: &BTreeMap<String, String>,
    own: &Labels,
    name: String,
    extra: Option<(&str, f64)>,
) -> Vec<Label> {
    let mut labels = external.clone();
    labels.extend(own.iter().cloned());
    if let Some((name, value)) = extra {
        labels.insert(name.into(), float(value));
    }
    labels.insert("__name__".into(), name);
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    labels.map(|(name, value)| Label { name, value }).collect()
}

fn native(buckets: &Exponential, sum: f64, count: u64, timestamp: i64) -> Histogram {
    let (positive_spans, positive_deltas) = protobuf::spans(&buckets.buckets);
    Histogram {
        count: Some(CountOf::Int(count)),
        sum,
        schema: buckets.schema,
        zero_threshold: protobuf::ZERO_THRESHOLD,
        zeros: Some(ZerosOf::Int(buckets.zeros)),
        positive_spans,
        positive_deltas,
        timestamp,
    }
}

fn metadata(family: &Family) -> Metadata {
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Summary => MetricType::Summary,
        Kind::Histogram => MetricType::Histogram,
    };
    Metadata {
        r#type: kind.into(),
        metric_family_name: family.full_name().into_owned(),
        help: family.help.to_string(),
        unit: family.unit.unwrap_or_default().into(),
    }
}

//! Native histograms beside Prometheus: written to both, and asked for what is a float.
//!
//! Left out is what 2.42 lacks (means, products with scalars), and what Prometheus 3
//! does otherwise: interpolation within buckets, so that fractions are asked for at
//! bounds of buckets.

use std::fmt::Write as _;
use std::sync::Arc;

use prost::Message;
use rezolus_store::histogram::Span;
use rezolus_store::labels::NAME;
use rezolus_store::memory::Memory;
use rezolus_store::promql::Options;
use rezolus_store::{FloatHistogram, Labels, Sample};

use crate::data::{LENGTH, START};
use crate::prometheus::Server;
use crate::queries::{Query, Random};
use crate::{ask, same};

const QUERIES: usize = 1500;
const SERIES: usize = 4;
/// ms, as the times at which other data is sampled.
const INTERVAL: i64 = 10_000;
const PHASE: i64 = 137;
/// Of the histograms' buckets: where they begin.
const FIRST: i32 = -3;

/// A request of the remote write protocol, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// One whose counts need not be whole.
#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(double, tag = "2")]
    count: f64,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(double, tag = "7")]
    zero_count: f64,
    #[prost(message, repeated, tag = "11")]
    spans: Vec<BucketSpan>,
    #[prost(double, repeated, tag = "13")]
    counts: Vec<f64>,
    #[prost(int64, tag = "15")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

/// Counters that are histograms, of different schemas, with resets.
fn generate(random: &mut Random) -> (Memory, WriteRequest) {
    let (mut memory, mut request) = (Memory::default(), WriteRequest::default());
    for id in 0..SERIES {
        let labels = [(NAME, "n".to_owned()), ("id", id.to_string()), ("kind", (id % 2).to_string())];
        let schema = (id % 2) as i32;
        let mut counts = [1000.0; 12];
        let mut histograms = Vec::new();
        for at in 0..LENGTH / INTERVAL {
            // Gaps, and now and then a new beginning, well above zero.
            if random.below(60) == 0 {
                counts = [500.0; 12];
            }
            counts.iter_mut().for_each(|count| *count += random.below(5) as f64);
            if random.below(15) == 0 {
                continue;
            }
            let (zero_count, positive) = (counts[0], &counts[1..]);
            let (count, sum) = (counts.iter().sum::<f64>(), counts.iter().sum::<f64>() * 1.5);
            let timestamp = START + at * INTERVAL + PHASE;
            let length = positive.len() as u32;
            histograms.push(Histogram {
                count,
                sum,
                schema,
                zero_threshold: 0.001,
                zero_count,
                spans: vec![BucketSpan { offset: FIRST, length }],
                counts: positive.to_vec(),
                timestamp,
            });
            let histogram = FloatHistogram {
                schema,
                zero_threshold: 0.001,
                zero_count,
                count,
                sum,
                positive_spans: vec![Span { offset: FIRST, length }],
                positive_buckets: positive.to_vec(),
                ..FloatHistogram::default()
            };
            let sample = Sample::Histogram(Arc::new(histogram));
            memory.append(&Labels::new(labels.clone()), timestamp * 1_000_000, sample);
        }
        let labels = labels.map(|(name, value)| Label { name: name.to_owned(), value });
        let mut labels = Vec::from(labels);
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        request.series.push(Series { labels, histograms });
    }
    (memory, request)
}

fn histogram(random: &mut Random, depth: u32) -> String {
    let matchers = random.one(&["", "", r#"{id="1"}"#, r#"{kind="0"}"#, r#"{id!="2"}"#]);
    let range = random.one(&["25s", "1m", "2m", "5m", "12m"]);
    let below = depth.saturating_sub(1);
    match random.below(if depth == 0 { 4 } else { 9 }) {
        0 => format!("n{matchers}"),
        1 => format!("n{matchers} offset 47s"),
        2 | 3 => format!("{}(n{matchers}[{range}])", random.one(&["rate", "increase"])),
        4..7 => {
            let grouping = random.one(&["", "by (kind)", "without (id)", "by (id)"]);
            format!("sum {grouping} ({})", histogram(random, below))
        }
        _ => format!("({}) + ({})", histogram(random, below), histogram(random, below)),
    }
}

fn query(random: &mut Random) -> Query {
    let inner = histogram(random, 2);
    let text = match random.below(6) {
        0 => format!("histogram_sum({inner})"),
        1 => {
            // Bounds of buckets of both schemas, and of the lower one after a sum.
            let bounds = ["-Inf", "0.25", "0.5", "1", "2", "4", "+Inf"];
            format!("histogram_fraction({}, {}, {inner})", random.one(&bounds), random.one(&bounds))
        }
        2 => format!("histogram_quantile({}, {inner})", random.one(&["-1", "2", "NaN"])),
        3 => format!("count({inner})"),
        _ => format!("histogram_count({inner})"),
    };
    let start = START + random.below(LENGTH as u64 / 1000 + 200) as i64 * 1000 + 500;
    let step = [1000, 7000, 60_000][random.below(3) as usize];
    match random.below(2) {
        0 => Query { text, start, end: start, step: None },
        _ => Query { text, start, end: start + step * random.below(30) as i64, step: Some(step) },
    }
}

#[test]
fn native_histograms_are_those_of_prometheus() {
    let mut random = Random::new(11);
    let (memory, request) = generate(&mut random);
    // What is written has to be newer than what is there.
    let server = Server::start("old 1 1600000000\n# EOF\n").expect("prometheus and promtool of Debian");
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).expect("compressed");
    server.write(&body).expect("histograms are taken");
    let (mut different, mut shown, mut empty) = (0, String::new(), 0);
    for _ in 0..QUERIES {
        let query = query(&mut random);
        let theirs = server.ask(&query).expect("an answer of prometheus");
        let ours = ask(&memory, &query, &Options::default());
        empty += usize::from(theirs.as_ref().is_ok_and(|theirs| theirs.is_empty()));
        let equal = match (&theirs, &ours) {
            (Ok(theirs), Ok(ours)) => same(theirs, ours),
            (theirs, ours) => theirs.is_err() && ours.is_err(),
        };
        if !equal {
            different += 1;
            if different <= 10 {
                let _ = writeln!(shown, "{query:?}\n  theirs: {theirs:?}\n  ours:   {ours:?}");
            }
        }
    }
    assert!(different == 0, "{different} of {QUERIES} answers differ; the first ones:\n{shown}");
    assert!(empty < QUERIES / 3, "{empty} answers are empty");
}

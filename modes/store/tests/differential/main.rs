//! The engine beside a real Prometheus: thousands of generated queries over the
//! same data have the same answers.
//!
//! Prometheus 2.42 (Debian's) includes samples at both ends of a range where
//! Prometheus 3 leaves out the first, and drops names at once. Samples, evaluations
//! and steps of subqueries are at times that never meet, and no query asks for names,
//! so that neither matters.

mod data;
mod native;
mod prometheus;
mod queries;
mod refused;
mod regexes;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rezolus_store::Sample;
use rezolus_store::promql::{self, Options, Value};

use queries::{Query, Random};

const QUERIES: usize = 5000;
/// Of the data and queries, unless the environment variable `DIFFERENTIAL_SEED` has
/// another one.
const SEED: u64 = 20_231_114;
/// So many differences are shown.
const MOST_SHOWN: usize = 10;

/// Points in ms and values, by the series' labels as text.
type Answer = BTreeMap<String, Vec<(i64, f64)>>;

#[test]
fn answers_are_those_of_prometheus() {
    let seed = std::env::var("DIFFERENTIAL_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut random = Random::new(seed.unwrap_or(SEED));
    let data = data::generate(&mut random);
    let server = prometheus::Server::start(&data.openmetrics).expect("prometheus and promtool of Debian");
    let options = Options::default();
    let (mut shown, mut different, mut empty, mut failed) = (String::new(), 0, 0, 0);
    for _ in 0..QUERIES {
        let query = queries::generate(&mut random);
        let theirs = server.ask(&query).expect("an answer of prometheus");
        let ours = ask(&data.memory, &query, &options);
        empty += usize::from(theirs.as_ref().is_ok_and(BTreeMap::is_empty));
        failed += usize::from(theirs.is_err());
        let same = match (&theirs, &ours) {
            (Ok(theirs), Ok(ours)) => same(theirs, ours),
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !same {
            different += 1;
            if different <= MOST_SHOWN {
                let _ = writeln!(shown, "{query:?}\n  theirs: {theirs:?}\n  ours:   {ours:?}");
            }
        }
    }
    assert!(different == 0, "{different} of {QUERIES} answers differ; the first ones:\n{shown}");
    // Queries without an answer tell little.
    assert!(empty < QUERIES / 3, "{empty} answers are empty");
    assert!(failed < QUERIES / 10, "{failed} queries fail");
}

fn ask(source: &dyn rezolus_store::Source, query: &Query, options: &Options) -> Result<Answer, String> {
    let nanos = |millis: i64| millis * 1_000_000;
    let answer = match query.step {
        None => promql::instant(source, &query.text, nanos(query.start), options),
        Some(step) => {
            let (start, end) = (nanos(query.start), nanos(query.end));
            promql::range(source, &query.text, start, end, nanos(step), options)
        }
    };
    let float = |time: i64, sample: &Sample| match sample {
        Sample::Float(value) => (time / 1_000_000, *value),
        Sample::Histogram(_) => (time / 1_000_000, f64::NEG_INFINITY),
    };
    let text = |labels: &rezolus_store::Labels| {
        let pairs = labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        labels_text(pairs.collect())
    };
    Ok(match answer.map_err(|error| error.message)?.value {
        Value::Scalar(time, value) => BTreeMap::from([(String::new(), vec![(time / 1_000_000, value)])]),
        Value::String(..) => return Err("a string".to_owned()),
        Value::Vector(rows) => {
            rows.iter().map(|(labels, time, sample)| (text(labels), vec![float(*time, sample)])).collect()
        }
        Value::Matrix(rows) => rows
            .iter()
            .map(|series| {
                let points = series.samples.iter().map(|(time, sample)| float(time, &sample));
                (text(&series.labels), points.collect())
            })
            .collect(),
    })
}

pub fn labels_text(labels: BTreeMap<String, String>) -> String {
    format!("{labels:?}")
}

fn same(theirs: &Answer, ours: &Answer) -> bool {
    theirs.len() == ours.len()
        && theirs.iter().zip(ours).all(|((a, theirs), (b, ours))| {
            a == b
                && theirs.len() == ours.len()
                && theirs.iter().zip(ours).all(|(a, b)| a.0 == b.0 && close(a.1, b.1))
        })
}

/// Prometheus 2.42 sums without compensation.
fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-7 + 1e-9 * a.abs().max(b.abs())
}

//! `view/differences`: what of B is not as it is in A.

use std::collections::{BTreeMap, BTreeSet};

use rezolus_store::labels::NAME;
use rezolus_store::promql::{self, Error, Value};
use rezolus_store::{Labels, Matcher, Sample, Source};
use serde::Serialize;

/// So many rows are told.
const MOST_ROWS: usize = 2000;
/// What tells apart only the parts of a whole, and where it was measured.
const SUMMED: &str = "id, sampler, unit, source, node, instance, endpoint";
/// ns
const MILLI: i64 = 1_000_000;

/// A series of A and B over the same length of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub metric: String,
    pub labels: BTreeMap<String, String>,
    #[serde(rename = "type")]
    pub kind: String,
    pub unit: String,
    /// Counters: per second. Gauges: the mean. Histograms: the quantile 0.99.
    pub a: Option<f64>,
    pub b: Option<f64>,
    pub of: &'static str,
}

/// An input, and which span of it, ns.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub source: &'a dyn Source,
    pub start: i64,
    pub end: i64,
}

/// Compares two spans, what differs most first. The second value: whether rows were left out.
///
/// # Errors
///
/// When one of them cannot be read, or nobody waits any more.
pub fn differences(a: Side, b: Side, options: &promql::Options) -> Result<(Vec<Row>, bool), Error> {
    let known = [a.source.metadata(), b.source.metadata()];
    let names: BTreeSet<&String> = known.iter().flat_map(BTreeMap::keys).collect();
    let mut rows = Vec::new();
    for name in names {
        let Some(about) = known.iter().find_map(|known| known.get(name)) else { continue };
        let of = match about.kind.as_str() {
            "counter" => "rate",
            "histogram" => "p99",
            _ => "mean",
        };
        let mut found: BTreeMap<Labels, [Option<f64>; 2]> = BTreeMap::new();
        for (at, side) in [a, b].into_iter().enumerate() {
            for (labels, value) in values(side, name, of, options)? {
                found.entry(labels).or_default()[at] = Some(value);
            }
        }
        let row = |(labels, [a, b]): (Labels, [Option<f64>; 2])| Row {
            metric: name.clone(),
            labels: labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            kind: about.kind.clone(),
            unit: about.unit.clone(),
            a,
            b,
            of,
        };
        rows.extend(found.into_iter().map(row).filter(|row| row.a != Some(0.0) || row.b != Some(0.0)));
    }
    let truncated = rows.len() > MOST_ROWS;
    rows.sort_by(|a, b| b.weight().total_cmp(&a.weight()));
    rows.truncate(MOST_ROWS);
    Ok((rows, truncated))
}

impl Row {
    /// How much it differs: the logarithm of the ratio. What is on one side only comes last.
    fn weight(&self) -> f64 {
        match (self.a, self.b) {
            (Some(a), Some(b)) if a == b => 0.0,
            (Some(a), Some(b)) if a > 0.0 && b > 0.0 => (b / a).log2().abs(),
            (Some(_), Some(_)) => 64.0,
            _ => -1.0,
        }
    }
}

fn values(side: Side, name: &str, of: &str, options: &promql::Options) -> Result<Vec<(Labels, f64)>, Error> {
    let length = (side.end - side.start).max(MILLI).div_euclid(MILLI);
    let none = side.source.series(&[Matcher::equal(NAME, name)], side.start, side.end)?.is_empty();
    if none {
        return Ok(Vec::new());
    }
    let selector = format!("{{__name__={name:?}}}[{length}ms]");
    let query = match of {
        "rate" => format!("sum without ({SUMMED}) (rate({selector}))"),
        "p99" => format!("histogram_quantile(0.99, sum without ({SUMMED}) (rate({selector})))"),
        _ => format!("avg without ({SUMMED}) (avg_over_time({selector}))"),
    };
    let answer = promql::instant(side.source, &query, side.end, options)?;
    let Value::Vector(all) = answer.value else { return Ok(Vec::new()) };
    let value = |(labels, _, sample): (Labels, i64, Sample)| match sample {
        Sample::Float(value) if value.is_finite() => Some((labels.without_name(), value)),
        _ => None,
    };
    Ok(all.into_iter().filter_map(value).collect())
}

//! Two spans, of one recording or of two: what is different, by how much, and how sure that is.

use std::collections::BTreeMap;

use rezolus_store::Source;
use rezolus_store::promql::{Error, Options};
use serde::Serialize;

use super::catalog::{Aspect, Direction, Resource};
use super::robust;
use super::signals::{self, Depth, Scope, Signal};

/// Of the changes that are told at most this part may be there by chance.
const WRONG: f64 = 0.01;
/// Fewer independent values on a side say nothing of how sure a change is.
const FEWEST: f64 = 4.0;
/// A shift is the median of so many pairs of values at most.
const MOST_PAIRS: usize = 250_000;

/// A source, and which span of it, ns since the epoch, both ends included; all of it if None.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub source: &'a dyn Source,
    pub window: Option<(i64, i64)>,
}

/// What is different in B.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The spans, ns since the epoch.
    pub a: (i64, i64),
    pub b: (i64, i64),
    /// What changed by as much as matters and more than by chance; most first.
    pub changes: Vec<Change>,
    /// How many signals both sides have.
    pub compared: usize,
    /// Signals of one side only.
    pub only_a: Vec<String>,
    pub only_b: Vec<String>,
    pub remarks: Vec<String>,
}

/// A signal that changed. Levels are in its unit.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    pub signal: String,
    pub title: String,
    pub resource: Resource,
    pub aspect: Aspect,
    pub unit: String,
    pub worse: Direction,
    /// PromQL: at the steps of the spans it gives the values.
    pub query: String,
    /// Medians.
    pub a: f64,
    pub b: f64,
    /// The median of all differences between a value of B and one of A (Hodges & Lehmann 1963).
    pub shift: f64,
    /// How often a value of B is above one of A less how often it is below, -1 to 1 (Cliff 1993): how little
    /// the two overlap.
    pub delta: f64,
    /// How likely chance would give as much, were both the same (Mann & Whitney 1947), with as many values as
    /// there are independent ones.
    pub p: f64,
    /// How many independent values each side has.
    pub independent: (f64, f64),
    /// The logarithm, base 2, of 1 + the shift in units of what matters.
    pub score: f64,
}

/// Compares two spans.
///
/// # Errors
///
/// When one of them cannot be read.
pub fn compare(a: Side, b: Side, depth: Depth, options: &Options) -> Result<Comparison, Error> {
    let of = |side: Side| signals::signals(side.source, Scope { window: side.window, depth }, options);
    let (a, b) = (of(a)?, of(b)?);
    let spans = [&a, &b].map(|side| (side.frame.start, side.frame.end()));
    let mut theirs: BTreeMap<&str, &Signal> =
        b.all.iter().map(|signal| (signal.id.as_str(), signal)).collect();
    let (mut changes, mut only_a, mut compared) = (Vec::new(), Vec::new(), 0);
    for signal in &a.all {
        match theirs.remove(signal.id.as_str()) {
            Some(other) => {
                compared += 1;
                changes.extend(change(signal, other));
            }
            None => only_a.push(signal.id.clone()),
        }
    }
    let mut p: Vec<f64> = changes.iter().map(|change| change.p).collect();
    p.resize(compared, 1.0);
    let most = robust::significant(&mut p, WRONG);
    changes.retain(|change| change.p <= most);
    changes.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.signal.cmp(&b.signal)));
    let only_b = theirs.into_keys().map(String::from).collect();
    let remarks = a.remarks.iter().chain(&b.remarks).cloned().collect();
    Ok(Comparison { a: spans[0], b: spans[1], changes, compared, only_a, only_b, remarks })
}

/// The change between two signals, if it matters.
fn change(a: &Signal, b: &Signal) -> Option<Change> {
    let (mut left, mut right) = (robust::present(&a.values), robust::present(&b.values));
    let independent = (robust::independent(&left), robust::independent(&right));
    if independent.0 < FEWEST || independent.1 < FEWEST {
        return None;
    }
    left.sort_by(f64::total_cmp);
    right.sort_by(f64::total_cmp);
    let (middle_a, middle_b) = (robust::quantile(&left, 0.5)?, robust::quantile(&right, 0.5)?);
    let shift = shift(&left, &right)?;
    let matters =
        a.rule.matter.max(a.rule.relative * middle_a.abs().min(middle_b.abs())).max(f64::MIN_POSITIVE);
    if shift.abs() < matters {
        return None;
    }
    let (delta, ties) = dominance(&left, &right);
    Some(Change {
        signal: a.id.clone(),
        title: a.title.clone(),
        resource: a.resource,
        aspect: a.aspect,
        unit: a.unit.clone(),
        worse: a.worse,
        query: b.query.clone(),
        a: middle_a,
        b: middle_b,
        shift,
        delta,
        p: mann_whitney(delta, ties, independent),
        independent,
        score: a.weight * (1.0 + shift.abs() / matters).log2(),
    })
}

/// How often a value of one is above one of the other, less how often below, of sorted values; and the part
/// of the variance that ties leave.
pub(super) fn dominance(a: &[f64], b: &[f64]) -> (f64, f64) {
    let mut wins = 0.0;
    for value in b {
        let below = a.partition_point(|other| other < value) as f64;
        let above = (a.len() - a.partition_point(|other| other <= value)) as f64;
        wins += below - above;
    }
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_by(f64::total_cmp);
    let count = all.len() as f64;
    let tied: f64 =
        all.chunk_by(|a, b| a == b).map(|same| (same.len() as f64).powi(3) - same.len() as f64).sum();
    let left = 1.0 - tied / (count.powi(3) - count).max(1.0);
    (wins / (a.len() as f64 * b.len() as f64), left)
}

/// The two-sided p of a dominance with so many independent values: U is normal for more than a few.
pub(super) fn mann_whitney(delta: f64, ties: f64, (a, b): (f64, f64)) -> f64 {
    // Of U / (ab) the variance is (a + b + 1) / (12ab); delta is 2U / (ab) - 1.
    let error = ((a + b + 1.0) / (3.0 * a * b) * ties).sqrt();
    if error > 0.0 { robust::tail(delta / error) } else { 1.0 }
}

/// The median of differences, of quantiles where there would be too many pairs. Values are sorted.
fn shift(a: &[f64], b: &[f64]) -> Option<f64> {
    let each = (MOST_PAIRS as f64).sqrt() as usize;
    let thin = |values: &[f64]| -> Vec<f64> {
        match values.len() <= each {
            true => values.to_vec(),
            false => {
                (0..each).filter_map(|at| robust::quantile(values, (at as f64 + 0.5) / each as f64)).collect()
            }
        }
    };
    let (a, b) = (thin(a), thin(b));
    let mut differences: Vec<f64> = b.iter().flat_map(|to| a.iter().map(move |from| to - from)).collect();
    robust::median(&mut differences)
}

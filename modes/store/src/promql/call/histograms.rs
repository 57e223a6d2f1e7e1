//! Functions of histograms: native ones, and classic ones, which are a counter for
//! each upper bound (label `le`).

use std::collections::{HashMap, HashSet};

use super::args::Args;
use super::remarks::{Remark, Seen, check_quantile, named};
use super::windows::check;
use super::{Context, labels, without_empty};
use crate::FloatHistogram;
use crate::float::format_short;
use crate::histogram::{NanNote, classic_fraction, classic_quantile};
use crate::labels::Labels;
use crate::promql::points::Points;
use crate::promql::value::Row;
use crate::promql::{ABSENT, Error, is_absent};

/// The label that is a classic bucket's upper bound.
const BOUND: &str = "le";

pub fn call(
    function: &str,
    args: &mut Args<'_>,
    context: &mut Context<'_>,
) -> Result<Option<Vec<Row>>, Error> {
    if let Some(of) = one(function) {
        return Ok(Some(map(args.vector()?, of)));
    }
    match function {
        "histogram_quantile" => {
            let (q, rows) = (args.scalar()?, args.vector()?);
            quantile(&q, &rows, Labels::clone, context).map(Some)
        }
        "histogram_quantiles" => quantiles(args, context).map(Some),
        "histogram_fraction" => {
            let (lower, upper, rows) = (args.scalar()?, args.scalar()?, args.vector()?);
            let native = |step: usize, histogram: &FloatHistogram, seen: &mut Seen| {
                said(histogram.fraction(lower[step], upper[step]), seen)
            };
            let classic = |step: usize, buckets: &mut Vec<(f64, f64)>, _: &mut Seen| {
                classic_fraction(lower[step], upper[step], buckets)
            };
            evaluate(&rows, native, classic, Labels::clone, context).map(Some)
        }
        _ => Ok(None),
    }
}

/// Functions of one native histogram. They leave out floats.
fn one(function: &str) -> Option<fn(&FloatHistogram) -> f64> {
    Some(match function {
        "histogram_count" => |histogram| histogram.count,
        "histogram_sum" => |histogram| histogram.sum,
        "histogram_avg" => FloatHistogram::avg,
        "histogram_stddev" => FloatHistogram::stddev,
        "histogram_stdvar" => FloatHistogram::variance,
        _ => return None,
    })
}

fn map(mut rows: Vec<Row>, of: fn(&FloatHistogram) -> f64) -> Vec<Row> {
    for row in &mut rows {
        row.drop_name = true;
        let histograms = std::mem::take(&mut row.points.histograms);
        row.points.floats.fill(ABSENT);
        for (value, histogram) in row.points.floats.iter_mut().zip(histograms) {
            if let Some(histogram) = histogram {
                *value = of(&histogram);
            }
        }
    }
    without_empty(rows)
}

fn quantiles(args: &mut Args<'_>, context: &mut Context<'_>) -> Result<Vec<Row>, Error> {
    let (rows, label) = (args.vector()?, args.string()?);
    if label.is_empty() {
        return Err(Error::execution("invalid label name in histogram_quantiles(): "));
    }
    let mut all = Vec::new();
    while !args.is_empty() {
        let q = args.scalar()?;
        let mut values = q.clone();
        values.dedup_by(|a, b| a.to_bits() == b.to_bits());
        // Of a quantile that changes from step to step each value is a series.
        for value in values {
            let here: Vec<f64> = q.iter().map(|q| if *q == value { value } else { ABSENT }).collect();
            let text = bound_text(value);
            all.extend(quantile(&here, &rows, |labels| labels.with(&label, &text), context)?);
        }
    }
    labels::merge(all)
}

/// A number as OpenMetrics has it as a label: with a point or an exponent.
fn bound_text(value: f64) -> String {
    let text = format_short(value);
    let plain = text.bytes().all(|c| c.is_ascii_digit() || c == b'-');
    if plain { format!("{text}.0") } else { text }
}

/// The quantile at each step; none at steps whose `q` is [`ABSENT`].
fn quantile(
    q: &[f64],
    rows: &[Row],
    relabel: impl Fn(&Labels) -> Labels,
    context: &mut Context<'_>,
) -> Result<Vec<Row>, Error> {
    let place = context.places.first().copied().or(context.notes.place);
    let mut last = None;
    for &q in q.iter().filter(|q| !is_absent(**q)) {
        if last.replace(q.to_bits()) != Some(q.to_bits()) {
            context.notes.at(place, |notes| check_quantile(q, notes));
        }
    }
    let native = |step: usize, histogram: &FloatHistogram, seen: &mut Seen| {
        let q = q[step];
        if is_absent(q) {
            return ABSENT;
        }
        said(histogram.quantile(q), seen)
    };
    let classic = |step: usize, buckets: &mut Vec<(f64, f64)>, seen: &mut Seen| {
        let q = q[step];
        if is_absent(q) {
            return ABSENT;
        }
        let (value, forced, _) = classic_quantile(q, buckets);
        if forced {
            seen.add(Remark::ForcedMonotonic);
        }
        value
    };
    evaluate(rows, native, classic, relabel, context)
}

fn said((value, note): (f64, Option<NanNote>), seen: &mut Seen) -> f64 {
    if let Some(note) = note {
        seen.add(note.into());
    }
    value
}

/// A classic histogram: its buckets' upper bounds, and which rows they are.
struct Classic {
    labels: Labels,
    buckets: Vec<(f64, usize)>,
}

/// Puts buckets together that differ but in their bound.
fn group(rows: &[Row], context: &mut Context<'_>) -> (Vec<Classic>, HashMap<Labels, usize>) {
    let mut all: Vec<Classic> = Vec::new();
    let mut known: HashMap<Labels, usize> = HashMap::new();
    for (index, row) in rows.iter().enumerate() {
        if row.points.floats.iter().all(|value| is_absent(*value)) {
            continue;
        }
        let text = row.labels.get(BOUND);
        let Ok(bound) = text.parse::<f64>() else {
            let text = format!("bucket label \"le\" is missing or has a malformed value of {text:?}");
            context.notes.warn(named(&text, row.labels.name()));
            continue;
        };
        let labels = row.labels.filter(|name| name != BOUND);
        let at = *known.entry(labels.clone()).or_insert_with(|| {
            all.push(Classic { labels, buckets: Vec::new() });
            all.len() - 1
        });
        all[at].buckets.push((bound, index));
    }
    (all, known)
}

/// Evaluates native and classic histograms. Where both have the same labels at the
/// same time there is a warning, and no value.
fn evaluate(
    rows: &[Row],
    native: impl Fn(usize, &FloatHistogram, &mut Seen) -> f64,
    classic: impl Fn(usize, &mut Vec<(f64, f64)>, &mut Seen) -> f64,
    relabel: impl Fn(&Labels) -> Labels,
    context: &mut Context<'_>,
) -> Result<Vec<Row>, Error> {
    let steps = context.grid.count;
    let (classics, known) = group(rows, context);
    let has = |classic: &Classic, step: usize| {
        classic.buckets.iter().any(|&(_, row)| !is_absent(rows[row].points.floats[step]))
    };
    // Prometheus says of the quantile what NaNs do to it, of the series the rest.
    let first = context.places.first().copied().or(context.notes.place);
    let mut out = Vec::new();
    let mut refused: HashSet<(usize, usize)> = HashSet::new();
    let mut finish = |labels: &Labels, floats: Vec<f64>, seen: Seen, context: &mut Context<'_>| {
        let (of_quantile, others) = seen.split(&[Remark::QuantileNan, Remark::QuantileSkewed]);
        others.tell(labels.name(), context.notes);
        context.notes.at(first, |notes| of_quantile.tell(labels.name(), notes));
        let points = Points { floats, histograms: Vec::new() };
        out.push(Row { labels: relabel(labels), drop_name: true, points });
    };
    for row in rows.iter().filter(|row| !row.points.histograms.is_empty()) {
        check(context.options)?;
        let other = known.get(&row.labels).copied();
        let mut seen = Seen::default();
        let mut floats = vec![ABSENT; steps];
        for (step, histogram) in row.points.histograms.iter().enumerate() {
            let Some(histogram) = histogram else { continue };
            if let Some(at) = other.filter(|&at| has(&classics[at], step)) {
                seen.add(Remark::MixedClassicNative);
                refused.insert((at, step));
                continue;
            }
            floats[step] = native(step, histogram, &mut seen);
        }
        finish(&row.labels, floats, seen, context);
    }
    let mut buckets = Vec::new();
    for (at, histogram) in classics.iter().enumerate() {
        check(context.options)?;
        let mut seen = Seen::default();
        let mut floats = vec![ABSENT; steps];
        for (step, value) in floats.iter_mut().enumerate() {
            buckets.clear();
            let all = histogram.buckets.iter();
            let all = all.map(|&(bound, row)| (bound, rows[row].points.floats[step]));
            buckets.extend(all.filter(|(_, count)| !is_absent(*count)));
            if !buckets.is_empty() && !refused.contains(&(at, step)) {
                *value = classic(step, &mut buckets, &mut seen);
            }
        }
        finish(&histogram.labels, floats, seen, context);
    }
    labels::merge(without_empty(out))
}

//! What windows of native histograms come to.

use super::remarks::{Remark, Seen};
use crate::FloatHistogram;
use crate::histogram::ResetHint;

/// The sum; None if the buckets are of different kinds.
pub fn sum(histograms: &[&FloatHistogram], seen: &mut Seen) -> Option<FloatHistogram> {
    let (first, rest) = histograms.split_first()?;
    let mut sum = FloatHistogram::clone(first);
    let mut remarks = collision(histograms);
    for histogram in rest {
        add(&mut sum, histogram, Remark::ReconciledAggregation, &mut remarks).or_else(|| mixed(seen))?;
    }
    seen.merge(remarks);
    Some(sum)
}

/// The mean, as a running one: a sum may be more than floats can say.
pub fn mean(histograms: &[&FloatHistogram], seen: &mut Seen) -> Option<FloatHistogram> {
    let (first, rest) = histograms.split_first()?;
    let mut mean = FloatHistogram::clone(first);
    let mut remarks = collision(histograms);
    for (index, histogram) in rest.iter().enumerate() {
        let count = (index + 2) as f64;
        let mut step = histogram.div(count);
        subtract(&mut step, &mean.div(count), Remark::ReconciledAggregation, &mut remarks)
            .and_then(|()| add(&mut mean, &step, Remark::ReconciledAggregation, &mut remarks))
            .or_else(|| mixed(seen))?;
    }
    seen.merge(remarks);
    Some(mean)
}

fn mixed(seen: &mut Seen) -> Option<()> {
    seen.add(Remark::MixedSchemas);
    None
}

/// Whether some are marked as counter resets and some as none.
fn collision(histograms: &[&FloatHistogram]) -> Seen {
    let mut seen = Seen::default();
    let any = |hint| histograms.iter().any(|histogram| histogram.hint == hint);
    if any(ResetHint::Reset) && any(ResetHint::NotReset) {
        seen.add(Remark::ResetCollision);
    }
    seen
}

fn add(to: &mut FloatHistogram, other: &FloatHistogram, reconciled: Remark, seen: &mut Seen) -> Option<()> {
    if to.add_assign(other).ok()?.bounds_reconciled {
        seen.add(reconciled);
    }
    Some(())
}

fn subtract(
    from: &mut FloatHistogram,
    other: &FloatHistogram,
    reconciled: Remark,
    seen: &mut Seen,
) -> Option<()> {
    if from.sub_assign(other).ok()?.bounds_reconciled {
        seen.add(reconciled);
    }
    Some(())
}

pub fn differ(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    !a.equals(b)
}

pub fn is_reset(before: &FloatHistogram, after: &FloatHistogram) -> bool {
    after.detect_reset(before)
}

/// Histograms one after the other, and what is known of them however many of them
/// are looked at.
pub struct Run<'a> {
    all: Vec<&'a FloatHistogram>,
    /// Where counters began anew, ascending.
    resets: Vec<usize>,
    /// All have the same schema, and none is marked as a gauge.
    uniform: bool,
}

impl<'a> Run<'a> {
    /// Of a counter, or not.
    pub fn new(all: Vec<&'a FloatHistogram>, counter: bool) -> Self {
        let pairs = all.windows(2).enumerate().filter(|(_, pair)| counter && is_reset(pair[0], pair[1]));
        let resets = pairs.map(|(index, _)| index + 1).collect();
        let uniform = all
            .iter()
            .all(|histogram| histogram.schema == all[0].schema && histogram.hint != ResetHint::Gauge);
        Self { all, resets, uniform }
    }

    /// The first one of some.
    pub fn first(&self, which: &std::ops::Range<usize>) -> &'a FloatHistogram {
        self.all[which.start]
    }

    /// By how much a counter went up over some of them, at least two: as many
    /// additions as there are resets.
    pub fn increase(&self, which: std::ops::Range<usize>, seen: &mut Seen) -> Option<FloatHistogram> {
        let histograms = &self.all[which.clone()];
        let (first, last) = (*histograms.first()?, *histograms.last()?);
        if !self.uniform && histograms.iter().any(|histogram| histogram.hint == ResetHint::Gauge) {
            seen.add(Remark::NotCounter);
        }
        let from = self.resets.partition_point(|&at| at <= which.start);
        let mut resets = self.resets[from..].iter().copied().take_while(|&at| at < which.end).peekable();
        // A reset right after the first one: nothing of it counts, whatever its
        // buckets are.
        let begins = resets.next_if_eq(&(which.start + 1)).is_some();
        let counted = if begins { &histograms[1..] } else { histograms };
        if counted.iter().any(|histogram| histogram.is_custom() != last.is_custom()) {
            mixed(seen)?;
        }
        let schema = counted.iter().map(|histogram| histogram.schema).min().unwrap_or(last.schema);
        let mut change = last.to_schema(schema);
        if !begins {
            subtract(&mut change, first, Remark::ReconciledSubtraction, seen).or_else(|| mixed(seen))?;
        }
        for at in resets {
            let lost = self.all[at - 1];
            add(&mut change, lost, Remark::ReconciledAddition, seen).or_else(|| mixed(seen))?;
        }
        change.hint = ResetHint::Gauge;
        Some(change.compact())
    }

    /// The last one of some, at least two, less the first.
    pub fn delta(&self, which: std::ops::Range<usize>, seen: &mut Seen) -> Option<FloatHistogram> {
        let histograms = &self.all[which];
        let (first, last) = (*histograms.first()?, *histograms.last()?);
        let mut change = last.to_schema(first.schema.min(last.schema));
        subtract(&mut change, first, Remark::ReconciledSubtraction, seen).or_else(|| mixed(seen))?;
        if first.hint != ResetHint::Gauge || last.hint != ResetHint::Gauge {
            seen.add(Remark::NotGauge);
        }
        change.hint = ResetHint::Gauge;
        Some(change.compact())
    }
}

/// The last of two less the one before, or, if it is a counter that began anew
/// between them, the last one.
pub fn last_change(
    before: &FloatHistogram,
    last: &FloatHistogram,
    counter: bool,
    seen: &mut Seen,
) -> Option<FloatHistogram> {
    let gauges = [before, last].map(|histogram| histogram.hint == ResetHint::Gauge);
    if counter && gauges.contains(&true) {
        seen.add(Remark::NotCounter);
    }
    if !counter && gauges.contains(&false) {
        seen.add(Remark::NotGauge);
    }
    let mut change = last.clone();
    if !counter || !is_reset(before, last) {
        subtract(&mut change, before, Remark::ReconciledSubtraction, seen).or_else(|| mixed(seen))?;
    }
    change.hint = ResetHint::Gauge;
    Some(change.compact())
}

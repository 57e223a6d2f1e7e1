//! Histograms over time, all added up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rezolus_store::promql::Error;
use rezolus_store::{FloatHistogram, Labels};

use super::range::Grid;

/// How often which values occurred: of each lot the mean of its steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heat {
    /// The series that were added up.
    pub labels: BTreeSet<Labels>,
    /// Bucket `b` reaches from `bounds[b]` to `bounds[b + 1]`; the first and the last have a count.
    pub bounds: Vec<f64>,
    /// Lots, buckets and counts, in this order; those that have a count.
    pub cells: Vec<(u32, u32, f64)>,
}

impl Heat {
    /// The cells of a lot.
    pub fn lot(&self, lot: usize) -> &[(u32, u32, f64)] {
        let first = self.cells.partition_point(|cell| (cell.0 as usize) < lot);
        let rest = &self.cells[first..];
        &rest[..rest.partition_point(|cell| cell.0 as usize == lot)]
    }

    /// From where to where a cell reaches.
    pub fn reach(&self, bucket: u32) -> (f64, f64) {
        let bound = |at: usize| self.bounds.get(at).copied().unwrap_or(f64::NAN);
        (bound(bucket as usize), bound(bucket as usize + 1))
    }

    /// Below which this part of a lot's values is; NaN if it has none.
    pub fn quantile(&self, lot: usize, part: f64) -> f64 {
        let cells = self.lot(lot);
        let total: f64 = cells.iter().map(|cell| cell.2).sum();
        let mut before = 0.0;
        for &(_, bucket, count) in cells {
            if before + count >= total * part {
                let (low, high) = self.reach(bucket);
                return low + (high - low) * (total * part - before) / count;
            }
            before += count;
        }
        f64::NAN
    }
}

/// Histograms, those of a lot added up.
#[derive(Default)]
pub struct Sums {
    /// Upper bounds of all buckets but the last, which has none.
    bounds: Option<Arc<[f64]>>,
    /// By lot: at each bucket how much.
    lots: BTreeMap<u32, Vec<f64>>,
    /// By lot: which of its steps had anything.
    steps: BTreeMap<u32, BTreeSet<usize>>,
}

impl Sums {
    /// Adds a histogram.
    ///
    /// # Errors
    ///
    /// When its buckets are powers of something, which those of others are not.
    pub fn add(&mut self, grid: &Grid, time: i64, histogram: &FloatHistogram) -> Result<(), Error> {
        if histogram.count == 0.0 && !histogram.is_custom() {
            return Ok(());
        }
        if !histogram.is_custom() {
            return Err(Error::execution(
                "a heatmap can be drawn of histograms with bounds of their own only",
            ));
        }
        let bounds = self.bounds.get_or_insert_with(|| histogram.custom_values.clone());
        let same = Arc::ptr_eq(bounds, &histogram.custom_values) || *bounds == histogram.custom_values;
        let step = grid.step_of(time);
        let lot = (step / grid.per) as u32;
        let width = bounds.len() + 1;
        let counts = self.lots.entry(lot).or_insert_with(|| vec![0.0; width]);
        for bucket in histogram.buckets() {
            let at = match same {
                true => usize::try_from(bucket.index).unwrap_or_default(),
                // Where its upper bound is, or would be.
                false => bounds.partition_point(|&bound| bound < bucket.upper),
            };
            if let Some(count) = counts.get_mut(at) {
                *count += bucket.count;
            }
        }
        self.steps.entry(lot).or_default().insert(step);
        Ok(())
    }

    /// From the lowest bucket that has anything to the highest that does.
    pub fn heat(self, labels: BTreeSet<Labels>) -> Heat {
        let mut cells = Vec::new();
        for (&lot, counts) in &self.lots {
            // A step that had nothing counts too, if it is not a gap: those that answered.
            let steps = self.steps.get(&lot).map_or(1, BTreeSet::len) as f64;
            let there = counts.iter().enumerate().filter(|(_, count)| **count > 0.0);
            cells.extend(there.map(|(bucket, &count)| (lot, bucket as u32, count / steps)));
        }
        let first = cells.iter().map(|cell| cell.1).min().unwrap_or_default();
        let last = cells.iter().map(|cell| cell.1).max().unwrap_or_default();
        let upper = self.bounds.unwrap_or_else(|| Arc::from([]));
        let bound = |at: u32| match at.checked_sub(1) {
            // Nothing measured is below zero.
            None => 0.0,
            Some(at) => {
                let last = upper.last().copied().unwrap_or_default();
                upper.get(at as usize).copied().unwrap_or(last * 2.0)
            }
        };
        let bounds = if cells.is_empty() { Vec::new() } else { (first..=last + 1).map(bound).collect() };
        cells.iter_mut().for_each(|cell| cell.1 -= first);
        Heat { labels, bounds, cells }
    }
}

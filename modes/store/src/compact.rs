//! Histograms of a recording as they are kept: each by the buckets that differ
//! from the one before. A rate over them needs two of a window's histograms, not
//! all, and these as numbers side by side.

use std::ops::Range;
use std::sync::Arc;

use crate::histogram::{CUSTOM_SCHEMA, FloatHistogram};
use crate::recording::Histograms;

/// Cumulative histograms with the same buckets, none of them missing, and no
/// marks of staleness.
#[derive(Clone, Debug)]
pub struct Compact {
    /// Row groups one after the other, and which of their rows.
    pieces: Arc<[(Arc<Histograms>, Range<usize>)]>,
    range: Range<usize>,
}

impl Compact {
    /// None if there is nothing, or something that is no histogram of this kind.
    pub fn new(pieces: Vec<(Arc<Histograms>, Range<usize>)>) -> Option<Self> {
        let bounds = pieces.first()?.0.bounds();
        let alike = |(histograms, range): &(Arc<Histograms>, Range<usize>)| {
            Arc::ptr_eq(histograms.bounds(), bounds) && !histograms.has_stale(range.clone())
        };
        if !pieces.iter().all(alike) {
            return None;
        }
        let length = pieces.iter().map(|(_, range)| range.len()).sum();
        Some(Self { pieces: pieces.into(), range: 0..length })
    }

    pub fn len(&self) -> usize {
        self.range.len()
    }

    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Panics if the range lies outside.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len());
        let start = self.range.start;
        Self { pieces: self.pieces.clone(), range: start + range.start..start + range.end }
    }

    pub fn bounds(&self) -> &Arc<[f64]> {
        self.pieces[0].0.bounds()
    }

    /// A place before the first histogram.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor {
            of: self,
            piece: 0,
            next: 0,
            before: 0,
            counts: vec![0; self.bounds().len() + 1],
            used: Vec::new(),
            total: 0,
            at: None,
            resets: Vec::new(),
        }
    }

    /// Histograms at indexes that do not go down.
    pub fn at(&self, indexes: impl IntoIterator<Item = usize>) -> impl Iterator<Item = Arc<FloatHistogram>> {
        let mut cursor = self.cursor();
        let mut last: Option<(usize, Arc<FloatHistogram>)> = None;
        indexes.into_iter().map(move |index| match &last {
            Some((known, histogram)) if *known == index => histogram.clone(),
            _ => {
                cursor.go(index);
                let histogram = Arc::new(cursor.histogram());
                last = Some((index, histogram.clone()));
                histogram
            }
        })
    }
}

/// The histogram at a place that goes forward.
pub struct Cursor<'a> {
    of: &'a Compact,
    piece: usize,
    /// The next row of the piece, counted from its row group's first.
    next: usize,
    /// How many histograms the pieces before have.
    before: usize,
    /// By bucket.
    pub counts: Vec<u64>,
    /// Buckets that had a count at some time, in their order.
    pub used: Vec<u32>,
    pub total: u64,
    at: Option<usize>,
    /// Where a count was lower than before.
    pub resets: Vec<usize>,
}

impl Cursor<'_> {
    /// Goes forward to an index.
    pub fn go(&mut self, index: usize) {
        let index = self.of.range.start + index;
        while self.at.is_none_or(|at| at < index) {
            let Some((histograms, range)) = self.of.pieces.get(self.piece) else { return };
            if self.next == range.end {
                self.before += range.len();
                self.piece += 1;
                self.next = 0;
                continue;
            }
            let fell = if self.next == 0 {
                // Nobody asks for rows before these.
                let wanted =
                    self.of.range.start.saturating_sub(self.before).min(range.len().saturating_sub(1));
                self.start_over(histograms, range.start + wanted)
            } else {
                self.change(histograms)
            };
            let inside = self.next >= range.start;
            let position = self.before + self.next.saturating_sub(range.start);
            if inside {
                if fell && position > self.of.range.start {
                    self.resets.push(position - self.of.range.start);
                }
                self.at = Some(position);
            }
            self.next += 1;
        }
    }

    /// Applies the changes of a row; true if something fell.
    fn change(&mut self, histograms: &Histograms) -> bool {
        let mut fell = false;
        for (bucket, difference) in histograms.changes(self.next) {
            let Some(known) = self.counts.get(bucket as usize) else { continue };
            fell |= self.set(bucket, known.wrapping_add_signed(difference));
        }
        fell
    }

    /// Begins a row group with a row up to the wanted one that says all that is not zero.
    fn start_over(&mut self, histograms: &Histograms, wanted: usize) -> bool {
        let first: Vec<(u32, i64)>;
        (self.next, first) = {
            let (row, whole) = histograms.whole(wanted);
            (row, whole.collect())
        };
        let mut fell = false;
        for &bucket in &self.used {
            if first.binary_search_by_key(&bucket, |(bucket, _)| *bucket).is_err() {
                let count = std::mem::take(&mut self.counts[bucket as usize]);
                self.total = self.total.wrapping_sub(count);
                fell |= count > 0;
            }
        }
        for (bucket, count) in first {
            fell |= self.set(bucket, count as u64);
        }
        fell
    }

    /// Sets a bucket; true if it fell.
    fn set(&mut self, bucket: u32, count: u64) -> bool {
        let Some(known) = self.counts.get_mut(bucket as usize) else { return false };
        let before = std::mem::replace(known, count);
        if before == 0
            && let Err(place) = self.used.binary_search(&bucket)
        {
            self.used.insert(place, bucket);
        }
        self.total = self.total.wrapping_add(count).wrapping_sub(before);
        count < before
    }

    /// The histogram here.
    pub fn histogram(&self) -> FloatHistogram {
        let counts = self.used.iter().map(|&bucket| (bucket as usize, self.counts[bucket as usize]));
        FloatHistogram::from_h2(self.of.bounds(), counts)
    }

    /// Count and sum of [`Self::since`], which takes much less time.
    pub fn sums_since(&self, before: &Self, factor: f64, middles: &[f64]) -> FloatHistogram {
        let (mut count, mut sum) = (0.0, 0.0);
        for &bucket in &self.used {
            let bucket = bucket as usize;
            let observed = self.counts[bucket].wrapping_sub(before.counts[bucket]) as f64 * factor;
            count += observed;
            sum += observed * middles[bucket];
        }
        FloatHistogram { schema: CUSTOM_SCHEMA, count, sum, ..FloatHistogram::default() }
    }

    /// What came since another place, each count times a factor.
    pub fn since(&self, before: &Self, factor: f64, middles: &[f64]) -> FloatHistogram {
        let counts = self.used.iter().map(|&bucket| {
            let bucket = bucket as usize;
            (bucket, (self.counts[bucket].wrapping_sub(before.counts[bucket])) as f64 * factor)
        });
        FloatHistogram::of_buckets(self.of.bounds(), middles, counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::h2_bounds;
    use crate::recording::{Axis, Builder, Chunk};

    /// Counts per bucket, row by row: every row adds to one bucket, and at one everything begins anew.
    fn counts(rows: Range<usize>, width: usize, reset: usize) -> Vec<Vec<u64>> {
        let mut counts = vec![0; width];
        let row = |row: usize| {
            if row == reset {
                counts.fill(0);
            }
            counts[row * row % width] += row as u64;
            counts.clone()
        };
        (0..rows.end).map(row).skip(rows.start).collect()
    }

    #[test]
    fn any_slice_has_the_histograms_that_were_put_in() {
        let bounds = h2_bounds(2, 8).unwrap();
        let all = counts(0..1500, bounds.len() + 1, 900);
        let group = |rows: Range<usize>| {
            let axis = Axis::new(rows.clone().map(|row| row as i64).collect(), 1);
            let mut builder = Builder::new(&axis, bounds.clone());
            all[rows].iter().enumerate().for_each(|(row, counts)| builder.push(row, Some(counts)));
            match builder.finish() {
                Chunk::Histograms(built) => built,
                Chunk::Floats { .. } => unreachable!(),
            }
        };
        // Rows 100 to 700 of one group, and all but the last ten of the next.
        let compact = Compact::new(vec![(group(0..700), 100..700), (group(700..1500), 0..790)]).unwrap();
        for (start, end) in [(0, 1390), (1, 2), (155, 156), (156, 700), (599, 601), (600, 900), (800, 1390)] {
            let slice = compact.slice(start..end);
            let mut cursor = slice.cursor();
            for index in [0, (end - start) / 2, end - start - 1] {
                cursor.go(index);
                let row = 100 + start + index;
                assert_eq!(cursor.counts, all[row], "row {row} of {start}..{end}");
                assert_eq!(cursor.total, all[row].iter().sum::<u64>());
            }
            let reset = (100 + start + 1..100 + end).contains(&900).then_some(800 - start);
            assert_eq!(cursor.resets, Vec::from_iter(reset), "{start}..{end}");
        }
    }
}

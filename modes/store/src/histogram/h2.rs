//! Our own histograms as native ones.
//!
//! An H2 histogram has a bucket for every value below 2^(g+1), where g is its
//! grouping power, and 2^g equally wide ones for every power of two above that.
//! Their values are whole, so that an upper bound that is in the bucket says it all,
//! which is what custom buckets have.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::buckets::Builder;
use super::{CUSTOM_SCHEMA, FloatHistogram};

/// So many buckets are the most: grouping power 15 and 64 bits have 1.6 million.
const MOST_BUCKETS: u64 = 1 << 21;

/// By grouping and max value power.
type Known = BTreeMap<(u8, u8), Weak<[f64]>>;

/// The highest value of each bucket but the last, for values of up to
/// `max_value_power` bits. The same ones as long as somebody has them. None if there
/// is no such histogram, or if it had more than two million buckets.
pub fn h2_bounds(grouping_power: u8, max_value_power: u8) -> Option<Arc<[f64]>> {
    static KNOWN: Mutex<Known> = Mutex::new(BTreeMap::new());
    if grouping_power >= max_value_power || max_value_power > 64 {
        return None;
    }
    let groups = u64::from(max_value_power - grouping_power) + 1;
    let buckets = 1u64.checked_shl(grouping_power.into())?.checked_mul(groups)?;
    if buckets > MOST_BUCKETS {
        return None;
    }
    let mut known = KNOWN.lock();
    let key = (grouping_power, max_value_power);
    if let Some(bounds) = known.get(&key).and_then(Weak::upgrade) {
        return Some(bounds);
    }
    let bounds: Arc<[f64]> = (1..buckets).map(|index| (lowest(grouping_power, index) - 1) as f64).collect();
    known.insert(key, Arc::downgrade(&bounds));
    Some(bounds)
}

/// The lowest value of a bucket.
fn lowest(grouping_power: u8, index: u64) -> u64 {
    let (group, within) = (index >> grouping_power, index & ((1 << grouping_power) - 1));
    match group {
        0 => within,
        group => (1 << (u64::from(grouping_power) + group - 1)) + (within << (group - 1)),
    }
}

impl FloatHistogram {
    /// Of an H2 histogram's buckets that have a count, in their order, and
    /// [`h2_bounds`]. Indexes beyond these are left out.
    ///
    /// H2 histograms have no sum. It is estimated: all values of a bucket count as
    /// its middle, so that it is as far off as half the width of the buckets at most.
    pub fn from_h2(bounds: &Arc<[f64]>, counts: impl IntoIterator<Item = (usize, u64)>) -> Self {
        let counts = counts.into_iter().filter(|(index, _)| *index <= bounds.len());
        Self::build(bounds, |index| middle(bounds, index), counts.map(|(index, count)| (index, count as f64)))
    }

    /// The same of counts that need not be whole, with the [`h2_middles`] of the
    /// bounds.
    pub fn of_buckets(
        bounds: &Arc<[f64]>,
        middles: &[f64],
        counts: impl Iterator<Item = (usize, f64)>,
    ) -> Self {
        Self::build(bounds, |index| middles[index], counts)
    }

    fn build(
        bounds: &Arc<[f64]>,
        middle: impl Fn(usize) -> f64,
        counts: impl Iterator<Item = (usize, f64)>,
    ) -> Self {
        let mut out = Builder::default();
        let (mut count, mut sum) = (0.0, 0.0);
        for (index, observed) in counts.filter(|(_, observed)| *observed != 0.0) {
            count += observed;
            sum += observed * middle(index);
            out.push(index as i64, observed);
        }
        Self {
            schema: CUSTOM_SCHEMA,
            count,
            sum,
            positive_spans: out.spans,
            positive_buckets: out.counts,
            custom_values: bounds.clone(),
            ..Self::default()
        }
    }
}

/// The middle of each bucket.
pub fn h2_middles(bounds: &[f64]) -> Vec<f64> {
    (0..=bounds.len()).map(|index| middle(bounds, index)).collect()
}

/// Between the lowest and highest value of a bucket.
fn middle(bounds: &[f64], index: usize) -> f64 {
    let lowest = index.checked_sub(1).and_then(|below| bounds.get(below)).map_or(0.0, |bound| bound + 1.0);
    // The last one ends where the next power of two would begin.
    let highest = bounds.get(index).copied().unwrap_or_else(|| {
        let power = lowest.max(1.0).log2().floor() + 1.0;
        power.exp2() - 1.0
    });
    (lowest + highest) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let bounds = h2_bounds(3, 64).unwrap();
        assert_eq!(bounds.len(), 495);
        for (index, highest) in
            [(0, 0.0), (15, 15.0), (16, 17.0), (20, 25.0), (30, 59.0), (40, 143.0), (63, 1023.0)]
        {
            assert_eq!(bounds[index], highest);
        }
        assert_eq!(bounds[100], 26623.0);
        assert_eq!(bounds[494], 17_293_822_569_102_704_639u64 as f64);
        assert!(Arc::ptr_eq(&bounds, &h2_bounds(3, 64).unwrap()));
        assert_eq!(h2_bounds(1, 3).unwrap()[..], [0.0, 1.0, 2.0, 3.0, 5.0]);
        assert_eq!(h2_bounds(0, 64).unwrap()[..4], [0.0, 1.0, 3.0, 7.0]);
        assert_eq!(h2_bounds(7, 8).unwrap().len(), 255);
        assert_eq!(h2_bounds(7, 44).unwrap().len(), 4863);
        assert_eq!(h2_bounds(7, 44).unwrap()[4862], 17_523_466_567_679.0);
    }

    #[test]
    fn every_layout_has_rising_bounds() {
        for grouping_power in 0..12 {
            for max_value_power in grouping_power + 1..=64 {
                let bounds = h2_bounds(grouping_power, max_value_power).unwrap();
                assert!(
                    bounds.windows(2).all(|pair| pair[0] < pair[1]),
                    "{grouping_power} {max_value_power}"
                );
            }
        }
        for (grouping_power, max_value_power) in [(3, 3), (4, 3), (3, 65), (63, 64), (255, 255), (20, 64)] {
            assert!(h2_bounds(grouping_power, max_value_power).is_none());
        }
    }

    #[test]
    fn a_histogram() {
        let bounds = h2_bounds(3, 64).unwrap();
        let histogram =
            FloatHistogram::from_h2(&bounds, [(0, 1), (1, 2), (16, 4), (17, 0), (30, 2), (9999, 7)]);
        assert_eq!(histogram.validate(), Ok(()));
        assert_eq!(histogram.count, 9.0);
        assert_eq!(histogram.sum, 2.0 + 4.0 * 16.5 + 2.0 * 57.5);
        assert_eq!(histogram.to_string(), "{count:9, sum:183, [-Inf,0]:1, (0,1]:2, (15,17]:4, (55,59]:2}");
        let last = FloatHistogram::from_h2(&bounds, [(495, 1)]);
        assert!((last.sum / 17_870_283_321_406_128_128.0 - 1.0).abs() < 1e-12);
        assert_eq!(FloatHistogram::from_h2(&h2_bounds(1, 3).unwrap(), [(5, 2)]).sum, 13.0);
        assert_eq!(FloatHistogram::from_h2(&h2_bounds(0, 1).unwrap(), [(1, 2)]).sum, 2.0);
    }
}

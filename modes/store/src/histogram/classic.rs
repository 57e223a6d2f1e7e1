//! Histograms whose buckets are series of their own.

use std::cmp::Ordering;
use std::sync::Arc;

use super::buckets::Builder;
use super::{CUSTOM_SCHEMA, FloatHistogram};
use crate::float::almost_equal;

/// Counts that differ by less than this part are the same but for rounding.
const ROUNDING: f64 = 1e-12;

/// The `phi`-quantile of buckets: upper bounds, and how many observations are not
/// above these. Whether they had to be made to rise; and whether rounding had to be
/// undone for that. The buckets are sorted.
pub fn classic_quantile(phi: f64, buckets: &mut Vec<(f64, f64)>) -> (f64, bool, bool) {
    match phi {
        phi if phi.is_nan() => return (f64::NAN, false, false),
        phi if phi < 0.0 => return (f64::NEG_INFINITY, false, false),
        phi if phi > 1.0 => return (f64::INFINITY, false, false),
        _ => {}
    }
    if !sort(buckets) {
        return (f64::NAN, false, false);
    }
    let (forced, rounded) = make_rise(buckets);
    let [.., (highest, _), (_, observations)] = buckets[..] else { return (f64::NAN, false, false) };
    if observations == 0.0 {
        return (f64::NAN, false, false);
    }
    let last = buckets.len() - 1;
    let mut rank = phi * observations;
    let at =
        buckets[..last].partition_point(|(_, count)| count.partial_cmp(&rank).is_none_or(Ordering::is_lt));
    let (upper, mut count) = buckets[at];
    let quantile = match at {
        at if at == last => highest,
        0 if upper <= 0.0 => upper,
        0 => upper * (rank / count),
        at => {
            let (lower, below) = buckets[at - 1];
            count -= below;
            rank -= below;
            lower + (upper - lower) * (rank / count)
        }
    };
    (quantile, forced, rounded)
}

/// The fraction of observations between two values, of buckets as
/// [`classic_quantile`] takes them.
pub fn classic_fraction(lower: f64, upper: f64, buckets: &mut Vec<(f64, f64)>) -> f64 {
    if !sort(buckets) {
        return f64::NAN;
    }
    let count = buckets.last().map_or(0.0, |(_, count)| *count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank = |value| rank_of(value, buckets).map_or(count, |rank| if rank > count { count } else { rank });
    (rank(upper) - rank(lower)) / count
}

fn rank_of(value: f64, buckets: &[(f64, f64)]) -> Option<f64> {
    let mut below = 0.0;
    let mut lower = match buckets.first() {
        Some((upper, _)) if *upper > 0.0 => 0.0,
        _ => f64::NEG_INFINITY,
    };
    for &(upper, count) in buckets {
        if lower >= value {
            return Some(below);
        }
        if upper > value {
            // Between infinite bounds nothing can be interpolated.
            let unbounded = lower == f64::NEG_INFINITY;
            return Some(if unbounded {
                count
            } else {
                below + (count - below) * (value - lower) / (upper - lower)
            });
        }
        (lower, below) = (upper, count);
    }
    None
}

/// Sorts buckets by their bounds, and adds up those with the same. Whether the last
/// one has no bound, as it must.
fn sort(buckets: &mut Vec<(f64, f64)>) -> bool {
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    if buckets.last().is_none_or(|(upper, _)| *upper != f64::INFINITY) {
        return false;
    }
    buckets.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 += later.1;
        }
        same
    });
    true
}

fn make_rise(buckets: &mut [(f64, f64)]) -> (bool, bool) {
    let (mut forced, mut rounded) = (false, false);
    let Some((&mut (_, mut before), others)) = buckets.split_first_mut() else { return (false, false) };
    for (_, count) in others {
        if *count == before {
            continue;
        }
        if almost_equal(before, *count, ROUNDING) {
            *count = before;
            rounded = true;
        } else if *count < before {
            *count = before;
            forced = true;
        } else {
            before = *count;
        }
    }
    (forced, rounded)
}

impl FloatHistogram {
    /// A classic histogram as a native one with custom buckets. The buckets are as
    /// [`classic_quantile`] takes them; without a count it is that of the highest
    /// bucket.
    ///
    /// # Errors
    ///
    /// If the counts of the buckets do not rise with their bounds.
    pub fn from_classic(
        buckets: &mut Vec<(f64, f64)>,
        count: Option<f64>,
        sum: f64,
    ) -> Result<Self, &'static str> {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets.dedup_by(|later, kept| later.0 == kept.0);
        let highest = buckets.last().copied();
        let count = count.or(highest.map(|(_, count)| count)).unwrap_or(0.0);
        if highest.is_none_or(|(upper, _)| upper != f64::INFINITY) {
            buckets.push((f64::INFINITY, count));
        }
        if buckets.iter().any(|(upper, count)| upper.is_nan() || count.is_nan()) {
            return Err("NaN in bucket bounds or counts");
        }
        let mut out = Builder::default();
        let mut before = 0.0;
        for (index, &mut (_, reached)) in (0i64..).zip(buckets.iter_mut()) {
            if reached < before {
                return Err("count is not increasing");
            }
            if reached > before {
                out.push(index, reached - before);
            }
            before = reached;
        }
        if count < before {
            return Err("count is less than what the buckets have");
        }
        let bounds: Arc<[f64]> = buckets[..buckets.len() - 1].iter().map(|(upper, _)| *upper).collect();
        Ok(Self {
            schema: CUSTOM_SCHEMA,
            count,
            sum,
            positive_spans: out.spans,
            positive_buckets: out.counts,
            custom_values: bounds,
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INFINITY: f64 = f64::INFINITY;

    #[test]
    fn quantiles() {
        let positive = [(0.2, 7.0), (1.0, 11.0), (0.1, 5.0), (INFINITY, 12.0)];
        for (phi, wanted) in [
            (0.0, 0.0),
            (0.2, 0.048),
            (0.5, 0.15),
            (0.8, 0.72),
            (1.0, 1.0),
            (-0.1, -INFINITY),
            (1.01, INFINITY),
            (f64::NAN, f64::NAN),
        ] {
            let (got, forced, rounded) = classic_quantile(phi, &mut positive.to_vec());
            assert!(almost_equal(got, wanted, 1e-9), "{phi}: {got}, not {wanted}");
            assert!(!forced && !rounded);
        }
        let negative = [(-0.2, 1.0), (-0.1, 2.0), (0.3, 2.0), (INFINITY, 3.0)];
        for (phi, wanted) in [(0.0, -0.2), (0.2, -0.2), (0.5, -0.15), (0.8, 0.3)] {
            assert!(almost_equal(classic_quantile(phi, &mut negative.to_vec()).0, wanted, 1e-9));
        }
    }

    #[test]
    fn what_is_no_histogram() {
        for buckets in [vec![], vec![(1.0, 2.0)], vec![(INFINITY, 2.0)], vec![(1.0, 0.0), (INFINITY, 0.0)]] {
            assert!(classic_quantile(0.5, &mut buckets.clone()).0.is_nan());
        }
        assert!(classic_fraction(0.0, 1.0, &mut vec![]).is_nan());
        assert!(classic_fraction(0.0, 1.0, &mut vec![(f64::NAN, 1.0)]).is_nan());
        // Counts that are no numbers must not lead out of bounds.
        let mut odd = vec![(1.0, f64::NAN), (2.0, 1.0), (INFINITY, f64::NAN)];
        let _ = classic_quantile(0.5, &mut odd);
    }

    #[test]
    fn counts_are_made_to_rise() {
        let mut falling = vec![(1.0, 4.0), (2.0, 3.0), (INFINITY, 8.0)];
        assert_eq!(classic_quantile(0.5, &mut falling), (1.0, true, false));
        let mut rounding = vec![(1.0, 4.0), (2.0, 4.0 - 1e-13), (INFINITY, 8.0)];
        assert_eq!(classic_quantile(0.5, &mut rounding), (1.0, false, true));
        let mut twice = vec![(1.0, 1.0), (1.0, 3.0), (INFINITY, 8.0)];
        assert_eq!(classic_quantile(0.5, &mut twice), (1.0, false, false));
    }

    #[test]
    fn fractions() {
        let positive = [(0.1, 5.0), (0.2, 7.0), (1.0, 11.0), (INFINITY, 12.0)];
        for (lower, upper, wanted) in [
            (0.0, 0.2, 7.0 / 12.0),
            (-INFINITY, INFINITY, 1.0),
            (-1.0, 0.05, 2.5 / 12.0),
            (0.15, 0.2, 1.0 / 12.0),
            (1.0, INFINITY, 1.0 / 12.0),
            (1.0, 5.0, 0.0),
            (0.2, 0.1, 0.0),
            (f64::NAN, 0.1, f64::NAN),
        ] {
            let got = classic_fraction(lower, upper, &mut positive.to_vec());
            assert!(almost_equal(got, wanted, 1e-9), "{lower} {upper}: {got}, not {wanted}");
        }
        let negative = [(-0.2, 1.0), (-0.1, 2.0), (0.3, 2.0), (INFINITY, 3.0)];
        for (lower, upper, wanted) in [
            (-0.2, 0.0, 1.0 / 3.0),
            (-INFINITY, -0.2, 1.0 / 3.0),
            (-1.0, -0.2, 0.0),
            (-0.3, INFINITY, 2.0 / 3.0),
        ] {
            let got = classic_fraction(lower, upper, &mut negative.to_vec());
            assert!(almost_equal(got, wanted, 1e-9), "{lower} {upper}: {got}, not {wanted}");
        }
    }

    #[test]
    fn as_custom_buckets() {
        let mut buckets = vec![(0.2, 7.0), (1.0, 7.0), (0.1, 5.0), (INFINITY, 12.0)];
        let native = FloatHistogram::from_classic(&mut buckets, None, 3.0).unwrap();
        assert_eq!(
            native.to_test_expression(),
            "{{schema:-53 count:12 sum:3 custom_values:[0.1 0.2 1] buckets:[5 2 0 5]}}"
        );
        assert_eq!(native.validate(), Ok(()));
        let mut buckets = vec![(0.1, 5.0)];
        let native = FloatHistogram::from_classic(&mut buckets, Some(6.0), 3.0).unwrap();
        assert_eq!(
            native.to_test_expression(),
            "{{schema:-53 count:6 sum:3 custom_values:[0.1] buckets:[5 1]}}"
        );
        assert!(FloatHistogram::from_classic(&mut vec![(1.0, 2.0), (2.0, 1.0)], None, 0.0).is_err());
        assert!(FloatHistogram::from_classic(&mut vec![(1.0, 2.0)], Some(1.0), 0.0).is_err());
        assert!(FloatHistogram::from_classic(&mut vec![(1.0, f64::NAN)], None, 0.0).is_err());
        assert_eq!(FloatHistogram::from_classic(&mut vec![], None, 0.0).unwrap().count, 0.0);
    }

    proptest! {
        #[test]
        fn custom_buckets_say_the_same(
            first in -20i8..9,
            others in prop::collection::vec((1u8..5, 1u8..9), 1..8),
            (phi, lower, upper) in (0.0..0.5, -30.0..40.0, -30.0..40.0),
        ) {
            let (mut bound, mut count) = (f64::from(first), 1.0);
            let mut buckets = vec![(bound, count)];
            for (width, more) in others {
                bound += f64::from(width);
                count += f64::from(more);
                buckets.push((bound, count));
            }
            buckets.push((INFINITY, count + 1.0));
            let native = FloatHistogram::from_classic(&mut buckets.clone(), None, 1.0).unwrap();
            let (quantile, ..) = classic_quantile(phi, &mut buckets.clone());
            prop_assert!(almost_equal(native.quantile(phi).0, quantile, 1e-9));
            // One with zero in it is another matter, for fractions.
            let straddles = buckets.windows(2).any(|pair| pair[0].0 < 0.0 && pair[1].0 >= 0.0);
            if !straddles && first != 0 {
                let fraction = classic_fraction(lower, upper, &mut buckets);
                prop_assert!(almost_equal(native.fraction(lower, upper).0, fraction, 1e-9));
            }
        }
    }
}

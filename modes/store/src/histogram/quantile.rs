//! What a histogram says of the observations in it.

use super::{Bucket, FloatHistogram};
use crate::float::Sum;

/// What observations of NaN, which are in no bucket, did to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NanNote {
    /// The quantile is among them.
    Result,
    /// They count as higher than all others.
    Skewed,
    /// No fraction contains them.
    Excluded,
}

impl NanNote {
    /// What Prometheus says of it, after `PromQL info: `.
    pub fn text(self) -> &'static str {
        match self {
            Self::Result => "input to histogram_quantile has NaN observations, result is NaN",
            Self::Skewed => "input to histogram_quantile has NaN observations, result is skewed higher",
            Self::Excluded => {
                "input to histogram_fraction has NaN observations, which are excluded from all fractions"
            }
        }
    }
}

impl FloatHistogram {
    /// The mean of the observations.
    pub fn avg(&self) -> f64 {
        self.sum / self.count
    }

    /// An estimate of the variance: all observations of a bucket count as its
    /// middle, which is the geometric mean of its bounds for exponential buckets,
    /// the arithmetic one for custom ones, and 0 for the zero bucket.
    pub fn variance(&self) -> f64 {
        let mean = self.avg();
        let mut variance = Sum::default();
        for bucket in self.buckets().filter(|bucket| bucket.count != 0.0) {
            let middle = match () {
                () if self.is_custom() => (bucket.upper + bucket.lower) / 2.0,
                () if bucket.lower <= 0.0 && bucket.upper >= 0.0 => 0.0,
                () if bucket.upper < 0.0 => -(bucket.upper * bucket.lower).sqrt(),
                () => (bucket.upper * bucket.lower).sqrt(),
            };
            let away = middle - mean;
            variance.add(bucket.count * away * away);
        }
        variance.total() / self.count
    }

    pub fn stddev(&self) -> f64 {
        self.variance().sqrt()
    }

    /// The `phi`-quantile, and what observations of NaN did to it. Within a bucket
    /// it is interpolated: linearly in custom buckets and the zero bucket, else on
    /// a logarithmic scale. -Inf below 0, +Inf above 1, NaN of nothing.
    pub fn quantile(&self, phi: f64) -> (f64, Option<NanNote>) {
        match phi {
            phi if phi < 0.0 => return (f64::NEG_INFINITY, None),
            phi if phi > 1.0 => return (f64::INFINITY, None),
            phi if self.count == 0.0 || phi.is_nan() => return (f64::NAN, None),
            _ => {}
        }
        // Observations of NaN are above all buckets, so that these can only be
        // counted from below.
        let from_below = self.sum.is_nan() || phi < 0.5;
        let (bucket, mut reached, rank) = if from_below {
            let rank = phi * self.count;
            let (bucket, reached) = reach(rank, self.buckets());
            (bucket, reached, rank)
        } else {
            let rank = (1.0 - phi) * self.count;
            let (bucket, reached) = reach(rank, self.buckets_from_the_top());
            (bucket, reached, rank)
        };
        let bucket = match self.bounded(bucket) {
            Ok(bucket) => bucket,
            Err(quantile) => return (quantile, None),
        };
        // Rounding may have made it more.
        if reached > self.count {
            reached = self.count;
        }
        if reached < rank {
            let all_nan = self.sum.is_nan();
            return if all_nan { (f64::NAN, Some(NanNote::Result)) } else { (bucket.upper, None) };
        }
        let note = self.has_nan().then_some(NanNote::Skewed);
        let within = if from_below { rank - (reached - bucket.count) } else { reached - rank };
        (self.interpolate(&bucket, within / bucket.count), note)
    }

    /// A bucket whose bounds can be interpolated between, or the quantile itself if
    /// that cannot be.
    fn bounded(&self, mut bucket: Bucket) -> Result<Bucket, f64> {
        if self.is_custom() {
            if bucket.lower == f64::NEG_INFINITY {
                if bucket.upper <= 0.0 {
                    return Err(bucket.upper);
                }
                bucket.lower = 0.0;
            } else if bucket.upper == f64::INFINITY {
                return Err(bucket.lower);
            }
        } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
            self.one_sided(&mut bucket);
        }
        Ok(bucket)
    }

    /// A zero bucket ends at zero if all other buckets are on one side of it.
    pub(super) fn one_sided(&self, bucket: &mut Bucket) {
        match (self.negative_buckets.is_empty(), self.positive_buckets.is_empty()) {
            (true, false) => bucket.lower = 0.0,
            (false, true) => bucket.upper = 0.0,
            _ => {}
        }
    }

    fn interpolate(&self, bucket: &Bucket, fraction: f64) -> f64 {
        let &Bucket { lower, upper, .. } = bucket;
        if self.is_custom() || (lower <= 0.0 && upper >= 0.0) {
            return lower + (upper - lower) * fraction;
        }
        let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
        if lower > 0.0 {
            (log_lower + (log_upper - log_lower) * fraction).exp2()
        } else {
            -(log_upper + (log_lower - log_upper) * (1.0 - fraction)).exp2()
        }
    }

    /// Whether there are observations of NaN: they make the sum NaN, and are in no
    /// bucket.
    fn has_nan(&self) -> bool {
        self.sum.is_nan() && self.in_buckets() < self.count
    }

    fn in_buckets(&self) -> f64 {
        self.buckets().map(|bucket| bucket.count).sum()
    }

    /// The fraction of observations between two values, and what observations of
    /// NaN did to it. Interpolated as quantiles are. NaN of nothing.
    pub fn fraction(&self, lower: f64, upper: f64) -> (f64, Option<NanNote>) {
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return (f64::NAN, None);
        }
        if lower >= upper {
            return (0.0, None);
        }
        let count = if self.sum.is_nan() { self.in_buckets() } else { self.count };
        let (low, high) = (self.rank_of(lower), self.rank_of(upper));
        let most = |rank: Option<f64>| rank.map_or(count, |rank| if rank > count { count } else { rank });
        ((most(high) - most(low)) / self.count, self.has_nan().then_some(NanNote::Excluded))
    }

    /// How many observations are below a value; None if all buckets are. As in
    /// Prometheus a custom bucket around zero counts as a zero bucket here, so that
    /// one of all values up to a positive bound begins at zero.
    fn rank_of(&self, value: f64) -> Option<f64> {
        let mut below = 0.0;
        for mut bucket in self.buckets() {
            let around_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
            if around_zero {
                self.one_sided(&mut bucket);
            }
            let Bucket { lower, upper, count, .. } = bucket;
            if lower >= value {
                return Some(below);
            }
            if upper > value {
                let linear = self.is_custom() || around_zero;
                return Some(match () {
                    // Between infinite bounds nothing can be interpolated.
                    () if linear && lower == f64::NEG_INFINITY => count,
                    () if linear => below + count * (value - lower) / (upper - lower),
                    () => below + count * logarithmic(value, lower, upper),
                });
            }
            below += count;
        }
        None
    }
}

/// How far a value is between two bounds of its sign, on a logarithmic scale.
pub(super) fn logarithmic(value: f64, lower: f64, upper: f64) -> f64 {
    let [log, lower, upper] = [value, lower, upper].map(|value| value.abs().log2());
    if value > 0.0 { (log - lower) / (upper - lower) } else { 1.0 - (log - upper) / (lower - upper) }
}

/// The bucket in which a rank is reached, and how many are in it and the ones
/// before; the last bucket if it is not.
fn reach(rank: f64, buckets: impl Iterator<Item = Bucket>) -> (Bucket, f64) {
    let nothing = Bucket {
        lower: 0.0,
        upper: 0.0,
        lower_inclusive: false,
        upper_inclusive: false,
        count: 0.0,
        index: 0,
    };
    let (mut last, mut reached) = (nothing, 0.0);
    for bucket in buckets {
        last = bucket;
        if bucket.count == 0.0 {
            continue;
        }
        reached += bucket.count;
        if reached >= rank {
            break;
        }
    }
    (last, reached)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::float::almost_equal;

    fn parse(text: &str) -> FloatHistogram {
        FloatHistogram::parse(text).unwrap()
    }

    #[track_caller]
    fn quantiles(text: &str, wanted: &[(f64, f64)]) {
        let histogram = parse(text);
        for &(phi, wanted) in wanted {
            let (got, note) = histogram.quantile(phi);
            assert!(almost_equal(got, wanted, 1e-9), "{phi}: {got}, not {wanted}");
            assert_eq!(note, None);
        }
    }

    #[track_caller]
    fn fractions(text: &str, wanted: &[(f64, f64, f64)]) {
        let histogram = parse(text);
        for &(lower, upper, wanted) in wanted {
            let (got, note) = histogram.fraction(lower, upper);
            assert!(almost_equal(got, wanted, 1e-9), "{lower} {upper}: {got}, not {wanted}");
            assert_eq!(note, None);
        }
    }

    const POSITIVE: &str = "schema:0 count:12 sum:100 z_bucket:2 z_bucket_w:0.001 buckets:[2 3 0 1 4]";
    const NEGATIVE: &str = "schema:0 count:12 sum:-100 z_bucket:2 z_bucket_w:0.001 n_buckets:[2 3 0 1 4]";
    const BOTH: &str = "schema:0 count:24 sum:0 z_bucket:4 z_bucket_w:0.001 \
                        buckets:[2 3 0 1 4] n_buckets:[2 3 0 1 4]";

    #[test]
    fn quantiles_of_exponential_buckets() {
        let infinity = f64::INFINITY;
        quantiles(
            POSITIVE,
            &[
                (1.001, infinity),
                (1.0, 16.0),
                (0.99, 2f64.powf(4.0 - 0.03)),
                (0.9, 2f64.powf(3.7)),
                (0.5, 2f64.powf(2.0 / 3.0)),
                (0.1, 0.0006),
                (0.0, 0.0),
                (-1.0, -infinity),
                (f64::NAN, f64::NAN),
            ],
        );
        quantiles(
            NEGATIVE,
            &[
                (1.0, 0.0),
                (0.99, -0.00006),
                (0.9, -0.0006),
                (0.5, -(2f64.powf(2.0 / 3.0))),
                (0.1, -(2f64.powf(3.7))),
                (0.0, -16.0),
            ],
        );
        quantiles(
            BOTH,
            // The sixth of 24 is the first of three in the bucket [-2,-1).
            &[(1.0, 16.0), (0.5, 0.0), (0.25, -(2f64.powf(2.0 / 3.0))), (0.0, -16.0)],
        );
        quantiles("count:0 buckets:[]", &[(0.5, f64::NAN), (-1.0, -infinity)]);
    }

    #[test]
    fn quantiles_of_custom_buckets() {
        quantiles(
            "schema:-53 count:8 sum:1 custom_values:[5 10] buckets:[2 4 2]",
            &[(0.0, 0.0), (0.125, 2.5), (0.25, 5.0), (0.5, 7.5), (0.8, 10.0), (1.0, 10.0)],
        );
        quantiles(
            "schema:-53 count:4 sum:1 custom_values:[-5 10] buckets:[2 2]",
            &[(0.1, -5.0), (0.75, 2.5)],
        );
    }

    #[test]
    fn observations_of_nan() {
        let all = parse("count:3 sum:NaN");
        assert!(all.quantile(0.5).0.is_nan());
        assert_eq!(all.quantile(0.5).1, Some(NanNote::Result));
        let some = parse("count:15 sum:NaN buckets:[12]");
        assert!(some.quantile(0.81).0.is_nan());
        assert_eq!(some.quantile(0.8), (1.0, Some(NanNote::Skewed)));
        assert!(almost_equal(some.quantile(0.4).0, 0.5f64.sqrt(), 1e-9));
        assert_eq!(some.fraction(f64::NEG_INFINITY, f64::INFINITY), (0.8, Some(NanNote::Excluded)));
        assert_eq!(all.fraction(0.0, 1.0), (0.0, Some(NanNote::Excluded)));
        // The sum may be NaN without.
        assert_eq!(parse("count:12 sum:NaN buckets:[12]").quantile(1.0), (1.0, None));
    }

    #[test]
    fn fractions_of_exponential_buckets() {
        let infinity = f64::INFINITY;
        fractions(
            POSITIVE,
            &[
                (-infinity, infinity, 1.0),
                (-infinity, 0.0, 0.0),
                (0.0, infinity, 1.0),
                (-0.001, 0.0, 0.0),
                (0.0, 0.001, 1.0 / 6.0),
                (0.0, 0.0005, 1.0 / 12.0),
                (0.001, infinity, 5.0 / 6.0),
                (1.0, 2.0, 0.25),
                (1.5, 2.0, (1.0 - 1.5f64.log2()) * 0.25),
                (1.0, 8.0, 1.0 / 3.0),
                (16.0, infinity, 0.0),
                (3.0, 3.0, 0.0),
                (4.0, 3.0, 0.0),
                (f64::NAN, 1.0, f64::NAN),
            ],
        );
        fractions(
            NEGATIVE,
            &[
                (-infinity, 0.0, 1.0),
                (-2.0, -1.0, 0.25),
                (-2.0, -1.5, (1.0 - 1.5f64.log2()) * 0.25),
                (-0.0005, infinity, 1.0 / 12.0),
            ],
        );
        fractions(BOTH, &[(-infinity, 0.0, 0.5), (-2.0, 2.0, (4.0 + 4.0 + 6.0) / 24.0)]);
        fractions("count:0", &[(0.0, 1.0, f64::NAN)]);
    }

    #[test]
    fn fractions_of_custom_buckets() {
        let infinity = f64::INFINITY;
        fractions(
            "schema:-53 count:8 sum:1 custom_values:[5 10] buckets:[2 4 2]",
            &[
                (-infinity, infinity, 1.0),
                (0.0, 5.0, 0.25),
                (0.0, 2.5, 0.125),
                (-3.0, 7.5, 0.5),
                (10.0, infinity, 0.25),
                (100.0, infinity, 0.25),
            ],
        );
        fractions(
            "schema:-53 count:4 sum:1 custom_values:[-5 10] buckets:[2 2]",
            &[(-infinity, -5.0, 0.5), (-infinity, -7.0, 0.5), (-7.0, 2.5, 0.125)],
        );
    }

    #[test]
    fn deviation() {
        // All in the bucket (1,2], whose geometric mean is the root of 2.
        let one = parse("count:4 sum:6 offset:1 buckets:[4]");
        assert!(almost_equal(one.variance(), (2f64.sqrt() - 1.5).powi(2), 1e-9));
        assert_eq!(one.avg(), 1.5);
        let both =
            parse("count:4 sum:0 z_bucket:2 z_bucket_w:0.5 offset:1 buckets:[1] n_offset:1 n_buckets:[1]");
        assert!(almost_equal(both.variance(), 1.0, 1e-9));
        let custom = parse("schema:-53 count:4 sum:12 custom_values:[2 4 6] offset:1 buckets:[2 2]");
        assert!(almost_equal(custom.stddev(), (0.0f64 + 2.0 * 4.0 / 4.0).sqrt(), 1e-9));
        assert!(parse("count:0").stddev().is_nan());
    }

    proptest! {
        #[test]
        fn quantiles_rise_and_fractions_add_up(
            counts in prop::collection::vec(0u8..4, 1..6),
            negative in prop::collection::vec(0u8..4, 0..6),
            zero in 0u8..3,
            (a, b) in (0.0..1.0, 0.0..1.0),
        ) {
            let numbers = |all: &[u8]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let count: u32 = counts.iter().chain(&negative).chain([&zero]).map(|count| u32::from(*count)).sum();
            let histogram = parse(&format!(
                "count:{count} sum:1 z_bucket:{zero} z_bucket_w:0.01 buckets:[{}] n_buckets:[{}]",
                numbers(&counts), numbers(&negative),
            ));
            prop_assume!(count > 0);
            let (low, high) = (f64::min(a, b), f64::max(a, b));
            prop_assert!(histogram.quantile(low).0 <= histogram.quantile(high).0 * (1.0 + 1e-12) + 1e-12);
            let infinity = f64::INFINITY;
            let parts = [(-infinity, low), (low, high), (high, infinity)];
            let sum: f64 = parts.iter().map(|&(from, to)| histogram.fraction(from, to).0).sum();
            prop_assert!(almost_equal(sum, 1.0, 1e-9));
        }
    }
}

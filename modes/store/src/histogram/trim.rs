//! Histograms without the observations above or below a value.

use super::{Bucket, FloatHistogram, buckets};

/// Which observations are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Up to the value.
    Below,
    Above,
}

impl FloatHistogram {
    /// Without the observations on the other side of a value. The bucket that it is
    /// in is divided as quantiles are interpolated. If anything is taken away, the
    /// sum is that of the buckets' middles.
    #[must_use]
    pub fn trim(&self, at: f64, keep: Keep) -> Self {
        let (mut out, mut count, mut sum) = (self.clone(), 0.0, 0.0);
        let mut all = |bucket: &mut Bucket| {
            self.trim_bucket(bucket, at, keep);
            count += bucket.count;
            if bucket.count != 0.0 {
                sum += bucket.count * self.middle(bucket);
            }
            bucket.count
        };
        let positive = buckets::forward(&self.positive_spans, &self.positive_buckets);
        out.positive_buckets = positive.map(|(index, count)| all(&mut self.positive(index, count))).collect();
        let negative = buckets::forward(&self.negative_spans, &self.negative_buckets);
        out.negative_buckets = negative.map(|(index, count)| all(&mut self.negative(index, count))).collect();
        if self.zero_count != 0.0 {
            let mut zero = self.zero_bucket();
            self.one_sided(&mut zero);
            out.zero_count = all(&mut zero);
        }
        let whole = out.zero_count == self.zero_count
            && out.positive_buckets == self.positive_buckets
            && out.negative_buckets == self.negative_buckets;
        if whole {
            return self.clone();
        }
        (out.count, out.sum) = (count, sum);
        out.compact()
    }

    /// Takes from a bucket what is on the other side.
    fn trim_bucket(&self, bucket: &mut Bucket, at: f64, keep: Keep) {
        let below = keep == Keep::Below;
        if at.is_nan() {
            bucket.count = f64::NAN;
            return;
        }
        if bucket.upper <= at || bucket.lower >= at {
            if (bucket.upper <= at) != below {
                bucket.count = 0.0;
            }
            return;
        }
        if bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 && self.is_custom() {
            bucket.lower = 0.0;
        }
        let fraction = match (bucket.lower, bucket.upper) {
            // As if everything were at the bound that is finite.
            (f64::NEG_INFINITY, _) => 0.0,
            (_, f64::INFINITY) => 1.0,
            (lower, _) if at <= lower => 0.0,
            (lower, upper) if self.is_custom() || (lower <= 0.0 && upper >= 0.0) => {
                (at - lower) / (upper - lower)
            }
            (lower, upper) => super::quantile::logarithmic(at, lower, upper),
        };
        bucket.count *= if below { fraction } else { 1.0 - fraction };
        *(if below { &mut bucket.upper } else { &mut bucket.lower }) = at;
    }

    /// What the observations of a bucket are taken for.
    fn middle(&self, bucket: &Bucket) -> f64 {
        match (bucket.lower, bucket.upper) {
            (f64::NEG_INFINITY, f64::INFINITY) => 0.0,
            (f64::NEG_INFINITY, upper) if upper > 0.0 => upper / 2.0,
            (f64::NEG_INFINITY, upper) => upper,
            (lower, f64::INFINITY) => lower,
            (lower, upper) if self.is_custom() || (lower <= 0.0 && upper >= 0.0) => (lower + upper) / 2.0,
            (lower, upper) => (lower * upper).sqrt() * lower.signum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, at: f64, keep: Keep, wanted: &str) {
        let got = FloatHistogram::parse(text).unwrap().trim(at, keep);
        let wanted = FloatHistogram::parse(wanted).unwrap();
        assert!(got.almost_equal(&wanted, 1e-9), "{got}, not {wanted}");
    }

    #[test]
    fn exponential_buckets() {
        const BOTH: &str = "schema:0 count:24 sum:9 z_bucket:4 z_bucket_w:0.5 \
                            buckets:[2 3 0 1 4] n_buckets:[2 3 0 1 4]";
        let infinity = f64::INFINITY;
        check(BOTH, infinity, Keep::Below, BOTH);
        check(BOTH, -infinity, Keep::Above, BOTH);
        check(BOTH, infinity, Keep::Above, "schema:0 z_bucket_w:0.5");
        let root = 2f64.sqrt();
        let wanted = format!("schema:0 count:1.5 sum:{} z_bucket_w:0.5 offset:1 buckets:[1.5]", {
            let middle = (root * 2.0).sqrt();
            1.5 * middle
        });
        check("schema:0 count:3 sum:5 z_bucket_w:0.5 offset:1 buckets:[3]", root, Keep::Above, &wanted);
        // Half of the zero bucket, and all that is negative.
        let negative = -(2.0 * 0.5f64.sqrt()
            + 3.0 * root
            + 8f64 * 4f64.sqrt().mul_add(0.0, 32f64.sqrt() / 8.0)
            + 4.0 * 128f64.sqrt());
        let wanted = format!(
            "schema:0 count:12 sum:{} z_bucket:2 z_bucket_w:0.5 n_buckets:[2 3 0 1 4]",
            negative - 2.0 * 0.25
        );
        check(BOTH, 0.0, Keep::Below, &wanted);
    }

    #[test]
    fn custom_buckets() {
        const CUSTOM: &str = "schema:-53 count:15 sum:170 custom_values:[5 10 15 20] buckets:[1 6 4 3 1]";
        let trimmed = |rest: &str| format!("schema:-53 custom_values:[5 10 15 20] {rest}");
        check(CUSTOM, 15.0, Keep::Below, &trimmed("count:11 sum:97.5 buckets:[1 6 4]"));
        check(CUSTOM, 15.0, Keep::Above, &trimmed("count:4 sum:72.5 offset:3 buckets:[3 1]"));
        check(CUSTOM, 12.5, Keep::Above, &trimmed("count:6 sum:100 offset:2 buckets:[2 3 1]"));
        check(CUSTOM, -1.0, Keep::Below, &trimmed(""));
    }
}

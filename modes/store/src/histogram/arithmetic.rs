//! Operations on histograms.

use std::borrow::Cow;
use std::sync::Arc;

use super::bounds::exponential_bound;
use super::buckets::{self, Builder, forward};
use super::{FloatHistogram, ResetHint};

/// What happened when two histograms were combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Combined {
    /// One was marked as a counter reset, the other as none. The result says
    /// nothing of resets. Prometheus warns of this.
    pub reset_collision: bool,
    /// Their custom buckets were different; the result has the bounds that both
    /// had. Prometheus informs of this.
    pub bounds_reconciled: bool,
}

impl std::ops::BitOrAssign for Combined {
    fn bitor_assign(&mut self, other: Self) {
        self.reset_collision |= other.reset_collision;
        self.bounds_reconciled |= other.bounds_reconciled;
    }
}

/// One has exponential buckets, the other custom ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot apply this operation on histograms with a mix of exponential and custom bucket schemas")]
pub struct Incompatible;

impl FloatHistogram {
    /// Their sum. It has the lower schema and the wider zero bucket of both. It is
    /// a gauge if one of them is.
    ///
    /// # Errors
    ///
    /// If their buckets are of different kinds.
    pub fn add(&self, other: &Self) -> Result<(Self, Combined), Incompatible> {
        let mut sum = self.clone();
        let combined = sum.add_assign(other)?;
        Ok((sum, combined))
    }

    /// What `-` yields, which is a gauge; otherwise as [`FloatHistogram::add`].
    ///
    /// # Errors
    ///
    /// If their buckets are of different kinds.
    pub fn sub(&self, other: &Self) -> Result<(Self, Combined), Incompatible> {
        let mut difference = self.clone();
        let combined = difference.sub_assign(other)?;
        difference.hint = ResetHint::Gauge;
        Ok((difference, combined))
    }

    /// Adds another one.
    ///
    /// # Errors
    ///
    /// If their buckets are of different kinds; nothing is changed then.
    pub fn add_assign(&mut self, other: &Self) -> Result<Combined, Incompatible> {
        self.combine(other, false)
    }

    /// Subtracts another one. The hint becomes what adding would make of it, as
    /// incremental means need it.
    ///
    /// # Errors
    ///
    /// If their buckets are of different kinds; nothing is changed then.
    pub fn sub_assign(&mut self, other: &Self) -> Result<Combined, Incompatible> {
        self.combine(other, true)
    }

    fn combine(&mut self, other: &Self, negative: bool) -> Result<Combined, Incompatible> {
        if self.is_custom() != other.is_custom() {
            return Err(Incompatible);
        }
        let reset_collision = self.combine_hints(other.hint);
        let sign = if negative { -1.0 } else { 1.0 };
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        let bounds_reconciled = if self.is_custom() {
            self.combine_custom(other, negative)
        } else {
            self.combine_exponential(other, negative);
            false
        };
        Ok(Combined { reset_collision, bounds_reconciled })
    }

    /// Whether they contradict each other.
    fn combine_hints(&mut self, other: ResetHint) -> bool {
        use ResetHint::{Gauge, Unknown};
        let (hint, collision) = match (self.hint, other) {
            (a, b) if a == b => (a, false),
            (Gauge, _) | (_, Gauge) => (Gauge, false),
            (Unknown, _) | (_, Unknown) => (Unknown, false),
            _ => (Unknown, true),
        };
        self.hint = hint;
        collision
    }

    fn combine_exponential(&mut self, other: &Self, negative: bool) {
        let zero_count = self.widen_zero_bucket(other);
        self.zero_count += if negative { -zero_count } else { zero_count };
        let schema = self.schema.min(other.schema);
        self.reduce_resolution(schema);
        let other = other.coarse(self.zero_threshold, schema);
        // The zero bucket has those already.
        let threshold = self.zero_threshold;
        let in_zero_bucket = |index| threshold > 0.0 && exponential_bound(index, schema) <= threshold;
        buckets::merge(
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&other.positive_spans, &other.positive_buckets),
            negative,
            in_zero_bucket,
        );
        buckets::merge(
            (&mut self.negative_spans, &mut self.negative_buckets),
            (&other.negative_spans, &other.negative_buckets),
            negative,
            in_zero_bucket,
        );
    }

    /// Whether the bounds were different.
    fn combine_custom(&mut self, other: &Self, negative: bool) -> bool {
        if self.same_bounds(other) {
            buckets::merge(
                (&mut self.positive_spans, &mut self.positive_buckets),
                (&other.positive_spans, &other.positive_buckets),
                negative,
                |_| false,
            );
            return false;
        }
        let bounds = self.common_bounds(other);
        let mut counts = self.counts_within(&bounds);
        for (count, other) in counts.iter_mut().zip(other.counts_within(&bounds)) {
            *count += if negative { -other } else { other };
        }
        let mut out = Builder::default();
        let populated = (0i64..).zip(counts).filter(|(_, count)| *count != 0.0);
        populated.for_each(|(index, count)| out.push(index, count));
        (self.positive_spans, self.positive_buckets) = (out.spans, out.counts);
        self.custom_values = bounds;
        true
    }

    /// The bounds of custom buckets that both have.
    pub(super) fn common_bounds(&self, other: &Self) -> Arc<[f64]> {
        let mut others = other.custom_values.iter().peekable();
        let common = self.custom_values.iter().filter(|bound| {
            while others.next_if(|other| other < bound).is_some() {}
            others.next_if(|other| other == bound).is_some()
        });
        common.copied().collect()
    }

    /// Counts of the custom buckets with other bounds, each of which is one of
    /// these; one more than there are bounds.
    pub(super) fn counts_within(&self, bounds: &[f64]) -> Vec<f64> {
        let mut counts = vec![0.0; bounds.len() + 1];
        let mut at = 0;
        for (index, count) in forward(&self.positive_spans, &self.positive_buckets) {
            let upper = self.bound(index);
            while bounds.get(at).is_some_and(|bound| *bound < upper) {
                at += 1;
            }
            counts[at] += count;
        }
        counts
    }

    /// Widens the zero bucket to what the other's is at least, and says what the
    /// other's count is in one so wide. Where a threshold would cut a populated
    /// bucket in two it is its outer bound that counts, for both.
    fn widen_zero_bucket(&mut self, other: &Self) -> f64 {
        let (mut count, mut threshold) = (other.zero_count, other.zero_threshold);
        loop {
            if self.zero_threshold > threshold {
                (count, threshold) = other.zero_count_within(self.zero_threshold);
            } else if threshold > self.zero_threshold {
                (self.zero_count, self.zero_threshold) = self.zero_count_within(threshold);
                self.empty_what_is_in_zero_bucket();
            } else {
                return count;
            }
        }
    }

    /// What the zero bucket's count would be with a threshold that is not lower than
    /// its own, or with the next one that cuts no populated bucket; and that threshold.
    pub(super) fn zero_count_within(&self, mut threshold: f64) -> (f64, f64) {
        'widened: loop {
            let mut total = self.zero_count;
            for (index, count) in forward(&self.positive_spans, &self.positive_buckets) {
                let bucket = self.positive(index, count);
                if bucket.lower >= threshold {
                    break;
                }
                total += count;
                if bucket.upper > threshold {
                    if count != 0.0 {
                        threshold = bucket.upper;
                    }
                    break;
                }
            }
            for (index, count) in forward(&self.negative_spans, &self.negative_buckets) {
                let bucket = self.negative(index, count);
                if bucket.upper <= -threshold {
                    break;
                }
                total += count;
                if bucket.lower < -threshold {
                    if count != 0.0 {
                        // What was said of positive buckets no longer holds.
                        threshold = -bucket.lower;
                        continue 'widened;
                    }
                    break;
                }
            }
            return (total, threshold);
        }
    }

    /// With a schema that is not higher. If it is lower, without what is in a zero
    /// bucket so wide, which the lower schema might put in a bucket with what is not.
    /// (Prometheus counts that twice.)
    pub(super) fn coarse(&self, threshold: f64, schema: i32) -> Cow<'_, Self> {
        if self.schema <= schema {
            return Cow::Borrowed(self);
        }
        let mut coarse = self.clone();
        coarse.zero_threshold = threshold;
        coarse.empty_what_is_in_zero_bucket();
        coarse.reduce_resolution(schema);
        Cow::Owned(coarse)
    }

    fn empty_what_is_in_zero_bucket(&mut self) {
        let (threshold, schema) = (self.zero_threshold, self.schema);
        let inside = |spans: &[super::Span], counts: &[f64]| {
            forward(spans, counts)
                .take_while(|(index, _)| exponential_bound(index.saturating_sub(1), schema) < threshold)
                .count()
        };
        let positive = inside(&self.positive_spans, &self.positive_buckets);
        self.positive_buckets[..positive].fill(0.0);
        let negative = inside(&self.negative_spans, &self.negative_buckets);
        self.negative_buckets[..negative].fill(0.0);
        self.compact_in_place(0);
    }

    /// All of it times a factor. With a negative one it becomes a gauge.
    #[must_use]
    pub fn mul(&self, factor: f64) -> Self {
        let mut product = self.clone();
        product.all_counts_mut().for_each(|count| *count *= factor);
        if factor < 0.0 {
            product.hint = ResetHint::Gauge;
        }
        product
    }

    /// All of it divided. Dividing by zero leaves no buckets. Dividing by a
    /// negative number makes it a gauge.
    #[must_use]
    pub fn div(&self, divisor: f64) -> Self {
        let mut quotient = self.clone();
        if divisor == 0.0 {
            quotient.positive_spans = Vec::new();
            quotient.positive_buckets = Vec::new();
            quotient.negative_spans = Vec::new();
            quotient.negative_buckets = Vec::new();
        }
        quotient.all_counts_mut().for_each(|count| *count /= divisor);
        if divisor < 0.0 {
            quotient.hint = ResetHint::Gauge;
        }
        quotient
    }

    /// The same with a lower schema of exponential buckets. With any other one it
    /// stays as it is.
    #[must_use]
    pub fn to_schema(&self, schema: i32) -> Self {
        let mut copy = self.clone();
        copy.reduce_resolution(schema);
        copy
    }

    /// As [`FloatHistogram::to_schema`], in place.
    pub fn reduce_resolution(&mut self, schema: i32) {
        let exponential = super::is_exponential(schema) && super::is_exponential(self.schema);
        if !exponential || schema >= self.schema {
            return;
        }
        (self.positive_spans, self.positive_buckets) =
            buckets::reduce(&self.positive_spans, &self.positive_buckets, self.schema, schema);
        (self.negative_spans, self.negative_buckets) =
            buckets::reduce(&self.negative_spans, &self.negative_buckets, self.schema, schema);
        self.schema = schema;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::histogram::Span;

    fn parse(text: &str) -> FloatHistogram {
        FloatHistogram::parse(text).unwrap()
    }

    #[track_caller]
    fn check(result: &FloatHistogram, wanted: &str) {
        assert_eq!(result.to_test_expression(), format!("{{{{{wanted}}}}}"));
    }

    #[track_caller]
    fn sum(a: &str, b: &str, wanted: &str) {
        let (ab, _) = parse(a).add(&parse(b)).unwrap();
        let (ba, _) = parse(b).add(&parse(a)).unwrap();
        check(&ab.compact(), wanted);
        check(&ba.compact(), wanted);
    }

    #[test]
    fn sums() {
        sum(
            "count:4 sum:3 buckets:[1 1 2]",
            "count:5 sum:1 offset:2 buckets:[3 2] n_buckets:[1]",
            "count:9 sum:4 buckets:[1 1 5 2] n_buckets:[1]",
        );
        // The lower schema.
        sum("schema:1 count:3 buckets:[1 1 1]", "count:4 buckets:[1 3]", "count:7 buckets:[2 5]");
        sum(
            "schema:-53 count:2 custom_values:[5 10] buckets:[1 0 1]",
            "schema:-53 count:1 custom_values:[5 10] offset:1 buckets:[1]",
            "schema:-53 count:3 custom_values:[5 10] buckets:[1 1 1]",
        );
    }

    #[test]
    fn zero_buckets_become_as_wide_as_both() {
        // 0.7 lies in the bucket up to 1.
        sum(
            "count:6 z_bucket:1 z_bucket_w:0.7 buckets:[2 3]",
            "count:6 z_bucket:2 z_bucket_w:0.01 offset:-3 buckets:[1 0 0 2 1]",
            "count:12 z_bucket:8 z_bucket_w:1 offset:1 buckets:[4]",
        );
        // Nothing there: the threshold stays.
        sum(
            "count:3 z_bucket:1 z_bucket_w:0.7 offset:1 buckets:[2]",
            "count:3 z_bucket:2 z_bucket_w:0.01 offset:-3 buckets:[1]",
            "count:6 z_bucket:4 z_bucket_w:0.7 offset:1 buckets:[2]",
        );
        // A negative bucket is cut.
        sum(
            "count:3 z_bucket:1 z_bucket_w:1.5 offset:2 buckets:[2]",
            "count:3 z_bucket:1 z_bucket_w:0.01 offset:1 buckets:[1] n_offset:1 n_buckets:[1]",
            "count:6 z_bucket:4 z_bucket_w:2 offset:2 buckets:[2]",
        );
    }

    #[test]
    fn different_custom_buckets_share_the_bounds_that_both_have() {
        let a = parse("schema:-53 count:10 sum:1 custom_values:[1 2 3 4] buckets:[1 2 3 4]");
        let b = parse("schema:-53 count:15 sum:2 custom_values:[0 2 4 9] buckets:[1 2 3 4 5]");
        let (result, combined) = a.add(&b).unwrap();
        check(&result, "schema:-53 count:25 sum:3 custom_values:[2 4] buckets:[6 10 9]");
        assert_eq!(combined, Combined { reset_collision: false, bounds_reconciled: true });
        let (result, _) = a.sub(&b).unwrap();
        check(
            &result,
            "schema:-53 count:-5 sum:-1 custom_values:[2 4] counter_reset_hint:gauge offset:1 buckets:[4 -9]",
        );
        let none = parse("schema:-53 count:1 sum:2 custom_values:[7] buckets:[1]");
        check(&a.add(&none).unwrap().0, "schema:-53 count:11 sum:3 custom_values:[] buckets:[11]");
    }

    #[test]
    fn kinds_do_not_mix() {
        let mut a = parse("schema:-53 count:10 custom_values:[1] buckets:[1]");
        let b = parse("count:1");
        assert_eq!(a.add(&b), Err(Incompatible));
        assert_eq!(a.sub_assign(&b), Err(Incompatible));
        assert_eq!(a.count, 10.0);
    }

    #[test]
    fn hints() {
        let with = |hint| FloatHistogram { hint, ..Default::default() };
        use ResetHint::*;
        for (a, b, wanted, reset_collision) in [
            (Unknown, Unknown, Unknown, false),
            (Reset, Reset, Reset, false),
            (Gauge, Reset, Gauge, false),
            (Unknown, Gauge, Gauge, false),
            (NotReset, Unknown, Unknown, false),
            (Unknown, Reset, Unknown, false),
            (Reset, NotReset, Unknown, true),
        ] {
            let (sum, combined) = with(a).add(&with(b)).unwrap();
            assert_eq!((sum.hint, combined.reset_collision), (wanted, reset_collision), "{a:?} {b:?}");
            assert_eq!(with(a).sub(&with(b)).unwrap().0.hint, Gauge);
        }
        assert_eq!(with(Reset).mul(2.0).hint, Reset);
        assert_eq!(with(Reset).mul(-2.0).hint, Gauge);
        assert_eq!(with(Reset).div(-2.0).hint, Gauge);
    }

    #[test]
    fn factors() {
        let histogram = parse("count:6 sum:8 z_bucket:2 z_bucket_w:0.5 buckets:[1 2] n_buckets:[1]");
        check(&histogram.mul(2.0), "count:12 sum:16 z_bucket:4 z_bucket_w:0.5 buckets:[2 4] n_buckets:[2]");
        check(&histogram.div(2.0), "count:3 sum:4 z_bucket:1 z_bucket_w:0.5 buckets:[0.5 1] n_buckets:[0.5]");
        check(&histogram.div(0.0), "count:+Inf sum:+Inf z_bucket:+Inf z_bucket_w:0.5");
    }

    #[test]
    fn thresholds_that_are_no_numbers_end_it() {
        let mut a = parse("count:1 z_bucket_w:NaN buckets:[1]");
        let b = parse("count:1 z_bucket_w:Inf z_bucket:1 buckets:[1]");
        a.add_assign(&b).unwrap();
        let mut c = parse("count:1 z_bucket_w:1 buckets:[1] n_buckets:[1]");
        c.add_assign(&b).unwrap();
        check(&c, "count:2 z_bucket:3 z_bucket_w:+Inf");
    }

    /// Of counts that add up without rounding, and with nothing twice.
    fn exponential() -> impl Strategy<Value = FloatHistogram> {
        let side = || (-6i32..6, prop::collection::vec(0u8..4, 0..7));
        let threshold = prop::sample::select(vec![0.0, 0.001, 0.7, 1.0, 3.0]);
        (prop::sample::select(vec![-4, -1, 0, 1, 2, 8]), threshold, 0u8..4, side(), side()).prop_map(
            |(schema, threshold, zero, (offset, counts), (negative_offset, negative))| {
                let all = |counts: &[u8]| counts.iter().map(|count| f64::from(*count)).collect::<Vec<_>>();
                let spans = |offset, counts: &[u8]| vec![Span { offset, length: counts.len() as u32 }];
                let mut histogram = FloatHistogram {
                    schema,
                    zero_threshold: threshold,
                    zero_count: f64::from(zero),
                    positive_spans: spans(offset, &counts),
                    positive_buckets: all(&counts),
                    negative_spans: spans(negative_offset, &negative),
                    negative_buckets: all(&negative),
                    ..FloatHistogram::default()
                };
                histogram.empty_what_is_in_zero_bucket();
                histogram.count = in_buckets(&histogram);
                histogram
            },
        )
    }

    fn custom() -> impl Strategy<Value = FloatHistogram> {
        let bounds = prop::collection::btree_set(-3i8..6, 0..6);
        (bounds, prop::collection::vec(0u8..4, 7)).prop_map(|(bounds, counts)| {
            let counts: Vec<f64> = counts[..=bounds.len()].iter().map(|count| f64::from(*count)).collect();
            FloatHistogram {
                schema: crate::histogram::CUSTOM_SCHEMA,
                count: counts.iter().sum(),
                positive_spans: vec![Span { offset: 0, length: counts.len() as u32 }],
                positive_buckets: counts,
                custom_values: bounds.into_iter().map(f64::from).collect(),
                ..FloatHistogram::default()
            }
        })
    }

    fn in_buckets(histogram: &FloatHistogram) -> f64 {
        histogram.buckets().map(|bucket| bucket.count).sum()
    }

    fn pair() -> impl Strategy<Value = (FloatHistogram, FloatHistogram)> {
        prop_oneof![(exponential(), exponential()), (custom(), custom())]
    }

    proptest! {
        #[test]
        fn nothing_is_lost((a, b) in pair()) {
            let (sum, _) = a.add(&b).unwrap();
            prop_assert_eq!(sum.count, a.count + b.count);
            prop_assert_eq!(in_buckets(&sum), sum.count);
            prop_assert_eq!(sum.validate(), Ok(()));
            let (turned, _) = b.add(&a).unwrap();
            prop_assert!(sum.almost_equal(&turned, 1e-12), "{} {}", sum, turned);
        }

        #[test]
        fn what_was_added_can_be_taken_away((a, b) in pair()) {
            let (sum, _) = a.add(&b).unwrap();
            let (back, _) = sum.sub(&b).unwrap();
            // Adding nothing of the same shape makes it as coarse.
            let (coarse, _) = a.add(&b.mul(0.0)).unwrap();
            prop_assert_eq!(back.count, a.count);
            if sum.zero_threshold == coarse.zero_threshold {
                prop_assert!(back.almost_equal(&coarse, 1e-12), "{} {}", back, coarse);
            }
        }

        #[test]
        fn a_sum_is_no_reset((a, b) in pair()) {
            let (sum, _) = a.add(&b).unwrap();
            prop_assert!(!sum.detect_reset(&a), "{} after {}", sum, a);
            prop_assert!(b.count == 0.0 || a.detect_reset(&sum), "{} after {}", a, sum);
        }
    }
}

//! Whether a histogram has been reset.

use super::bounds::exponential_bound;
use super::buckets::forward;
use super::{FloatHistogram, ResetHint, Span};

impl FloatHistogram {
    /// Whether it began anew since `previous`: what its hint says, else whether any
    /// count went down, the resolution up, or the zero bucket became narrower.
    pub fn detect_reset(&self, previous: &Self) -> bool {
        match self.hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < previous.count || self.is_custom() != previous.is_custom() {
            return true;
        }
        if self.is_custom() {
            return self.detect_custom_reset(previous);
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let (zero_count, threshold) = previous.zero_count_within(self.zero_threshold);
        // Otherwise the threshold lies within a bucket that was populated.
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let previous = previous.coarse(threshold, self.schema);
        let schema = self.schema;
        let outside = (threshold > 0.0).then_some(|index| exponential_bound(index, schema) > threshold);
        any_lower(
            (&self.positive_spans, &self.positive_buckets),
            (&previous.positive_spans, &previous.positive_buckets),
            outside,
        ) || any_lower(
            (&self.negative_spans, &self.negative_buckets),
            (&previous.negative_spans, &previous.negative_buckets),
            outside,
        )
    }

    fn detect_custom_reset(&self, previous: &Self) -> bool {
        if self.same_bounds(previous) {
            return any_lower(
                (&self.positive_spans, &self.positive_buckets),
                (&previous.positive_spans, &previous.positive_buckets),
                None::<fn(i64) -> bool>,
            );
        }
        let bounds = self.common_bounds(previous);
        self.counts_within(&bounds).iter().zip(previous.counts_within(&bounds)).any(|(now, then)| *now < then)
    }
}

/// Whether a bucket has less than it had. One that is missing has nothing, which is
/// not the same as less if that is what it had.
fn any_lower(now: (&[Span], &[f64]), then: (&[Span], &[f64]), counts: Option<impl Fn(i64) -> bool>) -> bool {
    if counts.is_none() && now.0 == then.0 && now.1.len() == then.1.len() {
        return now.1.iter().zip(then.1).any(|(now, then)| now < then);
    }
    let counts = |index| counts.as_ref().is_none_or(|counts| counts(index));
    let mut current = forward(now.0, now.1).peekable();
    forward(then.0, then.1).filter(|(index, _)| counts(*index)).any(|(index, before)| {
        while current.next_if(|(other, _)| *other < index).is_some() {}
        match current.peek() {
            Some(&(other, count)) if other == index => count < before,
            _ => before != 0.0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(previous: &str, now: &str, wanted: bool) {
        let [previous, now] = [previous, now].map(|text| FloatHistogram::parse(text).unwrap());
        assert_eq!(now.detect_reset(&previous), wanted);
    }

    #[test]
    fn resets() {
        check("count:3 buckets:[1 2]", "count:4 buckets:[1 3]", false);
        check("count:3 buckets:[1 2]", "count:2 buckets:[1 3]", true);
        check("count:3 buckets:[1 2]", "count:4 buckets:[0 4]", true);
        check("count:3 buckets:[1 2]", "count:4 offset:1 buckets:[4]", true);
        check("count:3 buckets:[0 2]", "count:4 offset:1 buckets:[4]", false);
        check("count:3 n_buckets:[3]", "count:4 n_buckets:[2 2]", true);
        check("count:3 buckets:[3]", "count:3", true);
        check("count:3", "count:3 buckets:[3]", false);
    }

    #[test]
    fn resolution_and_zero_bucket() {
        check("schema:1 count:3 buckets:[0 1 2]", "count:3 buckets:[0 3]", false);
        check("schema:1 count:3 buckets:[0 1 2]", "count:3 buckets:[1 2]", true);
        check("count:3 buckets:[0 3]", "schema:1 count:3 buckets:[0 1 2]", true);
        check("count:3 buckets:[1 2]", "count:3 z_bucket:1 z_bucket_w:1 offset:1 buckets:[2]", false);
        check("count:3 buckets:[1 2]", "count:3 z_bucket:0 z_bucket_w:1 offset:1 buckets:[3]", true);
        // The threshold cuts the bucket up to 1.
        check("count:3 buckets:[1 2]", "count:3 z_bucket:1 z_bucket_w:0.7 offset:1 buckets:[2]", true);
        check("count:3 z_bucket_w:1 z_bucket:1", "count:3 z_bucket:3 z_bucket_w:0.5", true);
    }

    #[test]
    fn hints_say_it() {
        check("count:3 buckets:[3]", "count:4 buckets:[4] counter_reset_hint:reset", true);
        check("count:3 buckets:[3]", "count:1 buckets:[1] counter_reset_hint:not_reset", false);
        check("count:3 buckets:[3]", "count:1 buckets:[1] counter_reset_hint:gauge", true);
    }

    #[test]
    fn custom_buckets() {
        let previous = "schema:-53 count:3 custom_values:[1 2 3] buckets:[1 1 1]";
        check(previous, "schema:-53 count:4 custom_values:[1 2 3] buckets:[1 1 2]", false);
        check(previous, "schema:-53 count:4 custom_values:[1 2 3] buckets:[1 0 3]", true);
        check(previous, "schema:-53 count:4 custom_values:[2] buckets:[2 2]", false);
        check(previous, "schema:-53 count:4 custom_values:[2] buckets:[1 3]", true);
        check(previous, "count:4 buckets:[1 3]", true);
    }
}

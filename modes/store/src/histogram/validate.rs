//! Whether a histogram is one.

use super::{FloatHistogram, Span, is_exponential};

impl FloatHistogram {
    /// Whether it is a histogram as one can be observed.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in Prometheus' words.
    pub fn validate(&self) -> Result<(), String> {
        if self.is_custom() {
            self.validate_custom().map_err(|why| format!("custom buckets: {why}"))?;
        } else if is_exponential(self.schema) {
            validate_spans(&self.positive_spans, self.positive_buckets.len())
                .map_err(|why| format!("positive side: {why}"))?;
            validate_spans(&self.negative_spans, self.negative_buckets.len())
                .map_err(|why| format!("negative side: {why}"))?;
            if !self.custom_values.is_empty() {
                return Err("histogram with exponential schema must not have custom bounds".into());
            }
        } else {
            return Err(format!(
                "schema {} is invalid: histogram has an invalid schema, \
                 which must be between -4 and 8 for exponential buckets, or -53 for custom buckets",
                self.schema
            ));
        }
        for (side, counts) in [("negative", &self.negative_buckets), ("positive", &self.positive_buckets)] {
            if let Some(at) = counts.iter().position(|count| *count < 0.0) {
                return Err(format!(
                    "{side} side: bucket number {} has observation count of {}: \
                     histogram has a bucket whose observation count is negative",
                    at + 1,
                    crate::float::format_short(counts[at])
                ));
            }
        }
        Ok(())
    }

    fn validate_custom(&self) -> Result<(), String> {
        let bounds = &self.custom_values;
        if bounds.iter().any(|bound| bound.is_nan()) {
            return Err("histogram custom bounds must not be NaN".into());
        }
        if let Some(pair) = bounds.windows(2).find(|pair| pair[0] >= pair[1]) {
            let [low, high] = [pair[0], pair[1]].map(crate::float::format_short);
            return Err(format!(
                "previous bound is {low} and current is {high}: \
                 histogram custom bounds must be in strictly increasing order"
            ));
        }
        if bounds.iter().any(|bound| bound.is_infinite()) {
            return Err("histogram custom bounds must be finite".into());
        }
        validate_spans(&self.positive_spans, self.positive_buckets.len())?;
        let end = self.positive_spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length));
        let end = end.fold(0i64, i64::saturating_add);
        if self.positive_spans.first().is_some_and(|span| span.offset < 0) {
            return Err("histogram has a span whose offset is negative".into());
        }
        if end > bounds.len() as i64 + 1 {
            return Err(format!(
                "only {} custom bounds defined which is insufficient to cover total span length of {end}: \
                 histogram custom bounds are too few",
                bounds.len()
            ));
        }
        let problem = match () {
            () if self.zero_count != 0.0 => "must have zero count of 0",
            () if self.zero_threshold != 0.0 => "must have zero threshold of 0",
            () if !self.negative_spans.is_empty() => "must not have negative spans",
            () if !self.negative_buckets.is_empty() => "must not have negative buckets",
            () => return Ok(()),
        };
        Err(problem.into())
    }
}

fn validate_spans(spans: &[Span], buckets: usize) -> Result<(), String> {
    if let Some((at, span)) = spans.iter().enumerate().skip(1).find(|(_, span)| span.offset < 0) {
        return Err(format!(
            "span number {} with offset {}: histogram has a span whose offset is negative",
            at + 1,
            span.offset
        ));
    }
    let length: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if length != buckets as u64 {
        return Err(format!(
            "spans need {length} buckets, have {buckets} buckets: \
             histogram spans specify different number of buckets than provided"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: &str) {
        let why = FloatHistogram::parse(text).unwrap().validate().err().unwrap_or_default();
        assert!(why.contains(wanted) && why.is_empty() == wanted.is_empty(), "{why}");
    }

    #[test]
    fn what_is_wrong() {
        check("", "");
        check("schema:3 count:3 buckets:[1 2] n_buckets:[1] offset:-7", "");
        check("schema:-53 count:3 custom_values:[1 2] buckets:[1 2 3]", "");
        check("buckets:[1 -2]", "bucket number 2 has observation count of -2");
        check("schema:-53 custom_values:[2 1]", "strictly increasing");
        check("schema:-53 custom_values:[1 Inf]", "finite");
        check("schema:-53 custom_values:[1 NaN]", "NaN");
        check("schema:-53 custom_values:[1] buckets:[1 2 3]", "too few");
        check("schema:-53 custom_values:[1] n_buckets:[1]", "negative spans");
        check("schema:-53 custom_values:[1] z_bucket:1", "zero count");
        check("custom_values:[1]", "must not have custom bounds");
        let mut short = FloatHistogram::parse("buckets:[1 2]").unwrap();
        short.positive_buckets.pop();
        assert!(short.validate().unwrap_err().contains("spans need 2 buckets, have 1 buckets"));
        short.schema = 9;
        assert!(short.validate().unwrap_err().contains("invalid schema"));
    }
}

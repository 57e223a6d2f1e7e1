//! H2 histograms (linear buckets within powers of two) in the forms that
//! Prometheus knows.

use crate::snapshot::Histogram;

/// A copy of a histogram, ascending by bucket, without empty ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sparse {
    pub grouping_power: u8,
    pub max_value_power: u8,
    pub buckets: Vec<(usize, u64)>,
}

/// A native histogram without its sum: exponential buckets, whose number i holds
/// values above 2^((i-1)/2^schema) up to 2^(i/2^schema).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exponential {
    pub schema: i32,
    /// Values that are zero.
    pub zeros: u64,
    /// Ascending, without empty ones.
    pub buckets: Vec<(i32, u64)>,
}

/// The lowest and the highest value of a bucket.
pub fn bounds(grouping_power: u8, max_value_power: u8, index: usize) -> (u64, u64) {
    let low = lower(grouping_power, index);
    let high = lower(grouping_power, index + 1).checked_sub(1);
    let highest = u64::MAX >> (64 - u32::from(max_value_power.clamp(1, 64)));
    (low, high.filter(|&high| high >= low).unwrap_or(highest))
}

/// Zero for what is beyond 64 bits.
fn lower(grouping_power: u8, index: usize) -> u64 {
    let g = u32::from(grouping_power);
    let (power, rest) = ((index >> g) as u32, (index & ((1 << g) - 1)) as u64);
    let Some(power) = power.checked_sub(1) else { return rest };
    (((1 << g) | rest) as u128).checked_shl(power).and_then(|low| u64::try_from(low).ok()).unwrap_or(0)
}

/// The bucket a value belongs to.
fn index(grouping_power: u8, value: u64) -> usize {
    let g = u32::from(grouping_power);
    if value >> (g + 1) == 0 {
        return value as usize;
    }
    let power = value.ilog2() - g;
    ((power as usize) << g) + (value >> power) as usize
}

impl From<Histogram<'_>> for Sparse {
    fn from(histogram: Histogram<'_>) -> Self {
        let mut buckets = Vec::with_capacity(histogram.lines.len() * 4);
        histogram.each(|index, count| buckets.push((index, count)));
        Self { grouping_power: histogram.grouping_power, max_value_power: histogram.max_value_power, buckets }
    }
}

impl Sparse {
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, (_, count)| sum.wrapping_add(*count))
    }

    pub fn bounds(&self, index: usize) -> (u64, u64) {
        bounds(self.grouping_power, self.max_value_power, index)
    }

    /// What lies in the middle of a bucket.
    fn middle(&self, index: usize) -> f64 {
        let (low, high) = self.bounds(index);
        low as f64 + (high - low) as f64 / 2.0
    }

    /// An estimate: every value counts as the middle of its bucket, so that the
    /// relative error is at most 2^-(g+1).
    pub fn sum(&self) -> f64 {
        self.buckets.iter().map(|&(index, count)| self.middle(index) * count as f64).sum()
    }

    /// What was counted since `before`. All of it if a bucket has less than it
    /// had: the source began anew.
    pub fn since(&self, before: &Self) -> Self {
        let same =
            (self.grouping_power, self.max_value_power) == (before.grouping_power, before.max_value_power);
        let mut difference = self.clone();
        let mut old = before.buckets.iter().peekable();
        for (index, count) in &mut difference.buckets {
            if let Some((_, had)) = old.next_if(|(had, _)| had == index) {
                let Some(rest) = count.checked_sub(*had) else { return self.clone() };
                *count = rest;
            }
        }
        if !same || old.next().is_some() {
            return self.clone();
        }
        difference.buckets.retain(|(_, count)| *count != 0);
        difference
    }

    /// The highest value of the bucket that holds the quantile; None if nothing
    /// was counted.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let count = self.count();
        let rank = ((quantile * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0u64;
        let found = self.buckets.iter().find(|(_, count)| {
            seen = seen.saturating_add(*count);
            seen >= rank
        });
        // Rounding may put the rank of huge counts beyond the last value.
        found.or(self.buckets.last()).map(|(index, _)| self.bounds(*index).1)
    }

    /// Cumulative counts up to the highest value of every bucket, of all
    /// buckets but the last, when merged to `grouping_power` if that is coarser.
    /// The last bucket's count is that of all.
    pub fn classic(&self, grouping_power: u8) -> Vec<(u64, u64)> {
        let g = grouping_power.min(self.grouping_power);
        let n = self.max_value_power;
        let length = (usize::from(n.saturating_sub(g)) + 1) << g;
        let mut buckets = vec![0u64; length];
        for &(at, count) in &self.buckets {
            if let Some(bucket) = buckets.get_mut(index(g, self.bounds(at).0)) {
                *bucket = bucket.wrapping_add(count);
            }
        }
        buckets.pop();
        let mut total = 0u64;
        let accumulate = |(index, count): (usize, u64)| {
            total = total.wrapping_add(count);
            (bounds(g, n, index).1, total)
        };
        buckets.into_iter().enumerate().map(accumulate).collect()
    }

    /// As exponential buckets of schema g, in units of which `scale` gives the
    /// value of one of ours.
    ///
    /// A bucket goes as a whole to where its middle m belongs, so that counts
    /// stay exact and never decrease. A value v of it is within m*(1-h) and
    /// m*(1+h) with h = 1/(2^(g+1)+1), and what is read out of the exponential
    /// bucket is within a factor of f = 2^(2^-g) of m. So it is at most
    /// v*f/(1-h) and at least v/(f*(1+h)); for g = 3 that is +15.9% and -13.4%.
    /// Values below 2^(g+1) have buckets of their own and are off by at most f.
    pub fn exponential(&self, scale: impl Fn(f64) -> f64) -> Exponential {
        // Prometheus knows schemas up to 8.
        let schema = i32::from(self.grouping_power.min(8));
        let mut native = Exponential { schema, ..Default::default() };
        for &(index, count) in &self.buckets {
            if index == 0 {
                native.zeros = count;
                continue;
            }
            let number = exponential_index(schema, scale(self.middle(index)));
            match native.buckets.last_mut() {
                Some((last, sum)) if *last == number => *sum = sum.wrapping_add(count),
                _ => native.buckets.push((number, count)),
            }
        }
        native
    }
}

/// The number of the bucket of a positive value.
fn exponential_index(schema: i32, value: f64) -> i32 {
    let exact = value.log2() * f64::from(1 << schema);
    // A power of two is the upper bound of its bucket: rounding must not put it
    // into the next one.
    let nearest = exact.round();
    if (exact - nearest).abs() < 1e-9 { nearest as i32 } else { exact.ceil() as i32 }
}

#[cfg(test)]
mod tests;

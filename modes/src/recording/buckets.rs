//! Bounds of the buckets of an H2 histogram.

/// Lower and upper bound, both inclusive, of a bucket.
///
/// With k = i div 2^g and r = i mod 2^g the lower bound is r if k is 0, else
/// 2^(g+k-1) + r * 2^(k-1); the upper one ends before the next bucket.
pub fn bounds(grouping_power: u8, max_value_power: u8, index: usize) -> (u64, u64) {
    let lower = lower(grouping_power, index);
    let below = 1u128 << max_value_power.min(64);
    let next = lower_wide(grouping_power, index + 1).min(below);
    (lower, u64::try_from(next.saturating_sub(1)).unwrap_or(u64::MAX))
}

fn lower(grouping_power: u8, index: usize) -> u64 {
    u64::try_from(lower_wide(grouping_power, index)).unwrap_or(u64::MAX)
}

fn lower_wide(grouping_power: u8, index: usize) -> u128 {
    let (k, r) = ((index >> grouping_power) as u32, (index & ((1 << grouping_power) - 1)) as u128);
    match k {
        0 => r,
        k => (1u128 << (u32::from(grouping_power) + k - 1).min(127)) + (r << (k - 1).min(63)),
    }
}

/// The upper bound of the bucket in which the quantile lies: rank
/// max(1, ceil(q * N)). None if nothing was counted.
pub fn quantile(grouping_power: u8, max_value_power: u8, counts: &[u64], q: f64) -> Option<u64> {
    let total: u128 = counts.iter().map(|&count| u128::from(count)).sum();
    let rank = ((q * total as f64).ceil() as u128).clamp(1, total.max(1));
    let mut running = 0;
    let index = counts.iter().position(|&count| {
        running += u128::from(count);
        running >= rank
    })?;
    Some(bounds(grouping_power, max_value_power, index).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Shape;

    #[test]
    fn bounds_are_those_of_the_histogram_crate() {
        for (g, n) in [(3, 64), (7, 64), (0, 64), (1, 3), (7, 8), (7, 44), (3, 4)] {
            let full = vec![1; Shape::buckets(g, n).unwrap()];
            let histogram = histogram::Histogram::from_buckets(g, n, full).unwrap();
            for (index, bucket) in histogram.into_iter().enumerate() {
                assert_eq!(bounds(g, n, index), (bucket.start(), bucket.end()), "{g} {n} {index}");
            }
        }
    }

    #[test]
    fn quantiles_are_upper_bounds() {
        let mut counts = vec![0; 496];
        assert_eq!(quantile(3, 64, &counts, 0.5), None);
        (counts[15], counts[100]) = (1, 1);
        assert_eq!(quantile(3, 64, &counts, 0.0), Some(15));
        assert_eq!(quantile(3, 64, &counts, 0.5), Some(15));
        assert_eq!(quantile(3, 64, &counts, 0.51), Some(26623));
        assert_eq!(quantile(3, 64, &counts, 1.0), Some(26623));
    }
}

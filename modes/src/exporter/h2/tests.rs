use proptest::prelude::*;

use super::*;

fn of(g: u8, n: u8, values: &[u64]) -> (histogram::Histogram, Sparse) {
    let mut histogram = histogram::Histogram::new(g, n).unwrap();
    values.iter().for_each(|&value| histogram.increment(value).unwrap());
    let buckets = histogram.as_slice().iter().copied().enumerate().filter(|(_, count)| *count != 0).collect();
    (histogram, Sparse { grouping_power: g, max_value_power: n, buckets })
}

/// Values of all magnitudes.
fn values() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec((any::<u64>(), 0..64u32).prop_map(|(value, shift)| value >> shift), 1..50)
}

#[test]
fn bounds_are_those_of_the_field() {
    for (g, n) in [(3, 64), (7, 64), (0, 64), (1, 3), (7, 8), (7, 44), (3, 4)] {
        let histogram = histogram::Histogram::new(g, n).unwrap();
        for (at, bucket) in histogram.into_iter().enumerate() {
            let (low, high) = bounds(g, n, at);
            assert_eq!((low, high), (bucket.start(), bucket.end()), "{g} {n} {at}");
            assert_eq!((index(g, low), index(g, high)), (at, at), "{g} {n} {at}");
        }
    }
}

#[test]
fn nothing_has_no_quantile() {
    assert_eq!(of(3, 64, &[]).1.quantile(0.5), None);
}

#[test]
fn a_bucket_that_shrinks_is_a_new_beginning() {
    let after = of(3, 64, &[5, 100]).1;
    for (before, expected) in [
        (of(3, 64, &[5]).1, of(3, 64, &[100]).1),
        (of(3, 64, &[5, 100]).1, of(3, 64, &[]).1),
        // Less than before, and gone.
        (of(3, 64, &[5, 5]).1, after.clone()),
        (of(3, 64, &[7]).1, after.clone()),
        (of(3, 64, &[1000]).1, after.clone()),
        // Of another shape.
        (of(2, 64, &[5]).1, after.clone()),
    ] {
        assert_eq!(after.since(&before), expected, "{before:?}");
    }
}

#[test]
fn powers_of_two_are_upper_bounds() {
    for power in 0..64 {
        let value = (1u64 << power) as f64;
        assert_eq!(exponential_index(3, value), power * 8);
        assert_eq!(exponential_index(0, value), power);
        assert_eq!(exponential_index(3, value * 1.0001), power * 8 + 1);
    }
}

proptest! {
    #[test]
    fn quantiles_are_upper_bounds(mut values in values(), quantile in 0.0..=1.0f64) {
        let sparse = of(3, 64, &values).1;
        values.sort_unstable();
        let rank = ((quantile * values.len() as f64).ceil() as usize).max(1);
        let exact = values[rank - 1];
        prop_assert_eq!(sparse.quantile(quantile), Some(sparse.bounds(index(3, exact)).1));
    }

    #[test]
    fn sums_are_within_their_bound(values in values()) {
        let exact: f64 = values.iter().map(|&value| value as f64).sum();
        let sum = of(3, 64, &values).1.sum();
        prop_assert!((sum - exact).abs() <= exact / 16.0, "{} {}", sum, exact);
    }

    #[test]
    fn since_is_what_was_added(before in values(), after in values()) {
        let all = [before.clone(), after.clone()].concat();
        let difference = of(3, 64, &all).1.since(&of(3, 64, &before).1);
        prop_assert_eq!(difference, of(3, 64, &after).1);
    }

    #[test]
    fn classic_buckets_count_what_is_below(values in values(), g in 0..8u8) {
        let buckets = of(3, 64, &values).1.classic(g);
        prop_assert_eq!(buckets.len(), ((65 - usize::from(g.min(3))) << g.min(3)) - 1);
        for (bound, count) in buckets {
            let below = values.iter().filter(|value| **value <= bound).count();
            prop_assert_eq!(count, below as u64, "up to {}", bound);
        }
    }

    /// The bound that the documentation states.
    #[test]
    fn exponential_buckets_are_within_their_bound(values in values(), g in 0..8u8) {
        let factor = 2f64.powf(2f64.powi(-i32::from(g)));
        let half = 1.0 / (2f64.powi(i32::from(g) + 1) + 1.0);
        for scale in [1.0, 1e-9] {
            for &value in &values {
                let native = of(g, 64, &[value]).1.exponential(|value| value * scale);
                if value == 0 {
                    prop_assert_eq!((native.zeros, native.buckets.len()), (1, 0));
                    continue;
                }
                prop_assert_eq!(native.zeros, 0);
                let upper = factor.powi(native.buckets[0].0);
                let (value, lower) = (value as f64 * scale, upper / factor);
                // As much as powers of floats are off.
                let slack = 1.0 + 1e-9;
                prop_assert!(upper <= value * factor / (1.0 - half) * slack, "{} {}", value, upper);
                prop_assert!(lower >= value / (factor * (1.0 + half)) / slack, "{} {}", value, lower);
            }
        }
    }

    #[test]
    fn exponential_counts_are_exact_and_ascend(values in values()) {
        let sparse = of(3, 64, &values).1;
        let native = sparse.exponential(|value| value);
        let count: u64 = native.buckets.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(native.zeros + count, sparse.count());
        prop_assert!(native.buckets.windows(2).all(|two| two[0].0 < two[1].0));
    }
}

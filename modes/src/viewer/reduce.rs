//! Fewer points than were evaluated, without losing a spike: neighbours are put together
//! into lots, and of each lot the mean, the least and the greatest value are kept.

/// A series over `count` lots. NaN is a gap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lots {
    pub mean: Vec<f64>,
    pub least: Vec<f64>,
    pub greatest: Vec<f64>,
}

/// How many of `steps` evaluated steps go into a lot so that there are at most `points`.
pub fn per_lot(steps: usize, points: usize) -> usize {
    steps.div_ceil(points.max(1)).max(1)
}

/// Puts every `per` values together; the last lot may be of fewer. A lot's mean is of the
/// values that are there; a lot without any is NaN in all three.
pub fn reduce(values: &[f64], per: usize) -> Lots {
    let mut lots = Lots::default();
    for lot in values.chunks(per.max(1)) {
        let (mut mean, mut count) = (0.0, 0.0);
        let (mut least, mut greatest) = (f64::NAN, f64::NAN);
        for &value in lot.iter().filter(|value| !value.is_nan()) {
            count += 1.0;
            mean = running_mean(mean, value, count);
            // Both give the other one if one is NaN.
            least = least.min(value);
            greatest = greatest.max(value);
        }
        lots.mean.push(if count == 0.0 { f64::NAN } else { mean.clamp(least, greatest) });
        lots.least.push(least);
        lots.greatest.push(greatest);
    }
    lots
}

/// The mean of `count` values of which the last is `value`. A sum could overflow where
/// the mean does not, so each half is divided first. Of an infinity and numbers
/// the mean is the infinity.
fn running_mean(mean: f64, value: f64, count: f64) -> f64 {
    if mean == value || (mean.is_infinite() && value.is_finite()) {
        return mean;
    }
    mean - mean / count + value / count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that are the same in every run (xorshift), with gaps and spikes.
    fn series(seed: u64, length: usize) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let value = |random: u64| match random % 10 {
            0 => f64::NAN,
            1 => random as f64,
            _ => (random % 1000) as f64 - 500.0,
        };
        (0..length).map(|_| value(next())).collect()
    }

    #[test]
    fn a_spike_is_never_lost() {
        for seed in 1..300 {
            let length = seed as usize * 3;
            let mut values = series(seed, length);
            values[length / 2] = 1e20;
            values[length - 1] = -1e20;
            for points in [1, 7, 10, 100, 10_000] {
                let lots = reduce(&values, per_lot(length, points));
                assert!(lots.mean.len() <= points);
                assert!(lots.greatest.contains(&1e20) && lots.least.contains(&-1e20), "{seed} {points}");
            }
        }
    }

    #[test]
    fn means_weighted_by_their_counts_are_the_mean_of_all() {
        for seed in 1..300 {
            let values: Vec<f64> = series(seed, 257).iter().map(|value| value % 1000.0).collect();
            let there = |values: &[f64]| values.iter().filter(|value| !value.is_nan()).count() as f64;
            for per in 1..40 {
                let lots = reduce(&values, per);
                let weighted = values.chunks(per).zip(&lots.mean).filter(|(_, mean)| !mean.is_nan());
                let sum: f64 = weighted.map(|(lot, mean)| there(lot) * mean).sum();
                let expected: f64 = values.iter().filter(|value| !value.is_nan()).sum();
                assert!((sum - expected).abs() < 1e-6, "{seed} {per}: {sum} {expected}");
                let inside =
                    |at: usize| lots.least[at] <= lots.mean[at] && lots.mean[at] <= lots.greatest[at];
                assert!((0..lots.mean.len()).all(|at| lots.mean[at].is_nan() || inside(at)));
            }
        }
    }

    #[test]
    fn a_lot_is_a_gap_only_if_nothing_is_there() {
        let gap = f64::NAN;
        let lots = reduce(&[gap, gap, gap, 2.0, gap], 2);
        let gaps = |values: &[f64]| values.iter().map(|value| value.is_nan()).collect::<Vec<_>>();
        for values in [&lots.mean, &lots.least, &lots.greatest] {
            assert_eq!(gaps(values), [true, false, true]);
            assert_eq!(values[1], 2.0);
        }
        assert_eq!(reduce(&[], 3), Lots::default());
    }

    #[test]
    fn the_largest_and_infinite_numbers_keep_their_means() {
        assert_eq!(reduce(&[f64::MAX, f64::MAX], 2).mean, [f64::MAX]);
        assert_eq!(reduce(&[f64::INFINITY, f64::INFINITY, 1.0], 3).mean, [f64::INFINITY]);
        assert_eq!(reduce(&[1.0, f64::INFINITY, 1.0], 3).mean, [f64::INFINITY]);
        // Of opposite infinities there is no mean.
        let lots = reduce(&[f64::INFINITY, f64::NEG_INFINITY], 2);
        assert!(lots.mean[0].is_nan() && lots.least == [f64::NEG_INFINITY]);
    }
}

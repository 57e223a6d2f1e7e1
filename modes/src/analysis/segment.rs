//! Where the level of a series changes: PELT (Killick, Fearnhead & Eckley 2012), exact for the cost that
//! is minimised and, with changes now and then, linear in time.

/// Sums up to each place, so that the cost of a stretch takes no time.
struct Sums {
    values: Vec<f64>,
    squares: Vec<f64>,
}

impl Sums {
    fn of(values: &[f64]) -> Self {
        // Around the middle, so that squares of large numbers do not swallow small differences.
        let middle = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let (mut sum, mut square) = (0.0, 0.0);
        let mut sums = Self { values: vec![0.0], squares: vec![0.0] };
        for value in values.iter().map(|value| value - middle) {
            sum += value;
            square += value * value;
            sums.values.push(sum);
            sums.squares.push(square);
        }
        sums
    }

    /// The sum of squared distances from the mean.
    #[cfg(test)]
    fn cost(&self, from: usize, to: usize) -> f64 {
        let sum = self.values[to] - self.values[from];
        (self.squares[to] - self.squares[from] - sum * sum / (to - from) as f64).max(0.0)
    }
}

/// Where the last stretch may begin.
struct Candidate {
    start: usize,
    /// The least cost of what is before it, less the squares up to it, so that no more than the squares up to an
    /// end have to be added for all candidates alike.
    offset: f64,
    /// Of the values before it.
    sum: f64,
    /// The end at which it was first seen to be too far behind.
    behind: usize,
}

/// Splits values into stretches of at least `least` with means of their own: the stretches' starts, the
/// first of which is 0. A stretch more has to reduce the squares by `penalty`.
pub fn pelt(values: &[f64], penalty: f64, least: usize) -> Vec<usize> {
    let (count, least) = (values.len(), least.max(1));
    if count < 2 * least {
        return vec![0];
    }
    let sums = Sums::of(values);
    let mut from = vec![0; count + 1];
    let mut best = vec![f64::INFINITY; count + 1];
    best[0] = -penalty;
    let mut candidates = vec![Candidate { start: 0, offset: -penalty, sum: 0.0, behind: usize::MAX }];
    let mut costs = Vec::with_capacity(count);
    for end in least..=count {
        let sum = sums.values[end];
        costs.clear();
        costs.extend(candidates.iter().map(|candidate| {
            let sum = sum - candidate.sum;
            candidate.offset - sum * sum / (end - candidate.start) as f64
        }));
        let lowest = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let chosen = costs.iter().position(|cost| *cost == lowest).unwrap_or(0);
        from[end] = candidates[chosen].start;
        best[end] = lowest + penalty + sums.squares[end];
        // What is behind a change at this end will be behind it for good, once a stretch may begin here and
        // have ended.
        let mut costs = costs.iter();
        candidates.retain_mut(|candidate| {
            let cost = costs.next().copied().unwrap_or(f64::INFINITY);
            if candidate.behind == usize::MAX && cost > lowest + penalty {
                candidate.behind = end;
            }
            candidate.behind == usize::MAX || end < candidate.behind + least
        });
        let start = end + 1 - least;
        if start >= least {
            let offset = best[start] - sums.squares[start];
            candidates.push(Candidate { start, offset, sum: sums.values[start], behind: usize::MAX });
        }
    }
    let mut starts = Vec::new();
    let mut at = count;
    while at > 0 {
        at = from[at];
        starts.push(at);
    }
    starts.reverse();
    starts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by trying all starts.
    fn slow(values: &[f64], penalty: f64, least: usize) -> f64 {
        let sums = Sums::of(values);
        let mut best = vec![f64::INFINITY; values.len() + 1];
        best[0] = -penalty;
        for end in least..=values.len() {
            for start in 0..=end - least {
                best[end] = best[end].min(best[start] + sums.cost(start, end) + penalty);
            }
        }
        best[values.len()]
    }

    fn total(values: &[f64], starts: &[usize], penalty: f64) -> f64 {
        let sums = Sums::of(values);
        let ends = starts[1..].iter().copied().chain([values.len()]);
        let cost = starts.iter().zip(ends).map(|(&start, end)| sums.cost(start, end) + penalty).sum::<f64>();
        cost - penalty
    }

    proptest! {
        #[test]
        fn pruning_loses_nothing(
            values in proptest::collection::vec(-9.0f64..9.0, 1..80), penalty in 1.0f64..99.0, least in 1usize..6,
        ) {
            prop_assume!(values.len() >= 2 * least);
            let starts = pelt(&values, penalty, least);
            prop_assert!(starts[0] == 0 && starts.windows(2).all(|pair| pair[1] - pair[0] >= least));
            prop_assert!(total(&values, &starts, penalty) <= slow(&values, penalty, least) + 1e-6);
        }
    }

    #[test]
    fn a_step_is_where_it_is() {
        let values: Vec<f64> =
            (0..100).map(|at| f64::from(u8::from(at >= 37)) + 0.01 * f64::from(at % 3)).collect();
        assert_eq!(pelt(&values, 1.0, 5), [0, 37]);
        assert_eq!(pelt(&[1.0; 50], 1e-9, 2), [0]);
    }
}

//! For how long a condition held.

use std::collections::BTreeMap;

use rezolus_store::sample::Values;
use rezolus_store::{Series, promql};
use serde::Serialize;

use super::definition::Worst;

/// A pause of this part of the time for which a condition has to hold does not end it, nor does one tick.
const PAUSE: i64 = 5;

/// A time in which a condition held for a series. Times in ns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Held {
    /// What tells the series from others.
    pub labels: BTreeMap<String, String>,
    /// The first and the last step at which it held.
    pub start: i64,
    pub end: i64,
    /// For how long it held, pauses not included.
    pub held: i64,
    /// The worst of its values; none if that is infinite.
    pub worst: Option<f64>,
    pub worst_at: i64,
}

/// What it is to hold. Times in ns.
pub struct Rule {
    /// From one evaluation to the next.
    pub step: i64,
    pub hold: i64,
    pub worst: Worst,
}

impl Rule {
    /// When a condition held that had these values, in order of time.
    pub fn held(&self, series: &Series) -> Vec<Held> {
        let Values::Floats(floats) = &series.samples.values else { return Vec::new() };
        let values = series.samples.times.iter().copied().zip(floats.iter().copied());
        let labels: BTreeMap<String, String> =
            series.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let pause = self.step.saturating_add(self.step.max(self.hold / PAUSE));
        let mut runs: Vec<Run> = Vec::new();
        for (time, value) in values.filter(|(_, value)| !promql::is_absent(*value) && !value.is_nan()) {
            match runs.last_mut().filter(|run| time.saturating_sub(run.end) <= pause) {
                Some(run) => run.take(time, value, self.worst),
                None => runs.push(Run { start: time, end: time, steps: 1, worst: value, worst_at: time }),
            }
        }
        let held = |run: &Run| run.steps.saturating_mul(self.step);
        runs.retain(|run| held(run) >= self.hold);
        let told = |run: Run| Held {
            labels: labels.clone(),
            start: run.start,
            end: run.end,
            held: held(&run),
            worst: Some(run.worst).filter(|worst| worst.is_finite()),
            worst_at: run.worst_at,
        };
        runs.into_iter().map(told).collect()
    }
}

/// Steps at which it held, near each other.
struct Run {
    start: i64,
    end: i64,
    steps: i64,
    worst: f64,
    worst_at: i64,
}

impl Run {
    fn take(&mut self, time: i64, value: f64, worst: Worst) {
        self.end = time;
        self.steps += 1;
        let worse = match worst {
            Worst::Highest => value > self.worst,
            Worst::Lowest => value < self.worst,
        };
        if worse {
            (self.worst, self.worst_at) = (value, time);
        }
    }
}

#[cfg(test)]
mod tests {
    use rezolus_store::{Labels, Sample, sample::Samples};

    use super::*;

    fn held(hold: i64, worst: Worst, times: &[(i64, f64)]) -> Vec<(i64, i64, i64, Option<f64>)> {
        let samples = Samples::new(times.iter().map(|&(time, value)| (time, Sample::Float(value))));
        let series = Series { labels: Labels::new([("id", "1")]), samples };
        let all = Rule { step: 1, hold, worst }.held(&series);
        all.into_iter().map(|held| (held.start, held.end, held.held, held.worst)).collect()
    }

    #[test]
    fn what_is_short_does_not_hold() {
        let steps: Vec<_> = (10..14).map(|time| (time, time as f64)).collect();
        assert_eq!(held(5, Worst::Highest, &steps), []);
        assert_eq!(held(4, Worst::Highest, &steps), [(10, 13, 4, Some(13.0))]);
        assert_eq!(held(4, Worst::Lowest, &steps), [(10, 13, 4, Some(10.0))]);
        assert_eq!(held(0, Worst::Highest, &[(5, 1.0)]), [(5, 5, 1, Some(1.0))]);
    }

    #[test]
    fn a_pause_does_not_end_it_but_does_not_count() {
        let without = |gap: std::ops::Range<i64>| {
            (0..20).filter(|time| !gap.contains(time)).map(|time| (time, 1.0)).collect::<Vec<_>>()
        };
        assert_eq!(held(5, Worst::Highest, &without(8..9)), [(0, 19, 19, Some(1.0))]);
        assert_eq!(held(5, Worst::Highest, &without(8..10)).len(), 2);
        assert_eq!(held(10, Worst::Highest, &without(8..10)), [(0, 19, 18, Some(1.0))]);
        assert_eq!(held(10, Worst::Highest, &without(8..11)), []);
    }

    #[test]
    fn what_is_infinite_is_no_number() {
        let steps = [(0, 1.0), (1, f64::INFINITY), (2, f64::NAN)];
        assert_eq!(held(2, Worst::Highest, &steps), [(0, 1, 2, None)]);
    }
}

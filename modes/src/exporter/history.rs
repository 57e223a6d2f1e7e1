//! Snapshots of the recent past: quantiles are of what was counted since one of
//! them, whoever asks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::h2::Sparse;
use crate::snapshot::{MetricDesc, Snapshot};

/// Snapshots are kept at least this far apart.
const SPACING: Duration = Duration::from_secs(1);

/// How many are kept for one interval, at most.
const STEPS: u32 = 8;

#[derive(Default)]
pub struct History(VecDeque<(Instant, Arc<Snapshot>)>);

impl History {
    /// The newest snapshot that is at least `interval` old, or the oldest there
    /// is; then remembers `snapshot`.
    pub fn advance(
        &mut self,
        now: Instant,
        interval: Duration,
        snapshot: &Arc<Snapshot>,
    ) -> Option<Arc<Snapshot>> {
        let old = |(taken, _): &(Instant, _)| now.duration_since(*taken) >= interval;
        // What is older than the one to be used is of no use any more.
        while self.0.get(1).is_some_and(old) {
            self.0.pop_front();
        }
        let before = self.0.front().map(|(_, before)| before.clone());
        let spacing = SPACING.min(interval).max(interval / STEPS);
        if self.0.back().is_none_or(|(taken, _)| now.duration_since(*taken) >= spacing) {
            self.0.push_back((now, snapshot.clone()));
        }
        before
    }
}

/// The histograms of one group, by their description.
pub struct Before<'a>(Vec<(&'a MetricDesc, Option<Sparse>)>);

impl<'a> Before<'a> {
    /// Of the group called `name`; none if there was no such group.
    pub fn new(snapshot: &'a Snapshot, name: &str) -> Self {
        let Some((group, numbers)) = snapshot.groups().find(|(group, _)| &*group.name == name) else {
            return Self(Vec::new());
        };
        let histograms = numbers.histograms().map(|histogram| histogram.map(Sparse::from));
        Self(group.schema.histograms.iter().zip(histograms).collect())
    }

    /// `index` is where it most likely is.
    pub fn find(&self, index: usize, description: &MetricDesc) -> Option<&Sparse> {
        let likely = self.0.get(index).filter(|(other, _)| *other == description);
        let found = likely.or_else(|| self.0.iter().find(|(other, _)| *other == description));
        found.and_then(|(_, histogram)| histogram.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Numbers;
    use std::time::SystemTime;

    /// Scrapes every `step` seconds; how old what was used was, in seconds.
    fn ages(interval: u64, step: f64, scrapes: u32) -> (Vec<Option<f64>>, usize) {
        let mut history = History::default();
        let start = Instant::now();
        let epoch = SystemTime::UNIX_EPOCH;
        let mut ages = Vec::new();
        for number in 0..scrapes {
            let time = Duration::from_secs_f64(f64::from(number) * step);
            let snapshot = Arc::new(Snapshot {
                systemtime: epoch + time,
                duration: Duration::ZERO,
                metadata: Vec::new(),
                groups: Vec::new(),
                numbers: Numbers::default(),
            });
            let before = history.advance(start + time, Duration::from_secs(interval), &snapshot);
            ages.push(
                before.map(|before| (epoch + time).duration_since(before.systemtime).unwrap().as_secs_f64()),
            );
        }
        (ages, history.0.len())
    }

    #[test]
    fn one_reader_gets_the_time_between_its_scrapes() {
        let (ages, kept) = ages(10, 15.0, 5);
        assert_eq!(ages, [None, Some(15.0), Some(15.0), Some(15.0), Some(15.0)]);
        assert!(kept <= 2);
    }

    #[test]
    fn many_readers_get_the_interval() {
        let (ages, kept) = ages(10, 0.5, 100);
        assert!(ages[30..].iter().flatten().all(|age| (10.0..11.5).contains(age)), "{ages:?}");
        assert!(kept <= 10, "{kept}");
    }

    #[test]
    fn a_long_interval_keeps_no_more() {
        let (ages, kept) = ages(3600, 1.0, 10_000);
        assert!(ages[5000..].iter().flatten().all(|age| (3600.0..4051.0).contains(age)), "{:?}", ages.last());
        assert!(kept <= 10, "{kept}");
    }
}

//! Series in memory: what tests load.

use std::collections::BTreeMap;

use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::promql::Error;
use crate::sample::{Sample, Samples, Series};
use crate::{Metadata, Source};

/// Series that are appended to.
#[derive(Debug, Default)]
pub struct Memory {
    series: BTreeMap<Labels, Vec<(i64, Sample)>>,
}

impl Memory {
    /// Appends a sample. One that is not later than the series' last is left out;
    /// false says so.
    pub fn append(&mut self, labels: &Labels, time: i64, sample: Sample) -> bool {
        if !self.series.contains_key(labels) {
            self.series.insert(labels.clone(), Vec::new());
        }
        let Some(samples) = self.series.get_mut(labels) else { return false };
        if samples.last().is_some_and(|(last, _)| *last >= time) {
            return false;
        }
        samples.push((time, sample));
        true
    }

    pub fn clear(&mut self) {
        self.series.clear();
    }
}

impl Source for Memory {
    fn select(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Series>, Error> {
        let matching =
            self.series.iter().filter(|(labels, _)| matchers.iter().all(|m| m.matches(labels.get(&m.name))));
        let series = matching.map(|(labels, all)| {
            let first = all.partition_point(|(time, _)| *time < start);
            let last = all.partition_point(|(time, _)| *time <= end).max(first);
            Series { labels: labels.clone(), samples: Samples::new(all[first..last].iter().cloned()) }
        });
        Ok(series.filter(|series| !series.samples.is_empty()).collect())
    }

    fn series(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Labels>, Error> {
        Ok(self.select(matchers, start, end)?.into_iter().map(|series| series.labels).collect())
    }

    fn metadata(&self) -> BTreeMap<String, Metadata> {
        BTreeMap::new()
    }

    fn range(&self) -> Option<(i64, i64)> {
        let first =
            self.series.values().filter_map(|samples| samples.first()).map(|(time, _)| *time).min()?;
        let last = self.series.values().filter_map(|samples| samples.last()).map(|(time, _)| *time).max()?;
        Some((first, last))
    }
}

//! Several sources as one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::promql::Error;
use crate::sample::{Samples, Series};
use crate::{Metadata, Source};

/// Sources whose series are told apart by labels. If a series is in several
/// of them, their samples are put in order; at a time that several have, the first
/// source's counts.
#[derive(Default)]
pub struct Set {
    sources: Vec<Arc<dyn Source>>,
}

impl Set {
    pub fn new(sources: Vec<Arc<dyn Source>>) -> Self {
        Self { sources }
    }
}

impl Source for Set {
    fn select(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Series>, Error> {
        let mut all: Vec<Series> = Vec::new();
        let mut known: HashMap<Labels, usize> = HashMap::new();
        for (at, source) in self.sources.iter().enumerate() {
            for series in source.select(matchers, start, end)? {
                match known.get(&series.labels) {
                    Some(&index) => all[index].samples = merged(&all[index].samples, &series.samples),
                    None => {
                        // The last source's meet nobody any more.
                        if at + 1 < self.sources.len() {
                            known.insert(series.labels.clone(), all.len());
                        }
                        all.push(series);
                    }
                }
            }
        }
        Ok(all)
    }

    fn series(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Labels>, Error> {
        let mut all = Vec::new();
        for source in &self.sources {
            all.extend(source.series(matchers, start, end)?);
        }
        if self.sources.len() > 1 {
            all.sort_unstable();
            all.dedup();
        }
        Ok(all)
    }

    fn metadata(&self) -> BTreeMap<String, Metadata> {
        let mut all = BTreeMap::new();
        for source in &self.sources {
            for (name, metadata) in source.metadata() {
                all.entry(name).or_insert(metadata);
            }
        }
        all
    }

    fn seams(&self, start: i64, end: i64) -> Vec<i64> {
        // Those of the first: what is apart in one need not be in another.
        self.sources.first().map(|source| source.seams(start, end)).unwrap_or_default()
    }

    fn remarks(&self) -> Vec<String> {
        self.sources.iter().flat_map(|source| source.remarks()).collect()
    }

    fn range(&self) -> Option<(i64, i64)> {
        let ranges = self.sources.iter().filter_map(|source| source.range());
        ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}

/// All samples in time order; of two at the same time, that of `a`.
fn merged(a: &Samples, b: &Samples) -> Samples {
    let (mut i, mut j) = (0, 0);
    Samples::new(std::iter::from_fn(|| {
        let first = match (a.times.get(i), b.times.get(j)) {
            (Some(x), Some(y)) => x <= y,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return None,
        };
        let (samples, at) = if first { (a, &mut i) } else { (b, &mut j) };
        *at += 1;
        Some((samples.times[*at - 1], samples.get(*at - 1)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::sample::Sample;

    #[test]
    fn series_of_several_sources_are_one() {
        let (mut a, mut b) = (Memory::default(), Memory::default());
        let (x, y) = (Labels::new([("__name__", "x")]), Labels::new([("__name__", "y")]));
        for (memory, samples) in [(&mut a, [(1, 1.0), (5, 5.0)]), (&mut b, [(3, 3.0), (5, 9.0)])] {
            for (time, value) in samples {
                memory.append(&x, time, Sample::Float(value));
            }
        }
        b.append(&y, 7, Sample::Float(7.0));
        let set = Set::new(vec![Arc::new(a), Arc::new(b)]);
        let all = set.select(&[], 0, 10).unwrap();
        assert_eq!(all.len(), 2);
        let samples: Vec<_> = (0..3).map(|at| (all[0].samples.times[at], all[0].samples.get(at))).collect();
        assert_eq!(samples, [(1, Sample::Float(1.0)), (3, Sample::Float(3.0)), (5, Sample::Float(5.0))]);
        assert_eq!(set.range(), Some((1, 7)));
        assert_eq!(set.series(&[], 0, 10).unwrap(), [x, y]);
    }
}

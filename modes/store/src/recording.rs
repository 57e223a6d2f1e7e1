//! Recordings as a source of series.
//!
//! A recording is one file, or several one after the other in time, as a log is.
//! Opening reads no values. A query decodes the columns it asks for, of the row
//! groups that overlap its span of time; a [`Cache`] keeps them.
//!
//! What becomes of rows and values:
//!
//! - A row that is not later than all rows before it is left out.
//! - Null after a value is a stale marker at the time of that row; other nulls
//!   are nothing.
//! - After a gap of more than three intervals, and 5 s at least, every series has
//!   ended: a stale marker one interval after the last row says so.
//! - Of columns with the same labels, all but the first get a label `column`.

mod chunk;
mod join;
mod page;
mod pages;
mod parquet;
mod part;
mod thrift;
mod values;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

pub use chunk::{Axis, Builder, Chunk, Histograms, TooMany};
pub use parquet::ParquetPart;
pub use part::{Column, Decoded, Group, Kind, Part, Unread, labels, tell_apart};

use crate::cache::Cache;
use crate::labels::{Labels, NAME};
use crate::matcher::{Matcher, Op};
use crate::promql::Error;
use crate::sample::Series;
use crate::{Metadata, Source};

/// No column of a part.
const NONE: u32 = u32::MAX;

/// How many samples a query may have, as in [`Options`](crate::promql::Options).
const MOST_SAMPLES: usize = 50_000_000;

/// Series over parts that follow each other in time.
pub struct Recording {
    extra: Vec<(String, String)>,
    cache: Arc<Cache>,
    most_samples: usize,
    parts: VecDeque<(u64, Arc<dyn Part>)>,
    entries: Vec<Entry>,
    by_labels: foldhash::HashMap<Labels, usize>,
    by_name: HashMap<Arc<str>, Vec<usize>>,
}

/// A series, and by part its column.
struct Entry {
    labels: Labels,
    columns: VecDeque<u32>,
}

impl Recording {
    /// Without any part yet. Its series have these labels as well; they win
    /// over their own.
    pub fn new(extra: &[(String, String)], cache: Arc<Cache>) -> Self {
        Self {
            extra: extra.to_vec(),
            cache,
            most_samples: MOST_SAMPLES,
            parts: VecDeque::new(),
            entries: Vec::new(),
            by_labels: foldhash::HashMap::default(),
            by_name: HashMap::new(),
        }
    }

    /// Opens a Parquet recording.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no recording, or is damaged: the message
    /// names the file and what is wrong.
    pub fn open(path: &Path, extra: &[(String, String)], cache: Arc<Cache>) -> Result<Self, String> {
        let mut recording = Self::new(extra, cache);
        recording.push(Arc::new(ParquetPart::open(path, None)?));
        Ok(recording)
    }

    /// Refuses queries of more samples than this.
    #[must_use]
    pub fn limit_samples(mut self, most: usize) -> Self {
        self.most_samples = most;
        self
    }

    /// Appends a part, which is later than those there are.
    pub fn push(&mut self, part: Arc<dyn Part>) {
        for (at, column) in part.columns().iter().enumerate() {
            let labels = self.with_extra(&column.labels);
            let index = match self.by_labels.get(&labels) {
                Some(&known) => known,
                None => {
                    let index = self.entries.len();
                    self.by_labels.insert(labels.clone(), index);
                    self.by_name.entry(labels.name().into()).or_default().push(index);
                    let columns = std::iter::repeat_n(NONE, self.parts.len()).collect();
                    self.entries.push(Entry { labels, columns });
                    index
                }
            };
            // An extra label may make two the same: the first one counts.
            let columns = &mut self.entries[index].columns;
            if columns.len() == self.parts.len() {
                columns.push_back(at as u32);
            }
        }
        for entry in &mut self.entries {
            if entry.columns.len() == self.parts.len() {
                entry.columns.push_back(NONE);
            }
        }
        self.parts.push_back((self.cache.part(), part));
    }

    fn with_extra(&self, labels: &Labels) -> Labels {
        if self.extra.is_empty() {
            return labels.clone();
        }
        let own = labels.iter().map(|(name, value)| (name.clone(), value.clone()));
        let extra = self.extra.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        Labels::new(own.chain(extra))
    }

    /// Removes the oldest part.
    pub fn pop_front(&mut self) -> Option<Arc<dyn Part>> {
        let (id, part) = self.parts.pop_front()?;
        self.removed(id, |entry| _ = entry.columns.pop_front());
        Some(part)
    }

    /// Removes the newest part.
    pub fn pop_back(&mut self) -> Option<Arc<dyn Part>> {
        let (id, part) = self.parts.pop_back()?;
        self.removed(id, |entry| _ = entry.columns.pop_back());
        Some(part)
    }

    fn removed(&mut self, part: u64, remove: impl FnMut(&mut Entry)) {
        self.cache.forget(part);
        self.entries.iter_mut().for_each(remove);
        let before = self.entries.len();
        self.entries.retain(|entry| entry.columns.iter().any(|column| *column != NONE));
        if self.entries.len() == before {
            return;
        }
        self.by_labels.clear();
        self.by_name.clear();
        for (index, entry) in self.entries.iter().enumerate() {
            self.by_labels.insert(entry.labels.clone(), index);
            self.by_name.entry(entry.labels.name().into()).or_default().push(index);
        }
    }

    pub fn parts(&self) -> impl ExactSizeIterator<Item = &Arc<dyn Part>> {
        self.parts.iter().map(|(_, part)| part)
    }

    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// The series that match all matchers.
    fn matching(&self, matchers: &[Matcher]) -> Vec<&Entry> {
        let name = matchers.iter().enumerate().find_map(|(at, matcher)| match &matcher.op {
            Op::Equal(value) if matcher.name == NAME && !value.is_empty() => Some((at, value.as_str())),
            _ => None,
        });
        let others: Vec<&Matcher> = matchers
            .iter()
            .enumerate()
            .filter(|(at, _)| name.is_none_or(|(of, _)| of != *at))
            .map(|(_, m)| m)
            .collect();
        let matches = |entry: &&Entry| others.iter().all(|m| m.matches(entry.labels.get(&m.name)));
        match name {
            Some((_, name)) => {
                let named = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
                named.iter().map(|&index| &self.entries[index]).filter(matches).collect()
            }
            None => self.entries.iter().filter(matches).collect(),
        }
    }

    /// The row groups that may have rows in a span of time: part and group.
    fn groups(&self, start: i64, end: i64) -> impl Iterator<Item = (usize, usize)> {
        self.parts.iter().enumerate().flat_map(move |(at, (_, part))| {
            let overlapping = part.groups().iter().enumerate();
            let overlapping = overlapping.filter(move |(_, group)| group.first <= end && group.last >= start);
            overlapping.map(move |(group, _)| (at, group))
        })
    }
}

impl Source for Recording {
    fn select(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Series>, Error> {
        join::select(self, &self.matching(matchers), start, end)
    }

    fn series(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Labels>, Error> {
        let parts: std::collections::BTreeSet<usize> =
            self.groups(start, end).map(|(part, _)| part).collect();
        let there = |entry: &&Entry| parts.iter().any(|&part| entry.columns[part] != NONE);
        Ok(self.matching(matchers).into_iter().filter(there).map(|entry| entry.labels.clone()).collect())
    }

    fn metadata(&self) -> BTreeMap<String, Metadata> {
        let mut found: BTreeMap<String, Metadata> = BTreeMap::new();
        for (_, part) in &self.parts {
            let descriptions = part.descriptions();
            for column in part.columns() {
                let name = column.labels.name();
                let known = match found.get_mut(name) {
                    Some(known) => known,
                    None => found.entry(name.into()).or_insert(Metadata {
                        kind: column.kind.name().into(),
                        unit: column.unit.clone(),
                        help: String::new(),
                    }),
                };
                if known.help.is_empty() {
                    known.help = descriptions.get(name).unwrap_or(&column.help).clone();
                }
            }
        }
        found
    }

    fn seams(&self, start: i64, end: i64) -> Vec<i64> {
        let last = |(part, group): (usize, usize)| self.parts[part].1.groups()[group].last;
        let mut seams: Vec<i64> = self.groups(start, end).map(last).filter(|&last| last < end).collect();
        seams.sort_unstable();
        seams
    }

    fn remarks(&self) -> Vec<String> {
        let parts = self.parts.iter().filter(|(_, part)| !part.unread().is_empty());
        parts.map(|(_, part)| part::left_out(&part.name(), part.unread())).collect()
    }

    fn range(&self) -> Option<(i64, i64)> {
        let groups = || self.parts.iter().flat_map(|(_, part)| part.groups()).filter(|group| group.rows > 0);
        Some((groups().map(|group| group.first).min()?, groups().map(|group| group.last).max()?))
    }
}

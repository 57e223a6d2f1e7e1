//! Decoded columns, kept up to a budget.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::recording::{Axis, Decoded};

/// What a cache may hold if not told otherwise, in bytes.
pub const DEFAULT_BUDGET: usize = 128 << 20;

/// Which column of what: a part of a recording, its row group, the column; the
/// times of a row group have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub part: u64,
    pub group: u32,
    pub column: Option<u32>,
}

#[derive(Clone, Debug)]
pub enum Held {
    Axis(Arc<Axis>),
    Column(Arc<Decoded>),
}

impl Held {
    fn bytes(&self) -> usize {
        match self {
            Self::Axis(axis) => axis.bytes(),
            Self::Column(decoded) => decoded.chunk.bytes(),
        }
    }
}

/// What a cache did so far, and holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Columns of row groups that were decoded, times included.
    pub decoded: u64,
    /// Those that were there when asked for.
    pub hits: u64,
    pub entries: usize,
    pub bytes: usize,
}

/// Decoded columns of any number of recordings. What was not asked for the
/// longest goes first. What a query still uses outlives it, and is what the
/// cache holds, not a copy.
#[derive(Debug)]
pub struct Cache {
    budget: usize,
    inner: Mutex<Inner>,
    decoded: AtomicU64,
    hits: AtomicU64,
    parts: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    held: HashMap<Key, Entry>,
    bytes: usize,
    /// Counts up with every use.
    now: u64,
}

#[derive(Debug)]
struct Entry {
    held: Held,
    bytes: usize,
    used: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(DEFAULT_BUDGET)
    }
}

impl Cache {
    /// A cache that holds so many bytes at most.
    pub fn new(budget: usize) -> Self {
        Self {
            budget,
            inner: Mutex::default(),
            decoded: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            parts: AtomicU64::new(0),
        }
    }

    /// A number that no other part of a recording has.
    pub(crate) fn part(&self) -> u64 {
        self.parts.fetch_add(1, Ordering::Relaxed)
    }

    /// What is there of these, in their order.
    pub(crate) fn get(&self, keys: impl Iterator<Item = Key>) -> Vec<Option<Held>> {
        let mut inner = self.inner.lock();
        inner.now += 1;
        let now = inner.now;
        let found: Vec<_> = keys
            .map(|key| {
                let entry = inner.held.get_mut(&key)?;
                entry.used = now;
                Some(entry.held.clone())
            })
            .collect();
        drop(inner);
        self.hits.fetch_add(found.iter().flatten().count() as u64, Ordering::Relaxed);
        found
    }

    /// Keeps what was decoded, as far as it fits at all.
    pub(crate) fn put_all(&self, new: impl IntoIterator<Item = (Key, Held)>) {
        let mut inner = self.inner.lock();
        inner.now += 1;
        let used = inner.now;
        for (key, held) in new {
            self.decoded.fetch_add(1, Ordering::Relaxed);
            let bytes = held.bytes();
            if bytes > self.budget {
                continue;
            }
            inner.bytes += bytes;
            if let Some(before) = inner.held.insert(key, Entry { held, bytes, used }) {
                inner.bytes -= before.bytes;
            }
            if inner.bytes > self.budget {
                inner.shrink(self.budget - self.budget / 8);
            }
        }
    }

    /// Forgets all of a part.
    pub(crate) fn forget(&self, part: u64) {
        let mut inner = self.inner.lock();
        inner.held.retain(|key, _| key.part != part);
        inner.bytes = inner.held.values().map(|entry| entry.bytes).sum();
    }

    pub fn stats(&self) -> Stats {
        let inner = self.inner.lock();
        Stats {
            decoded: self.decoded.load(Ordering::Relaxed),
            hits: self.hits.load(Ordering::Relaxed),
            entries: inner.held.len(),
            bytes: inner.bytes,
        }
    }
}

impl Inner {
    /// Drops the oldest until the rest fits. An eighth of the budget goes at a
    /// time, which spares keeping all in order of use.
    fn shrink(&mut self, target: usize) {
        let mut ages: Vec<(u64, Key)> = self.held.iter().map(|(key, entry)| (entry.used, *key)).collect();
        ages.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in ages {
            if self.bytes <= target {
                break;
            }
            if let Some(entry) = self.held.remove(&key) {
                self.bytes -= entry.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Chunk;

    fn key(column: u32) -> Key {
        Key { part: 0, group: 0, column: Some(column) }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let chunk = |length: usize| {
            let times: Vec<i64> = (0..length as i64).collect();
            let axis = Axis::new(times, 1);
            Held::Column(Arc::new(Decoded::whole(&axis, Chunk::floats(&axis, vec![1.0; length], None))))
        };
        let one = chunk(100).bytes();
        let cache = Cache::new(one * 4);
        for column in 0..4 {
            cache.put_all([(key(column), chunk(100))]);
        }
        assert_eq!(cache.stats().entries, 4);
        assert!(cache.get([key(0)].into_iter())[0].is_some());
        cache.put_all([(key(4), chunk(100))]);
        let there: Vec<bool> = cache.get((0..5).map(key)).iter().map(Option::is_some).collect();
        assert_eq!(there, [true, false, false, true, true]);
        assert!(cache.stats().bytes <= one * 4);
        // Too large for ever.
        cache.put_all([(key(9), chunk(1000))]);
        assert!(cache.get([key(9)].into_iter())[0].is_none());
        cache.forget(0);
        assert_eq!((cache.stats().bytes, cache.stats().entries), (0, 0));
    }
}

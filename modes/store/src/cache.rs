//! Decoded columns, kept up to a budget.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::recording::{Axis, Decoded};

/// What a cache may hold if not told otherwise, in bytes.
pub const DEFAULT_BUDGET: usize = 96 << 20;

/// A row group: that of a part of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub part: u64,
    pub group: u32,
}

/// What is kept of a row group: its times, or a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Times,
    Column(u32),
}

impl What {
    fn place(self) -> usize {
        match self {
            Self::Times => 0,
            Self::Column(column) => column as usize + 1,
        }
    }
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
    /// What somebody is decoding.
    claimed: Mutex<HashSet<(Key, u32)>>,
    /// Somebody is done with that.
    done: Condvar,
    decoded: AtomicU64,
    hits: AtomicU64,
    parts: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    /// By row group: its times, and its columns in their order.
    held: HashMap<Key, Vec<Option<Entry>>>,
    entries: usize,
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
            claimed: Mutex::default(),
            done: Condvar::new(),
            decoded: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            parts: AtomicU64::new(0),
        }
    }

    /// A number that no other part of a recording has.
    pub(crate) fn part(&self) -> u64 {
        self.parts.fetch_add(1, Ordering::Relaxed)
    }

    /// Claims columns to decode them: says of each whether nobody else is at it.
    pub(crate) fn claim(&self, columns: impl Iterator<Item = (Key, u32)>) -> (Claim<'_>, Vec<bool>) {
        let mut claimed = self.claimed.lock();
        let mut mine = Vec::new();
        let is_mine = columns.map(|column| {
            let free = claimed.insert(column);
            mine.extend(free.then_some(column));
            free
        });
        let is_mine = is_mine.collect();
        drop(claimed);
        (Claim { cache: self, columns: mine }, is_mine)
    }

    /// Waits until nobody is decoding any of these. Whoever waits must not hold a claim.
    pub(crate) fn wait(&self, mut columns: impl Iterator<Item = (Key, u32)>) {
        let mut claimed = self.claimed.lock();
        let Some(mut column) = columns.next() else { return };
        loop {
            while claimed.contains(&column) {
                self.done.wait(&mut claimed);
            }
            match columns.next() {
                Some(next) => column = next,
                None => return,
            }
        }
    }

    /// What is there of a row group.
    pub(crate) fn get<W: IntoIterator<Item = What>>(&self, key: Key, wanted: W) -> Vec<Option<Held>> {
        let mut inner = self.inner.lock();
        inner.now += 1;
        let now = inner.now;
        let mut group = inner.held.get_mut(&key);
        let mut hits = 0;
        let found = wanted.into_iter().map(|what| {
            let entry = group.as_mut()?.get_mut(what.place())?.as_mut()?;
            entry.used = now;
            hits += 1;
            Some(entry.held.clone())
        });
        let found = found.collect();
        drop(inner);
        self.hits.fetch_add(hits, Ordering::Relaxed);
        found
    }

    /// Keeps what was decoded of a row group, as far as it fits at all.
    pub(crate) fn put(&self, key: Key, new: impl IntoIterator<Item = (What, Held)>) {
        let mut inner = self.inner.lock();
        inner.now += 1;
        for (what, held) in new {
            self.decoded.fetch_add(1, Ordering::Relaxed);
            let bytes = held.bytes();
            if bytes <= self.budget {
                inner.insert(key, what, held, bytes);
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
        let left = || inner.held.values().flatten().flatten();
        let (entries, bytes) = (left().count(), left().map(|entry| entry.bytes).sum());
        (inner.entries, inner.bytes) = (entries, bytes);
    }

    /// How many bytes it holds at most.
    pub fn budget(&self) -> usize {
        self.budget
    }

    pub fn stats(&self) -> Stats {
        let inner = self.inner.lock();
        Stats {
            decoded: self.decoded.load(Ordering::Relaxed),
            hits: self.hits.load(Ordering::Relaxed),
            entries: inner.entries,
            bytes: inner.bytes,
        }
    }
}

/// Columns that its holder decodes, and others wait for; until it is dropped.
pub(crate) struct Claim<'a> {
    cache: &'a Cache,
    columns: Vec<(Key, u32)>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claimed = self.cache.claimed.lock();
        for column in &self.columns {
            claimed.remove(column);
        }
        drop(claimed);
        self.cache.done.notify_all();
    }
}

impl Inner {
    fn insert(&mut self, key: Key, what: What, held: Held, bytes: usize) {
        let group = self.held.entry(key).or_default();
        if group.len() <= what.place() {
            group.resize_with(what.place() + 1, || None);
        }
        match group[what.place()].replace(Entry { held, bytes, used: self.now }) {
            Some(before) => self.bytes -= before.bytes,
            None => self.entries += 1,
        }
        self.bytes += bytes;
    }

    /// Drops the oldest until the rest fits. An eighth of the budget goes at a
    /// time, which spares keeping all in order of use.
    fn shrink(&mut self, target: usize) {
        let mut ages: Vec<(u64, Key, usize)> = Vec::with_capacity(self.entries);
        for (key, group) in &self.held {
            let places = group.iter().enumerate();
            ages.extend(places.filter_map(|(place, entry)| Some((entry.as_ref()?.used, *key, place))));
        }
        ages.sort_unstable_by_key(|(used, ..)| *used);
        for (_, key, place) in ages {
            if self.bytes <= target {
                break;
            }
            let entry = self.held.get_mut(&key).and_then(|group| group.get_mut(place)?.take());
            if let Some(entry) = entry {
                self.bytes -= entry.bytes;
                self.entries -= 1;
            }
        }
        self.held.retain(|_, group| group.iter().any(Option::is_some));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Chunk;

    const KEY: Key = Key { part: 0, group: 0 };

    #[test]
    fn what_one_decodes_others_wait_for() {
        let cache = Cache::default();
        let column = |at: u32| (KEY, at);
        let (first, is_mine) = cache.claim([0, 1].map(column).into_iter());
        assert_eq!(is_mine, [true, true]);
        let (second, is_mine) = cache.claim([1, 2].map(column).into_iter());
        assert_eq!(is_mine, [false, true]);
        drop(second);
        let (told, heard) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                cache.wait([2, 1, 0].map(column).into_iter());
                told.send(()).unwrap();
            });
            assert!(heard.recv_timeout(std::time::Duration::from_millis(20)).is_err());
            // Also if it is dropped because of a panic.
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _first = first;
                panic!("on purpose");
            }));
            assert!(panic.is_err());
            heard.recv().unwrap();
        });
        assert_eq!(cache.claim([1].map(column).into_iter()).1, [true]);
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
            cache.put(KEY, [(What::Column(column), chunk(100))]);
        }
        assert_eq!(cache.stats().entries, 4);
        assert!(cache.get(KEY, [What::Column(0)])[0].is_some());
        cache.put(KEY, [(What::Column(4), chunk(100))]);
        let there: Vec<bool> = cache.get(KEY, (0..5).map(What::Column)).iter().map(Option::is_some).collect();
        assert_eq!(there, [true, false, false, true, true]);
        assert!(cache.stats().bytes <= one * 4);
        // Too large for ever.
        cache.put(KEY, [(What::Column(9), chunk(1000))]);
        assert!(cache.get(KEY, [What::Column(9)])[0].is_none());
        cache.forget(0);
        assert_eq!((cache.stats().bytes, cache.stats().entries), (0, 0));
    }
}

//! Columns of a row group, decoded.

use std::ops::Range;
use std::sync::Arc;

use crate::histogram::FloatHistogram;
use crate::sample::{STALE, Sample, Shared};

/// Stands for a row that is not in the file.
const MARK: u32 = u32::MAX;

/// After so many intervals without a row, and no sooner than after
/// [`LEAST_GAP`], all series have ended.
const GAP_INTERVALS: i64 = 3;
const LEAST_GAP: i64 = 5_000_000_000;

/// So many buckets are looked at together.
const STRIDE: usize = 16;

/// Every so many rows a histogram is there as a whole, too: whoever wants the last rows of
/// a group need not go through all.
const WHOLE: usize = 256;

/// The times of a row group that count: each later than the one before. Where
/// rows are missing there is a time after the last one at which nothing has a
/// value, as there is in Prometheus when scrapes fail.
#[derive(Debug)]
pub struct Axis {
    pub times: Shared<i64>,
    /// By time: which row it is. None: every row counts, and nothing is missing.
    rows: Option<Vec<u32>>,
    /// ns between rows.
    pub interval: i64,
}

impl Axis {
    /// Of the times of all rows; `interval` is what the file says of their
    /// distance. Rows that are not later than all before are left out, as are those
    /// of negative times.
    pub fn new(times: Vec<i64>, interval: i64) -> Self {
        let interval = interval.max(median_distance(&times)).max(1);
        let most = most_gap(interval);
        let good = times.first().is_none_or(|first| *first >= 0)
            && times.windows(2).all(|pair| pair[0] < pair[1] && pair[1].saturating_sub(pair[0]) <= most);
        if good {
            return Self { times: times.into(), rows: None, interval };
        }
        let (mut kept, mut rows): (Vec<i64>, Vec<u32>) = (Vec::new(), Vec::new());
        for (row, &time) in times.iter().enumerate().filter(|(_, time)| **time >= 0) {
            match kept.last() {
                Some(&last) if time <= last => continue,
                Some(&last) if time.saturating_sub(last) > most => {
                    kept.push(last.saturating_add(interval));
                    rows.push(MARK);
                }
                _ => {}
            }
            kept.push(time);
            rows.push(row as u32);
        }
        Self { times: kept.into(), rows: Some(rows), interval }
    }

    /// Of some of the rows, if all rows count: then they are numbered as the times are.
    pub fn part(&self, rows: Range<usize>) -> Option<Self> {
        let inside = rows.start <= rows.end && rows.end <= self.times.len();
        (self.rows.is_none() && inside).then(|| Self {
            times: self.times.slice(rows),
            rows: None,
            interval: self.interval,
        })
    }

    pub fn len(&self) -> usize {
        self.times.len()
    }

    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// At which time all series ended if the next row is at `next`: when it is
    /// too long after the last one.
    pub fn gap_before(&self, next: &Self) -> Option<i64> {
        let interval = self.interval.max(next.interval);
        let (last, first) = (*self.times.last()?, *next.times.first()?);
        (first.saturating_sub(last) > most_gap(interval)).then(|| last.saturating_add(interval))
    }

    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.times.len() * 8 + self.rows.as_ref().map_or(0, |rows| rows.capacity() * 4)
    }

    /// The row of a time; None if there is none then.
    fn row(&self, at: usize) -> Option<usize> {
        match &self.rows {
            Some(rows) => (rows[at] != MARK).then_some(rows[at] as usize),
            None => Some(at),
        }
    }
}

fn most_gap(interval: i64) -> i64 {
    interval.saturating_mul(GAP_INTERVALS).max(LEAST_GAP)
}

/// Half of the distances are no longer; 0 of fewer than two.
fn median_distance(times: &[i64]) -> i64 {
    let mut distances: Vec<i64> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    let middle = distances.len() / 2;
    match distances.is_empty() {
        true => 0,
        false => *distances.select_nth_unstable(middle).1,
    }
}

/// A column of a row group. Where a value is followed by a row without one there
/// is a mark that the series ended; other rows without one are not here.
#[derive(Debug)]
pub enum Chunk {
    Floats {
        /// Those of the axis if the series is there all the time.
        times: Shared<i64>,
        values: Shared<f64>,
    },
    Histograms(Arc<Histograms>),
}

impl Chunk {
    /// Of the values of the rows that have one; `present` says which, None: all.
    /// Rows beyond their end have none.
    pub fn floats(axis: &Axis, values: Vec<f64>, present: Option<&[bool]>) -> Self {
        if axis.rows.is_none() && present.is_none() && values.len() == axis.len() {
            return Self::Floats { times: axis.times.clone(), values: Shared::from(values).looked_at() };
        }
        // By row: where its value is.
        let mut places = None;
        if let Some(present) = present {
            let mut next = 0;
            let place = |&there: &bool| {
                next += usize::from(there);
                there.then(|| next - 1)
            };
            places = Some(present.iter().map(place).collect::<Vec<Option<usize>>>());
        }
        let value = |row: usize| {
            let place = match &places {
                Some(places) => (*places.get(row)?)?,
                None => row,
            };
            values.get(place).copied()
        };
        let (mut times, mut kept) = (Vec::with_capacity(values.len()), Vec::with_capacity(values.len()));
        let mut alive = false;
        for (at, &time) in axis.times.iter().enumerate() {
            match axis.row(at).and_then(value) {
                Some(value) => kept.push(value),
                None if alive => kept.push(STALE),
                None => continue,
            }
            times.push(time);
            alive = !crate::sample::is_stale(kept[kept.len() - 1]);
        }
        let times = if times.len() == axis.times.len() { axis.times.clone() } else { times.into() };
        Self::Floats { times, values: kept.into() }
    }

    pub fn times(&self) -> &Shared<i64> {
        match self {
            Self::Floats { times, .. } => times,
            Self::Histograms(histograms) => &histograms.times,
        }
    }

    /// How much memory it takes. Times that others have as well are theirs: while
    /// there is an [`Axis`] with the same ones, it counts them.
    pub fn bytes(&self) -> usize {
        let times = if self.times().is_shared() { 0 } else { self.times().len() * 8 };
        let rest = match self {
            Self::Floats { values, .. } => values.len() * 8,
            Self::Histograms(h) => {
                let wholes = h.wholes.0.capacity() + h.wholes.1.capacity() * size_of::<usize>();
                size_of::<Histograms>() + h.ends.capacity() * size_of::<u64>() + h.changes.capacity() + wholes
            }
        };
        size_of::<Self>() + times + rest
    }
}

/// Histograms, each by the buckets that differ from the one before.
#[derive(Debug)]
pub struct Histograms {
    times: Shared<i64>,
    /// Upper bounds of all buckets but the last.
    bounds: Arc<[f64]>,
    /// By time: where its changes end, times two; odd is a mark that the series ended.
    ends: Vec<u64>,
    /// Each is two numbers of as few bytes as it takes (LEB128): how many buckets after the
    /// one before, and by how much its count differs, twice that or one less than twice its
    /// opposite. That is three or four bytes mostly, of which a day of one series has two
    /// million.
    changes: Vec<u8>,
    /// Of every [`WHOLE`]th row but the first, all buckets that are not zero, as changes
    /// of nothing; where those of each end.
    wholes: (Vec<u8>, Vec<usize>),
}

impl Histograms {
    pub fn times(&self) -> &Shared<i64> {
        &self.times
    }

    /// Upper bounds of all buckets but the last.
    pub fn bounds(&self) -> &Arc<[f64]> {
        &self.bounds
    }

    /// Whether there is a mark that the series ended.
    pub fn has_stale(&self, range: Range<usize>) -> bool {
        self.ends[range].iter().any(|end| end % 2 == 1)
    }

    /// The buckets that differ from the row before, in their order, and by how much (modulo
    /// 2^64); of the first row those that are not zero.
    pub fn changes(&self, row: usize) -> Changes<'_> {
        let end = |row: usize| (self.ends[row] / 2) as usize;
        let start = row.checked_sub(1).map_or(0, end);
        Changes { rest: &self.changes[start..end(row)], bucket: 0 }
    }

    /// The last row up to one that is there as a whole, and its buckets that are not zero.
    pub fn whole(&self, row: usize) -> (usize, Changes<'_>) {
        let (bytes, ends) = &self.wholes;
        match (row / WHOLE).min(ends.len()) {
            0 => (0, self.changes(0)),
            at => {
                let start = at.checked_sub(2).map_or(0, |before| ends[before]);
                (at * WHOLE, Changes { rest: &bytes[start..ends[at - 1]], bucket: 0 })
            }
        }
    }

    /// Appends those at a range of times.
    ///
    /// # Errors
    ///
    /// Once `take` does not want to take so many buckets.
    pub fn append(
        &self,
        range: Range<usize>,
        out: &mut Vec<Sample>,
        mut take: impl FnMut(usize) -> bool,
    ) -> Result<(), TooMany> {
        let mut state: Vec<(u32, u64)> = Vec::new();
        let mut last: Option<Arc<FloatHistogram>> = None;
        for (at, end) in self.ends.iter().enumerate().take(range.end) {
            for (bucket, difference) in self.changes(at) {
                last = None;
                change(&mut state, bucket, difference);
            }
            if at < range.start {
                continue;
            }
            if end % 2 == 1 {
                out.push(Sample::Float(STALE));
                continue;
            }
            let histogram = match &last {
                Some(same) => same.clone(),
                None => {
                    if !take(state.len()) {
                        return Err(TooMany);
                    }
                    let counts = state.iter().map(|&(bucket, count)| (bucket as usize, count));
                    Arc::new(FloatHistogram::from_h2(&self.bounds, counts))
                }
            };
            last = Some(histogram.clone());
            out.push(Sample::Histogram(histogram));
        }
        Ok(())
    }
}

/// Applies a change to the buckets that are not zero, which are in their order.
fn change(state: &mut Vec<(u32, u64)>, bucket: u32, difference: i64) {
    match state.binary_search_by_key(&bucket, |(known, _)| *known) {
        Ok(at) => {
            state[at].1 = state[at].1.wrapping_add_signed(difference);
            if state[at].1 == 0 {
                state.remove(at);
            }
        }
        Err(at) => state.insert(at, (bucket, difference as u64)),
    }
}

/// Which buckets change, and by how much.
pub struct Changes<'a> {
    rest: &'a [u8],
    /// The last one.
    bucket: u32,
}

impl Changes<'_> {
    fn number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
        }
    }
}

impl Iterator for Changes<'_> {
    type Item = (u32, i64);

    fn next(&mut self) -> Option<(u32, i64)> {
        self.bucket += self.number()? as u32;
        let difference = self.number()?;
        Some((self.bucket, (difference >> 1) as i64 ^ -((difference & 1) as i64)))
    }
}

fn append_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// More samples than a query may have.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

/// Puts together [`Histograms`], row by row.
pub struct Builder<'a> {
    axis: &'a Axis,
    at: usize,
    alive: bool,
    dense: Vec<u64>,
    /// The last one of this row that differs from the row before.
    bucket: usize,
    times: Vec<i64>,
    built: Histograms,
}

impl<'a> Builder<'a> {
    /// For histograms with these upper bounds of all buckets but the last.
    pub fn new(axis: &'a Axis, bounds: Arc<[f64]>) -> Self {
        let built = Histograms {
            times: Vec::new().into(),
            ends: Vec::with_capacity(axis.len()),
            changes: Vec::new(),
            wholes: Default::default(),
            bounds,
        };
        Self {
            axis,
            at: 0,
            alive: false,
            dense: vec![0; built.bounds.len() + 1],
            bucket: 0,
            times: Vec::new(),
            built,
        }
    }

    /// The counts of the next row's buckets, None if it has no histogram. Those
    /// that are missing are zero, and those too many do not count.
    pub fn push(&mut self, row: usize, cell: Option<&[u64]>) {
        if !self.is_next(row) {
            return;
        }
        let Some(cell) = cell else { return self.absent() };
        self.differ(cell);
        self.end(false);
        self.alive = true;
    }

    /// The same with the counts as a file has them, eight bytes each; there are as many
    /// as there are buckets.
    pub fn push_bytes(&mut self, row: usize, cell: &[u8]) {
        if !self.is_next(row) {
            return;
        }
        let mut now = [0; STRIDE];
        for (stride, bytes) in cell.chunks(STRIDE * 8).enumerate() {
            let (counts, _) = bytes.as_chunks::<8>();
            let start = stride * STRIDE;
            let Some(before) = self.dense.get(start..start + counts.len()) else { break };
            // Without a branch for each, this is a few instructions for the whole stride.
            let differs = before
                .iter()
                .zip(counts)
                .fold(0, |differs, (before, now)| differs | (before ^ u64::from_le_bytes(*now)));
            if differs != 0 {
                now.iter_mut().zip(counts).for_each(|(now, count)| *now = u64::from_le_bytes(*count));
                self.stride(start, &now[..counts.len()]);
            }
        }
        self.end(false);
        self.alive = true;
    }

    /// Whether this row is the next one that counts. What is missing before it is noted.
    fn is_next(&mut self, row: usize) -> bool {
        while self.at < self.axis.len() {
            match self.axis.row(self.at) {
                Some(wanted) => return wanted == row,
                None => self.absent(),
            }
        }
        false
    }

    fn absent(&mut self) {
        if self.alive {
            self.end(true);
        } else {
            self.at += 1;
        }
        self.alive = false;
    }

    fn end(&mut self, stale: bool) {
        self.times.push(self.axis.times[self.at]);
        let rows = self.built.ends.len();
        if rows > 0 && rows.is_multiple_of(WHOLE) {
            self.whole();
        }
        self.built.ends.push(self.built.changes.len() as u64 * 2 + u64::from(stale));
        self.bucket = 0;
        self.at += 1;
    }

    /// Notes what differs from the row before. Most does not, so it is looked
    /// at in strides.
    fn differ(&mut self, cell: &[u64]) {
        let common = cell.len().min(self.dense.len());
        for start in (0..common).step_by(STRIDE) {
            let end = (start + STRIDE).min(common);
            if self.dense[start..end] != cell[start..end] {
                self.stride(start, &cell[start..end]);
            }
        }
        for bucket in common..self.dense.len() {
            if self.dense[bucket] != 0 {
                self.stride(bucket, &[0]);
            }
        }
    }

    /// Notes which of these buckets differ.
    fn stride(&mut self, start: usize, now: &[u64]) {
        let before = &mut self.dense[start..start + now.len()];
        for (at, (before, &now)) in before.iter_mut().zip(now).enumerate().filter(|(_, (b, n))| **b != **n) {
            let difference = now.wrapping_sub(*before) as i64;
            *before = now;
            append_number(&mut self.built.changes, (start + at - self.bucket) as u64);
            append_number(&mut self.built.changes, (difference << 1 ^ difference >> 63) as u64);
            self.bucket = start + at;
        }
    }

    /// Notes all buckets of this row.
    fn whole(&mut self) {
        let (bytes, ends) = &mut self.built.wholes;
        let mut last = 0;
        for (bucket, &count) in self.dense.iter().enumerate().filter(|(_, count)| **count != 0) {
            let difference = count as i64;
            append_number(bytes, (bucket - last) as u64);
            append_number(bytes, (difference << 1 ^ difference >> 63) as u64);
            last = bucket;
        }
        ends.push(bytes.len());
    }

    pub fn finish(mut self) -> Chunk {
        while self.at < self.axis.len() {
            self.absent();
        }
        let all = self.times.len() == self.axis.len();
        self.built.times = if all { self.axis.times.clone() } else { self.times.into() };
        self.built.changes.shrink_to_fit();
        Chunk::Histograms(Arc::new(self.built))
    }
}

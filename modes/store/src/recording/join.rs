//! Row groups put together to series.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::chunk::{Axis, Chunk, Histograms};
use super::{Entry, NONE, Recording};
use crate::cache::{Held, Key};
use crate::compact::Compact;
use crate::promql::{Error, ErrorKind};
use crate::sample::{STALE, Sample, Samples, Series, Shared, Values};

/// More columns than this are decoded on several threads.
const FEW: usize = 3;

/// The rows of a row group that a query is about.
struct Piece {
    part: usize,
    group: usize,
    axis: Arc<Axis>,
    /// Which of the axis' times.
    range: Range<usize>,
    /// Too long after the rows before: when series that were there ended.
    gap: Option<i64>,
}

impl Piece {
    fn times(&self) -> &[i64] {
        &self.axis.times[self.range.clone()]
    }
}

/// A query's share of what a query may have.
struct Allowance {
    left: AtomicUsize,
}

impl Allowance {
    fn take(&self, samples: usize) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(samples)).is_ok()
    }
}

fn too_many() -> Error {
    Error::execution("query processing would load too many samples into memory in query execution")
}

fn damaged(why: String) -> Error {
    Error::new(ErrorKind::Internal, why)
}

/// The samples of series in a span of time, both ends included.
pub fn select(recording: &Recording, entries: &[&Entry], start: i64, end: i64) -> Result<Vec<Series>, Error> {
    if entries.is_empty() || start > end {
        return Ok(Vec::new());
    }
    let pieces = pieces(recording, start, end)?;
    let rows: usize = pieces.iter().map(|piece| piece.range.len()).sum();
    let allowance = Allowance { left: AtomicUsize::new(recording.most_samples) };
    if !allowance.take(rows.saturating_mul(entries.len())) {
        return Err(too_many());
    }
    if rows == 0 {
        return Ok(Vec::new());
    }
    let job = Job { recording, entries, times: common_times(&pieces), pieces, allowance };
    job.run()
}

/// The row groups that have rows in a span, in their order, without rows that
/// are not later than those before.
fn pieces(recording: &Recording, start: i64, end: i64) -> Result<Vec<Piece>, Error> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut last: Option<Arc<Axis>> = None;
    let mut latest = i64::MIN;
    for (part, group) in recording.groups(start, end) {
        let axis = axis(recording, part, group)?;
        let first = axis.times.partition_point(|&time| time < start || time <= latest);
        let range = first..axis.times.partition_point(|&time| time <= end).max(first);
        let gap = last.as_ref().filter(|_| first == 0).and_then(|last| last.gap_before(&axis));
        let gap = gap.filter(|gap| !pieces.is_empty() && *gap <= end);
        latest = latest.max(axis.times.last().copied().unwrap_or(i64::MIN));
        last = Some(axis.clone());
        if !range.is_empty() {
            pieces.push(Piece { part, group, axis, range, gap });
        }
    }
    Ok(pieces)
}

fn axis(recording: &Recording, part: usize, group: usize) -> Result<Arc<Axis>, Error> {
    let (id, part) = &recording.parts[part];
    let key = Key { part: *id, group: group as u32, column: None };
    if part.is_settled()
        && let Some(Some(Held::Axis(axis))) = recording.cache.get(std::iter::once(key)).pop()
    {
        return Ok(axis);
    }
    let axis = Arc::new(Axis::new(part.times(group).map_err(damaged)?, part.interval()));
    if part.is_settled() {
        recording.cache.put(key, Held::Axis(axis.clone()));
    }
    Ok(axis)
}

/// The times of a series that is there all the time.
fn common_times(pieces: &[Piece]) -> Shared<i64> {
    if let [piece] = pieces {
        return piece.axis.times.slice(piece.range.clone());
    }
    let mut times = Vec::with_capacity(pieces.iter().map(|piece| piece.range.len() + 1).sum());
    for piece in pieces {
        times.extend(piece.gap);
        times.extend_from_slice(piece.times());
    }
    times.into()
}

/// A query at work.
struct Job<'a> {
    recording: &'a Recording,
    entries: &'a [&'a Entry],
    pieces: Vec<Piece>,
    times: Shared<i64>,
    allowance: Allowance,
}

impl Job<'_> {
    fn run(&self) -> Result<Vec<Series>, Error> {
        let width = self.pieces.len();
        let keys = self.entries.iter().flat_map(|entry| {
            self.pieces.iter().map(|piece| Key {
                part: self.recording.parts[piece.part].0,
                group: piece.group as u32,
                column: Some(entry.columns[piece.part]),
            })
        });
        let held = self.recording.cache.get(keys);
        // What costs: columns that are not decoded yet, and histograms.
        let costs = |(at, held): (usize, &Option<Held>)| match held {
            Some(Held::Chunk(chunk)) => matches!(**chunk, Chunk::Histograms(_)),
            _ => self.entries[at / width].columns[self.pieces[at % width].part] != NONE,
        };
        let cost = held.iter().enumerate().filter(|held| costs(*held)).take(FEW + 1).count();
        let held: Vec<&[Option<Held>]> = held.chunks(width).collect();
        if cost <= FEW {
            let each = self.entries.iter().zip(held).map(|(entry, held)| self.series(entry, held));
            return each.filter_map(Result::transpose).collect();
        }
        self.in_parallel(&held)
    }

    fn in_parallel(&self, held: &[&[Option<Held>]]) -> Result<Vec<Series>, Error> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(self.entries.len());
        let next = AtomicUsize::new(0);
        let failed: Mutex<Option<Error>> = Mutex::new(None);
        let work = || {
            let mut done: Vec<(usize, Series)> = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let (Some(entry), Some(held)) = (self.entries.get(at), held.get(at)) else { return done };
                match self.series(entry, held) {
                    Ok(series) => done.extend(series.map(|series| (at, series))),
                    Err(error) => {
                        next.store(self.entries.len(), Ordering::Relaxed);
                        failed.lock().get_or_insert(error);
                        return done;
                    }
                }
            }
        };
        let mut done = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for other in others {
                match other.join() {
                    Ok(more) => done.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        });
        if let Some(error) = failed.into_inner() {
            return Err(error);
        }
        done.sort_unstable_by_key(|(at, _)| *at);
        Ok(done.into_iter().map(|(_, series)| series).collect())
    }

    /// A series, of what is decoded and what is not; None if there is nothing of it.
    fn series(&self, entry: &Entry, held: &[Option<Held>]) -> Result<Option<Series>, Error> {
        let mut chunks = Vec::with_capacity(held.len());
        for (piece, held) in self.pieces.iter().zip(held) {
            chunks.push(match (held, entry.columns[piece.part]) {
                (_, NONE) => None,
                (Some(Held::Chunk(chunk)), _) => Some(chunk.clone()),
                (_, column) => Some(self.decode(piece, column)?),
            });
        }
        let samples = match self.whole(&chunks).or_else(|| self.compact(&chunks)) {
            Some(samples) => samples,
            None => self.assemble(&chunks)?,
        };
        Ok((!samples.is_empty()).then(|| Series { labels: entry.labels.clone(), samples }))
    }

    fn decode(&self, piece: &Piece, column: u32) -> Result<Arc<Chunk>, Error> {
        let (id, part) = &self.recording.parts[piece.part];
        let decoded = part.decode(piece.group, column as usize, &piece.axis);
        let chunk = Arc::new(decoded.map_err(damaged)?);
        if part.is_settled() {
            let key = Key { part: *id, group: piece.group as u32, column: Some(column) };
            self.recording.cache.put(key, Held::Chunk(chunk.clone()));
        }
        Ok(chunk)
    }

    /// Of numbers that are there all the time: they share their times, and if they
    /// are in one row group, are not even copied.
    fn whole(&self, chunks: &[Option<Arc<Chunk>>]) -> Option<Samples> {
        let mut parts = VecDeque::with_capacity(chunks.len());
        for (piece, chunk) in self.pieces.iter().zip(chunks) {
            match chunk.as_deref() {
                Some(Chunk::Floats { times, values }) if times.same(&piece.axis.times) => {
                    parts.push_back(values.slice(piece.range.clone()));
                }
                _ => return None,
            }
        }
        if self.pieces.len() == 1 {
            let values = Values::Floats(parts.pop_front()?);
            return Some(Samples { times: self.times.clone(), values });
        }
        let mut all = Vec::with_capacity(self.times.len());
        for (piece, values) in self.pieces.iter().zip(parts) {
            all.extend(piece.gap.map(|_| STALE));
            all.extend_from_slice(&values);
        }
        Some(Samples { times: self.times.clone(), values: Values::Floats(all.into()) })
    }

    /// Of histograms that are there all the time.
    fn compact(&self, chunks: &[Option<Arc<Chunk>>]) -> Option<Samples> {
        let mut pieces = Vec::with_capacity(chunks.len());
        for (piece, chunk) in self.pieces.iter().zip(chunks) {
            match chunk.as_deref() {
                Some(Chunk::Histograms(histograms))
                    if piece.gap.is_none() && histograms.times().same(&piece.axis.times) =>
                {
                    pieces.push((histograms.clone(), piece.range.clone()));
                }
                _ => return None,
            }
        }
        Some(Samples { times: self.times.clone(), values: Values::Compact(Compact::new(pieces)?) })
    }

    /// Of anything else.
    fn assemble(&self, chunks: &[Option<Arc<Chunk>>]) -> Result<Samples, Error> {
        let mut out = Assembly::default();
        for (piece, chunk) in self.pieces.iter().zip(chunks) {
            if let Some(gap) = piece.gap {
                out.end(gap);
            }
            let (Some(&first), Some(&last)) = (piece.times().first(), piece.times().last()) else { continue };
            let Some(chunk) = chunk else {
                out.end(first);
                continue;
            };
            let times = chunk.times();
            let from = times.partition_point(|&time| time < first);
            let range = from..times.partition_point(|&time| time <= last).max(from);
            if times.get(from).is_none_or(|&time| time > first) {
                out.end(first);
            }
            match &**chunk {
                Chunk::Floats { values, .. } => out.floats(&times[range.clone()], &values[range]),
                Chunk::Histograms(histograms) => {
                    out.histograms(&times[range.clone()], histograms, range, &self.allowance)?;
                }
            }
        }
        Ok(out.finish())
    }
}

/// Samples that are being put together: floats as long as there are no others.
#[derive(Default)]
struct Assembly {
    times: Vec<i64>,
    floats: Vec<f64>,
    mixed: Option<Vec<Sample>>,
}

impl Assembly {
    /// The series ended at a time, if it was there.
    fn end(&mut self, time: i64) {
        let alive = match &self.mixed {
            Some(samples) => samples.last().is_some_and(|sample| !sample.is_stale()),
            None => self.floats.last().is_some_and(|value| !crate::sample::is_stale(*value)),
        };
        if alive {
            self.floats(&[time], &[STALE]);
        }
    }

    fn floats(&mut self, times: &[i64], values: &[f64]) {
        self.times.extend_from_slice(times);
        match &mut self.mixed {
            Some(samples) => samples.extend(values.iter().copied().map(Sample::Float)),
            None => self.floats.extend_from_slice(values),
        }
    }

    fn histograms(
        &mut self,
        times: &[i64],
        histograms: &Histograms,
        range: Range<usize>,
        allowance: &Allowance,
    ) -> Result<(), Error> {
        let floats = &mut self.floats;
        let out = self.mixed.get_or_insert_with(|| floats.drain(..).map(Sample::Float).collect());
        self.times.extend_from_slice(times);
        // As Prometheus counts: a histogram is as many samples as it takes the room of.
        histograms.append(range, out, |buckets| allowance.take(buckets / 2)).map_err(|_| too_many())
    }

    fn finish(self) -> Samples {
        let values = match self.mixed {
            Some(samples) => Values::Mixed(samples.into()),
            None => Values::Floats(self.floats.into()),
        };
        Samples { times: self.times.into(), values }
    }
}

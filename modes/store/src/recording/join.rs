//! Row groups put together to series.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::chunk::{Axis, Chunk, Histograms};
use super::{Decoded, Entry, NONE, Recording};
use crate::cache::{Held, Key, What};
use crate::compact::Compact;
use crate::promql::{Error, ErrorKind, parallel};
use crate::sample::{STALE, Sample, Samples, Series, Shared, Values};

/// The rows of a row group that a query is about.
struct Piece {
    key: Key,
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

    /// Which times have to be decoded besides what is: together with these, so that two who
    /// look at different times do not undo each other's work. None if there are none.
    fn lacks(&self, known: Option<&Decoded>) -> Option<Range<usize>> {
        let Some(known) = known else { return Some(self.range.clone()) };
        let (start, end) = (self.range.start.min(known.at.start), self.range.end.max(known.at.end));
        (known.at != (start..end)).then_some(start..end)
    }

    /// The range among the times of what is decoded.
    fn within(&self, decoded: &Decoded) -> Range<usize> {
        self.range.start - decoded.at.start..self.range.end - decoded.at.start
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
            let key = Key { part: recording.parts[part].0, group: group as u32 };
            pieces.push(Piece { key, part, group, axis, range, gap });
        }
    }
    Ok(pieces)
}

fn axis(recording: &Recording, part: usize, group: usize) -> Result<Arc<Axis>, Error> {
    let (id, part) = &recording.parts[part];
    let key = Key { part: *id, group: group as u32 };
    if part.is_settled()
        && let Some(Some(Held::Axis(axis))) = recording.cache.get(key, [What::Times]).pop()
    {
        return Ok(axis);
    }
    let axis = Arc::new(Axis::new(part.times(group).map_err(damaged)?, part.interval()));
    if part.is_settled() {
        recording.cache.put(key, [(What::Times, Held::Axis(axis.clone()))]);
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

/// What has to be decoded: its place in the answer, piece and column, and which of its times.
type Missing<'a> = (usize, &'a Piece, u32, Range<usize>);

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
        let decoded = self.decoded()?;
        // Most need no more than to be pointed at.
        let quick = |chunks: &[Option<Arc<Decoded>>]| self.whole(chunks).or_else(|| self.compact(chunks));
        let mut samples: Vec<Option<Samples>> = decoded.chunks(self.pieces.len()).map(quick).collect();
        let rest: Vec<usize> = (0..samples.len()).filter(|&at| samples[at].is_none()).collect();
        let assemble = |&at: &usize| self.assemble(&decoded[at * self.pieces.len()..][..self.pieces.len()]);
        for (&at, assembled) in rest.iter().zip(parallel::try_map(&rest, assemble)?) {
            samples[at] = Some(assembled);
        }
        let series = self.entries.iter().zip(samples).filter_map(|(entry, samples)| {
            let samples = samples.filter(|samples| !samples.is_empty())?;
            Some(Series { labels: entry.labels.clone(), samples })
        });
        Ok(series.collect())
    }

    /// What every piece has of every entry, piece by piece of the first one, then of the
    /// next. What is not in the cache is decoded, and put there; whoever wants the same
    /// meanwhile waits for that.
    fn decoded(&self) -> Result<Vec<Option<Arc<Decoded>>>, Error> {
        let cache = &self.recording.cache;
        let column = |(_, piece, column, _): &Missing<'_>| (piece.key, *column);
        let (mut all, mut missing) = self.held();
        while !missing.is_empty() {
            // What does not go to the cache nobody can wait for.
            let (settled, mut mine): (Vec<_>, Vec<_>) =
                missing.into_iter().partition(|(_, piece, ..)| self.is_settled(piece));
            let (claim, is_mine) = cache.claim(settled.iter().map(column));
            let mut others = Vec::new();
            for (one, is_mine) in settled.into_iter().zip(is_mine) {
                // Whoever was at it may be done since it was looked for.
                if is_mine { mine.extend(self.still(one, &mut all)) } else { others.push(one) }
            }
            self.decode(&mine, &mut all)?;
            drop(claim);
            cache.wait(others.iter().map(column));
            // It may have been other rows, or gone again.
            missing = others.into_iter().filter_map(|one| self.still(one, &mut all)).collect();
        }
        Ok(all)
    }

    fn is_settled(&self, piece: &Piece) -> bool {
        self.recording.parts[piece.part].1.is_settled()
    }

    fn decode(&self, missing: &[Missing<'_>], all: &mut [Option<Arc<Decoded>>]) -> Result<(), Error> {
        let new = parallel::try_map(missing, |(_, piece, column, wanted)| {
            let part = &self.recording.parts[piece.part].1;
            let decoded = part.decode(piece.group, *column as usize, &piece.axis, wanted.clone());
            decoded.map(Arc::new).map_err(damaged)
        })?;
        for ((at, ..), decoded) in missing.iter().zip(&new) {
            all[*at] = Some(decoded.clone());
        }
        for piece in self.pieces.iter().filter(|piece| self.is_settled(piece)) {
            let kept = missing.iter().zip(&new).filter(|((_, of, ..), _)| std::ptr::eq(*of, piece));
            let kept =
                kept.map(|((_, _, column, _), new)| (What::Column(*column), Held::Column(new.clone())));
            self.recording.cache.put(piece.key, kept);
        }
        Ok(())
    }

    /// Looks again for what was missing: it is now among all, or still missing.
    fn still<'a>(
        &self,
        (at, piece, column, _): Missing<'a>,
        all: &mut [Option<Arc<Decoded>>],
    ) -> Option<Missing<'a>> {
        let held = self.recording.cache.get(piece.key, [What::Column(column)]).pop().flatten();
        let known = match held {
            Some(Held::Column(known)) => Some(known),
            _ => None,
        };
        match piece.lacks(known.as_deref()) {
            Some(wanted) => Some((at, piece, column, wanted)),
            None => {
                all[at] = known;
                None
            }
        }
    }

    /// What is in the cache, and what is not.
    fn held(&self) -> (Vec<Option<Arc<Decoded>>>, Vec<Missing<'_>>) {
        let width = self.pieces.len();
        let mut all: Vec<Option<Arc<Decoded>>> = vec![None; self.entries.len() * width];
        let mut missing = Vec::new();
        for (number, piece) in self.pieces.iter().enumerate() {
            let columns = || self.entries.iter().map(|entry| entry.columns[piece.part]);
            let held = self.recording.cache.get(piece.key, columns().map(What::Column));
            for (at, (column, held)) in columns().zip(held).enumerate() {
                let known = match held {
                    Some(Held::Column(known)) => Some(known),
                    _ if column == NONE => continue,
                    _ => None,
                };
                match piece.lacks(known.as_deref()) {
                    Some(wanted) => missing.push((at * width + number, piece, column, wanted)),
                    None => all[at * width + number] = known,
                }
            }
        }
        (all, missing)
    }

    /// Of numbers that are there all the time: they share their times, and if they
    /// are in one row group, are not even copied.
    fn whole(&self, chunks: &[Option<Arc<Decoded>>]) -> Option<Samples> {
        let mut parts = Vec::with_capacity(chunks.len());
        for (piece, decoded) in self.pieces.iter().zip(chunks) {
            let decoded = decoded.as_deref().filter(|decoded| decoded.is_full(&piece.axis))?;
            let Chunk::Floats { values, .. } = &decoded.chunk else { return None };
            parts.push((values, piece.within(decoded)));
        }
        if let [(values, range)] = &parts[..] {
            let values = Values::Floats(values.slice(range.clone()));
            return Some(Samples { times: self.times.clone(), values });
        }
        let mut all = Vec::with_capacity(self.times.len());
        for (piece, (values, range)) in self.pieces.iter().zip(parts) {
            all.extend(piece.gap.map(|_| STALE));
            all.extend_from_slice(&values[range]);
        }
        Some(Samples { times: self.times.clone(), values: Values::Floats(all.into()) })
    }

    /// Of histograms that are there all the time.
    fn compact(&self, chunks: &[Option<Arc<Decoded>>]) -> Option<Samples> {
        let mut pieces = Vec::with_capacity(chunks.len());
        for (piece, decoded) in self.pieces.iter().zip(chunks) {
            let decoded = decoded.as_deref().filter(|decoded| decoded.is_full(&piece.axis))?;
            match &decoded.chunk {
                Chunk::Histograms(histograms) if piece.gap.is_none() => {
                    pieces.push((histograms.clone(), piece.within(decoded)));
                }
                _ => return None,
            }
        }
        Some(Samples { times: self.times.clone(), values: Values::Compact(Compact::new(pieces)?) })
    }

    /// Of anything else.
    fn assemble(&self, chunks: &[Option<Arc<Decoded>>]) -> Result<Samples, Error> {
        let mut out = Assembly::default();
        for (piece, chunk) in self.pieces.iter().zip(chunks) {
            if let Some(gap) = piece.gap {
                out.end(gap);
            }
            let (Some(&first), Some(&last)) = (piece.times().first(), piece.times().last()) else { continue };
            let Some(chunk) = chunk.as_deref().map(|decoded| &decoded.chunk) else {
                out.end(first);
                continue;
            };
            let times = chunk.times();
            let from = times.partition_point(|&time| time < first);
            let range = from..times.partition_point(|&time| time <= last).max(from);
            if times.get(from).is_none_or(|&time| time > first) {
                out.end(first);
            }
            match chunk {
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

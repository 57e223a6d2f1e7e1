//! Functions over range vectors: of each series, window by window.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::args::Args;
use super::rate::Span;
use super::remarks::Seen;
use super::{Context, absent, over_time, rate, sliding, without_empty};
use crate::promql::points::Points;
use crate::promql::value::{Grid, RangeVector, Row};
use crate::promql::window::{Window, WindowValues};
use crate::promql::{Error, ErrorKind, Options, parallel};
use crate::sample::{Sample, Samples, Shared, Values};

/// After so many samples of windows comes a look at whether anyone still waits.
const PATIENCE: usize = 1 << 20;

/// Where the windows are.
pub struct Steps<'o> {
    pub grid: Grid,
    /// The windows' length, ns.
    pub range: i64,
    ends: Arc<[i64]>,
    options: &'o Options,
    /// The first times that were looked at, and where the windows are in them.
    known: OnceLock<(Shared<i64>, Arc<[Place]>)>,
}

/// A window with something in it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub step: usize,
    /// Which samples.
    pub first: usize,
    pub last: usize,
    /// Bounds in ns.
    pub start: i64,
    pub end: i64,
    pub span: Span,
}

impl Steps<'_> {
    /// Where the windows are. Series that were sampled together have the same
    /// places, which are found once.
    pub fn places(&self, times: &Shared<i64>) -> Arc<[Place]> {
        let find = || -> Arc<[Place]> {
            let (mut first, mut last) = (0, 0);
            let ends = self.ends.iter().enumerate().take(self.grid.count);
            let places = ends.filter_map(|(step, &end)| {
                let start = end.saturating_sub(self.range);
                first = after(times, first, start);
                last = after(times, last.max(first), end);
                (first < last).then(|| {
                    let span = Span::of(&times[first..last], start, end);
                    Place { step, first, last, start, end, span }
                })
            });
            places.collect()
        };
        let (known, places) = self.known.get_or_init(|| (times.clone(), find()));
        if known.same(times) { places.clone() } else { find() }
    }

    /// Hands out the windows that have something in them, in the order of steps:
    /// the step, which samples, and these. No window begins or ends before the one
    /// of the step before.
    pub fn each<'s>(
        &self,
        samples: &'s Samples,
        mut each: impl FnMut(usize, Range<usize>, &Window<'s>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let times = &samples.times[..];
        let mut seen = 0usize;
        for &Place { step, first, last, start, end, .. } in self.places(&samples.times).iter() {
            seen += last - first;
            if seen > PATIENCE {
                seen = 0;
                check(self.options)?;
            }
            let values = match &samples.values {
                Values::Floats(floats) => WindowValues::Floats(&floats[first..last]),
                Values::Mixed(mixed) => WindowValues::Mixed(&mixed[first..last]),
                // Whoever takes these takes them from the samples.
                Values::Compact(_) => WindowValues::Mixed(&[]),
            };
            let at = self.grid.at(step);
            each(step, first..last, &Window { times: &times[first..last], values, start, end, at })?;
        }
        Ok(())
    }

    /// What a function yields at each step.
    pub fn points<'s>(
        &self,
        samples: &'s Samples,
        mut function: impl FnMut(usize, &Window<'s>) -> Result<Option<Sample>, Error>,
    ) -> Result<Points, Error> {
        let mut points = Points::absent(self.grid.count);
        self.each(samples, |step, _, window| {
            points.set(step, function(step, window)?);
            Ok(())
        })?;
        Ok(points)
    }
}

/// The first index from `from` on whose time is after `bound`. It is likely near:
/// looks ever farther before it searches.
fn after(times: &[i64], from: usize, bound: i64) -> usize {
    let (mut low, mut step) = (from, 1);
    while low + step <= times.len() && times[low + step - 1] <= bound {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(times.len());
    low + times[low..high].partition_point(|&time| time <= bound)
}

/// Calls a function over a range vector, if it is one.
pub fn call(
    function: &str,
    args: &mut Args<'_>,
    context: &mut Context<'_>,
) -> Result<Option<Vec<Row>>, Error> {
    if function == "absent_over_time" {
        return Ok(Some(absent::absent_over_time(&args.range()?, context)));
    }
    if let Some(kind) = rate::Kind::named(function) {
        let vector = args.range()?;
        let sums_only = context.sums_only;
        return each_row(vector, context, false, |samples, steps, seen| {
            let samples = if kind.takes_compact() { samples } else { samples.unpacked() };
            kind.points(&samples, steps, sums_only, seen)
        })
        .map(Some);
    }
    if matches!(function, "quantile_over_time" | "predict_linear" | "double_exponential_smoothing") {
        return over_time::with_params(function, args, context).map(Some);
    }
    if let Some(slide) = sliding::named(function) {
        let of = over_time::named(function);
        return rows(args.range()?, context, false, |samples, steps, seen| match (&samples.values, of) {
            (Values::Mixed(_), Some(of)) => steps.points(samples, |_, window| Ok(of(window, seen))),
            _ => slide(samples, steps),
        })
        .map(Some);
    }
    let Some(of) = over_time::named(function) else { return Ok(None) };
    let keep = matches!(function, "last_over_time" | "first_over_time");
    rows(args.range()?, context, keep, |samples, steps, seen| {
        steps.points(samples, |_, window| Ok(of(window, seen)))
    })
    .map(Some)
}

/// Evaluates each series, and says what there is to say of it. A result is the
/// metric no longer, unless `keep`.
pub fn rows(
    vector: RangeVector,
    context: &mut Context<'_>,
    keep: bool,
    points: impl Fn(&Samples, &Steps<'_>, &mut Seen) -> Result<Points, Error> + Sync,
) -> Result<Vec<Row>, Error> {
    each_row(vector, context, keep, |samples, steps, seen| points(&samples.unpacked(), steps, seen))
}

/// The same with compact histograms as they are.
fn each_row(
    vector: RangeVector,
    context: &mut Context<'_>,
    keep: bool,
    points: impl Fn(Samples, &Steps<'_>, &mut Seen) -> Result<Points, Error> + Sync,
) -> Result<Vec<Row>, Error> {
    let options = context.options;
    let known = OnceLock::new();
    let steps = Steps { grid: context.grid, range: vector.range, ends: vector.ends, options, known };
    let cost = vector.rows.iter().map(|row| row.samples.len() + steps.grid.count).sum();
    let done = parallel::map(vector.rows, cost, |row| {
        check(options)?;
        let mut seen = Seen::default();
        let points = points(row.samples, &steps, &mut seen)?;
        Ok((Row { labels: row.labels, drop_name: row.drop_name || !keep, points }, seen))
    });
    let mut rows: Vec<Row> = Vec::with_capacity(done.len());
    let mut before = Seen::default();
    for done in done {
        let (row, seen): (Row, Seen) = done?;
        // Of series of the same metric there is mostly the same to say.
        if seen != before || rows.last().is_none_or(|last| last.labels.name() != row.labels.name()) {
            seen.tell(row.labels.name(), context.notes);
        }
        before = seen;
        rows.push(row);
    }
    Ok(without_empty(rows))
}

/// Whether anyone still waits for the answer.
pub fn check(options: &Options) -> Result<(), Error> {
    if options.canceled.as_ref().is_some_and(|canceled| canceled.load(Ordering::Relaxed)) {
        return Err(Error::new(ErrorKind::Canceled, "query was canceled in expression evaluation"));
    }
    if options.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return Err(Error::new(ErrorKind::Timeout, "query timed out in expression evaluation"));
    }
    Ok(())
}

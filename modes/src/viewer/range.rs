//! `view/range`: a query over time, as columns to draw.

use std::collections::BTreeMap;
use std::sync::Arc;

use rezolus_store::promql::{self, Error, Notes, Value, is_absent};
use rezolus_store::sample::Values;
use rezolus_store::{FloatHistogram, Labels, Sample, Series, Source};
use serde_json::{Value as Json, json};

use super::inputs::seconds;
use super::reduce::{per_lot, reduce};
use super::{body, text};

/// So many values a query may give before the step is made larger than the interval.
const MOST_VALUES: usize = 2_000_000;
/// A histogram counts as so many.
const HISTOGRAM: usize = 16;
/// ns
const MILLI: i64 = 1_000_000;

/// What is asked. Times in ns.
pub struct Request {
    pub query: String,
    pub start: i64,
    pub end: i64,
    /// How many can be drawn.
    pub points: usize,
    pub step: Option<i64>,
    pub format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Series,
    Heatmap,
}

/// Evaluates the request over a source with a sample each `interval` ns, and writes the answer.
///
/// # Errors
///
/// When it is no query, or cannot be evaluated, or gives what the format cannot show.
pub fn answer(
    source: &dyn Source,
    interval: i64,
    request: &Request,
    options: &promql::Options,
) -> Result<Vec<u8>, Error> {
    let Request { start, end, points, .. } = *request;
    if end < start {
        return Err(Error::bad_data("the end is before the start"));
    }
    let step = match request.step {
        Some(step) => step,
        None => step(source, interval, request)?,
    };
    let window = 2 * interval.max(step);
    let query = text::fill(&request.query, &format!("{}ms", window.div_euclid(MILLI).max(1)), "0.5");
    // Steps are where they always are, whatever part of them is asked for.
    let start = start.div_euclid(step) * step;
    let count = usize::try_from((end - start) / step + 1).unwrap_or(usize::MAX);
    let answer = promql::range(source, &query, start, end, step, options)
        .map_err(|error| in_place(error, &request.query, &query))?;
    let Value::Matrix(all) = answer.value else {
        return Err(Error::execution("the answer is no series"));
    };
    let grid = Grid { start, step, count, per: per_lot(count, points), interval };
    let histograms = all.iter().any(|series| !matches!(series.samples.values, Values::Floats(_)));
    match (request.format, histograms) {
        (Some(Format::Series), true) => Err(Error::bad_data(
            "this query gives histograms: take histogram_quantile() of it, or show it as a heatmap",
        )),
        (Some(Format::Heatmap), false) if !all.is_empty() => {
            Err(Error::bad_data("this query gives numbers, and a heatmap is of histograms"))
        }
        (Some(Format::Heatmap), _) | (None, true) => heatmap(&grid, &all, &answer.notes),
        _ => Ok(lines(&grid, &all, &answer.notes)),
    }
}

/// The places of an error in the query that was filled in are not those in the query as it was asked.
fn in_place(mut error: Error, asked: &str, filled: &str) -> Error {
    if asked != filled {
        error.range = None;
    }
    error
}

/// Steps, and how many are put together. Times in ns.
struct Grid {
    start: i64,
    step: i64,
    count: usize,
    per: usize,
    interval: i64,
}

impl Grid {
    fn lots(&self) -> usize {
        self.count.div_ceil(self.per)
    }

    fn header(&self, kind: &str, all: &[Series], notes: &Notes) -> Json {
        let labels = |labels: &Labels| -> Json {
            labels.iter().map(|(name, value)| (name.to_string(), Json::from(&**value))).collect()
        };
        let series: Vec<Json> = all.iter().map(|series| json!({"labels": labels(&series.labels)})).collect();
        json!({
            "kind": kind,
            "start": seconds(self.start),
            "step": seconds(self.step * self.per as i64),
            "count": self.lots(),
            "per": self.per,
            "interval": seconds(self.interval),
            "series": series,
            "warnings": notes.warnings,
            "infos": notes.infos,
        })
    }
}

/// The least step that is affordable: the interval, or a multiple of it that divides evenly where it can.
fn step(source: &dyn Source, interval: i64, request: &Request) -> Result<i64, Error> {
    let query = text::fill(&request.query, "1s", "0.5");
    let selects = promql::selects(&query).map_err(|error| in_place(error, &request.query, &query))?;
    let mut weight = 0;
    let kinds = source.metadata();
    for matchers in &selects.selectors {
        for labels in source.series(matchers, request.start, request.end)? {
            let histogram = kinds.get(labels.name()).is_some_and(|known| known.kind == "histogram");
            weight += if histogram { HISTOGRAM } else { 1 };
        }
    }
    let steps = ((request.end - request.start) / interval) as usize + 1;
    let wanted = (steps.saturating_mul(weight)).div_ceil(MOST_VALUES).max(1);
    // Never fewer than can be drawn.
    let most = (steps / request.points.max(1)).max(1);
    Ok(interval.saturating_mul(wanted.min(most) as i64))
}

fn lines(grid: &Grid, all: &[Series], notes: &Notes) -> Vec<u8> {
    let mut header = grid.header("series", all, notes);
    let reduced = grid.per > 1;
    header["reduced"] = reduced.into();
    let mut out = body::begin(&header.to_string());
    out.reserve(all.len() * grid.lots() * if reduced { 24 } else { 8 });
    let mut values = Vec::with_capacity(grid.count);
    for series in all {
        values.clear();
        values.resize(grid.count, f64::NAN);
        if let Values::Floats(floats) = &series.samples.values {
            for (&time, &value) in series.samples.times.iter().zip(floats.iter()) {
                let at = ((time - grid.start) / grid.step) as usize;
                if let Some(place) = values.get_mut(at).filter(|_| !is_absent(value)) {
                    *place = value;
                }
            }
        }
        body::series(&mut out, &reduce(&values, grid.per), reduced);
    }
    out
}

/// All series added up; of a lot, the mean of its steps.
fn heatmap(grid: &Grid, all: &[Series], notes: &Notes) -> Result<Vec<u8>, Error> {
    let mut sums = Sums::default();
    for series in all {
        let samples = &series.samples;
        match &samples.values {
            Values::Compact(compact) => {
                for (histogram, &time) in compact.at(0..compact.len()).zip(samples.times.iter()) {
                    sums.add(grid, time, &histogram)?;
                }
            }
            Values::Mixed(values) => {
                for (value, &time) in values.iter().zip(samples.times.iter()) {
                    if let Sample::Histogram(histogram) = value {
                        sums.add(grid, time, histogram)?;
                    }
                }
            }
            Values::Floats(_) => {}
        }
    }
    let (first, bounds, cells) = sums.cells();
    let greatest = cells.iter().map(|(_, _, count)| *count).fold(0.0, f64::max);
    let mut header = grid.header("heatmap", all, notes);
    header["bounds"] = json!(bounds);
    header["cells"] = cells.len().into();
    header["greatest"] = greatest.into();
    let mut out = body::begin(&header.to_string());
    let cells: Vec<_> = cells.into_iter().map(|(lot, bucket, count)| (lot, bucket - first, count)).collect();
    body::cells(&mut out, &cells);
    Ok(out)
}

#[derive(Default)]
struct Sums {
    /// Upper bounds of all buckets but the last, which has none.
    bounds: Option<Arc<[f64]>>,
    /// By lot: at each bucket how much.
    lots: BTreeMap<u32, Vec<f64>>,
    /// By lot: which of its steps had anything.
    steps: BTreeMap<u32, std::collections::BTreeSet<i64>>,
}

impl Sums {
    fn add(&mut self, grid: &Grid, time: i64, histogram: &FloatHistogram) -> Result<(), Error> {
        if !histogram.is_custom() {
            return Err(Error::execution(
                "a heatmap can be drawn of histograms with bounds of their own only",
            ));
        }
        let bounds = self.bounds.get_or_insert_with(|| histogram.custom_values.clone());
        let same = Arc::ptr_eq(bounds, &histogram.custom_values) || *bounds == histogram.custom_values;
        let step = (time - grid.start) / grid.step;
        let lot = (step as usize / grid.per) as u32;
        let width = bounds.len() + 1;
        let counts = self.lots.entry(lot).or_insert_with(|| vec![0.0; width]);
        for bucket in histogram.buckets() {
            let at = match same {
                true => usize::try_from(bucket.index).unwrap_or_default(),
                // Where its upper bound is, or would be.
                false => bounds.partition_point(|&bound| bound < bucket.upper),
            };
            if let Some(count) = counts.get_mut(at) {
                *count += bucket.count;
            }
        }
        self.steps.entry(lot).or_default().insert(step);
        Ok(())
    }

    /// The lowest bucket that has anything, bounds from it on to the highest that does, and all cells.
    fn cells(self) -> (u32, Vec<f64>, Vec<(u32, u32, f64)>) {
        let mut cells = Vec::new();
        for (&lot, counts) in &self.lots {
            // A step that had nothing counts too, if it is not a gap: those that answered.
            let steps = self.steps.get(&lot).map_or(1, std::collections::BTreeSet::len) as f64;
            let there = counts.iter().enumerate().filter(|(_, count)| **count > 0.0);
            cells.extend(there.map(|(bucket, &count)| (lot, bucket as u32, count / steps)));
        }
        let first = cells.iter().map(|cell| cell.1).min().unwrap_or_default();
        let last = cells.iter().map(|cell| cell.1).max().unwrap_or_default();
        let upper = self.bounds.unwrap_or_else(|| Arc::from([]));
        let bound = |at: u32| match at.checked_sub(1) {
            // Nothing measured is below zero.
            None => 0.0,
            Some(at) => {
                let last = upper.last().copied().unwrap_or_default();
                upper.get(at as usize).copied().unwrap_or(last * 2.0)
            }
        };
        let bounds = if cells.is_empty() { Vec::new() } else { (first..=last + 1).map(bound).collect() };
        (first, bounds, cells)
    }
}

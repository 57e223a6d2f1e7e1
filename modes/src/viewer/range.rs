//! `view/range`: a query over time, as columns to draw.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rezolus_store::promql::{self, Answer, Error, Notes, Value, is_absent};
use rezolus_store::sample::{Samples, Values};
use rezolus_store::{FloatHistogram, Labels, Sample, Series, Source};
use serde_json::{Value as Json, json};

use super::inputs::seconds;
use super::reduce::{per_lot, reduce};
use super::text::Filled;
use super::{body, text};

/// So many values a query may give before the step is made larger than the interval.
const MOST_VALUES: usize = 2_000_000;
/// A histogram counts as so many: its window takes some hundred times as long as a number's.
const HISTOGRAM: usize = 64;
/// A part that is evaluated at a time has at least so many rows.
const LEAST_ROWS: i64 = 4096;
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
    /// Of histograms: these instead of them, each as a series with a label `quantile`. Where the query has
    /// `$quantile` it stands for each of them.
    pub quantiles: Vec<f64>,
    /// Whether the sum of all series comes as one more, added up step by step.
    pub total: bool,
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
    let window = format!("{}ms", interval.max(step).saturating_mul(2).div_euclid(MILLI).max(1));
    // Steps are where they always are, whatever part of them is asked for, unless that is out of this world.
    let aligned = start.div_euclid(step).saturating_mul(step);
    let start = if end.checked_sub(aligned).is_some() { aligned } else { start };
    let count = usize::try_from((end - start) / step + 1).unwrap_or(usize::MAX);
    if count > options.max_samples {
        return Err(Error::execution(format!("{count} steps are too many: take a larger step")));
    }
    let grid = Grid { start, step, count, per: per_lot(count, points), interval };
    // What the quantiles are of is evaluated once, if it can be.
    let inner = text::of_quantile(&request.query).filter(|_| !request.quantiles.is_empty());
    let asked = inner.unwrap_or(&request.query);
    let offset = inner.map_or(0, |inner| inner.as_ptr() as usize - request.query.as_ptr() as usize);
    let each = !request.quantiles.is_empty() && inner.is_none() && text::has_quantile(asked);
    let mut gathered = Gathered::new(request);
    for (first, last) in parts(source, &grid, asked) {
        let evaluate = |quantile: &str| {
            let filled = text::filled(asked, &window, quantile);
            let (from, to) = (start + first as i64 * step, start + last as i64 * step);
            let answer = promql::range(source, &filled.text, from, to, step, options);
            answer.map_err(|error| in_place(error, &filled, &request.query, offset))
        };
        match each {
            false => gathered.take(&grid, evaluate("0.5")?, None)?,
            true => request.quantiles.iter().try_for_each(|quantile| {
                gathered.take(&grid, evaluate(&quantile.to_string())?, Some(*quantile))
            })?,
        }
    }
    Ok(gathered.write(&grid, request.total))
}

/// The first and last steps of parts that are evaluated one after the other: what is in memory at
/// a time is little, and near. They end where the source's rows are stored apart.
fn parts(source: &dyn Source, grid: &Grid, query: &str) -> Vec<(usize, usize)> {
    let last = grid.count - 1;
    if is_of_the_whole(query) {
        return vec![(0, last)];
    }
    let end = grid.start.saturating_add(grid.step.saturating_mul(last as i64));
    let mut parts = Vec::new();
    let mut first = 0;
    for seam in source.seams(grid.start, end) {
        let at = ((seam - grid.start).max(0) / grid.step) as usize;
        let rows = (at.saturating_sub(first) as i64).saturating_mul(grid.step) / grid.interval;
        if rows >= LEAST_ROWS && at < last {
            parts.push((first, at));
            first = at + 1;
        }
    }
    parts.push((first, last));
    parts
}

/// Whether it may ask for the first or last time of the evaluation, as `@ end()` or `range()` does, or for
/// the step, which of one time is none.
fn is_of_the_whole(query: &str) -> bool {
    let mut words = query.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':'));
    let asks = |word: &str| ["start", "end", "range", "step"].iter().any(|of| word.eq_ignore_ascii_case(of));
    query.contains('@') || words.any(asks)
}

/// An error of what was evaluated, with its place in what was asked; `offset` is where that part of it begins.
fn in_place(mut error: Error, filled: &Filled, asked: &str, offset: usize) -> Error {
    let Some(range) = error.range.take() else { return error };
    let range = filled.place(&range);
    let range = (range.start + offset).min(asked.len())..(range.end + offset).min(asked.len());
    // The message begins with the place in what was evaluated: `1:8: parse error: ...`.
    let mut parts = error.message.splitn(3, ':');
    let numbers =
        [parts.next(), parts.next()].map(|part| part.is_some_and(|part| part.parse::<usize>().is_ok()));
    if let (true, Some(rest), Some(before)) =
        (numbers == [true, true], parts.next(), asked.get(..range.start))
    {
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
        error.message = format!("{line}:{column}:{rest}");
    }
    error.range = Some(range);
    error
}

/// What the parts gave.
struct Gathered<'a> {
    request: &'a Request,
    known: HashMap<Labels, usize>,
    lines: Vec<(Labels, Vec<f64>)>,
    /// Of histograms, all added up.
    sums: Option<Sums>,
    /// Of those, what they are.
    heat: BTreeSet<Labels>,
    notes: Notes,
}

impl<'a> Gathered<'a> {
    fn new(request: &'a Request) -> Self {
        let (known, lines, heat) = (HashMap::new(), Vec::new(), BTreeSet::new());
        Self { request, known, lines, sums: None, heat, notes: Notes::default() }
    }

    /// Takes a part; if its series are a quantile, they are labelled as such.
    fn take(&mut self, grid: &Grid, answer: Answer, quantile: Option<f64>) -> Result<(), Error> {
        let Value::Matrix(all) = answer.value else {
            return Err(Error::execution("the answer is no series"));
        };
        self.notes.warnings.extend(answer.notes.warnings);
        self.notes.infos.extend(answer.notes.infos);
        let quantiles = &self.request.quantiles;
        for Series { labels, samples } in all {
            match (&samples.values, self.request.format) {
                (Values::Floats(_), Some(Format::Heatmap)) => {
                    return Err(Error::bad_data("this query gives numbers, and a heatmap is of histograms"));
                }
                (Values::Floats(floats), _) => {
                    if !quantiles.is_empty() && quantile.is_none() {
                        return Err(Error::bad_data(
                            "this query gives numbers, and quantiles are of histograms",
                        ));
                    }
                    let labels = quantile.map_or(labels.clone(), |q| labels.with("quantile", &q.to_string()));
                    let line = self.line(grid, labels);
                    for (&time, &value) in samples.times.iter().zip(floats.iter()) {
                        if let Some(place) = line.get_mut(grid.step_of(time)).filter(|_| !is_absent(value)) {
                            *place = value;
                        }
                    }
                }
                _ if !quantiles.is_empty() => {
                    let labels = labels.without_name();
                    let mut columns = vec![Vec::with_capacity(samples.len()); quantiles.len()];
                    histograms(&samples, |time, histogram| {
                        for (column, &quantile) in columns.iter_mut().zip(quantiles) {
                            column.push((grid.step_of(time), histogram.quantile(quantile).0));
                        }
                        Ok(())
                    })?;
                    for (column, quantile) in columns.into_iter().zip(quantiles) {
                        let line = self.line(grid, labels.with("quantile", &quantile.to_string()));
                        for (at, value) in column {
                            line.get_mut(at).into_iter().for_each(|place| *place = value);
                        }
                    }
                }
                (_, Some(Format::Series)) => {
                    return Err(Error::bad_data(
                        "this query gives histograms: take histogram_quantile() of it, or show it as a heatmap",
                    ));
                }
                _ => {
                    let sums = self.sums.get_or_insert_default();
                    histograms(&samples, |time, histogram| sums.add(grid, time, histogram))?;
                    self.heat.insert(labels);
                }
            }
        }
        Ok(())
    }

    /// The values of a series at all steps.
    fn line(&mut self, grid: &Grid, labels: Labels) -> &mut [f64] {
        let lines = &mut self.lines;
        let at = *self.known.entry(labels).or_insert_with_key(|labels| {
            lines.push((labels.clone(), vec![f64::NAN; grid.count]));
            lines.len() - 1
        });
        &mut lines[at].1
    }

    fn write(mut self, grid: &Grid, total: bool) -> Vec<u8> {
        let heatmap = self.request.format == Some(Format::Heatmap);
        match self.sums {
            Some(sums) => sums.write(grid, &self.heat, &self.notes),
            None if heatmap => Sums::default().write(grid, &self.heat, &self.notes),
            None => {
                self.lines.sort_by(|a, b| a.0.cmp(&b.0));
                lines(grid, &self.lines, total, &self.notes)
            }
        }
    }
}

/// Each histogram of a series, and its time.
fn histograms(
    samples: &Samples,
    mut each: impl FnMut(i64, &FloatHistogram) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut times = samples.times.iter();
    let mut next = |histogram: &FloatHistogram| times.next().map_or(Ok(()), |&time| each(time, histogram));
    match &samples.values {
        Values::Floats(_) => Ok(()),
        Values::Compact(compact) => compact.at(0..compact.len()).try_for_each(|histogram| next(&histogram)),
        Values::Mixed(values) => values.iter().try_for_each(|value| match value {
            Sample::Histogram(histogram) => next(histogram),
            Sample::Float(_) => next(&FloatHistogram::default()),
        }),
    }
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

    fn step_of(&self, time: i64) -> usize {
        usize::try_from((time - self.start) / self.step).unwrap_or(usize::MAX)
    }

    fn header<'a>(&self, kind: &str, all: impl IntoIterator<Item = &'a Labels>, notes: &Notes) -> Json {
        let labels = |labels: &Labels| -> Json {
            labels.iter().map(|(name, value)| (name.to_string(), Json::from(&**value))).collect()
        };
        let series: Vec<Json> = all.into_iter().map(|all| json!({"labels": labels(all)})).collect();
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
    let filled = text::filled(&request.query, "1s", "0.5");
    let selectors = match promql::selects(&filled.text) {
        Ok(selects) => selects.selectors,
        // Whether `[range()]` is good is seen only when it is known how long that is.
        Err(_) if is_of_the_whole(&filled.text) => Vec::new(),
        Err(error) => return Err(in_place(error, &filled, &request.query, 0)),
    };
    let mut weight = 0;
    let kinds = source.metadata();
    for matchers in &selectors {
        for labels in source.series(matchers, request.start, request.end)? {
            let histogram = kinds.get(labels.name()).is_some_and(|known| known.kind == "histogram");
            weight += if histogram { HISTOGRAM } else { 1 };
        }
    }
    let steps = ((request.end - request.start) / interval) as usize + 1;
    let wanted = steps.saturating_mul(weight.max(1)).div_ceil(MOST_VALUES).max(1);
    // Never fewer than can be drawn.
    let most = (steps / request.points.max(1)).max(1);
    Ok(interval.saturating_mul(wanted.min(most) as i64))
}

fn lines(grid: &Grid, all: &[(Labels, Vec<f64>)], total: bool, notes: &Notes) -> Vec<u8> {
    let mut header = grid.header("series", all.iter().map(|(labels, _)| labels), notes);
    let reduced = grid.per > 1;
    header["reduced"] = reduced.into();
    if let (true, Some(told)) = (total, header["series"].as_array_mut()) {
        told.push(json!({"labels": {}}));
    }
    let mut out = body::begin(&header.to_string());
    out.reserve((all.len() + usize::from(total)) * grid.lots() * if reduced { 24 } else { 8 });
    for (_, values) in all {
        body::series(&mut out, &reduce(values, grid.per), reduced);
    }
    if total {
        let mut sum = vec![f64::NAN; grid.count];
        for (_, values) in all {
            // What is not there adds nothing.
            for (sum, &value) in sum.iter_mut().zip(values).filter(|(_, value)| !value.is_nan()) {
                *sum = if sum.is_nan() { value } else { *sum + value };
            }
        }
        body::series(&mut out, &reduce(&sum, grid.per), reduced);
    }
    out
}

/// Histograms over time: those of a lot added up.
#[derive(Default)]
struct Sums {
    /// Upper bounds of all buckets but the last, which has none.
    bounds: Option<Arc<[f64]>>,
    /// By lot: at each bucket how much.
    lots: BTreeMap<u32, Vec<f64>>,
    /// By lot: which of its steps had anything.
    steps: BTreeMap<u32, BTreeSet<usize>>,
}

impl Sums {
    /// Of a lot, the mean of its steps.
    fn write(self, grid: &Grid, labels: &BTreeSet<Labels>, notes: &Notes) -> Vec<u8> {
        let (first, bounds, cells) = self.cells();
        let greatest = cells.iter().map(|(_, _, count)| *count).fold(0.0, f64::max);
        let mut header = grid.header("heatmap", labels, notes);
        header["bounds"] = json!(bounds);
        header["cells"] = cells.len().into();
        header["greatest"] = greatest.into();
        let mut out = body::begin(&header.to_string());
        let cells: Vec<_> =
            cells.into_iter().map(|(lot, bucket, count)| (lot, bucket - first, count)).collect();
        body::cells(&mut out, &cells);
        out
    }

    fn add(&mut self, grid: &Grid, time: i64, histogram: &FloatHistogram) -> Result<(), Error> {
        if histogram.count == 0.0 && !histogram.is_custom() {
            return Ok(());
        }
        if !histogram.is_custom() {
            return Err(Error::execution(
                "a heatmap can be drawn of histograms with bounds of their own only",
            ));
        }
        let bounds = self.bounds.get_or_insert_with(|| histogram.custom_values.clone());
        let same = Arc::ptr_eq(bounds, &histogram.custom_values) || *bounds == histogram.custom_values;
        let step = grid.step_of(time);
        let lot = (step / grid.per) as u32;
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
            let steps = self.steps.get(&lot).map_or(1, BTreeSet::len) as f64;
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

//! A query over time, as what is drawn of it: on the page by `view/range`, and in a terminal.

use std::collections::{BTreeSet, HashMap};

use rezolus_store::promql::{self, Answer, Error, Notes, Value, is_absent};
use rezolus_store::sample::{Samples, Values};
use rezolus_store::{FloatHistogram, Labels, Sample, Series, Source};

use super::heat::{Heat, Sums};
use super::reduce::per_lot;
use super::text::Filled;
use super::{body, text};

/// So many values a query may give before the step is made larger than the interval.
const MOST_VALUES: usize = 2_000_000;
/// A histogram counts as so many: its window takes some hundred times as long as a number's.
const HISTOGRAM: usize = 64;
/// A part that is evaluated at a time has at least so many rows.
const LEAST_ROWS: i64 = 4096;
/// Rates are over so many steps, and a part of an interval, so that ticks that are not exactly on time
/// make no gap.
const WINDOW: usize = 2;
const SLACK: i64 = 4;
/// So many steps after a seam have windows with rows before it.
const REACH: usize = WINDOW + 1;
/// ns
const MILLI: i64 = 1_000_000;

/// What is evaluated.
pub struct Query {
    pub text: String,
    pub format: Option<Format>,
    /// Of histograms: these instead of them, each as a series with a label `quantile`. Where the query has
    /// `$quantile` it stands for each of them.
    pub quantiles: Vec<f64>,
    /// Whether numbers are taken as they are where quantiles are asked for; otherwise that is an error.
    pub numbers: bool,
}

/// A query over a span. Times in ns.
pub struct Request {
    pub query: Query,
    pub start: i64,
    pub end: i64,
    /// How many can be drawn.
    pub points: usize,
    pub step: Option<i64>,
    /// Whether the sum of all series comes as one more, added up step by step.
    pub total: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Series,
    Heatmap,
}

/// Steps, and how many are put together. Times in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub start: i64,
    pub step: i64,
    pub count: usize,
    /// So many steps are a lot.
    pub per: usize,
    /// Between samples.
    pub interval: i64,
}

impl Grid {
    pub fn lots(&self) -> usize {
        self.count.div_ceil(self.per)
    }

    pub fn step_of(&self, time: i64) -> usize {
        usize::try_from((time - self.start) / self.step).unwrap_or(usize::MAX)
    }

    /// Over how much rates are: what `$interval` stands for.
    pub fn window(&self) -> String {
        let steps = self.interval.max(self.step).saturating_mul(WINDOW as i64);
        format!("{}ms", steps.saturating_add(self.interval / SLACK).div_euclid(MILLI).max(1))
    }
}

/// A query's values at the steps of a grid.
pub struct Evaluated {
    pub grid: Grid,
    pub body: Body,
    pub notes: Notes,
}

pub enum Body {
    /// In the order of their labels.
    Lines(Vec<Line>),
    Heat(Heat),
}

pub struct Line {
    pub labels: Labels,
    /// Which quantile of a histogram it is, if it is one.
    pub quantile: Option<f64>,
    /// At each step; NaN where there is nothing.
    pub values: Vec<f64>,
}

/// The sum of lines, step by step. What is not there adds nothing.
pub fn sum<'a>(steps: usize, lines: impl IntoIterator<Item = &'a [f64]>) -> Vec<f64> {
    let mut sum = vec![f64::NAN; steps];
    for values in lines {
        for (sum, &value) in sum.iter_mut().zip(values).filter(|(_, value)| !value.is_nan()) {
            *sum = if sum.is_nan() { value } else { *sum + value };
        }
    }
    sum
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
        None => {
            let weight = weight(source, &request.query.text, start, end)?;
            affordable(weight, interval, end - start, points)
        }
    };
    // Steps are where they always are, whatever part of them is asked for, unless that is out of this world.
    let aligned = start.div_euclid(step).saturating_mul(step);
    let start = if end.checked_sub(aligned).is_some() { aligned } else { start };
    let count = usize::try_from((end - start) / step + 1).unwrap_or(usize::MAX);
    if count > options.max_samples {
        return Err(Error::execution(format!("{count} steps are too many: take a larger step")));
    }
    let grid = Grid { start, step, count, per: per_lot(count, points), interval };
    Ok(body::write(&evaluate(source, &grid, &request.query, options)?, request.total))
}

/// Evaluates a query at the steps of a grid.
///
/// # Errors
///
/// As [`answer`].
pub fn evaluate(
    source: &dyn Source,
    grid: &Grid,
    query: &Query,
    options: &promql::Options,
) -> Result<Evaluated, Error> {
    let Grid { start, step, .. } = *grid;
    let window = grid.window();
    // What the quantiles are of is evaluated once, if it can be.
    let inner = text::of_quantile(&query.text).filter(|_| !query.quantiles.is_empty());
    let asked = inner.unwrap_or(&query.text);
    let offset = inner.map_or(0, |inner| inner.as_ptr() as usize - query.text.as_ptr() as usize);
    let each = !query.quantiles.is_empty() && inner.is_none() && text::has_quantile(asked);
    let mut gathered = Gathered::new(query);
    for (first, last) in parts(source, grid, asked) {
        let evaluate = |quantile: &str| {
            let filled = text::filled(asked, &window, quantile);
            let (from, to) = (start + first as i64 * step, start + last as i64 * step);
            let answer = promql::range(source, &filled.text, from, to, step, options);
            answer.map_err(|error| in_place(error, &filled, &query.text, offset))
        };
        match each {
            false => gathered.take(grid, evaluate("0.5")?, None)?,
            true => query.quantiles.iter().try_for_each(|quantile| {
                gathered.take(grid, evaluate(&quantile.to_string())?, Some(*quantile))
            })?,
        }
    }
    Ok(gathered.done(grid))
}

/// The first and last steps of parts that are evaluated one after the other: what is in memory at
/// a time is little, and near. They end where the source's rows are stored apart. Steps whose windows
/// have rows of both sides are a part of their own, so that the rows of others need not be put together.
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
        if rows >= LEAST_ROWS && at + REACH < last {
            parts.extend([(first, at), (at + 1, at + REACH)]);
            first = at + REACH + 1;
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
    query: &'a Query,
    known: HashMap<Labels, usize>,
    lines: Vec<Line>,
    /// Of histograms, all added up.
    sums: Option<Sums>,
    /// Of those, what they are.
    heat: BTreeSet<Labels>,
    notes: Notes,
}

impl<'a> Gathered<'a> {
    fn new(query: &'a Query) -> Self {
        let (known, lines, heat) = (HashMap::new(), Vec::new(), BTreeSet::new());
        Self { query, known, lines, sums: None, heat, notes: Notes::default() }
    }

    /// Takes a part; if its series are a quantile, they are labelled as such.
    fn take(&mut self, grid: &Grid, answer: Answer, quantile: Option<f64>) -> Result<(), Error> {
        let Value::Matrix(all) = answer.value else {
            return Err(Error::execution("the answer is no series"));
        };
        self.notes.warnings.extend(answer.notes.warnings);
        self.notes.infos.extend(answer.notes.infos);
        let quantiles = &self.query.quantiles;
        for Series { labels, samples } in all {
            match (&samples.values, self.query.format) {
                (Values::Floats(_), Some(Format::Heatmap)) => {
                    return Err(Error::bad_data("this query gives numbers, and a heatmap is of histograms"));
                }
                (Values::Floats(floats), _) => {
                    if !quantiles.is_empty() && quantile.is_none() && !self.query.numbers {
                        return Err(Error::bad_data(
                            "this query gives numbers, and quantiles are of histograms",
                        ));
                    }
                    let line = self.line(grid, labels, quantile);
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
                    for (column, &quantile) in columns.into_iter().zip(quantiles) {
                        let line = self.line(grid, labels.clone(), Some(quantile));
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

    /// The values of a series at all steps; if it is a quantile, it is labelled as such.
    fn line(&mut self, grid: &Grid, labels: Labels, quantile: Option<f64>) -> &mut [f64] {
        let labels = match quantile {
            Some(quantile) => labels.with("quantile", &quantile.to_string()),
            None => labels,
        };
        let lines = &mut self.lines;
        let at = *self.known.entry(labels).or_insert_with_key(|labels| {
            lines.push(Line { labels: labels.clone(), quantile, values: vec![f64::NAN; grid.count] });
            lines.len() - 1
        });
        &mut lines[at].values
    }

    fn done(mut self, grid: &Grid) -> Evaluated {
        let heatmap = self.query.format == Some(Format::Heatmap);
        let body = match self.sums {
            Some(sums) => Body::Heat(sums.heat(self.heat)),
            None if heatmap => Body::Heat(Heat::default()),
            None => {
                self.lines.sort_by(|a, b| a.labels.cmp(&b.labels));
                Body::Lines(self.lines)
            }
        };
        Evaluated { grid: *grid, body, notes: self.notes }
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

/// How many values a query takes at each step.
///
/// # Errors
///
/// When it is no query.
pub fn weight(source: &dyn Source, query: &str, start: i64, end: i64) -> Result<usize, Error> {
    let filled = text::filled(query, "1s", "0.5");
    let selectors = match promql::selects(&filled.text) {
        Ok(selectors) => selectors,
        // Whether `[range()]` is good is seen only when it is known how long that is.
        Err(_) if is_of_the_whole(&filled.text) => Vec::new(),
        Err(error) => return Err(in_place(error, &filled, query, 0)),
    };
    let mut weight = 0;
    let kinds = source.metadata();
    for matchers in &selectors {
        for labels in source.series(matchers, start, end)? {
            let histogram = kinds.get(labels.name()).is_some_and(|known| known.kind == "histogram");
            weight += if histogram { HISTOGRAM } else { 1 };
        }
    }
    Ok(weight)
}

/// The least step that is affordable over a span: the interval, or a multiple of it.
pub fn affordable(weight: usize, interval: i64, span: i64, points: usize) -> i64 {
    let steps = (span / interval) as usize + 1;
    let wanted = steps.saturating_mul(weight.max(1)).div_ceil(MOST_VALUES).max(1);
    // Never fewer than can be drawn.
    let most = (steps / points.max(1)).max(1);
    interval.saturating_mul(wanted.min(most) as i64)
}

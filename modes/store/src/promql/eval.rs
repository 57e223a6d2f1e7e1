//! Evaluates a tree, each node for all steps at once.

use std::collections::HashMap;
use std::sync::Arc;

use super::ast::{At, Call, Extension, Node, Selector, Shift, Subquery};
use super::call::{self, Context};
use super::points::{ABSENT, Points};
use super::value::{Grid, RangeRow, RangeVector, Row, Val};
use super::{Error, Notes, Options, aggregate, binary, extended, info, parallel};
use crate::labels::Labels;
use crate::sample::{Sample, Samples, Values, is_stale};
use crate::{Series, Source};

/// These look at the time they are evaluated at, whatever their arguments.
const DEPEND_ON_TIME: [&str; 14] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
    "start",
    "end",
    "step",
];

/// These look at count and sum of a histogram, and at nothing else.
const OF_SUMS: [&str; 3] = ["histogram_avg", "histogram_count", "histogram_sum"];

/// No sample.
const NONE: usize = usize::MAX;

const SORTED: &str = "sort is ineffective for range queries since results are always ordered by labels";

pub(super) struct Evaluator<'a> {
    pub source: &'a dyn Source,
    pub options: &'a Options,
    /// The query's own grid, for `@ start()` and `@ end()`.
    pub whole: Grid,
    pub notes: Notes,
    /// Samples in memory.
    live: usize,
    /// What is evaluated next is a call of whose histograms only counts and sums are of interest.
    sums_only: bool,
}

impl<'a> Evaluator<'a> {
    pub fn new(source: &'a dyn Source, options: &'a Options, whole: Grid) -> Self {
        Self { source, options, whole, notes: Notes::default(), live: 0, sums_only: false }
    }

    /// Evaluates a node at all times of a grid.
    pub fn eval(&mut self, node: &Node, grid: Grid) -> Result<Val, Error> {
        call::check(self.options)?;
        let before = self.live;
        let literal = matches!(node, Node::Number(_) | Node::String(_) | Node::Range(..));
        let value = if grid.count > 1 && !literal && is_invariant(node) {
            broadcast(self.eval_once(node, Grid { count: 1, ..grid })?, grid.count)
        } else {
            self.eval_once(node, grid)?
        };
        self.live = before;
        self.charge(size(&value))?;
        Ok(value)
    }

    fn eval_once(&mut self, node: &Node, grid: Grid) -> Result<Val, Error> {
        match node {
            Node::Number(number) => Ok(Val::Scalar(vec![*number; grid.count])),
            Node::String(string) => Ok(Val::String(string.clone())),
            Node::Paren(inner) => self.eval(inner, grid),
            Node::Negate(inner) => Ok(negate(self.eval(inner, grid)?)),
            Node::Selector(selector) if selector.extension.is_some() => {
                self.smoothed(selector, grid).map(Val::Vector)
            }
            Node::Selector(selector) => Ok(Val::Vector(self.selector(selector, grid, false)?)),
            Node::Range(selector, range) => self.range(selector, *range, grid).map(Val::Range),
            Node::Subquery(subquery) => self.subquery(subquery, grid).map(Val::Range),
            Node::Call(call) => self.call(call, grid),
            Node::Aggregate(node) => {
                let param = node.param.as_ref().map(|param| self.eval(param, grid)).transpose()?;
                let Val::Vector(rows) = self.eval(&node.inner, grid)? else {
                    return Err(Error::bad_data("an aggregation takes an instant vector"));
                };
                self.notes.place = node.inner_place;
                aggregate::aggregate(node, rows, param, grid, &mut self.notes).map(Val::Vector)
            }
            Node::Binary(node) => {
                let lhs = self.eval(&node.lhs, grid)?;
                let rhs = self.eval(&node.rhs, grid)?;
                self.notes.place = node.place;
                binary::binary(node, lhs, rhs, grid, &mut self.notes)
            }
        }
    }

    /// Counts samples that are about to be there.
    fn charge(&mut self, samples: usize) -> Result<(), Error> {
        self.live = self.live.saturating_add(samples);
        if self.live > self.options.max_samples {
            return Err(Error::execution(
                "query processing would load too many samples into memory in query execution",
            ));
        }
        Ok(())
    }

    /// The time a selector looks at for each step.
    fn references(&self, shift: Shift, grid: Grid) -> Arc<[i64]> {
        let fixed = shift.at.map(|at| match at {
            At::Time(time) => time,
            At::Start => self.whole.start,
            At::End => self.whole.end(),
        });
        grid.times().map(|time| fixed.unwrap_or(time).saturating_sub(shift.offset)).collect()
    }

    /// The series of a selector, from `before` (ns, excluded) before its first
    /// reference to its last.
    fn select(&mut self, selector: &Selector, references: &[i64], before: i64) -> Result<Vec<Series>, Error> {
        self.select_until(selector, references, before, 0)
    }

    /// The same up to so long after the last reference.
    fn select_until(
        &mut self,
        selector: &Selector,
        references: &[i64],
        before: i64,
        after: i64,
    ) -> Result<Vec<Series>, Error> {
        let (Some(first), Some(last)) = (references.first(), references.last()) else {
            return Ok(Vec::new());
        };
        let start = first.saturating_sub(before).saturating_add(1);
        let series = self.source.select(&selector.matchers, start, last.saturating_add(after))?;
        self.charge(series.iter().map(|series| series.samples.len()).sum())?;
        Ok(series)
    }

    /// The newest sample that is not too old, at each step; or its time, in s.
    fn selector(&mut self, selector: &Selector, grid: Grid, times: bool) -> Result<Vec<Row>, Error> {
        let references = self.references(selector.shift, grid);
        let lookback = self.options.lookback;
        let series = self.select(selector, &references, lookback)?;
        self.charge(series.len().saturating_mul(grid.count))?;
        let cost = series.len().saturating_mul(grid.count);
        // Series that were sampled together have their samples at the same places.
        let first = series.first().map(|series| series.samples.times.clone());
        let known = first.map(|times| (places(&times, &references, lookback), times));
        let mut rows = parallel::map(series, cost, |Series { labels, samples }| {
            let points = match &known {
                Some((places, of)) if of.same(&samples.times) => newest(&samples, places, times),
                _ => newest(&samples, &places(&samples.times, &references, lookback), times),
            };
            Row { labels, drop_name: times, points }
        });
        rows.retain(|row| !row.points.is_absent());
        Ok(rows)
    }

    /// The value at each step, between those of the samples before and after it.
    fn smoothed(&mut self, selector: &Selector, grid: Grid) -> Result<Vec<Row>, Error> {
        let references = self.references(selector.shift, grid);
        let lookback = self.options.lookback;
        let series = self.select_until(selector, &references, lookback, lookback)?;
        self.charge(series.len().saturating_mul(grid.count))?;
        let rows = series.into_iter().map(|Series { labels, samples }| {
            let points = extended::smoothed(&samples.without_stale(), &references, lookback)?;
            Ok(Row { labels, drop_name: false, points })
        });
        let mut rows = rows.collect::<Result<Vec<Row>, Error>>()?;
        rows.retain(|row| !row.points.is_absent());
        Ok(rows)
    }

    /// `info()`: its second argument is not to be evaluated by itself.
    fn info(&mut self, node: &Call, grid: Grid) -> Result<Vec<Row>, Error> {
        let Some(Val::Vector(base)) = node.args.first().map(|arg| self.eval(arg, grid)).transpose()? else {
            return Err(Error::bad_data("info() takes an instant vector"));
        };
        let wanted = match node.args.get(1) {
            Some(Node::Selector(selector)) => info::Wanted::new(&selector.matchers),
            _ => info::Wanted::new(&[]),
        };
        // The info series are looked at when the others are.
        let shift = first_selector(&node.args[0]).map_or_else(Shift::default, |selector| selector.shift);
        let selector = Selector { matchers: wanted.matchers(), shift, extension: None };
        let infos = self.selector(&selector, grid, true)?;
        info::join(base, &infos, &wanted, grid)
    }

    fn range(&mut self, selector: &Selector, range: i64, grid: Grid) -> Result<RangeVector, Error> {
        let ends = self.references(selector.shift, grid);
        let extension = selector.extension.map(|extension| (extension, self.options.lookback));
        let (before, after) = match extension {
            None => (range, 0),
            Some((Extension::Anchored, lookback)) => (range.saturating_add(lookback), 0),
            Some((Extension::Smoothed, lookback)) => (range.saturating_add(lookback), lookback),
        };
        let series = self.select_until(selector, &ends, before, after)?;
        let rows = series
            .into_iter()
            .map(|Series { labels, samples }| RangeRow {
                labels,
                drop_name: false,
                samples: samples.without_stale(),
            })
            .filter(|row| !row.samples.is_empty());
        Ok(RangeVector { rows: rows.collect(), range, ends, extension })
    }

    fn subquery(&mut self, node: &Subquery, grid: Grid) -> Result<RangeVector, Error> {
        let ends = self.references(node.shift, grid);
        let step = node.step.unwrap_or(self.options.default_step).max(1);
        let (first, last) = (ends[0].saturating_sub(node.range), ends[ends.len() - 1]);
        // Multiples of the step, the first one after the window's open end.
        let start = first.div_euclid(step).saturating_add(1).saturating_mul(step);
        let mut rows = Vec::new();
        if start <= last {
            let count = usize::try_from((last - start) / step + 1).unwrap_or(usize::MAX);
            if count > self.options.max_samples {
                self.charge(count)?;
            }
            let inner = Grid { start, step, count };
            let value = match self.eval(&node.inner, inner)? {
                Val::Vector(rows) => rows,
                Val::Scalar(floats) => vec![Row {
                    labels: Labels::default(),
                    drop_name: false,
                    points: Points { floats, histograms: Vec::new() },
                }],
                _ => return Err(Error::bad_data("subquery is only allowed on instant vector")),
            };
            let times: Vec<i64> = inner.times().collect();
            let times = times.into();
            for row in value {
                let samples = row.points.into_samples(&times);
                rows.push(RangeRow { labels: row.labels, drop_name: row.drop_name, samples });
            }
        }
        Ok(RangeVector { rows, range: node.range, ends, extension: None })
    }

    fn call(&mut self, node: &Call, grid: Grid) -> Result<Val, Error> {
        let sums_only = std::mem::take(&mut self.sums_only);
        if node.function == "timestamp"
            && let Some(Node::Selector(selector)) = node.args.first().map(bare)
        {
            return self.selector(selector, grid, true).map(Val::Vector);
        }
        if node.function == "info" {
            return self.info(node, grid).map(Val::Vector);
        }
        let of_call = matches!(node.args.first().map(bare), Some(Node::Call(_)));
        self.sums_only = of_call && OF_SUMS.contains(&node.function);
        let args: Vec<Val> = node.args.iter().map(|arg| self.eval(arg, grid)).collect::<Result<_, _>>()?;
        if let Some(Val::Range(vector)) = args.iter().find(|arg| matches!(arg, Val::Range(_)))
            && vector.extension.is_some()
        {
            return extended::call(node.function, vector).map(Val::Vector);
        }
        let options = self.options;
        // The series are what there is something to say of.
        let vector = args.iter().rposition(|arg| matches!(arg, Val::Vector(_) | Val::Range(_)));
        let place = vector.and_then(|at| node.arg_places.get(at)).copied();
        self.notes.place = if node.function.starts_with("sort") { node.place } else { place };
        if node.function.starts_with("sort") && self.whole.count > 1 {
            self.notes.warn(SORTED);
        }
        let context = &mut Context {
            grid,
            notes: &mut self.notes,
            options,
            nodes: &node.args,
            places: &node.arg_places,
            sums_only,
        };
        call::call(node.function, args, context)
    }
}

/// Without parentheses around it.
pub(super) fn bare(node: &Node) -> &Node {
    match node {
        Node::Paren(inner) => bare(inner),
        node => node,
    }
}

/// The first selector in a tree.
fn first_selector(node: &Node) -> Option<&Selector> {
    match node {
        Node::Number(_) | Node::String(_) => None,
        Node::Selector(selector) | Node::Range(selector, _) => Some(selector),
        Node::Subquery(subquery) => first_selector(&subquery.inner),
        Node::Call(call) => call.args.iter().find_map(first_selector),
        Node::Aggregate(node) => first_selector(&node.inner),
        Node::Binary(node) => first_selector(&node.lhs).or_else(|| first_selector(&node.rhs)),
        Node::Negate(inner) | Node::Paren(inner) => first_selector(inner),
    }
}

/// Whether a node is the same at all steps.
fn is_invariant(node: &Node) -> bool {
    match node {
        Node::Number(_) | Node::String(_) => true,
        Node::Selector(selector) | Node::Range(selector, _) => selector.shift.at.is_some(),
        Node::Subquery(subquery) => subquery.shift.at.is_some(),
        Node::Call(call) => {
            !DEPEND_ON_TIME.contains(&call.function)
                && call.function != "range"
                && call.function != "info"
                && call.args.iter().all(is_invariant)
        }
        Node::Aggregate(node) => is_invariant(&node.inner) && node.param.as_ref().is_none_or(is_invariant),
        Node::Binary(node) => is_invariant(&node.lhs) && is_invariant(&node.rhs),
        Node::Negate(inner) | Node::Paren(inner) => is_invariant(inner),
    }
}

/// What was evaluated at one step stands for so many.
fn broadcast(value: Val, count: usize) -> Val {
    match value {
        Val::Scalar(values) => Val::Scalar(vec![values[0]; count]),
        Val::Vector(mut rows) => {
            for row in &mut rows {
                row.points.floats = vec![row.points.floats[0]; count];
                if let Some(histogram) = row.points.histograms.first().cloned() {
                    row.points.histograms = vec![histogram; count];
                }
            }
            Val::Vector(rows)
        }
        Val::Range(mut vector) => {
            vector.ends = vec![vector.ends[0]; count].into();
            Val::Range(vector)
        }
        value @ Val::String(_) => value,
    }
}

fn size(value: &Val) -> usize {
    match value {
        Val::Scalar(values) => values.len(),
        Val::String(_) => 0,
        Val::Vector(rows) => rows.iter().map(|row| row.points.len() + weight(&row.points)).sum(),
        Val::Range(vector) => vector.rows.iter().map(|row| row.samples.len()).sum(),
    }
}

/// A histogram counts as many samples as take the same room.
fn weight(points: &Points) -> usize {
    points.histograms.iter().flatten().map(|histogram| histogram.positive_buckets.len() / 2 + 8).sum()
}

fn negate(value: Val) -> Val {
    match value {
        Val::Scalar(values) => Val::Scalar(values.into_iter().map(|value| -value).collect()),
        Val::Vector(mut rows) => {
            for row in &mut rows {
                row.drop_name = true;
                for value in row.points.floats.iter_mut().filter(|value| !super::is_absent(**value)) {
                    *value = -*value;
                }
                for histogram in row.points.histograms.iter_mut().flatten() {
                    *histogram = Arc::new(histogram.mul(-1.0));
                }
            }
            Val::Vector(rows)
        }
        value => value,
    }
}

/// At each reference which sample is the newest with reference - lookback < time
/// <= reference; [`NONE`] if there is none.
fn places(times: &[i64], references: &[i64], lookback: i64) -> Arc<[usize]> {
    // The number of samples that are not later than the reference.
    let mut seen = 0;
    let mut before = i64::MIN;
    let place = |&reference: &i64| {
        if reference < before {
            seen = 0;
        }
        before = reference;
        while seen < times.len() && times[seen] <= reference {
            seen += 1;
        }
        let newest = seen.checked_sub(1);
        newest.filter(|&at| times[at] > reference.saturating_sub(lookback)).unwrap_or(NONE)
    };
    references.iter().map(place).collect()
}

/// At each step the sample at its [place](places), unless that says the series
/// has ended. Or its time, in s.
fn newest(samples: &Samples, places: &[usize], time: bool) -> Points {
    if let (Values::Floats(floats), false) = (&samples.values, time) {
        let float = |&at: &usize| floats.get(at).copied().filter(|value| !is_stale(*value));
        let floats = places.iter().map(|at| float(at).unwrap_or(ABSENT)).collect();
        return Points { floats, histograms: Vec::new() };
    }
    let mut points = Points::absent(places.len());
    let mut histograms = Vec::new();
    for (step, &at) in places.iter().enumerate().filter(|(_, at)| **at != NONE) {
        match &samples.values {
            Values::Floats(floats) if is_stale(floats[at]) => {}
            Values::Mixed(samples) if samples[at].is_stale() => {}
            _ if time => points.floats[step] = call::seconds(samples.times[at]),
            Values::Floats(floats) => points.floats[step] = floats[at],
            Values::Mixed(samples) => points.set(step, Some(samples[at].clone())),
            Values::Compact(_) => histograms.push((step, at)),
        }
    }
    if let Values::Compact(compact) = &samples.values {
        // Steps may go back in time only if they are all the same.
        let indexes = histograms.iter().map(|(_, at)| *at);
        for ((step, _), histogram) in histograms.iter().zip(compact.at(indexes)) {
            points.set(*step, Some(Sample::Histogram(histogram)));
        }
    }
    points
}

/// Takes away the names that no longer hold. Rows that are the same series now
/// become one, unless both have a value at the same step.
///
/// # Errors
///
/// When they do.
pub(super) fn clean(rows: Vec<Row>) -> Result<Vec<Row>, Error> {
    let mut cleaned: Vec<Row> = Vec::with_capacity(rows.len());
    let mut known: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    for mut row in rows {
        if row.drop_name {
            row.labels = row.labels.without_name();
            row.drop_name = false;
        }
        match known.get(&row.labels) {
            Some(&at) => merge(&mut cleaned[at], row)?,
            None => {
                known.insert(row.labels.clone(), cleaned.len());
                cleaned.push(row);
            }
        }
    }
    Ok(cleaned)
}

/// Adds the points of a row to those of one with the same labels.
///
/// # Errors
///
/// When both have a value at a step.
pub(super) fn merge(into: &mut Row, from: Row) -> Result<(), Error> {
    for step in 0..from.points.len() {
        let Some(sample) = from.points.get(step) else { continue };
        if into.points.has(step) {
            return Err(Error::execution("vector cannot contain metrics with the same labelset"));
        }
        into.points.set(step, Some(sample));
    }
    Ok(())
}

/// The rows in the order of their labels, [cleaned](clean).
///
/// # Errors
///
/// When rows that are the same series have a value at the same step.
pub(super) fn sorted(mut rows: Vec<Row>) -> Result<Vec<Row>, Error> {
    for row in rows.iter_mut().filter(|row| row.drop_name) {
        row.labels = row.labels.without_name();
        row.drop_name = false;
    }
    rows.sort_by(|a, b| a.labels.cmp(&b.labels));
    let mut cleaned: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match cleaned.last_mut() {
            Some(last) if last.labels == row.labels => merge(last, row)?,
            _ => cleaned.push(row),
        }
    }
    Ok(cleaned)
}

/// Whether a float is one of a point.
#[inline]
pub(super) fn is_point(value: f64) -> bool {
    value.to_bits() != ABSENT.to_bits()
}

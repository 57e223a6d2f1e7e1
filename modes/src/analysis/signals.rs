//! A recording as signals: named series of numbers at the same times.

use std::collections::{BTreeMap, BTreeSet};

use rezolus_store::labels::{NAME, is_plain_name};
use rezolus_store::matcher::Op;
use rezolus_store::promql::{self, Error, Options};
use rezolus_store::{Labels, Matcher, Metadata, Source};
use serde::Serialize;

use super::catalog::{self, Aspect, Direction, Resource, Spec};
use super::deviation::Rule;
use super::robust;
use crate::viewer::range::{self, Body, Grid, Line, Query};
use crate::viewer::text;

/// Of histograms these are the signals.
pub(super) const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
/// A quantile q of fewer than `OBSERVATIONS / (1 - q)` values in its window is chance rather than a
/// quantile: so many have to be above it on average.
const OBSERVATIONS: f64 = 2.0;
/// A sample this many intervals old still stands for now: one that is missing makes no hole in a gauge.
const LOOKBACK: i64 = 3;
/// Ticks come a little after they are due, so the grid is this part of an interval behind the first one.
const LATE: i64 = 8;
/// Nothing has more steps than this; the step becomes a multiple of the interval.
const MOST_STEPS: i64 = 20_000;
/// So many lines of one query are signals; of more, those that move most.
const MOST_LINES: usize = 64;
/// Of how many series the times are looked at to find the interval.
const LOOKED_AT: usize = 8;

/// Which part of a source is looked at, and how closely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// From and to, ns since the epoch, both included; all of it if None.
    pub window: Option<(i64, i64)>,
    pub depth: Depth,
}

/// What becomes a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// What is known of resources, and no more.
    Resources,
    /// And the series of metrics that are not part of that: those of plugins that nobody here knows.
    #[default]
    Rest,
    /// And every other series.
    Everything,
}

/// The times at which signals have values, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Frame {
    pub start: i64,
    /// Between steps; a multiple of the recording's interval.
    pub step: i64,
    pub count: usize,
    /// Between samples of the recording.
    pub interval: i64,
}

impl Frame {
    /// The time of a step, ns since the epoch.
    pub fn time(&self, step: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(step as i64))
    }

    /// The last time.
    pub fn end(&self) -> i64 {
        self.time(self.count.saturating_sub(1))
    }

    /// Between steps, in seconds.
    pub fn seconds(&self) -> f64 {
        self.step as f64 / 1e9
    }

    /// The steps in a span of time, ns, both ends included.
    pub fn steps(&self, from: i64, to: i64) -> std::ops::Range<usize> {
        let step = |time: i64| {
            let steps = (i128::from(time) - i128::from(self.start)).div_euclid(i128::from(self.step));
            usize::try_from(steps.clamp(-1, self.count as i128) + 1).unwrap_or(0).min(self.count)
        };
        let last = step(to);
        step(from.saturating_sub(1)).min(last)..last
    }

    fn grid(&self) -> Grid {
        Grid { start: self.start, step: self.step, count: self.count, per: 1, interval: self.interval }
    }

    /// The window of rates as PromQL has it: what is shown by a query is what was computed.
    pub(super) fn window(&self) -> String {
        self.grid().window()
    }

    fn empty() -> Self {
        Self { start: 0, step: 1_000_000_000, count: 0, interval: 1_000_000_000 }
    }
}

/// A series of numbers, and what it means.
#[derive(Clone, Debug)]
pub struct Signal {
    /// `blockio_latency{op="read"} p99`. No two are the same.
    pub id: String,
    pub title: String,
    pub resource: Resource,
    pub aspect: Aspect,
    pub unit: String,
    /// What tells it from others of the same query.
    pub labels: Labels,
    pub quantile: Option<f64>,
    /// PromQL that gives these values, and nothing else, at the steps of the frame.
    pub query: String,
    /// The metrics it is computed from.
    pub metrics: Vec<String>,
    pub worse: Direction,
    /// One per step; NaN where there is none.
    pub values: Vec<f64>,
    pub(super) rule: Rule,
    pub(super) weight: f64,
}

/// What cannot be said, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Absent {
    pub id: String,
    pub title: String,
    pub resource: Resource,
    pub aspect: Aspect,
    pub query: String,
    pub reason: String,
}

/// A recording as signals.
#[derive(Clone, Debug)]
pub struct Signals {
    pub frame: Frame,
    /// In the order of the catalogue, then by name.
    pub all: Vec<Signal>,
    pub absent: Vec<Absent>,
    /// What the source says of itself, and what was left out here.
    pub remarks: Vec<String>,
}

/// Evaluates the signals of a source.
///
/// # Errors
///
/// When the source cannot be read, or the span is none.
pub fn signals(source: &dyn Source, scope: Scope, options: &Options) -> Result<Signals, Error> {
    let remarks = source.remarks();
    let Some((first, last)) = scope.window.or_else(|| source.range()) else {
        return Ok(Signals { frame: Frame::empty(), all: Vec::new(), absent: Vec::new(), remarks });
    };
    if last < first {
        return Err(Error::bad_data("the end is before the start"));
    }
    let known = Known::of(source, first, last)?;
    let frame = frame(source, &known, first, last)?;
    let lookback = frame.step.max(frame.interval).saturating_mul(LOOKBACK);
    let options = Options { lookback, ..options.clone() };
    let mut made = Made { source, options, frame, known, all: Vec::new(), absent: Vec::new(), remarks };
    let mut covered = BTreeSet::new();
    for spec in catalog::ALL {
        covered.extend(made.curated(spec)?);
    }
    let rest: Vec<String> =
        made.known.names.iter().filter(|name| !covered.contains(*name)).cloned().collect();
    if scope.depth != Depth::Resources {
        made.per_series(&rest)?;
    }
    if scope.depth == Depth::Everything {
        let there: Vec<String> = covered.into_iter().filter(|name| made.known.names.contains(name)).collect();
        made.per_series(&there)?;
    }
    Ok(Signals { frame, all: made.all, absent: made.absent, remarks: made.remarks })
}

/// What there is in a source.
struct Known {
    names: BTreeSet<String>,
    metadata: BTreeMap<String, Metadata>,
}

impl Known {
    fn of(source: &dyn Source, first: i64, last: i64) -> Result<Self, Error> {
        let all = source.series(&[], first, last)?;
        let names = all.iter().map(|labels| labels.name().to_string()).filter(|name| !name.is_empty());
        Ok(Self { names: names.collect(), metadata: source.metadata() })
    }

    fn kind(&self, name: &str) -> &str {
        self.metadata.get(name).map_or("", |known| known.kind.as_str())
    }
}

/// The times that signals of a source would have; None if it has no samples.
pub(super) fn frame_of(source: &dyn Source, scope: Scope) -> Result<Option<Frame>, Error> {
    let Some((first, last)) = scope.window.or_else(|| source.range()) else { return Ok(None) };
    if last < first {
        return Err(Error::bad_data("the end is before the start"));
    }
    frame(source, &Known::of(source, first, last)?, first, last).map(Some)
}

/// Where the steps are: at the recording's own ticks, if they are not too many.
fn frame(source: &dyn Source, known: &Known, first: i64, last: i64) -> Result<Frame, Error> {
    let mut gaps: Vec<f64> = Vec::new();
    let mut earliest = None;
    // Not all of them: finding the interval should not decode the recording.
    for name in known.names.iter().filter(|name| known.kind(name) != "histogram").take(LOOKED_AT) {
        let selected = source.select(&[Matcher::equal(NAME, name.as_str())], first, last)?;
        let Some(series) = selected.first() else { continue };
        let times = &series.samples.times;
        earliest = [earliest, times.first().copied()].into_iter().flatten().min();
        gaps.extend(times.windows(2).map(|pair| (pair[1] - pair[0]) as f64));
    }
    // To the millisecond, since ticks are not exactly on time.
    let interval = (robust::median(&mut gaps).unwrap_or(1e9) / 1e6).round().max(1.0) as i64 * 1_000_000;
    let start = earliest.unwrap_or(first).saturating_add(interval / LATE);
    let steps = (last.saturating_sub(start).max(0) / interval).saturating_add(1);
    let step = interval.saturating_mul(steps.div_euclid(MOST_STEPS) + 1);
    // The last tick may lie before its step by as much as the first does.
    let end = last.saturating_add(interval / LATE);
    let count = usize::try_from(end.saturating_sub(start).max(0) / step + 1).unwrap_or(1);
    Ok(Frame { start, step, count, interval })
}

struct Made<'a> {
    source: &'a dyn Source,
    options: Options,
    frame: Frame,
    known: Known,
    all: Vec<Signal>,
    absent: Vec<Absent>,
    remarks: Vec<String>,
}

impl Made<'_> {
    /// Evaluates a signal of the catalogue; returns the metrics it would take.
    fn curated(&mut self, spec: &Spec) -> Result<Vec<String>, Error> {
        let metrics = metrics(spec.query)?;
        let missing: Vec<&str> =
            metrics.iter().filter(|name| !self.known.names.contains(*name)).map(String::as_str).collect();
        if !missing.is_empty() {
            self.absent(spec, format!("not recorded: {}", missing.join(", ")));
            return Ok(metrics);
        }
        let lines = self.lines(spec.query)?;
        if lines.is_empty() {
            self.absent(spec, "recorded, but no series there has values of this kind in the span".into());
        }
        for Line { labels, quantile, values } in self.most_moving(spec.id, lines) {
            let rule =
                Rule { matter: spec.matter, relative: spec.relative, events: spec.aspect == Aspect::Errors };
            let signal = Signal {
                id: named(spec.id, &labels, quantile),
                title: spec.title.into(),
                resource: spec.resource,
                aspect: spec.aspect,
                unit: spec.unit.into(),
                query: cited(spec.query, &labels, quantile, &self.frame),
                labels,
                quantile,
                metrics: metrics.clone(),
                worse: spec.worse,
                values,
                rule,
                weight: spec.weight,
            };
            self.all.push(signal);
        }
        Ok(metrics)
    }

    fn absent(&mut self, spec: &Spec, reason: String) {
        self.absent.push(Absent {
            id: spec.id.into(),
            title: spec.title.into(),
            resource: spec.resource,
            aspect: spec.aspect,
            query: cited(
                spec.query,
                &Labels::default(),
                Some(0.99).filter(|_| text::has_quantile(spec.query)),
                &self.frame,
            ),
            reason,
        });
    }

    /// Each series of these metrics as a signal. A metric is evaluated once, whatever the number of its
    /// series.
    fn per_series(&mut self, names: &[String]) -> Result<(), Error> {
        let taken: BTreeSet<String> = self.all.iter().map(|signal| signal.id.clone()).collect();
        for name in names {
            let about = self.known.metadata.get(name).cloned().unwrap_or_default();
            let selector = match is_plain_name(name, true) {
                true => format!("{name}{{$with}}"),
                false => format!("{{{name:?},$with}}"),
            };
            let (query, per_second) = match about.kind.as_str() {
                "counter" => (format!("rate({selector}[$interval])"), true),
                "histogram" => (format!("histogram_quantile($quantile, rate({selector}[$interval]))"), false),
                _ => (selector, false),
            };
            let (unit, matter) = floor(&about.unit, per_second);
            for Line { labels, quantile, values } in self.lines(&query)? {
                let labels = labels.without_name();
                let id = named(name, &labels, quantile);
                // The catalogue has it under the same name and labels: it is the same.
                if taken.contains(&id) {
                    continue;
                }
                let signal = Signal {
                    id,
                    title: about.help.clone(),
                    resource: Resource::of_metric(name),
                    aspect: if about.kind == "histogram" { Aspect::Latency } else { Aspect::State },
                    unit: unit.clone(),
                    query: cited(&query, &labels, quantile, &self.frame),
                    labels,
                    quantile,
                    metrics: vec![name.clone()],
                    worse: Direction::Either,
                    values,
                    rule: Rule { matter, relative: 1.0, events: false },
                    // Of what nobody has said what it means, a change says little.
                    weight: 0.25,
                };
                self.all.push(signal);
            }
        }
        Ok(())
    }

    /// What a query gives, in the order of labels.
    fn lines(&self, query: &str) -> Result<Vec<Line>, Error> {
        let template = with(query, &Labels::default());
        let quantiles = if text::has_quantile(&template) { QUANTILES.to_vec() } else { Vec::new() };
        let counts = match text::of_quantile(&template) {
            Some(inner) => self.evaluated(&format!("histogram_count({inner})"), Vec::new())?,
            None => Vec::new(),
        };
        let counts: BTreeMap<Labels, Vec<f64>> =
            counts.into_iter().map(|line| (line.labels.without_name(), line.values)).collect();
        let mut lines = Vec::new();
        for mut line in self.evaluated(&template, quantiles)? {
            // What divides by nothing is not infinite, it is not known.
            line.values.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = f64::NAN);
            let labels = line.labels.with("quantile", "");
            if let (Some(quantile), Some(counts)) = (line.quantile, counts.get(&labels.without_name())) {
                let enough = OBSERVATIONS / (1.0 - quantile) / self.frame.seconds();
                let few = |(value, count): (&mut f64, &f64)| {
                    if count.is_nan() || *count < enough {
                        *value = f64::NAN;
                    }
                };
                line.values.iter_mut().zip(counts).for_each(few);
            }
            if line.values.iter().any(|value| !value.is_nan()) {
                lines.push(Line { labels, ..line });
            }
        }
        Ok(lines)
    }

    fn evaluated(&self, text: &str, quantiles: Vec<f64>) -> Result<Vec<Line>, Error> {
        let query = Query { text: text.into(), format: None, quantiles, numbers: true };
        match range::evaluate(self.source, &self.frame.grid(), &query, &self.options)?.body {
            Body::Lines(lines) => Ok(lines),
            Body::Heat(_) => Ok(Vec::new()),
        }
    }

    /// Of very many lines those with the largest spread, so that a machine of a thousand cgroups is
    /// looked at where something happens.
    fn most_moving(&mut self, id: &str, mut lines: Vec<Line>) -> Vec<Line> {
        if lines.len() <= MOST_LINES {
            return lines;
        }
        let spread = |values: &[f64]| {
            let mut sorted = robust::present(values);
            sorted.sort_by(f64::total_cmp);
            robust::quantile(&sorted, 0.98).unwrap_or(0.0) - robust::quantile(&sorted, 0.02).unwrap_or(0.0)
        };
        self.remarks.push(format!("{id}: the {MOST_LINES} of {} series that move most", lines.len()));
        let mut order: Vec<(f64, usize)> =
            lines.iter().enumerate().map(|(at, line)| (spread(&line.values), at)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let kept: BTreeSet<usize> = order.into_iter().take(MOST_LINES).map(|(_, at)| at).collect();
        let mut at = 0;
        lines.retain(|_| {
            at += 1;
            kept.contains(&(at - 1))
        });
        lines
    }
}

/// The metrics that a template selects.
fn metrics(template: &str) -> Result<Vec<String>, Error> {
    let filled = text::fill(&with(template, &Labels::default()), "1s", "0.5");
    let mut names = BTreeSet::new();
    for matchers in promql::selects(&filled)? {
        for matcher in matchers.iter().filter(|matcher| matcher.name == NAME) {
            if let Op::Equal(name) = &matcher.op {
                names.insert(name.clone());
            }
        }
    }
    Ok(names.into_iter().collect())
}

/// The template with the labels of one series in its place for them.
fn with(template: &str, labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| match is_plain_name(name, false) {
            true => format!("{name}={value:?}"),
            false => format!("{name:?}={value:?}"),
        })
        .collect();
    let text = template.replace("$with", &pairs.join(","));
    text.replace(",}", "}").replace("{}", "")
}

/// The query that gives one signal, as it can be asked.
fn cited(template: &str, labels: &Labels, quantile: Option<f64>, frame: &Frame) -> String {
    text::fill(&with(template, labels), &frame.window(), &quantile.unwrap_or(0.5).to_string())
}

fn named(id: &str, labels: &Labels, quantile: Option<f64>) -> String {
    let labels = if labels.is_empty() { String::new() } else { labels.to_string() };
    match quantile {
        Some(quantile) => format!("{id}{labels} p{}", (quantile * 1e4).round() / 1e2),
        None => format!("{id}{labels}"),
    }
}

/// The unit of a signal, and the least change that matters in it, when only the metric's unit is known.
fn floor(unit: &str, per_second: bool) -> (String, f64) {
    const MEBI: f64 = 1048576.0;
    match (unit, per_second) {
        // Nanoseconds in a second: 1e9 of them are one CPU, or one task, all the time.
        ("nanoseconds", true) => ("ns/s".into(), 0.25e9),
        ("nanoseconds", false) => ("nanoseconds".into(), 5e6),
        ("bytes", true) => ("bytes/s".into(), 20.0 * MEBI),
        ("bytes", false) => ("bytes".into(), 256.0 * MEBI),
        ("cycles" | "instructions", true) => (format!("{unit}/s"), 1e9),
        (unit, true) => (format!("{}/s", if unit.is_empty() { "events" } else { unit }), 1000.0),
        (unit, false) => (if unit.is_empty() { "count" } else { unit }.into(), 100.0),
    }
}

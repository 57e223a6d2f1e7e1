//! A query, and what comes of it in few words.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write;

use rezolus_store::labels::NAME;
use rezolus_store::matcher::Op;
use rezolus_store::promql::{self, Error, ErrorKind};
use rezolus_store::{Labels, Matcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::describe_metrics::similar;
use super::inputs::Inputs;
use super::page::Page;
use super::schema::one_or_more;
use super::sketch::{Numbers, number, numbers};
use super::span;
use super::{Answer, Assistant, Failure, Tool, Work};
use crate::query::ask::{self, Reach, explain, is_doubt, moment, reach};
use crate::viewer::range::{self, Body, Grid, Line};
use crate::viewer::reduce::{per_lot, reduce};
use crate::viewer::{dashboard, text};

/// A query has at most so many bytes here: it is in the answer.
const LONGEST_QUERY: usize = 4 << 10;
/// So many series are told unless it is said otherwise.
const LIMIT: usize = 20;
/// So many raw values of a series may be asked for.
const MOST_POINTS: usize = 5000;
const MOST_QUANTILES: usize = 10;
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
/// The least step is chosen as if so many points were drawn.
const DRAWN: usize = 240;
/// So many notes of the evaluation are told.
const MOST_NOTES: usize = 10;

pub struct Query;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// PromQL, such as sum by (state) (rate(cpu_usage[$interval])). $interval is two steps, the right window for rates.
    query: String,
    /// Which inputs: names of those that are open, or paths of recordings. All that are open if left out. Of several, the series have the label `recording`.
    #[serde(default, alias = "input", alias = "parquet_file", deserialize_with = "one_or_more")]
    #[schemars(with = "Vec<String>")]
    inputs: Vec<String>,
    /// Evaluate it at one time only: RFC 3339, seconds since 1970, or -5m for five minutes before the end of the data.
    #[serde(default)]
    at: Option<String>,
    /// The start of the span, as `at`. The start of the data if left out.
    #[serde(default)]
    start: Option<String>,
    /// The end of the span, as `at`. The end of the data if left out.
    #[serde(default)]
    end: Option<String>,
    /// From one evaluation to the next, such as 10s. If left out, the interval of the samples, or longer where that would be too much.
    #[serde(default)]
    step: Option<String>,
    /// Which quantiles are told of histograms: 0.5, 0.9 and 0.99 if left out.
    #[serde(default)]
    quantiles: Vec<f64>,
    /// Also tell raw values, of each series so many at most: the greatest of neighbours where there are more. 0 tells none.
    #[serde(default)]
    points: usize,
    /// So many series at most, those with the greatest mean first. 20 if left out.
    #[serde(default)]
    limit: Option<usize>,
    /// Where to go on in a list that did not fit: the `next` of the page before.
    #[serde(default)]
    offset: usize,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Answered {
    /// The query, as it was evaluated.
    pub query: String,
    pub inputs: Vec<String>,
    pub window: Window,
    /// The metrics that the query reads.
    pub metrics: Vec<Read>,
    /// What the query reads and is not in the data. Do not guess its values.
    pub absent: Vec<Absent>,
    /// Of a span: the series, those with the greatest mean first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<Summary>,
    /// At one time: the values, the greatest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<At>,
    /// What to know of the evaluation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub page: Page,
}

/// The times of the evaluation.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Window {
    /// RFC 3339; the same as the end if it is one time.
    pub start: String,
    pub end: String,
    pub step_seconds: f64,
    pub steps: usize,
    /// Between samples of the data.
    pub interval_seconds: f64,
}

/// A metric that was read.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Read {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// How many of its series the query selects.
    pub series: usize,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Absent {
    /// The selector, as PromQL.
    pub selector: String,
    pub why: String,
    /// Metrics that are called like it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub similar: Vec<String>,
}

/// A series over a span.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Summary {
    pub labels: BTreeMap<String, String>,
    #[serde(flatten)]
    pub numbers: Numbers,
    /// Raw values at equal distances from start to end; null where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Option<f64>>,
}

/// A series at one time.
#[derive(Debug, JsonSchema, Serialize)]
pub struct At {
    pub labels: BTreeMap<String, String>,
    /// Null if it is infinite.
    pub value: Option<f64>,
}

impl Tool for Query {
    const NAME: &'static str = "query";
    const TITLE: &'static str = "Query in PromQL";
    const ABOUT: &'static str = "PromQL over recordings, logs and live agents, summarised: numbers and a sketch of each series.\n\
        Over the whole data unless start and end, or at, say otherwise. Of each series it tells first, last, least and \
        greatest with their times, mean, percentiles, and its shape in at most 40 characters. Counters only grow: ask \
        for rate(NAME[$interval]). Histograms are told by quantiles. What is not in the data is listed as absent.";
    const POSITIONAL: &'static [&'static str] = &["inputs", "query"];
    type Arguments = Arguments;
    type Answer = Answered;

    fn run(assistant: &Assistant, arguments: Arguments, work: &Work) -> Result<Answered, Failure> {
        check(&arguments)?;
        let query = arguments.query.as_str();
        work.says("opening the inputs");
        let inputs = assistant.open(&arguments.inputs)?;
        let span = inputs.source.range();
        let wrong = |error: Error| refusal("query", query, &error);
        let (metrics, absent) = reads(&inputs, query).map_err(wrong)?;
        let times = Times::of(&arguments, span)?;
        let grid = grid(&inputs, query, &times)?;
        work.says("evaluating the query");
        let asked = range::Query {
            text: query.into(),
            format: None,
            quantiles: if arguments.quantiles.is_empty() {
                QUANTILES.into()
            } else {
                arguments.quantiles.clone()
            },
            numbers: true,
        };
        let evaluated = range::evaluate(&*inputs.source, &grid, &asked, &work.engine()).map_err(wrong)?;
        work.says("putting it into words");
        let lines = match evaluated.body {
            Body::Lines(lines) => lines,
            // Quantiles of histograms were asked for, which are lines.
            Body::Heat(_) => Vec::new(),
        };
        let mut notes: Vec<String> = notes(&inputs, evaluated.notes);
        notes.extend(hint(query, &metrics));
        if lines.is_empty() {
            notes.push(format!("nothing matches in this span; {}", reach(span)));
            notes.extend(inputs.source.remarks());
        }
        notes.truncate(MOST_NOTES);
        let mut answer = Answered {
            query: text::fill(query, &grid.window(), "0.5").trim().into(),
            inputs: inputs.names(),
            window: Window {
                start: moment(grid.start),
                end: moment(grid.start.saturating_add(grid.step.saturating_mul(grid.count as i64 - 1))),
                step_seconds: grid.step as f64 / 1e9,
                steps: grid.count,
                interval_seconds: grid.interval as f64 / 1e9,
            },
            metrics,
            absent,
            series: Vec::new(),
            values: Vec::new(),
            notes,
            page: Page::default(),
        };
        answer.list(lines, &grid, times.one(), &arguments);
        Ok(answer)
    }
}

/// What is wrong with the arguments whatever the data are.
fn check(arguments: &Arguments) -> Result<(), Failure> {
    check_length("query", &arguments.query)?;
    if arguments.points > MOST_POINTS {
        return Err(Failure::usage(format!(
            "points: {MOST_POINTS} are the most; take a shorter span instead"
        )));
    }
    if arguments.quantiles.len() > MOST_QUANTILES {
        return Err(Failure::usage(format!("quantiles: {MOST_QUANTILES} are the most")));
    }
    if let Some(wrong) = arguments.quantiles.iter().find(|quantile| !(0.0..=1.0).contains(*quantile)) {
        return Err(Failure::usage(format!("quantiles: numbers from 0 to 1 are expected, not {wrong}")));
    }
    Ok(())
}

impl Answered {
    /// Puts a page of lines in their order into it.
    fn list(&mut self, lines: Vec<Line>, grid: &Grid, one_time: bool, arguments: &Arguments) {
        let limit = arguments.limit.unwrap_or(LIMIT);
        if one_time {
            let mut all: Vec<(f64, At)> = lines.into_iter().filter_map(at).collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0));
            let all = all.into_iter().map(|(_, at)| at).collect();
            (self.page, self.values) = Page::of(all, arguments.offset, limit);
        } else {
            let mut all: Vec<Summary> =
                lines.into_iter().map(|line| Summary::of(&line, grid, arguments.points)).collect();
            all.sort_by(|a, b| greater(a.numbers.mean, b.numbers.mean));
            (self.page, self.series) = Page::of(all, arguments.offset, limit);
        }
    }
}

/// Refuses what is no query, or too long a one; `name` is the argument's.
pub fn check_length(name: &str, query: &str) -> Result<(), Failure> {
    if query.trim().is_empty() {
        return Err(Failure::usage(format!(
            "{name}: PromQL is expected, such as sum(rate(cpu_usage[$interval]))"
        )));
    }
    if query.len() > LONGEST_QUERY {
        return Err(Failure::usage(format!("{name}: {} bytes; {LONGEST_QUERY} are the most", query.len())));
    }
    Ok(())
}

/// When it is evaluated, ns.
enum Times {
    At(i64),
    Span { start: i64, end: i64, step: Option<i64> },
}

impl Times {
    fn of(arguments: &Arguments, data: Reach) -> Result<Self, Failure> {
        if let Some(at) = &arguments.at {
            if arguments.start.is_some() || arguments.end.is_some() || arguments.step.is_some() {
                return Err(Failure::usage("at: it is one time; leave out start, end and step, or at"));
            }
            return Ok(Self::At(span::time("at", at, data)?));
        }
        let given = (&arguments.start, &arguments.end);
        let (start, end) = span::span(given, ("start", "end"), data)?;
        let step = arguments.step.as_deref().map(|text| {
            ask::step(text.trim()).map_err(|why| Failure::usage(format!("step: {text:?}: {why}")))
        });
        Ok(Self::Span { start, end, step: step.transpose()? })
    }

    fn one(&self) -> bool {
        matches!(self, Self::At(_))
    }
}

fn grid(inputs: &Inputs, query: &str, times: &Times) -> Result<Grid, Failure> {
    let interval = inputs.interval();
    let (start, end, step) = match *times {
        Times::At(at) => return Ok(Grid { start: at, step: interval, count: 1, per: 1, interval }),
        Times::Span { start, end, step } => (start, end, step),
    };
    let step = match step {
        Some(step) => step,
        None => {
            let weight = range::weight(&*inputs.source, query, start, end)
                .map_err(|error| refusal("query", query, &error))?;
            range::affordable(weight, interval, end - start, DRAWN)
        }
    };
    let count = usize::try_from((end - start) / step + 1).unwrap_or(usize::MAX);
    let most = promql::Options::default().max_samples;
    if count > most {
        return Err(Failure::usage(format!(
            "step: {count} steps are too many; take a longer step or a shorter span"
        )));
    }
    Ok(Grid { start, step, count, per: 1, interval })
}

/// Why a query has no answer; `name` is the argument's.
pub fn refusal(name: &str, query: &str, error: &Error) -> Failure {
    match error.kind {
        ErrorKind::BadData => Failure::usage(format!("{name}: {}", explain(query, error))),
        ErrorKind::Timeout | ErrorKind::Canceled => {
            Failure::data(format!("{}; take a shorter span or a longer step", error.message))
        }
        _ => Failure::data(explain(query, error)),
    }
}

/// What to know of a query that an analysis is to evaluate: what it reads and is not there, and what it should have
/// asked instead.
///
/// # Errors
///
/// When it is none, or nothing of what it reads is in the data.
pub fn there(name: &str, inputs: &Inputs, query: &str) -> Result<Vec<String>, Failure> {
    let filled = text::fill(query, "10s", "0.99");
    let wrong = |error: Error| refusal(name, &filled, &error);
    promql::selects(&filled).map_err(wrong)?;
    let (metrics, absent) = reads(inputs, query).map_err(wrong)?;
    let missing: Vec<String> = absent.iter().map(|one| format!("{name}: {}", one.words())).collect();
    if metrics.is_empty() && !missing.is_empty() {
        return Err(Failure::data(missing.join("; ")));
    }
    Ok(missing.into_iter().chain(hint(query, &metrics)).collect())
}

/// Which metrics a query reads, and what of it is not there.
fn reads(inputs: &Inputs, query: &str) -> Result<(Vec<Read>, Vec<Absent>), Error> {
    let filled = text::fill(query, "10s", "0.5");
    let selectors = match promql::selects(&filled) {
        Ok(selectors) => selectors,
        // What is wrong with it is told when it is evaluated, where the length of the span is known.
        Err(_) => return Ok(Default::default()),
    };
    let known = inputs.source.metadata();
    let mut read: BTreeMap<String, usize> = BTreeMap::new();
    let mut absent: Vec<Absent> = Vec::new();
    for matchers in &selectors {
        let all = inputs.source.series(matchers, i64::MIN, i64::MAX)?;
        if all.is_empty() {
            let one = missing(inputs, matchers, &known.keys().cloned().collect::<Vec<_>>());
            if absent.iter().all(|other| other.selector != one.selector) {
                absent.push(one);
            }
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        all.iter().for_each(|labels| *counts.entry(labels.name()).or_default() += 1);
        for (name, count) in counts {
            // Selected twice, as in a ratio, it is the larger of both.
            let most = read.entry(name.into()).or_default();
            *most = count.max(*most);
        }
    }
    let metric = |(name, series): (String, usize)| {
        let known = known.get(&name).cloned().unwrap_or_default();
        Read { name, kind: known.kind, unit: known.unit, series }
    };
    // `{__name__=~".+"}` reads all there are.
    Ok((read.into_iter().take(LIMIT).map(metric).collect(), absent))
}

fn missing(inputs: &Inputs, matchers: &[Matcher], names: &[String]) -> Absent {
    let name = matchers.iter().find(|matcher| matcher.name == NAME).map(Matcher::value).unwrap_or_default();
    let selector = selector(matchers);
    if names.iter().any(|known| known == name) {
        let why = format!("{name} has no series with these labels; describe_metrics tells which it has");
        return Absent { selector, why, similar: Vec::new() };
    }
    let why = dashboard::absent(&inputs.all, &[name.to_string()]).pop().unwrap_or_default();
    Absent { selector, why, similar: similar(&name.to_lowercase(), names) }
}

/// A selector as people write it.
fn selector(matchers: &[Matcher]) -> String {
    let (mut name, mut others) = ("", Vec::new());
    for matcher in matchers {
        match &matcher.op {
            Op::Equal(value) if matcher.name == NAME => name = value,
            _ => others.push(matcher.to_string()),
        }
    }
    if others.is_empty() { name.into() } else { format!("{name}{{{}}}", others.join(", ")) }
}

fn notes(inputs: &Inputs, notes: promql::Notes) -> Vec<String> {
    let kinds = inputs.source.metadata();
    let is_counter = |name: &str| kinds.get(name).is_some_and(|known| known.kind == "counter");
    let infos = notes.infos.into_iter().filter(|info| !is_doubt(info, is_counter));
    notes.warnings.into_iter().chain(infos).collect()
}

/// What to ask instead, if a counter or a histogram was asked for as it is.
fn hint(query: &str, metrics: &[Read]) -> Option<String> {
    let [Read { name, kind, .. }] = metrics else { return None };
    promql::parse_selector(query.trim()).ok()?;
    match kind.as_str() {
        "counter" => {
            Some(format!("{name} is a counter, which only grows: rate({name}[$interval]) tells how fast"))
        }
        "histogram" => Some(format!(
            "{name} is a histogram since its beginning: histogram_quantile(0.99, rate({name}[$interval])) tells of \
             each step"
        )),
        _ => None,
    }
}

fn told(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn at(line: Line) -> Option<(f64, At)> {
    let value = line.values.first().copied().filter(|value| !value.is_nan())?;
    Some((value, At { labels: told(&line.labels), value: value.is_finite().then_some(value) }))
}

/// The greatest first; none at the end.
fn greater(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

impl Absent {
    fn words(&self) -> String {
        let Self { selector, why, similar } = self;
        let similar =
            if similar.is_empty() { String::new() } else { format!("; similar: {}", similar.join(", ")) };
        format!("not there: {selector}: {why}{similar}")
    }
}

impl Summary {
    fn of(line: &Line, grid: &Grid, points: usize) -> Self {
        let lots = match points {
            0 => Vec::new(),
            points => reduce(&line.values, per_lot(line.values.len(), points)).greatest,
        };
        Self {
            labels: told(&line.labels),
            numbers: numbers(&line.values, grid.start, grid.step),
            points: lots.into_iter().map(|value| value.is_finite().then_some(value)).collect(),
        }
    }
}

/// Labels as PromQL has them.
fn written(labels: &BTreeMap<String, String>) -> String {
    let name = labels.get(NAME).map(String::as_str).unwrap_or_default();
    let others =
        labels.iter().filter(|(label, _)| *label != NAME).map(|(label, value)| format!("{label}={value:?}"));
    let others = others.collect::<Vec<_>>().join(", ");
    if others.is_empty() && !name.is_empty() { name.into() } else { format!("{name}{{{others}}}") }
}

impl Answer for Answered {
    fn text(&self) -> String {
        let mut out = String::new();
        let Window { start, end, step_seconds, steps, .. } = &self.window;
        let _ = writeln!(out, "{}", self.query);
        let _ = match self.values.is_empty() {
            false => writeln!(out, "of {} at {end}", self.inputs.join(", ")),
            true => {
                let inputs = self.inputs.join(", ");
                writeln!(out, "of {inputs} from {start} to {end}, {steps} steps of {step_seconds} s")
            }
        };
        let unit = |unit: &str| if unit.is_empty() { String::new() } else { format!(", {unit}") };
        let read = |Read { name, kind, unit: of, series }: &Read| {
            format!("{name} ({kind}{}; {series} series)", unit(of))
        };
        if !self.metrics.is_empty() {
            let _ = writeln!(out, "reads {}", self.metrics.iter().map(read).collect::<Vec<_>>().join(", "));
        }
        for absent in &self.absent {
            let _ = writeln!(out, "{}", absent.words());
        }
        for At { labels, value } in &self.values {
            let _ = writeln!(out, "{} {}", written(labels), value.map_or("infinite".into(), number));
        }
        for summary in &self.series {
            summary.write(&mut out);
        }
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        out + &self.page.line("series")
    }

    fn listed(&self) -> usize {
        self.series.len().max(self.values.len())
    }

    fn keep(&mut self, count: usize) {
        self.series.truncate(count);
        self.values.truncate(count);
        self.page.cut(count);
    }
}

impl Summary {
    fn write(&self, out: &mut String) {
        let Numbers { values, gaps, infinite, sketch, .. } = &self.numbers;
        let _ = writeln!(out, "{}", written(&self.labels));
        let told = |value: Option<f64>| value.map_or("-".into(), number);
        let of = &self.numbers;
        let when =
            |time: &Option<String>| time.as_ref().map(|time| format!(" at {time}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "    mean {}, min {}{}, max {}{}, first {}, last {}, p50 {}, p90 {}, p99 {}",
            told(of.mean),
            told(of.min),
            when(&of.min_at),
            told(of.max),
            when(&of.max_at),
            told(of.first),
            told(of.last),
            told(of.p50),
            told(of.p90),
            told(of.p99),
        );
        let infinite = if *infinite > 0 { format!(", {infinite} of them infinite") } else { String::new() };
        let _ = writeln!(out, "    |{sketch}| values at {values} of {} steps{infinite}", values + gaps);
        if !self.points.is_empty() {
            let points: Vec<String> =
                self.points.iter().map(|point| point.map_or("-".into(), number)).collect();
            let _ = writeln!(out, "    points {}", points.join(" "));
        }
    }
}

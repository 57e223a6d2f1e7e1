//! How healthy a machine was, as a record that programs can compare.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{self, Unknown, word};
use super::page::Page;
use super::sketch::{number, significant};
use super::span::{self, Steps};
use super::{Answer, Assistant, Failure, Tool, Work};
use crate::analysis::{self, ResourceHealth};
use crate::query::ask::moment;

pub struct Summarize;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Arguments {
    /// Which recording, log or agent: the name of one that is open, or a path. The only one that is open if left out.
    #[serde(alias = "parquet_file")]
    input: Option<String>,
    /// The start of the span: RFC 3339, seconds since 1970, or -5m for five minutes before the end of the data. The start of the data if left out.
    start: Option<String>,
    /// The end of the span, as `start`. The end of the data if left out.
    end: Option<String>,
    /// Only this resource: cpu, scheduler, memory, blockio, network, tcp, syscall, cgroup, agent.
    resource: Option<String>,
    /// So many entries at most: signals, and signals that are absent.
    limit: Option<usize>,
    /// Where to go on in a list that did not fit: the `next` of the page before.
    offset: usize,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Health {
    /// Which record it is: one more when a member is removed or means something else.
    pub schema_version: u32,
    pub input: String,
    pub window: Steps,
    pub duration_seconds: f64,
    /// Always in the same order. Of a page, those that have entries on it.
    pub resources: Vec<Resource>,
    /// What to know of the data.
    pub notes: Vec<String>,
    /// Of all entries of all resources.
    pub page: Page,
}

/// What is known of a resource.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Resource {
    pub resource: String,
    /// How much of it is in use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub utilisation: Vec<Signal>,
    /// How much work waits for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub saturation: Vec<Signal>,
    /// What fails.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Signal>,
    /// How much it does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<Signal>,
    /// How long that takes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub latency: Vec<Signal>,
    /// How it is laid out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<Signal>,
    /// What was not recorded: it is not zero, it is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Unknown>,
}

/// Figures over all steps that have a value, in the signal's unit.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Signal {
    pub signal: String,
    pub title: String,
    pub unit: String,
    pub mean: f64,
    pub min: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
    /// When it was greatest first, RFC 3339.
    pub max_at: String,
    /// Which way is trouble: `high`, `low`, `either`.
    pub worse: String,
    /// The part of the steps that have a value, 0 to 1.
    pub coverage: f64,
    /// PromQL that gives the values.
    pub query: String,
}

impl Tool for Summarize {
    const NAME: &'static str = "summarize";
    const TITLE: &'static str = "Summarize health";
    const ABOUT: &'static str = "The health of a machine over a recording: utilisation, saturation and errors of each resource.\n\
        A record of figures with the PromQL of each, and of what was not recorded. It has a version and is the same each \
        time it is asked, so that programs can keep and compare it. It judges nothing: detect_anomalies does.";
    const POSITIONAL: &'static [&'static str] = &["input"];
    type Arguments = Arguments;
    type Answer = Health;

    fn run(assistant: &Assistant, arguments: Arguments, work: &Work) -> Result<Health, Failure> {
        let only = evidence::resource(&arguments.resource)?;
        work.says("opening the input");
        let inputs = assistant.one("input", arguments.input)?;
        let given = (&arguments.start, &arguments.end);
        let window = span::part(given, ("start", "end"), inputs.source.range())?;
        let made = analysis::summarize(&*inputs.source, window, &evidence::engine(work));
        let made = made.map_err(evidence::refused)?;
        let wanted = made.resources.iter().filter(|one| only.is_none_or(|only| one.resource == only));
        let mut health = Health {
            schema_version: made.schema_version,
            input: inputs.names().concat(),
            window: Steps::of(&made.frame),
            duration_seconds: made.duration,
            resources: wanted.map(Resource::of).collect(),
            notes: evidence::notes(made.remarks),
            page: Page::default(),
        };
        let total = health.listed();
        let limit = arguments.limit.unwrap_or(usize::MAX).max(1);
        health.entries(arguments.offset, limit);
        health.page = Page { total, offset: arguments.offset, ..Page::default() };
        health.page.cut(health.listed());
        Ok(health)
    }
}

impl Health {
    /// Leaves so many entries after the first `skip`, and the resources that have any.
    fn entries(&mut self, skip: usize, keep: usize) {
        let (mut skip, mut keep) = (skip, keep);
        let whole = skip == 0 && keep >= self.listed();
        for resource in &mut self.resources {
            for signals in resource.signals() {
                part(signals, &mut skip, &mut keep);
            }
            part(&mut resource.absent, &mut skip, &mut keep);
        }
        // Of a whole record all are there, also those of which nothing is known.
        self.resources.retain_mut(|resource| whole || resource.count() > 0);
    }
}

fn part<T>(all: &mut Vec<T>, skip: &mut usize, keep: &mut usize) {
    let gone = all.len().min(*skip);
    all.drain(..gone);
    *skip -= gone;
    all.truncate(*keep);
    *keep -= all.len();
}

impl Resource {
    fn of(health: &ResourceHealth) -> Self {
        let all = |signals: &[analysis::SignalHealth]| signals.iter().map(Signal::of).collect();
        Self {
            resource: word(health.resource),
            utilisation: all(&health.utilisation),
            saturation: all(&health.saturation),
            errors: all(&health.errors),
            traffic: all(&health.traffic),
            latency: all(&health.latency),
            state: all(&health.state),
            absent: health.absent.iter().map(Unknown::of).collect(),
        }
    }

    fn signals(&mut self) -> [&mut Vec<Signal>; 6] {
        let Self { utilisation, saturation, errors, traffic, latency, state, .. } = self;
        [utilisation, saturation, errors, traffic, latency, state]
    }

    fn named(&self) -> [(&'static str, &[Signal]); 6] {
        [
            ("utilisation", &self.utilisation),
            ("saturation", &self.saturation),
            ("errors", &self.errors),
            ("traffic", &self.traffic),
            ("latency", &self.latency),
            ("state", &self.state),
        ]
    }

    fn count(&self) -> usize {
        self.named().into_iter().map(|(_, signals)| signals.len()).sum::<usize>() + self.absent.len()
    }

    fn write(&self, out: &mut String) {
        let _ = writeln!(out, "{}", self.resource);
        for (aspect, signals) in self.named() {
            for signal in signals {
                signal.write(out, aspect);
            }
        }
        let absent: Vec<String> =
            self.absent.iter().map(|one| format!("{} ({})", one.signal, one.reason)).collect();
        if !absent.is_empty() {
            let _ = writeln!(out, "  not there: {}", absent.join(", "));
        }
    }
}

impl Signal {
    fn of(health: &analysis::SignalHealth) -> Self {
        Self {
            signal: health.signal.clone(),
            title: health.title.clone(),
            unit: health.unit.clone(),
            mean: significant(health.mean),
            min: significant(health.min),
            p50: significant(health.p50),
            p90: significant(health.p90),
            p99: significant(health.p99),
            max: significant(health.max),
            max_at: moment(health.max_at),
            worse: word(health.worse),
            coverage: significant(health.coverage),
            query: health.query.clone(),
        }
    }

    fn write(&self, out: &mut String, aspect: &str) {
        let Self { signal, title, unit, mean, p50, p99, max, max_at, coverage, query, .. } = self;
        let [mean, p50, p99, max] = [mean, p50, p99, max].map(|value| number(*value));
        let part = if *coverage < 1.0 {
            format!(", at {} % of the steps", number(significant(100.0 * coverage)))
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "  {aspect} {signal} ({title}): mean {mean}, p50 {p50}, p99 {p99}, max {max} {unit} at {max_at}{part}"
        );
        let _ = writeln!(out, "    {query}");
    }
}

impl Answer for Health {
    fn text(&self) -> String {
        let mut out = String::new();
        let Steps { start, end, steps, step_seconds, .. } = &self.window;
        let _ = writeln!(
            out,
            "{} from {start} to {end}, {steps} steps of {step_seconds} s; record version {}",
            self.input, self.schema_version
        );
        for resource in &self.resources {
            resource.write(&mut out);
        }
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        out + &self.page.line("entries")
    }

    fn listed(&self) -> usize {
        self.resources.iter().map(Resource::count).sum()
    }

    fn keep(&mut self, count: usize) {
        self.entries(0, count);
        self.page.cut(count);
    }
}

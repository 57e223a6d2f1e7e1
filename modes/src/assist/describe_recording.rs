//! What an input is: where it comes from, its span, its machine, its samplers, what happened.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::inputs::{Available, is_live};
use super::page::{self, Page};
use super::schema::one_or_more;
use super::{Answer, Assistant, Failure, Tool, Work};
use crate::query::ask::moment;
use crate::viewer::about::about;
use crate::viewer::inputs::Opened;

/// So many events of an input are told, and so many of its notes of what was missed.
const MOST_EVENTS: usize = 20;
const MOST_MISSED: usize = 10;
/// So many of its other notes.
const MOST_NOTES: usize = 20;
/// So many other recordings are named.
const MOST_AVAILABLE: usize = 50;
/// What a recording says of itself in more characters than these is for programs.
const LONGEST: usize = 200;

pub struct DescribeRecording;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Arguments {
    /// Which inputs: names of those that are open, paths of recordings, as NAME=PATH if they are to be told apart. All that are open if left out.
    #[serde(alias = "input", alias = "parquet_file", deserialize_with = "one_or_more")]
    #[schemars(with = "Vec<String>")]
    pub inputs: Vec<String>,
    /// Where to go on in a list that did not fit: the `next` of the page before.
    pub offset: usize,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Recordings {
    pub recordings: Vec<Description>,
    /// What else can be asked: recordings in the folders that may be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub available: Vec<String>,
    pub page: Page,
}

/// An input.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Description {
    /// What to call it in other tools.
    pub name: String,
    /// The file's name, the folder of the log, or the agent's URL.
    pub title: String,
    /// `recording` (does not change), `log` (is being written), `live` (an agent, from the moment it was opened).
    pub kind: String,
    /// What was recorded: `rezolus`, or the name of another exporter.
    pub source: String,
    /// The version of the agent, if it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// RFC 3339; absent if there are no data yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    pub duration_seconds: f64,
    /// From one sample to the next.
    pub interval_seconds: f64,
    pub series: usize,
    /// How many metrics there are of each type.
    pub metrics: BTreeMap<String, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// How many samplers are in which state; absent if nothing is told of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samplers: Option<BTreeMap<String, usize>>,
    /// What happened while it was recorded, the earliest first.
    pub events: Vec<Event>,
    /// How many events there are in all.
    pub events_total: usize,
    /// When nothing was measured although it should have been.
    pub missed: Vec<Missed>,
    /// How many samples are missing in all.
    pub missed_total: u64,
    /// What else was noted in the file: key and value, the first 20.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
    /// Why it does not go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A recording's file.
#[derive(Debug, JsonSchema, Serialize)]
pub struct File {
    pub bytes: u64,
    pub rows: u64,
    pub columns: u64,
}

/// The machine that was measured, as far as it is told.
#[derive(Debug, Default, JsonSchema, Serialize)]
pub struct Machine {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// Logical CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa_nodes: Option<u64>,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Event {
    /// RFC 3339.
    pub time: String,
    pub description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Missed {
    pub start: String,
    pub end: String,
    /// How many samples.
    pub count: u64,
    pub reason: String,
}

impl Tool for DescribeRecording {
    const NAME: &'static str = "describe_recording";
    const TITLE: &'static str = "Describe recordings";
    const ABOUT: &'static str = "What a recording, log or live agent is, and which there are.\n\
        Tells source, version, span of time, interval between samples, machine, samplers, events and what was missed. \
        Ask this first: the times of all other questions have to lie within the span.";
    const POSITIONAL: &'static [&'static str] = &["inputs"];
    type Arguments = Arguments;
    type Answer = Recordings;

    fn run(assistant: &Assistant, arguments: Arguments, work: &Work) -> Result<Recordings, Failure> {
        let available = match arguments.inputs[..] {
            [] => assistant.available(),
            _ => Vec::new(),
        };
        // Without any input that was given, what there is is the answer.
        let all = match available.iter().any(|one| one.given) || available.is_empty() {
            true => assistant.open(&arguments.inputs)?.all,
            false => Vec::new(),
        };
        work.says("reading what the inputs say of themselves");
        let all: Vec<Description> = all.iter().map(describe).collect();
        let others = available.into_iter().filter(|one| !one.given).take(MOST_AVAILABLE);
        let available = others.map(|Available { input, .. }| input).collect();
        let (page, recordings) = Page::of(all, arguments.offset, usize::MAX);
        Ok(Recordings { recordings, available, page })
    }
}

fn describe(input: &Arc<Opened>) -> Description {
    let state = input.state();
    let about = about(input);
    let range = input.source.range();
    let mut metrics = BTreeMap::new();
    for known in input.source.metadata().into_values() {
        *metrics.entry(known.kind).or_insert(0) += 1;
    }
    let list = |key: &str| about[key].as_array().cloned().unwrap_or_default();
    let (events, missed) = (list("events"), list("missed"));
    let keys = about["file"]["keys"].as_object().cloned().unwrap_or_default();
    let version = keys.get("version").and_then(Value::as_str).map(String::from);
    let version = version.or_else(|| Some(about["status"]["version"].as_str()?.into()));
    Description {
        name: state.name,
        title: state.title,
        kind: state.kind.into(),
        source: state.source,
        version,
        start: range.map(|(start, _)| moment(start)),
        end: range.map(|(_, end)| moment(end)),
        duration_seconds: range.map_or(0.0, |(start, end)| (end - start) as f64 / 1e9),
        interval_seconds: state.interval,
        series: state.series,
        metrics,
        file: file(&about["file"]),
        machine: machine(&about["systeminfo"]),
        samplers: samplers(&about["status"]),
        events_total: events.len(),
        events: events.iter().take(MOST_EVENTS).map(event).collect(),
        missed_total: missed.iter().map(|run| run["count"].as_u64().unwrap_or_default()).sum(),
        missed: missed.iter().take(MOST_MISSED).map(missing).collect(),
        notes: notes(&keys),
        error: state.error,
    }
}

fn file(value: &Value) -> Option<File> {
    let whole = |key: &str| value[key].as_u64();
    Some(File { bytes: whole("bytes")?, rows: whole("rows")?, columns: whole("columns")? })
}

fn machine(value: &Value) -> Option<Machine> {
    value.as_object()?;
    let text = |key: &str| value[key].as_str().map(short);
    let whole = |key: &str| value[key].as_u64();
    Some(Machine {
        hostname: text("hostname"),
        distribution: text("distribution"),
        // As /proc/version has it, with who built it: only its release says something.
        kernel: value["kernel"].as_str().map(|kernel| {
            short(
                kernel
                    .strip_prefix("Linux version ")
                    .and_then(|rest| rest.split(' ').next())
                    .unwrap_or(kernel),
            )
        }),
        arch: text("arch"),
        cpu_model: text("cpu_model"),
        cpus: whole("cpus"),
        memory_total_bytes: whole("memory_total_bytes"),
        numa_nodes: whole("numa_nodes"),
    })
}

fn samplers(status: &Value) -> Option<BTreeMap<String, usize>> {
    let mut states = BTreeMap::new();
    for plugin in status["plugins"].as_array()? {
        for sampler in plugin["samplers"].as_array().into_iter().flatten() {
            *states.entry(sampler["state"].as_str().unwrap_or("unknown").into()).or_insert(0) += 1;
        }
    }
    Some(states)
}

fn time(value: &Value) -> String {
    moment((value.as_f64().unwrap_or_default() * 1e9) as i64)
}

fn event(value: &Value) -> Event {
    let text = |key: &str| short(value[key].as_str().unwrap_or_default());
    Event { time: time(&value["timestamp"]), description: text("description"), kind: text("kind") }
}

fn missing(value: &Value) -> Missed {
    Missed {
        start: time(&value["start"]),
        end: time(&value["end"]),
        count: value["count"].as_u64().unwrap_or_default(),
        reason: short(value["reason"].as_str().unwrap_or_default()),
    }
}

/// What somebody wrote down; what programs keep for programs is long, or JSON.
fn notes(keys: &serde_json::Map<String, Value>) -> BTreeMap<String, String> {
    let known = ["version", "source", "sampling_interval_ms"];
    let text = |(key, value): (&String, &Value)| {
        let value = value.as_str()?;
        let plain =
            value.len() <= LONGEST && !value.starts_with(['{', '[']) && !known.contains(&key.as_str());
        plain.then(|| (key.clone(), value.into()))
    };
    keys.iter().filter_map(text).take(MOST_NOTES).collect()
}

/// Not longer than what is worth reading.
fn short(text: &str) -> String {
    page::short(text, LONGEST)
}

impl Answer for Recordings {
    fn text(&self) -> String {
        let mut out = String::new();
        for one in &self.recordings {
            one.write(&mut out);
        }
        if !self.available.is_empty() {
            let _ = writeln!(out, "can be asked: {}", self.available.join(", "));
        }
        out + &self.page.line("inputs")
    }

    fn listed(&self) -> usize {
        self.recordings.len()
    }

    fn keep(&mut self, count: usize) {
        self.recordings.truncate(count);
        self.page.cut(count);
    }
}

impl Description {
    fn write(&self, out: &mut String) {
        let mut line = |name: &str, text: String| {
            if !text.is_empty() {
                let _ = writeln!(out, "  {name:<9} {text}");
            }
        };
        line("", String::new());
        let version = self.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        line("input", format!("{} ({}, {})", self.name, self.kind, self.title));
        line("source", format!("{}{version}", self.source));
        line(
            "span",
            match (&self.start, &self.end) {
                (Some(start), Some(end)) => format!("{start} to {end}, {} s", self.duration_seconds),
                _ => "there are no data yet".into(),
            },
        );
        line("interval", format!("{} s", self.interval_seconds));
        let counted = |counts: &BTreeMap<String, usize>| {
            counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
        };
        line("metrics", format!("{} ({} series)", counted(&self.metrics), self.series));
        if let Some(File { bytes, rows, columns }) = self.file {
            line("file", format!("{bytes} bytes, {rows} rows, {columns} columns"));
        }
        if let Some(machine) = &self.machine {
            line("machine", machine.text());
        }
        line(
            "samplers",
            match &self.samplers {
                Some(states) => counted(states),
                None => "nothing is told of them".into(),
            },
        );
        for event in &self.events {
            line("event", format!("{} {}", event.time, event.description));
        }
        if self.events_total > self.events.len() {
            line("", format!("and {} more events", self.events_total - self.events.len()));
        }
        for missed in &self.missed {
            line(
                "missed",
                format!("{} samples, {} to {}: {}", missed.count, missed.start, missed.end, missed.reason),
            );
        }
        for (key, value) in &self.notes {
            line("note", format!("{key}: {value}"));
        }
        line("error", self.error.clone().unwrap_or_default());
    }
}

impl Machine {
    fn text(&self) -> String {
        let whole = |number: Option<u64>, of: &str| number.map(|number| format!("{number} {of}"));
        let memory = self
            .memory_total_bytes
            .map(|bytes| format!("{:.1} GiB of memory", bytes as f64 / (1u64 << 30) as f64));
        let kernel = self.kernel.as_ref().map(|kernel| format!("Linux {kernel}"));
        let parts = [
            self.hostname.clone(),
            self.distribution.clone(),
            kernel,
            self.arch.clone(),
            self.cpu_model.clone(),
            whole(self.cpus, "CPUs"),
            memory,
            whole(self.numa_nodes, "NUMA nodes"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// For tools that want to say whether what they tell goes on changing.
pub fn as_of(input: &Opened) -> String {
    match input.source.range() {
        _ if is_live(input) => "now".into(),
        Some((_, end)) => moment(end),
        None => "unknown".into(),
    }
}

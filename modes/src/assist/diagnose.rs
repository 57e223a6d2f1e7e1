//! Which of the faults that plugins know were there.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{self, word};
use super::page::Page;
use super::sketch::{number, significant};
use super::span::{self, Span};
use super::{Answer, Assistant, Failure, Tool, Work};
use crate::diagnose;
use crate::query::ask::moment;

pub struct Diagnose;

/// So many times at which a diagnosis held are told unless it is said otherwise.
const TIMES: usize = 3;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Arguments {
    /// Which recording, log or agent: the name of one that is open, or a path. The only one that is open if left out.
    #[serde(alias = "parquet_file")]
    input: Option<String>,
    /// Only what lies from here on: RFC 3339, seconds since 1970, or -5m for five minutes before the end of the data.
    start: Option<String>,
    /// Only what lies up to here, as `start`.
    end: Option<String>,
    /// Of each diagnosis so many of the times at which it held, 10 at most; 3 if left out.
    times: Option<usize>,
    /// So many diagnoses at most.
    limit: Option<usize>,
    /// Where to go on in a list that did not fit: the `next` of the page before.
    offset: usize,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Diagnoses {
    pub input: String,
    pub window: Span,
    /// From one evaluation of the conditions to the next.
    pub step_seconds: f64,
    /// What held: critical ones first, of these the longest.
    pub held: Vec<Finding>,
    /// What was asked and did not hold, as `plugin/id`.
    pub not_held: Vec<String>,
    /// What could not be asked. It is not well: it is not known.
    pub not_asked: Vec<NotAsked>,
    /// Diagnoses that are wrong themselves, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    pub page: Page,
}

/// A diagnosis whose condition held.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Finding {
    /// `plugin/id`.
    pub diagnosis: String,
    pub title: String,
    /// `critical`: something is being lost, or most work stands still; `warning`: all else.
    pub severity: String,
    pub resource: String,
    /// Who says so: `recording`, `agent` (their plugins'), `built-in`.
    pub origin: String,
    /// What it says, and what it does not.
    pub meaning: String,
    /// Why the threshold is what it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub basis: String,
    /// PromQL that gives series while it holds.
    pub query: String,
    /// Of the query's values.
    pub unit: String,
    /// For how long it has to hold.
    pub for_seconds: f64,
    /// When it held and of which series, the longest first.
    pub times: Vec<Time>,
    /// How many such times there are in all.
    pub times_total: usize,
    /// What to look at next.
    pub next: Vec<Next>,
}

/// A time in which a condition held for a series.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Time {
    pub labels: BTreeMap<String, String>,
    /// The first and the last step, RFC 3339.
    pub start: String,
    pub end: String,
    /// For how long it held, pauses not counted.
    pub held_seconds: f64,
    /// The worst value, unless it is infinite,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<f64>,
    /// and when that was.
    pub worst_at: String,
}

/// Something to look at.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Next {
    /// What it would tell.
    pub look: String,
    /// PromQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The id of a dashboard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
}

/// A diagnosis that could not be asked.
#[derive(Debug, JsonSchema, Serialize)]
pub struct NotAsked {
    /// `plugin/id`.
    pub diagnosis: String,
    pub reason: String,
}

impl Tool for Diagnose {
    const NAME: &'static str = "diagnose";
    const TITLE: &'static str = "Known faults";
    const ABOUT: &'static str = "Which faults that plugins know were there, when, and what to look at next.\n\
        Each is a condition in PromQL with a threshold that has a reason, such as CPU throttling, listen queues that \
        overflow, or memory that runs out. An empty list means that none of those that could be asked held; what could \
        not be asked is told. For what no plugin has a name for ask detect_anomalies.";
    const POSITIONAL: &'static [&'static str] = &["input"];
    type Arguments = Arguments;
    type Answer = Diagnoses;

    fn run(assistant: &Assistant, arguments: Arguments, work: &Work) -> Result<Diagnoses, Failure> {
        work.says("opening the input");
        let inputs = assistant.one("input", arguments.input)?;
        let [input] = &inputs.all[..] else {
            return Err(Failure::usage(format!("input: say which of {}", inputs.names().join(", "))));
        };
        let given = (&arguments.start, &arguments.end);
        let window = span::part(given, ("start", "end"), input.source.range())?;
        work.says("asking the diagnoses");
        let told = diagnose::input(input, window, &evidence::engine(work)).map_err(evidence::refused)?;
        let times = arguments.times.unwrap_or(TIMES);
        let held = told.held.into_iter().map(|finding| Finding::of(finding, times)).collect();
        let (page, held) = Page::of(held, arguments.offset, arguments.limit.unwrap_or(usize::MAX));
        Ok(Diagnoses {
            input: inputs.names().concat(),
            window: Span::of((told.start, told.end)),
            step_seconds: seconds(told.step),
            held,
            not_held: told.not_held,
            not_asked: told.not_asked.into_iter().map(NotAsked::of).collect(),
            refused: told.refused,
            page,
        })
    }
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

impl Finding {
    fn of(finding: diagnose::Finding, times: usize) -> Self {
        Self {
            diagnosis: format!("{}/{}", finding.plugin, finding.id),
            title: finding.title,
            severity: word(finding.severity),
            resource: finding.resource,
            origin: finding.origin.into(),
            meaning: finding.meaning,
            basis: finding.basis,
            query: finding.query,
            unit: finding.unit,
            for_seconds: seconds(finding.hold),
            times: finding.times.into_iter().take(times).map(Time::of).collect(),
            times_total: finding.times_total,
            next: finding
                .next
                .into_iter()
                .map(|next| Next { look: next.look, query: next.query, page: next.page })
                .collect(),
        }
    }

    fn write(&self, out: &mut String) {
        let Self { diagnosis, title, severity, meaning, query, times, times_total, .. } = self;
        let _ = writeln!(out, "{severity}: {title} ({diagnosis})");
        for time in times {
            time.write(out, &self.unit);
        }
        match times_total.saturating_sub(times.len()) {
            0 => {}
            1 => out.push_str("    and 1 more time\n"),
            more => {
                let _ = writeln!(out, "    and {more} more times");
            }
        }
        let _ = writeln!(out, "    {meaning}\n    query: {query}");
        for Next { look, query, page } in &self.next {
            let query = query.as_ref().map(|query| format!(": {query}")).unwrap_or_default();
            let page = page.as_ref().map(|page| format!(" (dashboard {page})")).unwrap_or_default();
            let _ = writeln!(out, "    next: {look}{query}{page}");
        }
    }
}

impl Time {
    fn of(held: diagnose::Held) -> Self {
        Self {
            labels: held.labels,
            start: moment(held.start),
            end: moment(held.end),
            held_seconds: seconds(held.held),
            worst: held.worst.map(significant),
            worst_at: moment(held.worst_at),
        }
    }

    fn write(&self, out: &mut String, unit: &str) {
        let Self { labels, start, end, held_seconds, worst, worst_at } = self;
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!(" {{{}}}", labels.join(", ")) };
        let worst = worst.map_or_else(|| "without bound".into(), number);
        let _ = writeln!(
            out,
            "    {start} to {end}, held for {held_seconds} s{labels}; worst {worst} {unit} at {worst_at}"
        );
    }
}

impl NotAsked {
    fn of(told: diagnose::NotAsked) -> Self {
        Self { diagnosis: format!("{}/{}", told.plugin, told.id), reason: told.why }
    }
}

impl Answer for Diagnoses {
    fn text(&self) -> String {
        let mut out = String::new();
        let Self { input, window, held, not_held, not_asked, page, .. } = self;
        let found = match page.total {
            0 => "no known fault".into(),
            1 => "1 known fault".into(),
            total => format!("{total} known faults"),
        };
        let _ = writeln!(
            out,
            "{found} in {input} from {}; {} diagnoses were asked, {} could not be",
            evidence::between(window),
            page.total + not_held.len(),
            not_asked.len()
        );
        for finding in held {
            finding.write(&mut out);
        }
        for NotAsked { diagnosis, reason } in not_asked {
            let _ = writeln!(out, "not known: {diagnosis}: {reason}");
        }
        for why in &self.refused {
            let _ = writeln!(out, "note: {why}");
        }
        out + &page.line("faults")
    }

    fn listed(&self) -> usize {
        self.held.len()
    }

    fn keep(&mut self, count: usize) {
        self.held.truncate(count);
        self.page.cut(count);
    }
}

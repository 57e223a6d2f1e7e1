//! What was unusual in a recording.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{self, Absent, Depth, Evidence, Rank, SIGNALS, hundredths, word};
use super::page::Page;
use super::span::{self, Steps};
use super::{Answer, Assistant, Failure, Tool, Work};
use crate::analysis::{self, Scope};
use crate::query::ask::moment;

pub struct DetectAnomalies;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Arguments {
    /// Which recording, log or agent: the name of one that is open, or a path. The only one that is open if left out.
    #[serde(alias = "parquet_file")]
    input: Option<String>,
    /// Only what lies from here on: RFC 3339, seconds since 1970, or -5m for five minutes before the end of the data. What is normal is learned from this span alone.
    start: Option<String>,
    /// Only what lies up to here, as `start`.
    end: Option<String>,
    /// Only findings that affected this resource: cpu, scheduler, memory, blockio, network, tcp, syscall, cgroup, agent, other.
    resource: Option<String>,
    /// How closely is looked: `resources` (utilisation, saturation, errors and the like of each), `rest` (also the series of metrics that those do not use; if left out) or `everything` (also each series of all metrics; takes longer).
    depth: Option<Depth>,
    /// So many signals of each finding, 24 at most; 3 if left out. For all of one finding: limit 1, its offset, and 24.
    signals: Option<usize>,
    /// So many findings at most.
    limit: Option<usize>,
    /// Where to go on in a list that did not fit: the `next` of the page before.
    offset: usize,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Anomalies {
    pub input: String,
    pub window: Steps,
    /// How many signals were looked at.
    pub signals: usize,
    /// What was unusual, the earliest first. None means that nothing moved by as much as matters and more than by chance.
    pub findings: Vec<Finding>,
    pub absent: Absent,
    /// What to know of the data.
    pub notes: Vec<String>,
    pub page: Page,
}

/// Signals that were unusual together.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Finding {
    /// `change` (left what is normal), `drift` (goes one way all the time), `periodic` (comes again and again).
    pub kind: String,
    /// RFC 3339: the first step that was not normal any more. What made it so happened within the step before.
    pub onset: String,
    /// The last step that was not normal.
    pub end: String,
    /// Whether it was normal again before the data ended.
    pub over: bool,
    /// Of what is periodic: from one to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_seconds: Option<f64>,
    /// The resource that was affected most.
    pub resource: String,
    /// 1 is as much as matters at all; each 1 more is twice as far.
    pub score: f64,
    pub summary: String,
    /// What was affected, most first.
    pub ranking: Vec<Rank>,
    /// What moved first, then the others.
    pub evidence: Vec<Evidence>,
    /// How many signals moved that are not told here.
    pub more: usize,
}

impl Tool for DetectAnomalies {
    const NAME: &'static str = "detect_anomalies";
    const TITLE: &'static str = "Detect anomalies";
    const ABOUT: &'static str = "What was unusual in a recording: when it began and ended, which resource, with evidence.\n\
        Looks at every signal for changes, drifts and periods, and joins what happened together; what is small or may be \
        chance is left out, so an empty list is an answer. Steady load is normal, however heavy. Then ask find_cause with \
        the span of a finding, or query with the PromQL of its evidence.";
    const POSITIONAL: &'static [&'static str] = &["input"];
    type Arguments = Arguments;
    type Answer = Anomalies;

    fn run(assistant: &Assistant, arguments: Arguments, work: &Work) -> Result<Anomalies, Failure> {
        let only = evidence::resource(&arguments.resource)?;
        work.says("opening the input");
        let inputs = assistant.one("input", arguments.input)?;
        let given = (&arguments.start, &arguments.end);
        let window = span::part(given, ("start", "end"), inputs.source.range())?;
        let scope = Scope { window, depth: arguments.depth.unwrap_or_default().into() };
        let detection = analysis::detect(&*inputs.source, scope, &evidence::engine(work));
        let mut detection = detection.map_err(evidence::refused)?;
        detection.findings.retain(|finding| {
            only.is_none_or(|only| finding.ranking.iter().any(|rank| rank.resource == only))
        });
        let signals = arguments.signals.unwrap_or(SIGNALS);
        let findings = detection.findings.iter().map(|finding| Finding::of(finding, signals)).collect();
        let (page, findings) = Page::of(findings, arguments.offset, arguments.limit.unwrap_or(usize::MAX));
        Ok(Anomalies {
            input: inputs.names().concat(),
            window: Steps::of(&detection.frame),
            signals: detection.signals,
            findings,
            absent: Absent::of(&detection.absent),
            notes: evidence::notes(detection.remarks),
            page,
        })
    }
}

impl Finding {
    fn of(finding: &analysis::Finding, signals: usize) -> Self {
        Self {
            kind: word(finding.kind),
            onset: moment(finding.onset),
            end: moment(finding.end),
            over: finding.over,
            period_seconds: finding.period.map(|period| period as f64 / 1e9),
            resource: word(finding.resource),
            score: hundredths(finding.score),
            summary: finding.summary.clone(),
            ranking: Rank::all(&finding.ranking),
            evidence: finding.evidence.iter().take(signals).map(Evidence::of).collect(),
            more: finding.more + finding.evidence.len().saturating_sub(signals),
        }
    }

    fn write(&self, out: &mut String) {
        let Self { kind, onset, end, over, score, summary, .. } = self;
        let over = if *over { "" } else { ", the end of the data" };
        let _ = writeln!(out, "{kind} {onset} to {end}{over}, score {score}: {summary}");
        let _ = writeln!(out, "    affected: {}", Rank::line(&self.ranking));
        for evidence in &self.evidence {
            evidence.write(out, "");
        }
        match self.more {
            0 => {}
            1 => out.push_str("    and 1 more signal\n"),
            more => out.push_str(&format!("    and {more} more signals\n")),
        }
    }
}

impl Answer for Anomalies {
    fn text(&self) -> String {
        let mut out = String::new();
        let Steps { start, end, steps, step_seconds, .. } = &self.window;
        let found = match self.page.total {
            0 => "nothing unusual".into(),
            1 => "1 finding".into(),
            total => format!("{total} findings"),
        };
        let _ = writeln!(
            out,
            "{found} in {} from {start} to {end}, {steps} steps of {step_seconds} s; {} signals were looked at",
            self.input, self.signals
        );
        for finding in &self.findings {
            finding.write(&mut out);
        }
        self.absent.write(&mut out);
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        out + &self.page.line("findings")
    }

    fn listed(&self) -> usize {
        self.findings.len()
    }

    fn keep(&mut self, count: usize) {
        self.findings.truncate(count);
        self.page.cut(count);
    }
}

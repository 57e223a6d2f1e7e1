//! What analyses have in common: which signals say so, and what is not known.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sketch::{number, significant};
use super::span::Span;
use super::{Failure, Work};
use crate::analysis;
use crate::query::ask::moment;
use rezolus_store::promql::{Error, ErrorKind, Options};

/// So many signals are told of a finding unless it is said otherwise.
pub const SIGNALS: usize = 3;
/// So much that is not there is told, where it is not what was asked for.
const MOST_ABSENT: usize = 8;
/// So many remarks on the data are told.
const MOST_NOTES: usize = 10;

/// How closely is looked.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// The signals of resources only.
    Resources,
    /// And metrics that those do not use.
    #[default]
    Rest,
    /// And each series of all metrics by itself.
    Everything,
}

impl From<Depth> for analysis::Depth {
    fn from(depth: Depth) -> Self {
        match depth {
            Depth::Resources => Self::Resources,
            Depth::Rest => Self::Rest,
            Depth::Everything => Self::Everything,
        }
    }
}

/// A signal that moved.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Evidence {
    pub signal: String,
    pub title: String,
    pub resource: String,
    /// `utilisation`, `saturation`, `errors`, `traffic`, `latency`, `state`.
    pub aspect: String,
    pub unit: String,
    /// What it was normally, in its unit,
    pub normal: f64,
    /// and what it was then: the median; of a ramp how far it went, of bursts the mean.
    pub level: f64,
    /// When it was so, RFC 3339: the first and the last step.
    pub onset: String,
    pub end: String,
    /// `step`, `ramp`, `burst`.
    pub shape: String,
    /// 1 is a change that matters; each 1 more is twice as far.
    pub score: f64,
    /// How likely chance would go as far.
    pub p: f64,
    /// PromQL that shows it, over this span and what is before it.
    pub query: String,
}

/// How much a resource was affected.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Rank {
    pub resource: String,
    pub score: f64,
    /// When the first of its signals moved, RFC 3339.
    pub onset: String,
    pub signals: usize,
}

/// What cannot be said, since it was not recorded.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Unknown {
    pub signal: String,
    pub title: String,
    pub resource: String,
    pub aspect: String,
    pub reason: String,
    /// PromQL that would show it.
    pub query: String,
}

/// What was not recorded. It is not zero and not well: it is not known.
#[derive(Clone, Debug, Default, JsonSchema, Serialize)]
pub struct Absent {
    /// How many signals.
    pub total: usize,
    /// Their names, by resource and reason; not more than eight.
    pub signals: Vec<Unknown>,
}

/// A word as serde has it.
pub fn word<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The one that a name says, or nothing if there is none.
///
/// # Errors
///
/// When there is no such resource; says which there are.
pub fn resource(name: &Option<String>) -> Result<Option<analysis::Resource>, Failure> {
    let Some(name) = name.as_deref().map(str::trim).filter(|name| !name.is_empty()) else { return Ok(None) };
    let all = analysis::Resource::ALL;
    let found = all.into_iter().find(|resource| resource.name().eq_ignore_ascii_case(name));
    found.map(Some).ok_or_else(|| {
        let names: Vec<&str> = all.into_iter().map(analysis::Resource::name).collect();
        Failure::usage(format!("resource: one of {} is expected, not {name:?}", names.join(", ")))
    })
}

/// Why an analysis gave nothing.
pub fn refused(error: Error) -> Failure {
    match error.kind {
        ErrorKind::BadData => Failure::usage(error.message),
        ErrorKind::Timeout | ErrorKind::Canceled => {
            Failure::data(format!("{}; take a shorter span or less depth", error.message))
        }
        _ => Failure::data(error.message),
    }
}

/// How signals are evaluated.
pub fn engine(work: &Work) -> Options {
    work.says("evaluating the signals");
    work.engine()
}

pub fn notes(mut remarks: Vec<String>) -> Vec<String> {
    remarks.dedup();
    remarks.truncate(MOST_NOTES);
    remarks
}

impl Evidence {
    pub fn of(evidence: &analysis::Evidence) -> Self {
        Self {
            signal: evidence.signal.clone(),
            title: evidence.title.clone(),
            resource: word(evidence.resource),
            aspect: word(evidence.aspect),
            unit: evidence.unit.clone(),
            normal: significant(evidence.baseline),
            level: significant(evidence.level),
            onset: moment(evidence.onset),
            end: moment(evidence.end),
            shape: word(evidence.shape),
            score: hundredths(evidence.score),
            p: significant(evidence.p),
            query: evidence.query.clone(),
        }
    }

    /// Two lines: what it did, and the query that shows it.
    pub fn write(&self, out: &mut String, more: &str) {
        let Self { signal, title, unit, normal, level, onset, end, shape, score, p, query, .. } = self;
        let (from, to) = (number(*normal), number(*level));
        let _ =
            writeln!(out, "    {signal} ({title}): {from} to {to} {unit}, {shape}, {onset} to {end}{more}");
        let _ = writeln!(out, "        score {score}, p {}; {query}", number(*p));
    }
}

impl Rank {
    pub fn all(ranking: &[analysis::Rank]) -> Vec<Self> {
        let of = |rank: &analysis::Rank| Self {
            resource: word(rank.resource),
            score: hundredths(rank.score),
            onset: moment(rank.onset),
            signals: rank.signals,
        };
        ranking.iter().map(of).collect()
    }

    pub fn line(ranking: &[Self]) -> String {
        let one = |Self { resource, score, onset, signals }: &Self| {
            let signals = if *signals == 1 { "1 signal".into() } else { format!("{signals} signals") };
            format!("{resource} {score} ({signals}, from {onset})")
        };
        ranking.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

impl Unknown {
    pub fn of(absent: &analysis::Absent) -> Self {
        Self {
            signal: absent.id.clone(),
            title: absent.title.clone(),
            resource: word(absent.resource),
            aspect: word(absent.aspect),
            reason: absent.reason.clone(),
            query: absent.query.clone(),
        }
    }
}

impl Absent {
    pub fn of(absent: &[analysis::Absent]) -> Self {
        Self { total: absent.len(), signals: absent.iter().take(MOST_ABSENT).map(Unknown::of).collect() }
    }

    pub fn write(&self, out: &mut String) {
        if self.total == 0 {
            return;
        }
        let one = |Unknown { signal, reason, .. }: &Unknown| format!("{signal} ({reason})");
        let more = self.total - self.signals.len();
        let more = if more > 0 { format!(", and {more} more: summarize tells all") } else { String::new() };
        let signals: Vec<String> = self.signals.iter().map(one).collect();
        let _ = writeln!(out, "not there, so nothing is known of it: {}{more}", signals.join(", "));
    }
}

/// A span in words.
pub fn between(span: &Span) -> String {
    format!("{} to {}", span.start, span.end)
}

/// Scores are no more exact than this.
pub fn hundredths(score: f64) -> f64 {
    (score * 100.0).round() / 100.0
}

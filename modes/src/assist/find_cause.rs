//! What changed first and most when something was wrong.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::analyze_correlation::Strength;
use super::evidence::{self, Absent, Depth, Evidence, Rank, between};
use super::page::Page;
use super::query;
use super::span::{self, Span};
use super::{Answer, Assistant, Failure, Tool, Work};
use crate::analysis::{self, Symptom};

/// So many candidates are told unless it is said otherwise.
const LIMIT: usize = 10;

pub struct FindCause;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Arguments {
    /// Which recording, log or agent: the name of one that is open, or a path. The only one that is open if left out.
    #[serde(alias = "parquet_file")]
    input: Option<String>,
    /// When something was wrong: RFC 3339, seconds since 1970, or -5m for five minutes before the end of the data. There has to be something before it to compare with.
    start: Option<String>,
    /// Until when, as `start`. The end of the data if left out.
    end: Option<String>,
    /// Instead of start and end: PromQL of what was wrong. The stretch where the sum of its series is farthest from what it mostly is, is explained. $interval is the window for rates.
    symptom: Option<String>,
    /// How closely is looked: `resources` (utilisation, saturation, errors and the like of each), `rest` (also the series of metrics that those do not use; if left out) or `everything` (also each series of all metrics; takes longer).
    depth: Option<Depth>,
    /// So many candidates at most. 10 if left out.
    limit: Option<usize>,
    /// Where to go on in a list that did not fit: the `next` of the page before.
    offset: usize,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Causes {
    pub input: String,
    /// The span that is explained; absent if the symptom shows nothing unusual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// Of a symptom: its query, as it was evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symptom: Option<String>,
    /// In words, with what this does not show.
    pub says: String,
    /// Resources, what moved most first.
    pub ranking: Vec<Rank>,
    /// What moved before the span began or with it, most first; then what moved later.
    pub candidates: Vec<Candidate>,
    pub absent: Absent,
    /// What to know of the data.
    pub notes: Vec<String>,
    pub page: Page,
}

/// A signal that may be behind it.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Candidate {
    /// From its onset to the start of the span; negative: it moved later.
    pub lead_seconds: f64,
    pub evidence: Evidence,
    /// Of a symptom: how it goes with that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Strength>,
}

impl Tool for FindCause {
    const NAME: &'static str = "find_cause";
    const TITLE: &'static str = "Find the cause";
    const ABOUT: &'static str = "What changed first and most, over all resources, when something was wrong.\n\
        Give the span (start and end), or the symptom in PromQL. Each signal in the span is compared with what it was \
        before. Resources are ranked, signals come in the order in which they moved, each with the PromQL that shows it. \
        It tells where to look, it proves no cause; what was not measured is listed as absent.";
    const POSITIONAL: &'static [&'static str] = &["input"];
    type Arguments = Arguments;
    type Answer = Causes;

    fn run(assistant: &Assistant, arguments: Arguments, work: &Work) -> Result<Causes, Failure> {
        let given = (&arguments.start, &arguments.end);
        let symptom = arguments.symptom.as_deref().map(str::trim).filter(|query| !query.is_empty());
        match (symptom, given) {
            (Some(query), (None, None)) => query::check_length("symptom", query)?,
            (None, (Some(_), _)) => {}
            (Some(_), _) => {
                return Err(Failure::usage("give either start and end, or symptom: not both"));
            }
            (None, _) => {
                return Err(Failure::usage(
                    "say what is to be explained: start and end of when it was wrong, such as start -5m, or symptom, PromQL \
                     such as histogram_quantile(0.99, sum(rate(NAME[$interval])))",
                ));
            }
        }
        work.says("opening the input");
        let inputs = assistant.one("input", arguments.input)?;
        let mut notes = Vec::new();
        let symptom = match symptom {
            Some(query) => {
                notes = query::there("symptom", &inputs, query)?;
                Symptom::Query(query)
            }
            None => match span::part(given, ("start", "end"), inputs.source.range())? {
                Some((from, to)) => Symptom::Window(from, to),
                None => return Err(Failure::usage("start: a time is expected")),
            },
        };
        let depth = arguments.depth.unwrap_or_default().into();
        let found = analysis::cause(&*inputs.source, symptom, depth, &evidence::engine(work));
        let found = found.map_err(|error| match symptom {
            Symptom::Query(query) => query::refusal("symptom", query, &error),
            Symptom::Window(..) => evidence::refused(error),
        })?;
        notes.extend(found.remarks);
        let candidates = found.candidates.iter().map(Candidate::of).collect();
        let (page, candidates) = Page::of(candidates, arguments.offset, arguments.limit.unwrap_or(LIMIT));
        Ok(Causes {
            input: inputs.names().concat(),
            window: found.window.map(Span::of),
            symptom: found.symptom,
            says: found.says,
            ranking: Rank::all(&found.ranking),
            candidates,
            absent: Absent::of(&found.absent),
            notes: evidence::notes(notes),
            page,
        })
    }
}

impl Candidate {
    fn of(candidate: &analysis::Candidate) -> Self {
        Self {
            lead_seconds: candidate.lead as f64 / 1e9,
            evidence: Evidence::of(&candidate.evidence),
            correlation: candidate.correlation.as_ref().map(Strength::of),
        }
    }

    fn write(&self, out: &mut String) {
        let lead = match self.lead_seconds {
            0.0 => "; at the start of the span".into(),
            lead if lead > 0.0 => format!("; {lead} s before the span"),
            lead => format!("; {} s after the start of the span", -lead),
        };
        let alike =
            self.correlation.as_ref().map(|strength| format!("; with the symptom {}", strength.words()));
        self.evidence.write(out, &format!("{lead}{}", alike.unwrap_or_default()));
    }
}

impl Answer for Causes {
    fn text(&self) -> String {
        let mut out = String::new();
        let window = self.window.as_ref().map(|window| format!(" {}", between(window)));
        let _ = writeln!(out, "{}{}: {}", self.input, window.unwrap_or_default(), self.says);
        if let Some(symptom) = &self.symptom {
            let _ = writeln!(out, "symptom: {symptom}");
        }
        if !self.ranking.is_empty() {
            let _ = writeln!(out, "resources: {}", Rank::line(&self.ranking));
        }
        for candidate in &self.candidates {
            candidate.write(&mut out);
        }
        self.absent.write(&mut out);
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        out + &self.page.line("candidates")
    }

    fn listed(&self) -> usize {
        self.candidates.len()
    }

    fn keep(&mut self, count: usize) {
        self.candidates.truncate(count);
        self.page.cut(count);
    }
}

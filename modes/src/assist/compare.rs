//! What is different between two recordings, or between two spans.

use std::fmt::Write;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{self, Depth, between, hundredths, word};
use super::inputs::Inputs;
use super::page::Page;
use super::sketch::{number, significant};
use super::span::{self, Span};
use super::{Answer, Assistant, Failure, Tool, Work};
use crate::analysis::{self, Direction};

/// So many changes are told unless it is said otherwise,
const LIMIT: usize = 20;
/// and so many signals that only one side has.
const MOST_ONLY: usize = 20;

pub struct Compare;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Arguments {
    /// The recording, log or agent to compare with: the name of one that is open, or a path. If left out, the first of two that are open, or the only one.
    #[serde(alias = "input")]
    before: Option<String>,
    /// The one that is looked at. If left out, the second of two that are open, or the same: then give spans.
    after: Option<String>,
    /// The span to compare with: RFC 3339, seconds since 1970, or -5m for five minutes before the end of those data. The start of the data if left out.
    before_start: Option<String>,
    /// Until when, as before_start. The end of the data if left out.
    before_end: Option<String>,
    /// The span that is looked at, as before_start.
    after_start: Option<String>,
    /// Until when. The end of the data if left out.
    after_end: Option<String>,
    /// How closely is looked: `resources` (utilisation, saturation, errors and the like of each), `rest` (also the series of metrics that those do not use; if left out) or `everything` (also each series of all metrics; takes longer).
    depth: Option<Depth>,
    /// So many changes at most. 20 if left out.
    limit: Option<usize>,
    /// Where to go on in a list that did not fit: the `next` of the page before.
    offset: usize,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Comparison {
    pub before: Side,
    pub after: Side,
    /// How many signals both have.
    pub compared: usize,
    /// What changed by as much as matters and more than by chance, most first. What is not listed did not.
    pub changes: Vec<Change>,
    pub only_before: Only,
    pub only_after: Only,
    /// What to know of the data.
    pub notes: Vec<String>,
    pub page: Page,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Side {
    pub input: String,
    pub window: Span,
}

/// Signals that only one side has.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Only {
    pub total: usize,
    /// The first of them.
    pub signals: Vec<String>,
}

/// A signal that changed.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Change {
    pub signal: String,
    pub title: String,
    pub resource: String,
    pub aspect: String,
    pub unit: String,
    /// Medians.
    pub before: f64,
    pub after: f64,
    /// The median of all differences of two values, one of each side.
    pub shift: f64,
    /// The median after in parts of that before; absent if that was 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// `worse`, `better`, or `neither` where more is neither good nor bad.
    pub verdict: String,
    /// How little both overlap: 1 if each value after is above each before, -1 if below, 0 if they are mixed.
    pub separation: f64,
    /// How likely chance would give as much, with as many values as are independent.
    pub p: f64,
    /// How many independent values each side has.
    pub independent_before: f64,
    pub independent_after: f64,
    /// 1 is a change that matters; each 1 more is twice as far.
    pub score: f64,
    /// PromQL that shows it, over both spans.
    pub query: String,
}

impl Tool for Compare {
    const NAME: &'static str = "compare";
    const TITLE: &'static str = "Compare";
    const ABOUT: &'static str = "What is different between two recordings, or two spans of one: by how much, and how sure.\n\
        Each signal that both have is compared, as it is for most of a span: what lasted for a small part of one is for \
        detect_anomalies. What does not matter or may be chance is left out. Give before and after, \
        or spans of one recording, such as before_end and after_start. Signals that only one side has are named: nothing is \
        said of them.";
    const POSITIONAL: &'static [&'static str] = &["before", "after"];
    type Arguments = Arguments;
    type Answer = Comparison;

    fn run(assistant: &Assistant, arguments: Arguments, work: &Work) -> Result<Comparison, Failure> {
        work.says("opening the inputs");
        let (before, after) = sides(assistant, &arguments)?;
        let spans = (
            span::part(
                (&arguments.before_start, &arguments.before_end),
                ("before_start", "before_end"),
                before.source.range(),
            )?,
            span::part(
                (&arguments.after_start, &arguments.after_end),
                ("after_start", "after_end"),
                after.source.range(),
            )?,
        );
        let names = (before.names().concat(), after.names().concat());
        let same = matches!((&before.all[..], &after.all[..]), ([a], [b]) if Arc::ptr_eq(a, b));
        if same && spans.0 == spans.1 {
            return Err(Failure::usage(format!(
                "both sides are the same: give after, another recording, or spans of {}, such as before_end and after_start",
                names.0
            )));
        }
        let a = analysis::Side { source: &*before.source, window: spans.0 };
        let b = analysis::Side { source: &*after.source, window: spans.1 };
        let depth = arguments.depth.unwrap_or_default().into();
        let found = analysis::compare(a, b, depth, &evidence::engine(work)).map_err(evidence::refused)?;
        let changes = found.changes.iter().map(Change::of).collect();
        let (page, changes) = Page::of(changes, arguments.offset, arguments.limit.unwrap_or(LIMIT));
        Ok(Comparison {
            before: Side { input: names.0, window: Span::of(found.a) },
            after: Side { input: names.1, window: Span::of(found.b) },
            compared: found.compared,
            changes,
            only_before: Only::of(found.only_a),
            only_after: Only::of(found.only_b),
            notes: evidence::notes(found.remarks),
            page,
        })
    }
}

/// Which inputs are meant.
fn sides(assistant: &Assistant, arguments: &Arguments) -> Result<(Inputs, Inputs), Failure> {
    let named = |input: &String| assistant.open(std::slice::from_ref(input));
    match (&arguments.before, &arguments.after) {
        (Some(before), Some(after)) => Ok((named(before)?, named(after)?)),
        (Some(before), None) => Ok((named(before)?, named(before)?)),
        (None, Some(after)) => Ok((assistant.one("before", None)?, named(after)?)),
        (None, None) => match &assistant.given()[..] {
            [before, after] => Ok((named(before)?, named(after)?)),
            _ => Ok((assistant.one("before", None)?, assistant.one("before", None)?)),
        },
    }
}

impl Only {
    fn of(mut signals: Vec<String>) -> Self {
        let total = signals.len();
        signals.truncate(MOST_ONLY);
        Self { total, signals }
    }

    fn write(&self, out: &mut String, side: &str) {
        if self.total > 0 {
            let more = self.total - self.signals.len();
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            let _ = writeln!(out, "only {side} has {}{more}", self.signals.join(", "));
        }
    }
}

impl Change {
    fn of(change: &analysis::Change) -> Self {
        let verdict = match (change.worse, change.shift > 0.0) {
            (Direction::Either, _) => "neither",
            (Direction::High, true) | (Direction::Low, false) => "worse",
            _ => "better",
        };
        let ratio = Some(change.b / change.a).filter(|ratio| change.a != 0.0 && ratio.is_finite());
        Self {
            signal: change.signal.clone(),
            title: change.title.clone(),
            resource: word(change.resource),
            aspect: word(change.aspect),
            unit: change.unit.clone(),
            before: significant(change.a),
            after: significant(change.b),
            shift: significant(change.shift),
            ratio: ratio.map(significant),
            verdict: verdict.into(),
            separation: significant(change.delta),
            p: significant(change.p),
            independent_before: significant(change.independent.0),
            independent_after: significant(change.independent.1),
            score: hundredths(change.score),
            query: change.query.clone(),
        }
    }

    fn write(&self, out: &mut String) {
        let Self { signal, title, before, after, shift, unit, verdict, separation, p, score, query, .. } =
            self;
        let ratio = self.ratio.map(|ratio| format!(", {} times", number(ratio))).unwrap_or_default();
        let [before, after, shift] = [before, after, shift].map(|value| number(*value));
        let verdict = if verdict == "neither" { String::new() } else { format!(", {verdict}") };
        let _ =
            writeln!(out, "{signal} ({title}): {before} to {after} {unit}, shift {shift}{ratio}{verdict}");
        let sure = format!("separation {}, p {}", number(*separation), number(*p));
        let counts = (number(self.independent_before), number(self.independent_after));
        let _ = writeln!(
            out,
            "    score {score}, {sure}, {} and {} independent values; {query}",
            counts.0, counts.1
        );
    }
}

impl Answer for Comparison {
    fn text(&self) -> String {
        let mut out = String::new();
        let side = |Side { input, window }: &Side| format!("{input} {}", between(window));
        let found = match self.page.total {
            0 if self.compared == 0 => "nothing can be compared".into(),
            0 => "nothing is as a rule different by as much as matters (detect_anomalies tells what was so for a while)".into(),
            1 => "1 change".into(),
            total => format!("{total} changes"),
        };
        let _ = writeln!(out, "before: {}\nafter:  {}", side(&self.before), side(&self.after));
        let _ = writeln!(out, "{found}, of {} signals that both have", self.compared);
        for change in &self.changes {
            change.write(&mut out);
        }
        self.only_before.write(&mut out, "before");
        self.only_after.write(&mut out, "after");
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        out + &self.page.line("changes")
    }

    fn listed(&self) -> usize {
        self.changes.len()
    }

    fn keep(&mut self, count: usize) {
        self.changes.truncate(count);
        self.page.cut(count);
    }
}

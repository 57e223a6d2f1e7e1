//! Diagnoses: what plugins take for a fault, asked of a recording, a log or an agent.
//!
//! They travel with the data, as dashboards do: an agent serves those of its plugins at `/diagnoses`, a recording
//! keeps them under `rezolus.diagnoses`, and where nothing is told of any, those in this binary are asked.
//! `docs/diagnoses.md` describes them.

mod built_in;
pub mod definition;
mod hold;
#[cfg(test)]
mod tests;

use std::cell::LazyCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rezolus_store::labels::NAME;
use rezolus_store::promql::{self, Error, ErrorKind, Value};
use rezolus_store::{Matcher, Source};
use serde::Serialize;

use crate::query::Origin;
use crate::viewer::dashboard::why_absent;
use crate::viewer::inputs::Opened;
use crate::viewer::range::Grid;
use crate::viewer::text;
use definition::{Checked, Diagnosis, Next, Severity, check};
pub use hold::Held;
use hold::Rule;

/// A span is looked at in at most so many steps; of a longer one they are several ticks each.
const MOST_STEPS: i64 = 10_000;
/// So many times at which a condition held are told, the longest.
const MOST_HELD: usize = 10;
/// A condition has to hold for so many ticks if its diagnosis does not say for how long.
const TICKS: i64 = 5;
/// What is stored before a span may reach into it: how far back a selector looks, ns.
const LOOKBACK: i64 = 300_000_000_000;

/// A diagnosis, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub plugin: String,
    /// `recording`, `agent`, `built-in`.
    pub origin: &'static str,
    pub diagnosis: Diagnosis,
}

/// The diagnoses of an input, by plugin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definitions {
    pub known: Vec<Known>,
    /// What was left out, and why.
    pub refused: Vec<String>,
}

/// When is looked at. Times in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: i64,
    pub end: i64,
    /// From one sample to the next.
    pub interval: i64,
}

/// What the diagnoses of an input say of a span. Times in ns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosed {
    pub start: i64,
    pub end: i64,
    pub step: i64,
    /// What held: critical ones first, of these the longest.
    pub held: Vec<Finding>,
    /// What was asked and did not hold, as `plugin/id`.
    pub not_held: Vec<String>,
    /// What could not be asked.
    pub not_asked: Vec<NotAsked>,
    /// Diagnoses that are wrong, and why.
    pub refused: Vec<String>,
}

/// A diagnosis whose condition held.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub plugin: String,
    pub id: String,
    pub title: String,
    pub severity: Severity,
    pub resource: String,
    /// Where the diagnosis comes from: `recording`, `agent`, `built-in`.
    pub origin: &'static str,
    pub meaning: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub basis: String,
    /// The condition as it was asked.
    pub query: String,
    /// Of its values.
    pub unit: String,
    /// For how long it had to hold at least, ns.
    pub hold: i64,
    /// When it held, for which series: the longest first.
    pub times: Vec<Held>,
    /// How many there are in all.
    pub times_total: usize,
    pub next: Vec<Next>,
}

/// A diagnosis that could not be asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NotAsked {
    pub plugin: String,
    pub id: String,
    pub title: String,
    pub why: String,
}

/// The diagnoses an input carries; if it carries none, those of the plugins in this binary.
pub fn definitions(input: &Opened) -> Definitions {
    let carried = input.diagnoses();
    let mut all = Definitions::default();
    if carried.is_empty() {
        built_in::all().into_iter().for_each(|(plugin, checked)| all.take(plugin, "built-in", checked));
        return all;
    }
    let origin = if matches!(input.origin, Origin::Live(_)) { "agent" } else { "recording" };
    for (plugin, document) in &carried {
        all.take(plugin, origin, check(document));
    }
    all
}

impl Definitions {
    fn take(&mut self, plugin: &str, origin: &'static str, checked: Checked) {
        let known = |diagnosis| Known { plugin: plugin.into(), origin, diagnosis };
        self.known.extend(checked.diagnoses.into_iter().map(known));
        self.refused.extend(checked.refused.into_iter().map(|why| format!("plugin {plugin}: {why}")));
    }
}

/// Asks an input for all its diagnoses over a span; of all there is without one. Wants a thread with a large stack.
///
/// # Errors
///
/// When it has no data in the span, or is canceled or out of time.
pub fn input(
    input: &Arc<Opened>,
    span: Option<(i64, i64)>,
    options: &promql::Options,
) -> Result<Diagnosed, Error> {
    let range = input.source.range().ok_or_else(|| Error::execution("there are no data yet"))?;
    let (start, end) = span.unwrap_or(range);
    let (start, end) = (start.max(range.0), end.min(range.1));
    if start > end {
        return Err(Error::bad_data("there are no data in this span"));
    }
    let span = Span { start, end, interval: input.interval() };
    // If all metrics are there, nobody needs to know.
    let reasons = LazyCell::new(|| why_absent(std::slice::from_ref(input)));
    let why = |plugin: &str, metric: &str| (*reasons)(plugin, metric);
    run(&*input.source, &definitions(input), span, &why, options)
}

/// Asks a source for all diagnoses. `why` tells why a plugin's metric is not there. Wants a thread with a large stack.
///
/// # Errors
///
/// When it is canceled or out of time, or the span is none. A condition that cannot be asked is no error.
pub fn run(
    source: &dyn Source,
    definitions: &Definitions,
    span: Span,
    why: &dyn Fn(&str, &str) -> String,
    options: &promql::Options,
) -> Result<Diagnosed, Error> {
    let Span { start, end, interval } = span;
    let length = end.checked_sub(start).filter(|length| *length >= 0 && interval > 0);
    let length =
        length.ok_or_else(|| Error::bad_data("the end is before the start, or there is no interval"))?;
    let step = interval.saturating_mul((length / interval / MOST_STEPS).saturating_add(1));
    let count = usize::try_from(length / step + 1).unwrap_or(usize::MAX);
    let grid = Grid { start, step, count, per: 1, interval };
    let mut asker = Asker { source, span, step, window: grid.window(), options, there: BTreeMap::new() };
    let (mut held, mut not_held, mut not_asked) = (Vec::new(), Vec::new(), Vec::new());
    for Known { plugin, origin, diagnosis } in &definitions.known {
        let id = diagnosis.id.clone();
        match asker.ask(diagnosis) {
            Ok(all) if all.is_empty() => not_held.push(format!("{plugin}/{id}")),
            Ok(all) => held.push(asker.finding(plugin, origin, diagnosis, all)),
            Err(Failed::Ended(error)) => return Err(error),
            Err(failed) => {
                let why = match failed {
                    Failed::Missing(metric) => why(plugin, &metric),
                    Failed::Refused(why) => why,
                    Failed::Ended(error) => return Err(error),
                };
                not_asked.push(NotAsked { plugin: plugin.clone(), id, title: diagnosis.title.clone(), why });
            }
        }
    }
    held.sort_by_key(|finding| {
        (finding.severity, Reverse(finding.times.first().map_or(0, |held| held.held)))
    });
    Ok(Diagnosed { start, end, step, held, not_held, not_asked, refused: definitions.refused.clone() })
}

/// Why a condition has no answer.
enum Failed {
    /// For want of this metric.
    Missing(String),
    Refused(String),
    /// Nobody wants any answer any more.
    Ended(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error.kind {
            ErrorKind::Timeout | ErrorKind::Canceled => Self::Ended(error),
            _ => Self::Refused(format!("it cannot be evaluated here: {error}")),
        }
    }
}

struct Asker<'a> {
    source: &'a dyn Source,
    span: Span,
    step: i64,
    /// What `$interval` stands for.
    window: String,
    options: &'a promql::Options,
    /// Which selectors select something: several diagnoses are of the same metrics.
    there: BTreeMap<String, bool>,
}

impl Asker<'_> {
    /// When a condition held, the longest first.
    fn ask(&mut self, diagnosis: &Diagnosis) -> Result<Vec<Held>, Failed> {
        let query = self.filled(&diagnosis.condition);
        if let Some(matchers) = self.missing(&query)? {
            return Err(self.absent(&matchers)?);
        }
        let Span { start, end, .. } = self.span;
        let answer = promql::range(self.source, &query, start, end, self.step, self.options)?;
        let Value::Matrix(all) = answer.value else {
            return Err(Failed::Refused("its answer is no series".into()));
        };
        let rule = Rule { step: self.step, hold: self.hold(diagnosis), worst: diagnosis.worst };
        let mut held: Vec<Held> = all.iter().flat_map(|series| rule.held(series)).collect();
        held.sort_by_key(|one| (Reverse(one.held), one.start));
        Ok(held)
    }

    /// The selector for want of which a query can give nothing in this span.
    fn missing(&mut self, query: &str) -> Result<Option<Vec<Matcher>>, Error> {
        let mut failed = None;
        let missing = promql::missing(query, &mut |matchers| {
            self.is_there(matchers).unwrap_or_else(|error| {
                failed = Some(error);
                true
            })
        })?;
        failed.map_or(Ok(missing), Err)
    }

    fn is_there(&mut self, matchers: &[Matcher]) -> Result<bool, Error> {
        let key = format!("{matchers:?}");
        if let Some(there) = self.there.get(&key) {
            return Ok(*there);
        }
        let Span { start, end, .. } = self.span;
        let there = !self.source.series(matchers, start.saturating_sub(LOOKBACK), end)?.is_empty();
        self.there.insert(key, there);
        Ok(there)
    }

    /// What of a selector is not there: the metric, or only series with these labels.
    fn absent(&mut self, matchers: &[Matcher]) -> Result<Failed, Error> {
        let (names, labels): (Vec<_>, Vec<_>) = matchers.iter().cloned().partition(|one| one.name == NAME);
        let metric = names.first().map_or("a metric", |name| name.value()).to_string();
        if names.is_empty() || labels.is_empty() || !self.is_there(&names)? {
            return Ok(Failed::Missing(metric));
        }
        let labels: Vec<String> = labels.iter().map(Matcher::to_string).collect();
        Ok(Failed::Refused(format!("{metric} has no series with {}", labels.join(" and "))))
    }

    fn filled(&self, query: &str) -> String {
        text::fill(query, &self.window, "0.5")
    }

    /// ns
    fn hold(&self, diagnosis: &Diagnosis) -> i64 {
        let said = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        diagnosis.hold.map_or_else(|| self.span.interval.saturating_mul(TICKS), said)
    }

    fn finding(
        &self,
        plugin: &str,
        origin: &'static str,
        diagnosis: &Diagnosis,
        mut times: Vec<Held>,
    ) -> Finding {
        let times_total = times.len();
        times.truncate(MOST_HELD);
        let next =
            |next: &Next| Next { query: next.query.as_ref().map(|query| self.filled(query)), ..next.clone() };
        Finding {
            plugin: plugin.into(),
            id: diagnosis.id.clone(),
            title: diagnosis.title.clone(),
            severity: diagnosis.severity,
            resource: diagnosis.resource.clone(),
            origin,
            meaning: diagnosis.meaning.clone(),
            basis: diagnosis.basis.clone(),
            query: self.filled(&diagnosis.condition),
            unit: diagnosis.unit.clone(),
            hold: self.hold(diagnosis),
            times,
            times_total,
            next: diagnosis.next.iter().map(next).collect(),
        }
    }
}

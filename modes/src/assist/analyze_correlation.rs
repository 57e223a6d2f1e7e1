//! Whether two things go together, and which goes first.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence;
use super::page::Page;
use super::query;
use super::sketch::{number, significant};
use super::span::{self, Span};
use super::{Answer, Assistant, Failure, Tool, Work};
use crate::analysis::{self, Pair};
use crate::query::ask;

/// So many pairs are told unless it is said otherwise.
const LIMIT: usize = 10;
/// How far one is looked for ahead of the other unless it is said otherwise, ns, and in intervals.
const LAG: i64 = 30_000_000_000;
const LAG_INTERVALS: i64 = 10;

pub struct AnalyzeCorrelation;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// PromQL of the one, such as sum(rate(scheduler_runqueue_wait[$interval])). If it gives several series, each is paired with each. $interval is the window for rates.
    x: String,
    /// PromQL of the other.
    y: String,
    /// Which recording, log or agent: the name of one that is open, or a path. The only one that is open if left out.
    #[serde(default, alias = "parquet_file")]
    input: Option<String>,
    /// The start of the span: RFC 3339, seconds since 1970, or -5m for five minutes before the end of the data. The start of the data if left out.
    #[serde(default)]
    start: Option<String>,
    /// The end of the span, as `start`. The end of the data if left out.
    #[serde(default)]
    end: Option<String>,
    /// How far one is looked for ahead of the other, such as 10s; a quarter of the span at most. 30 seconds or ten samples if left out.
    #[serde(default)]
    max_lag: Option<String>,
    /// So many pairs at most, the strongest first. 10 if left out.
    #[serde(default)]
    limit: Option<usize>,
    /// Where to go on in a list that did not fit: the `next` of the page before.
    #[serde(default)]
    offset: usize,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Correlations {
    pub input: String,
    pub window: Span,
    /// The queries, as they were evaluated.
    pub x: String,
    pub y: String,
    /// The strongest first.
    pub pairs: Vec<Related>,
    /// What to know of it.
    pub notes: Vec<String>,
    pub page: Page,
}

/// A series of each.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Related {
    /// Labels of the series of x.
    pub x: String,
    /// Labels of the series of y.
    pub y: String,
    /// At the same time.
    pub now: Strength,
    /// At the lag at which it is strongest.
    pub best: Strength,
    /// What it says, and what it does not.
    pub says: String,
}

/// How strongly two series go together.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Strength {
    /// Positive: y follows x by so much.
    pub lag_seconds: f64,
    /// The correlation of values, -1 to 1,
    pub pearson: f64,
    /// and of their ranks.
    pub spearman: f64,
    /// Pairs of values that overlap,
    pub values: usize,
    /// and as how many independent ones they count.
    pub independent: f64,
    /// How likely chance would give as much, of values; of the best lag, of all lags that were tried.
    pub p_pearson: f64,
    /// And of ranks.
    pub p_spearman: f64,
}

impl Tool for AnalyzeCorrelation {
    const NAME: &'static str = "analyze_correlation";
    const TITLE: &'static str = "Correlate two queries";
    const ABOUT: &'static str = "Whether two things go together, which one goes first, and how likely that is chance.\n\
        Correlates each series of one query with each of another, of values and of ranks, at the same time and at the best \
        lag, with a significance that takes into account that neighbours are alike. It does not show that one causes the \
        other. Take rates of counters.";
    const POSITIONAL: &'static [&'static str] = &["input", "x", "y"];
    type Arguments = Arguments;
    type Answer = Correlations;

    fn run(assistant: &Assistant, arguments: Arguments, work: &Work) -> Result<Correlations, Failure> {
        let (x, y) = (arguments.x.trim(), arguments.y.trim());
        query::check_length("x", x)?;
        query::check_length("y", y)?;
        work.says("opening the input");
        let inputs = assistant.one("input", arguments.input)?;
        let data = inputs.source.range();
        let window = span::part((&arguments.start, &arguments.end), ("start", "end"), data)?;
        let most_lag = match arguments.max_lag.as_deref() {
            Some("0" | "0s") => 0,
            Some(text) => {
                ask::step(text.trim()).map_err(|why| Failure::usage(format!("max_lag: {text:?}: {why}")))?
            }
            None => LAG.max(inputs.interval().saturating_mul(LAG_INTERVALS)),
        };
        let mut notes = query::there("x", &inputs, x)?;
        notes.extend(query::there("y", &inputs, y)?);
        work.says("evaluating both");
        let pair = Pair { x, y, window, most_lag };
        let found = analysis::correlate(&*inputs.source, &pair, &work.engine());
        let found = found.map_err(evidence::refused)?;
        if found.is_empty() {
            notes.push(format!(
                "nothing can be said: a series is constant, or fewer than twelve values of both are there; {}",
                ask::reach(data)
            ));
        }
        let filled = |given: &str, of: fn(&analysis::Correlation) -> &String| {
            found.first().map_or_else(|| given.to_string(), |one| of(one).clone())
        };
        let (x, y) = (filled(x, |one| &one.x.0), filled(y, |one| &one.y.0));
        let window = found.first().map(|one| one.window).or(window).or(data).unwrap_or_default();
        let pairs = found.iter().map(Related::of).collect();
        let (page, pairs) = Page::of(pairs, arguments.offset, arguments.limit.unwrap_or(LIMIT));
        Ok(Correlations {
            input: inputs.names().concat(),
            window: Span::of(window),
            x,
            y,
            pairs,
            notes,
            page,
        })
    }
}

impl Related {
    fn of(one: &analysis::Correlation) -> Self {
        Self {
            x: one.x.1.clone(),
            y: one.y.1.clone(),
            now: Strength::of(&one.now),
            best: Strength::of(&one.best),
            says: one.says.clone(),
        }
    }
}

impl Strength {
    pub fn of(strength: &analysis::Strength) -> Self {
        Self {
            lag_seconds: strength.lag as f64 / 1e9,
            pearson: significant(strength.pearson),
            spearman: significant(strength.spearman),
            values: strength.values,
            independent: significant(strength.independent),
            p_pearson: significant(strength.p_pearson),
            p_spearman: significant(strength.p_spearman),
        }
    }

    /// In a line.
    pub fn words(&self) -> String {
        let Self { lag_seconds, pearson, spearman, values, independent, p_pearson, p_spearman } = self;
        format!(
            "at lag {lag_seconds} s pearson {} (p {}), spearman {} (p {}), {values} values, {} independent",
            number(*pearson),
            number(*p_pearson),
            number(*spearman),
            number(*p_spearman),
            number(*independent),
        )
    }
}

impl Answer for Correlations {
    fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "of {} from {}", self.input, evidence::between(&self.window));
        let _ = writeln!(out, "x: {}\ny: {}", self.x, self.y);
        for Related { x, y, now, best, says } in &self.pairs {
            let _ = writeln!(out, "{x} and {y}: {says}");
            let _ = writeln!(out, "    {}", best.words());
            if best.lag_seconds != 0.0 {
                let _ = writeln!(out, "    {}", now.words());
            }
        }
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        out + &self.page.line("pairs")
    }

    fn listed(&self) -> usize {
        self.pairs.len()
    }

    fn keep(&mut self, count: usize) {
        self.pairs.truncate(count);
        self.page.cut(count);
    }
}

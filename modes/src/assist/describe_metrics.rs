//! Which metrics there are, and what each means.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inputs::Inputs;
use super::page::{Page, short};
use super::schema::one_or_more;
use super::{Answer, Assistant, Failure, Tool, Work};
use crate::viewer::dashboard;
use crate::viewer::metrics;

/// So many values of a label are told.
const MOST_VALUES: usize = 8;
/// A meaning in more characters than these is cut off.
const LONGEST: usize = 600;
/// So many names are offered in place of one that there is not.
const MOST_SIMILAR: usize = 5;

pub struct DescribeMetrics;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Arguments {
    /// Which inputs: names of those that are open, or paths of recordings. All that are open if left out.
    #[serde(alias = "input", alias = "parquet_file", deserialize_with = "one_or_more")]
    #[schemars(with = "Vec<String>")]
    pub inputs: Vec<String>,
    /// Only metrics with all of these words in name, description, unit, labels, sampler or hooks, whatever their case.
    pub search: Option<String>,
    /// Only metrics of this category, such as cpu, scheduler, blockio, network, memory, tcp, syscall.
    pub category: Option<String>,
    /// Where to go on in a list that did not fit: the `next` of the page before.
    pub offset: usize,
    /// So many at most.
    pub limit: Option<usize>,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Metrics {
    pub inputs: Vec<String>,
    /// How many metrics each category has in all.
    pub categories: BTreeMap<String, usize>,
    pub metrics: Vec<Metric>,
    /// If nothing was found: names that are like what was searched for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub similar: Vec<String>,
    /// If nothing was found: what is known of why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    pub page: Page,
}

/// A metric.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Metric {
    pub name: String,
    /// `counter` (only grows: ask for its rate), `gauge`, `histogram` (ask for quantiles of its rate), `unknown`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// What it means.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
    pub category: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sampler: String,
    /// The kernel's hooks that it comes from, or the files that are read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provenance: String,
    pub series: usize,
    /// Labels that tell its series apart.
    pub labels: BTreeMap<String, Label>,
}

#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Label {
    /// Its first values,
    pub values: Vec<String>,
    /// and how many there are; 100 stands for that or more.
    pub count: usize,
}

impl Tool for DescribeMetrics {
    const NAME: &'static str = "describe_metrics";
    const TITLE: &'static str = "Find metrics";
    const ABOUT: &'static str = "Which metrics there are: name, type, unit, labels, meaning, and the hook each comes from.\n\
        Ask this before query, since a metric that is not listed is not in the data. Search with words, or by category. \
        The type says how to query it: a counter as rate(NAME[$interval]), a gauge as NAME, a histogram as \
        histogram_quantile(0.99, sum(rate(NAME[$interval]))).";
    const POSITIONAL: &'static [&'static str] = &["inputs", "search"];
    type Arguments = Arguments;
    type Answer = Metrics;

    fn run(assistant: &Assistant, arguments: Arguments, work: &Work) -> Result<Metrics, Failure> {
        work.says("opening the inputs");
        let inputs = assistant.open(&arguments.inputs)?;
        work.says("listing the metrics");
        let all = all(&inputs)?;
        let mut categories = BTreeMap::new();
        for metric in &all {
            *categories.entry(metric.category.clone()).or_insert(0) += 1;
        }
        let wanted = arguments.category.as_deref().map(str::to_lowercase).unwrap_or_default();
        if !wanted.is_empty() && !categories.contains_key(&wanted) {
            let names: Vec<&str> = categories.keys().map(String::as_str).collect();
            return Err(Failure::usage(format!(
                "category: there is no {wanted:?} in these data; there are {}",
                names.join(", ")
            )));
        }
        let search = arguments.search.unwrap_or_default().to_lowercase();
        let words: Vec<&str> = search.split_whitespace().collect();
        let names: Vec<String> = all.iter().map(|metric| metric.name.clone()).collect();
        let in_category = all.into_iter().filter(|metric| wanted.is_empty() || metric.category == wanted);
        let mut found: Vec<Metric> = in_category.filter(|metric| metric.has(&words)).collect();
        // Those that are called so come before those that only have to do with it.
        found.sort_by_key(|metric| {
            let name = metric.name.to_lowercase();
            (name != search, !words.iter().all(|word| name.contains(word)))
        });
        let none = found.is_empty() && !words.is_empty();
        let missing = || dashboard::absent(&inputs.all, std::slice::from_ref(&search)).pop();
        Ok(Metrics {
            inputs: inputs.names(),
            categories,
            similar: if none { similar(&search, &names) } else { Vec::new() },
            missing: none.then(missing).flatten(),
            page: Page::default(),
            metrics: Vec::new(),
        }
        .with(found, arguments.offset, arguments.limit.unwrap_or(usize::MAX)))
    }
}

/// All metrics of inputs, by name.
fn all(inputs: &Inputs) -> Result<Vec<Metric>, Failure> {
    let found = metrics::metrics(&inputs.all, &*inputs.source)
        .map_err(|error| Failure::data(format!("the metrics cannot be read: {error}")))?;
    let categories = categories(inputs);
    Ok(found.into_iter().map(|metric| Metric::of(metric, &categories)).collect())
}

/// Of samplers by name: the plugin.
fn categories(inputs: &Inputs) -> HashMap<String, String> {
    let mut categories = HashMap::new();
    for status in inputs.all.iter().filter_map(|input| input.status()) {
        for plugin in status["plugins"].as_array().into_iter().flatten() {
            for sampler in plugin["samplers"].as_array().into_iter().flatten() {
                if let (Some(sampler), Some(plugin)) = (sampler["name"].as_str(), plugin["name"].as_str()) {
                    categories.insert(sampler.into(), plugin.to_lowercase());
                }
            }
        }
    }
    categories
}

/// Names that are like one that there is not, the most similar first.
pub fn similar(wanted: &str, names: &[String]) -> Vec<String> {
    // Names are long and share their beginnings: less than this is chance.
    const LEAST: f64 = 0.75;
    let mut all: Vec<(f64, &String)> = names
        .iter()
        .map(|name| (strsim::jaro_winkler(wanted, &name.to_lowercase()), name))
        .filter(|(score, _)| *score >= LEAST)
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    all.into_iter().take(MOST_SIMILAR).map(|(_, name)| name.clone()).collect()
}

impl Metric {
    fn of(metric: metrics::Metric, categories: &HashMap<String, String>) -> Self {
        let metrics::Metric { name, kind, unit, help, sampler, provenance, series, labels } = metric;
        let category = categories.get(&sampler).cloned();
        let category = category.unwrap_or_else(|| {
            let named = if sampler.is_empty() { &name } else { &sampler };
            named.split('_').next().unwrap_or_default().to_lowercase()
        });
        let label = |(name, mut values): (String, Vec<String>)| {
            let count = values.len();
            values.truncate(MOST_VALUES);
            (name, Label { values, count })
        };
        // The same for all series of a metric: told in its own place, or no news.
        let tells = |(name, values): &(String, Vec<String>)| {
            !(name == "sampler" || (values.len() == 1 && matches!(name.as_str(), "source" | "metric")))
        };
        let labels = labels.into_iter().filter(tells).map(label).collect();
        // Others than our plugins write there what they like.
        let (help, provenance) = (short(&help, LONGEST), short(&provenance, LONGEST));
        Self { name, kind, unit, help, category, sampler, provenance, series, labels }
    }

    /// Whether all words are somewhere in what is told of it. They are in lower case.
    fn has(&self, words: &[&str]) -> bool {
        let texts =
            [&self.name, &self.kind, &self.unit, &self.help, &self.category, &self.sampler, &self.provenance];
        let values = self.labels.values().flat_map(|label| &label.values);
        let all = texts.into_iter().chain(self.labels.keys()).chain(values);
        let all = all.map(|text| text.to_lowercase()).collect::<Vec<_>>().join("\n");
        words.iter().all(|word| all.contains(word))
    }
}

impl Metrics {
    fn with(mut self, found: Vec<Metric>, offset: usize, limit: usize) -> Self {
        (self.page, self.metrics) = Page::of(found, offset, limit);
        self
    }
}

impl Answer for Metrics {
    fn text(&self) -> String {
        let mut out = String::new();
        let categories = self.categories.iter().map(|(name, count)| format!("{name} {count}"));
        let _ = writeln!(
            out,
            "{} of {} metrics of {} ({})",
            self.page.total,
            self.categories.values().sum::<usize>(),
            self.inputs.join(", "),
            categories.collect::<Vec<_>>().join(", ")
        );
        for metric in &self.metrics {
            metric.write(&mut out);
        }
        if let Some(missing) = &self.missing {
            let _ = writeln!(out, "{missing}");
        }
        if !self.similar.is_empty() {
            let _ = writeln!(out, "similar: {}", self.similar.join(", "));
        }
        out + &self.page.line("metrics")
    }

    fn listed(&self) -> usize {
        self.metrics.len()
    }

    fn keep(&mut self, count: usize) {
        self.metrics.truncate(count);
        self.page.cut(count);
    }
}

impl Metric {
    fn write(&self, out: &mut String) {
        let unit = if self.unit.is_empty() { String::new() } else { format!(", {}", self.unit) };
        let _ = writeln!(out, "{} ({}{unit}; {} series) {}", self.name, self.kind, self.series, self.help);
        let labels = self.labels.iter().map(|(name, Label { values, count })| {
            let more = if *count > values.len() { ", …" } else { "" };
            format!("{name}={}{more}", values.join(", "))
        });
        let labels = labels.collect::<Vec<_>>().join("; ");
        if !labels.is_empty() {
            let _ = writeln!(out, "    labels: {labels}");
        }
        if !self.sampler.is_empty() {
            let from =
                if self.provenance.is_empty() { String::new() } else { format!(" from {}", self.provenance) };
            let _ = writeln!(out, "    sampler: {}{from}", self.sampler);
        }
    }
}

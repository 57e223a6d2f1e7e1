//! Pages: those that recordings and agents carry, those of the same plugins in this binary, and
//! what goes across plugins.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rezolus_store::promql;
use rezolus_store::{Matcher, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::inputs::Opened;
use super::text;
use crate::query::Origin;

/// Of the schema in `docs/dashboard.md`.
const VERSION: u32 = 1;

/// A page. `kind`s and `unit`s are whatever was written: it is for who draws to know them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Dashboard {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub version: u32,
    pub title: String,
    #[serde(default = "last")]
    pub order: u32,
    /// `recording`, `agent`, `built-in`.
    #[serde(default)]
    pub origin: String,
    #[serde(default)]
    pub groups: Vec<Group>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Group {
    pub title: String,
    pub charts: Vec<Chart>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Chart {
    pub title: String,
    #[serde(default)]
    pub description: String,
    pub kind: String,
    pub unit: String,
    pub queries: Vec<Query>,
    /// Why nothing of it can be there.
    #[serde(default)]
    pub missing: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Query {
    pub query: String,
    #[serde(default)]
    pub legend: String,
}

fn last() -> u32 {
    u32::MAX
}

/// The plugins' pages, for recordings that carry none.
const PLUGINS: [(&str, &str); 7] = [
    ("blockio", include_str!("../../../plugins/blockio/dashboard.json")),
    ("cpu", include_str!("../../../plugins/cpu/dashboard.json")),
    ("memory", include_str!("../../../plugins/memory/dashboard.json")),
    ("network", include_str!("../../../plugins/network/dashboard.json")),
    ("scheduler", include_str!("../../../plugins/scheduler/dashboard.json")),
    ("syscall", include_str!("../../../plugins/syscall/dashboard.json")),
    ("tcp", include_str!("../../../plugins/tcp/dashboard.json")),
];

/// Pages across plugins.
const ACROSS: [(&str, &str); 4] = [
    ("overview", include_str!("pages/overview.json")),
    ("exceptions", include_str!("pages/exceptions.json")),
    ("cgroups", include_str!("pages/cgroups.json")),
    ("agent", include_str!("pages/agent.json")),
];

/// The pages of all inputs, in order. `source` is all of them together.
pub fn pages(inputs: &[Arc<Opened>], source: &dyn Source) -> Vec<Dashboard> {
    if inputs.is_empty() {
        return Vec::new();
    }
    let mut pages: BTreeMap<String, Dashboard> = BTreeMap::new();
    for input in inputs {
        let origin = if matches!(input.origin, Origin::Live(_)) { "agent" } else { "recording" };
        for (id, value) in input.dashboards() {
            // One that cannot be read takes no other with it.
            match read(&id, value, origin) {
                Ok(page) => drop(pages.entry(id).or_insert(page)),
                Err(why) => tracing::warn!("{}: the dashboard of {id} is left out: {why}", input.title),
            }
        }
    }
    let carried = !pages.is_empty();
    let built_in = if carried { &ACROSS[..] } else { &[ACROSS.as_slice(), PLUGINS.as_slice()].concat() };
    for (id, text) in built_in {
        let value = serde_json::from_str(text).map_err(|error| error.to_string());
        match value.and_then(|value| read(id, value, "built-in")) {
            Ok(page) => drop(pages.entry((*id).into()).or_insert(page)),
            Err(why) => tracing::error!("the dashboard of {id}: {why}"),
        }
    }
    let reasons = Reasons::new(inputs);
    let mut pages: Vec<Dashboard> = pages.into_values().collect();
    let charts = pages.iter().flat_map(|page| &page.groups).flat_map(|group| &group.charts);
    let mut all = lacking(&charts.collect::<Vec<_>>(), source).into_iter();
    for page in &mut pages {
        for chart in page.groups.iter_mut().flat_map(|group| &mut group.charts) {
            chart.missing = all.next().flatten().map(|lacking| reasons.lacking(&page.id, &lacking));
        }
    }
    // Nothing is known of why a foreign recording lacks what others have: it is no news.
    let charts =
        |page: &Dashboard| page.groups.iter().flat_map(|group| &group.charts).any(|c| c.missing.is_none());
    pages.retain(|page| page.origin != "built-in" || charts(page));
    pages.sort_by(|a, b| (a.order, &a.title).cmp(&(b.order, &b.title)));
    pages
}

fn read(id: &str, value: Value, origin: &str) -> Result<Dashboard, String> {
    let mut page: Dashboard = serde_json::from_value(value).map_err(|error| error.to_string())?;
    if page.version > VERSION {
        return Err(format!("version {} of the schema; this knows up to {VERSION}", page.version));
    }
    page.id = id.into();
    page.origin = origin.into();
    Ok(page)
}

/// What a chart shows nothing for want of.
struct Lacking {
    metric: String,
    /// Where other series of the metric are there: the labels that none of them has.
    labels: Option<String>,
}

/// For want of what a chart can show nothing: all of its queries give nothing.
fn lacking(charts: &[&Chart], source: &dyn Source) -> Vec<Option<Lacking>> {
    let mut known: HashMap<String, bool> = HashMap::new();
    let mut there = |matchers: &[Matcher]| {
        let ask = || source.series(matchers, i64::MIN, i64::MAX).is_ok_and(|all| !all.is_empty());
        *known.entry(format!("{matchers:?}")).or_insert_with(ask)
    };
    let filled = |query: &Query| text::fill(&query.query, "10s", "0.5");
    let queries: Vec<String> = charts.iter().flat_map(|chart| &chart.queries).map(filled).collect();
    let mut missing = promql::missing_each(&queries, &mut there).into_iter();
    let of = |chart: &&Chart| {
        let missing: Vec<_> = missing.by_ref().take(chart.queries.len()).collect();
        // Queries that are wrong say so when they are asked.
        let all: Option<Vec<_>> = missing.into_iter().map(|missing| missing.ok().flatten()).collect();
        let first = all?.into_iter().next()?;
        let (name, labels): (Vec<_>, Vec<_>) =
            first.into_iter().partition(|matcher| matcher.name == rezolus_store::labels::NAME);
        let metric = name.first().map_or_else(|| "a metric".into(), |matcher| matcher.value().to_string());
        let others = !labels.is_empty() && !name.is_empty() && there(&name);
        let labels = others.then(|| labels.iter().map(Matcher::to_string).collect::<Vec<_>>().join(", "));
        Some(Lacking { metric, labels })
    };
    charts.iter().map(of).collect()
}

/// Why metrics are not there, as far as inputs know.
pub(crate) fn absent(inputs: &[Arc<Opened>], metrics: &[String]) -> Vec<String> {
    let reasons = Reasons::new(inputs);
    metrics.iter().map(|metric| reasons.of("", metric)).collect()
}

/// What inputs know of why a metric is not there.
struct Reasons {
    /// Metric to the sampler that would give it.
    declared: HashMap<String, Sampler>,
    /// Of plugins that give nothing: why.
    plugins: BTreeMap<String, String>,
    /// Whether an agent said anything at all.
    status: bool,
    live: bool,
}

#[derive(Clone)]
struct Sampler {
    name: String,
    state: String,
    reason: String,
}

impl Reasons {
    fn new(inputs: &[Arc<Opened>]) -> Self {
        let mut reasons = Self {
            declared: HashMap::new(),
            plugins: BTreeMap::new(),
            status: false,
            live: inputs.iter().any(|input| matches!(input.origin, Origin::Live(_))),
        };
        for status in inputs.iter().filter_map(|input| input.status()) {
            reasons.status = true;
            for plugin in status["plugins"].as_array().into_iter().flatten() {
                reasons.plugin(plugin);
            }
        }
        reasons
    }

    fn plugin(&mut self, plugin: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let reason = plugin["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
        self.plugins.insert(text(&plugin["name"]), format!("{}{reason}", text(&plugin["state"])));
        for sampler in plugin["samplers"].as_array().into_iter().flatten() {
            for metric in sampler["declares"].as_array().into_iter().flatten() {
                let sampler = Sampler {
                    name: text(&sampler["name"]),
                    state: text(&sampler["state"]),
                    reason: text(&sampler["reason"]),
                };
                self.declared.entry(text(metric)).or_insert(sampler);
            }
        }
    }

    /// Why what a chart on a plugin's page asks for is not there.
    fn lacking(&self, page: &str, Lacking { metric, labels }: &Lacking) -> String {
        match labels {
            Some(labels) if self.live => format!("no {metric} of the agent has {labels}, yet"),
            Some(labels) => format!("no {metric} in this recording has {labels}"),
            None => self.of(page, metric),
        }
    }

    /// Why a metric on a plugin's page is not there.
    fn of(&self, page: &str, metric: &str) -> String {
        if let Some(Sampler { name, state, reason }) = self.declared.get(metric) {
            let why = match state.as_str() {
                "disabled" => "is switched off".into(),
                "unsupported" => "is not supported on this kernel".into(),
                state => format!("is {state}"),
            };
            let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            return format!("{metric}: sampler {name} {why}{reason}");
        }
        let is_plugin = PLUGINS.iter().any(|(id, _)| *id == page);
        match self.plugins.get(page) {
            Some(state) if state != "running" && state != "degraded" => {
                format!("{metric}: plugin {page} is {state}")
            }
            None if self.status && is_plugin => format!("{metric}: plugin {page} is not installed"),
            _ if self.live => format!("{metric}: the agent has none, yet"),
            _ => format!("{metric} is not in this recording"),
        }
    }
}

/// Tells of plugins' metrics why they are not there, as far as inputs know. May ask agents, once.
pub(crate) fn why_absent(inputs: &[Arc<Opened>]) -> impl Fn(&str, &str) -> String + use<> {
    let reasons = Reasons::new(inputs);
    move |plugin, metric| reasons.of(plugin, metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_pages_can_be_read_and_their_queries_too() {
        for (id, text) in PLUGINS.iter().chain(&ACROSS) {
            let page = read(id, serde_json::from_str(text).unwrap(), "built-in").unwrap();
            for chart in page.groups.iter().flat_map(|group| &group.charts) {
                for Query { query, .. } in &chart.queries {
                    let selects = promql::selects(&text::fill(query, "10s", "0.5"));
                    assert!(selects.is_ok_and(|selectors| !selectors.is_empty()), "{id}: {query}");
                }
            }
        }
    }
}

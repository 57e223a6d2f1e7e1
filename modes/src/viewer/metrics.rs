//! `view/metrics`: what there is to ask for.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rezolus_store::promql::Error;
use rezolus_store::{Metadata, Source};
use serde::Serialize;
use serde_json::Value;

use super::inputs::Opened;

/// So many values of a label are told.
const MOST_VALUES: usize = 100;

/// A metric, and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub unit: String,
    pub help: String,
    pub sampler: String,
    /// The hooks of the sampler, or the files it reads.
    pub provenance: String,
    pub series: usize,
    pub labels: BTreeMap<String, Vec<String>>,
}

/// Of a metric: how many series, and labels with their values.
#[derive(Default)]
struct Found {
    series: usize,
    labels: BTreeMap<String, BTreeSet<Arc<str>>>,
}

/// All metrics of the inputs, by name; `source` is all of them together.
///
/// # Errors
///
/// When the source cannot be read.
pub fn metrics(inputs: &[Arc<Opened>], source: &dyn Source) -> Result<Vec<Metric>, Error> {
    let known = source.metadata();
    let hooks = hooks(inputs);
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for labels in source.series(&[], i64::MIN, i64::MAX)? {
        let Found { series, labels: values } = found.entry(labels.name().to_string()).or_default();
        *series += 1;
        for (name, value) in labels.iter().filter(|(name, _)| &***name != rezolus_store::labels::NAME) {
            match values.get_mut(&**name) {
                Some(values) => _ = values.insert(value.clone()),
                None => _ = values.insert(name.to_string(), [value.clone()].into()),
            }
        }
    }
    let none = Metadata::default();
    let metric = |(name, Found { series, labels: values }): (String, Found)| {
        let Metadata { kind, help, unit } = known.get(&name).unwrap_or(&none).clone();
        let sampler = values.get("sampler").and_then(|all| all.first()).map_or("", |name| name).to_string();
        let provenance = hooks.get(&sampler).cloned().unwrap_or_default();
        let labels = values.into_iter().map(|(name, values)| (name, listed(values))).collect();
        Metric { name, kind, unit, help, provenance, sampler, series, labels }
    };
    Ok(found.into_iter().map(metric).collect())
}

/// In order, numbers as numbers, and not too many.
fn listed(values: BTreeSet<Arc<str>>) -> Vec<String> {
    let mut values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    values.sort_by(|a, b| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        _ => a.cmp(b),
    });
    values.truncate(MOST_VALUES);
    values
}

/// Of samplers by name: what they are attached to, or read.
fn hooks(inputs: &[Arc<Opened>]) -> HashMap<String, String> {
    let mut hooks = HashMap::new();
    for status in inputs.iter().filter_map(|input| input.status()) {
        let plugins = status["plugins"].as_array().cloned().unwrap_or_default();
        for sampler in plugins.iter().flat_map(|plugin| plugin["samplers"].as_array().into_iter().flatten()) {
            let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
            let attached = list(&sampler["programs"]).into_iter().map(|program| program["attached"].clone());
            let all = attached.chain(list(&sampler["reads"]));
            let mut all: Vec<String> = all.filter_map(|hook| Some(hook.as_str()?.to_string())).collect();
            all.dedup();
            if let Some(name) = sampler["name"].as_str() {
                hooks.entry(name.to_string()).or_insert(all.join(", "));
            }
        }
    }
    hooks
}

//! What becomes of the metrics of one schema. Made once per schema: a scrape
//! then only looks at numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::{Config, Form};
use super::family::{Kind, Labels};
use super::naming::{self, Scale};
use super::select::selected;
use crate::snapshot::{GroupSchema, MetricDesc, labels, metric_name};

/// Parallel to the schema; None is not exported.
#[derive(Debug)]
pub struct Plan {
    pub counters: Vec<Option<Entry>>,
    pub gauges: Vec<Option<Entry>>,
    pub histograms: Vec<Option<PlannedHistogram>>,
}

/// What becomes of one histogram.
#[derive(Debug)]
pub struct PlannedHistogram {
    pub entry: Entry,
    pub form: Form,
    /// Of classic buckets.
    pub grouping_power: u8,
}

/// What becomes of one metric.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: Arc<str>,
    pub help: Arc<str>,
    pub unit: Option<&'static str>,
    pub scale: Scale,
    pub labels: Labels,
    /// Of a cgroup: there may be many.
    pub cgroup: bool,
}

impl Plan {
    pub fn new(config: &Config, schema: &GroupSchema, descriptions: &BTreeMap<String, String>) -> Self {
        let entry = |kind, description: &MetricDesc| {
            selected(&config.include, &config.exclude, description)
                .then(|| Entry::new(config, kind, description, descriptions))
        };
        Self {
            counters: schema.counters.iter().map(|counter| entry(Kind::Counter, counter)).collect(),
            gauges: schema.gauges.iter().map(|gauge| entry(Kind::Gauge, gauge)).collect(),
            histograms: schema
                .histograms
                .iter()
                .map(|histogram| {
                    let (form, grouping_power) = config.form(metric_name(histogram));
                    entry(Kind::Histogram, histogram).map(|entry| PlannedHistogram {
                        entry,
                        form,
                        grouping_power,
                    })
                })
                .collect(),
        }
    }
}

impl Entry {
    fn new(
        config: &Config,
        kind: Kind,
        description: &MetricDesc,
        descriptions: &BTreeMap<String, String>,
    ) -> Self {
        let metric = metric_name(description);
        let unit = description.metadata.get("unit").map(String::as_str).filter(|unit| !unit.is_empty());
        let named = naming::named(metric, kind, unit, config.base_units);
        let text = descriptions.get(metric).map(String::as_str);
        Self {
            help: naming::help(text, metric, named.of.as_deref()).into(),
            name: named.name.into(),
            unit: named.unit,
            scale: named.scale,
            labels: exported_labels(config, description),
            cgroup: description.metadata.contains_key("name"),
        }
    }
}

fn exported_labels(config: &Config, description: &MetricDesc) -> Labels {
    // An empty label is none, to Prometheus.
    let wanted = labels(description)
        .filter(|(key, value)| !value.is_empty() && (*key != "sampler" || config.sampler_label));
    let mut unique = BTreeMap::new();
    for (key, value) in wanted {
        unique.entry(naming::label_name(key)).or_insert_with(|| value.to_string());
    }
    unique.into_iter().collect()
}

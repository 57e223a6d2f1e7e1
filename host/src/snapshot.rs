//! Groups of a snapshot from the metriken registry: one per sampler.
//!
//! metriken-exposition has a builder for this. It asks every metric for its
//! metadata at every snapshot, which costs several times what reading the
//! numbers does, and orders members by address, so that schemas differ from
//! one start to the next. This one remembers who belongs where for as long as
//! the set of metrics is the same, and orders members by column.

use std::collections::BTreeMap;
use std::sync::Arc;

use metriken::{MetricEntry, Value};
use metriken_exposition::{GroupSchema, GroupSnapshot, MetricDesc};

use crate::metric::{Column, Group};

/// Builds the groups of snapshots, for one set of registered metrics.
#[derive(Default)]
pub struct Builder {
    groups: Vec<Planned>,
    /// How many metrics there were when `groups` was made.
    metrics: usize,
    indices: Vec<usize>,
}

/// One sampler's group.
struct Planned {
    name: String,
    /// Positions in the registry, by column.
    members: Vec<usize>,
    /// Of what, and how labelled, `schema` speaks; 0 before it was made.
    identity: u64,
    schema: Arc<GroupSchema>,
    hash: (u64, u64),
}

impl Builder {
    /// Reads every metric. Nothing may be registered or dropped meanwhile; a
    /// builder serves until that happens.
    pub fn groups(&mut self) -> Vec<GroupSnapshot> {
        let registry = metriken::metrics();
        let metrics: Vec<&MetricEntry> = registry.iter().collect();
        if self.metrics != metrics.len() {
            *self = Self { groups: plan(&metrics), metrics: metrics.len(), indices: Vec::new() };
        }
        let indices = &mut self.indices;
        self.groups.iter_mut().filter_map(|planned| planned.read(&metrics, indices)).collect()
    }
}

/// Sorts the metrics of samplers into groups.
fn plan(metrics: &[&MetricEntry]) -> Vec<Planned> {
    let mut samplers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, metric) in metrics.iter().enumerate() {
        if let Some(sampler) = metric.metadata().get("sampler") {
            samplers.entry(sampler).or_default().push(position);
        }
    }
    let planned = |(sampler, mut members): (&str, Vec<usize>)| {
        members.sort_by_cached_key(|&position| column(metrics[position]));
        Planned {
            name: format!("{sampler}/main"),
            members,
            identity: 0,
            schema: Arc::default(),
            hash: GroupSchema::default().hash(),
        }
    };
    samplers.into_iter().map(planned).collect()
}

fn column(metric: &MetricEntry) -> String {
    metric.request_ref::<Column>().map_or_else(|| metric.name().to_string(), |column| column.0.clone())
}

impl Planned {
    /// The group with its current numbers; None if it has no members.
    fn read(&mut self, metrics: &[&MetricEntry], indices: &mut Vec<usize>) -> Option<GroupSnapshot> {
        let mut group = GroupSnapshot {
            name: String::new(),
            schema_hash: self.hash,
            schema: None,
            window: None,
            counters: Vec::with_capacity(self.schema.counters.len()),
            gauges: Vec::with_capacity(self.schema.gauges.len()),
            histograms: Vec::with_capacity(self.schema.histograms.len()),
            gauge_histograms: Vec::new(),
        };
        if self.fill(metrics, indices, &mut group, None) != self.identity {
            // Members came, went or were renamed. Numbers are read again along
            // with the descriptions, so that the two agree.
            let mut schema = GroupSchema::default();
            group.counters.clear();
            group.gauges.clear();
            group.histograms.clear();
            self.identity = self.fill(metrics, indices, &mut group, Some(&mut schema));
            self.hash = schema.hash();
            self.schema = Arc::new(schema);
        }
        if group.counters.is_empty() && group.gauges.is_empty() && group.histograms.is_empty() {
            return None;
        }
        group.name.clone_from(&self.name);
        group.schema_hash = self.hash;
        group.schema = Some(self.schema.clone());
        Some(group)
    }

    /// Reads the numbers into `group`, and the descriptions into `schema`.
    /// Returns what tells one membership from another.
    fn fill(
        &self,
        metrics: &[&MetricEntry],
        indices: &mut Vec<usize>,
        group: &mut GroupSnapshot,
        mut schema: Option<&mut GroupSchema>,
    ) -> u64 {
        let mut identity = Identity::default();
        for &position in &self.members {
            let metric = metrics[position];
            let Some(value) = metric.value() else { continue };
            identity.add(position as u64);
            match value {
                Value::Counter(value) => {
                    group.counters.push(Some(value));
                    if let Some(schema) = &mut schema {
                        schema.counters.push(describe(metric, &[]));
                    }
                }
                Value::Gauge(value) => {
                    group.gauges.push(Some(value));
                    if let Some(schema) = &mut schema {
                        schema.gauges.push(describe(metric, &[]));
                    }
                }
                Value::Histogram(histogram) => {
                    group.histograms.push(histogram.load());
                    if let Some(schema) = &mut schema {
                        let config = histogram.config();
                        let powers = [
                            ("grouping_power", config.grouping_power().to_string()),
                            ("max_value_power", config.max_value_power().to_string()),
                        ];
                        schema.histograms.push(describe(metric, &powers));
                    }
                }
                Value::CounterGroup(members) => {
                    // The version first: labels that change after this make
                    // the next snapshot describe them again.
                    identity.add(members.metadata_version());
                    indices.clear();
                    members.for_each_metadata(&mut |index, _| indices.push(index));
                    for &index in indices.iter() {
                        identity.add(index as u64);
                        group.counters.push(members.counter_value(index));
                        if let Some(schema) = &mut schema {
                            schema.counters.push(describe_member(metric, index));
                        }
                    }
                }
                Value::GaugeGroup(members) => {
                    identity.add(members.metadata_version());
                    indices.clear();
                    members.for_each_metadata(&mut |index, _| indices.push(index));
                    for &index in indices.iter() {
                        identity.add(index as u64);
                        group.gauges.push(members.gauge_value(index));
                        if let Some(schema) = &mut schema {
                            schema.gauges.push(describe_member(metric, index));
                        }
                    }
                }
                // The host registers no other kinds.
                _ => {}
            }
        }
        identity.0
    }
}

fn describe(metric: &MetricEntry, more: &[(&str, String)]) -> MetricDesc {
    let mut metadata = BTreeMap::from([("metric".to_string(), metric.name().to_string())]);
    metadata.extend(metric.metadata().iter().map(|(key, value)| (key.to_string(), value.to_string())));
    metadata.extend(more.iter().map(|(key, value)| ((*key).to_string(), value.clone())));
    MetricDesc { name: column(metric), metadata }
}

fn describe_member(metric: &MetricEntry, index: usize) -> MetricDesc {
    let mut described = describe(metric, &[("id", index.to_string())]);
    let group = metric.metric().as_any().and_then(|any| any.downcast_ref::<Group>());
    match group {
        Some(group) => {
            described.name = format!("{}#{}", described.name, group.member_id(index));
            described.metadata.extend(group.labels(index));
        }
        None => described.name = format!("{}#{index}", described.name),
    }
    described
}

/// A hash of numbers; never 0.
struct Identity(u64);

impl Default for Identity {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Identity {
    fn add(&mut self, number: u64) {
        // One step of wyhash: a multiplication whose halves are folded.
        let product = u128::from(self.0 ^ number) * 0xa076_1d64_78bd_642f_u128;
        self.0 = ((product as u64) ^ ((product >> 64) as u64)).wrapping_add(0xe703_7ed1_a0b4_28db) | 1;
    }
}

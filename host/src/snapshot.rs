//! Snapshots of the metriken registry: a group per sampler.
//!
//! metriken-exposition has a builder for this. It asks every metric for its
//! metadata at every snapshot, which costs several times what reading the
//! numbers does, and orders members by address, so that schemas differ from
//! one start to the next. This one notes where the numbers are, for as long as
//! the set of metrics is the same, and orders members by column.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metriken::MetricEntry;
use metriken_exposition::{GroupSchema, GroupSnapshot, MetricDesc, SnapshotV3};
use rezolus_plugin_api::manifest::Kind;

use crate::metric::{self, Column, GROUPING_POWER, LINE, MAX_VALUE_POWER, Members, Slot};
use crate::table::Table;

/// A snapshot, with histograms as they are read: the lines in use.
pub struct Reading {
    pub systemtime: SystemTime,
    /// How long reading it took.
    pub duration: Duration,
    pub metadata: Vec<(&'static str, String)>,
    pub groups: Vec<Group>,
}

/// What one sampler measured.
pub struct Group {
    pub name: Arc<str>,
    pub schema: Arc<GroupSchema>,
    pub hash: (u64, u64),
    pub counters: Vec<Option<u64>>,
    pub gauges: Vec<Option<i64>>,
    /// Which lines of each histogram are in use: bit n for line n.
    pub histograms: Vec<u64>,
    /// These lines, of one histogram after the other.
    pub lines: Vec<[u64; LINE]>,
}

impl Reading {
    /// The same in the field's exchange type, with all buckets.
    pub fn to_snapshot(&self) -> SnapshotV3 {
        SnapshotV3 {
            systemtime: self.systemtime,
            duration: self.duration,
            metadata: self.metadata.iter().map(|(key, value)| (key.to_string(), value.clone())).collect(),
            groups: self.groups.iter().map(Group::to_snapshot).collect(),
        }
    }
}

impl Group {
    fn to_snapshot(&self) -> GroupSnapshot {
        let mut lines = self.lines.iter();
        GroupSnapshot {
            name: self.name.to_string(),
            schema_hash: self.hash,
            schema: Some(self.schema.clone()),
            window: None,
            counters: self.counters.clone(),
            gauges: self.gauges.clone(),
            histograms: self.histograms.iter().map(|&used| metric::dense(used, &mut lines)).collect(),
            gauge_histograms: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.counters.clear();
        self.gauges.clear();
        self.histograms.clear();
        self.lines.clear();
    }
}

/// Reads the groups of snapshots, for one set of registered metrics.
pub struct Builder {
    groups: Vec<Planned>,
    indices: Vec<usize>,
}

/// One sampler's group.
struct Planned {
    name: Arc<str>,
    /// Where the numbers are: together in memory, so that reading them touches
    /// little else. By column.
    sources: Vec<Source>,
    /// Where each metric is in the registry, which knows what it is.
    positions: Vec<usize>,
    /// Of what, and how labelled, `schema` speaks; 0 before it was made.
    identity: u64,
    schema: Arc<GroupSchema>,
    hash: (u64, u64),
    /// How many lines the histograms had last time.
    lines: usize,
}

/// Where the numbers of a metric are.
enum Source {
    Sum(Arc<Table>, usize, Kind),
    Histogram(Arc<Table>, usize),
    Slot(Arc<Slot>, Kind),
    Members(Arc<dyn Members>, Kind),
}

impl Builder {
    /// Notes what is registered now. Serves until that changes; keeps tables
    /// alive until then.
    pub fn new() -> Self {
        let registry = metriken::metrics();
        let mut samplers: BTreeMap<&str, Vec<(&str, usize, Source)>> = BTreeMap::new();
        for (position, metric) in registry.iter().enumerate() {
            if let Some(sampler) = metric.metadata().get("sampler")
                && let Some(source) = source(metric)
            {
                samplers.entry(sampler).or_default().push((column(metric), position, source));
            }
        }
        let planned = |(sampler, mut members): (&str, Vec<(&str, usize, Source)>)| {
            members.sort_by_key(|(column, ..)| *column);
            let (positions, sources) =
                members.into_iter().map(|(_, position, source)| (position, source)).unzip();
            Planned {
                name: format!("{sampler}/main").into(),
                sources,
                positions,
                identity: 0,
                schema: Arc::default(),
                hash: GroupSchema::default().hash(),
                lines: 0,
            }
        };
        Self { groups: samplers.into_iter().map(planned).collect(), indices: Vec::new() }
    }

    /// Reads every metric.
    pub fn groups(&mut self) -> Vec<Group> {
        let indices = &mut self.indices;
        self.groups.iter_mut().filter_map(|planned| planned.read(indices)).collect()
    }
}

fn source(metric: &MetricEntry) -> Option<Source> {
    let any = metric.metric().as_any()?;
    if let Some(metric::Sum { table, word, kind }) = any.downcast_ref() {
        Some(Source::Sum(table.clone(), *word, *kind))
    } else if let Some(metric::Histogram { table, word }) = any.downcast_ref() {
        Some(Source::Histogram(table.clone(), *word))
    } else if let Some(metric::SlotMetric { slot, kind }) = any.downcast_ref() {
        Some(Source::Slot(slot.clone(), *kind))
    } else {
        let group = any.downcast_ref::<metric::Group>()?;
        Some(Source::Members(group.members.clone(), group.kind))
    }
}

/// The metric's name, labels and what else describes it.
fn describe(metric: &MetricEntry, source: &Source) -> MetricDesc {
    let mut metadata = BTreeMap::from([("metric".to_string(), metric.name().to_string())]);
    metadata.extend(metric.metadata().iter().map(|(key, value)| (key.to_string(), value.to_string())));
    if let Source::Histogram(..) = source {
        metadata.insert("grouping_power".to_string(), GROUPING_POWER.to_string());
        metadata.insert("max_value_power".to_string(), MAX_VALUE_POWER.to_string());
    }
    MetricDesc { name: column(metric).to_string(), metadata }
}

fn column(metric: &MetricEntry) -> &str {
    metric.request_ref::<Column>().map_or_else(|| metric.name(), |column| &column.0)
}

/// A member of a group of series.
fn describe_member(metric: &MetricDesc, members: &dyn Members, index: usize) -> MetricDesc {
    let mut described = metric.clone();
    members.with_labels(index, &mut |labels| {
        described
            .metadata
            .extend(labels.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
    });
    described.name = format!("{}#{}", metric.name, metric::member_id(members, index));
    described
}

impl Planned {
    /// The group with its current numbers; None if it has no members.
    fn read(&mut self, indices: &mut Vec<usize>) -> Option<Group> {
        let mut group = Group {
            name: self.name.clone(),
            schema: self.schema.clone(),
            hash: self.hash,
            counters: Vec::with_capacity(self.schema.counters.len()),
            gauges: Vec::with_capacity(self.schema.gauges.len()),
            histograms: Vec::with_capacity(self.schema.histograms.len()),
            lines: Vec::with_capacity(self.lines),
        };
        if self.fill(indices, &mut group, None) != self.identity {
            // Members came, went or were renamed. Numbers are read again along
            // with the descriptions, so that the two agree.
            let mut schema = GroupSchema::default();
            group.clear();
            self.identity = self.fill(indices, &mut group, Some(&mut schema));
            self.hash = schema.hash();
            self.schema = Arc::new(schema);
            group.hash = self.hash;
            group.schema = self.schema.clone();
        }
        self.lines = group.lines.len();
        if group.counters.is_empty() && group.gauges.is_empty() && group.histograms.is_empty() {
            return None;
        }
        Some(group)
    }

    /// Reads the numbers into `group`, and the descriptions into `schema`.
    /// Returns what tells one membership from another.
    fn fill(&self, indices: &mut Vec<usize>, group: &mut Group, mut schema: Option<&mut GroupSchema>) -> u64 {
        let registry = schema.is_some().then(metriken::metrics);
        let metrics: Vec<&MetricEntry> = registry.iter().flat_map(|registry| registry.iter()).collect();
        let description = |at: usize| describe(metrics[self.positions[at]], &self.sources[at]);
        let mut identity = Identity::default();
        for (at, source) in self.sources.iter().enumerate() {
            let single = match source {
                Source::Sum(table, word, kind) => Some((metric::sum(table, *word), *kind)),
                Source::Slot(slot, kind) => slot.get().map(|value| (value, *kind)),
                Source::Histogram(table, word) => {
                    group.histograms.push(metric::lines(table, *word, &mut group.lines));
                    if let Some(schema) = &mut schema {
                        schema.histograms.push(description(at));
                    }
                    None
                }
                Source::Members(members, kind) => {
                    // The version first: labels that change after this make
                    // the next snapshot describe them again.
                    identity.add(members.version());
                    indices.clear();
                    members.for_each(&mut |index, _| indices.push(index));
                    let metric = schema.is_some().then(|| description(at));
                    for &index in indices.iter() {
                        identity.add(index as u64);
                        push(group, *kind, members.value(index));
                        if let (Some(schema), Some(metric)) = (&mut schema, &metric) {
                            list(schema, *kind).push(describe_member(metric, &**members, index));
                        }
                    }
                    None
                }
            };
            if let Some((value, kind)) = single {
                identity.add(at as u64);
                push(group, kind, Some(value));
                if let Some(schema) = &mut schema {
                    list(schema, kind).push(description(at));
                }
            }
        }
        identity.0
    }
}

fn push(group: &mut Group, kind: Kind, value: Option<u64>) {
    match kind {
        Kind::Gauge => group.gauges.push(value.map(|value| value as i64)),
        _ => group.counters.push(value),
    }
}

fn list(schema: &mut GroupSchema, kind: Kind) -> &mut Vec<MetricDesc> {
    match kind {
        Kind::Gauge => &mut schema.gauges,
        _ => &mut schema.counters,
    }
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

//! Snapshots of the metriken registry: a group per sampler.
//!
//! metriken-exposition has a builder for this. It asks every metric for its
//! metadata at every snapshot, which costs several times what reading the
//! numbers does, and orders members by address, so that schemas differ from
//! one start to the next. This one notes where the numbers are, for as long as
//! the set of metrics is the same, and orders members by column.

use std::collections::BTreeMap;
use std::sync::Arc;

use metriken::MetricEntry;
use rezolus_modes::snapshot::{Group, GroupSchema, Lengths, MetricDesc, Numbers, Shape};
use rezolus_plugin_api::manifest::Kind;

use crate::metric::{self, Column, GROUPING_POWER, MAX_VALUE_POWER, Members, Slot};
use crate::table::Table;

/// Reads the groups of snapshots, for one set of registered metrics.
pub struct Builder {
    groups: Vec<Planned>,
    /// How much there was to read last time.
    lengths: Lengths,
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
            }
        };
        Self { groups: samplers.into_iter().map(planned).collect(), lengths: Lengths::default() }
    }

    /// Reads every metric.
    pub fn read(&mut self) -> (Vec<Group>, Numbers) {
        let mut numbers = Numbers::with_capacity(self.lengths);
        let mut groups = Vec::with_capacity(self.groups.len());
        groups.extend(self.groups.iter_mut().filter_map(|planned| planned.read(&mut numbers)));
        self.lengths = numbers.lengths();
        (groups, numbers)
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
    /// Appends the group's current numbers; None if it has no members.
    fn read(&mut self, numbers: &mut Numbers) -> Option<Group> {
        let before = numbers.lengths();
        if self.fill(numbers, None) != self.identity {
            // Members came, went or were renamed. Numbers are read again along
            // with the descriptions, so that the two agree.
            let mut schema = GroupSchema::default();
            numbers.truncate(before);
            self.identity = self.fill(numbers, Some(&mut schema));
            self.hash = schema.hash();
            self.schema = Arc::new(schema);
        }
        let lengths = numbers.lengths().since(before);
        (lengths != Lengths::default()).then(|| Group {
            name: self.name.clone(),
            schema: self.schema.clone(),
            hash: self.hash,
            lengths,
        })
    }

    /// Reads the numbers into `numbers`, and the descriptions into `schema`.
    /// Returns what tells one membership from another.
    fn fill(&self, numbers: &mut Numbers, mut schema: Option<&mut GroupSchema>) -> u64 {
        let registry = schema.is_some().then(metriken::metrics);
        let metrics: Vec<&MetricEntry> = registry.iter().flat_map(|registry| registry.iter()).collect();
        let description = |at: usize| describe(metrics[self.positions[at]], &self.sources[at]);
        let mut identity = Identity::default();
        for (at, source) in self.sources.iter().enumerate() {
            let single = match source {
                Source::Sum(table, word, kind) => Some((metric::sum(table, *word), *kind)),
                Source::Slot(slot, kind) => slot.get().map(|value| (value, *kind)),
                Source::Histogram(table, word) => {
                    let lines = metric::lines(table, *word, &mut numbers.lines);
                    numbers.histograms.push(Some(Shape {
                        grouping_power: GROUPING_POWER,
                        max_value_power: MAX_VALUE_POWER,
                        lines,
                    }));
                    if let Some(schema) = &mut schema {
                        schema.histograms.push(description(at));
                    }
                    None
                }
                Source::Members(members, kind) => {
                    let metric = schema.is_some().then(|| description(at));
                    let mut indices = Vec::new();
                    let version = members.read(&mut |index, value| {
                        identity.add(index as u64);
                        push(numbers, *kind, value);
                        if metric.is_some() {
                            indices.push(index);
                        }
                    });
                    // That of before the labels are read: if they change in
                    // between, the next snapshot describes them again.
                    identity.add(version);
                    if let (Some(schema), Some(metric)) = (&mut schema, &metric) {
                        let described =
                            indices.iter().map(|&index| describe_member(metric, &**members, index));
                        list(schema, *kind).extend(described);
                    }
                    None
                }
            };
            if let Some((value, kind)) = single {
                identity.add(at as u64);
                push(numbers, kind, Some(value));
                if let Some(schema) = &mut schema {
                    list(schema, kind).push(description(at));
                }
            }
        }
        identity.0
    }
}

fn push(numbers: &mut Numbers, kind: Kind, value: Option<u64>) {
    match kind {
        Kind::Gauge => numbers.gauges.push(value.map(|value| value as i64)),
        _ => numbers.counters.push(value),
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

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
    /// Of all groups, one after the other: few allocations, close together.
    pub numbers: Numbers,
}

/// What one sampler measured: how many numbers of each kind, and their names.
pub struct Group {
    pub name: Arc<str>,
    pub schema: Arc<GroupSchema>,
    pub hash: (u64, u64),
    pub lengths: Lengths,
}

/// How many numbers there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    pub counters: usize,
    pub gauges: usize,
    pub histograms: usize,
    pub lines: usize,
}

#[derive(Default)]
pub struct Numbers {
    pub counters: Vec<Option<u64>>,
    pub gauges: Vec<Option<i64>>,
    /// Which lines of each histogram are in use: bit n for line n.
    pub histograms: Vec<u64>,
    /// These lines, of one histogram after the other.
    pub lines: Vec<[u64; LINE]>,
}

/// The numbers of one group.
pub struct Slices<'a> {
    pub counters: &'a [Option<u64>],
    pub gauges: &'a [Option<i64>],
    pub histograms: &'a [u64],
    pub lines: &'a [[u64; LINE]],
}

impl Numbers {
    fn with_capacity(lengths: Lengths) -> Self {
        Self {
            counters: Vec::with_capacity(lengths.counters),
            gauges: Vec::with_capacity(lengths.gauges),
            histograms: Vec::with_capacity(lengths.histograms),
            lines: Vec::with_capacity(lengths.lines),
        }
    }

    pub fn lengths(&self) -> Lengths {
        Lengths {
            counters: self.counters.len(),
            gauges: self.gauges.len(),
            histograms: self.histograms.len(),
            lines: self.lines.len(),
        }
    }

    fn truncate(&mut self, lengths: Lengths) {
        self.counters.truncate(lengths.counters);
        self.gauges.truncate(lengths.gauges);
        self.histograms.truncate(lengths.histograms);
        self.lines.truncate(lengths.lines);
    }
}

impl Reading {
    /// The same in the field's exchange type, with all buckets.
    pub fn to_snapshot(&self) -> SnapshotV3 {
        SnapshotV3 {
            systemtime: self.systemtime,
            duration: self.duration,
            metadata: self.metadata.iter().map(|(key, value)| (key.to_string(), value.clone())).collect(),
            groups: self.groups().map(|(group, numbers)| group.to_snapshot(&numbers)).collect(),
        }
    }

    /// The groups with their numbers.
    pub fn groups(&self) -> impl Iterator<Item = (&Group, Slices<'_>)> {
        fn take<'a, T>(rest: &mut &'a [T], length: usize) -> &'a [T] {
            let (taken, left) = rest.split_at(length);
            *rest = left;
            taken
        }
        let Numbers { counters, gauges, histograms, lines } = &self.numbers;
        let mut rest = Slices { counters, gauges, histograms, lines };
        self.groups.iter().map(move |group| {
            let slices = Slices {
                counters: take(&mut rest.counters, group.lengths.counters),
                gauges: take(&mut rest.gauges, group.lengths.gauges),
                histograms: take(&mut rest.histograms, group.lengths.histograms),
                lines: take(&mut rest.lines, group.lengths.lines),
            };
            (group, slices)
        })
    }
}

impl Group {
    fn to_snapshot(&self, numbers: &Slices<'_>) -> GroupSnapshot {
        let mut lines = numbers.lines.iter();
        GroupSnapshot {
            name: self.name.to_string(),
            schema_hash: self.hash,
            schema: Some(self.schema.clone()),
            window: None,
            counters: numbers.counters.to_vec(),
            gauges: numbers.gauges.to_vec(),
            histograms: numbers.histograms.iter().map(|&used| metric::dense(used, &mut lines)).collect(),
            gauge_histograms: Vec::new(),
        }
    }
}

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
        let after = numbers.lengths();
        let lengths = Lengths {
            counters: after.counters - before.counters,
            gauges: after.gauges - before.gauges,
            histograms: after.histograms - before.histograms,
            lines: after.lines - before.lines,
        };
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
                    numbers.histograms.push(metric::lines(table, *word, &mut numbers.lines));
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

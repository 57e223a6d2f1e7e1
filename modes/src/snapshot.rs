//! Snapshots: what everything here reads, and sends.
//!
//! A snapshot says nothing twice: names and labels are a schema, shared from
//! one snapshot to the next; numbers lie together; and of a histogram, most of
//! whose buckets are zero for ever, only the lines in use are kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use metriken_exposition::{GroupSchema, MetricDesc};
use metriken_exposition::{GroupSnapshot, SnapshotV3};

/// Buckets in a line: as many as fit into a cache line.
pub const LINE: usize = 8;

/// The numbers of one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub systemtime: SystemTime,
    /// How long reading it took.
    pub duration: Duration,
    pub metadata: Vec<(Cow<'static, str>, String)>,
    pub groups: Vec<Group>,
    /// Of all groups, one after the other: few allocations, close together.
    pub numbers: Numbers,
}

/// What one sampler measured: how many numbers of each kind, and their names.
#[derive(Clone, Debug)]
pub struct Group {
    /// `SAMPLER/main`
    pub name: Arc<str>,
    pub schema: Arc<GroupSchema>,
    /// Of the schema: equal if and only if the schemas are.
    pub hash: (u64, u64),
    pub lengths: Lengths,
}

/// How many numbers there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    pub counters: usize,
    pub gauges: usize,
    pub histograms: usize,
    /// Of all histograms.
    pub lines: usize,
}

/// Numbers, in the order of the schemas they belong to; None is no reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub counters: Vec<Option<u64>>,
    pub gauges: Vec<Option<i64>>,
    pub histograms: Vec<Option<Shape>>,
    /// The lines in use, of one histogram after the other.
    pub lines: Vec<Line>,
}

/// An H2 histogram but for its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub grouping_power: u8,
    /// Values are below 2 to this power.
    pub max_value_power: u8,
    /// How many of the lines are its.
    pub lines: u16,
}

/// Neighbouring buckets of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Buckets `number * LINE` and after.
    pub number: u16,
    pub counts: [u64; LINE],
}

/// The numbers of one group.
#[derive(Clone, Copy)]
pub struct Slices<'a> {
    pub counters: &'a [Option<u64>],
    pub gauges: &'a [Option<i64>],
    histograms: &'a [Option<Shape>],
    lines: &'a [Line],
}

/// One histogram: counts per bucket since its source began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram<'a> {
    pub grouping_power: u8,
    pub max_value_power: u8,
    /// Ascending by number; what is not there is zero.
    pub lines: &'a [Line],
}

impl Shape {
    /// How many buckets such a histogram has; None if there is none such.
    /// Formula: the histogram crate's configuration, (n - g + 1) * 2^g.
    pub fn buckets(grouping_power: u8, max_value_power: u8) -> Option<usize> {
        let (g, n) = (usize::from(grouping_power), usize::from(max_value_power));
        // More would not fit the number of a line; the field uses up to 7.
        (g < n && n <= 64 && g <= 13).then(|| (n - g + 1) << g)
    }
}

impl Histogram<'_> {
    /// Counts of all buckets.
    pub fn dense(&self) -> Vec<u64> {
        let length = Shape::buckets(self.grouping_power, self.max_value_power).unwrap_or_default();
        let mut buckets = vec![0; length];
        self.each(|index, count| {
            if let Some(bucket) = buckets.get_mut(index) {
                *bucket = count;
            }
        });
        buckets
    }

    /// Calls `each` with the index and count of every bucket that has one.
    pub fn each(&self, mut each: impl FnMut(usize, u64)) {
        for line in self.lines {
            for (at, &count) in line.counts.iter().enumerate().filter(|(_, count)| **count != 0) {
                each(usize::from(line.number) * LINE + at, count);
            }
        }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.lines.iter().flat_map(|line| line.counts).fold(0, u64::wrapping_add)
    }

    fn exchange(&self) -> Option<histogram::Histogram> {
        histogram::Histogram::from_buckets(self.grouping_power, self.max_value_power, self.dense()).ok()
    }
}

impl<'a> Slices<'a> {
    /// The histograms, in the order of the schema.
    pub fn histograms(&self) -> impl ExactSizeIterator<Item = Option<Histogram<'a>>> {
        let mut lines = self.lines;
        self.histograms.iter().map(move |shape| {
            shape.map(|shape| Histogram {
                grouping_power: shape.grouping_power,
                max_value_power: shape.max_value_power,
                lines: take(&mut lines, shape.lines.into()),
            })
        })
    }
}

impl Numbers {
    pub fn with_capacity(lengths: Lengths) -> Self {
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

    pub fn truncate(&mut self, lengths: Lengths) {
        self.counters.truncate(lengths.counters);
        self.gauges.truncate(lengths.gauges);
        self.histograms.truncate(lengths.histograms);
        self.lines.truncate(lengths.lines);
    }

    /// Appends a histogram by all of its buckets.
    pub fn push_dense(&mut self, grouping_power: u8, max_value_power: u8, buckets: &[u64]) {
        let before = self.lines.len();
        for (number, counts) in buckets.chunks(LINE).enumerate() {
            if counts.iter().any(|&count| count != 0) {
                let mut line = Line { number: number as u16, counts: [0; LINE] };
                line.counts[..counts.len()].copy_from_slice(counts);
                self.lines.push(line);
            }
        }
        let lines = (self.lines.len() - before) as u16;
        self.histograms.push(Some(Shape { grouping_power, max_value_power, lines }));
    }
}

fn take<'a, T>(rest: &mut &'a [T], length: usize) -> &'a [T] {
    let (taken, left) = rest.split_at(length.min(rest.len()));
    *rest = left;
    taken
}

impl Snapshot {
    /// The groups with their numbers.
    pub fn groups(&self) -> impl Iterator<Item = (&Group, Slices<'_>)> {
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

    /// The same in the field's exchange type, with all buckets.
    pub fn to_exchange(&self) -> SnapshotV3 {
        SnapshotV3 {
            systemtime: self.systemtime,
            duration: self.duration,
            metadata: self.metadata.iter().map(|(key, value)| (key.to_string(), value.clone())).collect(),
            groups: self.groups().map(|(group, numbers)| group.to_exchange(numbers)).collect(),
        }
    }

    /// From any version of the field's exchange type.
    pub fn from_exchange(snapshot: metriken_exposition::Snapshot) -> Self {
        use metriken_exposition::Snapshot as Any;
        let mut numbers = Numbers::default();
        let mut groups = Vec::new();
        let systemtime = snapshot.systemtime();
        let duration = snapshot.duration().unwrap_or_default();
        let mut snapshot = snapshot;
        let metadata = snapshot.metadata().into_iter().map(|(key, value)| (key.into(), value)).collect();
        if let Any::V3(v3) = &snapshot {
            for group in &v3.groups {
                let Some(schema) = &group.schema else { continue };
                let before = numbers.lengths();
                numbers.counters.extend_from_slice(&group.counters);
                numbers.gauges.extend_from_slice(&group.gauges);
                group.histograms.iter().for_each(|histogram| numbers.push_exchange(histogram.as_ref()));
                let lengths = numbers.lengths().since(before);
                groups.push(Group {
                    name: group.name.as_str().into(),
                    schema: schema.clone(),
                    hash: group.schema_hash,
                    lengths,
                });
            }
        } else {
            let mut schema = GroupSchema::default();
            let describe = |name: String, metadata: std::collections::HashMap<String, String>| MetricDesc {
                name,
                metadata: metadata.into_iter().collect(),
            };
            let mut counters = snapshot.counters();
            counters.sort_by(|a, b| a.name.cmp(&b.name));
            for counter in counters {
                numbers.counters.push(Some(counter.value));
                schema.counters.push(describe(counter.name, counter.metadata));
            }
            let mut gauges = snapshot.gauges();
            gauges.sort_by(|a, b| a.name.cmp(&b.name));
            for gauge in gauges {
                numbers.gauges.push(Some(gauge.value));
                schema.gauges.push(describe(gauge.name, gauge.metadata));
            }
            let mut histograms = snapshot.histograms();
            histograms.sort_by(|a, b| a.name.cmp(&b.name));
            for histogram in histograms {
                numbers.push_exchange(Some(&histogram.value));
                let mut described = describe(histogram.name, histogram.metadata);
                let config = histogram.value.config();
                described.metadata.insert("grouping_power".into(), config.grouping_power().to_string());
                described.metadata.insert("max_value_power".into(), config.max_value_power().to_string());
                schema.histograms.push(described);
            }
            let lengths = numbers.lengths();
            let hash = schema.hash();
            groups.push(Group { name: "main".into(), schema: Arc::new(schema), hash, lengths });
        }
        Self { systemtime, duration, metadata, groups, numbers }
    }

    /// A value of the snapshot's own metadata.
    pub fn meta(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl Lengths {
    /// How much was added since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            counters: self.counters - before.counters,
            gauges: self.gauges - before.gauges,
            histograms: self.histograms - before.histograms,
            lines: self.lines - before.lines,
        }
    }
}

impl Numbers {
    fn push_exchange(&mut self, histogram: Option<&histogram::Histogram>) {
        match histogram {
            Some(histogram) => {
                let config = histogram.config();
                self.push_dense(config.grouping_power(), config.max_value_power(), histogram.as_slice());
            }
            None => self.histograms.push(None),
        }
    }
}

impl Group {
    fn to_exchange(&self, numbers: Slices<'_>) -> GroupSnapshot {
        GroupSnapshot {
            name: self.name.to_string(),
            schema_hash: self.hash,
            schema: Some(self.schema.clone()),
            window: None,
            counters: numbers.counters.to_vec(),
            gauges: numbers.gauges.to_vec(),
            histograms: numbers.histograms().map(|histogram| histogram?.exchange()).collect(),
            gauge_histograms: Vec::new(),
        }
    }
}

/// What the field's exchange type calls a metric's name, in a description.
pub fn metric_name(description: &MetricDesc) -> &str {
    description.metadata.get("metric").unwrap_or(&description.name)
}

/// The labels of a series: its description but for what is not one.
pub fn labels(description: &MetricDesc) -> impl Iterator<Item = (&str, &str)> {
    const NOT_LABELS: [&str; 5] = ["metric", "metric_type", "unit", "grouping_power", "max_value_power"];
    let metadata: &BTreeMap<String, String> = &description.metadata;
    metadata
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .filter(|(key, _)| !NOT_LABELS.contains(key))
}

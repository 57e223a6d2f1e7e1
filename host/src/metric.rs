//! The kinds of metric the host registers with metriken: views onto memory
//! that BPF programs, iterators or userspace samplers fill.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use metriken::{
    CounterGroupMetric, DynBoxedMetric, GaugeGroupMetric, HistogramMetric, Metric, MetricBuilder, Value,
};
use parking_lot::RwLock;
use rezolus_plugin_api::manifest::Kind;

use rezolus_modes::snapshot::{LINE, Line};

use crate::cgroup::Cgroups;
use crate::table::Table;

/// H2 histograms of the agent: grouping power 3, values up to 2^64 - 1.
pub const GROUPING_POWER: u8 = 3;
pub const MAX_VALUE_POWER: u8 = 64;
/// Buckets of such a histogram: `HISTOGRAM_BUCKETS` in BPF.
pub const BUCKETS: usize = 496;
/// Lines of a histogram.
pub const LINES: usize = BUCKETS / LINE;
/// Words in front of a histogram's buckets: a byte per line says whether it has
/// ever been counted in.
pub const MARK_WORDS: usize = 8;
/// Words of a `struct histogram`.
pub const HISTOGRAM_WORDS: usize = MARK_WORDS + BUCKETS;

/// The column name of a metric: unique over the agent, stable over restarts.
#[derive(Clone, Debug)]
pub struct Column(pub String);

/// A metric in the registry for as long as this lives.
pub type Registered = Box<dyn Any + Send + Sync>;

/// How a metric is called.
pub struct Description<'a> {
    pub name: &'a str,
    pub description: &'a str,
    pub unit: &'a str,
    pub sampler: &'a str,
    /// Fixed labels and those of its dimensions.
    pub labels: Vec<(&'a str, &'a str)>,
}

impl Description<'_> {
    /// Puts a metric into the registry.
    pub fn register<M: Metric>(&self, metric: M) -> Registered {
        let mut builder = MetricBuilder::new(self.name.to_string())
            .description(self.description.to_string())
            .metadata("sampler", self.sampler)
            .provide(Column(self.column()));
        if !self.unit.is_empty() {
            builder = builder.metadata("unit", self.unit);
        }
        for (label, value) in &self.labels {
            builder = builder.metadata(*label, *value);
        }
        let boxed: DynBoxedMetric<M> = builder.build(metric);
        Box::new(boxed)
    }

    /// Name and label values, joined by `/`.
    pub fn column(&self) -> String {
        let mut column = self.name.to_string();
        for (_, value) in &self.labels {
            column.push('/');
            column.push_str(value);
        }
        column
    }
}

/// A number that is the sum over the rows of a table.
pub struct Sum {
    pub table: Arc<Table>,
    pub word: usize,
    pub kind: Kind,
}

/// The sum of a word over the rows of a table.
pub fn sum(table: &Table, word: usize) -> u64 {
    (0..table.rows()).fold(0u64, |sum, row| sum.wrapping_add(table.get(row, word)))
}

impl Metric for Sum {
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn value(&self) -> Option<Value<'_>> {
        let sum = sum(&self.table, self.word);
        Some(match self.kind {
            Kind::Gauge => Value::Gauge(sum as i64),
            _ => Value::Counter(sum),
        })
    }
}

/// A `struct histogram` that is summed over the rows of a table.
pub struct Histogram {
    pub table: Arc<Table>,
    /// Where it begins.
    pub word: usize,
}

/// Appends the lines of a histogram that are in use, summed over the rows of a
/// table. Returns how many they are.
pub fn lines(table: &Table, word: usize, lines: &mut Vec<Line>) -> u16 {
    let mut used = 0u64;
    for row in 0..table.rows() {
        for mark in 0..MARK_WORDS {
            let marks = table.get(row, word + mark);
            if marks != 0 {
                for (byte, _) in marks.to_ne_bytes().iter().enumerate().filter(|(_, mark)| **mark != 0) {
                    used |= 1 << (mark * 8 + byte);
                }
            }
        }
    }
    used &= (1 << LINES) - 1;
    for line in ones(used) {
        let mut counts = [0; LINE];
        for row in 0..table.rows() {
            table.add_to(&mut counts, row, word + MARK_WORDS + line * LINE);
        }
        lines.push(Line { number: line as u16, counts });
    }
    used.count_ones() as u16
}

/// The numbers of the bits that are set, in order.
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let next = (bits != 0).then(|| bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        next
    })
}

impl HistogramMetric for Histogram {
    fn config(&self) -> histogram::Config {
        histogram::Config::new(GROUPING_POWER, MAX_VALUE_POWER).expect("3/64 is a valid configuration")
    }

    fn load(&self) -> Option<histogram::Histogram> {
        let mut found = Vec::new();
        lines(&self.table, self.word, &mut found);
        let mut buckets = vec![0; BUCKETS];
        for Line { number, counts } in found {
            buckets[usize::from(number) * LINE..][..LINE].copy_from_slice(&counts);
        }
        histogram::Histogram::from_buckets(GROUPING_POWER, MAX_VALUE_POWER, buckets).ok()
    }
}

impl Metric for Histogram {
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Histogram(self))
    }
}

/// A number that a userspace sampler, or the host itself, sets.
#[derive(Default)]
pub struct Slot {
    written: AtomicBool,
    value: AtomicU64,
}

impl Slot {
    pub fn set(&self, value: u64) {
        self.value.store(value, Ordering::Relaxed);
        self.written.store(true, Ordering::Release);
    }

    pub fn get(&self) -> Option<u64> {
        self.written.load(Ordering::Acquire).then(|| self.value.load(Ordering::Relaxed))
    }
}

/// A [`Slot`] as a metric: absent until it is written.
pub struct SlotMetric {
    pub slot: Arc<Slot>,
    pub kind: Kind,
}

impl Metric for SlotMetric {
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn value(&self) -> Option<Value<'_>> {
        let value = self.slot.get()?;
        Some(match self.kind {
            Kind::Gauge => Value::Gauge(value as i64),
            _ => Value::Counter(value),
        })
    }
}

/// The labels of a row.
pub type Labels = HashMap<String, String>;

/// The series of one metric that has a series per CPU, cgroup, task, ...
pub trait Members: Send + Sync + 'static {
    /// One more than the highest index.
    fn entries(&self) -> usize;
    fn value(&self, index: usize) -> Option<u64>;
    /// Calls `each` with the index and number of every series. Returns the
    /// version they have, or had when it began.
    fn read(&self, each: &mut dyn FnMut(usize, Option<u64>)) -> u64;
    /// Changes whenever membership or labels do.
    fn version(&self) -> u64;
    fn for_each(&self, each: &mut dyn FnMut(usize, &Labels));
    fn with_labels(&self, index: usize, f: &mut dyn FnMut(Option<&Labels>));
}

/// [`Members`] as a metric.
pub struct Group {
    pub members: Arc<dyn Members>,
    pub kind: Kind,
}

impl Group {
    pub fn new(kind: Kind, members: impl Members) -> Self {
        Self { members: Arc::new(members), kind }
    }
}

/// What tells a member apart from its siblings: its label `id`.
pub fn member_id(members: &dyn Members, index: usize) -> String {
    let mut id = String::new();
    members.with_labels(index, &mut |labels| {
        if let Some(labels) = labels {
            id = match labels.get("id") {
                Some(id) => id.clone(),
                None => {
                    let mut values: Vec<_> = labels.iter().collect();
                    values.sort_unstable();
                    values.iter().map(|(_, v)| v.as_str()).collect::<Vec<_>>().join("/")
                }
            };
        }
    });
    id
}

impl Metric for Group {
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn value(&self) -> Option<Value<'_>> {
        Some(match self.kind {
            Kind::Gauge => Value::GaugeGroup(self),
            _ => Value::CounterGroup(self),
        })
    }
}

impl CounterGroupMetric for Group {
    fn entries(&self) -> usize {
        self.members.entries()
    }
    fn counter_value(&self, index: usize) -> Option<u64> {
        self.members.value(index)
    }
    fn load_counters(&self) -> Option<Vec<u64>> {
        Some((0..self.members.entries()).map(|i| self.members.value(i).unwrap_or(0)).collect())
    }
    fn load_metadata(&self, index: usize) -> Option<Labels> {
        let mut found = None;
        self.members.with_labels(index, &mut |labels| found = labels.cloned());
        found
    }
    fn metadata_snapshot(&self) -> Vec<(usize, Labels)> {
        let mut all = Vec::new();
        self.members.for_each(&mut |index, labels| all.push((index, labels.clone())));
        all
    }
    fn metadata_version(&self) -> u64 {
        self.members.version()
    }
    fn with_metadata(&self, index: usize, f: &mut dyn FnMut(Option<&Labels>)) {
        self.members.with_labels(index, f);
    }
    fn for_each_metadata(&self, f: &mut dyn FnMut(usize, &Labels)) {
        self.members.for_each(f);
    }
}

impl GaugeGroupMetric for Group {
    fn entries(&self) -> usize {
        self.members.entries()
    }
    fn gauge_value(&self, index: usize) -> Option<i64> {
        self.members.value(index).map(|value| value as i64)
    }
    fn load_gauges(&self) -> Option<Vec<i64>> {
        Some((0..self.members.entries()).map(|i| self.members.value(i).unwrap_or(0) as i64).collect())
    }
    fn load_metadata(&self, index: usize) -> Option<Labels> {
        CounterGroupMetric::load_metadata(self, index)
    }
    fn metadata_snapshot(&self) -> Vec<(usize, Labels)> {
        CounterGroupMetric::metadata_snapshot(self)
    }
    fn metadata_version(&self) -> u64 {
        self.members.version()
    }
    fn with_metadata(&self, index: usize, f: &mut dyn FnMut(Option<&Labels>)) {
        self.members.with_labels(index, f);
    }
    fn for_each_metadata(&self, f: &mut dyn FnMut(usize, &Labels)) {
        self.members.for_each(f);
    }
}

/// The CPUs of this machine and their label.
pub struct Cpus(Vec<(usize, Labels)>);

impl Cpus {
    pub fn new(ids: impl IntoIterator<Item = usize>) -> Self {
        Self(ids.into_iter().map(|id| (id, HashMap::from([("id".to_string(), id.to_string())]))).collect())
    }

    pub fn ids(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|(id, _)| *id)
    }

    fn entries(&self) -> usize {
        self.0.last().map_or(0, |(id, _)| id + 1)
    }

    fn for_each(&self, each: &mut dyn FnMut(usize, &Labels)) {
        for (id, labels) in &self.0 {
            each(*id, labels);
        }
    }

    fn with_labels(&self, index: usize, f: &mut dyn FnMut(Option<&Labels>)) {
        let found = self.0.binary_search_by_key(&index, |(id, _)| *id);
        f(found.ok().map(|at| &self.0[at].1));
    }
}

/// A series per CPU; `read` is given the CPU.
pub struct PerCpu<F> {
    pub cpus: Arc<Cpus>,
    pub read: F,
}

impl<F: Fn(usize) -> Option<u64> + Send + Sync + 'static> Members for PerCpu<F> {
    fn entries(&self) -> usize {
        self.cpus.entries()
    }
    fn value(&self, index: usize) -> Option<u64> {
        (self.read)(index)
    }
    fn read(&self, each: &mut dyn FnMut(usize, Option<u64>)) -> u64 {
        self.cpus.ids().for_each(|id| each(id, (self.read)(id)));
        0
    }
    fn version(&self) -> u64 {
        0
    }
    fn for_each(&self, each: &mut dyn FnMut(usize, &Labels)) {
        self.cpus.for_each(each);
    }
    fn with_labels(&self, index: usize, f: &mut dyn FnMut(Option<&Labels>)) {
        self.cpus.with_labels(index, f);
    }
}

/// A series per cgroup: the sum of its row over the banks of a table.
pub struct PerCgroup {
    pub table: Arc<Table>,
    pub word: usize,
    pub banks: usize,
    pub cgroups: Arc<Cgroups>,
    /// The word that is not zero in rows for which the metric exists.
    pub when: Option<usize>,
}

impl PerCgroup {
    fn sum(&self, slot: usize, word: usize) -> u64 {
        let slots = self.cgroups.slots();
        (0..self.banks).fold(0u64, |sum, bank| sum.wrapping_add(self.table.get(bank * slots + slot, word)))
    }

    fn exists(&self, slot: usize) -> bool {
        self.when.is_none_or(|word| self.sum(slot, word) != 0)
    }
}

impl Members for PerCgroup {
    fn entries(&self) -> usize {
        self.cgroups.slots()
    }
    fn value(&self, index: usize) -> Option<u64> {
        Some(self.sum(index, self.word))
    }
    fn read(&self, each: &mut dyn FnMut(usize, Option<u64>)) -> u64 {
        let version = self.cgroups.version();
        self.for_each(&mut |slot, _| each(slot, self.value(slot)));
        version
    }
    fn version(&self) -> u64 {
        self.cgroups.version()
    }
    fn for_each(&self, each: &mut dyn FnMut(usize, &Labels)) {
        self.cgroups.for_each(&mut |slot, labels| {
            if self.exists(slot) {
                each(slot, labels);
            }
        });
    }
    fn with_labels(&self, index: usize, f: &mut dyn FnMut(Option<&Labels>)) {
        f(self.cgroups.labels(index).as_deref());
    }
}

/// Rows that come and go, filled from outside: by an iterator, or by a
/// userspace sampler.
#[derive(Default)]
pub struct RowSet {
    inner: RwLock<RowSetInner>,
}

#[derive(Default)]
struct RowSetInner {
    version: u64,
    /// By row.
    rows: Vec<Option<Row>>,
}

struct Row {
    labels: Labels,
    /// By series of the set.
    values: Vec<Option<u64>>,
}

impl RowSet {
    /// Describes a row; without labels it is gone.
    pub fn describe(&self, row: usize, labels: Labels) {
        let mut inner = self.inner.write();
        if inner.rows.len() <= row {
            inner.rows.resize_with(row + 1, || None);
        }
        let known = inner.rows[row].as_ref();
        if known.map_or(labels.is_empty(), |row| row.labels == labels) {
            return;
        }
        inner.rows[row] = (!labels.is_empty()).then(|| Row { labels, values: Vec::new() });
        inner.version += 1;
    }

    /// Sets one number of a described row.
    pub fn set(&self, row: usize, series: usize, value: u64) {
        let mut inner = self.inner.write();
        if let Some(Some(row)) = inner.rows.get_mut(row) {
            if row.values.len() <= series {
                row.values.resize(series + 1, None);
            }
            row.values[series] = Some(value);
        }
    }

    /// Replaces all rows: labels and the numbers of every series.
    pub fn replace(&self, rows: Vec<(Labels, Vec<Option<u64>>)>) {
        let mut inner = self.inner.write();
        let same = inner.rows.len() == rows.len()
            && inner
                .rows
                .iter()
                .zip(&rows)
                .all(|(old, (labels, _))| old.as_ref().is_some_and(|old| old.labels == *labels));
        inner.version += u64::from(!same);
        inner.rows = rows.into_iter().map(|(labels, values)| Some(Row { labels, values })).collect();
    }
}

/// One series of a [`RowSet`].
pub struct PerRow {
    pub rows: Arc<RowSet>,
    pub series: usize,
}

impl Members for PerRow {
    fn entries(&self) -> usize {
        self.rows.inner.read().rows.len()
    }
    fn value(&self, index: usize) -> Option<u64> {
        let inner = self.rows.inner.read();
        inner.rows.get(index)?.as_ref()?.values.get(self.series).copied().flatten()
    }
    fn read(&self, each: &mut dyn FnMut(usize, Option<u64>)) -> u64 {
        let inner = self.rows.inner.read();
        for (index, row) in inner.rows.iter().enumerate() {
            if let Some(row) = row {
                each(index, row.values.get(self.series).copied().flatten());
            }
        }
        inner.version
    }
    fn version(&self) -> u64 {
        self.rows.inner.read().version
    }
    fn for_each(&self, each: &mut dyn FnMut(usize, &Labels)) {
        for (index, row) in self.rows.inner.read().rows.iter().enumerate() {
            if let Some(row) = row {
                each(index, &row.labels);
            }
        }
    }
    fn with_labels(&self, index: usize, f: &mut dyn FnMut(Option<&Labels>)) {
        let inner = self.rows.inner.read();
        f(inner.rows.get(index).and_then(Option::as_ref).map(|row| &row.labels));
    }
}

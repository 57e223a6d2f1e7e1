//! From a snapshot to families of series.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::config::{Config, Form};
use super::family::{Family, Kind, Labels, Number, Series, Value};
use super::h2::Sparse;
use super::history::{Before, History};
use super::naming::Scale;
use super::plan::{Entry, Plan, PlannedHistogram};
use super::text::Dialect;
use super::{Descriptions, protobuf, text};
use crate::snapshot::{Group, Slices, Snapshot};
use crate::{SnapshotSource, SourceError};

/// Series that are dropped are told about this often, as long as they are.
const TELL: Duration = Duration::from_secs(600);

/// What a scrape is answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

/// Takes snapshots and makes of them what is exported.
pub struct Exporter {
    config: Config,
    source: Arc<dyn SnapshotSource>,
    /// Why there was no snapshot the last time.
    trouble: Mutex<Option<String>>,
    descriptions: Descriptions,
    state: Mutex<State>,
    pub(super) tally: Tally,
}

#[derive(Default)]
struct State {
    /// By the hash of the schema.
    plans: HashMap<(u64, u64), Arc<Plan>>,
    history: History,
    /// When series that are dropped were last told about.
    told: Option<Instant>,
}

/// Counted since the start.
#[derive(Default)]
pub struct Tally {
    pub capped: AtomicU64,
    pub clashing: AtomicU64,
    pub sent: AtomicU64,
    pub failed: AtomicU64,
    pub dropped: AtomicU64,
    /// Bytes that wait to be sent.
    pub queued: AtomicU64,
}

/// Series that were not exported although they were selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Dropped {
    capped: usize,
    clashing: usize,
}

impl Exporter {
    pub fn new(config: Config, source: Arc<dyn SnapshotSource>, descriptions: Descriptions) -> Self {
        Self {
            config,
            source,
            trouble: Mutex::default(),
            descriptions,
            state: Mutex::default(),
            tally: Tally::default(),
        }
    }

    /// Takes a snapshot and writes it. Blocks as long as the source does.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub fn scrape(&self, format: Format) -> Result<Vec<u8>, SourceError> {
        let (_, families) = self.collect(format == Format::Protobuf)?;
        Ok(match format {
            Format::Text => text::render(&families, Dialect::Prometheus).into_bytes(),
            Format::OpenMetrics => text::render(&families, Dialect::OpenMetrics).into_bytes(),
            Format::Protobuf => protobuf::render(&families),
        })
    }

    /// Takes a snapshot; says so when there is none, and when there is one again.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub(super) fn snapshot(&self) -> Result<Arc<Snapshot>, SourceError> {
        let taken = self.source.snapshot();
        let failed = taken.as_ref().err().map(ToString::to_string);
        let mut trouble = self.trouble.lock();
        if *trouble != failed {
            match &failed {
                Some(why) => tracing::warn!("exporter: {why}"),
                None => tracing::info!("exporter: there are snapshots again"),
            }
            *trouble = failed;
        }
        taken
    }

    /// Takes a snapshot and makes families of it, in the order of their names.
    /// Histograms are native only if that can be written. Blocks as long as the
    /// source does.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub fn collect(&self, native: bool) -> Result<(Arc<Snapshot>, Vec<Family>), SourceError> {
        let snapshot = self.snapshot()?;
        let plans = self.plans(&snapshot);
        let before = self.config.has_summaries().then(|| {
            let now = Instant::now();
            self.state.lock().history.advance(now, self.config.interval, &snapshot)
        });
        let mut collection = Collection::new(&self.config, native);
        let before = before.as_ref().and_then(Option::as_deref);
        // If there is too much it is at the cost of cgroups, not of the machine.
        for cgroups in [false, true] {
            collection.cgroups = cgroups;
            for ((group, numbers), plan) in snapshot.groups().zip(&plans) {
                collection.group(group, &numbers, plan, before);
            }
        }
        let Collection { families, dropped, left, .. } = collection;
        self.account(dropped);
        let mut families: Vec<Family> = families.into_values().collect();
        self.own_metrics(&mut families, self.config.max_series - left);
        families.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((snapshot, families))
    }

    /// Of all groups of the snapshot.
    fn plans(&self, snapshot: &Snapshot) -> Vec<Arc<Plan>> {
        let known = |state: &State| -> Option<Vec<_>> {
            snapshot.groups.iter().map(|group| state.plans.get(&group.hash).cloned()).collect()
        };
        if let Some(plans) = known(&self.state.lock()) {
            return plans;
        }
        // Not under the lock: it may be an agent elsewhere that is asked.
        let descriptions = (self.descriptions)();
        let mut state = self.state.lock();
        state.plans.retain(|hash, _| snapshot.groups.iter().any(|group| group.hash == *hash));
        let plan = |group: &Group| {
            let new = || Arc::new(Plan::new(&self.config, &group.schema, &descriptions));
            state.plans.entry(group.hash).or_insert_with(new).clone()
        };
        snapshot.groups.iter().map(plan).collect()
    }

    /// Counts what was dropped, and warns now and then.
    fn account(&self, dropped: Dropped) {
        self.tally.capped.fetch_add(dropped.capped as u64, Ordering::Relaxed);
        self.tally.clashing.fetch_add(dropped.clashing as u64, Ordering::Relaxed);
        if dropped == Dropped::default() {
            return;
        }
        {
            let mut state = self.state.lock();
            if state.told.is_some_and(|told| told.elapsed() < TELL) {
                return;
            }
            state.told = Some(Instant::now());
        }
        if dropped.capped > 0 {
            tracing::warn!(
                "{} series are not exported: there are more than max_series = {}; exclude some or raise it",
                dropped.capped,
                self.config.max_series
            );
        }
        if dropped.clashing > 0 {
            tracing::warn!(
                "{} series are not exported: others have the same name and labels, or the same name and \
                 another type; sampler_label = true may tell them apart",
                dropped.clashing
            );
        }
    }

    fn own_metrics(&self, families: &mut Vec<Family>, exported: usize) {
        let family = |name: &str, kind, help: &str, unit, series| Family {
            name: format!("rezolus_exporter_{name}").into(),
            kind,
            help: help.into(),
            unit,
            series,
        };
        let counted = |labels: Vec<(String, String)>, value: &AtomicU64| Series {
            labels: labels.into(),
            value: Value::Number(Number::Unsigned(value.load(Ordering::Relaxed))),
        };
        let reason = |reason: &str, value| counted(vec![("reason".into(), reason.into())], value);
        let number =
            |value| vec![Series { labels: Labels::from([]), value: Value::Number(Number::Unsigned(value)) }];
        let help = "Series in the last snapshot that was exported, without the exporter's own";
        families.push(family("series", Kind::Gauge, help, None, number(exported as u64)));
        let help = "Series left out of a snapshot that were selected: there were too many, or they clash with others";
        let dropped = vec![reason("max_series", &self.tally.capped), reason("clash", &self.tally.clashing)];
        families.push(family("series_dropped", Kind::Counter, help, None, dropped));
        if self.config.remote_write.is_none() {
            return;
        }
        for (name, help, value) in [
            ("sent", "Samples that were delivered by remote write", &self.tally.sent),
            ("failed", "Attempts to deliver a request that failed", &self.tally.failed),
            (
                "dropped",
                "Requests that were given up: refused, damaged, or pushed out of the queue",
                &self.tally.dropped,
            ),
        ] {
            let series = vec![counted(Vec::new(), value)];
            families.push(family(&format!("remote_write_{name}"), Kind::Counter, help, None, series));
        }
        let help = "Size of the requests that wait to be delivered";
        let queued = number(self.tally.queued.load(Ordering::Relaxed));
        families.push(family("remote_write_queue_bytes", Kind::Gauge, help, Some("bytes"), queued));
    }
}

/// Families in the making.
struct Collection<'a> {
    config: &'a Config,
    native: bool,
    /// Which series are being added.
    cgroups: bool,
    families: BTreeMap<Arc<str>, Family>,
    seen: HashSet<(Arc<str>, Labels)>,
    /// How many more series there may be.
    left: usize,
    dropped: Dropped,
}

impl<'a> Collection<'a> {
    fn new(config: &'a Config, native: bool) -> Self {
        Self {
            config,
            native,
            cgroups: false,
            families: BTreeMap::new(),
            seen: HashSet::new(),
            left: config.max_series,
            dropped: Dropped::default(),
        }
    }

    fn group(&mut self, group: &Group, numbers: &Slices<'_>, plan: &Plan, before: Option<&Snapshot>) {
        let cgroups = self.cgroups;
        let wanted = |entry: &&Entry| entry.cgroup == cgroups;
        for (entry, value) in plan.counters.iter().zip(numbers.counters) {
            if let (Some(entry), Some(value)) = (entry.as_ref().filter(wanted), *value) {
                let value = scaled(Number::Unsigned(value), entry.scale);
                self.add(entry, Kind::Counter, Value::Number(value));
            }
        }
        for (entry, value) in plan.gauges.iter().zip(numbers.gauges) {
            if let (Some(entry), Some(value)) = (entry.as_ref().filter(wanted), *value) {
                let value = scaled(Number::Signed(value), entry.scale);
                self.add(entry, Kind::Gauge, Value::Number(value));
            }
        }
        let mut planned = plan.histograms.iter().flatten();
        let summaries = planned.any(|planned| planned.form == Form::Summary && wanted(&&planned.entry));
        let before = before.filter(|_| summaries).map(|before| Before::new(before, &group.name));
        let described = plan.histograms.iter().zip(&group.schema.histograms);
        for (index, ((planned, description), histogram)) in described.zip(numbers.histograms()).enumerate() {
            let (Some(planned), Some(histogram)) = (planned, histogram) else { continue };
            if wanted(&&planned.entry) {
                let earlier = before.as_ref().map(|before| before.find(index, description));
                self.histogram(planned, &histogram.into(), earlier);
            }
        }
    }

    /// `earlier` is None if there was no snapshot, and has None if the histogram
    /// was not in it.
    fn histogram(&mut self, planned: &PlannedHistogram, all: &Sparse, earlier: Option<Option<&Sparse>>) {
        let PlannedHistogram { entry, form, grouping_power } = planned;
        match form {
            Form::Summary => {
                let since =
                    |before: Option<&Sparse>| before.map_or_else(|| all.clone(), |before| all.since(before));
                let summary = self.summary(all, earlier.map(since).as_ref(), entry.scale);
                self.add(entry, Kind::Summary, summary);
            }
            Form::Native if self.native => self.add(entry, Kind::Histogram, native(all, entry.scale)),
            Form::Native | Form::Classic => {
                self.add(entry, Kind::Histogram, classic(all, *grouping_power, entry.scale));
            }
        }
    }

    /// Quantiles of nothing are NaN, as everywhere in Prometheus.
    fn summary(&self, all: &Sparse, recent: Option<&Sparse>, scale: Scale) -> Value {
        let quantile = |&quantile: &f64| {
            let value = recent.and_then(|recent| recent.quantile(quantile));
            (quantile, value.map_or(f64::NAN, |value| scale.apply(value as f64)))
        };
        Value::Summary {
            quantiles: self.config.quantiles.iter().map(quantile).collect(),
            sum: scale.apply(all.sum()),
            count: all.count(),
        }
    }

    fn add(&mut self, entry: &Entry, kind: Kind, value: Value) {
        let Some(left) = self.left.checked_sub(value.weight()) else {
            self.dropped.capped += value.weight();
            return;
        };
        let family = self.families.entry(entry.name.clone()).or_insert_with(|| Family {
            name: entry.name.clone(),
            kind,
            unit: entry.unit,
            help: entry.help.clone(),
            series: Vec::new(),
        });
        if family.kind != kind || !self.seen.insert((entry.name.clone(), entry.labels.clone())) {
            self.dropped.clashing += value.weight();
            return;
        }
        self.left = left;
        family.series.push(Series { labels: entry.labels.clone(), value });
    }
}

fn scaled(number: Number, scale: Scale) -> Number {
    match scale {
        Scale::One => number,
        _ => Number::Float(scale.apply(number.as_f64())),
    }
}

fn classic(all: &Sparse, grouping_power: u8, scale: Scale) -> Value {
    let buckets = all.classic(grouping_power);
    let bucket = |(bound, count)| (scale.apply(bound as f64), count);
    Value::Classic {
        buckets: buckets.into_iter().map(bucket).collect(),
        sum: scale.apply(all.sum()),
        count: all.count(),
    }
}

fn native(all: &Sparse, scale: Scale) -> Value {
    Value::Native {
        buckets: all.exponential(|value| scale.apply(value)),
        sum: scale.apply(all.sum()),
        count: all.count(),
    }
}

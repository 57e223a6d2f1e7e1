//! A plugin at work: its BPF object attached, its userspace samplers started,
//! its metrics in the registry. Dropping it ends all of that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rezolus_plugin_api::abi::RawValues;
use rezolus_plugin_api::manifest::{self, Kind, Manifest, Metric};

#[cfg(ebpf)]
use crate::bpf;
use crate::collector::{Collector, Health, Refresh};
use crate::config::Config;
use crate::metric::{Cpus, Description, Group, PerCpu, PerRow, Registered, RowSet, Slot, SlotMetric};
#[cfg(ebpf)]
use crate::metric::{Histogram, PerCgroup, Sum};
use crate::plugin::{self, Library};
use crate::status::{self, State};

/// What a plugin needs of the host.
pub struct Host {
    pub collector: Collector,
    pub cpus: Arc<Cpus>,
    #[cfg(ebpf)]
    pub machine: bpf::Machine,
}

/// The maps of an earlier activation of the same library.
#[derive(Default)]
pub struct Kept {
    #[cfg(ebpf)]
    maps: Option<bpf::Maps>,
}

/// See the module's documentation.
pub struct Active {
    host: Arc<Host>,
    /// What the configuration switched on.
    pub enabled: BTreeSet<String>,
    /// What is in force for the samplers: enabled, with which interval.
    pub settings: BTreeMap<String, Option<Duration>>,
    registered: Vec<Registered>,
    sources: Vec<u64>,
    samplers: Vec<Sampler>,
    #[cfg(ebpf)]
    object: Option<bpf::Object>,
}

/// The state of one sampler.
struct Sampler {
    status: status::Sampler,
    health: Vec<Arc<Health>>,
}

/// Why something of a sampler is missing.
enum Missing {
    /// This kernel or machine does not have it.
    Unsupported(String),
    Failed(String),
}

/// Which samplers a configuration switches on, with their intervals.
pub fn settings(config: &Config, manifest: &Manifest) -> BTreeMap<String, Option<Duration>> {
    let plugin = manifest.plugin.name.as_str();
    manifest
        .sampler
        .iter()
        .filter(|sampler| config.sampler_enabled(plugin, &sampler.name, sampler.enabled))
        .map(|sampler| (sampler.name.clone(), config.sampler_interval(plugin, &sampler.name)))
        .collect()
}

impl Active {
    /// Puts a plugin to work. Never fails as a whole: what does not work shows
    /// in the samplers' states.
    pub fn start(
        host: &Arc<Host>,
        library: &Library,
        settings: BTreeMap<String, Option<Duration>>,
        kept: &Kept,
    ) -> Self {
        let mut start = Start {
            host,
            library,
            manifest: &library.manifest,
            #[cfg(ebpf)]
            perf: BTreeMap::new(),
            #[cfg(ebpf)]
            object: None,
            object_error: None,
            pending: Vec::new(),
            sources: Vec::new(),
        };
        let enabled: BTreeSet<String> = settings.keys().cloned().collect();
        start.load(&enabled, kept);
        let samplers: Vec<Sampler> = library
            .manifest
            .sampler
            .iter()
            .map(|sampler| match settings.get(&sampler.name) {
                Some(interval) => start.sampler(sampler, *interval),
                None => start.disabled(sampler),
            })
            .collect();
        let Start { pending, sources, .. } = start;
        let registered =
            host.collector.change_registry(|| pending.into_iter().map(|register| register()).collect());
        Self {
            host: host.clone(),
            enabled,
            settings,
            registered,
            sources,
            samplers,
            #[cfg(ebpf)]
            object: start.object,
        }
    }

    /// The samplers as they are now.
    pub fn samplers(&self) -> Vec<status::Sampler> {
        self.samplers
            .iter()
            .map(|sampler| {
                let mut status = sampler.status.clone();
                if status.state == State::Running
                    && let Some(trouble) = sampler.health.iter().find_map(|health| health.trouble())
                {
                    status.state = State::Degraded;
                    status.reason = Some(trouble);
                }
                status
            })
            .collect()
    }

    /// Ends everything but the maps, for a successor to go on with.
    pub fn stop(mut self) -> Kept {
        #[cfg(ebpf)]
        let kept = Kept { maps: self.object.as_ref().map(bpf::Object::maps) };
        #[cfg(not(ebpf))]
        let kept = Kept::default();
        self.end();
        kept
    }

    fn end(&mut self) {
        #[cfg(ebpf)]
        if let Some(object) = &mut self.object {
            object.detach();
        }
        for source in self.sources.drain(..) {
            self.host.collector.remove(source);
        }
        let registered = std::mem::take(&mut self.registered);
        if !registered.is_empty() {
            self.host.collector.change_registry(|| drop(registered));
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.end();
    }
}

/// Registers one metric; run when all of them are ready.
type Pending = Box<dyn FnOnce() -> Registered>;

/// An activation in progress.
struct Start<'a> {
    host: &'a Arc<Host>,
    library: &'a Library,
    manifest: &'a Manifest,
    /// Events by name: opened, or why not.
    #[cfg(ebpf)]
    perf: BTreeMap<String, Result<Arc<bpf::perf::Event>, String>>,
    #[cfg(ebpf)]
    object: Option<bpf::Object>,
    object_error: Option<String>,
    pending: Vec<Pending>,
    sources: Vec<u64>,
}

impl Start<'_> {
    #[cfg(not(ebpf))]
    fn load(&mut self, _: &BTreeSet<String>, _: &Kept) {
        self.object_error = Some("this build of the agent has no eBPF".into());
    }

    /// Opens performance events, then loads the object for the samplers that
    /// have what they need.
    #[cfg(ebpf)]
    fn load(&mut self, enabled: &BTreeSet<String>, kept: &Kept) {
        let cpus: Vec<usize> = self.host.cpus.ids().collect();
        let mut without_events: BTreeSet<&str> = BTreeSet::new();
        for perf in &self.manifest.perf {
            if perf.samplers.iter().any(|name| enabled.contains(name)) {
                let event = bpf::perf::Event::open(&perf.events, &cpus).map(Arc::new);
                if event.is_err() {
                    without_events.extend(perf.samplers.iter().map(String::as_str));
                }
                self.perf.insert(perf.name.clone(), event);
            }
        }
        let Some(bytes) = self.library.object else { return };
        let plan = bpf::Plan {
            bytes,
            manifest: self.manifest,
            enabled: enabled.iter().filter(|name| !without_events.contains(name.as_str())).cloned().collect(),
            keep: kept.maps.as_ref(),
        };
        let needed = self.manifest.sampler.iter().any(|sampler| {
            plan.enabled.contains(&sampler.name)
                && sampler.metric.iter().any(|metric| metric.map.is_some() || metric.iterator.is_some())
        });
        if !needed {
            return;
        }
        match bpf::Object::load(&self.host.machine, &plan) {
            Ok(object) => self.object = Some(object),
            Err(why) => self.object_error = Some(why),
        }
        self.fill_perf_maps();
    }

    #[cfg(ebpf)]
    fn fill_perf_maps(&self) {
        let Some(object) = &self.object else { return };
        for perf in &self.manifest.perf {
            if let (Some(map), Some(Ok(event))) = (&perf.map, self.perf.get(&perf.name))
                && let Err(why) = object.set_perf_map(map, &event.fds())
            {
                tracing::warn!("plugin {}: {why}", self.manifest.plugin.name);
            }
        }
    }

    fn disabled(&self, sampler: &manifest::Sampler) -> Sampler {
        let programs = self
            .manifest
            .program
            .iter()
            .filter(|program| program.samplers.contains(&sampler.name))
            .map(|program| status::Program {
                name: program.name.clone(),
                attached: None,
                refused: Vec::new(),
                ids: Vec::new(),
                cost: None,
            })
            .collect();
        let status = status::Sampler {
            name: sampler.name.clone(),
            description: sampler.description.clone(),
            state: State::Disabled,
            reason: None,
            metrics: 0,
            programs,
            reads: sampler.reads.clone(),
        };
        Sampler { status, health: Vec::new() }
    }

    fn sampler(&mut self, sampler: &manifest::Sampler, interval: Option<Duration>) -> Sampler {
        let interval = interval.unwrap_or(Duration::from_millis(sampler.interval_ms));
        let mut missing: Vec<Missing> = Vec::new();
        let mut health = Vec::new();
        let mut provided = 0;
        self.userspace(sampler, interval, &mut missing, &mut health, &mut provided);
        self.iterators(sampler, interval, &mut missing, &mut health, &mut provided);
        for metric in &sampler.metric {
            if metric.is_userspace() || metric.iterator.is_some() {
                continue;
            }
            match self.metric(sampler, metric) {
                Ok(()) => provided += 1,
                Err(why) => missing.push(why),
            }
        }
        let mut status = self.disabled(sampler).status;
        status.metrics = provided;
        status.programs = self.programs(sampler);
        (status.state, status.reason) = judge(provided, &missing);
        Sampler { status, health }
    }

    #[cfg(not(ebpf))]
    fn programs(&self, sampler: &manifest::Sampler) -> Vec<status::Program> {
        self.disabled(sampler).status.programs
    }

    #[cfg(ebpf)]
    fn programs(&self, sampler: &manifest::Sampler) -> Vec<status::Program> {
        let hooks = self.object.as_ref().map_or(&[][..], |object| &object.hooks);
        let of_sampler = |name: &str| {
            self.manifest.program.iter().any(|p| p.name == name && p.samplers.contains(&sampler.name))
        };
        let mut programs: Vec<status::Program> = hooks
            .iter()
            .filter(|hook| of_sampler(&hook.name))
            .map(|hook| status::Program {
                name: hook.name.clone(),
                attached: hook.provenance(),
                refused: hook
                    .alternatives
                    .iter()
                    .filter_map(|a| {
                        Some(status::Refusal { program: a.programs.join("+"), reason: a.refused.clone()? })
                    })
                    .collect(),
                ids: hook.program_ids.clone(),
                cost: None,
            })
            .collect();
        let used: BTreeSet<&str> = sampler.metric.iter().filter_map(|m| m.iterator.as_deref()).collect();
        for iterator in self.manifest.iterator.iter().filter(|i| used.contains(i.name.as_str())) {
            let refused = self.object.as_ref().and_then(|object| object.iterator_refusal(&iterator.program));
            programs.push(status::Program {
                name: iterator.name.clone(),
                attached: (self.object.is_some() && refused.is_none())
                    .then(|| self.object.as_ref().and_then(|o| o.section(&iterator.program)))
                    .flatten()
                    .map(|section| section.replacen('/', " ", 1)),
                refused: refused
                    .map(|reason| status::Refusal { program: iterator.program.clone(), reason })
                    .into_iter()
                    .collect(),
                ids: Vec::new(),
                cost: None,
            });
        }
        for perf in self.manifest.perf.iter().filter(|p| p.samplers.contains(&sampler.name)) {
            let event = self.perf.get(&perf.name);
            programs.push(status::Program {
                name: perf.name.clone(),
                attached: event.and_then(|e| e.as_ref().ok()).map(|e| format!("perf {}", e.name)),
                refused: event
                    .and_then(|e| e.as_ref().err())
                    .map(|why| status::Refusal { program: perf.name.clone(), reason: why.clone() })
                    .into_iter()
                    .collect(),
                ids: Vec::new(),
                cost: None,
            });
        }
        programs
    }

    #[cfg(not(ebpf))]
    fn iterators(
        &mut self,
        _: &manifest::Sampler,
        _: Duration,
        _: &mut [Missing],
        _: &mut [Arc<Health>],
        _: &mut usize,
    ) {
    }

    /// Starts the readers of the iterators a sampler's metrics come from.
    #[cfg(ebpf)]
    fn iterators(
        &mut self,
        sampler: &manifest::Sampler,
        interval: Duration,
        missing: &mut Vec<Missing>,
        health: &mut Vec<Arc<Health>>,
        provided: &mut usize,
    ) {
        for iterator in &self.manifest.iterator {
            let metrics: Vec<&Metric> =
                sampler.metric.iter().filter(|m| m.iterator.as_deref() == Some(&iterator.name)).collect();
            if metrics.is_empty() {
                continue;
            }
            let Some(object) = &self.object else {
                missing.push(Missing::Failed(self.object_error.clone().unwrap_or_default()));
                continue;
            };
            let fields: Vec<String> = metrics.iter().filter_map(|m| m.field.clone()).collect();
            match object.reader(iterator, &fields, &self.host.machine.cgroups) {
                Ok(reader) => {
                    let rows = reader.rows.clone();
                    self.add_source(interval, Box::new(Iterating(reader)), health);
                    for (series, metric) in metrics.into_iter().enumerate() {
                        let group = Group::new(metric.kind, PerRow { rows: rows.clone(), series });
                        self.defer(sampler, metric, &[], group);
                        *provided += 1;
                    }
                }
                Err(why) => missing.push(Missing::Unsupported(why)),
            }
        }
    }

    /// Starts the userspace part of a sampler, if it has one.
    fn userspace(
        &mut self,
        sampler: &manifest::Sampler,
        interval: Duration,
        missing: &mut Vec<Missing>,
        health: &mut Vec<Arc<Health>>,
        provided: &mut usize,
    ) {
        if !sampler.userspace {
            return;
        }
        let running = match self.library.start(&sampler.name) {
            Ok(running) => running,
            Err(why) => {
                missing.push(match why.strip_prefix("unsupported: ") {
                    Some(why) => Missing::Unsupported(why.to_string()),
                    None => Missing::Failed(why),
                });
                return;
            }
        };
        let mut sinks = Vec::new();
        let mut tables: BTreeMap<String, Arc<RowSet>> = BTreeMap::new();
        for metric in sampler.metric.iter().filter(|metric| metric.is_userspace()) {
            *provided += 1;
            for labels in self.manifest.combinations(metric) {
                sinks.push(self.sink(sampler, metric, &labels, &mut tables, sinks.len()));
            }
        }
        let job = Userspace { running, raw: RawValues::default(), sinks, tables };
        self.add_source(interval, Box::new(job), health);
    }

    fn sink(
        &mut self,
        sampler: &manifest::Sampler,
        metric: &Metric,
        labels: &[(&str, &str)],
        tables: &mut BTreeMap<String, Arc<RowSet>>,
        series: usize,
    ) -> Sink {
        match metric.rows.as_deref() {
            None => {
                let slot = Arc::new(Slot::default());
                self.defer(sampler, metric, labels, SlotMetric { slot: slot.clone(), kind: metric.kind });
                Sink::One(slot)
            }
            Some("cpu") => {
                let highest = self.host.cpus.ids().last().unwrap_or(0);
                let slots: Arc<Vec<Slot>> = Arc::new((0..=highest).map(|_| Slot::default()).collect());
                let view = slots.clone();
                let read = move |cpu: usize| view.get(cpu)?.get();
                let members = PerCpu { cpus: self.host.cpus.clone(), read };
                self.defer(sampler, metric, labels, Group::new(metric.kind, members));
                Sink::Cpu(slots)
            }
            Some(table) => {
                let rows = tables.entry(table.to_string()).or_default().clone();
                let members = PerRow { rows: rows.clone(), series };
                self.defer(sampler, metric, labels, Group::new(metric.kind, members));
                Sink::Row(rows, series)
            }
        }
    }

    fn add_source(&mut self, interval: Duration, job: Box<dyn Refresh>, health: &mut Vec<Arc<Health>>) {
        let (id, state) = self.host.collector.add(interval, job);
        self.sources.push(id);
        health.push(state);
    }

    #[cfg(not(ebpf))]
    fn metric(&mut self, _: &manifest::Sampler, _: &Metric) -> Result<(), Missing> {
        Err(Missing::Unsupported(self.object_error.clone().unwrap_or_default()))
    }

    /// Registers a metric that comes from a table or a performance event.
    #[cfg(ebpf)]
    fn metric(&mut self, sampler: &manifest::Sampler, metric: &Metric) -> Result<(), Missing> {
        if let Some(name) = &metric.perf {
            return self.perf_metric(sampler, metric, name);
        }
        for perf in self.manifest.perf.iter().filter(|p| p.samplers.contains(&sampler.name)) {
            if let Some(Err(why)) = self.perf.get(&perf.name) {
                return Err(Missing::Unsupported(why.clone()));
            }
        }
        let Some(object) = &self.object else {
            let why = self.object_error.clone();
            return Err(Missing::Failed(why.unwrap_or_else(|| "the plugin has no BPF object".into())));
        };
        for hook in &object.hooks {
            let depends = match &metric.programs {
                Some(names) => names.contains(&hook.name),
                None => self
                    .manifest
                    .program
                    .iter()
                    .any(|p| p.name == hook.name && p.samplers.contains(&sampler.name)),
            };
            if depends && hook.attached.is_empty() {
                return Err(Missing::Unsupported(hook.reason()));
            }
        }
        let (Some(map), Some(field)) = (&metric.map, &metric.field) else {
            return Err(Missing::Failed("the manifest does not say where its numbers are".into()));
        };
        let failed = |why: String| Missing::Failed(format!("{}: {why}", metric.name));
        let dimensions = self.manifest.dimensions(metric);
        let (table, words) = object.locate(map, field, &dimensions, metric.kind).map_err(failed)?;
        let when = match &metric.when {
            Some(field) => {
                let (_, words) = object.locate(map, field, &[], Kind::Counter).map_err(failed)?;
                words.first().copied()
            }
            None => None,
        };
        let rows = self.manifest.maps.get(map).copied();
        for (labels, word) in self.manifest.combinations(metric).iter().zip(words) {
            self.table_metric(sampler, metric, labels, rows, &table, word, when);
        }
        Ok(())
    }

    #[cfg(ebpf)]
    #[allow(clippy::too_many_arguments)]
    fn table_metric(
        &mut self,
        sampler: &manifest::Sampler,
        metric: &Metric,
        labels: &[(&str, &str)],
        rows: Option<manifest::Rows>,
        table: &Arc<crate::table::Table>,
        word: usize,
        when: Option<usize>,
    ) {
        let table = table.clone();
        if metric.kind == Kind::Histogram {
            return self.defer(sampler, metric, labels, Histogram { table, word });
        }
        match rows {
            Some(manifest::Rows::Cpu) => {
                let read = move |cpu: usize| (cpu < table.rows()).then(|| table.get(cpu, word));
                let members = PerCpu { cpus: self.host.cpus.clone(), read };
                self.defer(sampler, metric, labels, Group::new(metric.kind, members));
            }
            Some(manifest::Rows::Cgroup) => {
                let machine = &self.host.machine;
                let (banks, cgroups) = (machine.banks(), machine.cgroups.clone());
                let members = PerCgroup { table, word, banks, cgroups, when };
                self.defer(sampler, metric, labels, Group::new(metric.kind, members));
            }
            _ => self.defer(sampler, metric, labels, Sum { table, word, kind: metric.kind }),
        }
    }

    #[cfg(ebpf)]
    fn perf_metric(
        &mut self,
        sampler: &manifest::Sampler,
        metric: &Metric,
        name: &str,
    ) -> Result<(), Missing> {
        let event = match self.perf.get(name) {
            Some(Ok(event)) => event.clone(),
            Some(Err(why)) => return Err(Missing::Unsupported(why.clone())),
            None => return Err(Missing::Failed(format!("event {name} does not belong to the sampler"))),
        };
        let members = PerCpu { cpus: self.host.cpus.clone(), read: move |cpu| event.read(cpu) };
        self.defer(sampler, metric, &[], Group::new(metric.kind, members));
        Ok(())
    }

    /// Notes a metric for registration.
    fn defer<M: metriken::Metric>(
        &mut self,
        sampler: &manifest::Sampler,
        metric: &Metric,
        labels: &[(&str, &str)],
        body: M,
    ) {
        let own = |(key, value): (&str, &str)| (key.to_string(), value.to_string());
        let labels: Vec<(String, String)> = metric
            .labels
            .iter()
            .map(|(key, value)| own((key, value)))
            .chain(labels.iter().copied().map(own))
            .collect();
        let (name, description, unit, sampler) =
            (metric.name.clone(), metric.description.clone(), metric.unit.clone(), sampler.name.clone());
        self.pending.push(Box::new(move || {
            Description {
                name: &name,
                description: &description,
                unit: &unit,
                sampler: &sampler,
                labels: labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            }
            .register(body)
        }));
    }
}

/// A sampler's state from what it provides and what is missing.
fn judge(provided: usize, missing: &[Missing]) -> (State, Option<String>) {
    let mut reasons: Vec<&str> = Vec::new();
    for why in missing {
        let (Missing::Unsupported(why) | Missing::Failed(why)) = why;
        if !reasons.contains(&why.as_str()) {
            reasons.push(why);
        }
    }
    let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    let state = match (provided, missing) {
        (_, []) => State::Running,
        (0, missing) if missing.iter().all(|why| matches!(why, Missing::Unsupported(_))) => {
            State::Unsupported
        }
        (0, _) => State::Failed,
        _ => State::Degraded,
    };
    (state, reason)
}

#[cfg(ebpf)]
struct Iterating(bpf::Reader);

#[cfg(ebpf)]
impl Refresh for Iterating {
    fn refresh(&mut self) -> Result<(), String> {
        self.0.refresh()
    }
}

/// Where the numbers of one series go.
enum Sink {
    One(Arc<Slot>),
    Cpu(Arc<Vec<Slot>>),
    Row(Arc<RowSet>, usize),
}

/// A plugin's userspace sampler as a source of the collector.
struct Userspace {
    running: plugin::Sampler,
    raw: RawValues,
    /// By series.
    sinks: Vec<Sink>,
    tables: BTreeMap<String, Arc<RowSet>>,
}

impl Refresh for Userspace {
    fn refresh(&mut self) -> Result<(), String> {
        self.raw.cells.clear();
        self.raw.rows.clear();
        let result = self.running.refresh(&mut self.raw);
        for row in &self.raw.rows {
            if let Some(table) = self.tables.get(row.table.as_str()) {
                let labels = row.labels.iter().map(|l| (l.0.to_string(), l.1.to_string())).collect();
                // A row number is an index; a wild one must not cost memory.
                if row.row < 65536 {
                    table.describe(row.row as usize, labels);
                }
            }
        }
        for cell in &self.raw.cells {
            match self.sinks.get(cell.series as usize) {
                Some(Sink::One(slot)) => slot.set(cell.value),
                Some(Sink::Cpu(slots)) => {
                    if let Some(slot) = slots.get(cell.row as usize) {
                        slot.set(cell.value);
                    }
                }
                Some(Sink::Row(rows, series)) => rows.set(cell.row as usize, *series, cell.value),
                None => {
                    return Err(format!(
                        "reported a number for series {}, which it does not have",
                        cell.series
                    ));
                }
            }
        }
        result
    }
}

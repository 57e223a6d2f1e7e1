//! An activation in progress: what starts, what is missing, which metrics to
//! register.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rezolus_plugin_api::abi::RawValues;
use rezolus_plugin_api::manifest::{self, Manifest, Metric};

use super::kernel::Kernel;
use super::userspace::{Sink, Userspace};
use super::{Host, Sampler};
use crate::collector::{Health, Refresh};
use crate::metric::{Description, Group, PerCpu, PerRow, Registered, RowSet, Slot, SlotMetric};
use crate::plugin::Library;
use crate::status::{self, State};

/// Why something of a sampler is missing.
pub enum Missing {
    /// This kernel or machine does not have it.
    Unsupported(String),
    Failed(String),
}

/// What became of one sampler so far.
#[derive(Default)]
pub struct Outcome {
    /// Metrics that it provides.
    pub provided: usize,
    pub missing: Vec<Missing>,
    pub health: Vec<Arc<Health>>,
}

/// Registers one metric; run when all of them are ready.
type Pending = Box<dyn FnOnce() -> Registered>;

/// See the module's documentation.
pub struct Start<'a> {
    pub host: &'a Arc<Host>,
    library: &'a Library,
    pub manifest: &'a Manifest,
    pub kernel: Kernel,
    pub pending: Vec<Pending>,
    pub sources: Vec<u64>,
}

impl<'a> Start<'a> {
    pub fn new(host: &'a Arc<Host>, library: &'a Library) -> Self {
        let manifest = &library.manifest;
        Self { host, library, manifest, kernel: Kernel::default(), pending: Vec::new(), sources: Vec::new() }
    }

    /// The status of a sampler that is switched off.
    pub fn not_running(&self, sampler: &manifest::Sampler) -> status::Sampler {
        let programs = self
            .manifest
            .program
            .iter()
            .filter(|program| program.samplers.contains(&sampler.name))
            .map(|program| status::Program::named(&program.name))
            .collect();
        let mut declares: Vec<String> = sampler.metric.iter().map(|metric| metric.name.clone()).collect();
        declares.dedup();
        status::Sampler {
            name: sampler.name.clone(),
            description: sampler.description.clone(),
            state: State::Disabled,
            reason: None,
            metrics: 0,
            declares,
            programs,
            reads: sampler.reads.clone(),
        }
    }

    /// Starts one sampler.
    pub fn sampler(&mut self, sampler: &manifest::Sampler, interval: Option<Duration>) -> Sampler {
        let interval = interval.unwrap_or(Duration::from_millis(sampler.interval_ms));
        let mut outcome = Outcome::default();
        self.userspace(sampler, interval, &mut outcome);
        self.iterators(sampler, interval, &mut outcome);
        for metric in &sampler.metric {
            if metric.is_userspace() || metric.iterator.is_some() {
                continue;
            }
            match self.metric(sampler, metric) {
                Ok(()) => outcome.provided += 1,
                Err(why) => outcome.missing.push(why),
            }
        }
        self.events(interval, &mut outcome);
        let mut status = self.not_running(sampler);
        status.metrics = outcome.provided;
        status.programs = self.kernel.programs(self.manifest, sampler);
        (status.state, status.reason) = judge(outcome.provided, &outcome.missing);
        Sampler { status, health: outcome.health }
    }

    /// Starts the userspace part of a sampler, if it has one.
    fn userspace(&mut self, sampler: &manifest::Sampler, interval: Duration, outcome: &mut Outcome) {
        if !sampler.userspace {
            return;
        }
        let running = match self.library.start(&sampler.name) {
            Ok(running) => running,
            Err(why) => {
                outcome.missing.push(match why.strip_prefix("unsupported: ") {
                    Some(why) => Missing::Unsupported(why.to_string()),
                    None => Missing::Failed(why),
                });
                return;
            }
        };
        let mut sinks = Vec::new();
        let mut tables: BTreeMap<String, Arc<RowSet>> = BTreeMap::new();
        for metric in sampler.metric.iter().filter(|metric| metric.is_userspace()) {
            outcome.provided += 1;
            for labels in self.manifest.combinations(metric) {
                sinks.push(self.sink(sampler, metric, &labels, &mut tables, sinks.len()));
            }
        }
        let job = Userspace { running, raw: RawValues::default(), sinks, tables };
        self.add_source(interval, Box::new(job), outcome);
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
            Some("cpu") => Sink::Cpu(self.cpu_slots(sampler, metric, labels)),
            Some(table) => {
                let rows = tables.entry(table.to_string()).or_default().clone();
                let members = PerRow { rows: rows.clone(), series };
                self.defer(sampler, metric, labels, Group::new(metric.kind, members));
                Sink::Row(rows, series)
            }
        }
    }

    /// Registers a metric with a slot per CPU, to be filled by a source.
    pub fn cpu_slots(
        &mut self,
        sampler: &manifest::Sampler,
        metric: &Metric,
        labels: &[(&str, &str)],
    ) -> Arc<Vec<Slot>> {
        let highest = self.host.cpus.ids().last().unwrap_or(0);
        let slots: Arc<Vec<Slot>> = Arc::new((0..=highest).map(|_| Slot::default()).collect());
        let view = slots.clone();
        let read = move |cpu: usize| view.get(cpu)?.get();
        let members = PerCpu { cpus: self.host.cpus.clone(), read };
        self.defer(sampler, metric, labels, Group::new(metric.kind, members));
        slots
    }

    pub fn add_source(&mut self, interval: Duration, job: Box<dyn Refresh>, outcome: &mut Outcome) {
        let (id, health) = self.host.collector.add(interval, job);
        self.sources.push(id);
        outcome.health.push(health);
    }

    /// Notes a metric for registration.
    pub fn defer<M: metriken::Metric>(
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

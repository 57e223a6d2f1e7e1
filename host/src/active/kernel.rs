//! The part of an activation that goes through the kernel: BPF object,
//! iterators, performance events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rezolus_plugin_api::manifest::{self, Kind, Manifest, Metric};

use super::start::{Missing, Outcome, Start};
use super::{Host, Kept};
use crate::bpf;
use crate::collector::Refresh;
use crate::metric::{Group, Histogram, PerCgroup, PerCpu, PerRow, Slot, Sum};
use crate::plugin::Library;
use crate::status;

/// What is loaded and opened for a plugin.
#[derive(Default)]
pub struct Kernel {
    /// Events by name: opened, or why not.
    perf: BTreeMap<String, Result<Arc<bpf::perf::Event>, String>>,
    /// Events that metrics of the sampler at hand are read from.
    counting: Vec<(Arc<bpf::perf::Event>, Arc<Vec<Slot>>)>,
    object: Option<bpf::Object>,
    object_error: Option<String>,
}

impl Kernel {
    pub fn into_object(self) -> Option<bpf::Object> {
        self.object
    }

    /// Opens performance events, then loads the object for the samplers that
    /// have what they need.
    pub fn load(&mut self, host: &Host, library: &Library, enabled: &BTreeSet<String>, kept: &Kept) {
        let manifest = &library.manifest;
        let cpus: Vec<usize> = host.cpus.ids().collect();
        let mut without_events: BTreeSet<&str> = BTreeSet::new();
        for perf in &manifest.perf {
            if perf.samplers.iter().any(|name| enabled.contains(name)) {
                let event = bpf::perf::Event::open(&perf.events, &cpus).map(Arc::new);
                if event.is_err() {
                    without_events.extend(perf.samplers.iter().map(String::as_str));
                }
                self.perf.insert(perf.name.clone(), event);
            }
        }
        let Some(bytes) = library.object else { return };
        let plan = bpf::Plan {
            bytes,
            manifest,
            enabled: enabled.iter().filter(|name| !without_events.contains(name.as_str())).cloned().collect(),
            keep: kept.maps.as_ref(),
        };
        let needed = manifest.sampler.iter().any(|sampler| {
            plan.enabled.contains(&sampler.name)
                && sampler.metric.iter().any(|metric| metric.map.is_some() || metric.iterator.is_some())
        });
        if !needed {
            return;
        }
        match bpf::Object::load(&host.machine, &plan) {
            Ok(object) => self.object = Some(object),
            Err(why) => self.object_error = Some(why),
        }
        self.fill_perf_maps(manifest);
    }

    fn fill_perf_maps(&self, manifest: &Manifest) {
        let Some(object) = &self.object else { return };
        for perf in &manifest.perf {
            if let (Some(map), Some(Ok(event))) = (&perf.map, self.perf.get(&perf.name))
                && let Err(why) = object.set_perf_map(map, &event.fds())
            {
                tracing::warn!("plugin {}: {why}", manifest.plugin.name);
            }
        }
    }

    /// A sampler's hooks, iterators and events, with what became of them.
    pub fn programs(&self, manifest: &Manifest, sampler: &manifest::Sampler) -> Vec<status::Program> {
        let mut programs = self.hooks(manifest, sampler);
        let used: BTreeSet<&str> = sampler.metric.iter().filter_map(|m| m.iterator.as_deref()).collect();
        for iterator in manifest.iterator.iter().filter(|i| used.contains(i.name.as_str())) {
            let mut program = status::Program::named(&iterator.name);
            match self.object.as_ref().map(|object| (object, object.iterator_refusal(&iterator.program))) {
                Some((_, Some(reason))) => program.refuse(&iterator.program, reason),
                Some((object, None)) => {
                    program.attached = object.section(&iterator.program).map(|s| s.replacen('/', " ", 1));
                }
                None => {}
            }
            programs.push(program);
        }
        for perf in manifest.perf.iter().filter(|perf| perf.samplers.contains(&sampler.name)) {
            let mut program = status::Program::named(&perf.name);
            match self.perf.get(&perf.name) {
                Some(Ok(event)) => program.attached = Some(format!("perf {}", event.name)),
                Some(Err(why)) => program.refuse(&perf.name, why.clone()),
                None => {}
            }
            programs.push(program);
        }
        programs
    }

    fn hooks(&self, manifest: &Manifest, sampler: &manifest::Sampler) -> Vec<status::Program> {
        let hooks = self.object.as_ref().map_or(&[][..], |object| &object.hooks);
        let of_sampler = |name: &str| {
            manifest.program.iter().any(|p| p.name == name && p.samplers.contains(&sampler.name))
        };
        hooks
            .iter()
            .filter(|hook| of_sampler(&hook.name))
            .map(|hook| {
                let mut program = status::Program::named(&hook.name);
                program.attached = hook.provenance();
                program.ids.clone_from(&hook.program_ids);
                for alternative in &hook.alternatives {
                    if let Some(reason) = &alternative.refused {
                        program.refuse(&alternative.programs.join("+"), reason.clone());
                    }
                }
                program
            })
            .collect()
    }
}

impl Start<'_> {
    /// Starts the readers of the iterators a sampler's metrics come from.
    pub fn iterators(&mut self, sampler: &manifest::Sampler, interval: Duration, outcome: &mut Outcome) {
        for iterator in &self.manifest.iterator {
            let metrics: Vec<&Metric> =
                sampler.metric.iter().filter(|m| m.iterator.as_deref() == Some(&iterator.name)).collect();
            if metrics.is_empty() {
                continue;
            }
            let Some(object) = &self.kernel.object else {
                outcome.missing.push(Missing::Failed(self.kernel.object_error.clone().unwrap_or_default()));
                continue;
            };
            let fields: Vec<String> = metrics.iter().filter_map(|m| m.field.clone()).collect();
            match object.reader(iterator, &fields, &self.host.machine.cgroups) {
                Ok(reader) => {
                    let rows = reader.rows.clone();
                    self.add_source(interval, Box::new(Iterating(reader)), outcome);
                    for (series, metric) in metrics.into_iter().enumerate() {
                        let group = Group::new(metric.kind, PerRow { rows: rows.clone(), series });
                        self.defer(sampler, metric, &[], group);
                        outcome.provided += 1;
                    }
                }
                Err(why) => outcome.missing.push(Missing::Unsupported(why)),
            }
        }
    }

    /// Registers a metric that comes from a table or a performance event.
    pub fn metric(&mut self, sampler: &manifest::Sampler, metric: &Metric) -> Result<(), Missing> {
        if let Some(name) = &metric.perf {
            return self.perf_metric(sampler, metric, name);
        }
        for perf in self.manifest.perf.iter().filter(|p| p.samplers.contains(&sampler.name)) {
            if let Some(Err(why)) = self.kernel.perf.get(&perf.name) {
                return Err(Missing::Unsupported(why.clone()));
            }
        }
        let Some(object) = &self.kernel.object else {
            let why = self.kernel.object_error.clone();
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
                let why = hook.reason();
                return Err(if hook.is_faulty() { Missing::Failed(why) } else { Missing::Unsupported(why) });
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

    fn perf_metric(
        &mut self,
        sampler: &manifest::Sampler,
        metric: &Metric,
        name: &str,
    ) -> Result<(), Missing> {
        let event = match self.kernel.perf.get(name) {
            Some(Ok(event)) => event.clone(),
            Some(Err(why)) => return Err(Missing::Unsupported(why.clone())),
            None => return Err(Missing::Failed(format!("event {name} does not belong to the sampler"))),
        };
        let slots = self.cpu_slots(sampler, metric, &[]);
        self.kernel.counting.push((event, slots));
        Ok(())
    }

    /// Has the events of the sampler's metrics read from now on.
    pub fn events(&mut self, interval: Duration, outcome: &mut Outcome) {
        let counting = std::mem::take(&mut self.kernel.counting);
        if !counting.is_empty() {
            self.add_source(interval, Box::new(Counting(counting)), outcome);
        }
    }
}

/// Events and the slots, by CPU, for their counts. Reading one interrupts its
/// CPU, so it is not done for every snapshot.
struct Counting(Vec<(Arc<bpf::perf::Event>, Arc<Vec<Slot>>)>);

impl Refresh for Counting {
    fn refresh(&mut self) -> Result<(), String> {
        for (event, slots) in &self.0 {
            for (cpu, slot) in slots.iter().enumerate() {
                if let Some(count) = event.read(cpu) {
                    slot.set(count);
                }
            }
        }
        Ok(())
    }
}

struct Iterating(bpf::Reader);

impl Refresh for Iterating {
    fn refresh(&mut self) -> Result<(), String> {
        self.0.refresh()
    }
}

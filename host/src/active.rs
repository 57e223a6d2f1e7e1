//! A plugin at work: its BPF object attached, its userspace samplers started,
//! its metrics in the registry. Dropping it ends all of that.

mod start;
mod userspace;

#[cfg(ebpf)]
#[path = "active/kernel.rs"]
mod kernel;
#[cfg(not(ebpf))]
#[path = "active/no_kernel.rs"]
mod kernel;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rezolus_plugin_api::manifest::Manifest;

#[cfg(ebpf)]
use crate::bpf;
use crate::collector::{Collector, Health};
use crate::config::Config;
use crate::metric::{Cpus, Registered};
use crate::plugin::Library;
use crate::status::{self, State};
use start::Start;

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
        let mut start = Start::new(host, library);
        let enabled: BTreeSet<String> = settings.keys().cloned().collect();
        start.kernel.load(host, library, &enabled, kept);
        let samplers: Vec<Sampler> = library
            .manifest
            .sampler
            .iter()
            .map(|sampler| match settings.get(&sampler.name) {
                Some(interval) => start.sampler(sampler, *interval),
                None => Sampler { status: start.not_running(sampler), health: Vec::new() },
            })
            .collect();
        let Start { kernel, pending, sources, .. } = start;
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
            object: kernel.into_object(),
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
                if status.state == State::Running {
                    status.declares.clear();
                }
                status
            })
            .collect()
    }

    /// Ends everything but the tables that metrics are read from, for a
    /// successor of the same library to go on with.
    pub fn stop(mut self, manifest: &Manifest) -> Kept {
        #[cfg(ebpf)]
        let kept = Kept { maps: self.object.as_ref().map(|object| object.maps(manifest)) };
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

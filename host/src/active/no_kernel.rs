//! In place of `kernel.rs` where there is no eBPF: only userspace samplers run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rezolus_plugin_api::manifest::{self, Manifest, Metric};

use super::start::{Missing, Outcome, Start};
use super::{Host, Kept};
use crate::plugin::Library;
use crate::status;

const WHY: &str = "this build of the agent has no eBPF";

#[derive(Default)]
pub struct Kernel;

impl Kernel {
    pub fn load(&mut self, _: &Arc<Host>, _: &Library, _: &BTreeSet<String>, _: &Kept) {}

    pub fn programs(&self, manifest: &Manifest, sampler: &manifest::Sampler) -> Vec<status::Program> {
        let of_sampler = manifest.program.iter().filter(|program| program.samplers.contains(&sampler.name));
        of_sampler.map(|program| status::Program::named(&program.name)).collect()
    }
}

impl Start<'_> {
    pub fn iterators(&mut self, sampler: &manifest::Sampler, _: Duration, outcome: &mut Outcome) {
        if sampler.metric.iter().any(|metric| metric.iterator.is_some()) {
            outcome.missing.push(Missing::Unsupported(WHY.into()));
        }
    }

    pub fn events(&mut self, _: Duration, _: &mut Outcome) {}

    pub fn metric(&mut self, _: &manifest::Sampler, _: &Metric) -> Result<(), Missing> {
        Err(Missing::Unsupported(WHY.into()))
    }
}

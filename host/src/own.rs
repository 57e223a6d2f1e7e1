//! What the agent measures of itself: the sampler `rezolus_rusage`.

use std::sync::Arc;
use std::time::Duration;

use rezolus_plugin_api::manifest::Kind;

use crate::cgroup::Cgroups;
use crate::collector::{Collector, Refresh};
use crate::metric::{Description, Registered, Slot, SlotMetric};

const SAMPLER: &str = "rezolus_rusage";

/// Name, label, kind, unit, description.
type Declared = (&'static str, Option<(&'static str, &'static str)>, Kind, &'static str, &'static str);

const METRICS: [Declared; 11] = [
    ("rezolus_cpu_usage", Some(("state", "user")), Kind::Counter, "nanoseconds", "CPU time the agent used."),
    (
        "rezolus_cpu_usage",
        Some(("state", "system")),
        Kind::Counter,
        "nanoseconds",
        "CPU time the agent used.",
    ),
    (
        "rezolus_memory_usage_resident_set_size",
        None,
        Kind::Gauge,
        "bytes",
        "Memory of the agent that is resident now.",
    ),
    (
        "rezolus_memory_page_reclaims",
        None,
        Kind::Counter,
        "events",
        "Page faults of the agent that needed no I/O.",
    ),
    (
        "rezolus_memory_page_faults",
        None,
        Kind::Counter,
        "events",
        "Page faults of the agent that needed I/O.",
    ),
    (
        "rezolus_blockio_operations",
        Some(("op", "read")),
        Kind::Counter,
        "operations",
        "Times the file system had to read for the agent.",
    ),
    (
        "rezolus_blockio_operations",
        Some(("op", "write")),
        Kind::Counter,
        "operations",
        "Times the file system had to write for the agent.",
    ),
    (
        "rezolus_context_switch",
        Some(("kind", "voluntary")),
        Kind::Counter,
        "events",
        "Context switches of the agent.",
    ),
    (
        "rezolus_context_switch",
        Some(("kind", "involuntary")),
        Kind::Counter,
        "events",
        "Context switches of the agent.",
    ),
    ("rezolus_cgroup_tracked", None, Kind::Gauge, "cgroups", "Cgroups with rows of their own."),
    (
        "rezolus_cgroup_overflow",
        None,
        Kind::Counter,
        "cgroups",
        "Cgroups that found no row of their own; they are summed up as (untracked).",
    ),
];

/// Registers the agent's own metrics.
pub fn register(collector: &Collector, cgroups: Arc<Cgroups>) -> Vec<Registered> {
    let slots: Vec<Arc<Slot>> = METRICS.iter().map(|_| Arc::default()).collect();
    let registered = collector.change_registry(|| {
        METRICS
            .iter()
            .zip(&slots)
            .map(|((name, label, kind, unit, description), slot)| {
                Description {
                    name,
                    description,
                    unit,
                    sampler: SAMPLER,
                    labels: label.iter().copied().collect(),
                }
                .register(SlotMetric { slot: slot.clone(), kind: *kind })
            })
            .collect()
    });
    collector.add(Duration::from_millis(250), Box::new(Own { slots, cgroups }));
    registered
}

struct Own {
    slots: Vec<Arc<Slot>>,
    cgroups: Arc<Cgroups>,
}

impl Refresh for Own {
    fn refresh(&mut self) -> Result<(), String> {
        // SAFETY: an all-zero rusage is valid, and getrusage fills it in.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            if libc::getrusage(libc::RUSAGE_SELF, &mut usage) != 0 {
                return Err(std::io::Error::last_os_error().to_string());
            }
            usage
        };
        let time = |t: libc::timeval| t.tv_sec as u64 * 1_000_000_000 + t.tv_usec as u64 * 1_000;
        let values = [
            Some(time(usage.ru_utime)),
            Some(time(usage.ru_stime)),
            resident(),
            Some(usage.ru_minflt as u64),
            Some(usage.ru_majflt as u64),
            Some(usage.ru_inblock as u64),
            Some(usage.ru_oublock as u64),
            Some(usage.ru_nvcsw as u64),
            Some(usage.ru_nivcsw as u64),
            Some(self.cgroups.tracked() as u64),
            Some(self.cgroups.overflow()),
        ];
        for (slot, value) in self.slots.iter().zip(values) {
            if let Some(value) = value {
                slot.set(value);
            }
        }
        Ok(())
    }
}

/// Resident memory in bytes, from the second field of /proc/self/statm.
#[cfg(target_os = "linux")]
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: sysconf only reads its argument.
    Some(pages * u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn resident() -> Option<u64> {
    None
}

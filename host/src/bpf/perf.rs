//! Performance-monitoring events, opened on every CPU and read when asked.

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use libbpf_rs::libbpf_sys;

use crate::config::parse_list;

/// `PERF_TYPE_*` of include/uapi/linux/perf_event.h.
const HARDWARE: u32 = 0;
const SOFTWARE: u32 = 1;
const CACHE: u32 = 3;

/// One event on all CPUs of the machine.
pub struct Event {
    /// The name under which it could be opened.
    pub name: String,
    /// By CPU.
    fds: Vec<(usize, OwnedFd)>,
}

/// What perf_event_open(2) needs to know of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Config {
    kind: u32,
    config: u64,
    /// For events of a PMU that is not one per CPU: where to open it.
    cpus: Option<Vec<usize>>,
}

impl Event {
    /// Opens the first of the named events that this machine has.
    ///
    /// # Errors
    ///
    /// Why none of them can be opened.
    pub fn open(names: &[String], cpus: &[usize]) -> Result<Self, String> {
        let mut reasons = Vec::new();
        for name in names {
            match resolve(Path::new("/"), name).and_then(|config| open_all(&config, cpus)) {
                Ok(fds) => return Ok(Self { name: name.clone(), fds }),
                Err(why) => reasons.push(format!("{name}: {why}")),
            }
        }
        Err(reasons.join("; "))
    }

    /// The count on one CPU, scaled up if the kernel had to multiplex.
    pub fn read(&self, cpu: usize) -> Option<u64> {
        let at = self.fds.binary_search_by_key(&cpu, |(cpu, _)| *cpu).ok()?;
        let mut words = [0u64; 3];
        // SAFETY: reads at most the buffer's length into the buffer.
        let got = unsafe { libc::read(self.fds[at].1.as_raw_fd(), words.as_mut_ptr().cast(), 24) };
        let [value, enabled, running] = words;
        match got {
            24 if running == 0 => Some(0),
            24 if running < enabled => {
                Some((u128::from(value) * u128::from(enabled) / u128::from(running)) as u64)
            }
            24 => Some(value),
            _ => None,
        }
    }

    /// CPU and descriptor, for a BPF map.
    pub fn fds(&self) -> Vec<(usize, i32)> {
        self.fds.iter().map(|(cpu, fd)| (*cpu, fd.as_raw_fd())).collect()
    }
}

fn open_all(config: &Config, cpus: &[usize]) -> Result<Vec<(usize, OwnedFd)>, String> {
    let cpus = config.cpus.as_deref().unwrap_or(cpus);
    cpus.iter().map(|&cpu| open(config, cpu).map(|fd| (cpu, fd))).collect()
}

fn open(config: &Config, cpu: usize) -> Result<OwnedFd, String> {
    let attr = libbpf_sys::perf_event_attr {
        type_: config.kind,
        size: std::mem::size_of::<libbpf_sys::perf_event_attr>() as u32,
        config: config.config,
        read_format: u64::from(
            libbpf_sys::PERF_FORMAT_TOTAL_TIME_ENABLED | libbpf_sys::PERF_FORMAT_TOTAL_TIME_RUNNING,
        ),
        ..Default::default()
    };
    const CLOSE_ON_EXEC: libc::c_ulong = 8;
    // SAFETY: `attr` is as long as its size field says and outlives the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(&attr),
            -1 as libc::pid_t,
            cpu as libc::c_int,
            -1 as libc::c_int,
            CLOSE_ON_EXEC,
        )
    };
    if fd < 0 {
        let error = std::io::Error::last_os_error();
        return Err(match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP) => "this machine has no such event".into(),
            Some(libc::EACCES | libc::EPERM) => format!("not permitted ({error})"),
            _ => error.to_string(),
        });
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The configuration of an event name, as perf(1) understands it: a generic
/// name, or `pmu/event/` from sysfs.
fn resolve(root: &Path, name: &str) -> Result<Config, String> {
    if let Some((pmu, event)) = name.trim_end_matches('/').split_once('/') {
        return from_sysfs(root, pmu, event);
    }
    let (kind, config) = match name {
        "cycles" => (HARDWARE, 0),
        "instructions" => (HARDWARE, 1),
        "cache-references" => (HARDWARE, 2),
        "cache-misses" => (HARDWARE, 3),
        "branches" => (HARDWARE, 4),
        "branch-misses" => (HARDWARE, 5),
        "cpu-clock" => (SOFTWARE, 0),
        "page-faults" => (SOFTWARE, 2),
        "context-switches" => (SOFTWARE, 3),
        _ => (CACHE, cache(name).ok_or("not an event name")?),
    };
    Ok(Config { kind, config, cpus: None })
}

/// `PERF_COUNT_HW_CACHE_*`: cache, operation, result.
fn cache(name: &str) -> Option<u64> {
    let caches = [("L1-dcache", 0), ("L1-icache", 1), ("LLC", 2), ("dTLB", 3), ("iTLB", 4), ("branch", 5)];
    let (cache, rest) =
        caches.iter().find_map(|(prefix, id)| Some((id, name.strip_prefix(prefix)?.strip_prefix('-')?)))?;
    let (operation, result) = match rest {
        "loads" => (0, 0),
        "load-misses" => (0, 1),
        "stores" => (1, 0),
        "store-misses" => (1, 1),
        _ => return None,
    };
    Some(cache | operation << 8 | result << 16)
}

fn from_sysfs(root: &Path, pmu: &str, event: &str) -> Result<Config, String> {
    let folder = root.join("sys/bus/event_source/devices").join(pmu);
    let read = |file: &str| fs::read_to_string(folder.join(file)).map(|text| text.trim().to_string());
    let kind = read("type").map_err(|_| format!("this machine has no PMU {pmu}"))?;
    let kind = kind.parse().map_err(|_| format!("PMU {pmu}: unexpected type {kind}"))?;
    let terms = if event.contains('=') {
        event.to_string()
    } else {
        read(&format!("events/{event}")).map_err(|_| format!("PMU {pmu} has no event {event}"))?
    };
    let mut config = 0u64;
    for term in terms.split(',') {
        let (term, value) = term.split_once('=').unwrap_or((term, "1"));
        let value = match value.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => value.parse(),
        }
        .map_err(|_| format!("PMU {pmu}: unexpected term {term}={value}"))?;
        let format = read(&format!("format/{term}")).map_err(|_| format!("PMU {pmu} has no term {term}"))?;
        config |= place(&format, value).ok_or_else(|| format!("PMU {pmu}: unexpected format {format}"))?;
    }
    let cpus = read("cpumask").ok().map(|list| parse_list(&list));
    Ok(Config { kind, config, cpus })
}

/// Puts a value's bits where a format such as `config:0-7,32-35` says.
fn place(format: &str, mut value: u64) -> Option<u64> {
    let ranges = format.strip_prefix("config:")?;
    let mut placed = 0;
    for range in ranges.split(',') {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let (low, high): (u32, u32) = (low.parse().ok()?, high.parse().ok()?);
        let width = high.checked_sub(low)? + 1;
        let mask = if width >= 64 { u64::MAX } else { (1 << width) - 1 };
        placed |= (value & mask).checked_shl(low)?;
        value = value.checked_shr(width).unwrap_or(0);
    }
    Some(placed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generic_names() {
        let config = |name| resolve(Path::new("/nowhere"), name).map(|c| (c.kind, c.config));
        assert_eq!(config("instructions"), Ok((HARDWARE, 1)));
        assert_eq!(config("dTLB-load-misses"), Ok((CACHE, 0x1_0003)));
        assert_eq!(config("LLC-stores"), Ok((CACHE, 0x0_0102)));
        assert!(config("nonsense").is_err());
        assert_eq!(config("msr/aperf/"), Err("this machine has no PMU msr".into()));
    }

    #[test]
    fn sysfs_formats() {
        let root = tempfile::tempdir().unwrap();
        let pmu = root.path().join("sys/bus/event_source/devices/amd_l3");
        for (file, text) in [
            ("type", "21\n"),
            ("cpumask", "0,8-9\n"),
            ("format/event", "config:0-7,32-35\n"),
            ("format/umask", "config:8-15\n"),
            ("events/miss", "event=0x104,umask=0x01\n"),
        ] {
            let path = pmu.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let config = resolve(root.path(), "amd_l3/miss/").unwrap();
        assert_eq!(config, Config { kind: 21, config: 1 << 32 | 0x0104, cpus: Some(vec![0, 8, 9]) });
    }

    #[test]
    fn a_software_event_counts_on_every_cpu() {
        let cpus = parse_list(&fs::read_to_string("/sys/devices/system/cpu/online").unwrap());
        match Event::open(&["no-such-event".into(), "context-switches".into()], &cpus) {
            Ok(event) => {
                assert_eq!(event.name, "context-switches");
                assert!(cpus.iter().all(|&cpu| event.read(cpu).is_some()));
            }
            // Without the right to see other processes' events.
            Err(why) => assert!(why.contains("not permitted"), "{why}"),
        }
    }
}

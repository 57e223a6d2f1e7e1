//! Plugins made for tests, and what a running agent holds on to.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::agent::{Agent, Snapshot};
use crate::scheduler::worker::{Cgroup, Worker};

/// Within this time the agent has taken in a change of its files.
pub const SOON: Duration = Duration::from_secs(2);

/// One of the plugins in `host/tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    found(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/fixtures/debug"), name)
}

/// `docs/example-plugin`.
pub fn example() -> PathBuf {
    found(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/example/debug"), "example")
}

fn found(folder: &str, name: &str) -> PathBuf {
    let path = Path::new(folder).join(format!("lib{name}.so"));
    assert!(path.exists(), "{} is not built: `make test` builds it", path.display());
    path
}

/// The plugin that misbehaves as `switch` says; see `fixtures/bad/src/lib.rs`.
pub fn bad(switch: &str) -> Vec<u8> {
    const MARKER: &[u8] = b"rezolus-bad-plugin-switch:\0";
    let mut bytes = fs::read(fixture("bad")).unwrap();
    let at =
        bytes.windows(MARKER.len()).position(|window| window == MARKER).expect("the switch is in the file");
    let at = at + MARKER.len() - 1;
    assert!(switch.len() < 64, "the switch has no room for {switch}");
    bytes[at..at + switch.len()].copy_from_slice(switch.as_bytes());
    bytes
}

/// Puts bytes into place as a package manager would: complete, by rename.
pub fn put(bytes: &[u8], to: &Path) {
    let aside = to.with_extension("new");
    fs::write(&aside, bytes).unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(&aside, to).unwrap();
}

/// A bystander: the plugin `syscall`, which must go on counting exactly
/// whatever happens to its neighbours.
pub struct Bystander {
    cgroup: Cgroup,
}

impl Bystander {
    pub const PLUGIN: &'static str = "syscall";
    const METRIC: &'static str = "cgroup_syscall";
    /// The calls that a check makes.
    pub const CALLS: u64 = 997;

    pub fn new(agent: &Agent) -> Self {
        Self { cgroup: Cgroup::new(agent, Self::METRIC) }
    }

    /// The calls of all checks so far.
    pub fn calls(&self, snapshot: &Snapshot) -> u64 {
        snapshot.counter(Self::METRIC, &self.cgroup.with("op", "query"))
    }

    /// Makes a known number of calls and finds exactly these counted.
    pub fn check(&self, agent: &Agent) {
        let mut worker = Worker::new(&self.cgroup, || {
            for _ in 0..Self::CALLS {
                // SAFETY: getppid has no preconditions.
                unsafe { libc::syscall(libc::SYS_getppid) };
            }
            [0, 0]
        });
        let delta = agent.delta(|| {
            worker.go();
            worker.report();
        });
        worker.end();
        assert_eq!(delta.counter(Self::METRIC, &self.cgroup.with("op", "query")), Self::CALLS);
        assert_eq!(agent.plugin_state(Self::PLUGIN), "running", "{}", agent.log());
    }
}

/// What a process holds: descriptors by kind, threads, memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Footprint {
    pub descriptors: usize,
    pub threads: usize,
    /// Kernel ids.
    pub programs: BTreeSet<u32>,
    pub maps: BTreeSet<u32>,
    pub links: BTreeSet<u32>,
    /// BPF maps in its address space.
    pub mapped: usize,
    /// Kilobytes: of private memory, and of libraries, which are never
    /// unmapped.
    pub private: usize,
    pub libraries: usize,
}

impl Footprint {
    pub fn of(agent: &Agent) -> Self {
        let process = PathBuf::from(format!("/proc/{}", agent.pid()));
        let mut footprint = Self { threads: entries(&process.join("task")).len(), ..Self::default() };
        for info in entries(&process.join("fdinfo")) {
            // Descriptors come and go: of sockets, and of the files being read.
            let Ok(text) = fs::read_to_string(&info) else { continue };
            footprint.descriptors += 1;
            let id =
                |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u32>().ok());
            if let Some(link) = id("link_id:") {
                footprint.links.insert(link);
            } else if let Some(program) = id("prog_id:") {
                footprint.programs.insert(program);
            } else if let Some(map) = id("map_id:") {
                footprint.maps.insert(map);
            }
        }
        let mappings = fs::read_to_string(process.join("maps")).unwrap();
        footprint.mapped = mappings.lines().filter(|line| line.ends_with("anon_inode:bpf-map")).count();
        footprint.libraries = mappings
            .lines()
            .filter(|line| line.contains("/memfd:"))
            .filter_map(|line| {
                let (low, high) = line.split(' ').next()?.split_once('-')?;
                Some((usize::from_str_radix(high, 16).ok()? - usize::from_str_radix(low, 16).ok()?) / 1024)
            })
            .sum();
        let status = fs::read_to_string(process.join("status")).unwrap();
        let private = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        footprint.private = private.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
        footprint
    }

    /// The BPF objects of it that the kernel still knows.
    pub fn remains(&self) -> Vec<String> {
        let mut remains = Vec::new();
        for (kind, ids) in [("prog", &self.programs), ("map", &self.maps), ("link", &self.links)] {
            for id in ids {
                let shown =
                    Command::new("bpftool").args([kind, "show", "id", &id.to_string()]).output().unwrap();
                if shown.status.success() {
                    remains.push(String::from_utf8_lossy(&shown.stdout).trim().to_string());
                }
            }
        }
        remains
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect()
}

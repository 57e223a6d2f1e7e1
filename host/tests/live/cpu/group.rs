//! Cgroups of the tests' own, in whichever hierarchy the cpu controller is.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::agent::Agent;

/// A cgroup where the cpu controller is; removed when dropped.
pub struct Group {
    /// In the hierarchy of the cpu controller, and of what accounts for it.
    control: PathBuf,
    accounting: PathBuf,
    v2: bool,
    pub name: String,
}

impl Group {
    pub fn new(agent: &Agent, name: &str) -> Self {
        let name = format!("/rezolus-live-{name}-{}", std::process::id());
        Self::create(agent, &name)
    }

    pub fn inside(agent: &Agent, outer: &Self, name: &str) -> Self {
        Self::create(agent, &format!("{}/{name}", outer.name))
    }

    fn create(agent: &Agent, name: &str) -> Self {
        let below = |mount: &Path| mount.join(&name[1..]);
        let group = match (mount_of("cgroup", "cpu"), mount_of("cgroup", "cpuacct")) {
            (Some(cpu), Some(cpuacct)) => {
                Self { control: below(&cpu), accounting: below(&cpuacct), v2: false, name: name.into() }
            }
            _ => {
                let mount = mount_of("cgroup2", "").expect("a cgroup file system is mounted");
                fs::write(mount.join("cgroup.subtree_control"), "+cpu").unwrap();
                Self { control: below(&mount), accounting: below(&mount), v2: true, name: name.into() }
            }
        };
        for folder in [&group.control, &group.accounting] {
            if let Err(error) = fs::create_dir(folder) {
                assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{}: {error}", folder.display());
            }
        }
        agent.wait_until("the cgroup is known", Duration::from_secs(5), |agent| {
            agent.snapshot().try_counter("cgroup_cpu_usage", &[("name", name)]).is_some()
        });
        group
    }

    /// The CPU time of the cgroup, as the kernel accounts for it.
    pub fn usage(&self) -> u64 {
        if self.v2 {
            return field(&self.control.join("cpu.stat"), "usage_usec") * 1_000;
        }
        fs::read_to_string(self.accounting.join("cpuacct.usage")).unwrap().trim().parse().unwrap()
    }

    /// Sets quota and period, in microseconds.
    pub fn limit(&self, limit: Option<(u64, u64)>) {
        let write = |file: &str, text: String| fs::write(self.control.join(file), text).unwrap();
        match (self.v2, limit) {
            (true, Some((quota, period))) => write("cpu.max", format!("{quota} {period}")),
            (true, None) => write("cpu.max", "max".into()),
            (false, Some((quota, period))) => {
                write("cpu.cfs_period_us", period.to_string());
                write("cpu.cfs_quota_us", quota.to_string());
            }
            (false, None) => write("cpu.cfs_quota_us", "-1".into()),
        }
    }

    pub fn throttling(&self) -> Throttling {
        let stat = self.control.join("cpu.stat");
        let time =
            if self.v2 { field(&stat, "throttled_usec") * 1_000 } else { field(&stat, "throttled_time") };
        Throttling { periods: field(&stat, "nr_periods"), throttled: field(&stat, "nr_throttled"), time }
    }

    /// The files that a process writes "0" to in order to join.
    pub fn doors(&self) -> Vec<File> {
        let open = |folder: &PathBuf| File::options().write(true).open(folder.join("cgroup.procs")).unwrap();
        let mut doors = vec![open(&self.control)];
        if self.accounting != self.control {
            doors.push(open(&self.accounting));
        }
        doors
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in [&self.control, &self.accounting] {
            // A task that was waited for leaves its cgroup a moment later.
            for _ in 0..50 {
                match fs::remove_dir(folder) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        thread::sleep(Duration::from_millis(10))
                    }
                    _ => break,
                }
            }
        }
    }
}

#[derive(Debug)]
pub struct Throttling {
    pub periods: u64,
    pub throttled: u64,
    pub time: u64,
}

/// Where a cgroup file system with this controller is mounted.
fn mount_of(kind: &str, controller: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    mounts.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let found = words[2] == kind
            && (controller.is_empty() || words[3].split(',').any(|option| option == controller));
        found.then(|| PathBuf::from(words[1]))
    })
}

/// The number behind a key in a file of such lines.
fn field(path: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{key} in {text}")).parse().unwrap()
}

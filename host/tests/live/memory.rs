//! Memory: page faults, the kernel's own files, reclaim and OOM kills in a
//! small cgroup.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::agent::Agent;

/// Longer than the interval in which files are not read again.
const FRESH: Duration = Duration::from_millis(300);

fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Some of these metrics are sums over the system: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of a line `name value` or `name: value kB`.
fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.split([' ', ':']).next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("{path} has no {name}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn vmstat(name: &str) -> u64 {
    field("/proc/vmstat", name)
}

/// Memory of `pages` pages that nobody has touched, and no huge ones.
struct Untouched {
    start: *mut u8,
    length: usize,
}

impl Untouched {
    fn new(pages: usize) -> Self {
        let length = pages * page_size();
        // SAFETY: a fresh private mapping at an address of the kernel's choice.
        let start = unsafe {
            let start = libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(start, libc::MAP_FAILED);
            libc::madvise(start, length, libc::MADV_NOHUGEPAGE);
            start
        };
        Self { start: start.cast(), length }
    }

    fn touch(&self) {
        for offset in (0..self.length).step_by(page_size()) {
            // SAFETY: inside the mapping, which is writable.
            unsafe { self.start.add(offset).write_volatile(1) };
        }
    }
}

impl Drop for Untouched {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, not used any more.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}

#[test]
fn root_page_faults_are_the_kernels() {
    let _alone = alone();
    let agent = Agent::start(&["memory"]);
    let memory = Untouched::new(5003);
    let read = || {
        thread::sleep(FRESH);
        let low = vmstat("pgfault");
        let measured = agent.snapshot().counter("memory_page_faults", &[]);
        let range = low..=vmstat("pgfault");
        assert!(range.contains(&measured), "{measured} is not in {range:?}");
        measured
    };
    let before = read();
    memory.touch();
    let faults = read() - before;
    assert!(faults >= 5003, "{faults}");
}

#[test]
fn root_counters_lie_between_readings_of_vmstat() {
    let _alone = alone();
    let agent = Agent::start(&["memory"]);
    let lines = [
        ("memory_page_faults_major", None, "pgmajfault"),
        ("memory_pages_freed", None, "pgfree"),
        ("memory_pages_scanned", Some(("reclaimer", "kswapd")), "pgscan_kswapd"),
        ("memory_pages_scanned", Some(("reclaimer", "direct")), "pgscan_direct"),
        ("memory_pages_reclaimed", Some(("reclaimer", "direct")), "pgsteal_direct"),
        ("memory_refaults", Some(("kind", "file")), "workingset_refault_file"),
        ("memory_swapped", Some(("direction", "in")), "pswpin"),
        ("memory_swapped", Some(("direction", "out")), "pswpout"),
        ("memory_oom_kills", None, "oom_kill"),
    ];
    let low: Vec<u64> = lines.iter().map(|(_, _, line)| vmstat(line)).collect();
    let snapshot = agent.snapshot();
    for ((metric, label, line), low) in lines.into_iter().zip(low) {
        let value = snapshot.counter(metric, label.as_slice());
        let range = low..=vmstat(line);
        assert!(range.contains(&value), "{metric} {label:?}: {value} is not in {range:?}");
    }
    // NUMA counters are absent where the kernel has none.
    let numa = fs::read_to_string("/proc/vmstat").unwrap().contains("numa_hit ");
    for name in ["hit", "miss", "foreign", "interleave", "local", "other"] {
        assert_eq!(snapshot.has(&format!("memory_numa_{name}")), numa, "{name}");
    }
}

#[test]
fn root_gauges_are_those_of_meminfo() {
    let _alone = alone();
    let agent = Agent::start(&["memory"]);
    let meminfo = |name| field("/proc/meminfo", name) as i64 * 1024;
    let snapshot = agent.snapshot();
    assert_eq!(snapshot.gauge("memory_total", &[]), meminfo("MemTotal"));
    assert_eq!(snapshot.gauge("memory_swap_total", &[]), meminfo("SwapTotal"));
    assert_eq!(snapshot.gauge("memory_commit_limit", &[]), meminfo("CommitLimit"));
    // Others on the machine change these while we look.
    let lines = [
        ("memory_free", "MemFree"),
        ("memory_available", "MemAvailable"),
        ("memory_buffers", "Buffers"),
        ("memory_cached", "Cached"),
        ("memory_page_tables", "PageTables"),
    ];
    for (metric, line) in lines {
        let (ours, theirs) = (snapshot.gauge(metric, &[]), meminfo(line));
        assert!(ours.abs_diff(theirs) < 512 << 20, "{metric}: {ours}, the kernel says {theirs}");
    }
    // 256 MiB more. The kernel sums up per-CPU counts lazily, others may free some.
    let before = snapshot.gauge("memory_anonymous", &[]);
    let memory = Untouched::new((256 << 20) / page_size());
    memory.touch();
    thread::sleep(FRESH);
    let more = agent.snapshot().gauge("memory_anonymous", &[]) - before;
    assert!(more > 192 << 20, "{more}");
}

#[test]
fn root_pressure_lies_between_readings() {
    let _alone = alone();
    if !Path::new("/proc/pressure").exists() {
        let agent = Agent::start(&["memory"]);
        assert_eq!(agent.state("memory_pressure"), "unsupported");
        return;
    }
    let agent = Agent::start(&["memory"]);
    let total = |resource: &str, kind: &str| -> u64 {
        let text = fs::read_to_string(format!("/proc/pressure/{resource}")).unwrap();
        let line = text.lines().find(|line| line.starts_with(kind)).unwrap();
        line.split("total=").nth(1).unwrap().parse::<u64>().unwrap() * 1000
    };
    let lines = [("cpu", "some"), ("memory", "some"), ("memory", "full"), ("io", "some"), ("io", "full")];
    // More runnable tasks than CPUs.
    let tasks = 2 * thread::available_parallelism().unwrap().get();
    let spin = || {
        let until = std::time::Instant::now() + Duration::from_millis(300);
        while std::time::Instant::now() < until {}
    };
    let before = total("cpu", "some");
    thread::scope(|scope| (0..tasks).for_each(|_| drop(scope.spawn(spin))));
    let low: Vec<u64> = lines.iter().map(|(resource, kind)| total(resource, kind)).collect();
    let snapshot = agent.snapshot();
    for ((resource, kind), low) in lines.into_iter().zip(low) {
        let value = snapshot.counter("pressure_stalled", &[("resource", resource), ("kind", kind)]);
        let range = low..=total(resource, kind);
        assert!(range.contains(&value), "{resource} {kind}: {value} is not in {range:?}");
    }
    let stalled = snapshot.counter("pressure_stalled", &[("resource", "cpu"), ("kind", "some")]) - before;
    assert!(stalled > 100_000_000, "{stalled} ns of 300 ms");
    assert!(snapshot.try_counter("pressure_stalled", &[("resource", "cpu"), ("kind", "full")]).is_none());
}

/// A cgroup with little memory; on v1 a pair, in the memory and cpu hierarchies.
struct Small {
    folders: Vec<PathBuf>,
    /// As the agent shows it.
    name: String,
}

impl Small {
    fn new(name: &str, limit: u64) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("rezolus-live-{name}-{}", std::process::id());
        let unified = root.join("cgroup.controllers").exists();
        let folders = if unified {
            // The root's own setting: nothing else changes for anybody.
            fs::write(root.join("cgroup.subtree_control"), "+memory").unwrap();
            vec![root.join(&name)]
        } else {
            vec![root.join("memory").join(&name), root.join("cpu").join(&name)]
        };
        for folder in &folders {
            fs::create_dir(folder).unwrap();
        }
        let file = if unified { "memory.max" } else { "memory.limit_in_bytes" };
        fs::write(folders[0].join(file), limit.to_string()).unwrap();
        if unified {
            let _ = fs::write(folders[0].join("memory.swap.max"), "0");
        }
        Self { folders, name: format!("/{name}") }
    }

    /// Runs a shell command in the cgroup; says by which signal it ended.
    fn run(&self, command: &str) -> Option<i32> {
        let joins: String = self
            .folders
            .iter()
            .map(|folder| format!("echo $$ > {}/cgroup.procs; ", folder.display()))
            .collect();
        let status = Command::new("sh").arg("-c").arg(format!("{joins}{command}")).status().unwrap();
        status.signal()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        for folder in &self.folders {
            // The last task may still be on its way out.
            for _ in 0..100 {
                if fs::remove_dir(folder).is_ok() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

#[test]
fn root_reclaim_at_a_cgroup_limit() {
    let _alone = alone();
    let agent = Agent::start(&["memory"]);
    let cgroup = Small::new("reclaim", 16 << 20);
    // Not in /tmp, which may be in memory itself.
    let file = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    fs::write(&file, vec![1; 64 << 20]).unwrap();
    let file = file.path();
    // What is dirty cannot be thrown out of the cache, which is charged to us.
    Command::new("sync").arg(file).status().unwrap();
    thread::sleep(FRESH);
    let delta = agent.delta(|| {
        let drop_cache = format!("dd if={} iflag=nocache count=0 status=none", file.display());
        Command::new("sh").arg("-c").arg(drop_cache).status().unwrap();
        assert_eq!(cgroup.run(&format!("exec cat {} > /dev/null", file.display())), None);
    });
    let stall = ("stall", "memcg_reclaim");
    let own = [stall, ("name", cgroup.name.as_str())];
    let stalls = delta.counter("cgroup_memory_stalls", &own);
    let time = delta.counter("cgroup_memory_stall_time", &own);
    let all: u64 = delta.histogram("memory_stall_latency", &[stall]).iter().sum();
    assert!(stalls >= 2 && all >= stalls, "{stalls} of {all}");
    assert!(time / stalls >= 1000 && time < 10_000_000_000, "{time} ns in {stalls}");
    // 64 MiB through 16.
    let pages = delta.counter("memory_stall_reclaimed", &[stall]);
    assert!(pages >= (40 << 20) / page_size() as u64, "{pages}");
    assert_eq!(delta.counter("memory_stall_untimed", &[]), 0);
    assert_eq!(delta.counter("cgroup_memory_oom_victims", &[("name", &cgroup.name)]), 0);
}

#[test]
fn root_oom_kills_are_counted_exactly() {
    let _alone = alone();
    let agent = Agent::start(&["memory"]);
    let cgroup = Small::new("oom", 16 << 20);
    thread::sleep(FRESH);
    let kernel = vmstat("oom_kill");
    let delta = agent.delta(|| {
        for _ in 0..3 {
            // tail keeps the last line, and this one has no end.
            assert_eq!(cgroup.run("exec tail /dev/zero"), Some(libc::SIGKILL));
        }
        thread::sleep(FRESH);
    });
    let kernel = vmstat("oom_kill") - kernel;
    assert_eq!(delta.counter("cgroup_memory_oom_victims", &[("name", &cgroup.name)]), 3);
    let kills = delta.counter("memory_oom_kills", &[]);
    assert!((3..=kernel).contains(&kills), "{kills} of {kernel}");
}

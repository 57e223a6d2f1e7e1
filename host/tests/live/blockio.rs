//! Block I/O: known requests on a loop device, `/proc/diskstats`, and bpftrace.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::agent::{Agent, Delta, bucket_of, quantile_bucket};

/// These metrics are sums over all devices: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Longer than the interval in which files are not read again.
const FRESH: Duration = Duration::from_millis(300);

/// Memory as direct I/O wants it.
#[repr(align(4096))]
struct Aligned([u8; 65536]);

fn buffer() -> Box<Aligned> {
    Box::new(Aligned([7; 65536]))
}

/// A loop device over a file of its own.
struct Loop {
    image: NamedTempFile,
    /// `loop0`
    name: String,
}

impl Loop {
    /// A device over a file in this folder: in memory, it causes no I/O to others.
    fn attach(folder: &Path, size: u64, options: &[&str]) -> Self {
        let image = NamedTempFile::new_in(folder).unwrap();
        image.as_file().write_all_at(&vec![1; size as usize], 0).unwrap();
        image.as_file().sync_all().unwrap();
        let out = Command::new("losetup")
            .args(options)
            .args(["--find", "--show"])
            .arg(image.path())
            .output()
            .expect("losetup (package mount)");
        assert!(out.status.success(), "losetup: {}", String::from_utf8_lossy(&out.stderr));
        let path = String::from_utf8(out.stdout).unwrap();
        let name = path.trim().strip_prefix("/dev/").unwrap().to_string();
        let device = Self { image, name };
        // The kernel looks for a partition table first.
        let mut last = None;
        while last != Some(device.stats()) {
            last = Some(device.stats());
            thread::sleep(Duration::from_millis(50));
        }
        device
    }

    fn open(&self) -> File {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT)
            .open(format!("/dev/{}", self.name))
            .unwrap()
    }

    fn stats(&self) -> Vec<u64> {
        diskstats().remove(&self.name).unwrap()
    }

    /// The number under which tracepoints know the device.
    fn dev(&self) -> u64 {
        let text = fs::read_to_string(format!("/sys/block/{}/dev", self.name)).unwrap();
        let (major, minor) = text.trim().split_once(':').unwrap();
        (major.parse::<u64>().unwrap() << 20) | minor.parse::<u64>().unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(format!("/dev/{}", self.name)).status();
    }
}

/// `/proc/diskstats` without partitions.
fn diskstats() -> BTreeMap<String, Vec<u64>> {
    let text = fs::read_to_string("/proc/diskstats").unwrap();
    text.lines()
        .map(|line| {
            let mut words = line.split_whitespace().skip(2);
            let name = words.next().unwrap().to_string();
            (name, words.map(|word| word.parse().unwrap()).collect())
        })
        .filter(|(name, _)| Path::new("/sys/block").join(name).exists())
        .collect()
}

/// Columns of `/proc/diskstats`.
const READS: usize = 0;
const SECTORS_READ: usize = 2;
const WRITES: usize = 4;
const SECTORS_WRITTEN: usize = 6;
const FLUSHES: usize = 15;

/// What a load did, and what others did to their devices around it.
struct Measured {
    delta: Delta,
    before: BTreeMap<String, Vec<u64>>,
    after: BTreeMap<String, Vec<u64>>,
    own: String,
}

impl Measured {
    fn load(agent: &Agent, device: &Loop, load: impl FnOnce()) -> Self {
        let before = diskstats();
        let delta = agent.delta(load);
        Self { delta, before, after: diskstats(), own: device.name.clone() }
    }

    fn others(&self, column: usize) -> u64 {
        let of = |all: &BTreeMap<String, Vec<u64>>| -> u64 {
            all.iter().filter(|(name, _)| **name != self.own).map(|(_, columns)| columns[column]).sum()
        };
        of(&self.after) - of(&self.before)
    }

    /// Exactly `expected`, but for what others did.
    fn check(&self, metric: &str, op: &str, expected: u64, others: u64) -> Result<(), String> {
        let measured = self.delta.counter(metric, &[("op", op)]);
        within(&format!("{metric} {op}"), measured, expected, expected + others)
    }
}

fn within(what: &str, value: u64, low: u64, high: u64) -> Result<(), String> {
    if (low..=high).contains(&value) { Ok(()) } else { Err(format!("{what}: {value}, not {low} to {high}")) }
}

/// Tries a load until its counts are exact. Nothing of ours is off by one now
/// and then; but there are guest kernels that run no BPF program in an interrupt
/// that hits a task of their own supervisor, and a request that completes in
/// such a moment (one of some ten thousands) is seen by no tool that uses BPF.
fn exact(mut attempt: impl FnMut() -> Result<(), String>) {
    let mut errors = Vec::new();
    while let Err(error) = attempt() {
        errors.push(error);
        assert!(errors.len() < 4, "{errors:#?}");
    }
}

#[test]
fn root_requests_are_counted_exactly() {
    let _alone = alone();
    let device = Loop::attach(Path::new("/dev/shm"), 16 << 20, &[]);
    let file = device.open();
    let mut buffer = buffer();
    let agent = Agent::start(&["blockio"]);
    exact(|| requests(&agent, &device, &file, &mut buffer));
}

/// 1009 reads, 503 writes and 13 flushes.
fn requests(agent: &Agent, device: &Loop, file: &File, buffer: &mut Aligned) -> Result<(), String> {
    let measured = Measured::load(agent, device, || {
        for i in 0..1009 {
            file.read_exact_at(&mut buffer.0[..4096], i * 4096).unwrap();
        }
        for i in 0..503 {
            file.write_all_at(&buffer.0[..8192], i * 8192).unwrap();
        }
        for _ in 0..13 {
            file.sync_all().unwrap();
        }
    });
    let (reads, writes) = (measured.others(READS), measured.others(WRITES));
    measured.check("blockio_operations", "read", 1009, reads)?;
    measured.check("blockio_operations", "write", 503, writes)?;
    measured.check("blockio_bytes", "read", 1009 * 4096, 512 * measured.others(SECTORS_READ))?;
    measured.check("blockio_bytes", "write", 503 * 8192, 512 * measured.others(SECTORS_WRITTEN))?;
    // A loop device has a write cache, or not, as its file has.
    let flushes = measured.after[&device.name][FLUSHES] - measured.before[&device.name][FLUSHES];
    within("flushes", flushes, 0, 13)?;
    measured.check("blockio_operations", "flush", flushes, measured.others(FLUSHES))?;
    for (op, size, count, others) in [("read", 4096, 1009, reads), ("write", 8192, 503, writes)] {
        let sizes = measured.delta.histogram("blockio_size", &[("op", op)]);
        within("blockio_size", sizes[bucket_of(size)], count, count + others)?;
        for metric in ["blockio_latency", "blockio_queue_latency"] {
            let timed: u64 = measured.delta.histogram(metric, &[("op", op)]).iter().sum();
            within(metric, timed, count, count + others)?;
        }
    }
    within("blockio_latency_unseen", measured.delta.counter("blockio_latency_unseen", &[]), 0, 0)
}

#[test]
fn root_errors_parts_and_requeues() {
    let _alone = alone();
    // A file that became shorter under its device, at 68 KiB. A read across the
    // end gets 4 KiB; the driver completes these and queues the request again,
    // to learn that there is no more. With direct I/O that is an error.
    let device = Loop::attach(&std::env::temp_dir(), 1 << 20, &["--direct-io=on"]);
    let file = device.open();
    let mut buffer = buffer();
    let agent = Agent::start(&["blockio"]);
    device.image.as_file().set_len(68 << 10).unwrap();
    exact(|| {
        let measured = Measured::load(&agent, &device, || {
            file.read_exact_at(&mut buffer.0, 64 << 10).unwrap_err();
            for _ in 0..5 {
                file.read_exact_at(&mut buffer.0, 128 << 10).unwrap_err();
            }
        });
        let errors = |labels: &[(&str, &str)]| measured.delta.counter("blockio_errors", labels);
        within("io errors", errors(&[("op", "read"), ("error", "io")]), 6, 6)?;
        within("read errors of all classes", errors(&[("op", "read")]), 6, 6)?;
        within("write errors", errors(&[("op", "write")]), 0, 0)?;
        measured.check("blockio_operations", "read", 6, measured.others(READS))?;
        measured.check("blockio_bytes", "read", 4096, 512 * measured.others(SECTORS_READ))?;
        within("requeues", measured.delta.counter("blockio_requeues", &[("op", "read")]), 1, u64::MAX)
    });
}

#[test]
fn root_device_totals_are_the_kernels() {
    let _alone = alone();
    let device = Loop::attach(Path::new("/dev/shm"), 4 << 20, &[]);
    let agent = Agent::start(&["blockio"]);
    let file = device.open();
    let mut buffer = buffer();
    for i in 0..307 {
        file.read_exact_at(&mut buffer.0[..8192], i * 8192).unwrap();
    }
    file.write_all_at(&buffer.0[..4096], 0).unwrap();
    thread::sleep(FRESH);
    let before = diskstats();
    let snapshot = agent.snapshot();
    let after = diskstats();
    assert!(before[&device.name][READS] >= 307);
    let columns = [
        ("blockio_device_operations", "read", READS, 1),
        ("blockio_device_merges", "read", 1, 1),
        ("blockio_device_bytes", "read", SECTORS_READ, 512),
        ("blockio_device_time", "read", 3, 1_000_000),
        ("blockio_device_operations", "write", WRITES, 1),
        ("blockio_device_bytes", "write", SECTORS_WRITTEN, 512),
        ("blockio_device_time", "write", 7, 1_000_000),
        ("blockio_device_operations", "discard", 11, 1),
        ("blockio_device_bytes", "discard", 13, 512),
        ("blockio_device_operations", "flush", FLUSHES, 1),
    ];
    for (name, low) in before.iter().filter(|(_, columns)| columns.iter().any(|&column| column > 0)) {
        for (metric, op, column, unit) in columns {
            let value = snapshot.counter(metric, &[("device", name), ("op", op)]);
            let range = low[column] * unit..=after[name][column] * unit;
            assert!(range.contains(&value), "{name} {metric} {op}: {value} is not in {range:?}");
        }
        for (metric, column) in [("blockio_device_busy", 9), ("blockio_device_queued", 10)] {
            let value = snapshot.counter(metric, &[("device", name)]);
            let range = low[column] * 1_000_000..=after[name][column] * 1_000_000;
            assert!(range.contains(&value), "{name} {metric}: {value} is not in {range:?}");
        }
    }
    // Partitions and devices that nobody ever used have no row.
    let rows = snapshot.series("blockio_device_in_flight", &[]);
    for row in rows {
        let name = &row.labels["device"];
        assert!(after.get(name).is_some_and(|columns| columns.iter().any(|&column| column > 0)), "{name}");
    }
}

/// Reads as bpftrace sees them during a load: device and latency.
fn bpftrace(load: impl FnOnce()) -> Vec<(u64, u64)> {
    let script = "interval:ms:100 { printf(\"ready\\n\"); }
        tracepoint:block:block_rq_issue { $now = nsecs; @issued[args->dev, args->sector] = $now; }
        tracepoint:block:block_rq_complete {
            $now = nsecs;
            $issued = @issued[args->dev, args->sector];
            if ($issued && strncmp(args->rwbs, \"R\", 1) == 0) {
                printf(\"%lu %lu\\n\", args->dev, $now - $issued);
            }
            delete(@issued[args->dev, args->sector]);
        }";
    let mut child = crate::agent::with_tracefs("bpftrace")
        .args(["-B", "none", "-e", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("bpftrace is needed (apt install bpftrace)");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // Probes are attached one after the other; with the third tick all are.
    for _ in 0..3 {
        assert!(lines.any(|line| line == "ready"), "bpftrace ended");
    }
    // It must not wait for us to read.
    let lines = thread::spawn(move || lines.collect::<Vec<_>>());
    load();
    thread::sleep(Duration::from_millis(100));
    // SAFETY: a signal to our own child, which has not been waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
    child.wait().unwrap();
    let number = |word: &str| word.parse::<u64>().ok();
    let reads = lines.join().unwrap();
    reads
        .iter()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(a, b)| number(a).zip(number(b)))
        .collect()
}

#[test]
fn root_latencies_agree_with_bpftrace() {
    let _alone = alone();
    let device = Loop::attach(Path::new("/dev/shm"), 16 << 20, &[]);
    let file = device.open();
    let mut buffer = buffer();
    let agent = Agent::start(&["blockio"]);
    let mut measured = None;
    let theirs = bpftrace(|| {
        measured = Some(Measured::load(&agent, &device, || {
            // Large ones, beside which the cost of the other's programs is small.
            for i in 0..3001 {
                file.read_exact_at(&mut buffer.0, i % 256 * 65536).unwrap();
            }
        }));
    });
    let measured = measured.unwrap();
    let ours = measured.delta.histogram("blockio_latency", &[("op", "read")]);
    let count: u64 = ours.iter().sum();
    let on_device = theirs.iter().filter(|(dev, _)| *dev == device.dev()).count() as u64;
    // Within 1 %: see `exact`.
    within("bpftrace's count", on_device, 2971, 3001).unwrap();
    within("blockio_latency", count, 2971, 3001 + measured.others(READS)).unwrap();
    // Reads by others are in both distributions, but for those in the moments
    // in which only one of the two was looking.
    let mut buckets = vec![0; ours.len()];
    theirs.iter().for_each(|&(_, latency)| buckets[bucket_of(latency)] += 1);
    for q in [0.25, 0.5, 0.75, 0.9] {
        let (ours, theirs) = (quantile_bucket(&ours, q).unwrap(), quantile_bucket(&buckets, q).unwrap());
        assert!(ours.abs_diff(theirs) <= 1, "quantile {q}: bucket {ours}, bpftrace {theirs}");
    }
}

#[test]
fn root_requests_alone_need_no_issue_hook() {
    let agent = Agent::start_with(
        &["blockio"],
        "[plugins.blockio.samplers.blockio_latency]\nenabled = false\n\
         [plugins.blockio.samplers.blockio_queue_latency]\nenabled = false\n",
    );
    let snapshot = agent.snapshot();
    assert!(snapshot.has("blockio_operations"));
    assert!(!snapshot.has("blockio_latency") && !snapshot.has("blockio_queue_latency"));
    assert_eq!(agent.state("blockio_latency"), "disabled");
    assert!(!agent.status().to_string().contains("block_rq_issue"));
}

//! Processes that make a known load in a cgroup of their own, where nobody
//! else's events are counted.

use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::agent::Agent;

/// A cgroup in the hierarchy with the cpu controller; removed when dropped.
pub struct Cgroup {
    path: PathBuf,
    /// What the label `id` says.
    pub id: String,
}

impl Cgroup {
    /// Makes a cgroup and waits until the agent shows a metric for it.
    pub fn new(agent: &Agent, metric: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = hierarchy().join(format!("rezolus-live-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let id = fs::metadata(&path).unwrap().ino().to_string();
        let cgroup = Self { path, id };
        agent.wait_until("the new cgroup shows up", Duration::from_secs(5), |agent| {
            !agent.snapshot().series(metric, &cgroup.labels()).is_empty()
        });
        cgroup
    }

    pub fn labels(&self) -> [(&str, &str); 1] {
        [("id", &self.id)]
    }

    pub fn with<'a>(&'a self, label: &'a str, value: &'a str) -> [(&'a str, &'a str); 2] {
        [("id", &self.id), (label, value)]
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its processes have been waited for, but leave it a little later.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn hierarchy() -> PathBuf {
    let v1 = Path::new("/sys/fs/cgroup/cpu");
    if v1.join("cgroup.procs").exists() { v1.into() } else { "/sys/fs/cgroup".into() }
}

/// A process that waits for its start, makes its load, reports, and waits for
/// its end; so that snapshots can be taken while it does nothing.
pub struct Worker {
    pub pid: libc::pid_t,
    commands: PipeWriter,
    reports: PipeReader,
}

impl Worker {
    /// Forks. The child joins the cgroup and waits for [`go`](Self::go). `load`
    /// runs in it and should not allocate; what it returns is reported.
    pub fn new(cgroup: &Cgroup, load: impl FnOnce() -> [u64; 2]) -> Self {
        Self::prepared(cgroup, || {}, load)
    }

    /// As [`new`](Self::new), on this CPU only.
    pub fn on_cpu(cpu: usize, cgroup: &Cgroup, load: impl FnOnce() -> [u64; 2]) -> Self {
        Self::prepared(cgroup, || pin(cpu), load)
    }

    fn prepared(cgroup: &Cgroup, prepare: impl FnOnce(), load: impl FnOnce() -> [u64; 2]) -> Self {
        let procs = fs::File::options().write(true).open(cgroup.path.join("cgroup.procs")).unwrap();
        let (mut orders, commands) = pipe().unwrap();
        let (mut reports, mut answers) = pipe().unwrap();
        // SAFETY: the child runs only this block and leaves by _exit. Other
        // threads may hold locks, so it calls nothing that takes any.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            let joined = (&procs).write_all(b"0").is_ok();
            prepare();
            let mut byte = [u8::from(joined)];
            let mut alive = answers.write_all(&byte).is_ok() && orders.read_exact(&mut byte).is_ok();
            if alive {
                let [a, b] = load();
                alive = send(&answers, a) && send(&answers, b) && orders.read_exact(&mut byte).is_ok();
            }
            // SAFETY: ends the process, with nothing of the parent's run.
            unsafe { libc::_exit(i32::from(!alive)) };
        }
        let mut joined = [0];
        reports.read_exact(&mut joined).unwrap();
        assert_eq!(joined, [1], "cannot join the cgroup");
        Self { pid, commands, reports }
    }

    /// Starts the load.
    pub fn go(&mut self) {
        self.commands.write_all(b"g").unwrap();
    }

    /// Waits for the end of the load.
    pub fn report(&mut self) -> [u64; 2] {
        let mut bytes = [0; 16];
        self.reports.read_exact(&mut bytes).unwrap();
        let (a, b) = bytes.split_at(8);
        [u64::from_ne_bytes(a.try_into().unwrap()), u64::from_ne_bytes(b.try_into().unwrap())]
    }

    /// Lets the process go and waits for its end.
    pub fn end(mut self) {
        self.commands.write_all(b"e").unwrap();
        let mut status = 0;
        // SAFETY: our own child, not waited for yet.
        let pid = unsafe { libc::waitpid(self.pid, &mut status, 0) };
        assert_eq!((pid, status), (self.pid, 0), "the load failed");
        self.pid = 0;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.pid != 0 {
            // SAFETY: our own child, not waited for yet.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
        }
    }
}

fn send(mut to: &PipeWriter, value: u64) -> bool {
    to.write_all(&value.to_ne_bytes()).is_ok()
}

/// Runs on this CPU only from now on.
fn pin(cpu: usize) {
    // SAFETY: a zeroed cpu_set_t is an empty one; the call reads it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &set), 0);
    }
}

/// Context switches of the calling thread so far: voluntary, involuntary.
pub fn switches() -> [u64; 2] {
    // SAFETY: getrusage fills in the zeroed struct.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        [usage.ru_nvcsw as u64, usage.ru_nivcsw as u64]
    }
}

/// Two ends that pass a byte back and forth.
pub struct PingPong {
    first: (PipeReader, PipeWriter),
    second: (PipeReader, PipeWriter),
}

impl PingPong {
    pub fn new() -> Self {
        let (a, b) = (pipe().unwrap(), pipe().unwrap());
        Self { first: (a.0, b.1), second: (b.0, a.1) }
    }

    /// Waits for the byte, works for a while and passes it back.
    pub fn serve(&self, rounds: u32, work: Duration) {
        let (mut from, mut to) = (&self.first.0, &self.first.1);
        let mut byte = [0];
        for _ in 0..rounds {
            from.read_exact(&mut byte).unwrap();
            spin(work);
            to.write_all(&byte).unwrap();
        }
    }

    /// The other side, which begins.
    pub fn play(&self, rounds: u32, work: Duration) {
        let (mut from, mut to) = (&self.second.0, &self.second.1);
        let mut byte = [0];
        for _ in 0..rounds {
            spin(work);
            to.write_all(&byte).unwrap();
            from.read_exact(&mut byte).unwrap();
        }
    }
}

/// Keeps the CPU busy.
pub fn spin(time: Duration) {
    let started = Instant::now();
    while started.elapsed() < time {}
}

//! Live tests of the plugin `syscall`.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use libc::{c_long, syscall};

use crate::agent::{Agent, bucket_of, with_tracefs};
use crate::scheduler::worker::{Cgroup, Worker};

const PER_CGROUP: &str = "cgroup_syscall";

/// The plugin's table of numbers and classes.
const TABLE: &str = include_str!("../../../plugins/syscall/bpf/syscalls.h");

/// Makes a system call a number of times.
macro_rules! repeat {
    ($times:expr, $number:expr $(, $argument:expr)*) => {
        for _ in 0..$times {
            // SAFETY: the arguments are plain numbers, invalid on purpose, or
            // point to memory that outlives the call.
            unsafe { syscall($number $(, $argument)*) };
        }
    };
}

/// A class, and how many calls of it [`every_class`] makes.
const LOAD: [(&str, u64); 16] = [
    ("other", 101),
    ("read", 103),
    ("write", 107),
    ("poll", 109),
    ("lock", 113),
    ("time", 127),
    ("sleep", 131),
    ("socket", 137),
    ("yield", 139),
    ("filesystem", 149),
    ("memory", 151),
    ("process", 157),
    ("query", 163),
    ("ipc", 167),
    ("timer", 173),
    ("event", 179),
];

/// Calls of every class, a prime number of each. Most of them fail, which makes
/// no difference.
fn every_class(file: i32) {
    let calls = |class| LOAD.iter().find(|(name, _)| *name == class).unwrap().1;
    let word = 0u32;
    let mut buffer = [0u8; 64];
    let nothing: c_long = 0;
    let no_fd: c_long = -1;
    let moment = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    repeat!(calls("other"), libc::SYS_ioctl, no_fd, nothing, nothing);
    repeat!(calls("read"), libc::SYS_pread64, c_long::from(file), buffer.as_mut_ptr(), 64 as c_long, nothing);
    repeat!(calls("write"), libc::SYS_write, no_fd, buffer.as_ptr(), 64 as c_long);
    repeat!(calls("poll"), libc::SYS_ppoll, nothing, nothing, &raw const moment, nothing);
    repeat!(calls("lock"), libc::SYS_futex, &raw const word, libc::FUTEX_WAKE as c_long, 1 as c_long);
    repeat!(calls("time"), libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC as c_long, buffer.as_mut_ptr());
    repeat!(calls("sleep"), libc::SYS_nanosleep, &raw const moment, nothing);
    repeat!(calls("socket"), libc::SYS_shutdown, no_fd, nothing);
    repeat!(calls("yield"), libc::SYS_sched_yield);
    repeat!(calls("filesystem"), libc::SYS_fchdir, no_fd);
    repeat!(calls("memory"), libc::SYS_madvise, nothing, nothing, nothing);
    repeat!(calls("process"), libc::SYS_kill, c_long::from(i32::MAX), nothing);
    repeat!(calls("query"), libc::SYS_getppid);
    repeat!(calls("ipc"), libc::SYS_semop, no_fd, nothing, nothing);
    repeat!(calls("timer"), libc::SYS_timer_delete, no_fd);
    repeat!(calls("event"), libc::SYS_inotify_rm_watch, no_fd, nothing);
}

#[test]
fn root_every_class_is_counted_exactly() {
    let agent = Agent::start(&["syscall"]);
    let cgroup = Cgroup::new(&agent, PER_CGROUP);
    let file = File::open("/proc/self/exe").unwrap();
    let mut worker = Worker::new(&cgroup, || {
        every_class(file.as_raw_fd());
        [0, 0]
    });
    let delta = agent.delta(|| {
        worker.go();
        worker.report();
    });
    worker.end();

    for (class, calls) in LOAD {
        // It reports in two writes, and then waits in a read for its end.
        let own = match class {
            "write" => 2,
            "read" => 1,
            _ => 0,
        };
        assert_eq!(delta.counter(PER_CGROUP, &cgroup.with("op", class)), calls + own, "{class}");
        let all = delta.counter("syscall", &[("op", class)]);
        assert!(all >= calls + own, "{class}: {all} in the whole system");
    }
}

#[test]
fn root_exit_is_counted_and_leaves_nothing_behind() {
    let agent = Agent::start(&["syscall"]);
    let cgroup = Cgroup::new(&agent, PER_CGROUP);
    const PROCESSES: u64 = 31;
    let delta = agent.delta(|| {
        for _ in 0..PROCESSES {
            let mut worker = Worker::new(&cgroup, || [0, 0]);
            worker.go();
            worker.report();
            worker.end();
        }
    });
    // exit_group
    assert_eq!(delta.counter(PER_CGROUP, &cgroup.with("op", "process")), PROCESSES);
}

#[test]
fn root_a_rare_class_is_bracketed() {
    const CALLS: u64 = 100_003;
    let agent = Agent::start(&["syscall"]);
    let delta = agent.delta(|| repeat!(CALLS, libc::SYS_timer_delete, -1 as c_long));
    let (counted, measured) = (
        delta.counter("syscall", &[("op", "timer")]),
        delta.histogram("syscall_latency", &[("op", "timer")]).iter().sum::<u64>(),
    );
    // Few others set timers.
    assert!((CALLS..CALLS + 1000).contains(&counted), "{counted} calls");
    assert!(measured.abs_diff(counted) < 20, "{measured} latencies of {counted} calls");
    assert_eq!(delta.counter("syscall_discarded_samples", &[]), 0);
}

#[test]
fn root_sleeping_takes_as_long_as_it_takes() {
    const LENGTHS: [u64; 5] = [1_000_003, 5_000_011, 17_000_023, 43_000_013, 101_000_029];
    const NAPS: u64 = 7;
    let agent = Agent::start(&["syscall"]);
    let mut longest = [0; LENGTHS.len()];
    let delta = agent.delta(|| {
        for (length, longest) in LENGTHS.iter().zip(&mut longest) {
            for _ in 0..NAPS {
                let length = libc::timespec { tv_sec: 0, tv_nsec: *length as i64 };
                let started = Instant::now();
                repeat!(1, libc::SYS_nanosleep, &raw const length, 0 as c_long);
                *longest = started.elapsed().as_nanos().max(*longest);
            }
        }
    });
    let latency = delta.histogram("syscall_latency", &[("op", "sleep")]);
    for (length, longest) in LENGTHS.into_iter().zip(longest) {
        // No shorter than asked for, and no longer than it looks from outside.
        let naps: u64 = latency[bucket_of(length)..=bucket_of(longest as u64)].iter().sum();
        assert!(naps >= NAPS, "{naps} of {NAPS} naps of {length} to {longest} ns");
    }
}

#[test]
fn root_a_call_begun_before_the_agent_is_not_measured() {
    // SAFETY: a queue of our own.
    let queue = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) };
    assert!(queue >= 0);
    let receiver = std::thread::spawn(move || {
        let mut message = [0u64; 2];
        // SAFETY: the buffer holds a type and eight bytes.
        unsafe { libc::msgrcv(queue, message.as_mut_ptr().cast(), 8, 0, 0) }
    });
    std::thread::sleep(Duration::from_millis(300));
    let agent = Agent::start(&["syscall"]);
    let message = [1u64, 2];
    // SAFETY: as above.
    unsafe { libc::msgsnd(queue, message.as_ptr().cast(), 8, 0) };
    assert_eq!(receiver.join().unwrap(), 8);
    // SAFETY: removes the queue.
    unsafe { libc::msgctl(queue, libc::IPC_RMID, std::ptr::null_mut()) };
    let latency = agent.snapshot().histogram("syscall_latency", &[("op", "ipc")]);
    let long: u64 = latency[bucket_of(100_000_000)..].iter().sum();
    assert_eq!(long, 0, "of {} calls", latency.iter().sum::<u64>());
}

#[test]
fn root_latencies_restart_with_their_sampler() {
    let agent = Agent::start(&["syscall"]);
    let switch = |on: bool| {
        agent.configure(&format!("[plugins.syscall.samplers.syscall_latency]\nenabled = {on}"));
        let state = if on { "running" } else { "disabled" };
        agent.wait_until(state, Duration::from_secs(5), |agent| agent.state("syscall_latency") == state);
    };
    // SAFETY: a queue of our own, as above.
    let queue = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) };
    let receiver = std::thread::spawn(move || {
        let mut message = [0u64; 2];
        // SAFETY: the buffer holds a type and eight bytes.
        unsafe { libc::msgrcv(queue, message.as_mut_ptr().cast(), 8, 0, 0) }
    });
    std::thread::sleep(Duration::from_millis(50));
    switch(false);
    std::thread::sleep(Duration::from_millis(300));
    switch(true);
    let message = [1u64, 2];
    // SAFETY: as above.
    unsafe { libc::msgsnd(queue, message.as_ptr().cast(), 8, 0) };
    assert_eq!(receiver.join().unwrap(), 8);
    // SAFETY: removes the queue.
    unsafe { libc::msgctl(queue, libc::IPC_RMID, std::ptr::null_mut()) };
    // What was under way while nobody looked is not measured.
    let latency = agent.snapshot().histogram("syscall_latency", &[("op", "ipc")]);
    assert_eq!(latency[bucket_of(100_000_000)..].iter().sum::<u64>(), 0);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn root_32_bit_calls_are_other() {
    const CALLS: u64 = 211;
    let agent = Agent::start(&["syscall"]);
    let cgroup = Cgroup::new(&agent, PER_CGROUP);
    let mut worker = Worker::new(&cgroup, || {
        for _ in 0..CALLS {
            // SAFETY: number 20 is getpid there (and writev here). A kernel
            // without 32-bit calls ends the process.
            unsafe {
                std::arch::asm!("int 0x80", inout("rax") 20u64 => _, out("r8") _, out("r9") _, out("r10") _, out("r11") _)
            };
        }
        [0, 0]
    });
    let delta = agent.delta(|| {
        worker.go();
        worker.report();
    });
    worker.end();
    assert_eq!(delta.counter(PER_CGROUP, &cgroup.with("op", "other")), CALLS);
    assert_eq!(delta.counter(PER_CGROUP, &cgroup.with("op", "write")), 2, "but its report");
    assert_eq!(delta.counter(PER_CGROUP, &cgroup.with("op", "query")), 0);
}

/// What a system call's function is called in the kernel where it is not what
/// the number is called.
fn name_of(function: &str) -> &str {
    match function {
        "newstat" => "stat",
        "newlstat" => "lstat",
        "newfstat" => "fstat",
        "newuname" => "uname",
        "umount" => "umount2",
        "sendfile64" => "sendfile",
        other => other,
    }
}

#[test]
fn root_every_call_of_this_kernel_has_a_class() {
    let known: BTreeSet<&str> = TABLE
        .lines()
        .filter_map(|line| line.split_once('('))
        .filter(|(kind, _)| ["BOTH", "X86", "ARM64"].contains(kind))
        .filter_map(|(_, rest)| rest.split_once(',').map(|(name, _)| name))
        .collect();
    let mut seen = 0;
    let listed = with_tracefs("ls").arg("/sys/kernel/tracing/events/syscalls").output().unwrap();
    for entry in String::from_utf8(listed.stdout).unwrap().lines() {
        if let Some(function) = entry.strip_prefix("sys_enter_") {
            assert!(known.contains(name_of(function)), "{function} has no class");
            seen += 1;
        }
    }
    assert!(seen > 250, "only {seen} system calls");
}

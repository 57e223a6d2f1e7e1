//! Live tests of the plugin `cpu`: load that this process makes, in cgroups and
//! on CPUs of its choosing, against the kernel's own books.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::agent::{Agent, Delta};

mod group;

use group::{Group, Throttling};

const MILLISECOND: u64 = 1_000_000;

#[test]
fn root_busy_loop_is_user_time() {
    let agent = Agent::start(&["cpu"]);
    let group = Group::new(&agent, "busy");
    let cpu = cpus() - 1;
    let started = Instant::now();
    let (delta, own, used) =
        measure(&agent, &group, || in_child(Some(&group), &[cpu], || spin(2_000 * MILLISECOND)));
    let wall = started.elapsed().as_nanos() as u64;
    let (user, system) = group_usage(&delta, &group);

    assert_near("against the cgroup's own usage", user + system, own, 10 * MILLISECOND);
    assert_near("against getrusage", user + system, used, used / 50);
    assert!(user > (user + system) / 10 * 9, "user {user} system {system}");
    // Others may have been on that CPU as well, but not beyond the time there was.
    let id = cpu.to_string();
    let on_cpu: u64 = ["user", "nice", "system"]
        .iter()
        .map(|state| delta.counter("cpu_usage", &[("id", &id), ("state", state)]))
        .sum();
    assert!(on_cpu >= used / 100 * 98, "CPU {cpu}: {on_cpu} of {used}");
    assert!(on_cpu <= wall + 10 * MILLISECOND, "CPU {cpu}: {on_cpu} in {wall}");
}

#[test]
fn root_reading_zeroes_is_system_time() {
    let agent = Agent::start(&["cpu"]);
    let group = Group::new(&agent, "system");
    let zero = File::open("/dev/zero").unwrap();
    let mut buffer = vec![0u8; 1 << 20];
    let (delta, own, used) = measure(&agent, &group, || {
        in_child(Some(&group), &[], || {
            while thread_time() < 1_000 * MILLISECOND {
                // SAFETY: at most the buffer's length into the buffer.
                unsafe { libc::read(zero.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
            }
        })
    });
    let (user, system) = group_usage(&delta, &group);
    assert_near("against the cgroup's own usage", user + system, own, 10 * MILLISECOND);
    assert_near("against getrusage", user + system, used, used / 50);
    assert!(system > (user + system) / 10 * 8, "user {user} system {system}");
}

/// Tasks too short for a tick to meet them are counted all the same.
#[test]
fn root_short_sleepers_are_counted() {
    let agent = Agent::start(&["cpu"]);
    let group = Group::new(&agent, "short");
    let (delta, own, used) = measure(&agent, &group, || {
        in_child(Some(&group), &[], || {
            for _ in 0..499 {
                spin(MILLISECOND / 5);
                // SAFETY: sleeps.
                unsafe { libc::usleep(300) };
            }
        })
    });
    let (user, system) = group_usage(&delta, &group);
    assert!(own >= 99 * MILLISECOND, "the load itself: {own}");
    assert_near("against the cgroup's own usage", user + system, own, 5 * MILLISECOND);
    assert_near("against getrusage", user + system, used, used / 50 + 2 * MILLISECOND);
}

#[test]
fn root_niced_time_is_told_apart() {
    let agent = Agent::start(&["cpu"]);
    let delta = agent.delta(|| {
        in_child(None, &[], || {
            // SAFETY: changes only this child's priority.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 5) };
            spin(300 * MILLISECOND);
        });
    });
    let nice = delta.counter("cpu_usage", &[("state", "nice")]);
    assert!(nice > 250 * MILLISECOND, "{nice}");
}

#[test]
fn root_totals_agree_with_proc_stat() {
    let agent = Agent::start(&["cpu"]);
    let _ = agent.snapshot();
    thread::sleep(Duration::from_millis(300)); // past the sampler's interval
    let outer_before = (Instant::now(), proc_stat());
    let before = agent.snapshot();
    let inner_before = (Instant::now(), proc_stat());
    in_child(None, &[], || spin(2_000 * MILLISECOND));
    let inner_after = (Instant::now(), proc_stat());
    thread::sleep(Duration::from_millis(300));
    let after = agent.snapshot();
    let outer_after = (Instant::now(), proc_stat());
    let delta = Delta { before, after };

    // What the kernel counts exactly, the kernel's own way: strictly in between.
    for (state, column) in [
        ("idle", 3),
        ("iowait", 4),
        ("irq", 5),
        ("softirq", 6),
        ("steal", 7),
        ("guest", 8),
        ("guest_nice", 9),
    ] {
        for cpu in 0..cpus() {
            let value = delta.after.counter("cpu_usage", &[("id", &cpu.to_string()), ("state", state)]);
            // Idle times may step back by a tick when read.
            let slack = 10 * MILLISECOND;
            let (low, high) = (inner_after.1[cpu][column], outer_after.1[cpu][column]);
            assert!(
                value + slack >= low && value <= high + slack,
                "CPU {cpu} {state}: {value} in {low}..{high}"
            );
        }
    }
    // What tasks ran is exact here and a sample there; the time that CPUs were not
    // idle is exact in both.
    let idle = |stat: &[[u64; 10]]| -> u64 { stat.iter().map(|c| c[3] + c[4] + c[7]).sum() };
    let busy = |from: &(Instant, Vec<_>), to: &(Instant, Vec<_>)| {
        let passed = to.0.duration_since(from.0).as_nanos() as u64 * cpus() as u64;
        passed.saturating_sub(idle(&to.1) - idle(&from.1))
    };
    let (low, high) = (busy(&inner_before, &inner_after), busy(&outer_before, &outer_after));
    let ours: u64 =
        ["user", "nice", "system"].iter().map(|state| delta.counter("cpu_usage", &[("state", state)])).sum();
    // Interrupts of idle CPUs are no task's.
    let slack = low / 20 + 50 * MILLISECOND;
    assert!(ours + slack >= low && ours <= high + slack, "{ours} not in {low}..{high}");
}

#[test]
fn root_exited_tasks_leave_their_run_time() {
    let agent = Agent::start(&["cpu"]);
    let group = Group::new(&agent, "exited");
    let (delta, _, used) = measure(&agent, &group, || {
        (0..7).map(|_| in_child(Some(&group), &[], || spin(30 * MILLISECOND))).sum()
    });
    let exited = delta.counter("cgroup_cpu_usage_exited_tasks", &[("name", &group.name)]);
    // Both over the tasks' whole lives, before they joined the cgroup included; but
    // getrusage stops when the parent is told, a few steps before the very end.
    assert!(exited + MILLISECOND >= used && exited <= used + used / 10, "{exited} {used}");
    assert!(delta.counter("cpu_usage_exited_tasks", &[]) >= exited);
}

#[test]
fn root_run_time_of_a_thread() {
    let agent = Agent::start(&["cpu"]);
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let thread = thread::Builder::new()
        .name("rezolus-spin".into())
        .spawn(move || {
            spin(100 * MILLISECOND);
            // SAFETY: no preconditions.
            tell.send(unsafe { libc::gettid() }).unwrap();
            let _ = ended.recv();
        })
        .unwrap();
    let tid = told.recv().unwrap().to_string();
    thread::sleep(Duration::from_millis(1100)); // past the sampler's interval
    let snapshot = agent.snapshot();
    let schedstat = fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).unwrap();
    let kernel: u64 = schedstat.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kernel >= 100 * MILLISECOND);
    // It sleeps: both are exact, and the same.
    assert_eq!(snapshot.counter("task_cpu_usage", &[("pid", &tid)]), kernel);
    let series = snapshot.series("task_cpu_usage", &[("pid", &tid)]);
    assert_eq!(series.len(), 1);
    let label = |name: &str| series[0].labels.get(name).map(String::as_str);
    assert_eq!(label("id"), Some(tid.as_str()));
    assert_eq!(label("tgid"), Some(std::process::id().to_string().as_str()));
    assert_eq!(label("comm"), Some("rezolus-spin"));
    assert!(label("cgroup").is_some_and(|path| path.starts_with('/')));

    drop(end);
    thread.join().unwrap();
    thread::sleep(Duration::from_millis(1100));
    assert!(agent.snapshot().series("task_cpu_usage", &[("pid", &tid)]).is_empty());
}

#[test]
fn root_migrations_are_counted_one_by_one() {
    const MOVES: u64 = 1009;
    assert!(cpus() >= 2, "needs two CPUs");
    let agent = Agent::start(&["cpu"]);
    let group = Group::new(&agent, "migrations");
    let (delta, _, _) = measure(&agent, &group, || {
        in_child(Some(&group), &[0], || {
            for i in 1..=MOVES {
                pin(&[i as usize % 2]);
            }
        })
    });
    assert_eq!(delta.counter("cgroup_cpu_migrations", &[("name", &group.name)]), MOVES);
    for direction in ["from", "to"] {
        for id in ["0", "1"] {
            let moves = delta.counter("cpu_migrations", &[("direction", direction), ("id", id)]);
            assert!(moves >= MOVES / 2, "{direction} {id}: {moves}");
        }
    }
}

#[test]
fn root_throttling_is_as_in_cpu_stat() {
    let agent = Agent::start(&["cpu"]);
    let outer = Group::new(&agent, "limited");
    let inner = Group::inside(&agent, &outer, "unlimited");
    outer.limit(Some((10_000, 50_000)));
    // The limit is above the cgroup that the task is in.
    in_child(Some(&inner), &[], || spin(400 * MILLISECOND));
    thread::sleep(Duration::from_millis(120)); // the last period ends
    let kernel = outer.throttling();
    let snapshot = agent.snapshot();

    let name = [("name", outer.name.as_str())];
    assert_eq!(snapshot.gauge("cgroup_cpu_bandwidth_quota", &name), 10_000_000);
    assert_eq!(snapshot.gauge("cgroup_cpu_bandwidth_period_duration", &name), 50_000_000);
    let ours = Throttling {
        periods: snapshot.counter("cgroup_cpu_bandwidth_periods", &name),
        throttled: snapshot.counter("cgroup_cpu_bandwidth_throttled_periods", &name),
        time: snapshot.counter("cgroup_cpu_bandwidth_throttled_time", &name),
    };
    assert!(kernel.periods >= 30 && kernel.throttled >= 25, "the load itself: {kernel:?}");
    // Nothing runs in the cgroup any more to notice the periods after the task's end.
    assert!(ours.periods <= kernel.periods && ours.periods + 3 >= kernel.periods, "{ours:?} {kernel:?}");
    assert!(
        ours.throttled <= kernel.throttled && ours.throttled + 1 >= kernel.throttled,
        "{ours:?} {kernel:?}"
    );
    let microsecond = 1_000; // the unit of a v2 cpu.stat
    assert!(
        ours.time <= kernel.time + microsecond && ours.time + 50 * MILLISECOND >= kernel.time,
        "{ours:?} {kernel:?}"
    );
    assert_eq!(snapshot.counter("cgroup_cpu_throttled", &name), ours.throttled);
    assert_eq!(snapshot.counter("cgroup_cpu_throttled_time", &name), ours.time);

    // Of cgroups without a limit nothing is shown, rather than zeroes.
    assert!(snapshot.series("cgroup_cpu_bandwidth_quota", &[("name", &inner.name)]).is_empty());
    assert!(snapshot.series("cgroup_cpu_bandwidth_periods", &[("name", &inner.name)]).is_empty());
    outer.limit(None);
    in_child(Some(&inner), &[], || spin(100 * MILLISECOND));
    let snapshot = agent.snapshot();
    assert!(snapshot.series("cgroup_cpu_bandwidth_quota", &name).is_empty());
    assert!(snapshot.counter("cgroup_cpu_throttled", &name) >= ours.throttled);
}

#[test]
fn root_softirqs_are_as_in_proc() {
    const KINDS: [(&str, &str); 10] = [
        ("hi", "HI"),
        ("timer", "TIMER"),
        ("net_tx", "NET_TX"),
        ("net_rx", "NET_RX"),
        ("block", "BLOCK"),
        ("irq_poll", "IRQ_POLL"),
        ("tasklet", "TASKLET"),
        ("sched", "SCHED"),
        ("hrtimer", "HRTIMER"),
        ("rcu", "RCU"),
    ];
    let agent = Agent::start(&["cpu"]);
    let started = Instant::now();
    let bracket =
        Bracket::around(&agent, || counts_by_cpu("/proc/softirqs", |_| 1), || send_datagrams(10_007));
    let wall = started.elapsed().as_nanos() as u64;
    for (kind, row) in KINDS {
        for cpu in 0..cpus() {
            let labels = [("kind", kind), ("id", &cpu.to_string())];
            bracket.check(
                &format!("{kind} on CPU {cpu}"),
                bracket.delta.counter("softirq", &labels),
                |table| table.iter().find(|(name, _)| name == row).map_or(0, |(_, counts)| counts[cpu]),
            );
        }
        let time = bracket.delta.counter("softirq_time", &[("kind", kind)]);
        let count = bracket.delta.counter("softirq", &[("kind", kind)]);
        assert!(time <= wall * cpus() as u64, "{kind}: {time}");
        assert!(count == 0 || time > 0, "{kind}: {count} took no time");
    }
    // A datagram to ourselves is a soft interrupt, and that takes time.
    let received = bracket.delta.counter("softirq", &[("kind", "net_rx")]);
    assert!(received >= 5_000, "{received}");
    let mean = bracket.delta.counter("softirq_time", &[("kind", "net_rx")]) / received;
    assert!((100..1_000_000).contains(&mean), "{mean} ns");
}

#[test]
fn root_interrupts_are_as_in_proc() {
    let agent = Agent::start(&["cpu"]);
    // Every device on a shared line gets to look.
    let handlers = |rest: &str| rest.split(", ").count() as u64;
    let file = agent.scratch().join("file");
    let bracket = Bracket::around(
        &agent,
        || counts_by_cpu("/proc/interrupts", handlers),
        || {
            for i in 0..50u8 {
                fs::write(&file, [i; 4096]).unwrap();
                File::open(&file).unwrap().sync_all().unwrap();
            }
        },
    );
    for cpu in 0..cpus() {
        let ours = bracket.delta.counter("irq", &[("id", &cpu.to_string())]);
        bracket.check(&format!("CPU {cpu}"), ours, |table| {
            let lines = table.iter().filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_digit()));
            lines.map(|(_, counts)| counts[cpu]).sum()
        });
    }
    let (count, time) = (bracket.delta.counter("irq", &[]), bracket.delta.counter("irq_time", &[]));
    assert!(count == 0 || time / count > 50, "{count} took {time}");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn root_tlb_flushes_of_a_cgroup() {
    const FLUSHES: u64 = 1009;
    let agent = Agent::start(&["cpu"]);
    let group = Group::new(&agent, "tlb");
    let (delta, _, _) = measure(&agent, &group, || {
        in_child(Some(&group), &[0], || {
            // SAFETY: a page of our own, which is touched and dropped again and again.
            unsafe {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let page =
                    libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
                for _ in 0..FLUSHES {
                    page.cast::<u8>().write_volatile(1);
                    libc::madvise(page, 4096, libc::MADV_DONTNEED);
                }
            }
        })
    });
    let name = group.name.as_str();
    let flushes = delta.counter("cgroup_cpu_tlb_flush", &[("name", name), ("reason", "local_mm_shootdown")]);
    // The start and the end of the child flush a few times too.
    assert!((FLUSHES..FLUSHES + 100).contains(&flushes), "{flushes}");
    let per_cpu = delta.counter("cpu_tlb_flush", &[("id", "0"), ("reason", "local_mm_shootdown")]);
    assert!(per_cpu >= flushes, "{per_cpu}");
}

#[test]
fn root_cores_and_what_the_machine_lacks() {
    let agent = Agent::start(&["cpu"]);
    let snapshot = agent.snapshot();
    assert_eq!(snapshot.gauge("cpu_cores", &[]), cpus() as i64);
    for (sampler, metric) in [
        ("cpu_perf", "cpu_cycles"),
        ("cpu_branch", "cpu_branch_misses"),
        ("cpu_dtlb", "cpu_dtlb_miss"),
        ("cpu_l3", "cpu_l3_miss"),
    ] {
        match agent.state(sampler).as_str() {
            "running" => assert!(snapshot.has(metric), "{metric}"),
            "unsupported" | "degraded" => {
                let reason = agent.sampler(sampler)["reason"].to_string();
                assert!(reason.len() > 10, "{sampler}: {reason}");
            }
            other => panic!("{sampler}: {other}"),
        }
    }
}

/// Counts that the kernel shows in a file, read before and after each of two
/// snapshots.
struct Bracket {
    tables: [Vec<(String, Vec<u64>)>; 4],
    delta: Delta,
}

impl Bracket {
    fn around(agent: &Agent, read: impl Fn() -> Vec<(String, Vec<u64>)>, load: impl FnOnce()) -> Self {
        let first = read();
        let before = agent.snapshot();
        let second = read();
        load();
        let third = read();
        let after = agent.snapshot();
        Self { tables: [first, second, third, read()], delta: Delta { before, after } }
    }

    /// At least what happened between the inner readings, at most what did between the outer.
    fn check(&self, what: &str, ours: u64, count: impl Fn(&[(String, Vec<u64>)]) -> u64) {
        let [first, second, third, fourth] = self.tables.each_ref().map(|table| count(table));
        // One that is being handled just then is counted on one side only.
        let (low, high) = ((third - second).saturating_sub(1), fourth - first + 1);
        assert!((low..=high).contains(&ours), "{what}: {ours} not in {low}..={high}");
    }
}

/// The delta of a load, with what the cgroup itself says it used and what `load` returned.
fn measure(agent: &Agent, group: &Group, load: impl FnOnce() -> u64) -> (Delta, u64, u64) {
    let (mut own, mut used) = (0, 0);
    let delta = agent.delta(|| {
        let before = group.usage();
        used = load();
        thread::sleep(Duration::from_millis(10)); // the child's last steps
        own = group.usage() - before;
    });
    (delta, own, used)
}

fn group_usage(delta: &Delta, group: &Group) -> (u64, u64) {
    let of = |state| delta.counter("cgroup_cpu_usage", &[("name", &group.name), ("state", state)]);
    (of("user"), of("system"))
}

fn assert_near(what: &str, ours: u64, theirs: u64, within: u64) {
    assert!(ours.abs_diff(theirs) <= within, "{what}: {ours} and {theirs}");
}

/// Runs a load in a child, on the given CPUs if any, and returns the CPU time
/// it used by getrusage(2). Other threads of this process may hold locks: the
/// load must neither allocate nor print.
fn in_child(group: Option<&Group>, on: &[usize], load: impl FnOnce()) -> u64 {
    let doors = group.map(Group::doors).unwrap_or_default();
    // SAFETY: the child calls only what is safe to call after a fork, and ends by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        if !on.is_empty() {
            pin(on);
        }
        for door in &doors {
            // SAFETY: writes one byte of a literal.
            if unsafe { libc::write(door.as_raw_fd(), c"0".as_ptr().cast(), 1) } != 1 {
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(1) };
            }
        }
        load();
        // SAFETY: as above.
        unsafe { libc::_exit(0) };
    }
    assert!(child > 0, "{}", io::Error::last_os_error());
    let mut status = 0;
    // SAFETY: all zeroes is a valid rusage, which the kernel then fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::wait4(child, &mut status, 0, &mut usage), child);
        usage
    };
    assert_eq!(status, 0, "the child failed");
    let nanoseconds = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)
}

fn pin(on: &[usize]) {
    // SAFETY: all zeroes is an empty set; the calls only touch it, and the CPUs are below its size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for &cpu in on {
            libc::CPU_SET(cpu, &mut set);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// Computes until this thread has used so much more CPU time, mostly without
/// system calls.
fn spin(time: u64) {
    let end = thread_time() + time;
    while thread_time() < end {
        for i in 0..20_000u64 {
            std::hint::black_box(i);
        }
    }
}

/// CPU time of the calling thread, ns.
pub fn thread_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills in the timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn send_datagrams(count: usize) {
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    let mut buffer = [0; 8];
    for _ in 0..count {
        sender.send(b"datagram").unwrap();
        receiver.recv(&mut buffer).unwrap();
    }
}

fn cpus() -> usize {
    // SAFETY: no preconditions.
    unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) as usize }
}

/// The columns of /proc/stat by CPU, in nanoseconds.
pub fn proc_stat() -> Vec<[u64; 10]> {
    let text = fs::read_to_string("/proc/stat").unwrap();
    let lines = text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    lines
        .map(|line| {
            let numbers =
                line.split_whitespace().skip(1).map(|word| word.parse::<u64>().unwrap() * 10 * MILLISECOND);
            numbers.collect::<Vec<_>>().try_into().unwrap()
        })
        .collect()
}

/// The rows of /proc/softirqs or /proc/interrupts: a number per CPU, times what
/// `weight` says about the rest of the line.
fn counts_by_cpu(path: &str, weight: impl Fn(&str) -> u64) -> Vec<(String, Vec<u64>)> {
    let text = fs::read_to_string(path).unwrap();
    let mut rows = Vec::new();
    for line in text.lines().skip(1) {
        let (name, rest) = line.split_once(':').unwrap();
        let numbers: Vec<&str> = rest.split_whitespace().take(cpus()).collect();
        let counts: Option<Vec<u64>> = numbers.iter().map(|word| word.parse().ok()).collect();
        // Some rows of /proc/interrupts are one number for all.
        if let Some(counts) = counts.filter(|counts| counts.len() == cpus()) {
            let weight = weight(rest);
            rows.push((name.trim().to_string(), counts.iter().map(|count| count * weight).collect()));
        }
    }
    rows
}

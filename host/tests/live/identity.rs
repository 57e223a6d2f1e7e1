//! Cgroups: the right name on the right numbers, at any time.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::agent::{Agent, Number, Snapshot};

const METRIC: &str = "cgroup_syscall";

/// A cgroup of the hierarchy with the cpu controller; removed when dropped.
pub struct Cgroup {
    path: PathBuf,
    pub id: u64,
}

impl Cgroup {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::at(hierarchy().join(format!("rezolus-{name}-{}-{number}", std::process::id())))
    }

    fn at(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        let id = fs::metadata(&path).unwrap().ino();
        Self { path, id }
    }

    /// As the label `name` shows it.
    pub fn name(&self) -> String {
        format!("/{}", self.path.strip_prefix(hierarchy()).unwrap().display())
    }

    /// A process that joins, makes this many calls, and ends.
    pub fn run(&self, call: libc::c_long, times: u64) {
        let procs = fs::File::options().write(true).open(self.path.join("cgroup.procs")).unwrap();
        // SAFETY: the child makes system calls only, and leaves by _exit.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            let joined = std::io::Write::write_all(&mut &procs, b"0").is_ok();
            for _ in 0..times {
                // SAFETY: neither getppid nor timer_delete of -1 does anything.
                unsafe { libc::syscall(call, -1) };
            }
            // SAFETY: ends the child, with nothing of the parent's run.
            unsafe { libc::_exit(i32::from(!joined)) };
        }
        let mut status = 0;
        // SAFETY: our own child, not waited for yet.
        let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
        assert_eq!((waited, status), (pid, 0), "cannot run in {}", self.path.display());
    }

    /// Removes it; its last process leaves it a little after it was waited for.
    pub fn remove(&self) {
        for _ in 0..1000 {
            if fs::remove_dir(&self.path).is_ok() || !self.path.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("cannot remove {}", self.path.display());
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

fn hierarchy() -> PathBuf {
    let v1 = Path::new("/sys/fs/cgroup/cpu");
    if v1.join("cgroup.procs").exists() { v1.into() } else { "/sys/fs/cgroup".into() }
}

/// The calls of a class that a snapshot shows for a cgroup, with its name.
fn shown(snapshot: &Snapshot, id: u64, op: &str) -> Option<(String, u64)> {
    let id = id.to_string();
    let found = snapshot.series(METRIC, &[("id", &id), ("op", op)]);
    assert!(found.len() <= 1, "{found:?}");
    let series = found.first()?;
    let Number::Counter(value) = series.value else { panic!("{series:?}") };
    Some((series.labels["name"].clone(), value))
}

#[test]
fn root_cgroups_are_named_from_the_first_moment() {
    const CALLS: u64 = 101;
    let outer = Cgroup::new("before");
    let inner = Cgroup::at(outer.path.join("in ner"));
    let agent = Agent::start(&["syscall"]);
    for cgroup in [&outer, &inner] {
        assert_eq!(shown(&agent.snapshot(), cgroup.id, "query"), Some((cgroup.name(), 0)));
        cgroup.run(libc::SYS_getppid, CALLS);
        assert_eq!(shown(&agent.snapshot(), cgroup.id, "query"), Some((cgroup.name(), CALLS)));
    }
    // One made now is known before its first process runs.
    for _ in 0..10 {
        let new = Cgroup::new("new");
        new.run(libc::SYS_getppid, CALLS);
        assert_eq!(shown(&agent.snapshot(), new.id, "query"), Some((new.name(), CALLS)));
        new.remove();
    }
    // And so is one whose numbers nobody looks at before it is gone.
    let brief = Cgroup::new("brief");
    brief.run(libc::SYS_getppid, CALLS);
    brief.remove();
    assert_eq!(shown(&agent.snapshot(), brief.id, "query"), Some((brief.name(), CALLS)));
    // Not for long, though.
    inner.remove();
    outer.remove();
    agent.wait_until("removed cgroups are gone", Duration::from_secs(5), |agent| {
        let snapshot = agent.snapshot();
        [&outer, &inner, &brief].iter().all(|cgroup| shown(&snapshot, cgroup.id, "query").is_none())
    });
}

#[test]
fn root_a_thousand_cgroups_never_change_places() {
    const CALLS: u64 = 7;
    let agent = Agent::start(&["syscall"]);
    let before = agent.snapshot().gauge("rezolus_cgroup_tracked", &[]);
    // By id: the name, and whether all its calls have been made.
    let made: Mutex<HashMap<u64, (String, bool)>> = Mutex::default();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                let finished = made.lock().unwrap().clone();
                let snapshot = agent.snapshot();
                let known = made.lock().unwrap().clone();
                check_identity(&snapshot, &finished, &known, CALLS);
                looks += 1;
            }
            looks
        });
        // Joining a cgroup waits for the kernel, so several at a time.
        let makers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..250 {
                        let cgroup = Cgroup::new("many");
                        made.lock().unwrap().insert(cgroup.id, (cgroup.name(), false));
                        cgroup.run(libc::SYS_getppid, CALLS);
                        made.lock().unwrap().insert(cgroup.id, (cgroup.name(), true));
                        cgroup.remove();
                    }
                })
            })
            .collect();
        makers.into_iter().for_each(|maker| maker.join().unwrap());
        done.store(true, Ordering::Relaxed);
        assert!(looking.join().unwrap() > 2);
    });
    assert_eq!(made.lock().unwrap().len(), 1000, "ids are not reused");
    // Those of the last two seconds keep their slots; a few may find four
    // neighbours taken.
    let overflow = agent.snapshot().counter("rezolus_cgroup_overflow", &[]);
    assert!(overflow < 20, "{overflow} of 1000 found no slot");
    agent.wait_until("slots are free again", Duration::from_secs(5), |agent| {
        agent.snapshot().gauge("rezolus_cgroup_tracked", &[]) <= before + 5
    });
    let known = made.lock().unwrap().clone();
    check_identity(&agent.snapshot(), &known, &known, CALLS);
}

/// Every series that is one of ours by id or by name is so by both, and has no
/// calls but its own.
fn check_identity(
    snapshot: &Snapshot,
    finished: &HashMap<u64, (String, bool)>,
    known: &HashMap<u64, (String, bool)>,
    calls: u64,
) {
    for series in snapshot.series(METRIC, &[("op", "query")]) {
        let (name, id) = (&series.labels["name"], series.labels["id"].parse::<u64>().unwrap());
        if !name.starts_with("/rezolus-many-") {
            assert!(!known.contains_key(&id), "{id} is called {name}");
            continue;
        }
        // Made a moment ago, before this test could note it down.
        let Some((own, _)) = known.get(&id) else { continue };
        assert_eq!(name, own, "the name of {id}");
        let Number::Counter(value) = series.value else { panic!("{series:?}") };
        let all = finished.get(&id).is_some_and(|(_, finished)| *finished);
        assert!(value == calls || (value < calls && !all), "{name} has {value} calls");
    }
}

#[test]
fn root_cgroups_without_room_are_counted_together() {
    const CGROUPS: u64 = 199;
    const CALLS: u64 = 101;
    let agent = Agent::start_as(&["syscall"], "max_cgroups = 64", "");
    let before = agent.snapshot();
    let cgroups: Vec<Cgroup> = (0..CGROUPS).map(|_| Cgroup::new("crowd")).collect();
    for cgroup in &cgroups {
        cgroup.run(libc::SYS_timer_delete, CALLS);
    }
    thread::sleep(Duration::from_millis(300)); // past the interval of the agent's own numbers
    let after = agent.snapshot();
    let alone: Vec<u64> = cgroups
        .iter()
        .filter_map(|cgroup| {
            let (name, calls) = shown(&after, cgroup.id, "timer")?;
            assert_eq!(name, cgroup.name());
            Some(calls)
        })
        .collect();
    assert!(!alone.is_empty() && alone.len() <= 68, "{} have a row of their own", alone.len());
    assert!(alone.iter().all(|calls| *calls == CALLS), "{alone:?}");
    // Nothing is lost.
    let timer = |snapshot: &Snapshot, name: &[(&str, &str)]| {
        let labels: Vec<_> = [("op", "timer")].iter().chain(name).copied().collect();
        snapshot.try_counter(METRIC, &labels).unwrap_or(0)
    };
    let all = timer(&after, &[]) - timer(&before, &[]);
    assert!((CGROUPS * CALLS..CGROUPS * CALLS + 200).contains(&all), "{all} of {}", CGROUPS * CALLS);
    let together = timer(&after, &[("name", "(untracked)")]) - timer(&before, &[("name", "(untracked)")]);
    let expected = (CGROUPS - alone.len() as u64) * CALLS;
    assert!((expected..expected + 200).contains(&together), "{together} of {expected}");
    // And nobody has to guess.
    let overflow = after.counter("rezolus_cgroup_overflow", &[]);
    assert!(overflow >= CGROUPS - alone.len() as u64, "{overflow}");
    assert_eq!(agent.status()["cgroups"]["overflow"], overflow);
    // With room again, new ones get it.
    cgroups.iter().for_each(Cgroup::remove);
    agent.wait_until("room", Duration::from_secs(5), |agent| {
        agent.snapshot().gauge("rezolus_cgroup_tracked", &[]) < 60
    });
    let mut alone = 0;
    for _ in 0..10 {
        let late = Cgroup::new("late");
        late.run(libc::SYS_timer_delete, CALLS);
        if let Some(found) = shown(&agent.snapshot(), late.id, "timer") {
            assert_eq!(found, (late.name(), CALLS));
            alone += 1;
        }
        late.remove();
    }
    assert!(alone > 5, "{alone} of 10 have a row of their own");
}

#[test]
fn root_rows_are_cleared_while_their_sampler_is_off() {
    const CALLS: u64 = 101;
    let agent = Agent::start_as(&["syscall"], "max_cgroups = 64", "");
    let enough = |name: &str| -> Vec<Cgroup> { (0..60).map(|_| Cgroup::new(name)).collect() };
    let first = enough("first");
    first.iter().for_each(|cgroup| cgroup.run(libc::SYS_getppid, CALLS));
    for off in
        ["[plugins.syscall.samplers.syscall_counts]\nenabled = false", "[plugins.syscall]\nenabled = false"]
    {
        let state = |agent: &Agent| agent.state("syscall_counts");
        agent.configure(off);
        agent.wait_until("off", Duration::from_secs(2), |agent| state(agent) == "disabled");
        first.iter().for_each(Cgroup::remove);
        agent.wait_until("room", Duration::from_secs(5), |agent| {
            agent.snapshot().gauge("rezolus_cgroup_tracked", &[]) < 10
        });
        let second = enough("second");
        agent.configure("");
        agent.wait_until("on", Duration::from_secs(2), |agent| state(agent) == "running");
        let snapshot = agent.snapshot();
        let found: Vec<_> = second.iter().filter_map(|cgroup| shown(&snapshot, cgroup.id, "query")).collect();
        assert!(found.len() > 30 && found.iter().all(|(_, calls)| *calls == 0), "{found:?}");
        second.iter().for_each(|cgroup| cgroup.run(libc::SYS_getppid, CALLS));
        second.iter().for_each(Cgroup::remove);
    }
}

#[test]
fn root_a_renamed_cgroup_keeps_its_numbers() {
    const CALLS: u64 = 103;
    let agent = Agent::start(&["syscall"]);
    let mut cgroup = Cgroup::new("old");
    cgroup.run(libc::SYS_getppid, CALLS);
    let renamed = hierarchy().join(format!("rezolus-renamed-{}", std::process::id()));
    if let Err(error) = fs::rename(&cgroup.path, &renamed) {
        // The unified hierarchy knows no renaming.
        assert!(!hierarchy().ends_with("cpu"), "{error}");
        return;
    }
    cgroup.path = renamed;
    cgroup.run(libc::SYS_getppid, CALLS);
    assert_eq!(shown(&agent.snapshot(), cgroup.id, "query"), Some((cgroup.name(), 2 * CALLS)));
}

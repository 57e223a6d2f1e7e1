//! The recorder when things go wrong around it: killed at any moment, cgroups by
//! the thousand, a clock that is set.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::agent::Agent;
use crate::identity::Cgroup;
use crate::record::{
    MILLISECOND, Recorded, Relay, end, folder, log_of, names, rezolus, signal, start, text, ticks_in,
    ticks_of, wait_until,
};

/// Between no time and so many ms.
fn any_moment(most: u64) -> Duration {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let noise = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    // All of the range, and any moment between two ticks.
    let step = NUMBER.fetch_add(1, Ordering::Relaxed) as u64 % 37 * most / 37;
    Duration::from_millis(step) + Duration::from_micros(u64::from(noise) / 1_000 % (most * 1_000 / 37))
}

/// How many were killed before and after there was a tick, and how many had
/// finished.
#[derive(Default)]
struct Tally {
    early: AtomicUsize,
    recovered: AtomicUsize,
    finished: AtomicUsize,
}

/// Records and kills; checks what is left.
fn kill_one(agent: &Agent, tally: &Tally, ending: bool) {
    let relay = Relay::start();
    relay.lead_to(Some(agent));
    let folder = folder();
    let output = folder.path().join("out.parquet");
    let log = log_of(&output);
    let mut child = start(&["record", &relay.url, text(&output), "-i", "20ms"]);
    wait_until("a log", || fs::read_dir(&log).is_ok_and(|mut files| files.next().is_some()));
    if ending {
        wait_until("ticks", || ticks_of(&log).0 > 3);
        signal(&child, libc::SIGINT);
        thread::sleep(any_moment(150));
    } else {
        thread::sleep(any_moment(300));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The first one asked whether there is an agent. Each of the others was only
    // sent when the answer to the one before was kept; so all but the last, the
    // tick at hand, are there.
    let kept = relay.asked.load(Ordering::SeqCst).saturating_sub(2);
    let there = || format!("{:?} {:?}", names(folder.path()), log.exists().then(|| names(&log)));

    if output.exists() {
        // Complete as soon as it has its name, whether the log is still there or not.
        assert!(ending, "{}", there());
        let times = Recorded::open(&output).times();
        assert!(times.len() >= kept && times.is_sorted_by(|a, b| a < b), "{kept}, not {times:?}");
        tally.finished.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let sealed = names(&log).iter().any(|name| name.ends_with(".parquet"));
    let (whole, last, left) = ticks_of(&log);
    let (code, said) = rezolus(&["recording", "recover", text(&log)]);
    if whole == 0 && !sealed {
        assert_eq!((code, kept), (1, 0), "{said}");
        assert!(said.contains("no ticks"), "{said}");
        tally.early.fetch_add(1, Ordering::Relaxed);
        return;
    }
    assert_eq!(code, 0, "{}: {said}", there());
    // What is cut off is said, and nothing else is.
    assert_eq!(said.is_empty(), left == 0, "{left} bytes left over: {said}");
    let times = Recorded::open(&output).times();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert!(times.len() >= kept, "{kept} ticks, of which {} are left: {}", times.len(), there());
    if !sealed {
        assert_eq!((times.len(), times.last()), (whole, Some(&last)));
    }
    let beside: Vec<String> =
        names(folder.path()).into_iter().filter(|name| name.ends_with(".new")).collect();
    assert!(beside.is_empty(), "left behind: {beside:?}");
    tally.recovered.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn root_killed_anywhere_it_loses_a_tick_at_most() {
    let agent = Agent::start(&["memory"]);
    let tally = Tally::default();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| (0..9).for_each(|run| kill_one(&agent, &tally, run % 3 == 2)));
        }
    });
    let [early, recovered, finished] =
        [&tally.early, &tally.recovered, &tally.finished].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(early + recovered + finished, 180);
    assert!(recovered > 90, "{early} before the first tick, {recovered} recovered, {finished} finished");
}

#[test]
fn root_killed_while_a_segment_is_made_it_loses_none() {
    let agent = Agent::start(&["memory"]);
    thread::scope(|scope| {
        for lane in 0..4u64 {
            let agent = &agent;
            scope.spawn(move || (0..5).for_each(|run| kill_while_sealing(agent, (run * 4 + lane) * 25)));
        }
    });
}

/// Kills a recorder so many ms after its second file began.
fn kill_while_sealing(agent: &Agent, after: u64) {
    const SEGMENT: usize = 1024;
    let folder = folder();
    let output = folder.path().join("out.parquet");
    let log = log_of(&output);
    let mut child = start(&["record", agent.url(), text(&output), "-i", "1ms"]);
    let next = log.join("00000002.ticks");
    let started = Instant::now();
    while !next.exists() {
        assert!(started.elapsed() < Duration::from_secs(30), "no second file: {:?}", names(&log));
        thread::sleep(Duration::from_millis(2));
    }
    // From before it is written to after it has its name.
    thread::sleep(Duration::from_millis(after));
    child.kill().unwrap();
    child.wait().unwrap();
    let there = names(&log);
    let (whole, _, left) = ticks_in(&next);
    let (code, said) = rezolus(&["recording", "recover", text(&log)]);
    assert_eq!(code, 0, "{there:?}: {said}");
    // Killed before anything was in the second file: that is said.
    let empty = fs::metadata(&next).unwrap().len() == 0;
    assert_eq!(said.is_empty(), left == 0 && !empty, "{there:?}: {left} bytes left over: {said}");
    let times = Recorded::open(&output).times();
    assert_eq!(times.len(), SEGMENT + whole, "{after} ms: {there:?}");
    assert!(times.is_sorted_by(|a, b| a < b), "{after} ms: {there:?}");
}

/// Reads a counter's last value in a recording, by id of the cgroup.
fn last_values(recorded: &Recorded, metric: &str, op: &str) -> HashMap<u64, (String, u64)> {
    let mut found = HashMap::new();
    for (at, column) in recorded.0.columns.iter().enumerate() {
        let label = |key: &str| column.metadata.get(key).map(String::as_str);
        if label("metric") == Some(metric) && label("op") == Some(op) {
            let values = recorded.0.read(at + 2).unwrap().0;
            let (Some(id), Some(name)) = (label("id"), label("name")) else { continue };
            let Ok(id) = id.parse() else { continue };
            let last = values.last().map_or(0, |value| *value as u64);
            let before = found.insert(id, (name.to_string(), last));
            assert!(before.is_none(), "two columns of cgroup {id}: {before:?} and {name}");
        }
    }
    found
}

/// The most memory a process has had so far, in KiB.
fn peak(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("it runs");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn root_a_thousand_cgroups_come_and_go_in_a_recording() {
    const CGROUPS: usize = 1000;
    let agent = Agent::start(&["syscall"]);
    let folder = folder();
    let output = folder.path().join("out.parquet");
    let log = log_of(&output);
    let relay = Relay::start();
    relay.lead_to(Some(&agent));
    let child = start(&["record", &relay.url, text(&output), "-i", "250ms"]);
    wait_until("ticks", || ticks_of(&log).0 >= 3);
    // By id: the name, and how many calls its task made, if it had one.
    let made: Mutex<HashMap<u64, (String, u64)>> = Mutex::default();
    thread::scope(|scope| {
        for lane in 0..4 {
            let made = &made;
            scope.spawn(move || {
                for number in 0..CGROUPS / 4 {
                    let cgroup = Cgroup::new("recorded");
                    let calls = if number % 4 == lane { 10 + number as u64 } else { 0 };
                    if calls > 0 {
                        cgroup.run(libc::SYS_getppid, calls);
                    }
                    made.lock().unwrap().insert(cgroup.id, (cgroup.name(), calls));
                    cgroup.remove();
                }
            });
        }
    });
    let seen = ticks_of(&log).0;
    wait_until("more ticks", || ticks_of(&log).0 >= seen + 3);
    let memory = peak(&child);
    signal(&child, libc::SIGINT);
    let (code, said) = end(child);
    assert_eq!(code, 0, "{said}");
    assert_eq!(names(folder.path()), ["out.parquet"]);
    // Some 16 columns for each of them, in debug builds too.
    assert!(memory < 200 << 10, "{memory} KiB");

    let (code, said) = rezolus(&["recording", "verify", text(&output)]);
    assert_eq!(code, 0, "{said}");
    let recorded = Recorded::open(&output);
    // All that were asked for but the first, by which it saw that this is an agent,
    // and one that had not come when it was interrupted.
    let (ticks, asked) = (recorded.times().len(), relay.asked.load(Ordering::SeqCst) - 1);
    assert!(ticks == asked || ticks + 1 == asked, "{ticks} of {asked}");
    let shown = last_values(&recorded, "cgroup_syscall", "query");
    let made = made.into_inner().unwrap();
    assert_eq!(made.len(), CGROUPS);
    let (mut busy, mut found) = (0, 0);
    for (id, (name, calls)) in &made {
        busy += usize::from(*calls > 0);
        let Some((label, value)) = shown.get(id) else { continue };
        assert_eq!(label, name, "the name of {id}");
        // Removed cgroups are shown for two seconds, many ticks: all its calls are there.
        assert!(value == calls, "{name}: {value} of {calls} calls");
        found += usize::from(*calls > 0);
    }
    // A few may find no slot, and are counted together.
    assert!(busy >= 200 && found + 20 >= busy, "{found} of {busy} are in the recording");
    for (id, (name, _)) in &shown {
        assert!(made.contains_key(id) || !name.contains("/rezolus-recorded-"), "{id} is called {name}");
    }
}

/// A clock that is ahead by what a file says: for programs that are told to
/// preload it.
struct Clock {
    library: PathBuf,
    ahead: fs::File,
    path: PathBuf,
}

impl Clock {
    const SHIM: &str = r#"
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <sys/syscall.h>
        #include <time.h>
        #include <unistd.h>

        static volatile long long *ahead;

        __attribute__((constructor)) static void begin(void) {
            int file = open(getenv("CLOCK_AHEAD"), O_RDONLY);
            void *memory = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
            if (memory == MAP_FAILED) abort();
            ahead = memory;
        }

        int clock_gettime(clockid_t clock, struct timespec *time) {
            int result = syscall(SYS_clock_gettime, clock, time);
            if (clock == CLOCK_REALTIME && result == 0 && ahead) time->tv_sec += *ahead;
            return result;
        }
    "#;

    fn make(folder: &Path) -> Self {
        let path = folder.join("ahead");
        fs::write(&path, 0i64.to_ne_bytes()).unwrap();
        let ahead = fs::File::options().write(true).open(&path).unwrap();
        Self { library: compile(Self::SHIM, folder, "clock"), ahead, path }
    }

    fn record(&self, arguments: &[&str]) -> Child {
        record_with(&self.library, &[("CLOCK_AHEAD", &self.path)], arguments)
    }

    fn set(&self, seconds: i64) {
        self.ahead.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}

/// Makes a library of a C source.
fn compile(source: &str, folder: &Path, name: &str) -> PathBuf {
    let (file, library) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
    fs::write(&file, source).unwrap();
    let built = Command::new("gcc").args(["-shared", "-fPIC", "-o"]).args([&library, &file]).status();
    assert!(built.unwrap().success(), "gcc cannot make {}", library.display());
    library
}

/// Starts `rezolus record` with a library in front of libc.
fn record_with(library: &Path, variables: &[(&str, &Path)], arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_rezolus"))
        .arg("record")
        .args(arguments)
        .env_remove("RUST_LOG")
        .env("LD_PRELOAD", library)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Records 40 points of 100 ms while the clock goes forward by 30 s and then back
/// by 60 s.
fn record_while_the_clock_is_set(sources: &[&str]) -> Recorded {
    let folder = folder();
    let clock = Clock::make(folder.path());
    let output = folder.path().join("out.parquet");
    let log = log_of(&output);
    let urls: Vec<&str> = sources.iter().flat_map(|url| ["--url", url]).collect();
    let started = Instant::now();
    let child = clock.record(&[&urls[..], &["-o", text(&output), "-i", "100ms", "-d", "4s"]].concat());
    wait_until("ticks", || ticks_of(&log).0 >= 10);
    clock.set(30);
    wait_until("ticks after that", || ticks_of(&log).0 >= 20);
    clock.set(-30);
    let (code, said) = end(child);
    let took = started.elapsed();
    assert_eq!(code, 0, "{said}");
    // Generous to a busy machine; the clock's steps would be 26 s less or 60 s more.
    assert!((3_500..20_000).contains(&took.as_millis()), "{took:?}: {said}");
    let (code, verified) = rezolus(&["recording", "verify", text(&output)]);
    assert_eq!(code, 0, "{verified}");
    let recorded = Recorded::open(&output);
    let (times, missed) = (recorded.times(), recorded.missed());
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert_eq!(times.len() + missed, 40, "{:?}: {said}", recorded.meta("rezolus.missed"));
    assert!(times.len() >= 21, "{missed} missed: {:?}", recorded.meta("rezolus.missed"));
    recorded
}

#[test]
fn root_a_clock_that_is_set_while_recording() {
    let agent = Agent::start(&["memory"]);
    // One source has its own clock, which nobody set.
    let recorded = record_while_the_clock_is_set(&[agent.url()]);
    assert_eq!(recorded.events("clock"), Vec::<serde_json::Value>::new());
    let times = recorded.times();
    let span = (times[times.len() - 1] - times[0]) / MILLISECOND;
    assert!((3_000..20_000).contains(&span), "{span} ms");

    // Of several, times are those of the recorder's clock.
    let other = agent.url().replace("127.0.0.1", "localhost");
    let recorded = record_while_the_clock_is_set(&[agent.url(), &other]);
    let events = recorded.events("clock");
    let said: Vec<&str> = events.iter().filter_map(|event| event["description"].as_str()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("the clock was set forward by ") && said[1].contains("set back by "),
        "{said:?}"
    );
    let times = recorded.times();
    let jumps: Vec<u64> =
        times.windows(2).map(|pair| (pair[1] - pair[0]) / MILLISECOND).filter(|gap| *gap > 20_000).collect();
    assert!(matches!(jumps[..], [29_000..45_000]), "{jumps:?}");
}

#[test]
fn root_a_disk_that_does_not_sync_is_no_secret() {
    const SHIM: &str = "#include <errno.h>\nint fdatasync(int file) { errno = EIO; return -1; }\n";
    let agent = Agent::start(&["memory"]);
    let folder = folder();
    let library = compile(SHIM, folder.path(), "disk");
    let output = folder.path().join("out.parquet");
    let log = log_of(&output);
    let child = record_with(&library, &[], &[agent.url(), text(&output), "-i", "20ms"]);
    wait_until("ticks", || ticks_of(&log).0 >= 20);
    signal(&child, libc::SIGINT);
    let (code, said) = end(child);
    assert_eq!(said.matches("ticks may not survive a power cut: Input/output error").count(), 1, "{said}");
    // It cannot vouch for the recording either.
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("not written; the ticks are in"), "{said}");
    let (code, said) = rezolus(&["recording", "recover", text(&log)]);
    assert_eq!(code, 0, "{said}");
    assert!(Recorded::open(&output).times().len() >= 20);
}

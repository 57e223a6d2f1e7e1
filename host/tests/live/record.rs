//! The recorder as a program: what is in the file, how it ends, and what is left
//! of it when it does not get to end.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rezolus_modes::log::segment::Segment;
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::fixture::SOON;

pub const MILLISECOND: u64 = 1_000_000;

/// Starts the binary with these arguments.
pub fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_rezolus"))
        .args(arguments)
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Its exit code and errors.
pub fn end(child: Child) -> (i32, String) {
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    (status.code().expect("ends by itself"), String::from_utf8(stderr).unwrap())
}

pub fn rezolus(arguments: &[&str]) -> (i32, String) {
    end(start(arguments))
}

pub fn signal(child: &Child, signal: i32) {
    // SAFETY: a signal to our own child, which has not been waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn folder() -> TempDir {
    tempfile::Builder::new().prefix("rezolus-record-").tempdir().unwrap()
}

/// Waits until a condition holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(10), "not within 10 s: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A finished recording; short ones have one row group, as a segment has.
pub struct Recorded(pub Segment);

impl Recorded {
    pub fn open(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(Segment::open(bytes.into()).unwrap())
    }

    /// ns since the epoch.
    pub fn times(&self) -> Vec<u64> {
        self.0.timestamps().unwrap().into_iter().map(|time| time as u64).collect()
    }

    /// The points of the grid, of so many ms, that the ticks were taken at. Times
    /// are those at which the agent read its numbers: mostly just after the point,
    /// or before it, if somebody else (the recorder, when it began) had just asked.
    pub fn points(&self, grid: u64) -> Vec<u64> {
        let grid = grid * MILLISECOND;
        self.times().into_iter().map(|time| (time + grid / 2) / grid).collect()
    }

    pub fn meta(&self, key: &str) -> Option<Value> {
        self.0.meta(key).map(|text| serde_json::from_str(text).unwrap_or_else(|_| text.into()))
    }

    /// How many ticks could not be taken.
    pub fn missed(&self) -> usize {
        let missed = self.meta("rezolus.missed").unwrap_or_default();
        let ranges = missed.as_array().cloned().unwrap_or_default();
        ranges.iter().map(|range| range[2].as_u64().unwrap() as usize).sum()
    }

    /// The recording's events of a kind.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let events = self.meta("events").unwrap_or_default();
        let all = events["events"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|event| event["kind"] == kind).collect()
    }

    /// By column: whether each row has a value.
    fn present(&self, metric: &str) -> BTreeMap<String, Vec<bool>> {
        let mut found = BTreeMap::new();
        for (at, column) in self.0.columns.iter().enumerate() {
            if column.metadata["metric"] == metric {
                let levels = self.0.read(at + 2).unwrap().1;
                found.insert(column.name.clone(), levels.iter().map(|&level| level > 0).collect());
            }
        }
        found
    }
}

/// All there is in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn root_ticks_are_on_the_grid() {
    let agent = Agent::start(&["memory"]);
    let folder = folder();
    let output = folder.path().join("out.parquet");
    let (code, said) = rezolus(&[
        "record",
        agent.url(),
        text(&output),
        "--interval=100ms",
        "--duration=2s",
        "--metadata=build=17",
    ]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(names(folder.path()), ["out.parquet"], "nothing is left beside it");
    let recorded = Recorded::open(&output);
    let points = recorded.points(100);
    let expected: Vec<u64> = (points[0]..points[0] + 20).collect();
    assert_eq!(points, expected, "{said}");
    assert_eq!(recorded.meta("sampling_interval_ms"), Some(100.into()));
    assert_eq!(recorded.meta("source"), Some("rezolus".into()));
    assert_eq!(recorded.meta("build"), Some(17.into()));
    assert_eq!(recorded.meta("rezolus.missed"), None);
    let present = recorded.present("memory_total");
    assert!(!present.is_empty(), "{:?}", recorded.0.columns);
    assert!(present.values().flatten().all(|present| *present));
}

/// However long the agent shares its snapshots: no two ticks have the same one.
#[test]
fn root_brisk_ticks_are_each_their_own() {
    let agent = Agent::start_as(&["memory"], "ttl = \"1h\"", "");
    let folder = folder();
    let output = folder.path().join("out.parquet");
    let arguments = ["record", agent.url(), text(&output), "--interval=10ms", "--duration=500ms"];
    let (code, said) = rezolus(&arguments);
    assert_eq!(code, 0, "{said}");
    let recorded = Recorded::open(&output);
    let times = recorded.times();
    // Of the same one, times would be as little apart as they can be.
    assert!(times.len() > 1 && times.windows(2).all(|pair| pair[1] - pair[0] > 10_000), "{times:?}");
}

#[test]
fn root_a_command_is_recorded_from_start_to_end() {
    let agent = Agent::start(&["memory"]);
    let folder = folder();
    let output = folder.path().join("out.parquet");
    let record = |more: &[&str]| {
        let fixed = ["record", agent.url(), text(&output), "--force", "-i", "20ms"];
        rezolus(&[&fixed[..], more].concat())
    };
    let (code, said) = record(&["--", "sh", "-c", "sleep 0.4; exit 7"]);
    assert_eq!(code, 7, "{said}");
    let points = Recorded::open(&output).points(20);
    let span = points[points.len() - 1] - points[0];
    assert!((15..=22).contains(&span), "0.4 s are 20 points, not {span}: {said}");

    let (code, said) = record(&["--", "sh", "-c", "sleep 0.1; kill -9 $$"]);
    assert_eq!(code, 128 + 9, "{said}");

    let (code, said) = record(&["--", "/no/such/program"]);
    assert_eq!(code, 1);
    assert!(said.contains("/no/such/program: cannot be started"), "{said}");

    // A child that outlives its parent belongs to the group all the same.
    let pids = folder.path().join("pids");
    let script = format!("sleep 60 & echo $! >{0}; echo $$ >>{0}; wait", text(&pids));
    let started = Instant::now();
    let (code, said) = record(&["-d", "300ms", "--", "sh", "-c", &script]);
    assert_eq!(code, 128 + libc::SIGTERM, "{said}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    let pids = fs::read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), 2);
    wait_until("the group is gone", || pids.lines().all(|pid| !runs(pid)));
    let recorded = Recorded::open(&output);
    assert_eq!(recorded.times().len() + recorded.missed(), 15, "{said}");
}

/// Whether there is such a process that has not ended.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn root_what_exists_is_not_replaced_unasked() {
    let agent = Agent::start(&["memory"]);
    let folder = folder();
    let output = folder.path().join("out.parquet");
    let record = |url: &str, more: &[&str]| {
        rezolus(&[&["record", url, text(&output), "-i", "20ms", "-d", "100ms"], more].concat())
    };
    fs::write(&output, "precious").unwrap();
    let (code, said) = record(agent.url(), &[]);
    assert_eq!(code, 1);
    assert!(said.contains("out.parquet: this file exists") && said.contains("--force"), "{said}");
    assert_eq!(fs::read(&output).unwrap(), b"precious");

    // A recording that cannot begin costs nothing, even if told to replace.
    let log = folder.path().join("out.parquet.log");
    fs::create_dir(&log).unwrap();
    fs::write(log.join("00000001.ticks"), "ticks").unwrap();
    // Of one that was killed while it wrote the output.
    fs::write(folder.path().join("out.parquet.17.new"), "PAR1").unwrap();
    let (code, _) = record("127.0.0.1:1", &["--force"]);
    assert_eq!(code, 1);
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    assert_eq!(fs::read(log.join("00000001.ticks")).unwrap(), b"ticks");

    fs::remove_file(&output).unwrap();
    let (code, said) = record(agent.url(), &[]);
    assert_eq!(code, 1);
    assert!(said.contains("rezolus recording recover") && said.contains("out.parquet.log"), "{said}");

    let (code, said) = record(agent.url(), &["--force"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(names(folder.path()), ["out.parquet"]);
    let recorded = Recorded::open(&output);
    assert_eq!(recorded.times().len() + recorded.missed(), 5, "{said}");
}

#[test]
fn what_is_no_source_is_refused_in_a_sentence() {
    let folder = folder();
    let output = folder.path().join("out.parquet");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let page = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|length| length > 0) {
                    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 22\r\n\r\n\
                                  <html>Welcome!</html>\n";
                    let _ = stream.write_all(answer.as_bytes());
                }
            });
        }
    });
    for (url, word) in
        [("http://127.0.0.1:1", "127.0.0.1:1"), (page.as_str(), "text/html"), ("ftp://x", "ftp")]
    {
        let (code, said) = rezolus(&["record", url, text(&output), "-d", "1s"]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(word) && said.lines().count() <= 2, "{url}: {said}");
        assert!(names(folder.path()).is_empty(), "{url} left something behind");
    }
    let (code, said) = rezolus(&["record", "127.0.0.1:1", text(&output), "-i", "10us"]);
    assert_eq!(code, 1);
    assert!(said.contains("1ms is the least"), "{said}");
}

#[test]
fn root_an_interrupt_ends_it_with_a_file() {
    let agent = Agent::start(&["memory"]);
    for number in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let folder = folder();
        let output = folder.path().join("out.parquet");
        let child = start(&["record", agent.url(), text(&output), "-i", "20ms"]);
        wait_until("ticks", || ticks_of(&log_of(&output)).0 >= 5);
        signal(&child, number);
        let (code, said) = end(child);
        assert_eq!(code, 0, "{said}");
        assert_eq!(names(folder.path()), ["out.parquet"]);
        assert!(Recorded::open(&output).times().len() >= 5);
    }
}

pub fn log_of(output: &Path) -> PathBuf {
    PathBuf::from(format!("{}.log", output.display()))
}

/// By `docs/formats/log.md` and nothing else: whole ticks in a log's open files,
/// the time of the last one, and the bytes after the last whole frame.
pub fn ticks_of(log: &Path) -> (usize, u64, usize) {
    let (mut count, mut time, mut left) = (0, 0, 0);
    for entry in fs::read_dir(log).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "ticks") {
            let (more, last, rest) = ticks_in(&entry.path());
            (count, time, left) = (count + more, time.max(last), left + rest);
        }
    }
    (count, time, left)
}

/// The same of one file.
pub fn ticks_in(path: &Path) -> (usize, u64, usize) {
    let (mut count, mut time) = (0, 0);
    let bytes = fs::read(path).unwrap_or_default();
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let Some(body) = after.get(4..4 + u32::from_le_bytes(*length) as usize) else { break };
        if body[0] == b'T' {
            count += 1;
            time = u64::from_le_bytes(body[1..9].try_into().unwrap());
        }
        rest = &rest[8 + body.len()..];
    }
    (count, time, rest.len())
}

/// An address that leads to one agent after the other, or to none.
pub struct Relay {
    pub url: String,
    target: Arc<Mutex<Option<String>>>,
    /// How many snapshots were asked for.
    pub asked: Arc<AtomicUsize>,
}

impl Relay {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target: Arc<Mutex<Option<String>>> = Arc::default();
        let ours = target.clone();
        let asked: Arc<AtomicUsize> = Arc::default();
        let count = asked.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let target = ours.lock().unwrap().clone();
                let Some(far) = target.and_then(|target| TcpStream::connect(target).ok()) else { continue };
                for (from, to, count) in [
                    (near.try_clone().unwrap(), far.try_clone().unwrap(), Some(count.clone())),
                    (far.try_clone().unwrap(), near.try_clone().unwrap(), None),
                ] {
                    thread::spawn(move || Self::copy(from, to, count.as_deref()));
                }
            }
        });
        Self { url, target, asked }
    }

    /// Requests come in one piece each.
    fn copy(mut from: TcpStream, mut to: TcpStream, count: Option<&AtomicUsize>) {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            if let Some(count) = count
                && bytes.starts_with(b"GET /metrics/binary ")
            {
                count.fetch_add(1, Ordering::SeqCst);
            }
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    pub fn lead_to(&self, agent: Option<&Agent>) {
        let address = agent.map(|agent| agent.url().trim_start_matches("http://").to_string());
        *self.target.lock().unwrap() = address;
    }
}

#[test]
fn root_an_agent_that_restarts_leaves_a_gap_and_events() {
    let relay = Relay::start();
    let agent = Agent::start(&["memory"]);
    relay.lead_to(Some(&agent));
    let folder = folder();
    let output = folder.path().join("out.parquet");
    let log = log_of(&output);
    let child = start(&["record", &relay.url, text(&output), "-i", "50ms"]);
    wait_until("ticks", || ticks_of(&log).0 >= 10);
    relay.lead_to(None);
    drop(agent);
    thread::sleep(Duration::from_millis(300));
    let before = ticks_of(&log).0;
    let agent = Agent::start(&["memory"]);
    relay.lead_to(Some(&agent));
    wait_until("more ticks", || ticks_of(&log).0 >= before + 10);
    signal(&child, libc::SIGINT);
    let (code, said) = end(child);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("does not answer") && said.contains("is back after"), "{said}");

    let recorded = Recorded::open(&output);
    let points = recorded.points(50);
    assert!(points.is_sorted_by(|a, b| a < b), "{points:?}");
    let gap = points.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gap > 5, "{points:?}");
    for kind in ["gap", "restart"] {
        let events = recorded.events(kind);
        assert_eq!(events.len(), 1, "{kind}: {:?}", recorded.meta("events"));
        assert_eq!(events[0]["source"], "rezolus");
        let after = points[before] * 50 * MILLISECOND;
        let at = events[0]["timestamp"].as_u64().unwrap();
        assert!(at.abs_diff(after) <= 50 * MILLISECOND, "{kind} at {at}, back at {after}");
    }
    // What is there and what is missing are all there could have been.
    let span = points[points.len() - 1] - points[0] + 1;
    let missed = recorded.missed() as u64;
    assert!(missed > 5, "{missed}");
    let all = points.len() as u64 + missed;
    // The point at which it is interrupted may be asked for and not have come.
    assert!(all == span || all == span + 1, "{} and {missed} of {span}", points.len());
}

#[test]
fn root_a_plugin_that_is_switched_off_leaves_its_columns() {
    let agent = Agent::start(&["memory", "tcp"]);
    let folder = folder();
    let output = folder.path().join("out.parquet");
    let log = log_of(&output);
    let child = start(&["record", agent.url(), text(&output), "-i", "50ms"]);
    wait_until("ticks", || ticks_of(&log).0 >= 5);
    agent.configure("[plugins.memory]\nenabled = false");
    agent.wait_until("off", SOON, |agent| agent.plugin_state("memory") == "disabled");
    let off = ticks_of(&log).0;
    wait_until("ticks without it", || ticks_of(&log).0 >= off + 5);
    agent.configure("");
    agent.wait_until("on", SOON, |agent| agent.plugin_state("memory") == "running");
    let on = ticks_of(&log).0;
    wait_until("ticks with it again", || ticks_of(&log).0 >= on + 5);
    signal(&child, libc::SIGINT);
    let (code, said) = end(child);
    assert_eq!(code, 0, "{said}");

    let recorded = Recorded::open(&output);
    let memory = recorded.present("memory_total");
    assert_eq!(memory.len(), 1, "the same column after as before: {:?}", memory.keys());
    let memory = memory.into_values().next().unwrap();
    assert!(memory[..4].iter().all(|present| *present), "{memory:?}");
    assert!(memory[off + 1..off + 4].iter().all(|present| !present), "{off}: {memory:?}");
    assert!(memory[on + 2..].iter().all(|present| *present), "{on}: {memory:?}");
    // The other plugin never noticed.
    let others = recorded.present("tcp_bytes");
    assert!(!others.is_empty());
    assert!(others.values().flatten().all(|present| *present));
}

/// A file system with little room; gone when dropped.
struct Small(TempDir);

impl Small {
    fn mount(bytes: usize) -> Self {
        let folder = folder();
        let place = CString::new(text(folder.path())).unwrap();
        let options = CString::new(format!("size={bytes}")).unwrap();
        let tmpfs = c"tmpfs".as_ptr();
        // SAFETY: strings that end, all of them live.
        let result = unsafe { libc::mount(tmpfs, place.as_ptr(), tmpfs, 0, options.as_ptr().cast()) };
        assert_eq!(result, 0, "mount: {}", std::io::Error::last_os_error());
        Self(folder)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let place = CString::new(text(self.0.path())).unwrap();
        // SAFETY: a string that ends, and is live.
        unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
    }
}

/// Reads what a recorder says until these words.
fn hear(from: &mut impl BufRead, words: &str) {
    let mut said = String::new();
    while !said.contains(words) {
        assert_ne!(from.read_line(&mut said).unwrap(), 0, "it ended without {words:?}: {said}");
    }
}

#[test]
fn root_a_full_disk_costs_ticks_and_nothing_else() {
    let agent = Agent::start(&["memory"]);
    let (small, elsewhere) = (Small::mount(300 << 10), folder());
    let output = small.0.path().join("out.parquet");
    let log = log_of(&output);
    let mut child = start(&["record", agent.url(), text(&output), "-i", "10ms"]);
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    hear(&mut errors, "ticks cannot be kept");
    thread::sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    signal(&child, libc::SIGINT);
    hear(&mut errors, "not written; the ticks are in");
    assert_eq!(end(child).0, 1);
    assert_eq!(names(small.0.path()), ["out.parquet.log"]);

    let (whole, _, left) = ticks_of(&log);
    assert_eq!(left, 0, "a tick that did not fit is taken back");
    let rescued = elsewhere.path().join("rescued.parquet");
    let (code, said) = rezolus(&["recording", "recover", text(&log), "-o", text(&rescued)]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(Recorded::open(&rescued).times().len(), whole);
    assert!(whole > 5, "{whole}");
}

#[test]
fn root_room_that_is_made_is_used() {
    let agent = Agent::start(&["memory"]);
    let small = Small::mount(2 << 20);
    let ballast = small.0.path().join("ballast");
    fs::write(&ballast, vec![0; 1800 << 10]).unwrap();
    let output = small.0.path().join("out.parquet");
    let log = log_of(&output);
    let mut child = start(&["record", agent.url(), text(&output), "-i", "10ms"]);
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    hear(&mut errors, "ticks cannot be kept");
    fs::remove_file(&ballast).unwrap();
    hear(&mut errors, "ticks are kept again");
    let before = ticks_of(&log).0;
    wait_until("more ticks", || ticks_of(&log).0 >= before + 10);
    signal(&child, libc::SIGINT);
    assert_eq!(end(child).0, 0);
    assert_eq!(names(small.0.path()), ["out.parquet"]);
    let recorded = Recorded::open(&output);
    assert!(recorded.times().len() >= before + 10);
    let missed = recorded.meta("rezolus.missed").unwrap().to_string();
    assert!(missed.contains("No space left"), "{missed}");
}

#[test]
fn root_two_sources_go_into_one_file() {
    let agent = Agent::start(&["memory"]);
    let folder = folder();
    let output = folder.path().join("out.parquet");
    let other = agent.url().replace("127.0.0.1", "localhost");
    let (code, said) = rezolus(&[
        "record",
        "--url",
        agent.url(),
        "--url",
        &other,
        "-o",
        text(&output),
        "--interval=100ms",
        "--duration=1s",
    ]);
    assert_eq!(code, 0, "{said}");
    let recorded = Recorded::open(&output);
    assert_eq!(recorded.times().len(), 10);
    // Of several sources none has the time: it is that of the grid.
    assert!(recorded.times().iter().all(|time| time % (100 * MILLISECOND) == 0));
    let port = agent.url().rsplit_once(':').unwrap().1;
    let names = [format!("127.0.0.1-{port}"), format!("localhost-{port}")];
    assert_eq!(recorded.meta("source"), Some(serde_json::json!(names)));
    for (name, url) in names.iter().zip([agent.url(), &other]) {
        let column =
            recorded.0.columns.iter().find(|column| {
                column.metadata["metric"] == "memory_total" && column.metadata["source"] == *name
            });
        let column = column.unwrap_or_else(|| panic!("no memory_total of {name}"));
        assert_eq!(column.name, format!("{name}::memory_total"));
        assert!(column.metadata["endpoint"].starts_with(url), "{:?}", column.metadata);
        assert!(recorded.meta("per_source_metadata").unwrap()[name]["version"].is_string());
    }
    assert!(recorded.present("memory_total").values().flatten().all(|present| *present));
}

//! Hindsight inside the agent and alone: what it holds, what it hands out, and
//! what it does when things end, fill up or go away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::Int64Type;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;

use crate::agent::{Agent, Mode, get};

/// A Parquet file that somebody handed out.
struct Dump {
    /// ns since the epoch.
    timestamps: Vec<i64>,
    columns: Vec<String>,
    events: Vec<Value>,
}

impl Dump {
    fn parse(bytes: Vec<u8>) -> Self {
        let file = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let about = file.metadata().file_metadata();
        let columns = about.schema().get_fields().iter().map(|field| field.name().to_string()).collect();
        let pairs = about.key_value_metadata().unwrap();
        let events = pairs.iter().find(|pair| pair.key == "events").map_or_else(Vec::new, |pair| {
            let events: Value = serde_json::from_str(pair.value.as_ref().unwrap()).unwrap();
            events["events"].as_array().unwrap().clone()
        });
        let mut timestamps = Vec::new();
        for at in 0..file.num_row_groups() {
            let group = file.get_row_group(at).unwrap();
            let mut reader = get_typed_column_reader::<Int64Type>(group.get_column_reader(0).unwrap());
            let rows = group.metadata().num_rows() as usize;
            reader.read_records(rows, None, None, &mut timestamps).unwrap();
        }
        assert_eq!(timestamps.len() as i64, about.num_rows());
        assert!(timestamps.is_sorted_by(|a, b| a < b), "time goes up: {timestamps:?}");
        Self { timestamps, columns, events }
    }

    fn get(url: &str) -> Self {
        let (code, bytes) = request("GET", url);
        assert_eq!(code, 200, "{url}: {}", String::from_utf8_lossy(&bytes));
        Self::parse(bytes)
    }

    fn rows(&self) -> usize {
        self.timestamps.len()
    }

    /// The longest time between two ticks.
    fn longest(&self) -> Duration {
        let longest = self.timestamps.windows(2).map(|pair| (pair[1] - pair[0]) as u64).max();
        Duration::from_nanos(longest.unwrap_or(0))
    }

    fn has(&self, metric: &str) -> bool {
        self.columns.iter().any(|column| column.split(['/', '~', ':', '{']).next() == Some(metric))
    }
}

fn request(method: &str, url: &str) -> (u16, Vec<u8>) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .build()
        .into();
    let response = if method == "GET" { agent.get(url).call() } else { agent.post(url).send_empty() };
    let mut response = response.unwrap_or_else(|error| panic!("{url}: {error}"));
    let body = response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
    (response.status().as_u16(), body)
}

fn json(method: &str, url: &str) -> Value {
    let (code, body) = request(method, url);
    assert_eq!(code, 200, "{url}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

fn status(url: &str) -> Value {
    json("GET", &format!("{url}/status"))
}

/// Waits until the status is as wanted, and returns it.
fn wait_for(url: &str, what: &str, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let status = status(url);
        if wanted(&status) {
            return status;
        }
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}\n{status:#}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn rows(wanted: u64) -> impl Fn(&Value) -> bool {
    move |status| status["rows"].as_u64().unwrap() >= wanted
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

fn seconds(nanos: i64) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// A folder of a test's own.
fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("rezolus-live-").tempdir().unwrap()
}

fn section(folder: &Path, keys: &str) -> String {
    let folder = folder.display();
    format!(
        "[hindsight]\nenabled = true\nlisten = \"127.0.0.1:0\"\nfolder = \"{folder}/buffer\"\n\
         output = \"{folder}/out-{{host}}-%Y.parquet\"\n{keys}\n"
    )
}

fn written(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("out-")).collect();
    files.sort();
    files
}

#[test]
fn root_the_buffer_is_handed_out() {
    let folder = scratch();
    let agent = Agent::start_with(&["memory"], &section(folder.path(), "interval = \"100ms\""));
    let url = agent.mode("hindsight");
    let state = wait_for(&url, "25 ticks", Duration::from_secs(10), rows(25));
    assert_eq!((&state["interval_ms"], &state["trouble"]), (&100.into(), &Value::Null), "{state:#}");
    assert!(state["bytes"].as_u64().unwrap() > 0, "{state:#}");

    let last = Dump::get(&format!("{url}/dump?last=1s"));
    assert!((9..=11).contains(&last.rows()), "{} ticks in a second", last.rows());
    assert!(last.timestamps[0] > now() - 1_500_000_000);
    assert!(last.has("memory_total"), "{:?}", last.columns);

    // Both ends are included, to the nanosecond.
    let all = Dump::get(&format!("{url}/dump"));
    let (start, end) = (all.timestamps[3], all.timestamps[12]);
    let part = Dump::get(&format!("{url}/dump?start={}&end={}", seconds(start), seconds(end)));
    assert_eq!(part.timestamps, all.timestamps[3..=12]);
    let inner = Dump::get(&format!("{url}/dump?start={}&end={}", seconds(start + 1), seconds(end - 1)));
    assert_eq!(inner.timestamps, all.timestamps[4..12]);

    for (span, words) in [
        ("last=soon", "5m"),
        ("last=1s&start=5", "combined"),
        ("start=20&end=10", "after"),
        ("end=yesterday", "2026-"),
        ("lats=1s", "lats"),
    ] {
        for (method, path) in [("GET", "dump"), ("POST", "dump/file")] {
            let (code, body) = request(method, &format!("{url}/{path}?{span}"));
            let body = String::from_utf8(body).unwrap();
            assert!(code == 400 && body.contains(words), "{path}?{span}: {code} {body}");
        }
    }
    let (code, body) = request("GET", &format!("{url}/dump?end=10"));
    assert_eq!((code, String::from_utf8(body).unwrap().as_str()), (404, "there are no ticks in this time\n"));
}

#[test]
fn root_recordings_are_written_by_request_and_by_signal() {
    let folder = scratch();
    let agent = Agent::start_with(&["memory"], &section(folder.path(), "interval = \"100ms\""));
    let url = agent.mode("hindsight");
    wait_for(&url, "10 ticks", Duration::from_secs(10), rows(10));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let dumped = json("POST", &format!("{url}/dump/file?last=500ms"));
    let path = PathBuf::from(dumped["path"].as_str().unwrap());
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&format!("out-{}-20", host.trim())), "{name}");
    let dump = Dump::parse(fs::read(&path).unwrap());
    assert_eq!(dump.rows() as u64, dumped["rows"].as_u64().unwrap());
    assert!((4..=6).contains(&dump.rows()), "{}", dump.rows());
    assert_eq!(dumped["bytes"].as_u64().unwrap(), fs::metadata(&path).unwrap().len());

    agent.signal(libc::SIGHUP);
    agent.wait_until("a second file", Duration::from_secs(10), |agent| {
        written(folder.path()).len() == 2 && agent.log().contains("ticks written to")
    });
    agent.wait_until("the word about it", Duration::from_secs(5), |agent| {
        agent.log().matches("ticks written to").count() == 2
    });
    let files = written(folder.path());
    let other = files.iter().find(|file| **file != path).unwrap();
    assert!(Dump::parse(fs::read(other).unwrap()).rows() >= 10);
}

#[test]
fn root_dumps_do_not_disturb_sampling() {
    let folder = scratch();
    let agent = Agent::start_with(&["cpu", "memory"], &section(folder.path(), "interval = \"250ms\""));
    let url = agent.mode("hindsight");
    wait_for(&url, "8 ticks", Duration::from_secs(10), rows(8));
    // An interval that other tests on the same two cores leave room for.
    for _ in 0..4 {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| Dump::get(&format!("{url}/dump")));
            }
        });
    }
    let state = status(&url);
    assert_eq!(state["ticks_missed"], 0, "{state:#}");
    let dump = Dump::get(&format!("{url}/dump"));
    assert!(dump.longest() < Duration::from_millis(500), "{:?}", dump.longest());
    let left: Vec<_> = fs::read_dir(folder.path().join("buffer"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn root_the_buffer_survives_a_kill() {
    let folder = scratch();
    let config = section(folder.path(), "interval = \"50ms\"\nduration = \"10m\"");
    let mut agent = Agent::start_with(&["memory"], &config);
    let url = agent.mode("hindsight");
    wait_for(&url, "20 ticks", Duration::from_secs(10), rows(20));
    let before = Dump::get(&format!("{url}/dump"));
    // What a dump that was interrupted leaves behind.
    let leftovers = ["buffer/dump-1-0.tmp", "buffer/dump-1-0.tmp.1.new"].map(|name| folder.path().join(name));
    leftovers.iter().for_each(|path| fs::write(path, b"part").unwrap());
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let output = folder.path().join(format!("out-{}-2026.parquet.1.new", host.trim()));
    fs::write(&output, b"part").unwrap();
    agent.kill_and_start();
    let again = now();
    let url = agent.mode("hindsight");
    wait_for(&url, "more ticks", Duration::from_secs(10), rows(before.rows() as u64 + 10));
    let dump = Dump::get(&format!("{url}/dump"));
    assert_eq!(dump.timestamps[..before.rows()], before.timestamps, "the first run's ticks");
    assert!(dump.timestamps.iter().filter(|&&at| at > again - 500_000_000).count() >= 9, "the second's");
    let starts = |event: &&Value| event["description"].as_str().unwrap().contains("started again");
    let starts: Vec<_> = dump.events.iter().filter(starts).collect();
    assert_eq!(starts.len(), 1, "{:?}", dump.events);
    assert_eq!(starts[0]["kind"], "gap");
    assert!(leftovers.iter().all(|path| !path.exists()));
    // That of another output goes with the next.
    assert_eq!(request("POST", &format!("{url}/dump/file")).0, 200);
    assert!(!output.exists());

    // The folder is in use.
    let other = folder.path().join("other.toml");
    fs::write(&other, section(folder.path(), "")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rezolus")).arg("hindsight").arg(&other).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("filled by another process"), "{said}");
}

#[test]
fn root_duration_bounds_the_buffer() {
    let folder = scratch();
    let agent =
        Agent::start_with(&["memory"], &section(folder.path(), "interval = \"20ms\"\nduration = \"2s\""));
    let url = agent.mode("hindsight");
    thread::sleep(Duration::from_secs(6));
    let state = status(&url);
    let retained = state["retained_seconds"].as_f64().unwrap();
    // A whole segment, which here is of a second, is deleted at a time.
    assert!((1.9..3.5).contains(&retained), "{state:#}");
    assert!(Dump::get(&format!("{url}/dump")).rows() as f64 > retained * 40.0, "{state:#}");
}

/// What a folder's files take.
fn size(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().flatten().map(|entry| entry.metadata().map_or(0, |found| found.len())).sum()
}

#[test]
fn root_max_size_bounds_the_buffer() {
    let folder = scratch();
    let keys = "interval = \"5ms\"\nduration = \"1h\"\nmax_size = \"1MiB\"";
    let agent = Agent::start_with(&["cpu", "memory", "syscall"], &section(folder.path(), keys));
    let url = agent.mode("hindsight");
    let limit = Duration::from_secs(40);
    let is_dropping = |state: &Value| {
        let (rows, recorded) = (state["rows"].as_u64().unwrap(), state["ticks_recorded"].as_u64().unwrap());
        rows < recorded
    };
    wait_for(&url, "the oldest is dropped", limit, is_dropping);
    let buffer = folder.path().join("buffer");
    for _ in 0..50 {
        let (state, size) = (status(&url), size(&buffer));
        // More by the tick at hand, and by a segment that is being written.
        assert!(size < 1_400_000, "{size}\n{state:#}");
        assert!(state["trouble"].is_null(), "{state:#}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A file system of its own, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(mounted.success(), "cannot mount {}", path.display());
        Self(path)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn root_a_full_disk_costs_the_oldest() {
    let folder = scratch();
    let _disk = Tmpfs::mount(folder.path().join("buffer"), "1m");
    let config = section(folder.path(), "interval = \"5ms\"\nduration = \"1h\"");
    let mut agent = Agent::start_with(&["cpu", "memory", "syscall"], &config);
    let url = agent.mode("hindsight");
    let full = |state: &Value| state["rows"].as_u64() < state["ticks_recorded"].as_u64();
    wait_for(&url, "the oldest went", Duration::from_secs(40), full);
    let before = status(&url)["ticks_recorded"].as_u64().unwrap();
    let goes_on = move |state: &Value| state["ticks_recorded"].as_u64().unwrap() > before + 50;
    wait_for(&url, "more ticks", Duration::from_secs(10), goes_on);

    // Something else takes the rest.
    let hog = folder.path().join("buffer/hog");
    let _ = fs::write(&hog, vec![0; 1 << 20]);
    thread::sleep(Duration::from_secs(1));
    agent.kill_and_start();
    let url = agent.mode("hindsight");
    wait_for(&url, "trouble", Duration::from_secs(10), |state| {
        state["trouble"].is_string() || state["ticks_recorded"].as_u64().unwrap() > 0
    });
    fs::remove_file(&hog).unwrap();
    let fine = |state: &Value| state["trouble"].is_null() && state["ticks_recorded"].as_u64().unwrap() > 20;
    wait_for(&url, "it goes on when there is room", Duration::from_secs(10), fine);
    // A recording needs room too: there is one, or the reason why not.
    match request("GET", &format!("{url}/dump?last=1s")) {
        (200, bytes) => assert!(Dump::parse(bytes).rows() > 0),
        (code, body) => {
            let why = String::from_utf8(body).unwrap();
            assert!(code == 503 && why.contains("No space left"), "{code} {why}");
        }
    }
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
}

#[test]
fn root_a_full_disk_costs_a_dump_but_no_ticks() {
    let scratch = scratch();
    let disk = Tmpfs::mount(scratch.path().join("disk"), "16m");
    let folder = disk.0.clone();
    let config = section(&folder, "interval = \"100ms\"\nduration = \"1h\"");
    let agent = Agent::start_with(&["cpu", "memory", "syscall"], &config);
    let url = agent.mode("hindsight");
    wait_for(&url, "10 ticks", Duration::from_secs(20), rows(10));
    // Something takes all but a little, which ticks fit into and a recording does not.
    let hog = folder.join("hog");
    let _ = fs::write(&hog, vec![0; 16 << 20]);
    let file = fs::File::options().write(true).open(&hog).unwrap();
    file.set_len(file.metadata().unwrap().len() - (32 << 10)).unwrap();

    for (method, path) in [("GET", "dump"), ("POST", "dump/file")] {
        let before = status(&url)["ticks_recorded"].as_u64().unwrap();
        let (code, body) = request(method, &format!("{url}/{path}"));
        let why = String::from_utf8_lossy(&body);
        assert!(code == 503 && why.contains("No space left"), "{path}: {code} {why}");
        let goes_on = move |state: &Value| state["ticks_recorded"].as_u64().unwrap() >= before + 5;
        wait_for(&url, "ticks after it", Duration::from_secs(10), goes_on);
        assert_eq!(written(&folder), Vec::<PathBuf>::new(), "{path}");
        let left = fs::read_dir(folder.join("buffer")).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name.to_str().unwrap().starts_with("dump-")).collect();
        assert!(left.is_empty(), "{path}: {left:?}");
    }
    drop(file);
    fs::remove_file(&hog).unwrap();
    assert!(Dump::get(&format!("{url}/dump")).rows() > 0);
    let (code, body) = request("POST", &format!("{url}/dump/file"));
    assert_eq!(code, 200, "{}", String::from_utf8_lossy(&body));
    assert_eq!(written(&folder).len(), 1);
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
}

#[test]
fn root_what_is_damaged_is_deleted_in_its_turn() {
    // By size: three damaged files are more than there may be.
    let folder = scratch();
    let buffer = folder.path().join("buffer");
    let damaged = |number: u32, extension: &str, bytes: usize| {
        fs::create_dir_all(&buffer).unwrap();
        fs::write(buffer.join(format!("{number:08}{extension}")), vec![0; bytes]).unwrap();
    };
    // Put aside already, to be put aside now, and two of one number.
    damaged(1, ".damaged", 400 << 10);
    damaged(1, "-0123abcd.damaged", 400 << 10);
    damaged(2, "-0123abcd.parquet", 400 << 10);
    damaged(3, ".ticks", 100 << 10);
    let config = section(folder.path(), "interval = \"20ms\"\nduration = \"1h\"\nmax_size = \"1MiB\"");
    let agent = Agent::start_with(&["memory"], &config);
    let url = agent.mode("hindsight");
    let state = wait_for(&url, "ticks", Duration::from_secs(10), rows(10));
    let there = || -> Vec<String> {
        let entries = fs::read_dir(&buffer).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = entries.filter(|name| name.ends_with(".damaged")).collect();
        names.sort();
        names
    };
    assert_eq!(there(), ["00000002-0123abcd.damaged", "00000003.damaged"], "{state:#}");
    assert!((500 << 10..1 << 20).contains(&state["bytes"].as_u64().unwrap()), "{state:#}");
    drop(agent);

    // By age: what comes after it is too old.
    let config = section(folder.path(), "interval = \"20ms\"\nduration = \"1s\"");
    let agent = Agent::start_with(&["memory"], &config);
    agent.wait_until("no damaged files", Duration::from_secs(20), |_| there().is_empty());
    assert!(Dump::get(&format!("{}/dump", agent.mode("hindsight"))).rows() > 0);
}

#[test]
fn root_alone_it_outlives_the_agent() {
    // A port that stays the same when the agent comes back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut agent = Agent::start_as(&["memory"], &format!("listen = \"127.0.0.1:{port}\""), "");
    let url = agent.url().to_string();
    let config = format!(
        "[hindsight]\nlisten = \"127.0.0.1:0\"\ninterval = \"100ms\"\nsource = \"{url}\"\n\
         folder = \"{{folder}}/buffer\"\noutput = \"{{folder}}/out.parquet\"\n"
    );
    let mut hindsight = Mode::start("hindsight", &config);
    wait_for(&hindsight.url, "10 ticks", Duration::from_secs(10), rows(10));
    let dump = Dump::get(&format!("{}/dump", hindsight.url));
    assert!(dump.has("memory_total"), "{:?}", dump.columns);
    agent.signal(libc::SIGTERM);
    agent.wait_for_end(Duration::from_secs(5));
    wait_for(&hindsight.url, "trouble", Duration::from_secs(5), |state| state["trouble"].is_string());
    // There still is a recording to be had.
    assert!(Dump::get(&format!("{}/dump", hindsight.url)).rows() >= 10);
    thread::sleep(Duration::from_millis(500));
    let held = status(&hindsight.url)["rows"].as_u64().unwrap();
    agent.start_again();
    let back = |state: &Value| state["trouble"].is_null() && state["rows"].as_u64().unwrap() >= held + 5;
    let state = wait_for(&hindsight.url, "ticks again", Duration::from_secs(10), back);
    assert!(state["ticks_missed"].as_u64().unwrap() >= 4, "{state:#}");
    let dump = Dump::get(&format!("{}/dump", hindsight.url));
    assert!(dump.longest() >= Duration::from_millis(500), "{:?}", dump.longest());
    assert!(dump.events.iter().any(|event| event["kind"] == "gap"), "{:?}", dump.events);
    assert!(hindsight.runs());
    assert_eq!(get(&format!("{}/none", hindsight.url)).0, 404);
}

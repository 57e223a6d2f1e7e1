//! Starting the agent with some of the plugins, and reading what it says.

// Not every test uses all of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The seven categories.
pub const ALL: [&str; 7] = ["blockio", "cpu", "memory", "network", "scheduler", "syscall", "tcp"];

/// Buckets of the agent's histograms.
pub const BUCKETS: usize = 496;

/// A running agent; ended when dropped.
pub struct Agent {
    child: Child,
    url: String,
    folder: TempDir,
    /// Keys of its own for the `[agent]` section.
    own: String,
}

impl Agent {
    /// Starts an agent with these plugins and waits until it serves.
    pub fn start(plugins: &[&str]) -> Self {
        Self::start_with(plugins, "")
    }

    /// As [`start`](Self::start), with more configuration (sections other than
    /// `[agent]`).
    pub fn start_with(plugins: &[&str], config: &str) -> Self {
        Self::start_as(plugins, "", config)
    }

    /// As [`start_with`](Self::start_with), with keys for `[agent]`.
    pub fn start_as(plugins: &[&str], own: &str, config: &str) -> Self {
        // SAFETY: geteuid has no preconditions.
        let user = unsafe { libc::geteuid() };
        assert_eq!(user, 0, "these tests load eBPF programs: run them as root");
        let folder = tempfile::Builder::new().prefix("rezolus-live-").tempdir().unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        fs::set_permissions(folder.path().join("plugins"), fs::Permissions::from_mode(0o755)).unwrap();
        for name in plugins {
            install(&built(name), &folder.path().join(format!("plugins/{name}.so")));
        }
        write_config(folder.path(), own, config);
        let (child, url) = launch(&[], folder.path());
        Self { child, url, folder, own: own.to_string() }
    }

    /// Kills the agent as the kernel would, and starts it again in its folder.
    pub fn kill_and_start(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.start_again();
    }

    /// Starts an agent that has ended again, in its folder.
    pub fn start_again(&mut self) {
        (self.child, self.url) = launch(&[], self.folder.path());
    }

    /// Where a mode inside the agent serves, as its log says.
    pub fn mode(&self, name: &str) -> String {
        let words = format!("{name}: serving on ");
        wait_for(&words, &self.folder.path().join("log"), || None)
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder the agent watches.
    pub fn plugin_dir(&self) -> PathBuf {
        self.folder.path().join("plugins")
    }

    /// A folder for the test's own files; removed with the agent.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces the configuration but for its `[agent]` section.
    pub fn configure(&self, config: &str) {
        write_config(self.folder.path(), &self.own, config);
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    pub fn signal(&self, number: i32) {
        signal(&self.child, number);
    }

    /// Waits until the agent has ended by itself.
    pub fn wait_for_end(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the agent did not end within {limit:?}\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn log(&self) -> String {
        log(self.folder.path())
    }

    /// GET, with the status code.
    pub fn get(&self, path: &str) -> (u16, String) {
        get(&format!("{}{path}", self.url))
    }

    pub fn json(&self, path: &str) -> Value {
        let (code, text) = self.get(path);
        assert_eq!(code, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub fn status(&self) -> Value {
        self.json("/status")
    }

    /// The status of one plugin, by name.
    pub fn plugin(&self, name: &str) -> Option<Value> {
        self.status()["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == name).cloned()
    }

    /// The state of a plugin; "" if there is none of this name.
    pub fn plugin_state(&self, name: &str) -> String {
        self.plugin(name).map(|plugin| text(&plugin["state"])).unwrap_or_default()
    }

    /// The state of a sampler.
    pub fn state(&self, sampler: &str) -> String {
        text(&self.sampler(sampler)["state"])
    }

    /// The status of one sampler.
    pub fn sampler(&self, name: &str) -> Value {
        let status = self.status();
        let found = status["plugins"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|plugin| plugin["samplers"].as_array().unwrap())
            .find(|sampler| sampler["name"] == name)
            .cloned();
        found.unwrap_or_else(|| panic!("no sampler {name} in {status:#}"))
    }

    pub fn snapshot(&self) -> Snapshot {
        // Past the time for which the agent shares a snapshot.
        thread::sleep(Duration::from_millis(20));
        Snapshot::parse(&self.json("/metrics/json"))
    }

    /// What `load` did to the metrics.
    pub fn delta(&self, load: impl FnOnce()) -> Delta {
        let before = self.snapshot();
        load();
        Delta { before, after: self.snapshot() }
    }

    /// Waits until a condition holds, and fails with the log if it does not.
    pub fn wait_until(&self, what: &str, limit: Duration, mut condition: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !condition(self) {
            assert!(
                started.elapsed() < limit,
                "not within {limit:?}: {what}\n{:#}\n{}",
                self.status()["plugins"],
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        end(&mut self.child, self.folder.path());
    }
}

/// Ends what was started in a folder, which has to heed SIGTERM.
fn end(child: &mut Child, folder: &Path) {
    if let Ok(Some(_)) = child.try_wait() {
        return;
    }
    signal(child, libc::SIGTERM);
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if let Ok(Some(_)) = child.try_wait() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    if !thread::panicking() {
        panic!("it did not end within 5 s of SIGTERM\n{}", log(folder));
    }
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: a signal to our own child, which has not been waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap()
}

/// A plugin of this build.
pub fn built(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_rezolus")).parent().unwrap();
    let path = folder.join(format!("lib{name}.so"));
    assert!(
        path.exists(),
        "{} is not built: run `make test`, or `cargo build --workspace` first",
        path.display()
    );
    path
}

/// Puts a file in place as a package manager would: complete, by rename.
pub fn install(from: &Path, to: &Path) {
    let aside = to.with_extension("new");
    fs::copy(from, &aside).unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(&aside, to).unwrap();
}

pub fn get(url: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(70)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent.get(url).call().unwrap_or_else(|error| panic!("{url}: {error}"));
    let text = response.body_mut().with_config().limit(256 << 20).read_to_string().unwrap();
    (response.status().as_u16(), text)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

fn write_config(folder: &Path, own: &str, more: &str) {
    let listen = if own.contains("listen =") { "" } else { "listen = \"127.0.0.1:0\"\n" };
    let agent = format!("[agent]\n{listen}plugin_dir = \"{}/plugins\"\n{own}\n", folder.display());
    let aside = folder.join("config.new");
    fs::write(&aside, format!("{agent}{more}\n")).unwrap();
    fs::rename(aside, folder.join("config.toml")).unwrap();
}

/// A mode in a process of its own; ended when dropped.
pub struct Mode {
    child: Child,
    pub url: String,
    folder: TempDir,
}

impl Mode {
    /// Starts `rezolus MODE` with a configuration, in which `{folder}` is a
    /// folder of its own, and waits until it serves.
    pub fn start(mode: &str, config: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("rezolus-live-").tempdir().unwrap();
        let config = config.replace("{folder}", folder.path().to_str().unwrap());
        fs::write(folder.path().join("config.toml"), config).unwrap();
        let (child, url) = launch(&[mode], folder.path());
        Self { child, url, folder }
    }

    pub fn log(&self) -> String {
        log(self.folder.path())
    }

    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        end(&mut self.child, self.folder.path());
    }
}

/// Runs the binary with the configuration in a folder, logging there, and waits
/// until it serves.
fn launch(arguments: &[&str], folder: &Path) -> (Child, String) {
    let log = folder.join("log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_rezolus"))
        .args(arguments)
        .arg(folder.join("config.toml"))
        .env("RUST_LOG", "info")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let url = wait_for("serving on ", &log, || child.try_wait().unwrap());
    (child, url)
}

/// The word of a log that follows others.
fn wait_for(words: &str, log: &Path, mut ended: impl FnMut() -> Option<ExitStatus>) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let said = fs::read_to_string(log).unwrap();
        if let Some(rest) = said.split(words).nth(1)
            && let Some(url) = rest.split_whitespace().next()
            && rest.contains('\n')
        {
            return url.to_string();
        }
        if let Some(status) = ended() {
            panic!("it ended ({status}):\n{said}");
        }
        assert!(Instant::now() < deadline, "no \"{words}\":\n{said}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// One series of a snapshot.
#[derive(Clone, Debug)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    pub value: Number,
}

#[derive(Clone, Debug)]
pub enum Number {
    Counter(u64),
    Gauge(i64),
    Histogram(Vec<u64>),
}

/// All series of a snapshot, by metric.
pub struct Snapshot {
    pub metrics: BTreeMap<String, Vec<Series>>,
}

impl Snapshot {
    fn parse(json: &Value) -> Self {
        let mut metrics: BTreeMap<String, Vec<Series>> = BTreeMap::new();
        for group in json["groups"].as_array().unwrap() {
            for kind in ["counters", "gauges", "histograms"] {
                let schema = group["schema"][kind].as_array().unwrap();
                let values = group[kind].as_array().unwrap();
                assert_eq!(schema.len(), values.len(), "{} {kind}", group["name"]);
                for (description, value) in schema.iter().zip(values) {
                    let mut labels: BTreeMap<String, String> =
                        serde_json::from_value(description["metadata"].clone()).unwrap();
                    let Some(value) = number(kind, value) else { continue };
                    let name = labels.remove("metric").unwrap();
                    metrics.entry(name).or_default().push(Series { labels, value });
                }
            }
        }
        Self { metrics }
    }

    /// The series of a metric that have all of these labels.
    pub fn series(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Series> {
        let all = self.metrics.get(name).map_or(&[][..], Vec::as_slice);
        let matches = |series: &&Series| {
            labels.iter().all(|(k, v)| series.labels.get(*k).is_some_and(|found| found == v))
        };
        all.iter().filter(matches).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.metrics.contains_key(name)
    }

    /// The sum of all matching counters; None if there is none.
    pub fn try_counter(&self, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let values: Vec<u64> = self
            .series(name, labels)
            .into_iter()
            .filter_map(|series| match series.value {
                Number::Counter(value) => Some(value),
                _ => None,
            })
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.try_counter(name, labels).unwrap_or_else(|| self.missing("counter", name, labels))
    }

    /// The sum of all matching gauges.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> i64 {
        let values: Vec<i64> = self
            .series(name, labels)
            .into_iter()
            .filter_map(|series| match series.value {
                Number::Gauge(value) => Some(value),
                _ => None,
            })
            .collect();
        if values.is_empty() { self.missing("gauge", name, labels) } else { values.iter().sum() }
    }

    /// The buckets of all matching histograms, added up.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Vec<u64> {
        let mut sum = vec![0; BUCKETS];
        let mut found = false;
        for series in self.series(name, labels) {
            if let Number::Histogram(buckets) = &series.value {
                found = true;
                sum.iter_mut().zip(buckets).for_each(|(sum, bucket)| *sum += bucket);
            }
        }
        if found { sum } else { self.missing("histogram", name, labels) }
    }

    fn missing(&self, kind: &str, name: &str, labels: &[(&str, &str)]) -> ! {
        match self.metrics.get(name) {
            Some(series) => panic!("no {kind} {name} with {labels:?}; there are {series:#?}"),
            None => panic!("no metric {name}; there are {:?}", self.metrics.keys().collect::<Vec<_>>()),
        }
    }
}

fn number(kind: &str, value: &Value) -> Option<Number> {
    if value.is_null() {
        return None;
    }
    Some(match kind {
        "counters" => Number::Counter(value.as_u64().unwrap()),
        "gauges" => Number::Gauge(value.as_i64().unwrap()),
        _ => Number::Histogram(
            value["buckets"].as_array().unwrap().iter().map(|b| b.as_u64().unwrap()).collect(),
        ),
    })
}

/// Two snapshots with a load between them.
pub struct Delta {
    pub before: Snapshot,
    pub after: Snapshot,
}

impl Delta {
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        // A series that appeared meanwhile began at zero.
        let before = self.before.try_counter(name, labels).unwrap_or(0);
        let after = self.after.counter(name, labels);
        assert!(after >= before, "{name} {labels:?} went from {before} to {after}");
        after - before
    }

    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Vec<u64> {
        let after = self.after.histogram(name, labels);
        if self.before.series(name, labels).is_empty() {
            return after;
        }
        let before = self.before.histogram(name, labels);
        after
            .iter()
            .zip(before)
            .map(|(after, before)| after.checked_sub(before).expect("buckets grow"))
            .collect()
    }
}

/// The bucket of a value, and the lowest and highest value of a bucket: H2
/// histograms with grouping power 3.
pub fn bucket_of(value: u64) -> usize {
    if value < 16 {
        return value as usize;
    }
    let power = value.ilog2() as usize;
    8 * power - 16 + ((value >> (power - 3)) & 7) as usize
}

pub fn bounds(bucket: usize) -> (u64, u64) {
    let low = |i: usize| match (i / 8, (i % 8) as u128) {
        (0, rest) => rest,
        (k, rest) => (1u128 << (3 + k - 1)) + (rest << (k - 1)),
    };
    (low(bucket) as u64, (low(bucket + 1) - 1) as u64)
}

/// The bucket in which the quantile lies.
pub fn quantile_bucket(buckets: &[u64], q: f64) -> Option<usize> {
    let total: u64 = buckets.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = ((q * total as f64).ceil() as u64).max(1);
    let mut seen = 0;
    buckets.iter().position(|count| {
        seen += count;
        seen >= rank
    })
}

/// A program that needs tracefs, to be given arguments. Where the machine has
/// not mounted it, it is mounted for this program, out of everybody's sight.
pub fn with_tracefs(program: &str) -> Command {
    const RUN: &str = "[ -e /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing
        exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", RUN, program]);
    command
}

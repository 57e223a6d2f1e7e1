//! What Prometheus's own programs make of the exporter.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rezolus_modes::exporter::family::{Family, Value};
use rezolus_modes::exporter::{self, Descriptions, Exporter, Format};
use rezolus_modes::snapshot::Snapshot;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::{Fixed, LATENCY, Maker, config, descriptions, sample, scrape};

/// Has Prometheus ask for protobuf; otherwise it asks for OpenMetrics.
const PROTOBUF: &str = "--enable-feature=native-histograms";

const INSTALL: &str = "promtool and prometheus are needed: apt-get install prometheus";

/// Prometheus has to show a value within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// All metrics of the documentation, once each.
fn documented() -> (Snapshot, Descriptions) {
    let tables = include_str!("../../../docs/metrics.md");
    let mut descriptions = BTreeMap::new();
    let mut maker = Maker::default();
    for (number, row) in tables.lines().filter(|line| line.starts_with("| `")).enumerate() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, kind, unit, _, meaning, ..] = cells[..] else { panic!("{row}") };
        let name = name.trim_matches('`');
        let row = number.to_string();
        let labels = [("unit", unit), ("row", row.as_str())];
        descriptions.entry(name.to_string()).or_insert(meaning.to_string());
        maker = match kind {
            "counter" => maker.counter(name, &labels, 1),
            "gauge" => maker.gauge(name, &labels, 1),
            "histogram" => maker.histogram(name, &labels, &LATENCY),
            kind => panic!("{kind}"),
        };
    }
    assert!(descriptions.len() > 100);
    (maker.snapshot(), Arc::new(move || descriptions.clone()))
}

#[test]
fn promtool_has_nothing_to_say() {
    let (snapshot, descriptions) = documented();
    for (source, descriptions) in
        [(Fixed::new(snapshot), descriptions), (Fixed::new(sample()), crate::descriptions())]
    {
        promtool(&source, &descriptions);
    }
}

fn promtool(source: &Arc<Fixed>, descriptions: &Descriptions) {
    for form in ["summary", "classic", "native"] {
        for base_units in [false, true] {
            let toml = format!("histograms = \"{form}\"\nbase_units = {base_units}");
            let exporter = Exporter::new(config(&toml), source.clone(), descriptions.clone());
            let text = scrape(&exporter, Format::Text);
            assert!(text.contains("\nrezolus_exporter_series_dropped_total{reason=\"clash\"} 0\n"));
            let mut promtool = Command::new("promtool")
                .args(["check", "metrics"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect(INSTALL);
            promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            let output = promtool.wait_with_output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            assert!(
                output.status.success() && said.is_empty(),
                "{toml}: {}\n{text}",
                String::from_utf8_lossy(&said)
            );
        }
    }
}

/// An exporter that serves until it is dropped.
pub struct Served {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Served {
    pub fn new(toml: &str, source: Arc<Fixed>) -> Self {
        let config = config(toml);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = watch::channel(false);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                exporter::serve_on(listener, config, source, descriptions(), stopped).await.unwrap();
            });
        });
        Self { address, stop, thread: Some(thread) }
    }

    pub fn get(&self, path: &str) -> String {
        get(&format!("http://{}{path}", self.address)).unwrap()
    }

    /// Waits until the sample that begins with `name` is as it should be.
    pub fn wait_for(&self, name: &str, right: impl Fn(f64) -> bool) {
        let started = Instant::now();
        loop {
            let text = self.get("/metrics");
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.parse::<f64>().ok());
            if value.is_some_and(&right) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{name}{value:?}\n{text}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

fn get(url: &str) -> Result<String, ureq::Error> {
    ureq::get(url).call()?.body_mut().read_to_string()
}

/// A Prometheus of the test's own.
pub struct Prometheus {
    child: Child,
    pub address: String,
    folder: TempDir,
}

impl Prometheus {
    /// Scrapes the targets, which are jobs and addresses.
    pub fn start(targets: &[(&str, SocketAddr)], features: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut yaml = "global: { scrape_interval: 1s, scrape_timeout: 1s }\nscrape_configs:\n".to_string();
        for (job, address) in targets {
            writeln!(yaml, "- {{ job_name: {job}, static_configs: [{{ targets: ['{address}'] }}] }}")
                .unwrap();
        }
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, yaml).unwrap();
        // Free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.enable-remote-write-receiver")
            .args(features)
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .expect(INSTALL);
        Self { child, address, folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The result of an instant query, when there is one.
    pub fn query(&self, query: &str) -> Vec<Json> {
        let url = format!("http://{}/api/v1/query", self.address);
        let started = Instant::now();
        loop {
            let answer = ureq::get(&url).query("query", query).call();
            let result: Option<Json> = answer
                .ok()
                .and_then(|mut answer| answer.body_mut().read_to_string().ok())
                .and_then(|text| serde_json::from_str(&text).ok());
            let vector = result.as_ref().and_then(|result| result["data"]["result"].as_array());
            if let Some(vector) = vector.filter(|vector| !vector.is_empty()) {
                return vector.clone();
            }
            assert!(started.elapsed() < PATIENCE, "{query}: {result:?}\n{}", self.log());
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// All series of a job: names with labels, and values as Prometheus writes
    /// them.
    fn job(&self, job: &str) -> BTreeMap<String, f64> {
        let mut all = BTreeMap::new();
        let query =
            format!("{{job=\"{job}\",__name__!~\"up|(scrape|rezolus_exporter)_.*\",__name__!=\"ALERTS\"}}");
        for series in self.query(&query) {
            let metric = series["metric"].as_object().unwrap();
            let labels =
                metric.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_string()));
            let labels = labels.filter(|(name, _)| name != "job" && name != "instance");
            let Some(value) = series["value"][1].as_str() else { continue };
            all.insert(key(labels.collect()), value.parse().unwrap());
        }
        all
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `le` and `quantile` are numbers, however they are written.
fn key(mut labels: BTreeMap<String, String>) -> String {
    for name in ["le", "quantile"] {
        if let Some(value) = labels.get_mut(name) {
            *value = value.parse::<f64>().unwrap().to_string();
        }
    }
    format!("{labels:?}")
}

fn own(family: &Family) -> bool {
    family.name.starts_with("rezolus_exporter_")
}

/// What there should be in Prometheus.
fn expected(families: &[Family]) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for family in families.iter().filter(|family| !own(family)) {
        family.samples(|sample| {
            let mut labels: BTreeMap<String, String> = sample.labels.iter().cloned().collect();
            labels.insert("__name__".into(), format!("{}{}", family.name, sample.suffix));
            if let Some((name, value)) = sample.extra {
                labels.insert(name.into(), value.to_string());
            }
            all.insert(key(labels), sample.value.as_f64());
        });
    }
    all
}

fn same(actual: &BTreeMap<String, f64>, expected: &BTreeMap<String, f64>) {
    let names = |all: &BTreeMap<String, f64>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(actual), names(expected));
    for (name, value) in actual {
        let expected = expected[name];
        assert!(
            value.to_bits() == expected.to_bits()
                || (value.is_nan() && expected.is_nan())
                || *value == expected,
            "{name}: {value}, {expected}"
        );
    }
}

/// The numbers some time after `sample`.
fn later() -> Snapshot {
    let more: Vec<(u64, u64)> = LATENCY.iter().copied().chain([(60, 20), (70_000, 2)]).collect();
    let ns = ("unit", "nanoseconds");
    Maker::default()
        .counter("cpu_usage", &[ns, ("state", "user")], 5_000_000_001)
        .counter("cgroup_cpu_usage", &[ns, ("name", "/a\"b\\c\nd")], 7)
        .counter("network_packets", &[("unit", "packets")], (1 << 53) + 1)
        .gauge("memory_total", &[("unit", "bytes")], 1 << 34)
        .gauge("temperature", &[("unit", "celsius")], -3)
        .histogram("syscall_latency", &[ns, ("op", "read")], &more)
        .histogram("syscall_latency", &[ns, ("op", "write")], &[])
        .snapshot()
}

#[test]
fn a_prometheus_sees_what_is_served() {
    const SUMMARY: &str = "interval = \"1h\"\nbase_units = true";
    const CLASSIC: &str = "histograms = \"classic\"\ngrouping_power = 2";
    const NATIVE: &str = "histograms = \"native\"\nbase_units = true";
    let source = Fixed::new(sample());
    let [summary, classic, native] = [SUMMARY, CLASSIC, NATIVE].map(|toml| Served::new(toml, source.clone()));
    // Quantiles are of what comes after this.
    summary.get("/metrics");
    let reference = Exporter::new(config(SUMMARY), source.clone(), descriptions());
    reference.collect(false).unwrap();
    source.set(later());
    let jobs = [("summary", summary.address), ("classic", classic.address), ("native", native.address)];
    let prometheus = Prometheus::start(&jobs, &[PROTOBUF]);

    let (_, families) = reference.collect(false).unwrap();
    let read = families.iter().find(|family| &*family.name == "syscall_latency_seconds").unwrap();
    let Value::Summary { quantiles, .. } = &read.series[0].value else { panic!("{read:?}") };
    assert_eq!(quantiles[0], (0.5, 63e-9), "of the interval");
    same(&prometheus.job("summary"), &expected(&families));

    let (_, families) =
        Exporter::new(config(CLASSIC), source.clone(), descriptions()).collect(false).unwrap();
    same(&prometheus.job("classic"), &expected(&families));
    let p99 =
        prometheus.query("histogram_quantile(0.5, syscall_latency_bucket{job=\"classic\",op=\"read\"})");
    assert!(p99[0]["value"][1].as_str().unwrap().parse::<f64>().unwrap() > 63.0);

    // As the snapshot has it, by no code of ours.
    for (query, value) in [
        ("cpu_usage_total{job=\"classic\"}", "5000000001"),
        ("cpu_usage_seconds_total{job=\"native\"}", "5.000000001"),
        ("temperature{job=\"classic\"}", "-3"),
        ("syscall_latency_count{job=\"classic\",op=\"read\"}", "83"),
        ("sum(syscall_latency_seconds_count{job=\"summary\"})", "83"),
        ("histogram_count(syscall_latency_seconds{job=\"native\",op=\"read\"})", "83"),
    ] {
        assert_eq!(prometheus.query(query)[0]["value"][1], value, "{query}");
    }

    let (_, families) = Exporter::new(config(NATIVE), source, descriptions()).collect(true).unwrap();
    same(&prometheus.job("native"), &expected(&families));
    check_native(&prometheus, "native", &families);
}

#[test]
fn a_prometheus_understands_openmetrics() {
    const BASE: &str = "histograms = \"classic\"\nbase_units = true";
    const SUMMARY: &str = "interval = \"1h\"";
    let source = Fixed::new(later());
    let [base, summary] = [BASE, SUMMARY].map(|toml| Served::new(toml, source.clone()));
    let prometheus = Prometheus::start(&[("base", base.address), ("summary", summary.address)], &[]);
    for (job, toml) in [("base", BASE), ("summary", SUMMARY)] {
        let (_, families) =
            Exporter::new(config(toml), source.clone(), descriptions()).collect(false).unwrap();
        // Quantiles are of nothing.
        same(&prometheus.job(job), &expected(&families));
    }
}

/// Native histograms of a job equal those served.
fn check_native(prometheus: &Prometheus, job: &str, families: &[Family]) {
    let histograms = families.iter().find(|family| &*family.name == "syscall_latency_seconds").unwrap();
    for series in &histograms.series {
        let op = &series.labels.iter().find(|(name, _)| name == "op").unwrap().1;
        let Value::Native { buckets, sum, count } = &series.value else { panic!("{series:?}") };
        let result = prometheus.query(&format!("syscall_latency_seconds{{job=\"{job}\",op=\"{op}\"}}"));
        let histogram = &result[0]["histogram"][1];
        let number = |value: &Json| value.as_str().unwrap().parse::<f64>().unwrap();
        assert_eq!((number(&histogram["count"]), number(&histogram["sum"])), (*count as f64, *sum));
        let none = Vec::new();
        let shown = histogram["buckets"].as_array().unwrap_or(&none);
        let shown: Vec<(f64, f64)> =
            shown.iter().map(|bucket| (number(&bucket[2]), number(&bucket[3]))).collect();
        let zeros = (buckets.zeros > 0).then_some((2f64.powi(-128), buckets.zeros));
        let bound = |&(index, count): &(i32, u64)| (2f64.powf(f64::from(index) / 8.0), count);
        let ours: Vec<(f64, u64)> = zeros.into_iter().chain(buckets.buckets.iter().map(bound)).collect();
        assert_eq!(shown.len(), ours.len(), "{shown:?} {ours:?}");
        for ((bound, count), (our_bound, our_count)) in shown.iter().zip(&ours) {
            assert!(
                (bound / our_bound - 1.0).abs() < 1e-9 && *count == *our_count as f64,
                "{shown:?} {ours:?}"
            );
        }
    }
    // 25 of 83 values are at most 60 ns, of which 20 are just that.
    let median = format!("histogram_quantile(0.3, syscall_latency_seconds{{job=\"{job}\",op=\"read\"}})");
    let median = prometheus.query(&median);
    let median: f64 = median[0]["value"][1].as_str().unwrap().parse().unwrap();
    assert!((60e-9 * 0.866..60e-9 * 1.159).contains(&median), "{median}");
}

#[test]
fn a_prometheus_receives_remote_write() {
    for form in ["classic", "summary", "native"] {
        let prometheus = Prometheus::start(&[], &[]);
        let queue = tempfile::tempdir().unwrap();
        let source = Fixed::new(later());
        let toml = format!("histograms = \"{form}\"\ngrouping_power = 0\n");
        let served =
            Served::new(&(toml.clone() + &remote(&prometheus.address, queue.path())), source.clone());
        let reference = Exporter::new(config(&toml), source, descriptions());
        reference.collect(false).unwrap();
        let (_, families) = reference.collect(false).unwrap();
        prometheus.query("cpu_usage_total{job=\"pushed\"}");
        // A summary has quantiles, of nothing, from the second snapshot on.
        same(&prometheus.job("pushed"), &expected(&families));
        let instance = prometheus.query("temperature{job=\"pushed\"}");
        assert_eq!(instance[0]["metric"]["instance"], "here");
        served.wait_for("rezolus_exporter_remote_write_sent_total ", |value| value > 0.0);
    }
}

#[test]
fn a_prometheus_receives_native_histograms() {
    let prometheus = Prometheus::start(&[], &[PROTOBUF]);
    let queue = tempfile::tempdir().unwrap();
    let source = Fixed::new(later());
    let toml = "histograms = \"native\"\nbase_units = true\n";
    let remote = remote(&prometheus.address, queue.path()) + "native_histograms = true";
    let _served = Served::new(&(toml.to_string() + &remote), source.clone());
    let (_, families) = Exporter::new(config(toml), source, descriptions()).collect(true).unwrap();
    check_native(&prometheus, "pushed", &families);
}

pub fn remote(address: &str, queue: &Path) -> String {
    format!(
        "[remote_write]\nurl = \"http://{address}/api/v1/write\"\ninterval = \"1s\"\nqueue = {:?}\n\
         labels = {{ job = \"pushed\", instance = \"here\" }}\n",
        queue.display().to_string()
    )
}

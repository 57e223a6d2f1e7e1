//! The exporter from outside: what it writes, what promtool says of it, and
//! what a real Prometheus makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rezolus_modes::exporter::{Config, Descriptions, Exporter, Format};
use rezolus_modes::snapshot::{Group, GroupSchema, MetricDesc, Numbers, Snapshot};
use rezolus_modes::{SnapshotSource, SourceError};

#[path = "exporter/prometheus.rs"]
mod prometheus;
#[path = "exporter/remote_write.rs"]
mod remote_write;

/// Hands out what it was given last.
pub struct Fixed(Mutex<Arc<Snapshot>>);

impl Fixed {
    pub fn new(snapshot: Snapshot) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Arc::new(snapshot))))
    }

    pub fn set(&self, snapshot: Snapshot) {
        *self.0.lock() = Arc::new(snapshot);
    }
}

impl SnapshotSource for Fixed {
    fn snapshot(&self) -> Result<Arc<Snapshot>, SourceError> {
        // Every reading is of now.
        let mut snapshot = Snapshot::clone(&self.0.lock());
        snapshot.systemtime = SystemTime::now();
        Ok(Arc::new(snapshot))
    }
}

/// A snapshot in the making.
#[derive(Default)]
pub struct Maker {
    schema: GroupSchema,
    numbers: Numbers,
}

fn described(metric: &str, labels: &[(&str, &str)]) -> MetricDesc {
    let pairs = labels.iter().copied().chain([("metric", metric), ("sampler", "test")]);
    MetricDesc {
        name: metric.into(),
        metadata: pairs.map(|(key, value)| (key.to_string(), value.to_string())).collect(),
    }
}

impl Maker {
    pub fn counter(mut self, metric: &str, labels: &[(&str, &str)], value: u64) -> Self {
        self.schema.counters.push(described(metric, labels));
        self.numbers.counters.push(Some(value));
        self
    }

    pub fn gauge(mut self, metric: &str, labels: &[(&str, &str)], value: i64) -> Self {
        self.schema.gauges.push(described(metric, labels));
        self.numbers.gauges.push(Some(value));
        self
    }

    /// `counts` are values and how often each of them was seen.
    pub fn histogram(mut self, metric: &str, labels: &[(&str, &str)], counts: &[(u64, u64)]) -> Self {
        self.schema.histograms.push(described(metric, labels));
        let mut histogram = histogram::Histogram::new(3, 64).unwrap();
        counts.iter().for_each(|&(value, count)| histogram.add(value, count).unwrap());
        self.numbers.push_dense(3, 64, histogram.as_slice());
        self
    }

    pub fn snapshot(self) -> Snapshot {
        let lengths = self.numbers.lengths();
        let hash = self.schema.hash();
        Snapshot {
            systemtime: SystemTime::now(),
            duration: Duration::from_micros(50),
            metadata: Vec::new(),
            groups: vec![Group { name: "test/main".into(), schema: Arc::new(self.schema), hash, lengths }],
            numbers: self.numbers,
        }
    }
}

/// What was seen in latencies, and how often: in all parts of a histogram.
pub const LATENCY: [(u64, u64); 6] = [(0, 3), (7, 2), (100, 10), (5_000, 40), (1_000_000, 5), (1 << 40, 1)];

/// Something of every kind.
pub fn sample() -> Snapshot {
    let ns = ("unit", "nanoseconds");
    Maker::default()
        .counter("cpu_usage", &[ns, ("state", "user"), ("id", "0")], 5_000_000_000)
        .counter("cpu_usage", &[ns, ("state", "system"), ("id", "0")], 1_500_000_000)
        .counter("cgroup_cpu_usage", &[ns, ("name", "/a\"b\\c\nd")], 7)
        .counter("network_packets", &[("unit", "packets")], u64::MAX)
        .gauge("memory_total", &[("unit", "bytes")], 1 << 34)
        .gauge("temperature", &[("unit", "celsius")], -3)
        .histogram("syscall_latency", &[ns, ("op", "read")], &LATENCY)
        .histogram("syscall_latency", &[ns, ("op", "write")], &[])
        .histogram("blockio_size", &[("unit", "bytes")], &[(4096, 9), (1 << 20, 1)])
        .histogram("runqueue_latency", &[ns], &LATENCY)
        .snapshot()
}

pub fn config(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub fn descriptions() -> Descriptions {
    Arc::new(|| {
        BTreeMap::from([
            ("cpu_usage".to_string(), "Time that CPUs were busy.".to_string()),
            ("cgroup_cpu_usage".to_string(), "Of a \"cgroup\", with \\ and\nanother line".to_string()),
        ])
    })
}

pub fn exporter(text: &str, snapshot: Snapshot) -> Exporter {
    Exporter::new(config(text), Fixed::new(snapshot), descriptions())
}

pub fn scrape(exporter: &Exporter, format: Format) -> String {
    String::from_utf8(exporter.scrape(format).unwrap()).unwrap()
}

/// The lines of what begins with `name`.
fn lines(text: &str, name: &str) -> String {
    let about = |line: &&str| {
        let comment = ["# HELP ", "# TYPE ", "# UNIT "].iter().find_map(|head| line.strip_prefix(head));
        comment.unwrap_or(line).starts_with(name)
    };
    text.lines().filter(about).map(|line| format!("{line}\n")).collect()
}

#[test]
fn text_with_units_as_counted() {
    let text = scrape(&exporter("", sample()), Format::Text);
    assert_eq!(
        lines(&text, "cpu_usage"),
        "# HELP cpu_usage_total Time that CPUs were busy (nanoseconds)\n\
         # TYPE cpu_usage_total counter\n\
         cpu_usage_total{id=\"0\",state=\"user\"} 5000000000\n\
         cpu_usage_total{id=\"0\",state=\"system\"} 1500000000\n"
    );
    assert_eq!(
        lines(&text, "cgroup_cpu_usage"),
        "# HELP cgroup_cpu_usage_total Of a \"cgroup\", with \\\\ and\\nanother line (nanoseconds)\n\
         # TYPE cgroup_cpu_usage_total counter\n\
         cgroup_cpu_usage_total{name=\"/a\\\"b\\\\c\\nd\"} 7\n"
    );
    assert!(text.contains("\nnetwork_packets_total 18446744073709551615\n"), "{text}");
    // A gauge of that name would look like a counter.
    assert!(text.contains("\nmemory_total_bytes 17179869184\n"), "{text}");
    assert!(text.contains("\ntemperature -3\n"), "{text}");
}

#[test]
fn openmetrics_in_base_units() {
    let text = scrape(&exporter("base_units = true", sample()), Format::OpenMetrics);
    assert_eq!(
        lines(&text, "cpu_usage"),
        "# HELP cpu_usage_seconds Time that CPUs were busy (seconds)\n\
         # TYPE cpu_usage_seconds counter\n\
         # UNIT cpu_usage_seconds seconds\n\
         cpu_usage_seconds_total{id=\"0\",state=\"user\"} 5\n\
         cpu_usage_seconds_total{id=\"0\",state=\"system\"} 1.5\n"
    );
    assert!(text.contains("\n# HELP cgroup_cpu_usage_seconds Of a \\\"cgroup\\\", with"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn summaries_are_of_the_interval() {
    let source = Fixed::new(sample());
    let exporter =
        Exporter::new(config("interval = \"0s\"\nquantiles = [0.99, 0.5]"), source.clone(), descriptions());
    let first = scrape(&exporter, Format::Text);
    assert!(first.contains("\nblockio_size{quantile=\"0.5\"} NaN\n"), "{first}");
    let seen = [(4096, 9), (1 << 20, 1), (100, 3), (200, 1)];
    source.set(Maker::default().histogram("blockio_size", &[("unit", "bytes")], &seen).snapshot());
    assert_eq!(
        lines(&scrape(&exporter, Format::Text), "blockio_size"),
        "# HELP blockio_size blockio_size (bytes)\n\
         # TYPE blockio_size summary\n\
         blockio_size{quantile=\"0.5\"} 103\n\
         blockio_size{quantile=\"0.99\"} 207\n\
         blockio_size_sum 1.153773e+06\n\
         blockio_size_count 14\n"
    );
    // Nothing happened since.
    assert!(scrape(&exporter, Format::Text).contains("\nblockio_size{quantile=\"0.5\"} NaN\n"));
}

#[test]
fn classic_buckets_are_merged() {
    let toml = "histograms = \"classic\"\ngrouping_power = 0\n[histogram.blockio_size]\nform = \"summary\"";
    let text = scrape(&exporter(toml, sample()), Format::Text);
    let latency = lines(&text, "syscall_latency_bucket{op=\"read\"");
    assert_eq!(latency.lines().count(), 65);
    for line in [
        "le=\"0\"} 3",
        "le=\"3\"} 3",
        "le=\"7\"} 5",
        "le=\"127\"} 15",
        "le=\"8191\"} 55",
        "le=\"1.048575e+06\"} 60",
        "le=\"+Inf\"} 61",
    ] {
        assert!(latency.contains(line), "{line}\n{latency}");
    }
    assert!(text.contains("\n# TYPE blockio_size summary\n"));
    let text = scrape(&exporter(toml, sample()), Format::OpenMetrics);
    assert!(text.contains("\nsyscall_latency_bucket{op=\"read\",le=\"127.0\"} 15\n"), "{text}");
}

#[test]
fn native_histograms_are_classic_where_they_cannot_be_written() {
    let text = scrape(&exporter("histograms = \"native\"", sample()), Format::OpenMetrics);
    assert!(text.contains("\nsyscall_latency_bucket{op=\"read\",le=\"+Inf\"} 61\n"), "{text}");
}

#[test]
fn series_are_chosen_by_metric_and_label() {
    let toml = r#"
        include = ["cpu_.*", { metric = "syscall_.*", op = "read|write" }]
        exclude = [{ state = "system" }, { op = "write" }]
    "#;
    let text = scrape(&exporter(toml, sample()), Format::Text);
    let samples = text.lines().filter(|line| !line.starts_with(['#']) && !line.starts_with("rezolus_"));
    let names: BTreeSet<&str> = samples.filter_map(|line| line.split(['{', ' ']).next()).collect();
    let expected = ["cpu_usage_total", "syscall_latency", "syscall_latency_count", "syscall_latency_sum"];
    assert_eq!(names, BTreeSet::from(expected));
    assert!(!text.contains("system") && !text.contains("write"), "{text}");
}

#[test]
fn too_many_series_are_counted() {
    let exporter = exporter("max_series = 5", sample());
    let dropped = |text: &str| {
        let line = lines(text, "rezolus_exporter_series_dropped_total{reason=\"max_series\"}");
        line.trim().rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let text = scrape(&exporter, Format::Text);
    // The machine's counters and gauges. Neither the cgroup's counter, nor four
    // summaries of five quantiles, sum and count.
    assert!(text.contains("\nrezolus_exporter_series 5\n"), "{text}");
    assert!(text.contains("\ntemperature -3\n") && !text.contains("\ncgroup"), "{text}");
    assert_eq!(dropped(&text), 1 + 4 * 7);
    assert_eq!(dropped(&scrape(&exporter, Format::Text)), 2 * (1 + 4 * 7));
}

#[test]
fn series_that_clash_are_counted() {
    let same = [("unit", "events"), ("id", "0")];
    let snapshot =
        Maker::default().counter("same", &same, 1).counter("same", &same, 2).gauge("same", &same, 3);
    let text = scrape(&exporter("", snapshot.snapshot()), Format::Text);
    assert!(text.contains("\nsame_total{id=\"0\"} 1\n"), "{text}");
    assert_eq!(lines(&text, "same").lines().count(), 3, "{text}");
    assert!(text.contains("\nrezolus_exporter_series_dropped_total{reason=\"clash\"} 2\n"), "{text}");
}

#[test]
fn names_and_labels_become_valid() {
    let labels = [("le", "x"), ("__name__", "y"), ("9 to 5", "z")];
    let text = scrape(&exporter("", Maker::default().gauge("a b", &labels, 1).snapshot()), Format::Text);
    assert!(text.contains("\na_b{_9_to_5=\"z\",exported_le=\"x\",exported_name__=\"y\"} 1\n"), "{text}");
}

#[test]
fn what_is_wrong_with_a_configuration() {
    for (text, expected) in [
        ("quantiles = [99]", "from 0 to 1"),
        ("grouping_power = 8", "from 0 to 7"),
        ("interval = \"soon\"", "is not a duration"),
        ("include = [\"(\"]", "is not a regular expression"),
        ("include = [{}]", "without a pattern"),
        ("include = [1]", "a metric such as"),
        ("histograms = \"exact\"", "summary"),
        ("listn = \"x\"", "unknown field"),
        ("[remote_write]\nurl = \"https://x/\"", "no TLS"),
        ("[remote_write]\nurl = \"x\"", "is not a URL"),
        ("[remote_write]\nurl = \"http://\"", "is not a URL"),
        ("[remote_write]\nurl = \"http://x\"\nheaders = { a = \"b\\nc\" }", "cannot be in a header"),
        ("[remote_write]\nurl = \"http://x\"\ninterval = \"1ms\"", "100ms or more"),
        ("[remote_write]\nurl = \"http://x\"\nlabels = { __name__ = \"x\" }", "cannot be a label"),
        ("[histogram.x]\nform = \"native\"\ngrouping_power = 9", "from 0 to 7"),
    ] {
        if cfg!(feature = "tls") && expected == "no TLS" {
            continue;
        }
        let error = toml::from_str::<Config>(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn the_documented_configurations_are_read() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        exporter: Config,
    }
    let page = include_str!("../../docs/exporter.md");
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [all, rules] = blocks[..] else { panic!("{blocks:?}") };
    let File { exporter } = toml::from_str(all).unwrap();
    let remote = exporter.remote_write.unwrap();
    let defaults = config("[remote_write]\nurl = \"http://x\"");
    let default = defaults.remote_write.clone().unwrap();
    assert_eq!((remote.interval, remote.timeout), (default.interval, default.timeout));
    assert_eq!((remote.queue, remote.queue_bytes), (default.queue, default.queue_bytes));
    assert_eq!((exporter.listen, exporter.source), (defaults.listen, defaults.source));
    assert_eq!((exporter.quantiles, exporter.interval), (defaults.quantiles, defaults.interval));
    assert_eq!(
        (exporter.histograms, exporter.grouping_power),
        (defaults.histograms, defaults.grouping_power)
    );
    assert_eq!((exporter.max_series, exporter.base_units), (defaults.max_series, defaults.base_units));
    let rules = config(rules);
    assert_eq!((rules.include.len(), rules.exclude.len()), (3, 1));
}

#[test]
fn no_reading_is_no_series() {
    let mut snapshot = sample();
    snapshot.numbers.counters.fill(None);
    snapshot.numbers.gauges.fill(None);
    snapshot.numbers.histograms.fill(None);
    snapshot.numbers.lines.clear();
    let text = scrape(&exporter("", snapshot), Format::Text);
    assert!(text.lines().all(|line| line.contains("rezolus_exporter_")), "{text}");
}

/// A source that has nothing.
struct Broken;

impl SnapshotSource for Broken {
    fn snapshot(&self) -> Result<Arc<Snapshot>, SourceError> {
        Err(SourceError::new("out of order"))
    }
}

#[tokio::test]
async fn paths() {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use rezolus_modes::source::SCHEMAS_HEADER;
    use rezolus_modes::wire;
    use tower::ServiceExt;

    let ask = async |source: Arc<dyn SnapshotSource>, path: &str, header: (&str, &str)| {
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        let started = rezolus_modes::exporter::start(config(""), source, descriptions(), stopped).unwrap();
        let request = Request::get(path).header(header.0, header.1).body(Body::empty()).unwrap();
        let response = started.router.oneshot(request).await.unwrap();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_string();
        let status = response.status().as_u16();
        (status, content_type, to_bytes(response.into_body(), usize::MAX).await.unwrap())
    };
    let get = async |source: Arc<dyn SnapshotSource>, path: &str, accept: &str| {
        ask(source, path, ("accept", accept)).await
    };
    let source = Fixed::new(sample());
    for (accept, expected) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        ),
    ] {
        let (status, content_type, body) = get(source.clone(), "/metrics", accept).await;
        assert_eq!((status, content_type.as_str(), body.is_empty()), (200, expected, false));
    }
    let (_, _, body) = get(source.clone(), "/metrics/binary", "").await;
    let mut schemas = wire::Schemas::default();
    let decoded = wire::decode(&body, &mut schemas).unwrap();
    assert_eq!(decoded.numbers, sample().numbers);
    // Without the schemas that the client holds, and with those it does not.
    let (high, low) = decoded.groups[0].hash;
    let held = format!("{high:016x}{low:016x}");
    let (_, _, brief) = ask(source.clone(), "/metrics/binary", (SCHEMAS_HEADER, &held)).await;
    assert!(brief.len() < body.len() && wire::decode(&brief, &mut wire::Schemas::default()).is_err());
    assert_eq!(wire::decode(&brief, &mut schemas).unwrap().numbers, sample().numbers);
    let (_, _, full) =
        ask(source.clone(), "/metrics/binary", (SCHEMAS_HEADER, &format!("{low:016x}{high:016x}"))).await;
    wire::decode(&full, &mut wire::Schemas::default()).unwrap();
    let (_, content_type, body) = get(source.clone(), "/metrics/json", "").await;
    assert_eq!(content_type, "application/json");
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(json.to_string().contains("syscall_latency"));
    assert_eq!(get(source, "/nowhere", "").await.0, 404);
    for path in ["/metrics", "/metrics/binary", "/metrics/json"] {
        let (status, _, body) = get(Arc::new(Broken), path, "").await;
        assert_eq!((status, &*body), (503, &b"no snapshot: out of order\n"[..]), "{path}");
    }
}

//! PromQL here and in Prometheus, side by side on the same data: an hour at a
//! second's interval, 2,000 series. `cargo bench -p rezolus-modes --bench prometheus`;
//! `-- --quick` takes ten minutes of data. Needs `prometheus` in PATH.
//!
//! Both answer over HTTP on the loopback interface, to the same client, one
//! query at a time. Ours has the data in a recording, Prometheus in its head
//! block, written by remote write: in memory, where it is fastest.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use prost::Message;
use rezolus_modes::exporter::h2::Sparse;
use rezolus_modes::exporter::protobuf;
use rezolus_modes::exporter::write_request as wire;
use rezolus_modes::log::columns::{Columns, Source};
use rezolus_modes::log::stitch;
use rezolus_modes::query;
use rezolus_modes::snapshot::{Group, GroupSchema, LINE, Line, MetricDesc, Numbers, Shape, Snapshot};
use rezolus_store::api;

/// Ticks of a segment, as the log has them at this interval.
const SEGMENT: u64 = 300;
const IDS: usize = 100;
const STATES: [&str; 4] = ["user", "system", "wait", "idle"];
const GROUPS: usize = 4;
const LEVELS: usize = 200;
const HISTOGRAMS: usize = 100;
/// When the hour begins; samples lie between whole seconds, where both take the
/// same ones into a window.
const START: u64 = 1_700_000_000;
const PHASE_MS: u64 = 300;
/// Of the histograms: the lines of buckets in which something happens.
const LINES: std::ops::Range<u16> = 8..12;

type Pairs = Vec<(String, String)>;

fn pairs(all: &[(&str, String)]) -> Pairs {
    all.iter().map(|(name, value)| ((*name).to_string(), value.clone())).collect()
}

/// The labels of all series: counters, gauges, histograms.
fn series() -> (Vec<Pairs>, Vec<Pairs>, Vec<Pairs>) {
    let mut counters = Vec::new();
    for id in 0..IDS {
        for state in STATES {
            for group in 0..GROUPS {
                let labels = [("metric", "work_total".into()), ("id", id.to_string())];
                let more = [("state", state.to_string()), ("group", format!("g{group}"))];
                counters.push([pairs(&labels), pairs(&more)].concat());
            }
        }
    }
    let mut gauges: Vec<Pairs> = (0..IDS)
        .map(|id| {
            pairs(&[("metric", "rack_info".into()), ("id", id.to_string()), ("rack", format!("r{}", id % 7))])
        })
        .collect();
    gauges.extend((0..LEVELS).map(|id| pairs(&[("metric", "level".into()), ("id", id.to_string())])));
    let histograms = (0..HISTOGRAMS).map(|id| pairs(&[("metric", "latency".into()), ("id", id.to_string())]));
    (counters, gauges, histograms.collect())
}

fn counter(number: usize, tick: u64) -> u64 {
    let n = number as u64;
    tick * (n % 97 + 3) + (tick * n) % 7
}

fn gauge(number: usize, tick: u64) -> i64 {
    if number < IDS { 1 } else { ((tick * (number as u64 % 13)) % 1000) as i64 }
}

fn lines(number: usize, tick: u64) -> impl Iterator<Item = Line> {
    LINES.map(move |line| Line {
        number: line,
        counts: std::array::from_fn::<u64, LINE, _>(|at| {
            tick * (number as u64 % 5 + u64::from(line % 3) + at as u64 % 2)
        }),
    })
}

fn describe(labels: &Pairs, histogram: bool) -> MetricDesc {
    let mut metadata: std::collections::BTreeMap<_, _> = labels.iter().cloned().collect();
    if histogram {
        metadata.insert("grouping_power".into(), "3".into());
        metadata.insert("max_value_power".into(), "64".into());
    }
    let name = labels.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("/");
    MetricDesc { name, metadata }
}

fn snapshot(schema: &Arc<GroupSchema>, tick: u64) -> Snapshot {
    let mut numbers = Numbers::default();
    numbers.counters.extend((0..schema.counters.len()).map(|n| Some(counter(n, tick))));
    numbers.gauges.extend((0..schema.gauges.len()).map(|n| Some(gauge(n, tick))));
    for number in 0..schema.histograms.len() {
        numbers.lines.extend(lines(number, tick));
        let lines = LINES.len() as u16;
        numbers.histograms.push(Some(Shape { grouping_power: 3, max_value_power: 64, lines }));
    }
    let lengths = numbers.lengths();
    let group = Group { name: "bench".into(), schema: schema.clone(), hash: schema.hash(), lengths };
    Snapshot {
        systemtime: UNIX_EPOCH + Duration::from_millis(time_ms(tick)),
        duration: Duration::ZERO,
        metadata: Vec::new(),
        groups: vec![group],
        numbers,
    }
}

fn time_ms(tick: u64) -> u64 {
    (START + tick) * 1000 + PHASE_MS
}

/// Writes the recording.
fn record(path: &Path, ticks: u64) {
    let (counters, gauges, histograms) = series();
    let describe = |all: &[Pairs], histogram| all.iter().map(|labels| describe(labels, histogram)).collect();
    let schema = Arc::new(GroupSchema {
        counters: describe(&counters, false),
        gauges: describe(&gauges, false),
        histograms: describe(&histograms, true),
        ..Default::default()
    });
    let mut columns = Columns::new(&[Source { name: "bench".into(), endpoint: None }]);
    let mut segments = Vec::new();
    for tick in 0..ticks {
        columns.append(time_ms(tick) * 1_000_000, &[Some(Arc::new(snapshot(&schema, tick)))]);
        if tick % SEGMENT == SEGMENT - 1 || tick + 1 == ticks {
            let mut segment = Vec::new();
            columns.write(&mut segment, &[]).expect("a segment");
            segments.push(bytes::Bytes::from(segment));
            columns = columns.successor();
        }
    }
    let metadata = [("sampling_interval_ms".to_string(), "1000".to_string())];
    stitch::stitch(&segments, fs::File::create(path).expect("a file"), &metadata).expect("a recording");
}

/// Prometheus, and where it listens.
struct Prometheus {
    child: Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start_prometheus(folder: &Path) -> Prometheus {
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    fs::write(folder.join("prometheus.yml"), "global: {}\n").expect("a file");
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
        .arg("--storage.tsdb.retention.time=100y")
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--enable-feature=native-histograms")
        .arg("--web.enable-remote-write-receiver")
        .stderr(Stdio::from(fs::File::create(folder.join("prometheus.log")).expect("a file")))
        .spawn()
        .expect("prometheus: is it installed? .ci/install bench does that");
    let url = format!("http://127.0.0.1:{port}");
    let began = Instant::now();
    while ureq::get(format!("{url}/-/ready")).call().is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "prometheus does not get ready");
        std::thread::sleep(Duration::from_millis(100));
    }
    Prometheus { child, url }
}

fn labels(all: &Pairs) -> Vec<wire::Label> {
    let mut labels: Vec<wire::Label> = all
        .iter()
        .map(|(name, value)| wire::Label {
            name: if name == "metric" { "__name__".into() } else { name.clone() },
            value: value.clone(),
        })
        .collect();
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    labels
}

fn native(number: usize, tick: u64) -> wire::Histogram {
    let buckets = lines(number, tick)
        .flat_map(|line| (0..LINE).map(move |at| (usize::from(line.number) * LINE + at, line.counts[at])))
        .filter(|(_, count)| *count > 0)
        .collect();
    let sparse = Sparse { grouping_power: 3, max_value_power: 64, buckets };
    let exponential = sparse.exponential(|value| value);
    let (positive_spans, positive_deltas) = protobuf::spans(&exponential.buckets);
    wire::Histogram {
        count: Some(wire::CountOf::Int(sparse.count())),
        sum: sparse.sum(),
        schema: exponential.schema,
        zero_threshold: 1e-128,
        zeros: Some(wire::ZerosOf::Int(exponential.zeros)),
        positive_spans,
        positive_deltas,
        timestamp: time_ms(tick) as i64,
    }
}

/// Writes the same into Prometheus, a minute of some series at a time.
fn write(url: &str, ticks: u64) {
    let (counters, gauges, histograms) = series();
    let post = |timeseries: Vec<wire::TimeSeries>| {
        let request = wire::WriteRequest { timeseries, metadata: Vec::new() };
        let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).expect("compressed");
        ureq::post(format!("{url}/api/v1/write"))
            .header("content-encoding", "snappy")
            .header("content-type", "application/x-protobuf")
            .header("x-prometheus-remote-write-version", "0.1.0")
            .send(&body[..])
            .expect("prometheus takes what is written");
    };
    let floats =
        |labels_of: &Pairs, value: &dyn Fn(u64) -> f64, span: std::ops::Range<u64>| wire::TimeSeries {
            labels: labels(labels_of),
            samples: span
                .map(|tick| wire::Sample { value: value(tick), timestamp: time_ms(tick) as i64 })
                .collect(),
            histograms: Vec::new(),
        };
    for first in (0..ticks).step_by(60) {
        let span = first..ticks.min(first + 60);
        let mut all: Vec<wire::TimeSeries> = Vec::new();
        for (n, labels) in counters.iter().enumerate() {
            all.push(floats(labels, &|tick| counter(n, tick) as f64, span.clone()));
        }
        for (n, labels) in gauges.iter().enumerate() {
            all.push(floats(labels, &|tick| gauge(n, tick) as f64, span.clone()));
        }
        for (n, of) in histograms.iter().enumerate() {
            let histograms = span.clone().map(|tick| native(n, tick)).collect();
            all.push(wire::TimeSeries { labels: labels(of), samples: Vec::new(), histograms });
        }
        while !all.is_empty() {
            post(all.split_off(all.len().saturating_sub(250)));
        }
    }
}

/// Serves the recording as `rezolus serve` does.
fn serve(path: &Path) -> String {
    let source =
        query::open(path.to_str().expect("a path"), &query::Options::default()).expect("a recording");
    query::look_at_the_end(&source);
    // As Prometheus is waited for until it is ready.
    std::thread::sleep(Duration::from_millis(500));
    let router = api::router(source, api::Options::default());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    listener.set_nonblocking(true).expect("a socket");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, router).await.expect("a server");
        });
    });
    url
}

struct Query {
    name: &'static str,
    text: String,
    /// None: at the end.
    step: Option<u64>,
}

fn queries() -> Vec<Query> {
    let query = |name, text: &str, step| Query { name, text: text.into(), step };
    vec![
        query("instant sum(rate())", "sum(rate(work_total[1m]))", None),
        query("sum by (id) (rate()) at 15 s", "sum by (id) (rate(work_total[1m]))", Some(15)),
        query("sum by (id) (rate()) at 1 s", "sum by (id) (rate(work_total[5s]))", Some(1)),
        query("topk", "topk(5, rate(work_total[1m]))", Some(15)),
        query("join", "rate(work_total[1m]) * on (id) group_left (rack) rack_info", Some(15)),
        query("histogram_quantile of a sum", "histogram_quantile(0.99, sum(rate(latency[1m])))", Some(15)),
        query("histogram_quantile of each", "histogram_quantile(0.99, rate(latency[1m]))", Some(15)),
        query("subquery", "max_over_time(sum(rate(work_total[1m]))[5m:15s])", Some(15)),
        query("selection of 500 series", "work_total{id=~\"[0-9]|[12][0-9]|3[01]\"}", Some(15)),
    ]
}

/// Seconds, and the body.
fn ask(agent: &ureq::Agent, url: &str, query: &Query, ticks: u64) -> (f64, String) {
    let end = START + ticks;
    let began = Instant::now();
    let request = match query.step {
        None => agent.get(format!("{url}/api/v1/query")).query("time", end.to_string()),
        Some(step) => agent
            .get(format!("{url}/api/v1/query_range"))
            .query("start", (START + 60).to_string())
            .query("end", end.to_string())
            .query("step", step.to_string()),
    };
    let mut answer = request.query("query", &query.text).call().expect("an answer");
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_string().expect("a body");
    (began.elapsed().as_secs_f64(), body)
}

/// The series of an answer: how many, and the sum of the last value of each.
fn summary(body: &str) -> (usize, f64) {
    let json: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let result = json["data"]["result"].as_array().cloned().unwrap_or_default();
    let last = |series: &serde_json::Value| {
        let value = series["values"].as_array().and_then(|values| values.last().cloned());
        let value = value.unwrap_or_else(|| series["value"].clone());
        value[1].as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    (result.len(), result.iter().map(last).sum())
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let ticks = if quick { 600 } else { 3600 };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bench.parquet");
    record(&path, ticks);
    println!("recording: {:.1} MB", fs::metadata(&path).expect("a file").len() as f64 / 1e6);
    let prometheus = start_prometheus(folder.path());
    write(&prometheus.url, ticks);
    let ours = serve(&path);
    let agent = ureq::Agent::new_with_defaults();
    println!("| query | first, ours | first, Prometheus | ratio | warm, ours | warm, Prometheus | ratio |");
    println!("|---|---|---|---|---|---|---|");
    for query in queries() {
        let (first, body) = ask(&agent, &ours, &query, ticks);
        let (their_first, their_body) = ask(&agent, &prometheus.url, &query, ticks);
        let ((count, sum), (their_count, their_sum)) = (summary(&body), summary(&their_body));
        let near = (sum - their_sum).abs() <= 1e-6 * sum.abs() || query.name.starts_with("histogram");
        assert!(count == their_count && near, "{}: {count} {sum}, {their_count} {their_sum}", query.name);
        let rounds = if quick { 5 } else { 15 };
        let (mut warm, mut their_warm) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            warm.push(ask(&agent, &ours, &query, ticks).0);
            their_warm.push(ask(&agent, &prometheus.url, &query, ticks).0);
        }
        let median = |all: &mut Vec<f64>| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let (warm, their_warm) = (median(&mut warm), median(&mut their_warm));
        println!(
            "| {} | {:.1} ms | {:.1} ms | {:.3} | {:.2} ms | {:.1} ms | {:.3} |",
            query.name,
            first * 1e3,
            their_first * 1e3,
            first / their_first,
            warm * 1e3,
            their_warm * 1e3,
            warm / their_warm
        );
    }
}

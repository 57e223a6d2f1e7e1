//! A day at a second's interval: 86,400 ticks of 2,000 columns, 40 of them histograms.
//! How long its log takes to become a recording, the recording to open, a dashboard's
//! queries to be answered from it for the first time; what memory that takes; and how
//! the time grows. `cargo bench -p rezolus-modes --bench day`, or with fewer ticks:
//! `... -- 3600`. With `--keep FOLDER` the recordings stay there, and are not made again.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rezolus_modes::log::Contents;
use rezolus_modes::log::columns::{Columns, Source};
use rezolus_modes::snapshot::{Group, GroupSchema, LINE, Line, MetricDesc, Numbers, Shape, Snapshot};
use rezolus_store::cache::Cache;
use rezolus_store::promql::{self, Options};
use rezolus_store::recording::Recording;

const SCALARS: usize = 1960;
const HISTOGRAMS: usize = 40;
/// As many as the log puts into a segment at a second's interval.
const SEGMENT: u64 = 300;
const HOUR: u64 = 3600;
const SECOND: i64 = 1_000_000_000;

fn describe(metric: &str, number: usize, histogram: bool) -> MetricDesc {
    let (id, state) = ((number / 2).to_string(), ["user", "system"][number % 2]);
    let mut metadata = [("metric", metric), ("id", &id), ("state", state), ("unit", "events")].to_vec();
    if histogram {
        metadata.extend([("grouping_power", "3"), ("max_value_power", "64")]);
    }
    let metadata = metadata.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    MetricDesc { name: format!("{metric}/{number}"), metadata }
}

fn schema() -> Arc<GroupSchema> {
    Arc::new(GroupSchema {
        counters: (0..SCALARS).map(|n| describe("work", n, false)).collect(),
        histograms: (0..HISTOGRAMS).map(|n| describe("latency", n, true)).collect(),
        ..Default::default()
    })
}

/// Counters that move at rates of their own, histograms of which three lines do.
fn snapshot(schema: &Arc<GroupSchema>, hash: (u64, u64), at: u64) -> Snapshot {
    let mut numbers = Numbers::default();
    numbers.counters.extend((0..SCALARS as u64).map(|n| Some(at * (n % 97) * 13 + (at * n) % 7)));
    for n in 0..HISTOGRAMS as u64 {
        for number in 8..11 {
            numbers.lines.push(Line { number, counts: [at * (n + u64::from(number)); LINE] });
        }
        numbers.histograms.push(Some(Shape { grouping_power: 3, max_value_power: 64, lines: 3 }));
    }
    let lengths = numbers.lengths();
    Snapshot {
        systemtime: UNIX_EPOCH + Duration::from_secs(at),
        duration: Duration::from_micros(70),
        metadata: Vec::new(),
        groups: vec![Group { name: "bench/main".into(), schema: schema.clone(), hash, lengths }],
        numbers,
    }
}

/// Writes a log of so many ticks, and makes a recording of it.
fn record(folder: &Path, out: &Path, ticks: u64) {
    let schema = schema();
    let hash = schema.hash();
    let mut columns = Columns::new(&[Source { name: "bench".into(), endpoint: None }]);
    let (mut number, mut bytes, began) = (0, 0, Instant::now());
    for at in 1..=ticks {
        columns.append(at * 1_000_000_000, &[Some(Arc::new(snapshot(&schema, hash, at)))]);
        if at % SEGMENT == 0 || at == ticks {
            let mut segment = Vec::new();
            columns.write(&mut segment, &[]).expect("a segment");
            number += 1;
            bytes += segment.len();
            let name = format!("{number:08}-{:08x}.parquet", crc32fast::hash(&segment));
            fs::write(folder.join(name), segment).expect("a file");
            columns = columns.successor();
        }
    }
    let made = began.elapsed();
    println!("{ticks} ticks, {number} segments, {:.1} MB, made in {made:.1?}", bytes as f64 / 1e6);
    let began = Instant::now();
    let contents = Contents::read(folder, 0..=u64::MAX).expect("a log");
    let metadata = [("sampling_interval_ms".to_string(), "1000".to_string())];
    let file = BufWriter::new(File::create(out).expect("a file"));
    let rows = contents.write(file, &metadata).expect("a recording");
    let length = fs::metadata(out).expect("a file").len();
    println!("stitched {rows} rows, {:.1} MB, in {:.2?}", length as f64 / 1e6, began.elapsed());
}

fn open(path: &Path) -> Recording {
    Recording::open(path, &[], Arc::new(Cache::default())).expect("a recording")
}

/// The median of a few runs, in ms.
fn median(mut run: impl FnMut() -> Duration) -> f64 {
    let mut all: Vec<f64> = (0..5).map(|_| run().as_secs_f64() * 1e3).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// A query over the last so many seconds, 1,000 points, of a recording that was just
/// opened; ms.
fn first(path: &Path, ticks: u64, span: u64, query: &str) -> f64 {
    let end = ticks as i64 * SECOND;
    let step = (span as i64 * SECOND / 1000).max(SECOND);
    let query = query.replace("$range", &format!("{}s", (4 * step / SECOND).max(10)));
    median(|| {
        let recording = open(path);
        let began = Instant::now();
        let start = end - span as i64 * SECOND + SECOND;
        let answer = promql::range(&recording, &query, start, end, step, &Options::default());
        let promql::Value::Matrix(series) = answer.expect("an answer").value else { panic!("no matrix") };
        assert!(!series.is_empty(), "{query}");
        began.elapsed()
    })
}

fn resident_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN) / 1e3
}

const PANELS: [(&str, &str); 4] = [
    ("8 counters", "rate(work{id=~\"[0-3]\"}[$range])"),
    ("64 counters, summed", "sum by (state) (rate(work{id=~\"[0-2]?[0-9]|3[01]\"}[$range]))"),
    ("a histogram's p99", "histogram_quantile(0.99, rate(latency{id=\"3\",state=\"user\"}[$range]))"),
    ("4 histograms, summed", "histogram_quantile(0.99, sum(rate(latency{id=~\"[01]\"}[$range])))"),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let ticks: u64 = arguments.iter().filter_map(|argument| argument.parse().ok()).next().unwrap_or(86_400);
    let kept = arguments.windows(2).find(|pair| pair[0] == "--keep").map(|pair| PathBuf::from(&pair[1]));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = kept.as_deref().unwrap_or(folder.path());
    let made = |ticks: u64| {
        let out = folder.join(format!("{ticks}.parquet"));
        if !out.exists() {
            let log = tempfile::tempdir().expect("a temporary folder");
            record(log.path(), &out, ticks);
        }
        out
    };
    let (day, short) = (made(ticks), made(HOUR.min(ticks)));

    let opening = |path: &Path| {
        median(|| {
            let began = Instant::now();
            let recording = open(path);
            let took = began.elapsed();
            drop(recording);
            took
        })
    };
    println!("open, ms: {:.1} (an hour's file: {:.1})", opening(&day), opening(&short));
    for (name, query) in PANELS {
        println!("{name}, first query, over everything, ms: {:.1}", first(&day, ticks, ticks, query));
    }
    for (name, query) in PANELS {
        print!("{name}, first query, ms over");
        let spans = [1, 2, 4, 8, 16, 24].map(|hours| hours * HOUR).into_iter().filter(|span| *span <= ticks);
        for span in spans {
            print!(" {} h: {:.1}", span / HOUR, first(&day, ticks, span, query));
        }
        println!("; of an hour's file: {:.1}", first(&short, HOUR.min(ticks), HOUR.min(ticks), query));
    }
    println!("resident so far: {:.0} MB", resident_mb());
    let recording = open(&day);
    for (_, query) in PANELS.iter().cycle().take(40) {
        let query = query.replace("$range", "5m");
        promql::range(&recording, &query, SECOND, ticks as i64 * SECOND, 90 * SECOND, &Options::default())
            .expect("an answer");
    }
    let all = "sum(rate(work[5m]))";
    promql::range(
        &recording,
        all,
        (ticks.saturating_sub(HOUR)) as i64 * SECOND,
        ticks as i64 * SECOND,
        15 * SECOND,
        &Options::default(),
    )
    .expect("an answer");
    println!(
        "resident after 40 queries over everything, and one of all series over an hour: {:.0} MB",
        resident_mb()
    );
}

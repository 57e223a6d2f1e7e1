use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rezolus_store::sample::{Sample, is_stale};
use rezolus_store::{Matcher, Source};

use super::live::Window;
use super::log::LogSource;
use super::{Options, open_all};
use crate::log::columns::Source as LogSourceName;
use crate::log::{Header, Log};
use crate::snapshot::{Group, GroupSchema, LINE, Line, MetricDesc, Numbers, Shape, Snapshot};

const SECOND: i64 = 1_000_000_000;

fn describe(name: &str, labels: &[(&str, &str)]) -> MetricDesc {
    let mut metadata: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    metadata.insert("metric".into(), name.into());
    MetricDesc { name: name.into(), metadata }
}

fn snapshot(at: u64) -> Arc<Snapshot> {
    snapshot_with(at, &[])
}

/// A counter, a gauge that is sometimes not there, and a histogram; and more counters.
fn snapshot_with(at: u64, counters: &[&str]) -> Arc<Snapshot> {
    let mut schema = GroupSchema::default();
    let mut numbers = Numbers::default();
    schema.counters.push(describe("events", &[("id", "0")]));
    numbers.counters.push(Some(at * 2));
    for name in counters {
        schema.counters.push(describe(name, &[]));
        numbers.counters.push(Some(at));
    }
    schema.gauges.push(describe("level", &[]));
    numbers.gauges.push((at % 5 != 3).then_some(-(at as i64)));
    schema.histograms.push(describe("latency", &[("grouping_power", "3"), ("max_value_power", "64")]));
    numbers.lines.push(Line { number: 2, counts: [at; LINE] });
    numbers.histograms.push(Some(Shape { grouping_power: 3, max_value_power: 64, lines: 1 }));
    let lengths = numbers.lengths();
    let group = Group { name: "test/main".into(), hash: schema.hash(), schema: Arc::new(schema), lengths };
    Arc::new(Snapshot {
        systemtime: UNIX_EPOCH + Duration::from_secs(at),
        duration: Duration::ZERO,
        metadata: Vec::new(),
        groups: vec![group],
        numbers,
    })
}

/// Seconds and values: of histograms their counts, None at the end of a series.
fn samples(source: &dyn Source, name: &str) -> Vec<(i64, Option<f64>)> {
    let series = source.select(&[Matcher::equal("__name__", name)], i64::MIN, i64::MAX).unwrap();
    assert!(series.len() <= 1, "{series:?}");
    let Some(series) = series.first() else { return Vec::new() };
    let value = |at| match series.samples.get(at) {
        Sample::Float(value) if is_stale(value) => None,
        Sample::Float(value) => Some(value),
        Sample::Histogram(histogram) => Some(histogram.count),
    };
    (0..series.samples.len()).map(|at| (series.samples.times[at] / SECOND, value(at))).collect()
}

fn check(source: &dyn Source, ticks: std::ops::Range<i64>) {
    let expected =
        |value: fn(i64) -> f64| -> Vec<_> { ticks.clone().map(|at| (at, Some(value(at)))).collect() };
    assert_eq!(samples(source, "events"), expected(|at| (at * 2) as f64));
    assert_eq!(samples(source, "latency"), expected(|at| (at * 8) as f64));
    let level: Vec<_> = ticks.clone().map(|at| (at, (at % 5 != 3).then_some(-at as f64))).collect();
    assert_eq!(samples(source, "level"), level);
    assert_eq!(source.range(), Some((ticks.start * SECOND, (ticks.end - 1) * SECOND)));
}

#[test]
fn a_window_is_as_long_as_it_may_be() {
    let options = Options { window: Duration::from_secs(1000), ..Options::default() };
    let window = Window::new(&[], &options);
    for at in 1..=300 {
        window.append(&snapshot(at));
        if at % 50 == 0 {
            check(&window, 1..at as i64 + 1);
        }
    }
    // Not later than the last.
    window.append(&snapshot(300));
    check(&window, 1..301);
    for at in 301..=3000 {
        window.append(&snapshot(at));
    }
    // Sealed every 125 ticks, an eighth of it; none was older than it may be when the last one came.
    check(&window, 1876..3001);
    assert_eq!(window.metadata()["events"].kind, "counter");
    let small = Window::new(&[], &Options { window_bytes: 20_000, ..Options::default() });
    for at in 1..=2000 {
        small.append(&snapshot(at));
    }
    let (first, last) = small.range().unwrap();
    assert!(first > 1000 * SECOND && last == 2000 * SECOND, "{first}");
    check(&small, first / SECOND..2001);
}

#[test]
fn what_is_gone_goes_with_the_window() {
    let window = Window::new(&[], &Options { window: Duration::from_secs(60), ..Options::default() });
    let series =
        || window.series(&[Matcher::equal("__name__", "passing")], i64::MIN, i64::MAX).unwrap().len();
    (1..=100).for_each(|at| window.append(&snapshot_with(at, &["passing"])));
    (101..=160).for_each(|at| window.append(&snapshot(at)));
    assert_eq!(series(), 1);
    // Its last ticks are in a part of 16.
    (161..=160 + 16).for_each(|at| window.append(&snapshot(at)));
    assert_eq!(series(), 0);
    assert!(!window.metadata().contains_key("passing"));
    assert_eq!(window.range(), Some((113 * SECOND, 176 * SECOND)));
}

#[test]
fn a_log_is_read_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let source = LogSourceName { name: "test".into(), endpoint: None };
    // Less than the least, so that every look is a new one.
    let header = Header { interval_ns: 1, sources: vec![source], metadata: Vec::new() };
    let (mut log, _) = Log::open(folder.path(), header).unwrap();
    log.limit_segments(Duration::from_secs(100), u64::MAX);
    log.append(SECOND as u64, &[Some(snapshot(1))]).unwrap();
    let source = LogSource::open(folder.path(), &[], Arc::default()).unwrap();
    check(&source, 1..2);
    let mut at = 1;
    for until in [50, 150, 420] {
        while at < until {
            at += 1;
            log.append(at * SECOND as u64, &[Some(snapshot(at))]).unwrap();
        }
        source.look_again();
        check(&source, 1..until as i64 + 1);
    }
    log.finish().unwrap();
    source.look_again();
    check(&source, 1..421);
    assert!(log.drop_oldest());
    source.look_again();
    let (first, _) = source.range().unwrap();
    assert!(first > 100 * SECOND, "{first}");
    check(&source, first / SECOND..421);
}

#[test]
fn a_segment_that_is_damaged_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let source = LogSourceName { name: "test".into(), endpoint: None };
    let header = Header { interval_ns: SECOND as u64, sources: vec![source], metadata: Vec::new() };
    let (mut log, _) = Log::open(folder.path(), header).unwrap();
    log.limit_segments(Duration::from_secs(100), u64::MAX);
    for at in 1..=250 {
        log.append(at * SECOND as u64, &[Some(snapshot(at))]).unwrap();
    }
    log.finish().unwrap();
    let segments = crate::log::files(folder.path(), "parquet").unwrap();
    let first = segments.values().next().unwrap();
    let whole = std::fs::read(first).unwrap();
    let (start, _) = LogSource::open(folder.path(), &[], Arc::default()).unwrap().range().unwrap();
    assert_eq!(start, SECOND);
    // In the pages, where nothing else would notice.
    let mut damaged = whole.clone();
    damaged[whole.len() / 4] ^= 1;
    std::fs::write(first, damaged).unwrap();
    let source = LogSource::open(folder.path(), &[], Arc::default()).unwrap();
    let (start, _) = source.range().unwrap();
    assert!(start > 50 * SECOND, "{start}");
    check(&source, start / SECOND..251);
}

#[test]
fn several_inputs_get_names() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str| {
        let path = folder.path().join(name);
        let mut columns = crate::log::columns::Columns::default();
        (1..=3).for_each(|at| columns.append(at * SECOND as u64, &[Some(snapshot(at))]));
        columns.write(std::fs::File::create(&path).unwrap(), &[]).unwrap();
        path.to_str().unwrap().to_string()
    };
    let inputs = [made("base.parquet"), format!("other={}", made("x.parquet"))];
    let source = open_all(&inputs, &Options::default()).unwrap();
    let series = source.series(&[Matcher::equal("__name__", "events")], i64::MIN, i64::MAX).unwrap();
    let series: Vec<_> = series.iter().map(ToString::to_string).collect();
    assert_eq!(series, [r#"events{id="0", recording="base"}"#, r#"events{id="0", recording="other"}"#]);
    let twice = [inputs[0].clone(), inputs[0].clone()];
    assert!(open_all(&twice, &Options::default()).map(|_| ()).unwrap_err().contains("name them"));
}

#[test]
fn an_exporter_is_asked_again_and_again() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (asked, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let body = format!("# HELP asked How often.\n# TYPE asked counter\nasked{{a=\"b\"}} {asked}\n");
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    let options = Options { interval: Duration::from_millis(20), ..Options::default() };
    let source = super::open(&format!("me=http://{address}/metrics"), &options).unwrap();
    let asked = || {
        let series = source.select(&[Matcher::equal("__name__", "asked")], 0, i64::MAX).unwrap();
        assert_eq!((series.len(), series[0].labels.get("recording")), (1, "me"));
        let samples = series[0].samples.clone();
        (0..samples.len())
            .filter(|&at| samples.get(at) != Sample::Float(rezolus_store::sample::STALE))
            .count()
    };
    // However long it takes on a busy machine.
    while asked() < 5 {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(source.metadata()["asked"].help, "How often.");
    assert!(source.range().is_some_and(|(first, last)| first < last));
}

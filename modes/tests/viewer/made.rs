//! Recordings and logs to look at.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, UInt64Array};
use arrow_schema::{DataType, Field};
use parquet::basic::Compression;
use rezolus_modes::log::columns::Source;
use rezolus_modes::log::{Header, Log};
use rezolus_modes::snapshot::{GroupSchema, Numbers, Shape, Snapshot};
use serde_json::json;
use tempfile::TempDir;

use crate::made;

pub const SECOND: u64 = 1_000_000_000;
/// s
pub const START: u64 = 1_795_341_600;

pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A recording that is to be made.
pub struct Made {
    fields: Vec<(Field, ArrayRef)>,
    metadata: Vec<(String, String)>,
    group_rows: usize,
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

impl Made {
    /// With rows at these times, ns.
    pub fn at(times: impl IntoIterator<Item = u64>) -> Self {
        let times: Vec<u64> = times.into_iter().collect();
        let metadata = [("source", "rezolus"), ("version", "0.1.0"), ("sampling_interval_ms", "1000")];
        let made = Self {
            fields: Vec::new(),
            metadata: metadata.map(|(key, value)| (key.into(), value.into())).into(),
            group_rows: 1 << 20,
        };
        made.column("timestamp", &[], DataType::UInt64, Arc::new(UInt64Array::from(times)))
    }

    /// With so many rows, one each second.
    pub fn rows(rows: u64) -> Self {
        Self::at((0..rows).map(|row| (START + row) * SECOND))
    }

    pub fn grouped(mut self, group_rows: usize) -> Self {
        self.group_rows = group_rows;
        self
    }

    pub fn key(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.retain(|(name, _)| name != key);
        self.metadata.push((key.into(), value.to_string()));
        self
    }

    fn column(mut self, name: &str, pairs: Pairs, kind: DataType, values: ArrayRef) -> Self {
        let metadata: HashMap<_, _> =
            pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let name = if self.fields.is_empty() { name.into() } else { format!("{name}/{}", self.fields.len()) };
        self.fields.push((Field::new(name, kind, !self.fields.is_empty()).with_metadata(metadata), values));
        self
    }

    fn labelled(self, metric: &str, labels: Pairs, kind: DataType, values: ArrayRef) -> Self {
        let pairs = [&[("metric", metric)], labels].concat();
        self.column(metric, &pairs, kind, values)
    }

    pub fn counter(self, metric: &str, labels: Pairs, value: impl Fn(u64) -> Option<u64>) -> Self {
        let values: UInt64Array = (0..self.length()).map(value).collect();
        self.labelled(metric, labels, DataType::UInt64, Arc::new(values))
    }

    pub fn gauge(self, metric: &str, labels: Pairs, value: impl Fn(i64) -> Option<i64>) -> Self {
        let values: Int64Array = (0..self.length() as i64).map(value).collect();
        self.labelled(metric, labels, DataType::Int64, Arc::new(values))
    }

    /// Of 36 buckets: 0 to 7 one by one, and so on.
    pub fn histogram(self, metric: &str, labels: Pairs, counts: impl Fn(u64) -> Option<Vec<u64>>) -> Self {
        self.histogram_of(2, metric, labels, counts)
    }

    /// Of `2^grouping_power` buckets for each power of two up to 2^10; those at the end may be left away.
    pub fn histogram_of(
        self,
        grouping_power: u8,
        metric: &str,
        labels: Pairs,
        counts: impl Fn(u64) -> Option<Vec<u64>>,
    ) -> Self {
        let full = |mut counts: Vec<u64>| {
            counts.resize(Shape::buckets(grouping_power, 10).unwrap(), 0);
            counts
        };
        let rows: Vec<_> = (0..self.length()).map(|row| counts(row).map(full)).collect();
        let shape = [("grouping_power", &*grouping_power.to_string()), ("max_value_power", "10")];
        self.labelled(metric, &[&shape, labels].concat(), made::list(), made::histograms(&rows))
    }

    fn length(&self) -> u64 {
        self.fields[0].1.len() as u64
    }

    pub fn write(self, folder: &TempDir, name: &str) -> String {
        let path = folder.path().join(name);
        made::write(&path, self.fields, self.metadata, Compression::UNCOMPRESSED, self.group_rows);
        path.to_str().unwrap().into()
    }
}

/// Counters, a gauge with a gap, histograms.
pub fn usual(rows: u64) -> Made {
    let usage = |state, id| [("sampler", "cpu_usage"), ("state", state), ("id", id), ("unit", "nanoseconds")];
    let counts = |scale: u64| {
        move |row: u64| Some(vec![row * scale, row, 0, row * row, 0, row / 2, 0, 0, 0, 0, 3 * row])
    };
    Made::rows(rows)
        .counter("cpu_usage", &usage("user", "0"), |row| Some(row * 3 + row % 7))
        .counter("cpu_usage", &usage("user", "1"), |row| Some(row * 2))
        .counter("cpu_usage", &usage("system", "0"), |row| Some(row * row))
        .gauge("level", &[("sampler", "memory")], |row| (!(10..20).contains(&row)).then_some(row % 13 - 4))
        .histogram("latency", &[("op", "read"), ("sampler", "latency")], counts(1))
        .histogram("latency", &[("op", "write"), ("sampler", "latency")], counts(4))
        .key("descriptions", json!({"cpu_usage": "time on the CPU"}))
        .key("systeminfo", json!({"hostname": "web1"}))
}

/// A log of so many ticks, a second apart: the counter `events` and the gauge `level`.
pub fn log(folder: &TempDir, ticks: u64) -> Log {
    let source = Source { name: "rezolus".into(), endpoint: None };
    let header = Header { interval_ns: SECOND, sources: vec![source], metadata: Vec::new() };
    let (mut log, _) = Log::open(folder.path(), header).unwrap();
    (0..ticks).for_each(|tick| append(&mut log, tick));
    log
}

pub fn append(log: &mut Log, tick: u64) {
    let time = (START + tick) * SECOND;
    log.append(time, &[Some(Arc::new(snapshot("test/main", time, tick)))]).unwrap();
}

/// The counter `events` and the gauge `level` in a group.
pub fn snapshot(group: &str, time: u64, tick: u64) -> Snapshot {
    let (mut schema, mut numbers) = (GroupSchema::default(), Numbers::default());
    schema.counters.push(made::describe("events", &[]));
    numbers.counters.push(Some(tick * 2));
    schema.gauges.push(made::describe("level", &[]));
    numbers.gauges.push(Some(tick as i64));
    made::snapshot(group, time, schema, numbers)
}

/// An exporter at this URL, with a counter of how often it was asked.
pub fn exporter() -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (asked, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let body = format!("# HELP asked How often.\n# TYPE asked counter\nasked {asked}\n");
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    format!("http://{address}/metrics")
}

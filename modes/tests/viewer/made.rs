//! Recordings and logs to look at.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use arrow_array::builder::{ListBuilder, UInt64Builder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use rezolus_modes::log::columns::Source;
use rezolus_modes::log::{Header, Log};
use rezolus_modes::snapshot::{Group, GroupSchema, MetricDesc, Numbers, Shape, Snapshot};
use serde_json::json;
use tempfile::TempDir;

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
        let mut builder = ListBuilder::new(UInt64Builder::new());
        for row in 0..self.length() {
            let full = |mut counts: Vec<u64>| {
                counts.resize(Shape::buckets(grouping_power, 10).unwrap(), 0);
                counts
            };
            builder.append_option(counts(row).map(|counts| full(counts).into_iter().map(Some)));
        }
        let kind = DataType::List(Arc::new(Field::new("item", DataType::UInt64, true)));
        let shape = [("grouping_power", &*grouping_power.to_string()), ("max_value_power", "10")];
        self.labelled(metric, &[&shape, labels].concat(), kind, Arc::new(builder.finish()))
    }

    fn length(&self) -> u64 {
        self.fields[0].1.len() as u64
    }

    pub fn write(self, folder: &TempDir, name: &str) -> String {
        let path = folder.path().join(name);
        let pairs = self.metadata.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(self.group_rows))
            .set_key_value_metadata(Some(pairs))
            .build();
        let (fields, arrays): (Vec<_>, Vec<_>) = self.fields.into_iter().unzip();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
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
    let describe = |name: &str| MetricDesc {
        name: name.into(),
        metadata: [("metric".to_string(), name.to_string())].into(),
    };
    let (mut schema, mut numbers) = (GroupSchema::default(), Numbers::default());
    schema.counters.push(describe("events"));
    numbers.counters.push(Some(tick * 2));
    schema.gauges.push(describe("level"));
    numbers.gauges.push(Some(tick as i64));
    let lengths = numbers.lengths();
    let group = Group { name: group.into(), hash: schema.hash(), schema: Arc::new(schema), lengths };
    Snapshot {
        systemtime: UNIX_EPOCH + Duration::from_nanos(time),
        duration: Duration::ZERO,
        metadata: Vec::new(),
        groups: vec![group],
        numbers,
    }
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

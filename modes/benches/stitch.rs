//! How long a day's log takes to become a recording: 86,400 ticks of 2,000
//! columns, 40 of them histograms. `cargo bench -p rezolus-modes --bench stitch`,
//! or with fewer ticks: `... -- 3600`.

use std::fs::{self, File};
use std::io::BufWriter;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rezolus_modes::log::Contents;
use rezolus_modes::log::columns::{Columns, Source};
use rezolus_modes::snapshot::{Group, GroupSchema, LINE, Line, MetricDesc, Numbers, Shape, Snapshot};

const SCALARS: usize = 1960;
const HISTOGRAMS: usize = 40;
/// As many as the log puts into a segment at a second's interval.
const SEGMENT: u64 = 300;

fn describe(name: String, histogram: bool) -> MetricDesc {
    let mut metadata = [("metric", name.as_str()), ("sampler", "bench"), ("unit", "events")].to_vec();
    if histogram {
        metadata.extend([("grouping_power", "3"), ("max_value_power", "64")]);
    }
    let metadata = metadata.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    MetricDesc { name, metadata }
}

fn schema() -> Arc<GroupSchema> {
    Arc::new(GroupSchema {
        counters: (0..SCALARS).map(|n| describe(format!("counter/{n}"), false)).collect(),
        histograms: (0..HISTOGRAMS).map(|n| describe(format!("histogram/{n}"), true)).collect(),
        ..Default::default()
    })
}

/// Counters that move at rates of their own, histograms of which three lines do.
fn snapshot(schema: &Arc<GroupSchema>, at: u64) -> Snapshot {
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
        groups: vec![Group {
            name: "bench/main".into(),
            schema: schema.clone(),
            hash: schema.hash(),
            lengths,
        }],
        numbers,
    }
}

fn main() {
    let ticks: u64 = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(86_400);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let schema = schema();
    let mut columns = Columns::new(&[Source { name: "bench".into(), endpoint: None }]);
    let (mut number, mut bytes, began) = (0, 0, Instant::now());
    for at in 1..=ticks {
        columns.append(at * 1_000_000_000, &[Some(Arc::new(snapshot(&schema, at)))]);
        if at % SEGMENT == 0 || at == ticks {
            let mut segment = Vec::new();
            columns.write(&mut segment, &[]).expect("a segment");
            number += 1;
            bytes += segment.len();
            let name = format!("{number:08}-{:08x}.parquet", crc32fast::hash(&segment));
            fs::write(folder.path().join(name), segment).expect("a file");
            columns = columns.successor();
        }
    }
    let made = began.elapsed();
    println!("{ticks} ticks, {number} segments, {:.1} MB, made in {made:.1?}", bytes as f64 / 1e6);
    let began = Instant::now();
    let contents = Contents::read(folder.path(), 0..=u64::MAX).expect("a log");
    let out = folder.path().join("out");
    let rows = contents.write(BufWriter::new(File::create(&out).expect("a file")), &[]).expect("a recording");
    let length = fs::metadata(&out).expect("a file").len();
    println!("stitched {rows} rows, {:.1} MB, in {:.2?}", length as f64 / 1e6, began.elapsed());
}

//! The recording tools, as a user calls them: on recordings made here, on two
//! that others made, on damaged ones, and with the readers of others.

use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, UInt64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Int64Array, UInt64Array};
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use clap::Parser;
use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaDataReader;
use proptest::prelude::*;
use rezolus_modes::recording::{Command, Error, Kind, Recording};
use rezolus_store::Source;
use serde_json::{Value, json};
use tempfile::TempDir;

use made::{histograms, list};

mod made;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_795_341_600 * SECOND;

#[derive(clap::Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Whether all is well, and what was said.
fn run<S: AsRef<str>>(arguments: &[S]) -> Result<(bool, String), String> {
    let arguments = std::iter::once("recording").chain(arguments.iter().map(AsRef::as_ref));
    let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    let fine = cli.command.run(&mut out).map_err(|error| error.to_string())?;
    Ok((fine, String::from_utf8(out).expect("UTF-8")))
}

/// As [`run`], where all has to be well.
fn said<S: AsRef<str>>(arguments: &[S]) -> String {
    let (fine, text) = run(arguments).unwrap_or_else(|error| panic!("{error}"));
    assert!(fine, "{text}");
    text
}

fn refused<S: AsRef<str>>(arguments: &[S]) -> String {
    run(arguments).map(|(_, text)| panic!("not refused: {text}")).unwrap_err()
}

/// A recording that is to be made.
struct Made {
    fields: Vec<(Field, ArrayRef)>,
    metadata: Vec<(String, String)>,
    codec: Compression,
    group_rows: usize,
}

fn field(name: &str, kind: DataType, metadata: &[(&str, &str)]) -> Field {
    let metadata: std::collections::HashMap<_, _> =
        metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Field::new(name, kind, name != "timestamp").with_metadata(metadata)
}

fn counters(values: &[u64]) -> ArrayRef {
    Arc::new(UInt64Array::from(values.to_vec()))
}

fn gauges(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

impl Made {
    /// A counter, a gauge and a histogram at these times.
    fn new(times: &[u64]) -> Self {
        let rows = times.len() as u64;
        let counter: Vec<_> = (0..rows).map(|row| u64::MAX - 1000 + row * 2).collect();
        let gauge = (0..rows as i64).map(|row| (row % 3 != 1).then_some(-row));
        let counts: Vec<_> = (0..rows).map(|row| Some(vec![row, 0, 2 * row, 0, 0, 1])).collect();
        let time = [("metric_type", "timestamp"), ("unit", "nanoseconds")];
        let usage = [
            ("metric", "cpu_usage"),
            ("metric_type", "counter"),
            ("sampler", "cpu_usage"),
            ("state", "user"),
            ("id", "0"),
        ];
        let memory = [("metric", "memory_free"), ("metric_type", "gauge"), ("sampler", "memory")];
        let latency = [
            ("metric", "latency"),
            ("metric_type", "histogram"),
            ("grouping_power", "1"),
            ("max_value_power", "3"),
            ("op", "a \"b\"\\,\n"),
        ];
        let samples = json!({"first_sample_ns": times.first(), "last_sample_ns": times.last()});
        let metadata = [
            ("source", "rezolus".to_string()),
            ("version", "0.1.0".to_string()),
            ("sampling_interval_ms", "1000".to_string()),
            ("systeminfo", json!({"hostname": "web1", "cpus": 4}).to_string()),
            ("descriptions", json!({"cpu_usage": "time on the CPU"}).to_string()),
            ("per_source_metadata", json!({"rezolus": samples}).to_string()),
        ];
        let duration = [("metric_type", "duration"), ("unit", "nanoseconds")];
        Self {
            fields: Vec::new(),
            metadata: metadata.map(|(key, value)| (key.to_string(), value)).into(),
            codec: Compression::ZSTD(Default::default()),
            group_rows: 4,
        }
        .column("timestamp", DataType::UInt64, &time, counters(times))
        .column("duration", DataType::UInt64, &duration, counters(&vec![5; times.len()]))
        .column("cpu_usage/user#0", DataType::UInt64, &usage, counters(&counter))
        .column("memory_free", DataType::Int64, &memory, Arc::new(gauge.collect::<Int64Array>()))
        .column("latency:buckets", list(), &latency, histograms(&counts))
    }

    fn key(mut self, key: &str, value: &str) -> Self {
        self.metadata.retain(|(name, _)| name != key);
        self.metadata.push((key.into(), value.into()));
        self
    }

    fn column(mut self, name: &str, kind: DataType, labels: &[(&str, &str)], values: ArrayRef) -> Self {
        self.fields.push((field(name, kind, labels), values));
        self
    }

    fn write(self, folder: &TempDir, name: &str) -> String {
        let path = folder.path().join(name);
        made::write(&path, self.fields, self.metadata, self.codec, self.group_rows);
        path.to_str().unwrap().into()
    }
}

/// `rows` moments a second apart, with the agent's jitter.
fn times(rows: u64) -> Vec<u64> {
    (0..rows).map(|row| START + row * SECOND + 1_000_000 + row * 1001).collect()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().into()
}

fn open(path: &str) -> Recording {
    Recording::open(Path::new(path)).unwrap_or_else(|error| panic!("{error}"))
}

/// The column with this name.
fn values(recording: &Recording, name: &str) -> ArrayRef {
    let column = recording.columns().iter().find(|column| column.name == name);
    let position = column.unwrap_or_else(|| panic!("no column {name}")).position;
    recording.column(position, 0..recording.rows()).unwrap()
}

/// Recordings that others made, where the folder with them is at hand.
fn published() -> Vec<String> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("REZOLUS_SHARED").map_or(beside, PathBuf::from);
    if !shared.is_dir() {
        println!("{} is not there (REZOLUS_SHARED): published recordings are left out", shared.display());
        return Vec::new();
    }
    ["demo", "simple_capture"]
        .map(|name| shared.join(format!("data/recordings/{name}.parquet")).to_str().unwrap().into())
        .into()
}

#[test]
fn more_columns_than_are_read_together() {
    let folder = folder();
    let times = times(9);
    let wide = (0..700u64).fold(Made::new(&times), |made, column| {
        let values: Vec<u64> = (0..9).map(|row| row * column).collect();
        let metric = [("metric", "wide"), ("id", &*column.to_string())];
        made.column(&format!("wide/{column}"), DataType::UInt64, &metric, counters(&values))
    });
    let file = wide.write(&folder, "a.parquet");
    let out = path(&folder, "b.parquet");
    said(&["filter", &file, "-o", &out, "--from", "+2s"]);
    let (whole, part) = (open(&file), open(&out));
    assert_eq!((whole.columns().len(), part.rows()), (705, 7));
    for (before, after) in whole.columns().iter().zip(part.columns()) {
        let all = whole.column(before.position, 0..9).unwrap();
        let rest = part.column(after.position, 0..7).unwrap();
        assert_eq!((&before.name, &all.slice(2, 7)), (&after.name, &rest));
    }
    said(&["verify", &out]);
    // One of them is damaged: that one is told, and no other.
    let chunk =
        whole.row_groups()[1].columns().iter().find(|c| c.column_path().string() == "wide/333").unwrap();
    let (start, length) = chunk.byte_range();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[start as usize..(start + length) as usize].fill(0xff);
    std::fs::write(&file, bytes).unwrap();
    let (fine, text) = run(&["verify", &file]).unwrap();
    assert!(!fine && text.contains("`wide/333`, row group 1: is damaged"), "{text}");
    assert!(!text.contains("`wide/332`") && !text.contains("`wide/334`"), "{text}");
    assert!(refused(&["filter", &file, "-o", &out, "--force"]).contains("`wide/333`, row group 1"));
}

#[test]
fn info_says_what_there_is() {
    let folder = folder();
    let mut gap = times(10);
    gap.drain(4..7);
    let file = Made::new(&gap)
        .key(
            "events",
            &json!({"events": [{"timestamp": START, "description": "deploy\u{1b}[2J"}]}).to_string(),
        )
        .key("rezolus.missed", &json!([[START, START + SECOND, 3, "agent away"]]).to_string())
        .write(&folder, "a.parquet");
    let text = said(&["info", &file]);
    for part in [
        "rezolus, version 0.1.0",
        "web1, 4 CPUs",
        "7, every 1000 ms, 2 row groups, ZSTD\n",
        "counter 1, duration 1, gauge 1, histogram 1",
        "cpu_usage 1, memory 1",
        "1, 3 rows missing",
        "2026-11-22T10:00:00Z deploy\\u{1b}[2J",
        "3 from 2026-11-22T10:00:00Z to 2026-11-22T10:00:01Z: \"agent away\"",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let info: Value = serde_json::from_str(&said(&["info", "--json", &file])).unwrap();
    assert_eq!(info["start_ns"], gap[0]);
    assert_eq!(info["gaps"][0]["missing"], 3);
    assert_eq!(info["columns"]["histogram"], 1);
}

#[test]
fn schema_lists_and_chooses() {
    let folder = folder();
    let odd = Arc::new(arrow_array::Int32Array::from(vec![1, 2, 3]));
    let file = Made::new(&times(3)).column("odd", DataType::Int32, &[], odd).write(&folder, "a.parquet");
    let text = said(&["schema", &file]);
    assert!(text.contains("histogram 1/3") && text.contains("unknown (Int32 is neither"), "{text}");
    assert_eq!(said(&["schema", &file, "--metric", "cpu_.*"]).lines().count(), 2);
    let columns: Vec<Value> = serde_json::from_str(&said(&["schema", "--json", &file])).unwrap();
    assert_eq!(columns.len(), 6);
    assert_eq!(columns[2]["kind"], "counter");
    assert_eq!(columns[2]["labels"], json!({"sampler": "cpu_usage", "state": "user", "id": "0"}));
    assert_eq!(columns[4]["grouping_power"], 1);
    assert!(refused(&["schema", &file, "--metric", "cpu"]).contains("none of its 3 metric columns"));
    assert!(refused(&["schema", &file, "--sampler", "tcp"]).contains("sampler `tcp`"));
}

fn findings(file: &str) -> (bool, Vec<(String, String)>) {
    let (fine, text) = run(&["verify", "--json", file]).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_string();
    let all = report["findings"].as_array().unwrap().iter();
    let all = all.map(|f| (text(f, "level"), format!("{}: {}", text(f, "place"), text(f, "what"))));
    // The gauge of all recordings made here has holes.
    (fine, all.filter(|(_, what)| !what.ends_with("missing between others")).collect())
}

/// Exactly these are found.
fn finds(made: Made, expected: &[(&str, &str)]) {
    let folder = folder();
    let (fine, found) = findings(&made.write(&folder, "a.parquet"));
    for (level, part) in expected {
        let there = found.iter().any(|(found, what)| found == level && what.contains(part));
        assert!(there, "{level} {part}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert_eq!(fine, expected.iter().all(|(level, _)| *level != "error"));
}

#[test]
fn verify_finds_what_is_wrong_with_values() {
    let powers = [("metric", "x"), ("grouping_power", "1"), ("max_value_power", "3")];
    let holes = histograms(&[None, Some(vec![1; 6]), None, Some(vec![1; 7]), Some(vec![1; 5])]);
    finds(Made::new(&times(5)), &[]);
    finds(
        Made::new(&times(5)).column("x:buckets", list(), &powers, holes),
        &[
            ("error", "1 null histograms before the first"),
            ("error", "1 null histograms between"),
            ("error", "more buckets than its powers give in row 3"),
            ("warning", "fewer buckets than its powers give in row 4"),
        ],
    );
    let resets = counters(&[5, 6, 2, 3, 1]);
    finds(
        Made::new(&times(5)).column("r", DataType::UInt64, &[("metric_type", "gauge")], resets),
        &[
            ("note", "goes backwards, as after a restart, in 2 rows, first in row 2"),
            ("warning", "says gauge, and its type is that of a counter"),
        ],
    );
    let again = gauges(&[1; 5]);
    finds(
        Made::new(&times(5)).column("memory_free", DataType::Int64, &[("sampler", "memory")], again),
        &[("warning", "has the name of column 3"), ("warning", "is the series memory_free")],
    );
}

#[test]
fn verify_finds_what_is_wrong_with_the_file() {
    let mut disorder = times(5);
    disorder.swap(1, 2);
    let mut twice = times(5);
    twice[3] = twice[2];
    let missing = ("note", "1 rows are missing");
    finds(Made::new(&disorder), &[("error", "row 2: goes back"), missing, missing]);
    finds(Made::new(&twice), &[("error", "row 3: is that of the row above"), missing]);
    finds(Made::new(&times(5)).key("sampling_interval_ms", "1s"), &[("error", "sampling_interval_ms")]);
    finds(Made::new(&times(5)).key("systeminfo", "{"), &[("error", "`systeminfo`: is not JSON")]);
    finds(Made::new(&times(5)).key("source", "other"), &[("warning", "is not rezolus")]);
    let snappy = Made { codec: Compression::SNAPPY, ..Made::new(&times(4)) };
    finds(snappy, &[("error", "codec SNAPPY: viewers show nothing")]);
    finds(Made::new(&[]), &[("warning", "there are no rows")]);
}

#[test]
fn filter_keeps_what_is_asked_for() {
    let folder = folder();
    let file = Made::new(&times(10)).write(&folder, "a.parquet");
    let out = path(&folder, "out.parquet");
    said(&["filter", &file, "-o", &out, "--from", "+2s", "--to", "-3s", "--drop-metric", "memory.*"]);
    let filtered = open(&out);
    let names: Vec<_> = filtered.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["timestamp", "duration", "cpu_usage/user#0", "latency:buckets"]);
    assert_eq!(filtered.timestamps(), &times(10)[2..7]);
    let all = open(&file);
    assert_eq!(&values(&filtered, "latency:buckets"), &values(&all, "latency:buckets").slice(2, 5));
    assert_eq!(&values(&filtered, "cpu_usage/user#0"), &values(&all, "cpu_usage/user#0").slice(2, 5));
    let sources = filtered.json("per_source_metadata").unwrap().unwrap();
    assert_eq!(sources["rezolus"]["first_sample_ns"], times(10)[2]);
    assert_eq!(sources["rezolus"]["last_sample_ns"], times(10)[6]);
    assert_eq!(findings(&out), (true, vec![]));

    assert!(refused(&["filter", &file, "-o", &out]).contains("exists already; --force replaces it"));
    said(&["filter", &file, "-o", &out, "--sampler", "memory", "--force"]);
    assert_eq!(open(&out).columns().len(), 3);
    let error = refused(&["filter", &file, "-o", &out, "--force", "--from", "2030-01-01T00:00:00Z"]);
    assert!(error.contains("no rows in that span; it has those from 2026-11-22T10:00:00.001Z"), "{error}");
    assert_eq!(open(&out).columns().len(), 3, "what was there stays");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside");
}

#[test]
fn filter_replaces_its_own_input_and_rewrites_codecs() {
    let folder = folder();
    let made = Made { codec: Compression::SNAPPY, ..Made::new(&times(10)) };
    let file = made.write(&folder, "a.parquet");
    let before = values(&open(&file), "memory_free");
    said(&["filter", &file, "-o", &file, "--force"]);
    assert_eq!(&values(&open(&file), "memory_free"), &before);
    assert!(findings(&file).0);
}

/// Where the footer begins.
fn footer(bytes: &[u8]) -> usize {
    let length = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap());
    bytes.len() - 8 - length as usize
}

#[test]
fn annotate_touches_no_value() {
    let folder = folder();
    let file = Made::new(&times(9)).write(&folder, "a.parquet");
    let before = std::fs::read(&file).unwrap();
    let event = "2026-11-22T10:00:03Z second";
    said(&["annotate", &file, "--event", event, "--event", "+1s first, of all", "--metadata", "node=web1"]);
    let after = std::fs::read(&file).unwrap();
    assert!(before[..footer(&before)] == after[..footer(&after)]);
    let recording = open(&file);
    assert_eq!(recording.key("node"), Some("web1"));
    let events = recording.json("events").unwrap().unwrap();
    assert_eq!(events["events"][0]["description"], "first, of all");
    assert_eq!(events["events"][0]["timestamp"], times(9)[0] + SECOND);
    assert_eq!(events["events"][1]["timestamp"], START + 3 * SECOND);
    assert!(findings(&file).0);
    assert!(said(&["info", &file]).contains("first, of all"));

    let out = path(&folder, "b.parquet");
    said(&["annotate", &file, "-o", &out, "--event", "-1s third"]);
    assert_eq!(open(&out).json("events").unwrap().unwrap()["events"].as_array().unwrap().len(), 3);
    assert!(refused(&["annotate", &file, "-o", &out, "--event", "-1s third"]).contains("exists already"));
    assert!(refused(&["annotate", &file]).contains("nothing to add"));
}

#[test]
fn combine_joins_hosts_and_services() {
    let folder = folder();
    let a = Made::new(&times(10)).write(&folder, "web1.parquet");
    let b = Made::new(&times(12)[2..]).key("node", "second").write(&folder, "b.parquet");
    let events = json!({"events": [{"timestamp": START, "description": "deploy"}]}).to_string();
    let c = Made::new(&times(9)).key("source", "vllm").key("events", &events).write(&folder, "c.parquet");
    let out = path(&folder, "out.parquet");
    let text = said(&["combine", &a, &b, &c, "-o", &out]);
    assert!(text.contains("7 rows of 11 columns") && text.contains("3 of 10 rows left out"), "{text}");
    let joined = open(&out);
    let expected: Vec<_> = (2..9).map(|row| START + row * SECOND).collect();
    assert_eq!(joined.timestamps(), expected);
    let names: Vec<_> = joined.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names[2], "second::cpu_usage/user#0");
    assert_eq!(names[3], "vllm::cpu_usage/user#0");
    assert_eq!(names[10], "web1::latency:buckets");
    assert_eq!(joined.columns()[3].labels["instance"], "0");
    assert_eq!(joined.columns()[4].labels["node"], "web1");
    assert_eq!(joined.columns()[4].labels["source"], "rezolus");
    let original = values(&open(&a), "cpu_usage/user#0").slice(2, 7);
    assert_eq!(&values(&joined, "web1::cpu_usage/user#0"), &original);
    assert_eq!(joined.sources(), ["rezolus", "vllm"]);
    let sources = joined.json("per_source_metadata").unwrap().unwrap();
    assert_eq!(sources["rezolus"]["second"]["node"], "second");
    assert_eq!(sources["rezolus"]["web1"]["systeminfo"]["hostname"], "web1");
    assert_eq!(sources["rezolus"]["last_sample_ns"], times(12)[11]);
    assert_eq!(sources["vllm"]["0"]["version"], "0.1.0");
    assert_eq!(joined.json("events").unwrap().unwrap()["events"].as_array().unwrap().len(), 1);
    assert_eq!(findings(&out), (true, vec![]));

    // What was combined is combined again, with all there is.
    let d = Made::new(&times(9)).key("source", "client").write(&folder, "d.parquet");
    let again = path(&folder, "again.parquet");
    said(&["combine", &out, &d, "-o", &again]);
    assert_eq!(open(&again).columns().len(), 14);
    assert_eq!(open(&again).sources(), ["client", "rezolus", "vllm"]);
    assert_eq!(findings(&again), (true, vec![]));
}

#[test]
fn combine_keeps_all_rows_on_demand() {
    let folder = folder();
    let a = Made::new(&times(4)).write(&folder, "a.parquet");
    let mut late = times(8);
    late.drain(..2);
    late.remove(2);
    let b = Made::new(&late).write(&folder, "b.parquet");
    let out = path(&folder, "out.parquet");
    said(&["combine", "--outer", &a, &b, "-o", &out]);
    let joined = open(&out);
    assert_eq!(joined.rows(), 7, "two of the first, two of both, three of the second");
    let counter = values(&joined, "b::cpu_usage/user#0");
    let counter = counter.as_primitive::<UInt64Type>();
    assert!(counter.is_null(0) && counter.is_null(1) && counter.value(2) == u64::MAX - 1000);
    // Histograms have no holes: nothing is counted while nothing was recorded.
    let histogram = values(&joined, "a::latency:buckets");
    let histogram = histogram.as_list::<i32>();
    assert_eq!(histogram.null_count(), 0);
    assert_eq!(&histogram.value(3), &histogram.value(6));
    let late = values(&joined, "b::latency:buckets");
    assert_eq!(&late.as_list::<i32>().value(0), &late.as_list::<i32>().value(2));
    assert!(findings(&out).0);
}

#[test]
fn combine_refuses_what_does_not_fit() {
    let folder = folder();
    let moved = |by: u64| times(10).iter().map(|time| time + by).collect::<Vec<_>>();
    let a = Made::new(&times(10)).write(&folder, "a.parquet");
    let slow = Made::new(&times(10)).key("sampling_interval_ms", "500").write(&folder, "b.parquet");
    let later = Made::new(&moved(100 * SECOND)).write(&folder, "c.parquet");
    let shifted = Made::new(&moved(SECOND / 3)).write(&folder, "d.parquet");
    let same = Made::new(&times(10)).key("node", "a").write(&folder, "e.parquet");
    let out = path(&folder, "out.parquet");
    for (other, why) in [
        (&slow, "b.parquet 500 ms"),
        (&later, "no moment in common"),
        (&shifted, "only 0 are within 0.1 of an interval"),
        (&same, "annotate --metadata node=NAME"),
    ] {
        let error = refused(&["combine", &a, other, "-o", &out]);
        assert!(error.contains(why), "{error}");
    }
    said(&["combine", &a, &shifted, "-o", &out, "--tolerance", "0.4"]);
    assert!(refused(&["combine", &a, "-o", &out]).contains("2 values required"));
}

#[test]
fn export_to_csv_and_json_lines() {
    let folder = folder();
    let file = Made::new(&times(3)).write(&folder, "a.parquet");
    let text = said(&["export", &file, "--format", "csv"]);
    let (head, rows) = text.split_once("\n").unwrap();
    assert!(head.starts_with("timestamp,duration,\"cpu_usage{id=\"\"0\"\","), "{head}");
    assert!(head.contains(" p99"), "{head}");
    let row =
        |row: usize, rest: &str| format!("{},5,{}{rest}", times(3)[row], u64::MAX - 1000 + 2 * row as u64);
    let rows: Vec<_> = rows.lines().collect();
    assert_eq!(rows[..2], [row(0, ",0,,,,,,"), row(1, ",,3,2,2,2,2,2")]);
    let buckets =
        said(&["export", &file, "--format", "csv", "--histograms", "buckets", "--metric", "latency"]);
    assert_eq!(buckets.lines().last().unwrap(), format!("{},5,0:2 2:4 6:1", times(3)[2]));

    let text = said(&["export", &file, "--format", "jsonl", "--from", "+1s"]);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["timestamp"], times(3)[1]);
    assert_eq!(lines[0]["metrics"].as_array().unwrap().len(), 2, "the gauge has no value");
    assert_eq!(lines[1]["metrics"][0]["value"], u64::MAX - 996);
    assert_eq!(lines[1]["metrics"][1]["value"], -2);
    assert_eq!(lines[1]["metrics"][2]["buckets"], json!([[0, 0, 2], [2, 2, 4], [6, 7, 1]]));
    assert_eq!(lines[1]["metrics"][2]["labels"]["op"], "a \"b\"\\,\n");

    let out = path(&folder, "out.csv");
    said(&["export", &file, "--format", "csv", "-o", &out]);
    assert!(refused(&["export", &file, "--format", "csv", "-o", &out]).contains("exists already"));
}

#[test]
fn export_to_openmetrics() {
    let folder = folder();
    let file = Made::new(&times(2)).write(&folder, "a.parquet");
    let text = said(&["export", &file, "--format", "openmetrics"]);
    let time = |row: usize| format!("{}.{:09}", times(2)[row] / SECOND, times(2)[row] % SECOND);
    let labels = r#"op="a \"b\"\\,\n""#;
    let expected = format!(
        r#"# TYPE cpu_usage counter
# HELP cpu_usage time on the CPU
cpu_usage_total{{id="0",sampler="cpu_usage",state="user"}} 18446744073709550615 {0}
cpu_usage_total{{id="0",sampler="cpu_usage",state="user"}} 18446744073709550617 {1}
# TYPE latency histogram
latency_bucket{{{labels},le="0.0"}} 0 {0}
latency_bucket{{{labels},le="2.0"}} 0 {0}
latency_bucket{{{labels},le="7.0"}} 1 {0}
latency_bucket{{{labels},le="+Inf"}} 1 {0}
latency_bucket{{{labels},le="0.0"}} 1 {1}
latency_bucket{{{labels},le="2.0"}} 3 {1}
latency_bucket{{{labels},le="7.0"}} 4 {1}
latency_bucket{{{labels},le="+Inf"}} 4 {1}
# TYPE memory_free gauge
memory_free{{sampler="memory"}} 0 {0}
# EOF
"#,
        time(0),
        time(1)
    );
    assert_eq!(text, expected);
}

fn promtool(arguments: &[&str]) -> String {
    let output = Process::new("promtool")
        .args(arguments)
        .output()
        .expect("promtool is needed: apt-get install prometheus");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("error"), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What Prometheus's own importer makes of an export: every value that there
/// is, at its time.
#[test]
fn promtool_imports_an_export() {
    let folder = folder();
    let all = times(50);
    let file = Made::new(&all).write(&folder, "a.parquet");
    let (text, blocks) = (path(&folder, "a.om"), path(&folder, "blocks"));
    said(&["export", &file, "--format", "openmetrics", "-o", &text]);
    promtool(&["tsdb", "create-blocks-from", "openmetrics", &text, &blocks]);
    let listed = promtool(&["tsdb", "list", &blocks]);
    // A counter, a gauge, and a histogram of three buckets and `+Inf`.
    let block: Vec<&str> = listed.lines().nth(1).expect(&listed).split_whitespace().collect();
    let samples = 50 + 50 - 17 + 4 * 50;
    assert!(block.contains(&samples.to_string().as_str()) && block.contains(&"6"), "{listed}");

    // It insists on one, empty as it may be.
    std::fs::create_dir(path(&folder, "blocks/wal")).unwrap();
    let dumped = promtool(&["tsdb", "dump", &blocks]);
    let values = |name: &str| -> Vec<(f64, u64)> {
        let lines = dumped.lines().filter(|line| line.contains(&format!("__name__=\"{name}\"")));
        let value = |line: &str| {
            let mut words = line.rsplit(' ');
            let time = words.next().unwrap().parse().unwrap();
            (words.next().unwrap().parse().unwrap(), time)
        };
        lines.map(value).collect()
    };
    let at = |row: usize| all[row] / 1_000_000;
    let counter = |row: usize| ((u64::MAX - 1000 + 2 * row as u64) as f64, at(row));
    assert_eq!(values("cpu_usage_total"), (0..50).map(counter).collect::<Vec<_>>());
    let gauge = |row: usize| (row % 3 != 1).then(|| (-(row as f64), at(row)));
    assert_eq!(values("memory_free"), (0..50).filter_map(gauge).collect::<Vec<_>>());
    assert_eq!(values("latency_bucket").len(), 4 * 50);
}

/// Every tool that reads a file, and where it would write.
fn tools(file: &str, good: &str, out: &str) -> Vec<Vec<String>> {
    let lines = [
        format!("info {file}"),
        format!("info --json {file}"),
        format!("schema {file}"),
        format!("verify {file}"),
        format!("combine {file} {good} -o {out} --force"),
        format!("combine {good} {file} -o {out} --force --outer"),
        format!("filter {file} -o {out} --force --from +1s"),
        format!("annotate {file} -o {out} --force --metadata a=b"),
        format!("export {file} --format csv"),
        format!("export {file} --format openmetrics"),
        format!("export {file} --format jsonl"),
    ];
    lines.iter().map(|line| line.split(' ').map(str::to_string).collect()).collect()
}

#[test]
fn truncated_files_are_refused_by_name() {
    let folder = folder();
    let good = Made::new(&times(5)).write(&folder, "good.parquet");
    let bytes = std::fs::read(&good).unwrap();
    let (file, out) = (path(&folder, "cut.parquet"), path(&folder, "out.parquet"));
    let lengths =
        [0, 1, 4, 8, 11, 12, 100, bytes.len() / 2].into_iter().chain((bytes.len() - 20)..bytes.len());
    for length in lengths {
        std::fs::write(&file, &bytes[..length]).unwrap();
        for arguments in tools(&file, &good, &out) {
            let error = refused(&arguments);
            assert!(error.contains("cut.parquet: is "), "{length} {arguments:?}: {error}");
        }
    }
    for wrong in [folder.path().to_str().unwrap().into(), path(&folder, "missing.parquet")] {
        for arguments in tools(&wrong, &good, &out) {
            let error = refused(&arguments);
            assert!(error.contains(&wrong), "{error}");
        }
    }
    std::fs::write(&file, b"[agent]\nlisten = \"127.0.0.1:4241\"\n").unwrap();
    assert!(refused(&["info", &file]).contains("is no Parquet file: it begins with \"[age\""));
}

/// A flipped bit is an error that names the file, or does not show; no tool
/// panics, or takes for ever.
#[test]
fn flipped_bits_are_errors_not_panics() {
    let folder = folder();
    let good = Made::new(&times(5)).write(&folder, "good.parquet");
    let bytes = std::fs::read(&good).unwrap();
    let (file, out) = (path(&folder, "bad.parquet"), path(&folder, "out.parquet"));
    let (mut random, mut errors) = (7u64, 0);
    for _ in 0..1500 {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mut damaged = bytes.clone();
        damaged[(random >> 33) as usize % bytes.len()] ^= 1 << (random >> 20 & 7);
        std::fs::write(&file, &damaged).unwrap();
        let tools = tools(&file, &good, &out);
        let picked = &tools[(random >> 24) as usize % tools.len()];
        if let Err(error) = run(picked) {
            errors += 1;
            assert!(error.contains("bad.parquet"), "{picked:?}: {error}");
        }
    }
    assert!(errors > 300, "{errors}");
}

/// What the tools wrote has a sum: there, no flipped bit of a value is missed.
#[test]
fn verify_finds_every_flipped_bit_of_a_value() {
    let folder = folder();
    let good = Made::new(&times(5)).write(&folder, "good.parquet");
    let (file, bad) = (path(&folder, "a.parquet"), path(&folder, "bad.parquet"));
    said(&["filter", &good, "-o", &file]);
    said(&["annotate", &file, "--metadata", "a=b"]);
    let bytes = std::fs::read(&file).unwrap();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(bytes.clone())).unwrap();
    let chunks = metadata.row_groups().iter().flat_map(|group| group.columns());
    let pages =
        chunks.map(|chunk| chunk.byte_range()).map(|(start, bytes)| start + bytes).max().unwrap() as usize;
    for at in 0..footer(&bytes) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&bad, &damaged).unwrap();
        match run(&["verify", &bad]) {
            // Of an index there are bits that say nothing.
            Ok((true, text)) => {
                assert!(at >= pages && last_row(&bad) == last_row(&file), "byte {at}: {text}");
            }
            Ok((false, _)) => {}
            Err(error) => assert!(error.contains("bad.parquet"), "{error}"),
        }
    }
}

/// What the last row says, which a reader who goes by the index finds; the end of a series
/// is a NaN, and that is not equal to itself.
fn last_row(path: &str) -> String {
    let recording = rezolus_store::recording::Recording::open(path.as_ref(), &[], Arc::default()).unwrap();
    let (_, end) = recording.range().unwrap();
    format!("{:?}", recording.select(&[], end, end).unwrap())
}

/// Keys that hold JSON, but not what is looked for in it.
#[test]
fn odd_metadata_is_no_panic() {
    let folder = folder();
    let good = Made::new(&times(5)).key("source", "other").write(&folder, "good.parquet");
    let out = path(&folder, "out.parquet");
    let keys = ["source", "systeminfo", "descriptions", "per_source_metadata", "events"];
    let ours = [
        "rezolus.dashboards",
        "rezolus.diagnoses",
        "rezolus.status",
        "rezolus.missed",
        "sampling_interval_ms",
    ];
    for key in keys.into_iter().chain(ours) {
        for value in
            ["", "x", "[]", "1", "null", "[1,[2]]", "{}", r#"{"rezolus":1,"events":2}"#, r#"{"events":[3]}"#]
        {
            let file = Made::new(&times(5)).key(key, value).write(&folder, "odd.parquet");
            let mut tools = tools(&file, &good, &out);
            let event = ["annotate", &file, "-o", &out, "--force", "--event", "+1s x"];
            tools.push(event.map(str::to_string).into());
            for arguments in tools {
                if let Err(error) = run(&arguments) {
                    assert!(error.contains(key) || error.contains("odd.parquet"), "{arguments:?}: {error}");
                }
            }
        }
    }
}

#[test]
fn damage_names_its_place() {
    let folder = folder();
    let good = Made::new(&times(9)).write(&folder, "good.parquet");
    let mut bytes = std::fs::read(&good).unwrap();
    let (start, length) = open(&good).row_groups()[1].column(2).byte_range();
    bytes[start as usize..(start + length) as usize].fill(0xff);
    let file = path(&folder, "bad.parquet");
    std::fs::write(&file, &bytes).unwrap();
    for format in ["openmetrics", "csv"] {
        let error = refused(&["export", &file, "--format", format]);
        assert!(error.contains("bad.parquet") && error.contains("row group 1"), "{error}");
    }
    let out = path(&folder, "out.parquet");
    let error = refused(&["filter", &file, "-o", &out]);
    assert!(error.contains("column 2 `cpu_usage/user#0`, row group 1: is damaged"), "{error}");
    assert!(!Path::new(&out).exists());
    let (fine, found) = findings(&file);
    assert!(!fine && found[0].1.contains("row group 1"), "{found:#?}");
}

#[test]
fn files_of_others_open() {
    let folder = folder();
    // A list child of another name, the same name twice, a prefix without `metric`.
    let item = Arc::new(Field::new("element", DataType::UInt64, true));
    let mut builder = ListBuilder::new(UInt64Builder::new()).with_field(item.clone());
    (0..4).for_each(|_| builder.append_value([Some(1); 6]));
    let powers = [("grouping_power", "1"), ("max_value_power", "3")];
    let mut made = Made::new(&times(4))
        .column("0::x:buckets", DataType::List(item), &powers, Arc::new(builder.finish()))
        .column("0::4", DataType::UInt64, &[("metric", "a")], counters(&[1; 4]))
        .column("0::4", DataType::Int64, &[("metric", "b")], gauges(&[-2; 4]))
        .column(":wall_offset", DataType::Int64, &[], gauges(&[0; 4]));
    made.metadata.retain(|(key, _)| key != "sampling_interval_ms");
    let file = made.key("source", r#"["rezolus","vllm"]"#).write(&folder, "a.parquet");
    let recording = open(&file);
    assert_eq!(recording.interval_ms().unwrap(), 1000);
    assert_eq!(recording.sources(), ["rezolus", "vllm"]);
    assert_eq!(recording.columns()[5].metric, "0::x");
    assert_eq!(recording.columns()[8].kind, Kind::Sidecar);
    let column = |at: usize| recording.column(at, 1..3).unwrap();
    assert_eq!(column(6).as_primitive::<UInt64Type>().values(), &[1, 1]);
    assert_eq!(column(7).as_primitive::<Int64Type>().values(), &[-2, -2]);
    let out = path(&folder, "out.parquet");
    said(&["filter", &file, "-o", &out]);
    assert_eq!(open(&out).schema().fields(), recording.schema().fields());
    assert_eq!(open(&out).column(7, 0..4).unwrap().as_primitive::<Int64Type>().values(), &[-2; 4]);
    let other = Made::new(&times(4)).key("source", "client").write(&folder, "b.parquet");
    let joined = path(&folder, "joined.parquet");
    said(&["combine", &file, &other, "-o", &joined]);
    assert_eq!(open(&joined).columns().len(), 2 + 6 + 3, "all but the offsets");
    let mut no_time = Made::new(&times(2));
    no_time.fields.remove(0);
    let error = refused(&["info", &no_time.write(&folder, "c.parquet")]);
    assert!(error.contains("c.parquet: is not a recording"), "{error}");
}

#[test]
fn published_recordings_are_read_and_written() {
    let folder = folder();
    for file in published() {
        let (fine, found) = findings(&file);
        assert!(fine, "{found:#?}");
        let out = path(&folder, Path::new(&file).file_name().unwrap().to_str().unwrap());
        said(&["filter", &file, "-o", &out]);
        said(&["annotate", &out, "--event", "+1s x"]);
        let (before, after) = (open(&file), open(&out));
        assert_eq!(before.schema().fields(), after.schema().fields());
        for column in before.columns() {
            let read = |recording: &Recording| recording.column(column.position, 0..before.rows()).unwrap();
            assert_eq!(&read(&before), &read(&after), "{column}");
        }
        said(&["info", &file]);
        assert!(said(&["export", &file, "--format", "openmetrics"]).ends_with("# EOF\n"));
        assert_eq!(said(&["export", &file, "--format", "jsonl"]).lines().count(), before.rows());
        assert_eq!(said(&["export", &file, "--format", "csv"]).lines().count(), before.rows() + 1);
    }
}

#[test]
fn batches_are_the_columns() {
    let folder = folder();
    let recording = open(&Made::new(&times(11)).write(&folder, "a.parquet"));
    for rows in [0..11, 3..9, 4..8, 10..11, 5..5, 8..40] {
        let batches: Result<Vec<_>, Error> = recording.batches(&[0, 3], rows.clone()).collect();
        let batches = batches.unwrap();
        let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(1).as_ref()).collect();
        let lengths: usize = parts.iter().map(|part| part.len()).sum();
        assert_eq!(lengths, (rows.start..rows.end.min(11)).len());
        if !parts.is_empty() {
            let joined = arrow_select::concat::concat(&parts).unwrap();
            assert_eq!(&joined, &recording.column(3, rows).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any values survive a way through filter, and a span is what it says.
    #[test]
    fn filter_is_lossless(
        cells in proptest::collection::vec(any::<Option<u64>>(), 1..30),
        start in 0usize..30,
        length in 1usize..30,
    ) {
        let folder = folder();
        let rows = cells.len();
        let all = times(rows as u64);
        let signed = cells.iter().map(|cell| cell.map(|cell| cell.wrapping_mul(3) as i64));
        let signed: ArrayRef = Arc::new(signed.collect::<Int64Array>());
        let unsigned: ArrayRef = Arc::new(cells.iter().copied().collect::<UInt64Array>());
        let file = Made::new(&all)
            .column("c", DataType::UInt64, &[], unsigned.clone())
            .column("g", DataType::Int64, &[], signed.clone())
            .write(&folder, "a.parquet");
        let start = start.min(rows - 1);
        let end = rows.min(start + length);
        let out = path(&folder, "out.parquet");
        let (from, to) = (all[start].to_string(), all[end - 1].to_string());
        said(&["filter", &file, "-o", &out, "--from", &from, "--to", &to]);
        let filtered = open(&out);
        prop_assert_eq!(filtered.timestamps(), &all[start..end]);
        prop_assert_eq!(&values(&filtered, "c"), &unsigned.slice(start, end - start));
        prop_assert_eq!(&values(&filtered, "g"), &signed.slice(start, end - start));
    }
}

/// A Python with the readers of others, made once per target folder.
fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recording-clients");
    let python = target.join("bin/python");
    let packages = ["pyarrow", "polars", "pandas", "duckdb", "prometheus-client"];
    let works = |python: &Path| {
        let imports = "import pyarrow, polars, pandas, duckdb, prometheus_client";
        Process::new(python).args(["-c", imports]).output().is_ok_and(|output| output.status.success())
    };
    if !works(&python) {
        let run = |program: &Path, arguments: &[&str]| {
            let status = Process::new(program).args(arguments).status();
            assert!(status.is_ok_and(|status| status.success()), "{} {arguments:?}", program.display());
        };
        run(Path::new("python3"), &["-m", "venv", target.to_str().unwrap()]);
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(&python, &[&install[..], &packages[..]].concat());
    }
    assert!(works(&python), "the packages {packages:?} are needed in {}", target.display());
    python
}

/// All values, by column: `[[name, [value, ...]], ...]`.
fn by_column(recording: &Recording) -> Value {
    let column = |at: usize| {
        let values = recording.column(at, 0..recording.rows()).unwrap();
        let cell = |row: usize| match values.data_type() {
            _ if values.is_null(row) => Value::Null,
            DataType::UInt64 => values.as_primitive::<UInt64Type>().value(row).into(),
            DataType::Int64 => values.as_primitive::<Int64Type>().value(row).into(),
            _ => json!(values.as_list::<i32>().value(row).as_primitive::<UInt64Type>().values().to_vec()),
        };
        json!([recording.columns()[at].name, (0..values.len()).map(cell).collect::<Vec<_>>()])
    };
    (0..recording.columns().len()).map(column).collect()
}

/// pyarrow, polars, pandas and DuckDB read the same as this crate does.
#[test]
fn readers_of_others_lose_nothing() {
    let folder = folder();
    let a = Made::new(&times(11)).write(&folder, "web1.parquet");
    let b = Made::new(&times(11)[3..]).write(&folder, "web2.parquet");
    let (joined, filtered) = (path(&folder, "joined.parquet"), path(&folder, "filtered.parquet"));
    said(&["combine", "--outer", &a, &b, "-o", &joined]);
    said(&["filter", &joined, "-o", &filtered, "--from", "+2s"]);
    said(&["annotate", &joined, "--event", "+1s deploy", "--metadata", "run=7"]);
    said(&["annotate", &a, "--event", "+1s deploy"]);
    let mut files = vec![joined, filtered, a];
    for (number, file) in published().iter().enumerate() {
        let out = path(&folder, &format!("published{number}.parquet"));
        said(&["filter", file, "-o", &out]);
        said(&["annotate", &out, "--metadata", "run=7"]);
        files.push(out);
        // As others wrote it, with page indexes and dictionaries, but for the footer.
        let annotated = path(&folder, &format!("annotated{number}.parquet"));
        said(&["annotate", file, "-o", &annotated, "--metadata", "run=7"]);
        files.push(annotated);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recording_clients.py");
    let python = python();
    for file in &files {
        let (rows, text) = (path(&folder, "rows.json"), path(&folder, "metrics.txt"));
        std::fs::write(&rows, by_column(&open(file)).to_string()).unwrap();
        // One moment: of more, that parser drops buckets as if they were there twice.
        said(&["export", file, "--format", "openmetrics", "--to", "+0s", "--force", "-o", &text]);
        let output = Process::new(&python).arg(&script).args([file, &rows, &text]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{file}: {said}{}", String::from_utf8_lossy(&output.stdout));
    }
}

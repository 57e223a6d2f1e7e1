//! `rezolus recording verify`: whether a recording can be relied on.
//!
//! Every page is decoded. Errors are what makes readers fail or show something
//! wrong; warnings are what some reader does not take; notes are what happened
//! on the machine.

mod index;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, ListArray};
use arrow_schema::{DataType, Field};
use parquet::basic::Compression;
use serde::Serialize;

use super::annotate::JSON_KEYS;
use super::output::Progress;
use super::schema::printable;
use super::{Column, Error, Kind, Recording, info, together, utc};
use crate::snapshot::Shape;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The recording
    pub input: PathBuf,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Note,
    Warning,
    Error,
}

/// Something that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub level: Level,
    /// A column, a row group, a key of the metadata.
    pub place: String,
    pub what: String,
}

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub path: PathBuf,
    pub rows: usize,
    pub columns: usize,
    pub errors: usize,
    pub warnings: usize,
    pub findings: Vec<Finding>,
}

impl Args {
    /// Returns the number of errors that were found.
    ///
    /// # Errors
    ///
    /// When the file does not even open.
    pub fn run(&self, out: &mut dyn Write) -> Result<usize, Error> {
        let report = verify(&Recording::open(&self.input)?)?;
        if self.json {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
            return Ok(report.errors);
        }
        for finding in &report.findings {
            let level = match finding.level {
                Level::Note => "note",
                Level::Warning => "warning",
                Level::Error => "error",
            };
            writeln!(
                out,
                "{level}: {}: {}",
                printable(finding.place.clone()),
                printable(finding.what.clone())
            )?;
        }
        let path = report.path.display();
        let (rows, columns) = (report.rows, report.columns);
        let (errors, warnings) = (report.errors, report.warnings);
        writeln!(out, "{path}: {rows} rows of {columns} columns, {errors} errors, {warnings} warnings")?;
        Ok(report.errors)
    }
}

/// Decodes and checks everything.
///
/// # Errors
///
/// When the file cannot be read at all; all else is a finding.
pub fn verify(recording: &Recording) -> Result<Report, Error> {
    let mut found = Findings(Vec::new());
    checksum(recording, &mut found)?;
    footer(recording, &mut found);
    metadata(recording, &mut found);
    index::check(recording, &mut found)?;
    times(recording, &mut found);
    names(recording, &mut found);
    let mut progress = Progress::new(recording.columns().len());
    let rows = recording.rows();
    for alike in recording.columns().chunk_by(|a, b| step(a) == step(b)) {
        for columns in together(alike, |column| column.width().saturating_mul(rows.min(step(column)))) {
            values(recording, columns, &mut found);
            columns.iter().for_each(|_| progress.step());
        }
    }
    let count = |level| found.0.iter().filter(|finding| finding.level == level).count();
    Ok(Report {
        path: recording.path().into(),
        rows: recording.rows(),
        columns: recording.columns().len(),
        errors: count(Level::Error),
        warnings: count(Level::Warning),
        findings: found.0,
    })
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, level: Level, place: impl Into<String>, what: impl Into<String>) {
        self.0.push(Finding { level, place: place.into(), what: what.into() });
    }

    fn error(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.add(Level::Error, place, what);
    }

    fn warn(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.add(Level::Warning, place, what);
    }
}

/// Flipped bits in values may decode well: only a sum over the bytes finds them.
fn checksum(recording: &Recording, found: &mut Findings) -> Result<(), Error> {
    let Some(stated) = recording.key(super::table::CHECKSUM) else { return Ok(()) };
    let file =
        File::open(recording.path()).map_err(|error| Error::file(recording.path(), error.to_string()))?;
    let chunks = recording.parquet().row_groups().iter().flat_map(|group| group.columns());
    let ends = chunks.map(|chunk| {
        let (start, bytes) = chunk.byte_range();
        start.saturating_add(bytes)
    });
    // Without any there are the four bytes that all such files begin with.
    let end = ends.max().unwrap_or(4);
    let sum = super::table::checksum(&file, end)
        .map_err(|error| Error::file(recording.path(), format!("cannot be read: {error}")))?;
    if stated != sum {
        let place = format!("metadata `{}`", super::table::CHECKSUM);
        found.error(
            place,
            format!("the first {end} bytes, up to the last page, have the sum {sum}, not {stated}: damaged"),
        );
    }
    Ok(())
}

fn footer(recording: &Recording, found: &mut Findings) {
    let pairs = recording.parquet().file_metadata().key_value_metadata();
    let has_schema =
        pairs.is_some_and(|pairs| pairs.iter().any(|pair| pair.key == parquet::arrow::ARROW_SCHEMA_META_KEY));
    if !has_schema {
        found.error("footer", "has no ARROW:schema: names and labels of the series are lost");
    }
    if recording.schema().field(0).is_nullable() {
        found.warn("column 0 `timestamp`", "may be null; it should be required");
    }
    for (at, group) in recording.row_groups().iter().enumerate() {
        let taken = |codec: &Compression| {
            matches!(codec, Compression::UNCOMPRESSED | Compression::ZSTD(_) | Compression::LZ4_RAW)
        };
        if let Some(chunk) = group.columns().iter().find(|chunk| !taken(&chunk.compression())) {
            found.error(
                format!("row group {at}, column `{}`", chunk.column_path()),
                format!(
                    "codec {}: viewers show nothing; `recording filter` rewrites it",
                    chunk.compression()
                ),
            );
        }
        let statistics = group.columns().first().and_then(|chunk| chunk.statistics());
        if !statistics.is_some_and(|statistics| {
            statistics.min_bytes_opt().is_some() && statistics.max_bytes_opt().is_some()
        }) {
            found.error(
                format!("row group {at}, column `timestamp`"),
                "has no minimum and maximum: viewers find no range of time",
            );
        }
    }
}

fn metadata(recording: &Recording, found: &mut Findings) {
    if let Err(error) = recording.interval_ms() {
        found.error("metadata", error.to_string());
    } else if recording.key("sampling_interval_ms").is_none() {
        found.warn("metadata", "has no sampling_interval_ms; 1000 is assumed");
    }
    let metric = |name: &str| recording.columns().iter().any(|column| column.metric == name);
    let known = recording.sources().iter().any(|source| source == "rezolus")
        || metric("rezolus_cpu_usage")
        || metric("rezolus_memory_usage_resident_set_size");
    if !known {
        found.warn("metadata `source`", "is not rezolus: viewers hide the dashboards of the system");
    }
    for key in JSON_KEYS {
        if let Err(error) = recording.json(key) {
            found.error("metadata", error.to_string());
        }
    }
    let mut seen = BTreeMap::new();
    recording.metadata().for_each(|(key, _)| *seen.entry(key).or_insert(0) += 1);
    for (key, count) in seen.into_iter().filter(|(_, count)| *count > 1) {
        found.warn(format!("metadata `{key}`"), format!("occurs {count} times"));
    }
}

fn times(recording: &Recording, found: &mut Findings) {
    let times = recording.timestamps();
    if times.is_empty() {
        found.warn("timestamp", "there are no rows");
    }
    let wrong: Vec<_> = (1..times.len()).filter(|&row| times[row] <= times[row - 1]).collect();
    if let Some(row) = wrong.first() {
        let (before, after) = (utc(times[row - 1]), utc(times[*row]));
        let what = if times[*row] == times[row - 1] { "is that of the row above" } else { "goes back" };
        found.error(
            format!("timestamp, row {row}"),
            format!("{what}: {after} after {before}; {} rows in all", wrong.len()),
        );
    }
    for gap in info::gaps(times, recording.interval_ms().unwrap_or(1000)) {
        let (from, to) = (utc(gap.from_ns), utc(gap.to_ns));
        found.add(
            Level::Note,
            "timestamp",
            format!("{} rows are missing between {from} and {to}", gap.missing),
        );
    }
}

/// Series that cannot be told apart, or that cannot be put together.
fn names(recording: &Recording, found: &mut Findings) {
    let mut series = BTreeMap::new();
    let mut columns = BTreeMap::new();
    let mut shapes: BTreeMap<&str, &Column> = BTreeMap::new();
    for column in recording.columns() {
        if let Some(first) = columns.insert(&column.name, column) {
            found.warn(column.to_string(), format!("has the name of column {}", first.position));
        }
        if !column.kind.is_metric() {
            continue;
        }
        if let Some(first) = series.insert((&column.metric, &column.labels), column) {
            let first = first.to_string();
            found.warn(column.to_string(), format!("is the series {}, as is {first}", column.series()));
        }
        if let Kind::Histogram { .. } = column.kind {
            let first = *shapes.entry(&column.metric).or_insert(column);
            if first.kind != column.kind {
                found.warn(column.to_string(), format!("has other buckets than {first}, of the same metric"));
            }
        }
    }
    if !recording.columns().iter().any(|column| column.kind.is_metric()) {
        found.warn("columns", "there is no metric");
    }
}

/// How many rows of a column are decoded at a time.
fn step(column: &Column) -> usize {
    if matches!(column.kind, Kind::Histogram { .. }) { 512 } else { 65_536 }
}

/// Decodes columns of one step, and looks at every value.
fn values(recording: &Recording, columns: &[Column], found: &mut Findings) {
    let [first, ..] = columns else { return };
    let (step, rows) = (step(first), recording.rows());
    let field = |column: &Column| recording.schema().field(column.position);
    let positions: Vec<usize> = columns.iter().map(|column| column.position).collect();
    let mut checks: Vec<Check> =
        columns.iter().map(|column| Check::new(column, field(column).data_type())).collect();
    for start in (0..rows).step_by(step) {
        let end = rows.min(start + step);
        match recording.columns_at(&positions, start..end) {
            Ok(read) => checks.iter_mut().zip(&read).for_each(|(check, values)| check.take(start, values)),
            Err(error) => {
                // One of them: which others are good is seen without it.
                let [column] = columns else {
                    let (some, others) = columns.split_at(columns.len() / 2);
                    values(recording, some, found);
                    return values(recording, others, found);
                };
                about(column, field(column), found);
                return match error {
                    Error::Place { place, what, .. } => found.error(place, what),
                    error => found.error(column.to_string(), error.to_string()),
                };
            }
        }
    }
    for (column, check) in columns.iter().zip(checks) {
        about(column, field(column), found);
        check.tell(&column.to_string(), found);
    }
}

/// What a column says of itself.
fn about(column: &Column, field: &Field, found: &mut Findings) {
    if let Kind::Unknown { why } = &column.kind {
        found.warn(column.to_string(), format!("no reader takes it: {why}"));
    }
    let stated = field.metadata().get("metric_type").filter(|_| column.kind.is_metric());
    if let Some(stated) = stated.filter(|stated| *stated != column.kind.name()) {
        found.warn(
            column.to_string(),
            format!("says {stated}, and its type is that of a {}", column.kind.name()),
        );
    }
}

/// What a column's values gave away so far.
#[derive(Default)]
struct Check {
    counter: bool,
    buckets: Option<usize>,
    last: Option<u64>,
    last_counts: Vec<u64>,
    /// A real cell was there.
    begun: bool,
    /// Null cells since the last real one.
    pending: usize,
    nulls_before: usize,
    holes: usize,
    resets: Vec<usize>,
    short: Vec<usize>,
    long: Vec<usize>,
    null_counts: Vec<usize>,
}

impl Check {
    fn new(column: &Column, data_type: &DataType) -> Self {
        let buckets = match column.kind {
            Kind::Histogram { grouping_power, max_value_power } => {
                Shape::buckets(grouping_power, max_value_power)
            }
            _ => None,
        };
        Self {
            counter: column.kind == Kind::Counter && *data_type == DataType::UInt64,
            buckets,
            ..Self::default()
        }
    }

    fn take(&mut self, start: usize, values: &ArrayRef) {
        for row in 0..values.len() {
            match values.is_null(row) {
                true => self.pending += 1,
                false if self.begun => self.holes += std::mem::take(&mut self.pending),
                false => self.nulls_before += std::mem::take(&mut self.pending),
            }
            self.begun |= values.is_valid(row);
        }
        match values.data_type() {
            DataType::UInt64 if self.counter => {
                for (row, value) in values.as_primitive::<UInt64Type>().iter().enumerate() {
                    let Some(value) = value else { continue };
                    if self.last.replace(value).is_some_and(|last| value < last) {
                        self.resets.push(start + row);
                    }
                }
            }
            // All there is to check of gauges is that they decode.
            DataType::Int64 => drop(values.as_primitive_opt::<Int64Type>()),
            DataType::List(_) => {
                if let (Some(length), Some(list)) = (self.buckets, values.as_list_opt::<i32>()) {
                    self.take_histograms(start, list, length);
                }
            }
            _ => {}
        }
    }

    fn take_histograms(&mut self, start: usize, list: &ListArray, length: usize) {
        for row in (0..list.len()).filter(|&row| list.is_valid(row)) {
            let counts = list.value(row);
            let counts = counts.as_primitive::<UInt64Type>();
            match counts.len() {
                found if found > length => self.long.push(start + row),
                found if found < length => self.short.push(start + row),
                _ => {}
            }
            if counts.null_count() > 0 {
                self.null_counts.push(start + row);
            }
            if self.last_counts.iter().zip(counts.values()).any(|(before, after)| after < before) {
                self.resets.push(start + row);
            }
            self.last_counts.clear();
            self.last_counts.extend_from_slice(counts.values());
        }
    }

    fn tell(self, place: &str, found: &mut Findings) {
        let rows = |rows: &[usize]| match rows {
            [one] => format!("in row {one}"),
            [first, ..] => format!("in {} rows, first in row {first}", rows.len()),
            [] => String::new(),
        };
        let mut say = |level, at: &[usize], what: &str| {
            if !at.is_empty() {
                found.add(level, place, format!("{what} {}", rows(at)));
            }
        };
        say(Level::Note, &self.resets, "goes backwards, as after a restart,");
        say(Level::Error, &self.long, "has more buckets than its powers give");
        say(Level::Warning, &self.short, "has fewer buckets than its powers give");
        say(Level::Error, &self.null_counts, "has buckets without a count");
        if self.buckets.is_some() && self.begun {
            for (count, when) in [(self.nulls_before, "before the first"), (self.holes, "between others")] {
                if count > 0 {
                    let what = format!("{count} null histograms {when}: readers take them for empty ones");
                    found.error(place, what);
                }
            }
        } else if self.holes > 0 {
            found.add(Level::Note, place, format!("{} values are missing between others", self.holes));
        }
    }
}

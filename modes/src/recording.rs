//! Finished recordings, and the tools that take them.
//!
//! A recording is a Parquet file as `docs/formats/recording.md` describes it:
//! a row per moment, a column per series, all names and labels in the fields'
//! metadata. Files of others are read too, which is why columns are addressed
//! by position: names may occur twice and carry no meaning.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use serde::Serialize;
use serde_json::Value;

use crate::snapshot::Shape;

pub mod annotate;
mod buckets;
pub mod combine;
pub mod export;
pub mod filter;
mod guard;
pub mod info;
mod output;
pub mod schema;
pub mod select;
mod table;
pub mod verify;

use guard::guarded;

/// What is assumed of a file that does not say.
const DEFAULT_INTERVAL_MS: u64 = 1000;
/// Batches aim at this many bytes of decoded values.
const BATCH_BYTES: usize = 32 << 20;
/// What decoding a column takes besides: buffers, and the state of the decompressor.
const READER_BYTES: usize = 128 << 10;

/// Why a recording cannot be read or written: always the file, where it can be
/// told the place in it, and what is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{}: {what}", file.display())]
    File { file: PathBuf, what: String },
    #[error("{}: {place}: {what}", file.display())]
    Place { file: PathBuf, place: String, what: String },
    /// What was asked for does not make sense.
    #[error("{0}")]
    Usage(String),
    /// The answer could not be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    fn file(file: &Path, what: impl Into<String>) -> Self {
        Self::File { file: file.into(), what: what.into() }
    }
}

/// A tool, with its arguments. Subcommands of `rezolus recording`.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// What a recording holds
    Info(info::Args),
    /// The columns: metric, kind, unit and labels
    Schema(schema::Args),
    /// Decode everything and check it
    Verify(verify::Args),
    /// Join recordings of several hosts or services on time
    Combine(combine::Args),
    /// Keep some metrics, samplers or a span of time
    Filter(filter::Args),
    /// Add events and metadata
    Annotate(annotate::Args),
    /// Convert to CSV, OpenMetrics or JSON lines
    Export(export::Args),
}

impl Command {
    /// Runs the tool; what it has to say goes to `out`. Returns whether all is
    /// well: false, exit status 1, if `verify` found errors.
    ///
    /// # Errors
    ///
    /// Names the file and the place; the exit status is to be 1.
    pub fn run(&self, out: &mut dyn Write) -> Result<bool, Error> {
        let ran = match self {
            Self::Info(args) => args.run(out).map(|()| true),
            Self::Schema(args) => args.run(out).map(|()| true),
            Self::Verify(args) => args.run(out).map(|errors| errors == 0),
            Self::Combine(args) => args.run(out).map(|()| true),
            Self::Filter(args) => args.run(out).map(|()| true),
            Self::Annotate(args) => args.run(out).map(|()| true),
            Self::Export(args) => args.run(out).map(|()| true),
        };
        match ran {
            // Who reads has seen enough, as `| head` has.
            Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
            ran => ran,
        }
    }
}

/// What the values of a column are. The Arrow type decides, as it does for
/// the readers of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// Nanoseconds since the Unix epoch.
    Timestamp,
    /// Nanoseconds that sampling took.
    Duration,
    Counter,
    Gauge,
    /// Dense H2 buckets, cumulative.
    Histogram {
        grouping_power: u8,
        max_value_power: u8,
    },
    /// When a metric was read, in files of others: not a metric.
    Sidecar,
    /// What no reader takes, and why.
    Unknown {
        why: String,
    },
}

impl Kind {
    /// Whether the column is a series.
    pub fn is_metric(&self) -> bool {
        matches!(self, Self::Counter | Self::Gauge | Self::Histogram { .. })
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram { .. } => "histogram",
            Self::Sidecar => "sidecar",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// A column and the series it is.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// From 0, the timestamps.
    pub position: usize,
    pub name: String,
    #[serde(flatten)]
    pub kind: Kind,
    pub metric: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    pub labels: BTreeMap<String, String>,
}

impl Column {
    fn new(position: usize, field: &Field) -> Self {
        let mut labels: BTreeMap<_, _> = field.metadata().clone().into_iter().collect();
        let mut take = |key: &str| labels.remove(key);
        let powers = (take("grouping_power"), take("max_value_power"));
        let (metric, unit, _) = (take("metric"), take("unit"), take("metric_type"));
        let name = field.name().clone();
        let metric = metric.unwrap_or_else(|| name.strip_suffix(":buckets").unwrap_or(&name).into());
        let kind = kind(position, field, powers);
        Self { position, name, kind, metric, unit, labels }
    }

    /// How many bytes a decoded value takes.
    fn width(&self) -> usize {
        match self.kind {
            Kind::Histogram { grouping_power: g, max_value_power: n } => {
                Shape::buckets(g, n).unwrap_or(1) * 8
            }
            _ => 8,
        }
    }

    /// Which sampler measured it, if the recorder noted it.
    pub fn sampler(&self) -> Option<&str> {
        self.labels.get("sampler").map(String::as_str)
    }

    /// The series as PromQL writes it: `metric{label="value"}`.
    pub fn series(&self) -> String {
        let labels: Vec<_> = self.labels.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        match labels.is_empty() {
            true => self.metric.clone(),
            false => format!("{}{{{}}}", self.metric, labels.join(",")),
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {} `{}`", self.position, self.name)
    }
}

fn kind(position: usize, field: &Field, powers: (Option<String>, Option<String>)) -> Kind {
    let name = field.name().as_str();
    let sidecar = [":window_begin", ":window_width"].iter().any(|suffix| name.ends_with(suffix));
    let unknown = |why: String| Kind::Unknown { why };
    match field.data_type() {
        DataType::UInt64 if position == 0 && name == "timestamp" => Kind::Timestamp,
        DataType::UInt64 if position == 1 && name == "duration" => Kind::Duration,
        _ if sidecar || name == ":wall_offset" => Kind::Sidecar,
        DataType::UInt64 => Kind::Counter,
        DataType::Int64 => Kind::Gauge,
        DataType::List(child) if *child.data_type() == DataType::UInt64 => {
            let parse = |power: &Option<String>| power.as_ref()?.parse().ok();
            let shape = parse(&powers.0).zip(parse(&powers.1));
            match shape.filter(|&(g, n)| Shape::buckets(g, n).is_some()) {
                Some((grouping_power, max_value_power)) => {
                    Kind::Histogram { grouping_power, max_value_power }
                }
                None => unknown(format!(
                    "a histogram needs grouping_power and max_value_power that there can be, not {:?} and {:?}",
                    powers.0.as_deref().unwrap_or("none"),
                    powers.1.as_deref().unwrap_or("none")
                )),
            }
        }
        other => unknown(format!("{other} is neither uint64 (counter), int64 (gauge) nor list<uint64>")),
    }
}

/// An open recording. Reading takes memory for what is read only.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    file: File,
    bytes: u64,
    metadata: ArrowReaderMetadata,
    columns: Vec<Column>,
    timestamps: UInt64Array,
}

impl Recording {
    /// Opens a file, reads its footer and its timestamps.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no Parquet file, is damaged, or has no
    /// timestamps: the message names the file and what is wrong.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let fail = |what: String| Error::file(path, what);
        let file = File::open(path).map_err(|error| fail(format!("cannot be opened: {error}")))?;
        let about = file.metadata().map_err(|error| fail(format!("cannot be read: {error}")))?;
        if !about.is_file() {
            return Err(fail("is not a file".into()));
        }
        let bytes = about.len();
        check_magic(&file, bytes).map_err(fail)?;
        let metadata = guarded(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))
            .map_err(|why| fail(format!("the footer is damaged: {why}")))?;
        check_footer(metadata.metadata(), bytes)
            .map_err(|why| fail(format!("the footer is damaged: {why}")))?;
        let fields = metadata.schema().fields();
        let columns = fields.iter().enumerate().map(|(at, field)| Column::new(at, field)).collect();
        let timestamps = UInt64Array::from(Vec::<u64>::new());
        let mut recording = Self { path: path.into(), file, bytes, metadata, columns, timestamps };
        recording.timestamps = recording.read_timestamps()?;
        Ok(recording)
    }

    fn read_timestamps(&self) -> Result<UInt64Array, Error> {
        if self.columns.first().is_none_or(|column| column.kind != Kind::Timestamp) {
            return Err(Error::file(
                &self.path,
                "is not a recording: its first column is not `timestamp` of type uint64, nanoseconds",
            ));
        }
        let timestamps = self.column(0, 0..self.rows())?.as_primitive::<UInt64Type>().clone();
        match (0..timestamps.len()).find(|&row| timestamps.is_null(row)) {
            Some(row) => Err(self.place(format!("timestamp, row {row}"), "there is none")),
            None => Ok(timestamps),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub fn rows(&self) -> usize {
        self.metadata.metadata().row_groups().iter().map(|group| group.num_rows() as usize).sum()
    }

    pub fn row_groups(&self) -> &[RowGroupMetaData] {
        self.metadata.metadata().row_groups()
    }

    pub fn parquet(&self) -> &Arc<ParquetMetaData> {
        self.metadata.metadata()
    }

    /// The Arrow schema with the fields' metadata.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Nanoseconds since the Unix epoch, one per row.
    pub fn timestamps(&self) -> &[u64] {
        self.timestamps.values()
    }

    /// The first and the last moment, nanoseconds since the Unix epoch.
    pub fn time_range(&self) -> Option<(u64, u64)> {
        let times = self.timestamps();
        times.iter().min().copied().zip(times.iter().max().copied())
    }

    /// Keys and values of the file but for the Arrow schema, in their order.
    /// A key that occurs twice is listed twice.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.parquet().file_metadata().key_value_metadata().map(Vec::as_slice);
        pairs
            .unwrap_or_default()
            .iter()
            .filter(|pair| pair.key != parquet::arrow::ARROW_SCHEMA_META_KEY)
            .map(|pair| (pair.key.as_str(), pair.value.as_deref().unwrap_or_default()))
    }

    /// The value of a key of the file; of the last, if there are several.
    pub fn key(&self, key: &str) -> Option<&str> {
        self.metadata().filter(|(name, _)| *name == key).last().map(|(_, value)| value)
    }

    /// As [`key`](Self::key), parsed.
    ///
    /// # Errors
    ///
    /// When there is something that is not JSON.
    pub fn json(&self, key: &str) -> Result<Option<Value>, Error> {
        let parse = |text| {
            serde_json::from_str(text)
                .map_err(|error| self.place(format!("metadata `{key}`"), &format!("is not JSON: {error}")))
        };
        self.key(key).map(parse).transpose()
    }

    /// Producers of what is in the file: a plain name, or a JSON list of them.
    pub fn sources(&self) -> Vec<String> {
        let text = self.key("source").unwrap_or_default();
        match serde_json::from_str(text) {
            Ok(names) => names,
            Err(_) if text.is_empty() => Vec::new(),
            Err(_) => vec![text.into()],
        }
    }

    /// Milliseconds between two rows.
    ///
    /// # Errors
    ///
    /// When the file states something that is not a positive number.
    pub fn interval_ms(&self) -> Result<u64, Error> {
        let Some(text) = self.key("sampling_interval_ms") else { return Ok(DEFAULT_INTERVAL_MS) };
        // Rounding to half an interval has to fit.
        match text.parse() {
            Ok(interval @ 1..=31_536_000_000) => Ok(interval),
            _ => Err(self.place(
                "metadata `sampling_interval_ms`",
                &format!("{text:?} is not a number of milliseconds above 0"),
            )),
        }
    }

    /// Values of one column, whole row groups or parts of them.
    ///
    /// # Errors
    ///
    /// Names the column and the row group that does not decode.
    pub fn column(&self, position: usize, rows: Range<usize>) -> Result<ArrayRef, Error> {
        let mut found = self.columns_at(&[position], rows)?;
        found.pop().ok_or_else(|| self.place(self.label(position), "is not there"))
    }

    /// As [`column`](Self::column), of several, whose positions are ascending. A reader goes through all
    /// columns of the file to find its own: one for each would take time by their square.
    ///
    /// # Errors
    ///
    /// As [`column`](Self::column).
    pub fn columns_at(&self, positions: &[usize], rows: Range<usize>) -> Result<Vec<ArrayRef>, Error> {
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::new(); positions.len()];
        for (group, part) in self.groups_of(&rows) {
            let found = guarded(|| {
                let reader = self.reader(positions, group, &part, part.len().max(1))?;
                reader.collect::<Result<Vec<RecordBatch>, _>>()
            })
            .and_then(|batches| {
                match batches.iter().map(RecordBatch::num_rows).sum::<usize>() {
                    found if found == part.len() => Ok(batches),
                    found => Err(format!("{found} rows instead of {}", part.len())),
                }
            });
            match (found, positions) {
                (Ok(batches), _) => {
                    for batch in &batches {
                        for (parts, values) in parts.iter_mut().zip(batch.columns()) {
                            parts.push(values.clone());
                        }
                    }
                }
                (Err(why), &[position]) => {
                    let place = format!("{}, row group {group}", self.label(position));
                    return Err(self.place(place, &format!("is damaged: {why}")));
                }
                // One of them: which it is, is seen without the others.
                (Err(_), _) => {
                    let (some, others) = positions.split_at(positions.len() / 2);
                    let mut all = self.columns_at(some, rows.clone())?;
                    all.extend(self.columns_at(others, rows)?);
                    return Ok(all);
                }
            }
        }
        let whole = |(parts, &position): (Vec<ArrayRef>, &usize)| {
            let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
            match parts.is_empty() {
                true => Ok(arrow_array::new_empty_array(self.schema().field(position).data_type())),
                false => guarded(|| arrow_select::concat::concat(&parts))
                    .map_err(|why| self.place(self.label(position), &why)),
            }
        };
        parts.into_iter().zip(positions).map(whole).collect()
    }

    /// Rows in batches of a few megabytes: of the columns at the given
    /// positions, in ascending order of position.
    pub fn batches<'a>(&'a self, positions: &'a [usize], rows: Range<usize>) -> Batches<'a> {
        let mut groups: Vec<_> = self.groups_of(&rows).collect();
        groups.reverse();
        Batches { recording: self, positions, groups, reader: None }
    }

    /// How many rows of these columns make a batch.
    fn batch_rows(&self, positions: &[usize]) -> usize {
        let row: usize = positions.iter().filter_map(|&at| self.columns.get(at)).map(Column::width).sum();
        (BATCH_BYTES / row.max(1)).clamp(1, 4096)
    }

    /// The parts of row groups that a range of rows consists of.
    fn groups_of(&self, rows: &Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let mut first = 0;
        let mut parts = Vec::new();
        for (at, group) in self.row_groups().iter().enumerate() {
            let length = group.num_rows() as usize;
            let part = rows.start.max(first)..rows.end.min(first + length);
            if part.start < part.end {
                parts.push((at, part.start - first..part.end - first));
            }
            first += length;
        }
        parts.into_iter()
    }

    fn reader(
        &self,
        positions: &[usize],
        group: usize,
        rows: &Range<usize>,
        batch: usize,
    ) -> Result<ParquetRecordBatchReader, parquet::errors::ParquetError> {
        let file = self.file.try_clone()?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), positions.iter().copied());
        builder
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_offset(rows.start)
            .with_limit(rows.len())
            .with_batch_size(batch)
            .build()
    }

    fn label(&self, position: usize) -> String {
        self.columns.get(position).map_or_else(|| format!("column {position}"), Column::to_string)
    }

    fn place(&self, place: impl Into<String>, what: &str) -> Error {
        Error::Place { file: self.path.clone(), place: place.into(), what: what.into() }
    }
}

/// What is read together: neighbours that take at most so many bytes as a batch has, or one that takes more.
fn together<T>(all: &[T], bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut parts, mut first, mut sum) = (Vec::new(), 0, 0usize);
    for (at, item) in all.iter().enumerate() {
        let more = bytes(item).saturating_add(READER_BYTES);
        sum = sum.saturating_add(more);
        if sum > BATCH_BYTES && at > first {
            parts.push(&all[first..at]);
            (first, sum) = (at, more);
        }
    }
    parts.extend((first < all.len()).then(|| &all[first..]));
    parts
}

/// See [`Recording::batches`].
pub struct Batches<'a> {
    recording: &'a Recording,
    positions: &'a [usize],
    groups: Vec<(usize, Range<usize>)>,
    reader: Option<(usize, ParquetRecordBatchReader)>,
}

impl Iterator for Batches<'_> {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let recording = self.recording;
            if let Some((group, reader)) = &mut self.reader {
                let group = *group;
                match guarded(|| reader.next().transpose()) {
                    Ok(Some(batch)) => return Some(Ok(batch)),
                    Ok(None) => self.reader = None,
                    Err(why) => {
                        (self.reader, self.groups) = (None, Vec::new());
                        return Some(Err(recording.place(format!("row group {group}"), &why)));
                    }
                }
            }
            let (group, rows) = self.groups.pop()?;
            let size = recording.batch_rows(self.positions);
            match guarded(|| recording.reader(self.positions, group, &rows, size)) {
                Ok(reader) => self.reader = Some((group, reader)),
                Err(why) => return Some(Err(recording.place(format!("row group {group}"), &why))),
            }
        }
    }
}

/// The first thing that is wrong with most files that are wrong.
fn check_magic(file: &File, bytes: u64) -> Result<(), String> {
    use std::os::unix::fs::FileExt;
    let mut magic = [0; 4];
    let hint = "; the log of a recorder that crashed is rescued by `rezolus recording recover`";
    if bytes == 0 {
        return Err(format!("is empty{hint}"));
    }
    if bytes < 12 {
        return Err(format!("is no Parquet file: {bytes} bytes are too few{hint}"));
    }
    file.read_exact_at(&mut magic, 0).map_err(|error| format!("cannot be read: {error}"))?;
    if magic != *b"PAR1" {
        return Err(format!(
            "is no Parquet file: it begins with {:?}{hint}",
            magic.escape_ascii().to_string()
        ));
    }
    file.read_exact_at(&mut magic, bytes - 4).map_err(|error| format!("cannot be read: {error}"))?;
    if magic != *b"PAR1" {
        return Err(format!("is truncated or was never finished: at byte {bytes} it lacks its footer{hint}"));
    }
    Ok(())
}

/// What the parquet crate takes for granted: that numbers are not negative,
/// agree, and stay within the file.
fn check_footer(metadata: &ParquetMetaData, bytes: u64) -> Result<(), String> {
    let mut rows = 0i64;
    for (at, group) in metadata.row_groups().iter().enumerate() {
        if group.num_rows() < 0 {
            return Err(format!("row group {at} has {} rows", group.num_rows()));
        }
        rows = rows.checked_add(group.num_rows()).ok_or("more rows than there can be")?;
        for chunk in group.columns() {
            let what = || format!("row group {at}, column `{}`", chunk.column_path());
            let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
            let start = start.min(chunk.data_page_offset());
            let end = start.checked_add(chunk.compressed_size());
            let inside = start >= 4 && end.is_some_and(|end| end >= start && end as u64 <= bytes);
            if !inside || chunk.uncompressed_size() < 0 {
                return Err(format!("{} lies outside of the file", what()));
            }
            // A page holds at most 2^31 values, and lists at least one each.
            let flat = chunk.column_descr().max_rep_level() == 0;
            if chunk.num_values() < 0 || (flat && chunk.num_values() != group.num_rows()) {
                return Err(format!(
                    "{} has {} values in {} rows",
                    what(),
                    chunk.num_values(),
                    group.num_rows()
                ));
            }
        }
    }
    match metadata.file_metadata().num_rows() {
        stated if stated == rows => Ok(()),
        stated => Err(format!("{stated} rows are stated, and the row groups have {rows}")),
    }
}

/// RFC 3339, UTC, of nanoseconds since the Unix epoch.
pub(crate) fn utc(ns: u64) -> String {
    match jiff::Timestamp::from_nanosecond(ns.into()) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{ns} ns"),
    }
}

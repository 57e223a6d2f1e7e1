//! Parquet files, read column by column.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, parquet_to_arrow_schema};
use parquet::basic::Type;
use parquet::data_type::{DataType, Int64Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{
    ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy, RowGroupMetaData,
};
use parquet::file::reader::Length;
use parquet::file::statistics::Statistics;
use parquet::schema::types::SchemaDescPtr;

use super::chunk::{Axis, Builder, Chunk};
use super::page::{self, Form, Numbers};
use super::pages::{Cells, Data, Levels, Place};
use super::part::{Column, Decoded, Group, Kind, Part, Unread, is_aside, tell_apart};
use super::values::{self, Present, Reading};
use crate::guard::guarded;
use crate::histogram::h2_bounds;

/// What is assumed of a file that does not say, in ms.
const DEFAULT_INTERVAL: i64 = 1000;
/// More rows than this no row group has: readers and writers of the field have
/// at most a million.
const MOST_ROWS: i64 = 1 << 24;
/// A list may have so many elements, whatever its histogram has.
const LONG_LIST: usize = 1024;
/// Histograms are decoded so many values at a time.
const BATCH_VALUES: usize = 1 << 16;

/// The columns of a file; files of the same columns share them.
struct Layout {
    descr: SchemaDescPtr,
    /// The Arrow schema as the file has it.
    arrow: Option<String>,
    columns: Vec<Column>,
    unread: Vec<Unread>,
    /// The unit of the first column, in ns, if it is that of the times.
    unit: Option<i64>,
}

/// An open file of a recording.
pub struct ParquetPart {
    name: String,
    data: Data,
    layout: Arc<Layout>,
    groups: Vec<Group>,
    /// Of one row group after the other, all columns.
    places: Vec<Place>,
    /// The file's own words on what metrics mean, in JSON.
    descriptions: [Option<String>; 2],
    interval: i64,
}

impl ParquetPart {
    /// Opens a file and reads its footer; of files whose row groups do not say
    /// their times, the times as well. If its columns are those of `like`, it
    /// shares them, which takes less time and memory.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no Parquet file, is damaged, or has no
    /// timestamps: the message names the file and what is wrong.
    pub fn open(path: &Path, like: Option<&Self>) -> Result<Self, String> {
        let fail = |what: String| format!("{}: {what}", path.display());
        let file = File::open(path).map_err(|error| fail(format!("cannot be opened: {error}")))?;
        let about = file.metadata().map_err(|error| fail(format!("cannot be read: {error}")))?;
        if !about.is_file() {
            return Err(fail("is not a file".into()));
        }
        Self::of(path.display().to_string(), Data::File(Arc::new(file), about.len()), like)
    }

    /// A file that is in memory.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_bytes(name: &str, bytes: Bytes, like: Option<&Self>) -> Result<Self, String> {
        Self::of(name.into(), Data::Memory(bytes), like)
    }

    fn of(name: String, data: Data, like: Option<&Self>) -> Result<Self, String> {
        let fail = |what: String| format!("{name}: {what}");
        let footer_damaged = |why: String| fail(format!("the footer is damaged: {why}"));
        check_magic(&data).map_err(fail)?;
        let metadata = guarded(|| footer(&data)).map_err(footer_damaged)?;
        check_footer(&metadata, data.len()).map_err(footer_damaged)?;
        let layout = match like.filter(|like| like.layout.is_of(&metadata)) {
            Some(like) => like.layout.clone(),
            None => Arc::new(guarded(|| Layout::of(&metadata)).map_err(footer_damaged)?),
        };
        let Some(unit) = layout.unit else {
            let what = "its first column is not `timestamp`, of a type of times or of 64-bit nanoseconds";
            return Err(fail(format!("is not a recording: {what}")));
        };
        let said = key(&metadata, "sampling_interval_ms").and_then(|text| text.parse::<i64>().ok());
        let interval = said.filter(|ms| (1..=31_536_000_000).contains(ms)).unwrap_or(DEFAULT_INTERVAL);
        let chunks = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
        let described = |wanted| key(&metadata, wanted).map(String::from);
        let mut part = Self {
            name,
            data,
            layout,
            groups: Vec::with_capacity(metadata.num_row_groups()),
            places: chunks.map(Place::of).collect(),
            descriptions: [described("descriptions"), described("per_source_metadata")],
            interval: interval.saturating_mul(1_000_000),
        };
        for (at, group) in metadata.row_groups().iter().enumerate() {
            part.groups.push(Group { rows: group.num_rows() as usize, first: i64::MAX, last: i64::MIN });
            let (first, last) = match times_of(group, unit) {
                Some(range) => range,
                None => part.time_range(at)?,
            };
            (part.groups[at].first, part.groups[at].last) = (first, last);
        }
        Ok(part)
    }

    fn time_range(&self, group: usize) -> Result<(i64, i64), String> {
        let times = self.times(group)?;
        let times = || times.iter().copied().filter(|time| *time >= 0);
        Ok((times().min().unwrap_or(i64::MAX), times().max().unwrap_or(i64::MIN)))
    }

    /// What the file says of itself besides its columns: key and value. Read from the footer again.
    ///
    /// # Errors
    ///
    /// When the file changed and its footer cannot be read any more.
    pub fn keys(&self) -> Result<Vec<(String, String)>, String> {
        let metadata = guarded(|| footer(&self.data))
            .map_err(|why| format!("{}: the footer is damaged: {why}", self.name))?;
        let pairs = metadata.file_metadata().key_value_metadata().into_iter().flatten();
        let pairs = pairs.filter(|pair| pair.key != ARROW_SCHEMA_META_KEY);
        Ok(pairs.map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default())).collect())
    }

    /// The file, if it is in memory.
    pub fn memory(&self) -> Option<&Bytes> {
        match &self.data {
            Data::Memory(bytes) => Some(bytes),
            Data::File(..) => None,
        }
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.data.len()
    }

    fn place(&self, group: usize, leaf: usize) -> ParquetResult<Place> {
        let all = self.layout.descr.num_columns();
        let place = self.places.get(group * all..(group + 1) * all).and_then(|group| group.get(leaf));
        place.copied().ok_or_else(|| ParquetError::General("the row group lacks it".into()))
    }

    /// The numbers of a group's column of 64-bit integers, at least those of the `wanted` rows,
    /// and of which rows they are. None if its pages are not of our own kind.
    fn numbers(
        &self,
        group: usize,
        leaf: usize,
        wanted: Range<usize>,
    ) -> ParquetResult<Option<(Range<usize>, Numbers)>> {
        let descr = self.layout.descr.column(leaf);
        let place = self.place(group, leaf)?;
        let flat = descr.max_rep_level() == 0 && descr.max_def_level() <= 1;
        if place.dictionary || !flat || descr.physical_type() != Type::INT64 {
            return Ok(None);
        }
        let form = Form { codec: place.codec, full: descr.max_def_level(), width: 0 };
        place.with(&self.data, self.groups[group].rows, wanted, |rows, bytes| {
            page::numbers(bytes, form, rows.len()).map(|numbers| (rows, numbers))
        })
    }

    /// The values of the rows that have one, and which rows do; None: all.
    fn values<T: DataType>(&self, group: usize, leaf: usize) -> ParquetResult<Present<T::T>> {
        let rows = self.groups[group].rows;
        let descr = self.layout.descr.column(leaf);
        let mut reader = self.place(group, leaf)?.reader::<T>(&self.data, &descr, rows, rows as u64)?;
        let (mut values, mut levels, mut found) = (Vec::new(), Vec::new(), 0);
        while found < rows {
            let (records, ..) = reader.read_records(rows - found, Some(&mut levels), None, &mut values)?;
            if records == 0 {
                return Err(ParquetError::General(format!("{found} rows instead of {rows}")));
            }
            found += records;
        }
        let full = descr.max_def_level();
        let present = (values.len() != rows).then(|| levels.iter().map(|level| *level == full).collect());
        Ok((values, present))
    }

    fn histograms(
        &self,
        group: usize,
        column: &Column,
        axis: &Axis,
        wanted: Range<usize>,
    ) -> ParquetResult<Decoded> {
        let Kind::Histogram { grouping_power, max_value_power } = column.kind else {
            return Err(ParquetError::General("not a histogram".into()));
        };
        let bounds = h2_bounds(grouping_power, max_value_power)
            .ok_or_else(|| ParquetError::General("there is no such histogram".into()))?;
        let width = column.kind.width().unwrap_or(1);
        match self.full_histograms(group, column.leaf, axis, wanted, width, &bounds)? {
            Some(found) => Ok(found),
            None => self.any_histograms(group, column.leaf, axis, width, bounds),
        }
    }

    /// Histograms that are all there, with all their buckets; None if there are others.
    fn full_histograms(
        &self,
        group: usize,
        leaf: usize,
        axis: &Axis,
        wanted: Range<usize>,
        width: usize,
        bounds: &Arc<[f64]>,
    ) -> ParquetResult<Option<Decoded>> {
        let rows = self.groups[group].rows;
        let descr = self.layout.descr.column(leaf);
        let place = self.place(group, leaf)?;
        if place.dictionary || descr.max_rep_level() != 1 {
            return Ok(None);
        }
        let form = Form { codec: place.codec, full: descr.max_def_level(), width };
        place.with(&self.data, rows, wanted, |at, bytes| {
            let part = axis.part(at.clone());
            let mut builder = Builder::new(part.as_ref().unwrap_or(axis), bounds.clone());
            page::histograms(bytes, form, at.len(), |row, cell| builder.push_bytes(row, cell))?;
            let chunk = builder.finish();
            Some(if part.is_some() { Decoded { at, chunk } } else { Decoded::whole(axis, chunk) })
        })
    }

    fn any_histograms(
        &self,
        group: usize,
        leaf: usize,
        axis: &Axis,
        width: usize,
        bounds: Arc<[f64]>,
    ) -> ParquetResult<Decoded> {
        let rows = self.groups[group].rows;
        // Longer lists than there should be are read, but within reason.
        let most = (rows as u64).saturating_mul(width.max(LONG_LIST) as u64);
        let descr = self.layout.descr.column(leaf);
        let mut reader = self.place(group, leaf)?.reader::<Int64Type>(&self.data, &descr, rows, most)?;
        let levels = self.levels(leaf);
        let mut builder = Builder::new(axis, bounds);
        let batch = (BATCH_VALUES / width).clamp(1, rows.max(1));
        let mut cells = Cells::default();
        let mut row = 0;
        while row < rows {
            let found = cells.read(&mut reader, batch.min(rows - row), levels.repeated)?;
            if found == 0 {
                return Err(ParquetError::General(format!("{row} rows instead of {rows}")));
            }
            cells.each(found, width, levels, |at, cell| builder.push(row + at, cell));
            row += found;
        }
        Ok(Decoded::whole(axis, builder.finish()))
    }

    fn levels(&self, leaf: usize) -> Levels {
        let descr = self.layout.descr.column(leaf);
        let root = self.layout.descr.get_column_root(leaf);
        let optional = root.get_basic_info().has_repetition() && root.is_optional();
        Levels {
            full: descr.max_def_level(),
            element: i16::from(optional) + 1,
            optional,
            repeated: descr.max_rep_level() > 0,
        }
    }

    fn damaged(&self, group: usize, leaf: usize, why: &str) -> String {
        let descr = self.layout.descr.column(leaf);
        let column = descr.path();
        format!("{}: column {leaf} `{column}`, row group {group}: is damaged: {why}", self.name)
    }
}

/// A column of a row group.
struct Leaf<'a> {
    of: &'a ParquetPart,
    group: usize,
    leaf: usize,
}

impl Reading for Leaf<'_> {
    fn read<T: DataType>(&self) -> ParquetResult<Present<T::T>> {
        self.of.values::<T>(self.group, self.leaf)
    }
}

impl Part for ParquetPart {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn columns(&self) -> &[Column] {
        &self.layout.columns
    }

    fn groups(&self) -> &[Group] {
        &self.groups
    }

    fn interval(&self) -> i64 {
        self.interval
    }

    fn times(&self, group: usize) -> Result<Vec<i64>, String> {
        let all = 0..self.groups[group].rows;
        let read = || match self.numbers(group, 0, all)? {
            Some((_, numbers)) => Ok((numbers.values, numbers.present)),
            None => self.values::<Int64Type>(group, 0),
        };
        let (times, absent) = guarded(read).map_err(|why: String| self.damaged(group, 0, &why))?;
        let unit = self.layout.unit.unwrap_or(1);
        match absent.and_then(|present| present.iter().position(|present| !present)) {
            Some(row) => Err(self.damaged(group, 0, &format!("row {row} has no timestamp"))),
            // What is beyond the year 2262 is negative here.
            None if unit == 1 => Ok(times),
            None => Ok(times.into_iter().map(|time| time.saturating_mul(unit)).collect()),
        }
    }

    fn decode(
        &self,
        group: usize,
        column: usize,
        axis: &Axis,
        wanted: Range<usize>,
    ) -> Result<Decoded, String> {
        let column = &self.layout.columns[column];
        guarded(|| {
            // Only if all rows count are they numbered as the times are.
            let some = axis.part(wanted.clone()).is_some();
            let wanted = if some { wanted } else { 0..self.groups[group].rows };
            if let Kind::Histogram { .. } = column.kind {
                return self.histograms(group, column, axis, wanted);
            }
            let (at, values, present) = match self.numbers(group, column.leaf, wanted)? {
                Some((at, Numbers { values, present })) => (at, floats(&values, column.signed), present),
                None => {
                    let stored = self.layout.descr.column(column.leaf).physical_type();
                    let leaf = Leaf { of: self, group, leaf: column.leaf };
                    let (values, present) = values::floats(&leaf, stored, column.signed)?;
                    (0..self.groups[group].rows, values, present)
                }
            };
            Ok(match axis.part(at.clone()) {
                Some(part) => Decoded { at, chunk: Chunk::floats(&part, values, present.as_deref()) },
                None => Decoded::whole(axis, Chunk::floats(axis, values, present.as_deref())),
            })
        })
        .map_err(|why| self.damaged(group, column.leaf, &why))
    }

    fn unread(&self) -> &[Unread] {
        &self.layout.unread
    }

    fn descriptions(&self) -> BTreeMap<String, String> {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        let mut found = BTreeMap::new();
        let mut add = |value: &serde_json::Value| {
            for (name, text) in value.as_object().into_iter().flatten() {
                if let Some(text) = text.as_str() {
                    found.entry(super::part::legal(name, true)).or_insert_with(|| text.to_owned());
                }
            }
        };
        if let Some(own) = self.descriptions[0].as_deref().and_then(json) {
            add(&own);
        }
        let sources = self.descriptions[1].as_deref().and_then(json);
        for source in sources.iter().filter_map(|sources| sources.as_object()).flat_map(|s| s.values()) {
            source.get("descriptions").into_iter().for_each(&mut add);
        }
        found
    }
}

fn floats(values: &[i64], signed: bool) -> Vec<f64> {
    // Few counters come so far that their first bit is set, and without it there is one
    // instruction for it.
    if signed || values.iter().fold(0, |all, value| all | value) >= 0 {
        return values.iter().map(|&value| value as f64).collect();
    }
    values.iter().map(|&value| value as u64 as f64).collect()
}

fn footer(data: &Data) -> ParquetResult<ParquetMetaData> {
    // Of thousands of columns, only that of the times has anything to say.
    let options = ParquetMetaDataOptions::new()
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_column_stats_policy(ParquetStatisticsPolicy::skip_except(&[0]));
    ParquetMetaDataReader::new().with_metadata_options(Some(options)).parse_and_finish(data)
}

fn key<'a>(metadata: &'a ParquetMetaData, wanted: &str) -> Option<&'a str> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    pairs.iter().rev().find(|pair| pair.key == wanted)?.value.as_deref()
}

impl Layout {
    fn of(metadata: &ParquetMetaData) -> ParquetResult<Self> {
        let file = metadata.file_metadata();
        let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
        let descr = file.schema_descr();
        let first = schema.fields().first().filter(|first| first.name() == "timestamp");
        let flat = first.filter(|_| descr.num_columns() > 0 && descr.get_column_root_idx(0) == 0);
        let unit =
            flat.and_then(|first| values::time_unit(first.data_type(), descr.column(0).physical_type()));
        let (columns, unread) = columns(metadata, &schema);
        Ok(Self {
            descr: file.schema_descr_ptr(),
            arrow: key(metadata, ARROW_SCHEMA_META_KEY).map(String::from),
            columns,
            unread,
            unit,
        })
    }

    /// Whether a file has these columns.
    fn is_of(&self, metadata: &ParquetMetaData) -> bool {
        self.arrow.as_deref() == key(metadata, ARROW_SCHEMA_META_KEY)
            && *self.descr == *metadata.file_metadata().schema_descr()
    }
}

/// The first and last time of a row group, if it says them. The unit is in ns.
fn times_of(group: &RowGroupMetaData, unit: i64) -> Option<(i64, i64)> {
    let Statistics::Int64(range) = group.columns().first()?.statistics()? else { return None };
    let (first, last) = (*range.min_opt()?, *range.max_opt()?);
    let scaled = (first.saturating_mul(unit), last.saturating_mul(unit));
    (0..=last).contains(&first).then_some(scaled)
}

/// The file's series, and what is none. Columns are addressed by position: names
/// may occur twice.
fn columns(metadata: &ParquetMetaData, schema: &arrow_schema::Schema) -> (Vec<Column>, Vec<Unread>) {
    let descr = metadata.file_metadata().schema_descr();
    // By field: its leaf if it has just one.
    let mut leaves: Vec<Option<usize>> = vec![None; schema.fields().len()];
    let mut seen = vec![0u32; schema.fields().len()];
    for leaf in 0..descr.num_columns() {
        let root = descr.get_column_root_idx(leaf);
        let (Some(place), Some(seen)) = (leaves.get_mut(root), seen.get_mut(root)) else { continue };
        *seen += 1;
        *place = (*seen == 1).then_some(leaf);
    }
    let (mut columns, mut names, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    for (position, field) in schema.fields().iter().enumerate() {
        if is_aside(position, field) {
            continue;
        }
        let column = leaves[position].zip(Column::of_field(position, field));
        match column
            .filter(|(leaf, column)| values::can_read(column.kind, descr.column(*leaf).physical_type()))
        {
            Some((leaf, column)) => {
                columns.push(Column { leaf, ..column });
                names.push(field.name().as_str());
            }
            None => {
                let data = field.data_type().to_string();
                unread.push(Unread { name: field.name().clone(), data });
            }
        }
    }
    tell_apart(&mut columns, &names);
    (columns, unread)
}

/// The first thing that is wrong with most files that are wrong.
fn check_magic(data: &Data) -> Result<(), String> {
    let bytes = data.len();
    if bytes < 12 {
        return Err(format!("is no Parquet file: {bytes} bytes are too few"));
    }
    let read = |start| data.read(start, 4).map_err(|error| format!("cannot be read: {error}"));
    let magic = read(0)?;
    if *magic != *b"PAR1" {
        return Err(format!("is no Parquet file: it begins with {:?}", magic.escape_ascii().to_string()));
    }
    if *read(bytes - 4)? != *b"PAR1" {
        return Err(format!("is truncated or was never finished: at byte {bytes} it lacks its footer"));
    }
    Ok(())
}

/// What the parquet crate takes for granted: that numbers are not negative,
/// agree, and stay within the file.
fn check_footer(metadata: &ParquetMetaData, bytes: u64) -> Result<(), String> {
    for (at, group) in metadata.row_groups().iter().enumerate() {
        if !(0..=MOST_ROWS).contains(&group.num_rows()) {
            return Err(format!("row group {at} has {} rows", group.num_rows()));
        }
        for chunk in group.columns() {
            let what = || format!("row group {at}, column `{}`", chunk.column_path());
            let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
            let end = start.checked_add(chunk.compressed_size());
            let inside = start >= 4 && end.is_some_and(|end| end >= start && end as u64 <= bytes);
            if !inside || chunk.uncompressed_size() < 0 {
                return Err(format!("{} lies outside of the file", what()));
            }
            let flat = chunk.column_descr().max_rep_level() == 0;
            if chunk.num_values() < 0 || (flat && chunk.num_values() != group.num_rows()) {
                let (values, rows) = (chunk.num_values(), group.num_rows());
                return Err(format!("{} has {values} values in {rows} rows", what()));
            }
        }
    }
    Ok(())
}

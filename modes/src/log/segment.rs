//! Segments: what a log consists of. Each is a Parquet file in the layout of a
//! recording.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_schema::{DataType, Field};
use bytes::Bytes;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::column::reader::{ColumnReader, get_column_reader, get_typed_column_reader};
use parquet::data_type::Int64Type;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;

use super::columns::{Cells, Columns, Description, Kind};
use crate::snapshot::{LINE, Line};

/// An opened segment.
pub struct Segment {
    bytes: Bytes,
    pub metadata: Arc<ParquetMetaData>,
    /// In the order of the file, after timestamp and duration.
    pub columns: Vec<Description>,
    by_identity: HashMap<String, usize>,
}

/// Why bytes are no segment.
pub type Why = String;

impl Segment {
    /// # Errors
    ///
    /// What is wrong with the bytes.
    pub fn open(bytes: Bytes) -> Result<Self, Why> {
        let reader = ParquetMetaDataReader::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let metadata = reader.parse_and_finish(&bytes).map_err(|e| e.to_string())?;
        let file = metadata.file_metadata();
        let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())
            .map_err(|error| error.to_string())?;
        let leaves = file.schema_descr().num_columns();
        let fields = schema.fields();
        let fixed = fields.iter().take(2).map(|field| field.name().as_str());
        if !fixed.eq(["timestamp", "duration"]) || leaves != fields.len() {
            return Err("its columns are not those of a segment".into());
        }
        let columns: Vec<Description> =
            fields.iter().skip(2).map(|f| describe(f)).collect::<Result<_, _>>()?;
        let by_identity = columns.iter().enumerate().map(|(at, column)| (identity(column), at)).collect();
        if metadata.num_row_groups() > 1 {
            return Err("it has more than one row group".into());
        }
        Ok(Self { bytes, metadata: Arc::new(metadata), columns, by_identity })
    }

    pub fn rows(&self) -> usize {
        self.metadata.file_metadata().num_rows() as usize
    }

    /// A value of the file's own metadata.
    pub fn meta(&self, key: &str) -> Option<&str> {
        let all = self.metadata.file_metadata().key_value_metadata()?;
        all.iter().find(|pair| pair.key == key)?.value.as_deref()
    }

    /// The leaf of the column that is the same series.
    pub fn find(&self, identity: &str) -> Option<usize> {
        self.by_identity.get(identity).map(|at| at + 2)
    }

    /// A column chunk: what describes it, and its pages as they are.
    pub fn chunk(&self, leaf: usize) -> Result<(&ColumnChunkMetaData, Bytes), Why> {
        let chunk = self.metadata.row_group(0).column(leaf);
        let (start, length) = chunk.byte_range();
        let end = start.checked_add(length).filter(|end| *end <= self.bytes.len() as u64);
        let end = end.ok_or("a column lies outside the file")?;
        Ok((chunk, self.bytes.slice(start as usize..end as usize)))
    }

    /// The pages of a column chunk, if the file says where they are.
    pub fn pages(&self, leaf: usize) -> Option<&[PageLocation]> {
        let index = self.metadata.page_index()?.offset_index(0, leaf)?;
        Some(index.page_locations())
    }

    /// All timestamps, in ns since the epoch.
    pub fn timestamps(&self) -> Result<Vec<i64>, Why> {
        Ok(self.read(0)?.0)
    }

    /// A column's values, and its definition levels.
    ///
    /// # Errors
    ///
    /// When its pages are damaged.
    pub fn read(&self, leaf: usize) -> Result<(Vec<i64>, Vec<i16>), Why> {
        let rows = self.rows();
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        if rows == 0 {
            return Ok((values, levels));
        }
        // With the footer that was read before: there may be thousands of columns.
        let file = self.metadata.file_metadata();
        let chunk = self.metadata.row_group(0).column(leaf);
        let pages = SerializedPageReader::new(Arc::new(self.bytes.clone()), chunk, rows, None)
            .map_err(|error| error.to_string())?;
        let reader = get_column_reader(file.schema_descr().column(leaf), Box::new(pages));
        if !matches!(reader, ColumnReader::Int64ColumnReader(_)) {
            return Err("a column is not of 64-bit integers".into());
        }
        let mut reader = get_typed_column_reader::<Int64Type>(reader);
        let mut repetitions = Vec::new();
        while reader
            .read_records(rows, Some(&mut levels), Some(&mut repetitions), &mut values)
            .map_err(|error| error.to_string())?
            .0
            > 0
        {}
        Ok((values, levels))
    }

    /// A histogram's buckets in the first and last row.
    pub fn edges(&self, leaf: usize) -> Result<(Vec<i64>, Vec<i64>), Why> {
        let width = self.columns.get(leaf - 2).map_or(1, |column| column.kind.width());
        let (values, _) = self.read(leaf)?;
        let first = values.get(..width).ok_or("a histogram has no cell")?;
        Ok((first.to_vec(), values[values.len() - width..].to_vec()))
    }

    /// The rows of a range of time, both ends included, as columns.
    pub fn decode(&self, range: std::ops::RangeInclusive<u64>) -> Result<Columns, Why> {
        let timestamps = self.timestamps()?;
        let wanted: Vec<bool> = timestamps.iter().map(|&at| range.contains(&(at as u64))).collect();
        let mut columns = Columns::new(&[]);
        columns.timestamps = kept(&timestamps, &wanted).collect();
        let (values, levels) = self.read(1)?;
        let mut values = values.into_iter();
        let durations: Vec<_> =
            levels.iter().map(|&level| (level > 0).then(|| values.next()).flatten()).collect();
        columns.durations = kept(&durations, &wanted).collect();
        for (at, description) in self.columns.iter().enumerate() {
            let index = columns.add(description.clone());
            let (values, levels) = self.read(at + 2)?;
            fill(&mut columns.columns[index].cells, description.kind.width(), &values, &levels, &wanted);
        }
        Ok(columns)
    }
}

fn kept<'a, T: Copy>(all: &'a [T], wanted: &'a [bool]) -> impl Iterator<Item = T> + 'a {
    all.iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(value, _)| *value)
}

/// Sets the cells of the wanted rows.
fn fill(cells: &mut Cells, width: usize, values: &[i64], levels: &[i16], wanted: &[bool]) {
    let mut row = 0;
    let scalar = matches!(cells, Cells::Scalar { .. });
    let mut values = values.chunks_exact(width.max(1));
    let mut lines = Vec::new();
    // Every cell of a histogram has all buckets, so one level stands for all.
    for (&level, &wanted) in levels.iter().step_by(if scalar { 1 } else { width.max(1) }).zip(wanted) {
        let value = if level > 0 { values.next() } else { None };
        if let (true, Some(value)) = (wanted, value) {
            if scalar {
                cells.push(row, value[0]);
            } else {
                lines.clear();
                lines.extend(lines_of(value));
                cells.push_lines(row, &lines);
            }
        }
        row += u32::from(wanted);
    }
}

fn lines_of(buckets: &[i64]) -> impl Iterator<Item = Line> {
    buckets.chunks(LINE).enumerate().filter(|(_, counts)| counts.iter().any(|&count| count != 0)).map(
        |(number, counts)| {
            let mut line = Line { number: number as u16, counts: [0; LINE] };
            line.counts.iter_mut().zip(counts).for_each(|(to, &from)| *to = from as u64);
            line
        },
    )
}

fn describe(field: &Field) -> Result<Description, Why> {
    let metadata: BTreeMap<String, String> =
        field.metadata().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let kind = match field.data_type() {
        DataType::UInt64 => Kind::Counter,
        DataType::Int64 => Kind::Gauge,
        DataType::List(item) if *item.data_type() == DataType::UInt64 => {
            let power = |key: &str| metadata.get(key).and_then(|value| value.parse::<u8>().ok());
            match (power("grouping_power"), power("max_value_power")) {
                (Some(grouping_power), Some(max_value_power)) => {
                    Kind::Histogram { grouping_power, max_value_power }
                }
                _ => return Err(format!("column {} does not say its powers", field.name())),
            }
        }
        other => return Err(format!("column {} is of type {other}", field.name())),
    };
    if kind.width() == 0 {
        return Err(format!("column {} has impossible powers", field.name()));
    }
    Ok(Description { name: field.name().clone(), kind, metadata })
}

/// What makes two columns the same series: all but the number that keeps names
/// apart within one file.
pub fn identity(column: &Description) -> String {
    format!("{:?} {} {:?}", column.kind, base_name(&column.name), column.metadata)
}

/// A column's name without `~2` and `:buckets`.
pub fn base_name(name: &str) -> &str {
    let name = name.strip_suffix(":buckets").unwrap_or(name);
    match name.rsplit_once('~') {
        Some((base, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => base,
        _ => name,
    }
}

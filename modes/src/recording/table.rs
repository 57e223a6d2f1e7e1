//! Writing a recording, column by column: only one column of one row group is
//! in memory at a time, however wide the table is.

use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt64Array};
use arrow_schema::{DataType, FieldRef, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::compute_leaves;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::output::{Aside, Progress};
use super::{Error, Recording};

/// Rows of a row group.
const GROUP_ROWS: usize = 1800;
const ZSTD_LEVEL: i32 = 3;
/// The key with the sum of all bytes before the footer, in hexadecimal digits.
pub const CHECKSUM: &str = "rezolus.crc32";

/// A recording that is to be written.
pub struct Table<'a> {
    pub columns: Vec<Output<'a>>,
    pub rows: usize,
    pub metadata: Vec<(String, String)>,
}

pub struct Output<'a> {
    pub field: FieldRef,
    pub values: Values<'a>,
}

/// Where the values of a column come from.
pub enum Values<'a> {
    Array(ArrayRef),
    /// Rows of another recording, ascending; None where there is none.
    Rows {
        recording: &'a Recording,
        position: usize,
        rows: Rc<[Option<usize>]>,
    },
}

impl Values<'_> {
    fn read(&self, rows: Range<usize>) -> Result<ArrayRef, Error> {
        let (recording, position, taken) = match self {
            Self::Array(array) => return Ok(array.slice(rows.start, rows.len())),
            Self::Rows { recording, position, rows: all } => (recording, *position, &all[rows]),
        };
        let known = || taken.iter().flatten().copied();
        let data_type = recording.schema().field(position).data_type();
        let Some((first, last)) = known().min().zip(known().max()) else {
            return Ok(arrow_array::new_null_array(data_type, taken.len()));
        };
        let found = recording.column(position, first..last + 1)?;
        if taken.len() == found.len() && known().count() == taken.len() && known().is_sorted() {
            return Ok(found);
        }
        let indices: UInt64Array = taken.iter().map(|row| row.map(|row| (row - first) as u64)).collect();
        arrow_select::take::take(found.as_ref(), &indices, None)
            .map_err(|error| recording.place(recording.label(position), &error.to_string()))
    }
}

impl Table<'_> {
    /// Writes the file aside, and renames it when it is whole.
    ///
    /// # Errors
    ///
    /// When an input does not decode, or the output cannot be written; the
    /// target is as it was.
    pub fn write(self, path: &Path, force: bool) -> Result<(), Error> {
        let (aside, file) = Aside::create(path, force)?;
        let fields: Vec<_> = self.columns.iter().map(|column| column.field.clone()).collect();
        let properties = properties(&fields, &self.metadata);
        let schema = Arc::new(Schema::new(fields));
        let fail = |error: parquet::errors::ParquetError| aside.error(error);
        let handle = file.try_clone().map_err(|error| aside.error(error))?;
        let writer = ArrowWriter::try_new(BufWriter::new(file), schema, Some(properties)).map_err(fail)?;
        let (mut writer, factory) = writer.into_serialized_writer().map_err(fail)?;
        let starts = (0..self.rows).step_by(GROUP_ROWS);
        let mut progress = Progress::new(starts.len() * self.columns.len());
        for (group, start) in starts.enumerate() {
            let rows = start..self.rows.min(start + GROUP_ROWS);
            let mut row_group = writer.next_row_group().map_err(fail)?;
            let mut leaves = factory.create_column_writers(group).map_err(fail)?.into_iter();
            for column in &self.columns {
                let values = column.values.read(rows.clone())?;
                for leaf in compute_leaves(&column.field, &values).map_err(fail)? {
                    let Some(mut leaf_writer) = leaves.next() else { continue };
                    leaf_writer.write(&leaf).map_err(fail)?;
                    let chunk = leaf_writer.close().map_err(fail)?;
                    chunk.append_to_row_group(&mut row_group).map_err(fail)?;
                }
                progress.step();
            }
            row_group.close().map_err(fail)?;
        }
        writer.flush().map_err(|error| aside.error(error))?;
        let sum = checksum(&handle, writer.bytes_written() as u64).map_err(|error| aside.error(error))?;
        writer.append_key_value_metadata(KeyValue::new(CHECKSUM.to_string(), sum));
        let buffered: BufWriter<File> = writer.into_inner().map_err(fail)?;
        drop(buffered.into_inner().map_err(|error| aside.error(error.error()))?);
        aside.finish(&handle)
    }
}

/// The sum of the first bytes of a file: CRC-32 as zlib has it.
pub fn checksum(file: &File, bytes: u64) -> std::io::Result<String> {
    let (mut sum, mut buffer, mut at) = (crc32fast::Hasher::new(), vec![0; 1 << 20], 0);
    while at < bytes {
        let length = buffer.len().min(usize::try_from(bytes - at).unwrap_or(usize::MAX));
        file.read_exact_at(&mut buffer[..length], at)?;
        sum.update(&buffer[..length]);
        at += length as u64;
    }
    Ok(format!("{:08x}", sum.finalize()))
}

/// As the recorder writes: zstd, no dictionaries, statistics of time only.
///
/// Deltas halve what scalars take. Histograms stay plain: neighbouring rows
/// repeat each other, which zstd sees only in unchanged bytes. 33 histograms
/// of 302 rows took 0.53 MB plain, 0.81 MB with dictionaries, 1.38 MB as deltas.
fn properties(fields: &[FieldRef], metadata: &[(String, String)]) -> WriterProperties {
    let pairs = metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let level = ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("rezolus {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(pairs))
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(ColumnPath::from("timestamp"), EnabledStatistics::Chunk);
    for field in fields {
        let path = match field.data_type() {
            DataType::UInt64 | DataType::Int64 => vec![field.name().clone()],
            _ => continue,
        };
        builder = builder.set_column_encoding(ColumnPath::new(path), Encoding::DELTA_BINARY_PACKED);
    }
    builder.build()
}

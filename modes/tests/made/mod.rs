//! Parquet files and snapshots to test with.

// No test uses all of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use arrow_array::builder::{ListBuilder, UInt64Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use rezolus_modes::snapshot::{Group, GroupSchema, MetricDesc, Numbers, Snapshot};

/// The type of histograms.
pub fn list() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::UInt64, true)))
}

pub fn histograms(rows: &[Option<Vec<u64>>]) -> ArrayRef {
    let mut builder = ListBuilder::new(UInt64Builder::new());
    for row in rows {
        builder.append_option(row.as_ref().map(|counts| counts.iter().map(|&count| Some(count))));
    }
    Arc::new(builder.finish())
}

/// Writes columns as a Parquet file, with so many rows in a group.
pub fn write(
    path: &Path,
    columns: Vec<(Field, ArrayRef)>,
    metadata: Vec<(String, String)>,
    codec: Compression,
    group_rows: usize,
) {
    let pairs = metadata.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
    let properties = WriterProperties::builder()
        .set_compression(codec)
        .set_max_row_group_row_count(Some(group_rows))
        .set_key_value_metadata(Some(pairs))
        .build();
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A metric; what is behind a slash in its name tells it from others of the same.
pub fn describe(name: &str, labels: &[(&str, &str)]) -> MetricDesc {
    let mut metadata: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    metadata.insert("metric".into(), name.split('/').next().unwrap().into());
    MetricDesc { name: name.into(), metadata }
}

/// What a source told at a time, in ns since the epoch, in one group.
pub fn snapshot(group: &str, time: u64, schema: GroupSchema, numbers: Numbers) -> Snapshot {
    let (hash, lengths) = (schema.hash(), numbers.lengths());
    Snapshot {
        systemtime: UNIX_EPOCH + Duration::from_nanos(time),
        duration: Duration::from_nanos(time / 1_000_000),
        metadata: vec![("source".into(), "test".into())],
        groups: vec![Group { name: group.into(), hash, schema: Arc::new(schema), lengths }],
        numbers,
    }
}

//! Recordings made for tests.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{LargeListBuilder, ListBuilder, UInt64Builder};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

pub const SECOND: i64 = 1_000_000_000;
pub const START: i64 = 1_795_341_600 * SECOND;

pub static CODECS: std::sync::LazyLock<[Compression; 5]> = std::sync::LazyLock::new(|| {
    [
        Compression::UNCOMPRESSED,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
    ]
});

enum Cell {
    Unsigned(u64),
    Signed(i64),
    List(Vec<u64>),
}

impl From<u64> for Cell {
    fn from(value: u64) -> Self {
        Self::Unsigned(value)
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Signed(value)
    }
}

pub struct Column {
    name: String,
    data: DataType,
    metadata: HashMap<String, String>,
    rows: Vec<Option<Cell>>,
}

fn list(child: &str) -> Arc<Field> {
    Arc::new(Field::new(child, DataType::UInt64, true))
}

impl Column {
    fn new(name: &str, data: DataType) -> Self {
        Self { name: name.into(), data, metadata: HashMap::new(), rows: Vec::new() }
    }

    pub fn counter(name: &str) -> Unsigned {
        Unsigned(Self::new(name, DataType::UInt64))
    }

    pub fn gauge(name: &str) -> Signed {
        Signed(Self::new(name, DataType::Int64))
    }

    pub fn histogram(name: &str, grouping_power: u8, max_value_power: u8) -> Self {
        let mut column = Self::new(&format!("{name}:buckets"), DataType::List(list("item")));
        column.metadata.insert("grouping_power".into(), grouping_power.to_string());
        column.metadata.insert("max_value_power".into(), max_value_power.to_string());
        column
    }

    pub fn lists(mut self, rows: impl IntoIterator<Item = Option<Vec<u64>>>) -> Self {
        self.rows = rows.into_iter().map(|row| row.map(Cell::List)).collect();
        self
    }

    pub fn child(mut self, child: &str, large: bool) -> Self {
        self.data = if large { DataType::LargeList(list(child)) } else { DataType::List(list(child)) };
        self
    }

    fn array(&self) -> ArrayRef {
        let cells = || self.rows.iter();
        let counts = |cell: &Option<Cell>| match cell {
            Some(Cell::List(counts)) => Some(counts.iter().copied().map(Some).collect::<Vec<_>>()),
            _ => None,
        };
        match &self.data {
            DataType::List(item) => {
                let mut builder = ListBuilder::new(UInt64Builder::new()).with_field(item.clone());
                cells().for_each(|cell| builder.append_option(counts(cell)));
                Arc::new(builder.finish())
            }
            DataType::LargeList(item) => {
                let mut builder = LargeListBuilder::new(UInt64Builder::new()).with_field(item.clone());
                cells().for_each(|cell| builder.append_option(counts(cell)));
                Arc::new(builder.finish())
            }
            DataType::Int64 => Arc::new(Int64Array::from_iter(cells().map(|cell| match cell {
                Some(Cell::Signed(value)) => Some(*value),
                _ => None,
            }))),
            _ => Arc::new(UInt64Array::from_iter(cells().map(|cell| match cell {
                Some(Cell::Unsigned(value)) => Some(*value),
                _ => None,
            }))),
        }
    }
}

pub struct Unsigned(Column);
pub struct Signed(Column);

macro_rules! scalar {
    ($kind:ident, $value:ty) => {
        impl $kind {
            pub fn metadata(mut self, pairs: &[(&str, &str)]) -> Self {
                self.0.metadata.extend(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())));
                self
            }

            pub fn cells(mut self, rows: impl IntoIterator<Item = Option<$value>>) -> Column {
                self.0.rows = rows.into_iter().map(|row| row.map(Cell::from)).collect();
                self.0
            }
        }
    };
}

scalar!(Unsigned, u64);
scalar!(Signed, i64);

pub struct File {
    times: Vec<u64>,
    columns: Vec<Column>,
    /// Of other types, after those.
    others: Vec<(String, ArrayRef)>,
    pub metadata: Vec<(String, String)>,
    pub group_rows: usize,
    pub codec: Compression,
    pub dictionary: bool,
    /// Rows of a page.
    pub page_rows: usize,
    /// Numbers as differences, as our own recordings have them.
    pub delta: bool,
}

impl File {
    /// Rows at these seconds after the start.
    pub fn at(seconds: &[i64]) -> Self {
        Self {
            times: seconds.iter().map(|second| (START + second * SECOND) as u64).collect(),
            columns: Vec::new(),
            others: Vec::new(),
            metadata: vec![("sampling_interval_ms".into(), "1000".into())],
            group_rows: 1000,
            codec: Compression::UNCOMPRESSED,
            dictionary: false,
            page_rows: 20_000,
            delta: false,
        }
    }

    pub fn with(mut self, column: Column) -> Self {
        self.columns.push(column);
        self
    }

    pub fn with_array(mut self, name: &str, array: impl Array + 'static) -> Self {
        self.others.push((name.into(), Arc::new(array)));
        self
    }

    pub fn write(&self) -> Vec<u8> {
        self.write_timed(Arc::new(UInt64Array::from(self.times.clone())))
    }

    /// With another column of times.
    pub fn write_timed(&self, times: ArrayRef) -> Vec<u8> {
        let mut fields = vec![Field::new("timestamp", times.data_type().clone(), false)];
        let mut arrays = vec![times];
        for column in &self.columns {
            let field = Field::new(&column.name, column.data.clone(), true);
            fields.push(field.with_metadata(column.metadata.clone()));
            arrays.push(column.array());
        }
        for (name, array) in &self.others {
            fields.push(Field::new(name, array.data_type().clone(), true));
            arrays.push(array.clone());
        }
        let pairs = self.metadata.iter().map(|(k, v)| KeyValue::new(k.clone(), v.clone())).collect();
        let mut properties = WriterProperties::builder()
            .set_compression(self.codec)
            .set_data_page_row_count_limit(self.page_rows)
            .set_write_batch_size(self.page_rows)
            .set_dictionary_enabled(self.dictionary)
            .set_max_row_group_row_count(Some(self.group_rows))
            .set_key_value_metadata(Some(pairs));
        for column in self.columns.iter().filter(|column| self.delta && !column.data.is_nested()) {
            let path = ColumnPath::from(column.name.as_str());
            properties = properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
        let properties = properties.build();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        bytes
    }
}

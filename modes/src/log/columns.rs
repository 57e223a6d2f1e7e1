//! Ticks turned into columns, and columns into Parquet.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::Int64Type;
use parquet::errors::Result;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, TypePtr};

use crate::snapshot::{GroupSchema, LINE, Line, MetricDesc, Shape, Slices, Snapshot};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram { grouping_power: u8, max_value_power: u8 },
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram { .. } => "histogram",
        }
    }

    /// Buckets of a cell; 1 for a number.
    pub fn width(self) -> usize {
        match self {
            Self::Histogram { grouping_power, max_value_power } => {
                Shape::buckets(grouping_power, max_value_power).unwrap_or_default()
            }
            _ => 1,
        }
    }
}

/// A column but for its cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Unique in a file; histograms end in `:buckets`.
    pub name: String,
    pub kind: Kind,
    /// `metric`, `metric_type`, `unit`, labels.
    pub metadata: BTreeMap<String, String>,
}

/// What there is to know of a source of ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Source {
    /// The label `source` of its series.
    pub name: String,
    /// The label `endpoint`, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// Cells, from some row on.
#[derive(Clone, Debug)]
pub(crate) enum Cells {
    Scalar {
        values: Vec<i64>,
        /// First row and length of each run of rows that have a value.
        runs: Vec<(u32, u32)>,
    },
    Histogram {
        state: Vec<Line>,
        /// Lines that differ from the row before, by row.
        changes: Vec<(u32, Line)>,
        seen: bool,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub description: Arc<Description>,
    pub cells: Cells,
}

/// Rows that are being collected, by column.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    pub(crate) timestamps: Vec<i64>,
    pub(super) durations: Vec<Option<i64>>,
    pub(crate) columns: Vec<Column>,
    /// Columns by what they are.
    known: HashMap<String, usize>,
    names: HashMap<String, u32>,
    /// By source and group: the schema's hash, and the column of each member.
    plans: HashMap<(usize, Arc<str>), Plan>,
    several: bool,
    /// Histograms as the segment before left them.
    previous: HashMap<String, Vec<Line>>,
    sources: Vec<Source>,
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Plan {
    hash: (u64, u64),
    columns: Vec<usize>,
}

impl Columns {
    pub fn new(sources: &[Source]) -> Self {
        Self { sources: sources.to_vec(), several: sources.len() > 1, ..Self::default() }
    }

    /// For the rows after these.
    pub fn successor(&mut self) -> Self {
        let mut next = Self::new(&self.sources);
        next.previous = std::mem::take(&mut self.previous);
        for (identity, &at) in &self.known {
            if let Cells::Histogram { state, seen: true, .. } = &self.columns[at].cells {
                next.previous.insert(identity.clone(), state.clone());
            }
        }
        next
    }

    pub fn rows(&self) -> usize {
        self.timestamps.len()
    }

    /// About how much memory the cells take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// First and last timestamp, in ns since the epoch.
    pub fn range(&self) -> Option<(u64, u64)> {
        Some((*self.timestamps.first()? as u64, *self.timestamps.last()? as u64))
    }

    /// Appends a row: what each source gave, None if nothing.
    pub fn append(&mut self, timestamp: u64, parts: &[Option<Arc<Snapshot>>]) {
        let row = self.rows() as u32;
        self.timestamps.push(timestamp as i64);
        let duration = parts.iter().flatten().next().map(|snapshot| snapshot.duration);
        self.durations.push(duration.map(|duration| duration.as_nanos() as i64));
        for (source, snapshot) in parts.iter().enumerate() {
            for (group, numbers) in snapshot.iter().flat_map(|snapshot| snapshot.groups()) {
                let key = (source, group.name.clone());
                let mut plan = self.plans.remove(&key).unwrap_or_default();
                if plan.hash != group.hash || plan.columns.is_empty() {
                    plan = Plan { hash: group.hash, columns: self.plan(source, &group.schema) };
                }
                self.push(row, &plan.columns, &numbers);
                self.plans.insert(key, plan);
            }
        }
    }

    fn plan(&mut self, source: usize, schema: &GroupSchema) -> Vec<usize> {
        let mut columns = Vec::new();
        columns.extend(schema.counters.iter().map(|d| self.column(source, Kind::Counter, d)));
        columns.extend(schema.gauges.iter().map(|d| self.column(source, Kind::Gauge, d)));
        for described in &schema.histograms {
            let power = |key: &str| described.metadata.get(key).and_then(|value| value.parse().ok());
            let kind = Kind::Histogram {
                grouping_power: power("grouping_power").unwrap_or(3),
                max_value_power: power("max_value_power").unwrap_or(64),
            };
            columns.push(self.column(source, kind, described));
        }
        columns
    }

    /// The column of a series; another one if its labels are not those that the
    /// column of its name has.
    fn column(&mut self, source: usize, kind: Kind, described: &MetricDesc) -> usize {
        let identity = format!("{source} {kind:?} {} {:?}", described.name, described.metadata);
        if let Some(&known) = self.known.get(&identity) {
            return known;
        }
        let mut metadata = described.metadata.clone();
        metadata.insert("metric_type".into(), kind.name().into());
        let mut name = described.name.clone();
        if let Some(source) = self.sources.get(source) {
            if self.several {
                name = format!("{}::{name}", source.name);
            }
            metadata.entry("source".into()).or_insert_with(|| source.name.clone());
            if let Some(endpoint) = &source.endpoint {
                metadata.entry("endpoint".into()).or_insert_with(|| endpoint.clone());
            }
        }
        let uses = self.names.entry(name.clone()).or_default();
        *uses += 1;
        if *uses > 1 {
            name = format!("{name}~{uses}");
        }
        if matches!(kind, Kind::Histogram { .. }) {
            name.push_str(":buckets");
        }
        let index = self.add(Description { name, kind, metadata });
        if let Some(lines) = self.previous.get(&identity) {
            self.columns[index].cells.push_lines(0, lines);
        }
        self.known.insert(identity, index);
        index
    }

    pub(super) fn add(&mut self, description: Description) -> usize {
        let cells = match description.kind {
            Kind::Histogram { .. } => {
                Cells::Histogram { state: Vec::new(), changes: Vec::new(), seen: false }
            }
            _ => Cells::Scalar { values: Vec::new(), runs: Vec::new() },
        };
        self.bytes += 256;
        self.columns.push(Column { description: Arc::new(description), cells });
        self.columns.len() - 1
    }

    fn push(&mut self, row: u32, columns: &[usize], numbers: &Slices<'_>) {
        let mut columns = columns.iter();
        let scalars = numbers.counters.iter().map(|value| value.map(|value| value as i64));
        for value in scalars.chain(numbers.gauges.iter().copied()) {
            if let (Some(&at), Some(value)) = (columns.next(), value) {
                self.bytes += self.columns[at].cells.push(row, value);
            }
        }
        for histogram in numbers.histograms() {
            if let (Some(&at), Some(histogram)) = (columns.next(), histogram) {
                self.bytes += self.columns[at].cells.push_lines(row, histogram.lines);
            }
        }
    }

    /// The columns of the file, in its order.
    pub(super) fn sorted(&self) -> Vec<&Column> {
        let mut columns: Vec<&Column> = self.columns.iter().collect();
        columns.sort_by(|a, b| order(&a.description).cmp(&order(&b.description)));
        columns
    }

    /// Writes all rows as a Parquet file with one row group.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write(&self, out: impl Write + Send, metadata: &[(String, String)]) -> Result<()> {
        let columns = self.sorted();
        let descriptions: Vec<&Description> = columns.iter().map(|c| &*c.description).collect();
        let (schema, properties) = layout(&descriptions, metadata)?;
        let mut file = SerializedFileWriter::new(out, schema, properties)?;
        if self.rows() > 0 {
            let mut group = file.next_row_group()?;
            write_scalars(&mut group, &self.timestamps, None)?;
            let durations: Vec<i64> = self.durations.iter().flatten().copied().collect();
            let levels: Vec<i16> = self.durations.iter().map(|d| i16::from(d.is_some())).collect();
            write_scalars(&mut group, &durations, Some(&levels))?;
            for column in columns {
                column.write(&mut group, self.rows())?;
            }
            group.close()?;
        }
        file.close()?;
        Ok(())
    }
}

impl Cells {
    /// Sets a number. Returns by how many bytes this grew.
    pub fn push(&mut self, row: u32, value: i64) -> usize {
        let Self::Scalar { values, runs } = self else { return 0 };
        values.push(value);
        match runs.last_mut() {
            Some((first, length)) if *first + *length == row => *length += 1,
            _ => runs.push((row, 1)),
        }
        8
    }

    /// Sets a histogram. Rows in between repeat what was before, and those
    /// before the first repeat the first: a missing histogram would be read as
    /// an empty one, and the next as a burst.
    pub fn push_lines(&mut self, row: u32, lines: &[Line]) -> usize {
        let Self::Histogram { state, changes, seen } = self else { return 0 };
        let before = changes.len();
        let row = if *seen { row } else { 0 };
        *seen = true;
        let mut old = state.iter().peekable();
        for line in lines {
            while let Some(gone) = old.next_if(|old| old.number < line.number) {
                changes.push((row, Line { number: gone.number, counts: [0; LINE] }));
            }
            if old.next_if(|old| old.number == line.number) != Some(line) {
                changes.push((row, *line));
            }
        }
        for gone in old {
            changes.push((row, Line { number: gone.number, counts: [0; LINE] }));
        }
        if changes.len() > before {
            state.clear();
            state.extend_from_slice(lines);
        }
        (changes.len() - before) * size_of::<(u32, Line)>()
    }
}

impl Column {
    fn write<W: Write + Send>(&self, group: &mut SerializedRowGroupWriter<'_, W>, rows: usize) -> Result<()> {
        match &self.cells {
            Cells::Scalar { values, runs } => {
                let mut levels = vec![0i16; rows];
                for &(first, length) in runs {
                    levels[first as usize..(first + length) as usize].fill(1);
                }
                write_scalars(group, values, Some(&levels))
            }
            Cells::Histogram { changes, .. } => {
                let mut dense = vec![0i64; self.description.kind.width()];
                let mut changes = changes.iter().peekable();
                write_histograms(group, dense.len(), rows, |row, out| {
                    while let Some((_, line)) = changes.next_if(|(at, _)| *at as usize <= row) {
                        let start = usize::from(line.number) * LINE;
                        for (bucket, count) in dense.iter_mut().skip(start).zip(line.counts) {
                            *bucket = count as i64;
                        }
                    }
                    out.extend_from_slice(&dense);
                })
            }
        }
    }
}

/// Where a column stands in a file: counters, gauges, histograms, by name.
pub(super) fn order(description: &Description) -> (u8, &str) {
    let block = match description.kind {
        Kind::Counter => 0,
        Kind::Gauge => 1,
        Kind::Histogram { .. } => 2,
    };
    (block, &description.name)
}

/// Writes the next column: numbers, and which rows have one.
pub(super) fn write_scalars<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[i64],
    levels: Option<&[i16]>,
) -> Result<()> {
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    if let ColumnWriter::Int64ColumnWriter(_) = column.untyped() {
        column.typed::<Int64Type>().write_batch(values, levels, None)?;
    }
    column.close()
}

/// Writes the next column: a histogram per row, as `fill` appends them.
pub(super) fn write_histograms<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    width: usize,
    rows: usize,
    mut fill: impl FnMut(usize, &mut Vec<i64>),
) -> Result<()> {
    /// Rows at a time: they are all there uncompressed.
    const BATCH: usize = 64;
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    let levels = vec![3i16; BATCH * width];
    let mut repetitions = vec![1i16; BATCH * width];
    repetitions.iter_mut().step_by(width.max(1)).for_each(|level| *level = 0);
    let mut values = Vec::with_capacity(BATCH * width);
    for first in (0..rows).step_by(BATCH) {
        values.clear();
        for row in first..rows.min(first + BATCH) {
            fill(row, &mut values);
        }
        let length = values.len();
        if let ColumnWriter::Int64ColumnWriter(_) = column.untyped() {
            let writer = column.typed::<Int64Type>();
            writer.write_batch(&values, Some(&levels[..length]), Some(&repetitions[..length]))?;
        }
    }
    column.close()
}

fn fields(descriptions: &[&Description]) -> Vec<Field> {
    let fixed = |name: &str, nullable: bool| {
        let metadata = [("metric_type", name), ("unit", "nanoseconds")];
        let metadata = metadata.map(|(key, value)| (key.to_string(), value.to_string()));
        Field::new(name, DataType::UInt64, nullable).with_metadata(HashMap::from(metadata))
    };
    let mut fields = vec![fixed("timestamp", false), fixed("duration", true)];
    fields.extend(descriptions.iter().map(|description| {
        let data = match description.kind {
            Kind::Counter => DataType::UInt64,
            Kind::Gauge => DataType::Int64,
            Kind::Histogram { .. } => DataType::new_list(DataType::UInt64, true),
        };
        let metadata: HashMap<String, String> =
            description.metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Field::new(&description.name, data, true).with_metadata(metadata)
    }));
    fields
}

/// The Parquet schema of a file with these columns, and how it is written.
pub(super) fn layout(
    descriptions: &[&Description],
    metadata: &[(String, String)],
) -> Result<(TypePtr, WriterPropertiesPtr)> {
    let schema = Schema::new(fields(descriptions));
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("rezolus ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        // Pages without a dictionary can be put together from several files.
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BINARY_PACKED)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(ColumnPath::from("timestamp"), EnabledStatistics::Chunk)
        .set_write_batch_size(1 << 16)
        .set_data_page_row_count_limit(1 << 20)
        .set_key_value_metadata(Some(
            metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect(),
        ));
    for description in descriptions.iter().filter(|d| matches!(d.kind, Kind::Histogram { .. })) {
        // Nearly the same bytes from row to row, which zstd sees and packing hides.
        let path = vec![description.name.clone(), "list".into(), "item".into()];
        properties = properties.set_column_encoding(ColumnPath::new(path), Encoding::PLAIN);
    }
    let mut properties = properties.build();
    add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
    let schema = ArrowSchemaConverter::new().convert(&schema)?;
    Ok((schema.root_schema_ptr(), Arc::new(properties)))
}

//! Many segments made into one recording: encoded pages are copied as they are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue};
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnDescPtr;

use super::columns::{Description, Kind, layout, order, write_histograms, write_scalars};
use super::segment::{Segment, base_name, identity};

/// Rows after which a row group ends. Who wants few of them reads few pages; the more there
/// are, the fewer descriptions of columns are read when a file is opened.
const GROUP_ROWS: usize = 8192;

/// Opens the segments, one after the other, as often as asked.
pub trait Segments {
    fn count(&self) -> usize;
    /// # Errors
    ///
    /// With the name of what cannot be read.
    fn open(&self, at: usize) -> std::result::Result<Segment, String>;
}

impl Segments for Vec<Bytes> {
    fn count(&self) -> usize {
        self.len()
    }
    fn open(&self, at: usize) -> std::result::Result<Segment, String> {
        Segment::open(self[at].clone())
    }
}

/// One column of the recording.
struct Union {
    identity: String,
    description: Description,
    /// Of a histogram: the cell that rows without one repeat.
    before: Option<Vec<i64>>,
}

/// Writes all rows of the segments, in their order. Returns how many.
///
/// # Errors
///
/// Those of `out`, and of segments that cannot be read.
pub fn stitch(
    segments: &dyn Segments,
    out: impl Write + Send,
    metadata: &[(String, String)],
) -> Result<usize> {
    let mut segments = Opener { segments, last: None };
    let (mut union, rows) = unite(&mut segments)?;
    let descriptions: Vec<&Description> = union.iter().map(|column| &column.description).collect();
    let (schema, properties) = layout(&descriptions, metadata)?;
    let checksum = Arc::new(Mutex::new(crc32fast::Hasher::new()));
    let mut file =
        SerializedFileWriter::new(Checked { out, checksum: checksum.clone() }, schema, properties)?;
    let mut fillers = Fillers::default();
    let mut at = 0;
    while at < rows.len() {
        let mut opened = Vec::new();
        let mut length = 0;
        while at < rows.len() && (opened.is_empty() || length + rows[at] <= GROUP_ROWS) {
            if rows[at] > 0 {
                opened.push(segments.open(at)?);
                length += rows[at];
            }
            at += 1;
        }
        if opened.is_empty() {
            continue;
        }
        let columns = file.schema_descr().columns().to_vec();
        let mut group = file.next_row_group()?;
        for (leaf, descriptor) in columns.iter().enumerate().take(2) {
            let chunks: Result<Vec<_>> =
                opened.iter().map(|segment: &Arc<Segment>| copied(segment, leaf)).collect();
            append(&mut group, descriptor, chunks?, length)?;
        }
        for (column, descriptor) in union.iter_mut().zip(&columns[2..]) {
            let chunks = column.chunks(&opened, at < rows.len(), &mut fillers)?;
            append(&mut group, descriptor, chunks, length)?;
        }
        group.close()?;
    }
    file.flush()?;
    let checksum = checksum.lock().clone().finalize();
    file.append_key_value_metadata(KeyValue::new(CHECKSUM_KEY.into(), format!("{checksum:08x}")));
    file.close()?;
    Ok(rows.iter().sum())
}

/// Where a recording has the CRC-32 of all that stands before its footer and indexes.
const CHECKSUM_KEY: &str = "rezolus.crc32";

/// Adds up what goes through.
struct Checked<W> {
    out: W,
    checksum: Arc<Mutex<crc32fast::Hasher>>,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.checksum.lock().update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn general(why: String) -> ParquetError {
    ParquetError::General(why)
}

/// Opens segments, but not the last one again: often it is the only one.
struct Opener<'a> {
    segments: &'a dyn Segments,
    last: Option<(usize, Arc<Segment>)>,
}

impl Opener<'_> {
    fn open(&mut self, at: usize) -> Result<Arc<Segment>> {
        match &self.last {
            Some((last, segment)) if *last == at => Ok(segment.clone()),
            _ => {
                let segment = Arc::new(self.segments.open(at).map_err(general)?);
                self.last = Some((at, segment.clone()));
                Ok(segment)
            }
        }
    }
}

/// The columns that any segment has, in the order of the file, and the rows of
/// each segment.
fn unite(segments: &mut Opener<'_>) -> Result<(Vec<Union>, Vec<usize>)> {
    let mut union: Vec<Union> = Vec::new();
    let mut known: HashMap<String, ()> = HashMap::new();
    let mut rows = Vec::new();
    for at in 0..segments.segments.count() {
        let segment = segments.open(at)?;
        rows.push(segment.rows());
        for column in &segment.columns {
            let identity = identity(column);
            if known.insert(identity.clone(), ()).is_none() {
                let mut before = None;
                if at > 0 && matches!(column.kind, Kind::Histogram { .. }) && segment.rows() > 0 {
                    let leaf = segment.find(&identity).unwrap_or(2);
                    before = Some(segment.edges(leaf).map_err(general)?.0);
                }
                union.push(Union { identity, description: column.clone(), before });
            }
        }
    }
    let mut names: HashMap<String, u32> = HashMap::new();
    for column in &mut union {
        let base = base_name(&column.description.name).to_string();
        let uses = names.entry(base.clone()).or_default();
        *uses += 1;
        let number = if *uses > 1 { format!("~{uses}") } else { String::new() };
        let suffix = if matches!(column.description.kind, Kind::Histogram { .. }) { ":buckets" } else { "" };
        column.description.name = format!("{base}{number}{suffix}");
    }
    union.sort_by(|a, b| order(&a.description).cmp(&order(&b.description)));
    Ok((union, rows))
}

/// Pages, and how to describe them.
struct Chunk {
    pages: Bytes,
    values: i64,
    uncompressed: i64,
    encodings: Vec<Encoding>,
    range: Option<(i64, i64)>,
    rows: usize,
    /// By page: where it begins, how long it is, its first row, all from the chunk's
    /// beginning. Empty if it is not known.
    index: Vec<PageLocation>,
}

impl Chunk {
    fn new(
        metadata: &ColumnChunkMetaData,
        pages: Bytes,
        rows: usize,
        index: Option<&[PageLocation]>,
    ) -> Self {
        let range = match metadata.statistics() {
            Some(Statistics::Int64(range)) => range.min_opt().copied().zip(range.max_opt().copied()),
            _ => None,
        };
        let start = metadata.data_page_offset();
        let moved = |page: &PageLocation| PageLocation { offset: page.offset - start, ..page.clone() };
        let index = index.unwrap_or_default().iter().map(moved).collect();
        Self {
            pages,
            values: metadata.num_values(),
            uncompressed: metadata.uncompressed_size(),
            encodings: metadata.encodings().collect(),
            range,
            rows,
            index,
        }
    }
}

fn copied(segment: &Segment, leaf: usize) -> Result<Chunk> {
    let (metadata, pages) = segment.chunk(leaf).map_err(general)?;
    if metadata.dictionary_page_offset().is_some() {
        return Err(general("a segment's column has a dictionary".into()));
    }
    Ok(Chunk::new(metadata, pages, segment.rows(), segment.pages(leaf)))
}

impl Union {
    /// The column's pages from these segments, after which there may be more;
    /// from those that lack it, what stands for nothing.
    fn chunks(&mut self, segments: &[Arc<Segment>], more: bool, fillers: &mut Fillers) -> Result<Vec<Chunk>> {
        let mut chunks = Vec::with_capacity(segments.len());
        for (at, segment) in segments.iter().enumerate() {
            match segment.find(&self.identity) {
                Some(leaf) => {
                    chunks.push(copied(segment, leaf)?);
                    // Needed if the next one lacks it.
                    let next = segments.get(at + 1);
                    let lacking = next.map_or(more, |next| next.find(&self.identity).is_none());
                    if lacking && matches!(self.description.kind, Kind::Histogram { .. }) {
                        self.before = Some(segment.edges(leaf).map_err(general)?.1);
                    }
                }
                None => {
                    chunks.push(fillers.get(&self.description, self.before.as_deref(), segment.rows())?)
                }
            }
        }
        Ok(chunks)
    }
}

/// Encoded columns in which nothing happens.
#[derive(Default)]
struct Fillers {
    empty: HashMap<(bool, usize), Bytes>,
}

impl Fillers {
    fn get(&mut self, description: &Description, cell: Option<&[i64]>, rows: usize) -> Result<Chunk> {
        let file = match description.kind {
            Kind::Histogram { .. } => encode(description, cell, rows)?,
            kind => {
                let key = (kind == Kind::Gauge, rows);
                match self.empty.entry(key) {
                    Entry::Occupied(file) => file.get().clone(),
                    Entry::Vacant(place) => place.insert(encode(description, None, rows)?).clone(),
                }
            }
        };
        copied(&Segment::open(file).map_err(general)?, 2)
    }
}

/// A file whose third column is empty, or repeats a histogram.
fn encode(description: &Description, cell: Option<&[i64]>, rows: usize) -> Result<Bytes> {
    let (schema, properties) = layout(&[description], &[])?;
    let mut out = Vec::new();
    let mut file = SerializedFileWriter::new(&mut out, schema, properties)?;
    let mut group = file.next_row_group()?;
    write_scalars(&mut group, &vec![0; rows], None)?;
    write_scalars(&mut group, &[], Some(&vec![0; rows]))?;
    if let Kind::Histogram { .. } = description.kind {
        let width = description.kind.width();
        let zeros = vec![0; width];
        let cell = cell.filter(|cell| cell.len() == width).unwrap_or(&zeros);
        write_histograms(&mut group, width, rows, |_, values| values.extend_from_slice(cell))?;
    } else {
        write_scalars(&mut group, &[], Some(&vec![0; rows]))?;
    }
    group.close()?;
    file.close()?;
    Ok(out.into())
}

/// Writes the next column from pages of several chunks.
fn append<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    descriptor: &ColumnDescPtr,
    chunks: Vec<Chunk>,
    rows: usize,
) -> Result<()> {
    let mut pages = Vec::with_capacity(chunks.iter().map(|chunk| chunk.pages.len()).sum());
    let mut encodings: Vec<Encoding> = Vec::new();
    let (mut values, mut uncompressed) = (0, 0);
    let mut range: Option<(i64, i64)> = None;
    let mut first_row = 0;
    let mut index = Some(Vec::with_capacity(chunks.len()));
    for chunk in &chunks {
        let moved = |page: &PageLocation| PageLocation {
            offset: page.offset + pages.len() as i64,
            first_row_index: page.first_row_index + first_row,
            ..page.clone()
        };
        // All of the pages, or none: others would be looked for in vain.
        index = index.filter(|_| !chunk.index.is_empty());
        index.iter_mut().for_each(|index| index.extend(chunk.index.iter().map(moved)));
        first_row += chunk.rows as i64;
        pages.extend_from_slice(&chunk.pages);
        values += chunk.values;
        uncompressed += chunk.uncompressed;
        for encoding in &chunk.encodings {
            if !encodings.contains(encoding) {
                encodings.push(*encoding);
            }
        }
        range = match (range, chunk.range) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (range, other) => range.or(other),
        };
    }
    let length = pages.len() as i64;
    let mut metadata = ColumnChunkMetaData::builder(descriptor.clone())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_encodings(encodings)
        .set_num_values(values)
        .set_total_compressed_size(length)
        .set_total_uncompressed_size(uncompressed)
        .set_data_page_offset(0);
    if let Some((min, max)) = range {
        let range = ValueStatistics::new(Some(min), Some(max), None, Some(0), false);
        metadata = metadata.set_statistics(Statistics::Int64(range));
    }
    let close = ColumnCloseResult {
        bytes_written: length as u64,
        rows_written: rows as u64,
        metadata: metadata.build()?,
        bloom_filter: None,
        column_index: None,
        offset_index: index.map(|page_locations| OffsetIndexMetaData {
            page_locations,
            unencoded_byte_array_data_bytes: None,
        }),
    };
    group.append_column(&Bytes::from(pages), close)
}

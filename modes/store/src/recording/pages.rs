//! Column chunks of Parquet files: bytes, pages, values.

use std::cell::RefCell;
use std::fs::File;
use std::io::Cursor;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{DataType, Int64Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescPtr;

use super::page;

/// Memory for reading that is kept, in bytes.
const KEPT: usize = 1 << 20;

/// Where bytes come from. A file is read by position: unlike with one that is
/// mapped into memory, it is an error if somebody shortens it, and no signal.
#[derive(Clone, Debug)]
pub enum Data {
    File(Arc<File>, u64),
    Memory(Bytes),
}

impl Data {
    pub fn read(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.len());
        let Some(end) = end else {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are not in the file")));
        };
        match self {
            Self::Memory(bytes) => Ok(bytes.slice(start as usize..end as usize)),
            Self::File(file, _) => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, start)?;
                Ok(bytes.into())
            }
        }
    }
}

thread_local! {
    /// What was read last.
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Data {
    /// Reads bytes for as long as it takes to look at them, without new memory.
    pub fn with<R>(&self, start: u64, length: usize, look: impl FnOnce(&[u8]) -> R) -> ParquetResult<R> {
        let Self::File(file, _) = self else { return Ok(look(&self.read(start, length)?)) };
        let end = start.checked_add(length as u64).filter(|end| *end <= self.len());
        if end.is_none() {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are not in the file")));
        }
        let mut bytes = READ.take();
        if bytes.len() < length {
            bytes.resize(length, 0);
        }
        file.read_exact_at(&mut bytes[..length], start)?;
        let seen = look(&bytes[..length]);
        // Some columns are large, but most are not.
        if bytes.len() <= KEPT {
            READ.set(bytes);
        }
        Ok(seen)
    }
}

impl Length for Data {
    fn len(&self) -> u64 {
        match self {
            Self::File(_, length) => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Data {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let left = usize::try_from(self.len().saturating_sub(start)).unwrap_or(usize::MAX);
        Ok(Cursor::new(self.read(start, left)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.read(start, length)
    }
}

/// A column chunk's bytes, addressed as in the file.
struct Window {
    start: u64,
    bytes: Bytes,
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Window {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let left = usize::try_from(self.len().saturating_sub(start)).unwrap_or(usize::MAX);
        Ok(Cursor::new(self.get_bytes(start, left)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let from = start.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        let range = from.and_then(|from| Some(from..from.checked_add(length)?));
        match range.filter(|range| range.end <= self.bytes.len()) {
            Some(range) => Ok(self.bytes.slice(range)),
            None => Err(ParquetError::EOF(format!("a page at {start} ends outside of its column"))),
        }
    }
}

/// Pages that do not hold more than they may: a few bytes can stand for
/// billions of values.
struct Bounded<P> {
    pages: P,
    left: u64,
}

impl<P: PageReader> Iterator for Bounded<P> {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl<P: PageReader> PageReader for Bounded<P> {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(Page::DataPage { num_values, .. } | Page::DataPageV2 { num_values, .. }) = &page {
            let left = self.left.checked_sub(u64::from(*num_values));
            self.left =
                left.ok_or_else(|| ParquetError::General("more values than there are rows for".into()))?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.pages.skip_next_page()
    }
}

/// Where a column of a row group is in the file. Files have a great many of
/// these, so it is no more than needed.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    start: u64,
    bytes: u64,
    /// It begins with a dictionary.
    pub dictionary: bool,
    pub codec: Compression,
    /// Where its offset index is, which says where its pages are; of no bytes if it has none.
    index: u64,
    index_bytes: u32,
}

impl Place {
    pub fn of(chunk: &ColumnChunkMetaData) -> Self {
        let (start, bytes) = chunk.byte_range();
        let index = chunk.offset_index_range().unwrap_or(0..0);
        Self {
            start,
            bytes,
            dictionary: chunk.dictionary_page_offset().is_some(),
            codec: chunk.compression(),
            index: index.start,
            index_bytes: u32::try_from(index.end.saturating_sub(index.start)).unwrap_or(0),
        }
    }

    /// Looks at the column's bytes: those of the pages that have some rows, if it is known
    /// where they are and they are few, else all of them. `rows` is how many there are.
    /// Says which rows were looked at.
    pub fn with<R>(
        self,
        data: &Data,
        rows: usize,
        wanted: Range<usize>,
        look: impl FnOnce(Range<usize>, &[u8]) -> R,
    ) -> ParquetResult<R> {
        let (start, bytes, rows) = match self.some_pages(data, rows, wanted) {
            Some(pages) => pages,
            None => (self.start, self.bytes, 0..rows),
        };
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        data.with(start, bytes, |bytes| look(rows, bytes))
    }

    fn some_pages(&self, data: &Data, rows: usize, wanted: Range<usize>) -> Option<(u64, u64, Range<usize>)> {
        if self.index_bytes == 0 || wanted.is_empty() || wanted.len() * 2 > rows {
            return None;
        }
        let pages = data.with(self.index, self.index_bytes as usize, page::locations).ok()??;
        let first = pages.partition_point(|page| page.row <= wanted.start).checked_sub(1)?;
        let end = pages.partition_point(|page| page.row < wanted.end);
        let (first, last) = (&pages[first], pages.get(end - 1)?);
        let start = first.start;
        let bytes = last.start.checked_add(last.bytes)?.checked_sub(start)?;
        let inside = start >= self.start && start + bytes <= self.start + self.bytes;
        let last_row = pages.get(end).map_or(rows, |next| next.row);
        (inside && last_row <= rows).then_some((start, bytes, first.row..last_row))
    }

    /// A reader of the column, which has at most so many values.
    pub fn reader<T: DataType>(
        self,
        data: &Data,
        descr: &ColumnDescPtr,
        rows: usize,
        most: u64,
    ) -> ParquetResult<ColumnReaderImpl<T>> {
        let bytes = data.read(self.start, usize::try_from(self.bytes).unwrap_or(usize::MAX))?;
        let start = i64::try_from(self.start).unwrap_or(i64::MAX);
        let chunk = ColumnChunkMetaData::builder(descr.clone())
            .set_compression(self.codec)
            .set_total_compressed_size(i64::try_from(self.bytes).unwrap_or(i64::MAX))
            .set_data_page_offset(start)
            .set_dictionary_page_offset(self.dictionary.then_some(start))
            .build()?;
        let window = Arc::new(Window { start: self.start, bytes });
        let pages = SerializedPageReader::new(window, &chunk, rows, None)?;
        Ok(ColumnReaderImpl::new(descr.clone(), Box::new(Bounded { pages, left: most })))
    }
}

/// Which definition levels of a list mean what.
#[derive(Clone, Copy)]
pub struct Levels {
    /// There is a value.
    pub full: i16,
    /// There is an element, perhaps without a value; below, the list is empty.
    pub element: i16,
    /// There may be no list at all, which is level 0.
    pub optional: bool,
    /// Whether there are lists: not, in a file that says so of numbers.
    pub repeated: bool,
}

/// Rows of a list column as they come from the file.
#[derive(Default)]
pub struct Cells {
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    values: Vec<i64>,
    cell: Vec<u64>,
}

impl Cells {
    /// Reads up to so many rows. Returns how many.
    pub fn read(
        &mut self,
        reader: &mut ColumnReaderImpl<Int64Type>,
        rows: usize,
        repeated: bool,
    ) -> ParquetResult<usize> {
        self.definitions.clear();
        self.repetitions.clear();
        self.values.clear();
        if !repeated {
            return Err(ParquetError::General("it is no list".into()));
        }
        let definitions = Some(&mut self.definitions);
        let (rows, ..) =
            reader.read_records(rows, definitions, Some(&mut self.repetitions), &mut self.values)?;
        Ok(rows)
    }

    /// Calls `each` with every row's number from 0 on, and its counts.
    pub fn each(
        &mut self,
        rows: usize,
        width: usize,
        levels: Levels,
        mut each: impl FnMut(usize, Option<&[u64]>),
    ) {
        let whole = rows * width;
        if self.values.len() == whole
            && self.repetitions.len() == whole
            && self.repetitions.iter().step_by(width.max(1)).all(|level| *level == 0)
        {
            // As many rows begin as there are, all where they should.
            for (row, counts) in self.values.chunks_exact(width.max(1)).enumerate() {
                self.cell.clear();
                self.cell.extend(counts.iter().map(|&count| count as u64));
                each(row, Some(&self.cell));
            }
            return;
        }
        let mut values = self.values.iter();
        let (mut at, mut row) = (0, 0);
        while at < self.repetitions.len() && row < rows {
            let more = self.repetitions[at + 1..].iter().take_while(|level| **level > 0).count();
            self.cell.clear();
            let definitions = self.definitions.get(at..=at + more).unwrap_or_default();
            for &level in definitions {
                if level == levels.full {
                    self.cell.push(values.next().map_or(0, |&value| value as u64));
                } else if level >= levels.element {
                    self.cell.push(0);
                }
            }
            let null = levels.optional && definitions.first() == Some(&0);
            each(row, (!null).then_some(&*self.cell));
            at += more + 1;
            row += 1;
        }
    }
}

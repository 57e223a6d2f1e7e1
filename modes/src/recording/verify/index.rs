//! Offset indexes: whether they say where the pages are. Readers go by them, and they are in
//! no sum, since they are written with the footer.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaDataReader};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;

use super::Findings;
use crate::recording::guard::guarded;
use crate::recording::{Error, Recording};

/// Compares all indexes with the pages that are there.
pub fn check(recording: &Recording, found: &mut Findings) -> std::result::Result<(), Error> {
    let fail = |error: std::io::Error| Error::file(recording.path(), error.to_string());
    let file = Arc::new(File::open(recording.path()).map_err(fail)?);
    let reader = ParquetMetaDataReader::new().with_offset_index_policy(PageIndexPolicy::Optional);
    let metadata = match guarded(|| reader.parse_and_finish(&*file)) {
        Ok(metadata) => metadata,
        Err(why) => {
            found.error("offset indexes", format!("cannot be read: {why}"));
            return Ok(());
        }
    };
    for (at, group) in metadata.row_groups().iter().enumerate() {
        for (leaf, chunk) in group.columns().iter().enumerate() {
            if chunk.offset_index_range().is_none() {
                continue;
            }
            let index = metadata.page_index().and_then(|index| index.offset_index(at, leaf));
            let locations = index.map(|index| index.page_locations().as_slice()).unwrap_or_default();
            if let Err(why) = guarded(|| pages(&file, chunk, locations, group.num_rows())) {
                let place = format!("row group {at}, column `{}`", chunk.column_path());
                found.error(place, format!("its offset index does not fit: {why}"));
            }
        }
    }
    Ok(())
}

/// Goes through a column's pages beside what the index says of them.
fn pages(file: &Arc<File>, chunk: &ColumnChunkMetaData, index: &[PageLocation], rows: i64) -> Result<()> {
    let wrong = |what: String| Err(ParquetError::General(what));
    let (start, bytes) = chunk.byte_range();
    let mut next = chunk.data_page_offset();
    for (number, page) in index.iter().enumerate() {
        if page.offset != next {
            return wrong(format!("page {number} is said to be at byte {}, and is at {next}", page.offset));
        }
        next += i64::from(page.compressed_page_size);
    }
    if next as u64 != start + bytes {
        return wrong(format!("its pages end at byte {next}, and the column at {}", start + bytes));
    }
    let mut reader = SerializedPageReader::new(file.clone(), chunk, rows as usize, None)?;
    let (mut number, mut row, mut dictionary) = (0, 0, None);
    while let Some(page) = reader.get_next_page()? {
        if let Page::DictionaryPage { .. } = page {
            dictionary = Some(page);
            continue;
        }
        match index.get(number) {
            Some(said) if said.first_row_index == row => {}
            Some(said) => {
                let said = said.first_row_index;
                return wrong(format!("page {number} is said to begin with row {said}, and does with {row}"));
            }
            None => return wrong(format!("it knows {number} pages, and there are more")),
        }
        number += 1;
        row += rows_of(page, dictionary.clone(), chunk)?;
    }
    if number == index.len() { Ok(()) } else { wrong(format!("of {} pages {number} are there", index.len())) }
}

/// How many rows a page has.
fn rows_of(page: Page, dictionary: Option<Page>, chunk: &ColumnChunkMetaData) -> Result<i64> {
    let descr = chunk.column_descr_ptr();
    if descr.max_rep_level() == 0 {
        return Ok(page.num_values().into());
    }
    let values = page.num_values() as usize;
    let pages = Some(page).into_iter().chain(dictionary).rev().collect();
    // Lists are those of counts; of others it is not known where rows begin.
    let ColumnReader::Int64ColumnReader(mut reader) = get_column_reader(descr, Box::new(Few(pages))) else {
        return Err(ParquetError::General("its lists are not of 64-bit integers".into()));
    };
    let (mut definitions, mut repetitions, mut out) = (Vec::new(), Vec::new(), Vec::new());
    reader.read_records(values, Some(&mut definitions), Some(&mut repetitions), &mut out)?;
    Ok(repetitions.iter().filter(|level| **level == 0).count() as i64)
}

/// Pages that are there already.
struct Few(VecDeque<Page>);

impl Iterator for Few {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Few {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        Ok(self.0.pop_front())
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        let what = |page: &Page| PageMetadata {
            num_rows: None,
            num_levels: None,
            is_dict: matches!(page, Page::DictionaryPage { .. }),
        };
        Ok(self.0.front().map(what))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.0.pop_front();
        Ok(())
    }
}

//! Pages of the kind our own recordings consist of, taken apart by hand: first
//! version, no dictionary, zstd, numbers DELTA_BINARY_PACKED or PLAIN, histograms
//! PLAIN and with all of their buckets.
//!
//! The parquet crate reads all kinds, but makes a decompressor for each column and
//! an array of levels for each value. A query over all series asks for one page of
//! thousands of columns, and one over a day for millions of buckets that are as
//! they were before: both are about ten times faster so. Whatever is not of this
//! kind, or seems to be damaged, is None here, and left to the crate, which then
//! says what is wrong.
//!
//! Formats: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

use std::cell::RefCell;

use parquet::basic::Compression;

use super::thrift::Thrift;

/// Encodings of values, as they are numbered in headers.
const PLAIN: i64 = 0;
const DELTA_BINARY_PACKED: i64 = 5;
/// And of levels.
const RLE: i64 = 3;

/// Values of a miniblock, at most; writers have 32 or 64.
const MINIBLOCK: usize = 64;
/// Room for them, and for what a look at the last one touches behind it.
const PACKED: usize = MINIBLOCK * 8 + 16;

/// How a column's values are described.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub codec: Compression,
    /// The definition level of a value that is there.
    pub full: i16,
    /// Elements of a row's list; 0: a row has one value or none.
    pub width: usize,
}

/// What page headers and offset indexes say of a page.
#[derive(Clone, Copy, Debug, Default)]
struct Header {
    kind: i64,
    compressed: i64,
    uncompressed: i64,
    values: i64,
    encoding: i64,
    definitions: i64,
    repetitions: i64,
}

/// Where a page is, and which row is its first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Location {
    pub start: u64,
    pub bytes: u64,
    pub row: usize,
}

/// The pages of a column of a row group, by its offset index.
pub fn locations(index: &[u8]) -> Option<Vec<Location>> {
    let mut all: Vec<Location> = Vec::new();
    Thrift::new(index).fields(|thrift, id, of| {
        if id != 1 {
            return thrift.skip(of);
        }
        let (length, _) = thrift.list()?;
        all.reserve_exact(length);
        for _ in 0..length {
            all.push(location(thrift)?);
        }
        Some(())
    })?;
    let follows = |pair: &[Location]| {
        pair[0].row < pair[1].row && pair[0].start.checked_add(pair[0].bytes) == Some(pair[1].start)
    };
    let good = all.first().is_some_and(|page| page.row == 0) && all.windows(2).all(follows);
    good.then_some(all)
}

/// Its three fields follow each other, as all writers have it: a page of each of
/// thousands of columns is looked for.
fn location(thrift: &mut Thrift<'_>) -> Option<Location> {
    const FIRST_I64: u8 = 0x16;
    const NEXT_I32: u8 = 0x15;
    const NEXT_I64: u8 = 0x16;
    const END: u8 = 0;
    let mut field = |header: u8| {
        if thrift.take(1)? != [header] {
            return None;
        }
        u64::try_from(thrift.integer()?).ok()
    };
    let (start, bytes, row) = (field(FIRST_I64)?, field(NEXT_I32)?, field(NEXT_I64)?);
    let end = thrift.take(1)? == [END];
    end.then_some(Location { start, bytes, row: usize::try_from(row).ok()? })
}

fn header(thrift: &mut Thrift<'_>) -> Option<Header> {
    let mut header = Header { kind: -1, encoding: -1, ..Header::default() };
    thrift.fields(|thrift, id, of| {
        match id {
            1 => header.kind = thrift.integer()?,
            2 => header.uncompressed = thrift.integer()?,
            3 => header.compressed = thrift.integer()?,
            5 => thrift.fields(|thrift, id, of| {
                match id {
                    1 => header.values = thrift.integer()?,
                    2 => header.encoding = thrift.integer()?,
                    3 => header.definitions = thrift.integer()?,
                    4 => header.repetitions = thrift.integer()?,
                    _ => thrift.skip(of)?,
                }
                Some(())
            })?,
            _ => thrift.skip(of)?,
        }
        Some(())
    })?;
    Some(header)
}

/// Memory that is used again and again.
struct Scratch {
    page: Vec<u8>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch { page: Vec::new(), zstd: None }) };
}

/// Hands out the pages that bytes consist of: how many values each has, the
/// encoding, and its bytes decompressed. `most` is how many values there may be.
fn each_page(
    bytes: &[u8],
    form: Form,
    most: usize,
    mut each: impl FnMut(usize, i64, &[u8]) -> Option<()>,
) -> Option<()> {
    SCRATCH.with_borrow_mut(|scratch| {
        let (mut rest, mut left) = (bytes, most);
        while !rest.is_empty() {
            let mut thrift = Thrift::new(rest);
            let header = header(&mut thrift)?;
            let body = rest.get(rest.len() - thrift.left()..)?;
            let (body, after) = body.split_at_checked(usize::try_from(header.compressed).ok()?)?;
            rest = after;
            let levels = header.definitions == RLE && header.repetitions == RLE;
            let values = usize::try_from(header.values).ok()?;
            left = left.checked_sub(values)?;
            // A value has up to 8 bytes, and up to 12 with all that is around it.
            let length = usize::try_from(header.uncompressed).ok()?;
            if header.kind != 0 || !levels || values == 0 || length > 4096 + values * 16 {
                return None;
            }
            let page = match form.codec {
                Compression::UNCOMPRESSED => body.get(..length)?,
                Compression::ZSTD(_) => scratch.decompress(body, length)?,
                _ => return None,
            };
            each(values, header.encoding, page)?;
        }
        Some(())
    })
}

impl Scratch {
    fn decompress(&mut self, bytes: &[u8], length: usize) -> Option<&[u8]> {
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        if self.page.len() < length {
            self.page.resize(length, 0);
        }
        let page = &mut self.page[..length];
        (zstd.decompress_to_buffer(bytes, page).ok()? == length).then_some(&*page)
    }
}

/// The numbers of a column's pages that have `rows` rows.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Of the rows that have one.
    pub values: Vec<i64>,
    /// Which rows do; None: all.
    pub present: Option<Vec<bool>>,
}

pub fn numbers(bytes: &[u8], form: Form, rows: usize) -> Option<Numbers> {
    let mut out = Numbers { values: Vec::with_capacity(rows), present: None };
    let mut seen = 0;
    each_page(bytes, form, rows, |count, encoding, page| {
        let mut page = page;
        let mut there = count;
        if form.full > 0 {
            let levels = levels(&mut page)?;
            there = out.note_present(levels, seen, count)?;
        }
        seen += count;
        match encoding {
            PLAIN => plain(page, there, &mut out.values),
            DELTA_BINARY_PACKED => delta(page, there, &mut out.values),
            _ => None,
        }
    })?;
    (seen == rows).then_some(out)
}

impl Numbers {
    /// Notes which of a page's rows have a value. Returns how many do.
    fn note_present(&mut self, levels: &[u8], before: usize, count: usize) -> Option<usize> {
        let mut there = 0;
        let mut whole = self.present.is_none();
        each_run(levels, 1, count, |run| {
            there += match run {
                Run::Same(level, length) => usize::from(level) * length,
                Run::Packed(bits, length) => (0..length).filter(|&at| bit(bits, at)).count(),
            };
            Some(())
        })?;
        whole &= there == count;
        if whole {
            return Some(there);
        }
        let present = self.present.get_or_insert_with(|| vec![true; before]);
        each_run(levels, 1, count, |run| {
            match run {
                Run::Same(level, length) => present.extend(std::iter::repeat_n(level == 1, length)),
                Run::Packed(bits, length) => present.extend((0..length).map(|at| bit(bits, at))),
            }
            Some(())
        })?;
        Some(there)
    }
}

/// Hands out the cells of a column of histograms whose pages have `rows` rows: a row's
/// number, and the counts of its buckets as the file has them. None if a row has not
/// exactly `form.width` buckets.
pub fn histograms(bytes: &[u8], form: Form, rows: usize, mut each: impl FnMut(usize, &[u8])) -> Option<()> {
    let mut row = 0;
    each_page(bytes, form, rows.checked_mul(form.width)?, |count, encoding, page| {
        let mut page = page;
        let (repetitions, definitions) = (levels(&mut page)?, levels(&mut page)?);
        if encoding != PLAIN || count % form.width != 0 || page.len() != count * 8 {
            return None;
        }
        whole_rows(repetitions, count, form.width)?;
        all_full(definitions, count, form.full)?;
        for cell in page.chunks_exact(form.width * 8) {
            each(row, cell);
            row += 1;
        }
        Some(())
    })?;
    (row == rows).then_some(())
}

/// Takes the levels from a page's beginning: their length, in four bytes, and so many.
fn levels<'a>(page: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = page.split_first_chunk::<4>()?;
    let (levels, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *page = rest;
    Some(levels)
}

/// Levels as they are encoded.
enum Run<'a> {
    /// So many of the same.
    Same(u8, usize),
    /// So many, packed.
    Packed(&'a [u8], usize),
}

/// Hands out levels of 1 or 2 bits, run by run, until there were `count`.
fn each_run(
    levels: &[u8],
    bits: usize,
    count: usize,
    mut each: impl FnMut(Run<'_>) -> Option<()>,
) -> Option<()> {
    let mut thrift = Thrift::new(levels);
    let mut left = count;
    while left > 0 {
        let header = usize::try_from(thrift.varint()?).ok()?;
        if header & 1 == 0 {
            let [level] = *thrift.take(1)? else { return None };
            let length = (header >> 1).min(left);
            if length == 0 || level >> bits != 0 {
                return None;
            }
            left -= length;
            each(Run::Same(level, length))?;
        } else {
            // Groups of eight; of the last one not all have to be meant.
            let groups = header >> 1;
            let packed = thrift.take(groups.checked_mul(bits)?)?;
            let length = groups.checked_mul(8)?.min(left);
            if length == 0 {
                return None;
            }
            left -= length;
            each(Run::Packed(packed, length))?;
        }
    }
    Some(())
}

fn bit(bits: &[u8], at: usize) -> bool {
    bits[at / 8] >> (at % 8) & 1 == 1
}

/// Checks that a row begins with every so many values, and nowhere else.
fn whole_rows(levels: &[u8], count: usize, width: usize) -> Option<()> {
    let mut at = 0;
    each_run(levels, 1, count, |run| {
        let place = at % width;
        let good = match run {
            Run::Same(0, length) => place == 0 && (length == 1 || width == 1),
            Run::Same(_, length) => place != 0 && place + length <= width,
            Run::Packed(bits, length) => {
                (0..length).all(|next| bit(bits, next) == ((at + next) % width != 0))
            }
        };
        at += match run {
            Run::Same(_, length) | Run::Packed(_, length) => length,
        };
        good.then_some(())
    })
}

/// Checks that nothing is null.
fn all_full(levels: &[u8], count: usize, full: i16) -> Option<()> {
    let bits = match full {
        1 => 1,
        2 | 3 => 2,
        _ => return None,
    };
    let full = full as u8;
    each_run(levels, bits, count, |run| {
        let good = match run {
            Run::Same(level, _) => level == full,
            Run::Packed(packed, length) if bits == 1 => (0..length).all(|at| bit(packed, at)),
            Run::Packed(packed, length) => (0..length).all(|at| packed[at / 4] >> (at % 4 * 2) & 3 == full),
        };
        good.then_some(())
    })
}

fn plain(page: &[u8], count: usize, out: &mut Vec<i64>) -> Option<()> {
    let (values, rest) = page.as_chunks::<8>();
    if values.len() != count || !rest.is_empty() {
        return None;
    }
    out.extend(values.iter().map(|value| i64::from_le_bytes(*value)));
    Some(())
}

/// Differences in blocks, of which a part each has as many bits as it needs.
fn delta(page: &[u8], count: usize, out: &mut Vec<i64>) -> Option<()> {
    if count == 0 {
        return Some(());
    }
    let mut thrift = Thrift::new(page);
    let (block, parts) = (thrift.varint()?, thrift.varint()?);
    let total = thrift.varint()?;
    let mut value = thrift.integer()?;
    let each = usize::try_from(block.checked_div(parts)?).ok()?;
    if total != count as u64 || each == 0 || each > MINIBLOCK || each % 32 != 0 {
        return None;
    }
    out.push(value);
    let mut left = count - 1;
    while left > 0 {
        let least = thrift.integer()?;
        let widths = thrift.take(usize::try_from(parts).ok()?)?;
        for &width in widths {
            if left == 0 {
                break;
            }
            let length = each.min(left);
            left -= length;
            let mut packed = [0; PACKED];
            let bytes = thrift.take(each * usize::from(width) / 8)?;
            packed.get_mut(..bytes.len())?.copy_from_slice(bytes);
            let differences = unpack(&packed, width)?;
            out.extend(differences[..length].iter().map(|&difference| {
                value = value.wrapping_add(least).wrapping_add(difference as i64);
                value
            }));
        }
    }
    Some(())
}

/// A miniblock of numbers of `width` bits.
fn unpack(packed: &[u8; PACKED], width: u8) -> Option<[u64; MINIBLOCK]> {
    let mut out = [0; MINIBLOCK];
    // As many at a time as lie within eight bytes, wherever the first one begins.
    match width {
        0 => {}
        1..=8 => several::<8>(packed, width, &mut out),
        9..=14 => several::<4>(packed, width, &mut out),
        15..=28 => several::<2>(packed, width, &mut out),
        29..=57 => several::<1>(packed, width, &mut out),
        58..=64 => {
            for (number, out) in out.iter_mut().enumerate() {
                let at = number * usize::from(width);
                let word = packed[at / 8 % 512..].first_chunk().map_or(0, |word| u128::from_le_bytes(*word));
                *out = (word >> (at % 8)) as u64 & u64::MAX >> (64 - width);
            }
        }
        _ => return None,
    }
    Some(out)
}

/// Unpacks numbers, N at a time.
fn several<const N: usize>(packed: &[u8; PACKED], width: u8, out: &mut [u64; MINIBLOCK]) {
    let mask = u64::MAX >> (64 - width);
    for (number, out) in out.chunks_exact_mut(N).enumerate() {
        let at = number * N * usize::from(width);
        // That the index stays below 512 is said in a way that needs no check.
        let word = packed[at / 8 % 512..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        let mut word = word >> (at % 8);
        for out in out {
            *out = word & mask;
            word >>= width;
        }
    }
}

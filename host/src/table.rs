//! Tables: the memory that BPF programs count in, as the host sees it.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// A memory-mapped BPF array: rows of 64-bit words that the kernel changes
/// under our feet.
pub struct Table {
    memory: MmapRaw,
    rows: usize,
    /// Words from one row to the next.
    stride: usize,
}

impl Table {
    /// Maps `rows` rows of `row_bytes` bytes (rounded up to eight, as the
    /// kernel does) of a BPF_F_MMAPABLE array.
    pub fn map(fd: &impl AsRawFd, rows: usize, row_bytes: usize) -> io::Result<Self> {
        let stride = row_bytes.div_ceil(8);
        let bytes = (rows * stride * 8).next_multiple_of(page_size());
        let memory = MmapOptions::new().len(bytes).map_raw(fd.as_raw_fd())?;
        Ok(Self { memory, rows, stride })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    fn word(&self, row: usize, word: usize) -> &AtomicU64 {
        assert!(row < self.rows && word < self.stride, "outside the table");
        // SAFETY: in bounds by the assertion; the mapping is page-aligned,
        // readable and writable, and lives as long as self. The kernel writes
        // to it concurrently, in aligned 64-bit words, which is what an atomic
        // allows.
        unsafe { &*self.memory.as_ptr().cast::<AtomicU64>().add(row * self.stride + word) }
    }

    /// One word of one row.
    pub fn get(&self, row: usize, word: usize) -> u64 {
        self.word(row, word).load(Ordering::Relaxed)
    }

    /// Words of a row, from `word` on.
    fn words(&self, row: usize, word: usize, count: usize) -> &[AtomicU64] {
        assert!(row < self.rows && word + count <= self.stride, "outside the table");
        // SAFETY: as in `word`, for all of them: in bounds by the assertion.
        unsafe {
            let first = self.memory.as_ptr().cast::<AtomicU64>().add(row * self.stride + word);
            std::slice::from_raw_parts(first, count)
        }
    }

    /// Adds words of a row, from `word` on, to `sums`.
    pub fn add_to(&self, sums: &mut [u64], row: usize, word: usize) {
        let words = self.words(row, word, sums.len());
        for (sum, value) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(value.load(Ordering::Relaxed));
        }
    }

    pub fn set(&self, row: usize, word: usize, value: u64) {
        self.word(row, word).store(value, Ordering::Release);
    }

    /// Sets a word if it still holds `current`.
    pub fn claim(&self, row: usize, word: usize, current: u64, new: u64) -> Result<(), u64> {
        self.word(row, word).compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }

    /// Sets all words of a row to zero.
    pub fn clear(&self, row: usize) {
        for word in 0..self.stride {
            self.set(row, word, 0);
        }
    }
}

fn page_size() -> usize {
    // SAFETY: sysconf only reads its argument.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

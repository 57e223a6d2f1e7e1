//! What a cache says it holds is what it takes.

#[path = "recordings/made.rs"]
#[allow(dead_code)]
mod made;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use made::{Column, File};
use rezolus_store::Source;
use rezolus_store::cache::Cache;
use rezolus_store::recording::{ParquetPart, Recording};

/// The system's allocator, which counts bytes.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are taken for all series of a file, and what the cache says.
fn taken(file: &File) -> (usize, usize) {
    let cache = Arc::new(Cache::new(1 << 30));
    let mut recording = Recording::new(&[], cache.clone());
    recording.push(Arc::new(ParquetPart::from_bytes("x", file.write().into(), None).unwrap()));
    let before = LIVE.load(Ordering::Relaxed);
    let series = recording.select(&[], i64::MIN, i64::MAX).unwrap();
    assert!(!series.is_empty());
    drop(series);
    (LIVE.load(Ordering::Relaxed) - before, cache.stats().bytes)
}

#[test]
fn a_cache_counts_what_it_takes() {
    let rows = 4096;
    let file = || {
        let mut file = File::at(&(0..rows).collect::<Vec<_>>());
        file.group_rows = rows as usize;
        file
    };
    let name = |at: u64| format!("c{at}");
    let numbers = |at: u64| Column::counter(&name(at)).cells((0..rows as u64).map(move |row| Some(row * at)));
    let often = |at: u64| {
        Column::counter(&name(at)).cells((0..rows as u64).map(move |row| (row % 7 > 1).then_some(row)))
    };
    let histogram = |at: u64| {
        let counts =
            move |row: u64| (0..32).map(|bucket| if bucket % 5 == at % 5 { row } else { 9 }).collect();
        Column::histogram(&name(at), 2, 9).lists((0..rows as u64).map(move |row| Some(counts(row))))
    };
    for (what, file) in [
        ("numbers", (1..200).fold(file(), |file, at| file.with(numbers(at)))),
        ("with nulls", (1..60).fold(file(), |file, at| file.with(often(at)))),
        ("histograms", (1..20).fold(file(), |file, at| file.with(histogram(at)))),
    ] {
        let (taken, said) = taken(&file);
        let ratio = said as f64 / taken as f64;
        assert!((0.9..1.1).contains(&ratio), "{what}: {taken} bytes are said to be {said}");
        println!("{what}: {taken} bytes are said to be {said}");
    }
}

//! The segment log: what goes in comes out, whatever happens in between.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::collection::vec;
use proptest::prelude::*;
use rezolus_modes::log::columns::Source;
use rezolus_modes::log::{Contents, Header, Log, Note, ticks};
use rezolus_modes::snapshot::{GroupSchema, LINE, Line, Numbers, Shape, Snapshot};

use made::describe;

mod made;

const SECOND: u64 = 1_000_000_000;

/// A snapshot with so many counters, a gauge, and perhaps a histogram.
fn snapshot(at: u64, counters: usize, histogram: bool) -> Arc<Snapshot> {
    let mut schema = GroupSchema::default();
    let mut numbers = Numbers::default();
    for number in 0..counters {
        let id = number.to_string();
        schema.counters.push(describe(&format!("events/{number}"), &[("id", &id)]));
        numbers.counters.push((at % 7 != 3).then_some(at * number as u64 + (1 << 63)));
    }
    schema.gauges.push(describe("level", &[]));
    numbers.gauges.push(Some(-(at as i64)));
    if histogram {
        schema.histograms.push(describe("latency", &[("grouping_power", "3"), ("max_value_power", "64")]));
        for number in [1, 61] {
            numbers.lines.push(Line { number, counts: [at * u64::from(number); LINE] });
        }
        numbers.histograms.push(Some(Shape { grouping_power: 3, max_value_power: 64, lines: 2 }));
    }
    Arc::new(made::snapshot("test/main", at * SECOND, schema, numbers))
}

fn header() -> Header {
    Header {
        interval_ns: SECOND,
        sources: vec![Source { name: "test".into(), endpoint: None }],
        metadata: vec![("k".into(), "v".into())],
    }
}

/// Timestamps, and by column a value per row; of histograms, all buckets added up.
fn recorded(contents: &Contents) -> (Vec<i64>, BTreeMap<String, String>) {
    let mut bytes = Vec::new();
    contents.write(&mut bytes, &[]).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).unwrap().build().unwrap();
    let mut columns: BTreeMap<String, String> = BTreeMap::new();
    let mut timestamps = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let text = columns.entry(field.name().clone()).or_default();
            for row in 0..batch.num_rows() {
                if field.name() == "timestamp" {
                    timestamps.push(column.as_primitive::<UInt64Type>().value(row) as i64);
                }
                text.push_str(&cell(column, row));
                text.push(' ');
            }
        }
    }
    (timestamps, columns)
}

fn cell(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        "-".into()
    } else if let Some(list) = column.as_list_opt::<i32>() {
        let cell = list.value(row);
        assert_eq!(cell.len(), 496);
        cell.as_primitive::<UInt64Type>().values().iter().sum::<u64>().to_string()
    } else if let Some(gauge) = column.as_primitive_opt::<Int64Type>() {
        gauge.value(row).to_string()
    } else {
        column.as_primitive::<UInt64Type>().value(row).to_string()
    }
}

fn all(folder: &Path) -> Contents {
    Contents::read(folder, 0..=u64::MAX).unwrap()
}

#[test]
fn what_goes_in_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, said) = Log::open(folder.path(), header()).unwrap();
    assert!(said.is_empty());
    let taken = |at: u64| !at.is_multiple_of(11);
    // The histogram comes late and has a hole.
    let timed = |at: u64| taken(at) && at > 100 && !(1500..2200).contains(&at);
    for at in 1..=2500u64 {
        let counters = if at < 1700 { 2 } else { 3 };
        let part = taken(at).then(|| snapshot(at, counters, timed(at)));
        log.append(at * SECOND, &[part]).unwrap();
        if at == 50 {
            log.note(Note { timestamp: at * SECOND, description: "half".into(), ..Note::default() }).unwrap();
        }
    }
    let before = all(folder.path());
    assert_eq!((before.rows, &before.damage), (2500, &vec![]));
    let mut written = recorded(&before).1;
    log.finish().unwrap();
    assert!(log.parts().len() >= 3);
    let after = all(folder.path());
    assert_eq!(after.range, Some((SECOND, 2500 * SECOND)));
    assert_eq!(after.notes.len(), 1);
    let (timestamps, mut columns) = recorded(&after);
    assert_eq!(timestamps, (1..=2500).map(|at| at * SECOND as i64).collect::<Vec<_>>());
    let latency = columns.remove("latency:buckets").unwrap();
    written.remove("latency:buckets").unwrap();
    assert!(written == columns, "while it is written, and after");
    let expect = |value: &dyn Fn(u64) -> Option<String>| {
        (1..=2500u64).map(|at| value(at).unwrap_or("-".into()) + " ").collect::<String>()
    };
    let counter = |number: u64, from: u64| {
        expect(&|at| (taken(at) && at >= from && at % 7 != 3).then(|| (at * number + (1 << 63)).to_string()))
    };
    assert!(columns["events/0"] == counter(0, 0));
    assert!(columns["events/1"] == counter(1, 0));
    assert!(columns["events/2"] == counter(2, 1700));
    assert!(columns["level"] == expect(&|at| taken(at).then(|| (-(at as i64)).to_string())));
    assert!(columns["duration"] == expect(&|at| taken(at).then(|| (at * 1000).to_string())));
    // Never missing: the first stands for what was before, the last for holes.
    let mut last = 101;
    let mut expected = String::new();
    for at in 1..=2500u64 {
        last = if timed(at) { at } else { last };
        expected.push_str(&format!("{} ", last * 62 * 8));
    }
    assert!(latency == expected);
}

#[test]
fn ranges_are_to_the_tick() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = Log::open(folder.path(), header()).unwrap();
    for at in 1..=1500u64 {
        log.append(at * SECOND, &[Some(snapshot(at, 1, true))]).unwrap();
    }
    for (from, to) in [(1, 1), (5, 9), (1000, 1100), (1024, 1025), (1400, 9999), (0, 3)] {
        let contents = Contents::read(folder.path(), from * SECOND..=to * SECOND).unwrap();
        let (timestamps, _) = recorded(&contents);
        let expected: Vec<i64> = (from.max(1)..=to.min(1500)).map(|at| (at * SECOND) as i64).collect();
        assert_eq!(timestamps, expected);
    }
    assert_eq!(Contents::read(folder.path(), 2000 * SECOND..=u64::MAX).unwrap().rows, 0);
}

#[test]
fn a_log_cut_off_anywhere_loses_the_last_tick_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = Log::open(folder.path(), header()).unwrap();
    let mut ends = vec![];
    for at in 1..=20u64 {
        log.append(at * SECOND, &[Some(snapshot(at, 2, true))]).unwrap();
        ends.push(log.parts()[0].bytes);
    }
    let whole = fs::read(folder.path().join("00000001.ticks")).unwrap();
    assert_eq!(whole.len() as u64, *ends.last().unwrap());
    for length in (ends[0] as usize..whole.len()).step_by(97) {
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("00000001.ticks"), &whole[..length]).unwrap();
        let complete = ends.iter().filter(|end| **end <= length as u64).count();
        assert_eq!(all(other.path()).rows, complete);
        let (mut log, said) = Log::open(other.path(), header()).unwrap();
        assert!(said[0].contains(&format!("{complete} ticks recovered")), "{said:?}");
        // And it goes on.
        log.append(30 * SECOND, &[Some(snapshot(30, 2, true))]).unwrap();
        log.finish().unwrap();
        assert_eq!(recorded(&all(other.path())).0.len(), complete + 1);
    }
}

#[test]
fn flipped_bits_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = Log::open(folder.path(), header()).unwrap();
    for at in 1..=20u64 {
        log.append(at * SECOND, &[Some(snapshot(at, 2, true))]).unwrap();
    }
    let whole = fs::read(folder.path().join("00000001.ticks")).unwrap();
    log.finish().unwrap();
    let path = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let segment = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(61) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        let found = ticks::parse(&damaged);
        assert!(found.is_err() || found.unwrap().damage.is_some(), "byte {at}");
    }
    for at in (0..segment.len()).step_by(7) {
        let mut damaged = segment.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, damaged).unwrap();
        let contents = all(folder.path());
        assert_eq!(contents.rows, 0);
        assert!(contents.damage[0].contains("damaged"), "byte {at}");
    }
}

/// A log with a tick per second that nobody finished.
fn unfinished(folder: &Path, from: u64, ticks: u64) {
    let (mut log, _) = Log::open(folder, header()).unwrap();
    for at in from..from + ticks {
        log.append(at * SECOND, &[Some(snapshot(at, 2, true))]).unwrap();
    }
    log.note(Note { timestamp: from * SECOND, description: "here".into(), ..Note::default() }).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn killed_while_sealing_nothing_is_there_twice_or_missing() {
    let folder = tempfile::tempdir().unwrap();
    unfinished(folder.path(), 1, 20);
    let ticks = folder.path().join("00000001.ticks");
    let bytes = fs::read(&ticks).unwrap();
    // Between renaming the segment and deleting the ticks.
    drop(Log::open(folder.path(), header()).unwrap());
    let sealed = names(folder.path());
    assert_eq!(sealed.len(), 1);
    fs::write(&ticks, &bytes).unwrap();
    let expected = recorded(&all(folder.path()));
    assert_eq!((expected.0.len(), all(folder.path()).notes.len()), (20, 1));
    let (_, said) = Log::open(folder.path(), header()).unwrap();
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(names(folder.path()), sealed);

    // While writing it.
    let segment = folder.path().join(&sealed[0]);
    let new = segment.with_extension("new");
    fs::write(&ticks, &bytes).unwrap();
    fs::rename(&segment, &new).unwrap();
    let contents = all(folder.path());
    assert!(recorded(&contents) == expected && contents.damage.is_empty());
    let (_, said) = Log::open(folder.path(), header()).unwrap();
    assert!(said[0].contains("20 ticks recovered"), "{said:?}");
    assert!(!new.exists() && !ticks.exists());
    assert!(recorded(&all(folder.path())) == expected);

    // A disk that kept the name of the segment but not its bytes.
    fs::write(&ticks, &bytes).unwrap();
    let good = fs::read(&segment).unwrap();
    fs::write(&segment, vec![0; good.len()]).unwrap();
    let contents = all(folder.path());
    assert!(contents.damage[0].contains(&sealed[0]), "{:?}", contents.damage);
    assert!(recorded(&contents) == expected);
    drop(Log::open(folder.path(), header()).unwrap());
    let damaged = segment.with_extension("damaged");
    assert_eq!(names(folder.path()), [damaged.file_name().unwrap().to_str().unwrap(), &sealed[0]]);
    assert!(recorded(&all(folder.path())) == expected);
}

#[test]
fn ticks_that_cannot_be_sealed_are_read_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = Log::open(folder.path(), header()).unwrap();
    // One segment's worth, and a few more.
    for at in 1..=1030u64 {
        log.append(at * SECOND, &[Some(snapshot(at, 1, false))]).unwrap();
    }
    // Whatever the sealing thread is at, each tick is there once.
    let mut looks = 0;
    while log.parts().iter().map(|part| part.rows).sum::<usize>() < 1030 {
        assert_eq!(recorded(&all(folder.path())).0.len(), 1030);
        looks += 1;
        assert!(looks < 10_000, "it is never sealed: {:?}", log.trouble());
    }
    // No folder to write to: what is sealed at the end fails, and is said.
    let moved = folder.path().with_extension("moved");
    fs::rename(folder.path(), &moved).unwrap();
    assert!(log.finish().is_err());
    let contents = all(&moved);
    assert_eq!(recorded(&contents).0, (1..=1030).map(|at| at * SECOND as i64).collect::<Vec<_>>());
    fs::rename(&moved, folder.path()).unwrap();
}

#[test]
fn every_error_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let why = Contents::read(folder.path(), 0..=u64::MAX).err().unwrap();
    assert!(why.contains("not a log"), "{why}");
    let why = Contents::read(&folder.path().join("none"), 0..=u64::MAX).err().unwrap();
    assert!(why.contains("none: No such file"), "{why}");
    unfinished(folder.path(), 1, 3);
    let ticks = folder.path().join("00000001.ticks");
    let whole = fs::read(&ticks).unwrap();
    for (bytes, word) in [
        (&b""[..], "not a file of ticks"),
        (b"RZTICKS\x02", "not a file of ticks"),
        (&whole[..8], "no header"),
        (&whole[..20], "byte 8: it is cut off"),
        (&whole[..whole.len() - 1], "it is cut off"),
    ] {
        fs::write(&ticks, bytes).unwrap();
        let damage = all(folder.path()).damage;
        assert_eq!(damage.len(), 1);
        assert!(damage[0].contains("00000001.ticks: ") && damage[0].contains(word), "{damage:?}");
    }
    // Put aside, not thrown away, and not in the way.
    fs::write(&ticks, "something else").unwrap();
    let (mut log, said) = Log::open(folder.path(), header()).unwrap();
    assert!(said[0].contains("nothing could be recovered"), "{said:?}");
    assert_eq!(fs::read(folder.path().join("00000001.damaged")).unwrap(), b"something else");
    log.append(9 * SECOND, &[Some(snapshot(9, 1, false))]).unwrap();
    log.finish().unwrap();
    assert_eq!(all(folder.path()).rows, 1);
}

/// A frame as `docs/formats/log.md` has it.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let body = [&[kind], payload].concat();
    let mut frame = (body.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    frame.extend_from_slice(&body);
    frame
}

proptest! {
    /// Frames that are whole and hold anything; then anything at all.
    #[test]
    fn any_bytes_are_read_or_refused(
        frames in vec((prop_oneof![Just(b'T'), Just(b'N'), Just(b'H'), any::<u8>()], vec(any::<u8>(), 0..64)), 0..8),
        rest in vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = b"RZTICKS\x01".to_vec();
        bytes.extend(frame(b'H', &serde_json::to_vec(&header()).unwrap()));
        let (mut ticks, mut sound) = (0, true);
        for (kind, payload) in &frames {
            bytes.extend(frame(*kind, payload));
            // Nothing from the source is the one tick that random bytes may be.
            let empty = *kind == b'T' && payload.get(8..12) == Some(&[0; 4]);
            sound &= empty;
            ticks += usize::from(sound);
        }
        bytes.extend_from_slice(&rest);
        let found = ticks::parse(&bytes).unwrap();
        prop_assert_eq!(found.header, header());
        prop_assert_eq!(found.columns.rows(), ticks);
        prop_assert_eq!(found.damage.is_none(), sound && rest.is_empty());
        let _ = ticks::parse(&bytes[8..]);
        let _ = ticks::parse(&[b"RZTICKS\x01", &rest[..]].concat());
    }
}

//! Recordings as sources: values come back as they were written, whoever wrote
//! them and however damaged they are.

#[path = "recordings/made.rs"]
mod made;
#[path = "recordings/others.rs"]
mod others;

use std::path::Path;
use std::sync::Arc;

use made::{Column, File, SECOND, START};
use proptest::prelude::*;
use rezolus_store::cache::Cache;
use rezolus_store::matcher::Matcher;
use rezolus_store::recording::{ParquetPart, Recording};
use rezolus_store::sample::{Sample, is_stale};
use rezolus_store::{Series, Source};

fn open(file: &File) -> Recording {
    let part = ParquetPart::from_bytes("made.parquet", file.write().into(), None).unwrap();
    let mut recording = Recording::new(&[], Arc::new(Cache::default()));
    recording.push(Arc::new(part));
    recording
}

fn named(name: &str) -> [Matcher; 1] {
    [Matcher::equal("__name__", name)]
}

fn all(recording: &Recording, name: &str) -> Vec<Series> {
    recording.select(&named(name), i64::MIN, i64::MAX).unwrap()
}

/// Seconds after the start, and values; None is the end of a series.
fn floats(series: &Series) -> Vec<(f64, Option<f64>)> {
    let samples = &series.samples;
    let at = |index: usize| (samples.times[index] - START) as f64 / SECOND as f64;
    let value = |index: usize| match samples.get(index) {
        Sample::Float(value) if is_stale(value) => None,
        Sample::Float(value) => Some(value),
        Sample::Histogram(histogram) => Some(histogram.count),
    };
    (0..samples.len()).map(|index| (at(index), value(index))).collect()
}

#[test]
fn nulls_gaps_and_disorder() {
    let times = [0, 1, 2, 2, 1, 3, 10, 11];
    let file = File::at(&times)
        .with(Column::counter("c").cells((0..8).map(|v| Some(v * 10))))
        .with(Column::gauge("g").cells([None, Some(-1), None, Some(9), None, Some(3), None, Some(-4)]))
        .with(Column::gauge("none").cells([None; 8]));
    let recording = open(&file);
    let c = &all(&recording, "c")[0];
    let whole = [(0, 0), (1, 10), (2, 20), (3, 50), (10, 60), (11, 70)];
    let mut whole: Vec<_> = whole.iter().map(|&(t, v)| (f64::from(t), Some(f64::from(v)))).collect();
    whole.insert(4, (4.0, None));
    assert_eq!(floats(c), whole);
    let g = &all(&recording, "g")[0];
    let expected = [(1.0, Some(-1.0)), (2.0, None), (3.0, Some(3.0)), (4.0, None), (11.0, Some(-4.0))];
    assert_eq!(floats(g), expected);
    assert!(all(&recording, "none").is_empty());
    assert_eq!(recording.range(), Some((START, START + 11 * SECOND)));
}

#[test]
fn gaps_go_by_the_interval_there_is() {
    // A file that does not say its interval, of a scrape per minute.
    let mut file = File::at(&[0, 60, 120, 180, 500]).with(Column::gauge("g").cells((0..5).map(Some)));
    file.metadata.clear();
    let recording = open(&file);
    let ends: Vec<_> = floats(&all(&recording, "g")[0]).into_iter().filter(|(_, v)| v.is_none()).collect();
    assert_eq!(ends, [(240.0, None)]);
}

#[test]
fn row_groups_are_joined() {
    let times: Vec<i64> = (0..10).chain(20..25).collect();
    let mut file = File::at(&times)
        .with(Column::counter("c").cells((0..15).map(Some)))
        .with(Column::counter("early").cells((0..15).map(|v| (v < 5).then_some(v))))
        .with(Column::counter("late").cells((0..15).map(|v| (v >= 10).then_some(v))));
    file.group_rows = 5;
    let recording = open(&file);
    let c = &all(&recording, "c")[0];
    assert_eq!(c.samples.len(), 16);
    assert_eq!(floats(c)[9..12], [(9.0, Some(9.0)), (10.0, None), (20.0, Some(10.0))]);
    assert_eq!(floats(&all(&recording, "early")[0])[4..], [(4.0, Some(4.0)), (5.0, None)]);
    assert_eq!(floats(&all(&recording, "late")[0])[0], (20.0, Some(10.0)));
    // Parts of it.
    for (from, to) in [(0, 4), (3, 7), (8, 21), (10, 10), (12, 15), (24, 30)] {
        let (from, to) = (START + from * SECOND, START + to * SECOND);
        let part = recording.select(&named("c"), from, to).unwrap();
        let whole = c.samples.between(from, to);
        let wanted: Vec<f64> = (0..whole.len()).map(|at| number(&whole.get(at))).collect();
        let found: Vec<f64> = part.iter().flat_map(numbers).collect();
        // A series that has ended before the span is not there.
        let wanted = if wanted.iter().all(|v| v.is_nan()) { Vec::new() } else { wanted };
        assert_eq!(found.len(), wanted.len(), "{from} {to}");
        assert!(found.iter().zip(&wanted).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

fn number(sample: &Sample) -> f64 {
    match sample {
        Sample::Float(value) => *value,
        Sample::Histogram(histogram) => histogram.count,
    }
}

fn numbers(series: &Series) -> Vec<f64> {
    (0..series.samples.len()).map(|at| number(&series.samples.get(at))).collect()
}

/// Of a hundred rows in ten row groups.
fn five_counters() -> File {
    let mut file = File::at(&(0..100).collect::<Vec<_>>());
    file.group_rows = 10;
    let counter = |name| Column::counter(name).cells((0..100).map(Some));
    ["a", "b", "c", "d", "e"].into_iter().fold(file, |file, name| file.with(counter(name)))
}

#[test]
fn only_what_is_asked_for_is_decoded() {
    let file = five_counters();
    let recording = open(&file);
    let decoded = || recording.cache().stats().decoded;
    assert_eq!(decoded(), 0);
    let within =
        |from: i64, to: i64| recording.select(&named("b"), START + from * SECOND, START + to * SECOND);
    let found = within(52, 55).unwrap();
    assert_eq!(floats(&found[0])[0], (52.0, Some(52.0)));
    // The times, and the values.
    assert_eq!(decoded(), 2);
    let again = within(53, 59).unwrap();
    assert_eq!(decoded(), 2);
    assert!(again[0].samples.times.len() == 7 && recording.cache().stats().hits > 0);
    within(59, 60).unwrap();
    assert_eq!(decoded(), 4);
    let series = recording.select(&[], START, START + 9 * SECOND).unwrap();
    assert_eq!((series.len(), decoded()), (5, 10));
    assert!(series.iter().all(|one| one.samples.times.same(&series[0].samples.times)));
    assert_eq!(recording.series(&[], START, START).unwrap().len(), 5);
    assert_eq!(decoded(), 10);
}

#[test]
fn what_several_want_at_a_time_is_decoded_once() {
    let file = five_counters();
    for _ in 0..20 {
        let recording = open(&file);
        let select = |matchers: &[Matcher]| {
            let found = recording.select(matchers, START, START + 99 * SECOND).unwrap();
            assert!(found.iter().all(|series| series.samples.len() == 100));
        };
        // With it the times, which anybody may decode.
        select(&named("a"));
        std::thread::scope(|scope| {
            for name in ["b", "c", "d", "e"] {
                scope.spawn(move || select(&named(name)));
                scope.spawn(|| select(&[]));
            }
        });
        assert_eq!(recording.cache().stats().decoded, 60);
    }
}

#[test]
fn of_a_long_row_group_only_some_pages_are_decoded() {
    let rows = 0..900u64;
    let mut file = File::at(&(0..900).collect::<Vec<_>>())
        .with(Column::counter("c").cells(rows.clone().map(Some)))
        .with(Column::histogram("h", 3, 64).lists(rows.map(|row| Some(vec![row; 496]))));
    (file.page_rows, file.delta, file.codec) = (100, true, made::CODECS[1]);
    for (name, most) in [("c", 100 * 8), ("h", 100 * 496 * 4)] {
        let recording = open(&file);
        let bytes = || recording.cache().stats().bytes;
        let select = |from: i64, to: i64| {
            recording.select(&named(name), START + from * SECOND, START + to * SECOND).unwrap()[0]
                .samples
                .len()
        };
        assert_eq!(select(890, 890), 1);
        // The times of all rows, and what there is besides.
        let times = 900 * 8 + 500;
        assert!(bytes() < times + most, "{name}: {} bytes", bytes());
        // Far from it, all is decoded: once for all.
        assert_eq!(select(120, 130), 11);
        let decoded = || recording.cache().stats().decoded;
        assert_eq!((decoded(), select(500, 510), select(0, 899), decoded()), (3, 11, 900, 3));
    }
}

#[test]
fn too_much_is_refused() {
    let file = File::at(&(0..100).collect::<Vec<_>>()).with(Column::counter("a").cells((0..100).map(Some)));
    let recording = open(&file).limit_samples(99);
    let error = recording.select(&[], 0, i64::MAX).unwrap_err();
    assert_eq!(error.message, "query processing would load too many samples into memory in query execution");
    assert_eq!(recording.cache().stats().decoded, 1);
    assert!(recording.select(&[], 0, START + 98 * SECOND).is_ok());
}

#[test]
fn histograms_are_native() {
    let cells = [None, Some(vec![0, 1]), Some(vec![0, 1, 0, 0, 2]), Some(vec![]), None, Some(vec![1; 99])];
    for child in ["item", "element"] {
        for large in [false, true] {
            let column = Column::histogram("h", 1, 3).lists(cells.clone()).child(child, large);
            let recording = open(&File::at(&[0, 1, 2, 3, 4, 5]).with(column));
            let series = &all(&recording, "h")[0];
            let expected = [(1., Some(1.)), (2., Some(3.)), (3., Some(0.)), (4., None), (5., Some(6.))];
            assert_eq!(floats(series), expected);
            let Sample::Histogram(second) = series.samples.get(1) else { panic!("not a histogram") };
            // Buckets of 1/3: 0, 1, 2, 3, 4-5, 6-7.
            assert_eq!(second.schema, -53);
            assert_eq!(*second.custom_values, [0.0, 1.0, 2.0, 3.0, 5.0]);
            assert_eq!(second.positive_buckets.iter().sum::<f64>(), 3.0);
        }
    }
}

#[test]
fn labels_and_what_is_known() {
    let mut file = File::at(&[0, 1]);
    file.metadata.push(("descriptions".into(), r#"{"cpu_usage":"Time on the CPU."}"#.into()));
    for state in ["user", "system"] {
        let labels = [("metric", "cpu_usage"), ("state", state), ("unit", "nanoseconds"), ("id", "0")];
        file = file.with(Column::counter("24x0").metadata(&labels).cells([Some(1), Some(2)]));
    }
    let same = [("metric", "same")];
    file = file.with(Column::counter("0::4").metadata(&same).cells([Some(1), None]));
    file = file.with(Column::gauge("0::4").metadata(&same).cells([None, Some(2)]));
    let part = ParquetPart::from_bytes("x", file.write().into(), None).unwrap();
    let extra = [("recording".to_string(), "a".to_string()), ("id".to_string(), "7".to_string())];
    let mut recording = Recording::new(&extra, Arc::new(Cache::default()));
    recording.push(Arc::new(part));
    let labels: Vec<_> =
        recording.series(&[], i64::MIN, i64::MAX).unwrap().iter().map(ToString::to_string).collect();
    let expected = [
        r#"cpu_usage{id="7", recording="a", state="user"}"#,
        r#"cpu_usage{id="7", recording="a", state="system"}"#,
        r#"same{id="7", recording="a"}"#,
        r#"same{column="0::4", id="7", recording="a"}"#,
    ];
    assert_eq!(labels, expected);
    let regex = Matcher::regex("state", "us.*", false).unwrap();
    assert_eq!(recording.select(&[regex], 0, i64::MAX).unwrap().len(), 1);
    let known = &recording.metadata()["cpu_usage"];
    assert_eq!((known.kind.as_str(), known.unit.as_str()), ("counter", "nanoseconds"));
    assert_eq!(known.help, "Time on the CPU.");
}

#[test]
fn parts_follow_each_other() {
    let part = |from: i64, names: &[&str]| {
        let mut file = File::at(&(from..from + 5).collect::<Vec<_>>());
        for name in names {
            file = file.with(Column::counter(name).cells((from..from + 5).map(|v| Some(v as u64))));
        }
        Arc::new(ParquetPart::from_bytes("x", file.write().into(), None).unwrap())
    };
    let mut recording = Recording::new(&[], Arc::new(Cache::default()));
    recording.push(part(0, &["a", "b"]));
    recording.push(part(5, &["a"]));
    recording.push(part(30, &["b", "a"]));
    let ends = |name| -> Vec<f64> {
        floats(&all(&recording, name)[0]).iter().filter(|(_, v)| v.is_none()).map(|(t, _)| *t).collect()
    };
    assert_eq!(ends("a"), [10.0]);
    assert_eq!(ends("b"), [5.0]);
    recording.pop_front();
    recording.pop_back();
    assert!(all(&recording, "b").is_empty());
    assert_eq!(recording.series(&[], i64::MIN, i64::MAX).unwrap().len(), 1);
    assert_eq!(floats(&all(&recording, "a")[0]).len(), 5);
    recording.push(part(10, &["b"]));
    assert_eq!(floats(&all(&recording, "b")[0]).len(), 5);
    assert_eq!(floats(&all(&recording, "a")[0]).last(), Some(&(10.0, None)));
}

#[test]
fn what_is_no_recording_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Arc::new(Cache::default());
    let error = |bytes: &[u8]| {
        let path = folder.path().join("x.parquet");
        std::fs::write(&path, bytes).unwrap();
        Recording::open(&path, &[], cache.clone()).map(|_| ()).unwrap_err()
    };
    assert!(error(b"").contains("x.parquet: is no Parquet file: 0 bytes"));
    assert!(error(b"hello, what is this").contains("it begins with"));
    let good = File::at(&[0, 1]).with(Column::gauge("g").cells([Some(1), Some(2)])).write();
    assert!(error(&good[..good.len() - 1]).contains("lacks its footer"));
    let mut cut = good[..good.len() - 300].to_vec();
    cut.extend_from_slice(&good[good.len() - 8..]);
    assert!(error(&cut).contains("the footer is damaged"), "{}", error(&cut));
    let missing = Recording::open(Path::new("/nowhere/x"), &[], cache.clone()).map(|_| ()).unwrap_err();
    assert!(missing.contains("/nowhere/x: cannot be opened"), "{missing}");
    assert!(Recording::open(folder.path(), &[], cache.clone()).is_err());
}

#[test]
fn those_of_others_open() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/simple_capture.parquet");
    let recording = Recording::open(&path, &[], Arc::new(Cache::default())).unwrap();
    let series = recording.select(&[], i64::MIN, i64::MAX).unwrap();
    assert_eq!(series.len(), 3, "{series:?}");
    assert!(series.iter().all(|series| series.samples.len() == 5));
}

/// What is expected of a series: as written, where null after a value is its end.
fn expected(rows: impl Iterator<Item = (i64, Option<f64>)>) -> Vec<(f64, Option<f64>)> {
    let mut out: Vec<(f64, Option<f64>)> = Vec::new();
    for (time, value) in rows {
        let alive = out.last().is_some_and(|(_, value)| value.is_some());
        if value.is_some() || alive {
            out.push((time as f64, value));
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_come_back(
        cells in prop::collection::vec(
            (prop::option::weighted(0.8, any::<u64>()), prop::option::of(any::<i64>()),
             prop::option::weighted(0.9, prop::collection::vec(0..9u64, 0..6))),
            1..60,
        ),
        group_rows in 1..40usize,
        codec in 0..5usize,
        dictionary: bool,
        from in 0..60i64,
        length in 0..60i64,
    ) {
        let rows = cells.len() as i64;
        let mut file = File::at(&(0..rows).collect::<Vec<_>>())
            .with(Column::counter("c").cells(cells.iter().map(|row| row.0)))
            .with(Column::gauge("g").cells(cells.iter().map(|row| row.1)))
            .with(Column::histogram("h", 1, 3).lists(cells.iter().map(|row| row.2.clone())));
        (file.group_rows, file.codec, file.dictionary) = (group_rows, made::CODECS[codec], dictionary);
        let recording = open(&file);
        let find = |name: &str| -> Vec<(f64, Option<f64>)> {
            all(&recording, name).iter().flat_map(floats).collect()
        };
        let times = || 0..rows;
        let c = expected(times().zip(cells.iter().map(|row| row.0.map(|v| v as f64))));
        prop_assert_eq!(find("c"), c.clone());
        let g = expected(times().zip(cells.iter().map(|row| row.1.map(|v| v as f64))));
        prop_assert_eq!(find("g"), g);
        let count = |row: &Option<Vec<u64>>| row.as_ref().map(|counts| counts.iter().sum::<u64>() as f64);
        let h = expected(times().zip(cells.iter().map(|row| count(&row.2))));
        prop_assert_eq!(find("h"), h);
        for series in all(&recording, "h") {
            check_buckets(&series, &cells.iter().map(|row| row.2.clone()).collect::<Vec<_>>())?;
        }
        // A span has what lies in it, but for the end of what was not there.
        let (start, end) = (START + from * SECOND, START + (from + length) * SECOND);
        let found: Vec<_> = recording.select(&named("c"), start, end).unwrap().iter().flat_map(floats)
            .filter(|(_, value)| value.is_some()).collect();
        let within = c.into_iter()
            .filter(|(time, value)| value.is_some() && *time >= from as f64 && *time <= (from + length) as f64);
        prop_assert_eq!(found, within.collect::<Vec<_>>());
    }

    /// Pages that are decoded by themselves give what the whole column does.
    #[test]
    fn a_few_pages_are_as_good_as_all(
        cells in prop::collection::vec(
            (prop::option::weighted(0.95, any::<u64>().prop_flat_map(|most| 0..=most)),
             any::<i64>().prop_flat_map(|most| most.min(0)..=most.max(0)), prop::collection::vec(0..3u64, 6)),
            1..300,
        ),
        (page_rows, codec, delta, whole) in (1..90usize, 0..2usize, any::<bool>(), any::<bool>()),
        spans in prop::collection::vec((0..300i64, 0..100i64), 1..5),
    ) {
        let rows = cells.len() as i64;
        let counts = |row: &(Option<u64>, i64, Vec<u64>)| row.0.or(whole.then_some(7));
        let mut file = File::at(&(0..rows).collect::<Vec<_>>())
            .with(Column::counter("c").cells(cells.iter().map(counts)))
            .with(Column::gauge("g").cells(cells.iter().map(|row| Some(row.1))))
            .with(Column::histogram("h", 1, 3).lists(cells.iter().map(|row| Some(row.2.clone()))));
        (file.page_rows, file.codec, file.delta) = (page_rows, made::CODECS[codec], delta);
        let recording = open(&file);
        for (from, length) in spans {
            let (start, end) = (START + from * SECOND, START + (from + length) * SECOND);
            let find = |name: &str| -> Vec<(f64, f64)> {
                let found = recording.select(&named(name), start, end).unwrap();
                found.iter().flat_map(floats).filter_map(|(time, value)| Some((time, value?))).collect()
            };
            let within = || cells.iter().zip(0..).filter(|(_, at)| (from..=from + length).contains(at));
            let c = within().filter_map(|(row, at)| Some((at as f64, counts(row)? as f64)));
            prop_assert_eq!(find("c"), c.collect::<Vec<_>>());
            let g = within().map(|(row, at)| (at as f64, row.1 as f64));
            prop_assert_eq!(find("g"), g.collect::<Vec<_>>());
            let h = within().map(|(row, at)| (at as f64, row.2.iter().sum::<u64>() as f64));
            prop_assert_eq!(find("h"), h.collect::<Vec<_>>());
            for series in recording.select(&named("h"), start, end).unwrap() {
                check_buckets(&series, &cells.iter().map(|row| Some(row.2.clone())).collect::<Vec<_>>())?;
            }
        }
    }

    #[test]
    fn damage_is_an_error_or_nothing(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u32), 1..6),
        codec in 0..5usize,
    ) {
        let mut file = File::at(&(0..40).collect::<Vec<_>>())
            .with(Column::counter("c").cells((0..40).map(|v| (v % 3 != 0).then_some(v))))
            .with(Column::histogram("h", 3, 64).lists((0..40).map(|v| Some(vec![v; 496]))));
        (file.group_rows, file.codec) = (25, made::CODECS[codec]);
        (file.page_rows, file.delta) = (10, codec != 3);
        let mut bytes = file.write();
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        if let Ok(part) = ParquetPart::from_bytes("x", bytes.into(), None) {
            let mut recording = Recording::new(&[], Arc::new(Cache::default()));
            recording.push(Arc::new(part));
            let _ = recording.select(&[], i64::MIN, i64::MAX).map_err(|error| error.to_string());
            let _ = (recording.metadata(), recording.range());
        }
    }
}

/// The buckets of each histogram are those that were written.
fn check_buckets(series: &Series, rows: &[Option<Vec<u64>>]) -> Result<(), TestCaseError> {
    for at in 0..series.samples.len() {
        let row = ((series.samples.times[at] - START) / SECOND) as usize;
        let Sample::Histogram(histogram) = series.samples.get(at) else { continue };
        let mut dense = vec![0.0; 6];
        let (mut next, mut counts) = (0, histogram.positive_buckets.iter());
        for span in &histogram.positive_spans {
            next += span.offset as usize;
            for _ in 0..span.length {
                dense[next] = *counts.next().unwrap();
                next += 1;
            }
        }
        let mut wanted: Vec<f64> = rows[row].iter().flatten().map(|&count| count as f64).collect();
        wanted.resize(6, 0.0);
        prop_assert_eq!(dense, wanted);
    }
    Ok(())
}

#[test]
fn queries_are_answered_from_a_file() {
    use rezolus_store::promql::{Options, Value, instant};
    let mut file = File::at(&(0..120).collect::<Vec<_>>())
        .with(Column::counter("c").cells((0..120).map(|v| Some(v * 3))))
        .with(Column::histogram("h", 1, 3).lists((0..120).map(|v| Some(vec![0, 0, v, v]))))
        .with(Column::histogram("reset", 1, 3).lists((0..120).map(|v| Some(vec![v, 1, v % 57, 0, v]))));
    file.group_rows = 50;
    let recording = open(&file);
    let ask = |query: &str| match instant(&recording, query, START + 110 * SECOND, &Options::default())
        .unwrap()
        .value
    {
        Value::Vector(vector) => vector.iter().map(|(_, _, sample)| number(sample)).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ask("rate(c[1m])"), [3.0]);
    assert_eq!(ask("c @ 1795341610"), [30.0]);
    // Half of the values are 2, half are 3: buckets of (1, 2] and (2, 3].
    assert_eq!(ask("histogram_quantile(0.5, rate(h[1m]))"), [2.0]);
    assert_eq!(ask("histogram_count(increase(h[90s]))"), [180.0]);
    // Without buckets where nobody looks at them; after a multiplication they are there.
    for name in ["h", "reset"] {
        for function in ["histogram_sum", "histogram_count", "histogram_avg"] {
            let whole = ask(&format!("{function}(rate({name}[70s]) * 1)"));
            assert_eq!(ask(&format!("{function}(rate({name}[70s]))")), whole);
            assert_eq!(ask(&format!("{function}((rate({name}[70s])))")), whole);
        }
    }
    assert_eq!(ask("histogram_sum(increase(h[90s]))"), [90.0 * 5.0]);
}

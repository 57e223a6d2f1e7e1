//! Files of other writers: numbers and times of other types.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array,
    StringArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray, UInt16Array, UInt32Array,
};
use rezolus_store::cache::Cache;
use rezolus_store::promql::ABSENT;
use rezolus_store::recording::{ParquetPart, Part, Recording};
use rezolus_store::{Source, promql};

use crate::made::{Column, File, SECOND, START};
use crate::{all, floats, open};

#[test]
fn numbers_of_all_types_are_series() {
    let dictionary = DictionaryArray::<Int32Type>::new(
        Int32Array::from(vec![Some(1), None, Some(0), Some(1)]),
        Arc::new(Float64Array::from(vec![0.5, 2.5])),
    );
    let nan = f64::NAN;
    for with_dictionary in [false, true] {
        let mut file = File::at(&[0, 1, 2, 3])
            .with_array("f64", Float64Array::from(vec![Some(0.1), None, Some(nan), Some(ABSENT)]))
            .with_array("f32", Float32Array::from(vec![Some(0.5), Some(f32::INFINITY), None, None]))
            .with_array("i8", Int8Array::from(vec![Some(-1), None, None, Some(127)]))
            .with_array("i32", Int32Array::from(vec![i32::MIN, -1, 0, i32::MAX]))
            .with_array("u16", UInt16Array::from(vec![0, 1, 2, u16::MAX]))
            .with_array("u32", UInt32Array::from(vec![Some(u32::MAX), None, Some(0), Some(7)]))
            .with_array("bool", BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]))
            .with_array("packed", dictionary.clone());
        file.dictionary = with_dictionary;
        file.group_rows = 3;
        let recording = open(&file);
        let (end, skip) = (Some(None), None);
        for (name, expected) in [
            ("f64", [Some(Some(0.1)), end, Some(Some(nan)), Some(Some(nan))]),
            ("f32", [Some(Some(0.5)), Some(Some(f64::INFINITY)), end, skip]),
            ("i8", [Some(Some(-1.0)), end, skip, Some(Some(127.0))]),
            ("i32", [-2_147_483_648.0, -1.0, 0.0, 2_147_483_647.0].map(|v| Some(Some(v)))),
            ("u16", [0.0, 1.0, 2.0, 65_535.0].map(|v| Some(Some(v)))),
            ("u32", [Some(Some(4_294_967_295.0)), end, Some(Some(0.0)), Some(Some(7.0))]),
            ("bool", [Some(Some(1.0)), Some(Some(0.0)), end, Some(Some(1.0))]),
            ("packed", [Some(Some(2.5)), end, Some(Some(0.5)), Some(Some(2.5))]),
        ] {
            let expected: Vec<_> =
                (0..4).zip(expected).filter_map(|(at, value)| Some((f64::from(at), value?))).collect();
            let found = floats(&all(&recording, name)[0]);
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{name}");
        }
        let kind = |name: &str| recording.metadata()[name].kind.clone();
        assert_eq!(
            [kind("f64"), kind("u32"), kind("i8"), kind("bool")],
            ["gauge", "counter", "gauge", "gauge"]
        );
        // A NaN is a value; the one that stands for nothing is not in answers by chance.
        let at = START + 3 * SECOND;
        let answer = promql::instant(&recording, "f64", at, &promql::Options::default()).unwrap();
        assert!(format!("{:?}", answer.value).contains("Float(NaN)"));
    }
}

#[test]
fn times_of_all_types_are_nanoseconds() {
    let seconds = [START / SECOND, START / SECOND + 1, START / SECOND + 3];
    let scaled = |unit: i64| seconds.iter().map(|second| second * unit).collect::<Vec<i64>>();
    let file = File::at(&[0, 1, 3]).with(Column::gauge("g").cells((0..3).map(Some)));
    let all_types: [ArrayRef; 6] = [
        Arc::new(TimestampSecondArray::from(scaled(1))),
        Arc::new(TimestampMillisecondArray::from(scaled(1_000))),
        Arc::new(TimestampMicrosecondArray::from(scaled(1_000_000))),
        Arc::new(TimestampMicrosecondArray::from(scaled(1_000_000)).with_timezone("Europe/Berlin")),
        Arc::new(TimestampNanosecondArray::from(scaled(SECOND))),
        Arc::new(Int64Array::from(scaled(SECOND))),
    ];
    for times in all_types {
        let kind = times.data_type().clone();
        let part = ParquetPart::from_bytes("x", file.write_timed(times).into(), None).unwrap();
        assert_eq!((part.groups()[0].first, part.groups()[0].last), (START, START + 3 * SECOND), "{kind}");
        let mut recording = Recording::new(&[], Arc::new(Cache::default()));
        recording.push(Arc::new(part));
        let found = floats(&all(&recording, "g")[0]);
        assert_eq!(found, [(0.0, Some(0.0)), (1.0, Some(1.0)), (3.0, Some(2.0))], "{kind}");
    }
    let wrong = file.write_timed(Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0])));
    let why = ParquetPart::from_bytes("x", wrong.into(), None).err().unwrap();
    assert!(why.contains("its first column is not `timestamp`"), "{why}");
}

#[test]
fn what_is_left_out_is_said() {
    let file = File::at(&[0, 1])
        .with(Column::gauge("g").cells((0..2).map(Some)))
        .with(Column::gauge("g:wall_offset").cells((0..2).map(Some)))
        .with_array("host", StringArray::from(vec!["a", "b"]))
        .with_array("seen", TimestampSecondArray::from(vec![1, 2]));
    assert_eq!(
        open(&file).remarks(),
        [
            "made.parquet: 2 columns are neither numbers nor histograms, and left out: `host` (Utf8), `seen` (Timestamp(s))"
        ]
    );
    let plain = File::at(&[0, 1]).with(Column::gauge("g").cells((0..2).map(Some)));
    assert!(open(&plain).remarks().is_empty());
}

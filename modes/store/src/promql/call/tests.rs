use std::sync::Arc;

use super::sums::{self, quantile};
use super::{Context, call, seconds};
use crate::FloatHistogram;
use crate::float::almost_equal;
use crate::labels::Labels;
use crate::promql::points::Points;
use crate::promql::value::{Grid, RangeRow, RangeVector, Row, Val};
use crate::promql::{ABSENT, Error, Notes, Options};
use crate::promql::{ast, parse};
use crate::sample::{Sample, Samples};

const S: i64 = 1_000_000_000;

/// At 0 s, 60 s, ...
fn minutes(count: usize) -> Grid {
    Grid { start: 0, step: 60 * S, count }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().copied())
}

fn row(labels: &[(&str, &str)], floats: &[f64]) -> Row {
    let points = Points { floats: floats.to_vec(), histograms: Vec::new() };
    Row { labels: self::labels(labels), drop_name: false, points }
}

/// A value every so many seconds from 0 s on; NaN is none.
fn series(name: &str, every: i64, values: &[f64]) -> RangeRow {
    let samples = values.iter().enumerate().filter(|(_, value)| !value.is_nan());
    let samples = samples.map(|(index, value)| (index as i64 * every * S, Sample::Float(*value)));
    RangeRow { labels: labels(&[("__name__", name)]), drop_name: false, samples: Samples::new(samples) }
}

/// The windows of so many seconds that end at each of the grid's times.
fn windows(rows: Vec<RangeRow>, range: i64, grid: Grid) -> Val {
    Val::Range(RangeVector { rows, range: range * S, ends: grid.times().collect(), extension: None })
}

fn with_notes(function: &str, args: Vec<Val>, grid: Grid) -> Result<(Val, Notes), Error> {
    with_nodes(function, args, grid, &[])
}

fn with_nodes(
    function: &str,
    args: Vec<Val>,
    grid: Grid,
    nodes: &[ast::Node],
) -> Result<(Val, Notes), Error> {
    let mut notes = Notes::default();
    let options = Options::default();
    let mut context =
        Context { grid, notes: &mut notes, options: &options, nodes, places: &[], sums_only: false };
    Ok((call(function, args, &mut context)?, notes))
}

fn rows(function: &str, args: Vec<Val>, grid: Grid) -> Vec<Row> {
    match with_notes(function, args, grid).unwrap().0 {
        Val::Vector(rows) => rows,
        other => panic!("{other:?}"),
    }
}

/// The only row's values; None where there is none.
fn only(rows: &[Row]) -> Vec<Option<f64>> {
    assert_eq!(rows.len(), 1, "{rows:?}");
    let floats = rows[0].points.floats.iter();
    floats.map(|value| Some(*value).filter(|value| !crate::promql::is_absent(*value))).collect()
}

/// Of one series in one window up to `at`.
fn of_window(function: &str, params: &[f64], every: i64, values: &[f64], at: i64, range: i64) -> Option<f64> {
    let grid = Grid { start: at * S, step: 0, count: 1 };
    let mut args: Vec<Val> = vec![windows(vec![series("x_total", every, values)], range, grid)];
    args.extend(params.iter().map(|value| Val::Scalar(vec![*value])));
    if function == "quantile_over_time" {
        args.reverse();
    }
    let rows = rows(function, args, grid);
    if rows.is_empty() { None } else { only(&rows)[0] }
}

fn close(got: Option<f64>, wanted: f64) {
    let got = got.unwrap();
    assert!((got - wanted).abs() <= 1e-12 * wanted.abs().max(1.0), "{got} is not {wanted}");
}

#[test]
fn rates_are_extrapolated_to_the_bounds_that_are_near() {
    // 10 per 15 s, samples from 15 s to 60 s in (0, 60]: 30 in 45 s, and the first
    // one is not farther from 0 s than another.
    let values = [0.0, 10.0, 20.0, 30.0, 40.0];
    close(of_window("increase", &[], 15, &values, 60, 60), 40.0);
    close(of_window("rate", &[], 15, &values, 60, 60), 40.0 / 60.0);
    close(of_window("delta", &[], 15, &values, 60, 60), 40.0);
    // Far from both bounds: half a distance on each side.
    let values = [f64::NAN, f64::NAN, 100.0, 110.0, f64::NAN, f64::NAN];
    close(of_window("increase", &[], 15, &values, 90, 90), 20.0);
    // A counter was not below zero.
    let values = [f64::NAN, f64::NAN, 2.0, 12.0, f64::NAN, f64::NAN];
    close(of_window("increase", &[], 15, &values, 90, 90), 10.0 * (15.0 + 3.0 + 7.5) / 15.0);
    close(of_window("delta", &[], 15, &values, 90, 90), 20.0);
    assert_eq!(of_window("rate", &[], 15, &[1.0], 15, 60), None);
}

#[test]
fn resets_count_what_was_lost() {
    let values = [0.0, 10.0, 5.0, 15.0, 0.0];
    // 10 before the first reset, 15 before the second: 0 - 10 + 10 + 15 in 45 s. It
    // would have been zero 30 s before the first sample; the bound is nearer.
    close(of_window("increase", &[], 15, &values, 60, 60), 15.0 * 60.0 / 45.0);
    close(of_window("delta", &[], 15, &values, 60, 60), -10.0 * 60.0 / 45.0);
    close(of_window("resets", &[], 15, &values, 60, 90), 2.0);
    close(of_window("changes", &[], 15, &values, 60, 90), 4.0);
    close(of_window("irate", &[], 15, &values, 60, 60), 0.0);
    close(of_window("irate", &[], 15, &values, 45, 60), 10.0 / 15.0);
    close(of_window("idelta", &[], 15, &values, 60, 60), -15.0);
}

#[test]
fn windows_leave_out_their_start() {
    let grid = minutes(3);
    let counted = rows("count_over_time", vec![windows(vec![series("x", 15, &[1.0; 6])], 60, grid)], grid);
    // 0 s; 15 s to 60 s; 75 s.
    assert_eq!(only(&counted), [Some(1.0), Some(4.0), Some(1.0)]);
    assert!(counted[0].drop_name);
    let last = rows("last_over_time", vec![windows(vec![series("x", 15, &[1.0, 2.0])], 60, grid)], grid);
    assert_eq!(only(&last), [Some(1.0), Some(2.0), None]);
    assert!(!last[0].drop_name);
}

#[test]
fn metrics_without_a_counters_name_are_told_of() {
    let grid = minutes(2);
    let notes = |function, name| {
        let args = vec![windows(vec![series(name, 15, &[1.0, 2.0, 3.0])], 60, grid)];
        with_notes(function, args, grid).unwrap().1.infos.into_iter().collect::<Vec<_>>()
    };
    let text =
        "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"x\"";
    assert_eq!(notes("rate", "x"), [text]);
    assert_eq!(notes("increase", "x"), [text]);
    assert_eq!(notes("rate", "x_total"), [""; 0]);
    assert_eq!(notes("rate", "x_bucket"), [""; 0]);
    assert_eq!(notes("rate", ""), [""; 0]);
    assert_eq!(notes("irate", "x"), [""; 0]);
    assert_eq!(notes("delta", "x"), [""; 0]);
}

#[test]
fn values_of_a_window() {
    let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
    let of = |function, params: &[f64]| of_window(function, params, 10, &values, 70, 100);
    close(of("sum_over_time", &[]), 40.0);
    close(of("avg_over_time", &[]), 5.0);
    close(of("stdvar_over_time", &[]), 4.0);
    close(of("stddev_over_time", &[]), 2.0);
    close(of("min_over_time", &[]), 2.0);
    close(of("max_over_time", &[]), 9.0);
    close(of("quantile_over_time", &[0.5]), 4.5);
    close(of("quantile_over_time", &[1.0]), 9.0);
    close(of("mad_over_time", &[]), 0.5);
    close(of("first_over_time", &[]), 2.0);
    close(of("present_over_time", &[]), 1.0);
    close(of("ts_of_first_over_time", &[]), 0.0);
    close(of("ts_of_last_over_time", &[]), 70.0);
    close(of("ts_of_min_over_time", &[]), 0.0);
    close(of("ts_of_max_over_time", &[]), 70.0);
    assert_eq!(of("quantile_over_time", &[-1.0]), Some(f64::NEG_INFINITY));
    let line: Vec<f64> = (0..10).map(|x| 3.0 + 0.5 * f64::from(x)).collect();
    close(of_window("deriv", &[], 10, &line, 90, 100), 0.05);
    close(of_window("predict_linear", &[60.0], 10, &line, 90, 100), 7.5 + 3.0);
    close(of_window("double_exponential_smoothing", &[0.5, 0.5], 10, &line, 90, 100), 7.5);
}

#[test]
fn a_factor_has_to_be_one() {
    let grid = minutes(1);
    let one = |value| Val::Scalar(vec![value]);
    let range = |values: &[f64]| windows(vec![series("x", 15, values)], 60, grid);
    let smooth = |values: &[f64]| {
        with_notes("double_exponential_smoothing", vec![range(values), one(0.5), one(1.0)], grid)
    };
    assert_eq!(
        smooth(&[1.0]).unwrap_err().message,
        "invalid trend factor. Expected: 0 < tf < 1, got: 1.000000"
    );
    assert!(smooth(&[]).is_ok());
}

#[test]
fn sums_keep_their_last_bits() {
    assert_eq!(sums::sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
    assert_eq!(sums::mean(&[f64::MAX, f64::MAX]), f64::MAX);
    assert_eq!(sums::mean(&[f64::INFINITY, 1.0]), f64::INFINITY);
    assert!(sums::mean(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    assert_eq!(quantile(0.5, &mut [f64::NAN, 1.0, 2.0]), 1.0);
    assert_eq!(quantile(2.0, &mut [1.0]), f64::INFINITY);
    assert!(quantile(f64::NAN, &mut [1.0]).is_nan());
    assert!(quantile(0.5, &mut []).is_nan());
}

#[test]
fn times_are_exact() {
    assert_eq!(seconds(1_700_000_000_123 * 1_000_000), 1_700_000_000.123);
    assert_eq!(seconds(-1), -1e-9);
    let Val::Scalar(times) = with_notes("time", vec![], minutes(2)).unwrap().0 else { panic!() };
    assert_eq!(times, [0.0, 60.0]);
}

#[test]
fn numbers_one_by_one() {
    let one = |function: &str, value: f64| {
        only(&rows(function, vec![Val::Vector(vec![row(&[], &[value])])], minutes(1)))[0].unwrap()
    };
    assert_eq!(one("abs", -2.0), 2.0);
    assert_eq!(one("sgn", -2.0), -1.0);
    assert!(one("sgn", f64::NAN).is_nan());
    assert_eq!(one("round", 2.5), 3.0);
    assert_eq!(one("round", -2.5), -2.0);
    assert_eq!(one("deg", std::f64::consts::PI), 180.0);
    assert_eq!(one("ln", 0.0), f64::NEG_INFINITY);
    let with = |function: &str, value: f64, params: &[f64]| {
        let mut args = vec![Val::Vector(vec![row(&[], &[value])])];
        args.extend(params.iter().map(|value| Val::Scalar(vec![*value])));
        rows(function, args, minutes(1)).first().map(|row| row.points.floats[0])
    };
    assert_eq!(with("round", 2.37, &[0.5]), Some(2.5));
    assert_eq!(with("clamp", 5.0, &[1.0, 3.0]), Some(3.0));
    assert_eq!(with("clamp", 5.0, &[3.0, 1.0]), None);
    assert_eq!(with("clamp_min", 5.0, &[7.0]), Some(7.0));
    assert_eq!(with("clamp_max", 5.0, &[7.0]), Some(5.0));
    assert!(with("clamp_max", 5.0, &[f64::NAN]).unwrap().is_nan());
}

#[test]
fn absent_steps_stay_absent_and_names_go() {
    let got = rows("abs", vec![Val::Vector(vec![row(&[("__name__", "x")], &[-1.0, ABSENT])])], minutes(2));
    assert_eq!(only(&got), [Some(1.0), None]);
    assert!(got[0].drop_name);
    assert_eq!(got[0].labels.name(), "x");
}

#[test]
fn scalars_are_the_only_float() {
    let scalar = |rows: Vec<Row>| {
        let Val::Scalar(values) = with_notes("scalar", vec![Val::Vector(rows)], minutes(3)).unwrap().0 else {
            panic!()
        };
        values
    };
    let got = scalar(vec![row(&[("a", "1")], &[1.0, 1.0, ABSENT]), row(&[], &[ABSENT, 2.0, ABSENT])]);
    assert_eq!(got[0], 1.0);
    assert!(got[1].is_nan() && got[2].is_nan());
}

#[test]
fn dates_are_those_of_the_calendar() {
    let date = |function: &str, time: f64| {
        only(&rows(function, vec![Val::Vector(vec![row(&[], &[time])])], minutes(1)))[0].unwrap()
    };
    // 2024-02-29 23:59:59, a Thursday.
    let time = 1_709_251_199.0;
    let parts = ["year", "month", "day_of_month", "hour", "minute"].map(|part| date(part, time));
    assert_eq!(parts, [2024.0, 2.0, 29.0, 23.0, 59.0]);
    assert_eq!(date("day_of_week", time), 4.0);
    assert_eq!(date("day_of_year", time), 60.0);
    assert_eq!(date("days_in_month", time), 29.0);
    assert!(date("year", f64::NAN).is_nan());
    assert!(date("year", 1e300).is_nan());
    assert_eq!(only(&rows("minute", vec![], minutes(3))), [Some(0.0), Some(1.0), Some(2.0)]);
}

fn text(text: &str) -> Val {
    Val::String(text.to_owned())
}

#[test]
fn labels_are_replaced_where_they_match() {
    let replace = |args: [&str; 4]| {
        let rows = vec![row(&[("__name__", "x"), ("src", "value-10")], &[1.0])];
        let mut all = vec![Val::Vector(rows)];
        all.extend(args.map(text));
        with_notes("label_replace", all, minutes(1))
    };
    let labels = |args| match replace(args).unwrap().0 {
        Val::Vector(rows) => rows[0].labels.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(labels(["dst", "d-$1", "src", "value-(.*)"]), r#"x{dst="d-10", src="value-10"}"#);
    assert_eq!(labels(["dst", "${n}0$$", "src", "value-(?P<n>.*)"]), r#"x{dst="100$", src="value-10"}"#);
    assert_eq!(labels(["dst", "d", "src", "value"]), r#"x{src="value-10"}"#);
    assert_eq!(labels(["src", "", "", ""]), "x");
    assert_eq!(labels(["__name__", "y", "", ""]), r#"y{src="value-10"}"#);
    let error = |args| replace(args).unwrap_err().message;
    assert_eq!(error(["", "", "src", "(.*)"]), "invalid destination label name in label_replace(): ");
    assert_eq!(error(["a", "", "src", "(.*"]), "invalid regular expression in label_replace(): (.*");
}

#[test]
fn the_same_labels_at_the_same_time_are_refused() {
    let replace = |a: &[f64], b: &[f64]| {
        let all = vec![row(&[("a", "1")], a), row(&[("a", "2")], b)];
        let args = ["a", "", "", ""].map(text);
        let args = std::iter::once(Val::Vector(all)).chain(args).collect();
        with_notes("label_replace", args, minutes(2))
    };
    let error = replace(&[1.0, 1.0], &[1.0, 1.0]).unwrap_err();
    assert_eq!(error.message, "vector cannot contain metrics with the same labelset");
    let Val::Vector(rows) = replace(&[1.0, ABSENT], &[ABSENT, 2.0]).unwrap().0 else { panic!() };
    assert_eq!(only(&rows), [Some(1.0), Some(2.0)]);
}

#[test]
fn labels_are_joined() {
    let join = |args: &[&str]| {
        let mut all = vec![Val::Vector(vec![row(&[("a", "1"), ("b", "2")], &[1.0])])];
        all.extend(args.iter().map(|arg| text(arg)));
        with_notes("label_join", all, minutes(1)).map(|(value, _)| match value {
            Val::Vector(rows) => rows[0].labels.to_string(),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(join(&["c", "-", "b", "a", "d"]).unwrap(), r#"{a="1", b="2", c="2-1-"}"#);
    assert_eq!(join(&["a", "-"]).unwrap(), r#"{b="2"}"#);
    assert_eq!(join(&["", "-"]).unwrap_err().message, "invalid destination label name in label_join(): ");
}

#[test]
fn series_are_sorted() {
    let values = |function: &str, args: Vec<Val>| -> Vec<String> {
        rows(function, args, minutes(1)).iter().map(|row| row.labels.get("a").to_owned()).collect()
    };
    let all = || {
        Val::Vector(vec![
            row(&[("a", "x10")], &[2.0]),
            row(&[("a", "x9")], &[f64::NAN]),
            row(&[("a", "y")], &[1.0]),
            row(&[("b", "1")], &[3.0]),
        ])
    };
    assert_eq!(values("sort", vec![all()]), ["y", "x10", "", "x9"]);
    assert_eq!(values("sort_desc", vec![all()]), ["", "x10", "y", "x9"]);
    assert_eq!(values("sort_by_label", vec![all(), text("a")]), ["", "x9", "x10", "y"]);
    assert_eq!(values("sort_by_label_desc", vec![all(), text("a")]), ["y", "x10", "x9", ""]);
}

#[test]
fn absent_has_the_labels_asked_for() {
    let absent = |query: &str, rows: Vec<Row>| {
        let node = parse::query(query, Default::default()).unwrap();
        match with_nodes("absent", vec![Val::Vector(rows)], minutes(2), &[node]).unwrap().0 {
            Val::Vector(rows) => rows,
            other => panic!("{other:?}"),
        }
    };
    let got = absent(r#"x{a="1",b=~"2",c="3",c="4"}"#, vec![]);
    assert_eq!(got[0].labels.to_string(), r#"{a="1"}"#);
    assert_eq!(only(&got), [Some(1.0), Some(1.0)]);
    let got = absent("sum(x)", vec![row(&[], &[ABSENT, 1.0])]);
    assert_eq!(only(&got), [Some(1.0), None]);
    assert!(absent("x", vec![row(&[], &[1.0, 1.0])]).is_empty());
    let grid = minutes(3);
    let range = windows(vec![series("x", 15, &[1.0, 1.0])], 60, grid);
    assert_eq!(only(&rows("absent_over_time", vec![range], grid)), [None, None, Some(1.0)]);
}

#[test]
fn quantiles_that_are_none_are_warned_of() {
    let grid = minutes(1);
    let args = vec![Val::Scalar(vec![2.0]), windows(vec![series("x", 15, &[1.0])], 60, grid)];
    let (_, notes) = with_notes("quantile_over_time", args, grid).unwrap();
    let texts: Vec<_> = notes.warnings.into_iter().collect();
    assert_eq!(texts, ["PromQL warning: quantile value should be between 0 and 1, got 2"]);
}

#[test]
fn arguments_are_checked() {
    let error = |function: &str, args| with_notes(function, args, minutes(1)).unwrap_err().message;
    assert_eq!(
        error("abs", vec![Val::Scalar(vec![1.0])]),
        "expected type instant vector in call to function \"abs\", got scalar"
    );
    assert_eq!(error("nonsense", vec![]), "unknown function with name \"nonsense\"");
    assert_eq!(error("rate", vec![]), "rate lacks an argument: range vector");
}

#[test]
fn all_ends_may_be_the_same() {
    let grid = minutes(3);
    let range = RangeVector {
        rows: vec![series("x", 15, &[1.0, 2.0, 3.0])],
        range: 30 * S,
        ends: Arc::from([30 * S; 3]),
        extension: None,
    };
    assert_eq!(only(&rows("sum_over_time", vec![Val::Range(range)], grid)), [Some(5.0); 3]);
}

fn histogram(text: &str) -> Arc<FloatHistogram> {
    Arc::new(FloatHistogram::parse(text).unwrap())
}

/// Histograms every 15 s from 0 s on; a number is a float.
fn histograms(name: &str, texts: &[&str]) -> RangeRow {
    let samples = texts.iter().enumerate().map(|(index, text)| {
        let sample = match text.parse() {
            Ok(value) => Sample::Float(value),
            Err(_) => Sample::Histogram(histogram(text)),
        };
        (index as i64 * 15 * S, sample)
    });
    RangeRow { labels: labels(&[("__name__", name)]), drop_name: false, samples: Samples::new(samples) }
}

/// Of one series in the window (0 s, 60 s]: the value and all notes.
fn of_histograms(function: &str, texts: &[&str]) -> (Option<Sample>, Vec<String>) {
    let grid = Grid { start: 60 * S, step: 0, count: 1 };
    let args = vec![windows(vec![histograms("x", texts)], 60, grid)];
    let (value, notes) = with_notes(function, args, grid).unwrap();
    let Val::Vector(rows) = value else { panic!() };
    let notes = notes.warnings.into_iter().chain(notes.infos).collect();
    (rows.first().and_then(|row| row.points.get(0)), notes)
}

#[track_caller]
fn same(got: Option<Sample>, wanted: &str) {
    let Some(Sample::Histogram(got)) = got else { panic!("{got:?}") };
    assert!(got.almost_equal(&histogram(wanted), 1e-9), "{got} is not {wanted}");
}

/// Bounded so that no rate is extrapolated: at 15 s and 60 s, the first one far
/// from zero.
const COUNTER: [&str; 5] = [
    "count:90 sum:90 buckets:[90]",
    "count:100 sum:100 buckets:[60 40]",
    "count:110 sum:120 buckets:[60 50]",
    "count:5 sum:10 buckets:[5]",
    "count:15 sum:25 buckets:[10 5]",
];

#[test]
fn histograms_have_rates_as_counters_have() {
    let (increase, notes) = of_histograms("increase", &COUNTER);
    // 110 - 100 before the reset and 15 after it in 45 s; a third more for 60 s.
    same(increase, "count:33.333333333333 sum:60 buckets:[13.3333333333333 20]");
    assert!(notes.is_empty(), "{notes:?}");
    let (rate, _) = of_histograms("rate", &COUNTER);
    same(rate, "count:0.55555555555555 sum:1 buckets:[0.22222222222222 0.3333333333333333]");
    let (last, notes) = of_histograms("irate", &COUNTER);
    same(last, "count:0.66666666666666 sum:1 buckets:[0.333333333333333 0.333333333333333]");
    assert!(notes.is_empty(), "{notes:?}");
    let (delta, notes) = of_histograms("delta", &COUNTER);
    same(delta, "count:-113.333333333333333 sum:-100 buckets:[-66.66666666666666 -46.66666666666666]");
    assert_eq!(notes, ["PromQL warning: this native histogram metric is not a gauge: \"x\""]);
    assert_eq!(of_histograms("resets", &COUNTER).0, Some(Sample::Float(1.0)));
    assert_eq!(of_histograms("changes", &COUNTER).0, Some(Sample::Float(3.0)));
}

#[test]
fn gauges_are_no_counters() {
    let gauges = ["1", "count:1 sum:1 buckets:[1] counter_reset_hint:gauge", COUNTER[0]];
    for function in ["rate", "increase", "irate"] {
        let (_, notes) = of_histograms(function, &gauges);
        assert_eq!(
            notes,
            ["PromQL warning: this native histogram metric is not a counter: \"x\""],
            "{function}"
        );
    }
}

#[test]
fn histograms_and_floats_do_not_mix() {
    let mixed = ["1", "count:1 sum:1 buckets:[1]", "2", "count:3 sum:3 buckets:[3]", "4"];
    let warning = "PromQL warning: encountered a mix of histograms and floats for metric name \"x\"";
    for function in ["rate", "increase", "delta", "irate", "idelta", "sum_over_time", "avg_over_time"] {
        let (value, notes) = of_histograms(function, &mixed);
        assert_eq!((value, notes), (None, vec![warning.to_owned()]), "{function}");
    }
    let info = "PromQL info: ignored histograms in a range containing both floats and histograms for metric \
                name \"x\"";
    for (function, wanted) in [("max_over_time", 4.0), ("min_over_time", 2.0), ("stddev_over_time", 1.0)] {
        let (value, notes) = of_histograms(function, &mixed);
        assert_eq!((value, notes), (Some(Sample::Float(wanted)), vec![info.to_owned()]), "{function}");
    }
    assert_eq!(of_histograms("changes", &mixed), (Some(Sample::Float(3.0)), vec![]));
    assert_eq!(of_histograms("count_over_time", &mixed), (Some(Sample::Float(4.0)), vec![]));
    assert_eq!(of_histograms("max_over_time", &COUNTER), (None, vec![]));
    // One float alone is no line.
    let (value, notes) = of_histograms("deriv", &mixed[..3]);
    assert_eq!((value, notes), (None, vec![info.to_owned()]));
}

#[test]
fn histograms_of_different_kinds_do_not_mix() {
    let custom = "schema:-53 count:1 sum:1 custom_values:[1 2] buckets:[1]";
    let mixed = ["1", "count:1 sum:1 buckets:[1]", custom, "count:3 sum:3 buckets:[3]"];
    let warning = "PromQL warning: vector contains a mix of histograms with exponential and custom buckets \
                   schemas for metric name \"x\"";
    for function in ["rate", "increase", "sum_over_time", "avg_over_time"] {
        let (value, notes) = of_histograms(function, &mixed);
        assert_eq!((value, notes), (None, vec![warning.to_owned()]), "{function}");
    }
    // Nothing of the first one is needed if the counter began anew after it.
    let anew =
        ["1", custom, "count:1 sum:1 buckets:[1] counter_reset_hint:reset", "count:3 sum:3 buckets:[3]"];
    // 3 in 30 s; 10 s before these it was zero, 15 s are left to the end.
    same(of_histograms("increase", &anew).0, "count:5.5 sum:5.5 buckets:[5.5]");
}

#[test]
fn custom_bounds_are_reconciled() {
    let other = [
        "1",
        "schema:-53 count:1 sum:1 custom_values:[1 2] buckets:[1]",
        "schema:-53 count:3 sum:3 custom_values:[1 3] buckets:[2 1]",
    ];
    let (value, notes) = of_histograms("sum_over_time", &other);
    same(value, "schema:-53 count:4 sum:4 custom_values:[1] buckets:[3 1]");
    assert_eq!(notes, ["PromQL info: mismatched custom buckets were reconciled during aggregation"]);
    let (value, notes) = of_histograms("idelta", &other);
    same(value, "schema:-53 count:2 sum:2 custom_values:[1] buckets:[1 1]");
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(notes[1], "PromQL info: mismatched custom buckets were reconciled during subtraction");
}

#[test]
fn histograms_are_summed_and_averaged() {
    let two = ["1", "count:2 sum:4 buckets:[2]", "count:4 sum:8 buckets:[3 1]"];
    same(of_histograms("sum_over_time", &two).0, "count:6 sum:12 buckets:[5 1]");
    same(of_histograms("avg_over_time", &two).0, "count:3 sum:6 buckets:[2.5 0.5]");
    same(of_histograms("last_over_time", &two).0, two[2]);
    let collide = [
        "1",
        "count:2 sum:4 buckets:[2] counter_reset_hint:reset",
        "count:2 sum:4 buckets:[2] counter_reset_hint:not_reset",
    ];
    let notes = of_histograms("sum_over_time", &collide).1;
    assert_eq!(notes, ["PromQL warning: conflicting counter resets during histogram aggregation"]);
}

fn native(pairs: &[(&str, &str)], text: &str) -> Row {
    let histograms = vec![Some(histogram(text))];
    Row { labels: labels(pairs), drop_name: false, points: Points { floats: vec![ABSENT], histograms } }
}

fn classic() -> Vec<Row> {
    [("0.1", 50.0), ("0.2", 100.0), ("+Inf", 100.0)]
        .map(|(le, count)| row(&[("__name__", "x_bucket"), ("a", "1"), ("le", le)], &[count]))
        .to_vec()
}

/// Labels and values by a function with numbers before the vector.
fn of_vector(function: &str, params: &[f64], rows: Vec<Row>) -> (Vec<(String, f64)>, Vec<String>) {
    let mut args: Vec<Val> = params.iter().map(|value| Val::Scalar(vec![*value])).collect();
    args.push(Val::Vector(rows));
    let (value, notes) = with_notes(function, args, minutes(1)).unwrap();
    let Val::Vector(rows) = value else { panic!() };
    assert!(rows.iter().all(|row| row.drop_name));
    let rows = rows.iter().map(|row| (row.labels.to_string(), row.points.floats[0])).collect();
    (rows, notes.warnings.into_iter().chain(notes.infos).collect())
}

#[test]
fn classic_histograms_have_quantiles_and_fractions() {
    let x = |value| (vec![(r#"x_bucket{a="1"}"#.to_owned(), value)], vec![]);
    assert_eq!(of_vector("histogram_quantile", &[0.5], classic()), x(0.1));
    assert_eq!(of_vector("histogram_fraction", &[0.0, 0.1], classic()), x(0.5));
    let mut wrong = classic();
    wrong[0].points.floats[0] = 150.0;
    let (_, notes) = of_vector("histogram_quantile", &[0.5], wrong);
    assert_eq!(notes.len(), 1);
    assert!(notes[0].starts_with("PromQL info: input to histogram_quantile needed to be fixed"), "{notes:?}");
    let (got, notes) = of_vector("histogram_quantile", &[2.0], vec![row(&[("__name__", "x")], &[1.0])]);
    assert!(got.is_empty());
    assert_eq!(
        notes,
        [
            "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"\" for metric name \
             \"x\"",
            "PromQL warning: quantile value should be between 0 and 1, got 2",
        ]
    );
}

#[test]
fn native_histograms_have_quantiles_and_the_rest() {
    let of = |function, params: &[f64], text| {
        let (rows, notes) = of_vector(function, params, vec![native(&[], text)]);
        (rows[0].1, notes)
    };
    let text = "schema:-53 count:10 sum:15 custom_values:[0 1 2] buckets:[0 5 5]";
    assert_eq!(of("histogram_count", &[], text).0, 10.0);
    assert_eq!(of("histogram_sum", &[], text).0, 15.0);
    assert_eq!(of("histogram_avg", &[], text).0, 1.5);
    // 0.5 and 1.5, five times each, around 1.5.
    assert_eq!(of("histogram_stdvar", &[], text).0, 0.5);
    assert_eq!(of("histogram_quantile", &[0.75], text).0, 1.5);
    assert_eq!(of("histogram_fraction", &[0.0, 1.0], text).0, 0.5);
    let (_, notes) = of("histogram_quantile", &[0.5], "count:10 sum:NaN buckets:[9]");
    assert_eq!(
        notes,
        ["PromQL info: input to histogram_quantile has NaN observations, result is skewed higher"]
    );
    assert!(of_vector("histogram_count", &[], vec![row(&[], &[1.0])]).0.is_empty());
}

#[test]
fn classic_and_native_ones_of_the_same_name_are_refused() {
    let mut all = classic();
    all.push(native(&[("__name__", "x_bucket"), ("a", "1")], "count:1 sum:1 buckets:[1]"));
    all.push(native(&[("__name__", "x_bucket"), ("a", "2")], "count:1 sum:1 buckets:[1]"));
    let (rows, notes) = of_vector("histogram_quantile", &[1.0], all);
    assert_eq!(rows, [(r#"x_bucket{a="2"}"#.to_owned(), 1.0)]);
    let text =
        "PromQL warning: vector contains a mix of classic and native histograms for metric name \"x_bucket\"";
    assert_eq!(notes, [text]);
}

#[test]
fn several_quantiles_at_once() {
    let mut args = vec![Val::Vector(classic()), text("q")];
    args.extend([0.5, 1.0].map(|q| Val::Scalar(vec![q, q])));
    let Val::Vector(rows) = with_notes("histogram_quantiles", args, minutes(1)).unwrap().0 else { panic!() };
    let got: Vec<_> = rows.iter().map(|row| (row.labels.get("q"), row.points.floats[0])).collect();
    assert_eq!(got, [("0.5", 0.1), ("1.0", 0.2)]);
}

type OfWindow<'a> = &'a dyn Fn(&[f64]) -> f64;

/// The samples of the windows, found one by one.
fn each_window(row: &RangeRow, range: i64, grid: Grid) -> Vec<Vec<f64>> {
    let of = |end: i64| {
        let inside = |at: &usize| row.samples.times[*at] > end - range && row.samples.times[*at] <= end;
        let floats = (0..row.samples.len()).filter(inside).map(|at| match row.samples.get(at) {
            Sample::Float(value) => value,
            Sample::Histogram(_) => panic!(),
        });
        floats.collect()
    };
    grid.times().map(of).collect()
}

proptest::proptest! {
    /// However windows overlap, what is known of earlier ones changes nothing.
    #[test]
    fn windows_are_independent(
        gaps in proptest::collection::vec(1i64..5, 0..60),
        values in proptest::collection::vec(
            proptest::prop_oneof![
                8 => -100.0..100.0f64,
                1 => proptest::strategy::Just(f64::NAN),
                1 => proptest::strategy::Just(f64::INFINITY),
                1 => proptest::strategy::Just(-f64::MAX),
            ],
            60,
        ),
        start in -20i64..40,
        step in 1i64..20,
        range in 1i64..40,
    ) {
        let times = gaps.iter().scan(0, |time, gap| { *time += gap; Some(*time * S) });
        let samples = Samples::new(times.zip(values.iter().map(|value| Sample::Float(*value))));
        let row = RangeRow { labels: labels(&[("__name__", "x_total")]), drop_name: false, samples };
        let grid = Grid { start: start * S, step: step * S, count: 12 };
        let all = each_window(&row, range * S, grid);
        let max = |values: &[f64]| values.iter().copied().fold(f64::NAN, f64::max);
        let min = |values: &[f64]| values.iter().copied().fold(f64::NAN, f64::min);
        let functions: [(&str, OfWindow<'_>); 5] = [
            ("max_over_time", &max),
            ("min_over_time", &min),
            ("sum_over_time", &sums::sum),
            ("avg_over_time", &sums::mean),
            ("count_over_time", &|values| values.len() as f64),
        ];
        for (name, function) in functions {
            let got = rows(name, vec![windows(vec![row.clone()], range, grid)], grid);
            for (step, values) in all.iter().enumerate() {
                let got = got.first().and_then(|row| row.points.get(step));
                let wanted = (!values.is_empty()).then(|| function(values));
                let same = match (&got, wanted) {
                    (None, None) => true,
                    (Some(Sample::Float(got)), Some(wanted)) => almost_equal(*got, wanted, 1e-12),
                    _ => false,
                };
                proptest::prop_assert!(same, "{name} at {step}: {got:?}, not {wanted:?}");
            }
        }
        // A rate is that of the window alone: as if there were no other.
        let got = rows("rate", vec![windows(vec![row.clone()], range, grid)], grid);
        for (step, at) in grid.times().enumerate() {
            let alone = Grid { start: at, step: 0, count: 1 };
            let part = RangeRow { samples: row.samples.between(at - range * S + 1, at), ..row.clone() };
            let wanted = rows("rate", vec![windows(vec![part], range, alone)], alone);
            let wanted = wanted.first().and_then(|row| row.points.get(0));
            let got = got.first().and_then(|row| row.points.get(step));
            let bits = |sample: &Option<Sample>| match sample {
                Some(Sample::Float(value)) => Some(value.to_bits()),
                _ => None,
            };
            proptest::prop_assert_eq!(bits(&got), bits(&wanted));
        }
    }

    /// Many resets or none: the sum of what went up.
    #[test]
    fn increases_are_what_went_up(steps in proptest::collection::vec(0u32..50, 2..40)) {
        let mut counted = Vec::new();
        let (mut value, mut total) = (1000.0, 0.0);
        for (index, step) in steps.iter().enumerate() {
            // A step of zero is a reset, unless it counted no more than that before.
            let went_up = match step {
                0 if value > 7.0 => 7.0,
                step => f64::from(*step),
            };
            value = if *step == 0 { 7.0 } else { value + went_up };
            if index > 0 {
                total += went_up;
            }
            counted.push(value);
        }
        // A sample at both bounds would be extrapolated to nothing; the one at the
        // start is not part of the window, so the window begins 1 ns earlier.
        let end = (steps.len() as i64 - 1) * 15 * S;
        let grid = Grid { start: end, step: 0, count: 1 };
        let rows_of = vec![series("x_total", 15, &counted)];
        let vector = RangeVector { rows: rows_of, range: end + 1, ends: Arc::from([end]), extension: None };
        let got = only(&rows("increase", vec![Val::Range(vector)], grid))[0].unwrap();
        proptest::prop_assert!(almost_equal(got, total, 1e-9), "{got}, not {total}");
    }
}

#[test]
fn whoever_gave_up_gets_no_answer() {
    let options = Options { deadline: Some(std::time::Instant::now()), ..Options::default() };
    let grid = minutes(1);
    let mut notes = Notes::default();
    let mut context =
        Context { grid, notes: &mut notes, options: &options, nodes: &[], places: &[], sums_only: false };
    let args = vec![windows(vec![series("x", 15, &[1.0])], 60, grid)];
    let error = call("rate", args, &mut context).unwrap_err();
    assert_eq!(error.message, "query timed out in expression evaluation");
}

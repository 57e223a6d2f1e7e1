//! What is drawn is what the engine says.

use std::collections::BTreeMap;

use rezolus_modes::query;
use rezolus_modes::viewer::reduce::{per_lot, reduce};
use rezolus_store::promql::{self, Value, is_absent};
use rezolus_store::{Sample, Source};
use serde_json::json;

use super::ask::{Asker, Drawn, Labels, form, viewer};
use super::made::{Made, SECOND, START, folder, usual};

/// `$quantile` and `$interval` filled in, at each step of the answer before it was reduced.
pub fn evaluated(
    source: &dyn Source,
    drawn: &Drawn,
    query: &str,
    count: usize,
) -> BTreeMap<Labels, Vec<f64>> {
    let step = (drawn.number("step") / drawn.number("per") * 1e9).round() as i64;
    let start = (drawn.number("start") * 1e9).round() as i64;
    let query = query.replace(
        "$interval",
        &format!("{}ms", (2 * step.max(SECOND as i64) + SECOND as i64 / 4) / 1_000_000),
    );
    let end = start + (count as i64 - 1) * step;
    let answer = promql::range(source, &query, start, end, step, &promql::Options::default()).unwrap();
    let Value::Matrix(all) = answer.value else { panic!("{query}: no matrix") };
    let line = |series: rezolus_store::Series| {
        let mut line = vec![f64::NAN; count];
        for (time, sample) in series.samples.iter() {
            match sample {
                Sample::Float(value) if is_absent(value) => {}
                Sample::Float(value) => line[((time - start) / step) as usize] = value,
                Sample::Histogram(_) => panic!("{query}: a histogram"),
            }
        }
        let labels = series.labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        (labels.collect(), line)
    };
    all.into_iter().map(line).collect()
}

/// But for the last bits, which depend on where adding up began.
pub fn same(a: &[f64], b: &[f64]) -> bool {
    let near = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * a.abs();
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| near(a, b))
}

/// Asserts that the lines are the query's, reduced.
pub fn check(drawn: &Drawn, source: &dyn Source, query: &str, count: usize) {
    let per = drawn.number("per") as usize;
    assert_eq!(drawn.number("count") as usize, count.div_ceil(per), "{query}");
    let expected = evaluated(source, drawn, query, count);
    let labels: Vec<_> = drawn.lines.iter().map(|(labels, _)| labels.clone()).collect();
    assert_eq!(labels, expected.keys().cloned().collect::<Vec<_>>(), "{query}");
    for (labels, line) in &drawn.lines {
        let lots = reduce(&expected[labels], per);
        assert!(same(&line.mean, &lots.mean), "{query} {labels:?}");
        assert!(same(&line.least, &lots.least) && same(&line.greatest, &lots.greatest), "{query} {labels:?}");
    }
}

fn source(file: &str) -> std::sync::Arc<dyn Source> {
    query::open(file, &query::Options::default()).unwrap()
}

/// From the beginning, for so many seconds.
fn drawn(asker: &Asker, query: &str, seconds: u64, more: &[(&str, &str)]) -> Drawn {
    let (start, end) = (START.to_string(), (START + seconds).to_string());
    asker.range(&[&[("query", query), ("start", &start), ("end", &end)], more].concat())
}

#[test]
fn values_are_those_of_the_engine() {
    let folder = folder();
    let file = usual(300).write(&folder, "a.parquet");
    let (asker, source) = (viewer(&[&file]), source(&file));
    for query in [
        "level",
        "cpu_usage",
        "rate(cpu_usage[10s])",
        "rate(cpu_usage[$interval])",
        "sum by (state) (irate(cpu_usage[$interval]))",
        "cpu_usage > 500",
        "level / on () group_left () sum(rate(cpu_usage[7s]))",
        "topk(1, cpu_usage)",
        "1",
        "time()",
        "vector(1) / 0",
        "histogram_quantile(0.9, rate(latency[$interval]))",
        "histogram_count(latency)",
        "absent(nothing)",
        "nothing",
        "cpu_usage @ end()",
    ] {
        for points in ["10", "77", "1000"] {
            let drawn = drawn(&asker, query, 299, &[("points", points)]);
            assert_eq!(drawn.header["kind"], "series", "{query}");
            assert_eq!(drawn.header["reduced"], drawn.number("per") > 1.0, "{query}");
            check(&drawn, &*source, query, 300);
        }
    }
}

#[test]
fn a_tick_that_is_a_little_early_or_late_leaves_no_gap() {
    let folder = folder();
    let late = |row: u64| [4, 20, 3, -23, 36, 8, 110, 5][row as usize % 8] * 1_000_000;
    let times = (0..60).map(|row| ((START + row) * SECOND).saturating_add_signed(late(row)));
    let file = Made::at(times).counter("events", &[], |row| Some(row * 10)).write(&folder, "a.parquet");
    let drawn = drawn(&viewer(&[&file]), "rate(events[$interval])", 59, &[("points", "1000")]);
    let rates = &drawn.lines[0].1.mean;
    assert!(rates[2..].iter().all(|rate| (8.0..12.0).contains(rate)), "{rates:?}");
}

#[test]
fn a_step_that_is_asked_for_is_taken() {
    let folder = folder();
    let file = usual(300).write(&folder, "a.parquet");
    let (asker, source) = (viewer(&[&file]), source(&file));
    for (step, seconds) in [("5", 5.0), ("1m", 60.0), ("0.5", 0.5), ("7", 7.0), ("1h", 3600.0)] {
        let drawn = drawn(&asker, "rate(cpu_usage[$interval])", 299, &[("step", step), ("points", "1000")]);
        assert_eq!(
            (drawn.number("step"), drawn.number("per"), drawn.number("interval")),
            (seconds, 1.0, 1.0)
        );
        // Steps are where they are whatever is asked for.
        assert_eq!(drawn.number("start") % seconds, 0.0);
        assert!(drawn.number("start") <= START as f64);
        check(&drawn, &*source, "rate(cpu_usage[$interval])", drawn.number("count") as usize);
    }
}

#[test]
fn a_spike_of_one_tick_is_never_lost() {
    let folder = folder();
    let level = |row| match row {
        1234 => Some(1_000_000),
        2345 => Some(-1_000_000),
        row => Some(row % 10),
    };
    let asker = viewer(&[Made::rows(3600).gauge("level", &[], level).write(&folder, "a.parquet")]);
    for points in [10, 11, 60, 100, 777, 1234, 3599, 3600, 3601, 10_000] {
        for from in [0, 1, 17, 1000, 1234] {
            let (start, end) = ((START + from).to_string(), (START + 3599).to_string());
            let points_text = points.to_string();
            let fields = [("query", "level"), ("start", &*start), ("end", &*end), ("points", &*points_text)];
            let drawn = asker.range(&fields);
            let (count, per) = (drawn.number("count") as usize, drawn.number("per") as usize);
            assert!(count <= points && per == per_lot((3600 - from) as usize, points));
            let line = drawn.line();
            let place = |row: u64| (row - from) as usize / per;
            assert_eq!(line.greatest[place(1234)], 1e6, "{points} {from}");
            assert_eq!(line.least[place(2345)], -1e6, "{points} {from}");
            assert!(
                (0..count).all(|at| line.least[at] <= line.mean[at] && line.mean[at] <= line.greatest[at])
            );
        }
    }
}

#[test]
fn what_is_not_there_is_a_gap() {
    let folder = folder();
    let asker = viewer(&[usual(60).write(&folder, "a.parquet")]);
    let line = drawn(&asker, "level", 59, &[]).line().clone();
    let gaps: Vec<_> = (0..60).filter(|&at| line.mean[at].is_nan()).collect();
    assert_eq!(gaps, (10..20).collect::<Vec<_>>());
    // Of each lot, what is there.
    let drawn = drawn(&asker, "level", 59, &[("points", "12")]);
    assert_eq!(drawn.number("per"), 5.0);
    let line = drawn.line();
    assert!((0..12).all(|at| line.mean[at].is_nan() == (2..4).contains(&at)));
    assert!(line.least[2].is_nan() && line.greatest[3].is_nan());
}

#[test]
fn nothing_outside_of_a_recording() {
    let folder = folder();
    let asker = viewer(&[usual(60).write(&folder, "a.parquet")]);
    for (start, end) in [("0", "100"), ("-100", "-50"), ("4000000000", "4000000100")] {
        let drawn = asker.range(&[("query", "level"), ("start", start), ("end", end)]);
        assert!(drawn.lines.is_empty() && drawn.header["warnings"] == json!([]));
    }
    // Half outside.
    let (start, end) = ((START - 30).to_string(), (START + 5).to_string());
    let drawn = asker.range(&[("query", "level"), ("start", &start), ("end", &end)]);
    let there: Vec<_> = drawn.line().mean.iter().filter(|value| !value.is_nan()).collect();
    assert_eq!(there.len(), 6);
}

/// By lot, the counts of its cells added up.
fn sums(drawn: &Drawn) -> BTreeMap<u32, f64> {
    let mut sums = BTreeMap::new();
    drawn.cells.iter().for_each(|(lot, _, count)| *sums.entry(*lot).or_default() += count);
    sums
}

#[test]
fn cells_of_a_heatmap_add_up_to_the_counts() {
    let folder = folder();
    let file = usual(200).write(&folder, "a.parquet");
    let (asker, source) = (viewer(&[&file]), source(&file));
    for query in ["latency", "latency{op=\"read\"}", "increase(latency[$interval])", "sum(rate(latency[5s]))"]
    {
        for points in ["10", "30", "1000"] {
            let drawn = drawn(&asker, query, 199, &[("points", points)]);
            assert_eq!((&drawn.header["kind"], drawn.lines.len()), (&json!("heatmap"), 0));
            let per = drawn.number("per") as usize;
            let counts = evaluated(&*source, &drawn, &format!("sum(histogram_count({query}))"), 200);
            let counts = counts.values().next().unwrap();
            let means = reduce(counts, per).mean;
            let sums = sums(&drawn);
            for (lot, &mean) in means.iter().enumerate() {
                let sum = sums.get(&(lot as u32)).copied().unwrap_or_default();
                let mean = if mean.is_nan() { 0.0 } else { mean };
                assert!((sum - mean).abs() <= 1e-9 * mean.abs(), "{query} {points}: {lot}: {sum} {mean}");
            }
            let bounds: Vec<f64> = serde_json::from_value(drawn.header["bounds"].clone()).unwrap();
            assert!(bounds.is_sorted() && bounds[0] >= 0.0);
            let buckets: Vec<_> = drawn.cells.iter().map(|cell| cell.1 as usize).collect();
            assert_eq!((buckets.iter().min(), buckets.iter().max()), (Some(&0), Some(&(bounds.len() - 2))));
            let greatest = drawn.cells.iter().map(|cell| cell.2).fold(0.0, f64::max);
            assert_eq!(drawn.number("greatest"), greatest);
        }
    }
}

#[test]
fn buckets_are_where_they_were_counted() {
    let folder = folder();
    let counts = |row: u64| {
        let mut counts = vec![0; 36];
        (counts[3], counts[9]) = (row, 2 * row);
        Some(counts)
    };
    let asker = viewer(&[Made::rows(10).histogram("latency", &[], counts).write(&folder, "a.parquet")]);
    let drawn = drawn(&asker, "latency", 9, &[]);
    let bounds: Vec<f64> = serde_json::from_value(drawn.header["bounds"].clone()).unwrap();
    // 3 alone; 10 and 11 together.
    let of = |bucket: usize| (bounds[bucket], bounds[bucket + 1]);
    let cells: Vec<_> = drawn.cells.iter().filter(|cell| cell.0 == 4).collect();
    assert_eq!(cells.len(), 2);
    let (few, many) = (of(cells[0].1 as usize), of(cells[1].1 as usize));
    assert!(few.0 <= 3.0 && few.1 >= 3.0 && few.1 <= 4.0, "{few:?}");
    assert!(many.0 <= 10.0 && many.1 >= 11.0 && many.1 - many.0 == 2.0, "{many:?}");
    assert_eq!((cells[0].2, cells[1].2), (4.0, 8.0));
}

#[test]
fn a_format_that_does_not_fit_is_an_error_that_says_so() {
    let folder = folder();
    let asker = viewer(&[usual(30).write(&folder, "a.parquet")]);
    let (start, end) = (START.to_string(), (START + 20).to_string());
    let ask = |query: &str, more: &[(&str, &str)]| {
        let fields = [&[("query", query), ("start", &*start), ("end", &*end)], more].concat();
        asker.get(&form("/view/range", &fields))
    };
    assert!(ask("latency", &[("format", "series")]).refusal(400).contains("histogram_quantile()"));
    assert!(ask("level", &[("format", "heatmap")]).refusal(400).contains("numbers"));
    assert!(ask("level", &[("quantiles", "0.5")]).refusal(400).contains("numbers"));
    // Nothing is a heatmap of nothing.
    let drawn = Drawn::read(&ask("nothing", &[("format", "heatmap")]).body);
    assert_eq!((&drawn.header["kind"], drawn.cells.len()), (&json!("heatmap"), 0));
    assert_eq!(drawn.header["bounds"], json!([]));
}

#[test]
fn quantiles_are_those_of_the_engine() {
    let folder = folder();
    let file = usual(200).write(&folder, "a.parquet");
    let (asker, source) = (viewer(&[&file]), source(&file));
    let quantiles = ["0.5", "0.99", "0", "1", "0.123"];
    let list = quantiles.join(",");
    let rate = "rate(latency[$interval])";
    let by = "sum by (op) (rate(latency[10s]))";
    let third = "histogram_quantile($quantile, sum(rate(latency[5s])))";
    let scaled = "histogram_quantile($quantile, sum by (op) (rate(latency[5s]))) / 1000";
    for (query, plain) in [
        ("latency", "histogram_quantile($quantile, latency)".into()),
        (rate, format!("histogram_quantile($quantile, {rate})")),
        (by, format!("histogram_quantile($quantile, {by})")),
        (third, third.into()),
        (scaled, scaled.to_string()),
    ] {
        for points in ["20", "1000"] {
            let drawn = drawn(&asker, query, 199, &[("quantiles", &list), ("points", points)]);
            let mut found = 0;
            for quantile in quantiles {
                let expected = evaluated(&*source, &drawn, &plain.replace("$quantile", quantile), 200);
                for (mut labels, line) in expected {
                    labels.insert("quantile".into(), quantile.into());
                    let at = drawn.lines.iter().position(|(known, _)| *known == labels);
                    let Line { mean, least, greatest } =
                        &drawn.lines[at.unwrap_or_else(|| panic!("{labels:?}"))].1;
                    let lots = reduce(&line, drawn.number("per") as usize);
                    assert!(same(mean, &lots.mean), "{query} {labels:?}: {mean:?} {:?}", lots.mean);
                    assert!(same(least, &lots.least) && same(greatest, &lots.greatest));
                    found += 1;
                }
            }
            assert_eq!(drawn.lines.len(), found, "{query}");
        }
    }
}

use super::ask::Line;

#[test]
fn without_quantiles_the_variable_is_the_median() {
    let folder = folder();
    let file = usual(100).write(&folder, "a.parquet");
    let (asker, source) = (viewer(&[&file]), source(&file));
    let drawn = drawn(&asker, "histogram_quantile($quantile, latency)", 99, &[]);
    check(&drawn, &*source, "histogram_quantile(0.5, latency)", 100);
}

#[test]
fn the_total_is_the_sum_of_each_step() {
    let folder = folder();
    let asker = viewer(&[usual(120).write(&folder, "a.parquet")]);
    let query = "{__name__=~\"level|cpu_usage\"}";
    let each = drawn(&asker, query, 119, &[]);
    let sum =
        |at: usize| each.lines.iter().map(|(_, line)| line.mean[at]).filter(|value| !value.is_nan()).sum();
    let sums: Vec<f64> = (0..120).map(sum).collect();
    for points in ["10", "50", "1000"] {
        let drawn = drawn(&asker, query, 119, &[("total", "1"), ("points", points)]);
        assert_eq!(drawn.lines.len(), each.lines.len() + 1);
        let (labels, total) = drawn.lines.last().unwrap();
        assert!(labels.is_empty());
        let lots = reduce(&sums, drawn.number("per") as usize);
        assert!(same(&total.greatest, &lots.greatest) && same(&total.least, &lots.least));
        assert!(same(&total.mean, &lots.mean));
    }
    // Where nothing is, nothing is the sum.
    let gap = drawn(&asker, "level", 59, &[("total", "1")]);
    assert!(gap.lines[1].1.mean[15].is_nan() && !gap.lines[1].1.mean[25].is_nan());
    assert_eq!(drawn(&asker, "level", 59, &[("total", "0")]).lines.len(), 1);
}

#[test]
fn errors_say_where_they_are() {
    let folder = folder();
    let asker = viewer(&[usual(30).write(&folder, "a.parquet")]);
    let ask =
        |query: &str| asker.get(&form("/view/range", &[("query", query), ("start", "0"), ("end", "10")]));
    let place = |query: &str| {
        let reply = ask(query);
        reply.refusal(400);
        let said = reply.json();
        let range = said["range"].as_array().unwrap_or_else(|| panic!("{query}: {said}"));
        let range = range[0].as_u64().unwrap() as usize..range[1].as_u64().unwrap() as usize;
        query.get(range.clone()).unwrap_or_else(|| panic!("{query}: {range:?}")).to_string()
    };
    assert_eq!(place("rate(level)"), "level");
    assert_eq!(place("sum(nofunction(level))"), "nofunction");
    assert_eq!(
        place("level{a=~\"(\"}").replace(' ', ""),
        "level{a=~\"(\"}".get(6..).map_or("", |t| &t[..t.len() - 1])
    );
    // Before and behind what is filled in, and that itself.
    assert_eq!(place("nofunction(level[$interval])"), "nofunction");
    assert_eq!(place("rate(cpu_usage[$interval]) + nofunction(level)"), "nofunction");
    assert_eq!(place("é + rate(cpu_usage[$interval]) + ~ level"), "é");
    assert_eq!(place("sum(level offset $quantile\n) + \nnofunction(level[$interval])"), "nofunction");
    let after = ask("rate(cpu_usage[$interval]) +\n nofunction(level)").refusal(400);
    assert!(after.starts_with("2:2: parse error") && after.contains("nofunction"), "{after}");
    for query in ["", "sum(", "level[5m]", "\"text\"", "level level", "{}", "é", "level[$intervals]"] {
        let reply = ask(query);
        assert!(!reply.refusal(400).is_empty(), "{query}");
        if let Some(range) = reply.json()["range"].as_array() {
            assert!(
                range[0].as_u64() <= range[1].as_u64() && range[1].as_u64() <= Some(query.len() as u64),
                "{query}"
            );
        }
    }
    assert_eq!(ask("sum(").json()["errorType"], "bad_data");
}

#[test]
fn what_is_wrong_with_a_parameter_is_said() {
    let folder = folder();
    let asker = viewer(&[usual(30).write(&folder, "a.parquet")]);
    let right = [("query", "level"), ("start", "0"), ("end", "10")];
    let ask = |name: &str, value: &str| {
        let mut fields: Vec<_> = right.iter().copied().filter(|(known, _)| *known != name).collect();
        fields.push((name, value));
        asker.get(&form("/view/range", &fields))
    };
    for (name, wrong, said) in [
        ("start", "", "start"),
        ("start", "yesterday", "start"),
        ("start", "NaN", "start"),
        ("start", "1e300", "start"),
        ("start", "11", "before the start"),
        ("end", "inf", "end"),
        ("end", "-1", "before the start"),
        ("points", "0", "points"),
        ("points", "9", "points"),
        ("points", "10001", "points"),
        ("points", "-5", "points"),
        ("points", "many", "points"),
        ("points", "99999999999999999999999", "points"),
        ("step", "x", "duration"),
        ("step", "1e300", "duration"),
        ("step", "NaN", "duration"),
        ("step", "0", "step"),
        ("step", "-1", "step"),
        ("format", "pie", "format"),
        ("input", "nobody", "nobody"),
        ("quantiles", "x", "quantiles"),
        ("quantiles", "0.5,2", "quantiles"),
        ("quantiles", "NaN", "quantiles"),
        ("quantiles", "0.5,-1", "quantiles"),
    ] {
        let why = ask(name, wrong).refusal(400);
        assert!(why.contains(said), "{name}={wrong}: {why}");
    }
    assert_eq!(ask("points", "").status, 200);
}

#[test]
fn steps_that_are_too_many_are_refused() {
    let folder = folder();
    let asker = viewer(&[usual(30).write(&folder, "a.parquet")]);
    let fields = [("query", "level"), ("start", "0"), ("end", "4000000000"), ("step", "0.001")];
    let reply = asker.get(&form("/view/range", &fields));
    assert!(reply.refusal(422).contains("larger step"), "{}", reply.text());
    // Without a step it is as large as it has to be.
    let drawn = asker.range(&fields[..3]);
    assert!(drawn.number("count") <= 1000.0 && drawn.number("step") >= 4e6);
}

/// In which bucket a value is that has its own, or is one of those between powers of two.
fn bucket(grouping_power: u8, value: u64) -> usize {
    let power = u64::from(grouping_power);
    match u64::from(value.max(1).ilog2()).checked_sub(power) {
        None | Some(0) => value as usize,
        Some(k) => (((k + 1) << power) + ((value >> k) - (1 << power))) as usize,
    }
}

#[test]
fn histograms_of_other_buckets_are_added_up_where_they_belong() {
    let folder = folder();
    let counted = |grouping_power: u8, rows: std::ops::Range<u64>| {
        move |made: Made| {
            made.histogram_of(grouping_power, "latency", &[], |row| {
                let mut counts = vec![0; bucket(grouping_power, 100) + 1];
                (counts[3], counts[bucket(grouping_power, 100)]) = (row, 2 * row);
                rows.contains(&row).then_some(counts)
            })
        }
    };
    let a = counted(2, 0..20)(Made::rows(20)).write(&folder, "a.parquet");
    // It was given other buckets midway.
    let b = counted(5, 10..20)(counted(3, 0..10)(Made::rows(20))).write(&folder, "b.parquet");
    for inputs in [[&a, &b], [&b, &a]] {
        let asker = viewer(&[format!("x={}", inputs[0]), format!("y={}", inputs[1])]);
        let drawn = drawn(&asker, "latency", 19, &[]);
        let bounds: Vec<f64> = serde_json::from_value(drawn.header["bounds"].clone()).unwrap();
        assert!(bounds.is_sorted());
        for row in 1..20 {
            let within = |low: f64, high: f64| {
                let cells = drawn.cells.iter().filter(|cell| u64::from(cell.0) == row);
                let reach = |bucket: u32| (bounds[bucket as usize], bounds[bucket as usize + 1]);
                let cells = cells.filter(|cell| low <= reach(cell.1).0 && reach(cell.1).1 <= high);
                cells.map(|cell| cell.2).sum::<f64>()
            };
            let counts = (within(2.0, 4.0), within(95.0, 112.0), within(0.0, f64::MAX));
            assert_eq!(counts, (2.0 * row as f64, 4.0 * row as f64, 6.0 * row as f64), "{row}: {bounds:?}");
        }
    }
}

//! What is evaluated in parts is what it is in one piece.

use rezolus_modes::query;

use super::ask::{Drawn, viewer};
use super::made::{Made, START, folder};
use super::range::check;

fn made(rows: u64) -> Made {
    let jagged = |row: u64| row * 5 + (row * 7919) % 13;
    // Goes back to zero now and then.
    let restarted = move |row: u64| (row % 100 != 99).then(|| jagged(row % 3500));
    let counts = |row: u64| Some(vec![row, 0, row * 2, 0, (row * 31) % 17 + row * 3, 0, 0, 0, row / 5]);
    Made::rows(rows)
        .counter("events", &[("id", "0")], move |row| Some(jagged(row)))
        .counter("events", &[("id", "1")], restarted)
        .gauge("level", &[], |row| (row % 50 != 7).then_some(row * row % 1009))
        .gauge("late", &[], |row| (row > 6000).then_some(row))
        .histogram("latency", &[], counts)
}

const QUERIES: [&str; 14] = [
    "events",
    "rate(events[$interval])",
    "rate(events[30s])",
    "increase(events[10m])",
    "sum(irate(events[5s]))",
    "max_over_time(level[7m])",
    "level offset 5m",
    "late",
    "avg_over_time(rate(events[5s])[1m:3s])",
    "level - level @ end()",
    "rate(events[5s] @ end())",
    "level > range() / 100",
    "sum_over_time(level[range()])",
    "histogram_quantile(0.9, rate(latency[$interval]))",
];

#[test]
fn of_several_row_groups() {
    let folder = folder();
    for (name, group_rows) in [("a", 4500), ("b", 8200), ("c", 1 << 20)] {
        let file = made(9900).grouped(group_rows).write(&folder, name);
        let (asker, source) = (viewer(&[&file]), query::open(&file, &query::Options::default()).unwrap());
        for query in QUERIES {
            for (first, last, points) in [(0, 9899, "10000"), (4300, 8700, "500")] {
                let (start, end) = ((START + first).to_string(), (START + last).to_string());
                let fields = [("query", query), ("start", &*start), ("end", &*end), ("points", points)];
                let drawn = asker.range(&fields);
                check(&drawn, &*source, query, (last - first + 1) as usize);
            }
        }
    }
}

#[test]
fn heatmaps_and_quantiles_and_totals_too() {
    let folder = folder();
    let inputs =
        [made(9900).grouped(4500).write(&folder, "a"), made(9900).grouped(1 << 20).write(&folder, "b")];
    let (start, end) = (START.to_string(), (START + 9899).to_string());
    let span = [("start", &*start), ("end", &*end)];
    let of = |file: &String, more: &[(&str, &str)]| -> Drawn {
        viewer(&[file]).range(&[&span[..], more].concat())
    };
    for more in [
        &[("query", "rate(latency[$interval])"), ("points", "300")][..],
        &[("query", "latency"), ("points", "10000")],
        &[("query", "rate(latency[5s])"), ("quantiles", "0.5,0.99"), ("points", "700")],
        &[("query", "histogram_quantile($quantile, rate(latency[5s])) + 1"), ("quantiles", "0.5,0.99")],
        &[("query", "rate(events[$interval])"), ("total", "1")],
    ] {
        let (parts, whole) = (of(&inputs[0], more), of(&inputs[1], more));
        assert_eq!(parts.header, whole.header, "{more:?}");
        assert_eq!(parts.cells, whole.cells, "{more:?}");
        assert!(!parts.lines.is_empty() || !parts.cells.is_empty());
        for ((_, a), (_, b)) in parts.lines.iter().zip(&whole.lines) {
            assert!(super::range::same(&a.mean, &b.mean), "{more:?}");
            assert!(super::range::same(&a.greatest, &b.greatest), "{more:?}");
        }
    }
}

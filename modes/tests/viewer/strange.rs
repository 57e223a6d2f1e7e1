//! Whatever is asked is answered or refused.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use super::ask::{Drawn, form, viewer};
use super::made::{START, folder, usual};

const TIMES: [&str; 18] = [
    "",
    "0",
    "-0",
    "1795341600",
    "1795341630.5",
    "1795341659",
    "NaN",
    "inf",
    "-inf",
    "1e300",
    "-1e300",
    "1e9",
    "4611686018",
    "-4611686018",
    "4611686018.427",
    "9223372036.854",
    "2026-11-22T10:00:00Z",
    "-292273086-05-16T16:47:06Z",
];
const LENGTHS: [&str; 14] = [
    "",
    "0",
    "-1",
    "1",
    "0.001",
    "1e-9",
    "9e9",
    "9223372036",
    "4611686018",
    "1e300",
    "NaN",
    "inf",
    "290y",
    "1m30s",
];
const COUNTS: [&str; 10] =
    ["", "0", "-1", "10", "1000", "10000", "10001", "1e3", "NaN", "18446744073709551616"];
const QUERIES: [&str; 22] = [
    "",
    "level",
    "latency",
    "rate(latency[$interval])",
    "rate(cpu_usage[$interval])",
    "histogram_quantile($quantile, latency)",
    "$quantile",
    "$interval",
    "level[$interval]",
    "level offset 290y",
    "level[290y]",
    "rate(level[290y:1ms])",
    "level @ 1e300",
    "level @ end()",
    "sum(",
    "-latency",
    "latency * -1",
    "label_replace(level, \"__name__\", \"\", \"\", \"\")",
    "{__name__=~\".+\"}",
    "\"$interval",
    "\u{0}",
    "é$intervalé",
];

#[test]
fn nothing_that_is_asked_is_a_panic() {
    let folder = folder();
    let asker = viewer(&[usual(60).write(&folder, "a.parquet")]);
    let formats = select(&["", "series", "heatmap", "x"][..]);
    let quantiles = select(&["", "0.5", "0,1,0.5", ",", "NaN", "1e-300"][..]);
    let (times, totals) = (|| select(&TIMES[..]), select(&["", "1", "x"][..]));
    let (lengths, counts, queries) = (select(&LENGTHS[..]), select(&COUNTS[..]), select(&QUERIES[..]));
    let all = (times(), times(), lengths, counts, queries, formats, quantiles, totals);
    let check = |(start, end, step, points, query, format, quantiles, total)| {
        let fields = [
            ("start", start),
            ("end", end),
            ("step", step),
            ("points", points),
            ("query", query),
            ("format", format),
            ("quantiles", quantiles),
            ("total", total),
        ];
        let reply = asker.get(&form("/view/range", &fields));
        let code = reply.status.as_u16();
        if code == 200 {
            Drawn::read(&reply.body);
            return Ok(());
        }
        let why = reply.refusal(code);
        prop_assert!(matches!(code, 400 | 422) && !why.contains("without an answer"), "{}", why);
        Ok(())
    };
    let config = Config { cases: 1500, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&all, check).unwrap();
}

#[test]
fn differences_of_strange_times() {
    let folder = folder();
    let file = usual(60).write(&folder, "a.parquet");
    let asker = viewer(&[format!("a={file}"), format!("b={file}")]);
    for start in TIMES {
        for end in TIMES {
            for offset in ["", "0.001", "-1", "9e9", "1e300", "NaN", "inf"] {
                let fields = [("start", start), ("end", end), ("offset", offset)];
                let reply = asker.get(&form("/view/differences", &fields));
                if reply.status != 200 {
                    let why = reply.refusal(reply.status.as_u16());
                    assert!(!why.contains("without an answer"), "{fields:?}");
                    assert!(reply.status.as_u16() < 500, "{fields:?}: {why}");
                }
            }
        }
    }
}

#[test]
fn a_long_query() {
    let folder = folder();
    let asker = viewer(&[usual(60).write(&folder, "a.parquet")]);
    let (start, end) = (START.to_string(), (START + 20).to_string());
    for query in [
        "level + ".repeat(8000) + "level",
        "(".repeat(32_000) + &")".repeat(32_000),
        "-".repeat(64_000) + "1",
        "sum(".repeat(16_000),
        "$interval".repeat(7000),
        "a".repeat(64_000),
        format!("level{{a=\"{}\"}}", "é".repeat(32_000)),
    ] {
        let body = form("", &[("query", &query), ("start", &start), ("end", &end)]);
        let mut request = super::ask::request("POST", "/view/range", body[1..].to_string());
        request.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        let reply = asker.ask(request);
        let code = reply.status.as_u16();
        assert!(matches!(code, 200 | 400 | 422), "{code}: {}", &query[..20]);
        if code != 200 {
            assert!(!reply.refusal(code).contains("without an answer"), "{}", &query[..20]);
        }
    }
}

//! What differs between two spans.

use serde_json::{Value, json};

use super::ask::{Asker, form, viewer};
use super::made::{Made, START, folder};

/// Of the last 50 seconds, B read so many seconds later.
fn compared(asker: &Asker, offset: &str) -> Value {
    let (start, end) = ((START + 10).to_string(), (START + 60).to_string());
    asker.told(&form("/view/differences", &[("start", &start), ("end", &end), ("offset", offset)]))
}

fn near(value: &Value, expected: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - expected).abs() < 1e-6 * expected.abs())
}

/// The rows of this metric.
fn rows<'a>(said: &'a Value, metric: &str) -> Vec<&'a Value> {
    said["rows"].as_array().unwrap().iter().filter(|row| row["metric"] == metric).collect()
}

#[test]
fn rates_means_and_quantiles() {
    let folder = folder();
    let user = |id| [("state", "user"), ("id", id), ("sampler", "cpu_usage"), ("unit", "nanoseconds")];
    let made = |scale: u64| {
        let counts = move |row: u64| {
            let mut counts = vec![0; 36];
            // 3 in A, 9 in B.
            counts[(scale * 3) as usize] = row * 10;
            Some(counts)
        };
        Made::rows(100)
            .counter("cpu_usage", &user("0"), move |row| Some(row * 3 * scale))
            .counter("cpu_usage", &user("1"), move |row| Some(row * scale))
            .counter("still", &[], |_| Some(7))
            .counter("even", &[], Some)
            .gauge("level", &[("id", "0")], move |_| Some(10))
            .gauge("level", &[("id", "1")], move |_| Some(10 * scale as i64))
            .histogram("latency", &[("op", "read")], counts)
    };
    let a = made(1)
        .counter("before", &[("why", "é \"x\"\\\u{1b}")], |row| Some(row * 2))
        .write(&folder, "a.parquet");
    let b = made(3).gauge("after", &[], |_| Some(5)).write(&folder, "b.parquet");
    let asker = viewer(&[a, b]);
    let said = compared(&asker, "");
    assert_eq!(said["truncated"], false);
    let only = |metric: &str| {
        let found = rows(&said, metric);
        assert_eq!(found.len(), 1, "{metric}: {said}");
        found[0].clone()
    };
    let usage = only("cpu_usage");
    assert_eq!(
        (&usage["of"], &usage["type"], &usage["unit"]),
        (&json!("rate"), &json!("counter"), &json!("nanoseconds"))
    );
    assert_eq!(usage["labels"], json!({"state": "user"}));
    assert!(near(&usage["a"], 4.0) && near(&usage["b"], 12.0), "{usage}");
    let level = only("level");
    assert_eq!((&level["of"], &level["labels"]), (&json!("mean"), &json!({})));
    assert!(near(&level["a"], 10.0) && near(&level["b"], 20.0), "{level}");
    let latency = only("latency");
    assert_eq!((&latency["of"], &latency["labels"]), (&json!("p99"), &json!({"op": "read"})));
    let within =
        |value: &Value, low: f64, high: f64| value.as_f64().is_some_and(|v| (low..=high).contains(&v));
    assert!(within(&latency["a"], 2.0, 4.0) && within(&latency["b"], 8.0, 12.0), "{latency}");
    // What never happened is nothing to tell.
    assert!(rows(&said, "still").is_empty());
    let (before, after) = (only("before"), only("after"));
    assert!(near(&before["a"], 2.0) && before["b"].is_null() && before["labels"]["why"] == "é \"x\"\\\u{1b}");
    assert!(after["a"].is_null() && near(&after["b"], 5.0));
    // What differs most comes first, what is on one side only last.
    let order: Vec<_> =
        said["rows"].as_array().unwrap().iter().map(|row| row["metric"].as_str().unwrap()).collect();
    assert_eq!(
        order[..2].iter().collect::<std::collections::BTreeSet<_>>(),
        ["cpu_usage", "latency"].iter().collect()
    );
    assert_eq!(order[2..4], ["level", "even"]);
    assert_eq!(order.len(), 6);
}

#[test]
fn b_is_read_at_another_time() {
    let folder = folder();
    let file =
        Made::rows(200).gauge("level", &[], |row| Some(if row < 100 { 2 } else { 8 })).write(&folder, "x");
    let asker = viewer(&[format!("a={file}"), format!("b={file}")]);
    for (offset, b) in [("0", 2.0), ("120", 8.0), ("-5", 2.0)] {
        let said = compared(&asker, offset);
        assert!(near(&said["rows"][0]["a"], 2.0) && near(&said["rows"][0]["b"], b), "{offset}: {said}");
    }
    // Where B has nothing.
    let said = compared(&asker, "1e6");
    assert!(near(&said["rows"][0]["a"], 2.0) && said["rows"][0]["b"].is_null());
    let get = |fields: &[(&str, &str)]| asker.get(&form("/view/differences", fields)).refusal(400);
    assert!(get(&[("start", "0"), ("end", "1"), ("offset", "x")]).contains("offset"));
    assert!(get(&[("start", "0"), ("end", "1"), ("offset", "NaN")]).contains("offset"));
    assert!(get(&[("start", "x"), ("end", "1")]).contains("start"));
    assert!(get(&[("start", "0")]).contains("end"));
    assert!(get(&[("start", "10"), ("end", "1")]).contains("before the start"));
}

#[test]
fn not_more_than_can_be_looked_at() {
    let folder = folder();
    let group = |made: Made, number: i64| {
        made.gauge("cgroup_level", &[("name", &format!("/x{number}"))], move |_| Some(number + 1))
    };
    let made = |first: i64| (first..first + 2100).fold(Made::rows(70), group);
    let asker = viewer(&[made(0).write(&folder, "a"), made(100).write(&folder, "b")]);
    let said = compared(&asker, "");
    assert_eq!((said["rows"].as_array().unwrap().len(), &said["truncated"]), (2000, &json!(true)));
    assert!(said["rows"].as_array().unwrap().iter().all(|row| !row["a"].is_null() && row["a"] == row["b"]));
}

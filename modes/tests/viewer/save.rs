//! What is saved can be opened again, and is what was selected.

use std::path::Path;
use std::time::Duration;

use rezolus_modes::query;
use rezolus_modes::recording::Recording;
use rezolus_modes::viewer::Options;
use rezolus_store::Sample;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ask::{Asker, viewer, with};
use super::made::{Made, SECOND, START, exporter, folder, log, usual};

/// Where it was saved, and the name it is to have.
fn saved(asker: &Asker, folder: &TempDir, wanted: &Value) -> (String, String) {
    let reply = asker.post_json("/view/save", wanted);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.headers["content-type"], "application/vnd.apache.parquet");
    assert_eq!(reply.headers["content-length"], reply.body.len().to_string());
    let name = reply.headers["content-disposition"].to_str().unwrap();
    let name = name.strip_prefix("attachment; filename=\"").unwrap().strip_suffix('"').unwrap();
    let path = folder.path().join("saved");
    std::fs::write(&path, &reply.body).unwrap();
    (path.to_str().unwrap().into(), name.into())
}

fn open(path: &str) -> Recording {
    Recording::open(Path::new(path)).unwrap_or_else(|error| panic!("{error}"))
}

/// The series, in the order of labels, with their samples.
fn samples(path: &str) -> Vec<(String, Vec<(i64, Sample)>)> {
    let source = query::open(path, &query::Options::default()).unwrap();
    let all = source.select(&[], i64::MIN, i64::MAX).unwrap();
    let mut all: Vec<_> =
        all.iter().map(|one| (one.labels.to_string(), one.samples.iter().collect())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn times(path: &str) -> Vec<u64> {
    open(path).timestamps().iter().map(|time| time / SECOND - START).collect()
}

#[test]
fn a_span_of_a_recording() {
    let folder = folder();
    let file = usual(100).grouped(30).key("mine", "1").write(&folder, "my run.parquet");
    let asker = viewer(&[&file]);
    let start = START as f64;
    let (path, name) = saved(&asker, &folder, &json!({"start": start + 25.0, "end": start + 70.0}));
    assert_eq!(name, "my-run-saved.parquet");
    assert_eq!(times(&path), (25..=70).collect::<Vec<_>>());
    let (all, part) = (samples(&file), samples(&path));
    assert_eq!((all.len(), part.len()), (6, 6));
    let within = |time: i64| (25..=70).contains(&(time / SECOND as i64 - START as i64));
    for ((labels, all), (saved, part)) in all.into_iter().zip(part) {
        let all: Vec<_> = all.into_iter().filter(|(time, _)| within(*time)).collect();
        assert_eq!(labels, saved);
        // Compared as text: the mark of a gap is NaN.
        assert_eq!(format!("{all:?}"), format!("{part:?}"), "{labels}");
    }
    let recording = open(&path);
    assert_eq!((recording.key("mine"), recording.key("rezolus.notes")), (Some("1"), None));
    // Between two rows.
    let (path, _) = saved(&asker, &folder, &json!({"start": start + 25.5, "end": start + 28.5}));
    assert_eq!(times(&path), [26, 27, 28]);
}

#[test]
fn all_of_a_recording() {
    let folder = folder();
    // As clocks are: no second is a whole one, and seconds as JSON has them are not exact.
    for fraction in [1, 119, 123_456_789, 500_000_077, 999_999_999] {
        let times = (0..10).map(|row| START * SECOND + row * SECOND + fraction + row * 1001);
        let file = Made::at(times).gauge("level", &[], Some).write(&folder, "a.parquet");
        let asker = viewer(&[&file]);
        let state = asker.state()["inputs"][0].clone();
        for wanted in [json!({}), json!({"start": state["start"], "end": state["end"]})] {
            let (path, _) = saved(&asker, &folder, &wanted);
            assert_eq!(open(&path).timestamps(), open(&file).timestamps(), "{fraction}");
        }
    }
}

#[test]
fn events_and_notes_are_in_it() {
    let folder = folder();
    let before = json!({"events": [{"timestamp": START * SECOND, "description": "before"}]});
    let asker = viewer(&[usual(60).key("events", before).write(&folder, "a.parquet")]);
    let start = START as f64;
    let notes =
        json!({"version": 1, "cells": [{"type": "text", "text": "# \"x\" = é\n"}], "more": [1.5, null]});
    let happened = [
        json!({"timestamp": start + 5.0, "description": "deploy = now"}),
        json!({"timestamp": start + 6.5, "description": "é\n2"}),
    ];
    let (path, _) = saved(&asker, &folder, &json!({"input": "a", "events": happened, "notes": notes}));
    let about = viewer(&[&path]).told("/view/input/0/about");
    assert_eq!(about["notes"], notes);
    let told: Vec<_> = about["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["timestamp"].as_f64().unwrap() - start, event["description"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(0.0, "before"), (5.0, "deploy = now"), (6.5, "é\n2")]);
    assert_eq!(times(&path).len(), 60);
    // Saved again, they stay; other notes take the place of these.
    let again = viewer(&[&path]);
    let (path, _) = saved(&again, &folder, &json!({"notes": {"version": 2}}));
    let about = viewer(&[&path]).told("/view/input/0/about");
    assert_eq!((&about["notes"], about["events"].as_array().unwrap().len()), (&json!({"version": 2}), 3));
}

#[test]
fn of_a_log() {
    let (logs, folder) = (folder(), folder());
    let _log = log(&logs, 50);
    let asker = viewer(&[format!("now={}", logs.path().display())]);
    let start = START as f64;
    let event = json!({"timestamp": start + 12.0, "description": "x"});
    let wanted =
        json!({"start": start + 10.0, "end": start + 19.0, "events": [event], "notes": {"version": 1}});
    let (path, _) = saved(&asker, &folder, &wanted);
    assert_eq!(times(&path), (10..20).collect::<Vec<_>>());
    let all = samples(&path);
    assert_eq!(all.len(), 2);
    let at = |row: i64, value: i64| ((START as i64 + row) * SECOND as i64, Sample::Float(value as f64));
    let expected = |scale: i64| (10..20).map(|row| at(row, row * scale)).collect::<Vec<_>>();
    assert!(all[0].0.contains("events") && all[0].1 == expected(2), "{:?}", all[0]);
    assert!(all[1].0.contains("level") && all[1].1 == expected(1), "{:?}", all[1]);
    let about = viewer(&[&path]).told("/view/input/0/about");
    assert_eq!((&about["notes"], &about["events"][0]["description"]), (&json!({"version": 1}), &json!("x")));
}

#[test]
fn of_an_agent() {
    let folder = folder();
    let mut options = Options::default();
    options.query.interval = Duration::from_millis(20);
    let asker = with(&[format!("me={}", exporter())], options).unwrap();
    let end = || asker.state()["inputs"][0]["end"].as_f64().unwrap();
    let first = end();
    while end() < first + 0.2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (path, _) = saved(&asker, &folder, &json!({"end": first + 0.1, "notes": {"version": 1}}));
    let recording = open(&path);
    assert!(recording.rows() >= 1 && recording.timestamps().last() <= Some(&(((first + 0.1) * 1e9) as u64)));
    assert!(samples(&path).iter().any(|(labels, _)| labels.contains("asked")));
    assert_eq!(recording.key("rezolus.notes"), Some("{\"version\":1}"));
}

#[test]
fn what_cannot_be_saved_is_an_error() {
    let (logs, folder) = (folder(), folder());
    let _log = log(&logs, 10);
    let inputs = [usual(30).write(&folder, "a.parquet"), format!("log={}", logs.path().display())];
    let options = Options { folder: folder.path().into(), ..Options::default() };
    let asker = with(&inputs, options).unwrap();
    let start = START as f64;
    for input in ["a", "log"] {
        for (from, to) in [(-1e9, -1.0), (100.0, 1e9), (5.2, 5.8), (9.0, 3.0), (1e300, 1e301)] {
            let reply = asker
                .post_json("/view/save", &json!({"input": input, "start": start + from, "end": start + to}));
            assert!(!reply.refusal(422).is_empty());
        }
    }
    assert!(asker.post_json("/view/save", &json!({"input": "b"})).refusal(400).contains("\"b\""));
    for body in ["", "{", "[1]", "{\"start\": \"x\"}", "{\"events\": [{}]}"] {
        let mut request = super::ask::request("POST", "/view/save", body);
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        asker.ask(request).refusal(400);
    }
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["a.parquet"]);
}

#[test]
fn nothing_is_left_behind() {
    let (folder, aside) = (folder(), folder());
    let options = Options { folder: aside.path().into(), ..Options::default() };
    let asker = with(&[usual(30).write(&folder, "a.parquet")], options).unwrap();
    saved(&asker, &folder, &json!({"notes": {"version": 1}}));
    saved(&asker, &folder, &json!({}));
    // The thread that sent it is done a moment later.
    for _ in 0..500 {
        if std::fs::read_dir(aside.path()).unwrap().count() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("files are left");
}

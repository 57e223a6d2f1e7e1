//! What is open, what it says of itself, and what there is to ask for.

use serde_json::json;

use super::ask::{viewer, with};
use super::made::{Made, SECOND, START, folder, log, usual};

#[test]
fn nothing_is_open() {
    let asker = viewer::<&str>(&[]);
    let state = asker.state();
    assert_eq!(state["inputs"], json!([]));
    assert_eq!((&state["label"], &state["read_only"]), (&json!("recording"), &json!(false)));
    assert!(state["version"].is_string());
    assert_eq!(asker.told("/view/dashboards"), json!({"dashboards": []}));
    assert_eq!(asker.told("/view/metrics"), json!({"metrics": []}));
    assert!(asker.get("/view/range?query=up&start=0&end=1").refusal(400).contains("nothing is open"));
    assert!(asker.post("/view/save", "{}").status.is_client_error());
    assert!(asker.get("/view/differences?start=0&end=1").refusal(400).contains("two inputs"));
    assert!(asker.get("/view/input/0/about").refusal(404).contains("no input 0"));
}

#[test]
fn a_recording_says_what_it_is() {
    let folder = folder();
    let asker = viewer(&[usual(30).key("source", "other").write(&folder, "before.parquet")]);
    let start = START as f64;
    let input = json!({"name": "before", "title": "before.parquet", "kind": "recording", "start": start,
        "end": start + 29.0, "interval": 1.0, "series": 6, "source": "other", "error": null});
    assert_eq!(asker.state()["inputs"], json!([input]));
}

#[test]
fn a_log_says_what_it_is() {
    let folder = folder();
    let mut log = log(&folder, 20);
    let asker = viewer(&[format!("now={}", folder.path().display())]);
    let input = asker.state()["inputs"][0].clone();
    assert_eq!((&input["name"], &input["kind"], &input["series"]), (&json!("now"), &json!("log"), &json!(2)));
    assert_eq!(
        (input["start"].as_f64(), input["end"].as_f64()),
        (Some(START as f64), Some(START as f64 + 19.0))
    );
    log.finish().unwrap();
    assert_eq!(asker.told("/view/input/0/about")["file"], json!(null));
}

#[test]
fn of_two_each_series_says_whose_it_is() {
    let folder = folder();
    let one = usual(30).write(&folder, "a.parquet");
    let other = format!("after={}", usual(20).write(&folder, "b.parquet"));
    let asker = viewer(&[one, other]);
    assert_eq!(asker.names(), ["a", "after"]);
    let said = asker.told("/api/v1/label/recording/values");
    assert_eq!(said["data"], json!(["a", "after"]));
    let metrics = asker.told("/view/metrics");
    let level =
        metrics["metrics"].as_array().unwrap().iter().find(|metric| metric["name"] == "level").unwrap();
    assert_eq!((&level["series"], &level["labels"]["recording"]), (&json!(2), &json!(["a", "after"])));
    let (start, end) = (START.to_string(), (START + 25).to_string());
    let fields = [("query", "level"), ("start", &*start), ("end", &*end)];
    let drawn = asker.range(&fields);
    let names: Vec<_> = drawn.lines.iter().map(|(labels, _)| labels["recording"].as_str()).collect();
    assert_eq!(names, ["a", "after"]);
    // One of them only: as if it were alone.
    let drawn = asker.range(&[&fields[..], &[("input", "after")]].concat());
    assert!(!drawn.lines[0].0.contains_key("recording") && drawn.line().mean.len() == 26);
    let drawn = asker.range(&[("query", "level{recording=\"a\"}"), ("start", &start), ("end", &end)]);
    assert_eq!(drawn.lines[0].0["recording"], "a");
}

#[test]
fn more_than_two_or_two_of_one_name_are_refused() {
    let folder = folder();
    let a = usual(3).write(&folder, "a.parquet");
    let refused = |inputs: &[&str]| with(inputs, Default::default()).map(|_| ()).unwrap_err();
    assert!(refused(&[&a, &a]).contains("name them"));
    assert!(refused(&[&format!("x={a}"), &format!("x={a}")]).contains("name them"));
    let named: Vec<_> = ["x", "y", "z"].iter().map(|name| format!("{name}={a}")).collect();
    assert!(refused(&[&named[0], &named[1], &named[2]]).contains("3 inputs"));
    assert!(refused(&["/nowhere/x.parquet"]).contains("/nowhere/x.parquet"));
    assert_eq!(viewer(&named[..2]).names(), ["x", "y"]);
}

#[test]
fn metrics_say_where_they_come_from() {
    let folder = folder();
    let samplers = json!([{"name": "cpu_usage", "programs": [{"attached": "tp_btf sched/sched_switch"}],
        "reads": ["/proc/stat"]}]);
    let status = json!({"rezolus": {"plugins": [{"name": "cpu", "samplers": samplers}]}});
    let many = |made: Made, id: u64| made.gauge("many", &[("id", &id.to_string())], |_| Some(1));
    let made = (0..150).rev().fold(usual(3).key("rezolus.status", status), many);
    let asker = viewer(&[made.write(&folder, "a.parquet")]);
    let said = asker.told("/view/metrics");
    let metric = |name: &str| {
        let all = said["metrics"].as_array().unwrap();
        all.iter().find(|metric| metric["name"] == name).unwrap().clone()
    };
    let usage = metric("cpu_usage");
    assert_eq!(
        (&usage["type"], &usage["series"], &usage["unit"]),
        (&json!("counter"), &json!(3), &json!("nanoseconds"))
    );
    assert_eq!((&usage["help"], &usage["sampler"]), (&json!("time on the CPU"), &json!("cpu_usage")));
    assert_eq!(usage["provenance"], "tp_btf sched/sched_switch, /proc/stat");
    assert_eq!(usage["labels"]["id"], json!(["0", "1"]));
    assert_eq!(usage["labels"]["state"], json!(["system", "user"]));
    assert_eq!(
        (&metric("level")["type"], &metric("latency")["type"]),
        (&json!("gauge"), &json!("histogram"))
    );
    let numbers: Vec<_> = (0..100).map(|id| id.to_string()).collect();
    assert_eq!(metric("many")["labels"]["id"], json!(numbers));
    assert_eq!(metric("many")["series"], 150);
}

#[test]
fn a_recording_tells_what_happened_and_what_was_missed() {
    let folder = folder();
    let at = START * SECOND;
    let event = |time: serde_json::Value| json!({"timestamp": time, "description": "deploy", "kind": "note"});
    let notes = json!({"version": 1, "cells": [{"type": "text", "text": "# x"}]});
    let file = usual(30)
        .grouped(10)
        .key(
            "events",
            json!({"events": [event(json!(at)), event(json!(at.to_string())), event(json!(null))]}),
        )
        .key("rezolus.missed", json!([[at, at + 2 * SECOND, 2, "agent away"], "?"]))
        .key("rezolus.notes", &notes)
        .key("mine", "1")
        .write(&folder, "a.parquet");
    let asker = viewer(&[&file]);
    let about = asker.told("/view/input/0/about");
    let start = START as f64;
    let event = json!({"timestamp": start, "description": "deploy", "kind": "note", "source": ""});
    assert_eq!(about["events"], json!([event, event]));
    let missed = json!([{"start": start, "end": start + 2.0, "count": 2, "reason": "agent away"}]);
    assert_eq!((&about["missed"], &about["notes"]), (&missed, &notes));
    assert_eq!((&about["file"]["rows"], &about["file"]["columns"]), (&json!(30), &json!(6)));
    assert_eq!(about["file"]["bytes"], std::fs::metadata(&file).unwrap().len());
    assert_eq!((&about["systeminfo"]["hostname"], &about["status"]), (&json!("web1"), &json!(null)));
    let keys = about["file"]["keys"].as_object().unwrap();
    assert_eq!((&keys["mine"], &keys["source"]), (&json!("1"), &json!("rezolus")));
    assert!(!keys.contains_key("events") && !keys.contains_key("rezolus.notes"));
    assert!(asker.get("/view/input/1/about").refusal(404).contains("no input 1"));
}

#[test]
fn keys_that_are_no_json_are_as_none() {
    let folder = folder();
    let keys =
        ["events", "rezolus.missed", "rezolus.notes", "rezolus.status", "rezolus.dashboards", "systeminfo"];
    let made = keys.iter().fold(usual(3), |made, key| made.key(key, "{"));
    let asker =
        viewer(&[keys.iter().fold(made, |made, key| made.key(key, "[3]")).write(&folder, "a.parquet")]);
    let about = asker.told("/view/input/0/about");
    assert_eq!(
        (&about["events"], &about["missed"], &about["status"]),
        (&json!([]), &json!([]), &json!(null))
    );
    assert!(!asker.told("/view/dashboards")["dashboards"].as_array().unwrap().is_empty());
}

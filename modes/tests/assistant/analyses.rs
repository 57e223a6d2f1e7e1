//! Tools that analyse, on a machine whose tasks waited for CPUs for a while.

use rezolus_modes::assist::{Answered, Assistant, Options};
use serde_json::{Value, json};

use crate::viewer::made::{Made, folder};
use crate::{Asked, ask};

/// When it was, in rows of a second.
const TROUBLE: std::ops::Range<u64> = 200..260;
const ONSET: &str = "2026-11-22T10:03:20";

/// Two CPUs; `trouble` is when they are full. The pattern of the noise is the same each time.
fn machine(trouble: std::ops::Range<u64>) -> Made {
    let sum = move |row: u64, calm: u64, busy: u64| -> u64 {
        let each = |at: u64| if trouble.contains(&at) { busy } else { calm };
        (0..=row).map(|at| each(at) + each(at) / 50 * (at * 7919 % 5)).sum()
    };
    let usage = |id| [("sampler", "cpu_usage"), ("state", "user"), ("id", id), ("unit", "nanoseconds")];
    let (cpu, waits, frees) = (sum.clone(), sum.clone(), sum);
    Made::rows(360)
        .counter("cpu_usage", &usage("0"), {
            let cpu = cpu.clone();
            move |row| Some(cpu(row, 200_000_000, 900_000_000))
        })
        .counter("cpu_usage", &usage("1"), move |row| Some(cpu(row, 150_000_000, 900_000_000)))
        .counter("scheduler_runqueue_wait", &[("sampler", "scheduler_runqueue")], move |row| {
            Some(waits(row, 20_000_000, 6_000_000_000))
        })
        .counter("apples", &[], move |row| Some(frees(row, 1000, 1000)))
        .gauge("cpu_cores", &[("sampler", "cpu_cores")], |_| Some(2))
        .gauge("constant", &[], |_| Some(5))
}

fn asked() -> Asked {
    let folder = folder();
    let path = machine(TROUBLE).write(&folder, "trouble.parquet");
    Asked { assistant: Assistant::new(&[path], Options::default()).unwrap(), _folder: folder }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key}: {value}"))
}

fn resources(ranking: &Value) -> Vec<&str> {
    list(ranking, "ranking").iter().map(|rank| rank["resource"].as_str().unwrap()).collect()
}

#[test]
fn what_was_unusual_is_found_with_evidence_that_can_be_queried() {
    let asked = asked();
    let all = asked.ask("detect_anomalies", json!({"signals": 24}));
    let [finding] = list(&all, "findings") else { panic!("{all:#}") };
    assert!(finding["onset"].as_str().unwrap().starts_with(ONSET), "{finding:#}");
    assert_eq!((&finding["kind"], &finding["over"]), (&json!("change"), &json!(true)));
    assert!(resources(finding).contains(&"scheduler") && resources(finding).contains(&"cpu"));
    for evidence in list(finding, "evidence") {
        let (start, end) = (&evidence["onset"], &evidence["end"]);
        let shown = asked.ask("query", json!({"query": evidence["query"], "start": start, "end": end}));
        let (level, median) = (evidence["level"].as_f64().unwrap(), &list(&shown, "series")[0]["p50"]);
        assert!((median.as_f64().unwrap() / level - 1.0).abs() < 0.1, "{evidence:#} {shown:#}");
    }
    let few = asked.ask("detect_anomalies", json!({"signals": 1}));
    assert_eq!(list(&few["findings"][0], "evidence").len(), 1);
    assert!(few["findings"][0]["more"].as_u64() > Some(0));
    let other = asked.ask("detect_anomalies", json!({"resource": "TCP"}));
    assert_eq!(other["page"]["total"], 0);
    let quiet = asked.ask("detect_anomalies", json!({"end": "2026-11-22T10:03:00Z"}));
    assert_eq!(list(&quiet, "findings"), &[] as &[Value]);
    let text = asked.text("detect_anomalies", json!({"end": "2026-11-22T10:03:00Z"}));
    assert!(text.starts_with("nothing unusual in trouble from 2026-11-22T10:00:00"), "{text}");
}

#[test]
fn known_faults_are_told_with_what_shows_them() {
    let folder = folder();
    let idle = [("state", "idle"), ("id", "0")];
    let idles =
        |row| Some((0..=row).map(|at| if TROUBLE.contains(&at) { 10_000_000 } else { 1_600_000_000 }).sum());
    let path = machine(TROUBLE).counter("cpu_usage", &idle, idles).write(&folder, "trouble.parquet");
    let asked = Asked { assistant: Assistant::new(&[path], Options::default()).unwrap(), _folder: folder };
    let all = asked.ask("diagnose", json!({}));
    let [found] = list(&all, "held") else { panic!("{all:#}") };
    assert_eq!(found["diagnosis"], "scheduler/runqueue_saturation");
    let [time] = list(found, "times") else { panic!("{found:#}") };
    assert!(time["start"].as_str().unwrap().starts_with("2026-11-22T10:03:2"), "{time:#}");
    let span = json!({"query": found["query"], "start": time["start"], "end": time["end"]});
    let shown = asked.ask("query", span);
    let (max, worst) = (&list(&shown, "series")[0]["max"], &time["worst"]);
    assert!((max.as_f64().unwrap() / worst.as_f64().unwrap() - 1.0).abs() < 1e-4, "{shown:#} {time:#}");
    assert!(list(&all, "not_asked").iter().any(|one| one["diagnosis"] == "tcp/listen_overflow"), "{all:#}");
    let before = asked.text("diagnose", json!({"end": "2026-11-22T10:03:00Z"}));
    assert!(before.starts_with("no known fault in trouble from 2026-11-22T10:00:00"), "{before}");
}

#[test]
fn what_was_not_recorded_is_absent() {
    let asked = asked();
    let all = asked.ask("detect_anomalies", json!({}));
    assert!(all["absent"]["total"].as_u64() > Some(8) && list(&all["absent"], "signals").len() == 8);
    let text = asked.text("detect_anomalies", json!({}));
    assert!(
        text.contains("nothing is known of it: ") && text.contains("more: summarize tells all"),
        "{text}"
    );
    let memory = asked.ask("summarize", json!({"resource": "memory"}));
    let [memory] = list(&memory, "resources") else { panic!("{memory:#}") };
    assert!(memory.get("utilisation").is_none());
    let used = list(memory, "absent").iter().find(|one| one["signal"] == "memory_used").unwrap();
    assert!(used["reason"].as_str().unwrap().contains("memory_available"), "{used}");
}

#[test]
fn causes_of_a_span_and_of_a_symptom() {
    let asked = asked();
    let span = json!({"start": format!("{ONSET}Z"), "end": "2026-11-22T10:04:19Z"});
    let waits = "sum(rate(scheduler_runqueue_wait[$interval]))";
    for arguments in [span, json!({"symptom": waits})] {
        let found = asked.ask("find_cause", arguments.clone());
        let [first, second] = resources(&found)[..] else { panic!("{found:#}") };
        assert!([first, second].contains(&"scheduler") && [first, second].contains(&"cpu"));
        assert!(found["window"]["start"].as_str().unwrap().starts_with("2026-11-22T10:03:"));
        let candidates = list(&found, "candidates");
        assert!(candidates.iter().all(|one| one["lead_seconds"].as_f64().unwrap().abs() <= 2.0));
        assert!(candidates.iter().all(|one| !one["evidence"]["query"].as_str().unwrap().is_empty()));
        assert!(found["says"].as_str().unwrap().contains("not proof"));
        let text = asked.text("find_cause", arguments);
        assert!(text.contains("resources: ") && text.contains("not there, so nothing is known"), "{text}");
    }
    let calm = asked.ask("find_cause", json!({"symptom": "constant"}));
    assert!(calm.get("window").is_none() && calm["says"].as_str().unwrap().contains("nothing unusual"));
}

#[test]
fn spans_and_recordings_are_compared() {
    let folder = folder();
    let calm = machine(0..0).write(&folder, "calm.parquet");
    let busy = machine(0..360).write(&folder, "busy.parquet");
    let assistant = Assistant::new(&[calm, busy], Options::default()).unwrap();
    let two = Asked { assistant, _folder: folder };
    let found = two.ask("compare", json!({}));
    assert_eq!((&found["before"]["input"], &found["after"]["input"]), (&json!("calm"), &json!("busy")));
    let wait = list(&found, "changes").iter().find(|one| one["signal"] == "scheduler_waiting").unwrap();
    assert_eq!((&wait["verdict"], &wait["separation"]), (&json!("worse"), &json!(1.0)));
    assert!((wait["ratio"].as_f64().unwrap() - 300.0).abs() < 3.0, "{wait}");
    assert!(list(&found, "changes").iter().all(|one| one["signal"] != "apples"));
    let back = two.ask("compare", json!({"before": "busy", "after": "calm"}));
    assert!(list(&back, "changes").iter().any(|one| one["verdict"] == "better"));

    let asked = asked();
    let spans = json!({"before_end": "2026-11-22T10:03:00Z", "after_start": format!("{ONSET}Z"),
        "after_end": "2026-11-22T10:04:19Z"});
    let found = asked.ask("compare", spans);
    assert!(list(&found, "changes").iter().any(|one| one["signal"] == "cpu_busy"));
    assert!(asked.refusal("compare", json!({})).contains("both sides are the same"));
}

#[test]
fn what_goes_together() {
    let asked = asked();
    let found = asked.ask(
        "analyze_correlation",
        json!({"x": "sum(rate(cpu_usage[$interval]))", "y": "rate(scheduler_runqueue_wait[$interval])"}),
    );
    let [pair] = list(&found, "pairs") else { panic!("{found:#}") };
    assert_eq!(found["x"], "sum(rate(cpu_usage[2250ms]))");
    assert_eq!(pair["best"]["lag_seconds"], 0.0);
    assert!(pair["best"]["pearson"].as_f64() > Some(0.9), "{pair:#}");
    assert!(pair["says"].as_str().unwrap().contains("does not show that one causes"));
    let each = asked.ask(
        "analyze_correlation",
        json!({"x": "rate(cpu_usage[$interval])", "y": "rate(cpu_usage[$interval])", "limit": 3}),
    );
    assert_eq!((&each["page"]["total"], &each["page"]["next"]), (&json!(4), &json!(3)));
    let flat = asked.ask("analyze_correlation", json!({"x": "constant", "y": "apples"}));
    let notes = flat["notes"].to_string();
    assert!(notes.contains("is constant") && notes.contains("rate(apples[$interval])"), "{notes}");
    let refusal = asked.refusal("analyze_correlation", json!({"x": "apple", "y": "constant"}));
    assert!(refusal.contains("x: not there: apple") && refusal.contains("similar: apples"), "{refusal}");
}

#[test]
fn the_record_of_health_is_the_same_each_time_and_loses_nothing_over_pages() {
    let asked = asked();
    let folder = folder();
    let path = machine(TROUBLE).write(&folder, "trouble.parquet");
    let options = Options { most_bytes: usize::MAX, ..Options::default() };
    let unbounded = Assistant::new(&[path], options).unwrap();
    let whole = ask(&unbounded, "summarize", json!({})).unwrap().structured;
    assert_eq!(whole["schema_version"], 1);
    assert_eq!(list(&whole, "resources").len(), 9);
    let again = ask(&unbounded, "summarize", json!({})).unwrap().structured;
    assert_eq!(whole.to_string(), again.to_string());

    let entries = |health: &Value| -> Vec<String> {
        let of = |resource: &Value| {
            let kinds = ["utilisation", "saturation", "errors", "traffic", "latency", "state", "absent"];
            let all = kinds.map(|kind| resource[kind].as_array().cloned().unwrap_or_default());
            all.concat().iter().map(|one| one["signal"].as_str().unwrap().to_string()).collect::<Vec<_>>()
        };
        list(health, "resources").iter().flat_map(of).collect()
    };
    let (mut seen, mut offset, mut pages) = (Vec::new(), Some(0), 0);
    while let Some(from) = offset {
        let Answered { text, structured } =
            ask(&asked.assistant, "summarize", json!({"offset": from})).unwrap();
        assert!(text.len() + structured.to_string().len() <= 16 << 10);
        seen.extend(entries(&structured));
        offset = structured["page"]["next"].as_u64();
        pages += 1;
    }
    assert_eq!(seen, entries(&whole));
    assert!(pages > 1);
}

#[test]
fn what_is_wrong_is_said() {
    let asked = asked();
    for (tool, arguments, part) in [
        ("find_cause", json!({}), "symptom, PromQL such as"),
        ("find_cause", json!({"start": "-5s", "symptom": "up"}), "not both"),
        ("find_cause", json!({"end": "-5s"}), "say what is to be explained"),
        ("find_cause", json!({"symptom": "sum("}), "symptom: 1:5: parse error"),
        ("find_cause", json!({"symptom": "nothing"}), "symptom: not there: nothing"),
        ("find_cause", json!({"start": "2027-01-01T00:00:00Z"}), "the data are from 2026-11-22"),
        ("detect_anomalies", json!({"resource": "disk"}), "cpu, scheduler, memory, blockio"),
        ("detect_anomalies", json!({"depth": "deep"}), "`resources`, `rest`, `everything`"),
        ("detect_anomalies", json!({"end": "2020-01-01T00:00:00Z"}), "the data are from 2026-11-22"),
        ("diagnose", json!({"start": "noon"}), "start: \"noon\""),
        ("analyze_correlation", json!({"x": "constant"}), "missing field `y`"),
        ("analyze_correlation", json!({"x": "", "y": "constant"}), "x: PromQL is expected"),
        (
            "analyze_correlation",
            json!({"x": "constant", "y": "apples", "max_lag": "far"}),
            "max_lag: \"far\"",
        ),
        ("compare", json!({"before": "other"}), "no such recording here; there are trouble"),
        ("compare", json!({"after_start": "now"}), "after_start: \"now\""),
        ("summarize", json!({"start": "x"}), "start: \"x\""),
    ] {
        let refusal = asked.refusal(tool, arguments.clone());
        assert!(refusal.contains(part), "{tool} {arguments}: {refusal}");
    }
}

//! The diagnoses of the plugins in this tree, against their manifests and on made-up machines.

mod conditions;
mod manifests;

use rezolus_store::memory::Memory;
use rezolus_store::{Labels, Sample};
use serde_json::{Value, json};

use super::*;

const SECOND: i64 = 1_000_000_000;

/// A diagnosis of this condition.
fn diagnosis(id: &str, condition: &str) -> Value {
    json!({
        "id": id, "title": "A title", "severity": "warning", "resource": "cpu", "condition": condition, "unit": "count",
        "for": "3s", "meaning": "Something is wrong.", "next": [{"look": "Here", "query": "rate(busy[$interval])"}],
    })
}

fn defined(all: &[Value]) -> Definitions {
    let mut definitions = Definitions::default();
    definitions.take("gpu", "recording", check(&json!({"version": 1, "diagnoses": all})));
    definitions
}

/// A gauge `level` of two machines: of b it is high from 20 to 29 s.
fn two_machines() -> Memory {
    let mut memory = Memory::default();
    for time in 0..60 {
        for node in ["a", "b"] {
            let labels = Labels::new([("__name__", "level"), ("node", node)]);
            let level = if node == "b" && (20..30).contains(&time) { time } else { 1 };
            memory.append(&labels, time * SECOND, Sample::Float(level as f64));
        }
    }
    memory
}

fn span(start: i64, end: i64) -> Span {
    Span { start: start * SECOND, end: end * SECOND, interval: SECOND }
}

fn asked(memory: &Memory, definitions: &Definitions, span: Span) -> Diagnosed {
    let why = |plugin: &str, metric: &str| format!("{plugin} has no {metric}");
    run(memory, definitions, span, &why, &promql::Options::default()).unwrap()
}

#[test]
fn what_held_is_told_with_when_and_of_what() {
    let all = [diagnosis("high", "level > 10"), diagnosis("higher", "level > 100")];
    let told = asked(&two_machines(), &defined(&all), span(0, 59));
    assert_eq!(told.not_held, ["gpu/higher"]);
    assert_eq!((told.not_asked, told.refused), (Vec::new(), Vec::new()));
    let [finding] = &told.held[..] else { panic!("{:?}", told.held) };
    assert_eq!((&*finding.plugin, &*finding.id, &*finding.query), ("gpu", "high", "level > 10"));
    assert_eq!((finding.hold, finding.times_total), (3 * SECOND, 1));
    let [held] = &finding.times[..] else { panic!("{:?}", finding.times) };
    assert_eq!((held.start, held.end, held.held), (20 * SECOND, 29 * SECOND, 10 * SECOND));
    assert_eq!((held.worst, held.worst_at), (Some(29.0), 29 * SECOND));
    assert_eq!(held.labels["node"], "b");
    // What was asked can be asked again as it is.
    assert_eq!(finding.next[0].query.as_deref(), Some("rate(busy[2250ms])"));
}

#[test]
fn a_span_is_all_that_is_looked_at() {
    let all = defined(&[diagnosis("high", "level > 10")]);
    let memory = two_machines();
    assert_eq!(asked(&memory, &all, span(31, 59)).held, []);
    let told = asked(&memory, &all, span(25, 40));
    assert_eq!((told.held[0].times[0].start, told.held[0].times[0].held), (25 * SECOND, 5 * SECOND));
    let backwards = run(&memory, &all, span(9, 8), &|_, _| String::new(), &promql::Options::default());
    assert!(backwards.is_err());
}

#[test]
fn what_cannot_be_asked_says_why() {
    let all = [
        diagnosis("absent", "level > 10 and fan > 1"),
        diagnosis("other", "fan > 1 or level > 100"),
        diagnosis("less", "level > 10 unless fan > 1"),
        diagnosis("twice", "level > on () level"),
        diagnosis("elsewhere", "level{node=\"c\",rack=~\"1|2\"} > 1"),
    ];
    let told = asked(&two_machines(), &defined(&all), span(0, 59));
    assert_eq!(told.not_held, ["gpu/other"]);
    assert_eq!(told.held.iter().map(|finding| &*finding.id).collect::<Vec<_>>(), ["less"]);
    let whys: Vec<_> = told.not_asked.iter().map(|one| (&*one.id, &*one.why)).collect();
    assert_eq!(whys[0], ("absent", "gpu has no fan"));
    assert_eq!(whys[2], ("elsewhere", "level has no series with node=\"c\" and rack=~\"1|2\""));
    assert!(whys[1].0 == "twice" && whys[1].1.starts_with("it cannot be evaluated here: "), "{whys:?}");
}

#[test]
fn a_question_nobody_waits_for_is_given_up() {
    let all = defined(&[diagnosis("high", "level > 10")]);
    let options = promql::Options { deadline: Some(std::time::Instant::now()), ..promql::Options::default() };
    let given_up = run(&two_machines(), &all, span(0, 59), &|_, _| String::new(), &options).unwrap_err();
    assert_eq!(given_up.kind, ErrorKind::Timeout);
}

#[test]
fn answers_do_not_grow_with_what_is_wrong() {
    let mut memory = Memory::default();
    for id in 0..50 {
        for time in 0..200 {
            let labels = Labels::new([("__name__", "level".to_string()), ("id", id.to_string())]);
            let level = if time % 20 < 10 { 20.0 } else { 0.0 };
            memory.append(&labels, time * SECOND, Sample::Float(level));
        }
    }
    let told = asked(&memory, &defined(&[diagnosis("high", "level > 10")]), span(0, 199));
    assert_eq!((told.held[0].times.len(), told.held[0].times_total), (MOST_HELD, 500));
}

#[test]
fn long_spans_are_looked_at_in_longer_steps() {
    let mut memory = Memory::default();
    let labels = Labels::new([("__name__", "events")]);
    (0..90_000i64).for_each(|time| {
        // An event a day, in one second of it.
        memory.append(&labels, time * SECOND, Sample::Float(f64::from(u8::from(time > 40_000))));
    });
    let mut event = diagnosis("event", "increase(events[$interval]) > 0");
    event["for"] = "0s".into();
    let told = asked(&memory, &defined(&[event]), span(0, 89_999));
    assert_eq!(told.step, 9 * SECOND);
    let held = &told.held[0].times[0];
    assert!((40_000..40_020).contains(&(held.start / SECOND)), "{held:?}");
}

#[test]
fn critical_ones_come_first() {
    let mut critical = diagnosis("critical", "level > 25");
    critical["severity"] = "critical".into();
    let told = asked(&two_machines(), &defined(&[diagnosis("high", "level > 10"), critical]), span(0, 59));
    let ids: Vec<_> = told.held.iter().map(|finding| &*finding.id).collect();
    assert_eq!(ids, ["critical", "high"]);
}

//! `view/input/N/about`: the machine, the samplers, what happened and what was missed.

use rezolus_store::recording::Part;
use serde_json::{Value, json};

use super::inputs::{Opened, seconds};
use crate::query::Origin;

/// Keys that are told in their own places, or are of no use to people.
const ELSEWHERE: [&str; 9] = [
    "systeminfo",
    "descriptions",
    "events",
    "per_source_metadata",
    "rezolus.dashboards",
    "rezolus.diagnoses",
    "rezolus.status",
    "rezolus.missed",
    NOTES,
];
/// Where a recording keeps its notebook.
pub const NOTES: &str = "rezolus.notes";

/// All that is known of an input besides its series. May ask an agent.
pub fn about(input: &Opened) -> Value {
    let file = match &input.origin {
        Origin::Recording(part) => {
            let keys = input.keys().into_iter().filter(|(key, _)| !ELSEWHERE.contains(&key.as_str()));
            json!({
                "rows": part.groups().iter().map(|group| group.rows).sum::<usize>(),
                "columns": part.columns().len(),
                "bytes": part.bytes(),
                "keys": keys.collect::<std::collections::BTreeMap<_, _>>(),
            })
        }
        Origin::Log(_) | Origin::Live(_) => Value::Null,
    };
    json!({
        "file": file,
        "systeminfo": input.systeminfo(),
        "status": input.status(),
        "events": events(input),
        "missed": missed(input),
        "notes": input.json(NOTES),
    })
}

fn seconds_of(value: &Value) -> Option<f64> {
    // Others write times as text as well.
    let ns = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    Some(seconds(i64::try_from(ns).ok()?))
}

fn events(input: &Opened) -> Vec<Value> {
    let root = input.json("events").unwrap_or_default();
    let list = root.get("events").unwrap_or(&root).as_array().cloned().unwrap_or_default();
    let event = |event: &Value| {
        let text = |key: &str| event[key].as_str().unwrap_or_default();
        Some(json!({
            "timestamp": seconds_of(&event["timestamp"])?,
            "description": text("description"),
            "kind": text("kind"),
            "source": text("source"),
        }))
    };
    list.iter().filter_map(event).collect()
}

fn missed(input: &Opened) -> Vec<Value> {
    let list = input.json("rezolus.missed").and_then(|value| value.as_array().cloned()).unwrap_or_default();
    let run = |run: &Value| {
        Some(json!({
            "start": seconds_of(&run[0])?,
            "end": seconds_of(&run[1])?,
            "count": run[2].as_u64().unwrap_or_default(),
            "reason": run[3].as_str().unwrap_or_default(),
        }))
    };
    list.iter().filter_map(run).collect()
}

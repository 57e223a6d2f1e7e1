//! What the joined file says of itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Identity, Input};
use crate::recording::table::CHECKSUM;
use crate::recording::{Error, Recording};

/// Keys that are put together, not copied.
const MERGED: [&str; 12] = [
    "source",
    "version",
    "sampling_interval_ms",
    "systeminfo",
    "descriptions",
    "per_source_metadata",
    "events",
    "rezolus.dashboards",
    "rezolus.diagnoses",
    "rezolus.status",
    "rezolus.missed",
    CHECKSUM,
];

/// # Errors
///
/// When what an input says is not the JSON it has to be.
pub fn merge(inputs: &[Input], interval_ms: u64) -> Result<Vec<(String, String)>, Error> {
    let mut pairs = BTreeMap::new();
    let sources: BTreeSet<String> = inputs.iter().flat_map(sources).collect();
    pairs.insert("source".into(), json!(sources).to_string());
    pairs.insert("sampling_interval_ms".into(), interval_ms.to_string());
    let machine =
        inputs.iter().find(|input| input.is_rezolus() && input.recording.key("systeminfo").is_some());
    if let Some(text) = machine.and_then(|input| input.recording.key("systeminfo")) {
        pairs.insert("systeminfo".into(), text.into());
    }
    let mut per_source = Map::new();
    for input in inputs {
        merge_into(&mut per_source, of_source(input)?);
    }
    pairs.insert("per_source_metadata".into(), Value::Object(per_source).to_string());
    for key in ["descriptions", "rezolus.dashboards", "rezolus.diagnoses", "rezolus.status"] {
        let mut merged = Map::new();
        for input in inputs {
            let Some(Value::Object(object)) = input.recording.json(key)? else { continue };
            for (name, value) in object {
                add(&mut merged, name, value, input.prefix.as_deref());
            }
        }
        if !merged.is_empty() {
            pairs.insert(key.into(), Value::Object(merged).to_string());
        }
    }
    lists(inputs, &mut pairs)?;
    others(inputs, &mut pairs);
    Ok(pairs.into_iter().collect())
}

fn sources(input: &Input) -> Vec<String> {
    input.source().map_or_else(|| input.recording.sources(), |source| vec![source.into()])
}

/// What two say differently is kept of both: of the second under its prefix.
fn add(merged: &mut Map<String, Value>, name: String, value: Value, prefix: Option<&str>) {
    match (merged.get(&name), prefix) {
        (None, _) => drop(merged.insert(name, value)),
        (Some(there), Some(prefix)) if *there != value => {
            drop(merged.insert(format!("{prefix}::{name}"), value))
        }
        _ => {}
    }
}

/// The source's part of `per_source_metadata`: by node or instance, and beside
/// them what is the source's as a whole.
fn of_source(input: &Input) -> Result<Map<String, Value>, Error> {
    let recording = &input.recording;
    let before = match recording.json("per_source_metadata")? {
        Some(Value::Object(before)) => before,
        _ => Map::new(),
    };
    let (key, name) = match &input.identity {
        Identity::Combined => return Ok(before),
        Identity::Node(node) => ("node", node),
        Identity::Instance { instance, .. } => ("instance", instance),
    };
    let source = input.source().unwrap_or_default();
    let mut whole = before.get(source).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut one = own(recording)?;
    one.insert(key.into(), name.as_str().into());
    for key in ["first_sample_ns", "last_sample_ns", "role", "sampler_status"] {
        if let Some(value) = whole.get(key) {
            one.insert(key.into(), value.clone());
        }
    }
    if let Some(descriptions) = recording.json("descriptions")? {
        whole.insert("descriptions".into(), descriptions);
    }
    merge_into(&mut whole, Map::from_iter([(name.clone(), Value::Object(one))]));
    Ok(Map::from_iter([(source.to_string(), Value::Object(whole))]))
}

fn own(recording: &Recording) -> Result<Map<String, Value>, Error> {
    let mut one = Map::new();
    if let Some(version) = recording.key("version") {
        one.insert("version".into(), version.into());
    }
    for key in ["systeminfo", "service_queries"] {
        if let Some(value) = recording.json(key)? {
            one.insert(key.into(), value);
        }
    }
    Ok(one)
}

/// Adds what is not there yet; times span both.
fn merge_into(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (None, value) => drop(into.insert(key, value)),
            (Some(Value::Object(into)), Value::Object(from)) => merge_into(into, from),
            (Some(there), value) => match (key.as_str(), there.as_u64(), value.as_u64()) {
                ("first_sample_ns", Some(a), Some(b)) => *there = a.min(b).into(),
                ("last_sample_ns", Some(a), Some(b)) => *there = a.max(b).into(),
                _ => {}
            },
        }
    }
}

/// Events and gaps, in order of time.
fn lists(inputs: &[Input], pairs: &mut BTreeMap<String, String>) -> Result<(), Error> {
    let (mut events, mut missed) = (Vec::new(), Vec::new());
    for input in inputs {
        let found = input.recording.json("events")?.and_then(|root| root.get("events").cloned());
        if let Some(Value::Array(found)) = found {
            for event in found {
                // The same file may have been combined twice on its way.
                if !events.contains(&event) {
                    events.push(event);
                }
            }
        }
        if let Some(Value::Array(found)) = input.recording.json("rezolus.missed")? {
            missed.extend(found);
        }
    }
    events.sort_by_key(|event| event["timestamp"].as_u64());
    missed.sort_by_key(|entry: &Value| entry[0].as_u64());
    if !events.is_empty() {
        pairs.insert("events".into(), json!({"events": events}).to_string());
    }
    if !missed.is_empty() {
        pairs.insert("rezolus.missed".into(), Value::Array(missed).to_string());
    }
    Ok(())
}

/// What somebody else wrote stays as it is if the inputs agree; else each one's
/// stays under its prefix.
fn others(inputs: &[Input], pairs: &mut BTreeMap<String, String>) {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let personal = |key: &str| matches!(key, "node" | "instance");
    let other = |key: &str| !MERGED.contains(&key) && !personal(key);
    for input in inputs {
        for (key, value) in input.recording.metadata().filter(|(key, _)| other(key)) {
            values.entry(key).or_default().insert(value);
        }
    }
    for input in inputs {
        for (key, value) in input.recording.metadata().filter(|(key, _)| other(key)) {
            let agreed = values.get(key).is_some_and(|values| values.len() == 1);
            let name = match &input.prefix {
                Some(prefix) if !agreed => format!("{prefix}::{key}"),
                _ => key.to_string(),
            };
            pairs.entry(name).or_insert_with(|| value.into());
        }
    }
}

//! What a recording says of itself: `docs/formats/recording.md` lists the keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::missed::Missed;
use super::{Options, source_name};
use crate::Describe;
use crate::log::Contents;
use crate::log::columns::Source;
use crate::source::{Endpoint, Kind};

/// What agents tell besides their snapshots: path, and key by source.
const AT_START: [(&str, &str); 4] = [
    ("/systeminfo", "systeminfo"),
    ("/metrics/descriptions", "descriptions"),
    ("/dashboards", "dashboards"),
    ("/diagnoses", "diagnoses"),
];

/// And what changes while recording.
const AT_END: [&str; 2] = ["/samplers", STATUS];
const STATUS: &str = "/status";

/// The sources, and what is known of them when recording begins.
pub fn at_start(endpoints: &[Arc<Endpoint>], options: &Options) -> (Vec<Source>, Vec<(String, String)>) {
    let names = unique_names(endpoints);
    let sources: Vec<Source> = names
        .iter()
        .zip(endpoints)
        .map(|(name, endpoint)| Source { name: name.clone(), endpoint: Some(endpoint.url()) })
        .collect();
    let mut metadata = Vec::new();
    for (name, endpoint) in names.iter().zip(endpoints) {
        if endpoint.kind() != Some(Kind::Agent) {
            continue;
        }
        for (path, key) in AT_START {
            if let Some(value) = ask(&**endpoint, path) {
                metadata.push((format!("{key}\u{0}{name}"), value.to_string()));
            }
        }
        if let Some(status) = ask(&**endpoint, STATUS) {
            if let Some(version) = status["version"].as_str() {
                metadata.push((format!("version\u{0}{name}"), version.into()));
            }
            // For whoever looks at the log: the one at the end is in its place then.
            metadata.push((format!("{STATUS}\u{0}{name}"), status.to_string()));
        }
    }
    metadata.extend(options.metadata.iter().cloned());
    (sources, metadata)
}

fn ask(source: &dyn Describe, path: &str) -> Option<Value> {
    serde_json::from_str(&source.text(path)?).ok()
}

impl Describe for Endpoint {
    fn text(&self, path: &str) -> Option<String> {
        Endpoint::text(self, path).ok()
    }
}

/// All that one agent tells of itself, for [`recording_metadata`].
pub fn described(source: &Source, describe: &dyn Describe) -> BTreeMap<String, String> {
    let mut more = BTreeMap::new();
    let name = &source.name;
    for (path, key) in AT_START {
        if let Some(value) = ask(describe, path) {
            more.insert(format!("{key}\u{0}{name}"), value.to_string());
        }
    }
    for path in AT_END {
        if let Some(value) = ask(describe, path) {
            if let Some(version) = value["version"].as_str() {
                more.insert(format!("version\u{0}{name}"), version.into());
            }
            more.insert(format!("{path}\u{0}{name}"), value.to_string());
        }
    }
    more
}

/// What each is called; by its address where several would be called the same.
fn unique_names(endpoints: &[Arc<Endpoint>]) -> Vec<String> {
    let plain: Vec<String> = endpoints.iter().map(|endpoint| source_name(endpoint)).collect();
    let mut names = Vec::with_capacity(plain.len());
    for (at, (name, endpoint)) in plain.iter().zip(endpoints).enumerate() {
        let shared = plain.iter().filter(|other| *other == name).count() > 1;
        let mut name = if shared { endpoint.label().to_string() } else { name.clone() };
        if names.contains(&name) {
            name = format!("{name}-{at}");
        }
        names.push(name);
    }
    names
}

/// What is known only when recording ends.
pub fn at_end(endpoints: &[Arc<Endpoint>], sources: &[Source], missed: &Missed) -> BTreeMap<String, String> {
    let mut more = BTreeMap::new();
    if missed.count > 0 {
        let runs: Vec<_> = missed.runs().collect();
        more.insert("rezolus.missed".into(), json!(runs).to_string());
    }
    let agents = endpoints.iter().zip(sources).filter(|(endpoint, _)| endpoint.kind() == Some(Kind::Agent));
    for (endpoint, Source { name, .. }) in agents {
        for path in AT_END {
            if let Some(value) = ask(&**endpoint, path) {
                more.insert(format!("{path}\u{0}{name}"), value.to_string());
            }
        }
    }
    more
}

/// The metadata of a recording made of a log.
pub fn recording_metadata(contents: &Contents, more: BTreeMap<String, String>) -> Vec<(String, String)> {
    let sources = &contents.header.sources;
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let mut metadata: BTreeMap<String, String> = BTreeMap::new();
    // key NUL source
    let mut by_source: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
    for (key, text) in contents.header.metadata.iter().map(|(key, text)| (key, text)).chain(&more) {
        match key.split_once('\u{0}') {
            Some((key, source)) => {
                let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
                by_source.entry(key).or_default().insert(source, value);
            }
            None => drop(metadata.insert(key.clone(), text.clone())),
        }
    }
    let mut first = |key: &str, as_text: bool| {
        let value = by_source.get(key).and_then(|values| names.iter().find_map(|name| values.get(name)));
        if let Some(value) = value {
            let text = match value {
                Value::String(text) if as_text => text.clone(),
                value => value.to_string(),
            };
            metadata.entry(key.to_string()).or_insert(text);
        }
    };
    first("version", true);
    first("systeminfo", false);
    let mut descriptions = serde_json::Map::new();
    for value in by_source.get("descriptions").iter().flat_map(|values| values.values()) {
        descriptions.extend(value.as_object().cloned().unwrap_or_default());
    }
    if !descriptions.is_empty() {
        metadata.insert("descriptions".into(), Value::Object(descriptions).to_string());
    }
    for key in ["dashboards", "diagnoses"] {
        if let Some(told) = by_source.get(key) {
            metadata.insert(format!("rezolus.{key}"), json!(told).to_string());
        }
    }
    let source = match names.as_slice() {
        [name] => (*name).to_string(),
        names => json!(names).to_string(),
    };
    metadata.entry("source".into()).or_insert(source);
    let interval = (contents.header.interval_ns / 1_000_000).max(1);
    metadata.insert("sampling_interval_ms".into(), interval.to_string());
    add_end(&mut metadata, contents, &by_source);
    if !contents.notes.is_empty() {
        metadata.insert("events".into(), json!({ "events": contents.notes }).to_string());
    }
    metadata.into_iter().collect()
}

/// Per source: when, in what state its samplers were, and on which machine.
fn add_end(
    metadata: &mut BTreeMap<String, String>,
    contents: &Contents,
    by_source: &BTreeMap<&str, BTreeMap<&str, Value>>,
) {
    let (mut per_source, mut statuses) = (serde_json::Map::new(), serde_json::Map::new());
    let (first, last) = contents.range.unwrap_or_default();
    for source in &contents.header.sources {
        let name = source.name.as_str();
        let told = |key: &str| by_source.get(key).and_then(|values| values.get(name)).cloned();
        let mut known = json!({ "first_sample_ns": first, "last_sample_ns": last });
        if let Some(samplers) = told("/samplers") {
            known["sampler_status"] = samplers;
        }
        for key in ["version", "systeminfo"] {
            if let Some(value) = told(key) {
                known[key] = value;
            }
        }
        per_source.insert(name.into(), known);
        if let Some(status) = told(STATUS) {
            statuses.insert(name.into(), status);
        }
    }
    metadata.insert("per_source_metadata".into(), Value::Object(per_source).to_string());
    if !statuses.is_empty() {
        metadata.insert("rezolus.status".into(), Value::Object(statuses).to_string());
    }
}

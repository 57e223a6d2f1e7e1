//! Diagnoses ask for what the plugins really have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rezolus_store::matcher::Op;
use toml::{Table, Value};

use super::*;
use crate::diagnose::definition::sample;

/// Of metrics by name: their labels, and the values of those that have certain ones.
type Metrics = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What a plugin's manifest declares.
fn declared(plugin: &str) -> Metrics {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../plugins/{plugin}/plugin.toml"));
    let manifest: Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let mut metrics = Metrics::new();
    for metric in list(manifest.get("sampler")).iter().flat_map(|sampler| list(sampler.get("metric"))) {
        let labels = metrics.entry(text(&metric["name"])).or_default();
        for by in list(metric.get("by")) {
            let by = text(&by);
            let (label, values) = by.split_once(':').unwrap_or((&by, &by));
            let values = list(manifest["values"].get(values));
            labels.entry(label.into()).or_default().extend(values.iter().map(text));
        }
        for (label, value) in metric.get("labels").and_then(Value::as_table).into_iter().flatten() {
            labels.entry(label.clone()).or_default().insert(text(value));
        }
    }
    metrics
}

/// What is wrong with a query over these metrics.
fn faults(query: &str, metrics: &Metrics) -> Vec<String> {
    let mut faults = Vec::new();
    for matchers in promql::selects(&sample(query)).unwrap() {
        let Some(name) = matchers.iter().find(|matcher| matcher.name == NAME) else {
            faults.push("a selector without a name".into());
            continue;
        };
        if !matches!(name.op, Op::Equal(_)) {
            continue;
        }
        let Some(labels) = metrics.get(name.value()) else {
            faults.push(format!("there is no {}", name.value()));
            continue;
        };
        for matcher in matchers.iter().filter(|matcher| matcher.name != NAME) {
            let alternatives = matcher.value();
            let known = labels.get(&*matcher.name);
            let unknown = |value: &&str| !known.is_some_and(|values| values.contains(*value));
            faults.extend(
                alternatives
                    .split('|')
                    .find(unknown)
                    .map(|value| format!("{} has no {}={value:?}", name.value(), matcher.name)),
            );
        }
    }
    faults
}

#[test]
fn every_query_is_of_metrics_that_are_there() {
    let of = |plugin: &&str| declared(plugin);
    let everything: Metrics = built_in::all().iter().flat_map(|(plugin, _)| of(plugin)).collect();
    for (plugin, checked) in built_in::all() {
        assert_eq!(checked.refused, Vec::<String>::new(), "{plugin}");
        assert!(checked.diagnoses.len() >= 3, "{plugin}");
        for diagnosis in &checked.diagnoses {
            let id = format!("{plugin}/{}", diagnosis.id);
            let also = diagnosis.also.iter().map(String::as_str);
            let metrics: Metrics = also.chain([plugin]).flat_map(declared).collect();
            assert_eq!(faults(&diagnosis.condition, &metrics), Vec::<String>::new(), "{id}");
            let own = declared(plugin);
            assert!(diagnosis.needs.iter().any(|name| own.contains_key(name)), "{id}: none is the plugin's");
            for other in &diagnosis.also {
                let theirs = declared(other);
                assert!(
                    diagnosis.needs.iter().any(|name| theirs.contains_key(name)),
                    "{id}: none is of {other}"
                );
            }
            for query in diagnosis.next.iter().filter_map(|next| next.query.as_ref()) {
                assert_eq!(faults(query, &everything), Vec::<String>::new(), "{id}: {query}");
            }
        }
    }
}

#[test]
fn every_threshold_has_a_reason_and_every_page_is_one() {
    let pages = ["blockio", "cpu", "memory", "network", "scheduler", "syscall", "tcp", "cgroups", "overview"];
    for (plugin, checked) in built_in::all() {
        for diagnosis in &checked.diagnoses {
            let id = format!("{plugin}/{}", diagnosis.id);
            assert!(diagnosis.basis.ends_with('.') && diagnosis.meaning.ends_with(['.', ')']), "{id}");
            assert!(diagnosis.hold.is_some(), "{id}");
            let mut named = diagnosis.next.iter().filter_map(|next| next.page.as_deref());
            assert!(named.all(|page| pages.contains(&page)), "{id}");
            // Machines that are recorded in one file are told apart.
            assert!(diagnosis.condition.contains("node"), "{id}");
        }
    }
}

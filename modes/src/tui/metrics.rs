//! A page of all metrics, for what no dashboard draws.

use std::collections::BTreeMap;

use rezolus_store::{Metadata, Source};

use crate::viewer::dashboard::{Chart, Dashboard, Group, Query};

/// With more series than these, their sum is drawn.
const MOST_SERIES: usize = 16;

/// Every metric as one chart, those together whose names begin with the same word. Nothing if there
/// are none.
pub fn page(source: &dyn Source) -> Option<Dashboard> {
    let (start, end) = source.range()?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for labels in source.series(&[], start, end).ok()? {
        *counts.entry(labels.name().into()).or_default() += 1;
    }
    counts.remove("");
    let metadata = source.metadata();
    let mut groups: Vec<Group> = Vec::new();
    for (name, count) in &counts {
        let known = metadata.get(name).cloned().unwrap_or_default();
        let title = name.split(['_', '.', '/', ':']).next().unwrap_or_default();
        if groups.last().is_none_or(|group| group.title != title) {
            groups.push(Group { title: title.into(), charts: Vec::new() });
        }
        if let Some(group) = groups.last_mut() {
            group.charts.push(chart(name, *count, &known));
        }
    }
    (!groups.is_empty()).then(|| Dashboard {
        id: "metrics".into(),
        version: 1,
        title: "All metrics".into(),
        order: u32::MAX,
        origin: "built-in".into(),
        groups,
    })
}

fn chart(name: &str, count: usize, known: &Metadata) -> Chart {
    let selector = format!("{{__name__={name:?}}}");
    let sum = |text: String| if count > MOST_SERIES { format!("sum({text})") } else { text };
    let (kind, query, unit) = match known.kind.as_str() {
        "counter" => {
            let rate = sum(format!("rate({selector}[$interval])"));
            // Of a second: how many do it at the same time.
            let of_time = known.unit == "nanoseconds";
            let query = if of_time { format!("{rate} / 1e9") } else { rate };
            ("line", query, if of_time { "s/s".into() } else { per_second(&known.unit) })
        }
        "histogram" => ("percentiles", format!("sum(rate({selector}[$interval]))"), known.unit.clone()),
        _ => ("line", sum(selector), known.unit.clone()),
    };
    Chart {
        title: name.into(),
        description: known.help.clone(),
        kind: kind.into(),
        unit,
        queries: vec![Query { query, legend: String::new() }],
        missing: None,
    }
}

/// The unit of a rate.
fn per_second(unit: &str) -> String {
    match unit {
        "" | "count" => "events/s".into(),
        unit => format!("{unit}/s"),
    }
}

#[cfg(test)]
mod tests {
    use rezolus_store::memory::Memory;
    use rezolus_store::{Labels, Sample, promql};

    use super::*;

    #[test]
    fn every_metric_has_a_chart_whose_query_can_be_asked() {
        let mut memory = Memory::default();
        for name in ["cpu_a", "cpu_b", "we\"ird\\.name", "disk"] {
            for id in 0..if name == "disk" { 40 } else { 2 } {
                let labels = Labels::new([("__name__", name), ("id", &id.to_string())]);
                memory.append(&labels, 5, Sample::Float(1.0));
            }
        }
        let page = page(&memory).unwrap();
        let titles: Vec<&str> = page.groups.iter().map(|group| group.title.as_str()).collect();
        assert_eq!(titles, ["cpu", "disk", "we\"ird\\"]);
        for chart in page.groups.iter().flat_map(|group| &group.charts) {
            let query = &chart.queries[0].query;
            let answer = promql::instant(&memory, query, 5, &promql::Options::default()).unwrap();
            let promql::Value::Vector(all) = answer.value else { panic!("{query}") };
            assert_eq!(all.len(), if chart.title == "disk" { 1 } else { 2 }, "{query}");
        }
        assert!(super::page(&Memory::default()).is_none());
        let known = |kind: &str| Metadata { kind: kind.into(), unit: "bytes".into(), ..Metadata::default() };
        assert_eq!(chart("a", 1, &known("counter")).unit, "bytes/s");
        assert!(chart("a", 50, &known("counter")).queries[0].query.starts_with("sum(rate("));
        assert_eq!(chart("a", 50, &known("histogram")).kind, "percentiles");
    }
}

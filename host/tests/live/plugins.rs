//! All plugins together: everything in place and nothing missing.

use crate::agent::{ALL, Agent};

/// Every metric that has to be there, with the values of its fixed label.
const METRICS: &str = include_str!("metrics.txt");

#[test]
fn root_every_metric_is_live() {
    let agent = Agent::start(&ALL);
    // Load for what appears with its first event, and a second look for what
    // is refreshed once a second.
    let _ = agent.snapshot();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let snapshot = agent.snapshot();
    let mut missing = Vec::new();
    for line in METRICS.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        let labels: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
        if snapshot.series(name, &labels).is_empty() {
            missing.push(line);
        }
    }
    assert!(missing.is_empty(), "missing: {missing:#?}");
}

#[test]
fn root_nothing_is_refused_or_failed() {
    let agent = Agent::start(&ALL);
    for name in ALL {
        let plugin = agent.plugin(name).unwrap();
        for sampler in plugin["samplers"].as_array().unwrap() {
            let state = sampler["state"].as_str().unwrap();
            assert!(
                matches!(state, "running" | "unsupported" | "disabled")
                    // APERF and MPERF without TSC's companions: said so by the machine.
                    || sampler["name"] == "cpu_frequency",
                "{sampler:#}"
            );
        }
    }
}

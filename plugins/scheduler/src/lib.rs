//! Scheduling: runqueue latency, time on and off the CPU, switches, forks.

rezolus_plugin_api::export! {
    manifest: include_str!("../plugin.toml"),
    dashboard: include_str!("../dashboard.json"),
    diagnoses: include_str!("../diagnoses.json"),
    bpf: rezolus_plugin_api::include_bpf!("scheduler"),
}

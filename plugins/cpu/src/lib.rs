//! CPUs: what runs on them and for how long, what interrupts it, what limits
//! it, and how well it runs.
//!
//! Nearly all of it is counted by the BPF programs in `bpf/`; the two samplers
//! here read what only files show.

mod cores;
mod stat;

rezolus_plugin_api::export! {
    manifest: include_str!("../plugin.toml"),
    dashboard: include_str!("../dashboard.json"),
    diagnoses: include_str!("../diagnoses.json"),
    bpf: rezolus_plugin_api::include_bpf!("cpu"),
    samplers: {
        "cpu_cores" => cores::Cores,
        "cpu_usage" => stat::Stat,
    },
}

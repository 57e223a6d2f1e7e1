//! Memory: what it is used for, what the kernel does to find some, and how long
//! tasks wait for it.

mod fields;
mod meminfo;
mod pressure;
mod vmstat;

rezolus_plugin_api::export! {
    manifest: include_str!("../plugin.toml"),
    dashboard: include_str!("../dashboard.json"),
    diagnoses: include_str!("../diagnoses.json"),
    bpf: rezolus_plugin_api::include_bpf!("memory"),
    samplers: {
        "memory_meminfo" => meminfo::Meminfo,
        "memory_vmstat" => vmstat::Vmstat,
        "memory_pressure" => pressure::Pressure,
    },
}

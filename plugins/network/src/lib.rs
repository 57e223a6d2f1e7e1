//! The network plugin: packets through the whole stack by BPF, and the
//! counters of each interface from /proc/net/dev.

mod devices;

use devices::Devices;

rezolus_plugin_api::export! {
    manifest: include_str!("../plugin.toml"),
    dashboard: include_str!("../dashboard.json"),
    diagnoses: include_str!("../diagnoses.json"),
    bpf: rezolus_plugin_api::include_bpf!("network"),
    samplers: { "network_devices" => Devices },
}

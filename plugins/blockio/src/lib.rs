//! Block devices: requests, their sizes, latencies and errors, and totals per
//! device.

mod devices;
mod diskstats;

rezolus_plugin_api::export! {
    manifest: include_str!("../plugin.toml"),
    dashboard: include_str!("../dashboard.json"),
    diagnoses: include_str!("../diagnoses.json"),
    bpf: rezolus_plugin_api::include_bpf!("blockio"),
    samplers: { "blockio_devices" => devices::Devices },
}

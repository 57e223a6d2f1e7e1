//! The TCP plugin: what tracepoints tell of every connection, and the
//! kernel's own counters from /proc/net.

mod stack;

use stack::Stack;

rezolus_plugin_api::export! {
    manifest: include_str!("../plugin.toml"),
    dashboard: include_str!("../dashboard.json"),
    diagnoses: include_str!("../diagnoses.json"),
    bpf: rezolus_plugin_api::include_bpf!("tcp"),
    samplers: { "tcp_stack" => Stack },
}

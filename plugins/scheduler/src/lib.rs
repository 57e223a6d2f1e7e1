rezolus_plugin_api::export! {
    manifest: include_str!("../plugin.toml"),
    bpf: rezolus_plugin_api::include_bpf!("scheduler"),
}

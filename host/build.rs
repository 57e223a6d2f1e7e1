fn main() {
    println!("cargo::rustc-check-cfg=cfg(ebpf)");
    #[cfg(feature = "ebpf")]
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-cfg=ebpf");
        rezolus_bpf::build("cgroup");
    }
}

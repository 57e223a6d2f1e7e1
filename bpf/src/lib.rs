//! The build helper for BPF objects, called from `build.rs`:
//!
//! ```no_run
//! // Compiles bpf/tcp.bpf.c to $OUT_DIR/tcp.bpf.o.
//! rezolus_bpf::build("tcp");
//! ```
//!
//! The shared headers are in `include/`; a source includes them by bare name.

use std::env;
use std::path::{Path, PathBuf};

use libbpf_cargo::SkeletonBuilder;

/// Compiles `bpf/<name>.bpf.c` of the calling package to `$OUT_DIR/<name>.bpf.o`.
///
/// Does nothing when the target is not Linux: there is no eBPF, and
/// `include_bpf!` of the plugin API yields an empty object.
///
/// # Panics
///
/// When clang is missing or refuses the source, with clang's own words: that
/// is how a build script fails.
pub fn build(name: &str) {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo"));
    build_in(&package.join("bpf"), name);
}

/// As [`build`], with the sources in a folder other than the package's `bpf/`.
pub fn build_in(folder: &Path, name: &str) {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    println!("cargo::rerun-if-changed={}", include.display());
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-env-changed=CLANG");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("run by cargo"));
    let arch = match env::var("CARGO_CFG_TARGET_ARCH").expect("run by cargo").as_str() {
        "x86_64" => "x86",
        "aarch64" => "arm64",
        other => panic!("no BPF headers for the architecture {other}"),
    };
    let mut builder = SkeletonBuilder::new();
    builder.source(folder.join(format!("{name}.bpf.c"))).obj(out.join(format!("{name}.bpf.o"))).clang_args([
        "-mcpu=v3".to_string(), // 5.1 and later: 32-bit registers, jumps on them
        "-Wall".to_string(),
        "-Werror".to_string(),
        format!("-D__TARGET_ARCH_{arch}"),
        format!("-I{}", include.display()),
    ]);
    if let Some(clang) = env::var_os("CLANG") {
        builder.clang(clang);
    }
    if let Err(error) = builder.build() {
        panic!("{name}.bpf.c did not compile (clang 12 or later is needed): {error:#}");
    }
}

//! Lists the files of the viewer's page, if it was built, for the binary to hold.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let dist = root.join("web/dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    find(&dist, &mut files);
    files.sort();
    if files.is_empty() {
        println!(
            "cargo:warning=the viewer's page is not built, and this binary will be without it: run `make web` (node 20)"
        );
    }
    let mut list = String::from("const ASSETS: &[Asset] = &[\n");
    for file in files.iter().filter(|file| file.extension().is_none_or(|kind| kind != "gz")) {
        println!("cargo:rerun-if-changed={}", file.display());
        let path = file.strip_prefix(&dist).expect("it was found there").to_string_lossy().replace('\\', "/");
        let zipped = PathBuf::from(format!("{}.gz", file.display()));
        let gzip = match files.contains(&zipped) {
            true => format!("Some(include_bytes!({:?}))", zipped.display().to_string()),
            false => "None".into(),
        };
        let file = file.display().to_string();
        writeln!(list, "    Asset {{ path: {path:?}, bytes: include_bytes!({file:?}), gzip: {gzip} }},")
            .expect("a string takes all");
    }
    list += "];\n";
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("assets.rs");
    fs::write(out, list).expect("the output folder can be written");
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => find(&path, files),
            false => files.push(path),
        }
    }
}

//! Runs scripts in the language Prometheus tests its query engine with: every
//! `*.test` in the folder `PROMQLTEST_DIR`, or the project's own in `tests/scripts`.
//!
//! Says what fails, then a line per script and a total, counting evaluations.
//! Names given as arguments choose scripts; `--list` lists them, as test runners ask.

mod check;
mod load;
mod run;
mod script;
mod selftest;
mod series;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Deeply nested queries need more than a thread has by default.
const STACK: usize = 64 << 20;
/// The runner's own tests, listed like a script.
const SELF: &str = "the_runner_itself";

fn main() -> ExitCode {
    let asked = Asked::from_arguments();
    let folder = std::env::var_os("PROMQLTEST_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts"), PathBuf::from);
    let scripts = match scripts(&folder) {
        Ok(scripts) => scripts,
        Err(why) => {
            eprintln!("{}: {why}", folder.display());
            return ExitCode::FAILURE;
        }
    };
    if asked.list {
        let names = scripts.iter().map(|(name, _)| name.as_str()).chain([SELF]);
        // None of them is ignored.
        names.filter(|name| !asked.ignored && asked.wants(name)).for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    // Panics are told where they belong.
    std::panic::set_hook(Box::new(|_| {}));
    let mut good = true;
    if asked.wants(SELF) && !asked.ignored {
        for complaint in selftest::complaints() {
            println!("{SELF}: {complaint}\n");
            good = false;
        }
    }
    good &= run_all(scripts.into_iter().filter(|(name, _)| !asked.ignored && asked.wants(name)));
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs scripts and tells of them; whether all is well.
fn run_all(scripts: impl Iterator<Item = (String, PathBuf)>) -> bool {
    let (mut lines, mut passed, mut failed) = (Vec::new(), 0, 0);
    for (name, path) in scripts {
        let outcome = run_one(name.clone(), path);
        for complaint in &outcome.complaints {
            println!("{complaint}\n");
        }
        lines.push(format!("{name}: {} passed, {} failed", outcome.passed, outcome.failed));
        passed += outcome.passed;
        failed += outcome.failed;
    }
    lines.iter().for_each(|line| println!("{line}"));
    println!("total: {passed} passed, {failed} failed");
    failed == 0
}

fn run_one(name: String, path: PathBuf) -> run::Outcome {
    let failed = |why: String| run::Outcome { passed: 0, failed: 1, complaints: vec![why] };
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(why) => return failed(format!("{name}: {why}")),
    };
    let called = name.clone();
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || run::script(&called, &text));
    let outcome = thread
        .map_err(|why| why.to_string())
        .and_then(|running| running.join().map_err(|_| "the runner panics".to_owned()));
    outcome.unwrap_or_else(|why| failed(format!("{name}: {why}")))
}

/// The scripts of a folder, in the order of their names.
fn scripts(folder: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "test") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push((name, path));
        }
    }
    if found.is_empty() {
        return Err(std::io::Error::other("there is no *.test"));
    }
    found.sort();
    Ok(found)
}

/// What test runners say on the command line, as far as it matters.
#[derive(Default)]
struct Asked {
    list: bool,
    ignored: bool,
    exact: bool,
    names: Vec<String>,
}

impl Asked {
    fn from_arguments() -> Self {
        let mut asked = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => asked.list = true,
                "--ignored" => asked.ignored = true,
                "--exact" => asked.exact = true,
                "--format" | "--test-threads" | "--color" | "--skip" | "--logfile" | "-Z" => {
                    arguments.next();
                }
                option if option.starts_with('-') => {}
                _ => asked.names.push(argument),
            }
        }
        asked
    }

    fn wants(&self, name: &str) -> bool {
        let fits = |asked: &String| if self.exact { asked == name } else { name.contains(asked.as_str()) };
        self.names.is_empty() || self.names.iter().any(fits)
    }
}

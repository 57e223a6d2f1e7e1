//! Recordings that are none any more, given to the commands as a user does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rezolus_modes::log::columns::Source;
use rezolus_modes::log::ticks;
use rezolus_modes::wire;
use tempfile::TempDir;

const SNAPSHOT: &[u8] = include_bytes!("../../../modes/tests/fixtures/wire/v3.msgpack");

/// Runs the binary; its exit code, output and errors.
fn rezolus(line: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rezolus"));
    let output = command.args(line.split(' ')).env_remove("RUST_LOG").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// It ends with code 1, and a message with all of `parts`.
fn refused(line: &str, parts: &[&str]) {
    let (code, out, err) = rezolus(line);
    assert_eq!(code, Some(1), "{line}: {out}{err}");
    assert!(!err.contains("panicked"), "{line}: {err}");
    // What verify finds is its output.
    let said = if line.contains(" verify ") { out + &err } else { err };
    for part in parts {
        assert!(said.contains(part), "{line}: {part:?} is not in:\n{said}");
    }
}

/// The log of a recorder that was killed.
fn log(folder: &Path) -> PathBuf {
    let log = folder.join("good.parquet.log");
    fs::create_dir(&log).unwrap();
    let header = ticks::Header {
        interval_ns: 1_000_000_000,
        sources: vec![Source { name: "a".into(), endpoint: None }],
        metadata: vec![],
    };
    let mut writer = ticks::Writer::create(&log.join("1.ticks"), &header).unwrap();
    let snapshot = Arc::new(wire::decode(SNAPSHOT, &mut wire::Schemas::default()).unwrap());
    for second in 1_790_000_000..1_790_000_020 {
        writer.tick(second * 1_000_000_000, &[Some(snapshot.clone())]).unwrap();
    }
    log
}

/// Every command that reads a recording.
fn commands(file: &str, good: &str, out: &str) -> Vec<String> {
    [
        format!("info {file}"),
        format!("schema {file}"),
        format!("verify {file}"),
        format!("combine {file} {good} -o {out}"),
        format!("combine {good} {file} -o {out}"),
        format!("filter {file} -o {out}"),
        format!("annotate {file} -o {out} --metadata a=b"),
        format!("export {file} --format csv -o {out}"),
        format!("export {file} --format openmetrics"),
    ]
    .map(|line| format!("recording {line}"))
    .into()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn damaged_recordings_are_code_one_with_file_and_place() {
    let folder = folder();
    let log = log(folder.path());
    let (code, _, err) = rezolus(&format!("recording recover {}", log.display()));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let good = folder.path().join("good.parquet");
    let bytes = fs::read(&good).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_string();
    let (file, out) = (folder.path().join("bad.parquet"), folder.path().join("out.parquet"));
    // In the length of the footer, which is then beyond the file.
    let mut flipped = bytes.clone();
    let at = bytes.len() - 6;
    flipped[at] ^= 0x40;
    let kinds: [(&[u8], &str); 5] = [
        (b"", "is empty"),
        (&bytes[..bytes.len() / 2], "it lacks its footer"),
        (&bytes[..bytes.len() - 1], "it lacks its footer"),
        (&flipped, "footer"),
        (b"timestamp,cpu_usage\n1,2\n", "begins with \"time\""),
    ];
    for (content, place) in kinds {
        fs::write(&file, content).unwrap();
        for line in commands(&text(&file), &text(&good), &text(&out)) {
            refused(&line, &["bad.parquet", place]);
            assert!(!out.exists(), "{line}");
        }
        refused(&format!("recording recover {} -o {}", text(&file), text(&out)), &["bad.parquet"]);
    }
}

/// A value that was changed is found where it is read.
#[test]
fn a_damaged_page_is_named() {
    let folder = folder();
    rezolus(&format!("recording recover {}", log(folder.path()).display()));
    let good = folder.path().join("good.parquet");
    let bytes = fs::read(&good).unwrap();
    let (file, out) = (folder.path().join("bad.parquet"), folder.path().join("out.parquet"));
    let mut damaged = bytes.clone();
    let footer = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
    let pages = bytes.len() - 8 - footer;
    damaged[pages / 2..pages].fill(0xff);
    fs::write(&file, &damaged).unwrap();
    for line in [
        format!("verify {}", file.display()),
        format!("filter {} -o {}", file.display(), out.display()),
        format!("export {} --format jsonl", file.display()),
        format!("combine {} {} -o {}", file.display(), good.display(), out.display()),
    ] {
        refused(&format!("recording {line}"), &["bad.parquet", "row group 0"]);
        assert!(!out.exists(), "{line}");
    }
}

/// What is left of a log is rescued; what is not is named, with its place.
#[test]
fn damaged_logs_are_rescued_as_far_as_they_go() {
    let folder = folder();
    let log = log(folder.path());
    let ticks = log.join("1.ticks");
    let whole = fs::read(&ticks).unwrap();
    let out = folder.path().join("out.parquet");
    let line = format!("recording recover {} -o {} --force", log.display(), out.display());
    for content in [&b""[..], &whole[..whole.len() / 50], b"a text\n"] {
        fs::write(&ticks, content).unwrap();
        refused(&line, &["good.parquet.log", "no ticks"]);
        assert!(!out.exists());
    }
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for content in [&whole[..whole.len() / 2], &flipped] {
        fs::write(&ticks, content).unwrap();
        let (code, said, err) = rezolus(&line);
        assert_eq!(code, Some(0), "{err}");
        assert!(err.contains("1.ticks: byte "), "{err}");
        assert!(said.contains(" ticks; ") && !said.contains(" 20 ticks"), "{said}");
        assert_eq!(rezolus(&format!("recording verify {}", out.display())).0, Some(0));
    }
    refused(&format!("recording recover {} -o {}", folder.path().display(), out.display()), &["exists"]);
    refused(&format!("recording recover {} -o x", folder.path().display()), &["is not a log"]);
}

//! The table of system calls, checked against the system's own headers.

use std::collections::{BTreeMap, BTreeSet};

const TABLE: &str = include_str!("../bpf/syscalls.h");
const MANIFEST: &str = include_str!("../plugin.toml");

/// A line of the table: `BOTH(read, 0, 63, READ)`.
struct Line {
    name: &'static str,
    x86: Option<u32>,
    arm64: Option<u32>,
    class: &'static str,
}

fn lines() -> Vec<Line> {
    let comment = |line: &&str| line.starts_with("/*") || line.starts_with(" *");
    TABLE
        .lines()
        .filter(|line| !line.is_empty() && !comment(line))
        .map(|line| parse(line).unwrap_or_else(|| panic!("not a line of the table: {line}")))
        .collect()
}

fn parse(line: &'static str) -> Option<Line> {
    let (macro_name, rest) = line.split_once('(')?;
    let fields: Vec<&str> = rest.strip_suffix(')')?.split(", ").collect();
    let (name, numbers, class) = match (macro_name, fields.as_slice()) {
        ("BOTH", [name, x86, arm64, class]) => (name, [Some(x86), Some(arm64)], class),
        ("X86", [name, x86, class]) => (name, [Some(x86), None], class),
        ("ARM64", [name, arm64, class]) => (name, [None, Some(arm64)], class),
        _ => return None,
    };
    let [x86, arm64] = numbers.map(|number| number.map(|digits| digits.parse().expect("a number")));
    Some(Line { name, x86, arm64, class: class.trim_end_matches(" | NEVER_RETURNS") })
}

/// `#define __NR_read 63`, and `__NR3264_fstat` for what differs in name only.
fn header(path: &str) -> BTreeMap<u32, String> {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error} (linux-libc-dev)"));
    text.lines()
        .filter_map(|line| {
            let definition = line.strip_prefix("#define __NR")?;
            let (name, number) = definition.split_once(char::is_whitespace)?;
            let name = name.strip_prefix("3264").unwrap_or(name).strip_prefix('_')?;
            Some((number.trim().parse().ok()?, name.to_string()))
        })
        .collect()
}

#[test]
fn every_class_is_declared() {
    let ops: Vec<String> = MANIFEST
        .split_once("op = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(list, _)| list.split(',').map(|op| op.trim().trim_matches('"').to_uppercase()).collect())
        .expect("the manifest lists the classes");
    let mut used = BTreeSet::new();
    for line in lines() {
        assert!(ops.iter().any(|op| op == line.class), "{}: no class {}", line.name, line.class);
        used.insert(line.class);
    }
    assert_eq!(used.len(), 16, "a class without a system call");
}

#[test]
fn nothing_is_listed_twice() {
    let (mut names, mut x86, mut arm64) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in lines() {
        assert!(names.insert(line.name), "{} is listed twice", line.name);
        assert!(line.x86.is_none_or(|number| x86.insert(number)), "{}: number taken", line.name);
        assert!(line.arm64.is_none_or(|number| arm64.insert(number)), "{}: number taken", line.name);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn no_number_of_x86_is_missing() {
    // Debian's folder for this architecture, then everybody else's.
    let debian = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
    let path = if std::fs::exists(debian).is_ok_and(|there| there) {
        debian
    } else {
        "/usr/include/asm/unistd_64.h"
    };
    let known = header(path);
    assert!(known.len() > 300, "{path}: not understood");
    for (number, name) in known {
        let line = lines().into_iter().find(|line| line.x86 == Some(number));
        assert_eq!(line.map(|line| line.name), Some(name.as_str()), "number {number}");
    }
}

#[test]
fn no_number_of_arm64_is_missing() {
    let known = header("/usr/include/asm-generic/unistd.h");
    assert!(known.len() > 300, "not understood");
    // 32-bit systems' own, with 64-bit times; where architectures' own begin; how many there are.
    let skipped = |number, name: &str| {
        (403..=423).contains(&number) || ["arch_specific_syscall", "syscalls"].contains(&name)
    };
    let renamed = |name: &str| match name {
        "fstatat" => "newfstatat".to_string(),
        "sync_file_range2" => "sync_file_range".to_string(),
        other => other.to_string(),
    };
    for (number, name) in known {
        if skipped(number, &name) {
            continue;
        }
        let line = lines().into_iter().find(|line| line.arm64 == Some(number));
        assert_eq!(line.map(|line| line.name.to_string()), Some(renamed(&name)), "number {number}");
    }
}

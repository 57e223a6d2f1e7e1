//! Reading the small files of `/proc` and `/sys`, below a root that tests choose.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// More CPUs or nodes than any kernel can be built for; a list that claims more is broken.
const MOST_IDS: usize = 1 << 16;

/// A file system tree; paths are relative to it.
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The file's text without surrounding white space; nothing if there is none.
    pub fn text(&self, path: &str) -> Option<String> {
        cleaned(&fs::read(self.path(path)).ok()?)
    }

    pub fn number<T: FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// A number for which the kernel writes -1 when it does not know.
    pub fn id(&self, path: &str) -> Option<usize> {
        self.number(path)
    }

    /// A list such as `0-3,8`.
    pub fn list(&self, path: &str) -> Option<Vec<usize>> {
        parse_list(&self.text(path)?)
    }

    /// The entries of a directory, sorted.
    pub fn names(&self, path: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(path)) else {
            return Vec::new();
        };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// The numbers of the entries called `prefix` and a number, ascending.
    pub fn numbered(&self, path: &str, prefix: &str) -> Vec<usize> {
        let names = self.names(path);
        let number = |name: &String| name.strip_prefix(prefix)?.parse().ok();
        let mut numbers: Vec<usize> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The last part of what a symbolic link points to.
    pub fn link_name(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.path(path)).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }
}

/// Text from a file: valid UTF-8 or made so, trimmed, also of the zero byte that
/// ends a string in the device tree.
pub fn cleaned(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// Reads the kernel's list format (`0-3,8,10-11`), ascending and without repetition.
pub fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut ids = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().ok()?;
        let last: usize = last.trim().parse().ok()?;
        if first > last || last >= MOST_IDS {
            return None;
        }
        ids.extend(first..=last);
        if ids.len() > MOST_IDS {
            return None;
        }
    }
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}

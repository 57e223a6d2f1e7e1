//! How many logical CPUs are online.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rezolus_plugin_api::{Context, Sampler, Series, Values};

const ONLINE: &str = "/sys/devices/system/cpu/online";

pub struct Cores {
    file: File,
    cores: Series,
}

impl Sampler for Cores {
    fn start(context: &Context<'_>) -> Result<Self, String> {
        Ok(Self {
            file: File::open(ONLINE).map_err(|error| format!("{ONLINE}: {error}"))?,
            cores: context.series("cpu_cores")?,
        })
    }

    fn refresh(&mut self, values: &mut Values<'_>) -> Result<(), String> {
        // The kernel cuts what sysfs shows to a page.
        let mut text = [0; 4096];
        let length = self.file.read_at(&mut text, 0).map_err(|error| format!("{ONLINE}: {error}"))?;
        let count = count(&text[..length]).ok_or_else(|| format!("{ONLINE}: not a list of CPUs"))?;
        values.gauge(self.cores, count);
        Ok(())
    }
}

/// The number of CPUs in a list such as `0-3,8,10-11`.
fn count(list: &[u8]) -> Option<i64> {
    let list = std::str::from_utf8(list).ok()?.trim();
    let mut count: i64 = 0;
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count += i64::from(last.checked_sub(first)?) + 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn lists_as_sysfs_writes_them() {
        assert_eq!(count(b"0\n"), Some(1));
        assert_eq!(count(b"0-1\n"), Some(2));
        assert_eq!(count(b"0-3,8,10-11\n"), Some(7));
        assert_eq!(count(b"0-4294967295\n"), Some(1 << 32));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [&b""[..], b"\n", b"3-1\n", b"0-\n", b"0,,1\n", b"a\n", b"-1\n", b"\xff\n"] {
            assert_eq!(count(text), None, "{text:?}");
        }
    }
}

//! Pressure stall information: time in which tasks had to wait for a resource,
//! from /proc/pressure.

use rezolus_plugin_api::{Context, ProcFile, Sampler, Series, Values};

/// The kernel's files and the series of their `some` and `full` lines. System
/// wide there is no `full` for the CPU (the kernel shows it as 0 since 5.13, so
/// that the file looks like the others) and no `some` for interrupts.
const TABLE: [(&str, Option<&str>, Option<&str>); 4] = [
    ("/proc/pressure/cpu", Some("pressure_stalled/cpu/some"), None),
    ("/proc/pressure/memory", Some("pressure_stalled/memory/some"), Some("pressure_stalled/memory/full")),
    ("/proc/pressure/io", Some("pressure_stalled/io/some"), Some("pressure_stalled/io/full")),
    ("/proc/pressure/irq", None, Some("pressure_stalled/irq/full")),
];

struct Resource {
    file: ProcFile,
    some: Option<Series>,
    full: Option<Series>,
}

pub struct Pressure(Vec<Resource>);

impl Sampler for Pressure {
    fn start(context: &Context<'_>) -> Result<Self, String> {
        let series = |id: Option<&str>| id.map(|id| context.series(id)).transpose();
        let mut resources = Vec::with_capacity(TABLE.len());
        for (path, some, full) in TABLE {
            // Interrupts came with 6.1, and with irq time accounting only.
            match ProcFile::open(path) {
                Ok(mut file) => {
                    // With psi=0 some kernels have the files and refuse to fill them.
                    file.read().map_err(|error| format!("unsupported: {error}"))?;
                    resources.push(Resource { file, some: series(some)?, full: series(full)? });
                }
                Err(error) if error.starts_with("unsupported: ") => {}
                Err(error) => return Err(error),
            }
        }
        if resources.is_empty() {
            return Err("unsupported: no /proc/pressure (CONFIG_PSI is off, or needs psi=1)".into());
        }
        Ok(Self(resources))
    }

    fn refresh(&mut self, values: &mut Values<'_>) -> Result<(), String> {
        for resource in &mut self.0 {
            let (some, full) = totals(resource.file.read()?);
            for (series, total) in [(resource.some, some), (resource.full, full)] {
                if let (Some(series), Some(microseconds)) = (series, total) {
                    values.counter(series, microseconds.wrapping_mul(1000));
                }
            }
        }
        Ok(())
    }
}

/// The totals of the lines `some` and `full`, in microseconds.
fn totals(text: &[u8]) -> (Option<u64>, Option<u64>) {
    let (mut some, mut full) = (None, None);
    for line in text.split(|&byte| byte == b'\n') {
        if line.starts_with(b"some ") {
            some = total(line);
        } else if line.starts_with(b"full ") {
            full = total(line);
        }
    }
    (some, full)
}

fn total(line: &[u8]) -> Option<u64> {
    let word = line.split(|&byte| byte == b' ').next_back()?;
    std::str::from_utf8(word.strip_prefix(b"total=")?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::totals;

    #[test]
    fn both_lines() {
        let text = b"some avg10=0.06 avg60=0.02 avg300=0.12 total=14779231\n\
                     full avg10=0.06 avg60=0.02 avg300=0.10 total=14453225\n";
        assert_eq!(totals(text), (Some(14_779_231), Some(14_453_225)));
    }

    #[test]
    fn one_line() {
        assert_eq!(totals(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"), (Some(7), None));
        assert_eq!(totals(b"full avg10=0.00 avg60=0.00 avg300=0.00 total=9\n"), (None, Some(9)));
    }

    #[test]
    fn nonsense_is_absent() {
        for text in ["", "some", "some total=", "some total=x", "full total=-1", "total=5"] {
            assert_eq!(totals(text.as_bytes()), (None, None), "{text:?}");
        }
    }
}

//! The states of a CPU that no task accounts for, from `/proc/stat`.
//!
//! User, nice and system time come exactly from BPF and are not read here. These
//! are the kernel's own counts, in steps of 10 ms.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rezolus_plugin_api::{Context, Sampler, Series, Values};

const STAT: &str = "/proc/stat";
/// USER_HZ, the unit of the file: 100 on every architecture but Alpha and IA-64.
const NANOSECONDS_PER_TICK: u64 = 1_000_000_000 / 100;

/// The columns in use: number in a line after `cpu0`, value of the label.
const STATES: [(usize, &str); 7] =
    [(3, "idle"), (4, "iowait"), (5, "irq"), (6, "softirq"), (7, "steal"), (8, "guest"), (9, "guest_nice")];
const COLUMNS: usize = 10;

pub struct Stat {
    file: File,
    series: [Series; STATES.len()],
    /// What was reported last, by CPU.
    reported: Vec<[u64; STATES.len()]>,
    /// Long enough for the lines of the CPUs; the file goes on after them.
    text: Vec<u8>,
}

impl Sampler for Stat {
    fn start(context: &Context<'_>) -> Result<Self, String> {
        let mut series = Vec::with_capacity(STATES.len());
        for (_, state) in STATES {
            series.push(context.series(&format!("cpu_usage/{state}"))?);
        }
        Ok(Self {
            file: File::open(STAT).map_err(|error| format!("{STAT}: {error}"))?,
            series: series.try_into().map_err(|_| "a series per state")?,
            reported: Vec::new(),
            text: vec![0; 1024],
        })
    }

    fn refresh(&mut self, values: &mut Values<'_>) -> Result<(), String> {
        loop {
            let length = self.file.read_at(&mut self.text, 0).map_err(|error| format!("{STAT}: {error}"))?;
            let (series, reported) = (&self.series, &mut self.reported);
            let complete = decode(&self.text[..length], |cpu, columns| {
                report(values, series, reported, cpu, columns);
            });
            if complete {
                return Ok(());
            }
            if length < self.text.len() {
                return Err(format!("{STAT}: ends within the CPUs"));
            }
            self.text.resize(length * 2, 0);
        }
    }
}

/// Idle and iowait can step back by a tick, because other CPUs read the clocks
/// of an idle one without a lock: the highest number seen stands.
fn report(
    values: &mut Values<'_>,
    series: &[Series; STATES.len()],
    reported: &mut Vec<[u64; STATES.len()]>,
    cpu: u32,
    columns: &[u64; COLUMNS],
) {
    let row = cpu as usize;
    if row >= reported.len() {
        reported.resize(row + 1, [0; STATES.len()]);
    }
    for (((column, _), series), last) in STATES.iter().zip(series).zip(&mut reported[row]) {
        *last = (*last).max(columns[*column].saturating_mul(NANOSECONDS_PER_TICK));
        values.row_counter(*series, cpu, *last);
    }
}

/// Calls `each` with the number and the columns of every `cpuN` line. Whether
/// the text held all of them: the lines come first in the file, so the
/// beginning of any other line shows it.
fn decode(text: &[u8], mut each: impl FnMut(u32, &[u64; COLUMNS])) -> bool {
    let mut rest = text;
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        let Some(numbers) = line.strip_prefix(b"cpu") else {
            return true;
        };
        if numbers.first().is_some_and(u8::is_ascii_digit) {
            let mut columns = [0; COLUMNS];
            let mut words = numbers.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
            let cpu = words.next().map_or(0, number);
            for (column, word) in columns.iter_mut().zip(words) {
                *column = number(word);
            }
            if let Ok(cpu) = u16::try_from(cpu) {
                each(cpu.into(), &columns);
            }
        }
    }
    !rest.is_empty() && !rest.starts_with(&b"cpu"[..rest.len().min(3)])
}

/// Decimal digits as far as they go.
fn number(word: &[u8]) -> u64 {
    word.iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |n: u64, byte| n.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, decode};

    const TEXT: &[u8] = b"cpu  8259 0 3883 279818 1608 0 41 41 0 0
cpu0 3549 0 1630 141528 76 0 8 21 0 0
cpu13 4709 1 2253 138289 1531 2 33 19 3 4
intr 196741 0 0 0
ctxt 1990473
";

    fn decoded(text: &[u8]) -> (Vec<(u32, [u64; COLUMNS])>, bool) {
        let mut lines = Vec::new();
        let complete = decode(text, |cpu, columns| lines.push((cpu, *columns)));
        (lines, complete)
    }

    #[test]
    fn lines_of_cpus_without_their_sum() {
        let (lines, complete) = decoded(TEXT);
        assert!(complete);
        assert_eq!(
            lines,
            [
                (0, [3549, 0, 1630, 141_528, 76, 0, 8, 21, 0, 0]),
                (13, [4709, 1, 2253, 138_289, 1531, 2, 33, 19, 3, 4]),
            ]
        );
    }

    #[test]
    fn a_text_cut_off_is_complete_once_another_line_has_begun() {
        let after_cpus = TEXT.windows(4).position(|window| window == b"intr").unwrap();
        for length in 0..TEXT.len() {
            let (lines, complete) = decoded(&TEXT[..length]);
            assert_eq!(complete, length > after_cpus, "cut at {length}");
            assert!(!complete || lines.len() == 2, "cut at {length}");
        }
    }

    #[test]
    fn columns_that_an_older_kernel_lacks_are_zero() {
        let (lines, _) = decoded(b"cpu0 1 2 3 4\nintr 1\n");
        assert_eq!(lines, [(0, [1, 2, 3, 4, 0, 0, 0, 0, 0, 0])]);
    }

    #[test]
    fn nonsense_does_no_harm() {
        assert_eq!(decoded(b""), (vec![], false));
        assert_eq!(decoded(b"\n"), (vec![], true));
        let (lines, _) = decoded(b"cpu0 x 99999999999999999999999 -1\nintr\n");
        assert_eq!(lines.len(), 1);
    }
}

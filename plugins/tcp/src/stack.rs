//! `tcp_stack`: the kernel's own counters of TCP, from /proc/net.
//!
//! Where a number stands in its line is found out once, at the start: the
//! kernel has appended columns over the years, but none move while it runs.

use std::fs;

use rezolus_plugin_api::{Context, ProcFile, Sampler, Series, Values};

/// A file, and what is wanted of one of its lines.
struct Source {
    path: &'static str,
    /// How the line starts.
    line: &'static [u8],
    layout: Layout,
    wanted: &'static [(&'static str, &'static str, Kind)],
}

#[derive(Clone, Copy)]
enum Layout {
    /// A line of names, then one of numbers, which start alike.
    TwoLines,
    /// Each number follows its name.
    Pairs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    /// A gauge, in pages.
    Pages,
}

const SOURCES: [Source; 3] = [
    Source {
        path: "/proc/net/snmp",
        line: b"Tcp:",
        layout: Layout::TwoLines,
        wanted: &[
            ("CurrEstab", "tcp_established", Kind::Gauge),
            ("InSegs", "tcp_segments/receive", Kind::Counter),
            ("OutSegs", "tcp_segments/transmit", Kind::Counter),
            ("RetransSegs", "tcp_segments_retransmitted", Kind::Counter),
            ("InErrs", "tcp_receive_errors", Kind::Counter),
        ],
    },
    Source {
        path: "/proc/net/netstat",
        line: b"TcpExt:",
        layout: Layout::TwoLines,
        wanted: &[
            ("SyncookiesSent", "tcp_syn_cookies", Kind::Counter),
            ("ListenOverflows", "tcp_listen_overflows", Kind::Counter),
            ("ListenDrops", "tcp_listen_drops", Kind::Counter),
            ("TCPTimeouts", "tcp_timeouts", Kind::Counter),
            ("TCPBacklogDrop", "tcp_backlog_drops", Kind::Counter),
        ],
    },
    Source {
        path: "/proc/net/sockstat",
        line: b"TCP:",
        layout: Layout::Pairs,
        wanted: &[
            ("inuse", "tcp_sockets/in_use", Kind::Gauge),
            ("orphan", "tcp_sockets/orphaned", Kind::Gauge),
            ("tw", "tcp_sockets/time_wait", Kind::Gauge),
            ("alloc", "tcp_sockets/allocated", Kind::Gauge),
            ("mem", "tcp_memory", Kind::Pages),
        ],
    },
];

pub struct Stack {
    files: Vec<Open>,
    page_size: i64,
}

struct Open {
    source: &'static Source,
    file: ProcFile,
    /// In the order of the columns.
    numbers: Vec<Number>,
}

struct Number {
    column: usize,
    series: Series,
    kind: Kind,
}

impl Sampler for Stack {
    fn start(context: &Context<'_>) -> Result<Self, String> {
        let mut files = Vec::new();
        for source in &SOURCES {
            files.push(Open::new(source, context)?);
        }
        Ok(Self { files, page_size: page_size()? })
    }

    fn refresh(&mut self, values: &mut Values<'_>) -> Result<(), String> {
        for open in &mut self.files {
            open.refresh(self.page_size, values)?;
        }
        Ok(())
    }
}

impl Open {
    fn new(source: &'static Source, context: &Context<'_>) -> Result<Self, String> {
        let mut file = ProcFile::open(source.path)?;
        let text = file.read()?;
        let mut numbers = Vec::new();
        for (name, id, kind) in source.wanted {
            // A kernel without the column has no such series.
            if let Some(column) = source.column(text, name) {
                numbers.push(Number { column, series: context.series(id)?, kind: *kind });
            }
        }
        if numbers.is_empty() {
            let line = String::from_utf8_lossy(source.line);
            return Err(format!("{}: nothing known after {line}", source.path));
        }
        numbers.sort_unstable_by_key(|number| number.column);
        Ok(Self { source, file, numbers })
    }

    fn refresh(&mut self, page_size: i64, values: &mut Values<'_>) -> Result<(), String> {
        let line = self
            .source
            .numbers(self.file.read()?)
            .ok_or_else(|| format!("{}: the line has gone", self.source.path))?;
        let mut words = words(line).enumerate();
        for number in &self.numbers {
            let value = words
                .find(|(column, _)| *column == number.column)
                .and_then(|(_, word)| decimal(word))
                .ok_or_else(|| format!("{}: no number in column {}", self.source.path, number.column))?;
            match number.kind {
                Kind::Counter => values.counter(number.series, value),
                Kind::Gauge => values.gauge(number.series, value as i64),
                Kind::Pages => values.gauge(number.series, value as i64 * page_size),
            }
        }
        Ok(())
    }
}

impl Source {
    /// The lines of interest, without what they start with.
    fn lines<'a>(&self, text: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let start = self.line;
        text.split(|&byte| byte == b'\n').filter_map(move |line| line.strip_prefix(start))
    }

    /// The line that holds the numbers.
    fn numbers<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        match self.layout {
            Layout::TwoLines => self.lines(text).nth(1),
            Layout::Pairs => self.lines(text).next(),
        }
    }

    /// The word in the line of numbers that belongs to a name.
    fn column(&self, text: &[u8], name: &str) -> Option<usize> {
        let at = words(self.lines(text).next()?).position(|word| word == name.as_bytes())?;
        Some(match self.layout {
            Layout::TwoLines => at,
            Layout::Pairs => at + 1,
        })
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

fn decimal(word: &[u8]) -> Option<u64> {
    word.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| number.wrapping_mul(10).wrapping_add(digit.into()))
    })
}

/// From the auxiliary vector that the kernel gave this process.
fn page_size() -> Result<i64, String> {
    const AT_PAGESZ: u64 = 6;
    let vector = fs::read("/proc/self/auxv").map_err(|error| format!("/proc/self/auxv: {error}"))?;
    let (words, _) = vector.as_chunks::<8>();
    words
        .chunks_exact(2)
        .find(|pair| u64::from_ne_bytes(pair[0]) == AT_PAGESZ)
        .map(|pair| i64::from_ne_bytes(pair[1]))
        .ok_or_else(|| "/proc/self/auxv: no page size".to_string())
}

#[cfg(test)]
mod tests;

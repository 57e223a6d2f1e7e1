//! `tcp_stack`: the kernel's own counters of TCP, from /proc/net.
//!
//! Where a number stands in its line is found out once, at the start: the
//! kernel has appended columns over the years, but none move while it runs.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use rezolus_plugin_api::{Context, Sampler, Series, Values};

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
    buffer: Vec<u8>,
    page_size: i64,
}

struct Open {
    source: &'static Source,
    file: File,
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
        let mut buffer = Vec::new();
        let mut files = Vec::new();
        for source in &SOURCES {
            files.push(
                Open::new(source, context, &mut buffer).map_err(|why| format!("{}: {why}", source.path))?,
            );
        }
        Ok(Self { files, buffer, page_size: page_size()? })
    }

    fn refresh(&mut self, values: &mut Values<'_>) -> Result<(), String> {
        for open in &self.files {
            open.refresh(&mut self.buffer, self.page_size, values)
                .map_err(|why| format!("{}: {why}", open.source.path))?;
        }
        Ok(())
    }
}

impl Open {
    fn new(source: &'static Source, context: &Context<'_>, buffer: &mut Vec<u8>) -> Result<Self, String> {
        let file = File::open(source.path).map_err(|error| error.to_string())?;
        read_all(&file, buffer).map_err(|error| error.to_string())?;
        let mut numbers = Vec::new();
        for (name, id, kind) in source.wanted {
            // A kernel without the column has no such series.
            if let Some(column) = source.column(buffer, name) {
                numbers.push(Number { column, series: context.series(id)?, kind: *kind });
            }
        }
        if numbers.is_empty() {
            return Err(format!("nothing known after {}", String::from_utf8_lossy(source.line)));
        }
        numbers.sort_unstable_by_key(|number| number.column);
        Ok(Self { source, file, numbers })
    }

    fn refresh(&self, buffer: &mut Vec<u8>, page_size: i64, values: &mut Values<'_>) -> Result<(), String> {
        read_all(&self.file, buffer).map_err(|error| error.to_string())?;
        let line = self.source.numbers(buffer).ok_or("the line has gone")?;
        let mut words = words(line).enumerate();
        for number in &self.numbers {
            let value = words
                .find(|(column, _)| *column == number.column)
                .and_then(|(_, word)| decimal(word))
                .ok_or_else(|| format!("no number in column {}", number.column))?;
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

/// Reads a file under /proc from its start; the buffer grows to what is needed
/// and stays that large.
fn read_all(file: &File, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut length = 0;
    loop {
        buffer.resize(buffer.capacity().max(length + 4096), 0);
        match file.read_at(&mut buffer[length..], length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(length);
    Ok(())
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

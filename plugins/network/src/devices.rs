//! `network_devices`: /proc/net/dev, a row per interface.

use rezolus_plugin_api::{Context, ProcFile, Sampler, Series, Values};

const FILE: &str = "/proc/net/dev";
const TABLE: &str = "interface";

/// What is taken of an interface's line, in the order of the columns.
const COLUMNS: [(usize, &str); 8] = [
    (0, "network_interface_bytes/receive"),
    (1, "network_interface_packets/receive"),
    (2, "network_interface_errors/receive"),
    (3, "network_interface_drops/receive"),
    (8, "network_interface_bytes/transmit"),
    (9, "network_interface_packets/transmit"),
    (10, "network_interface_errors/transmit"),
    (11, "network_interface_drops/transmit"),
];

/// The numbers of one interface, in the order of [`COLUMNS`].
type Numbers = [u64; COLUMNS.len()];

pub struct Devices {
    file: ProcFile,
    series: [Series; COLUMNS.len()],
    rows: Rows,
}

impl Sampler for Devices {
    fn start(context: &Context<'_>) -> Result<Self, String> {
        let file = ProcFile::open(FILE)?;
        let mut series = [context.series(COLUMNS[0].1)?; COLUMNS.len()];
        for (series, (_, id)) in series.iter_mut().zip(COLUMNS) {
            *series = context.series(id)?;
        }
        Ok(Self { file, series, rows: Rows::default() })
    }

    fn refresh(&mut self, values: &mut Values<'_>) -> Result<(), String> {
        let text = self.file.read()?;
        self.rows.begin();
        for (name, numbers) in interfaces(text) {
            let (row, new) = self.rows.row_of(name);
            if new {
                values.describe_row(TABLE, row, &[("interface", &String::from_utf8_lossy(name))]);
            }
            for (series, number) in self.series.iter().zip(numbers) {
                values.row_counter(*series, row, number);
            }
        }
        self.rows.end(|row| values.drop_row(TABLE, row));
        Ok(())
    }
}

/// The interfaces in the text of /proc/net/dev. What is no interface's line,
/// such as the two of headings, is passed over.
fn interfaces(text: &[u8]) -> impl Iterator<Item = (&[u8], Numbers)> {
    text.split(|&byte| byte == b'\n').filter_map(interface)
}

fn interface(line: &[u8]) -> Option<(&[u8], Numbers)> {
    let colon = line.iter().position(|&byte| byte == b':')?; // no name holds one
    let name = line[..colon].trim_ascii();
    let mut numbers = Numbers::default();
    let mut wanted = COLUMNS.iter().zip(&mut numbers).peekable();
    let words = line[colon + 1..].split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    for (column, word) in words.enumerate() {
        if let Some((_, number)) = wanted.next_if(|((wanted, _), _)| *wanted == column) {
            *number = decimal(word)?;
        }
    }
    (wanted.peek().is_none() && !name.is_empty()).then_some((name, numbers))
}

fn decimal(word: &[u8]) -> Option<u64> {
    word.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| number.wrapping_mul(10).wrapping_add(digit.into()))
    })
}

/// Which interface has which row. A row is given to another interface only
/// after a refresh in which it had none, so that numbers of two interfaces
/// never form one series.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    /// Where the next name is most likely to be found: the order of the file
    /// hardly ever changes.
    next: usize,
}

#[derive(Default)]
struct Row {
    /// Empty: free.
    name: Vec<u8>,
    seen: bool,
}

impl Rows {
    fn begin(&mut self) {
        self.next = 0;
        for row in &mut self.rows {
            row.seen = false;
        }
    }

    /// The row of an interface, and whether it has only just been given it.
    fn row_of(&mut self, name: &[u8]) -> (u32, bool) {
        let hit = self.rows.get(self.next).is_some_and(|row| row.name == name);
        let known = if hit { Some(self.next) } else { self.position(name) };
        let index = known.or_else(|| self.position(b"")).unwrap_or_else(|| {
            self.rows.push(Row::default());
            self.rows.len() - 1
        });
        let row = &mut self.rows[index];
        row.seen = true;
        if known.is_none() {
            row.name.extend_from_slice(name);
        }
        self.next = index + 1;
        (index as u32, known.is_none())
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.rows.iter().position(|row| row.name == name)
    }

    /// Withdraws the rows of interfaces that were not seen since `begin`.
    fn end(&mut self, mut gone: impl FnMut(u32)) {
        for (index, row) in self.rows.iter_mut().enumerate() {
            if !row.seen && !row.name.is_empty() {
                row.name.clear();
                gone(index as u32);
            }
        }
    }
}

#[cfg(test)]
mod tests;

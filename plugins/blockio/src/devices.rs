//! Totals per disk, from /proc/diskstats.

use std::path::Path;

use rezolus_plugin_api::{Context, ProcFile, Sampler, Series, Values};

use crate::diskstats::{Line, Operation};

const TABLE: &str = "device";

pub struct Devices {
    file: ProcFile,
    series: AllSeries,
    devices: Roster,
}

struct AllSeries {
    /// Read, write, discard, flush.
    operations: [Series; 4],
    times: [Series; 4],
    /// Read, write, discard.
    bytes: [Series; 3],
    merges: [Series; 3],
    in_flight: Series,
    busy: Series,
    queued: Series,
}

impl Sampler for Devices {
    fn start(context: &Context<'_>) -> Result<Self, String> {
        let file = ProcFile::open("/proc/diskstats")?;
        Ok(Self { file, series: AllSeries::of(context)?, devices: Roster::default() })
    }

    fn refresh(&mut self, values: &mut Values<'_>) -> Result<(), String> {
        let text = self.file.read()?;
        self.devices.begin();
        for line in text.split(|&byte| byte == b'\n').filter_map(Line::parse) {
            if !line.used() {
                continue;
            }
            let (row, new) = self.devices.row_of(line.name, is_disk);
            if let Some(row) = row {
                if new {
                    values.describe_row(TABLE, row, &[("device", line.name)]);
                }
                self.series.report(&line, row, values);
            }
        }
        self.devices.end(|row| values.drop_row(TABLE, row));
        Ok(())
    }
}

/// Whether the name is that of a whole device; partitions would count the same
/// operations again. In sysfs a slash in a name (cciss/c0d0) is written `!`.
fn is_disk(name: &str) -> bool {
    Path::new("/sys/block").join(name.replace('/', "!")).exists()
}

impl AllSeries {
    fn of(context: &Context<'_>) -> Result<Self, String> {
        let one = |name: &str| context.series(&format!("blockio_device_{name}"));
        let three = |name: &str| -> Result<[Series; 3], String> {
            Ok([
                one(&format!("{name}/read"))?,
                one(&format!("{name}/write"))?,
                one(&format!("{name}/discard"))?,
            ])
        };
        let four = |name: &str| -> Result<[Series; 4], String> {
            let [read, write, discard] = three(name)?;
            Ok([read, write, discard, one(&format!("{name}/flush"))?])
        };
        Ok(Self {
            operations: four("operations")?,
            times: four("time")?,
            bytes: three("bytes")?,
            merges: three("merges")?,
            in_flight: one("in_flight")?,
            busy: one("busy")?,
            queued: one("queued")?,
        })
    }

    fn report(&self, line: &Line<'_>, row: u32, values: &mut Values<'_>) {
        let operations: [Operation; 4] = [line.reads(), line.writes(), line.discards(), line.flushes()];
        for (i, operation) in operations.iter().enumerate() {
            values.row_counter(self.operations[i], row, operation.completed);
            values.row_counter(self.times[i], row, operation.nanoseconds);
            if i < 3 {
                values.row_counter(self.bytes[i], row, operation.bytes);
                values.row_counter(self.merges[i], row, operation.merged);
            }
        }
        values.row_gauge(self.in_flight, row, line.in_flight() as i64);
        values.row_counter(self.busy, row, line.busy());
        values.row_counter(self.queued, row, line.queued());
    }
}

/// Which device has which row. The kernel lists devices in the same order
/// every time, so the next one is nearly always where the last pass found it.
#[derive(Default)]
struct Roster {
    /// In the order of the file.
    entries: Vec<Entry>,
    next: usize,
    rows: u32,
    /// Rows that became free in an earlier pass: one given up and taken in the
    /// same pass would be dropped and described at once.
    free: Vec<u32>,
}

struct Entry {
    name: String,
    /// `None` for partitions.
    row: Option<u32>,
    seen: bool,
}

impl Roster {
    fn begin(&mut self) {
        self.next = 0;
        for entry in &mut self.entries {
            entry.seen = false;
        }
    }

    /// The row of a device, and whether it is new. `is_disk` is asked once per
    /// name.
    fn row_of(&mut self, name: &str, is_disk: impl Fn(&str) -> bool) -> (Option<u32>, bool) {
        let at = match self.entries.get(self.next) {
            Some(entry) if entry.name == name => Some(self.next),
            _ => self.entries.iter().position(|entry| entry.name == name),
        };
        if let Some(at) = at {
            self.next = at + 1;
            self.entries[at].seen = true;
            return (self.entries[at].row, false);
        }
        let row = is_disk(name).then(|| {
            self.free.pop().unwrap_or_else(|| {
                self.rows += 1;
                self.rows - 1
            })
        });
        let at = self.next.min(self.entries.len());
        self.entries.insert(at, Entry { name: name.into(), row, seen: true });
        self.next = at + 1;
        (row, row.is_some())
    }

    /// Forgets the devices that the pass did not meet.
    fn end(&mut self, mut dropped: impl FnMut(u32)) {
        let free = &mut self.free;
        self.entries.retain(|entry| {
            if let Some(row) = entry.row
                && !entry.seen
            {
                dropped(row);
                free.push(row);
            }
            entry.seen
        });
    }
}

#[cfg(test)]
mod tests;

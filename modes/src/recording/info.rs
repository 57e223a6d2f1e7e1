//! `rezolus recording info`: what a recording holds, on one screen.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::schema::printable;
use super::{Error, Kind, Recording, utc};

/// As many gaps and events are listed as text; JSON has all of them.
const LISTED: usize = 10;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The recording
    pub input: PathBuf,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// What a recording holds.
#[derive(Debug, Serialize)]
pub struct Info {
    pub path: PathBuf,
    pub bytes: u64,
    pub sources: Vec<String>,
    pub version: Option<String>,
    pub created_by: Option<String>,
    pub interval_ms: u64,
    /// Nanoseconds since the Unix epoch.
    pub start_ns: Option<u64>,
    pub end_ns: Option<u64>,
    pub start: Option<String>,
    pub end: Option<String>,
    pub duration_ns: u64,
    pub rows: usize,
    pub row_groups: usize,
    pub codecs: Vec<String>,
    pub columns: BTreeMap<&'static str, usize>,
    pub samplers: BTreeMap<String, usize>,
    pub sources_columns: BTreeMap<String, usize>,
    pub gaps: Vec<Gap>,
    /// What the recorder itself says it missed.
    pub missed: Option<Value>,
    pub host: Option<String>,
    pub events: Vec<Value>,
    /// Columns that no reader takes.
    pub unknown: Vec<String>,
    pub metadata_keys: Vec<String>,
}

/// Rows that are not there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// Nanoseconds since the Unix epoch: the rows before and after.
    pub from_ns: u64,
    pub to_ns: u64,
    /// How many rows there would have been.
    pub missing: u64,
}

impl Args {
    /// # Errors
    ///
    /// When the input is damaged.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        let info = Info::of(&Recording::open(&self.input)?)?;
        if self.json {
            serde_json::to_writer_pretty(&mut *out, &info).map_err(std::io::Error::from)?;
            writeln!(out)?;
            return Ok(());
        }
        Ok(info.write(out)?)
    }
}

impl Info {
    /// # Errors
    ///
    /// When the file's metadata is not what it has to be.
    pub fn of(recording: &Recording) -> Result<Self, Error> {
        let interval_ms = recording.interval_ms()?;
        let range = recording.time_range();
        let events = recording.json("events")?.and_then(|root| root.get("events").cloned());
        let mut info = Self {
            path: recording.path().into(),
            bytes: recording.bytes(),
            sources: recording.sources(),
            version: recording.key("version").map(str::to_string),
            created_by: recording.parquet().file_metadata().created_by().map(str::to_string),
            interval_ms,
            start_ns: range.map(|range| range.0),
            end_ns: range.map(|range| range.1),
            start: range.map(|range| utc(range.0)),
            end: range.map(|range| utc(range.1)),
            duration_ns: range.map_or(0, |(start, end)| end - start),
            rows: recording.rows(),
            row_groups: recording.row_groups().len(),
            codecs: codecs(recording),
            columns: BTreeMap::new(),
            samplers: BTreeMap::new(),
            sources_columns: BTreeMap::new(),
            gaps: gaps(recording.timestamps(), interval_ms),
            missed: recording.json("rezolus.missed")?,
            host: recording.json("systeminfo")?.as_ref().map(host),
            events: events.and_then(|events| events.as_array().cloned()).unwrap_or_default(),
            unknown: Vec::new(),
            metadata_keys: recording.metadata().map(|(key, _)| key.into()).collect(),
        };
        info.count(recording);
        Ok(info)
    }

    fn count(&mut self, recording: &Recording) {
        for column in recording.columns() {
            *self.columns.entry(column.kind.name()).or_default() += 1;
            if let Kind::Unknown { why } = &column.kind {
                self.unknown.push(format!("{column}: {why}"));
            }
            if !column.kind.is_metric() {
                continue;
            }
            if let Some(sampler) = column.sampler() {
                *self.samplers.entry(sampler.into()).or_default() += 1;
            }
            if let Some(source) = column.labels.get("source") {
                *self.sources_columns.entry(source.clone()).or_default() += 1;
            }
        }
    }

    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let mut line = |key: &str, value: String| writeln!(out, "{key:<12}{}", printable(value));
        let counts = |counts: Vec<(String, usize)>| {
            counts.into_iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        let owned = |map: &BTreeMap<String, usize>| map.clone().into_iter().collect::<Vec<_>>();
        line("file", format!("{}, {} bytes", self.path.display(), self.bytes))?;
        let version = self.version.as_deref().unwrap_or("not said");
        let sources = if self.sources.is_empty() { "not said".into() } else { self.sources.join(", ") };
        line("source", format!("{sources}, version {version}"))?;
        line("writer", self.created_by.clone().unwrap_or("not said".into()))?;
        if let Some(host) = &self.host {
            line("host", host.clone())?;
        }
        if let (Some(start), Some(end)) = (&self.start, &self.end) {
            let length = std::time::Duration::from_millis(self.duration_ns / 1_000_000);
            line("time", format!("{start} to {end}, {}", humantime::format_duration(length)))?;
        }
        let groups = match self.row_groups {
            1 => "1 row group".into(),
            count => format!("{count} row groups"),
        };
        let codecs = self.codecs.join(", ");
        line("rows", format!("{}, every {} ms, {groups}, {codecs}", self.rows, self.interval_ms))?;
        line("columns", counts(self.columns.iter().map(|(k, v)| (k.to_string(), *v)).collect()))?;
        if !self.samplers.is_empty() {
            line("samplers", counts(owned(&self.samplers)))?;
        }
        if !self.sources_columns.is_empty() {
            line("by source", counts(owned(&self.sources_columns)))?;
        }
        let missing: u64 = self.gaps.iter().map(|gap| gap.missing).sum();
        line("gaps", format!("{}, {missing} rows missing", self.gaps.len()))?;
        for gap in self.gaps.iter().take(LISTED) {
            line("", format!("{} rows between {} and {}", gap.missing, utc(gap.from_ns), utc(gap.to_ns)))?;
        }
        if let Some(Value::Array(missed)) = &self.missed {
            for entry in missed.iter().take(LISTED) {
                let time = |at: usize| entry[at].as_u64().map_or("?".into(), utc);
                line("missed", format!("{} from {} to {}: {}", entry[2], time(0), time(1), entry[3]))?;
            }
        }
        line("metadata", self.metadata_keys.join(", "))?;
        line("events", self.events.len().to_string())?;
        for event in self.events.iter().take(LISTED) {
            let time = event["timestamp"].as_u64().map_or("at no time".into(), utc);
            line("", format!("{time} {}", event["description"].as_str().unwrap_or("without description")))?;
        }
        self.unknown.iter().try_for_each(|column| line("unknown", column.clone()))
    }
}

fn codecs(recording: &Recording) -> Vec<String> {
    let chunks = recording.row_groups().iter().flat_map(|group| group.columns());
    // Without the level, which the file does not know.
    let name = |codec: String| codec.split('(').next().unwrap_or_default().to_string();
    let mut names: Vec<_> = chunks.map(|chunk| name(chunk.compression().to_string())).collect();
    names.sort();
    names.dedup();
    names
}

/// Where more than an interval and a half lies between two rows.
pub(super) fn gaps(timestamps: &[u64], interval_ms: u64) -> Vec<Gap> {
    let interval = interval_ms * 1_000_000;
    let gap = |pair: &[u64]| {
        let (from_ns, to_ns) = (pair[0], pair[1]);
        let missing =
            (to_ns.saturating_sub(from_ns).saturating_add(interval / 2) / interval).saturating_sub(1);
        (missing > 0).then_some(Gap { from_ns, to_ns, missing })
    };
    timestamps.windows(2).filter_map(gap).collect()
}

/// One line about the machine, of what it says about itself.
fn host(systeminfo: &Value) -> String {
    let text = |key: &str| systeminfo[key].as_str().map(str::to_string);
    let number = |key: &str, unit: &str| systeminfo[key].as_u64().map(|number| format!("{number} {unit}"));
    let memory = systeminfo["memory_total_bytes"].as_u64().map(|bytes| format!("{} MiB", bytes >> 20));
    let kernel = text("kernel").map(|kernel| kernel.split(" (").next().unwrap_or_default().to_string());
    let parts =
        [text("hostname"), text("cpu_model"), number("cpus", "CPUs"), memory, text("distribution"), kernel];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "without a name".into(),
        false => parts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_missing_rows() {
        let second = 1_000_000_000;
        assert_eq!(gaps(&[0, second + 400_000_000, 2 * second], 1000), []);
        let found = gaps(&[0, 3 * second - 1, 4 * second], 1000);
        assert_eq!(found, [Gap { from_ns: 0, to_ns: 3 * second - 1, missing: 2 }]);
        assert_eq!(gaps(&[u64::MAX, 0, u64::MAX], 1).len(), 1);
    }
}

//! `rezolus recording annotate`: events and metadata, without touching a value.
//!
//! Columns are copied byte for byte, and only the footer is written anew. What
//! is checked by a sum over all bytes before the footer stays valid.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::str::FromStr;

use parquet::file::metadata::{
    FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataWriter,
};
use serde_json::{Value, json};

use super::guard::guarded;
use super::output::Aside;
use super::select::When;
use super::table::CHECKSUM;
use super::{Error, Recording};

/// Keys that hold JSON: whoever reads them relies on it.
pub(super) const JSON_KEYS: [&str; 11] = [
    "systeminfo",
    "descriptions",
    "per_source_metadata",
    "events",
    "service_queries",
    "selection",
    "rezolus.dashboards",
    "rezolus.diagnoses",
    "rezolus.status",
    "rezolus.missed",
    "rezolus.notes",
];

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The recording
    pub input: PathBuf,
    /// Where the annotated one goes; without it, the input is replaced
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// An event: RFC 3339, seconds since the epoch, `-5m` before the end or
    /// `+5m` after the start, then what happened
    #[arg(long, value_name = "TIME DESCRIPTION", allow_hyphen_values = true)]
    pub event: Vec<Event>,
    /// A key of the file's metadata, and its value
    #[arg(long, value_name = "KEY=VALUE")]
    pub metadata: Vec<Pair>,
    /// Replace the output if there is one
    #[arg(long)]
    pub force: bool,
}

/// `TIME DESCRIPTION`
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub when: When,
    pub description: String,
}

impl FromStr for Event {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().split_once(char::is_whitespace) {
            Some((when, description)) => {
                Ok(Self { when: when.parse()?, description: description.trim().into() })
            }
            None => Err("a time, a space and a description are expected".into()),
        }
    }
}

/// `KEY=VALUE`
#[derive(Clone, Debug, PartialEq)]
pub struct Pair(String, String);

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("KEY=VALUE is expected")?;
        if key.is_empty() {
            return Err("the key is empty".into());
        }
        if key == parquet::arrow::ARROW_SCHEMA_META_KEY {
            return Err(format!("{key} belongs to the columns"));
        }
        if key == CHECKSUM {
            return Err(format!("{key} is computed"));
        }
        if key == "events" {
            return Err("events are added by --event".into());
        }
        if key == "sampling_interval_ms" && !value.parse::<u64>().is_ok_and(|interval| interval > 0) {
            return Err(format!("{key} is a number of milliseconds above 0"));
        }
        if JSON_KEYS.contains(&key) {
            serde_json::from_str::<Value>(value).map_err(|error| format!("{key} is JSON: {error}"))?;
        }
        Ok(Self(key.into(), value.into()))
    }
}

impl Args {
    /// # Errors
    ///
    /// When nothing is to be added, the input is damaged or the output cannot
    /// be written: then everything is as it was.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        if self.event.is_empty() && self.metadata.is_empty() {
            return Err(Error::Usage("nothing to add: give --event or --metadata".into()));
        }
        let recording = Recording::open(&self.input)?;
        let mut pairs = recording.parquet().file_metadata().key_value_metadata().cloned().unwrap_or_default();
        for Pair(key, value) in &self.metadata {
            set(&mut pairs, key, value.clone());
        }
        if !self.event.is_empty() {
            set(&mut pairs, "events", self.events(&recording)?);
        }
        let target = self.output.as_ref().unwrap_or(&self.input);
        let force = self.force || self.output.is_none();
        let (aside, file) = Aside::create(target, force)?;
        copy(&recording, pairs, &file).map_err(|why| aside.error(why))?;
        aside.finish(&file)?;
        writeln!(
            out,
            "{}: {} events and {} keys added",
            target.display(),
            self.event.len(),
            self.metadata.len()
        )?;
        Ok(())
    }

    /// Those there are and those to be added, in order of time.
    fn events(&self, recording: &Recording) -> Result<String, Error> {
        let mut root = recording.json("events")?.unwrap_or_else(|| json!({"events": []}));
        let Some(events) = root.get_mut("events").and_then(Value::as_array_mut) else {
            return Err(recording.place("metadata `events`", "holds no list of events"));
        };
        let range = recording.time_range().unwrap_or_default();
        for event in &self.event {
            let timestamp = event.when.in_range(range);
            events.push(json!({"timestamp": timestamp, "description": event.description}));
        }
        events.sort_by_key(|event| event["timestamp"].as_u64());
        Ok(root.to_string())
    }
}

fn set(pairs: &mut Vec<KeyValue>, key: &str, value: String) {
    match pairs.iter_mut().rev().find(|pair| pair.key == key) {
        Some(pair) => pair.value = Some(value),
        None => pairs.push(KeyValue::new(key.to_string(), value)),
    }
}

/// Copies all before the footer, then writes the footer with other metadata.
fn copy(recording: &Recording, pairs: Vec<KeyValue>, file: &File) -> Result<(), String> {
    let say = |error: io::Error| error.to_string();
    let mut input = recording.file.try_clone().map_err(say)?;
    let before = footer_start(&input, recording.bytes())?;
    input.seek(SeekFrom::Start(0)).map_err(say)?;
    let mut output = BufWriter::new(file);
    let copied = io::copy(&mut input.take(before), &mut output).map_err(say)?;
    if copied != before {
        return Err(format!("the input ended at byte {copied} while it was copied"));
    }
    let metadata = with_pairs(recording.parquet(), pairs);
    guarded(|| ParquetMetaDataWriter::new(&mut output, &metadata).finish())?;
    output.flush().map_err(say)
}

/// How many bytes there are before the footer.
fn footer_start(file: &File, bytes: u64) -> Result<u64, String> {
    let mut length = [0; 4];
    let at = bytes.checked_sub(8).ok_or("is too short")?;
    file.read_exact_at(&mut length, at).map_err(|error| format!("cannot be read: {error}"))?;
    at.checked_sub(u32::from_le_bytes(length).into()).ok_or("the footer is damaged".into())
}

fn with_pairs(metadata: &ParquetMetaData, pairs: Vec<KeyValue>) -> ParquetMetaData {
    let about = metadata.file_metadata();
    let file = FileMetaData::new(
        about.version(),
        about.num_rows(),
        about.created_by().map(str::to_string),
        Some(pairs),
        about.schema_descr_ptr(),
        about.column_orders().cloned(),
    );
    // Page indexes stay where they are: their places are in the row groups.
    ParquetMetaDataBuilder::new(file).set_row_groups(metadata.row_groups().to_vec()).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_checked() {
        let event: Event = "-5m  a deploy ".parse().unwrap();
        assert_eq!(event.description, "a deploy");
        assert!("2026-11-22T10:00:00Z".parse::<Event>().is_err());
        assert!("noon lunch".parse::<Event>().is_err());
        for good in ["a=b", "node=", "x=a=b", "descriptions={}", "sampling_interval_ms=500"] {
            assert!(good.parse::<Pair>().is_ok(), "{good}");
        }
        for bad in [
            "a",
            "=b",
            "ARROW:schema=x",
            "events={}",
            "systeminfo=x",
            "sampling_interval_ms=0",
            "descriptions=",
        ] {
            assert!(bad.parse::<Pair>().is_err(), "{bad}");
        }
    }
}

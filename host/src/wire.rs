//! Snapshots as msgpack: the bytes that `Snapshot::to_msgpack` would make.
//!
//! Most of a snapshot is histogram buckets that are zero, and descriptions
//! that were sent before. serde takes each as it comes; here runs of zeros are
//! copied, and descriptions are encoded once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::UNIX_EPOCH;

use metriken_exposition::Snapshot;

use crate::metric::{GROUPING_POWER, LINE, LINES, MAX_VALUE_POWER, ones};
use crate::snapshot::{Group, Reading, Slices};

type Hash = (u64, u64);

/// Encodes snapshots; remembers the schemas it encoded.
#[derive(Default)]
pub struct Encoder {
    schemas: HashMap<Hash, Vec<u8>>,
    /// How a histogram begins; empty before the first.
    histogram: Vec<u8>,
    /// The last body was this long.
    length: usize,
}

impl Encoder {
    /// Encodes a snapshot, without the schemas that are in `held`.
    ///
    /// # Errors
    ///
    /// Those of the encoder for schemas, which has no reason to fail.
    pub fn encode(&mut self, reading: &Reading, held: &[Hash]) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity(self.length + 1024);
        array(&mut out, 4);
        let since = reading.systemtime.duration_since(UNIX_EPOCH).unwrap_or_default();
        for duration in [since, reading.duration] {
            array(&mut out, 2);
            uint(&mut out, duration.as_secs());
            uint(&mut out, duration.subsec_nanos().into());
        }
        head(&mut out, reading.metadata.len(), 0x80, 0xde);
        for (key, value) in &reading.metadata {
            string(&mut out, key);
            string(&mut out, value);
        }
        array(&mut out, reading.groups.len());
        for (group, numbers) in reading.groups() {
            self.group(&mut out, group, &numbers, held)?;
        }
        if self.schemas.len() > reading.groups.len() {
            self.schemas.retain(|hash, _| reading.groups.iter().any(|group| group.hash == *hash));
        }
        self.length = out.len();
        Ok(out)
    }

    fn group(
        &mut self,
        out: &mut Vec<u8>,
        group: &Group,
        numbers: &Slices<'_>,
        held: &[Hash],
    ) -> Result<(), String> {
        array(out, 7);
        string(out, &group.name);
        array(out, 2);
        uint(out, group.hash.0);
        uint(out, group.hash.1);
        if held.contains(&group.hash) {
            out.push(NIL);
        } else {
            let bytes = match self.schemas.entry(group.hash) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    new.insert(Snapshot::to_msgpack(&group.schema).map_err(|error| error.to_string())?)
                }
            };
            out.extend_from_slice(bytes);
        }
        // The agent's groups have no window.
        out.push(NIL);
        array(out, numbers.counters.len());
        for value in numbers.counters {
            optional(out, *value, uint);
        }
        array(out, numbers.gauges.len());
        for value in numbers.gauges {
            optional(out, *value, int);
        }
        array(out, numbers.histograms.len());
        if self.histogram.is_empty() {
            let config = histogram::Config::new(GROUPING_POWER, MAX_VALUE_POWER);
            let config = config.map_err(|error| error.to_string())?;
            array(&mut self.histogram, 2);
            let bytes = Snapshot::to_msgpack(&config).map_err(|error| error.to_string())?;
            self.histogram.extend_from_slice(&bytes);
            array(&mut self.histogram, LINES * LINE);
        }
        let mut lines = numbers.lines.iter();
        for &used in numbers.histograms {
            out.extend_from_slice(&self.histogram);
            let mut done = 0;
            for (line, counts) in ones(used).zip(&mut lines) {
                zeros(out, line - done);
                counts.iter().for_each(|&count| uint(out, count));
                done = line + 1;
            }
            zeros(out, LINES - done);
        }
        Ok(())
    }
}

/// Lines of buckets without a count.
fn zeros(out: &mut Vec<u8>, lines: usize) {
    out.resize(out.len() + lines * LINE, 0);
}

const NIL: u8 = 0xc0;

fn optional<T>(out: &mut Vec<u8>, value: Option<T>, write: impl Fn(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(out, value),
        None => out.push(NIL),
    }
}

fn array(out: &mut Vec<u8>, length: usize) {
    head(out, length, 0x90, 0xdc);
}

/// The head of an array or map: in one byte, or with two or four for the length.
fn head(out: &mut Vec<u8>, length: usize, short: u8, long: u8) {
    match length {
        0..16 => out.push(short | length as u8),
        16..0x1_0000 => {
            out.push(long);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(long + 1);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        length @ 0..32 => out.push(0xa0 | length as u8),
        length @ 32..0x100 => out.extend_from_slice(&[0xd9, length as u8]),
        length @ 0x100..0x1_0000 => {
            out.push(0xda);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0xdb);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

fn uint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..0x80 => out.push(value as u8),
        0x80..0x100 => out.extend_from_slice(&[0xcc, value as u8]),
        0x100..0x1_0000 => {
            out.push(0xcd);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(0xce);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

fn int(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        return uint(out, value);
    }
    match value {
        -0x20.. => out.push(value as u8),
        -0x80.. => out.extend_from_slice(&[0xd0, value as u8]),
        -0x8000.. => {
            out.push(0xd1);
            out.extend_from_slice(&(value as i16).to_be_bytes());
        }
        -0x8000_0000.. => {
            out.push(0xd2);
            out.extend_from_slice(&(value as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    use metriken_exposition::{GroupSchema, MetricDesc};

    use crate::snapshot::{Lengths, Numbers};

    /// Values on both sides of every change of width.
    fn edges() -> Vec<u64> {
        let powers = [0, 5, 7, 8, 15, 16, 31, 32, 62, 63].map(|power| 1u64 << power);
        powers.iter().flat_map(|&edge| [edge - 1, edge, edge + 1]).chain([u64::MAX]).collect()
    }

    fn group(name: &str, lengths: Lengths) -> Group {
        let describe = |name: String| MetricDesc { name, metadata: [("a".into(), "b".into())].into() };
        let schema = GroupSchema {
            counters: (0..70).map(|n| describe("c".repeat(n * 5))).collect(),
            ..Default::default()
        };
        Group { name: name.into(), hash: schema.hash(), schema: Arc::new(schema), lengths }
    }

    fn reading() -> Reading {
        let gauges =
            edges().into_iter().map(|edge| edge as i64).flat_map(|v| [Some(v), Some(v.wrapping_neg()), None]);
        // Nothing, the first line, the last, and all of them.
        let histograms = vec![0, 1, 1 << (LINES - 1), (1 << LINES) - 1];
        let lines: u32 = histograms.iter().map(|used: &u64| used.count_ones()).sum();
        let mut counts = edges().into_iter().cycle();
        let numbers = Numbers {
            counters: edges().into_iter().map(Some).chain([None]).collect(),
            gauges: gauges.collect(),
            histograms,
            lines: (0..lines).map(|_| std::array::from_fn(|_| counts.next().unwrap())).collect(),
        };
        let first = Lengths { counters: 5, gauges: 60, histograms: 2, lines: 1 };
        let all = numbers.lengths();
        let rest = Lengths {
            counters: all.counters - first.counters,
            gauges: all.gauges - first.gauges,
            histograms: all.histograms - first.histograms,
            lines: all.lines - first.lines,
        };
        Reading {
            systemtime: UNIX_EPOCH + Duration::new(1_790_000_000, 123_456_789),
            duration: Duration::from_micros(77),
            // One: the exchange type keeps them in no particular order.
            metadata: vec![("key", "v".repeat(100))],
            groups: vec![group("", first), group("", Lengths::default()), group(&"n".repeat(300), rest)],
            numbers,
        }
    }

    #[test]
    fn the_bytes_are_those_of_serde() {
        let reading = reading();
        let expected = Snapshot::to_msgpack(&Snapshot::V3(reading.to_snapshot())).unwrap();
        let mut encoder = Encoder::default();
        assert!(encoder.encode(&reading, &[]).unwrap() == expected);
        assert!(encoder.encode(&reading, &[]).unwrap() == expected, "with what was remembered");
    }

    #[test]
    fn schemas_that_are_held_are_left_out() {
        let reading = reading();
        let bytes = Encoder::default().encode(&reading, &[reading.groups[0].hash]).unwrap();
        let mut expected = reading.to_snapshot();
        for group in &mut expected.groups {
            group.schema = None;
        }
        assert!(bytes == Snapshot::to_msgpack(&Snapshot::V3(expected)).unwrap());
    }
}

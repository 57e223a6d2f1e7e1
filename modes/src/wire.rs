//! Snapshots as msgpack: the bytes that metriken's `Exchange::to_msgpack` would
//! make, and back.
//!
//! Most of a snapshot is histogram buckets that are zero, and descriptions
//! that were sent before. serde takes each as it comes; here runs of zeros are
//! copied, and descriptions are encoded once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use metriken_exposition::Snapshot as Exchange;

use crate::snapshot::{Group, GroupSchema, LINE, Line, Numbers, Shape, Slices, Snapshot};

type Hash = (u64, u64);

/// Encodes snapshots; remembers the schemas it encoded.
#[derive(Default)]
pub struct Encoder {
    schemas: HashMap<Hash, Vec<u8>>,
    /// How histograms of a shape begin.
    heads: Vec<((u8, u8), Vec<u8>)>,
    /// The last body was this long.
    length: usize,
}

impl Encoder {
    /// Encodes a snapshot, without the schemas that are in `held`.
    ///
    /// # Errors
    ///
    /// Those of the encoder for schemas, which has no reason to fail.
    pub fn encode(&mut self, snapshot: &Snapshot, held: &[Hash]) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity(self.length + 1024);
        array(&mut out, 4);
        let since = snapshot.systemtime.duration_since(UNIX_EPOCH).unwrap_or_default();
        for duration in [since, snapshot.duration] {
            array(&mut out, 2);
            uint(&mut out, duration.as_secs());
            uint(&mut out, duration.subsec_nanos().into());
        }
        head(&mut out, snapshot.metadata.len(), 0x80, 0xde);
        for (key, value) in &snapshot.metadata {
            string(&mut out, key);
            string(&mut out, value);
        }
        array(&mut out, snapshot.groups.len());
        for (group, numbers) in snapshot.groups() {
            self.group(&mut out, group, &numbers, held)?;
        }
        if self.schemas.len() > snapshot.groups.len() {
            self.schemas.retain(|hash, _| snapshot.groups.iter().any(|group| group.hash == *hash));
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
                    new.insert(Exchange::to_msgpack(&group.schema).map_err(|error| error.to_string())?)
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
        let histograms = numbers.histograms();
        array(out, histograms.len());
        for histogram in histograms {
            let Some(histogram) = histogram else {
                out.push(NIL);
                continue;
            };
            let shape = (histogram.grouping_power, histogram.max_value_power);
            out.extend_from_slice(self.head(shape)?);
            let length = Shape::buckets(shape.0, shape.1).unwrap_or_default();
            let mut done = 0;
            for line in histogram.lines {
                let start = usize::from(line.number) * LINE;
                if start < done || start >= length {
                    return Err("a histogram has lines out of order".into());
                }
                zeros(out, start - done);
                done = (start + LINE).min(length);
                line.counts[..done - start].iter().for_each(|&count| uint(out, count));
            }
            zeros(out, length - done);
        }
        Ok(())
    }

    /// What stands before the buckets of a histogram.
    fn head(&mut self, shape: (u8, u8)) -> Result<&[u8], String> {
        let at = match self.heads.iter().position(|(known, _)| *known == shape) {
            Some(at) => at,
            None => {
                let config = histogram::Config::new(shape.0, shape.1).map_err(|error| error.to_string())?;
                let mut head = Vec::new();
                array(&mut head, 2);
                head.extend(Exchange::to_msgpack(&config).map_err(|error| error.to_string())?);
                array(&mut head, config.total_buckets());
                self.heads.push((shape, head));
                self.heads.len() - 1
            }
        };
        Ok(&self.heads[at].1)
    }
}

/// Buckets without a count.
fn zeros(out: &mut Vec<u8>, buckets: usize) {
    out.resize(out.len() + buckets, 0);
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

/// The schemas a reader holds.
#[derive(Default)]
pub struct Schemas(HashMap<Hash, Arc<GroupSchema>>);

impl Schemas {
    /// Those of these groups and no others.
    pub fn keep(&mut self, groups: &[Group]) {
        self.0.retain(|hash, _| groups.iter().any(|group| group.hash == *hash));
    }

    /// Remembers the schemas of these groups.
    pub fn add(&mut self, groups: &[Group]) {
        for group in groups {
            self.0.entry(group.hash).or_insert_with(|| group.schema.clone());
        }
    }

    pub fn hashes(&self) -> impl Iterator<Item = Hash> {
        self.0.keys().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why bytes are not a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The byte at which reading stopped.
    pub at: usize,
    pub why: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.at, self.why)
    }
}

impl std::error::Error for Malformed {}

/// Decodes a snapshot of any version. Schemas that it leaves out are taken from
/// `schemas`, those it brings are put there.
///
/// # Errors
///
/// Where and why the bytes are no snapshot, or which group's schema is unknown.
pub fn decode(bytes: &[u8], schemas: &mut Schemas) -> Result<Snapshot, Malformed> {
    let mut input = Input { bytes, at: 0 };
    // Version 3 is an array of four that begins with two arrays of two; other
    // versions begin differently.
    let result =
        if bytes.starts_with(&[0x94, 0x92]) { input.snapshot(schemas) } else { other_version(bytes) };
    result.map_err(|why| Malformed { at: input.at, why })
}

fn other_version(bytes: &[u8]) -> Result<Snapshot, String> {
    match Exchange::from_msgpack(bytes) {
        Ok(snapshot) => Ok(Snapshot::from_exchange(snapshot)),
        Err(_) => Err("this is no snapshot in msgpack of any known version".into()),
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn snapshot(&mut self, schemas: &mut Schemas) -> Result<Snapshot, String> {
        self.expect_array(4)?;
        let mut times = [Duration::ZERO; 2];
        for time in &mut times {
            self.expect_array(2)?;
            let (seconds, nanos) = (self.uint()?, self.uint()?);
            if nanos >= 1_000_000_000 {
                return Err(format!("{nanos} nanoseconds of a second"));
            }
            *time = Duration::new(seconds, nanos as u32);
        }
        let systemtime = UNIX_EPOCH.checked_add(times[0]).ok_or("a time beyond all calendars")?;
        let entries = self.length(0x80, 0xde, "a map")?;
        let mut metadata = Vec::with_capacity(entries.min(64));
        for _ in 0..entries {
            metadata.push((self.string()?.to_string().into(), self.string()?.to_string()));
        }
        let count = self.array()?;
        let mut groups = Vec::with_capacity(count.min(256));
        let mut numbers = Numbers::default();
        for _ in 0..count {
            groups.push(self.group(schemas, &mut numbers)?);
        }
        Ok(Snapshot { systemtime, duration: times[1], metadata, groups, numbers })
    }

    fn group(&mut self, schemas: &mut Schemas, numbers: &mut Numbers) -> Result<Group, String> {
        // Later versions of the format have an eighth element.
        let parts = self.array()?;
        if !(7..=8).contains(&parts) {
            return Err(format!("a group has 7 or 8 parts, not {parts}"));
        }
        let name: Arc<str> = self.string()?.into();
        self.expect_array(2)?;
        let hash = (self.uint()?, self.uint()?);
        let schema = if self.nil() {
            let known = schemas.0.get(&hash).cloned();
            known.ok_or_else(|| format!("group {name} comes without its schema, which is not known"))?
        } else {
            let start = self.at;
            self.skip(0)?;
            let schema: GroupSchema = rmp_serde::from_slice(&self.bytes[start..self.at])
                .map_err(|error| format!("group {name}: its schema: {error}"))?;
            let schema = Arc::new(schema);
            schemas.0.insert(hash, schema.clone());
            schema
        };
        self.skip(0)?; // window
        let before = numbers.lengths();
        for _ in 0..self.array()? {
            let value = if self.nil() { None } else { Some(self.uint()?) };
            numbers.counters.push(value);
        }
        for _ in 0..self.array()? {
            let value = if self.nil() { None } else { Some(self.int()?) };
            numbers.gauges.push(value);
        }
        for _ in 0..self.array()? {
            self.histogram(numbers)?;
        }
        if parts == 8 {
            self.skip(0)?;
        }
        let lengths = numbers.lengths().since(before);
        let described = (schema.counters.len(), schema.gauges.len(), schema.histograms.len());
        if described != (lengths.counters, lengths.gauges, lengths.histograms) {
            return Err(format!(
                "group {name}: {described:?} counters, gauges and histograms are described, and there are {:?}",
                (lengths.counters, lengths.gauges, lengths.histograms)
            ));
        }
        Ok(Group { name, schema, hash, lengths })
    }

    fn histogram(&mut self, numbers: &mut Numbers) -> Result<(), String> {
        if self.nil() {
            numbers.histograms.push(None);
            return Ok(());
        }
        self.expect_array(2)?;
        self.expect_array(8)?;
        let mut config = [0; 8];
        for part in &mut config {
            *part = self.uint()?;
        }
        let shape = u8::try_from(config[1]).ok().zip(u8::try_from(config[2]).ok());
        let length = shape.and_then(|(g, n)| Shape::buckets(g, n));
        let (Some((grouping_power, max_value_power)), Some(length)) = (shape, length) else {
            return Err(format!(
                "there are no histograms of grouping power {} up to 2^{}",
                config[1], config[2]
            ));
        };
        let count = self.array()?;
        if count != length {
            return Err(format!("{count} buckets in a histogram that has {length}"));
        }
        let before = numbers.lines.len();
        let mut index = 0;
        while index < length {
            let width = LINE.min(length - index);
            match self.bytes.get(self.at..self.at + width) {
                Some(bytes) if bytes.iter().all(|&byte| byte == 0) => self.at += width,
                _ => {
                    let mut line = Line { number: (index / LINE) as u16, counts: [0; LINE] };
                    for count in &mut line.counts[..width] {
                        *count = self.uint()?;
                    }
                    numbers.lines.push(line);
                }
            }
            index += width;
        }
        let lines = (numbers.lines.len() - before) as u16;
        numbers.histograms.push(Some(Shape { grouping_power, max_value_power, lines }));
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, String> {
        let byte = *self.bytes.get(self.at).ok_or("it ends too early")?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(length).ok_or("it ends too early")?;
        let taken = self.bytes.get(self.at..end).ok_or("it ends too early")?;
        self.at = end;
        Ok(taken)
    }

    fn big_endian(&mut self, length: usize) -> Result<u64, String> {
        Ok(self.take(length)?.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn nil(&mut self) -> bool {
        let nil = self.bytes.get(self.at) == Some(&NIL);
        self.at += usize::from(nil);
        nil
    }

    fn uint(&mut self) -> Result<u64, String> {
        match self.byte()? {
            byte @ 0..0x80 => Ok(byte.into()),
            byte @ 0xcc..=0xcf => self.big_endian(1 << (byte - 0xcc)),
            byte => Err(format!("an unsigned number is expected, not type {byte:#04x}")),
        }
    }

    fn int(&mut self) -> Result<i64, String> {
        match self.bytes.get(self.at) {
            Some(byte @ 0xe0..) => {
                self.at += 1;
                Ok((*byte as i8).into())
            }
            Some(byte @ 0xd0..=0xd3) => {
                self.at += 1;
                let length = 1 << (byte - 0xd0);
                let shift = 64 - 8 * length as u32;
                Ok(((self.big_endian(length)? << shift) as i64) >> shift)
            }
            _ => i64::try_from(self.uint()?).map_err(|_| "a gauge beyond 2^63".into()),
        }
    }

    /// A length that there can be: everything takes a byte at least.
    fn length(&mut self, short: u8, long: u8, what: &str) -> Result<usize, String> {
        let byte = self.byte()?;
        let length = match byte {
            byte if byte & 0xf0 == short => u64::from(byte & 0x0f),
            byte if byte == long => self.big_endian(2)?,
            byte if byte == long + 1 => self.big_endian(4)?,
            byte => return Err(format!("{what} is expected, not type {byte:#04x}")),
        };
        let left = self.bytes.len() - self.at;
        usize::try_from(length).ok().filter(|length| *length <= left).ok_or("it ends too early".into())
    }

    fn array(&mut self) -> Result<usize, String> {
        self.length(0x90, 0xdc, "an array")
    }

    fn expect_array(&mut self, length: usize) -> Result<(), String> {
        match self.array()? {
            found if found == length => Ok(()),
            found => Err(format!("an array of {length} is expected, not of {found}")),
        }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let length = match self.byte()? {
            byte @ 0xa0..0xc0 => u64::from(byte & 0x1f),
            byte @ 0xd9..=0xdb => self.big_endian(1 << (byte - 0xd9))?,
            byte => return Err(format!("a string is expected, not type {byte:#04x}")),
        };
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        std::str::from_utf8(bytes).map_err(|_| "a string that is not UTF-8".into())
    }

    /// Passes over one value.
    fn skip(&mut self, depth: u8) -> Result<(), String> {
        if depth > 16 {
            return Err("too many levels".into());
        }
        let byte = self.byte()?;
        let inside = match byte {
            0..0x80 | 0xe0.. | NIL | 0xc2 | 0xc3 => 0,
            0x80..0x90 => 2 * u64::from(byte & 0x0f),
            0x90..0xa0 => u64::from(byte & 0x0f),
            0xa0..0xc0 => return self.take(usize::from(byte & 0x1f)).map(drop),
            0xcc..=0xcf => return self.take(1 << (byte - 0xcc)).map(drop),
            0xd0..=0xd3 => return self.take(1 << (byte - 0xd0)).map(drop),
            0xca => return self.take(4).map(drop),
            0xcb => return self.take(8).map(drop),
            0xd9..=0xdb => {
                let length = self.big_endian(1 << (byte - 0xd9))?;
                return self.take(usize::try_from(length).unwrap_or(usize::MAX)).map(drop);
            }
            0xdc | 0xdd => self.big_endian(2 << (byte - 0xdc))?,
            0xde | 0xdf => 2 * self.big_endian(2 << (byte - 0xde))?,
            byte => return Err(format!("type {byte:#04x} is not used in snapshots")),
        };
        (0..inside).try_for_each(|_| self.skip(depth + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metriken_exposition::MetricDesc;

    use crate::snapshot::Lengths;

    /// Values on both sides of every change of width.
    fn edges() -> Vec<u64> {
        let powers = [0, 5, 7, 8, 15, 16, 31, 32, 62, 63].map(|power| 1u64 << power);
        powers.iter().flat_map(|&edge| [edge - 1, edge, edge + 1]).chain([u64::MAX]).collect()
    }

    fn group(name: &str, lengths: Lengths) -> Group {
        let describe =
            |n: usize| MetricDesc { name: "c".repeat(n * 5), metadata: [("a".into(), "b".into())].into() };
        let schema = GroupSchema {
            counters: (0..lengths.counters).map(describe).collect(),
            gauges: (0..lengths.gauges).map(describe).collect(),
            histograms: (0..lengths.histograms).map(describe).collect(),
            ..Default::default()
        };
        Group { name: name.into(), hash: schema.hash(), schema: Arc::new(schema), lengths }
    }

    fn snapshot() -> Snapshot {
        let gauges =
            edges().into_iter().map(|edge| edge as i64).flat_map(|v| [Some(v), Some(v.wrapping_neg()), None]);
        let mut counts = edges().into_iter().cycle();
        let mut numbers = Numbers {
            counters: edges().into_iter().map(Some).chain([None]).collect(),
            gauges: gauges.collect(),
            ..Default::default()
        };
        // Nothing, the first line, the last, all of them; shapes of no whole lines.
        for (shape, numbers_of_lines) in [
            ((3, 64), 0..0),
            ((3, 64), 0..1),
            ((3, 64), 61..62),
            ((3, 64), 0..62),
            ((0, 64), 7..9),
            ((1, 3), 0..1),
        ] {
            let lines = numbers_of_lines.len() as u16;
            let length = Shape::buckets(shape.0, shape.1).unwrap();
            numbers.histograms.push(Some(Shape { grouping_power: shape.0, max_value_power: shape.1, lines }));
            for number in numbers_of_lines {
                let mut line = Line { number, counts: [0; LINE] };
                let width = LINE.min(length - usize::from(number) * LINE);
                line.counts[..width].fill_with(|| counts.next().unwrap().max(1));
                numbers.lines.push(line);
            }
        }
        numbers.histograms.push(None);
        let first = Lengths { counters: 5, gauges: 60, histograms: 2, lines: 1 };
        let rest = numbers.lengths().since(first);
        Snapshot {
            systemtime: UNIX_EPOCH + Duration::new(1_790_000_000, 123_456_789),
            duration: Duration::from_micros(77),
            // One: the exchange type keeps them in no particular order.
            metadata: vec![("key".into(), "v".repeat(100))],
            groups: vec![group("", first), group("", Lengths::default()), group(&"n".repeat(300), rest)],
            numbers,
        }
    }

    #[test]
    fn the_bytes_are_those_of_serde() {
        let snapshot = snapshot();
        let expected = Exchange::to_msgpack(&Exchange::V3(snapshot.to_exchange())).unwrap();
        let mut encoder = Encoder::default();
        assert!(encoder.encode(&snapshot, &[]).unwrap() == expected);
        assert!(encoder.encode(&snapshot, &[]).unwrap() == expected, "with what was remembered");
    }

    #[test]
    fn schemas_that_are_held_are_left_out() {
        let snapshot = snapshot();
        let bytes = Encoder::default().encode(&snapshot, &[snapshot.groups[0].hash]).unwrap();
        let mut expected = snapshot.to_exchange();
        for (group, ours) in expected.groups.iter_mut().zip(&snapshot.groups) {
            if ours.hash == snapshot.groups[0].hash {
                group.schema = None;
            }
        }
        assert!(bytes == Exchange::to_msgpack(&Exchange::V3(expected)).unwrap());
    }

    fn same(a: &Snapshot, b: &Snapshot) {
        assert_eq!(a.systemtime, b.systemtime);
        assert_eq!(a.duration, b.duration);
        assert_eq!(a.metadata, b.metadata);
        assert_eq!(a.numbers, b.numbers);
        assert_eq!(a.groups.len(), b.groups.len());
        for (a, b) in a.groups.iter().zip(&b.groups) {
            assert_eq!((&a.name, &a.schema, a.hash, a.lengths), (&b.name, &b.schema, b.hash, b.lengths));
        }
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let snapshot = snapshot();
        let mut encoder = Encoder::default();
        let mut schemas = Schemas::default();
        let bytes = encoder.encode(&snapshot, &[]).unwrap();
        same(&decode(&bytes, &mut schemas).unwrap(), &snapshot);
        let held: Vec<_> = schemas.hashes().collect();
        let bytes = encoder.encode(&snapshot, &held).unwrap();
        same(&decode(&bytes, &mut schemas).unwrap(), &snapshot);
        let error = decode(&bytes, &mut Schemas::default()).unwrap_err();
        assert!(error.why.contains("without its schema"), "{error}");
    }

    #[test]
    fn no_bytes_are_too_bad() {
        let bytes = Encoder::default().encode(&snapshot(), &[]).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length], &mut Schemas::default()).is_err(), "{length}");
        }
        let mut random = 1u64;
        for _ in 0..20_000 {
            let mut damaged = bytes.clone();
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = (random >> 33) as usize % damaged.len();
            damaged[at] = (random >> 20) as u8;
            let _ = decode(&damaged, &mut Schemas::default());
        }
    }
}

//! The tail of a log: ticks as they came, each durable by itself.
//!
//! A file of frames; `docs/formats/log.md` describes it to the byte.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::columns::{Columns, Source};
use crate::snapshot::Snapshot;
use crate::wire::{Encoder, Schemas, decode};

const MAGIC: &[u8; 8] = b"RZTICKS\x01";
const HEADER: u8 = b'H';
const TICK: u8 = b'T';
const NOTE: u8 = b'N';
/// A frame longer than this is no frame.
const LONGEST: usize = 1 << 28;

/// What a file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub interval_ns: u64,
    pub sources: Vec<Source>,
    /// What goes into the recording's own metadata.
    #[serde(default)]
    pub metadata: Vec<(String, String)>,
}

/// Something that happened, in the field's shape of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// ns since the epoch.
    pub timestamp: u64,
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ns: Option<u64>,
    /// Of missed ticks: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// Appends to a file of ticks.
pub struct Writer {
    pub path: PathBuf,
    file: Arc<File>,
    encoder: Vec<Encoder>,
    /// By source: what was written in this file already.
    written: Vec<Schemas>,
    frame: Vec<u8>,
    pub bytes: u64,
}

impl Writer {
    /// # Errors
    ///
    /// When the file exists or cannot be written.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let mut writer = Self {
            path: path.to_path_buf(),
            file: Arc::new(file),
            encoder: header.sources.iter().map(|_| Encoder::default()).collect(),
            written: header.sources.iter().map(|_| Schemas::default()).collect(),
            frame: Vec::new(),
            bytes: 0,
        };
        let json = serde_json::to_vec(header)?;
        let mut begin = MAGIC.to_vec();
        put_frame(&mut begin, HEADER, |frame| frame.extend_from_slice(&json));
        (&*writer.file).write_all(&begin)?;
        writer.bytes = begin.len() as u64;
        Ok(writer)
    }

    /// Writes one frame in one go. A frame that cannot be written whole is taken
    /// back, so that the next one can be found.
    fn frame(&mut self, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        put_frame(&mut frame, kind, fill);
        let result = (&*self.file).write_all(&frame);
        match &result {
            Ok(()) => self.bytes += frame.len() as u64,
            Err(_) => {
                use std::io::Seek;
                let _ = self.file.set_len(self.bytes);
                let _ = (&*self.file).seek(io::SeekFrom::Start(self.bytes));
            }
        }
        self.frame = frame;
        result
    }

    /// # Errors
    ///
    /// Those of the file; then the tick is not in it.
    pub fn tick(&mut self, timestamp: u64, parts: &[Option<Arc<Snapshot>>]) -> io::Result<()> {
        let mut bodies = Vec::with_capacity(parts.len());
        for ((part, encoder), written) in parts.iter().zip(&mut self.encoder).zip(&self.written) {
            let held: Vec<_> = written.hashes().collect();
            bodies.push(match part {
                Some(snapshot) => encoder.encode(snapshot, &held).map_err(io::Error::other)?,
                None => Vec::new(),
            });
        }
        self.frame(TICK, |frame| {
            frame.extend_from_slice(&timestamp.to_le_bytes());
            for body in &bodies {
                frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
                frame.extend_from_slice(body);
            }
        })?;
        for (part, written) in parts.iter().zip(&mut self.written) {
            if let Some(snapshot) = part {
                written.add(&snapshot.groups);
            }
        }
        Ok(())
    }

    /// # Errors
    ///
    /// Those of the file.
    pub fn note(&mut self, note: &Note) -> io::Result<()> {
        let json = serde_json::to_vec(note)?;
        self.frame(NOTE, |frame| frame.extend_from_slice(&json))
    }

    /// The file, to be made durable by somebody else.
    pub fn file(&self) -> Arc<File> {
        self.file.clone()
    }
}

/// Appends a frame to what is to be written.
fn put_frame(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.push(kind);
    fill(out);
    let frame = &mut out[start..];
    let length = (frame.len() - 8) as u32;
    let checksum = crc32fast::hash(&frame[8..]);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// What a file of ticks holds.
pub struct Contents {
    pub header: Header,
    pub columns: Columns,
    pub notes: Vec<Note>,
    /// Where and why reading ended before the end of the file.
    pub damage: Option<String>,
}

/// Reads as far as there are whole frames.
///
/// # Errors
///
/// When the file cannot be read, or is not one of ticks.
pub fn read(path: &Path) -> Result<Contents, String> {
    let fail = |why: String| format!("{}: {why}", path.display());
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(|error| fail(error.to_string()))?;
    file.read_to_end(&mut bytes).map_err(|error| fail(error.to_string()))?;
    parse(&bytes).map_err(fail)
}

/// As [`read`], from memory.
///
/// # Errors
///
/// When the bytes are not a file of ticks.
pub fn parse(bytes: &[u8]) -> Result<Contents, String> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or("this is not a file of ticks")?;
    let mut frames = std::iter::from_fn(|| {
        if rest.is_empty() {
            return None;
        }
        let at = bytes.len() - rest.len();
        match frame(&mut rest) {
            Ok(frame) => Some(Ok(frame)),
            Err(why) => {
                rest = &[];
                Some(Err(format!("byte {at}: {why}")))
            }
        }
    });
    let header: Header = match frames.next() {
        Some(Ok((HEADER, payload))) => {
            serde_json::from_slice(payload).map_err(|error| format!("its header: {error}"))?
        }
        Some(Err(why)) => return Err(why),
        _ => return Err("it has no header".into()),
    };
    let mut columns = Columns::new(&header.sources);
    let mut schemas: Vec<Schemas> = header.sources.iter().map(|_| Schemas::default()).collect();
    let (mut notes, mut damage) = (Vec::new(), None);
    for frame in frames {
        let outcome = frame.and_then(|(kind, payload)| match kind {
            TICK => tick(payload, &mut schemas).map(|(at, parts)| columns.append(at, &parts)),
            NOTE => {
                let note = serde_json::from_slice(payload).map_err(|error| format!("a note: {error}"))?;
                notes.push(note);
                Ok(())
            }
            kind => Err(format!("a frame of unknown kind {kind:#04x}")),
        });
        if let Err(why) = outcome {
            damage = Some(why);
            break;
        }
    }
    Ok(Contents { header, columns, notes, damage })
}

fn number(bytes: &mut &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*length) as usize)
}

fn frame<'a>(rest: &mut &'a [u8]) -> Result<(u8, &'a [u8]), String> {
    const CUT: &str = "it is cut off in a frame";
    let length = number(rest).ok_or(CUT)?;
    let checksum = number(rest).ok_or(CUT)?;
    if length == 0 || length > LONGEST {
        return Err(format!("a frame of {length} bytes"));
    }
    let (body, after) = rest.split_at_checked(length).ok_or(CUT)?;
    if crc32fast::hash(body) as usize != checksum {
        return Err("a frame whose checksum is wrong".into());
    }
    *rest = after;
    Ok((body[0], &body[1..]))
}

type Parts = Vec<Option<Arc<Snapshot>>>;

fn tick(payload: &[u8], schemas: &mut [Schemas]) -> Result<(u64, Parts), String> {
    let (time, mut rest) = payload.split_first_chunk::<8>().ok_or("a tick without a time")?;
    let mut parts = Vec::with_capacity(schemas.len());
    for schemas in schemas {
        let length = number(&mut rest).ok_or("a tick that is too short")?;
        let (body, after) = rest.split_at_checked(length).ok_or("a tick that is too short")?;
        rest = after;
        parts.push(match body {
            [] => None,
            body => Some(Arc::new(decode(body, schemas).map_err(|error| format!("a tick: {error}"))?)),
        });
    }
    Ok((u64::from_le_bytes(*time), parts))
}

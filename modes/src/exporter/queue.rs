//! Requests that wait on disk: a file each, whose names are numbers in the
//! order in which they are to be sent.
//!
//! A file is `RZRW`, the CRC-32 of what follows, the number of samples (both
//! little endian), and the body. It gets its name when it is
//! complete. It is not forced to disk: after a power failure the last seconds
//! may be missing or damaged, and what is damaged is left out.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"RZRW";
const HEAD: usize = 12;
const SUFFIX: &str = "request";

/// A bounded queue in a folder of its own.
#[derive(Debug)]
pub struct Queue {
    folder: PathBuf,
    capacity: u64,
    /// Number and size, oldest first.
    waiting: VecDeque<(u64, u64)>,
    bytes: u64,
    next: u64,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub samples: u32,
    pub body: Vec<u8>,
}

impl Queue {
    /// Opens a folder, with what a process before has left in it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or read.
    pub fn open(folder: &Path, capacity: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut waiting = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            match number(&path) {
                Some(number) => waiting.push((number, entry.metadata()?.len())),
                // Was being written when the process ended.
                None if path.extension().is_some_and(|end| end == "part") => fs::remove_file(path)?,
                None => {}
            }
        }
        waiting.sort_unstable();
        Ok(Self {
            folder: folder.into(),
            capacity,
            bytes: waiting.iter().map(|(_, size)| size).sum(),
            next: waiting.last().map_or(0, |(number, _)| number + 1),
            waiting: waiting.into(),
        })
    }

    /// Size of all that wait.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends a request; returns how many old ones had to go for it.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or alone is more than the queue may hold.
    pub fn push(&mut self, request: &Request) -> io::Result<u64> {
        let size = (HEAD + request.body.len()) as u64;
        if size > self.capacity {
            let why = format!("a request of {size} bytes is more than the whole queue of {}", self.capacity);
            return Err(io::Error::other(why));
        }
        let mut dropped = 0;
        while self.bytes + size > self.capacity && !self.waiting.is_empty() {
            self.pop()?;
            dropped += 1;
        }
        let mut bytes = Vec::with_capacity(HEAD + request.body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&request.samples.to_le_bytes());
        bytes.extend_from_slice(&request.body);
        let checksum = crc32fast::hash(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        let path = self.path(self.next);
        let part = path.with_extension("part");
        fs::write(&part, bytes).and_then(|()| fs::rename(&part, path)).inspect_err(|_| {
            let _ = fs::remove_file(&part);
        })?;
        self.waiting.push_back((self.next, size));
        self.bytes += size;
        self.next += 1;
        Ok(dropped)
    }

    /// The number of the oldest request and what it is; the inner error says
    /// why it cannot be sent. None if nothing waits.
    pub fn oldest(&self) -> Option<(u64, Result<Request, String>)> {
        let (number, _) = *self.waiting.front()?;
        let path = self.path(number);
        let read = fs::read(&path).map_err(|error| error.to_string());
        let request = read.and_then(|bytes| parse(&bytes));
        Some((number, request.map_err(|why| format!("{}: {why}", path.display()))))
    }

    /// Removes a request that was the oldest, if it is still there.
    ///
    /// # Errors
    ///
    /// When its file stays; it is not sent again by this process.
    pub fn remove(&mut self, number: u64) -> io::Result<()> {
        match self.waiting.front() {
            Some((oldest, _)) if *oldest == number => self.pop(),
            _ => Ok(()),
        }
    }

    fn pop(&mut self) -> io::Result<()> {
        let Some((number, size)) = self.waiting.pop_front() else { return Ok(()) };
        self.bytes -= size;
        match fs::remove_file(self.path(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}.{SUFFIX}"))
    }
}

fn number(path: &Path) -> Option<u64> {
    (path.extension()? == SUFFIX).then(|| path.file_stem()?.to_str()?.parse().ok())?
}

fn parse(bytes: &[u8]) -> Result<Request, String> {
    let (head, body) = bytes.split_at_checked(HEAD).ok_or("it is cut off")?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if &head[..4] != MAGIC {
        return Err("it is not a request of remote write".into());
    }
    if word(4) != crc32fast::hash(&bytes[8..]) {
        return Err("its checksum is wrong".into());
    }
    Ok(Request { samples: word(8), body: body.into() })
}

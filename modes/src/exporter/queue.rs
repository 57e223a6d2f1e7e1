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

#[cfg(test)]
mod tests {
    use super::*;

    fn request(byte: u8) -> Request {
        Request { samples: byte.into(), body: vec![byte; 100] }
    }

    fn opened(folder: &Path) -> Queue {
        Queue::open(folder, 350).unwrap()
    }

    fn drained(mut queue: Queue) -> Vec<Result<Request, String>> {
        let mut all = Vec::new();
        while let Some((number, request)) = queue.oldest() {
            all.push(request);
            queue.remove(number).unwrap();
        }
        assert_eq!(queue.bytes(), 0);
        all
    }

    #[test]
    fn the_oldest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = opened(folder.path());
        let dropped: Vec<u64> = (0..5).map(|byte| queue.push(&request(byte)).unwrap()).collect();
        assert_eq!(dropped, [0, 0, 0, 1, 1]);
        assert_eq!(queue.bytes(), 3 * 112);
        assert_eq!(drained(queue), [2, 3, 4].map(|byte| Ok(request(byte))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_dropped_meanwhile_is_not_removed_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = opened(folder.path());
        queue.push(&request(0)).unwrap();
        let (number, _) = queue.oldest().unwrap();
        (1..4).for_each(|byte| assert!(queue.push(&request(byte)).is_ok()));
        queue.remove(number).unwrap();
        assert_eq!(drained(queue), [1, 2, 3].map(|byte| Ok(request(byte))));
    }

    #[test]
    fn a_folder_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = opened(folder.path());
        queue.push(&request(1)).unwrap();
        queue.push(&request(2)).unwrap();
        drop(queue);
        fs::write(folder.path().join("7.part"), "half").unwrap();
        fs::write(folder.path().join("README"), "not ours").unwrap();
        let mut queue = opened(folder.path());
        queue.push(&request(3)).unwrap();
        assert_eq!(queue.bytes(), 3 * 112);
        assert_eq!(drained(queue), [1, 2, 3].map(|byte| Ok(request(byte))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "what is not ours stays");
    }

    #[test]
    fn too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = opened(folder.path());
        queue.push(&request(1)).unwrap();
        let large = Request { samples: 1, body: vec![0; 339] };
        assert!(queue.push(&large).unwrap_err().to_string().contains("more than the whole queue"));
        assert_eq!(drained(queue), [Ok(request(1))]);
    }

    #[test]
    fn damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = opened(folder.path());
        queue.push(&request(1)).unwrap();
        let path = queue.path(0);
        let whole = fs::read(&path).unwrap();
        assert_eq!(parse(&whole), Ok(request(1)));
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{length}");
        }
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&damaged).is_err(), "{bit}");
        }
        fs::write(&path, &whole[1..]).unwrap();
        let (_, error) = queue.oldest().unwrap();
        assert!(error.unwrap_err().contains(&path.display().to_string()));
    }
}

//! The segment log: where recorder and hindsight keep what they sample.
//!
//! A folder. The newest ticks are in a file of frames (`ticks`), each of which
//! is whole or not there. When there are enough of them they become a segment:
//! a Parquet file in the layout of a recording, written aside, made durable and
//! renamed (its name says its checksum), after which the ticks are deleted. That happens on a thread of its
//! own, while sampling goes on with the next file. Nothing is changed once it is
//! written, so a kill, a full disk or a power cut costs the tick at hand.

pub(crate) mod checksum;
pub mod columns;
pub mod segment;
pub mod stitch;
pub mod ticks;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::snapshot::Snapshot;
use columns::Columns;
use segment::Segment;
pub use ticks::{Header, Note};

/// A segment has at most this many ticks,
const MOST_TICKS: usize = 1024;
/// is about this large in memory,
const MOST_BYTES: usize = 6 << 20;
/// and this old.
const MOST_TIME: Duration = Duration::from_secs(300);
/// What a file of ticks may at least have.
const LEAST_FILE: u64 = 1 << 17;
/// Where a segment keeps its ticks' header, and its notes.
pub(crate) const HEADER_KEY: &str = "rezolus.log.header";
const NOTES_KEY: &str = "rezolus.log.notes";
/// Where there is what sources told of themselves since the log was begun.
const TOLD: &str = "told.json";

/// What is known of one file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub number: u64,
    /// First and last timestamp, ns since the epoch.
    pub range: Option<(u64, u64)>,
    pub rows: usize,
    pub bytes: u64,
    done: bool,
}

impl Part {
    /// Nothing writes it or makes a segment of it any more: it may be deleted.
    pub fn is_done(&self) -> bool {
        self.done
    }
}

/// A log that is written to.
pub struct Log {
    folder: PathBuf,
    header: Header,
    writer: Option<ticks::Writer>,
    columns: Columns,
    notes: Vec<Note>,
    most_time: Duration,
    most_file: u64,
    number: u64,
    parts: Arc<Mutex<BTreeMap<u64, Part>>>,
    sealer: Option<(SyncSender<Job>, JoinHandle<()>)>,
    syncer: Syncer,
    trouble: Trouble,
}

/// What went wrong on the threads behind, in words.
type Trouble = Arc<Mutex<Option<String>>>;

/// Ticks that are to become a segment.
struct Job {
    number: u64,
    columns: Columns,
    header: Header,
    notes: Vec<Note>,
}

impl Log {
    /// Opens a log to append to. One that is there goes on: what its last writer
    /// left behind becomes a segment first. Returns what that was, in words.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or read.
    pub fn open(folder: &Path, header: Header) -> Result<(Self, Vec<String>), String> {
        let fail = |error: io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(fail)?;
        let (mut parts, mut said) = seal_leftovers(folder)?;
        for (number, path) in files(folder, "parquet").map_err(fail)? {
            match open_segment(&path).and_then(|segment| describe(number, &path, &segment)) {
                Ok(part) => drop(parts.insert(number, part)),
                Err(why) => {
                    said.push(format!("{}: {why}; it is left out", path.display()));
                    let _ = fs::rename(&path, path.with_extension("damaged"));
                }
            }
        }
        count_damaged(folder, &mut parts).map_err(fail)?;
        let number = parts.keys().next_back().map_or(1, |last| last + 1);
        let parts = Arc::new(Mutex::new(parts));
        let trouble: Trouble = Arc::default();
        let log = Self {
            folder: folder.to_path_buf(),
            columns: Columns::new(&header.sources),
            header,
            writer: None,
            notes: Vec::new(),
            most_time: MOST_TIME,
            most_file: u64::MAX,
            number,
            sealer: Some(start_sealer(folder, &parts, &trouble).map_err(fail)?),
            parts,
            syncer: Syncer::start(folder, &trouble).map_err(fail)?,
            trouble,
        };
        Ok((log, said))
    }

    fn writer(&mut self) -> io::Result<&mut ticks::Writer> {
        if self.writer.is_none() {
            let path = self.folder.join(format!("{:08}.ticks", self.number));
            // A leftover of an attempt that failed.
            let _ = fs::remove_file(&path);
            self.writer = Some(ticks::Writer::create(&path, &self.header)?);
            self.syncer.sync_folder();
        }
        self.writer.as_mut().ok_or_else(|| io::Error::other("no file"))
    }

    /// Appends what the sources gave at a time, in ns since the epoch, which is
    /// later than the one before.
    ///
    /// # Errors
    ///
    /// Those of the disk; then the tick is lost, and the log as good as before.
    pub fn append(&mut self, timestamp: u64, parts: &[Option<Arc<Snapshot>>]) -> io::Result<()> {
        let writer = self.writer()?;
        writer.tick(timestamp, parts)?;
        let (file, length) = (writer.file(), writer.bytes);
        self.syncer.sync(file);
        self.columns.append(timestamp, parts);
        let time = self.columns.range().map_or(0, |(first, last)| last.saturating_sub(first));
        if self.columns.rows() >= MOST_TICKS
            || self.columns.bytes() >= MOST_BYTES
            || u128::from(time) >= self.most_time.as_nanos()
            || length >= self.most_file
        {
            self.roll();
        }
        Ok(())
    }

    /// Has segments end sooner than they would: after a time, or when the file
    /// of ticks has so many bytes.
    pub fn limit_segments(&mut self, time: Duration, bytes: u64) {
        self.most_time = time.clamp(Duration::from_secs(1), MOST_TIME);
        self.most_file = bytes.max(LEAST_FILE);
    }

    /// Appends an event.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn note(&mut self, note: Note) -> io::Result<()> {
        self.writer()?.note(&note)?;
        self.notes.push(note);
        Ok(())
    }

    /// Hands the ticks so far to the sealing thread, and goes on with a new file.
    fn roll(&mut self) {
        let Some(at_hand) = self.at_hand() else { return };
        self.writer = None;
        self.parts.lock().insert(self.number, at_hand);
        let next = self.columns.successor();
        let columns = std::mem::replace(&mut self.columns, next);
        let job = Job {
            number: self.number,
            columns,
            header: self.header.clone(),
            notes: std::mem::take(&mut self.notes),
        };
        self.number += 1;
        if let Some((sealer, _)) = &self.sealer {
            let _ = sealer.send(job);
        }
    }

    /// Makes a segment of all ticks so far and waits until it is there.
    ///
    /// # Errors
    ///
    /// What kept ticks from becoming segments; they are in the log all the same.
    pub fn finish(&mut self) -> Result<(), String> {
        self.roll();
        if let Some((sender, thread)) = self.sealer.take() {
            drop(sender);
            let _ = thread.join();
        }
        self.trouble.lock().take().map_or(Ok(()), Err)
    }

    /// Ends the log and returns all that is in it. The ticks at hand are not made
    /// a segment of, but stay as they are until the log is deleted.
    ///
    /// # Errors
    ///
    /// Those of [`Contents::read`].
    pub fn into_contents(mut self) -> Result<Contents, String> {
        if let Some((sender, thread)) = self.sealer.take() {
            drop(sender);
            let _ = thread.join();
        }
        let at_hand = self.writer.is_some().then(|| Job {
            number: self.number,
            columns: std::mem::take(&mut self.columns),
            header: self.header.clone(),
            notes: std::mem::take(&mut self.notes),
        });
        Contents::gather(&self.folder, 0..=u64::MAX, at_hand)
    }

    /// What went wrong in the background since this was last asked.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().take()
    }

    /// What there is, oldest first; the ticks at hand are the last.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = self.parts.lock().values().cloned().collect();
        parts.extend(self.at_hand());
        parts
    }

    fn at_hand(&self) -> Option<Part> {
        let bytes = self.writer.as_ref()?.bytes;
        let (range, rows) = (self.columns.range(), self.columns.rows());
        Some(Part { number: self.number, range, rows, bytes, done: false })
    }

    /// Deletes the oldest segment, ticks that could not become one, or what is
    /// damaged. Returns whether there was one.
    pub fn drop_oldest(&self) -> bool {
        let mut parts = self.parts.lock();
        let Some((&number, _)) = parts.iter().find(|(_, part)| part.done) else { return false };
        parts.remove(&number);
        for extension in ["ticks", "parquet", "damaged"] {
            for (found, path) in numbered(&self.folder, extension).unwrap_or_default() {
                if found == number {
                    let _ = fs::remove_file(path);
                }
            }
        }
        true
    }

    /// For a disk that is full of the ticks at hand: ends them, so that they can
    /// be deleted, and has those to come end sooner.
    pub fn give_up_at_hand(&mut self) {
        if let Some(writer) = &self.writer {
            self.most_file = self.most_file.min((writer.bytes / 4).max(LEAST_FILE));
        }
        self.roll();
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// A segment's number and checksum are its name.
fn segment_path(folder: &Path, number: u64, checksum: u32) -> PathBuf {
    folder.join(format!("{number:08}-{checksum:08x}.parquet"))
}

/// The log's files of a kind, by number.
pub(crate) fn files(folder: &Path, extension: &str) -> io::Result<BTreeMap<u64, PathBuf>> {
    Ok(numbered(folder, extension)?.into_iter().collect())
}

/// The same, if one number may have several.
fn numbered(folder: &Path, extension: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let number = stem.split('-').next().and_then(|number| number.parse().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|found| found == extension)) {
            found.push((number, path));
        }
    }
    Ok(found)
}

/// Adds what was put aside as damaged: it takes room, and is deleted in its turn.
fn count_damaged(folder: &Path, parts: &mut BTreeMap<u64, Part>) -> io::Result<()> {
    for (number, path) in numbered(folder, "damaged")? {
        let none = Part { number, range: None, rows: 0, bytes: 0, done: true };
        parts.entry(number).or_insert(none).bytes += fs::metadata(&path)?.len();
    }
    Ok(())
}

fn open_segment(path: &Path) -> Result<Segment, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    checksum::compare(path, crc32fast::hash(&bytes))?;
    Segment::open(Bytes::from(bytes))
}

fn describe(number: u64, path: &Path, segment: &Segment) -> Result<Part, String> {
    let timestamps = segment.timestamps()?;
    let range = timestamps.first().zip(timestamps.last()).map(|(first, last)| (*first as u64, *last as u64));
    let bytes = fs::metadata(path).map_err(|error| error.to_string())?.len();
    Ok(Part { number, range, rows: segment.rows(), bytes, done: true })
}

/// Makes segments of files of ticks that their writer left behind. Returns those
/// that there was no room for, which stay as they are, and what was found, in
/// words.
fn seal_leftovers(folder: &Path) -> Result<(BTreeMap<u64, Part>, Vec<String>), String> {
    let fail = |error: io::Error| format!("{}: {error}", folder.display());
    let (mut parts, mut said) = (BTreeMap::new(), Vec::new());
    for path in files(folder, "new").map_err(fail)?.values() {
        // A segment that was being written; its ticks are still there.
        let _ = fs::remove_file(path);
    }
    let sealed = files(folder, "parquet").map_err(fail)?;
    for (number, path) in files(folder, "ticks").map_err(fail)? {
        if let Some(sealed) = sealed.get(&number) {
            if open_segment(sealed).is_ok() {
                let _ = fs::remove_file(&path);
                continue;
            }
            // A number has one segment; there is about to be a better one.
            let _ = fs::rename(sealed, sealed.with_extension("damaged"));
        }
        match ticks::read(&path) {
            Ok(found) => {
                let mut words = format!("{}: {} ticks recovered", path.display(), found.columns.rows());
                if let Some(damage) = &found.damage {
                    words = format!("{words}; after that {damage}");
                }
                said.push(words);
                let job = Job { number, columns: found.columns, header: found.header, notes: found.notes };
                if let Err(error) = seal(folder, &job) {
                    said.push(format!("{}: {error}; it stays as it is", path.display()));
                    let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
                    let (range, rows) = (job.columns.range(), job.columns.rows());
                    parts.insert(number, Part { number, range, rows, bytes, done: true });
                }
            }
            Err(why) => {
                said.push(format!("{why}; nothing could be recovered from it"));
                let _ = fs::rename(&path, path.with_extension("damaged"));
            }
        }
    }
    Ok((parts, said))
}

fn start_sealer(
    folder: &Path,
    parts: &Arc<Mutex<BTreeMap<u64, Part>>>,
    trouble: &Trouble,
) -> io::Result<(SyncSender<Job>, JoinHandle<()>)> {
    let (sender, jobs): (_, Receiver<Job>) = sync_channel(1);
    let (folder, parts, trouble) = (folder.to_path_buf(), parts.clone(), trouble.clone());
    let run = move || {
        for job in jobs {
            match seal(&folder, &job) {
                Ok(part) => drop(parts.lock().insert(job.number, part)),
                // The ticks stay where they are.
                Err(error) => {
                    let words = format!("{}: ticks stay as they are, unpacked: {error}", folder.display());
                    *trouble.lock() = Some(words);
                    parts.lock().entry(job.number).and_modify(|part| part.done = true);
                }
            }
        }
    };
    Ok((sender, thread::Builder::new().name("sealer".into()).spawn(run)?))
}

/// Writes a segment and deletes its ticks.
fn seal(folder: &Path, job: &Job) -> io::Result<Part> {
    let metadata = [
        (HEADER_KEY.to_string(), serde_json::to_string(&job.header)?),
        (NOTES_KEY.to_string(), serde_json::to_string(&job.notes)?),
    ];
    let mut bytes = Vec::new();
    job.columns.write(&mut bytes, &metadata).map_err(|error| io::Error::other(error.to_string()))?;
    let path = segment_path(folder, job.number, crc32fast::hash(&bytes));
    let new = path.with_extension("new");
    let result = write_aside(&new, &path, |out| out.write_all(&bytes));
    if let Err(error) = result {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    let _ = fs::remove_file(folder.join(format!("{:08}.ticks", job.number)));
    let bytes = bytes.len() as u64;
    Ok(Part { number: job.number, range: job.columns.range(), rows: job.columns.rows(), bytes, done: true })
}

/// What sources told of themselves last, for the recording's metadata; nothing if a log has none.
pub fn told(folder: &Path) -> BTreeMap<String, String> {
    let text = fs::read(folder.join(TOLD)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Keeps what sources told, in place of what is there: it is much, and changes, so that it is not in
/// each segment.
///
/// # Errors
///
/// Those of the disk; then what was there stays.
pub fn keep_told(folder: &Path, told: &BTreeMap<String, String>) -> io::Result<()> {
    let (path, text) = (folder.join(TOLD), serde_json::to_vec(told)?);
    let new = path.with_extension("new");
    write_aside(&new, &path, |out| out.write_all(&text)).inspect_err(|_| drop(fs::remove_file(&new)))
}

/// Writes a file under another name, makes it durable, and gives it its own. It is
/// locked until then, so that what a killed process left behind can be told from it.
///
/// # Errors
///
/// Those of the disk; `new` may be left behind.
pub fn write_aside(
    new: &Path,
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let file = File::create(new)?;
    // Not every file system has locks. Without them nothing is cleaned up.
    let _ = lock(&file);
    let mut out = BufWriter::with_capacity(1 << 18, file);
    write(&mut out)?;
    out.flush()?;
    out.get_ref().sync_data()?;
    fs::rename(new, path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Locks a file unless another process, or another part of this one, has.
fn lock(file: &File) -> bool {
    // SAFETY: the descriptor is open.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

/// Deletes the files of [`write_aside`] in a folder that nobody writes any more,
/// of those whose names are wanted.
pub fn remove_abandoned(folder: &Path, wanted: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if wanted(name)
            && File::options().write(true).open(&path).is_ok_and(|file| lock(&file))
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!("{}: a leftover that cannot be removed: {error}", path.display());
        }
    }
}

/// A log that is read, by whoever writes it or after that is gone.
pub struct Contents {
    pub header: Header,
    pub notes: Vec<Note>,
    segments: Vec<Stored>,
    /// What could not be read, in words.
    pub damage: Vec<String>,
    pub rows: usize,
    /// First and last timestamp.
    pub range: Option<(u64, u64)>,
}

enum Stored {
    File(PathBuf),
    Memory(Bytes),
}

impl stitch::Segments for Contents {
    fn count(&self) -> usize {
        self.segments.len()
    }

    fn open(&self, at: usize) -> Result<Segment, String> {
        match &self.segments[at] {
            Stored::File(path) => open_segment(path).map_err(|why| format!("{}: {why}", path.display())),
            Stored::Memory(bytes) => Segment::open(bytes.clone()),
        }
    }
}

impl Contents {
    /// Reads the ticks of a range of time, both ends included. Does not change
    /// the log, which may be written meanwhile.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read, or is no log.
    pub fn read(folder: &Path, range: RangeInclusive<u64>) -> Result<Self, String> {
        Self::gather(folder, range, None)
    }

    /// The same by the log's writer, which has the last ticks in memory.
    fn gather(folder: &Path, range: RangeInclusive<u64>, at_hand: Option<Job>) -> Result<Self, String> {
        let fail = |error: io::Error| format!("{}: {error}", folder.display());
        let mut contents = Self::empty(Header::default());
        // Ticks first: while we look they may become a segment, not the reverse.
        let mut open: BTreeMap<_, _> = files(folder, "ticks").map_err(fail)?;
        if let Some(job) = &at_hand {
            open.remove(&job.number);
        }
        let loose: Vec<_> = open.iter().map(|(number, path)| (*number, ticks::read(path))).collect();
        let mut sealed = files(folder, "parquet").map_err(fail)?;
        if open.is_empty() && sealed.is_empty() && at_hand.is_none() {
            return Err(format!("{}: this folder is not a log", folder.display()));
        }
        let mut loose: BTreeMap<_, _> = loose.into_iter().collect();
        let numbers: BTreeSet<u64> = sealed.keys().chain(loose.keys()).copied().collect();
        for number in numbers {
            if let Some(path) = sealed.remove(&number) {
                match contents.add_segment(&path, &range) {
                    Ok(()) => continue,
                    Err(why) => contents.damage.push(format!("{}: {why}", path.display())),
                }
            }
            // Nothing sealed, or nothing that is any good.
            match loose.remove(&number) {
                Some(Ok(found)) => contents.add_ticks(&open[&number], found, &range)?,
                Some(Err(why)) => contents.damage.push(why),
                None => {}
            }
        }
        if let Some(job) = at_hand {
            contents.header = job.header;
            contents.add_notes(job.notes, &range);
            contents.add_columns(&job.columns)?;
        }
        // Of one key the last counts.
        contents.header.metadata.extend(told(folder));
        Ok(contents)
    }

    /// Of segments and ticks after them that are in memory.
    ///
    /// # Errors
    ///
    /// When they do not decode.
    pub fn in_memory(
        header: Header,
        segments: impl IntoIterator<Item = Bytes>,
        ticks: &Columns,
        range: &RangeInclusive<u64>,
    ) -> Result<Self, String> {
        let mut contents = Self::empty(header);
        for bytes in segments {
            contents.add_bytes(bytes, range)?;
        }
        if ticks.range().is_some() {
            let mut bytes = Vec::new();
            ticks.write(&mut bytes, &[]).map_err(|error| error.to_string())?;
            contents.add_bytes(bytes.into(), range)?;
        }
        Ok(contents)
    }

    fn empty(header: Header) -> Self {
        let (notes, segments, damage) = (Vec::new(), Vec::new(), Vec::new());
        Self { header, notes, segments, damage, rows: 0, range: None }
    }

    /// A segment in memory, or what of it is in the range.
    fn add_bytes(&mut self, bytes: Bytes, range: &RangeInclusive<u64>) -> Result<(), String> {
        let segment = Segment::open(bytes.clone())?;
        let times = segment.timestamps()?;
        let (Some(&first), Some(&last)) = (times.first(), times.last()) else { return Ok(()) };
        let (first, last) = (first as u64, last as u64);
        if range.contains(&first) && range.contains(&last) {
            self.add(Stored::Memory(bytes), (first, last), segment.rows());
        } else if first <= *range.end() && last >= *range.start() {
            self.add_columns(&segment.decode(range.clone())?)?;
        }
        Ok(())
    }

    fn add_segment(&mut self, path: &Path, range: &RangeInclusive<u64>) -> Result<(), String> {
        let segment = open_segment(path)?;
        let timestamps = segment.timestamps()?;
        let (Some(&first), Some(&last)) = (timestamps.first(), timestamps.last()) else { return Ok(()) };
        let (first, last) = (first as u64, last as u64);
        if let Some(header) = segment.meta(HEADER_KEY).and_then(|json| serde_json::from_str(json).ok()) {
            self.header = header;
        }
        let notes = segment.meta(NOTES_KEY).and_then(|json| serde_json::from_str::<Vec<Note>>(json).ok());
        self.add_notes(notes.unwrap_or_default(), range);
        if last < *range.start() || first > *range.end() {
            return Ok(());
        }
        if range.contains(&first) && range.contains(&last) {
            self.add(Stored::File(path.to_path_buf()), (first, last), segment.rows());
            return Ok(());
        }
        let columns = segment.decode(range.clone())?;
        self.add_columns(&columns)
    }

    fn add_ticks(
        &mut self,
        path: &Path,
        found: ticks::Contents,
        range: &RangeInclusive<u64>,
    ) -> Result<(), String> {
        self.header = found.header;
        self.add_notes(found.notes, range);
        if let Some(damage) = found.damage {
            self.damage.push(format!("{}: {damage}", path.display()));
        }
        let Some((first, last)) = found.columns.range() else { return Ok(()) };
        if range.contains(&first) && range.contains(&last) {
            return self.add_columns(&found.columns);
        }
        let mut bytes = Vec::new();
        found.columns.write(&mut bytes, &[]).map_err(|error| error.to_string())?;
        let columns = Segment::open(bytes.into())?.decode(range.clone())?;
        self.add_columns(&columns)
    }

    fn add_columns(&mut self, columns: &Columns) -> Result<(), String> {
        let Some(range) = columns.range() else { return Ok(()) };
        let mut bytes = Vec::new();
        columns.write(&mut bytes, &[]).map_err(|error| error.to_string())?;
        self.add(Stored::Memory(bytes.into()), range, columns.rows());
        Ok(())
    }

    fn add(&mut self, stored: Stored, (first, last): (u64, u64), rows: usize) {
        self.segments.push(stored);
        self.rows += rows;
        self.range = Some(self.range.map_or((first, last), |(begin, _)| (begin, last)));
    }

    fn add_notes(&mut self, notes: Vec<Note>, range: &RangeInclusive<u64>) {
        self.notes.extend(notes.into_iter().filter(|note| range.contains(&note.timestamp)));
    }

    /// Writes all of it as a recording.
    ///
    /// # Errors
    ///
    /// Those of `out`, and of segments that are gone or damaged.
    pub fn write(&self, out: impl Write + Send, metadata: &[(String, String)]) -> Result<usize, String> {
        stitch::stitch(self, out, metadata).map_err(|error| error.to_string())
    }
}

/// A thread that makes files durable, so that writing does not wait for the
/// disk. What comes in while it is busy is done together.
struct Syncer(Arc<(Mutex<Pending>, Condvar)>);

#[derive(Default)]
struct Pending {
    file: Option<Arc<File>>,
    /// There is a new file in the folder.
    folder: bool,
    stop: bool,
}

impl Syncer {
    fn start(folder: &Path, trouble: &Trouble) -> io::Result<Self> {
        let shared: Arc<(Mutex<Pending>, Condvar)> = Arc::default();
        let ours = shared.clone();
        let (folder, trouble) = (folder.to_path_buf(), trouble.clone());
        let run = move || {
            loop {
                let (file, new) = {
                    let mut pending = ours.0.lock();
                    while pending.file.is_none() && !pending.stop {
                        ours.1.wait(&mut pending);
                    }
                    match pending.file.take() {
                        Some(file) => (file, std::mem::take(&mut pending.folder)),
                        None => return,
                    }
                };
                let mut result = file.sync_data();
                if new {
                    result = result.and(File::open(&folder).and_then(|folder| folder.sync_all()));
                }
                if let Err(error) = result {
                    let words = format!("{}: ticks may not survive a power cut: {error}", folder.display());
                    *trouble.lock() = Some(words);
                }
            }
        };
        thread::Builder::new().name("syncer".into()).spawn(run)?;
        Ok(Self(shared))
    }

    fn sync(&self, file: Arc<File>) {
        self.0.0.lock().file = Some(file);
        self.0.1.notify_one();
    }

    /// The name of a new file is to be durable as well, with its first tick.
    fn sync_folder(&self) {
        self.0.0.lock().folder = true;
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.0.0.lock().stop = true;
        self.0.1.notify_one();
    }
}

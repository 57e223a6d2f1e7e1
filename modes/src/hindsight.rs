//! Hindsight: the last minutes are always on disk, and become a recording when
//! somebody asks, usually after the incident.
//!
//! Ticks go into a [log](crate::log) whose oldest segments are deleted. A
//! recording is made of the log by whoever asks, beside the sampling.

mod http;
mod range;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::log::columns::Source;
use crate::log::{self, Contents, Header, Log, Note, remove_abandoned};
use crate::recorder::{self, Grid, Seen, Timeline, nanos};
use crate::{Describe, SnapshotSource};

pub use http::router;
pub use range::Span;

/// What the source tells of itself is asked for when its groups change, some time after that, when it has
/// come to rest,
const RESTED: Duration = Duration::from_secs(5);
/// and from then on so often.
const RETOLD: Duration = Duration::from_secs(300);

/// `[hindsight]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// In the agent: keep a buffer.
    pub enabled: bool,
    /// Between ticks.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// How far back the buffer reaches.
    #[serde(deserialize_with = "duration")]
    pub duration: Duration,
    /// What the buffer may take on disk, in bytes.
    #[serde(deserialize_with = "size")]
    pub max_size: u64,
    /// Where the buffer is.
    pub folder: PathBuf,
    /// Where snapshots are written: a pattern of strftime(3), `{host}` for the host's name.
    pub output: String,
    /// Where it serves.
    pub listen: std::net::SocketAddr,
    /// Of its own process: the agent to sample.
    pub source: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            interval: Duration::from_secs(1),
            duration: Duration::from_secs(15 * 60),
            max_size: 256 << 20,
            folder: "/var/lib/rezolus/hindsight".into(),
            output: "/var/lib/rezolus/hindsight-%Y%m%dT%H%M%S.parquet".into(),
            listen: (std::net::Ipv4Addr::LOCALHOST, 4243).into(),
            source: "http://127.0.0.1:4241".into(),
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match humantime::parse_duration(&text) {
        Ok(duration) if duration >= Duration::from_millis(1) => Ok(duration),
        Ok(_) => Err(de::Error::custom("a duration of at least 1ms is expected")),
        Err(error) => Err(de::Error::custom(format!("{error}: a duration such as \"1s\" is expected"))),
    }
}

/// Bytes, as a number or as `256MiB`, `1GB`.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Size {
        Bytes(u64),
        Text(String),
    }
    let bytes = match Size::deserialize(deserializer)? {
        Size::Bytes(bytes) => Some(bytes),
        Size::Text(text) => parse_size(&text),
    };
    match bytes {
        Some(bytes) if bytes >= 1 << 20 => Ok(bytes),
        Some(_) => Err(de::Error::custom("at least 1MiB is expected")),
        None => Err(de::Error::custom("a size such as \"256MiB\" is expected")),
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// What is sampled.
#[derive(Clone)]
pub struct Sampled {
    pub snapshots: Arc<dyn SnapshotSource>,
    pub describe: Arc<dyn Describe>,
    pub source: Source,
}

/// A buffer that is being filled.
pub struct Hindsight {
    config: Config,
    sampled: Sampled,
    log: Mutex<Log>,
    /// Held for reading while a snapshot is made of the log, so that nothing
    /// it needs is deleted meanwhile.
    dumping: RwLock<()>,
    ticks: AtomicU64,
    missed: AtomicU64,
    /// Missed since the last tick.
    gap: AtomicU64,
    stop: AtomicBool,
    /// Why the last tick is not in the buffer.
    trouble: Mutex<Option<String>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The folder is ours while this is open.
    _lock: File,
}

/// `GET /status`
#[derive(Debug, Serialize)]
pub struct Status {
    pub interval_ms: u64,
    pub duration_seconds: f64,
    pub max_size: u64,
    /// What the buffer takes on disk.
    pub bytes: u64,
    /// Ticks in it.
    pub rows: usize,
    /// Seconds since the epoch; null if it is empty.
    pub oldest_timestamp: Option<f64>,
    pub newest_timestamp: Option<f64>,
    pub retained_seconds: f64,
    pub segments: usize,
    /// Since this process began.
    pub ticks_recorded: u64,
    pub ticks_missed: u64,
    pub trouble: Option<String>,
}

/// There is nothing in a span that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("there are no ticks in this time")]
pub struct NoTicks;

/// `POST /dump/file`
#[derive(Debug, Serialize)]
pub struct Dumped {
    pub path: PathBuf,
    pub rows: usize,
    pub bytes: u64,
    pub time_range: TimeRange,
}

/// Seconds since the epoch.
#[derive(Debug, Serialize)]
pub struct TimeRange {
    pub start: f64,
    pub end: f64,
}

impl Hindsight {
    /// Opens the buffer, which goes on if there is one, and starts filling it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used.
    pub fn start(config: Config, sampled: Sampled) -> Result<Arc<Self>> {
        let hindsight = Arc::new(Self::open(config, sampled)?);
        // Asked on a thread of its own: a source that takes long for it costs no tick.
        let (changed, changes) = sync_channel(1);
        let (folder, sampled) = (hindsight.config.folder.clone(), hindsight.sampled.clone());
        let tell = move || keep_told(&folder, &sampled, &changes);
        thread::Builder::new().name("hindsight-told".into()).spawn(tell)?;
        let ours = hindsight.clone();
        let thread = thread::Builder::new().name("hindsight".into()).spawn(move || ours.sample(&changed))?;
        *hindsight.thread.lock() = Some(thread);
        Ok(hindsight)
    }

    fn open(config: Config, sampled: Sampled) -> Result<Self> {
        let header = Header {
            interval_ns: u64::try_from(config.interval.as_nanos())?,
            sources: vec![sampled.source.clone()],
            metadata: Vec::new(),
        };
        let lock = own(&config.folder).context("[hindsight] folder")?;
        let opened = Log::open(&config.folder, header).map_err(anyhow::Error::msg);
        let (mut log, said) = opened.context("[hindsight] folder")?;
        said.iter().for_each(|said| tracing::info!("hindsight: {said}"));
        // Small segments, since whole ones are deleted.
        log.limit_segments(config.duration / 10, config.max_size / 8);
        if let Some((_, last)) = log.parts().iter().rev().find_map(|part| part.range) {
            let now = nanos(SystemTime::now());
            let gone = now.saturating_sub(last) as f64 / 1e9;
            let description = format!("hindsight was started again after {gone:.0} s");
            let kind = Some("gap".to_string());
            if let Err(error) = log.note(Note { timestamp: now, description, kind, ..Note::default() }) {
                tracing::warn!("hindsight: {}: {error}", config.folder.display());
            }
        }
        Ok(Self {
            config,
            sampled,
            log: Mutex::new(log),
            dumping: RwLock::default(),
            ticks: AtomicU64::default(),
            missed: AtomicU64::default(),
            gap: AtomicU64::default(),
            stop: AtomicBool::default(),
            trouble: Mutex::default(),
            thread: Mutex::default(),
            _lock: lock,
        })
    }

    /// Ends sampling; the buffer stays.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.lock().take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        if let Err(why) = self.log.lock().finish() {
            tracing::warn!("hindsight: {why}");
        }
    }

    fn sample(&self, changed: &SyncSender<()>) {
        let mut groups: Vec<Arc<str>> = Vec::new();
        let mut grid = Grid::new(self.config.interval);
        let mut timeline = Timeline::default();
        if let Some((_, last)) = self.log.lock().parts().iter().rev().find_map(|part| part.range) {
            timeline.after(last);
        }
        while !self.stop.load(Ordering::Acquire) {
            let (point, wait) = grid.next(Seen::now());
            if !wait.is_zero() {
                thread::park_timeout(wait);
                continue;
            }
            let passed = grid.handle(point);
            self.missed.fetch_add(passed, Ordering::Relaxed);
            self.gap.fetch_add(passed, Ordering::Relaxed);
            let from = Instant::now();
            match self.sampled.snapshots.snapshot() {
                Ok(snapshot) => {
                    let names = || snapshot.groups.iter().map(|group| &group.name);
                    if !names().eq(&groups) {
                        groups = names().cloned().collect();
                        // If it is about to be asked, it is.
                        let _ = changed.try_send(());
                    }
                    let clock = nanos(snapshot.systemtime);
                    let (timestamp, _) = timeline.stamp(clock, Seen { clock, from, to: Instant::now() });
                    self.keep(timestamp, snapshot);
                }
                Err(error) => self.miss(error.to_string()),
            }
        }
    }

    fn keep(&self, timestamp: u64, snapshot: Arc<crate::snapshot::Snapshot>) {
        let part = [Some(snapshot)];
        let mut log = self.log.lock();
        self.prune(&log, timestamp);
        let mut result = log.append(timestamp, &part);
        // The oldest makes room.
        while result.as_ref().is_err_and(no_room)
            && self.dumping.try_write().is_some_and(|_| log.drop_oldest())
        {
            result = log.append(timestamp, &part);
        }
        if result.as_ref().is_err_and(no_room) {
            log.give_up_at_hand();
        }
        let count = if result.is_ok() { self.gap.swap(0, Ordering::Relaxed) } else { 0 };
        if count > 0 {
            let why = self.trouble.lock().clone().unwrap_or_else(|| "sampling was late".into());
            let (description, kind) = (format!("{count} ticks are missing: {why}"), Some("gap".into()));
            // The tick is what counts; without room for the note it goes unsaid.
            let _ = log.note(Note { timestamp, description, kind, count: Some(count), ..Note::default() });
        }
        let background = log.trouble();
        drop(log);
        match result {
            Ok(()) => {
                self.ticks.fetch_add(1, Ordering::Relaxed);
                let mut trouble = self.trouble.lock();
                if let Some(why) = background.as_ref().filter(|why| trouble.as_ref() != Some(*why)) {
                    tracing::warn!("hindsight: {why}");
                }
                *trouble = background;
            }
            Err(error) => self.miss(format!("{}: {error}", self.config.folder.display())),
        }
    }

    fn miss(&self, why: String) {
        self.missed.fetch_add(1, Ordering::Relaxed);
        self.gap.fetch_add(1, Ordering::Relaxed);
        let mut trouble = self.trouble.lock();
        if trouble.as_ref() != Some(&why) {
            tracing::warn!("hindsight: a tick is missing: {why}");
            *trouble = Some(why);
        }
    }

    /// Deletes what is too old, or too much.
    fn prune(&self, log: &Log, now: u64) {
        let Some(_guard) = self.dumping.try_write() else { return };
        let keep = u64::try_from(self.config.duration.as_nanos()).unwrap_or(u64::MAX);
        loop {
            let parts = log.parts();
            let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
            // What is damaged is as old as what comes after it.
            let end = parts.first().and_then(|part| part.range).map(|(_, last)| last);
            let end = end.or_else(|| parts.iter().find_map(|part| part.range).map(|(first, _)| first));
            let old = end.is_some_and(|end| end < now.saturating_sub(keep));
            if !(old || bytes > self.config.max_size) || !log.drop_oldest() {
                return;
            }
        }
    }

    pub fn status(&self) -> Status {
        let parts = self.log.lock().parts();
        let seconds = |at: u64| at as f64 / 1e9;
        let oldest = parts.iter().find_map(|part| part.range).map(|(first, _)| first);
        let newest = parts.iter().rev().find_map(|part| part.range).map(|(_, last)| last);
        Status {
            interval_ms: u64::try_from(self.config.interval.as_millis()).unwrap_or(u64::MAX),
            duration_seconds: self.config.duration.as_secs_f64(),
            max_size: self.config.max_size,
            bytes: parts.iter().map(|part| part.bytes).sum(),
            rows: parts.iter().map(|part| part.rows).sum(),
            oldest_timestamp: oldest.map(seconds),
            newest_timestamp: newest.map(seconds),
            retained_seconds: oldest.zip(newest).map_or(0.0, |(a, b)| seconds(b.saturating_sub(a))),
            segments: parts.len(),
            ticks_recorded: self.ticks.load(Ordering::Relaxed),
            ticks_missed: self.missed.load(Ordering::Relaxed),
            trouble: self.trouble.lock().clone(),
        }
    }

    /// Makes a recording of a span at a path.
    ///
    /// # Errors
    ///
    /// [`NoTicks`] when there is nothing in the span; else that it cannot be
    /// written.
    pub fn dump(&self, span: &Span, path: &Path) -> Result<Dumped> {
        let _reading = self.dumping.read();
        let range = span.resolve(nanos(SystemTime::now()));
        let contents = Contents::read(&self.config.folder, range).map_err(anyhow::Error::msg)?;
        contents.damage.iter().for_each(|damage| tracing::warn!("hindsight: {damage}"));
        let Some((first, last)) = contents.range else {
            return Err(NoTicks.into());
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let more = recorder::described(&self.sampled.source, &*self.sampled.describe);
        recorder::write_recording(&contents, path, more)?;
        let bytes = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
        let seconds = |at: u64| at as f64 / 1e9;
        let time_range = TimeRange { start: seconds(first), end: seconds(last) };
        Ok(Dumped { path: path.into(), rows: contents.rows, bytes, time_range })
    }

    /// Makes a recording where the configuration says.
    ///
    /// # Errors
    ///
    /// As [`dump`](Self::dump).
    pub fn dump_to_output(&self, span: &Span) -> Result<Dumped> {
        let pattern = self.config.output.replace("{host}", &host_name());
        let name = jiff::fmt::strtime::format(&pattern, &jiff::Zoned::now())
            .with_context(|| format!("[hindsight] output: {}", self.config.output))?;
        // Two within a second do not overwrite each other.
        let mut path = PathBuf::from(&name);
        let mut number = 1;
        while path.exists() {
            number += 1;
            let stem = Path::new(&name).with_extension("");
            path = PathBuf::from(format!("{}-{number}.parquet", stem.display()));
        }
        self.remove_leftovers(Path::new(&name));
        let dumped = self.dump(span, &path)?;
        tracing::info!("hindsight: {} ticks written to {}", dumped.rows, dumped.path.display());
        Ok(dumped)
    }

    /// Deletes what a process left behind that was killed while it wrote a dump.
    fn remove_leftovers(&self, output: &Path) {
        let pattern = self.config.output.replace("{host}", &host_name());
        // What all names have in front.
        let begin = pattern.rsplit('/').next().and_then(|name| name.split('%').next()).unwrap_or_default();
        let Some(folder) = output.parent().filter(|_| !begin.is_empty()) else { return };
        remove_abandoned(folder, |name| {
            recorder::process_of(name)
                .is_some_and(|(written, _)| written.starts_with(begin) && written.ends_with(".parquet"))
        });
    }

    /// Where temporary files may be.
    fn folder(&self) -> &Path {
        &self.config.folder
    }
}

/// Keeps what the source tells of itself beside its ticks, until nobody samples any more: the dashboards
/// of its plugins, say, for whoever opens the log and does not have them.
fn keep_told(folder: &Path, sampled: &Sampled, changes: &Receiver<()>) {
    // What it does not tell now stays as it was.
    let mut told = log::told(folder);
    let mut wait = RETOLD;
    loop {
        wait = match changes.recv_timeout(wait) {
            Ok(()) => RESTED,
            Err(RecvTimeoutError::Timeout) => RETOLD,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        told.extend(recorder::described(&sampled.source, &*sampled.describe));
        match changes.try_recv() {
            Ok(()) => wait = RESTED,
            Err(TryRecvError::Empty) => {}
            // The folder may be another's by now.
            Err(TryRecvError::Disconnected) => return,
        }
        if let Err(error) = log::keep_told(folder, &told) {
            tracing::warn!("hindsight: {}: what the agent tells is not kept: {error}", folder.display());
        }
    }
}

/// Makes a folder and sees to it that no other process fills it too. Deletes the
/// dumps that one was writing when it was killed.
fn own(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join("lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.with_context(|| path.display().to_string())?;
    // SAFETY: the descriptor is open.
    if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::WouldBlock {
            bail!("{} is being filled by another process; give each its own", folder.display());
        }
        return Err(error).with_context(|| path.display().to_string());
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Complete, and not (`dump-1-0.tmp.1.new`).
        if name.starts_with("dump-") && (name.ends_with(".tmp") || name.ends_with(".new")) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(lock)
}

fn no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() || name.contains('/') { "localhost".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourceError;
    use crate::snapshot::{Group, GroupSchema, MetricDesc, Numbers, Snapshot};

    struct Nothing;
    impl SnapshotSource for Nothing {
        fn snapshot(&self) -> Result<Arc<Snapshot>, SourceError> {
            Err(SourceError::new("nothing to sample"))
        }
    }
    impl Describe for Nothing {
        fn text(&self, _: &str) -> Option<String> {
            None
        }
    }

    /// Counters that move at rates of their own.
    fn snapshot(at: u64) -> Arc<Snapshot> {
        let mut numbers = Numbers::default();
        numbers.counters.extend((0..40).map(|n| Some(at * (n % 7) * 13 + (at * n) % 7)));
        let counters = (0..40).map(|n| MetricDesc { name: format!("c/{n}"), ..Default::default() });
        let schema = GroupSchema { counters: counters.collect(), ..Default::default() };
        let lengths = numbers.lengths();
        let group = Group { name: "test".into(), hash: schema.hash(), schema: Arc::new(schema), lengths };
        Arc::new(Snapshot {
            systemtime: SystemTime::UNIX_EPOCH + Duration::from_secs(at),
            duration: Duration::from_micros(70),
            metadata: Vec::new(),
            groups: vec![group],
            numbers,
        })
    }

    #[test]
    fn a_day_takes_no_more_room_than_its_first_minutes() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            duration: Duration::from_secs(900),
            folder: folder.path().to_path_buf(),
            ..Config::default()
        };
        let source = Source { name: "test".into(), endpoint: None };
        let sampled = Sampled { snapshots: Arc::new(Nothing), describe: Arc::new(Nothing), source };
        let hindsight = Hindsight::open(config, sampled).unwrap();
        let size = || -> u64 {
            let files = std::fs::read_dir(folder.path()).unwrap().flatten();
            // A file may go between the two.
            files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
        };
        let (begin, mut early, mut late) = (1_700_000_000, 0, 0);
        for at in begin..begin + 86_400 {
            hindsight.keep(at * 1_000_000_000, snapshot(at));
            // Segments are made beside: wait until this one is, for a steady picture.
            if (at - begin) % 450 == 449 {
                while hindsight.log.lock().parts().iter().rev().skip(1).any(|part| !part.is_done()) {
                    thread::sleep(Duration::from_millis(1));
                }
                let most = if at - begin < 3 * 3600 { &mut early } else { &mut late };
                *most = size().max(*most);
            }
        }
        let status = hindsight.status();
        assert_eq!(status.ticks_missed, 0);
        assert!((900.0..1000.0).contains(&status.retained_seconds), "{status:?}");
        assert!(late <= early + early / 20, "{early} bytes in the first hours, {late} later");
        assert!(status.bytes <= early, "{status:?}");
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("1048576"), Some(1 << 20));
        assert_eq!(parse_size("2MiB"), Some(2 << 20));
        assert_eq!(parse_size("3 GB"), Some(3_000_000_000));
        for wrong in ["", "MB", "1 hour", "-1MB", "99999999999GiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}

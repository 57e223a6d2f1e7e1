//! The last while of an agent, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock};
use rezolus_store::promql::Error;
use rezolus_store::recording::{Column, ParquetPart, Part, Recording};
use rezolus_store::{Labels, Matcher, Metadata, Series, Source};

use super::Options;
use super::tail::{Tail, described};
use crate::SnapshotSource;
use crate::log::columns::{Columns, Source as Of};
use crate::log::{Contents, Header};
use crate::snapshot::Snapshot;
use crate::source::{Endpoint, Kind};

/// After so many ticks they become a Parquet file in memory: a tenth of the room.
const MOST_TICKS: usize = 512;
/// Or after this part of the window. A file goes as a whole, when its last tick is too old: what
/// is gone from the agent (cgroups, tasks) takes room for as much longer than the window.
const PARTS: u64 = 8;
/// But a file of fewer is mostly footer.
const FEWEST_TICKS: usize = 16;
/// So do they when they are about this large.
const MOST_BYTES: usize = 8 << 20;
/// What a column of such a file costs besides its values.
const COLUMN_BYTES: usize = 1024;

/// An agent that is asked once per interval, and what it said.
pub struct Live {
    window: Arc<Window>,
    agent: Arc<Endpoint>,
    interval: Duration,
    /// Why there was no answer the last time.
    error: Arc<Mutex<Option<String>>>,
    /// Dropped, it ends the thread.
    _stop: Sender<()>,
}

impl Live {
    /// Asks once, and then has a thread ask.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn start(
        agent: Arc<Endpoint>,
        extra: &[(String, String)],
        options: &Options,
    ) -> Result<Self, String> {
        let window = Arc::new(Window::new(extra, options));
        window.append(&agent.snapshot().map_err(|error| error.to_string())?);
        *window.descriptions.lock() = agent.descriptions().unwrap_or_default();
        let (stop, stopped) = channel();
        let (ours, interval) = (window.clone(), options.interval.max(Duration::from_millis(10)));
        let (asked, error) = (agent.clone(), Arc::new(Mutex::new(None)));
        let said = error.clone();
        let run = move || {
            let mut next = Instant::now() + interval;
            // What is missed is a gap, and not made up for.
            while let Err(RecvTimeoutError::Timeout) =
                stopped.recv_timeout(next.saturating_duration_since(Instant::now()))
            {
                let snapshot = asked.snapshot();
                *said.lock() = snapshot.as_ref().err().map(ToString::to_string);
                match snapshot {
                    Ok(snapshot) => ours.append(&snapshot),
                    Err(error) => tracing::debug!("{}: {error}", asked.url()),
                }
                next = (next + interval).max(Instant::now());
            }
        };
        thread::Builder::new().name("live".into()).spawn(run).map_err(|error| error.to_string())?;
        Ok(Self { window, agent, interval, error, _stop: stop })
    }

    /// Who is asked.
    pub fn agent(&self) -> &Arc<Endpoint> {
        &self.agent
    }

    /// What there is of a span of time (ns since the epoch), to be written as a recording of this source.
    ///
    /// # Errors
    ///
    /// When it does not decode.
    pub fn contents(&self, range: RangeInclusive<u64>) -> Result<(Contents, Of), String> {
        let name = match self.agent.kind() {
            Some(Kind::Prometheus) => self.agent.label(),
            _ => "rezolus",
        };
        let source = Of { name: name.into(), endpoint: Some(self.agent.url()) };
        let interval_ns = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX);
        let header = Header { interval_ns, sources: vec![source.clone()], metadata: Vec::new() };
        let tail = self.window.tail.lock();
        let segments = tail.sealed.iter().filter_map(|(_, part)| part.memory().cloned());
        Ok((Contents::in_memory(header, segments, &tail.rows, &range)?, source))
    }

    /// How often.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Why there was no answer the last time it was asked.
    pub fn error(&self) -> Option<String> {
        self.error.lock().clone()
    }
}

/// Snapshots as series, bounded by time and bytes.
pub struct Window {
    interval: i64,
    length: u64,
    most_ticks: usize,
    most_bytes: usize,
    /// Sealed parts, and the ticks after them as of when somebody last asked.
    recording: RwLock<Shown>,
    tail: Mutex<Ticks>,
    pub descriptions: Mutex<BTreeMap<String, String>>,
}

struct Shown {
    recording: Recording,
    /// How many ticks of which generation are the last part.
    tail: Option<(u64, usize)>,
}

/// Ticks since the last part was sealed.
struct Ticks {
    rows: Arc<Columns>,
    columns: Arc<Vec<Column>>,
    generation: u64,
    /// The sealed parts, and how many bytes each takes.
    sealed: VecDeque<(usize, Arc<ParquetPart>)>,
}

impl Window {
    pub fn new(extra: &[(String, String)], options: &Options) -> Self {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let recording = Recording::new(extra, options.cache.clone());
        let ticks = nanos(options.window) / nanos(options.interval).max(1);
        Self {
            interval: i64::try_from(nanos(options.interval)).unwrap_or(i64::MAX),
            length: nanos(options.window),
            most_ticks: ((ticks / PARTS) as usize).clamp(FEWEST_TICKS, MOST_TICKS),
            most_bytes: options.window_bytes,
            recording: RwLock::new(Shown { recording, tail: None }),
            tail: Mutex::new(Ticks {
                rows: Arc::default(),
                columns: Arc::default(),
                generation: 0,
                sealed: VecDeque::new(),
            }),
            descriptions: Mutex::default(),
        }
    }

    /// Appends a snapshot; one that is not later than the last is left out.
    pub fn append(&self, snapshot: &Arc<Snapshot>) {
        let since = snapshot.systemtime.duration_since(UNIX_EPOCH).unwrap_or_default();
        let Ok(now) = i64::try_from(since.as_nanos()) else { return };
        let mut tail = self.tail.lock();
        if tail.rows.range().is_some_and(|(_, last)| now as u64 <= last) {
            return;
        }
        // Copied only if a query looked at it meanwhile.
        Arc::make_mut(&mut tail.rows).append(now as u64, &[Some(snapshot.clone())]);
        let full =
            tail.rows.rows() >= self.most_ticks || tail.rows.bytes() >= MOST_BYTES.min(self.most_bytes / 4);
        if full {
            self.seal(&mut tail);
        }
        self.forget(&mut tail, now as u64);
    }

    /// Makes a part of the ticks.
    fn seal(&self, tail: &mut Ticks) {
        let mut bytes = Vec::new();
        let interval = (self.interval / 1_000_000).max(1).to_string();
        let metadata = [("sampling_interval_ms".to_string(), interval)];
        let part = tail.rows.write(&mut bytes, &metadata).map_err(|error| error.to_string());
        let like = tail.sealed.back().map(|(_, part)| &**part);
        let part = part.and_then(|()| ParquetPart::from_bytes("the window", bytes.into(), like));
        let next = Arc::make_mut(&mut tail.rows).successor();
        tail.rows = Arc::new(next);
        tail.columns = Arc::default();
        tail.generation += 1;
        match part {
            Ok(part) => {
                let mut shown = self.recording.write();
                shown.drop_tail();
                let part = Arc::new(part);
                let bytes = part.bytes() as usize + part.columns().len() * COLUMN_BYTES;
                tail.sealed.push_back((bytes, part.clone()));
                shown.recording.push(part);
            }
            Err(why) => tracing::warn!("{why}"),
        }
    }

    /// Drops the oldest parts that are too old or too much.
    fn forget(&self, tail: &mut Ticks, now: u64) {
        let oldest = now.saturating_sub(self.length);
        let mut bytes: usize = tail.sealed.iter().map(|(bytes, _)| bytes).sum::<usize>() + tail.rows.bytes();
        loop {
            let shown = self.recording.upgradable_read();
            let Some(first) = shown.recording.parts().next().filter(|_| !tail.sealed.is_empty()) else {
                return;
            };
            let last = first.groups().iter().map(|group| group.last).max().unwrap_or_default();
            if bytes <= self.most_bytes && last as u64 >= oldest {
                return;
            }
            let mut shown = parking_lot::RwLockUpgradableReadGuard::upgrade(shown);
            shown.drop_tail();
            shown.recording.pop_front();
            bytes -= tail.sealed.pop_front().map_or(0, |(bytes, _)| bytes);
        }
    }

    /// Has the recording end with the ticks there are now.
    fn show(&self) {
        let mut tail = self.tail.lock();
        let now = (tail.generation, tail.rows.rows());
        if self.recording.read().tail == Some(now) {
            return;
        }
        if tail.columns.len() != tail.rows.columns.len() {
            tail.columns = Arc::new(described(&tail.rows, &tail.columns));
        }
        let part = Tail::new(tail.rows.clone(), tail.columns.clone(), self.interval);
        let mut shown = self.recording.write();
        shown.drop_tail();
        if let Some(part) = part {
            shown.recording.push(Arc::new(part));
            shown.tail = Some(now);
        }
    }
}

impl Shown {
    fn drop_tail(&mut self) {
        if self.tail.take().is_some() {
            self.recording.pop_back();
        }
    }
}

impl Source for Window {
    fn select(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Series>, Error> {
        self.show();
        self.recording.read().recording.select(matchers, start, end)
    }

    fn series(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Labels>, Error> {
        self.show();
        self.recording.read().recording.series(matchers, start, end)
    }

    fn metadata(&self) -> BTreeMap<String, Metadata> {
        self.show();
        let mut found = self.recording.read().recording.metadata();
        for (name, help) in &*self.descriptions.lock() {
            if let Some(known) = found.get_mut(name).filter(|known| known.help.is_empty()) {
                known.help.clone_from(help);
            }
        }
        found
    }

    fn range(&self) -> Option<(i64, i64)> {
        self.show();
        self.recording.read().recording.range()
    }
}

impl Source for Live {
    fn select(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Series>, Error> {
        self.window.select(matchers, start, end)
    }

    fn series(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Labels>, Error> {
        self.window.series(matchers, start, end)
    }

    fn metadata(&self) -> BTreeMap<String, Metadata> {
        self.window.metadata()
    }

    fn range(&self) -> Option<(i64, i64)> {
        self.window.range()
    }
}

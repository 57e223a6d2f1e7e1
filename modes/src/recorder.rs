//! The recorder: snapshots of one or several sources, tick by tick, into one
//! Parquet file.
//!
//! Ticks go into a [log](crate::log) beside the output first, so that nothing
//! but the tick at hand can be lost; at the end the log is stitched.

mod command;
mod metadata;
mod missed;
mod progress;
mod schedule;
mod worker;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::SnapshotSource;
use crate::log::columns::Source;
use crate::log::{Contents, Header, Log, Note, remove_abandoned, write_aside};
use crate::signals;
use crate::snapshot::Snapshot;
use crate::source::{Endpoint, Kind, SHARED_FROM};
use command::Running;
pub use metadata::{described, recording_metadata};
use missed::Missed;
use progress::Progress;
pub use schedule::{Grid, Seen, Timeline, nanos};
use worker::{Answer, Worker};

/// What to record.
#[derive(Clone, Debug)]
pub struct Options {
    /// Agents and exporters.
    pub urls: Vec<String>,
    pub output: PathBuf,
    /// Between ticks; a millisecond or more.
    pub interval: Duration,
    /// None: until a signal, or the end of the command.
    pub duration: Option<Duration>,
    /// For the file's own metadata.
    pub metadata: Vec<(String, String)>,
    /// Replace an output that exists.
    pub force: bool,
    /// Recorded exactly while it runs, unless empty.
    pub command: Vec<OsString>,
}

/// A command that is to end gets this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// What happens while recording.
enum Event {
    Answer(Answer),
    Signal(i32),
    Ended(ExitStatus),
}

/// A source and how it is doing.
struct Watched {
    name: String,
    worker: Worker,
    /// Since when it does not answer, and why.
    down: Option<(u64, String)>,
    /// What tells one run of an agent from the next.
    epoch: Option<String>,
}

/// Where the ticks of a recording are until it is finished.
pub fn log_folder(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".log");
    name.into()
}

/// Records. Returns the exit code.
///
/// # Errors
///
/// What is wrong with the options; that no source answers; what kept the output
/// from being written, and where the ticks are.
pub fn run(options: &Options) -> Result<i32> {
    if options.interval < Duration::from_millis(1) {
        bail!("an interval of {:?} is too short: 1ms is the least", options.interval);
    }
    if options.urls.is_empty() {
        bail!("there is nothing to record: give a URL such as http://127.0.0.1:4241");
    }
    let folder = log_folder(&options.output);
    prepare(options, &folder)?;
    let (sender, events) = channel();
    signals::forward(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP], sender.clone(), Event::Signal)?;
    let endpoints = connect(options)?;
    let (sources, static_metadata) = metadata::at_start(&endpoints, options);
    let header = Header {
        interval_ns: u64::try_from(options.interval.as_nanos())?,
        sources: sources.clone(),
        metadata: static_metadata,
    };
    // Not before: as long as nothing answers, what is there is all there is.
    start_over(&folder)?;
    remove_leftovers(&options.output);
    let (log, _) = Log::open(&folder, header).map_err(anyhow::Error::msg)?;
    let mut recorder = Recorder::start(options, log, &endpoints, &sources, sender)?;
    let outcome = recorder.run(&events);
    let code = recorder.end_command(outcome, &events);
    recorder.finish(options, &endpoints)?;
    Ok(code)
}

/// Checks that output and log can be written.
fn prepare(options: &Options, folder: &Path) -> Result<()> {
    let output = options.output.display();
    if options.output.exists() && !options.force {
        bail!("{output}: this file exists: choose another name, or replace it with --force");
    }
    if folder.exists() && !options.force {
        bail!(
            "{}: a recording to {output} was interrupted: rescue it with `rezolus recording recover {}`, \
             or start over with --force",
            folder.display(),
            folder.display()
        );
    }
    Ok(())
}

/// Removes the log of an interrupted recording.
fn start_over(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{}: cannot be removed", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Deletes what processes left behind that were killed while they wrote this
/// output.
pub fn remove_leftovers(output: &Path) {
    let Some(name) = output.file_name().and_then(|name| name.to_str()) else { return };
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    let ours = |found: &str| process_of(found).is_some_and(|(written, _)| written == name);
    remove_abandoned(folder.unwrap_or(Path::new(".")), ours);
}

/// Of `OUTPUT.PID.new`: the output, and which process writes it.
pub fn process_of(name: &str) -> Option<(&str, u32)> {
    let (output, process) = name.strip_suffix(".new")?.rsplit_once('.')?;
    Some((output, process.parse().ok()?))
}

fn connect(options: &Options) -> Result<Vec<Arc<Endpoint>>> {
    let timeout = (options.interval * 2).clamp(Duration::from_secs(2), Duration::from_secs(10));
    let mut endpoints = Vec::new();
    for url in &options.urls {
        let endpoint = Endpoint::new(url, timeout)?.fresh(options.interval < SHARED_FROM);
        endpoint.probe()?;
        endpoints.push(Arc::new(endpoint));
    }
    Ok(endpoints)
}

/// Why recording ended.
enum End {
    Done,
    Signal,
    Command(ExitStatus),
}

/// What the sources gave at a point of the grid.
struct Row {
    point: u64,
    /// Our clock when they were asked; that of the source, once it answered, if
    /// there is only one.
    seen: Seen,
    parts: Vec<Option<Arc<Snapshot>>>,
}

struct Recorder {
    log: Log,
    watched: Vec<Watched>,
    grid: Grid,
    timeline: Timeline,
    sources: Vec<Source>,
    interval: Duration,
    limit: Option<u64>,
    began: Instant,
    /// Points so far, taken or not.
    points: u64,
    taken: u64,
    missed: Missed,
    running: Option<Running>,
    progress: Progress,
    /// The row that is being put together.
    row: Option<Row>,
    disk: Option<String>,
    /// The log's trouble, as it was last said.
    said: Option<String>,
}

impl Recorder {
    fn start(
        options: &Options,
        log: Log,
        endpoints: &[Arc<Endpoint>],
        sources: &[Source],
        events: Sender<Event>,
    ) -> Result<Self> {
        let mut watched = Vec::new();
        for (at, (endpoint, source)) in endpoints.iter().zip(sources).enumerate() {
            let worker = Worker::start(at, endpoint.clone() as Arc<dyn SnapshotSource>, events.clone())?;
            watched.push(Watched { name: source.name.clone(), worker, down: None, epoch: None });
        }
        let running = if options.command.is_empty() {
            None
        } else {
            let running = Running::start(&options.command, events);
            Some(running.with_context(|| format!("{}: cannot be started", options.command[0].display()))?)
        };
        let limit = options.duration.map(|duration| {
            let points = duration.as_nanos().div_ceil(options.interval.as_nanos().max(1));
            u64::try_from(points).unwrap_or(u64::MAX)
        });
        Ok(Self {
            log,
            watched,
            sources: sources.to_vec(),
            grid: Grid::new(options.interval),
            timeline: Timeline::default(),
            interval: options.interval,
            limit,
            began: Instant::now(),
            points: 0,
            taken: 0,
            missed: Missed::new(u64::try_from(options.interval.as_nanos()).unwrap_or(u64::MAX)),
            running,
            progress: Progress::new(options.duration),
            row: None,
            disk: None,
            said: None,
        })
    }

    /// Takes ticks until something ends it.
    fn run(&mut self, events: &Receiver<Event>) -> End {
        loop {
            if self.limit.is_some_and(|limit| self.points >= limit) {
                return self.last_answers(events);
            }
            let (point, wait) = self.grid.next(Seen::now());
            if wait.is_zero() {
                self.tick(point);
                continue;
            }
            self.progress.show(self.began.elapsed(), self.taken, self.missed.count, &self.log);
            // In pieces, in case the clock is set meanwhile.
            match events.recv_timeout(wait.min(Duration::from_millis(200))) {
                Ok(event) => {
                    if let Some(end) = self.handle(event) {
                        self.complete();
                        return end;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return End::Done,
            }
        }
    }

    /// Waits for what was asked at the last point, within its interval.
    fn last_answers(&mut self, events: &Receiver<Event>) -> End {
        let deadline = Instant::now() + self.interval.min(Duration::from_millis(200));
        while self.row.is_some() {
            match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    if let Some(end) = self.handle(event) {
                        self.complete();
                        return end;
                    }
                }
                Err(_) => break,
            }
        }
        self.complete();
        End::Done
    }

    fn tick(&mut self, point: u64) {
        self.complete();
        let passed = self.grid.handle(point);
        // The end may lie among the points that are gone by.
        let left = self.limit.map_or(u64::MAX, |limit| limit - self.points);
        let missed = passed.min(left);
        self.points += missed;
        if missed > 0 {
            let step = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX);
            let first = point - passed * step;
            self.missed.add(first, missed, "the recorder did not get to run");
        }
        if missed == left {
            return;
        }
        self.points += 1;
        let mut asked = false;
        for watched in &mut self.watched {
            asked |= watched.worker.ask(point);
        }
        if asked {
            self.row = Some(Row { point, seen: Seen::now(), parts: vec![None; self.watched.len()] });
        } else {
            let reason = match &self.watched[0].down {
                Some((_, why)) => why.clone(),
                None => "the answer to an earlier tick had not come".into(),
            };
            self.missed.add(point, 1, &reason);
        }
    }

    fn handle(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Answer(answer) => self.answer(answer),
            Event::Ended(status) => return Some(End::Command(status)),
            Event::Signal(signal) => {
                if let Some(running) = &self.running {
                    running.signal(signal);
                }
                return Some(End::Signal);
            }
        }
        None
    }

    fn answer(&mut self, answer: Answer) {
        let Answer { source, point, result, from, to } = answer;
        self.watched[source].worker.asked = None;
        match result {
            Ok(snapshot) => {
                self.up(source, point, &snapshot);
                // One source alone has its own time.
                let alone = self.watched.len() == 1;
                let seen = Seen { clock: nanos(snapshot.systemtime), from, to };
                match &mut self.row {
                    Some(row) if row.point == point => {
                        row.parts[source] = Some(snapshot);
                        if alone {
                            row.seen = seen;
                        }
                    }
                    // Late. Of several sources the row is gone.
                    _ if alone => {
                        self.missed.remove(point);
                        self.append(&Row { point, seen, parts: vec![Some(snapshot)] });
                    }
                    _ => {}
                }
            }
            Err(why) => self.down(source, point, why),
        }
        let waiting = |point| self.watched.iter().any(|watched| watched.worker.asked == Some(point));
        if self.row.as_ref().is_some_and(|row| !waiting(row.point)) {
            self.complete();
        }
    }

    /// Writes the row that is being put together.
    fn complete(&mut self) {
        let Some(row) = self.row.take() else { return };
        if row.parts.iter().any(Option::is_some) {
            self.append(&row);
            return;
        }
        let point = row.point;
        let reason = match &self.watched[0].down {
            Some((_, why)) => why.clone(),
            None => "no answer within the interval".into(),
        };
        self.missed.add(point, 1, &reason);
    }

    fn append(&mut self, row: &Row) {
        // One source: the time at which it read its numbers.
        let &Row { point, seen, ref parts } = row;
        let time = if self.watched.len() == 1 { seen.clock } else { point };
        let (timestamp, set) = self.timeline.stamp(time, seen);
        if let Some(by) = set {
            let by_seconds = by as f64 / 1e9;
            let description = match by {
                ..0 => format!(
                    "the clock was set back by {:.3} s; times from here are ahead of it by as much",
                    -by_seconds
                ),
                _ => format!("the clock was set forward by {by_seconds:.3} s"),
            };
            self.note(timestamp, "clock", None, description);
        }
        match self.log.append(timestamp, parts) {
            Ok(()) => {
                self.taken += 1;
                if self.disk.take().is_some() {
                    self.progress.say("ticks are kept again");
                }
                if let Some(why) = self.log.trouble()
                    && self.said.as_ref() != Some(&why)
                {
                    self.progress.say(&why);
                    self.said = Some(why);
                }
            }
            Err(error) => {
                let reason = format!("{}: {error}", self.log.folder().display());
                if self.disk.as_ref() != Some(&reason) {
                    self.progress.say(&format!("ticks cannot be kept: {reason}; trying on"));
                }
                self.missed.add(point, 1, &reason);
                self.disk = Some(reason);
            }
        }
    }

    fn note(&mut self, timestamp: u64, kind: &str, source: Option<&str>, description: String) {
        let note = Note {
            timestamp,
            description,
            kind: Some(kind.into()),
            source: source.map(Into::into),
            ..Note::default()
        };
        if let Err(error) = self.log.note(note) {
            self.progress.say(&format!("an event cannot be kept: {}: {error}", self.log.folder().display()));
        }
    }

    fn up(&mut self, source: usize, point: u64, snapshot: &Snapshot) {
        let epoch = snapshot.meta("producer_epoch").map(str::to_string);
        let watched = &mut self.watched[source];
        let name = watched.name.clone();
        let came_back = watched.down.take();
        let restarted = watched.epoch.is_some() && epoch.is_some() && watched.epoch != epoch;
        watched.epoch = epoch.or(watched.epoch.take());
        if restarted {
            self.note(
                point,
                "restart",
                Some(&name),
                format!("{name} was restarted: its counters began anew"),
            );
        }
        if let Some((since, why)) = came_back {
            let gone = point.saturating_sub(since) as f64 / 1e9;
            self.progress.say(&format!("{name} is back after {gone:.1} s"));
            self.note(point, "gap", Some(&name), format!("{name} is back after {gone:.1} s: {why}"));
        }
    }

    fn down(&mut self, source: usize, point: u64, why: String) {
        let watched = &mut self.watched[source];
        if watched.down.is_none() {
            let name = watched.name.clone();
            self.progress.say(&format!("{name} does not answer: {why}"));
            watched.down = Some((point, why));
        }
    }

    /// Sees to it that the command is gone. Returns its exit code.
    fn end_command(&mut self, end: End, events: &Receiver<Event>) -> i32 {
        if let End::Command(status) = end {
            return command::exit_code(status);
        }
        let Some(running) = self.running.take() else { return 0 };
        // After a signal it got that one; it may need a moment.
        if matches!(end, End::Done) {
            running.signal(libc::SIGTERM);
        }
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Ended(status)) => {
                    // Whoever of the group is left.
                    running.signal(libc::SIGKILL);
                    return command::exit_code(status);
                }
                Ok(Event::Signal(_)) | Err(RecvTimeoutError::Timeout) => {
                    running.signal(libc::SIGKILL);
                    deadline = Instant::now() + PATIENCE;
                }
                Ok(Event::Answer(_)) => {}
                Err(RecvTimeoutError::Disconnected) => return 1,
            }
        }
    }

    fn finish(self, options: &Options, endpoints: &[Arc<Endpoint>]) -> Result<()> {
        let ended = metadata::at_end(endpoints, &self.sources, &self.missed);
        let folder = self.log.folder().to_path_buf();
        let output = options.output.display();
        let left = || format!("{output}: not written; the ticks are in {}", folder.display());
        let contents = self.log.into_contents().map_err(anyhow::Error::msg);
        if self.taken == 0 {
            let _ = fs::remove_dir_all(&folder);
            let why = self.missed.last_reason().unwrap_or("the time was too short");
            bail!("{output}: not written: no tick was taken ({why})");
        }
        write_recording(&contents.with_context(left)?, &options.output, ended).with_context(left)?;
        fs::remove_dir_all(&folder).with_context(|| format!("{}: cannot be removed", folder.display()))?;
        self.progress.end(&options.output, self.taken, self.missed.count, self.began.elapsed());
        Ok(())
    }
}

/// Makes a recording of a log's contents, written aside and renamed.
///
/// # Errors
///
/// Those of the disk, and damaged segments.
pub fn write_recording(contents: &Contents, output: &Path, more: BTreeMap<String, String>) -> Result<()> {
    let mut aside = output.as_os_str().to_owned();
    aside.push(format!(".{}.new", std::process::id()));
    let aside = PathBuf::from(aside);
    let metadata = recording_metadata(contents, more);
    let written = write_aside(&aside, output, |out| {
        contents.write(out, &metadata).map(drop).map_err(std::io::Error::other)
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&aside);
        return Err(error).with_context(|| format!("{}", output.display()));
    }
    Ok(())
}

/// What an endpoint is called in a recording.
fn source_name(endpoint: &Endpoint) -> String {
    match endpoint.kind() {
        Some(Kind::Agent) => "rezolus".into(),
        _ => endpoint.label().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.parquet");
        for name in ["out.parquet.1.new", "other.parquet.1.new", "out.parquet.x.new", "out.parquet.1"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        write_aside(&folder.path().join("out.parquet.2.new"), &output, |_| {
            remove_leftovers(&output);
            Ok(())
        })
        .unwrap();
        let found = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut found: Vec<String> = found.map(|name| name.into_string().unwrap()).collect();
        found.sort();
        assert_eq!(found, ["other.parquet.1.new", "out.parquet", "out.parquet.1", "out.parquet.x.new"]);
    }
}

//! Takes snapshots: refreshes what must be asked for its numbers, then reads
//! the registry.
//!
//! Refreshes happen on a thread of their own, because they run plugins'
//! code. When one does not come back in time, another thread takes over and
//! leaves that sampler out; the late thread ends when the sampler returns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use metriken_exposition::group_builder::Stamp;
use parking_lot::{Condvar, Mutex, RwLock};
use rezolus_modes::snapshot::Snapshot;
use rezolus_modes::{SnapshotSource, SourceError};

use crate::snapshot::Builder;

/// A refresh that takes longer than this is left behind.
const PATIENCE: Duration = Duration::from_millis(100);

/// Whoever asks again this soon does not wait for a refresh: it happens behind
/// the snapshot's back, for the next one.
const BRISK: Duration = Duration::from_millis(50);

/// Something that has to be asked for its current numbers.
pub trait Refresh: Send {
    /// # Errors
    ///
    /// A sentence; the previous numbers stay.
    fn refresh(&mut self) -> Result<(), String>;
}

/// How the refreshes of one source are going; shared with the status.
#[derive(Default)]
pub struct Health {
    error: Mutex<Option<String>>,
    /// Set while a refresh is running.
    since: Mutex<Option<Instant>>,
}

impl Health {
    /// Why the source's numbers are not current, if so.
    pub fn trouble(&self) -> Option<String> {
        if let Some(since) = *self.since.lock() {
            let elapsed = since.elapsed();
            if elapsed > PATIENCE {
                return Some(format!(
                    "a refresh has been running for {:.1} s; the numbers are those before it",
                    elapsed.as_secs_f64()
                ));
            }
        }
        self.error.lock().clone()
    }
}

/// One source of refreshed numbers.
struct Source {
    interval: Duration,
    last: Option<Instant>,
    health: Arc<Health>,
    job: Arc<Mutex<Box<dyn Refresh>>>,
}

impl Source {
    fn due(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.duration_since(last) >= self.interval)
    }

    /// Due for so long that its numbers are not to be shown without a refresh.
    fn overdue(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.duration_since(last) >= self.interval * 2)
    }
}

#[derive(Default)]
struct State {
    sources: BTreeMap<u64, Source>,
    next_source: u64,
    /// Requests so far, and the number of the last one that was answered.
    asked: u64,
    answered: u64,
    /// A refresh is wanted that nobody waits for.
    behind: bool,
    latest: Option<Arc<Snapshot>>,
    taken: Option<Instant>,
    /// The thread that is to work; older ones end.
    epoch: u64,
    stop: bool,
}

/// What runs before every snapshot: the host's own code, which does not block.
type Prelude = Box<dyn Fn() + Send + Sync>;

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
    /// For the metrics that are registered now.
    builder: Mutex<Option<Builder>>,
    /// Held for reading while a snapshot is read, for writing while metrics
    /// come and go.
    registry: RwLock<()>,
    prelude: Prelude,
    ttl: RwLock<Duration>,
}

/// A handle to the collecting thread.
#[derive(Clone)]
pub struct Collector(Arc<Shared>);

impl Collector {
    /// Starts the thread. `prelude` is called before every snapshot.
    pub fn start(ttl: Duration, prelude: impl Fn() + Send + Sync + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            builder: Mutex::default(),
            registry: RwLock::default(),
            prelude: Box::new(prelude),
            ttl: RwLock::new(ttl),
        });
        spawn(&shared, 0)?;
        Ok(Self(shared))
    }

    pub fn set_ttl(&self, ttl: Duration) {
        *self.0.ttl.write() = ttl;
    }

    /// Adds a source; it is asked at most once per `interval`.
    pub fn add(&self, interval: Duration, job: Box<dyn Refresh>) -> (u64, Arc<Health>) {
        let health = Arc::new(Health::default());
        let source = Source { interval, last: None, health: health.clone(), job: Arc::new(Mutex::new(job)) };
        let mut state = self.0.state.lock();
        let id = state.next_source;
        state.next_source += 1;
        state.sources.insert(id, source);
        (id, health)
    }

    /// Takes a source out. If it is being refreshed it ends after that.
    pub fn remove(&self, id: u64) {
        let removed = self.0.state.lock().sources.remove(&id);
        drop(removed);
    }

    /// Changes the registry: no snapshot is read meanwhile.
    pub fn change_registry<T>(&self, change: impl FnOnce() -> T) -> T {
        let _writing = self.0.registry.write();
        // It would keep the tables of what goes.
        *self.0.builder.lock() = None;
        self.0.state.lock().taken = None;
        change()
    }

    /// As [`change_registry`](Self::change_registry), for changes after which
    /// the set of registered metrics is the same.
    pub fn between_snapshots<T>(&self, change: impl FnOnce() -> T) -> T {
        let _writing = self.0.registry.write();
        change()
    }

    /// The current numbers, at most `ttl` old, or read from now on if they are to
    /// be `fresh`. May block for as long as it takes to refresh what must be
    /// refreshed.
    ///
    /// # Errors
    ///
    /// When no thread can be started in place of a stuck one, or the agent is
    /// shutting down.
    pub fn wait(&self, fresh: bool) -> Result<Arc<Snapshot>, String> {
        let shared = &self.0;
        let ttl = shared.ttl(fresh);
        let mut state = shared.state.lock();
        if let (Some(latest), Some(taken)) = (&state.latest, state.taken)
            && taken.elapsed() < ttl
        {
            return Ok(latest.clone());
        }
        state.asked += 1;
        let ticket = state.asked;
        shared.work.notify_one();
        while state.answered < ticket {
            if state.stop {
                return Err("the agent is shutting down".into());
            }
            let timed_out = shared.done.wait_for(&mut state, PATIENCE).timed_out();
            if timed_out && state.answered < ticket {
                state.epoch += 1;
                let epoch = state.epoch;
                parking_lot::MutexGuard::unlocked(&mut state, || spawn(shared, epoch))
                    .map_err(|error| format!("no thread to take a snapshot on: {error}"))?;
            }
        }
        state.latest.clone().ok_or_else(|| "no snapshot".to_string())
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.0.state.lock().stop = true;
        self.0.work.notify_all();
        self.0.done.notify_all();
    }
}

impl SnapshotSource for Collector {
    fn snapshot(&self) -> Result<Arc<Snapshot>, SourceError> {
        self.wait(false).map_err(SourceError::new)
    }
}

/// A collector asked by somebody who has no use for the same snapshot twice.
pub struct Fresh(pub Collector);

impl SnapshotSource for Fresh {
    fn snapshot(&self) -> Result<Arc<Snapshot>, SourceError> {
        self.0.wait(true).map_err(SourceError::new)
    }
}

impl Shared {
    /// How old the snapshot of another may be.
    fn ttl(&self, fresh: bool) -> Duration {
        if fresh { Duration::ZERO } else { *self.ttl.read() }
    }
}

impl Collector {
    /// As [`wait`](Self::wait), if there is nothing to wait for.
    ///
    /// Handing over to the thread and back costs more than reading the numbers
    /// does. When no source is due, or who asks is not going to wait for it, no
    /// foreign code will run, and they can be read right here.
    pub fn at_once(&self, fresh: bool) -> Option<Arc<Snapshot>> {
        let shared = &self.0;
        let now = Instant::now();
        {
            let mut state = shared.state.lock();
            let age = state.taken.map_or(Duration::MAX, |taken| now.duration_since(taken));
            if age < shared.ttl(fresh)
                && let Some(latest) = &state.latest
            {
                return Some(latest.clone());
            }
            if state.stop || state.answered < state.asked {
                return None;
            }
            if state.sources.values().any(|source| source.due(now)) {
                if age > BRISK || state.sources.values().any(|source| source.overdue(now)) {
                    return None;
                }
                state.behind = true;
                shared.work.notify_one();
            }
        }
        (shared.prelude)();
        let snapshot = Arc::new(read(shared, now));
        let mut state = shared.state.lock();
        state.latest = Some(snapshot.clone());
        state.taken = Some(Instant::now());
        Some(snapshot)
    }
}

fn spawn(shared: &Arc<Shared>, epoch: u64) -> std::io::Result<()> {
    let shared = shared.clone();
    thread::Builder::new().name("collector".into()).spawn(move || run(&shared, epoch)).map(drop)
}

fn run(shared: &Shared, epoch: u64) {
    loop {
        let ticket = {
            let mut state = shared.state.lock();
            while state.answered >= state.asked && !state.behind && !state.stop && state.epoch == epoch {
                shared.work.wait(&mut state);
            }
            if state.stop || state.epoch != epoch {
                return;
            }
            state.behind = false;
            (state.answered < state.asked).then_some(state.asked)
        };
        let started = Instant::now();
        let Some(ticket) = ticket else {
            if refresh_due(shared, epoch, started) {
                continue;
            }
            return;
        };
        (shared.prelude)();
        if !refresh_due(shared, epoch, started) {
            return;
        }
        let snapshot = Arc::new(read(shared, started));
        let mut state = shared.state.lock();
        if state.epoch != epoch {
            return;
        }
        state.latest = Some(snapshot);
        state.taken = Some(Instant::now());
        state.answered = ticket;
        shared.done.notify_all();
    }
}

/// Refreshes every source that is due. Returns false when another thread has
/// taken over meanwhile.
fn refresh_due(shared: &Shared, epoch: u64, now: Instant) -> bool {
    let due: Vec<_> = {
        let mut state = shared.state.lock();
        state
            .sources
            .iter_mut()
            .filter(|(_, source)| source.due(now))
            .map(|(id, source)| {
                source.last = Some(now);
                (*id, source.job.clone(), source.health.clone())
            })
            .collect()
    };
    for (id, job, health) in due {
        // Locked means: a thread we left behind is still in there.
        let Some(mut job) = job.try_lock() else { continue };
        *health.since.lock() = Some(Instant::now());
        let result = job.refresh();
        let took = health.since.lock().take().map(|since| since.elapsed()).unwrap_or_default();
        *health.error.lock() = match result {
            Ok(()) if took > PATIENCE => {
                Some(format!("the last refresh took {:.1} s; it may take {PATIENCE:?}", took.as_secs_f64()))
            }
            Ok(()) => None,
            Err(why) => Some(why),
        };
        drop(job);
        let mut state = shared.state.lock();
        if took > PATIENCE
            && let Some(source) = state.sources.get_mut(&id)
        {
            // Not again before ten times as long: it must not slow down
            // every snapshot.
            source.last = Some(Instant::now() + took * 10);
        }
        if state.epoch != epoch {
            return false;
        }
    }
    true
}

fn read(shared: &Shared, started: Instant) -> Snapshot {
    let _reading = shared.registry.read();
    let mut builder = shared.builder.lock();
    let stamp = Stamp::now();
    let metadata = [
        ("source", "rezolus".to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_string()),
        // When the values were read, on a clock that is never set back; how
        // far the wall clock is from it; and what shows that the agent was
        // restarted: keys that metriken's readers know.
        ("ts", stamp.ts.to_string()),
        ("wall_offset", stamp.wall_offset.to_string()),
        ("clock_anchor_wall_ns", metriken::epoch::clock_anchor_wall_ns().to_string()),
        ("producer_epoch", metriken::epoch::producer_epoch().to_string()),
    ];
    let (groups, numbers) = builder.get_or_insert_with(Builder::new).read();
    let metadata = metadata.map(|(key, value)| (key.into(), value)).into();
    Snapshot { systemtime: stamp.systemtime(), groups, numbers, duration: started.elapsed(), metadata }
}

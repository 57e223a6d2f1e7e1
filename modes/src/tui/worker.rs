//! The thread that asks, so that keys are answered at once.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use super::ask::{Drawn, Side, Wanted, ask};
use super::{Event, Trouble};
use parking_lot::{Condvar, Mutex};

/// What the thread is called. What it panics of is told in the chart.
pub const THREAD: &str = "queries";

/// A chart: its page, and which of the page's it is.
pub type Key = (usize, usize);

/// What comes of asking.
pub struct Answer {
    pub key: Key,
    pub result: Result<Drawn, String>,
}

pub struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    orders: Mutex<Orders>,
    news: Condvar,
}

#[derive(Default)]
struct Orders {
    /// What is on screen.
    wanted: Vec<(Key, Wanted)>,
    /// Which order that is.
    number: u64,
    /// Of which order's there is an answer, by chart.
    done: HashMap<Key, u64>,
    /// From when to when there are samples is to be told.
    look: bool,
    stop: bool,
    /// Of what is being asked.
    canceled: Arc<AtomicBool>,
}

impl Worker {
    /// Starts the thread. Its answers are sent as events; should it end by itself, that is an event as
    /// well.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had.
    pub fn start(sides: Vec<Side>, trouble: Trouble, events: Sender<Event>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let its = shared.clone();
        let work = move || {
            let ended = Ended(events.clone());
            work(&sides, &trouble, &its, &events);
            drop(ended);
        };
        let thread = std::thread::Builder::new().name(THREAD.into()).spawn(work)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks from when to when there are samples.
    pub fn look(&self) {
        self.shared.orders.lock().look = true;
        self.shared.news.notify_one();
    }

    /// Asks for charts anew. What is being asked is given up if `at_once`, and finished otherwise.
    pub fn order(&self, wanted: Vec<(Key, Wanted)>, at_once: bool) {
        let mut orders = self.shared.orders.lock();
        orders.wanted = wanted;
        orders.number += 1;
        if at_once {
            orders.canceled.store(true, Ordering::Relaxed);
        }
        self.shared.news.notify_one();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut orders = self.shared.orders.lock();
        orders.stop = true;
        orders.canceled.store(true, Ordering::Relaxed);
        drop(orders);
        self.shared.news.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic has been told by the hook.
            let _ = thread.join();
        }
    }
}

/// Tells that the thread has ended, also when it panicked.
struct Ended(Sender<Event>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.send(Event::NoAnswers);
    }
}

enum Task {
    Look,
    Ask(Key, Box<Wanted>, Arc<AtomicBool>),
}

fn work(sides: &[Side], trouble: &Trouble, shared: &Shared, events: &Sender<Event>) {
    let mut weights: HashMap<Key, usize> = HashMap::new();
    while let Some(task) = next(shared) {
        let event = match task {
            Task::Look => Event::Extent(sides.first().and_then(|side| side.source.range()), trouble()),
            Task::Ask(key, mut wanted, canceled) => {
                wanted.weight = weights.get(&key).copied();
                // A fault in one chart is not the end of the others.
                let asked = catch_unwind(AssertUnwindSafe(|| ask(sides, &wanted, &canceled)));
                let result = asked.unwrap_or_else(|panic| Err(reason(panic.as_ref())));
                if canceled.load(Ordering::Relaxed) {
                    continue;
                }
                if let Ok(drawn) = &result {
                    weights.insert(key, drawn.weight);
                }
                Event::Answer(Box::new(Answer { key, result }))
            }
        };
        if events.send(event).is_err() {
            return;
        }
    }
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a fault of the viewer: {}", text.unwrap_or("for an unknown reason"))
}

/// Waits for something to do; nothing when it is over. Of the charts, the one whose answer is oldest,
/// so that all get their turn if there is more to do than time.
fn next(shared: &Shared) -> Option<Task> {
    let mut orders = shared.orders.lock();
    loop {
        if orders.stop {
            return None;
        }
        if std::mem::take(&mut orders.look) {
            return Some(Task::Look);
        }
        let (number, done) = (orders.number, &orders.done);
        let age = |key: &Key| done.get(key).copied().unwrap_or(0);
        let due = orders.wanted.iter().filter(|(key, _)| age(key) < number).min_by_key(|(key, _)| age(key));
        if let Some((key, wanted)) = due.cloned() {
            orders.done.insert(key, number);
            orders.canceled = Arc::default();
            return Some(Task::Ask(key, Box::new(wanted), orders.canceled.clone()));
        }
        shared.news.wait(&mut orders);
    }
}

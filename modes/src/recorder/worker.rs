//! A thread per source: a slow one holds up nobody but itself.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use super::Event;
use crate::SnapshotSource;
use crate::snapshot::Snapshot;

/// What a source answered when it was asked at a point in time.
pub struct Answer {
    pub source: usize,
    pub point: u64,
    pub result: Result<Arc<Snapshot>, String>,
    /// Between asking and answering.
    pub from: Instant,
    pub to: Instant,
}

/// Asks one source whenever it is told to.
pub struct Worker {
    ask: SyncSender<u64>,
    /// The point it was asked for and has not answered.
    pub asked: Option<u64>,
}

impl Worker {
    pub fn start(
        source: usize,
        snapshots: Arc<dyn SnapshotSource>,
        events: Sender<Event>,
    ) -> std::io::Result<Self> {
        let (ask, points): (_, Receiver<u64>) = sync_channel(1);
        let run = move || {
            for point in points {
                let from = Instant::now();
                let result = snapshots.snapshot().map_err(|error| error.to_string());
                let answer = Answer { source, point, result, from, to: Instant::now() };
                if events.send(Event::Answer(answer)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name(format!("source-{source}")).spawn(run)?;
        Ok(Self { ask, asked: None })
    }

    /// Asks it, unless it has not answered yet.
    pub fn ask(&mut self, point: u64) -> bool {
        if self.asked.is_some() || self.ask.try_send(point).is_err() {
            return false;
        }
        self.asked = Some(point);
        true
    }
}

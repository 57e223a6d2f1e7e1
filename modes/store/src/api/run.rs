//! Runs queries: so many at a time, each on a thread of its own, and none for a
//! client that is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use crate::promql::{Error, ErrorKind};

/// Queries are trees, evaluated by recursion. Of this only what is used takes
/// memory.
const STACK: usize = 64 << 20;

/// Says that nobody wants the answer any more.
pub type Flag = Arc<AtomicBool>;

/// Sets the flag unless the answer has come.
struct Guard(Flag);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs so many at a time.
pub struct Runner {
    turns: Arc<Semaphore>,
    begun: AtomicU64,
    /// How much runs, and when the last ended.
    busy: Arc<Mutex<(usize, Instant)>>,
}

/// Work that runs as long as this is there.
struct Running(Arc<Mutex<(usize, Instant)>>);

impl Running {
    fn new(busy: &Arc<Mutex<(usize, Instant)>>) -> Self {
        busy.lock().0 += 1;
        Self(busy.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut busy = self.0.lock();
        *busy = (busy.0 - 1, Instant::now());
    }
}

impl Runner {
    /// At least one.
    pub fn new(at_a_time: usize) -> Self {
        let turns = Semaphore::new(at_a_time.clamp(1, Semaphore::MAX_PERMITS));
        let busy = Arc::new(Mutex::new((0, Instant::now())));
        Self { turns: Arc::new(turns), begun: AtomicU64::new(0), busy }
    }

    /// How many were begun so far.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// For how long nothing has run; zero if something does.
    pub fn idle_for(&self) -> Duration {
        let (running, last) = *self.busy.lock();
        if running > 0 { Duration::ZERO } else { last.elapsed() }
    }

    /// Does work on a thread of its own. When what this returns is dropped, the
    /// work's flag is set.
    ///
    /// # Errors
    ///
    /// Those of the work, and that it did not begin in time.
    pub async fn run<T: Send + 'static>(
        &self,
        deadline: Option<Instant>,
        work: impl FnOnce(Flag) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.turns.clone().acquire_owned();
        let turn = match deadline {
            None => turn.await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), turn)
                .await
                .map_err(|_| Error::new(ErrorKind::Timeout, "query timed out in query queue"))?,
        };
        let turn = turn.map_err(|_| Error::new(ErrorKind::Internal, "the server is going down"))?;
        self.begun.fetch_add(1, Ordering::Relaxed);
        let flag = Flag::default();
        let guard = Guard(flag.clone());
        let (done, answer) = oneshot::channel();
        let running = Running::new(&self.busy);
        let run = move || {
            let result = work(flag);
            drop(running);
            // Others' turn before anybody hears of the answer.
            drop(turn);
            // Nobody may want it.
            let _ = done.send(result);
        };
        std::thread::Builder::new().name("query".into()).stack_size(STACK).spawn(run).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("there is no thread to run the query: {error}"))
        })?;
        let result = answer.await.unwrap_or_else(|_| {
            Err(Error::execution("unexpected error: the query's thread ended without an answer"))
        });
        drop(guard);
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn work_whose_waiter_is_gone_hears_of_it_and_frees_its_turn() {
        let runner = Runner::new(1);
        let (told, heard) = mpsc::channel();
        block_on(async {
            let work = move |flag: Flag| {
                while !flag.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let _ = told.send(());
                Ok(())
            };
            let waited = tokio::time::timeout(Duration::from_millis(20), runner.run(None, work)).await;
            assert!(waited.is_err());
            heard.recv().unwrap();
            assert_eq!(runner.run(None, |_| Ok(7)).await, Ok(7));
            std::thread::sleep(Duration::from_millis(2));
            assert!(runner.idle_for() >= Duration::from_millis(2));
        });
    }

    #[test]
    fn whoever_waits_too_long_for_a_turn_is_told() {
        let runner = Runner::new(1);
        let (go, wait) = mpsc::channel::<()>();
        let hold = move |_: Flag| {
            let _ = wait.recv();
            Ok(())
        };
        block_on(async {
            let first = runner.run(None, hold);
            let second = async {
                let late = runner.run(Some(Instant::now()), |_| Ok(())).await;
                drop(go);
                late
            };
            let (first, second) = tokio::join!(first, second);
            assert_eq!(first, Ok(()));
            assert_eq!(second.unwrap_err().kind, ErrorKind::Timeout);
        });
    }

    #[test]
    fn a_panic_is_an_error() {
        let result: Result<(), _> = block_on(Runner::new(1).run(None, |_| panic!("on purpose")));
        assert_eq!(result.unwrap_err().kind, ErrorKind::Execution);
    }
}

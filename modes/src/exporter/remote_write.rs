//! Remote write 1.0: snapshots to a Prometheus, Mimir or VictoriaMetrics.
//!
//! One task takes snapshots and queues them on disk, another one delivers what
//! is queued, oldest first, one request at a time: a series arrives in order.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::collect::Exporter;
use super::config::RemoteWrite;
use super::queue::{Queue, Request};
use super::write_request::{Label, WriteRequest, requests};

/// Pauses between attempts: from the first to the last, doubling.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// However long the other side asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How much of a refusal is read.
const REASON: u64 = 512;

/// The tasks at work.
pub struct Sending {
    tasks: [JoinHandle<()>; 2],
}

impl Sending {
    /// Returns when both have ended, which they do soon after the stop.
    pub async fn stopped(self) {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::warn!("remote write: {error}");
            }
        }
    }
}

struct Sender {
    remote: RemoteWrite,
    exporter: Arc<Exporter>,
    queue: Mutex<Queue>,
    queued: Notify,
    /// The series of the last snapshot.
    sent: Mutex<HashSet<Vec<Label>>>,
    http: ureq::Agent,
}

/// Starts the tasks.
///
/// # Errors
///
/// When the queue's folder cannot be used.
pub(super) fn start(
    mut remote: RemoteWrite,
    exporter: Arc<Exporter>,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<Sending> {
    let queue = Queue::open(&remote.queue, remote.queue_bytes).with_context(|| {
        let folder = remote.queue.display();
        format!("the queue of remote write: {folder} cannot be used; set `queue` in [exporter.remote_write]")
    })?;
    remote.labels.entry("job".into()).or_insert_with(|| "rezolus".into());
    remote.labels.entry("instance".into()).or_insert_with(hostname);
    let http = ureq::Agent::config_builder();
    // The machine's own certificates: a fleet has its own authority.
    #[cfg(feature = "tls")]
    let http = http.tls_config(
        ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build(),
    );
    let http = http
        .timeout_global(Some(remote.timeout))
        .http_status_as_error(false)
        .user_agent(concat!("rezolus/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    exporter.tally.queued.store(queue.bytes(), Ordering::Relaxed);
    let sender = Arc::new(Sender {
        remote,
        exporter,
        queue: Mutex::new(queue),
        queued: Notify::new(),
        sent: Mutex::default(),
        http,
    });
    let tasks = [tokio::spawn(produce(sender.clone(), stop.clone())), tokio::spawn(deliver(sender, stop))];
    Ok(Sending { tasks })
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Some(name.trim()).filter(|name| !name.is_empty()).unwrap_or("localhost").into()
}

async fn produce(sender: Arc<Sender>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(sender.remote.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            _ = ticks.tick() => {}
        }
        let worker = sender.clone();
        match tokio::task::spawn_blocking(move || worker.enqueue()).await {
            Ok(Ok(())) => sender.queued.notify_one(),
            Ok(Err(error)) => tracing::warn!("remote write: a snapshot is lost: {error:#}"),
            Err(error) => tracing::warn!("remote write: {error}"),
        }
    }
}

async fn deliver(sender: Arc<Sender>, mut stop: watch::Receiver<bool>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let outcome = tokio::select! {
            // An attempt that is under way is not waited for: it stays queued.
            _ = stop.changed() => return,
            outcome = sender.deliver_oldest() => outcome,
        };
        let wait = match outcome {
            Outcome::Empty => None,
            Outcome::Done => {
                pause = FIRST_PAUSE;
                continue;
            }
            Outcome::Later(asked) => {
                let wait = asked.unwrap_or(pause + jitter(pause)).min(LONGEST_WAIT);
                pause = (pause * 2).min(LAST_PAUSE);
                Some(wait)
            }
        };
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            () = sender.queued.notified(), if wait.is_none() => {}
        }
    }
}

/// Up to a quarter, so that a fleet does not come back all at once.
fn jitter(pause: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    pause.mul_f64(f64::from(nanos % 1000) / 4000.0)
}

enum Outcome {
    /// Nothing waits.
    Empty,
    /// Delivered or given up.
    Done,
    /// To be tried again, after the time that the other side asked for.
    Later(Option<Duration>),
}

/// What became of one attempt.
enum Attempt {
    Delivered,
    Refused(String),
    Failed(String, Option<Duration>),
}

impl Sender {
    /// Takes a snapshot and queues it. Without one all series are ended, as they
    /// are when Prometheus cannot scrape.
    fn enqueue(&self) -> anyhow::Result<()> {
        let (time, families) = match self.exporter.collect(self.remote.native_histograms) {
            Ok((snapshot, families)) => (snapshot.systemtime, families),
            Err(_) => (SystemTime::now(), Vec::new()),
        };
        let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = time.as_millis() as i64;
        let requests = requests(&families, &self.remote.labels, millis, &mut self.sent.lock());
        for (done, request) in requests.iter().enumerate() {
            if let Err(error) = self.push(request) {
                let lost = (requests.len() - done) as u64;
                self.exporter.tally.dropped.fetch_add(lost, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    }

    fn push(&self, request: &WriteRequest) -> anyhow::Result<()> {
        let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
        let request = Request {
            samples: request.timeseries.len() as u32,
            body: body.context("it cannot be compressed")?,
        };
        let mut queue = self.queue.lock();
        let dropped = queue
            .push(&request)
            .with_context(|| format!("it cannot be queued in {}", self.remote.queue.display()))?;
        self.exporter.tally.queued.store(queue.bytes(), Ordering::Relaxed);
        if dropped > 0 {
            self.exporter.tally.dropped.fetch_add(dropped, Ordering::Relaxed);
            tracing::warn!(
                "remote write: {dropped} requests given up: the queue in {} is full (queue_bytes = {})",
                self.remote.queue.display(),
                self.remote.queue_bytes
            );
        }
        Ok(())
    }

    async fn deliver_oldest(self: &Arc<Self>) -> Outcome {
        let worker = self.clone();
        let oldest = tokio::task::spawn_blocking(move || worker.queue.lock().oldest()).await;
        let (number, request) = match oldest {
            Ok(Some(oldest)) => oldest,
            Ok(None) | Err(_) => return Outcome::Empty,
        };
        let tally = &self.exporter.tally;
        match request {
            Err(why) => {
                tally.dropped.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("remote write: a request is given up: {why}");
            }
            Ok(Request { samples, body }) => match self.attempt(body).await {
                Attempt::Delivered => {
                    tally.sent.fetch_add(samples.into(), Ordering::Relaxed);
                }
                Attempt::Refused(why) => {
                    tally.dropped.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!("remote write: {} refuses a request: {why}", self.remote.url);
                }
                Attempt::Failed(why, after) => {
                    tally.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!("remote write: {} is tried again: {why}", self.remote.url);
                    return Outcome::Later(after);
                }
            },
        }
        let worker = self.clone();
        // It has nothing to fail with but a warning of its own.
        let _ = tokio::task::spawn_blocking(move || worker.remove(number)).await;
        Outcome::Done
    }

    fn remove(&self, number: u64) {
        let mut queue = self.queue.lock();
        if let Err(error) = queue.remove(number) {
            let folder = self.remote.queue.display();
            tracing::warn!("remote write: a delivered request stays in {folder}: {error}");
        }
        self.exporter.tally.queued.store(queue.bytes(), Ordering::Relaxed);
    }

    /// On a thread that nobody waits for at the stop.
    async fn attempt(self: &Arc<Self>, body: Vec<u8>) -> Attempt {
        let (answer, answered) = oneshot::channel();
        let sender = self.clone();
        let thread = std::thread::Builder::new().name("remote-write".into());
        let started = thread.spawn(move || {
            let _ = answer.send(sender.post(&body));
        });
        match started {
            Ok(_) => {
                answered.await.unwrap_or_else(|_| Attempt::Failed("the attempt was cut short".into(), None))
            }
            Err(error) => Attempt::Failed(format!("no thread to send on: {error}"), None),
        }
    }

    fn post(&self, body: &[u8]) -> Attempt {
        let mut request = self
            .http
            .post(&self.remote.url)
            .header("Content-Type", "application/x-protobuf")
            .header("Content-Encoding", "snappy")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0");
        for (name, value) in &self.remote.headers {
            request = request.header(name, value);
        }
        let mut response = match request.send(body) {
            Ok(response) => response,
            Err(error) => return Attempt::Failed(error.to_string(), None),
        };
        let status = response.status();
        if status.is_success() {
            return Attempt::Delivered;
        }
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let mut reason = Vec::new();
        // As much as there is; the status tells the most.
        let _ = response.body_mut().as_reader().take(REASON).read_to_end(&mut reason);
        let why = format!("{status}: {}", String::from_utf8_lossy(&reason).trim());
        if status.is_client_error() && status.as_u16() != 429 {
            return Attempt::Refused(why);
        }
        Attempt::Failed(why, after.map(Duration::from_secs))
    }
}

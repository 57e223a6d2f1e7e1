//! The agent's HTTP server.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metriken_exposition::Snapshot as Exchange;
use rezolus_modes::Describe;
use rezolus_modes::snapshot::Snapshot;
use rezolus_modes::source::headers::Wanted;
use rezolus_modes::wire;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::cgroup::Cgroups;
use crate::collector::Collector;
use crate::status;
use crate::supervisor::Board;
use crate::systeminfo::{self, SystemInfo};

/// Request line and headers have to fit into this.
const HEAD_BYTES: usize = 16 * 1024;
/// They have to arrive within this.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// A client that takes nothing of its answer for this long is cut off.
#[cfg(target_os = "linux")]
const SILENCE: Duration = Duration::from_secs(30);
/// More have to wait.
const MOST_CONNECTIONS: usize = 256;
/// The longest time `/status?cost=` may be asked for.
const LONGEST_COST: Duration = Duration::from_secs(60);

/// What the handlers need.
pub struct Agent {
    pub source: Collector,
    pub board: Board,
    pub cgroups: Arc<Cgroups>,
    pub hierarchy: Option<String>,
    /// Collected when it is first asked for.
    pub systeminfo: std::sync::OnceLock<SystemInfo>,
    pub config: std::path::PathBuf,
    pub started: Instant,
    pub ttl: Arc<parking_lot::RwLock<Duration>>,
    pub encoder: parking_lot::Mutex<wire::Encoder>,
}

type Handle = Shared<Arc<Agent>>;

/// The agent's paths.
pub fn router(agent: Arc<Agent>) -> Router {
    Router::new()
        .route("/", get(banner))
        .route("/metrics/binary", get(binary))
        .route("/metrics/json", get(json))
        .route("/metrics/descriptions", get(described))
        .route("/systeminfo", get(described))
        .route("/samplers", get(described))
        .route("/status", get(status))
        .route("/dashboards", get(described))
        .route("/diagnoses", get(described))
        .fallback(not_found)
        .with_state(agent)
}

/// Serves until `stop` changes, then lets connections finish for a moment.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let stream = tokio::select! {
            _ = stop.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: give it a moment.
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        give_up_on_silence(&stream);
        let service = TowerToHyperService::new(router.clone());
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let _permit = permit;
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                _ = stop.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!("connection: {error}");
            }
        });
    }
    // What is being answered gets a moment to finish.
    let all = permits.acquire_many(MOST_CONNECTIONS as u32);
    let _ = tokio::time::timeout(Duration::from_secs(1), all).await;
}

/// Has the kernel end a connection whose other side takes nothing any more.
#[cfg(target_os = "linux")]
fn give_up_on_silence(stream: &tokio::net::TcpStream) {
    use std::os::fd::AsRawFd;
    let milliseconds = SILENCE.as_millis() as libc::c_uint;
    // SAFETY: the descriptor is open and the option's value an unsigned int.
    let failed = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_USER_TIMEOUT,
            std::ptr::from_ref(&milliseconds).cast(),
            size_of::<libc::c_uint>() as libc::socklen_t,
        )
    };
    if failed != 0 {
        tracing::debug!("TCP_USER_TIMEOUT: {}", std::io::Error::last_os_error());
    }
}

#[cfg(not(target_os = "linux"))]
fn give_up_on_silence(_: &tokio::net::TcpStream) {}

async fn banner() -> String {
    format!(
        "Rezolus {} Agent\n\n\
         /metrics/binary        current snapshot, msgpack\n\
         /metrics/json          the same as JSON\n\
         /metrics/descriptions  what the metrics mean\n\
         /samplers              samplers in short\n\
         /status                plugins, samplers, programs, costs (?cost=5s)\n\
         /dashboards            the plugins' dashboards\n\
         /diagnoses             what the plugins take for a fault, and how it shows\n\
         /systeminfo            this machine\n",
        env!("CARGO_PKG_VERSION")
    )
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "no such path; / lists those there are\n").into_response()
}

fn unavailable(why: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}

/// Takes a snapshot without holding up other connections.
async fn snapshot(agent: &Arc<Agent>, fresh: bool) -> Result<Arc<Snapshot>, Response> {
    if let Some(snapshot) = agent.source.at_once(fresh) {
        return Ok(snapshot);
    }
    let agent = agent.clone();
    match tokio::task::spawn_blocking(move || agent.source.wait(fresh)).await {
        Ok(result) => result.map_err(unavailable),
        Err(error) => Err(unavailable(error.to_string())),
    }
}

async fn binary(Shared(agent): Handle, headers: HeaderMap) -> Response {
    let wanted = Wanted::of(&headers);
    let snapshot = match snapshot(&agent, wanted.fresh).await {
        Ok(snapshot) => snapshot,
        Err(response) => return response,
    };
    match agent.encoder.lock().encode(&snapshot, &wanted.held) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response(),
        Err(error) => unavailable(format!("the snapshot cannot be encoded: {error}")),
    }
}

async fn json(Shared(agent): Handle, headers: HeaderMap) -> Response {
    match snapshot(&agent, Wanted::of(&headers).fresh).await {
        Ok(snapshot) => as_json(&Exchange::V3(snapshot.to_exchange())),
        Err(response) => response,
    }
}

fn as_json<T: serde::Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => as_it_is(body),
        Err(error) => unavailable(format!("cannot be encoded: {error}")),
    }
}

/// JSON that is text already.
fn as_it_is(body: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// What the metrics mean, by name.
pub fn all_descriptions() -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for metric in metriken::metrics().iter() {
        if metric.metadata().get("sampler").is_some() {
            let description = metric.description().unwrap_or_default().to_string();
            all.entry(metric.name().to_string()).or_insert(description);
        }
    }
    all
}

/// What modes inside the agent are told: the same as is served.
impl Describe for Agent {
    fn text(&self, path: &str) -> Option<String> {
        let text = match path {
            "/metrics/descriptions" => serde_json::to_string(&all_descriptions()),
            "/systeminfo" => {
                serde_json::to_string(self.systeminfo.get_or_init(|| systeminfo::collect(Path::new("/"))))
            }
            "/samplers" => serde_json::to_string(&status::entries(&self.board.read().plugins)),
            "/dashboards" => serde_json::to_string(&self.board.read().dashboards),
            "/diagnoses" => serde_json::to_string(&self.board.read().diagnoses),
            "/status" => serde_json::to_string(&self.report()),
            _ => return None,
        };
        text.ok()
    }
}

/// What modes inside the agent are told as well.
async fn described(Shared(agent): Handle, uri: Uri) -> Response {
    match agent.text(uri.path()) {
        Some(text) => as_it_is(text),
        None => unavailable(format!("{} cannot be encoded", uri.path())),
    }
}

#[derive(Deserialize)]
struct StatusQuery {
    cost: Option<String>,
}

async fn status(Shared(agent): Handle, query: Query<StatusQuery>) -> Response {
    let mut report = agent.report();
    match &query.cost {
        None => totals(&mut report.plugins),
        Some(text) => {
            let time = match humantime::parse_duration(text) {
                Ok(time) if !time.is_zero() && time <= LONGEST_COST => time,
                _ => {
                    let why = format!("cost is a duration up to {LONGEST_COST:?} such as 5s, not {text}\n");
                    return (StatusCode::BAD_REQUEST, why).into_response();
                }
            };
            if let Err(why) = measure(&mut report.plugins, time).await {
                return unavailable(why);
            }
        }
    }
    as_json(&report)
}

impl Agent {
    fn report(&self) -> status::Report {
        let board = self.board.read();
        status::Report {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: self.started.elapsed().as_secs(),
            ttl_seconds: self.ttl.read().as_secs_f64(),
            config: self.config.clone(),
            config_error: board.config_error.clone(),
            warnings: board.warnings.clone(),
            cgroups: status::CgroupReport {
                tracked: self.cgroups.tracked(),
                capacity: self.cgroups.capacity(),
                overflow: self.cgroups.overflow(),
                hierarchy: self.hierarchy.clone(),
            },
            samplers: status::entries(&board.plugins),
            plugins: board.plugins.clone(),
        }
    }
}

#[cfg(ebpf)]
fn programs(plugins: &mut [status::Plugin]) -> impl Iterator<Item = &mut status::Program> {
    plugins.iter_mut().flat_map(|plugin| &mut plugin.samplers).flat_map(|sampler| &mut sampler.programs)
}

#[cfg(ebpf)]
fn spent(program: &status::Program) -> (u64, u64) {
    program
        .ids
        .iter()
        .map(|&id| crate::bpf::cost_of(id))
        .fold((0, 0), |(time, runs), cost| (time + cost.run_time_ns, runs + cost.run_count))
}

/// Costs since the programs were loaded, as far as statistics were on.
#[cfg(ebpf)]
fn totals(plugins: &mut [status::Plugin]) {
    for program in programs(plugins) {
        let (time, runs) = spent(program);
        if runs > 0 {
            let ns_per_event = time as f64 / runs as f64;
            program.cost = Some(status::Cost { ns_per_event, events_per_second: None });
        }
    }
}

/// Costs over the next `time`, with statistics held on.
#[cfg(ebpf)]
async fn measure(plugins: &mut [status::Plugin], time: Duration) -> Result<(), String> {
    let _on = crate::bpf::StatsOn::new().map_err(|error| {
        format!("BPF statistics cannot be switched on (kernel 5.8, CAP_SYS_ADMIN): {error}")
    })?;
    let before: Vec<(u64, u64)> = programs(plugins).map(|program| spent(program)).collect();
    let started = Instant::now();
    tokio::time::sleep(time).await;
    let elapsed = started.elapsed().as_secs_f64();
    for (program, (time, runs)) in programs(plugins).zip(before) {
        if program.ids.is_empty() {
            continue;
        }
        let (now_time, now_runs) = spent(program);
        let events = now_runs.saturating_sub(runs);
        let ns = now_time.saturating_sub(time);
        program.cost = Some(status::Cost {
            ns_per_event: if events > 0 { ns as f64 / events as f64 } else { 0.0 },
            events_per_second: Some(events as f64 / elapsed),
        });
    }
    Ok(())
}

#[cfg(not(ebpf))]
fn totals(_: &mut [status::Plugin]) {}

#[cfg(not(ebpf))]
async fn measure(_: &mut [status::Plugin], _: Duration) -> Result<(), String> {
    Err("this build of the agent has no eBPF".into())
}

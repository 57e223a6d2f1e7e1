//! Running the agent: everything is started, watched and ended here.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::{Mutex, RwLock};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::active::Host;
use crate::cgroup::Cgroups;
use crate::collector::Collector;
use crate::config::Config;
use crate::heap;
use crate::http::{self, Agent};
use crate::metric::{Cpus, Registered};
use crate::modes;
use crate::own;
use crate::supervisor::{Board, Event, Supervisor};

/// Runs the agent until a signal ends it.
pub fn run(config_path: &Path) -> Result<ExitCode> {
    let config = Config::read(config_path)?;
    let log = start_log(&config)?;
    raise_limits();
    heap::use_one();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // One takes snapshots that have to wait, another writes what hindsight is asked for.
        .max_blocking_threads(2)
        .build()
        .context("cannot start the I/O runtime")?;
    runtime.block_on(serve(config_path, config, log))
}

/// What changes the log's level.
pub type SetLevel = Box<dyn Fn(&str) + Send>;

pub fn start_log(config: &Config) -> Result<SetLevel> {
    use tracing_subscriber::{EnvFilter, fmt, prelude::*, reload};
    let from_environment = std::env::var("RUST_LOG").ok();
    let directives = from_environment.as_deref().unwrap_or(&config.log.level);
    let filter = EnvFilter::try_new(directives).with_context(|| {
        format!("[log] level: {directives:?} is not a log level such as \"info\" or \"rezolus=debug\"")
    })?;
    let (filter, handle) = reload::Layer::new(filter);
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(terminal).with_target(false);
    tracing_subscriber::registry().with(filter).with(layer).try_init().context("cannot start the log")?;
    Ok(Box::new(move |level| {
        if from_environment.is_some() {
            return;
        }
        match EnvFilter::try_new(level) {
            Ok(filter) => drop(handle.reload(filter)),
            Err(error) => tracing::error!("[log] level: {level:?}: {error}"),
        }
    }))
}

/// Descriptors: some eight per BPF plugin. Locked memory: kernels before 5.11
/// charge BPF maps to it.
fn raise_limits() {
    for (resource, what) in [(libc::RLIMIT_NOFILE, "open files"), (libc::RLIMIT_MEMLOCK, "locked memory")] {
        // SAFETY: getrlimit and setrlimit with a valid struct.
        unsafe {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            if libc::getrlimit(resource, &mut limit) != 0 || limit.rlim_cur == limit.rlim_max {
                continue;
            }
            limit.rlim_cur = limit.rlim_max;
            if libc::setrlimit(resource, &limit) != 0 {
                tracing::warn!("the limit of {what} cannot be raised: {}", std::io::Error::last_os_error());
            }
        }
    }
}

async fn serve(config_path: &Path, config: Config, set_level: SetLevel) -> Result<ExitCode> {
    let started = Instant::now();
    let signals = Signals::listen().context("cannot listen to signals")?;
    // Early, so that a second agent fails before it attaches anything.
    let listener = TcpListener::bind(config.agent.listen).await.with_context(|| {
        format!("cannot listen on {} ([agent] listen); is an agent running already?", config.agent.listen)
    })?;
    let ttl = Arc::new(RwLock::new(config.agent.ttl));
    let parts = assemble(&config)?;
    let collector = parts.host.collector.clone();
    let board = Board::default();
    let (events, inbox) = channel();

    let tick = {
        let (collector, cgroups, update) = (collector.clone(), parts.cgroups.clone(), parts.update.clone());
        move || {
            update();
            collector.between_snapshots(|| cgroups.retire(Instant::now()));
        }
    };
    let on_config = {
        let (collector, ttl) = (collector.clone(), ttl.clone());
        move |config: &Config| {
            collector.set_ttl(config.agent.ttl);
            *ttl.write() = config.agent.ttl;
            set_level(&config.log.level);
        }
    };
    let mut supervisor = Supervisor::new(
        parts.host.clone(),
        config_path.into(),
        config.clone(),
        board.clone(),
        tick,
        on_config,
    );
    // Watching starts before the first look, so that nothing falls between.
    let _watcher = watch_files(config_path, &config.agent.plugin_dir, events.clone());
    supervisor.load_all();
    heap::trim();
    let supervising = thread::Builder::new()
        .name("supervisor".into())
        .spawn(move || supervisor.run(&inbox))
        .context("cannot start a thread")?;
    let address = listener.local_addr().context("the listening socket has no address")?;
    tracing::info!("serving on http://{address} after {:.0?}", started.elapsed());

    let agent = Agent {
        source: collector.clone(),
        board,
        cgroups: parts.cgroups.clone(),
        hierarchy: parts.hierarchy.clone(),
        systeminfo: OnceLock::new(),
        config: config_path.into(),
        started,
        ttl,
        encoder: parking_lot::Mutex::default(),
    };
    let agent = Arc::new(agent);
    let (stop, stopped) = watch::channel(false);
    let modes = match modes::start(&config, &agent, &stopped).await {
        Ok(modes) => modes,
        Err(error) => {
            collector.stop();
            let _ = events.send(Event::Stop);
            let _ = supervising.join();
            return Err(error);
        }
    };
    let server = tokio::spawn(http::serve(listener, http::router(agent), stopped));
    let on_hangup = || {
        let _ = events.send(Event::Config);
        let _ = events.send(Event::Plugins);
        modes.hangup();
    };
    signals.wait_for_end(on_hangup).await;
    let _ = stop.send(true);
    let _ = server.await;
    modes.end().await;
    collector.stop();
    let _ = events.send(Event::Stop);
    // The supervisor drops the plugins: samplers are stopped, programs detached.
    if supervising.join().is_err() {
        tracing::error!("the supervisor panicked");
        return Ok(ExitCode::FAILURE);
    }
    tracing::info!("ended");
    Ok(ExitCode::SUCCESS)
}

/// What the agent consists of before any plugin.
struct Parts {
    host: Arc<Host>,
    cgroups: Arc<Cgroups>,
    hierarchy: Option<String>,
    /// Takes in cgroups that came and went.
    update: Arc<dyn Fn() + Send + Sync>,
    /// The agent's own metrics.
    _own: Vec<Registered>,
}

#[cfg(ebpf)]
fn assemble(config: &Config) -> Result<Parts> {
    let machine = crate::bpf::Machine::new(config.agent.btf.clone(), config.agent.max_cgroups);
    let cgroups = machine.cgroups.clone();
    let hierarchy = machine.hierarchy.as_ref().map(|h| {
        format!("{} at {}", if h.is_v1() { "v1 (cpu controller)" } else { "v2" }, h.mount.display())
    });
    let watch = Mutex::new(crate::bpf::CgroupWatch::start(&machine));
    let update: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
        if let Some(watch) = &mut *watch.lock() {
            watch.update();
        }
    });
    let prelude = update.clone();
    let collector = Collector::start(config.agent.ttl, move || prelude()).context("cannot start a thread")?;
    let own = own::register(&collector, cgroups.clone());
    let host = Arc::new(Host { collector, cpus: Arc::new(cpus()), machine });
    Ok(Parts { host, cgroups, hierarchy, update, _own: own })
}

#[cfg(not(ebpf))]
fn assemble(config: &Config) -> Result<Parts> {
    let cgroups = Arc::new(Cgroups::new(config.agent.max_cgroups as usize, None));
    let collector = Collector::start(config.agent.ttl, || {}).context("cannot start a thread")?;
    let own = own::register(&collector, cgroups.clone());
    let host = Arc::new(Host { collector, cpus: Arc::new(cpus()) });
    Ok(Parts { host, cgroups, hierarchy: None, update: Arc::new(|| {}), _own: own })
}

/// The CPUs that are present, plugged in or not at the moment.
fn cpus() -> Cpus {
    let present = std::fs::read_to_string("/sys/devices/system/cpu/present").unwrap_or_default();
    let ids = crate::config::parse_list(&present);
    if ids.is_empty() {
        let count = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        return Cpus::new(0..count);
    }
    Cpus::new(ids)
}

/// Watches the plugin folder and the configuration's folder (editors replace
/// files rather than write to them). The supervisor looks once a second
/// anyway, so a machine without notification is only slower.
fn watch_files(config: &Path, plugins: &Path, events: Sender<Event>) -> Option<RecommendedWatcher> {
    let config_name = config.file_name().map(PathBuf::from).unwrap_or_default();
    let folder = plugins.to_path_buf();
    let handler = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        if matches!(event.kind, notify::EventKind::Access(kind)
            if !matches!(kind, notify::event::AccessKind::Close(notify::event::AccessMode::Write)))
        {
            return;
        }
        let is_config = |path: &PathBuf| path.file_name().is_some_and(|name| *name == *config_name);
        // The configuration's folder may be a busy one, such as /tmp.
        let is_plugin = |path: &PathBuf| path.parent() == Some(&folder) || *path == folder;
        if event.paths.iter().any(is_config) {
            let _ = events.send(Event::Config);
        }
        if event.paths.is_empty() || event.paths.iter().any(is_plugin) {
            let _ = events.send(Event::Plugins);
        }
    };
    let mut watcher = match notify::recommended_watcher(handler) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!("files are looked at once a second: {error}");
            return None;
        }
    };
    let folder = match config.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    for folder in [folder, plugins] {
        if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            tracing::warn!("{} is looked at once a second: {error}", folder.display());
        }
    }
    Some(watcher)
}

/// The signals the agent answers to.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on: a signal that comes while the agent is starting is
    /// answered when it has started.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the agent is to end.
    pub async fn wait_for_end(mut self, on_hangup: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => break,
                _ = self.terminate.recv() => break,
                _ = self.hangup.recv() => on_hangup(),
            }
        }
        tracing::info!("ending; once more ends it at once");
        tokio::spawn(async move {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            // The kernel detaches and frees everything with the process.
            std::process::exit(1);
        });
    }
}

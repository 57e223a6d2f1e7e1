//! The modes: inside the agent, on its registry, or as processes of their own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result};
use rezolus_modes::SnapshotSource;
use rezolus_modes::exporter::{self, Descriptions, Sending, Started};
use rezolus_modes::hindsight::{self, Hindsight, Sampled, Span};
use rezolus_modes::log::columns::Source;
use rezolus_modes::query;
use rezolus_modes::source::{Endpoint, SHARED_FROM};
use rezolus_store::api;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::agent::{Signals, start_log};
use crate::cli::Serve;
use crate::collector::Fresh;
use crate::config::Config;
use crate::http::{self, Agent};

/// An agent has to answer within this.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The modes that run in this process.
#[derive(Default)]
pub struct Modes {
    hindsight: Option<Arc<Hindsight>>,
    sending: Option<Sending>,
    servers: Vec<JoinHandle<()>>,
}

impl Modes {
    /// SIGHUP: hindsight writes what it has.
    pub fn hangup(&self) {
        if let Some(hindsight) = self.hindsight.clone() {
            tokio::task::spawn_blocking(move || {
                if let Err(error) = hindsight.dump_to_output(&Span::all()) {
                    tracing::error!("hindsight: {error:#}");
                }
            });
        }
    }

    /// Waits for servers that were told to stop, and ends the rest.
    pub async fn end(self) {
        for server in self.servers {
            let _ = server.await;
        }
        if let Some(sending) = self.sending {
            sending.stopped().await;
        }
        if let Some(hindsight) = self.hindsight {
            let _ = tokio::task::spawn_blocking(move || hindsight.stop()).await;
        }
    }

    async fn exporter(
        &mut self,
        config: &exporter::Config,
        source: Arc<dyn SnapshotSource>,
        descriptions: Descriptions,
        stop: &watch::Receiver<bool>,
    ) -> Result<()> {
        let listener = listen(config.listen, "exporter").await?;
        let address = listener.local_addr().unwrap_or(config.listen);
        let Started { router, sending } =
            exporter::start(config.clone(), source, descriptions, stop.clone())?;
        tracing::info!("exporter: serving on http://{address}/metrics");
        self.servers.push(tokio::spawn(http::serve(listener, router, stop.clone())));
        self.sending = sending;
        Ok(())
    }

    async fn hindsight(
        &mut self,
        config: &hindsight::Config,
        sampled: Sampled,
        stop: &watch::Receiver<bool>,
    ) -> Result<()> {
        let listener = listen(config.listen, "hindsight").await?;
        let hindsight = Hindsight::start(config.clone(), sampled)?;
        tracing::info!("hindsight: serving on http://{}", listener.local_addr().unwrap_or(config.listen));
        self.servers.push(tokio::spawn(http::serve(
            listener,
            hindsight::router(hindsight.clone()),
            stop.clone(),
        )));
        self.hindsight = Some(hindsight);
        Ok(())
    }
}

async fn listen(address: SocketAddr, section: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} ([{section}] listen); is another one running already?")
    })
}

/// Starts the modes that the agent's configuration switches on.
///
/// # Errors
///
/// What keeps one of them from starting.
pub async fn start(config: &Config, agent: &Arc<Agent>, stop: &watch::Receiver<bool>) -> Result<Modes> {
    let mut modes = Modes::default();
    if config.exporter.enabled {
        let source = Arc::new(agent.source.clone());
        modes.exporter(&config.exporter, source, Arc::new(http::all_descriptions), stop).await?;
    }
    if config.hindsight.enabled {
        let source = agent.source.clone();
        let snapshots: Arc<dyn SnapshotSource> = match config.hindsight.interval < SHARED_FROM {
            true => Arc::new(Fresh(source)),
            false => Arc::new(source),
        };
        let sampled = Sampled {
            snapshots,
            describe: agent.clone(),
            source: Source { name: "rezolus".into(), endpoint: None },
        };
        modes.hindsight(&config.hindsight, sampled, stop).await?;
    }
    Ok(modes)
}

/// `rezolus hindsight`: in a process of its own, from an agent somewhere.
///
/// # Errors
///
/// What is wrong with the configuration, or keeps it from starting.
pub fn run_hindsight(path: &Path) -> Result<ExitCode> {
    let config = Config::read(path)?;
    let _set_level = start_log(&config)?;
    block_on(async {
        let timeout = (config.hindsight.interval * 2).clamp(Duration::from_secs(2), Duration::from_secs(10));
        let endpoint = Endpoint::new(&config.hindsight.source, timeout).context("[hindsight] source")?;
        let endpoint = Arc::new(endpoint.fresh(config.hindsight.interval < SHARED_FROM));
        let source = Source { name: "rezolus".into(), endpoint: Some(endpoint.url()) };
        let sampled = Sampled { snapshots: endpoint.clone(), describe: endpoint, source };
        let (stop, stopped) = watch::channel(false);
        let signals = Signals::listen().context("cannot listen to signals")?;
        let mut modes = Modes::default();
        modes.hindsight(&config.hindsight, sampled, &stopped).await?;
        signals.wait_for_end(|| modes.hangup()).await;
        let _ = stop.send(true);
        modes.end().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// `rezolus exporter`: in a process of its own, from an agent somewhere.
///
/// # Errors
///
/// What is wrong with the configuration, or keeps it from starting.
pub fn run_exporter(path: &Path) -> Result<ExitCode> {
    let config = Config::read(path)?;
    let _set_level = start_log(&config)?;
    block_on(async {
        let endpoint = Endpoint::new(&config.exporter.source, TIMEOUT).context("[exporter] source")?;
        let endpoint = Arc::new(endpoint);
        let describing = endpoint.clone();
        let descriptions: Descriptions = Arc::new(move || describing.descriptions().unwrap_or_default());
        let (stop, stopped) = watch::channel(false);
        let signals = Signals::listen().context("cannot listen to signals")?;
        let mut modes = Modes::default();
        modes.exporter(&config.exporter, endpoint, descriptions, &stopped).await?;
        signals.wait_for_end(|| {}).await;
        let _ = stop.send(true);
        modes.end().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// `rezolus serve`: Prometheus' HTTP API over recordings, logs and agents.
///
/// # Errors
///
/// When an input cannot be opened, or the address cannot be listened on.
pub fn run_serve(options: &Serve) -> Result<ExitCode> {
    let source = query::open_all(&options.inputs, &query::Options::default()).map_err(Error::msg)?;
    query::look_at_the_end(&source);
    block_on(async {
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("cannot listen on {}; choose another with --listen", options.listen))?;
        let address = listener.local_addr().unwrap_or(options.listen);
        let (stop, stopped) = watch::channel(false);
        let signals = Signals::listen().context("cannot listen to signals")?;
        eprintln!("serving http://{address}/api/v1/ until Ctrl-C");
        let router = api::router(source, api::Options::default());
        let server = tokio::spawn(http::serve(listener, router, stopped));
        signals.wait_for_end(|| {}).await;
        let _ = stop.send(true);
        let _ = server.await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs what waits for the network.
pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the I/O runtime")?.block_on(work)
}

//! Snapshots for Prometheus: scraped as text, OpenMetrics or protobuf, or sent
//! by remote write.

mod collect;
pub mod config;
pub mod family;
pub mod h2;
mod history;
mod http;
mod naming;
mod plan;
pub mod protobuf;
mod queue;
mod remote_write;
pub mod select;
pub mod text;
pub mod write_request;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use collect::{Exporter, Format};
pub use config::Config;
pub use remote_write::Sending;

use crate::SnapshotSource;

/// What metrics mean, by their names. Asked when there are new ones; may block
/// as long as a snapshot may.
pub type Descriptions = Arc<dyn Fn() -> BTreeMap<String, String> + Send + Sync>;

/// Serves, and sends what is to be sent, until `stop` changes.
///
/// # Errors
///
/// When it cannot listen where it should, or the queue of remote write cannot be
/// used.
pub async fn serve(
    config: Config,
    source: Arc<dyn SnapshotSource>,
    descriptions: Descriptions,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let listen = config.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("the exporter cannot listen on {listen}; set `listen` in [exporter]"))?;
    serve_on(listener, config, source, descriptions, stop).await
}

/// As [`serve`], where somebody listens already.
pub async fn serve_on(
    listener: TcpListener,
    config: Config,
    source: Arc<dyn SnapshotSource>,
    descriptions: Descriptions,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let Started { router, sending } = start(config, source, descriptions, stop.clone())?;
    http::serve(listener, router, stop).await.context("the exporter's server")?;
    if let Some(sending) = sending {
        sending.stopped().await;
    }
    Ok(())
}

/// An exporter without a server.
pub struct Started {
    /// Its paths.
    pub router: Router,
    /// Remote write, if it is configured.
    pub sending: Option<Sending>,
}

/// Starts what there is but for the server, for those who have one. Has to be
/// called within a runtime of tokio.
///
/// # Errors
///
/// When the queue of remote write cannot be used.
pub fn start(
    config: Config,
    source: Arc<dyn SnapshotSource>,
    descriptions: Descriptions,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<Started> {
    let remote = config.remote_write.clone();
    let exporter = Arc::new(Exporter::new(config, source, descriptions));
    let sending = remote.map(|remote| remote_write::start(remote, exporter.clone(), stop)).transpose()?;
    Ok(Started { router: http::router(exporter), sending })
}

//! What reads the agent's snapshots.
//!
//! A mode takes its data through a [`SnapshotSource`] and knows nothing of
//! plugins or BPF. The agent's own HTTP server is the first reader.

use std::fmt;
use std::sync::Arc;

pub mod analysis;
pub mod assist;
pub mod diagnose;
pub mod exporter;
pub mod hindsight;
pub mod log;
pub mod mcp;
pub mod query;
pub mod recorder;
pub mod recording;
pub mod signals;
pub mod snapshot;
pub mod source;
pub mod tui;
pub mod viewer;
pub mod wire;

use snapshot::Snapshot;

/// Where snapshots come from: the registry of the same process, or an agent
/// somewhere else.
pub trait SnapshotSource: Send + Sync {
    /// The current snapshot. May block for as long as it takes to refresh what
    /// must be refreshed, and may be shared with others who ask at about the
    /// same time.
    ///
    /// # Errors
    ///
    /// When there is none to be had, with the reason.
    fn snapshot(&self) -> Result<Arc<Snapshot>, SourceError>;
}

/// What a source can tell besides its snapshots.
pub trait Describe: Send + Sync {
    /// What an agent serves at one of its paths, such as `/systeminfo`; None if
    /// it does not.
    fn text(&self, path: &str) -> Option<String>;
}

/// Why there is no snapshot.
#[derive(Debug)]
pub struct SourceError(String);

impl SourceError {
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no snapshot: {}", self.0)
    }
}

impl std::error::Error for SourceError {}

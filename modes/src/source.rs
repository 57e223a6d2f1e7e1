//! Snapshots from somewhere else: an agent's, or those made of what a
//! Prometheus exporter shows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::snapshot::{Lengths, Snapshot};
use crate::{SnapshotSource, SourceError, wire};

pub mod exposition;
pub mod headers;
mod http;
pub mod prometheus;

use http::{Answer, Client, Failure, Place};

pub use headers::SCHEMAS_HEADER;
pub use http::MOST_BYTES;

/// Who asks more often than this asks for snapshots of its own: one that is
/// shared might be that of the tick before.
pub const SHARED_FROM: Duration = Duration::from_millis(50);

/// Where an agent has its snapshots.
const AGENT_PATH: &str = "/metrics/binary";
/// Where an exporter has its metrics if not told otherwise.
const PROMETHEUS_PATH: &str = "/metrics";

/// The text format first: it is the simpler one.
const ACCEPT_TEXT: &str =
    "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5, */*;q=0.1";

/// What answers at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Snapshots in msgpack.
    Agent,
    /// The text format of Prometheus, or OpenMetrics.
    Prometheus,
}

/// An agent or an exporter, by its URL.
///
/// Which of the two is found out by asking: a URL without a path is an agent
/// if `/metrics/binary` is a snapshot, and an exporter if `/metrics` is text in
/// its format. With a path nothing but this path is asked for, and the first
/// byte tells.
///
/// One request at a time: a second caller of [`SnapshotSource::snapshot`]
/// waits for the first.
pub struct Endpoint {
    place: Place,
    client: Client,
    fresh: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kind: Option<Kind>,
    schemas: wire::Schemas,
    prometheus: prometheus::Cache,
}

impl Endpoint {
    /// An endpoint at `http://host:port[/path]`, or `host:port`. Nothing is
    /// asked yet. Whatever is asked must be complete within `timeout`.
    ///
    /// # Errors
    ///
    /// When the URL is none, or not one of HTTP.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, SourceError> {
        let place = Place::parse(url).map_err(SourceError::new)?;
        let client = Client::new(place.origin.clone(), timeout);
        Ok(Self { place, client, fresh: false, state: Mutex::default() })
    }

    /// Does without finding out what it is.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.state.get_mut().kind = Some(kind);
        self
    }

    /// Whether an agent is asked for snapshots that it takes for nobody else:
    /// each is newer than the request, whatever the agent's `ttl`.
    #[must_use]
    pub fn fresh(mut self, fresh: bool) -> Self {
        self.fresh = fresh;
        self
    }

    /// What it is, as far as is known.
    pub fn kind(&self) -> Option<Kind> {
        self.state.lock().kind
    }

    /// `http://host:port/path`; `/` if no path was given.
    pub fn url(&self) -> String {
        format!("{}{}", self.place.origin, self.place.path)
    }

    /// `host-port`: what a source is called that has no name of its own.
    pub fn label(&self) -> &str {
        &self.place.label
    }

    /// Asks what it is, unless that is known.
    ///
    /// # Errors
    ///
    /// When it is neither an agent nor an exporter, or does not answer.
    pub fn probe(&self) -> Result<Kind, SourceError> {
        match self.kind() {
            Some(kind) => Ok(kind),
            None => Ok(self.current()?.0),
        }
    }

    /// What an agent has at one of its other paths, such as `/systeminfo`.
    ///
    /// # Errors
    ///
    /// When there is no such text, with what came instead.
    pub fn text(&self, path: &str) -> Result<String, SourceError> {
        let prefix = self.place.path.strip_suffix(AGENT_PATH).unwrap_or_default();
        let answer = self.client.get(&format!("{prefix}{path}"), &[], self.client.deadline());
        let answer = answer.map_err(|failure| SourceError::new(failure.text()))?;
        String::from_utf8(answer.body).map_err(|error| {
            SourceError::new(format!(
                "{}: {}, which is not text: check the URL",
                answer.url,
                error.utf8_error()
            ))
        })
    }

    /// What the metrics mean: name to sentence. Of an exporter, those of the
    /// last snapshot.
    ///
    /// # Errors
    ///
    /// When they cannot be had.
    pub fn descriptions(&self) -> Result<BTreeMap<String, String>, SourceError> {
        if self.probe()? == Kind::Prometheus {
            return Ok(self.state.lock().prometheus.descriptions().clone());
        }
        let path = "/metrics/descriptions";
        serde_json::from_str(&self.text(path)?).map_err(|error| {
            let origin = self.client.origin();
            SourceError::new(format!("{origin}{path}: not descriptions: {error}; is this an agent?"))
        })
    }

    /// The path at which an endpoint of a kind is asked.
    fn path(&self, kind: Kind) -> &str {
        match (self.place.path.as_str(), kind) {
            ("/", Kind::Agent) => AGENT_PATH,
            ("/", Kind::Prometheus) => PROMETHEUS_PATH,
            (path, _) => path,
        }
    }

    /// A snapshot, and of what.
    fn current(&self) -> Result<(Kind, Snapshot), SourceError> {
        let state = &mut *self.state.lock();
        let deadline = self.client.deadline();
        let result = match state.kind {
            Some(kind) => self.fetch(state, kind, deadline).map(|snapshot| (kind, snapshot)),
            None => self.discover(state, deadline),
        };
        let (kind, snapshot) = result.map_err(|failure| SourceError::new(failure.text()))?;
        // An empty page proves nothing: the exporter of an agent shows one
        // until its agent is there, and what it passes on of that is better.
        if kind == Kind::Agent || snapshot.numbers.lengths() != Lengths::default() {
            state.kind = Some(kind);
        }
        Ok((kind, snapshot))
    }

    fn fetch(&self, state: &mut State, kind: Kind, deadline: Instant) -> Result<Snapshot, Failure> {
        match kind {
            Kind::Agent => self.agent(&mut state.schemas, deadline),
            Kind::Prometheus => {
                let answer = self.client.get(self.path(kind), &[("accept", ACCEPT_TEXT)], deadline)?;
                self.exporter(&mut state.prometheus, &answer)
            }
        }
    }

    fn exporter(&self, cache: &mut prometheus::Cache, answer: &Answer) -> Result<Snapshot, Failure> {
        let text = std::str::from_utf8(&answer.body).map_err(|error| {
            let line = answer.body[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
            exposition::Malformed { line, why: "this is not UTF-8".into() }
        });
        let snapshot = text.and_then(|text| cache.snapshot(text, self.label(), answer.began, answer.took));
        snapshot.map_err(|error| {
            let advice = "this is not the text format of Prometheus, check the URL";
            Failure::Path(answer.refuse(&error.to_string(), advice))
        })
    }

    /// Asks for a snapshot without what is known already. An agent that is not
    /// the one that was asked before may leave out what only the other one
    /// sent, so a failure is tried again from nothing.
    fn agent(&self, schemas: &mut wire::Schemas, deadline: Instant) -> Result<Snapshot, Failure> {
        let path = self.path(Kind::Agent);
        let fresh: &[_] = if self.fresh { &[headers::NO_CACHE] } else { &[] };
        if !schemas.is_empty() {
            let held = headers::held(schemas);
            let answer = self.client.get(path, &[&[(SCHEMAS_HEADER, &*held)], fresh].concat(), deadline)?;
            match decode(&answer, schemas) {
                Ok(snapshot) => return Ok(snapshot),
                Err(_) => *schemas = wire::Schemas::default(),
            }
        }
        decode(&self.client.get(path, fresh, deadline)?, schemas)
    }

    /// Finds out what it is by what it answers.
    fn discover(&self, state: &mut State, deadline: Instant) -> Result<(Kind, Snapshot), Failure> {
        if self.place.path != "/" {
            let answer = self.client.get(&self.place.path, &[("accept", ACCEPT_TEXT)], deadline)?;
            // Snapshots begin with a byte that no text begins with.
            return match answer.body.first() {
                Some(0x80..) => Ok((Kind::Agent, decode(&answer, &mut state.schemas)?)),
                _ => Ok((Kind::Prometheus, self.exporter(&mut state.prometheus, &answer)?)),
            };
        }
        let no_agent = match self.fetch(state, Kind::Agent, deadline) {
            Ok(snapshot) => return Ok((Kind::Agent, snapshot)),
            Err(Failure::Path(why)) => why,
            Err(failure) => return Err(failure),
        };
        match self.fetch(state, Kind::Prometheus, deadline) {
            Ok(snapshot) => Ok((Kind::Prometheus, snapshot)),
            Err(failure) => {
                let no_exporter = failure.text();
                Err(Failure::Path(format!("neither an agent ({no_agent}) nor an exporter ({no_exporter})")))
            }
        }
    }
}

impl SnapshotSource for Endpoint {
    fn snapshot(&self) -> Result<Arc<Snapshot>, SourceError> {
        Ok(Arc::new(self.current()?.1))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url()).finish_non_exhaustive()
    }
}

fn decode(answer: &Answer, schemas: &mut wire::Schemas) -> Result<Snapshot, Failure> {
    let snapshot = wire::decode(&answer.body, schemas).map_err(|error| {
        let advice = "this is no agent, or one of a version unknown here";
        Failure::Path(answer.refuse(&error.to_string(), advice))
    })?;
    schemas.keep(&snapshot.groups);
    Ok(snapshot)
}

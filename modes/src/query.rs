//! What queries are asked of: recordings, logs while they are written, agents.

pub mod ask;
mod live;
mod log;
mod tail;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rezolus_store::Source;
use rezolus_store::cache::Cache;
use rezolus_store::recording::{ParquetPart, Recording};
use rezolus_store::set::Set;

pub use live::Live;
pub use log::LogSource;

use crate::source::Endpoint;

/// The label that tells several inputs apart.
pub const LABEL: &str = "recording";

/// How inputs are read.
#[derive(Clone, Debug)]
pub struct Options {
    /// For what is decoded, shared by all inputs.
    pub cache: Arc<Cache>,
    /// Of an agent: how often it is asked.
    pub interval: Duration,
    /// Of an agent: how far back its window reaches,
    pub window: Duration,
    /// and how many bytes it takes at most.
    pub window_bytes: usize,
    /// How long an agent may take to answer.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache: Arc::default(),
            interval: Duration::from_secs(1),
            window: Duration::from_secs(3600),
            window_bytes: 64 << 20,
            timeout: Duration::from_secs(5),
        }
    }
}

/// Opens an input: a recording, the folder of a log, or the URL of an agent or
/// exporter. As `NAME=INPUT` its series get the label `recording="NAME"`.
///
/// An agent is asked once right away, and then once per interval, until the
/// source is dropped.
///
/// # Errors
///
/// When it cannot be opened; the message names it and what to do.
pub fn open(input: &str, options: &Options) -> Result<Arc<dyn Source>, String> {
    Ok(Input::open(input, named(input).0.is_some(), options)?.source)
}

/// Opens several inputs as one source. Those without a name get that of their
/// file, or `host-port`, if there are several.
///
/// # Errors
///
/// When one cannot be opened, or two have the same name.
pub fn open_all(inputs: &[String], options: &Options) -> Result<Arc<dyn Source>, String> {
    if let [input] = inputs {
        return open(input, options);
    }
    let mut open: Vec<Input> = Vec::new();
    for input in inputs {
        let (name, given) = named(input);
        let name = name.map_or_else(|| own_name(given), String::from);
        if open.iter().any(|other| other.name == name) {
            return Err(format!("two inputs would be called {name:?}: name them, as in a={given}"));
        }
        open.push(Input::open(input, true, options)?);
    }
    if open.is_empty() {
        return Err("there is no input: give a recording, a log's folder, or an agent's URL".into());
    }
    Ok(Arc::new(Set::new(open.into_iter().map(|input| input.source).collect())))
}

/// Has a thread decode the newest page of every series, so that they are at hand when the
/// first question comes: for what serves many, not for who asks once. Errors are left to
/// who asks.
pub fn look_at_the_end(source: &Arc<dyn Source>) {
    let source = source.clone();
    let look = move || {
        if let Some((_, end)) = source.range() {
            let _ = source.select(&[], end, end);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("ahead".into()).spawn(look) {
        tracing::debug!("nothing is decoded ahead: {error}");
    }
}

/// An input that is open.
pub struct Input {
    /// What it is called among others: as given, that of its file, or `host-port`.
    pub name: String,
    /// What was given, without the name.
    pub given: String,
    pub source: Arc<dyn Source>,
    pub origin: Origin,
}

/// Where an input's series come from.
#[derive(Clone)]
pub enum Origin {
    Recording(Arc<ParquetPart>),
    Log(Arc<LogSource>),
    Live(Arc<Live>),
}

impl Input {
    /// Opens an input. If it is to be `labelled`, its series get the label
    /// `recording="NAME"`.
    ///
    /// # Errors
    ///
    /// When it cannot be opened; the message names it and what to do.
    pub fn open(input: &str, labelled: bool, options: &Options) -> Result<Self, String> {
        let (name, given) = named(input);
        let name = name.map_or_else(|| own_name(given), String::from);
        let extra: Vec<_> = labelled.then(|| (LABEL.into(), name.clone())).into_iter().collect();
        let path = Path::new(given);
        let (source, origin): (Arc<dyn Source>, _) = if path.is_dir() {
            let log = Arc::new(LogSource::open(path, &extra, options.cache.clone())?);
            (log.clone(), Origin::Log(log))
        } else if is_url(given) {
            let fail = |why: String| format!("{given}: {why}");
            let endpoint = Endpoint::new(given, options.timeout).map_err(|error| fail(error.to_string()))?;
            let live = Arc::new(Live::start(Arc::new(endpoint), &extra, options).map_err(fail)?);
            (live.clone(), Origin::Live(live))
        } else {
            let part = Arc::new(ParquetPart::open(path, None)?);
            let mut recording = Recording::new(&extra, options.cache.clone());
            recording.push(part.clone());
            (Arc::new(recording), Origin::Recording(part))
        };
        Ok(Self { name, given: given.into(), source, origin })
    }
}

/// `NAME=INPUT` taken apart. A file that is really called so is none.
pub(crate) fn named(input: &str) -> (Option<&str>, &str) {
    let good = |name: &str| {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
        !name.is_empty() && name.chars().all(fits)
    };
    match input.split_once('=') {
        Some((name, rest)) if good(name) && !rest.is_empty() && !Path::new(input).exists() => {
            (Some(name), rest)
        }
        _ => (None, input),
    }
}

/// `http://…`, `https://…`, or `host:port` if there is no such file.
pub(crate) fn is_url(input: &str) -> bool {
    if input.starts_with("http://") || input.starts_with("https://") {
        return true;
    }
    let authority = input.split('/').next().unwrap_or_default();
    let port = authority
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    port && !Path::new(input).exists()
}

pub(crate) fn own_name(input: &str) -> String {
    if is_url(input) {
        let rest = input.split_once("://").map_or(input, |(_, rest)| rest);
        return rest.split('/').next().unwrap_or(rest).replace(':', "-");
    }
    let stem = Path::new(input).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.unwrap_or_else(|| input.into())
}

#[cfg(test)]
mod input_tests {
    use super::*;

    #[test]
    fn inputs_are_told_apart() {
        assert_eq!(named("a=b.parquet"), (Some("a"), "b.parquet"));
        assert_eq!(named("run 1=http://x/?a=b"), (Some("run 1"), "http://x/?a=b"));
        assert_eq!(named("http://x/?a=b"), (None, "http://x/?a=b"));
        assert_eq!(named("dir/a=b"), (None, "dir/a=b"));
        assert!(is_url("localhost:4241") && is_url("[::1]:80/x") && is_url("https://x"));
        assert!(!is_url("a.parquet") && !is_url("./a:1") && !is_url("a:b"));
        assert_eq!(own_name("/x/base.parquet"), "base");
        assert_eq!(own_name("http://localhost:4241/metrics"), "localhost-4241");
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let error = |inputs: &[&str]| {
            let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
            open_all(&inputs, &Options::default()).map(|_| ()).unwrap_err()
        };
        assert!(error(&["a=/nowhere/x.parquet"]).contains("/nowhere/x.parquet: cannot be opened"));
        assert!(error(&[]).contains("no input"));
        assert!(error(&["127.0.0.1:1"]).contains("127.0.0.1:1"));
        let folder = tempfile::tempdir().unwrap();
        assert!(error(&[folder.path().to_str().unwrap()]).contains("is not a log"));
    }
}

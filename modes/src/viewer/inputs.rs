//! What is open in the viewer, and what each input says of itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rezolus_store::promql::Error;
use rezolus_store::recording::Part;
use rezolus_store::set::Set;
use rezolus_store::{Labels, Matcher, Metadata, Series, Source};
use serde::Serialize;
use serde_json::{Map, Value};
use tempfile::TempPath;

use crate::query::{Input, LABEL, Options, Origin};

/// An input of the viewer.
pub struct Opened {
    pub name: String,
    /// What people read: the file's name, the folder, the URL.
    pub title: String,
    pub source: Arc<dyn Source>,
    pub origin: Origin,
    /// Of a recording: where it is.
    pub path: Option<PathBuf>,
    /// Of a recording: its keys, read once.
    keys: OnceLock<BTreeMap<String, String>>,
    /// Of one that was sent here: the file goes when the input does.
    _sent: Option<TempPath>,
}

/// An input as `view/state` tells it. Times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct State {
    pub name: String,
    pub title: String,
    pub kind: &'static str,
    pub start: f64,
    pub end: f64,
    pub interval: f64,
    pub series: usize,
    pub source: String,
    pub error: Option<String>,
}

/// ns since the epoch, in seconds.
pub fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

impl Opened {
    /// Opens `INPUT` or `NAME=INPUT`.
    ///
    /// # Errors
    ///
    /// When it cannot be opened; the message names it and what to do.
    pub fn new(input: &str, options: &Options) -> Result<Self, String> {
        let input = Input::open(input, false, options)?;
        let title = match &input.origin {
            Origin::Live(live) => live.agent().url().trim_end_matches('/').into(),
            Origin::Log(_) | Origin::Recording(_) => {
                let name = std::path::Path::new(&input.given).file_name();
                name.map_or_else(|| input.given.clone(), |name| name.to_string_lossy().into_owned())
            }
        };
        Ok(Self::of(input, title, None))
    }

    /// Opens a file that was sent here, called `title`.
    ///
    /// # Errors
    ///
    /// When it is no recording.
    pub fn sent(file: TempPath, title: &str, options: &Options) -> Result<Self, String> {
        let path = file.to_string_lossy().into_owned();
        let mut input = Input::open(&path, false, options).map_err(|why| why.replace(&path, title))?;
        let stem = std::path::Path::new(title).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        input.name = stem.filter(|stem| !stem.is_empty()).unwrap_or_else(|| "dropped".into());
        Ok(Self::of(input, title.into(), Some(file)))
    }

    fn of(input: Input, title: String, sent: Option<TempPath>) -> Self {
        let Input { name, given, source, origin } = input;
        let path = matches!(origin, Origin::Recording(_)).then(|| PathBuf::from(given));
        Self { name, title, source, origin, path, keys: OnceLock::new(), _sent: sent }
    }

    pub fn is_moving(&self) -> bool {
        !matches!(self.origin, Origin::Recording(_))
    }

    /// ns between samples.
    pub fn interval(&self) -> i64 {
        let nanos = match &self.origin {
            Origin::Recording(part) => return part.interval(),
            Origin::Log(log) => log.header().map_or(1_000_000_000, |header| u128::from(header.interval_ns)),
            Origin::Live(live) => live.interval().as_nanos(),
        };
        i64::try_from(nanos).unwrap_or(i64::MAX).max(1)
    }

    /// What keeps it from going on.
    pub fn error(&self) -> Option<String> {
        match &self.origin {
            Origin::Live(live) => live.error(),
            Origin::Recording(_) | Origin::Log(_) => None,
        }
    }

    pub fn state(&self) -> State {
        let (start, end) = self.source.range().unwrap_or_default();
        let kind = match self.origin {
            Origin::Recording(_) => "recording",
            Origin::Log(_) => "log",
            Origin::Live(_) => "live",
        };
        State {
            name: self.name.clone(),
            title: self.title.clone(),
            kind,
            start: seconds(start),
            end: seconds(end),
            interval: seconds(self.interval()),
            series: self.source.series(&[], start, end).map_or(0, |all| all.len()),
            source: self.key("source").unwrap_or_else(|| "rezolus".into()),
            error: self.error(),
        }
    }

    /// A recording's keys; of a log, those that its recording would have so far.
    pub fn keys(&self) -> BTreeMap<String, String> {
        match &self.origin {
            Origin::Recording(part) => {
                self.keys.get_or_init(|| part.keys().unwrap_or_default().into_iter().collect()).clone()
            }
            Origin::Log(log) => log.metadata(),
            Origin::Live(_) => BTreeMap::new(),
        }
    }

    fn key(&self, key: &str) -> Option<String> {
        match &self.origin {
            Origin::Recording(_) => {
                self.keys();
                self.keys.get()?.get(key).cloned()
            }
            Origin::Log(_) => self.keys().remove(key),
            Origin::Live(_) => None,
        }
    }

    pub fn json(&self, key: &str) -> Option<Value> {
        serde_json::from_str(&self.key(key)?).ok()
    }

    /// What agents told at a path, by source; `key` is where recordings keep it.
    fn told(&self, path: &str, key: &str) -> Map<String, Value> {
        let as_map = |value: Option<Value>| match value {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        match &self.origin {
            Origin::Recording(_) => as_map(self.json(key)),
            Origin::Log(_) => {
                // A log has them one by one: key NUL source.
                let named = |(known, text): (String, String)| {
                    let (known, source) = known.split_once('\u{0}')?;
                    let wanted = known == path || known == path.trim_start_matches('/');
                    Some((source.to_string(), serde_json::from_str(&text).ok()?)).filter(|_| wanted)
                };
                self.keys().into_iter().filter_map(named).collect()
            }
            Origin::Live(live) => {
                let value = live.agent().text(path).ok().and_then(|text| serde_json::from_str(&text).ok());
                value.map(|value| ("rezolus".into(), value)).into_iter().collect()
            }
        }
    }

    /// Plugins and how their metrics are drawn.
    pub fn dashboards(&self) -> BTreeMap<String, Value> {
        self.by_plugin("/dashboards", "rezolus.dashboards")
    }

    /// Plugins and their diagnoses.
    pub fn diagnoses(&self) -> BTreeMap<String, Value> {
        self.by_plugin("/diagnoses", "rezolus.diagnoses")
    }

    fn by_plugin(&self, path: &str, key: &str) -> BTreeMap<String, Value> {
        let of = |value| match value {
            Value::Object(plugins) => plugins,
            _ => Map::new(),
        };
        self.told(path, key).into_iter().flat_map(|(_, value)| of(value)).collect()
    }

    /// What the agent said of its plugins and samplers; of several agents, the first one.
    pub fn status(&self) -> Option<Value> {
        let told = self.told("/status", "rezolus.status");
        told.into_iter().map(|(_, value)| value).find(|value| value["plugins"].is_array())
    }

    /// The machine; of several, the first one.
    pub fn systeminfo(&self) -> Option<Value> {
        match &self.origin {
            Origin::Recording(_) => self.json("systeminfo"),
            _ => self.told("/systeminfo", "systeminfo").into_iter().map(|(_, value)| value).next(),
        }
    }
}

/// All inputs as one source. Two are told apart by a label; one needs none.
pub fn together(inputs: &[Arc<Opened>]) -> Arc<dyn Source> {
    match inputs {
        [only] => only.source.clone(),
        several => {
            let named = |input: &Arc<Opened>| {
                let (source, name) = (input.source.clone(), input.name.clone());
                Arc::new(Named { source, name }) as Arc<dyn Source>
            };
            Arc::new(Set::new(several.iter().map(named).collect()))
        }
    }
}

/// A source whose series have the label of inputs.
struct Named {
    source: Arc<dyn Source>,
    name: String,
}

impl Named {
    /// Matchers for the source itself, or None if it is not meant.
    fn within(&self, matchers: &[Matcher]) -> Option<Vec<Matcher>> {
        let (ours, theirs): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| matcher.name == LABEL);
        ours.iter().all(|matcher| matcher.matches(&self.name)).then(|| theirs.into_iter().cloned().collect())
    }
}

impl Source for Named {
    fn select(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Series>, Error> {
        let Some(matchers) = self.within(matchers) else { return Ok(Vec::new()) };
        let mut all = self.source.select(&matchers, start, end)?;
        for series in &mut all {
            series.labels = series.labels.with(LABEL, &self.name);
        }
        Ok(all)
    }

    fn series(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Labels>, Error> {
        let Some(matchers) = self.within(matchers) else { return Ok(Vec::new()) };
        let all = self.source.series(&matchers, start, end)?;
        Ok(all.into_iter().map(|labels| labels.with(LABEL, &self.name)).collect())
    }

    fn metadata(&self) -> BTreeMap<String, Metadata> {
        self.source.metadata()
    }

    fn seams(&self, start: i64, end: i64) -> Vec<i64> {
        self.source.seams(start, end)
    }

    fn remarks(&self) -> Vec<String> {
        self.source.remarks()
    }

    fn range(&self) -> Option<(i64, i64)> {
        self.source.range()
    }
}

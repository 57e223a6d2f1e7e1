//! The manifest: what a plugin declares about itself, as TOML text.
//!
//! Unknown keys are ignored and missing ones have defaults: that is what lets
//! plugins and hosts of different ages work together. The host never trusts
//! it: [`Manifest::parse`] checks every name and every reference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;

/// A plugin's manifest, parsed and checked.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    pub plugin: Plugin,
    /// Lists of label values, for metrics to name in `by`.
    #[serde(default)]
    pub values: BTreeMap<String, Vec<String>>,
    /// What the rows of each BPF table stand for.
    #[serde(default)]
    pub maps: BTreeMap<String, Rows>,
    /// Hooks, each with its ladder of alternatives.
    #[serde(default)]
    pub program: Vec<Program>,
    /// BPF iterators that produce rows when they are asked.
    #[serde(default)]
    pub iterator: Vec<Iterator>,
    /// Performance-monitoring events.
    #[serde(default)]
    pub perf: Vec<Perf>,
    #[serde(default)]
    pub sampler: Vec<Sampler>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Plugin {
    /// The category: `[plugins.<name>]` in the configuration.
    pub name: String,
    #[serde(default)]
    pub description: String,
}

/// What a row of a table stands for; decides how many there are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Rows {
    /// A single row.
    One,
    /// A row per possible CPU; metrics get the label `id`.
    Cpu,
    /// A few rows to spread contention over; their sum is the metric.
    Bank,
    /// Banks of rows, one per cgroup; metrics get the labels `id` and `name`.
    Cgroup,
    /// A power of two of rows for state per task; carries no metrics.
    Pid,
}

/// One hook into the kernel. The host attaches the first alternative that this
/// kernel accepts.
#[derive(Clone, Debug, Deserialize)]
pub struct Program {
    pub name: String,
    /// The subsystem of the tracepoints of `tp_btf` and `raw_tp` programs, which
    /// these do not name themselves: shown in the status.
    #[serde(default)]
    pub subsystem: Option<String>,
    /// Names of BPF programs of the object, best first. `a+b` means both, or
    /// neither.
    pub alternatives: Vec<String>,
    /// The samplers that need the hook; it is attached while one is enabled.
    pub samplers: Vec<String>,
}

/// A BPF iterator: run when its rows are wanted, it writes one record per row.
#[derive(Clone, Debug, Deserialize)]
pub struct Iterator {
    pub name: String,
    /// The BPF program (`SEC("iter/...")`).
    pub program: String,
    /// The struct each record consists of, looked up in the object's BTF.
    pub record: String,
    /// Label name to member: text from `char[]`, decimal from integers.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Those of the labels that hold a cgroup id and are shown as its path.
    #[serde(default)]
    pub cgroups: Vec<String>,
}

/// A performance-monitoring event, opened on every CPU.
#[derive(Clone, Debug, Deserialize)]
pub struct Perf {
    pub name: String,
    /// Event names as perf(1) writes them (`cycles`, `dTLB-load-misses`,
    /// `msr/aperf/`), best first.
    pub events: Vec<String>,
    /// The BPF_MAP_TYPE_PERF_EVENT_ARRAY to put the events into, if any.
    #[serde(default)]
    pub map: Option<String>,
    /// The samplers that need the event.
    pub samplers: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Sampler {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// Whether it runs unless the configuration says otherwise.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether the plugin exports a userspace sampler of this name.
    #[serde(default)]
    pub userspace: bool,
    /// The files a userspace sampler reads: its provenance.
    #[serde(default)]
    pub reads: Vec<String>,
    /// The shortest time between two refreshes, in milliseconds.
    #[serde(default = "default_interval_ms")]
    pub interval_ms: u64,
    #[serde(default)]
    pub metric: Vec<Metric>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        })
    }
}

/// A metric and where its numbers come from: a member of a BPF table's row
/// (`map`, `field`), of an iterator's record (`iterator`, `field`), a
/// performance event (`perf`), or else the userspace sampler.
#[derive(Clone, Debug, Deserialize)]
pub struct Metric {
    pub name: String,
    pub kind: Kind,
    #[serde(default)]
    pub unit: String,
    pub description: String,
    /// Labels with one fixed value.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Labels with several values, outermost first: the name of a list in
    /// `[values]`, which is also the label's name; or `label:list`.
    #[serde(default)]
    pub by: Vec<String>,
    #[serde(default)]
    pub map: Option<String>,
    #[serde(default)]
    pub field: Option<String>,
    /// For tables with a row per cgroup: the member that is not zero in rows
    /// for which the metric exists.
    #[serde(default)]
    pub when: Option<String>,
    #[serde(default)]
    pub iterator: Option<String>,
    #[serde(default)]
    pub perf: Option<String>,
    /// For userspace metrics: `cpu`, or a table that the sampler describes.
    #[serde(default)]
    pub rows: Option<String>,
    /// The hooks it depends on; by default all of the sampler's.
    #[serde(default)]
    pub programs: Option<Vec<String>>,
}

fn yes() -> bool {
    true
}

fn default_interval_ms() -> u64 {
    250
}

/// Why a manifest is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "manifest: {}", self.0)
    }
}

impl std::error::Error for Error {}

/// One label of a metric that takes several values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dimension<'a> {
    pub label: &'a str,
    /// The list's name: also the BPF enum that numbers the values, if the
    /// object has one.
    pub list: &'a str,
    pub values: &'a [String],
}

impl Manifest {
    /// Parses and checks a manifest.
    ///
    /// # Errors
    ///
    /// The first fault found, with the line (syntax) or the item (meaning).
    pub fn parse(text: &str) -> Result<Self, Error> {
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| line_of(text, span.start));
            Error(format!("line {line}: {}", error.message().trim()))
        })?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The dimensions of one of this manifest's metrics, outermost first.
    pub fn dimensions<'a>(&'a self, metric: &'a Metric) -> Vec<Dimension<'a>> {
        metric
            .by
            .iter()
            .map(|by| {
                let (label, list) = by.split_once(':').unwrap_or((by, by));
                let values = self.values.get(list).map_or(&[][..], Vec::as_slice);
                Dimension { label, list, values }
            })
            .collect()
    }

    /// The series of a metric: each combination of its dimensions' values, in
    /// the order of `by`, the last one varying fastest.
    pub fn combinations<'a>(&'a self, metric: &'a Metric) -> Vec<Vec<(&'a str, &'a str)>> {
        let mut all = vec![vec![]];
        for dimension in self.dimensions(metric) {
            all = all
                .into_iter()
                .flat_map(|prefix: Vec<(&str, &str)>| {
                    dimension.values.iter().map(move |value| {
                        let mut labels = prefix.clone();
                        labels.push((dimension.label, value.as_str()));
                        labels
                    })
                })
                .collect();
        }
        all
    }

    /// The series ids of a sampler's userspace metrics, as its context lists
    /// them: name, then the values of its dimensions, joined by `/`.
    pub fn userspace_series(&self, sampler: &Sampler) -> Vec<String> {
        sampler
            .metric
            .iter()
            .filter(|metric| metric.is_userspace())
            .flat_map(|metric| {
                self.combinations(metric).into_iter().map(|labels| {
                    let mut id = metric.name.clone();
                    for (_, value) in labels {
                        id.push('/');
                        id.push_str(value);
                    }
                    id
                })
            })
            .collect()
    }

    fn check(&self) -> Result<(), Error> {
        check_name("plugin", &self.plugin.name)?;
        unique("program", self.program.iter().map(|p| p.name.as_str()))?;
        unique("iterator", self.iterator.iter().map(|i| i.name.as_str()))?;
        unique("perf event", self.perf.iter().map(|p| p.name.as_str()))?;
        unique("sampler", self.sampler.iter().map(|s| s.name.as_str()))?;
        for program in &self.program {
            if program.alternatives.is_empty() {
                return Err(Error(format!("program {}: no alternatives", program.name)));
            }
            self.check_samplers(&format!("program {}", program.name), &program.samplers)?;
        }
        for perf in &self.perf {
            self.check_samplers(&format!("perf event {}", perf.name), &perf.samplers)?;
        }
        let mut series = BTreeSet::new();
        for sampler in &self.sampler {
            check_name("sampler", &sampler.name)?;
            for metric in &sampler.metric {
                self.check_metric(sampler, metric)
                    .map_err(|why| Error(format!("metric {}: {why}", metric.name)))?;
                for labels in self.combinations(metric) {
                    let mut all: Vec<_> =
                        metric.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                    all.extend(labels);
                    all.sort_unstable();
                    if !series.insert((metric.name.clone(), format!("{all:?}"))) {
                        return Err(Error(format!(
                            "metric {}: declared twice with the same labels",
                            metric.name
                        )));
                    }
                }
            }
        }
        Ok(())
    }

    fn check_samplers(&self, what: &str, names: &[String]) -> Result<(), Error> {
        if names.is_empty() {
            return Err(Error(format!("{what}: belongs to no sampler")));
        }
        for name in names {
            if !self.sampler.iter().any(|sampler| sampler.name == *name) {
                return Err(Error(format!("{what}: there is no sampler {name}")));
            }
        }
        Ok(())
    }

    fn check_metric(&self, sampler: &Sampler, metric: &Metric) -> Result<(), String> {
        check_name("metric", &metric.name).map_err(|error| error.0)?;
        for dimension in self.dimensions(metric) {
            if dimension.values.is_empty() {
                return Err(format!("[values] has no list {}", dimension.list));
            }
        }
        if let Some(map) = &metric.map {
            match self.maps.get(map) {
                None => return Err(format!("[maps] does not say what the rows of {map} are")),
                Some(Rows::Pid) => return Err(format!("{map} has rows per pid, which carry no metrics")),
                Some(_) => {}
            }
        }
        if (metric.map.is_some() || metric.iterator.is_some()) && metric.field.is_none() {
            return Err("needs a field".into());
        }
        if let Some(name) = &metric.iterator
            && !self.iterator.iter().any(|iterator| iterator.name == *name)
        {
            return Err(format!("there is no iterator {name}"));
        }
        if let Some(name) = &metric.perf
            && !self.perf.iter().any(|perf| perf.name == *name)
        {
            return Err(format!("there is no perf event {name}"));
        }
        for name in metric.programs.iter().flatten() {
            if !self.program.iter().any(|program| program.name == *name) {
                return Err(format!("there is no program {name}"));
            }
        }
        if metric.is_userspace() {
            if !sampler.userspace {
                return Err(format!(
                    "has neither map, iterator nor perf, and sampler {} is not userspace",
                    sampler.name
                ));
            }
            if metric.kind == Kind::Histogram {
                return Err("a userspace sampler cannot fill a histogram".into());
            }
        }
        Ok(())
    }
}

impl Metric {
    /// Whether its numbers come from the sampler's own code.
    pub fn is_userspace(&self) -> bool {
        self.map.is_none() && self.iterator.is_none() && self.perf.is_none()
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1
}

fn unique<'a>(what: &str, names: impl std::iter::Iterator<Item = &'a str>) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error(format!("{what} {name}: declared twice")));
        }
    }
    Ok(())
}

/// Names are what Prometheus accepts for a metric, in lower case.
fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase());
    let rest = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if first && rest && name.len() <= 128 {
        Ok(())
    } else {
        Err(Error(format!("{what} {name:?}: a name is lower-case letters, digits and _")))
    }
}

#[cfg(test)]
mod tests;

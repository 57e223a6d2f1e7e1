//! What the agent says about itself: plugins, samplers, programs, reasons.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where a plugin or a sampler stands.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Measuring everything it declares.
    Running,
    /// Measuring a part; the reason says what is missing.
    Degraded,
    /// Switched off, by the configuration or by its own default.
    Disabled,
    /// This machine or kernel cannot give it.
    Unsupported,
    /// It should work here, and does not.
    Failed,
    /// The file was not accepted.
    Refused,
    /// The file was removed.
    Retired,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Degraded => "degraded",
            State::Disabled => "disabled",
            State::Unsupported => "unsupported",
            State::Failed => "failed",
            State::Refused => "refused",
            State::Retired => "retired",
        }
    }
}

/// A plugin file and what became of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Plugin {
    pub name: String,
    pub file: PathBuf,
    pub version: String,
    /// Counts the files that were loaded under this name.
    pub generation: u32,
    pub state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default)]
    pub samplers: Vec<Sampler>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Sampler {
    pub name: String,
    pub description: String,
    pub state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Metrics it provides now.
    pub metrics: usize,
    /// Unless it is running: the names of those it would provide, so that whoever misses one finds out why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declares: Vec<String>,
    #[serde(default)]
    pub programs: Vec<Program>,
    /// Files a userspace sampler reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<String>,
}

/// A hook of a sampler.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Program {
    pub name: String,
    /// What is attached: `tp_btf sched/sched_switch`.
    pub attached: Option<String>,
    /// Alternatives that were tried and refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refusal>,
    /// Kernel ids of the attached programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Refusal {
    pub program: String,
    pub reason: String,
}

/// From the kernel's BPF statistics.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Cost {
    pub ns_per_event: f64,
    /// Only when measured over a known time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_per_second: Option<f64>,
}

/// The answer to `GET /status`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    pub version: String,
    pub uptime_seconds: u64,
    pub ttl_seconds: f64,
    pub config: PathBuf,
    /// Why the last change of the configuration was not taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    pub cgroups: CgroupReport,
    pub plugins: Vec<Plugin>,
    /// All samplers by name, in short: the same as `GET /samplers`.
    pub samplers: Vec<Entry>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct CgroupReport {
    pub tracked: usize,
    pub capacity: usize,
    pub overflow: u64,
    pub hierarchy: Option<String>,
}

/// A sampler as `GET /samplers` lists it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Entry {
    pub name: String,
    pub plugin: String,
    /// `active`, `disabled` or `failed`.
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// `healthy`, `degraded`, `unsupported` or `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<EntryProgram>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EntryProgram {
    pub name: String,
    pub attached: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `ok`, `unsupported` or `not_applicable`.
    pub verdict: String,
}

/// The samplers of all plugins in short, by name.
pub fn entries(plugins: &[Plugin]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = plugins
        .iter()
        .filter(|plugin| !matches!(plugin.state, State::Refused | State::Retired))
        .flat_map(|plugin| plugin.samplers.iter().map(|sampler| entry(plugin, sampler)))
        .collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
}

fn entry(plugin: &Plugin, sampler: &Sampler) -> Entry {
    let (state, health) = match sampler.state {
        State::Running => ("active", Some("healthy")),
        State::Degraded => ("active", Some("degraded")),
        State::Disabled => ("disabled", None),
        State::Unsupported => ("active", Some("unsupported")),
        _ => ("failed", Some("failed")),
    };
    let programs = sampler
        .programs
        .iter()
        .map(|program| EntryProgram {
            name: program.name.clone(),
            attached: program.attached.is_some(),
            error: program.attached.is_none().then(|| program.reason()).flatten(),
            label: program.attached.clone(),
            verdict: match (&program.attached, sampler.state) {
                (Some(_), _) => "ok",
                (None, State::Disabled) => "not_applicable",
                (None, _) => "unsupported",
            }
            .into(),
        })
        .collect();
    Entry {
        name: sampler.name.clone(),
        plugin: plugin.name.clone(),
        state: state.into(),
        error: sampler.reason.clone(),
        health: health.map(Into::into),
        programs,
    }
}

impl Program {
    /// A hook of which nothing is known yet.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), attached: None, refused: Vec::new(), ids: Vec::new(), cost: None }
    }

    /// Notes that an alternative was refused.
    pub fn refuse(&mut self, program: &str, reason: String) {
        self.refused.push(Refusal { program: program.into(), reason });
    }

    /// Why nothing is attached, if something was tried.
    pub fn reason(&self) -> Option<String> {
        let reasons: Vec<_> =
            self.refused.iter().map(|refusal| format!("{}: {}", refusal.program, refusal.reason)).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

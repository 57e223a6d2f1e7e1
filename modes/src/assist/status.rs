//! What an agent says of its samplers: which run, through which hooks, and why others do not.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::describe_recording::as_of;
use super::page::Page;
use super::{Answer, Assistant, Failure, Tool, Work};

/// Where an agent serves unless it is told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:4241";

pub struct Status;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Arguments {
    /// Which agent, or which recording: the name of one that is open, or a path. The only one that is open if left out.
    pub input: Option<String>,
    /// Only samplers in this state: running, degraded, disabled, unsupported, failed.
    pub state: Option<String>,
    /// Where to go on in a list that did not fit: the `next` of the page before.
    pub offset: usize,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Samplers {
    pub input: String,
    /// `now` of a live agent; of a recording, the time of its end (RFC 3339): how it was then.
    pub as_of: String,
    /// The version of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How long the agent has run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_seconds: Option<u64>,
    /// How many samplers are in which state, of all.
    pub states: BTreeMap<String, usize>,
    pub plugins: Vec<Plugin>,
    pub samplers: Vec<Sampler>,
    pub warnings: Vec<String>,
    /// Why the agent does not answer any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub page: Page,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Plugin {
    pub name: String,
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct Sampler {
    pub name: String,
    pub plugin: String,
    /// `running`, `degraded` (a part is missing), `disabled` (switched off), `unsupported` (by this kernel or machine), `failed`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// How many metrics it gives.
    pub metrics: u64,
    /// Hooks in the kernel that it is attached to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<String>,
    /// Files that it reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<String>,
    /// Programs that are not attached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_attached: Vec<String>,
    /// The metrics that are missing because it does not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_metrics: Vec<String>,
}

impl Tool for Status {
    const NAME: &'static str = "status";
    const TITLE: &'static str = "Status of samplers";
    const ABOUT: &'static str = "What an agent measures: its plugins and samplers, their hooks, and why some do not run.\n\
        Ask this when a metric is missing. Of a live agent it is how it is now, of a recording how it was at its end.";
    const POSITIONAL: &'static [&'static str] = &["input"];
    type Arguments = Arguments;
    type Answer = Samplers;

    fn run(assistant: &Assistant, arguments: Arguments, work: &Work) -> Result<Samplers, Failure> {
        work.says("asking for the status");
        let inputs = assistant.one("input", arguments.input)?;
        let [input] = &inputs.all[..] else {
            return Err(Failure::usage(format!("input: say which of {}", inputs.names().join(", "))));
        };
        let status = input.status().ok_or_else(|| {
            let why = input.error().map(|why| format!(" ({why})")).unwrap_or_default();
            Failure::data(format!("{}: nothing is told of samplers there{why}", input.title))
        })?;
        let mut all = samplers(&status);
        let mut states = BTreeMap::new();
        for sampler in &all {
            *states.entry(sampler.state.clone()).or_insert(0) += 1;
        }
        if let Some(state) = arguments.state.filter(|state| !state.is_empty()) {
            const STATES: [&str; 5] = ["running", "degraded", "disabled", "unsupported", "failed"];
            if !STATES.contains(&state.as_str()) {
                return Err(Failure::usage(format!(
                    "state: {} is expected, not {state:?}",
                    STATES.join(", ")
                )));
            }
            all.retain(|sampler| sampler.state == state);
        }
        let (page, samplers) = Page::of(all, arguments.offset, usize::MAX);
        Ok(Samplers {
            input: input.name.clone(),
            as_of: as_of(input),
            version: text(&status["version"]),
            uptime_seconds: status["uptime_seconds"].as_u64(),
            states,
            plugins: list(&status["plugins"]).iter().map(plugin).collect(),
            samplers,
            warnings: texts(&status["warnings"]),
            error: input.error(),
            page,
        })
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(String::from)
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().filter_map(text).collect()
}

fn plugin(plugin: &Value) -> Plugin {
    Plugin {
        name: text(&plugin["name"]).unwrap_or_default(),
        state: text(&plugin["state"]).unwrap_or_else(|| "unknown".into()),
        reason: text(&plugin["reason"]),
    }
}

fn samplers(status: &Value) -> Vec<Sampler> {
    let plugins = list(&status["plugins"]).iter();
    plugins
        .flat_map(|plugin| list(&plugin["samplers"]).iter().map(|of| sampler(&plugin["name"], of)))
        .collect()
}

fn sampler(plugin: &Value, sampler: &Value) -> Sampler {
    let programs = list(&sampler["programs"]);
    let refused = |program: &Value| {
        let name = program["name"].as_str()?;
        let why = list(&program["refused"]).iter().filter_map(|one| one["reason"].as_str());
        let why = why.collect::<Vec<_>>().join("; ");
        Some(if why.is_empty() { name.into() } else { format!("{name}: {why}") })
    };
    let mut hooks: Vec<String> = programs.iter().filter_map(|program| text(&program["attached"])).collect();
    hooks.dedup();
    Sampler {
        name: text(&sampler["name"]).unwrap_or_default(),
        plugin: text(plugin).unwrap_or_default(),
        state: text(&sampler["state"]).unwrap_or_else(|| "unknown".into()),
        reason: text(&sampler["reason"]),
        description: text(&sampler["description"]).unwrap_or_default(),
        metrics: sampler["metrics"].as_u64().unwrap_or_default(),
        hooks,
        reads: texts(&sampler["reads"]),
        not_attached: programs.iter().filter(|one| one["attached"].is_null()).filter_map(refused).collect(),
        missing_metrics: texts(&sampler["declares"]),
    }
}

impl Answer for Samplers {
    fn text(&self) -> String {
        let mut out = String::new();
        let version = self.version.as_ref().map(|version| format!(", rezolus {version}")).unwrap_or_default();
        let up = self.uptime_seconds.map(|seconds| format!(", up {seconds} s")).unwrap_or_default();
        let _ = writeln!(out, "{} as of {}{version}{up}", self.input, self.as_of);
        let states = self.states.iter().map(|(state, count)| format!("{count} {state}"));
        let _ = writeln!(out, "samplers: {}", states.collect::<Vec<_>>().join(", "));
        for warning in &self.warnings {
            let _ = writeln!(out, "warning: {warning}");
        }
        if let Some(error) = &self.error {
            let _ = writeln!(out, "error: {error}");
        }
        let because =
            |reason: &Option<String>| reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        for Plugin { name, state, reason } in self.plugins.iter().filter(|plugin| plugin.state != "running") {
            let _ = writeln!(out, "plugin {name} is {state}{}", because(reason));
        }
        for sampler in &self.samplers {
            let Sampler { name, plugin, state, reason, metrics, .. } = sampler;
            let _ = writeln!(out, "{name} ({plugin}) {state}, {metrics} metrics{}", because(reason));
            let mut line = |name: &str, all: &[String]| {
                if !all.is_empty() {
                    let _ = writeln!(out, "    {name} {}", all.join(", "));
                }
            };
            line("hooks", &sampler.hooks);
            line("reads", &sampler.reads);
            line("not attached", &sampler.not_attached);
            line("missing metrics", &sampler.missing_metrics);
        }
        out + &self.page.line("samplers")
    }

    fn listed(&self) -> usize {
        self.samplers.len()
    }

    fn keep(&mut self, count: usize) {
        self.samplers.truncate(count);
        self.page.cut(count);
    }
}

//! `config.toml`: what it may say, and what is said when it is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// The whole configuration. Every key has a default: an empty file works.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub agent: Agent,
    pub log: Log,
    pub exporter: rezolus_modes::exporter::Config,
    pub hindsight: rezolus_modes::hindsight::Config,
    pub plugins: BTreeMap<String, Plugin>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// Where the agent serves.
    pub listen: SocketAddr,
    /// The folder that is watched for plugins.
    pub plugin_dir: PathBuf,
    /// How long one snapshot is shared between those who ask.
    #[serde(deserialize_with = "duration")]
    pub ttl: Duration,
    /// The kernel's BTF, where the kernel does not carry its own.
    pub btf: Option<PathBuf>,
    /// How many cgroups can be told apart; rounded up to a power of two.
    #[serde(deserialize_with = "cgroups")]
    pub max_cgroups: u32,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 4241).into(),
            plugin_dir: "/usr/lib/rezolus/plugins".into(),
            ttl: Duration::from_millis(10),
            btf: None,
            max_cgroups: 4096,
        }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// As `RUST_LOG` would say it, which wins if it is set.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into() }
    }
}

/// `[plugins.<name>]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Plugin {
    pub enabled: Option<bool>,
    pub samplers: BTreeMap<String, Sampler>,
}

/// `[plugins.<name>.samplers.<name>]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Sampler {
    pub enabled: Option<bool>,
    /// The shortest time between two refreshes of a userspace sampler.
    #[serde(deserialize_with = "some_duration")]
    pub interval: Option<Duration>,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// Names the file, the line, the key and, for an unknown key, the valid
    /// one that looks most like it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error {
            file: path.into(),
            line: None,
            message: match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "there is no such file; an empty one would do, see `rezolus --help`".into()
                }
                _ => format!("cannot be read: {error}"),
            },
        })?;
        Self::parse(path, &text)
    }

    /// As [`read`](Self::read), from text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map(|span| span.start);
            Error {
                file: path.into(),
                line: start.map(|start| line_of(text, start)),
                message: explain(error.message()),
            }
        })
    }

    /// Whether a plugin as a whole is to run.
    pub fn plugin_enabled(&self, plugin: &str) -> bool {
        self.plugins.get(plugin).and_then(|plugin| plugin.enabled).unwrap_or(true)
    }

    /// Whether a sampler is to run, given its own default.
    pub fn sampler_enabled(&self, plugin: &str, sampler: &str, default: bool) -> bool {
        self.plugin_enabled(plugin)
            && self.sampler(plugin, sampler).and_then(|s| s.enabled).unwrap_or(default)
    }

    pub fn sampler_interval(&self, plugin: &str, sampler: &str) -> Option<Duration> {
        self.sampler(plugin, sampler)?.interval
    }

    fn sampler(&self, plugin: &str, sampler: &str) -> Option<&Sampler> {
        self.plugins.get(plugin)?.samplers.get(sampler)
    }
}

/// What is wrong with a configuration, and where.
#[derive(Debug, PartialEq)]
pub struct Error {
    file: PathBuf,
    line: Option<usize>,
    message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Error {}

/// Adds the nearest valid key to serde's "unknown field" message.
fn explain(message: &str) -> String {
    let message = message.trim();
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.replace('\n', "; ");
    };
    let mut quoted = rest.split('`');
    let key = quoted.next().unwrap_or_default();
    let valid: Vec<&str> = quoted.skip(1).step_by(2).collect();
    match nearest(key, valid.iter().copied()) {
        Some(best) => format!("unknown key `{key}`; did you mean `{best}`? (valid: {})", valid.join(", ")),
        None => format!("unknown key `{key}`"),
    }
}

/// The candidate most like `key`.
pub fn nearest<'a>(key: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates.min_by_key(|candidate| strsim::damerau_levenshtein(key, candidate))
}

/// A list as the kernel writes it: `0-3,8`.
pub fn parse_list(text: &str) -> Vec<usize> {
    text.trim()
        .split(',')
        .filter_map(|range| {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            Some(low.trim().parse::<usize>().ok()?..=high.trim().parse::<usize>().ok()?)
        })
        .flatten()
        .collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1
}

fn duration<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(input)?;
    humantime::parse_duration(&text)
        .map_err(|_| de::Error::custom(format!("{text:?} is not a duration such as \"100ms\" or \"15m\"")))
}

fn some_duration<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    duration(input).map(Some)
}

fn cgroups<'de, D: Deserializer<'de>>(input: D) -> Result<u32, D::Error> {
    let count = u32::deserialize(input)?;
    if (64..=65536).contains(&count) {
        Ok(count.next_power_of_two())
    } else {
        Err(de::Error::custom(format!("max_cgroups is from 64 to 65536, not {count}")))
    }
}

#[cfg(test)]
mod tests;

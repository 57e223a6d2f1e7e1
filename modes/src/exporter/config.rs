//! `[exporter]`: what it may say, and what is said when it is wrong.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Uri};
use serde::{Deserialize, Deserializer, de};

use super::naming::label_name;
use super::select::Rule;

/// The exporter's configuration. Every key has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether the agent is to run an exporter; one that runs alone always does.
    pub enabled: bool,
    /// Where the exporter serves.
    pub listen: SocketAddr,
    /// The agent that an exporter of its own process reads.
    pub source: String,
    /// How histograms are exported, unless `histogram` says otherwise.
    pub histograms: Form,
    /// By metric name.
    pub histogram: BTreeMap<String, PerHistogram>,
    /// Of summaries, each from 0 to 1.
    #[serde(deserialize_with = "quantiles")]
    pub quantiles: Vec<f64>,
    /// Quantiles are of at least this long.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// Of classic histograms: 2 to this power buckets for every doubling.
    #[serde(deserialize_with = "grouping_power")]
    pub grouping_power: u8,
    /// Seconds, bytes and so on instead of what the agent counts in, and names
    /// that end in them.
    pub base_units: bool,
    /// Whether series carry the name of the sampler they come from.
    pub sampler_label: bool,
    /// What is exported; everything if nothing is said.
    pub include: Vec<Rule>,
    /// What is not exported, even if it is included.
    pub exclude: Vec<Rule>,
    /// At most this many series, as Prometheus counts them, are exported.
    pub max_series: usize,
    pub remote_write: Option<RemoteWrite>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: (Ipv4Addr::LOCALHOST, 4242).into(),
            source: "http://127.0.0.1:4241".into(),
            histograms: Form::Summary,
            histogram: BTreeMap::new(),
            quantiles: vec![0.5, 0.9, 0.99, 0.999, 0.9999],
            interval: Duration::from_secs(10),
            grouping_power: 1,
            base_units: false,
            sampler_label: false,
            include: Vec::new(),
            exclude: Vec::new(),
            max_series: 100_000,
            remote_write: None,
        }
    }
}

/// How a histogram is exported.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Quantiles of the last interval.
    Summary,
    /// Cumulative buckets with fixed bounds.
    Classic,
    /// Sparse exponential buckets; classic ones for who cannot read these.
    Native,
}

/// `[exporter.histogram.<metric>]`
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PerHistogram {
    pub form: Option<Form>,
    #[serde(default, deserialize_with = "some_grouping_power")]
    pub grouping_power: Option<u8>,
}

/// `[exporter.remote_write]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteWrite {
    /// As in `http://prometheus:9090/api/v1/write`.
    #[serde(deserialize_with = "url")]
    pub url: String,
    /// Time between two snapshots that are sent.
    #[serde(default = "fifteen_seconds", deserialize_with = "interval")]
    pub interval: Duration,
    /// A folder of its own, where requests wait until they are delivered.
    #[serde(default = "queue")]
    pub queue: PathBuf,
    /// The queue's bound; the oldest requests go when it is reached.
    #[serde(default = "queue_bytes")]
    pub queue_bytes: u64,
    /// An answer has to come within this.
    #[serde(default = "fifteen_seconds", deserialize_with = "interval")]
    pub timeout: Duration,
    /// Added to every series that does not have them. `job` is `rezolus` and
    /// `instance` the host's name unless they are set here.
    #[serde(default, deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// Whether the receiver takes native histograms; one that does not drops them
    /// without a word.
    #[serde(default)]
    pub native_histograms: bool,
    /// Of the request, as in `Authorization` or `X-Scope-OrgID`.
    #[serde(default, deserialize_with = "headers")]
    pub headers: BTreeMap<String, String>,
}

impl Config {
    /// How the histogram called `metric` is exported, and with what grouping
    /// power if it has classic buckets.
    pub fn form(&self, metric: &str) -> (Form, u8) {
        let own = self.histogram.get(metric);
        (
            own.and_then(|own| own.form).unwrap_or(self.histograms),
            own.and_then(|own| own.grouping_power).unwrap_or(self.grouping_power),
        )
    }

    /// Whether snapshots of the past are needed at all.
    pub fn has_summaries(&self) -> bool {
        self.histograms == Form::Summary
            || self.histogram.values().any(|histogram| histogram.form == Some(Form::Summary))
    }
}

fn fifteen_seconds() -> Duration {
    Duration::from_secs(15)
}

fn queue() -> PathBuf {
    "/var/lib/rezolus/remote_write".into()
}

fn queue_bytes() -> u64 {
    256 << 20
}

fn duration<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(input)?;
    humantime::parse_duration(&text)
        .map_err(|_| de::Error::custom(format!("{text:?} is not a duration such as \"10s\" or \"1m\"")))
}

fn interval<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    match duration(input)? {
        short if short < Duration::from_millis(100) => {
            Err(de::Error::custom(format!("a duration of 100ms or more is expected here, not {short:?}")))
        }
        long => Ok(long),
    }
}

fn quantiles<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<f64>, D::Error> {
    let mut quantiles = Vec::<f64>::deserialize(input)?;
    if let Some(wrong) = quantiles.iter().find(|quantile| !(0.0..=1.0).contains(*quantile)) {
        return Err(de::Error::custom(format!("a quantile is from 0 to 1, not {wrong}")));
    }
    quantiles.sort_by(f64::total_cmp);
    quantiles.dedup();
    Ok(quantiles)
}

fn grouping_power<'de, D: Deserializer<'de>>(input: D) -> Result<u8, D::Error> {
    match u8::deserialize(input)? {
        power @ 0..=7 => Ok(power),
        power => Err(de::Error::custom(format!("a grouping power is from 0 to 7, not {power}"))),
    }
}

fn some_grouping_power<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u8>, D::Error> {
    grouping_power(input).map(Some)
}

fn labels<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<String, String>, D::Error> {
    let labels = BTreeMap::<String, String>::deserialize(input)?;
    match labels.keys().find(|name| label_name(name) != **name) {
        Some(name) => Err(de::Error::custom(format!(
            "{name:?} cannot be a label: letters, digits and underscores, neither a digit nor two underscores \
             first, not le or quantile"
        ))),
        None => Ok(labels),
    }
}

fn headers<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<String, String>, D::Error> {
    let headers = BTreeMap::<String, String>::deserialize(input)?;
    for (name, value) in &headers {
        // The value may be a secret: it is not repeated.
        if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
            return Err(de::Error::custom(format!("{name:?} or its value cannot be in a header of HTTP")));
        }
    }
    Ok(headers)
}

fn url<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let url = String::deserialize(input)?;
    let parsed = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    match parsed.as_ref().and_then(Uri::scheme_str) {
        Some("http") => Ok(url),
        Some("https") if cfg!(feature = "tls") => Ok(url),
        Some("https") => Err(de::Error::custom(
            "this build has no TLS: remote write needs an http:// URL, of a proxy on this machine if need be",
        )),
        _ => {
            Err(de::Error::custom(format!("{url:?} is not a URL such as \"http://host:9090/api/v1/write\"")))
        }
    }
}

/// By what they say: compiled patterns cannot be compared.
impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

//! A plugin's dashboard: how its metrics are drawn. JSON, because it travels
//! with them to recordings and viewers. `docs/dashboard.md` is the schema.

use std::fmt;

use serde::Deserialize;

/// The version of the schema this describes.
pub const VERSION: u32 = 1;

#[derive(Clone, Debug, Deserialize)]
pub struct Dashboard {
    pub version: u32,
    pub title: String,
    /// Dashboards are listed in this order, then by title.
    #[serde(default = "last")]
    pub order: u32,
    pub groups: Vec<Group>,
}

/// Charts that belong together, under a heading.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    pub title: String,
    pub charts: Vec<Chart>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Chart {
    pub title: String,
    #[serde(default)]
    pub description: String,
    pub kind: Kind,
    pub unit: Unit,
    pub queries: Vec<Query>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A line per series.
    Line,
    /// Areas on top of each other: parts of a whole.
    Stacked,
    /// Rows of cells: a row per series, or per bucket of a histogram.
    Heatmap,
    /// Lines of quantiles of a histogram.
    Percentiles,
}

/// What a number on the vertical axis means.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum Unit {
    #[serde(rename = "count")]
    Count,
    #[serde(rename = "percent")]
    Percent,
    #[serde(rename = "cores")]
    Cores,
    #[serde(rename = "bytes")]
    Bytes,
    #[serde(rename = "bytes/s")]
    BytesPerSecond,
    #[serde(rename = "operations/s")]
    OperationsPerSecond,
    #[serde(rename = "events/s")]
    EventsPerSecond,
    #[serde(rename = "nanoseconds")]
    Nanoseconds,
    #[serde(rename = "seconds")]
    Seconds,
    #[serde(rename = "hertz")]
    Hertz,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Query {
    /// PromQL; `$interval` and `$quantile` are filled in by the viewer.
    pub query: String,
    /// What to call the series: text with `{{label}}`.
    #[serde(default)]
    pub legend: String,
}

fn last() -> u32 {
    u32::MAX
}

/// Why a dashboard is refused.
#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dashboard: {}", self.0)
    }
}

impl std::error::Error for Error {}

impl Dashboard {
    /// Parses and checks a dashboard.
    ///
    /// # Errors
    ///
    /// The place of the first fault, by line or by title.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let dashboard: Self = serde_json::from_slice(json).map_err(|error| Error(error.to_string()))?;
        if dashboard.version > VERSION {
            return Err(Error(format!(
                "version {} of the schema; this knows up to {VERSION}",
                dashboard.version
            )));
        }
        for group in &dashboard.groups {
            for chart in &group.charts {
                if chart.queries.is_empty() {
                    return Err(Error(format!("{} / {}: no queries", group.title, chart.title)));
                }
            }
        }
        Ok(dashboard)
    }

    /// All charts.
    pub fn charts(&self) -> impl Iterator<Item = &Chart> {
        self.groups.iter().flat_map(|group| &group.charts)
    }

    /// Whether a metric is drawn in some chart.
    pub fn draws(&self, metric: &str) -> bool {
        self.charts().flat_map(|chart| &chart.queries).any(|query| mentions(&query.query, metric))
    }
}

/// Whether a query has a name as a whole word.
fn mentions(query: &str, name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    query.match_indices(name).any(|(at, _)| {
        let before = query[..at].chars().next_back();
        let after = query[at + name.len()..].chars().next();
        !before.is_some_and(word) && !after.is_some_and(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_words() {
        assert!(mentions("sum(rate(cpu_usage{a=\"b\"}[1m]))", "cpu_usage"));
        assert!(!mentions("rate(cgroup_cpu_usage[1m])", "cpu_usage"));
        assert!(!mentions("rate(cpu_usage_total[1m])", "cpu_usage"));
    }

    #[test]
    fn faults_have_a_place() {
        let chart = r#"{"title":"C","kind":"line","unit":"count","queries":[]}"#;
        let text = format!(r#"{{"version":1,"title":"D","groups":[{{"title":"G","charts":[{chart}]}}]}}"#);
        assert_eq!(
            Dashboard::parse(text.as_bytes()).unwrap_err().to_string(),
            "dashboard: G / C: no queries"
        );
        let unit = text.replace("count", "furlongs");
        assert!(Dashboard::parse(unit.as_bytes()).unwrap_err().to_string().contains("line 1"));
        let newer = text.replace("\"version\":1", "\"version\":2");
        assert!(Dashboard::parse(newer.as_bytes()).unwrap_err().to_string().contains("up to 1"));
    }
}

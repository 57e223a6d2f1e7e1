//! What is shown: pages of charts, as `docs/dashboard.md` has them.

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Page {
    pub title: String,
    #[serde(default)]
    pub groups: Vec<Group>,
}

/// Charts that belong together, under a heading.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Group {
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub charts: Vec<Chart>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Chart {
    pub title: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub kind: Kind,
    #[serde(default)]
    pub unit: String,
    #[serde(default)]
    pub queries: Vec<Query>,
    /// Why there can be no data.
    #[serde(default)]
    pub missing: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Query {
    pub query: String,
    #[serde(default)]
    pub legend: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(from = "String")]
pub enum Kind {
    /// A line per series; also what kinds are drawn as that are not known here.
    #[default]
    Line,
    /// Areas on top of each other: parts of a whole.
    Stacked,
    /// Rows of cells: a row per series, or per bucket of a histogram.
    Heatmap,
    /// Lines of quantiles of a histogram.
    Percentiles,
}

impl From<String> for Kind {
    fn from(name: String) -> Self {
        match name.as_str() {
            "stacked" => Self::Stacked,
            "heatmap" => Self::Heatmap,
            "percentiles" => Self::Percentiles,
            _ => Self::Line,
        }
    }
}

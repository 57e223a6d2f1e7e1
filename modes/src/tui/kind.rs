//! How charts are drawn.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line per series; also what kinds are drawn as that are not known here.
    Line,
    /// Areas on top of each other: parts of a whole.
    Stacked,
    /// Rows of cells: a row per series, or per bucket of a histogram.
    Heatmap,
    /// Lines of quantiles of a histogram.
    Percentiles,
}

impl Kind {
    /// By what `docs/dashboard.md` calls it.
    pub fn of(name: &str) -> Self {
        match name {
            "stacked" => Self::Stacked,
            "heatmap" => Self::Heatmap,
            "percentiles" => Self::Percentiles,
            _ => Self::Line,
        }
    }
}

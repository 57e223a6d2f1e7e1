//! A time-series store over recordings and live agents, and PromQL as
//! Prometheus defines it.
//!
//! A [`Source`] hands out [`Series`]: labels, and samples in time order. The
//! [engine](promql) evaluates queries over them, a whole range at a time.
//! Times are nanoseconds since the Unix epoch everywhere.

pub mod api;
pub mod cache;
pub mod compact;
pub mod float;
pub mod guard;
pub mod histogram;
pub mod labels;
pub mod matcher;
pub mod memory;
pub mod promql;
pub mod recording;
pub mod sample;
pub mod set;

use std::collections::BTreeMap;

pub use histogram::FloatHistogram;
pub use labels::Labels;
pub use matcher::Matcher;
pub use sample::{Sample, Samples, Series};

use promql::Error;

/// Where series come from.
pub trait Source: Send + Sync {
    /// The series that match all matchers and have samples in a span of time,
    /// with these samples; both ends are included. No two have the same labels.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or are more than the query may have.
    fn select(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Series>, Error>;

    /// The labels of the series that match all matchers and may have samples in a
    /// span of time.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn series(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Labels>, Error>;

    /// Of metrics by name: what is known besides their samples.
    fn metadata(&self) -> BTreeMap<String, Metadata> {
        BTreeMap::new()
    }

    /// What else is to be known of it: why something may not be there.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Times in a span after which other rows are stored apart from those before: what is asked
    /// for in parts is best asked up to these. In order.
    fn seams(&self, _start: i64, _end: i64) -> Vec<i64> {
        Vec::new()
    }

    /// The times of the first and last sample.
    fn range(&self) -> Option<(i64, i64)>;
}

/// What is known of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `counter`, `gauge`, `histogram`, `unknown`.
    pub kind: String,
    pub help: String,
    pub unit: String,
}

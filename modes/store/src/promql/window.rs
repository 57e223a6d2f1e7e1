//! What a function over a range vector sees of a series at one step.

use crate::sample::Sample;

/// The samples of a series with start < time <= end; never empty, and without
/// marks of staleness.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// ns since the epoch.
    pub times: &'a [i64],
    /// As many.
    pub values: WindowValues<'a>,
    /// The window's bounds in ns, offset and `@` applied.
    pub start: i64,
    pub end: i64,
    /// The time at which the query is evaluated (what `time()` says), in ns.
    pub at: i64,
}

#[derive(Clone, Copy, Debug)]
pub enum WindowValues<'a> {
    Floats(&'a [f64]),
    /// Histograms, and perhaps floats between them.
    Mixed(&'a [Sample]),
}

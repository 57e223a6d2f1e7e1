//! What a recording says: its signals, what is unusual in them, what changed first, how two spans
//! differ, what goes together, and how healthy it all is.
//!
//! Everything is computed from a [`Source`](rezolus_store::Source) and nothing else. Every claim carries
//! the series it is about, the span of time, and a PromQL query that shows it; what was not recorded
//! is told as [`Absent`], never as zero. The same source gives the same answer, byte for byte.
//!
//! `docs/analysis.md` has the methods and where they are from.

mod catalog;
mod cause;
mod compare;
mod correlate;
mod detect;
mod deviation;
mod levels;
mod period;
mod robust;
mod segment;
mod signals;
mod summarize;
#[cfg(test)]
mod tests;
mod trend;

pub use catalog::{Aspect, Direction, Resource};
pub use cause::{Candidate, Causes, Symptom, cause};
pub use compare::{Change, Comparison, Side, compare};
pub use correlate::{Correlation, Pair, Strength, correlate};
pub use detect::{Detection, Evidence, Finding, Kind, Rank, detect, detect_in};
pub use deviation::Shape;
pub use signals::{Absent, Depth, Frame, Scope, Signal, Signals, signals};
pub use summarize::{Health, ResourceHealth, SCHEMA_VERSION, SignalHealth, summarize};

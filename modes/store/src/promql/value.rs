//! What expressions are evaluated to.

use std::sync::Arc;

use super::ast::Extension;
use super::points::Points;
use crate::labels::Labels;
use crate::sample::Samples;

/// The times at which an expression is evaluated: `count` of them, from `start`
/// on, each `step` after the one before (ns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub start: i64,
    pub step: i64,
    /// At least 1.
    pub count: usize,
}

impl Grid {
    pub fn at(&self, index: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(index as i64))
    }

    pub fn end(&self) -> i64 {
        self.at(self.count - 1)
    }

    pub fn times(&self) -> impl ExactSizeIterator<Item = i64> + '_ {
        (0..self.count).map(|index| self.at(index))
    }
}

/// A series at all times of a grid.
#[derive(Clone, Debug)]
pub struct Row {
    pub labels: Labels,
    /// The metric's name no longer says what this is; it goes when the query is
    /// done, or with the next thing that looks at names. Prometheus calls this
    /// delayed name removal.
    pub drop_name: bool,
    pub points: Points,
}

/// A series of which windows are to be taken.
#[derive(Clone, Debug)]
pub struct RangeRow {
    pub labels: Labels,
    pub drop_name: bool,
    /// Without marks of staleness.
    pub samples: Samples,
}

/// A range vector: series, and where the windows are that functions look at.
#[derive(Clone, Debug)]
pub struct RangeVector {
    pub rows: Vec<RangeRow>,
    /// The length of the windows, ns.
    pub range: i64,
    /// The end of the window at each step of the grid (offset and `@` applied), ns.
    pub ends: Arc<[i64]>,
    /// What becomes of the windows' ends, and for how long (ns) samples outside count
    /// for that.
    pub extension: Option<(Extension, i64)>,
}

/// What an expression is at all times of a grid.
#[derive(Clone, Debug)]
pub enum Val {
    /// A number for each step.
    Scalar(Vec<f64>),
    String(String),
    Vector(Vec<Row>),
    Range(RangeVector),
}

//! The trait of a userspace sampler, and what it is given to work with.

use abi_stable::std_types::Tuple2;

use crate::abi::{Cell, RawRow, RawValues};

/// A sampler that reads its numbers itself, instead of in BPF.
///
/// The host calls [`refresh`](Sampler::refresh) when somebody takes a snapshot,
/// at most once per the sampler's `interval`. It runs on a thread of its own,
/// so that a slow file delays nobody else; a refresh that does not come back
/// in time leaves the sampler degraded, with its previous numbers.
pub trait Sampler: Send + Sized + 'static {
    /// Opens what the sampler reads.
    ///
    /// # Errors
    ///
    /// A sentence that says what is missing. The sampler is then `failed`, or
    /// `unsupported` when the sentence starts with `unsupported: `.
    fn start(context: &Context<'_>) -> Result<Self, String>;

    /// Reports the current numbers. A series left out keeps its last value.
    ///
    /// # Errors
    ///
    /// A sentence; the sampler is degraded until a refresh succeeds.
    fn refresh(&mut self, values: &mut Values<'_>) -> Result<(), String>;
}

/// A handle to one of a sampler's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series(u32);

/// What a sampler is told when it starts.
pub struct Context<'a> {
    lines: &'a str,
}

impl<'a> Context<'a> {
    /// From the text the host hands to `start`: a line per series.
    pub fn new(lines: &'a str) -> Self {
        Self { lines }
    }

    /// The series of this id: a metric's name, followed, if the metric has
    /// labels of its own, by their values in the order of `by`:
    /// `memory_free`, `pressure_stalled/cpu/some`.
    ///
    /// # Errors
    ///
    /// When the manifest declares no such series for this sampler.
    pub fn series(&self, id: &str) -> Result<Series, String> {
        self.ids()
            .position(|line| line == id)
            .map(|index| Series(index as u32))
            .ok_or_else(|| format!("the manifest declares no series {id} for this sampler"))
    }

    /// The ids of all series of this sampler.
    pub fn ids(&self) -> impl Iterator<Item = &'a str> {
        self.lines.lines()
    }

    /// Every series with its id, for samplers that find theirs by name.
    pub fn all(&self) -> impl Iterator<Item = (&'a str, Series)> {
        self.ids().enumerate().map(|(index, id)| (id, Series(index as u32)))
    }
}

/// Where a sampler puts its numbers.
pub struct Values<'a> {
    raw: &'a mut RawValues,
}

impl<'a> Values<'a> {
    pub fn new(raw: &'a mut RawValues) -> Self {
        Self { raw }
    }

    /// A counter's current total.
    pub fn counter(&mut self, series: Series, value: u64) {
        self.row_counter(series, 0, value);
    }

    /// A gauge's current value.
    pub fn gauge(&mut self, series: Series, value: i64) {
        self.row_gauge(series, 0, value);
    }

    /// A counter's total in a row; with `rows = "cpu"` the row is the CPU.
    pub fn row_counter(&mut self, series: Series, row: u32, value: u64) {
        self.raw.cells.push(Cell { series: series.0, row, value });
    }

    /// A gauge's value in a row.
    pub fn row_gauge(&mut self, series: Series, row: u32, value: i64) {
        self.row_counter(series, row, value as u64);
    }

    /// Says what a row of a table stands for; needed once, and again when it
    /// changes. Numbers for rows that were never described are dropped.
    pub fn describe_row(&mut self, table: &str, row: u32, labels: &[(&str, &str)]) {
        self.raw.rows.push(RawRow {
            table: table.into(),
            row,
            labels: labels.iter().map(|(k, v)| Tuple2((*k).into(), (*v).into())).collect(),
        });
    }

    /// Withdraws a row: the interface is gone, the device was removed.
    pub fn drop_row(&mut self, table: &str, row: u32) {
        self.describe_row(table, row, &[]);
    }
}

//! `rezolus recording schema`: what the columns are.

use std::io::Write;
use std::path::PathBuf;

use super::select::Metrics;
use super::{Column, Error, Kind, Recording};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The recording
    pub input: PathBuf,
    #[command(flatten)]
    pub metrics: Metrics,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

impl Args {
    /// # Errors
    ///
    /// When the input is damaged, or no column is chosen.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        let recording = Recording::open(&self.input)?;
        let chosen = self.metrics.choose(&recording)?;
        let listed = |column: &&Column| self.metrics.is_empty() || chosen.contains(&column.position);
        let columns: Vec<&Column> = recording.columns().iter().filter(listed).collect();
        if self.json {
            serde_json::to_writer_pretty(&mut *out, &columns).map_err(std::io::Error::from)?;
            writeln!(out)?;
            return Ok(());
        }
        let rows: Vec<[String; 5]> = columns.iter().map(|column| row(column)).collect();
        table(out, ["METRIC", "KIND", "UNIT", "LABELS", "COLUMN"], &rows)
    }
}

fn row(column: &Column) -> [String; 5] {
    let kind = match &column.kind {
        Kind::Histogram { grouping_power, max_value_power } => {
            format!("histogram {grouping_power}/{max_value_power}")
        }
        Kind::Unknown { why } => format!("unknown ({why})"),
        kind => kind.name().into(),
    };
    let labels: Vec<_> = column.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let unit = column.unit.clone().unwrap_or_default();
    [column.metric.clone(), kind, unit, labels.join(" "), column.name.clone()].map(printable)
}

/// Labels come from others: they must not move a terminal's cursor.
pub(super) fn printable(text: String) -> String {
    match text.chars().any(char::is_control) {
        true => text
            .chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
            .collect(),
        false => text,
    }
}

fn table<const N: usize>(out: &mut dyn Write, head: [&str; N], rows: &[[String; N]]) -> Result<(), Error> {
    let width =
        |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0).max(head[at].len());
    let widths: [usize; N] = std::array::from_fn(width);
    let head = head.map(str::to_string);
    for row in std::iter::once(&head).chain(rows) {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

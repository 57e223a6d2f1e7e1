//! CSV and JSON lines: a line per moment.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use serde_json::{Value, json};

use super::{Histograms, Selection};
use crate::recording::buckets::{bounds, quantile};
use crate::recording::output::Progress;
use crate::recording::{Column, Error, Kind, utc};

/// Quantiles of a histogram in a CSV file, and their names.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];

impl Selection<'_> {
    /// Time first, then what was chosen.
    fn columns(&self) -> Vec<&Column> {
        let all = self.recording.columns();
        let times = all.iter().filter(|column| matches!(column.kind, Kind::Timestamp | Kind::Duration));
        times.chain(self.positions.iter().map(|&at| &all[at])).collect()
    }

    /// Calls `each` with every batch, its columns in the order of [`Self::columns`].
    fn each(&self, mut each: impl FnMut(&RecordBatch) -> Result<(), Error>) -> Result<(), Error> {
        let positions: Vec<usize> = self.columns().iter().map(|column| column.position).collect();
        let mut progress = Progress::new(self.rows.len());
        for batch in self.recording.batches(&positions, self.rows.clone()) {
            let batch = batch?;
            each(&batch)?;
            (0..batch.num_rows()).for_each(|_| progress.step());
        }
        Ok(())
    }
}

pub fn csv(selection: &Selection, histograms: Histograms, out: &mut dyn Write) -> Result<(), Error> {
    let columns = selection.columns();
    let mut head = Vec::new();
    for column in &columns {
        let series = column.series();
        match column.kind {
            Kind::Timestamp | Kind::Duration => head.push(column.name.clone()),
            Kind::Histogram { .. } if histograms == Histograms::Quantiles => {
                head.push(format!("{series} count"));
                head.extend(QUANTILES.map(|(name, _)| format!("{series} {name}")));
            }
            _ => head.push(series),
        }
    }
    let head: Vec<_> = head.iter().map(|name| quoted(name)).collect();
    writeln!(out, "{}", head.join(","))?;
    let mut before: Vec<Vec<u64>> = vec![Vec::new(); columns.len()];
    selection.each(|batch| {
        for row in 0..batch.num_rows() {
            for (at, (column, before)) in columns.iter().zip(&mut before).enumerate() {
                if at > 0 {
                    write!(out, ",")?;
                }
                let values = batch.column(at);
                match (&column.kind, histograms) {
                    (Kind::Histogram { .. }, Histograms::Quantiles) => {
                        quantiles(&column.kind, values, row, before, out)?;
                    }
                    (Kind::Histogram { .. }, Histograms::Buckets) => {
                        let cells: Vec<_> = counts(&column.kind, values, row)
                            .into_iter()
                            .flatten()
                            .map(|(lower, _, count)| format!("{lower}:{count}"))
                            .collect();
                        write!(out, "{}", cells.join(" "))?;
                    }
                    _ => scalar(values, row, "", out)?,
                }
            }
            writeln!(out)?;
        }
        Ok(())
    })
}

fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into(),
    }
}

fn scalar(values: &ArrayRef, row: usize, null: &str, out: &mut dyn Write) -> std::io::Result<()> {
    if values.is_null(row) {
        return write!(out, "{null}");
    }
    match values.as_primitive_opt::<UInt64Type>() {
        Some(values) => write!(out, "{}", values.value(row)),
        None => match values.as_primitive_opt::<Int64Type>() {
            Some(values) => write!(out, "{}", values.value(row)),
            None => write!(out, "{null}"),
        },
    }
}

/// The cell's counts, of all buckets; a count that is null is none.
fn dense(values: &ArrayRef, row: usize) -> Option<Vec<u64>> {
    let list = values.as_list_opt::<i32>().filter(|list| list.is_valid(row))?;
    let counts = list.value(row);
    let counts = counts.as_primitive_opt::<UInt64Type>()?;
    Some(counts.iter().map(Option::unwrap_or_default).collect())
}

/// Lower and upper bound and count of buckets that are not empty.
fn counts(kind: &Kind, values: &ArrayRef, row: usize) -> Option<Vec<(u64, u64, u64)>> {
    let Kind::Histogram { grouping_power: g, max_value_power: n } = *kind else { return None };
    let counts = dense(values, row)?.into_iter().enumerate().filter(|(_, count)| *count > 0);
    Some(counts.map(|(at, count)| (bounds(g, n, at).0, bounds(g, n, at).1, count)).collect())
}

/// Of what was counted since the row before; nothing is known of the first.
fn quantiles(
    kind: &Kind,
    values: &ArrayRef,
    row: usize,
    before: &mut Vec<u64>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let commas = ",".repeat(QUANTILES.len());
    let Kind::Histogram { grouping_power: g, max_value_power: n } = *kind else { return Ok(()) };
    let Some(counts) = dense(values, row) else { return write!(out, "{commas}") };
    if before.is_empty() {
        *before = counts;
        return write!(out, "{commas}");
    }
    let last = |at: usize| before.get(at).copied().unwrap_or_default();
    // After a restart, all that there is was counted since.
    let restarted = counts.iter().enumerate().any(|(at, &count)| count < last(at));
    let new = |(at, &count): (usize, &u64)| if restarted { count } else { count - last(at) };
    let difference: Vec<u64> = counts.iter().enumerate().map(new).collect();
    write!(out, "{}", difference.iter().map(|&count| u128::from(count)).sum::<u128>())?;
    for (_, q) in QUANTILES {
        match quantile(g, n, &difference, q) {
            Some(bound) => write!(out, ",{bound}")?,
            None => write!(out, ",")?,
        }
    }
    *before = counts;
    Ok(())
}

/// `{"timestamp":NS,"time":"RFC 3339","duration":NS,"metrics":[...]}`; series
/// without a value at the time are not listed.
pub fn jsonl(selection: &Selection, out: &mut dyn Write) -> Result<(), Error> {
    let columns = selection.columns();
    let begin = |column: &&Column| {
        let head = json!({"metric": column.metric, "type": column.kind.name(), "labels": column.labels});
        let head = head.to_string();
        head.strip_suffix('}').unwrap_or(&head).to_string()
    };
    let heads: Vec<String> = columns.iter().map(begin).collect();
    selection.each(|batch| {
        for row in 0..batch.num_rows() {
            let mut separator = "";
            let mut metrics = false;
            write!(out, "{{")?;
            for (at, (column, head)) in columns.iter().zip(&heads).enumerate() {
                let values = batch.column(at);
                match &column.kind {
                    Kind::Timestamp => {
                        let ns = values.as_primitive::<UInt64Type>().value(row);
                        write!(out, "\"timestamp\":{ns},\"time\":\"{}\"", utc(ns))?;
                        continue;
                    }
                    Kind::Duration => {
                        write!(out, ",\"duration\":")?;
                        scalar(values, row, "null", out)?;
                        continue;
                    }
                    _ if !metrics => {
                        write!(out, ",\"metrics\":[")?;
                        metrics = true;
                    }
                    _ => {}
                }
                if values.is_null(row) {
                    continue;
                }
                write!(out, "{separator}{head},")?;
                separator = ",";
                match counts(&column.kind, values, row) {
                    Some(counts) => {
                        let all: Vec<Value> =
                            counts.iter().map(|(a, b, count)| json!([a, b, count])).collect();
                        write!(out, "\"buckets\":{}}}", Value::Array(all))?;
                    }
                    None => {
                        write!(out, "\"value\":")?;
                        scalar(values, row, "null", out)?;
                        write!(out, "}}")?;
                    }
                }
            }
            writeln!(out, "{}", if metrics { "]}" } else { ",\"metrics\":[]}" })?;
        }
        Ok(())
    })
}

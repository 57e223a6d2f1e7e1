//! Ticks that are in no file yet, as the last part of a recording.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rezolus_store::histogram::h2_bounds;
use rezolus_store::recording::{
    Axis, Builder, Chunk, Column, Decoded, Group, Kind, Part, labels, tell_apart,
};

use crate::log::columns::{Cells, Columns, Description, Kind as LogKind};
use crate::snapshot::LINE;

/// Rows as they are collected.
pub struct Tail {
    rows: Arc<Columns>,
    columns: Arc<Vec<Column>>,
    group: [Group; 1],
    interval: i64,
}

impl Tail {
    /// Of rows and their [columns](described); `interval` is in ns.
    pub fn new(rows: Arc<Columns>, columns: Arc<Vec<Column>>, interval: i64) -> Option<Self> {
        let (first, last) = rows.range()?;
        let group = [Group { rows: rows.rows(), first: first as i64, last: last as i64 }];
        Some(Self { rows, columns, group, interval })
    }
}

/// The columns of rows as a part has them. Those that are `known` are the first.
pub fn described(rows: &Columns, known: &[Column]) -> Vec<Column> {
    let mut columns = known.to_vec();
    let of = |(leaf, description): (usize, &Description)| {
        let metadata = description.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let text = |key: &str| description.metadata.get(key).cloned().unwrap_or_default();
        let base = description.name.strip_suffix(":buckets").unwrap_or(&description.name);
        let metric = description.metadata.get("metric").map_or(base, String::as_str);
        Column {
            labels: labels(metric, metadata),
            kind: kind(description.kind),
            unit: text("unit"),
            help: text("description"),
            signed: description.kind == LogKind::Gauge,
            leaf,
        }
    };
    let all = rows.columns.iter().map(|column| &*column.description).enumerate();
    columns.extend(all.skip(known.len()).map(of));
    let names: Vec<&str> = rows.columns.iter().map(|column| column.description.name.as_str()).collect();
    tell_apart(&mut columns, &names);
    columns
}

fn kind(kind: LogKind) -> Kind {
    match kind {
        LogKind::Counter => Kind::Counter,
        LogKind::Gauge => Kind::Gauge,
        LogKind::Histogram { grouping_power, max_value_power } => {
            Kind::Histogram { grouping_power, max_value_power }
        }
    }
}

impl Part for Tail {
    fn name(&self) -> String {
        "the newest ticks".into()
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn groups(&self) -> &[Group] {
        &self.group
    }

    fn interval(&self) -> i64 {
        self.interval
    }

    fn times(&self, _group: usize) -> Result<Vec<i64>, String> {
        Ok(self.rows.timestamps.clone())
    }

    fn decode(
        &self,
        _group: usize,
        column: usize,
        axis: &Axis,
        _wanted: Range<usize>,
    ) -> Result<Decoded, String> {
        let column = &self.columns[column];
        let rows = self.rows.rows();
        match &self.rows.columns[column.leaf].cells {
            Cells::Scalar { values, runs } => {
                let float = |&value: &i64| if column.signed { value as f64 } else { value as u64 as f64 };
                let values: Vec<f64> = values.iter().map(float).collect();
                if values.len() == rows {
                    return Ok(Decoded::whole(axis, Chunk::floats(axis, values, None)));
                }
                let mut present = vec![false; rows];
                for &(first, length) in runs {
                    let run = first as usize..first as usize + length as usize;
                    present.get_mut(run).into_iter().for_each(|run| run.fill(true));
                }
                Ok(Decoded::whole(axis, Chunk::floats(axis, values, Some(&present))))
            }
            Cells::Histogram { changes, .. } => {
                let Kind::Histogram { grouping_power, max_value_power } = column.kind else {
                    return Err(format!("{}: it is not a histogram", column.labels));
                };
                let Some(bounds) = h2_bounds(grouping_power, max_value_power) else {
                    return Err(format!("{}: there is no such histogram", column.labels));
                };
                let mut builder = Builder::new(axis, bounds);
                let mut dense = vec![0; column.kind.width().unwrap_or_default()];
                let mut changes = changes.iter().peekable();
                for row in 0..rows {
                    while let Some((_, line)) = changes.next_if(|(at, _)| *at as usize <= row) {
                        let start = usize::from(line.number) * LINE;
                        dense.iter_mut().skip(start).zip(line.counts).for_each(|(to, from)| *to = from);
                    }
                    builder.push(row, Some(&dense));
                }
                Ok(Decoded::whole(axis, builder.finish()))
            }
        }
    }

    fn descriptions(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn is_settled(&self) -> bool {
        false
    }
}

//! A plugin's userspace sampler as a source of the collector.

use std::collections::BTreeMap;
use std::sync::Arc;

use rezolus_plugin_api::abi::RawValues;

use crate::collector::Refresh;
use crate::metric::{RowSet, Slot};
use crate::plugin;

/// Where the numbers of one series go.
pub enum Sink {
    One(Arc<Slot>),
    Cpu(Arc<Vec<Slot>>),
    Row(Arc<RowSet>, usize),
}

/// A plugin's userspace sampler as a source of the collector.
pub struct Userspace {
    pub running: plugin::Sampler,
    pub raw: RawValues,
    /// By series.
    pub sinks: Vec<Sink>,
    pub tables: BTreeMap<String, Arc<RowSet>>,
}

impl Refresh for Userspace {
    fn refresh(&mut self) -> Result<(), String> {
        self.raw.cells.clear();
        self.raw.rows.clear();
        let result = self.running.refresh(&mut self.raw);
        for row in &self.raw.rows {
            if let Some(table) = self.tables.get(row.table.as_str()) {
                let labels = row.labels.iter().map(|l| (l.0.to_string(), l.1.to_string())).collect();
                // A row number is an index; a wild one must not cost memory.
                if row.row < 65536 {
                    table.describe(row.row as usize, labels);
                }
            }
        }
        for cell in &self.raw.cells {
            match self.sinks.get(cell.series as usize) {
                Some(Sink::One(slot)) => slot.set(cell.value),
                Some(Sink::Cpu(slots)) => {
                    if let Some(slot) = slots.get(cell.row as usize) {
                        slot.set(cell.value);
                    }
                }
                Some(Sink::Row(rows, series)) => rows.set(cell.row as usize, *series, cell.value),
                None => {
                    return Err(format!(
                        "reported a number for series {}, which it does not have",
                        cell.series
                    ));
                }
            }
        }
        result
    }
}

//! BPF iterators: programs that produce their rows when they are read.

use std::io::Read;
use std::sync::Arc;

use libbpf_rs::{Iter, Link};

use super::layout::Field;
use crate::cgroup::Cgroups;
use crate::metric::{Labels, RowSet};

/// Reads the records of one iterator into a [`RowSet`].
pub struct Reader {
    link: Link,
    /// `iter/task`
    pub section: String,
    /// Size of a record in bytes.
    record: usize,
    /// Label, member, whether it is a cgroup id.
    labels: Vec<(String, Field, bool)>,
    /// Members that are numbers of metrics, by series.
    values: Vec<Field>,
    cgroups: Arc<Cgroups>,
    pub rows: Arc<RowSet>,
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn new(
        link: Link,
        section: String,
        record: usize,
        labels: Vec<(String, Field, bool)>,
        values: Vec<Field>,
        cgroups: Arc<Cgroups>,
    ) -> Result<Self, String> {
        if record == 0 || values.iter().any(|field| !matches!(field.size, 1 | 2 | 4 | 8)) {
            return Err("the iterator's record has no usable members".into());
        }
        Ok(Self { link, section, record, labels, values, cgroups, rows: Arc::default(), buffer: Vec::new() })
    }

    /// Runs the iterator once and replaces all rows.
    pub fn refresh(&mut self) -> Result<(), String> {
        self.buffer.clear();
        let mut run = Iter::new(&self.link).map_err(|error| format!("{}: {error}", self.section))?;
        run.read_to_end(&mut self.buffer).map_err(|error| format!("{}: {error}", self.section))?;
        let mut rows = Vec::with_capacity(self.buffer.len() / self.record);
        for record in self.buffer.chunks_exact(self.record) {
            rows.push((self.labels_of(record), self.values.iter().map(|f| integer(record, f)).collect()));
        }
        self.rows.replace(rows);
        Ok(())
    }

    fn labels_of(&self, record: &[u8]) -> Labels {
        let mut labels = Labels::with_capacity(self.labels.len());
        for (label, field, is_cgroup) in &self.labels {
            let text = if *is_cgroup {
                integer(record, field).and_then(|id| self.cgroups.path(id))
            } else if field.size == 1 && field.dimensions.len() == 1 {
                text(record, field)
            } else {
                integer(record, field).map(|value| value.to_string())
            };
            // A cgroup whose name is not known has no such label.
            if let Some(text) = text {
                labels.insert(label.clone(), text);
            }
        }
        labels
    }
}

fn integer(record: &[u8], field: &Field) -> Option<u64> {
    let bytes = record.get(field.offset..field.offset + field.size)?;
    let mut wide = [0u8; 8];
    wide[..field.size].copy_from_slice(bytes);
    let value = u64::from_le_bytes(wide);
    if field.signed && field.size < 8 {
        let shift = 64 - 8 * field.size as u32;
        return Some(((value << shift) as i64 >> shift) as u64);
    }
    Some(value)
}

fn text(record: &[u8], field: &Field) -> Option<String> {
    let bytes = record.get(field.offset..field.offset + field.dimensions[0])?;
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

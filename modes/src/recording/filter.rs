//! `rezolus recording filter`: fewer columns, fewer rows, the same values.

use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;

use serde_json::Value;

use super::select::{Metrics, Span};
use super::table::{CHECKSUM, Output, Table, Values};
use super::{Error, Kind, Recording};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The recording
    pub input: PathBuf,
    /// Where the smaller one goes
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    #[command(flatten)]
    pub metrics: Metrics,
    #[command(flatten)]
    pub span: Span,
    /// Replace the output if there is one
    #[arg(long)]
    pub force: bool,
}

impl Args {
    /// # Errors
    ///
    /// When nothing would be left, the input is damaged, or the output cannot
    /// be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        let recording = Recording::open(&self.input)?;
        let rows = self.span.rows(&recording)?;
        let positions = self.positions(&recording)?;
        let metadata = metadata(&recording, &rows)?;
        let taken: std::rc::Rc<[_]> = rows.clone().map(Some).collect();
        let column = |&position: &usize| Output {
            field: recording.schema().fields()[position].clone(),
            values: Values::Rows { recording: &recording, position, rows: taken.clone() },
        };
        let columns = positions.iter().map(column).collect();
        Table { columns, rows: rows.len(), metadata }.write(&self.output, self.force)?;
        let count = |positions: &[usize]| {
            positions.iter().filter(|&&at| recording.columns()[at].kind.is_metric()).count()
        };
        let all: Vec<_> = (0..recording.columns().len()).collect();
        writeln!(
            out,
            "{}: {} of {} metric columns, {} of {} rows",
            self.output.display(),
            count(&positions),
            count(&all),
            rows.len(),
            recording.rows()
        )?;
        Ok(())
    }

    /// What is no metric stays if all does; time stays in any case.
    fn positions(&self, recording: &Recording) -> Result<Vec<usize>, Error> {
        if self.metrics.is_empty() {
            return Ok((0..recording.columns().len()).collect());
        }
        let time = |kind: &Kind| matches!(kind, Kind::Timestamp | Kind::Duration);
        let times = recording.columns().iter().filter(|column| time(&column.kind)).map(|c| c.position);
        Ok(times.chain(self.metrics.choose(recording)?).collect())
    }
}

/// That of the input, but for the times of what is left.
fn metadata(recording: &Recording, rows: &Range<usize>) -> Result<Vec<(String, String)>, Error> {
    let mut pairs: Vec<(String, String)> =
        recording.metadata().filter(|(key, _)| *key != CHECKSUM).map(|(k, v)| (k.into(), v.into())).collect();
    let times = &recording.timestamps()[rows.clone()];
    let (Some(&first), Some(&last)) = (times.first(), times.last()) else { return Ok(pairs) };
    if rows.len() == recording.rows() {
        return Ok(pairs);
    }
    let Some(Value::Object(mut sources)) = recording.json("per_source_metadata")? else { return Ok(pairs) };
    for source in sources.values_mut().filter_map(Value::as_object_mut) {
        clamp(source, first, last);
        source.values_mut().filter_map(Value::as_object_mut).for_each(|node| clamp(node, first, last));
    }
    if let Some(pair) = pairs.iter_mut().rev().find(|(key, _)| key == "per_source_metadata") {
        pair.1 = Value::Object(sources).to_string();
    }
    Ok(pairs)
}

fn clamp(times: &mut serde_json::Map<String, Value>, first: u64, last: u64) {
    for key in ["first_sample_ns", "last_sample_ns"] {
        if let Some(time) = times.get_mut(key)
            && let Some(ns) = time.as_u64()
        {
            // Of rows in disorder, the first may be the last.
            *time = ns.clamp(first.min(last), last.max(first)).into();
        }
    }
}

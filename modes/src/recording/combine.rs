//! `rezolus recording combine`: several hosts or services in one recording.
//!
//! Rows meet on the grid of their common interval. Every column says whose it
//! is: by its name's prefix, and by the labels `source` and `node` or `instance`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::UInt64Array;

use super::table::{Output, Table, Values};
use super::{Column, Error, Kind, Recording, utc};

mod metadata;

/// At least this part of the rows has to be within the tolerance.
const ALIGNED: f64 = 0.95;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The recordings
    #[arg(required = true, num_args = 2..)]
    pub inputs: Vec<PathBuf>,
    /// Where the joined one goes
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Keep rows that only some of them have
    #[arg(long)]
    pub outer: bool,
    /// How far apart rows of the same moment may be, in intervals
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1)]
    pub tolerance: f64,
    /// Replace the output if there is one
    #[arg(long)]
    pub force: bool,
}

/// A recording and whose it is.
struct Input {
    recording: Recording,
    identity: Identity,
    /// Of its columns' names; none if it was combined before.
    prefix: Option<String>,
    /// Moments on the grid, in intervals since the epoch, and their rows.
    ticks: Vec<(u64, usize)>,
}

enum Identity {
    /// A host with a rezolus.
    Node(String),
    /// One of the processes of a service.
    Instance { source: String, instance: String },
    /// Several, whose columns say which.
    Combined,
}

impl Args {
    /// # Errors
    ///
    /// When the inputs do not fit together, with what to do about it; when one
    /// is damaged; or when the output cannot be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        let recordings: Vec<_> =
            self.inputs.iter().map(|path| Recording::open(path)).collect::<Result<_, _>>()?;
        let interval_ms = common_interval(&recordings)?;
        let inputs = identify(recordings, interval_ms * 1_000_000)?;
        let ticks = self.join(&inputs, interval_ms * 1_000_000)?;
        let columns = columns(&inputs, &ticks, interval_ms * 1_000_000)?;
        let metadata = metadata::merge(&inputs, interval_ms)?;
        let count = columns.len();
        Table { columns, rows: ticks.len(), metadata }.write(&self.output, self.force)?;
        writeln!(
            out,
            "{}: {} rows of {count} columns from {} recordings",
            self.output.display(),
            ticks.len(),
            inputs.len()
        )?;
        for input in &inputs {
            let left = input.recording.rows() - present(input, &ticks).flatten().count();
            if left > 0 {
                writeln!(
                    out,
                    "{}: {left} of {} rows left out",
                    input.recording.path().display(),
                    input.recording.rows()
                )?;
            }
        }
        Ok(())
    }

    /// The moments of the result, in intervals since the epoch.
    fn join(&self, inputs: &[Input], interval: u64) -> Result<Vec<u64>, Error> {
        let sets: Vec<BTreeSet<u64>> =
            inputs.iter().map(|input| input.ticks.iter().map(|(tick, _)| *tick).collect()).collect();
        let all: BTreeSet<u64> = sets.iter().flatten().copied().collect();
        let common: Vec<u64> =
            all.iter().copied().filter(|tick| sets.iter().all(|set| set.contains(tick))).collect();
        if common.is_empty() && !self.outer {
            let ranges: Vec<_> = inputs.iter().map(range).collect();
            return Err(Error::Usage(format!(
                "the recordings have no moment in common; --outer joins them all the same: {}",
                ranges.join("; ")
            )));
        }
        self.check_alignment(inputs, &common, interval)?;
        Ok(if self.outer { all.into_iter().collect() } else { common })
    }

    fn check_alignment(&self, inputs: &[Input], common: &[u64], interval: u64) -> Result<(), Error> {
        let mut spread = vec![(u64::MAX, 0); common.len()];
        for input in inputs {
            let rows = present(input, common);
            for ((least, most), row) in spread.iter_mut().zip(rows) {
                let Some(row) = row else { continue };
                let time = input.recording.timestamps()[row];
                (*least, *most) = (time.min(*least), time.max(*most));
            }
        }
        let allowed = self.tolerance * interval as f64;
        let near = spread.iter().filter(|(least, most)| (most - least) as f64 <= allowed).count();
        if (near as f64) < ALIGNED * common.len() as f64 {
            return Err(Error::Usage(format!(
                "of {} common moments only {near} are within {} of an interval in all recordings: they were \
                 sampled at different times within it, or their clocks differ; --tolerance allows more",
                common.len(),
                self.tolerance
            )));
        }
        Ok(())
    }
}

fn range(input: &Input) -> String {
    let path = input.recording.path().display();
    match input.recording.time_range() {
        Some((start, end)) => format!("{path} has {} to {}", utc(start), utc(end)),
        None => format!("{path} has no rows"),
    }
}

fn common_interval(recordings: &[Recording]) -> Result<u64, Error> {
    let mut intervals = Vec::new();
    for recording in recordings {
        intervals.push((recording.interval_ms()?, recording.path().display().to_string()));
    }
    let first = intervals.first().map_or(super::DEFAULT_INTERVAL_MS, |interval| interval.0);
    if intervals.iter().any(|(interval, _)| *interval != first) {
        let each: Vec<_> = intervals.iter().map(|(interval, path)| format!("{path} {interval} ms")).collect();
        return Err(Error::Usage(format!(
            "the recordings have different intervals and cannot be joined: {}",
            each.join(", ")
        )));
    }
    Ok(first)
}

fn identify(recordings: Vec<Recording>, interval: u64) -> Result<Vec<Input>, Error> {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut instances = BTreeMap::new();
    let mut inputs = Vec::new();
    for recording in recordings {
        let mut sources = recording.sources();
        let source = match sources.len() {
            0 => stem(recording.path()),
            _ => sources.swap_remove(0),
        };
        let identity = if !sources.is_empty() {
            Identity::Combined
        } else if source == "rezolus" {
            let node = recording.key("node").map_or_else(|| stem(recording.path()), str::to_string);
            Identity::Node(node)
        } else {
            let next = instances.entry(source.clone()).or_insert(0);
            let assigned = next.to_string();
            *next += 1;
            let instance = recording.key("instance").map_or(assigned, str::to_string);
            Identity::Instance { source, instance }
        };
        let ticks = ticks(&recording, interval)?;
        inputs.push(Input { recording, identity, prefix: None, ticks });
    }
    prefixes(&mut inputs)?;
    Ok(inputs)
}

/// The source alone where that tells them apart, else with the node or instance.
fn prefixes(inputs: &mut [Input]) -> Result<(), Error> {
    let sources: Vec<_> = inputs.iter().map(|input| input.source().map(str::to_string)).collect();
    let mut taken = BTreeMap::new();
    for (input, source) in inputs.iter_mut().zip(&sources) {
        let alone = sources.iter().filter(|other| *other == source).count() == 1;
        input.prefix = match &input.identity {
            Identity::Combined => continue,
            _ if alone => source.clone(),
            Identity::Node(node) => Some(node.clone()),
            Identity::Instance { source, instance } => Some(format!("{source}-{instance}")),
        };
        let path = input.recording.path().display().to_string();
        if let Some(other) = taken.insert(input.prefix.clone(), path.clone()) {
            let key = if matches!(input.identity, Identity::Node(_)) { "node" } else { "instance" };
            return Err(Error::Usage(format!(
                "{other} and {path} are both `{}`: tell them apart by `rezolus recording annotate --metadata {key}=NAME`",
                input.prefix.as_deref().unwrap_or_default()
            )));
        }
    }
    Ok(())
}

impl Input {
    fn source(&self) -> Option<&str> {
        match &self.identity {
            Identity::Node(_) => Some("rezolus"),
            Identity::Instance { source, .. } => Some(source),
            Identity::Combined => None,
        }
    }

    fn is_rezolus(&self) -> bool {
        match &self.identity {
            Identity::Node(_) => true,
            Identity::Instance { .. } => false,
            Identity::Combined => self.recording.sources().iter().any(|source| source == "rezolus"),
        }
    }

    fn field(&self, column: &Column) -> arrow_schema::FieldRef {
        let field = &self.recording.schema().fields()[column.position];
        let mut labels = field.metadata().clone();
        let mut add = |key: &str, value: &str| {
            if labels.get(key).is_none() {
                labels.insert(key.to_string(), value.to_string());
            }
        };
        match &self.identity {
            Identity::Node(node) => {
                add("source", "rezolus");
                add("node", node);
            }
            Identity::Instance { source, instance } => {
                add("source", source);
                add("instance", instance);
            }
            Identity::Combined => {}
        }
        // Without it, readers would take the prefixed name for the metric's.
        if column.kind.is_metric() {
            add("metric", &column.metric);
        }
        let name = match &self.prefix {
            Some(prefix) => format!("{prefix}::{}", column.name),
            None => column.name.clone(),
        };
        Arc::new(field.as_ref().clone().with_name(name).with_metadata(labels).with_nullable(true))
    }
}

/// Rounds rows to the grid. Of two in the same place the nearer one stays.
fn ticks(recording: &Recording, interval: u64) -> Result<Vec<(u64, usize)>, Error> {
    let times = recording.timestamps();
    let mut ticks: Vec<(u64, usize)> = Vec::with_capacity(times.len());
    for (row, &time) in times.iter().enumerate() {
        let tick = time / interval + u64::from(time % interval >= interval.div_ceil(2));
        match ticks.last_mut() {
            Some((last, _)) if tick < *last => {
                let place = format!("timestamp, row {row}");
                return Err(recording.place(place, "is before the one of the row above: it cannot be joined"));
            }
            Some((last, kept)) if tick == *last => {
                let distance = |time: u64| time.abs_diff(tick.saturating_mul(interval));
                if distance(time) < distance(times[*kept]) {
                    *kept = row;
                }
            }
            _ => ticks.push((tick, row)),
        }
    }
    Ok(ticks)
}

/// The row of each moment, if there is one.
fn present(input: &Input, ticks: &[u64]) -> impl Iterator<Item = Option<usize>> {
    ticks.iter().map(|tick| {
        let at = input.ticks.binary_search_by_key(tick, |(tick, _)| *tick);
        at.ok().map(|at| input.ticks[at].1)
    })
}

/// The same, but with the row before where there is none, or the first one.
/// Readers take a null histogram for an empty one, and would see all that was
/// ever counted happen after it. A repeated one says: nothing was counted.
fn held(input: &Input, ticks: &[u64]) -> Rc<[Option<usize>]> {
    let row = |tick: &u64| {
        let after = input.ticks.partition_point(|(own, _)| own <= tick);
        input.ticks.get(after.saturating_sub(1)).map(|(_, row)| *row)
    };
    ticks.iter().map(row).collect()
}

fn columns<'a>(inputs: &'a [Input], ticks: &[u64], interval: u64) -> Result<Vec<Output<'a>>, Error> {
    let mut blocks: [BTreeMap<String, Output>; 4] = Default::default();
    for input in inputs {
        let rows: Rc<[_]> = present(input, ticks).collect();
        let held = held(input, ticks);
        for column in input.recording.columns() {
            let (block, rows) = match column.kind {
                Kind::Timestamp | Kind::Duration => continue,
                // Relative to times that are not kept.
                Kind::Sidecar => continue,
                Kind::Counter => (0, &rows),
                Kind::Gauge => (1, &rows),
                Kind::Histogram { .. } => (2, &held),
                Kind::Unknown { .. } => (3, &rows),
            };
            let field = input.field(column);
            let name = unused(&blocks, field.name());
            let field = Arc::new(field.as_ref().clone().with_name(&name));
            let (recording, position) = (&input.recording, column.position);
            let values = Values::Rows { recording, position, rows: rows.clone() };
            blocks[block].insert(name, Output { field, values });
        }
    }
    let mut columns = times(inputs, ticks, interval)?;
    columns.extend(blocks.into_iter().flat_map(BTreeMap::into_values));
    Ok(columns)
}

/// Names mean nothing but have to differ: files that were combined before may
/// have the same, even twice.
fn unused(blocks: &[BTreeMap<String, Output>], name: &str) -> String {
    let taken = |name: &str| blocks.iter().any(|block| block.contains_key(name));
    let (stem, suffix) = match name.strip_suffix(":buckets") {
        Some(stem) => (stem, ":buckets"),
        None => (name, ""),
    };
    let mut number = 2;
    let mut free = name.to_string();
    while taken(&free) {
        free = format!("{stem}~{number}{suffix}");
        number += 1;
    }
    free
}

fn times<'a>(inputs: &'a [Input], ticks: &[u64], interval: u64) -> Result<Vec<Output<'a>>, Error> {
    let first = inputs.iter().find(|input| input.is_rezolus()).or(inputs.first());
    let Some(first) = first else { return Ok(Vec::new()) };
    let times: UInt64Array =
        ticks.iter().map(|tick| tick.saturating_mul(interval)).collect::<Vec<_>>().into();
    let field = first.recording.schema().fields()[0].as_ref().clone().with_nullable(false);
    let mut columns = vec![Output { field: Arc::new(field), values: Values::Array(Arc::new(times)) }];
    if let Some(duration) = first.recording.columns().iter().find(|column| column.kind == Kind::Duration) {
        let field = first.recording.schema().fields()[duration.position].clone();
        let rows = present(first, ticks).collect();
        let field = Arc::new(field.as_ref().clone().with_nullable(true));
        let values = Values::Rows { recording: &first.recording, position: duration.position, rows };
        columns.push(Output { field, values });
    }
    Ok(columns)
}

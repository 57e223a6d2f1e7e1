//! `rezolus recording export`: the values, for other programs.

use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::PathBuf;

use super::output::Aside;
use super::select::{Metrics, Span};
use super::{Error, Recording};

mod openmetrics;
mod rows;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The recording
    pub input: PathBuf,
    #[arg(long, value_enum)]
    pub format: Format,
    /// Where it goes; without it, to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub metrics: Metrics,
    #[command(flatten)]
    pub span: Span,
    /// What a CSV file has of a histogram
    #[arg(long, value_enum, default_value_t)]
    pub histograms: Histograms,
    /// Replace the output if there is one
    #[arg(long)]
    pub force: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A row per moment, a column per series
    Csv,
    /// For `promtool tsdb create-blocks-from openmetrics`
    Openmetrics,
    /// An object per moment
    Jsonl,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Histograms {
    /// Count and quantiles of what was counted since the row before
    #[default]
    Quantiles,
    /// All that was ever counted: `LOWER:COUNT` of every bucket that is not empty
    Buckets,
}

/// What is exported.
struct Selection<'a> {
    recording: &'a Recording,
    positions: Vec<usize>,
    rows: Range<usize>,
}

impl Args {
    /// # Errors
    ///
    /// When nothing is chosen, the input is damaged, or the output cannot be
    /// written.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        let recording = Recording::open(&self.input)?;
        let rows = self.span.rows(&recording)?;
        let positions = self.metrics.choose(&recording)?;
        let selection = Selection { recording: &recording, positions, rows };
        let Some(path) = &self.output else {
            let mut out = BufWriter::new(out);
            self.write(&selection, &mut out)?;
            return Ok(out.flush()?);
        };
        let (aside, file) = Aside::create(path, self.force)?;
        let named = |error| match error {
            Error::Output(error) => aside.error(error),
            error => error,
        };
        let mut buffered = BufWriter::new(&file);
        self.write(&selection, &mut buffered).map_err(named)?;
        buffered.flush().map_err(|error| aside.error(error))?;
        drop(buffered);
        aside.finish(&file)?;
        let (rows, columns) = (selection.rows.len(), selection.positions.len());
        writeln!(out, "{}: {rows} rows of {columns} metric columns", path.display())?;
        Ok(())
    }

    fn write(&self, selection: &Selection, out: &mut dyn Write) -> Result<(), Error> {
        match self.format {
            Format::Csv => rows::csv(selection, self.histograms, out),
            Format::Jsonl => rows::jsonl(selection, out),
            Format::Openmetrics => openmetrics::write(selection, out),
        }
    }
}

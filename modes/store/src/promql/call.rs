//! The functions of PromQL, over arguments that were evaluated at all steps.

mod absent;
mod args;
mod dates;
mod histograms;
mod labels;
mod math;
mod native;
mod over_time;
mod rate;
mod remarks;
mod sliding;
mod sort;
mod sums;
#[cfg(test)]
mod tests;
mod windows;

pub use remarks::check_quantile;
pub use sums::quantile;
pub use windows::check;

use super::place::Place;
use super::points::Points;
use super::value::{Grid, Row, Val};
use super::{Error, Notes, Options, ast};
use crate::labels::Labels;
use args::Args;

/// What a call sees besides its arguments.
pub struct Context<'a> {
    pub grid: Grid,
    pub notes: &'a mut Notes,
    pub options: &'a Options,
    /// The arguments as written, for the labels of `absent()`.
    pub nodes: &'a [ast::Node],
    /// Where they are in the query.
    pub places: &'a [Place],
    /// Nobody looks at the buckets of histograms in the result, only at their counts and sums.
    pub sums_only: bool,
}

/// Calls a function. The parser has seen to the arguments' types and number;
/// optional ones may be missing.
///
/// `timestamp()` says the times of the steps: that of a selector's samples is left
/// to who has them.
///
/// # Errors
///
/// When arguments are none the function takes, when series of the result would
/// have the same labels, or there is no such function.
pub fn call(function: &str, args: Vec<Val>, context: &mut Context<'_>) -> Result<Val, Error> {
    let mut args = Args::new(function, args);
    if let Some(value) = scalar(function, &mut args, context)? {
        return Ok(Val::Scalar(value));
    }
    let found = match math::call(function, &mut args)? {
        Some(rows) => Some(rows),
        None => dates::call(function, &mut args, context.grid)?,
    };
    let found = match found {
        Some(rows) => Some(rows),
        None => labels::call(function, &mut args)?,
    };
    let found = match found {
        Some(rows) => Some(rows),
        None => windows::call(function, &mut args, context)?,
    };
    let found = match found {
        Some(rows) => Some(rows),
        None => histograms::call(function, &mut args, context)?,
    };
    let rows = match found {
        Some(rows) => rows,
        None => vector(function, &mut args, context)?,
    };
    Ok(Val::Vector(rows))
}

/// Functions whose result is a number for each step.
fn scalar(function: &str, args: &mut Args<'_>, context: &Context<'_>) -> Result<Option<Vec<f64>>, Error> {
    let grid = context.grid;
    let constant = |value: f64| vec![value; grid.count];
    Ok(Some(match function {
        "time" => times(grid),
        "pi" => constant(std::f64::consts::PI),
        "start" => constant(seconds(grid.start)),
        "end" => constant(seconds(grid.end())),
        "range" => constant(grid.end().saturating_sub(grid.start) as f64 / 1e9),
        // An instant query has none.
        "step" => constant(if grid.count > 1 { grid.step as f64 / 1e9 } else { 0.0 }),
        "max_of" | "min_of" => {
            let (a, b) = (args.scalar()?, args.scalar()?);
            let pick = if function == "max_of" { math::max } else { math::min };
            a.into_iter().zip(b).map(|(a, b)| pick(a, b)).collect()
        }
        "scalar" => only_floats(&args.vector()?, grid),
        _ => return Ok(None),
    }))
}

/// The float at each step, NaN where there is none or more than one.
fn only_floats(rows: &[Row], grid: Grid) -> Vec<f64> {
    let mut values = vec![f64::NAN; grid.count];
    let mut found = vec![false; grid.count];
    for row in rows {
        for (step, &value) in row.points.floats.iter().enumerate().take(grid.count) {
            if !super::is_absent(value) {
                values[step] = if found[step] { f64::NAN } else { value };
                found[step] = true;
            }
        }
    }
    values
}

fn vector(function: &str, args: &mut Args<'_>, context: &Context<'_>) -> Result<Vec<Row>, Error> {
    match function {
        "vector" => Ok(vec![unlabelled(args.scalar()?)]),
        "timestamp" => {
            let times = times(context.grid);
            let mut rows = args.vector()?;
            for row in &mut rows {
                row.drop_name = true;
                for (step, &time) in times.iter().enumerate() {
                    if row.points.has(step) {
                        row.points.floats[step] = time;
                    }
                }
                row.points.histograms = Vec::new();
            }
            Ok(rows)
        }
        "absent" => Ok(absent::absent(&args.vector()?, context)),
        "sort" | "sort_desc" => Ok(sort::by_value(args.vector()?, function == "sort_desc")),
        "sort_by_label" | "sort_by_label_desc" => {
            let rows = args.vector()?;
            let labels = args.strings()?;
            Ok(sort::by_label(rows, &labels, function == "sort_by_label_desc"))
        }
        _ => Err(Error::bad_data(format!("unknown function with name {function:?}"))),
    }
}

/// A series without labels.
fn unlabelled(floats: Vec<f64>) -> Row {
    let points = Points { floats, histograms: Vec::new() };
    Row { labels: Labels::default(), drop_name: false, points }
}

fn times(grid: Grid) -> Vec<f64> {
    grid.times().map(seconds).collect()
}

/// A time in ns as seconds. Whole milliseconds are divided as Prometheus divides
/// them, so that they come out to the last bit: a count of ns has more digits than
/// a float has.
pub fn seconds(time: i64) -> f64 {
    const MS: i64 = 1_000_000;
    if time % MS == 0 {
        return (time / MS) as f64 / 1e3;
    }
    (time / (1000 * MS)) as f64 + (time % (1000 * MS)) as f64 / 1e9
}

/// Leaves out the rows that have nothing at any step.
fn without_empty(mut rows: Vec<Row>) -> Vec<Row> {
    rows.retain(|row| !row.points.is_absent());
    rows
}

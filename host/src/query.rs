//! `rezolus query`: PromQL over recordings, logs and agents, on the command line.

mod csv;
mod plot;
mod table;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use rezolus_modes::query::ask::{self, explain, good_step, is_doubt, reach};
use rezolus_store::Source;
use rezolus_store::api::json;
use rezolus_store::promql::{self, Answer, Error, ErrorKind, Value};

use crate::cli::{Query, QueryFormat};
pub use table::printable;

#[cfg(test)]
const SECOND: i64 = 1_000_000_000;
/// A range without a step has about so many points.
const POINTS: i64 = 240;
/// Queries are trees, evaluated by recursion.
const STACK: usize = 64 << 20;
const WRONG_USAGE: u8 = 2;

/// When a query is evaluated, ns since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    At(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// Evaluates a query and prints what comes of it.
///
/// # Errors
///
/// When an input cannot be opened or read, with which and why.
pub fn run(options: &Query) -> Result<ExitCode> {
    let source = open(&options.inputs)?;
    if let Some(time) = options.watch {
        std::thread::sleep(time);
    }
    let when = match when(options, source.range()) {
        Ok(when) => when,
        Err(error) => return Ok(usage(&format!("{error:#}"))),
    };
    let answer = match evaluate(&source, &options.expr, when)? {
        Ok(answer) => answer,
        Err(error) if error.kind == ErrorKind::BadData => return Ok(usage(&explain(&options.expr, &error))),
        Err(error) => bail!("{}", explain(&options.expr, &error)),
    };
    let kinds = source.metadata();
    let known =
        |info: &&String| !is_doubt(info, |name| kinds.get(name).is_some_and(|known| known.kind == "counter"));
    for note in answer.notes.warnings.iter().chain(answer.notes.infos.iter().filter(known)) {
        eprintln!("rezolus: {note}");
    }
    if is_empty(&answer.value) {
        eprintln!("rezolus: nothing matches; {}", reach(source.range()));
        source.remarks().iter().for_each(|remark| eprintln!("rezolus: {remark}"));
    }
    let mut out = std::io::stdout().lock();
    match options.format {
        QueryFormat::Json => {
            out.write_all(&json::response(&answer, usize::MAX)?)?;
            writeln!(out)?;
        }
        QueryFormat::Csv => csv::write(&mut out, &answer.value)?,
        QueryFormat::Table => {
            let width = out.is_terminal().then(|| {
                terminal_size::terminal_size().map_or(80, |(terminal_size::Width(width), _)| width.into())
            });
            out.write_all(table::text(&answer.value, width).as_bytes())?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn usage(message: &str) -> ExitCode {
    eprintln!("rezolus: {message}");
    ExitCode::from(WRONG_USAGE)
}

fn open(inputs: &[String]) -> Result<Arc<dyn Source>> {
    rezolus_modes::query::open_all(inputs, &rezolus_modes::query::Options::default())
        .map_err(|why| anyhow!("{why}"))
}

/// Evaluates on a thread with a large stack.
fn evaluate(source: &Arc<dyn Source>, expr: &str, when: When) -> Result<Result<Answer, Error>> {
    let (source, expr) = (source.clone(), expr.to_string());
    let work = move || {
        let options = promql::Options::default();
        match when {
            When::At(at) => promql::instant(&*source, &expr, at, &options),
            When::Range { start, end, step } => promql::range(&*source, &expr, start, end, step, &options),
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(work);
    let thread = thread.context("there is no thread to run the query")?;
    thread.join().map_err(|_| anyhow!("the query broke off: this is a fault of rezolus"))
}

/// The time or times that the options ask for; `data` says where the data begin
/// and end.
fn when(options: &Query, data: Option<(i64, i64)>) -> Result<When> {
    let time = |option: &str, text: &str| -> Result<i64> {
        ask::time(text, data).map_err(|why| anyhow!("{option} {text}: {why}"))
    };
    let Some((first, last)) = data else {
        // There is nothing to be found, at any time.
        return Ok(When::At(options.at.as_deref().map_or(Ok(0), |text| time("--at", text))?));
    };
    if options.start.is_none() && options.end.is_none() && options.step.is_none() {
        return Ok(When::At(options.at.as_deref().map_or(Ok(last), |text| time("--at", text))?));
    }
    let start = options.start.as_deref().map_or(Ok(first), |text| time("--start", text))?;
    let end = options.end.as_deref().map_or(Ok(last), |text| time("--end", text))?;
    if end < start {
        bail!("the range ends before it starts; {}", reach(data));
    }
    let step = match options.step.as_deref() {
        None => good_step((end - start) / POINTS),
        Some(text) => ask::step(text).map_err(|why| anyhow!("--step {text}: {why}"))?,
    };
    Ok(When::Range { start, end, step })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Vector(series) => series.is_empty(),
        Value::Matrix(series) => series.is_empty(),
        Value::Scalar(..) | Value::String(..) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn options(arguments: &[&str]) -> Query {
        let arguments = ["rezolus", "query", "a.parquet", "up"].iter().chain(arguments);
        match crate::cli::Cli::parse_from(arguments).command {
            Some(crate::cli::Command::Query(query)) => query,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn times_are_absolute_or_before_the_end() {
        let data = Some((100 * SECOND, 1_000 * SECOND));
        let when = |arguments: &[&str]| when(&options(arguments), data).map_err(|error| error.to_string());
        let range = |start, end, step| {
            Ok(When::Range { start: start * SECOND, end: end * SECOND, step: step * SECOND })
        };
        assert_eq!(when(&[]), Ok(When::At(1_000 * SECOND)));
        assert_eq!(when(&["--at", "-5m"]), Ok(When::At(700 * SECOND)));
        assert_eq!(when(&["--at", "1970-01-01T00:02:00Z"]), Ok(When::At(120 * SECOND)));
        assert_eq!(when(&["--step", "15s"]), range(100, 1_000, 15));
        assert_eq!(when(&["--start", "-2m"]), range(880, 1_000, 1));
        assert_eq!(when(&["--start=200", "--end=500.5", "--step=0.5"]), {
            Ok(When::Range { start: 200 * SECOND, end: 500 * SECOND + SECOND / 2, step: SECOND / 2 })
        });
        assert!(when(&["--start", "x"]).unwrap_err().starts_with("--start x: a time is expected"));
        assert!(when(&["--step", "0"]).unwrap_err().starts_with("--step 0: a duration"));
        let reversed = when(&["--start=500", "--end=400"]).unwrap_err();
        assert!(reversed.ends_with("from 1970-01-01T00:01:40Z to 1970-01-01T00:16:40Z"), "{reversed}");
    }
}

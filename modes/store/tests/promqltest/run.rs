//! Scripts are run: commands one after the other, each on what was loaded before.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rezolus_store::promql::{self, Answer, Error, Options, Value};
use rezolus_store::{Labels, Sample, Series};

use crate::check;
use crate::load::Storage;
use crate::script::{self, Command, Eval, Expect, When};

/// In range mode an instant query is evaluated also so long before and after.
const MINUTE: i64 = 60_000_000_000;
/// No query of a script takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a script.
#[derive(Default)]
pub struct Outcome {
    pub passed: usize,
    pub failed: usize,
    /// What to print.
    pub complaints: Vec<String>,
}

/// Runs a script; `name` is what complaints call it.
pub fn script(name: &str, text: &str) -> Outcome {
    let mut storage = Storage::default();
    let mut outcome = Outcome::default();
    for (line, command) in script::parse(text) {
        let done = match command {
            Ok(Command::Clear) => {
                storage = Storage::default();
                continue;
            }
            Ok(Command::Load(load)) => match storage.load(&load) {
                Ok(()) => continue,
                Err(why) => Err(format!("{name}:{line}: load: {why}")),
            },
            Ok(Command::Eval(eval)) => evaluated(&storage, &eval).map_err(|failure| {
                let mut text = format!("{name}:{line}: {}\n  {}", eval.query, failure.why);
                for (title, lines) in
                    [("expected", check::shown_expect(&eval.expect)), ("got", failure.got.clone())]
                {
                    text += &format!("\n  {title}:\n    {}", lines.join("\n    "));
                }
                text
            }),
            Err((line, why)) => Err(format!("{name}:{line}: {why}")),
        };
        match done {
            Ok(()) => outcome.passed += 1,
            Err(complaint) => {
                outcome.failed += 1;
                outcome.complaints.push(complaint);
            }
        }
    }
    outcome
}

struct Failure {
    why: String,
    /// What came, a line each.
    got: Vec<String>,
}

fn evaluated(storage: &Storage, eval: &Eval) -> Result<(), Failure> {
    let result = ask(storage, &eval.query, eval.when)?;
    let answer = match (result, &eval.expect.fail) {
        (Err(error), Some(text)) if text.fits(&error.message) => return Ok(()),
        (Err(error), expected) => {
            let why = if expected.is_some() { "it fails with another message" } else { "it fails" };
            return Err(Failure { why: why.to_owned(), got: vec![error.to_string()] });
        }
        (Ok(answer), Some(_)) => return Err(failure("it does not fail", &answer)),
        (Ok(answer), None) => answer,
    };
    check::notes(&eval.expect, &answer.notes)
        .and_then(|()| check::value(&eval.expect, eval.when, &answer.value))
        .map_err(|why| failure(why, &answer))?;
    match eval.when {
        When::At(at) => in_range_mode(storage, &eval.query, &eval.expect, at, &answer.value),
        When::Range(_) => Ok(()),
    }
}

fn failure(why: impl Into<String>, answer: &Answer) -> Failure {
    Failure { why: why.into(), got: check::shown_answer(answer) }
}

/// Asks the engine. A panic is a failure like any other.
fn ask(storage: &Storage, query: &str, when: When) -> Result<Result<Answer, Error>, Failure> {
    let options = Options { deadline: Some(Instant::now() + PATIENCE), ..Options::default() };
    let asked = AssertUnwindSafe(|| match when {
        When::At(at) => promql::instant(&storage.memory, query, at, &options),
        When::Range(steps) => {
            promql::range(&storage.memory, query, steps.start, steps.end, steps.step, &options)
        }
    });
    catch_unwind(asked).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no text)");
        Failure { why: "the engine panics".to_owned(), got: vec![text.to_owned()] }
    })
}

/// An instant query is the same at the middle step of a range query. Where it is
/// not (strings, range vectors, an order, the range itself), it is not asked.
fn in_range_mode(
    storage: &Storage,
    query: &str,
    expect: &Expect,
    at: i64,
    instant: &Value,
) -> Result<(), Failure> {
    let own_range =
        ["range()", "step()", "start()", "end()"].iter().any(|call| query.to_lowercase().contains(call));
    if own_range || expect.ordered || matches!(instant, Value::String(..) | Value::Matrix(_)) {
        return Ok(());
    }
    let steps = script::Steps { start: at - MINUTE, end: at + MINUTE, step: MINUTE };
    let answer = ask(storage, query, When::Range(steps))?.map_err(|error| Failure {
        why: "in range mode it fails".to_owned(),
        got: vec![error.to_string()],
    })?;
    let checked = match &answer.value {
        Value::Matrix(matrix) => check::sorted(matrix).and_then(|()| {
            let vector = middle(matrix, at);
            let value = match (instant, vector.first()) {
                (Value::Scalar(..), Some((_, time, Sample::Float(value)))) => Value::Scalar(*time, *value),
                _ => Value::Vector(vector),
            };
            check::value(expect, When::At(at), &value)
        }),
        _ => Err("this is no matrix".to_owned()),
    };
    checked.map_err(|why| failure(format!("in range mode, {why}"), &answer))
}

fn middle(matrix: &[Series], at: i64) -> Vec<(Labels, i64, Sample)> {
    let point = |series: &Series| {
        let (time, sample) = series.samples.iter().find(|(time, _)| *time == at)?;
        Some((series.labels.clone(), time, sample))
    };
    matrix.iter().filter_map(point).collect()
}

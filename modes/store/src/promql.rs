//! PromQL.

mod aggregate;
pub mod ast;
mod binary;
mod call;
mod error;
mod eval;
mod extended;
mod hist;
mod info;
pub(crate) mod parallel;
mod parse;
pub mod place;
mod points;
mod selects;
pub mod value;
mod window;

pub use error::{Error, ErrorKind, Notes};
pub use parse::selector as parse_selector;
pub use points::{ABSENT, Points, is_absent};
pub use selects::{missing, missing_each, selects};
pub use window::{Window, WindowValues};

use ast::Node;
use eval::Evaluator;
use value::{Grid, RangeRow, Row, Val};

use crate::Source;
use crate::guard::guarded;
use crate::labels::Labels;
use crate::sample::{Sample, Samples, Series, Shared, Values};

/// How queries are evaluated.
#[derive(Clone, Debug)]
pub struct Options {
    /// How old a sample may be to stand for now, in ns.
    pub lookback: i64,
    /// The step of subqueries that do not say theirs, in ns.
    pub default_step: i64,
    /// How many samples a query may have in memory at a time.
    pub max_samples: usize,
    /// When to give up.
    pub deadline: Option<std::time::Instant>,
    /// Set by whoever does not want the answer any more.
    pub canceled: Option<std::sync::Arc<std::sync::atomic::AtomicBool>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lookback: 300_000_000_000,
            default_step: 60_000_000_000,
            max_samples: 50_000_000,
            deadline: None,
            canceled: None,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub value: Value,
    pub notes: Notes,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Scalar(i64, f64),
    String(i64, String),
    /// At one time.
    Vector(Vec<(Labels, i64, Sample)>),
    /// In the order of labels, and none without samples. Series that have a value
    /// at each step share their times.
    Matrix(Vec<Series>),
}

impl Default for Value {
    fn default() -> Self {
        Self::Vector(Vec::new())
    }
}

/// Evaluates a query at a time.
///
/// # Errors
///
/// When it is no query, or cannot be evaluated.
pub fn instant(source: &dyn Source, query: &str, at: i64, options: &Options) -> Result<Answer, Error> {
    let _busy = parallel::Busy::begin();
    let node = parse::query(query, parse::Times::default())?;
    let grid = Grid { start: at, step: 1, count: 1 };
    let mut evaluator = Evaluator::new(source, options, grid);
    let value = match evaluator.eval(&node, grid)? {
        Val::Scalar(values) => Value::Scalar(at, values[0]),
        Val::String(text) => Value::String(at, text),
        Val::Vector(rows) => {
            let rows = eval::clean(rows)?;
            let sample = |row: Row| Some((row.labels, at, row.points.get(0)?));
            Value::Vector(rows.into_iter().filter_map(sample).collect())
        }
        Val::Range(vector) => {
            let (end, start) = (vector.ends[0], vector.ends[0].saturating_sub(vector.range));
            let series = |row: RangeRow| {
                let labels = if row.drop_name { row.labels.without_name() } else { row.labels };
                let samples = match vector.extension {
                    Some(extension) => {
                        Samples::new(extended::samples(&row.samples, (start, end), extension)?)
                    }
                    None => row.samples.between(start.saturating_add(1), end).unpacked(),
                };
                Ok(Series { labels, samples })
            };
            let mut all: Vec<Series> = vector.rows.into_iter().map(series).collect::<Result<_, Error>>()?;
            all.retain(|series| !series.samples.is_empty());
            all.sort_by(|a, b| a.labels.cmp(&b.labels));
            Value::Matrix(all)
        }
    };
    Ok(Answer { value, notes: evaluator.notes })
}

/// Evaluates a query at `start`, and every `step` after that up to `end`.
///
/// # Errors
///
/// When it is no query, or cannot be evaluated.
pub fn range(
    source: &dyn Source,
    query: &str,
    start: i64,
    end: i64,
    step: i64,
    options: &Options,
) -> Result<Answer, Error> {
    let _busy = parallel::Busy::begin();
    let times = parse::Times { step, range: end.saturating_sub(start) };
    let node = parse::query(query, times)?;
    if step <= 0 || end < start {
        return Err(Error::bad_data("the step has to be positive, and the end not before the start"));
    }
    let count = usize::try_from((i128::from(end) - i128::from(start)) / i128::from(step) + 1);
    let count = count.unwrap_or(usize::MAX);
    if count > options.max_samples {
        return Err(Error::execution(
            "query processing would load too many samples into memory in query execution",
        ));
    }
    let grid = Grid { start, step, count };
    let mut evaluator = Evaluator::new(source, options, grid);
    let wrong = |kind: &str| {
        Err(Error::bad_data(format!(
            "invalid expression type \"{kind}\" for range query, must be Scalar or instant Vector"
        )))
    };
    if let Node::Range(..) | Node::Subquery(..) = eval::bare(&node) {
        return wrong("range vector");
    }
    let times = || Shared::from(grid.times().collect::<Vec<i64>>());
    let value = match evaluator.eval(&node, grid)? {
        Val::Scalar(values) => {
            let samples = Samples { times: times(), values: Values::Floats(values.into()) };
            Value::Matrix(vec![Series { labels: Labels::default(), samples }])
        }
        Val::String(_) => return wrong("string"),
        Val::Range(_) => return wrong("range vector"),
        Val::Vector(rows) => {
            let times = times();
            let series = |row: Row| Series { labels: row.labels, samples: row.points.into_samples(&times) };
            let mut all: Vec<Series> = eval::sorted(rows)?.into_iter().map(series).collect();
            all.retain(|series| !series.samples.is_empty());
            Value::Matrix(all)
        }
    };
    Ok(Answer { value, notes: evaluator.notes })
}

/// Whether it is a query.
///
/// # Errors
///
/// When it is none.
pub fn check(query: &str) -> Result<(), Error> {
    parse::with_room(|| parse::query(query, parse::Times::default()).map(drop))
}

/// The query as Prometheus' `format_query` writes it.
///
/// # Errors
///
/// When it is no query.
pub fn format(query: &str) -> Result<String, Error> {
    check(query)?;
    let plain = parse::without_underscores(query);
    // It panics over durations that are none, and knows less.
    parse::with_room(|| {
        let formed = guarded(|| promql_parser::parser::parse(&plain).map(|parsed| parsed.prettify()));
        formed.map_err(|why| Error::bad_data(format!("there is no form for this yet: {why}")))
    })
}

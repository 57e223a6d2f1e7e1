//! `rezolus view`: a server of one page, of what it draws, and of Prometheus' HTTP API.
//!
//! `modes/web/API.md` says what the page asks. Inputs can be exchanged while it runs; whoever
//! asks several things for one answer takes them from the same ones.

pub(crate) mod about;
mod ahead;
mod assets;
pub mod body;
pub mod dashboard;
mod differences;
mod events;
pub mod exchange;
mod guard;
pub mod heat;
pub mod inputs;
pub(crate) mod metrics;
mod open;
pub mod range;
pub mod reduce;
mod save;
pub(crate) mod text;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::RwLock;
use rezolus_store::Source;
use rezolus_store::api::run::{Flag, Runner};
use rezolus_store::api::{self, Form, parse_time};
use rezolus_store::promql::{self, Error, ErrorKind};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::query::{self, LABEL};
use exchange::Exchange;
use inputs::{Opened, State};

pub use assets::is_built;

/// A page asks for all its charts at once, and those that read the same columns share what
/// is decoded if they are under way together: so more are than there are CPUs, by this factor.
/// Each has in memory what it evaluates of a span at a time, which is little.
const TOGETHER: usize = 4;
/// So many quantiles may be asked for at a time.
const MOST_QUANTILES: usize = 20;

/// How the viewer is run.
#[derive(Clone, Debug)]
pub struct Options {
    pub query: query::Options,
    pub api: api::Options,
    /// Names under which it may be asked, besides `localhost` and addresses.
    pub hosts: Vec<String>,
    /// Whether other inputs may be opened from the page.
    pub read_only: bool,
    /// How large a file may be that is dropped onto the page, bytes.
    pub most_sent: u64,
    /// Where those are kept while they are open.
    pub folder: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            query: query::Options::default(),
            api: api::Options::default(),
            hosts: Vec::new(),
            read_only: false,
            most_sent: 1 << 30,
            folder: std::env::temp_dir(),
        }
    }
}

/// The viewer: what is open, and who looks at it.
pub struct Viewer {
    inputs: RwLock<Vec<Arc<Opened>>>,
    exchange: Arc<Exchange>,
    runner: Runner,
    options: Options,
    /// How often inputs were exchanged.
    changed: watch::Sender<u64>,
    /// Of which exchange histograms are decoded ahead, and one more.
    ahead: AtomicU64,
    stopped: watch::Receiver<bool>,
}

type Handle = Shared<Arc<Viewer>>;

impl Viewer {
    /// Opens up to two inputs, `INPUT` or `NAME=INPUT`. Streams of events end when `stopped` changes.
    ///
    /// # Errors
    ///
    /// When one cannot be opened, both have the same name, or there are more.
    pub fn open(
        inputs: &[String],
        options: Options,
        stopped: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, String> {
        if inputs.len() > 2 {
            return Err(format!("{} inputs: one is shown, or two are compared", inputs.len()));
        }
        let open = |input: &String| Ok(Arc::new(Opened::new(input, &options.query)?));
        let inputs = inputs.iter().map(open).collect::<Result<Vec<_>, String>>()?;
        if let [a, b] = &inputs[..]
            && a.name == b.name
        {
            return Err(format!(
                "both inputs would be called {:?}: name them, as in before=A after=B",
                a.name
            ));
        }
        let source = inputs::together(&inputs);
        query::look_at_the_end(&source);
        Ok(Arc::new(Self {
            exchange: Arc::new(Exchange::new(source)),
            inputs: RwLock::new(inputs),
            runner: Runner::new(options.api.concurrency.saturating_mul(TOGETHER)),
            options,
            changed: watch::Sender::new(0),
            ahead: AtomicU64::new(0),
            stopped,
        }))
    }

    /// What is open now.
    pub fn inputs(&self) -> Vec<Arc<Opened>> {
        self.inputs.read().clone()
    }

    /// How many answers were begun so far.
    pub fn answers(&self) -> u64 {
        self.runner.begun()
    }

    /// All pages, for whoever draws without the server.
    pub fn pages(&self) -> Vec<dashboard::Dashboard> {
        dashboard::pages(&self.inputs(), &*self.exchange.current())
    }

    /// Puts an input in place of all that is open, or beside the first.
    fn put(&self, mut opened: Opened, second: bool) {
        // Until all is in place nobody else changes it.
        let mut open = self.inputs.write();
        let mut inputs = open.clone();
        inputs.truncate(usize::from(second));
        if inputs.first().is_some_and(|first| first.name == opened.name) {
            opened.name += "-2";
        }
        inputs.push(Arc::new(opened));
        let source = inputs::together(&inputs);
        query::look_at_the_end(&source);
        self.exchange.replace(source);
        // Those before are dropped when it is free again: files have to go.
        let _before = std::mem::replace(&mut *open, inputs);
        drop(open);
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn state(&self) -> Value {
        let inputs: Vec<State> = self.inputs().iter().map(|input| input.state()).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "read_only": self.options.read_only,
            "label": LABEL,
            "inputs": inputs,
        })
    }

    /// How long a query may take, and who says that nobody waits for it.
    fn engine(&self, canceled: Flag) -> promql::Options {
        promql::Options {
            max_samples: self.options.api.max_samples,
            deadline: Some(Instant::now() + self.options.api.timeout),
            canceled: Some(canceled),
            ..promql::Options::default()
        }
    }

    /// Does what may block or take long on a thread of its own.
    async fn work<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Self, Flag) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        let deadline = Instant::now() + self.options.api.timeout;
        let viewer = self.clone();
        Ok(self.runner.run(Some(deadline), move |flag| work(&viewer, flag)).await?)
    }

    /// An input by its name; without one the first.
    fn input(&self, name: &str) -> Result<Arc<Opened>, Error> {
        let inputs = self.inputs();
        let found = inputs.iter().find(|input| name.is_empty() || input.name == name);
        found.cloned().ok_or_else(|| match inputs.is_empty() {
            true => Error::bad_data("nothing is open"),
            false => Error::bad_data(format!("there is no input {name:?}")),
        })
    }
}

/// A refusal, in Prometheus' form, with the place in the query.
struct Refusal(StatusCode, Value);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let code = match error.kind {
            ErrorKind::BadData => StatusCode::BAD_REQUEST,
            ErrorKind::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Timeout | ErrorKind::Canceled => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut said = json!({"status": "error", "errorType": error.kind.name(), "error": error.message});
        if let Some(range) = error.range {
            said["range"] = json!([range.start, range.end]);
        }
        Self(code, said)
    }
}

impl Refusal {
    fn new(code: StatusCode, why: impl Into<String>) -> Self {
        Self(code, json!({"status": "error", "errorType": "bad_data", "error": why.into()}))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

type Answer = Result<Response, Refusal>;

fn told(value: impl serde::Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(value)).into_response()
}

/// The page, and all it asks.
pub fn router(viewer: Arc<Viewer>) -> Router {
    let names: Arc<[String]> = viewer.options.hosts.clone().into();
    let exchange: Arc<dyn Source> = viewer.exchange.clone();
    let api = api::routes(exchange, viewer.options.api.clone());
    Router::new()
        .route("/view/state", get(state))
        .route("/view/dashboards", get(dashboards))
        .route("/view/metrics", get(all_metrics))
        .route("/view/input/{number}/about", get(about_input))
        .route("/view/range", get(over_time).post(over_time))
        .route("/view/differences", get(all_differences))
        .route("/view/events", get(events::events))
        .route("/view/open", post(open::open).layer(DefaultBodyLimit::disable()))
        .route("/view/save", post(save::save).layer(DefaultBodyLimit::max(16 << 20)))
        .fallback(page)
        .with_state(viewer)
        .merge(api)
        .layer(axum::middleware::from_fn_with_state(names, guard::guard))
}

async fn page(headers: HeaderMap, request: axum::extract::Request) -> Response {
    if !matches!(request.method().as_str(), "GET" | "HEAD") {
        return (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n").into_response();
    }
    assets::serve(request.uri().path().trim_start_matches('/'), &headers)
}

async fn state(Shared(viewer): Handle) -> Answer {
    Ok(told(viewer.work(|viewer, _| Ok(viewer.state())).await?))
}

async fn dashboards(Shared(viewer): Handle) -> Answer {
    let pages = viewer.clone().work(|viewer, _| Ok(viewer.pages())).await?;
    // Somebody looks at it.
    let exchange = *viewer.changed.borrow() + 1;
    if viewer.ahead.swap(exchange, Ordering::Relaxed) != exchange {
        ahead::start(&viewer);
    }
    Ok(told(json!({"dashboards": pages})))
}

async fn all_metrics(Shared(viewer): Handle) -> Answer {
    let all =
        viewer.work(|viewer, _| metrics::metrics(&viewer.inputs(), &*viewer.exchange.current())).await?;
    Ok(told(json!({"metrics": all})))
}

async fn about_input(Shared(viewer): Handle, Path(number): Path<usize>) -> Answer {
    let Some(input) = viewer.inputs().get(number).cloned() else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no input {number}")));
    };
    Ok(told(viewer.work(move |_, _| Ok(about::about(&input))).await?))
}

/// The times of a request.
fn span(form: &Form) -> Result<(i64, i64), Error> {
    let time = |name: &str| {
        let text = form.get(name);
        let within = |time: &i64| time.abs() < i64::MAX / 2;
        let wrong = || Error::bad_data(format!("{name} is a time in seconds, not {text:?}"));
        parse_time(text).ok().filter(within).ok_or_else(wrong)
    };
    Ok((time("start")?, time("end")?))
}

async fn over_time(Shared(viewer): Handle, form: Form) -> Answer {
    let (start, end) = span(&form)?;
    let points = match form.number("points")? {
        None if form.get("points").is_empty() => 1000,
        Some(points) if (10..=10_000).contains(&points) => points,
        _ => {
            let why = format!("points is 10 to 10000, not {}", form.get("points"));
            return Err(Error::bad_data(why).into());
        }
    };
    let step = form.duration("step")?;
    if step.is_some_and(|step| step <= 0) {
        return Err(Error::bad_data("step is a duration above 0").into());
    }
    let format = match form.get("format") {
        "" => None,
        "series" => Some(range::Format::Series),
        "heatmap" => Some(range::Format::Heatmap),
        other => return Err(Error::bad_data(format!("format is series or heatmap, not {other:?}")).into()),
    };
    let quantile = |text: &str| {
        let number = text.trim().parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
        number.ok_or_else(|| Error::bad_data(format!("quantiles are numbers from 0 to 1, not {text:?}")))
    };
    let quantiles = form.get("quantiles").split(',').filter(|text| !text.is_empty()).map(quantile);
    let quantiles = quantiles.collect::<Result<Vec<_>, _>>()?;
    if quantiles.len() > MOST_QUANTILES {
        return Err(Error::bad_data(format!("{MOST_QUANTILES} quantiles are the most")).into());
    }
    let total = !matches!(form.get("total"), "" | "0");
    let query = range::Query { text: form.get("query").into(), format, quantiles, numbers: false };
    let request = range::Request { query, start, end, points, step, total };
    let name = form.get("input").to_string();
    let work = move |viewer: &Viewer, flag: Flag| {
        let options = viewer.engine(flag);
        let inputs = viewer.inputs();
        let (source, interval) = match name.as_str() {
            "" => {
                let interval = inputs.iter().map(|input| input.interval()).max();
                (inputs::together(&inputs), interval.ok_or_else(|| Error::bad_data("nothing is open"))?)
            }
            name => {
                let input = viewer.input(name)?;
                (input.source.clone(), input.interval())
            }
        };
        range::answer(&*source, interval, &request, &options)
    };
    let body = viewer.work(work).await?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from(body)).into_response())
}

async fn all_differences(Shared(viewer): Handle, form: Form) -> Answer {
    let (start, end) = span(&form)?;
    if end < start {
        return Err(Error::bad_data("the end is before the start").into());
    }
    let offset = match form.get("offset") {
        "" => 0.0,
        text => {
            let offset = text.parse::<f64>().ok().filter(|offset| offset.is_finite());
            offset.ok_or_else(|| Error::bad_data(format!("offset is seconds, not {text:?}")))?
        }
    };
    let offset = (offset.clamp(-4e9, 4e9) * 1e9) as i64;
    let work = move |viewer: &Viewer, flag: Flag| {
        let inputs = viewer.inputs();
        let [a, b] = &inputs[..] else {
            return Err(Error::bad_data("two inputs are compared, and there are not two"));
        };
        let a = differences::Side { source: &*a.source, start, end };
        let b = differences::Side {
            source: &*b.source,
            start: start.saturating_add(offset),
            end: end.saturating_add(offset),
        };
        differences::differences(a, b, &viewer.engine(flag))
    };
    let (rows, truncated) = viewer.work(work).await?;
    Ok(told(json!({"rows": rows, "truncated": truncated})))
}

/// How often moving inputs are looked at.
fn pace(inputs: &[Arc<Opened>]) -> Duration {
    let moving = inputs.iter().filter(|input| input.is_moving()).map(|input| input.interval().unsigned_abs());
    Duration::from_nanos(moving.min().unwrap_or(1_000_000_000).clamp(250_000_000, 10_000_000_000))
}

//! Prometheus' HTTP API: its paths, parameters, JSON, errors and status codes, so
//! that Grafana, promtool and whatever else asks Prometheus can ask a [`Source`].
//!
//! What differs: an instant query without a time over data that has ended is
//! answered at the data's end; durations and times are taken to the millisecond,
//! as Prometheus does, but a step is at least one millisecond; there are no CORS
//! headers, so no web page of others can read the data.

mod form;
pub mod json;
pub mod run;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use bytes::Bytes;

use crate::Source;
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::promql::{self, Answer, Error, ErrorKind};

use form::query_error;
use json::Writer;
use run::Runner;

pub use form::{Form, parse_duration, parse_time};

/// What a server allows its clients.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a query may take, the wait for others included.
    pub timeout: Duration,
    /// How many samples a query may have in memory at a time.
    pub max_samples: usize,
    /// How many bytes of JSON an answer may have.
    pub max_bytes: usize,
    /// How many queries run at a time; others wait. At least one does.
    pub concurrency: usize,
    /// How old a sample may be to stand for now, unless the client says.
    pub lookback: Duration,
    /// The step of subqueries that do not say theirs.
    pub default_step: Duration,
    /// The version of Prometheus that clients take this for. Grafana decides by it
    /// what it may ask.
    pub version: String,
}

impl Default for Options {
    fn default() -> Self {
        let engine = promql::Options::default();
        let nanos = |ns: i64| Duration::from_nanos(ns.unsigned_abs());
        Self {
            timeout: Duration::from_secs(120),
            max_samples: engine.max_samples,
            max_bytes: 64 << 20,
            concurrency: std::thread::available_parallelism().map_or(2, usize::from),
            lookback: nanos(engine.lookback),
            default_step: nanos(engine.default_step),
            version: "3.8.0".into(),
        }
    }
}

struct Api {
    source: Arc<dyn Source>,
    options: Options,
    runner: Runner,
}

type Shared = State<Arc<Api>>;

/// The paths below `/api/v1/`, and 404 for all others.
pub fn router(source: Arc<dyn Source>, options: Options) -> Router {
    routes(source, options).fallback(|| async { (StatusCode::NOT_FOUND, "404 page not found\n") })
}

/// The paths below `/api/v1/`, for a server that has others too.
pub fn routes(source: Arc<dyn Source>, options: Options) -> Router {
    let runner = Runner::new(options.concurrency);
    let api = Arc::new(Api { source, options, runner });
    Router::new()
        .route("/api/v1/query", both(query))
        .route("/api/v1/query_range", both(query_range))
        .route("/api/v1/query_exemplars", both(query_exemplars))
        .route("/api/v1/format_query", both(format_query))
        .route("/api/v1/labels", both(labels))
        .route("/api/v1/series", both(series))
        .route("/api/v1/label/{name}/values", only_get(label_values))
        .route("/api/v1/metadata", only_get(metadata))
        .route("/api/v1/status/buildinfo", only_get(buildinfo))
        .route("/api/v1/rules", only_get(rules))
        .route("/api/v1/alerts", only_get(alerts))
        .with_state(api)
}

fn both<H, T>(handler: H) -> MethodRouter<Arc<Api>>
where
    H: axum::handler::Handler<T, Arc<Api>> + Clone,
    T: 'static,
{
    get(handler.clone()).post(handler).fallback(wrong_method)
}

fn only_get<H, T>(handler: H) -> MethodRouter<Arc<Api>>
where
    H: axum::handler::Handler<T, Arc<Api>>,
    T: 'static,
{
    get(handler).fallback(wrong_method)
}

async fn wrong_method() -> (StatusCode, &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
}

/// A refusal, in Prometheus' form.
#[derive(Debug)]
pub struct Refusal(pub Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = match self.0.kind {
            ErrorKind::BadData => 400,
            ErrorKind::Execution => 422,
            ErrorKind::Timeout => 503,
            ErrorKind::Canceled => 499,
            ErrorKind::Internal => 500,
        };
        let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (code, [(header::CONTENT_TYPE, "application/json")], json::refusal(&self.0)).into_response()
    }
}

fn answered(body: impl Into<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], Body::from(body.into())).into_response()
}

impl Api {
    /// How the engine is to take a query with these parameters.
    fn options(&self, form: &Form) -> Result<promql::Options, Error> {
        let timeout = form.duration("timeout")?.map_or(self.options.timeout, |asked| {
            Duration::from_nanos(asked.max(0).unsigned_abs()).min(self.options.timeout)
        });
        let lookback = match form.get("lookback_delta") {
            "" => 0,
            text => parse_duration(text).map_err(|why| {
                Error::bad_data(format!("error parsing lookback delta duration: {}", why.message))
            })?,
        };
        let own = form::nanos(self.options.lookback);
        Ok(promql::Options {
            lookback: if lookback > 0 { lookback } else { own },
            default_step: form::nanos(self.options.default_step),
            max_samples: self.options.max_samples,
            deadline: std::time::Instant::now().checked_add(timeout),
            canceled: None,
        })
    }

    /// The time of a query that does not say one.
    fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, form::nanos);
        match self.source.range() {
            Some((_, end)) if now.saturating_sub(end) > form::nanos(self.options.lookback) => end,
            _ => now,
        }
    }

    /// Evaluates a query, and writes the answer.
    async fn answer(
        self: Arc<Self>,
        mut options: promql::Options,
        limit: usize,
        evaluate: impl FnOnce(&dyn Source, &promql::Options) -> Result<Answer, Error> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let api = self.clone();
        let deadline = options.deadline;
        let work = move |canceled: run::Flag| {
            options.canceled = Some(canceled);
            let mut answer = evaluate(&*api.source, &options).map_err(query_error)?;
            json::truncate(&mut answer, limit);
            let mut writer = Writer::new(api.options.max_bytes);
            writer.response(&answer)?;
            Ok(writer.into_bytes())
        };
        Ok(answered(self.runner.run(deadline, work).await?))
    }

    /// Does what may block or take long, and writes what comes of it.
    async fn list(
        self: Arc<Self>,
        form: &Form,
        work: impl FnOnce(&dyn Source, &mut Writer) -> Result<(), Error> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let deadline = self.options(form)?.deadline;
        let api = self.clone();
        let run = move |_| {
            let mut writer = Writer::new(api.options.max_bytes);
            work(&*api.source, &mut writer)?;
            Ok(writer.into_bytes())
        };
        Ok(answered(self.runner.run(deadline, run).await?))
    }
}

async fn query(State(api): Shared, form: Form) -> Result<Response, Refusal> {
    let limit = form.limit()?;
    let at = match form.time_or("time", i64::MIN)? {
        i64::MIN => api.now(),
        at => form::within("time", form.get("time"), at)?,
    };
    let options = api.options(&form)?;
    let text = form.get("query").to_string();
    api.answer(options, limit, move |source, options| promql::instant(source, &text, at, options)).await
}

async fn query_range(State(api): Shared, form: Form) -> Result<Response, Refusal> {
    let limit = form.limit()?;
    let start = form.bound("start")?;
    let end = form.bound("end")?;
    if end < start {
        let why = Error::bad_data("end timestamp must not be before start time");
        return Err(form::invalid("end", why).into());
    }
    let step = form.step()?;
    if (end - start) / step > 11_000 {
        return Err(Error::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        )
        .into());
    }
    let options = api.options(&form)?;
    let text = form.get("query").to_string();
    api.answer(options, limit, move |source, options| promql::range(source, &text, start, end, step, options))
        .await
}

async fn format_query(form: Form) -> Result<Response, Refusal> {
    let text = promql::format(form.get("query")).map_err(query_error)?;
    Ok(answered(json::success(|writer| {
        writer.text(&text);
        Ok(())
    })?))
}

/// There are no exemplars in recordings.
async fn query_exemplars(form: Form) -> Result<Response, Refusal> {
    let (start, end) = form.span()?;
    if end < start {
        return Err(Error::bad_data("end timestamp must not be before start timestamp").into());
    }
    promql::check(form.get("query"))?;
    Ok(answered(&br#"{"status":"success","data":[]}"#[..]))
}

async fn rules() -> Response {
    answered(&br#"{"status":"success","data":{"groups":[]}}"#[..])
}

async fn alerts() -> Response {
    answered(&br#"{"status":"success","data":{"alerts":[]}}"#[..])
}

async fn buildinfo(State(api): Shared) -> Result<Response, Refusal> {
    let version = api.options.version.clone();
    let revision = concat!("rezolus-", env!("CARGO_PKG_VERSION"));
    Ok(answered(json::success(|writer| {
        let fields = [
            ("version", version.as_str()),
            ("revision", revision),
            ("branch", "rezolus"),
            ("buildUser", ""),
            ("buildDate", ""),
            ("goVersion", ""),
        ];
        writer.strings(&fields);
        Ok(())
    })?))
}

/// The selectors of `match[]`. None at all selects everything.
fn selectors(form: &Form) -> Result<Vec<Vec<Matcher>>, Error> {
    let one = |text: &str| {
        let matchers = promql::parse_selector(text)?;
        if matchers.iter().all(|matcher| matcher.matches("")) {
            return Err(Error::bad_data("match[] must contain at least one non-empty matcher"));
        }
        Ok(matchers)
    };
    form.all("match[]").map(one).collect()
}

/// The series that one of the selectors selects.
fn selected(
    source: &dyn Source,
    selectors: &[Vec<Matcher>],
    (start, end): (i64, i64),
) -> Result<Vec<Labels>, Error> {
    if let [only] = selectors {
        return source.series(only, start, end);
    }
    if selectors.is_empty() {
        return source.series(&[], start, end);
    }
    let mut all = BTreeSet::new();
    for matchers in selectors {
        all.extend(source.series(matchers, start, end)?);
    }
    Ok(all.into_iter().collect())
}

async fn series(State(api): Shared, form: Form) -> Result<Response, Refusal> {
    form.well_formed()?;
    if form.all("match[]").next().is_none() {
        return Err(Error::bad_data("no match[] parameter provided").into());
    }
    let limit = form.limit()?;
    let span = form.span()?;
    let selectors = selectors(&form).map_err(|error| form::invalid("match[]", error))?;
    api.list(&form, move |source, writer| {
        let mut all = selected(source, &selectors, span)?;
        all.sort();
        writer.listed(&all, limit, Writer::labels)
    })
    .await
}

async fn labels(State(api): Shared, form: Form) -> Result<Response, Refusal> {
    form.well_formed()?;
    let limit = form.limit()?;
    let span = form.span()?;
    let selectors = selectors(&form)?;
    api.list(&form, move |source, writer| {
        let all = selected(source, &selectors, span)?;
        let names: BTreeSet<&str> =
            all.iter().flat_map(|labels| labels.iter().map(|(name, _)| &**name)).collect();
        writer.listed(&Vec::from_iter(names), limit, |writer, name| writer.text(name))
    })
    .await
}

async fn label_values(State(api): Shared, Path(name): Path<String>, form: Form) -> Result<Response, Refusal> {
    let name = form::unescape_name(&name);
    form.well_formed()?;
    let limit = form.limit()?;
    let span = form.span()?;
    let selectors = selectors(&form)?;
    api.list(&form, move |source, writer| {
        let all = selected(source, &selectors, span)?;
        let values: BTreeSet<&str> =
            all.iter().map(|labels| labels.get(&name)).filter(|value| !value.is_empty()).collect();
        writer.listed(&Vec::from_iter(values), limit, |writer, value| writer.text(value))
    })
    .await
}

async fn metadata(State(api): Shared, form: Form) -> Result<Response, Refusal> {
    let limit = form.number("limit")?;
    // There is one of each metric: nothing to limit.
    form.number("limit_per_metric")?;
    let metric = form.get("metric").to_string();
    api.list(&form, move |source, writer| {
        let mut all = source.metadata();
        if !metric.is_empty() {
            all.retain(|name, _| *name == metric);
        }
        writer.metadata(all.iter().take(limit.unwrap_or(usize::MAX)))
    })
    .await
}

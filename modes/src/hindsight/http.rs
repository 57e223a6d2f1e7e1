//! Hindsight's HTTP: what it holds, and snapshots of it.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{Hindsight, NoTicks, Span};

/// `/status`, `/dump`, `/dump/file`.
pub fn router(hindsight: Arc<Hindsight>) -> Router {
    Router::new()
        .route("/", get(banner))
        .route("/status", get(status))
        .route("/dump", get(dump))
        .route("/dump/file", post(dump_file))
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such path; / lists those there are\n") })
        .with_state(hindsight)
}

async fn banner() -> &'static str {
    "Rezolus Hindsight\n\n\
     GET  /status     what the buffer holds\n\
     GET  /dump       a recording of it, or of a part: ?last=5m, ?start=...&end=... (RFC 3339 or epoch seconds)\n\
     POST /dump/file  the same, written where the configuration says\n"
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    last: Option<String>,
    start: Option<String>,
    end: Option<String>,
}

impl Parameters {
    fn span(&self) -> Result<Span, String> {
        Span::parse(self.last.as_deref(), self.start.as_deref(), self.end.as_deref())
    }
}

async fn status(State(hindsight): State<Arc<Hindsight>>) -> Response {
    Json(hindsight.status()).into_response()
}

/// Runs what blocks elsewhere.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, (StatusCode, String)> {
    let fail = |error: anyhow::Error| match error.is::<NoTicks>() {
        true => (StatusCode::NOT_FOUND, error.to_string()),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}")),
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(fail),
        Err(error) => Err(fail(error.into())),
    }
}

async fn dump(State(hindsight): State<Arc<Hindsight>>, Query(parameters): Query<Parameters>) -> Response {
    let span = match parameters.span() {
        Ok(span) => span,
        Err(why) => return (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    };
    match blocking(move || recording(&hindsight, &span)).await {
        Ok(body) => {
            let headers = [
                (header::CONTENT_TYPE, "application/vnd.apache.parquet"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"dump.parquet\""),
            ];
            (headers, body).into_response()
        }
        Err((code, why)) => (code, format!("{why}\n")).into_response(),
    }
}

/// A recording as the body of an answer: a file that is mapped and has no name
/// any more, so that its length is no matter.
fn recording(hindsight: &Hindsight, span: &Span) -> anyhow::Result<Bytes> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("dump-{}-{}.tmp", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = hindsight.folder().join(name);
    let mapped = hindsight.dump(span, &path).and_then(|_| {
        let file = std::fs::File::open(&path)?;
        // SAFETY: the file is ours alone and is not written any more.
        Ok(unsafe { memmap2::Mmap::map(&file)? })
    });
    let _ = std::fs::remove_file(&path);
    Ok(Bytes::from_owner(mapped?))
}

async fn dump_file(
    State(hindsight): State<Arc<Hindsight>>,
    Query(parameters): Query<Parameters>,
) -> Response {
    let span = match parameters.span() {
        Ok(span) => span,
        Err(why) => return (StatusCode::BAD_REQUEST, Json(json!({ "error": why }))).into_response(),
    };
    match blocking(move || hindsight.dump_to_output(&span)).await {
        Ok(dumped) => Json(dumped).into_response(),
        Err((code, why)) => (code, Json(json!({ "error": why }))).into_response(),
    }
}

//! The exporter's paths.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metriken_exposition::Snapshot as Exchange;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::collect::{Exporter, Format};
use crate::SourceError;
use crate::snapshot::Snapshot;
use crate::source::headers::Wanted;
use crate::wire::Encoder;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// What a slow client gets at the stop.
const MOMENT: Duration = Duration::from_secs(1);

struct Server {
    exporter: Arc<Exporter>,
    encoder: Mutex<Encoder>,
}

type Handle = State<Arc<Server>>;

/// The paths, for a server of the caller's.
pub fn router(exporter: Arc<Exporter>) -> Router {
    Router::new()
        .route("/", get(banner))
        .route("/metrics", get(metrics))
        .route("/metrics/json", get(json))
        .route("/metrics/binary", get(binary))
        .fallback(not_found)
        .with_state(Arc::new(Server { exporter, encoder: Mutex::default() }))
}

/// Serves until `stop` changes; what is being answered then gets a moment to
/// finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let stopped = |mut stop: watch::Receiver<bool>| async move {
        let _ = stop.changed().await;
    };
    let server = axum::serve(listener, router).with_graceful_shutdown(stopped(stop.clone()));
    tokio::select! {
        ended = server => ended,
        () = async {
            stopped(stop).await;
            tokio::time::sleep(MOMENT).await;
        } => Ok(()),
    }
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "no such path; / lists those there are\n").into_response()
}

async fn banner() -> String {
    format!(
        "Rezolus {} Exporter\n\n\
         /metrics         for Prometheus: text, OpenMetrics or protobuf\n\
         /metrics/json    the agent's snapshot as JSON\n\
         /metrics/binary  the same as msgpack\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Does what may block without holding up other connections.
async fn blocking<T: Send + 'static>(
    server: &Arc<Server>,
    work: impl FnOnce(&Server) -> Result<T, SourceError> + Send + 'static,
) -> Result<T, Response> {
    let server = server.clone();
    match tokio::task::spawn_blocking(move || work(&server)).await {
        Ok(result) => result.map_err(|error| unavailable(&error.to_string())),
        Err(error) => Err(unavailable(&error.to_string())),
    }
}

fn unavailable(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}

fn answer(body: Result<Vec<u8>, Response>, content_type: &'static str) -> Response {
    match body {
        Ok(body) => ([(header::CONTENT_TYPE, content_type)], body).into_response(),
        Err(response) => response,
    }
}

async fn metrics(State(server): Handle, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = negotiate(&accepted.collect::<Vec<_>>().join(","));
    let content_type = match format {
        Format::Text => TEXT,
        Format::OpenMetrics => OPENMETRICS,
        Format::Protobuf => PROTOBUF,
    };
    answer(blocking(&server, move |server| server.exporter.scrape(format)).await, content_type)
}

async fn json(State(server): Handle) -> Response {
    let encode = |snapshot: Arc<Snapshot>| {
        serde_json::to_vec(&Exchange::V3(snapshot.to_exchange()))
            .map_err(|error| SourceError::new(format!("it cannot be encoded: {error}")))
    };
    let body = blocking(&server, move |server| server.exporter.snapshot().and_then(encode)).await;
    answer(body, "application/json")
}

async fn binary(State(server): Handle, headers: HeaderMap) -> Response {
    let held = Wanted::of(&headers).held;
    let work = move |server: &Server| {
        let snapshot = server.exporter.snapshot()?;
        server.encoder.lock().encode(&snapshot, &held).map_err(SourceError::new)
    };
    answer(blocking(&server, work).await, "application/octet-stream")
}

/// The format a client likes best, given its `Accept`; text if it says nothing
/// that is known.
fn negotiate(accept: &str) -> Format {
    let mut best = (Format::Text, 0.0);
    for offer in accept.split(',') {
        let mut parts = offer.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<(&str, &str)> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
            .collect();
        let parameter = |wanted: &str| {
            parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value)
        };
        let format = match media.as_str() {
            "text/plain" | "text/*" | "*/*" => Format::Text,
            "application/openmetrics-text" if parameter("version").is_none_or(|v| v == "1.0.0") => {
                Format::OpenMetrics
            }
            "application/vnd.google.protobuf"
                if parameter("proto").is_none_or(|proto| proto == "io.prometheus.client.MetricFamily")
                    && parameter("encoding") == Some("delimited") =>
            {
                Format::Protobuf
            }
            _ => continue,
        };
        let quality = parameter("q").and_then(|q| q.parse().ok()).unwrap_or(1.0);
        if quality > best.1 {
            best = (format, quality);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let native = format!(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,{}",
            prometheus.replace("version=1.0.0,", "version=1.0.0;q=0.8,")
        );
        for (accept, expected) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html, */*;q=0.8", Format::Text),
            ("nonsense;;q=,=", Format::Text),
            (prometheus, Format::OpenMetrics),
            (&native, Format::Protobuf),
            ("application/openmetrics-text; version=0.0.1", Format::Text),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.3", Format::Text),
            ("application/openmetrics-text;version=\"1.0.0\";q=0", Format::Text),
            ("application/vnd.google.protobuf;encoding=text", Format::Text),
        ] {
            assert_eq!(negotiate(accept), expected, "{accept}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_too_odd(accept in "(?s).*|[a-z/*;=,.q0-9 \"]*") {
            negotiate(&accept);
        }
    }
}

//! `view/events`: what changes, as server-sent events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::mpsc;

use super::inputs::seconds;
use super::{Handle, Viewer, pace};

/// A comment keeps proxies from closing a silent stream.
const SILENCE: Duration = Duration::from_secs(15);

pub async fn events(Shared(viewer): Handle) -> Response {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(tell(viewer, sender));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::new(Stream(receiver))).into_response()
}

/// Tells until nobody listens, or the server stops.
async fn tell(viewer: Arc<Viewer>, sender: mpsc::Sender<Bytes>) {
    let (mut changed, mut stopped) = (viewer.changed.subscribe(), viewer.stopped.clone());
    let mut before = String::new();
    let mut spoken = Instant::now();
    // The browser's page is to know at once that it is connected.
    let mut next = Some("retry: 1000\n\n".to_string());
    loop {
        if let Some(text) = next.take() {
            spoken = Instant::now();
            if sender.send(text.into()).await.is_err() {
                return;
            }
        }
        let inputs = viewer.inputs();
        let moving = inputs.iter().any(|input| input.is_moving());
        let wait = if moving { pace(&inputs) } else { SILENCE };
        tokio::select! {
            _ = stopped.changed() => return,
            () = sender.closed() => return,
            change = changed.changed() => match change {
                Ok(()) => next = Some("event: inputs\ndata: {}\n\n".into()),
                Err(_) => return,
            },
            () = tokio::time::sleep(wait) => {
                if moving {
                    // A log's folder is looked at, which may take a moment.
                    let look = move || {
                        let of = |input: &Arc<super::inputs::Opened>| {
                            let end = seconds(input.source.range().unwrap_or_default().1);
                            json!({"name": input.name, "end": end, "error": input.error()})
                        };
                        json!({"inputs": inputs.iter().map(of).collect::<Vec<_>>()}).to_string()
                    };
                    let Ok(now) = tokio::task::spawn_blocking(look).await else { return };
                    if now != before {
                        next = Some(format!("data: {now}\n\n"));
                        before = now;
                    }
                }
                if next.is_none() && spoken.elapsed() >= SILENCE {
                    next = Some(":\n\n".into());
                }
            }
        }
    }
}

/// What comes through a channel, as a body.
pub struct Stream(pub mpsc::Receiver<Bytes>);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

//! `view/open`: a file that is sent, or an agent, becomes an input.

use std::io::Write;

use axum::body::{Body, HttpBody};
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use serde::Deserialize;
use tempfile::NamedTempFile;

use super::inputs::Opened;
use super::{Answer, Handle, Refusal, Viewer, told};

#[derive(Deserialize)]
pub struct Wanted {
    name: Option<String>,
    url: Option<String>,
    /// `B`: beside the first one, instead of in its place.
    #[serde(rename = "as")]
    place: Option<String>,
}

pub async fn open(Shared(viewer): Handle, Query(wanted): Query<Wanted>, body: Body) -> Answer {
    if viewer.options.read_only {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "this viewer was started with --read-only"));
    }
    let second = match wanted.place.as_deref() {
        None | Some("" | "A") => false,
        Some("B") => true,
        Some(other) => {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, format!("as is A or B, not {other:?}")));
        }
    };
    let bad = |why: String| Refusal::new(StatusCode::BAD_REQUEST, why);
    let query = viewer.options.query.clone();
    let open: Box<dyn FnOnce() -> Result<Opened, String> + Send> = match wanted.url {
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            Box::new(move || Opened::new(&url, &query))
        }
        // A path would let whoever reaches the page read files of this machine.
        Some(url) => return Err(bad(format!("{url:?} is no URL: it begins with http://"))),
        None => {
            // Its last part, whatever the browser calls it.
            let name = wanted.name.as_deref().and_then(|name| name.rsplit(['/', '\\']).next());
            let name = name.filter(|name| !name.is_empty()).unwrap_or("dropped.parquet").to_string();
            let file = receive(&viewer, &name, body).await?;
            Box::new(move || Opened::sent(file.into_temp_path(), &name, &query))
        }
    };
    let opened = tokio::task::spawn_blocking(open).await;
    let opened =
        opened.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let opened = opened.map_err(bad)?;
    let state = viewer.work(move |viewer, _| {
        viewer.put(opened, second);
        Ok(viewer.state())
    });
    Ok(told(state.await?))
}

/// Writes the body to a file of its own.
async fn receive(viewer: &Viewer, name: &str, mut body: Body) -> Result<NamedTempFile, Refusal> {
    let folder = &viewer.options.folder;
    let fail = |error: std::io::Error| {
        let why = format!("{name} cannot be kept in {}: {error}", folder.display());
        Refusal::new(StatusCode::INSUFFICIENT_STORAGE, why)
    };
    let most = viewer.options.most_sent;
    let too_large = || {
        let why = format!("{name} is larger than {} MiB: open it with `rezolus view {name}`", most >> 20);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    };
    if body.size_hint().lower() > most {
        return Err(too_large());
    }
    let mut file = tempfile::Builder::new().prefix("rezolus-view-").tempfile_in(folder).map_err(fail)?;
    let mut bytes = 0;
    loop {
        let frame = std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| {
            Refusal::new(StatusCode::BAD_REQUEST, format!("{name} did not come as a whole: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        bytes += data.len() as u64;
        if bytes > most {
            return Err(too_large());
        }
        file.write_all(&data).map_err(fail)?;
    }
    if bytes == 0 {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, format!("{name} is empty")));
    }
    Ok(file)
}

//! `view/save`: a span of an input, with what was added to it, as a recording to keep.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Json, extract::rejection::JsonRejection};
use rezolus_store::promql::Error;
use serde::Deserialize;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::about::NOTES;
use super::events::Stream;
use super::inputs::Opened;
use super::{Answer, Handle, Refusal};
use crate::log::Contents;
use crate::query::Origin;
use crate::recorder;
use crate::recording::annotate::{self, Event};
use crate::recording::filter;
use crate::recording::select::{Metrics, Span, When};

/// By so much times in seconds may be off, ns.
const INEXACT: u64 = 1000;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    input: String,
    /// Seconds; without them, from the beginning and to the end.
    start: Option<f64>,
    end: Option<f64>,
    events: Vec<Happened>,
    notes: Option<Value>,
}

#[derive(Deserialize)]
struct Happened {
    timestamp: f64,
    description: String,
}

pub async fn save(Shared(viewer): Handle, wanted: Result<Json<Wanted>, JsonRejection>) -> Answer {
    let Json(wanted) = wanted.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let input = viewer.input(&wanted.input)?;
    let stem = input.title.trim_end_matches(".parquet").rsplit('/').next().unwrap_or_default().to_string();
    let work = move |viewer: &super::Viewer, _| {
        made(&input, &wanted, &viewer.options.folder).map_err(Error::execution)
    };
    let file = viewer.work(work).await?;
    let length = file.as_file().metadata().map(|about| about.len()).unwrap_or_default();
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || send(file, &sender));
    // A name that needs no quoting whatever the input is called.
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(plain).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.apache.parquet".to_string()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}-saved.parquet\"")),
    ];
    Ok((headers, Body::new(Stream(receiver))).into_response())
}

/// Writes what is wanted into a file that goes when it is closed.
fn made(input: &Opened, wanted: &Wanted, folder: &Path) -> Result<NamedTempFile, String> {
    let aside = || {
        let made = tempfile::Builder::new().prefix("rezolus-view-").suffix(".parquet").tempfile_in(folder);
        made.map_err(|error| format!("{}: {error}", folder.display()))
    };
    let ns = |seconds: f64| (seconds.clamp(0.0, 1.8e10) * 1e9).round() as u64;
    // A row at the very time that was told is within, although seconds as JSON has them are not that exact.
    let start = wanted.start.map_or(0, |start| ns(start).saturating_sub(INEXACT));
    let end = wanted.end.map_or(u64::MAX, |end| ns(end).saturating_add(INEXACT));
    let mut file = aside()?;
    let write = |contents: &Contents, more, file: &NamedTempFile| {
        if contents.rows == 0 {
            return Err(format!("{}: there is nothing in that span", input.title));
        }
        recorder::write_recording(contents, file.path(), more).map_err(|error| format!("{error:#}"))
    };
    match &input.origin {
        Origin::Recording(_) => {
            let path = input.path.as_deref().ok_or("where this recording is, is not known")?;
            let span = Span { from: Some(When::At(start)), to: Some(When::At(end)) };
            let (metrics, output) = (Metrics::default(), file.path().into());
            let filter = filter::Args { input: path.into(), output, metrics, span, force: true };
            filter.run(&mut std::io::sink()).map_err(|error| error.to_string())?;
        }
        Origin::Log(log) => {
            let contents = Contents::read(log.folder(), start..=end)?;
            write(&contents, Default::default(), &file)?;
        }
        Origin::Live(live) => {
            let (contents, source) = live.contents(start..=end)?;
            write(&contents, recorder::described(&source, &**live.agent()), &file)?;
        }
    }
    let event = |event: &Happened| Event {
        when: When::At(ns(event.timestamp)),
        description: event.description.clone(),
    };
    let notes = wanted.notes.as_ref().map(|notes| format!("{NOTES}={notes}").parse());
    let annotate = annotate::Args {
        input: file.path().into(),
        output: None,
        event: wanted.events.iter().map(event).collect(),
        metadata: notes.into_iter().collect::<Result<_, String>>()?,
        force: true,
    };
    if !annotate.event.is_empty() || !annotate.metadata.is_empty() {
        let annotated = aside()?;
        let annotate = annotate::Args { output: Some(annotated.path().into()), ..annotate };
        annotate.run(&mut std::io::sink()).map_err(|error| error.to_string())?;
        file = annotated;
    }
    // Both were renamed into place: what is open is what was there before.
    let path = file.into_temp_path();
    let written = File::open(&path).map_err(|error| error.to_string())?;
    Ok(NamedTempFile::from_parts(written, path))
}

/// Sends the file until its end, or nobody takes it any more.
fn send(mut file: NamedTempFile, sender: &mpsc::Sender<Bytes>) {
    loop {
        let mut part = vec![0; 1 << 16];
        match file.read(&mut part) {
            Ok(0) => return,
            Ok(read) => {
                part.truncate(read);
                if sender.blocking_send(part.into()).is_err() {
                    return;
                }
            }
            // The length that was told is not reached, so the browser knows.
            Err(error) => return tracing::warn!("a recording to be saved: {error}"),
        }
    }
}

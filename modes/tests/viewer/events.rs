//! The stream that says what changed.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use rezolus_modes::viewer::Options;

use super::ask::{Asker, request, viewer, with};
use super::made::{append, exporter, folder, log, usual};

/// What comes next: None at the end.
fn next(asker: &Asker, body: &mut Body) -> Option<String> {
    let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
    let frame = asker.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), frame).await });
    let data = frame.expect("something in time")?.unwrap().into_data().unwrap();
    Some(String::from_utf8(data.to_vec()).unwrap())
}

fn listen(asker: &Asker) -> Body {
    let response = asker.response(request("GET", "/view/events", ""));
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let mut body = response.into_body();
    // Whoever listens hears at once that it does.
    assert_eq!(next(asker, &mut body).unwrap(), "retry: 1000\n\n");
    body
}

#[test]
fn other_inputs_are_told() {
    let folder = folder();
    let asker = viewer(&[usual(10).write(&folder, "a.parquet")]);
    let (mut one, mut other) = (listen(&asker), listen(&asker));
    let bytes = std::fs::read(usual(20).write(&folder, "b.parquet")).unwrap();
    asker.post("/view/open?name=b.parquet", bytes).good();
    for body in [&mut one, &mut other] {
        assert_eq!(next(&asker, body).unwrap(), "event: inputs\ndata: {}\n\n");
    }
    // What is refused changes nothing: the next is the end.
    asker.post("/view/open?name=b.parquet", "no recording").refusal(400);
    asker.stop.send(true).unwrap();
    assert_eq!((next(&asker, &mut one), next(&asker, &mut other)), (None, None));
}

#[test]
fn it_ends_when_the_server_stops() {
    let asker = viewer::<&str>(&[]);
    let mut body = listen(&asker);
    asker.stop.send(true).unwrap();
    assert_eq!(next(&asker, &mut body), None);
    // One that began too late as well.
    let late = asker.response(request("GET", "/view/events", "")).into_body();
    let mut late = late;
    while next(&asker, &mut late).is_some() {}
}

#[test]
fn a_log_that_grows_is_told() {
    let folder = folder();
    let mut log = log(&folder, 5);
    let asker = viewer(&[format!("now={}", folder.path().display())]);
    let mut body = listen(&asker);
    let end = |text: &str| -> f64 {
        let said = text.strip_prefix("data: ").unwrap().trim();
        let said: serde_json::Value = serde_json::from_str(said).unwrap();
        let input = &said["inputs"][0];
        assert_eq!((input["name"].as_str(), &input["error"]), (Some("now"), &serde_json::Value::Null));
        input["end"].as_f64().unwrap()
    };
    let first = end(&next(&asker, &mut body).unwrap());
    append(&mut log, 5);
    append(&mut log, 6);
    assert_eq!(end(&next(&asker, &mut body).unwrap()), first + 2.0);
}

#[test]
fn an_agent_that_answers_is_told() {
    let mut options = Options::default();
    options.query.interval = Duration::from_millis(50);
    let asker = with(&[exporter()], options).unwrap();
    let mut body = listen(&asker);
    let told = |text: Option<String>| text.unwrap().strip_prefix("data: {").is_some();
    assert!(told(next(&asker, &mut body)) && told(next(&asker, &mut body)));
}

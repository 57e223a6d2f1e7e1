//! Files that are dropped onto the page, and agents that are opened from it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use http_body::Frame;
use rezolus_modes::viewer::Options;
use serde_json::json;
use tempfile::TempDir;
use tower::ServiceExt;

use super::ask::{Asker, encode, with};
use super::made::{START, exporter, folder, usual};

/// A viewer of `first`, and the folder where it keeps what is sent.
fn opened(first: &TempDir, change: impl Fn(&mut Options)) -> (Asker, TempDir) {
    let kept = folder();
    let mut options = Options { folder: kept.path().into(), ..Options::default() };
    change(&mut options);
    (with(&[usual(10).write(first, "first.parquet")], options).unwrap(), kept)
}

fn sent(rows: u64) -> Vec<u8> {
    let folder = folder();
    std::fs::read(usual(rows).write(&folder, "x")).unwrap()
}

fn files(folder: &TempDir) -> usize {
    std::fs::read_dir(folder.path()).unwrap().count()
}

/// Who still reads a file, such as the thread that looks at its end, keeps it a moment longer.
fn becomes(folder: &TempDir, count: usize) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while files(folder) != count {
        assert!(std::time::Instant::now() < until, "{} files instead of {count}", files(folder));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// What comes bit by bit.
struct Parts(VecDeque<Result<Vec<u8>, &'static str>>);

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let part = self.0.pop_front();
        let frame = |bytes: Vec<u8>| Frame::data(bytes.into());
        Poll::Ready(part.map(|part| part.map(frame).map_err(std::io::Error::other)))
    }
}

#[test]
fn a_file_takes_the_place_of_what_was_open() {
    let folder = folder();
    let (asker, kept) = opened(&folder, |_| {});
    let state = asker.post("/view/open?name=second.parquet", sent(20)).good();
    assert_eq!(state, asker.state());
    let input = &state["inputs"][0];
    assert_eq!((&input["name"], &input["title"]), (&json!("second"), &json!("second.parquet")));
    assert_eq!((&input["kind"], &input["end"]), (&json!("recording"), &json!(START as f64 + 19.0)));
    assert_eq!(asker.names().len(), 1);
    // All ask the new one.
    let series = asker.told(&format!("/api/v1/query?query=max(cpu_usage)&time={}", START + 25));
    assert_eq!(series["data"]["result"][0]["value"][1], "361");
    assert_eq!(asker.told("/view/input/0/about")["file"]["rows"], 20);
    assert_eq!(files(&kept), 1);
    // The one before goes.
    asker.post("/view/open?name=third.parquet", sent(30)).good();
    assert_eq!(asker.names(), ["third"]);
    becomes(&kept, 1);
    drop(asker);
    becomes(&kept, 0);
}

#[test]
fn a_second_one_is_beside_the_first() {
    let folder = folder();
    let (asker, kept) = opened(&folder, |_| {});
    asker.post("/view/open?name=b.parquet&as=B", sent(20)).good();
    assert_eq!(asker.names(), ["first", "b"]);
    asker.post("/view/open?name=c.parquet&as=B", sent(20)).good();
    assert_eq!(asker.names(), ["first", "c"]);
    becomes(&kept, 1);
    // Two of one name can be told apart.
    asker.post("/view/open?name=first.parquet&as=B", sent(20)).good();
    let names = asker.names();
    assert!(names[0] == "first" && names[1] != "first", "{names:?}");
    let said = asker.told("/api/v1/label/recording/values");
    assert_eq!(said["data"], json!(names));
    // In the first's place: alone.
    asker.post("/view/open?name=a.parquet&as=A", sent(20)).good();
    assert_eq!(asker.names(), ["a"]);
    becomes(&kept, 1);
    assert!(asker.post("/view/open?name=a.parquet&as=C", sent(20)).refusal(400).contains("\"C\""));
    becomes(&kept, 1);
}

#[test]
fn a_second_one_where_none_is_becomes_the_first() {
    let kept = folder();
    let options = Options { folder: kept.path().into(), ..Options::default() };
    let asker = with::<&str>(&[], options).unwrap();
    asker.post("/view/open?name=b.parquet&as=B", sent(20)).good();
    assert_eq!(asker.names(), ["b"]);
}

#[test]
fn what_was_open_stays_when_a_new_one_is_bad() {
    let folder = folder();
    let (asker, kept) = opened(&folder, |_| {});
    let before = asker.state();
    let cut = |at: usize| sent(20)[..at].to_vec();
    let mut damaged = sent(20);
    let length = damaged.len();
    damaged[length - 100..length - 50].fill(0xff);
    for (bytes, said) in [
        (Vec::new(), "bad.parquet is empty"),
        (b"no recording at all, but text".to_vec(), "bad.parquet"),
        (cut(3), "bad.parquet"),
        (cut(length - 1), "bad.parquet"),
        (cut(length / 2), "bad.parquet"),
        (damaged, "bad.parquet"),
    ] {
        for place in ["", "&as=B"] {
            let why = asker.post(&format!("/view/open?name=bad.parquet{place}"), bytes.clone()).refusal(400);
            assert!(why.contains(said) && !why.contains("rezolus-view-"), "{why}");
            assert_eq!((asker.state(), files(&kept)), (before.clone(), 0));
        }
    }
}

#[test]
fn one_that_is_too_large_is_refused() {
    let folder = folder();
    let bytes = sent(20);
    let (asker, kept) = opened(&folder, |options| options.most_sent = bytes.len() as u64 - 1);
    let why = asker.post("/view/open?name=big.parquet", bytes.clone()).refusal(413);
    assert!(why.contains("big.parquet is larger"), "{why}");
    assert_eq!((asker.names(), files(&kept)), (vec!["first".to_string()], 0));
    // Also where its length is not told before.
    let parts = bytes.chunks(100).map(|part| Ok(part.to_vec())).collect();
    asker.post("/view/open?name=big.parquet", Body::new(Parts(parts))).refusal(413);
    assert_eq!(files(&kept), 0);
    // Just as large as may be.
    let (asker, _kept) = opened(&folder, |options| options.most_sent = bytes.len() as u64);
    asker.post("/view/open?name=big.parquet", bytes.clone()).good();
    assert_eq!(asker.names(), ["big"]);
}

#[test]
fn where_it_may_not_be_nothing_is_opened() {
    let folder = folder();
    let (asker, kept) = opened(&folder, |options| options.read_only = true);
    assert_eq!(asker.state()["read_only"], true);
    for path in
        ["/view/open?name=b.parquet", "/view/open?name=b.parquet&as=B", "/view/open?url=http://127.0.0.1:1"]
    {
        assert!(asker.post(path, sent(20)).refusal(403).contains("--read-only"));
    }
    assert_eq!((asker.names(), files(&kept)), (vec!["first".to_string()], 0));
}

#[test]
fn only_agents_are_opened_by_address() {
    let folder = folder();
    let (asker, _kept) = opened(&folder, |_| {});
    let path = folder.path().join("first.parquet");
    for url in [
        path.to_str().unwrap(),
        folder.path().to_str().unwrap(),
        "file:///etc/passwd",
        "x=/etc/passwd",
        "x=http://127.0.0.1:1",
        "127.0.0.1:1",
        "HTTP://127.0.0.1:1",
        "",
    ] {
        let reply = asker.post(&format!("/view/open?url={}", encode(url)), "");
        assert!(reply.refusal(400).contains("is no URL"), "{url}: {}", reply.text());
    }
    for url in [
        "http://",
        "http://127.0.0.1:1",
        "http://127.0.0.1:99999",
        "https://127.0.0.1:1",
        "http://[",
        "http:// x",
    ] {
        assert!(!asker.post(&format!("/view/open?url={}", encode(url)), "").refusal(400).is_empty(), "{url}");
    }
    assert_eq!(asker.names(), ["first"]);
    let url = exporter();
    asker.post(&format!("/view/open?url={}&as=B", encode(&url)), "").good();
    let input = asker.state()["inputs"][1].clone();
    assert_eq!(
        (&input["kind"], &input["title"], &input["error"]),
        (&json!("live"), &json!(url), &json!(null))
    );
    assert_eq!(asker.told("/view/input/1/about")["file"], json!(null));
}

#[test]
fn names_are_what_people_read_and_no_more() {
    let folder = folder();
    let (asker, kept) = opened(&folder, |_| {});
    for (name, stem, title) in [
        ("../../etc/passwd", "passwd", "passwd"),
        ("C:\\data\\run 1.parquet", "run 1", "run 1.parquet"),
        ("a=b.parquet", "a=b", "a=b.parquet"),
        ("é \"x\" {}.parquet", "é \"x\" {}", "é \"x\" {}.parquet"),
        ("http://x", "x", "x"),
        ("", "dropped", "dropped.parquet"),
        ("/", "dropped", "dropped.parquet"),
        ("..", "dropped", ".."),
    ] {
        let input =
            asker.post(&format!("/view/open?name={}", encode(name)), sent(20)).good()["inputs"][0].clone();
        assert_eq!((&input["name"], &input["title"]), (&json!(stem), &json!(title)), "{name}");
        becomes(&kept, 1);
        // Named so, it can be asked for.
        let (start, end) = (START.to_string(), (START + 5).to_string());
        let drawn = asker.range(&[("query", "level"), ("start", &start), ("end", &end), ("input", stem)]);
        assert_eq!(drawn.line().mean.len(), 6);
    }
}

#[test]
fn one_that_breaks_off_is_nothing() {
    let folder = folder();
    let (asker, kept) = opened(&folder, |_| {});
    let parts = [Ok(sent(20)), Err("the line is cut")].into();
    let request: Request<Body> =
        super::ask::request("POST", "/view/open?name=x.parquet", Body::new(Parts(parts)));
    assert!(asker.ask(request).refusal(400).contains("x.parquet did not come as a whole"));
    assert_eq!((asker.names(), files(&kept)), (vec!["first".to_string()], 0));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = folder();
    let (asker, _kept) = opened(&folder, |options| options.folder = "/nowhere/at/all".into());
    assert!(asker.post("/view/open?name=x.parquet", sent(20)).refusal(507).contains("/nowhere/at/all"));
    let saved = asker.post_json("/view/save", &json!({}));
    assert!(saved.refusal(422).contains("/nowhere/at/all"));
}

#[test]
fn many_at_once_leave_what_is_told() {
    let folder = folder();
    let (asker, kept) = opened(&folder, |_| {});
    let bytes = sent(5);
    for _ in 0..20 {
        let one = |number: u32| {
            let place = if number.is_multiple_of(2) { "A" } else { "B" };
            let path = format!("/view/open?name=x{number}.parquet&as={place}");
            asker.router.clone().oneshot(super::ask::request("POST", &path, bytes.clone()))
        };
        asker.runtime.block_on(async {
            let all = [one(1), one(2), one(3), one(4), one(5), one(6)].map(tokio::spawn);
            for reply in all {
                assert_eq!(reply.await.unwrap().unwrap().status(), 200);
            }
        });
        let names = asker.names();
        assert!((1..=2).contains(&names.len()));
        let said = asker.told("/api/v1/label/recording/values");
        let labels: Vec<String> = serde_json::from_value(said["data"].clone()).unwrap();
        assert!(
            if names.len() == 1 { labels.is_empty() } else { labels == sorted(&names) },
            "{names:?} {labels:?}"
        );
        becomes(&kept, names.len());
    }
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names
}

//! Remote write to somebody who is not always well.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prost::Message;
use rezolus_modes::exporter::write_request::{STALE, TimeSeries, WriteRequest};

use crate::prometheus::{Served, remote};
use crate::{Fixed, Maker, sample};

const PATIENCE: Duration = Duration::from_secs(30);

/// Answers requests with the given statuses, the last one for ever, and hands
/// out what it took.
struct Receiver {
    address: SocketAddr,
    requests: mpsc::Receiver<(String, WriteRequest)>,
}

impl Receiver {
    fn new(statuses: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let statuses = Arc::new(Mutex::new(VecDeque::from(statuses.to_vec())));
        let (send, requests) = mpsc::channel();
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (statuses, send) = (statuses.clone(), send.clone());
                thread::spawn(move || answer(stream.unwrap(), &statuses, &send));
            }
        });
        Self { address, requests }
    }

    fn next(&self) -> (String, WriteRequest) {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }
}

fn answer(
    mut stream: TcpStream,
    statuses: &Mutex<VecDeque<&'static str>>,
    send: &mpsc::Sender<(String, WriteRequest)>,
) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break String::from_utf8(bytes.drain(..end + 4).collect()).unwrap().to_lowercase();
            }
            match stream.read(&mut buffer).ok()? {
                0 => return None,
                length => bytes.extend_from_slice(&buffer[..length]),
            }
        };
        let length: usize = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
        while bytes.len() < length {
            let more = stream.read(&mut buffer).ok()?;
            bytes.extend_from_slice(&buffer[..more]);
        }
        let body: Vec<u8> = bytes.drain(..length).collect();
        let body = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        let request = WriteRequest::decode(&*body).unwrap();
        let status = {
            let mut statuses = statuses.lock();
            if statuses.len() > 1 { statuses.pop_front() } else { statuses.front().copied() }
        };
        let status = status.unwrap();
        stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nwhy").as_bytes()).ok()?;
        send.send((head, request)).ok()?;
    }
}

fn served(receiver: &Receiver, queue: &Path, more: &str, source: &Arc<Fixed>) -> Served {
    Served::new(&(remote(&receiver.address.to_string(), queue) + more), source.clone())
}

fn value(request: &WriteRequest, name: &str) -> Option<f64> {
    let named = |series: &&TimeSeries| {
        series.labels.iter().any(|label| label.name == "__name__" && label.value == name)
    };
    request.timeseries.iter().find(named).map(|series| series.samples[0].value)
}

fn timestamp(request: &WriteRequest) -> i64 {
    request.timeseries[0].samples[0].timestamp
}

#[test]
fn failures_are_tried_again_and_refusals_are_not() {
    let receiver = Receiver::new(&[
        "500 Oh no",
        "429 Too Many Requests\r\nRetry-After: 1",
        "200 OK",
        "400 Bad Request",
        "204 No Content",
    ]);
    let queue = tempfile::tempdir().unwrap();
    let source = Fixed::new(sample());
    let served = served(&receiver, queue.path(), "headers = { X-Scope-OrgID = \"tenant\" }", &source);
    let (head, first) = receiver.next();
    for expected in [
        "post /api/v1/write ",
        "content-type: application/x-protobuf\r\n",
        "content-encoding: snappy\r\n",
        "x-prometheus-remote-write-version: 0.1.0\r\n",
        "x-scope-orgid: tenant\r\n",
        "user-agent: rezolus/",
    ] {
        assert!(head.contains(expected), "{expected}: {head}");
    }
    for series in &first.timeseries {
        let names: Vec<&str> = series.labels.iter().map(|label| label.name.as_str()).collect();
        assert!(names.is_sorted() && names.contains(&"job") && names.contains(&"instance"), "{series:?}");
    }
    let (second, third, fourth, fifth) =
        (receiver.next().1, receiver.next().1, receiver.next().1, receiver.next().1);
    assert_eq!([timestamp(&second), timestamp(&third)], [timestamp(&first); 2], "the same again");
    assert!(timestamp(&fourth) > timestamp(&third), "in order");
    assert!(timestamp(&fifth) > timestamp(&fourth), "what was refused is gone");
    served.wait_for("rezolus_exporter_remote_write_failed_total ", |value| value == 2.0);
    served.wait_for("rezolus_exporter_remote_write_dropped_total ", |value| value == 1.0);
    served.wait_for("rezolus_exporter_remote_write_sent_total ", |value| value > 0.0);
}

#[test]
fn the_queue_survives_a_restart() {
    let queue = tempfile::tempdir().unwrap();
    let source = Fixed::new(sample());
    let sick = Receiver::new(&["503 Later"]);
    let before = served(&sick, queue.path(), "", &source);
    let first = sick.next().1;
    before.wait_for("rezolus_exporter_remote_write_failed_total ", |value| value > 0.0);
    drop(before);
    let well = Receiver::new(&["200 OK"]);
    let _after = served(&well, queue.path(), "", &source);
    assert_eq!(timestamp(&well.next().1), timestamp(&first));
}

#[test]
fn a_full_queue_drops_the_oldest() {
    let queue = tempfile::tempdir().unwrap();
    let sick = Receiver::new(&["503 Later"]);
    let served = served(&sick, queue.path(), "queue_bytes = 5000", &Fixed::new(sample()));
    served.wait_for("rezolus_exporter_remote_write_dropped_total ", |value| value >= 2.0);
    served.wait_for("rezolus_exporter_remote_write_queue_bytes ", |value| value > 0.0 && value <= 5000.0);
    let size = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().metadata().unwrap().len();
    assert!(std::fs::read_dir(queue.path()).unwrap().map(size).sum::<u64>() <= 5000);
}

#[test]
fn a_series_that_goes_is_ended() {
    let queue = tempfile::tempdir().unwrap();
    let well = Receiver::new(&["200 OK"]);
    let source = Fixed::new(Maker::default().gauge("one", &[], 1).gauge("two", &[], 2).snapshot());
    let _served = served(&well, queue.path(), "", &source);
    assert_eq!(value(&well.next().1, "two"), Some(2.0));
    source.set(Maker::default().gauge("one", &[], 1).snapshot());
    let ended = std::iter::from_fn(|| value(&well.next().1, "two")).find(|value| *value != 2.0);
    assert_eq!(ended.map(f64::to_bits), Some(STALE));
    let after = well.next().1;
    assert_eq!((value(&after, "one"), value(&after, "two")), (Some(1.0), None));
}

#[test]
fn a_stop_does_not_wait_for_the_other_side() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let queue = tempfile::tempdir().unwrap();
    let toml = remote(&silent.local_addr().unwrap().to_string(), queue.path());
    let served = Served::new(&toml, Fixed::new(sample()));
    let (_stream, _) = silent.accept().unwrap();
    let started = Instant::now();
    drop(served);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(std::fs::read_dir(queue.path()).unwrap().count() > 0, "what was not delivered stays");
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let toml = remote("127.0.0.1:1", Path::new("/proc/nowhere"));
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = Fixed::new(sample());
        rezolus_modes::exporter::serve_on(
            listener,
            crate::config(&toml),
            source,
            crate::descriptions(),
            stopped,
        )
        .await
    });
    assert!(format!("{:#}", error.unwrap_err()).contains("/proc/nowhere cannot be used; set `queue`"));
}

//! Endpoints against a server that behaves, and against all the ways in which
//! servers do not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rezolus_modes::SnapshotSource;
use rezolus_modes::snapshot::Snapshot;
use rezolus_modes::source::{Endpoint, Kind, SCHEMAS_HEADER};

const V1: &[u8] = include_bytes!("fixtures/wire/v1.msgpack");
const V2: &[u8] = include_bytes!("fixtures/wire/v2.msgpack");
const V3: &[u8] = include_bytes!("fixtures/wire/v3.msgpack");
const V3_WITHOUT_SCHEMA: &[u8] = include_bytes!("fixtures/wire/v3n.msgpack");

/// Path, and the value of the header for schemas; `fresh` after it if what is
/// shared is not wanted.
type Request = (String, String);

/// Answers every request by `answer`, which writes raw bytes and returns
/// whether the connection stays open. Returns the URL, and how many
/// connections there were.
fn serve(
    answer: impl Fn(&Request, &mut TcpStream) -> std::io::Result<bool> + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            count.fetch_add(1, Ordering::Relaxed);
            let answer = answer.clone();
            thread::spawn(move || converse(stream, &*answer));
        }
    });
    (url, connections)
}

fn converse(
    mut stream: TcpStream,
    answer: &dyn Fn(&Request, &mut TcpStream) -> std::io::Result<bool>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_string();
        let mut held = String::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((SCHEMAS_HEADER, value)) = line.trim().split_once(": ") {
                held.insert_str(0, value);
            }
            if line.trim() == "cache-control: no-cache" {
                held.push_str(" fresh");
            }
        }
        if !answer(&(path, held), &mut stream)? {
            return Ok(());
        }
    }
}

fn reply(stream: &mut TcpStream, status: &str, kind: &str, body: &[u8]) -> std::io::Result<bool> {
    write!(stream, "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)?;
    Ok(true)
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(url, Duration::from_secs(1)).unwrap()
}

/// The error of a server of which every answer is `bytes`, after which it
/// closes the connection.
fn error_of(bytes: &'static [u8]) -> String {
    let (url, _) = serve(move |_, stream| stream.write_all(bytes).map(|()| false));
    endpoint(&url).snapshot().unwrap_err().to_string()
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

#[test]
fn samples_agree_with_their_json() {
    use metriken_exposition::Snapshot as Exchange;
    // Each by its own type: the type for all of them takes a map of version 2
    // for one of version 1.
    let json1 = serde_json::from_str(include_str!("fixtures/wire/v1.json")).unwrap();
    let json2 = serde_json::from_str(include_str!("fixtures/wire/v2.json")).unwrap();
    let json3 = serde_json::from_str(include_str!("fixtures/wire/v3.json")).unwrap();
    let samples = [(V1, Exchange::V1(json1)), (V2, Exchange::V2(json2)), (V3, Exchange::V3(json3))];
    for (bytes, theirs) in samples {
        let ours = rezolus_modes::wire::decode(bytes, &mut Default::default()).unwrap();
        let theirs = Snapshot::from_exchange(theirs);
        assert_eq!(ours.systemtime, theirs.systemtime);
        assert_eq!(ours.duration, theirs.duration);
        assert_eq!(ours.metadata, theirs.metadata);
        assert_eq!(ours.numbers, theirs.numbers);
        assert!(ours.numbers.lengths().counters > 0);
        for (ours, theirs) in ours.groups.iter().zip(&theirs.groups) {
            assert_eq!((&ours.name, &ours.schema, ours.hash), (&theirs.name, &theirs.schema, theirs.hash));
        }
    }
}

#[test]
fn a_sample_without_its_schema_needs_one_from_before() {
    let mut schemas = Default::default();
    let error = rezolus_modes::wire::decode(V3_WITHOUT_SCHEMA, &mut schemas).unwrap_err();
    contains(&error.to_string(), &["cpu_perf_sweep", "without its schema"]);
    let full = rezolus_modes::wire::decode(V3, &mut schemas).unwrap();
    let brief = rezolus_modes::wire::decode(V3_WITHOUT_SCHEMA, &mut schemas).unwrap();
    assert_eq!(full.numbers, brief.numbers);
    assert!(Arc::ptr_eq(&full.groups[0].schema, &brief.groups[0].schema));
}

#[test]
fn an_agent_is_asked_without_the_schemas_held() {
    let (url, connections) = serve(|(path, held), stream| match (path.as_str(), held.as_str()) {
        ("/metrics/binary", "") => reply(stream, "200 OK", "application/octet-stream", V3),
        ("/metrics/binary", "3d173d6825abed8b9fa9d58729eaeb80") => {
            reply(stream, "200 OK", "application/octet-stream", V3_WITHOUT_SCHEMA)
        }
        (_, held) => reply(stream, "404 Not Found", "text/plain", held.as_bytes()),
    });
    let endpoint = endpoint(&url);
    assert_eq!(endpoint.kind(), None);
    assert_eq!(endpoint.probe().unwrap(), Kind::Agent);
    let first = endpoint.snapshot().unwrap();
    let second = endpoint.snapshot().unwrap();
    assert!(Arc::ptr_eq(&first.groups[0].schema, &second.groups[0].schema));
    assert_eq!(connections.load(Ordering::Relaxed), 1, "the connection is kept");
}

#[test]
fn an_agent_is_asked_for_a_snapshot_of_ones_own() {
    let (url, _) = serve(|(_, header), stream| match header.as_str() {
        " fresh" => reply(stream, "200 OK", "", V3),
        "3d173d6825abed8b9fa9d58729eaeb80 fresh" => reply(stream, "200 OK", "", V3_WITHOUT_SCHEMA),
        header => reply(stream, "404 Not Found", "text/plain", header.as_bytes()),
    });
    let fresh = endpoint(&url).fresh(true);
    fresh.snapshot().unwrap();
    fresh.snapshot().unwrap();
    endpoint(&url).snapshot().unwrap_err();
}

#[test]
fn an_agent_that_does_not_know_what_is_held_is_asked_again() {
    // Another agent than the one that was asked before: what it leaves out is unknown.
    let requests = AtomicUsize::new(0);
    let (url, _) = serve(move |(_, held), stream| {
        let number = requests.fetch_add(1, Ordering::Relaxed);
        assert_eq!(held.is_empty(), number != 1);
        let mut body = V3_WITHOUT_SCHEMA.to_vec();
        if number == 1 {
            let hash = [0xcf, 0x3d, 0x17];
            let at = body.windows(3).position(|bytes| bytes == hash).unwrap();
            body[at + 1] ^= 1;
        }
        reply(stream, "200 OK", "", if number == 1 { &body } else { V3 })
    });
    let endpoint = endpoint(&url);
    endpoint.snapshot().unwrap();
    endpoint.snapshot().unwrap();
}

#[test]
fn an_agent_that_restarts_is_found_again() {
    let (url, connections) =
        serve(|_, stream| reply(stream, "200 OK", "application/octet-stream", V2).map(|_| false));
    let endpoint = endpoint(&url);
    for _ in 0..3 {
        endpoint.snapshot().unwrap();
        // The end of the connection is to arrive before the next request.
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(connections.load(Ordering::Relaxed), 3);
}

#[test]
fn a_kept_connection_that_ends_is_replaced() {
    let requests = AtomicUsize::new(0);
    let (url, connections) = serve(move |_, stream| match requests.fetch_add(1, Ordering::Relaxed) {
        // The connection ends with the second request on it.
        1 => Ok(false),
        _ => reply(stream, "200 OK", "", V2),
    });
    let endpoint = endpoint(&url);
    endpoint.snapshot().unwrap();
    endpoint.snapshot().unwrap();
    assert_eq!(connections.load(Ordering::Relaxed), 2);
}

#[test]
fn a_path_is_taken_as_it_is() {
    let (url, _) = serve(|(path, _), stream| match path.as_str() {
        "/host1/metrics/binary" => reply(stream, "200 OK", "", V2),
        "/host1/systeminfo" => reply(stream, "200 OK", "application/json", b"{}"),
        "/host1/metrics/descriptions" => reply(stream, "200 OK", "application/json", br#"{"a":"b"}"#),
        _ => reply(stream, "404 Not Found", "text/plain", b"no such path"),
    });
    let agent = endpoint(&format!("{url}/host1/metrics/binary"));
    assert_eq!(agent.probe().unwrap(), Kind::Agent);
    assert_eq!(agent.text("/systeminfo").unwrap(), "{}");
    assert_eq!(agent.descriptions().unwrap()["a"], "b");
    contains(&agent.text("/x").unwrap_err().to_string(), &["/host1/x", "404 Not Found", "no such path"]);
}

#[test]
fn urls_that_are_none_are_refused() {
    for (url, why) in [
        ("", "empty"),
        ("https://host:1", "tunnel"),
        ("ftp://host", "not ftp"),
        ("http://", "http://HOST:PORT"),
        ("http://:4241", "no host"),
        ("http://user:secret@host:4241", "password"),
        ("host:99999", "port"),
        ("host:0", "port"),
        ("host:", "port"),
        ("host:port", "port"),
        ("two words", "http://HOST:PORT"),
    ] {
        let error = Endpoint::new(url, Duration::from_secs(1)).err().map(|error| error.to_string());
        contains(&error.unwrap_or_else(|| panic!("{url} is taken")), &[why, "an endpoint is"]);
    }
    for (url, whole, label) in [
        ("localhost:4241", "http://localhost:4241/", "localhost-4241"),
        ("HTTP://web1", "http://web1/", "web1-80"),
        ("http://[::1]:9100/metrics?a=b", "http://[::1]:9100/metrics?a=b", "::1-9100"),
        (" host:1/x ", "http://host:1/x", "host-1"),
    ] {
        let endpoint = endpoint(url);
        assert_eq!((endpoint.url().as_str(), endpoint.label()), (whole, label));
    }
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = endpoint(&url).snapshot().unwrap_err().to_string();
    contains(&error, &[&url, "nothing accepts connections", "4241"]);
}

#[test]
fn a_server_with_a_problem() {
    let error = error_of(
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\nno  disk\n",
    );
    contains(
        &error,
        &["/metrics/binary", "500 Internal Server Error", "text/plain", "no disk", "see its log"],
    );
}

#[test]
fn a_web_site() {
    let page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 29\r\n\r\n<!DOCTYPE html>\n<title>x</ti>";
    contains(
        &error_of(page),
        &["neither an agent", "nor an exporter", "text/html", "<!DOCTYPE html> <title>x</ti>"],
    );
}

#[test]
fn redirects_are_named_and_not_followed() {
    let error = error_of(b"HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n");
    contains(&error, &["302 Found", "not followed", "\"/login\""]);
}

#[test]
fn something_that_is_not_http() {
    contains(&error_of(b"SSH-2.0-OpenSSH_9.9\r\n"), &["does not speak HTTP", "port"]);
}

#[test]
fn a_connection_that_closes_in_the_middle() {
    let error = error_of(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n\x94\x92");
    contains(&error, &["/metrics/binary", "ended before the answer"]);
    let error = error_of(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n\x94\x92");
    contains(&error, &["/metrics/binary", "ended before the answer"]);
    let error = error_of(b"");
    contains(&error, &["/metrics/binary", "ended before the answer"]);
}

#[test]
fn garbage_and_what_is_only_half_there() {
    let error = error_of(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n\x94\x92\xc0\x00\x00\x00\x00\x00");
    contains(&error, &["/metrics/binary", "byte 3: an unsigned number", "no agent"]);
    let (url, _) = serve(|_, stream| reply(stream, "200 OK", "application/octet-stream", V3_WITHOUT_SCHEMA));
    let error = endpoint(&url).of_kind(Kind::Agent).snapshot().unwrap_err().to_string();
    contains(&error, &["without its schema", "application/octet-stream"]);
}

/// A server that sends `piece` for ever, with a pause after each.
fn endless(piece: &'static [u8], pause: Duration) -> String {
    let (url, _) = serve(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            stream.write_all(piece)?;
            thread::sleep(pause);
        }
    });
    url
}

#[test]
fn a_body_without_an_end_costs_no_more_than_is_allowed() {
    let url = endless(&[b'#'; 1 << 20], Duration::ZERO);
    let endpoint = Endpoint::new(&url, Duration::from_secs(60)).unwrap().of_kind(Kind::Agent);
    contains(
        &endpoint.snapshot().unwrap_err().to_string(),
        &["/metrics/binary", "within 64 MB", "check the URL"],
    );
}

#[test]
fn a_body_that_trickles_takes_no_longer_than_is_allowed() {
    let url = endless(b"#", Duration::from_millis(5));
    let endpoint = Endpoint::new(&url, Duration::from_millis(300)).unwrap();
    let start = Instant::now();
    let error = endpoint.snapshot().unwrap_err().to_string();
    contains(&error, &["/metrics/binary", "no complete answer within 300ms"]);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn a_header_without_an_end() {
    let (url, _) = serve(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            stream.write_all(&[b'x'; 1 << 12])?;
        }
    });
    let error = endpoint(&url).snapshot().unwrap_err().to_string();
    contains(&error, &["/metrics/binary"]);
}

#[test]
fn silence() {
    let (url, _) = serve(|_, stream| stream.read(&mut [0]).map(|_| false));
    let start = Instant::now();
    let error = Endpoint::new(&url, Duration::from_millis(200)).unwrap().snapshot().unwrap_err().to_string();
    contains(&error, &["no complete answer within 200ms"]);
    assert!(start.elapsed() < Duration::from_secs(2));
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[test]
fn an_exporter_is_told_apart() {
    let (url, connections) = serve(|(path, _), stream| match path.as_str() {
        "/metrics" => {
            reply(stream, "200 OK", OPENMETRICS, b"# HELP a All.\n# TYPE a counter\na_total 5\n# EOF\n")
        }
        _ => reply(stream, "404 Not Found", "text/plain", b"404 page not found"),
    });
    let exporter = endpoint(&url);
    let before = std::time::SystemTime::now();
    assert_eq!(exporter.probe().unwrap(), Kind::Prometheus);
    let first = exporter.snapshot().unwrap();
    let second = exporter.snapshot().unwrap();
    assert!(first.systemtime >= before && first.duration > Duration::ZERO);
    assert!(second.systemtime >= first.systemtime + first.duration);
    assert_eq!(first.meta("source"), Some(exporter.label()));
    assert_eq!(first.numbers.counters, [Some(5)]);
    assert!(Arc::ptr_eq(&first.groups[0].schema, &second.groups[0].schema));
    assert_eq!(exporter.descriptions().unwrap()["a_total"], "All.");
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[test]
fn an_exporter_at_a_path_of_its_own() {
    let (url, _) = serve(|(path, _), stream| match path.as_str() {
        "/probe?target=x" => reply(stream, "200 OK", "", b"up 1"),
        // Would be taken for an agent if it were asked.
        _ => reply(stream, "200 OK", "application/octet-stream", V3),
    });
    let exporter = endpoint(&format!("{url}/probe?target=x"));
    assert_eq!(exporter.snapshot().unwrap().numbers.gauges, [Some(1)]);
    assert_eq!(exporter.kind(), Some(Kind::Prometheus));
}

/// As the exporter of an agent that starts after it, which passes on what the
/// agent says.
#[test]
fn an_exporter_that_has_nothing_yet() {
    let requests = AtomicUsize::new(0);
    let (url, _) =
        serve(move |(path, _), stream| match (path.as_str(), requests.fetch_add(1, Ordering::Relaxed)) {
            ("/metrics", _) => reply(stream, "200 OK", "text/plain", b""),
            (_, 0..4) => reply(stream, "503 Service Unavailable", "text/plain", b"no agent yet"),
            _ => reply(stream, "200 OK", "", V2),
        });
    let exporter = endpoint(&url);
    assert_eq!(exporter.probe().unwrap(), Kind::Prometheus);
    assert!(exporter.snapshot().unwrap().numbers.gauges.is_empty());
    assert_eq!(exporter.kind(), None);
    assert_eq!(exporter.probe().unwrap(), Kind::Agent);
    assert_eq!(exporter.kind(), Some(Kind::Agent));
}

#[test]
fn a_body_that_is_compressed_unasked() {
    let error = error_of(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b");
    contains(&error, &["compressed (gzip)", "send it as it is"]);
}

#[test]
fn text_that_is_not_in_the_format() {
    let (url, _) = serve(|_, stream| reply(stream, "200 OK", "text/plain", b"up 1\nRezolus 5.17 Agent\n"));
    let error = endpoint(&url).of_kind(Kind::Prometheus).snapshot().unwrap_err().to_string();
    contains(
        &error,
        &["/metrics", "line 2", "a timestamp or nothing", "\"up 1 Rezolus 5.17 Agent\"", "check the URL"],
    );
    let (url, _) = serve(|_, stream| reply(stream, "200 OK", "text/plain", b"up 1\na{b=\"\xff\"} 1\n"));
    let error = endpoint(&url).of_kind(Kind::Prometheus).snapshot().unwrap_err().to_string();
    contains(&error, &["line 2: this is not UTF-8"]);
}

/// What it is stays known while it is away, and it is not known before.
#[test]
fn an_endpoint_that_is_not_there_at_first() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let endpoint = endpoint(&address.to_string());
    assert!(endpoint.probe().is_err());
    assert_eq!(endpoint.kind(), None);
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        converse(stream, &|_, stream| reply(stream, "200 OK", "", V2).map(|_| false))
    });
    endpoint.snapshot().unwrap();
    thread::sleep(Duration::from_millis(20));
    contains(&endpoint.snapshot().unwrap_err().to_string(), &["nothing accepts connections"]);
    assert_eq!(endpoint.probe().unwrap(), Kind::Agent);
}

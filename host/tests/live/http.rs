//! The HTTP server: every endpoint, and clients that mean no good.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agent::{Agent, BUCKETS};
use crate::fixture::Footprint;

/// One answer.
struct Answer {
    code: u16,
    kind: String,
    body: Vec<u8>,
}

fn ask(agent: &Agent, method: &str, path: &str, header: Option<(&str, &str)>) -> Answer {
    let client: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(20)))
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", agent.url()));
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let mut response = client.run(request.body(()).unwrap()).unwrap();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_string());
    let body = response.body_mut().with_config().limit(256 << 20).read_to_vec().unwrap();
    Answer { code: response.status().as_u16(), kind: kind.unwrap_or_default(), body }
}

fn get(agent: &Agent, path: &str) -> Answer {
    ask(agent, "GET", path, None)
}

#[test]
fn root_every_endpoint_answers() {
    let agent = Agent::start(&["syscall", "memory"]);
    for path in [
        "/metrics/json",
        "/metrics/descriptions",
        "/systeminfo",
        "/samplers",
        "/status",
        "/dashboards",
        "/diagnoses",
    ] {
        let answer = get(&agent, path);
        assert_eq!((answer.code, answer.kind.as_str()), (200, "application/json"), "{path}");
        serde_json::from_slice::<Value>(&answer.body).unwrap();
    }
    let banner = get(&agent, "/");
    assert!(banner.code == 200 && banner.kind.starts_with("text/plain"), "{}", banner.kind);
    let banner = String::from_utf8(banner.body).unwrap();
    let first = format!("Rezolus {} Agent", env!("CARGO_PKG_VERSION"));
    assert_eq!(banner.lines().next(), Some(first.as_str()));
    // It names all the others.
    let paths: Vec<&str> = banner.split_whitespace().filter(|word| word.starts_with('/')).collect();
    assert_eq!(paths.len(), 8, "{banner}");
    for path in paths {
        assert_eq!(get(&agent, path).code, 200, "{path}");
    }

    let descriptions = agent.json("/metrics/descriptions");
    assert!(descriptions["syscall_latency"].as_str().unwrap().contains("system call"));
    let info = agent.json("/systeminfo");
    assert!(info["cpus"].as_u64() > Some(0) && info["memory_total_bytes"].as_u64() > Some(0), "{info}");
    let samplers = agent.json("/samplers");
    let names: Vec<&str> = samplers.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted() && names.contains(&"syscall_counts"), "{names:?}");
    let counts =
        samplers.as_array().unwrap().iter().find(|sampler| sampler["name"] == "syscall_counts").unwrap();
    assert_eq!((&counts["state"], &counts["health"]), (&"active".into(), &"healthy".into()));
    assert_eq!(counts["programs"][0]["verdict"], "ok");
    let status = agent.status();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["uptime_seconds"].is_u64() && status["samplers"] == samplers, "{status:#}");
    assert_eq!(agent.json("/dashboards")["syscall"]["title"], "System calls");
    let diagnoses = agent.json("/diagnoses")["syscall"]["diagnoses"].clone();
    assert!(diagnoses.as_array().unwrap().iter().any(|diagnosis| diagnosis["id"] == "storm"), "{diagnoses}");
}

#[test]
fn root_wrong_paths_and_methods() {
    let agent = Agent::start(&[]);
    for path in
        ["/nothing", "/metrics", "/metrics/", "/metrics/json/", "//", "/status/x", "/..%2f..%2fetc/passwd"]
    {
        assert_eq!(get(&agent, path).code, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        assert_eq!(ask(&agent, method, "/metrics/json", None).code, 405, "{method}");
    }
    let head = ask(&agent, "HEAD", "/", None);
    assert_eq!((head.code, head.body.len()), (200, 0));
    for query in ["cost=soon", "cost=0s", "cost=61s", "cost=-1s", "cost="] {
        assert_eq!(get(&agent, &format!("/status?{query}")).code, 400, "{query}");
    }
}

/// What msgpack says, with the names that the positions stand for: the same
/// as the JSON.
fn named(snapshot: &Value) -> Value {
    let array = |value: &Value, length: usize| {
        let array = value.as_array().unwrap().clone();
        assert_eq!(array.len(), length, "{value}");
        array
    };
    let [time, duration, metadata, groups] = array(snapshot, 4).try_into().unwrap();
    let groups: Vec<Value> = groups
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            let [name, hash, schema, window, counters, gauges, histograms] = array(group, 7).try_into().unwrap();
            let described = |list: &Value| -> Vec<Value> {
                let list = list.as_array().unwrap();
                list.iter().map(|d| json!({"name": array(d, 2)[0], "metadata": array(d, 2)[1]})).collect()
            };
            let schema = if schema.is_null() {
                schema
            } else {
                let parts = array(&schema, 3);
                json!({"counters": described(&parts[0]), "gauges": described(&parts[1]), "histograms": described(&parts[2])})
            };
            let filled: Vec<Value> = histograms
                .as_array()
                .unwrap()
                .iter()
                .map(|histogram| {
                    if histogram.is_null() {
                        return Value::Null;
                    }
                    let [config, buckets] = array(histogram, 2).try_into().unwrap();
                    assert_eq!(config, json!([u64::MAX, 3, 64, 4, 16, 16, 8, 480]));
                    assert_eq!(buckets.as_array().unwrap().len(), BUCKETS);
                    buckets
                })
                .collect();
            json!({"name": name, "schema_hash": hash, "schema": schema, "window": window,
                "counters": counters, "gauges": gauges, "histograms": filled})
        })
        .collect();
    let (time, duration) = (array(&time, 2), array(&duration, 2));
    json!({
        "systemtime": {"secs_since_epoch": time[0], "nanos_since_epoch": time[1]},
        "duration": {"secs": duration[0], "nanos": duration[1]},
        "metadata": metadata,
        "groups": groups,
    })
}

/// The JSON, with histograms cut down to their buckets.
fn plain(mut snapshot: Value) -> Value {
    for group in snapshot["groups"].as_array_mut().unwrap() {
        for histogram in group["histograms"].as_array_mut().unwrap() {
            if !histogram.is_null() {
                *histogram = histogram["buckets"].take();
            }
        }
    }
    snapshot
}

/// FNV-1a, 128 bits, as halves.
fn fnv(bytes: &[u8]) -> (u64, u64) {
    const PRIME: u128 = (1 << 88) + 0x13b;
    let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let hash: u128 = bytes.iter().fold(start, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    ((hash >> 64) as u64, hash as u64)
}

fn decode(body: &[u8]) -> Value {
    let mut rest = body;
    let value: Value = serde::Deserialize::deserialize(&mut rmp_serde::Deserializer::new(&mut rest)).unwrap();
    assert!(rest.is_empty(), "{} bytes too many", rest.len());
    value
}

#[test]
fn root_msgpack_says_what_json_says() {
    // Long enough that both show the same snapshot.
    let agent = Agent::start_as(&["syscall", "memory", "scheduler"], "ttl = \"3s\"", "");
    let binary = get(&agent, "/metrics/binary");
    assert_eq!((binary.code, binary.kind.as_str()), (200, "application/octet-stream"));
    let decoded = decode(&binary.body);
    let text = agent.json("/metrics/json");
    assert_eq!(named(&decoded), plain(text));

    assert_eq!(fnv(&[0x93, 0x90, 0x90, 0x90]), (0x6370_1156_2275_7277, 0xb806_e79d_eae0_54ae));
    let mut columns = BTreeSet::new();
    for group in decoded[3].as_array().unwrap() {
        let bytes = rmp_serde::to_vec(&group[2]).unwrap();
        let (high, low) = fnv(&bytes);
        assert_eq!(group[1], json!([high, low]), "the hash of {}", group[0]);
        for kind in 0..3 {
            let schema = group[2][kind].as_array().unwrap();
            assert_eq!(schema.len(), group[4 + kind].as_array().unwrap().len(), "{}", group[0]);
            for column in schema {
                assert!(columns.insert(column[0].to_string()), "{} twice", column[0]);
                assert!(column[1]["metric"].is_string() && column[1]["sampler"].is_string(), "{column}");
            }
        }
    }
    assert_eq!(decoded[2]["source"], "rezolus");
}

#[test]
fn root_schemas_that_the_client_holds_are_left_out() {
    let agent = Agent::start(&["syscall", "memory", "scheduler"]);
    let all = get(&agent, "/metrics/binary");
    let decoded = decode(&all.body);
    let groups = decoded[3].as_array().unwrap();
    let hash = |group: &Value| {
        format!("{:016x}{:016x}", group[1][0].as_u64().unwrap(), group[1][1].as_u64().unwrap())
    };
    assert!(groups.len() > 5);
    let held: Vec<String> = groups.iter().step_by(2).map(hash).collect();
    for header in [held.join(","), format!("0, {} ,nonsense,, ", held.join(" , "))] {
        let some = decode(&ask(&agent, "GET", "/metrics/binary", Some(("rezolus-schemas", &header))).body);
        for group in some[3].as_array().unwrap() {
            assert_eq!(group[2].is_null(), held.contains(&hash(group)), "{}", group[0]);
            assert!(!group[4].is_null());
        }
    }
    let every: Vec<String> = groups.iter().map(hash).collect();
    let values = ask(&agent, "GET", "/metrics/binary", Some(("rezolus-schemas", &every.join(","))));
    assert!(decode(&values.body)[3].as_array().unwrap().iter().all(|group| group[2].is_null()));
    assert!(values.body.len() * 2 < all.body.len(), "{} of {}", values.body.len(), all.body.len());
    // Nonsense is no reason to refuse.
    for header in ["", ",", "zz", &"f".repeat(5000)] {
        assert_eq!(ask(&agent, "GET", "/metrics/binary", Some(("rezolus-schemas", header))).code, 200);
    }
}

#[test]
fn root_a_snapshot_is_shared_for_its_time() {
    let time = |agent: &Agent| agent.json("/metrics/json")["systemtime"].to_string();
    let agent = Agent::start_as(&["syscall"], "ttl = \"2s\"", "");
    let first = time(&agent);
    let times: BTreeSet<String> = thread::scope(|scope| {
        let asking: Vec<_> = (0..40).map(|_| scope.spawn(|| time(&agent))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(times, BTreeSet::from([first.clone()]));
    thread::sleep(Duration::from_millis(2100));
    assert_ne!(time(&agent), first);
}

/// Whoever asks for it gets a snapshot that is newer than the one before.
#[test]
fn root_a_snapshot_is_not_shared_with_those_who_object() {
    let agent = Agent::start_as(&["syscall", "memory"], "ttl = \"1h\"", "");
    let time = |header| {
        let binary = decode(&ask(&agent, "GET", "/metrics/binary", header).body)[0].clone();
        (binary[0].as_u64().unwrap(), binary[1].as_u64().unwrap())
    };
    let no_cache = Some(("cache-control", "no-cache"));
    let mut last = time(None);
    for _ in 0..20 {
        assert_eq!(time(None), last, "what was taken last is shared");
        let own = time(no_cache);
        assert!(own > last, "{own:?} after {last:?}");
        last = own;
    }
    let json = |header| {
        let body = ask(&agent, "GET", "/metrics/json", header).body;
        serde_json::from_slice::<Value>(&body).unwrap()["systemtime"].take()
    };
    assert_eq!(json(None), json(None));
    assert_ne!(json(no_cache), json(no_cache));
}

fn connect(agent: &Agent) -> TcpStream {
    let stream = TcpStream::connect(agent.url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(9))).unwrap();
    stream
}

/// Reads until the agent closes the connection.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection stays open: {error}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn root_slow_requests_are_cut_off() {
    let agent = Agent::start(&[]);
    let started = Instant::now();
    thread::scope(|scope| {
        // Nothing at all; half a request; a byte now and then; a pause after one.
        scope.spawn(|| rest(&mut connect(&agent)));
        scope.spawn(|| {
            let mut stream = connect(&agent);
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap();
            rest(&mut stream);
        });
        scope.spawn(|| {
            let mut stream = connect(&agent);
            for byte in b"GET / HTTP/1.1\r\nX-Long: ".iter().chain(&[b'a'; 200]) {
                if stream.write_all(&[*byte]).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(100));
                assert!(started.elapsed() < Duration::from_secs(9), "may go on for ever");
            }
        });
        scope.spawn(|| {
            let mut stream = connect(&agent);
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            assert!(rest(&mut stream).starts_with("HTTP/1.1 200 OK"));
        });
        // Meanwhile others are served.
        scope.spawn(|| {
            for _ in 0..10 {
                assert_eq!(get(&agent, "/metrics/json").code, 200);
                thread::sleep(Duration::from_millis(100));
            }
        });
    });
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
}

#[test]
fn root_senseless_requests_are_refused() {
    let agent = Agent::start(&[]);
    let answer = |request: &[u8]| {
        let mut stream = connect(&agent);
        // It may be closed before everything is written.
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        rest(&mut stream)
    };
    let huge = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Huge: {}\r\n\r\n", "a".repeat(100_000));
    let said = answer(huge.as_bytes());
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X-Many: 1\r\n".repeat(3000));
    let said = answer(many.as_bytes());
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let said = answer(long.as_bytes());
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 414") || said.starts_with("HTTP/1.1 431"),
        "{said}"
    );
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\r\n\r\n\r\n\r\nnonsense\r\n\r\n",
        &[0; 5000],
        b"GET",
    ] {
        let said = answer(garbage);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{said}");
    }
    // A good request, and then one that is not.
    let said = answer(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n\x00\x01\x02 garbage\r\n\r\n");
    assert!(said.starts_with("HTTP/1.1 200 OK") && said.contains("HTTP/1.1 404"), "{said}");
    // A body that nobody asked for.
    let said =
        answer(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\nConnection: close\r\n\r\nabc");
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    assert_eq!(get(&agent, "/").code, 200);
}

#[test]
fn root_three_hundred_connections_at_once() {
    let agent = Agent::start(&["syscall"]);
    let before = Footprint::of(&agent);
    let started = Instant::now();
    // More than are served at once: the last ones wait until others give up.
    let mut all: Vec<TcpStream> = (0..300).map(|_| connect(&agent)).collect();
    for stream in &mut all {
        stream.write_all(b"GET /samplers HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    for stream in &mut all {
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    }
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    drop(all);
    agent.wait_until("descriptors are closed", Duration::from_secs(2), |agent| {
        Footprint::of(agent).descriptors <= before.descriptors + 3
    });
    let after = Footprint::of(&agent);
    assert!(after.threads <= before.threads + 1, "{before:?}\n{after:?}");
}

#[test]
fn root_clients_that_never_read() {
    let mut agent = Agent::start(&["syscall", "memory", "scheduler"]);
    let before = Footprint::of(&agent);
    let deaf: Vec<TcpStream> = (0..5)
        .map(|_| {
            let mut stream = connect(&agent);
            let requests = "GET /metrics/json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
            stream.write_all(requests.as_bytes()).unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        // Answers for the deaf are still being made at first.
        let started = Instant::now();
        assert_eq!(get(&agent, "/metrics/binary").code, 200);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
    let after = Footprint::of(&agent);
    assert!(after.private < before.private + 60_000, "{before:?}\n{after:?}");
    // They do not keep it from ending either.
    agent.signal(libc::SIGTERM);
    assert_eq!(agent.wait_for_end(Duration::from_secs(3)).code(), Some(0));
    drop(deaf);
}

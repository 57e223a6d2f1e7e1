//! Damaged input to everything that decodes what others sent. Each test runs
//! for `REZOLUS_FUZZ_SECONDS` (1 if unset); a failure names the
//! `REZOLUS_FUZZ_SEED` that repeats it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use rezolus_modes::log::columns::{Columns, Source};
use rezolus_modes::log::ticks;
use rezolus_modes::recording::Recording;
use rezolus_modes::snapshot::Snapshot;
use rezolus_modes::source::prometheus::Cache;
use rezolus_modes::viewer::{self, Viewer};
use rezolus_modes::wire;
use rezolus_store::memory::Memory;
use rezolus_store::promql;
use rezolus_store::recording::{ParquetPart, Recording as Stored};
use rezolus_store::{FloatHistogram, Labels, Sample, Source as _};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower::ServiceExt;

/// Seeds of a round: what failed can be repeated by itself.
const FIRST_SEED: u64 = 1;
/// Inputs grow up to this.
const MOST_BYTES: usize = 1 << 16;

/// SplitMix64: small, and any seed will do.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Damages bytes in one of the ways that find something.
fn damage(bytes: &mut Vec<u8>, words: &[&[u8]], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let length = random.below(32).min(bytes.len() - at);
    match random.below(7) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..at + length)),
        2 => bytes.insert(at, random.next() as u8),
        3 => {
            let copy = bytes[at..at + length].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        4 => {
            let word = words[random.below(words.len())];
            let end = at + random.below(2) * length;
            bytes.splice(at..end, word.iter().copied());
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
    bytes.truncate(MOST_BYTES);
}

/// Gives damaged inputs to `check` until the time is over.
fn fuzz(name: &str, inputs: &[&[u8]], words: &[&[u8]], check: impl Fn(&[u8])) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let time = Duration::from_secs(number("REZOLUS_FUZZ_SECONDS").unwrap_or(1));
    let only = number("REZOLUS_FUZZ_SEED");
    let start = Instant::now();
    let mut seed = only.unwrap_or(FIRST_SEED);
    loop {
        let mut random = Random(seed);
        let mut bytes = inputs[random.below(inputs.len())].to_vec();
        for _ in 0..=random.below(8) {
            damage(&mut bytes, words, &mut random);
        }
        let began = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| check(&bytes)));
        assert!(ended.is_ok(), "{name}: repeat with REZOLUS_FUZZ_SEED={seed}; the input is {bytes:?}");
        // Much more than 64 KB take on a busy machine, much less than what grows by squares.
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "{name}: {took:?}; repeat with REZOLUS_FUZZ_SEED={seed}");
        seed += 1;
        if only.is_some() || start.elapsed() >= time {
            return;
        }
    }
}

#[test]
fn snapshots() {
    let inputs: [&[u8]; 4] = [
        include_bytes!("fixtures/wire/v1.msgpack"),
        include_bytes!("fixtures/wire/v2.msgpack"),
        include_bytes!("fixtures/wire/v3.msgpack"),
        include_bytes!("fixtures/wire/v3n.msgpack"),
    ];
    // Lengths and numbers at their limits.
    let words: [&[u8]; 8] = [
        &[0xc0],
        &[0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xdb, 0xff, 0xff, 0xff, 0xff],
        &[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
        &[0x94, 0x92],
        &[0x91; 40],
    ];
    fuzz("wire::decode", &inputs, &words, |bytes| {
        let mut schemas = wire::Schemas::default();
        let known = wire::decode(inputs[2], &mut schemas);
        assert!(known.is_ok());
        if let Ok(snapshot) = wire::decode(bytes, &mut schemas) {
            usable(&snapshot);
        }
    });
}

/// What was decoded can be walked over, and encoded again.
fn usable(snapshot: &Snapshot) {
    for (group, numbers) in snapshot.groups() {
        assert_eq!(numbers.counters.len(), group.schema.counters.len());
        assert_eq!(numbers.gauges.len(), group.schema.gauges.len());
        assert_eq!(numbers.histograms().count(), group.schema.histograms.len());
        numbers.histograms().flatten().for_each(|histogram| drop(histogram.dense()));
    }
    let _ = snapshot.to_exchange();
    let bytes = wire::Encoder::default().encode(snapshot, &[]).expect("what was decoded can be encoded");
    assert!(wire::decode(&bytes, &mut wire::Schemas::default()).is_ok());
}

/// A file of ticks, whose frames get their right checksum back: what is behind
/// the checksum has to hold as well.
#[test]
fn logs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ticks");
    let source = Source { name: "a".into(), endpoint: None };
    let header = ticks::Header { interval_ns: 1, sources: vec![source], metadata: vec![] };
    let mut writer = ticks::Writer::create(&path, &header).unwrap();
    let bytes = include_bytes!("fixtures/wire/v3.msgpack");
    let snapshot = Arc::new(wire::decode(bytes, &mut wire::Schemas::default()).unwrap());
    for at in 1..4 {
        writer.tick(at, &[Some(snapshot.clone())]).unwrap();
        writer.note(&ticks::Note { timestamp: at, ..ticks::Note::default() }).unwrap();
    }
    let whole = std::fs::read(&path).unwrap();
    let words: [&[u8]; 4] = [b"T", b"N", &[0; 8], &[0xff; 4]];
    fuzz("ticks::parse", &[&whole], &words, |bytes| {
        let mut bytes = bytes.to_vec();
        mend(&mut bytes);
        if let Ok(contents) = ticks::parse(&bytes) {
            contents.columns.write(Vec::new(), &[]).expect("what was read can be written");
        }
    });
}

/// Puts the right checksum in front of every frame.
fn mend(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some(head) = bytes.get(at..at + 4) {
        let length = u32::from_le_bytes(head.try_into().unwrap()) as usize;
        let Some(body) = bytes.get(at + 8..at.saturating_add(8).saturating_add(length)) else { return };
        let checksum = crc32fast::hash(body);
        bytes[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
        at += 8 + length;
    }
}

/// A recording of a few ticks.
fn recording() -> Vec<u8> {
    recording_with(&[])
}

/// The same, with keys.
fn recording_with(keys: &[(String, String)]) -> Vec<u8> {
    let mut whole = Vec::new();
    let mut columns = Columns::new(&[Source { name: "a".into(), endpoint: None }]);
    let bytes = include_bytes!("fixtures/wire/v3.msgpack");
    let snapshot = Arc::new(wire::decode(bytes, &mut wire::Schemas::default()).unwrap());
    for at in 1..20 {
        columns.append(at, &[Some(snapshot.clone())]);
    }
    columns.write(&mut whole, keys).unwrap();
    whole
}

#[test]
fn recordings() {
    let whole = recording();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let words: [&[u8]; 4] = [b"PAR1", &[0; 8], &[0xff; 4], &[0x15, 0x80]];
    fuzz("Recording::open", &[&whole], &words, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        if let Ok(recording) = Recording::open(&path) {
            let all: Vec<usize> = (0..recording.columns().len()).collect();
            recording.batches(&all, 0..100).take(10).for_each(drop);
        }
    });
}

#[test]
fn expositions() {
    let inputs: [&[u8]; 2] = [
        b"# HELP a x\\n\n# TYPE a histogram\na_bucket{le=\"0.5\",x=\"\\\"\"} 1 5\na_bucket{le=\"+Inf\"} 2\n\
          a_sum 0.5\r\n{\"b.c\", \"d\"=\"e\"} NaN # {t=\"1\"} 1 2\nf_total 1.5\n# EOF\n",
        &include_bytes!("fixtures/exporter_both_modes.prom")[..4000],
    ];
    let words: [&[u8]; 10] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"\n",
        b"le=\"1e308\",",
        b"le=\"-Inf\",",
        b" 1e400",
        b"# TYPE a counter\n",
        b"\xc3\xa9",
    ];
    fuzz("Cache::snapshot", &inputs, &words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let at = std::time::UNIX_EPOCH;
        if let Ok(snapshot) = Cache::default().snapshot(&text, "fuzz", at, Duration::ZERO) {
            usable(&snapshot);
        }
    });
}

/// Counters, gauges, classic and native histograms, with gaps.
fn series() -> Memory {
    let mut memory = Memory::default();
    let native = FloatHistogram::parse("schema:0 sum:5 count:4 buckets:[1 2 1]").unwrap();
    for minute in 0..20i64 {
        let time = minute * 60_000_000_000;
        for id in ["1", "2"] {
            let labels = |name: &str| Labels::new([("__name__", name), ("id", id), ("le", "2")]);
            let value = if minute == 7 { f64::NAN } else { (minute % 9) as f64 };
            memory.append(&labels("a_total"), time, Sample::Float(value));
            memory.append(&labels("b_bucket"), time, Sample::Float(value));
            memory.append(&labels("h"), time, Sample::Histogram(Arc::new(native.mul(value + 1.0))));
        }
    }
    memory
}

#[test]
fn queries() {
    let inputs: [&[u8]; 8] = [
        b"sum by (id) (rate(a_total[5m] offset 1m)) / on (id) group_left (le) (b_bucket or a_total) > bool 1.5e-3",
        b"histogram_quantile(0.9, sum without (id) (increase(h[10m:30s] @ end())))",
        b"topk(2, max_over_time((a_total - 1)[5m:1m])) unless {__name__=~\"b.+\", id!=\"2\"}",
        b"label_replace(a_total, \"x\", \"$1-\\u00e9\", \"id\", \"(.*)\") and ignoring (x) quantile(0.5, b_bucket)",
        b"count_values(\"v\", round(deriv(a_total[3m]), 0.1)) + ignoring (v) vector(time() % 7 ^ 2)",
        b"absent_over_time(nothing{id=\"1\"}[5m]) * -scalar(avg(h)) atan2 +Inf",
        b"h - h offset 3m == h * 2 # comment",
        b"predict_linear(a_total[10m], 3600) <= bool quantile_over_time(2, b_bucket[1h])",
    ];
    let words: [&[u8]; 16] = [
        b"(",
        b")",
        b"[5m:1s]",
        b"{",
        b"}",
        b" by (id) ",
        b"-",
        b"@ 0 ",
        b" offset -1h",
        b"NaN",
        b"9e999",
        b"\"\\xff\"",
        b"stddev_over_time(",
        b"histogram_fraction(0, 1, ",
        b"[1000y:1ms]",
        b"sort_desc(",
    ];
    let memory = series();
    fuzz("queries", &inputs, &words, |bytes| {
        let query = String::from_utf8_lossy(bytes).into_owned();
        let options = promql::Options { max_samples: 100_000, ..promql::Options::default() };
        let minute = 60_000_000_000;
        // On a stack as queries have: nesting is bounded, recursion must fit.
        std::thread::scope(|scope| {
            let work = || {
                let _ = promql::format(&query);
                let _ = promql::instant(&memory, &query, 10 * minute, &options);
                let _ = promql::range(&memory, &query, 0, 20 * minute, minute, &options);
            };
            let thread = std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, work).unwrap();
            assert!(thread.join().is_ok());
        });
    });
}

#[test]
fn stored_recordings() {
    let whole = recording();
    fuzz("stored recordings", &[&whole], &[b"PAR1", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"zstd"], |bytes| {
        let bytes = bytes::Bytes::copy_from_slice(bytes);
        let Ok(part) = ParquetPart::from_bytes("fuzz", bytes, None) else { return };
        let mut stored = Stored::new(&[], Arc::default());
        stored.push(Arc::new(part));
        let _ = (stored.metadata(), stored.range());
        if let Ok(series) = stored.select(&[], i64::MIN, i64::MAX) {
            for series in series {
                let _ = series.samples.unpacked();
            }
        }
    });
}

/// A viewer of a recording, and who asks it.
struct Asker {
    router: Router,
    runtime: Runtime,
    folder: tempfile::TempDir,
    _stop: watch::Sender<bool>,
}

impl Asker {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        std::fs::write(&path, recording()).unwrap();
        let mut options = viewer::Options { folder: folder.path().into(), ..viewer::Options::default() };
        options.api.max_samples = 100_000;
        let (stop, stopped) = watch::channel(false);
        let viewer = Viewer::open(&[path.to_str().unwrap().into()], options, stopped).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { router: viewer::router(viewer), runtime, folder, _stop: stop }
    }

    fn ask(&self, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.unwrap();
            let status = response.status();
            (status, to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
        })
    }

    fn post(&self, path: &str, kind: &str, body: &[u8]) -> (StatusCode, Vec<u8>) {
        let request = Request::post(path).header("host", "localhost").header("x-rezolus", "1");
        self.ask(request.header("content-type", kind).body(body.to_vec().into()).unwrap())
    }

    fn get(&self, path: &str) -> (StatusCode, Vec<u8>) {
        self.ask(Request::get(path).header("host", "localhost").body(Body::empty()).unwrap())
    }

    /// What the page asks when something is open.
    fn look(&self) {
        for path in ["state", "dashboards", "metrics", "input/0/about", "range?query=x&start=0&end=1"] {
            fine(path, &self.get(&format!("/view/{path}")));
        }
    }
}

/// What is asked is answered or refused; a fault inside is neither, but for damaged recordings.
fn fine(what: &str, (status, body): &(StatusCode, Vec<u8>)) {
    let said = String::from_utf8_lossy(body);
    let damaged = status.is_server_error() && said.contains("is damaged");
    // Its thread has panicked.
    let fault = said.contains("without an answer");
    assert!(!fault && (damaged || !status.is_server_error()), "{what}: {status}: {said}");
}

#[test]
fn viewer_ranges() {
    let asker = Asker::new();
    let inputs: [&[u8]; 4] = [
        b"query=sum+by+(id)+(rate(cpu_usage%5B$interval%5D))&start=0&end=1&points=100&total=1",
        b"query=histogram_quantile($quantile,+rate(latency%5B$interval%5D))&start=0&end=0.00002&quantiles=0.5,0.99",
        b"query=%7B__name__=~%22.%2B%22%7D+@+end()&start=-1e9&end=2026-11-22T10:00:00Z&step=1m&format=series",
        b"query=rate(x%5B$interval%5D)&start=0&end=0.00002&step=0.000001&format=heatmap&input=a",
    ];
    let words: [&[u8]; 12] = [
        b"&",
        b"=",
        b"%",
        b"%00",
        b"%ff",
        b"$quantile",
        b"$interval",
        b"&start=",
        b"&end=9e18",
        b"NaN",
        b"1e-9",
        b"&step=290y",
    ];
    fuzz("view/range", &inputs, &words, |bytes| {
        fine("view/range", &asker.post("/view/range", "application/x-www-form-urlencoded", bytes));
    });
}

/// What a plugin that means no good could have put into a recording.
#[test]
fn viewer_keys() {
    let asker = Asker::new();
    let inputs: [&[u8]; 3] = [
        br#"{"rezolus":{"x":{"version":1,"title":"X","order":1,"groups":[{"title":"","charts":[{"title":"a","kind":"line",
            "unit":"count","queries":[{"query":"rate(a{b=\"c\"}[$interval])","legend":"{{id}}"}]}]}]}}}"#,
        br#"{"rezolus":{"version":"1","plugins":[{"name":"x","state":"failed","reason":"why","samplers":[{"name":"s","state":
            "disabled","declares":["a"],"reads":["/proc/stat"],"programs":[{"attached":"kprobe x"}]}]}]}}"#,
        br#"{"events":[{"timestamp":1,"description":"x","kind":"note"},{"timestamp":"5","source":"y","duration_ns":3}]}"#,
    ];
    let words: [&[u8]; 10] = [
        b"[",
        b"{",
        b"null",
        b"\"",
        b"-1",
        b"1e999",
        b"\"\\ud800\"",
        b"18446744073709551616",
        b"\"groups\":[],",
        b"\\u0000",
    ];
    let keys =
        ["rezolus.dashboards", "rezolus.status", "events", "rezolus.missed", "rezolus.notes", "descriptions"];
    let keys = [&keys[..], &["systeminfo", "sampling_interval_ms", "source"]].concat();
    fuzz("keys of recordings", &inputs, &words, |bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let keys: Vec<_> = keys.iter().map(|key| ((*key).to_string(), text.clone())).collect();
        let opened =
            asker.post("/view/open?name=b.parquet", "application/octet-stream", &recording_with(&keys));
        assert_eq!(opened.0, StatusCode::OK, "{}", String::from_utf8_lossy(&opened.1));
        asker.look();
    });
}

#[test]
fn viewer_uploads() {
    let asker = Asker::new();
    let whole = recording();
    fuzz("view/open", &[&whole], &[b"PAR1", &[0; 8], &[0xff; 4], &[0x15, 0x80]], |bytes| {
        let opened = asker.post("/view/open?name=b.parquet&as=B", "application/octet-stream", bytes);
        fine("view/open", &opened);
        if opened.0 == StatusCode::OK {
            asker.look();
            fine("differences", &asker.get("/view/differences?start=0&end=1"));
            let saved = asker.post("/view/save", "application/json", br#"{"input": "b"}"#);
            fine("view/save", &saved);
        }
    });
    // Those that were exchanged are gone from the disk.
    assert!(std::fs::read_dir(asker.folder.path()).unwrap().count() <= 2);
}

#[test]
fn viewer_saves() {
    let asker = Asker::new();
    let inputs: [&[u8]; 2] = [
        br#"{"input":"a","start":0,"end":0.00001,"events":[{"timestamp":1e-6,"description":"x"}],"notes":{"version":1,"cells":[]}}"#,
        br#"{"start":null,"end":1795341600.5,"events":[],"notes":null}"#,
    ];
    let words: [&[u8]; 8] =
        [b"[", b"{", b"null", b"\"", b"-1e300", b"1e999", b"\"\\u0000\"", b"18446744073709551616"];
    fuzz("view/save", &inputs, &words, |bytes| {
        let saved = asker.post("/view/save", "application/json", bytes);
        fine("view/save", &saved);
        if saved.0 == StatusCode::OK {
            let path = asker.folder.path().join("saved");
            std::fs::write(&path, &saved.1).unwrap();
            assert!(Recording::open(&path).is_ok());
        }
    });
}

/// Only who knows the server by a name of its own is answered: a browser has `Host` from the page's address.
#[test]
fn viewer_hosts() {
    let asker = Asker::new();
    let inputs: [&[u8]; 6] =
        [b"localhost:4244", b"127.0.0.1", b"[::1]:4244", b"evil.example:80", b"localhost.", b"127.1"];
    let words: [&[u8]; 8] = [b":", b".", b"@", b"[", b"]", b"localhost", b"evil", b"\xff"];
    fuzz("Host", &inputs, &words, |bytes| {
        let Ok(host) = axum::http::HeaderValue::from_bytes(bytes) else { return };
        let request = Request::get("/view/state").header("host", host).body(Body::empty()).unwrap();
        let (status, _) = asker.ask(request);
        if status == StatusCode::FORBIDDEN {
            return;
        }
        assert_eq!(status, StatusCode::OK);
        let url = format!("http://{}/", std::str::from_utf8(bytes).unwrap());
        let host = url.parse::<axum::http::Uri>().unwrap().host().unwrap().to_ascii_lowercase();
        let host = match host.strip_prefix('[') {
            Some(address) => address.strip_suffix(']').unwrap(),
            None => host.trim_end_matches('.'),
        };
        assert!(host == "localhost" || host.parse::<std::net::IpAddr>().is_ok(), "{url}");
    });
}

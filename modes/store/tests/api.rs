//! The HTTP API over a loopback port, and promtool as its client.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rezolus_store::api::{Options, router};
use rezolus_store::memory::Memory;
use rezolus_store::promql::Error;
use rezolus_store::{Labels, Matcher, Metadata, Sample, Series, Source};
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000_000;

/// What is served: two jobs' counters, a sample a second for ten minutes, and a
/// metric with a name that has to be quoted.
fn data() -> Memory {
    let mut memory = Memory::default();
    for at in 0..=600 {
        for (job, slope) in [("a", 1.0), ("b", 2.5)] {
            let labels = Labels::new([("__name__", "requests_total"), ("job", job)]);
            memory.append(&labels, at * SECOND, Sample::Float(slope * at as f64));
        }
        let labels = Labels::new([("__name__", "disk.free"), ("http.path", "/x")]);
        memory.append(&labels, at * SECOND, Sample::Float(0.5));
    }
    memory
}

/// Data of which something more is known.
struct Described(Memory);

impl Source for Described {
    fn select(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Series>, Error> {
        self.0.select(matchers, start, end)
    }

    fn series(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Labels>, Error> {
        self.0.series(matchers, start, end)
    }

    fn metadata(&self) -> std::collections::BTreeMap<String, Metadata> {
        let counter = Metadata { kind: "counter".into(), help: "How many.".into(), unit: "requests".into() };
        let gauge = Metadata { kind: "gauge".into(), ..Metadata::default() };
        [("requests_total".into(), counter), ("disk.free".into(), gauge)].into()
    }

    fn range(&self) -> Option<(i64, i64)> {
        self.0.range()
    }
}

/// A server, until it is dropped.
struct Server {
    address: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

impl Server {
    fn new(source: Arc<dyn Source>, options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = router(source, options);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    result = axum::serve(listener, app) => result.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { address, stop: Some(stop) }
    }

    fn plain() -> Self {
        Self::new(Arc::new(Described(data())), Options::default())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn get(&self, path: &str) -> (u16, String) {
        read(agent().get(self.url(path)).call())
    }

    fn post(&self, path: &str, form: &str) -> (u16, String) {
        let request = agent().post(self.url(path));
        read(request.header("content-type", "application/x-www-form-urlencoded").send(form))
    }

    /// The data of a response, asked for both ways where both are possible.
    fn data(&self, path: &str, parameters: &str) -> Value {
        let (code, body) = self.get(&format!("{path}?{parameters}"));
        assert_eq!(code, 200, "{path}?{parameters}: {body}");
        if !path.contains("/label/") && !path.contains("metadata") {
            assert_eq!(self.post(path, parameters), (code, body.clone()), "{path}?{parameters}");
        }
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["status"], "success");
        body["data"].clone()
    }

    /// Expects a refusal.
    fn refuses(&self, path: &str, code: u16, kind: &str, message: &str) {
        let (got, body) = self.get(path);
        let expected = json!({"status": "error", "errorType": kind, "error": message});
        let body: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"));
        assert_eq!((got, body), (code, expected), "{path}");
    }
}

fn agent() -> ureq::Agent {
    let timeout = Some(Duration::from_secs(60));
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(timeout).build().into()
}

fn read(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, String) {
    let mut response = response.unwrap();
    let body = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), body)
}

#[test]
fn instant_queries_are_answered() {
    let server = Server::plain();
    let asked = server.get("/api/v1/query?query=1&time=1.5");
    let expected = r#"{"status":"success","data":{"resultType":"scalar","result":[1.5,"1"]}}"#;
    assert_eq!(asked, (200, expected.into()));
    let asked = server.get("/api/v1/query?query=requests_total%7Bjob%3D%22b%22%7D&time=10");
    let expected = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"requests_total","job":"b"},"value":[10,"25"]}]}}"#;
    assert_eq!(asked, (200, expected.into()));
    let rate = server.data("/api/v1/query", "query=sum(rate(requests_total[1m]))&time=300&timeout=5s");
    assert_eq!(rate["result"][0]["value"], json!([300, "3.5"]));
    // The body's parameters come before the URL's.
    let (_, body) = server.post("/api/v1/query?query=2&time=7", "query=3");
    assert!(body.contains(r#"[7,"3"]"#), "{body}");
    // Data of 1970 have ended: asked without a time, at their end.
    let end = server.data("/api/v1/query", "query=requests_total%7Bjob%3D%22a%22%7D");
    assert_eq!(end["result"][0]["value"], json!([600, "600"]));
    let few = server.get("/api/v1/query?query=requests_total&time=10&limit=1").1;
    assert!(few.ends_with(r#""warnings":["results truncated due to limit"]}"#), "{few}");
    // Of rate of what is no counter by its name there is something to say.
    let noted = server.get("/api/v1/query?query=rate(%7B%22disk.free%22%7D%5B1m%5D)&time=100").1;
    assert!(noted.contains(r#""infos":["PromQL info: metric might not be a counter"#), "{noted}");
    let lookback = server.data("/api/v1/query", "query=requests_total&time=605&lookback_delta=2");
    assert_eq!(lookback["result"], json!([]));
}

#[test]
fn range_queries_are_answered() {
    let server = Server::plain();
    let asked = server.get("/api/v1/query_range?query=time()%2B0.1&start=0&end=1&step=500ms");
    let expected = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[0,"0.1"],[0.500,"0.6"],[1,"1.1"]]}]}}"#;
    assert_eq!(asked, (200, expected.into()));
    let parameters = "query=requests_total&start=1970-01-01T00:01:00Z&end=180&step=1m";
    let range = server.data("/api/v1/query_range", parameters);
    assert_eq!(range["result"].as_array().unwrap().len(), 2);
    assert_eq!(range["result"][0]["metric"], json!({"__name__": "requests_total", "job": "a"}));
    assert_eq!(range["result"][1]["values"], json!([[60, "150"], [120, "300"], [180, "450"]]));
    let most = server.data("/api/v1/query_range", "query=1&start=0&end=11000&step=1");
    assert_eq!(most["result"][0]["values"].as_array().unwrap().len(), 11_001);
}

#[test]
fn series_and_labels_are_listed() {
    let server = Server::plain();
    let (a, b) = (
        json!({"__name__": "requests_total", "job": "a"}),
        json!({"__name__": "requests_total", "job": "b"}),
    );
    let disk = json!({"__name__": "disk.free", "http.path": "/x"});
    let series = |parameters| server.data("/api/v1/series", parameters);
    assert_eq!(series("match[]=requests_total"), json!([a, b]));
    assert_eq!(series("match[]=%7Bjob%3D%22a%22%7D&match[]=%7B%22disk.free%22%7D"), json!([disk, a]));
    assert_eq!(series("match[]=requests_total&start=700"), json!([]));
    assert_eq!(
        series(
            "match[]=requests_total&start=-292273086-05-16T16:47:06Z&end=292277025-08-18T07:12:54.999999999Z"
        ),
        json!([a, b])
    );
    assert_eq!(series("match[]=requests_total&limit=1"), json!([a]));
    assert_eq!(server.data("/api/v1/labels", ""), json!(["__name__", "http.path", "job"]));
    assert_eq!(server.data("/api/v1/labels", "match[]=requests_total"), json!(["__name__", "job"]));
    let (_, cut) = server.get("/api/v1/labels?limit=1");
    assert_eq!(
        cut,
        r#"{"status":"success","data":["__name__"],"warnings":["results truncated due to limit"]}"#
    );
    let values = |name: &str| server.data(&format!("/api/v1/label/{name}/values"), "");
    assert_eq!(values("job"), json!(["a", "b"]));
    assert_eq!(values("__name__"), json!(["disk.free", "requests_total"]));
    assert_eq!(values("http.path"), json!(["/x"]));
    assert_eq!(values("U__http_2e_path"), json!(["/x"]));
    assert_eq!(values("none"), json!([]));
    assert_eq!(server.data("/api/v1/label/job/values", "match[]=%7Bjob%3D~%22b.*%22%7D"), json!(["b"]));
}

#[test]
fn other_paths_say_what_clients_ask_for() {
    let server = Server::plain();
    assert_eq!(
        server.data("/api/v1/metadata", ""),
        json!({
            "disk.free": [{"type": "gauge", "help": "", "unit": ""}],
            "requests_total": [{"type": "counter", "help": "How many.", "unit": "requests"}],
        })
    );
    assert_eq!(server.data("/api/v1/metadata", "metric=x"), json!({}));
    assert_eq!(server.data("/api/v1/metadata", "limit=1").as_object().unwrap().len(), 1);
    let (code, info) = server.get("/api/v1/status/buildinfo");
    assert!(code == 200 && info.starts_with(r#"{"status":"success","data":{"version":"3."#), "{info}");
    assert_eq!(server.data("/api/v1/query_exemplars", "query=requests_total&start=0&end=1"), json!([]));
    assert_eq!(server.get("/api/v1/rules").1, r#"{"status":"success","data":{"groups":[]}}"#);
    assert_eq!(server.get("/api/v1/alerts").1, r#"{"status":"success","data":{"alerts":[]}}"#);
    assert_eq!(server.get("/api/v1/none"), (404, "404 page not found\n".into()));
    assert_eq!(server.post("/api/v1/metadata", ""), (405, "Method Not Allowed\n".into()));
}

#[test]
fn queries_are_formatted() {
    let number = Server::plain().data("/api/v1/format_query", "query=1_000");
    assert_eq!(number, "1000");
    // As deep as can be, on a thread with an ordinary stack.
    let deep = format!("query={}a{}", "abs(".repeat(400), ")".repeat(400));
    assert!(Server::plain().data("/api/v1/format_query", &deep).as_str().is_some());
    let formatted = Server::plain().data("/api/v1/format_query", "query=sum(a)by(b)%2B1");
    assert_eq!(formatted, json!("sum by (b) (a) + 1"));
}

#[test]
fn bad_parameters_are_refused_as_prometheus_does() {
    let server = Server::plain();
    let timestamp = |text: &str| format!("cannot parse \"{text}\" to a valid timestamp");
    for (path, message) in [
        (
            "query?query=1&time=x",
            format!("invalid parameter \"time\": Invalid time value for 'time': {}", timestamp("x")),
        ),
        (
            "query?query=1&timeout=x",
            "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration".into(),
        ),
        ("query?query=1&limit=-1", "invalid parameter \"limit\": limit must be non-negative".into()),
        (
            "query?query=1&lookback_delta=x",
            "error parsing lookback delta duration: cannot parse \"x\" to a valid duration".into(),
        ),
        ("query_range?query=1", format!("invalid parameter \"start\": {}", timestamp(""))),
        ("query_range?query=1&start=0&end=x", format!("invalid parameter \"end\": {}", timestamp("x"))),
        (
            "query_range?query=1&start=10&end=5&step=1",
            "invalid parameter \"end\": end timestamp must not be before start time".into(),
        ),
        (
            "query_range?query=1&start=0&end=5&step=0",
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer".into(),
        ),
        (
            "query_range?query=1&start=0&end=5&step=1e30",
            "invalid parameter \"step\": cannot parse \"1e30\" to a valid duration. It overflows int64".into(),
        ),
        (
            "query_range?query=1&start=0&end=11001&step=1",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)".into(),
        ),
        ("series", "no match[] parameter provided".into()),
        ("series?match[]=a%zz", "error parsing form values: invalid URL escape \"%zz\"".into()),
        (
            "labels?start=x",
            format!("invalid parameter \"start\": Invalid time value for 'start': {}", timestamp("x")),
        ),
        ("metadata?limit=x", "limit must be a number".into()),
        (
            "query_exemplars?query=a&start=5&end=1",
            "end timestamp must not be before start timestamp".into(),
        ),
    ] {
        server.refuses(&format!("/api/v1/{path}"), 400, "bad_data", &message);
    }
    for (path, begins) in [
        ("query?query=", "invalid parameter \"query\": "),
        ("query?query=sum(((a)", "invalid parameter \"query\": "),
        ("query_range?query=a%5B5m%5D&start=0&end=5&step=1", "invalid parameter \"query\": "),
        ("format_query?query=1%2B", "invalid parameter \"query\": "),
        ("series?match[]=a(", "invalid parameter \"match[]\": "),
        ("series?match[]=1", "invalid parameter \"match[]\": "),
    ] {
        let (code, body) = server.get(&format!("/api/v1/{path}"));
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((code, &body["errorType"]), (400, &json!("bad_data")), "{path}");
        let message = body["error"].as_str().unwrap();
        assert!(message.starts_with(begins) && !message[begins.len()..].contains("invalid parameter"));
    }
}

#[test]
fn limits_end_queries_in_prometheus_form() {
    let server = |options| Server::new(Arc::new(Described(data())), options);
    let kind = |(code, body): (u16, String)| {
        let body: Value = serde_json::from_str(&body).unwrap();
        (code, body["errorType"].as_str().unwrap_or_else(|| panic!("{body}")).to_string())
    };
    let samples = server(Options { max_samples: 100, ..Options::default() });
    let many = "/api/v1/query?query=requests_total%5B10m%5D&time=600";
    assert_eq!(kind(samples.get(many)), (422, "execution".into()));
    let bytes = server(Options { max_bytes: 100, ..Options::default() });
    assert_eq!(kind(bytes.get("/api/v1/query?query=requests_total&time=600")), (422, "execution".into()));
    assert_eq!(kind(bytes.get("/api/v1/series?match[]=requests_total")), (422, "execution".into()));
    let time = server(Options { timeout: Duration::ZERO, ..Options::default() });
    assert_eq!(kind(time.get("/api/v1/query?query=requests_total&time=600")), (503, "timeout".into()));
    let plain = Server::plain();
    // Two series that match one.
    let many = "/api/v1/query?query=requests_total%20*%20on()%20requests_total&time=600";
    assert_eq!(kind(plain.get(many)), (422, "execution".into()));
    let deep = format!("query={}1{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(kind(plain.post("/api/v1/query", &deep)), (400, "bad_data".into()));
}

/// Holds back whoever selects until told, and counts them.
#[derive(Default)]
struct Held {
    selected: AtomicUsize,
    go: Mutex<bool>,
    changed: Condvar,
}

impl Source for Held {
    fn select(&self, _: &[Matcher], _: i64, end: i64) -> Result<Vec<Series>, Error> {
        self.selected.fetch_add(1, Ordering::SeqCst);
        let mut go = self.go.lock();
        while !*go {
            self.changed.wait(&mut go);
        }
        let samples = rezolus_store::Samples::new([(end, Sample::Float(1.0))]);
        Ok(vec![Series { labels: Labels::default(), samples }])
    }

    fn series(&self, _: &[Matcher], _: i64, _: i64) -> Result<Vec<Labels>, Error> {
        Ok(Vec::new())
    }

    fn range(&self) -> Option<(i64, i64)> {
        None
    }
}

#[test]
fn a_query_whose_client_is_gone_stops() {
    use std::io::Write;

    let held = Arc::new(Held::default());
    let server = Server::new(held.clone(), Options { concurrency: 1, ..Options::default() });
    let mut client = std::net::TcpStream::connect(&server.address).unwrap();
    let many = vec!["a"; 50].join("%2B");
    write!(client, "GET /api/v1/query?time=1&query={many} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    while held.selected.load(Ordering::SeqCst) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(client);
    // The server has to hear of it before the query goes on.
    std::thread::sleep(Duration::from_millis(300));
    *held.go.lock() = true;
    held.changed.notify_all();
    // There is one turn: this one comes after the other has ended.
    assert_eq!(server.get("/api/v1/query?query=1&time=1").0, 200);
    let selected = held.selected.load(Ordering::SeqCst);
    assert!(selected < 50, "{selected} of 50 selectors were read for nobody");
}

/// Runs Debian's promtool against a server.
fn promtool(server: &Server, arguments: &[&str]) -> String {
    let url = server.url("");
    let arguments: Vec<&str> =
        arguments.iter().map(|argument| if *argument == "URL" { &url } else { *argument }).collect();
    let output = Command::new("promtool")
        .arg("query")
        .args(&arguments)
        .output()
        .expect("promtool is needed: apt-get install prometheus");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn promtool_is_a_client() {
    let server = Server::plain();
    let series = promtool(&server, &["series", "--match", "requests_total", "--start=0", "--end=600", "URL"]);
    assert_eq!(
        series,
        "{__name__=\"requests_total\", job=\"a\"}\n{__name__=\"requests_total\", job=\"b\"}\n"
    );
    assert_eq!(promtool(&server, &["labels", "--start=0", "--end=600", "URL", "job"]), "a\nb\n");
    let instant = promtool(&server, &["instant", "--time=1970-01-01T00:05:00Z", "URL", "requests_total"]);
    assert_eq!(instant, "requests_total{job=\"a\"} => 300 @[300]\nrequests_total{job=\"b\"} => 750 @[300]\n");
    assert_eq!(promtool(&server, &["instant", "--time=300", "URL", "1+1"]), "scalar: 2 @[300]\n");
    let range = promtool(
        &server,
        &["range", "--start=60", "--end=120", "--step=30s", "URL", "sum(rate(requests_total[30s]))"],
    );
    assert_eq!(range, "{} =>\n3.5 @[60]\n3.5 @[90]\n3.5 @[120]\n");
    let json =
        promtool(&server, &["-o", "json", "range", "--start=0", "--end=1", "--step=1s", "URL", "time()"]);
    assert_eq!(json.trim(), r#"[{"metric":{},"values":[[0,"0"],[1,"1"]]}]"#);
}

//! Asks the viewer's router, and reads what it answers.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use rezolus_modes::viewer::{self, Options, Viewer};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower::ServiceExt;

/// A viewer, and who asks it.
pub struct Asker {
    pub router: Router,
    pub runtime: Runtime,
    pub stop: watch::Sender<bool>,
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// With these inputs.
pub fn viewer<S: AsRef<str>>(inputs: &[S]) -> Asker {
    with(inputs, Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

pub fn with<S: AsRef<str>>(inputs: &[S], options: Options) -> Result<Asker, String> {
    let inputs: Vec<String> = inputs.iter().map(|input| input.as_ref().into()).collect();
    let (stop, stopped) = watch::channel(false);
    let viewer = Viewer::open(&inputs, options, stopped)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    Ok(Asker { router: viewer::router(viewer), runtime, stop })
}

/// A request as the page makes it.
pub fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("host", "localhost:4260");
    let request = if method == "POST" { request.header("x-rezolus", "1") } else { request };
    request.body(body.into()).unwrap()
}

/// `path?name=value&…`
pub fn form(path: &str, fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("{path}?{}", fields.join("&"))
}

pub fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

impl Asker {
    pub fn response(&self, request: Request<Body>) -> Response<Body> {
        self.runtime.block_on(self.router.clone().oneshot(request)).unwrap()
    }

    pub fn ask(&self, request: Request<Body>) -> Reply {
        let (head, body) = self.response(request).into_parts();
        let body = self.runtime.block_on(to_bytes(body, usize::MAX)).unwrap().to_vec();
        Reply { status: head.status, headers: head.headers, body }
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask(request("GET", path, ""))
    }

    pub fn post(&self, path: &str, body: impl Into<Body>) -> Reply {
        self.ask(request("POST", path, body))
    }

    pub fn post_json(&self, path: &str, body: &Value) -> Reply {
        let mut request = request("POST", path, body.to_string());
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        self.ask(request)
    }

    /// What is answered to a GET that is answered well.
    pub fn told(&self, path: &str) -> Value {
        self.get(path).good()
    }

    pub fn state(&self) -> Value {
        self.told("/view/state")
    }

    /// The names of what is open.
    pub fn names(&self) -> Vec<String> {
        let state = self.state();
        state["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|input| input["name"].as_str().unwrap().into())
            .collect()
    }

    pub fn range(&self, fields: &[(&str, &str)]) -> Drawn {
        let reply = self.get(&form("/view/range", fields));
        assert_eq!(reply.status, StatusCode::OK, "{fields:?}: {}", reply.text());
        assert_eq!(reply.headers["content-type"], "application/octet-stream");
        Drawn::read(&reply.body)
    }
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn good(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        self.json()
    }

    /// The reason of a refusal, which is in Prometheus' form.
    pub fn refusal(&self, code: u16) -> String {
        assert_eq!(self.status.as_u16(), code, "{}", self.text());
        let said = self.json();
        assert_eq!(said["status"], "error");
        assert!(said["errorType"].is_string());
        said["error"].as_str().unwrap().into()
    }
}

pub type Labels = BTreeMap<String, String>;

/// The body of `view/range`.
#[derive(Debug)]
pub struct Drawn {
    pub header: Value,
    pub lines: Vec<(Labels, Line)>,
    /// Lots, buckets and counts.
    pub cells: Vec<(u32, u32, f64)>,
}

#[derive(Clone, Debug)]
pub struct Line {
    pub mean: Vec<f64>,
    pub least: Vec<f64>,
    pub greatest: Vec<f64>,
}

impl Drawn {
    pub fn read(body: &[u8]) -> Self {
        let length = u32::from_le_bytes(body[..4].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&body[4..4 + length]).unwrap();
        let start = (4 + length).next_multiple_of(8);
        assert!(body[4 + length..start].iter().all(|&byte| byte == b' '));
        let mut rest = &body[start..];
        let floats = |rest: &mut &[u8], count: usize| -> Vec<f64> {
            let (these, others) = rest.split_at(count * 8);
            *rest = others;
            these.chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
        };
        let count = header["count"].as_u64().unwrap() as usize;
        let (mut lines, mut cells) = (Vec::new(), Vec::new());
        if header["kind"] == "series" {
            for series in header["series"].as_array().unwrap() {
                let labels = serde_json::from_value(series["labels"].clone()).unwrap();
                let mean = floats(&mut rest, count);
                let line = match header["reduced"].as_bool().unwrap() {
                    false => Line { least: mean.clone(), greatest: mean.clone(), mean },
                    true => {
                        Line { mean, least: floats(&mut rest, count), greatest: floats(&mut rest, count) }
                    }
                };
                lines.push((labels, line));
            }
        } else {
            assert_eq!(header["kind"], "heatmap");
            let count = header["cells"].as_u64().unwrap() as usize;
            let whole = |at: usize| u32::from_le_bytes(rest[at * 4..at * 4 + 4].try_into().unwrap());
            let places: Vec<_> = (0..count).map(|at| (whole(at), whole(count + at))).collect();
            rest = &rest[(count * 8).next_multiple_of(8)..];
            let counts = floats(&mut rest, count);
            cells =
                places.into_iter().zip(counts).map(|((lot, bucket), count)| (lot, bucket, count)).collect();
        }
        assert!(rest.is_empty(), "{} bytes too many", rest.len());
        Self { header, lines, cells }
    }

    pub fn number(&self, key: &str) -> f64 {
        self.header[key].as_f64().unwrap_or_else(|| panic!("{key}: {}", self.header))
    }

    /// The only line.
    pub fn line(&self) -> &Line {
        assert_eq!(self.lines.len(), 1, "{}", self.header);
        &self.lines[0].1
    }
}

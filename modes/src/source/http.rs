//! GET, with limits: a server that is slow, endless or something else
//! altogether costs a bounded time and a bounded memory, and an error that
//! says what was found.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{StatusCode, Uri, header};

/// The largest body that is taken.
pub const MOST_BYTES: u64 = 64 << 20;
/// Of an answer that is an error, as much is read for the message.
const MOST_OF_ERROR: u64 = 4096;
/// Of a body, as much is shown in a message.
const MOST_CHARACTERS: usize = 80;

/// One server, with its connections kept alive.
pub struct Client {
    agent: ureq::Agent,
    /// `http://host:port`
    origin: String,
    timeout: Duration,
    /// Since then there may be a kept connection.
    answered: AtomicBool,
}

/// What came.
pub struct Answer {
    pub url: String,
    pub body: Vec<u8>,
    pub content_type: String,
    /// When the request was sent, and how long it took to have it all.
    pub began: SystemTime,
    pub took: Duration,
}

/// Why nothing came.
pub enum Failure {
    /// No answer: asking for another path will not help.
    Server(String),
    /// An answer, but not one to use.
    Path(String),
}

impl Failure {
    pub fn text(self) -> String {
        match self {
            Self::Server(text) | Self::Path(text) => text,
        }
    }
}

/// The parts of an endpoint's URL.
pub struct Place {
    /// `http://host:port`, without the port if none was given.
    pub origin: String,
    /// `host-port`
    pub label: String,
    /// With the query, if there is one; `/` if there is neither.
    pub path: String,
}

impl Place {
    /// Takes `http://host[:port][/path]` and `host[:port][/path]`.
    ///
    /// # Errors
    ///
    /// Says what is wrong and what it should look like.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("{url:?}: {why}; an endpoint is http://HOST:PORT[/PATH] or HOST:PORT");
        let rest = match url.trim().split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(("https", _)) => {
                return Err(wrong("only http is spoken here: use a tunnel or a proxy for https"));
            }
            Some((scheme, _)) => return Err(wrong(&format!("only http is spoken here, not {scheme}"))),
            None => url.trim(),
        };
        let uri: Uri = format!("http://{rest}").parse().map_err(|error| wrong(&format!("{error}")))?;
        let authority = uri.authority().ok_or_else(|| wrong("there is no host"))?;
        let host = authority.host();
        if host.is_empty() || host == "[]" {
            return Err(wrong("there is no host"));
        }
        if authority.as_str().contains('@') {
            return Err(wrong("user and password are not supported"));
        }
        let named = authority.as_str()[host.len()..].strip_prefix(':');
        if named.is_some() && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(wrong("a port is a number from 1 to 65535"));
        }
        let port = authority.port_u16().unwrap_or(80);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            origin: format!("http://{authority}"),
            label: format!("{}-{port}", host.trim_matches(['[', ']'])),
            path: format!("{slash}{path}"),
        })
    }
}

impl Client {
    pub fn new(origin: String, timeout: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // What is measured is what was named, not what a variable of the
            // environment puts in between.
            .proxy(None)
            .user_agent(concat!("rezolus/", env!("CARGO_PKG_VERSION")))
            .accept_encoding(ureq::config::AutoHeaderValue::None)
            // An endpoint is asked for one thing at a time, with some extra at the start.
            .max_idle_connections(2)
            .max_idle_age(Duration::from_secs(120))
            .build();
        Self { agent: config.into(), origin, timeout, answered: AtomicBool::new(false) }
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// By when an answer must be complete that is asked for now.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Gets a path. The answer was a success and is complete.
    pub fn get(&self, path: &str, headers: &[(&str, &str)], deadline: Instant) -> Result<Answer, Failure> {
        let url = format!("{}{path}", self.origin);
        let (began, start) = (SystemTime::now(), Instant::now());
        let broken = |error| self.explain(&url, error);
        let mut response = match self.send(&url, headers, deadline) {
            // A kept connection may end at the moment at which it is used again,
            // and does so regularly if the server's patience is our interval.
            Err(error) if is_lost(&error) && self.answered.load(Ordering::Relaxed) => {
                self.send(&url, headers, deadline)
            }
            result => result,
        }
        .map_err(broken)?;
        self.answered.store(true, Ordering::Relaxed);
        let status = response.status();
        let header = |name| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_string()
        };
        let (content_type, location) = (header(header::CONTENT_TYPE), header(header::LOCATION));
        let encoding = header(header::CONTENT_ENCODING);
        if !status.is_success() {
            let body = response.body_mut().with_config().limit(MOST_OF_ERROR).read_to_vec();
            let came = came(&content_type, &body.unwrap_or_default());
            let advice = advice(status, &location);
            return Err(Failure::Path(format!("{url}: HTTP {status}, {came}: {advice}")));
        }
        if !encoding.is_empty() && encoding != "identity" {
            let why = "which nobody asked for: have the server, or the proxy before it, send it as it is";
            return Err(Failure::Path(format!("{url}: the body is compressed ({encoding}), {why}")));
        }
        let body = response.body_mut().with_config().limit(MOST_BYTES).read_to_vec().map_err(broken)?;
        Ok(Answer { url, body, content_type, began, took: start.elapsed() })
    }

    fn send(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        // None at all would be no limit.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut request = self.agent.get(url).config().timeout_global(Some(left)).build();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.call()
    }

    fn explain(&self, url: &str, error: ureq::Error) -> Failure {
        use std::io::ErrorKind;
        let text = match error {
            ureq::Error::BodyExceedsLimit(limit) => {
                let megabytes = limit >> 20;
                return Failure::Path(format!(
                    "{url}: the body does not end within {megabytes} MB: this is no snapshot, check the URL"
                ));
            }
            ureq::Error::Timeout(_) => format!(
                "no complete answer within {}: is it overloaded, or the network slow? a longer timeout may help",
                humantime::format_duration(self.timeout)
            ),
            ureq::Error::HostNotFound => "there is no host of this name: check the URL".into(),
            ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
                "nothing accepts connections there: is it running, and is the port right? \
                 agents listen on 4241 unless told otherwise, and on the loopback interface only"
                    .into()
            }
            ureq::Error::Io(error) => format!("{error}: the connection ended before the answer did"),
            ureq::Error::Protocol(error) => {
                format!("what answers does not speak HTTP properly ({error}): is the port right?")
            }
            error => error.to_string(),
        };
        Failure::Server(format!("{url}: {text}"))
    }
}

/// Whether a connection ended before any answer.
fn is_lost(error: &ureq::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let lost = [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof];
    matches!(error, ureq::Error::Io(error) if lost.contains(&error.kind()))
}

impl Answer {
    /// Says what came, why it is of no use, and what to do.
    pub fn refuse(&self, why: &str, advice: &str) -> String {
        format!("{}: {}: {why}; {advice}", self.url, came(&self.content_type, &self.body))
    }
}

fn came(content_type: &str, body: &[u8]) -> String {
    let kind = if content_type.is_empty() { "no content type" } else { content_type };
    if body.is_empty() {
        return format!("{kind}, empty");
    }
    // Some bytes more than are shown; what follows cannot be seen anyway.
    let start = String::from_utf8_lossy(&body[..body.len().min(4 * MOST_CHARACTERS)]);
    let words = start.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = words.chars().take(MOST_CHARACTERS).collect();
    if shown.len() < words.len() || body.len() > 4 * MOST_CHARACTERS {
        shown.push('…');
    }
    format!("{kind}, {} bytes, {shown:?}", body.len())
}

fn advice(status: StatusCode, location: &str) -> String {
    match status.as_u16() {
        300..=399 if !location.is_empty() => {
            format!("redirects are not followed, name {location:?} itself if that is what you want")
        }
        401 | 403 => "access is denied; agents and exporters are asked without credentials".into(),
        404 => {
            "there is no such path; an agent, or an exporter in the usual place, is named without one".into()
        }
        500.. => "the server has a problem of its own, see its log".into(),
        _ => "check the URL".into(),
    }
}

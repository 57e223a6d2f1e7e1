//! Streamable HTTP. Every request is by itself: there are no sessions, so that nothing is kept for clients that went
//! away, and a client that hangs up cancels what it asked.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::Server;

/// The path at which it is served.
pub const PATH: &str = "/mcp";
/// Arguments are short.
const MOST_BYTES: usize = 256 << 10;

/// Whose requests are answered.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names under which the server may be asked, besides `localhost` and the loopback addresses.
    pub hosts: Vec<String>,
    /// Web pages that may ask, such as `https://app.example.com:443`. Others, which a browser tells by the header
    /// Origin, are refused.
    pub origins: Vec<String>,
    /// What `Authorization: Bearer` has to say, if anything.
    pub token: Option<String>,
}

/// The server at [`PATH`].
pub fn router(server: Server, options: &Options) -> Router {
    let local = ["localhost", "127.0.0.1", "::1"].map(String::from);
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(local.into_iter().chain(options.hosts.iter().cloned()))
        .with_allowed_origins(options.origins.iter().cloned())
        .enforce_origin_validation()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MOST_BYTES);
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let router = Router::new().route_service(PATH, service);
    let router = match &options.token {
        Some(token) => {
            let token: Arc<str> = token.as_str().into();
            router.layer(axum::middleware::from_fn_with_state(token, authorized))
        }
        None => router,
    };
    router.layer(axum::middleware::from_fn(readable))
}

/// Tells the browser of a page that may ask that the page may read the answer, too (Cross-Origin Resource Sharing). Who
/// may ask was decided within: what was not refused there may be read.
async fn readable(request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else { return next.run(request).await };
    let asks_first = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let answer = next.run(request).await;
    if matches!(answer.status(), StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
        return answer;
    }
    let mut answer = if asks_first { StatusCode::NO_CONTENT.into_response() } else { answer };
    let mut tell = |name: HeaderName, value: HeaderValue| answer.headers_mut().insert(name, value);
    tell(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    tell(header::VARY, HeaderValue::from_static("Origin"));
    if asks_first {
        tell(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        let headers = "accept, authorization, content-type, mcp-method, mcp-name, mcp-protocol-version";
        tell(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(headers));
    }
    answer
}

async fn authorized(State(token): State<Arc<str>>, request: Request, next: Next) -> Response {
    // A browser asks without a token whether it may ask; nothing is done then.
    let asks_first = request.method() == Method::OPTIONS;
    if asks_first || bearer(request.headers()).is_some_and(|given| same(given.as_bytes(), token.as_bytes())) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, "this server wants Authorization: Bearer TOKEN\n").into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Takes as long whichever byte is wrong, so that a token cannot be found byte by byte.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let given = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).is_some_and(|given| same(given.as_bytes(), b"secret"))
        };
        assert!(given("Bearer secret") && given("bearer  secret"));
        for bad in ["", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Basic secret", "secret"] {
            assert!(!given(bad), "{bad}");
        }
    }
}

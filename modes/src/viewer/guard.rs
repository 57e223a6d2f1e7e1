//! Who may ask. A page of somebody else's in the same browser can send requests here, and one whose
//! name was made to point here (DNS rebinding) can read the answers: so the name has to be ours, and
//! what changes something needs a header that such a page cannot send unasked.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What the page sends with whatever changes something.
const HEADER: &str = "x-rezolus";

/// Names under which the server may be asked, besides `localhost` and addresses.
pub async fn guard(State(names): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let refuse = |why: String| (StatusCode::FORBIDDEN, format!("{why}\n")).into_response();
    let host = host(request.headers(), request.uri());
    if !is_ours(host.as_deref(), &names) {
        let host = host.unwrap_or_default();
        return refuse(format!(
            "this server does not answer to the name {host:?}: start it with --host {host}"
        ));
    }
    // Prometheus' API only reads, and its clients POST without that header.
    let reads = matches!(*request.method(), Method::GET | Method::HEAD)
        || request.uri().path().starts_with("/api/v1/");
    if !reads && !request.headers().contains_key(HEADER) {
        return refuse(format!("this needs the header {HEADER}: 1"));
    }
    next.run(request).await
}

fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let authority: Authority = match headers.get(header::HOST) {
        Some(host) => host.to_str().ok()?.parse().ok()?,
        None => uri.authority()?.clone(),
    };
    // All there may be besides is a port.
    let host = authority.host();
    let port = authority.as_str().strip_prefix(host)?;
    if !port.is_empty() && !port.strip_prefix(':')?.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match host.strip_prefix('[') {
        Some(rest) => Some(rest.strip_suffix(']')?.into()),
        None => Some(host.trim_end_matches('.').to_ascii_lowercase()),
    }
}

/// An address cannot be made to point elsewhere.
fn is_ours(host: Option<&str>, names: &[String]) -> bool {
    let Some(host) = host else { return false };
    host == "localhost"
        || host.parse::<IpAddr>().is_ok()
        || names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_answered() {
        let ours = |text: &str| {
            let headers = HeaderMap::from_iter([(header::HOST, text.parse().unwrap())]);
            is_ours(host(&headers, &Uri::from_static("/")).as_deref(), &["Box.example".into()])
        };
        for good in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:4260",
            "[::1]:4260",
            "[::1]",
            "box.example:80",
            "localhost.",
        ] {
            assert!(ours(good), "{good}");
        }
        for bad in [
            "evil.example:4260",
            "",
            "127.0.0.1.evil.example",
            "localhost.evil",
            "x]",
            "box.example.org",
            "localhost:80:evil",
            "[::1]evil",
            "localhost@evil.example",
        ] {
            assert!(!ours(bad), "{bad}");
        }
        assert!(!is_ours(None, &[]));
    }
}

//! The page, which is in the binary.

use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// A file of the page: its path, what it holds, and the same compressed.
struct Asset {
    path: &'static str,
    bytes: &'static [u8],
    gzip: Option<&'static [u8]>,
}

/// Where the page is read from instead, while it is worked on.
pub const FOLDER: &str = "REZOLUS_WEB_DIR";

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const NOT_BUILT: &str = "<!doctype html><title>rezolus</title><p>The viewer's page is not in this binary: it was built \
    without it. Run <code>make web</code> (node 20), then build again. <a href=\"api/v1/labels\">Queries</a> are \
    answered all the same.\n";

/// Whether the page is in this binary.
pub fn is_built() -> bool {
    !ASSETS.is_empty()
}

/// A file of the page.
pub fn serve(path: &str, headers: &HeaderMap) -> Response {
    let path = if path.is_empty() { "index.html" } else { path };
    if let Some(folder) = std::env::var_os(FOLDER) {
        return from_folder(Path::new(&folder), path);
    }
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        return match path {
            "index.html" => with_headers(path, NOT_BUILT.into()),
            _ => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
        };
    };
    let accepts = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let accepts = accepts.flat_map(|value| value.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim() == "gzip" && !matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    });
    match asset.gzip.filter(|_| accepts) {
        None => with_headers(path, asset.bytes.into()),
        Some(gzip) => {
            let mut response = with_headers(path, gzip.into());
            response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
            response
        }
    }
}

fn from_folder(folder: &Path, path: &str) -> Response {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let file: PathBuf = folder.join(path);
    match std::fs::read(&file).ok().filter(|_| plain) {
        Some(bytes) => with_headers(path, bytes.into()),
        None => {
            (StatusCode::NOT_FOUND, format!("{}: there is no such file\n", file.display())).into_response()
        }
    }
}

fn with_headers(path: &str, body: Body) -> Response {
    let kind = match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    };
    // What is in assets/ is named by content.
    let cached = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, cached),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body).into_response()
}

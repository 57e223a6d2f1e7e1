//! Who may ask, what there is, and how the page comes.

use axum::body::Body;
use axum::http::Request;
use rezolus_modes::viewer::{Options, is_built};

use super::ask::{request, viewer, with};
use super::made::{folder, usual};

fn nothing() -> super::ask::Asker {
    viewer::<&str>(&[])
}

fn of_host(host: Option<&str>, path: &str) -> Request<Body> {
    let request = Request::builder().uri(path);
    let request = host.into_iter().fold(request, |request, host| request.header("host", host));
    request.body(Body::empty()).unwrap()
}

#[test]
fn only_names_of_this_machine_are_answered() {
    let options = Options { hosts: vec!["box.example".into()], ..Options::default() };
    let asker = with::<&str>(&[], options).unwrap();
    for path in ["/", "/view/state", "/api/v1/labels"] {
        let code = |host| asker.ask(of_host(host, path)).status.as_u16();
        for good in
            ["localhost", "localhost:4260", "127.0.0.1:1", "[::1]:4260", "192.168.1.2", "BOX.example:80"]
        {
            assert_eq!(code(Some(good)), 200, "{good} {path}");
        }
        for bad in ["evil.example", "box.example.evil", "localhost.evil:4260", "127.0.0.1.evil.example", ""] {
            assert_eq!(code(Some(bad)), 403, "{bad} {path}");
        }
        assert_eq!(code(None), 403, "{path}");
    }
    let said = asker.ask(of_host(Some("evil.example"), "/")).text();
    assert!(said.contains("--host evil.example"), "{said}");
    // HTTP/2 and proxies name the host in the address instead.
    assert_eq!(asker.ask(of_host(None, "http://evil.example/view/state")).status, 403);
    assert_eq!(asker.ask(of_host(None, "http://localhost/view/state")).status, 200);
    assert_eq!(asker.ask(of_host(Some("evil.example"), "http://localhost/view/state")).status, 403);
}

#[test]
fn what_changes_something_needs_a_header() {
    let asker = nothing();
    let bare = |path: &str| {
        let request = Request::builder().method("POST").uri(path).header("host", "localhost");
        asker.ask(request.body(Body::from("query=1&start=0&end=1")).unwrap())
    };
    for path in ["/view/open?name=x", "/view/save", "/view/range", "/view/state", "/"] {
        let reply = bare(path);
        assert_eq!(reply.status, 403, "{path}");
        assert!(reply.text().contains("x-rezolus"));
    }
    assert_ne!(bare("/api/v1/query?query=1").status, 403);
}

#[test]
fn prometheus_clients_post_as_ever() {
    let asker = nothing();
    let request = Request::builder().method("POST").uri("/api/v1/query").header("host", "localhost");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let said = asker.ask(request.body(Body::from("query=1%2B1&time=5")).unwrap()).good();
    assert_eq!(said["data"]["result"][1], "2");
}

#[test]
fn forms_are_read_from_the_body_too() {
    let folder = folder();
    let asker = viewer(&[usual(30).write(&folder, "a.parquet")]);
    let request = Request::builder().method("POST").uri("/view/range").header("host", "localhost");
    let request =
        request.header("content-type", "application/x-www-form-urlencoded").header("x-rezolus", "1");
    let body = "query=sum(level)&start=1795341600&end=1795341605";
    let reply = asker.ask(request.body(Body::from(body)).unwrap());
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(super::ask::Drawn::read(&reply.body).line().mean, [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0]);
}

#[test]
fn heads_are_as_of_get() {
    let folder = folder();
    let asker = viewer(&[usual(3).write(&folder, "a.parquet")]);
    for path in ["/", "/view/state", "/view/metrics", "/api/v1/labels"] {
        let head = asker.ask(request("HEAD", path, ""));
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.headers["content-type"], asker.get(path).headers["content-type"], "{path}");
    }
}

#[test]
fn wrong_methods_and_paths_are_refused() {
    let asker = nothing();
    let code = |method: &str, path: &str| {
        let mut request = request(method, path, "");
        request.headers_mut().insert("x-rezolus", "1".parse().unwrap());
        asker.ask(request).status.as_u16()
    };
    for (method, path) in [
        ("PUT", "/view/state"),
        ("DELETE", "/view/input/0/about"),
        ("POST", "/view/state"),
        ("GET", "/view/open"),
        ("GET", "/view/save"),
        ("PATCH", "/"),
        ("OPTIONS", "/index.html"),
        ("DELETE", "/api/v1/labels"),
    ] {
        assert_eq!(code(method, path), 405, "{method} {path}");
    }
    for path in ["/x", "/view", "/view/", "/view/nothing", "/api/v1/nothing", "/assets/", "/assets/x.js"] {
        assert_eq!(code("GET", path), 404, "{path}");
    }
    // No number.
    assert_eq!(code("GET", "/view/input/x/about"), 400);
}

#[test]
fn no_path_leads_out() {
    let asker = nothing();
    for path in [
        "/../Cargo.toml",
        "/assets/../../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/..%2fCargo.toml",
        "/assets/..%5c..%5cCargo.toml",
        "//etc/passwd",
        "/%00",
        "/./index.html",
    ] {
        let reply = asker.get(path);
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.body.len() < 100, "{path}");
    }
}

#[test]
fn the_page_may_do_little() {
    let asker = nothing();
    for path in ["/", "/index.html"] {
        let reply = asker.get(path);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(reply.headers["cache-control"], "no-cache");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff");
        assert_eq!(reply.headers["referrer-policy"], "no-referrer");
        let policy = reply.headers["content-security-policy"].to_str().unwrap();
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(reply.text().contains(if is_built() { "<script" } else { "make web" }));
    }
    for path in ["/", "/view/state", "/api/v1/labels"] {
        let reply = asker.get(path);
        assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("access-control")), "{path}");
    }
}

#[test]
fn it_comes_compressed_to_those_who_take_that() {
    let asker = nothing();
    let coded = |accepts: Option<&str>| {
        let request = Request::builder().uri("/").header("host", "localhost");
        let request =
            accepts.into_iter().fold(request, |request, text| request.header("accept-encoding", text));
        let reply = asker.ask(request.body(Body::empty()).unwrap());
        assert_eq!(reply.status, 200);
        let coded = reply.headers.get("content-encoding").is_some_and(|coding| coding == "gzip");
        assert_eq!(coded, reply.body.starts_with(&[0x1f, 0x8b]));
        coded
    };
    for accepts in [None, Some("identity"), Some("br, deflate"), Some("gzip;q=0"), Some("br, gzip; q=0.0")] {
        assert!(!coded(accepts), "{accepts:?}");
    }
    for accepts in ["gzip", "br, gzip", "deflate,gzip;q=0.5"] {
        assert_eq!(coded(Some(accepts)), is_built(), "{accepts}");
    }
}

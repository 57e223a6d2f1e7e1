//! Which pages there are, and why something is not on them.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rezolus_modes::viewer::Options;
use serde_json::{Value, json};

use super::ask::{Asker, form, viewer, with};
use super::made::{Made, folder, usual};

fn pages(asker: &Asker) -> Vec<Value> {
    asker.told("/view/dashboards")["dashboards"].as_array().unwrap().clone()
}

fn ids(pages: &[Value]) -> Vec<&str> {
    pages.iter().map(|page| page["id"].as_str().unwrap()).collect()
}

fn page<'a>(pages: &'a [Value], id: &str) -> &'a Value {
    pages.iter().find(|page| page["id"] == id).unwrap_or_else(|| panic!("no page {id}: {:?}", ids(pages)))
}

fn charts(page: &Value) -> Vec<&Value> {
    page["groups"].as_array().unwrap().iter().flat_map(|group| group["charts"].as_array().unwrap()).collect()
}

/// A page with a chart of each query.
fn dashboard(title: &str, order: u32, queries: &[&str]) -> Value {
    let chart = |query: &&str| json!({"title": query, "kind": "line", "unit": "count", "queries": [{"query": query, "legend": "{{id}}"}]});
    let charts: Vec<_> = queries.iter().map(chart).collect();
    json!({"version": 1, "title": title, "order": order, "groups": [{"title": "All", "charts": charts}]})
}

/// By chart, why it is missing.
fn reasons(page: &Value) -> Vec<Option<String>> {
    charts(page).iter().map(|chart| chart["missing"].as_str().map(String::from)).collect()
}

#[test]
fn those_of_a_recording() {
    let folder = folder();
    let carried = json!({"rezolus": {
        "cpu": dashboard("CPU", 20, &["cpu_usage"]),
        "gpu": dashboard("GPU of others", 10, &["level", "gpu_power"]),
        "strange": {"title": "It has charts", "groups": [{"title": "x", "charts": "none"}]},
        "newer": {"version": 2, "title": "Of the future", "groups": []},
        "text": "?",
    }});
    let asker = viewer(&[usual(30).key("rezolus.dashboards", carried).write(&folder, "a.parquet")]);
    let pages = pages(&asker);
    let gpu = page(&pages, "gpu");
    assert_eq!(
        (&gpu["title"], &gpu["origin"], &gpu["version"]),
        (&json!("GPU of others"), &json!("recording"), &json!(1))
    );
    let chart = charts(gpu)[0];
    assert_eq!(chart["queries"], json!([{"query": "level", "legend": "{{id}}"}]));
    assert_eq!(
        (&chart["kind"], &chart["unit"], &chart["missing"]),
        (&json!("line"), &json!("count"), &json!(null))
    );
    assert_eq!(reasons(gpu)[1].as_deref(), Some("gpu_power is not in this recording"));
    // Its own, not that of this binary; and none of the plugins it was made without.
    assert_eq!(charts(page(&pages, "cpu")).len(), 1);
    for id in ["strange", "newer", "text", "network", "blockio"] {
        assert!(!ids(&pages).contains(&id), "{id}");
    }
    let orders: Vec<_> = pages.iter().map(|page| page["order"].as_u64()).collect();
    assert!(orders.is_sorted(), "{orders:?}");
}

#[test]
fn built_in_ones_for_recordings_without() {
    let folder = folder();
    let foreign = Made::rows(30)
        .key("source", "other")
        .counter("tcp_packets", &[("direction", "receive")], Some)
        .counter("network_bytes", &[("direction", "receive")], Some)
        .counter("network_bytes", &[("direction", "transmit")], Some);
    let asker = viewer(&[foreign.write(&folder, "a.parquet")]);
    let pages = pages(&asker);
    let network = page(&pages, "network");
    assert_eq!(network["origin"], "built-in");
    let reasons = reasons(network);
    assert!(reasons.iter().any(Option::is_none) && reasons.iter().any(Option::is_some));
    assert!(
        reasons.iter().flatten().all(|reason| reason.ends_with(" is not in this recording")),
        "{reasons:?}"
    );
    // Where nothing matches, there is no page.
    assert!(!ids(&pages).contains(&"scheduler") && !ids(&pages).contains(&"blockio"));
    let other = viewer(&[Made::rows(3).gauge("of_nobody", &[], Some).write(&folder, "b.parquet")]);
    assert_eq!(super::pages::pages(&other), Vec::<Value>::new());
}

#[test]
fn why_something_is_missing() {
    let folder = folder();
    let sampler = |name: &str, state: &str, reason: Option<&str>, declares: &[&str]| json!({"name": name, "state": state, "reason": reason, "declares": declares});
    let samplers = [
        sampler("tcp_traffic", "disabled", None, &["tcp_bytes", "tcp_srtt"]),
        sampler("tcp_retransmit", "unsupported", Some("no BTF"), &["tcp_retransmit"]),
        sampler("tcp_late", "failed", Some("it broke"), &["tcp_late"]),
        sampler("tcp_fine", "running", None, &[]),
    ];
    let status = json!({"rezolus": {"plugins": [
        {"name": "tcp", "state": "degraded", "samplers": samplers},
        {"name": "cpu", "state": "failed", "reason": "exit 1", "samplers": []},
    ]}});
    let tcp = [
        "tcp_srtt",
        "tcp_retransmit",
        "tcp_late",
        "tcp_fine",
        "level",
        "level + tcp_srtt",
        "level or tcp_srtt",
    ];
    let carried = json!({"rezolus": {
        "tcp": dashboard("TCP", 1, &tcp),
        "cpu": dashboard("CPU", 2, &["cpu_cores"]),
        "blockio": dashboard("Block I/O", 3, &["blockio_bytes"]),
        "gpu": dashboard("GPU", 4, &["gpu_power", "rate(", "level{id=\"no\"}"]),
    }});
    let made = usual(30).key("rezolus.dashboards", carried).key("rezolus.status", status);
    let asker = viewer(&[made.write(&folder, "a.parquet")]);
    let pages = pages(&asker);
    let of = |id: &str| -> Vec<String> {
        reasons(page(&pages, id)).into_iter().map(Option::unwrap_or_default).collect()
    };
    assert_eq!(
        of("tcp"),
        [
            "tcp_srtt: sampler tcp_traffic is switched off",
            "tcp_retransmit: sampler tcp_retransmit is not supported on this kernel (no BTF)",
            "tcp_late: sampler tcp_late is failed (it broke)",
            "tcp_fine is not in this recording",
            "",
            "tcp_srtt: sampler tcp_traffic is switched off",
            "",
        ]
    );
    assert_eq!(of("cpu"), ["cpu_cores: plugin cpu is failed: exit 1"]);
    assert_eq!(of("blockio"), ["blockio_bytes: plugin blockio is not installed"]);
    // Queries that are wrong say so themselves.
    assert_eq!(
        of("gpu"),
        ["gpu_power is not in this recording", "", "no level in this recording has id=\"no\""]
    );
    assert_eq!(asker.told("/view/input/0/about")["status"]["plugins"][0]["name"], "tcp");
}

#[test]
fn of_two_what_either_has_is_there() {
    let folder = folder();
    let a = usual(10)
        .key("rezolus.dashboards", json!({"rezolus": {"x": dashboard("X", 1, &["level", "only_b", "no"])}}));
    let b = Made::rows(10).gauge("only_b", &[], Some).key(
        "rezolus.dashboards",
        json!({"rezolus": {"x": dashboard("Of B", 1, &[]), "y": dashboard("Y", 2, &["only_b"])}}),
    );
    let asker = viewer(&[a.write(&folder, "a.parquet"), b.write(&folder, "b.parquet")]);
    let pages = pages(&asker);
    assert_eq!(page(&pages, "x")["title"], "X");
    let missing: Vec<_> = reasons(page(&pages, "x")).iter().map(Option::is_some).collect();
    assert_eq!(missing, [false, false, true]);
    assert_eq!(reasons(page(&pages, "y")), [None]);
}

#[test]
fn histograms_are_decoded_while_nobody_asks() {
    let folder = folder();
    let options = Options::default();
    let cache = options.query.cache.clone();
    let decoded = || cache.stats().decoded;
    let asker = with(&[usual(300).grouped(10).write(&folder, "a.parquet")], options).unwrap();
    asker.get("/view/dashboards");
    // Of thirty row groups: times, and two of them. What else is decoded at the beginning is of the last group.
    let until = Instant::now() + Duration::from_secs(20);
    while decoded() < 3 * 30 {
        assert!(Instant::now() < until, "{:?}", cache.stats());
        sleep(Duration::from_millis(20));
    }
    let before = decoded();
    let query = "sum(histogram_sum(rate(latency[5s])))";
    let span = [("query", query), ("start", "1795341600"), ("end", "1795341899"), ("points", "100")];
    assert!(asker.get(&form("/view/range", &span)).status.is_success());
    assert_eq!(decoded(), before);
}

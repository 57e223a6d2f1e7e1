//! A plugin's diagnoses, on their way from an agent to who does not have the plugin.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use rezolus_modes::diagnose::{self, Diagnosed};
use rezolus_modes::query;
use rezolus_modes::recorder;
use rezolus_modes::recording::Command;
use rezolus_modes::viewer::inputs::Opened;
use rezolus_modes::wire::Encoder;
use rezolus_store::promql;
use serde_json::{Value, json};

use super::made::{Made, folder, snapshot};

/// Of a plugin that nobody here has: one that holds, one for which there is no metric, one that is wrong.
fn gpu() -> Value {
    let diagnosis = |id: &str, condition: &str| {
        json!({
            "id": id, "title": "A fan is too fast", "severity": "warning", "resource": "gpu", "condition": condition,
            "unit": "count", "for": "0s", "meaning": "It is hot.", "next": [{"look": "How fast", "query": "level"}],
        })
    };
    let all =
        [diagnosis("fan", "level > 0"), diagnosis("power", "gpu_power > 5"), diagnosis("wrong", "level >")];
    json!({"gpu": {"version": 1, "diagnoses": all}})
}

/// An agent; with `diagnoses` one of today, else an older one.
fn agent(diagnoses: bool) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |path: &str, tick: u64| match path {
        "/metrics/binary" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
            Encoder::default().encode(&snapshot("gpu/main", now, tick), &[]).ok()
        }
        "/diagnoses" if diagnoses => Some(gpu().to_string().into_bytes()),
        "/status" => Some(br#"{"version": "9", "plugins": []}"#.to_vec()),
        _ => None,
    };
    std::thread::spawn(move || {
        for (tick, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or_default();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let body = answer(head.split(' ').nth(1).unwrap_or_default(), tick as u64);
            let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
            let body = body.unwrap_or_default();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&body);
        }
    });
    format!("http://{address}")
}

fn record(url: String, output: &Path) {
    let options = recorder::Options {
        urls: vec![url],
        output: output.into(),
        interval: Duration::from_millis(50),
        duration: Some(Duration::from_secs(1)),
        metadata: Vec::new(),
        force: false,
        command: Vec::new(),
    };
    assert_eq!(recorder::run(&options).unwrap(), 0);
}

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn tool(arguments: &[&str]) {
    let cli = Cli::try_parse_from([&["recording"], arguments].concat()).unwrap();
    assert!(cli.command.run(&mut Vec::new()).unwrap(), "{arguments:?}");
}

fn diagnosed(input: &str) -> Diagnosed {
    let input = Arc::new(Opened::new(input, &query::Options::default()).unwrap());
    diagnose::input(&input, None, &promql::Options::default()).unwrap()
}

/// What the plugin's diagnoses come to.
fn is_told(input: &str) {
    let told = diagnosed(input);
    let held: Vec<_> = told.held.iter().map(|one| (&*one.plugin, &*one.id, one.origin)).collect();
    assert_eq!(held, [("gpu", "fan", "recording")], "{input}");
    assert!(told.held[0].times[0].worst.is_some_and(|worst| worst > 0.0));
    let whys: Vec<_> = told.not_asked.iter().map(|one| (&*one.id, &*one.why)).collect();
    assert_eq!(whys, [("power", "gpu_power is not in this recording")], "{input}");
    assert_eq!(told.refused.len(), 1);
    assert!(told.refused[0].starts_with("plugin gpu: diagnosis wrong: condition: "), "{:?}", told.refused);
}

#[test]
fn they_go_wherever_the_recording_goes() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (recorded, filtered, annotated) = (path("a.parquet"), path("b.parquet"), path("c.parquet"));
    record(agent(true), recorded.as_ref());
    is_told(&recorded);
    tool(&["filter", &recorded, "-o", &filtered, "--metric", "level"]);
    is_told(&filtered);
    tool(&["annotate", &filtered, "-o", &annotated, "--event", "+0s something"]);
    is_told(&annotated);
    let (more, combined) = (path("d.parquet"), path("e.parquet"));
    tool(&["annotate", &recorded, "-o", &more, "--metadata", "node=a"]);
    tool(&["annotate", &annotated, "-o", &recorded, "--force", "--metadata", "node=b"]);
    tool(&["combine", &recorded, &more, "-o", &combined]);
    is_told(&combined);
}

#[test]
fn without_any_those_in_the_binary_are_asked() {
    let folder = folder();
    let older = folder.path().join("older.parquet");
    record(agent(false), &older);
    let busy = Made::rows(60)
        .key("source", "other")
        .counter("memory_oom_kills", &[], |row| Some(u64::from(row > 30)))
        .counter("cpu_usage", &[("state", "steal"), ("id", "0")], |row| Some(row * 500_000_000))
        .gauge("cpu_cores", &[], |_| Some(2));
    let older = (older.to_str().unwrap().to_string(), &[][..], "plugin memory is not installed");
    let held = [("memory", "oom_kill"), ("cpu", "steal")];
    let foreign = (busy.write(&folder, "foreign.parquet"), &held[..], "in this recording");
    for (input, held, why) in [older, foreign] {
        let told = diagnosed(&input);
        assert_eq!(told.held.iter().map(|one| (&*one.plugin, &*one.id)).collect::<Vec<_>>(), held);
        assert!(told.held.iter().all(|one| one.origin == "built-in"));
        assert_eq!(told.refused, Vec::<String>::new());
        let pressure = told.not_asked.iter().find(|one| one.id == "pressure").unwrap();
        assert!(
            pressure.why.starts_with("pressure_stalled") && pressure.why.ends_with(why),
            "{}",
            pressure.why
        );
    }
}

#[test]
fn odd_ones_are_left_out() {
    let folder = folder();
    for (at, text) in
        ["", "{", "[1]", "{}", r#"{"rezolus": 1}"#, r#"{"rezolus": {"gpu": "?"}}"#].iter().enumerate()
    {
        let made = Made::rows(9).gauge("level", &[], Some).key("rezolus.diagnoses", text);
        let told = diagnosed(&made.write(&folder, &format!("{at}.parquet")));
        assert_eq!((told.held.len(), told.refused.len()), (0, usize::from(text.contains('?'))), "{text}");
    }
}

#[test]
fn answers_are_json() {
    let folder = folder();
    let made = Made::rows(9)
        .gauge("level", &[], |row| Some(row + 1))
        .key("rezolus.diagnoses", json!({"rezolus": gpu()}));
    let told = serde_json::to_value(diagnosed(&made.write(&folder, "a.parquet"))).unwrap();
    assert_eq!(told["held"][0]["severity"], "warning");
    assert_eq!(told["held"][0]["times"][0]["worst"], 9.0);
    assert_eq!(told["held"][0]["next"], json!([{"look": "How fast", "query": "level"}]));
}

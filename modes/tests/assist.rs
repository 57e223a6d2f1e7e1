//! The assistant's tools, on recordings and logs made here.

mod made;

#[allow(dead_code)]
mod viewer {
    pub mod made;
}

mod assistant {
    mod analyses;
}

use proptest::prelude::*;
use rezolus_modes::assist::{self, Answered, Assistant, Failure, Options, Work};
use rezolus_modes::log::Log;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use viewer::made::{Made, START, exporter, folder, log, usual};

/// What a status has of three samplers.
fn status() -> Value {
    let sampler = |name: &str, state: &str, reason: Value, more: Value| {
        let mut sampler = json!({"name": name, "description": "d", "state": state, "reason": reason, "metrics": 1,
            "programs": [{"name": "p", "attached": "tp_btf sched/sched_switch"}]});
        sampler.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sampler
    };
    json!({"version": "0.1.0", "uptime_seconds": 7, "warnings": [], "plugins": [
        {"name": "cpu", "state": "running", "samplers": [
            sampler("cpu_usage", "running", Value::Null, json!({})),
            sampler("cpu_perf", "unsupported", json!("no PMU"), json!({"declares": ["cpu_cycles"], "programs": []})),
        ]},
        {"name": "memory", "state": "degraded", "reason": "half of it", "samplers": [
            sampler("memory", "failed", json!("no"), json!({"reads": ["/proc/vmstat"], "programs": [
                {"name": "q", "attached": null, "refused": [{"program": "q", "reason": "no BTF"}]}]})),
        ]},
    ]})
}

fn recording(folder: &TempDir, name: &str) -> String {
    usual(120)
        .key("rezolus.status", json!({"": status()}))
        .key(
            "events",
            json!({"events": [{"timestamp": (START + 5) * 1_000_000_000, "description": "deployed"}]}),
        )
        .key("rezolus.missed", json!([[START * 1_000_000_000, (START + 2) * 1_000_000_000, 3, "timeout"]]))
        .key("build", "1234")
        .write(folder, name)
}

struct Asked {
    assistant: Assistant,
    _folder: TempDir,
}

/// One recording, called `usual`.
fn asked() -> Asked {
    with(Options::default())
}

fn with(options: Options) -> Asked {
    let folder = folder();
    let path = recording(&folder, "usual.parquet");
    Asked { assistant: Assistant::new(&[path], options).unwrap(), _folder: folder }
}

fn ask(assistant: &Assistant, tool: &str, arguments: Value) -> Result<Answered, Failure> {
    let Value::Object(arguments) = arguments else { panic!("{arguments}") };
    let answered = assist::tool(tool).unwrap().run(assistant, arguments, &Work::quiet())?;
    conforms(&answered.structured, &Value::Object((assist::tool(tool).unwrap().output)()), tool);
    Ok(answered)
}

impl Asked {
    fn ask(&self, tool: &str, arguments: Value) -> Value {
        ask(&self.assistant, tool, arguments).unwrap_or_else(|failure| panic!("{failure}")).structured
    }

    fn text(&self, tool: &str, arguments: Value) -> String {
        ask(&self.assistant, tool, arguments).unwrap_or_else(|failure| panic!("{failure}")).text
    }

    fn refusal(&self, tool: &str, arguments: Value) -> String {
        match ask(&self.assistant, tool, arguments) {
            Err(failure) => failure.message,
            Ok(answered) => panic!("{}", answered.text),
        }
    }
}

/// As much of JSON Schema as our schemas use.
fn conforms(value: &Value, schema: &Value, at: &str) {
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: {other}"),
    };
    assert!(schema.get("$ref").is_none(), "{at}: a reference");
    if let Some(all) = schema["anyOf"].as_array() {
        let null = all.iter().any(|one| one["type"] == "null");
        match value {
            Value::Null if null => return,
            _ => return conforms(value, all.iter().find(|one| one["type"] != "null").unwrap(), at),
        }
    }
    match &schema["type"] {
        Value::String(kind) => assert!(is(kind), "{at}: {value} is no {kind}"),
        Value::Array(kinds) => {
            assert!(
                kinds.iter().any(|kind| is(kind.as_str().unwrap())),
                "{at}: {value} is none of {kinds:?}"
            );
        }
        _ => {}
    }
    if let (Value::Object(members), Some(properties)) = (value, schema["properties"].as_object()) {
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(members.contains_key(required.as_str().unwrap()), "{at}: {required} is missing");
        }
        for (name, member) in members {
            let schema = properties.get(name).unwrap_or_else(|| panic!("{at}: {name} is not in the schema"));
            conforms(member, schema, &format!("{at}.{name}"));
        }
    }
    for item in value.as_array().into_iter().flatten() {
        conforms(item, &schema["items"], at);
    }
}

#[test]
fn schemas_are_whole_and_every_member_is_described() {
    for tool in assist::TOOLS {
        for schema in [(tool.input)(), (tool.output)()] {
            assert_eq!(schema["type"], "object", "{}", tool.name);
            assert!(!Value::Object(schema).to_string().contains("$ref"), "{}", tool.name);
        }
        let input = Value::Object((tool.input)());
        assert_eq!(input["additionalProperties"], false, "{}", tool.name);
        for (name, property) in input["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{}: {name}", tool.name);
        }
        assert!(tool.about.contains('\n'), "{}: a summary and more", tool.name);
        for name in tool.positional {
            assert!(input["properties"].get(name).is_some(), "{}: {name}", tool.name);
        }
    }
}

#[test]
fn a_recording_is_described() {
    let asked = asked();
    let all = asked.ask("describe_recording", json!({}));
    let one = &all["recordings"][0];
    assert_eq!(one["name"], "usual");
    assert_eq!(one["kind"], "recording");
    assert_eq!(one["start"], "2026-11-22T10:00:00Z");
    assert_eq!(one["duration_seconds"], 119.0);
    assert_eq!(one["interval_seconds"], 1.0);
    assert_eq!(one["metrics"], json!({"counter": 1, "gauge": 1, "histogram": 1}));
    assert_eq!(one["series"], 6);
    assert_eq!(one["machine"]["hostname"], "web1");
    assert_eq!(one["samplers"], json!({"failed": 1, "running": 1, "unsupported": 1}));
    assert_eq!(one["events"][0]["description"], "deployed");
    assert_eq!(one["events"][0]["time"], "2026-11-22T10:00:05Z");
    assert_eq!(one["missed_total"], 3);
    assert_eq!(one["notes"], json!({"build": "1234"}));
    let text = asked.text("describe_recording", json!({"input": "usual"}));
    for part in ["usual (recording, usual.parquet)", "deployed", "web1", "build: 1234", "timeout"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn metrics_are_found() {
    let asked = asked();
    let all = asked.ask("describe_metrics", json!({}));
    assert_eq!(all["page"]["total"], 3);
    assert_eq!(all["categories"], json!({"cpu": 1, "latency": 1, "memory": 1}));
    let usage = &all["metrics"][0];
    assert_eq!(usage["name"], "cpu_usage");
    assert_eq!(usage["type"], "counter");
    assert_eq!(usage["unit"], "nanoseconds");
    assert_eq!(usage["help"], "time on the CPU");
    assert_eq!(usage["sampler"], "cpu_usage");
    assert_eq!(usage["provenance"], "tp_btf sched/sched_switch");
    assert_eq!(usage["labels"]["state"], json!({"values": ["system", "user"], "count": 2}));
    let names = |arguments: Value| -> Vec<String> {
        let all = asked.ask("describe_metrics", arguments);
        all["metrics"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().into()).collect()
    };
    assert_eq!(names(json!({"search": "SCHED_switch time"})), ["cpu_usage"]);
    assert_eq!(names(json!({"search": "write"})), ["latency"]);
    assert_eq!(names(json!({"category": "Memory"})), ["level"]);
    assert_eq!(names(json!({"limit": 1, "offset": 1})), ["latency"]);
    let refusal = asked.refusal("describe_metrics", json!({"category": "disk"}));
    assert!(refusal.contains("there are cpu, latency, memory"), "{refusal}");
}

#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    let asked = asked();
    let none = asked.ask("describe_metrics", json!({"search": "cpu_usag3"}));
    assert_eq!((&none["page"]["total"], &none["similar"]), (&json!(0), &json!(["cpu_usage"])));
    let none = asked.ask("describe_metrics", json!({"search": "cpu_cycles"}));
    assert_eq!(none["missing"], "cpu_cycles: sampler cpu_perf is not supported on this kernel (no PMU)");
    let none = asked
        .ask("query", json!({"query": "rate(cpu_cycles[$interval]) / rate(cpu_usage{state=\"x\"}[5s])"}));
    assert_eq!(none["absent"][0]["selector"], "cpu_cycles");
    assert!(none["absent"][0]["why"].as_str().unwrap().contains("no PMU"));
    assert_eq!(none["absent"][1]["selector"], "cpu_usage{state=\"x\"}");
    assert!(none["absent"][1]["why"].as_str().unwrap().contains("no series with these labels"));
    assert!(none.get("series").is_none());
    let note = none["notes"][0].as_str().unwrap();
    assert!(note.contains("nothing matches") && note.contains("2026-11-22T10:01:59Z"), "{note}");
}

#[test]
fn a_span_is_summarised() {
    let asked = asked();
    let answer = asked.ask("query", json!({"query": "level", "points": 12}));
    assert_eq!(answer["query"], "level");
    assert_eq!(answer["window"]["steps"], 120);
    assert_eq!(answer["metrics"], json!([{"name": "level", "type": "gauge", "series": 1}]));
    let series = &answer["series"][0];
    assert_eq!((&series["min"], &series["max"]), (&json!(-4.0), &json!(8.0)));
    assert_eq!(series["max_at"], "2026-11-22T10:00:25Z");
    assert_eq!((&series["first"], &series["last"]), (&json!(-4.0), &json!(-2.0)));
    assert_eq!((&series["values"], &series["gaps"]), (&json!(110), &json!(10)));
    assert_eq!(series["sketch"].as_str().unwrap().chars().count(), 40);
    assert_eq!(series["points"].as_array().unwrap().len(), 12);
    assert_eq!(series["points"][1], Value::Null);
    let text = asked.text("query", json!({"query": "level"}));
    assert!(
        text.contains("max 8 at 2026-11-22T10:00:25Z") && text.contains("values at 110 of 120 steps"),
        "{text}"
    );
}

#[test]
fn one_time_gives_values_the_greatest_first() {
    let asked = asked();
    let arguments = json!({"query": "sum by (id) (rate(cpu_usage{state=\"user\"}[10s]))", "at": "-10s"});
    let answer = asked.ask("query", arguments);
    assert_eq!(answer["window"]["start"], "2026-11-22T10:01:49Z");
    let values = answer["values"].as_array().unwrap();
    assert_eq!(values.len(), 2);
    assert_eq!(values[0]["labels"], json!({"id": "0"}));
    assert!(values[0]["value"].as_f64() > values[1]["value"].as_f64());
}

#[test]
fn histograms_are_told_by_quantiles() {
    let asked = asked();
    let answer = asked.ask("query", json!({"query": "sum(rate(latency[$interval]))", "quantiles": [0.5, 1]}));
    assert_eq!(answer["query"], "sum(rate(latency[2250ms]))");
    let quantiles: Vec<_> = answer["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["labels"]["quantile"].as_str().unwrap())
        .collect();
    assert_eq!(quantiles, ["1", "0.5"]);
    let note = asked.ask("query", json!({"query": "latency"}))["notes"][0].to_string();
    assert!(note.contains("histogram_quantile(0.99, rate(latency[$interval]))"), "{note}");
    let note = asked.ask("query", json!({"query": "cpu_usage"}))["notes"][0].to_string();
    assert!(note.contains("rate(cpu_usage[$interval])"), "{note}");
}

#[test]
fn what_is_wrong_is_said_with_how_to_do_it_right() {
    let asked = asked();
    let query = |arguments: Value| asked.refusal("query", arguments);
    for (arguments, parts) in [
        (json!({}), &["missing field `query`", "It takes", "query (text, required)"][..]),
        (json!({"query": "up", "from": 1}), &["unknown field `from`", "start (text)"]),
        (json!({"query": 5}), &["invalid type", "query (text, required)"]),
        (json!({"query": "up", "inputs": {"a": 1}}), &["a list of texts is expected"]),
        (json!({"query": " "}), &["PromQL is expected"]),
        (json!({"query": "sum(rate(cpu_usage))"}), &["expected type range vector", "^^^"]),
        (json!({"query": "x".repeat(5000)}), &["4096 are the most"]),
        (
            json!({"query": "up", "start": "yesterday"}),
            &["start: \"yesterday\"", "RFC 3339", "the data are from"],
        ),
        (json!({"query": "up", "start": "-1s", "end": "-2s"}), &["ends before it starts"]),
        (json!({"query": "up", "at": "-1s", "step": "1s"}), &["leave out start, end and step"]),
        (json!({"query": "up", "step": "0s"}), &["step: \"0s\"", "15s"]),
        (json!({"query": "up", "step": "1ns", "start": "1", "end": "1e9"}), &["a duration is expected"]),
        (json!({"query": "up", "step": "1ms", "start": "0"}), &["too many", "longer step"]),
        (json!({"query": "up", "at": "1e30"}), &["at: \"1e30\""]),
        (json!({"query": "up", "quantiles": [2]}), &["from 0 to 1"]),
        (json!({"query": "up", "points": 1e9 as u64}), &["5000 are the most"]),
        (json!({"query": "up", "inputs": "other"}), &["no such recording here; there are usual"]),
        (json!({"query": "up", "inputs": ["usual", "usual"]}), &["two would be called \"usual\""]),
    ] {
        let refusal = query(arguments.clone());
        assert!(parts.iter().all(|part| refusal.contains(part)), "{arguments}: {refusal}");
    }
    let refusal = asked.refusal("status", json!({"state": "well"}));
    assert!(refusal.contains("running, degraded"), "{refusal}");
}

#[test]
fn samplers_are_told() {
    let asked = asked();
    let all = asked.ask("status", json!({}));
    assert_eq!(all["as_of"], "2026-11-22T10:01:59Z");
    assert_eq!(all["version"], "0.1.0");
    assert_eq!(all["plugins"][1], json!({"name": "memory", "state": "degraded", "reason": "half of it"}));
    assert_eq!(all["samplers"][0]["hooks"], json!(["tp_btf sched/sched_switch"]));
    assert_eq!(all["samplers"][1]["missing_metrics"], json!(["cpu_cycles"]));
    assert_eq!(all["samplers"][2]["not_attached"], json!(["q: no BTF"]));
    let failed = asked.ask("status", json!({"state": "failed"}));
    assert_eq!(failed["page"]["total"], 1);
    assert_eq!(failed["states"], all["states"]);
}

#[test]
fn several_inputs_are_asked_together() {
    let folder = folder();
    let (a, b) = (recording(&folder, "a.parquet"), recording(&folder, "b.parquet"));
    recording(&folder, "c.parquet");
    let options = Options { folders: vec![folder.path().into()], ..Options::default() };
    let assistant = Assistant::new(&[format!("before={a}"), format!("after={b}")], options).unwrap();
    let asked = Asked { assistant, _folder: folder };
    let both = asked.ask("query", json!({"query": "count by (recording) (level)", "at": "-0s"}));
    assert_eq!(both["inputs"], json!(["before", "after"]));
    assert_eq!(both["values"].as_array().unwrap().len(), 2);
    let renamed =
        json!({"query": "count by (recording) (level)", "inputs": ["x=before", "after"], "at": "-0s"});
    assert_eq!(asked.ask("query", renamed)["inputs"], json!(["x", "after"]));
    let all = asked.ask("describe_recording", json!({}));
    assert_eq!(all["recordings"][1]["name"], "after");
    assert_eq!(all["available"], json!(["c.parquet"]));
    let three =
        json!({"query": "count by (recording) (level)", "inputs": ["before", "x=c.parquet", "after"]});
    assert_eq!(asked.ask("query", three)["page"]["total"], 3);
    assert!(asked.refusal("status", json!({})).contains("say which of before, after"));
    assert_eq!(asked.ask("status", json!({"input": "c.parquet"}))["input"], "c");
}

#[test]
fn a_recording_that_was_replaced_is_opened_again() {
    let folder = folder();
    let path = recording(&folder, "a.parquet");
    let options = Options { folders: vec![folder.path().into()], ..Options::default() };
    let assistant = Assistant::new(&[path], options).unwrap();
    let asked = Asked { assistant, _folder: folder };
    let steps =
        || asked.ask("query", json!({"query": "level", "inputs": "a.parquet"}))["window"]["steps"].clone();
    let given = || asked.ask("query", json!({"query": "level"}))["window"]["steps"].clone();
    assert_eq!((steps(), given()), (json!(120), json!(120)));
    usual(30).write(&asked._folder, "b.parquet");
    std::fs::rename(asked._folder.path().join("b.parquet"), asked._folder.path().join("a.parquet")).unwrap();
    assert_eq!((steps(), given()), (json!(30), json!(30)));
}

#[test]
fn logs_and_agents_are_asked_too() {
    let folder = folder();
    let written: Log = log(&folder, 20);
    let inputs = [format!("log={}", folder.path().display()), format!("agent={}", exporter())];
    let assistant = Assistant::new(&inputs, Options::default()).unwrap();
    assistant.look_at_agents();
    let asked = Asked { assistant, _folder: folder };
    let all = asked.ask("describe_recording", json!({}));
    assert_eq!(all["recordings"][0]["kind"], "log");
    assert_eq!(all["recordings"][1]["kind"], "live");
    let events = asked.ask("query", json!({"query": "rate(events[5s])", "inputs": "log"}));
    assert_eq!(events["series"][0]["p50"], 2.0);
    assert_eq!(asked.ask("query", json!({"query": "asked", "inputs": ["agent"]}))["page"]["total"], 1);
    assert!(asked.refusal("status", json!({"input": "agent"})).contains("nothing is told of samplers"));
    drop(written);
}

#[test]
fn an_agent_that_does_not_answer_is_an_error_of_its_own() {
    let folder = folder();
    let inputs = [recording(&folder, "a.parquet"), "agent=http://127.0.0.1:1".into()];
    let assistant = Assistant::new(&inputs, Options::default()).unwrap();
    let failure = ask(&assistant, "query", json!({"query": "level", "inputs": "agent"})).unwrap_err();
    assert!(!failure.usage && failure.message.contains("127.0.0.1:1"), "{failure}");
    assert!(ask(&assistant, "query", json!({"query": "level", "inputs": "a"})).is_ok());
}

#[test]
fn answers_are_bounded_and_lose_nothing_over_their_pages() {
    let folder = folder();
    let mut made = Made::rows(20);
    for series in 0..300i64 {
        let id = series.to_string();
        made = made.gauge("many", &[("id", &id), ("what", &"x".repeat(100))], move |row| Some(row + series));
    }
    let path = made.write(&folder, "many.parquet");
    let asked = Asked { assistant: Assistant::new(&[path], Options::default()).unwrap(), _folder: folder };
    let (mut ids, mut offset, mut pages) = (Vec::new(), Some(0), 0);
    while let Some(from) = offset {
        let arguments = json!({"query": "many", "limit": 1000, "offset": from});
        let Answered { text, structured } = ask(&asked.assistant, "query", arguments).unwrap();
        assert!(text.len() + structured.to_string().len() <= 16 << 10);
        let series = structured["series"].as_array().unwrap();
        ids.extend(series.iter().map(|one| one["labels"]["id"].as_str().unwrap().parse::<i64>().unwrap()));
        offset = structured["page"]["next"].as_u64();
        pages += 1;
    }
    // By their means.
    assert_eq!(ids, (0..300).rev().collect::<Vec<_>>());
    assert!(pages > 5);
    let refusal = asked.refusal("query", json!({"query": "many", "points": 5000, "step": "1ms"}));
    assert!(refusal.contains("16384 are the most") && refusal.contains("fewer points"), "{refusal}");
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::sample::select(vec![
            "usual",
            "level",
            "rate(cpu_usage[$interval])",
            "latency",
            "-5m",
            "-",
            "0",
            "9e18",
            "1e308",
            "1s",
            "../x",
            "a=b",
            "http://x",
            "2026-11-22T10:00:30Z",
            "-99999999h",
            "sum(latency) + 1",
            "level / 0",
            "'text'",
            "level[5s]",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{0,4}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn no_argument_is_too_strange() {
    let asked = asked();
    let names: Vec<&str> = vec![
        "inputs",
        "input",
        "query",
        "at",
        "start",
        "end",
        "step",
        "quantiles",
        "points",
        "limit",
        "offset",
        "search",
        "category",
        "state",
        "symptom",
        "before",
        "after",
        "before_end",
        "after_start",
        "x",
        "y",
        "max_lag",
        "depth",
        "resource",
        "signals",
        "other",
    ];
    let arguments = prop::collection::vec((prop::sample::select(names), anything()), 0..5);
    let tools = prop::sample::select(assist::TOOLS.iter().map(|tool| tool.name).collect::<Vec<_>>());
    let mut runner = prop::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
    runner
        .run(&(tools, arguments, any::<bool>()), |(tool, arguments, query)| {
            let mut arguments: Map<String, Value> =
                arguments.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
            let usual = match tool {
                "query" => &[("query", "level")][..],
                "find_cause" => &[("start", "-30s")],
                "compare" => &[("before_end", "-60s"), ("after_start", "-50s")],
                "analyze_correlation" => &[("x", "level"), ("y", "rate(cpu_usage[$interval])")],
                _ => &[],
            };
            for (name, value) in usual.iter().filter(|_| query) {
                arguments.entry(*name).or_insert_with(|| json!(value));
            }
            match ask(&asked.assistant, tool, Value::Object(arguments)) {
                Ok(answered) => prop_assert!(answered.text.len() <= 16 << 10),
                Err(failure) => prop_assert!(!failure.message.is_empty()),
            }
            Ok(())
        })
        .unwrap();
}

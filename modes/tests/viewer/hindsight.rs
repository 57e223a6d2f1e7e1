//! What a buffer of hindsight knows of an agent, for those who do not have its plugins.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rezolus_modes::hindsight::{Config, Hindsight, Sampled, Span};
use rezolus_modes::log::columns::Source;
use rezolus_modes::snapshot::Snapshot;
use rezolus_modes::{Describe, SnapshotSource, SourceError};
use serde_json::{Value, json};

use super::ask::viewer;
use super::made::{folder, snapshot};

/// An agent whose only plugin is called so; nothing if it is away.
struct Agent(Mutex<Option<&'static str>>);

impl SnapshotSource for Agent {
    fn snapshot(&self) -> Result<Arc<Snapshot>, SourceError> {
        let plugin = self.0.lock().ok_or_else(|| SourceError::new("it is away"))?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Ok(Arc::new(snapshot(&format!("{plugin}/main"), now.as_nanos() as u64, 1)))
    }
}

impl Describe for Agent {
    fn text(&self, path: &str) -> Option<String> {
        let plugin = (*self.0.lock())?;
        let chart =
            json!({"title": plugin, "kind": "line", "unit": "count", "queries": [{"query": "level"}]});
        let told = match path {
            "/dashboards" => json!({plugin: {"version": 1, "title": plugin, "order": 1,
                "groups": [{"title": "", "charts": [chart]}]}}),
            "/status" => json!({"version": "9", "plugins": [{"name": plugin, "state": "running"}]}),
            "/samplers" => json!([{"name": plugin, "state": "active"}]),
            _ => return None,
        };
        Some(told.to_string())
    }
}

/// Titles of pages that are not built in, and the plugin in the status.
fn told(input: &Path) -> (Vec<String>, Value) {
    let asker = viewer(&[input.to_str().unwrap()]);
    let pages = asker.told("/view/dashboards");
    let carried = pages["dashboards"].as_array().unwrap().iter().filter(|page| page["origin"] == "recording");
    let titles = carried.map(|page| page["title"].as_str().unwrap().into()).collect();
    (titles, asker.told("/view/input/0/about")["status"]["plugins"][0]["name"].clone())
}

fn start(agent: &Arc<Agent>, folder: &Path) -> Arc<Hindsight> {
    let source = Source { name: "rezolus".into(), endpoint: None };
    let sampled = Sampled { snapshots: agent.clone(), describe: agent.clone(), source };
    let interval = Duration::from_millis(20);
    let config = Config { interval, folder: folder.into(), ..Config::default() };
    Hindsight::start(config, sampled).unwrap()
}

/// Waits until the log tells of this plugin.
fn wait_for(folder: &Path, plugin: &str) {
    let began = Instant::now();
    let tells = || {
        let text = std::fs::read_to_string(folder.join("told.json")).unwrap_or_default();
        text.contains(plugin)
    };
    while !tells() {
        assert!(began.elapsed() < Duration::from_secs(20), "{plugin} is not told of");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn dump(hindsight: &Hindsight, folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    hindsight.dump(&Span::parse(None, None, None).unwrap(), &path).unwrap();
    path
}

#[test]
fn a_log_and_its_recordings_have_the_pages_of_an_agent_that_is_away() {
    let (folder, out) = (folder(), folder());
    let agent = Arc::new(Agent(Mutex::new(Some("gpu"))));
    let hindsight = start(&agent, folder.path());
    wait_for(folder.path(), "gpu");
    let gpu = (vec!["gpu".to_string()], json!("gpu"));
    assert_eq!(told(folder.path()), gpu);
    // Another set of plugins: the newest counts.
    *agent.0.lock() = Some("npu");
    wait_for(folder.path(), "npu");
    let npu = (vec!["npu".to_string()], json!("npu"));
    assert_eq!(told(folder.path()), npu);
    *agent.0.lock() = None;
    let path = dump(&hindsight, out.path(), "away.parquet");
    assert_eq!(told(&path), npu);
    let keys = viewer(&[path.to_str().unwrap()]).told("/view/input/0/about")["file"]["keys"].clone();
    assert_eq!(keys["version"], "9");
    hindsight.stop();
    drop(hindsight);
    // All of it is sealed, and there is no agent when it goes on.
    assert_eq!(told(folder.path()), npu);
    let hindsight = start(&agent, folder.path());
    assert_eq!(told(&dump(&hindsight, out.path(), "again.parquet")), npu);
    hindsight.stop();
}

#[test]
fn what_was_told_may_be_damaged() {
    let folder = folder();
    super::made::log(&folder, 5).finish().unwrap();
    let key = |key: &str, value: Value| json!({format!("{key}\0rezolus"): value}).to_string();
    let status = key("/status", json!(3));
    let dashboards = key("dashboards", json!("{"));
    for text in ["", "{", "[1]", &status, &dashboards] {
        std::fs::write(folder.path().join("told.json"), text).unwrap();
        assert_eq!(told(folder.path()), (Vec::new(), Value::Null), "{text}");
    }
}

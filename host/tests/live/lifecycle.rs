//! Plugins that come, change and go; a configuration that is edited; signals.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::{Agent, built, install};
use crate::fixture::{Bystander, Footprint, SOON, bad, put};

/// The ids of all programs attached for a plugin.
fn programs(agent: &Agent, plugin: &str) -> Vec<u64> {
    let plugin = agent.plugin(plugin).unwrap();
    let samplers = plugin["samplers"].as_array().unwrap().iter();
    let programs = samplers.flat_map(|sampler| sampler["programs"].as_array().unwrap());
    let mut ids: Vec<u64> = programs
        .flat_map(|program| program["ids"].as_array().cloned().unwrap_or_default())
        .map(|id| id.as_u64().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Waits until the kernel has let go of BPF objects (it takes its time).
fn wait_until_gone(footprint: &Footprint) {
    let started = Instant::now();
    loop {
        let remains = footprint.remains();
        if remains.is_empty() {
            return;
        }
        assert!(started.elapsed() < SOON, "still loaded: {remains:#?}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn root_files_come_change_and_go() {
    let agent = Agent::start(&[Bystander::PLUGIN]);
    let bystander = Bystander::new(&agent);
    let file = agent.plugin_dir().join("bad.so");
    let generation = |agent: &Agent| agent.plugin("bad").map_or(Value::Null, |bad| bad["generation"].clone());
    assert!(agent.plugin("bad").is_none());

    put(&bad("one"), &file);
    agent.wait_until("loaded", SOON, |agent| agent.plugin_state("bad") == "running");
    assert_eq!(generation(&agent), 1);
    let first = programs(&agent, "bad");

    put(&bad("two"), &file);
    agent.wait_until("replaced", SOON, |agent| generation(agent) == 2);
    assert_eq!(agent.plugin_state("bad"), "running");
    assert_ne!(programs(&agent, "bad"), first);

    // The same content again is nothing new.
    put(&bad("two"), &file);
    thread::sleep(Duration::from_millis(700));
    assert_eq!(generation(&agent), 2);

    // Under another name it is.
    let other = agent.plugin_dir().join("other.so");
    fs::rename(&file, &other).unwrap();
    agent.wait_until("found under its new name", SOON, |agent| {
        let bad = agent.plugin("bad").unwrap();
        bad["state"] == "running" && bad["file"] == other.to_str().unwrap()
    });

    // And a file may hold another plugin, of the same metrics.
    put(&bad("another name"), &other);
    agent.wait_until("another plugin", SOON, |agent| agent.plugin_state("worse") == "running");
    let former = agent.plugin("bad").unwrap();
    assert_eq!(former["reason"], "its file holds the plugin worse now", "{former:#}");
    assert!(agent.snapshot().has("bad_signals"));

    // A refused successor does not change what removing the file means.
    put(b"garbage", &other);
    agent.wait_until("refused", SOON, |agent| {
        agent.plugin("worse").unwrap()["reason"].as_str().unwrap_or_default().contains("not an ELF file")
    });
    fs::remove_file(&other).unwrap();
    agent.wait_until("retired", SOON, |agent| agent.plugin_state("worse") == "retired");
    assert_eq!(agent.plugin("worse").unwrap()["reason"], "its file was removed");
    let snapshot = agent.snapshot();
    assert!(!snapshot.has("bad_signals") && !snapshot.has("bad_refreshes"));
    assert!(agent.json("/dashboards").get("bad").is_none());

    // What is not called .so is nobody's business.
    put(&bad("three"), &agent.plugin_dir().join("bad.so.old"));
    thread::sleep(Duration::from_millis(700));
    assert_eq!(agent.plugin_state("bad"), "retired");
    bystander.check(&agent);
}

#[test]
fn root_a_slow_copy_is_waited_for() {
    let agent = Agent::start(&[Bystander::PLUGIN]);
    let bystander = Bystander::new(&agent);
    let bytes = bad("");
    let path = agent.plugin_dir().join("slow.so");
    let mut file = File::create(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    for chunk in bytes.chunks(bytes.len() / 4 + 1) {
        file.write_all(chunk).unwrap();
        if file.metadata().unwrap().len() < bytes.len() as u64 {
            // Longer than a file takes to settle.
            thread::sleep(Duration::from_millis(500));
            assert!(agent.plugin("bad").is_none(), "loaded by half");
            if let Some(half) = agent.plugin("slow") {
                assert!(half["reason"].as_str().unwrap().contains("truncated"), "{half:#}");
            }
        }
    }
    drop(file);
    agent.wait_until("loaded", SOON, |agent| agent.plugin_state("bad") == "running");
    assert_eq!(agent.plugin("bad").unwrap()["generation"], 1);
    assert!(agent.plugin("slow").is_none());
    bystander.check(&agent);
}

#[test]
fn root_the_folder_goes_and_comes_back() {
    let agent = Agent::start(&[Bystander::PLUGIN]);
    let folder = agent.plugin_dir();
    fs::remove_dir_all(&folder).unwrap();
    agent.wait_until("a warning", SOON, |agent| {
        agent.status()["warnings"].to_string().contains("No such file")
    });
    assert_eq!(agent.plugin_state(Bystander::PLUGIN), "retired");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    install(&built(Bystander::PLUGIN), &folder.join("syscall.so"));
    agent.wait_until("loaded again", SOON, |agent| agent.plugin_state(Bystander::PLUGIN) == "running");
    Bystander::new(&agent).check(&agent);
    // From now on as before.
    fs::remove_file(folder.join("syscall.so")).unwrap();
    agent.wait_until("retired", SOON, |agent| agent.plugin_state(Bystander::PLUGIN) == "retired");
}

#[test]
fn root_a_category_is_switched_off_and_on() {
    let agent = Agent::start(&[Bystander::PLUGIN, "tcp"]);
    let bystander = Bystander::new(&agent);
    let tcp: Vec<u64> = programs(&agent, "tcp");
    assert!(!tcp.is_empty());
    let all = Footprint::of(&agent);

    agent.configure("[plugins.tcp]\nenabled = false");
    agent.wait_until("off", SOON, |agent| agent.plugin_state("tcp") == "disabled");
    assert!(programs(&agent, "tcp").is_empty());
    let snapshot = agent.snapshot();
    let left: Vec<_> = snapshot.metrics.keys().filter(|name| name.starts_with("tcp_")).collect();
    assert!(left.is_empty(), "{left:?}");
    let off = Footprint::of(&agent);
    assert_eq!(off.links.len(), all.links.len() - tcp.len(), "{all:?}\n{off:?}");
    let gone = all.programs.difference(&off.programs).copied().collect();
    wait_until_gone(&Footprint { programs: gone, ..Footprint::default() });
    bystander.check(&agent);

    agent.configure("");
    agent.wait_until("on", SOON, |agent| agent.plugin_state("tcp") == "running");
    assert_eq!(programs(&agent, "tcp").len(), tcp.len());
    assert!(agent.snapshot().has("tcp_bytes"));
    assert_eq!(Footprint::of(&agent).links.len(), all.links.len());
    bystander.check(&agent);
}

#[test]
fn root_switching_one_sampler_leaves_the_others_counting() {
    let agent = Agent::start(&[Bystander::PLUGIN]);
    let bystander = Bystander::new(&agent);
    let before = agent.snapshot();
    bystander.check(&agent);

    agent.configure("[plugins.syscall.samplers.syscall_latency]\nenabled = false");
    agent.wait_until("off", SOON, |agent| agent.state("syscall_latency") == "disabled");
    assert_eq!(
        (agent.state("syscall_counts"), agent.plugin_state("syscall")),
        ("running".into(), "running".into())
    );
    assert_eq!(programs(&agent, "syscall").len(), 1, "only the entry");
    assert!(!agent.snapshot().has("syscall_latency"));
    bystander.check(&agent);

    agent.configure("");
    agent.wait_until("on", SOON, |agent| agent.state("syscall_latency") == "running");
    bystander.check(&agent);
    // Nothing was reset: three times as many calls as one check makes.
    let counted = bystander.calls(&agent.snapshot()) - bystander.calls(&before);
    assert_eq!(counted, 3 * Bystander::CALLS);
    // The wrong name is pointed out.
    agent.configure("[plugins.syscall.samplers.syscall_latencies]\nenabled = false");
    agent.wait_until("a warning", SOON, |agent| {
        agent.status()["warnings"].to_string().contains("did you mean syscall_latency?")
    });
    agent.configure("[plugins.sycsall]\nenabled = false");
    agent.wait_until("a warning", SOON, |agent| {
        agent.status()["warnings"].to_string().contains("did you mean syscall?")
    });
}

#[test]
fn root_a_faulty_configuration_changes_nothing() {
    let agent = Agent::start_with(
        &[Bystander::PLUGIN],
        "[plugins.syscall.samplers.syscall_latency]\nenabled = false",
    );
    let bystander = Bystander::new(&agent);
    let file = agent.config_path();
    let text = fs::read_to_string(&file).unwrap();
    let faulty = |more: &str, words: &[&str]| {
        put(format!("{text}{more}").as_bytes(), &file);
        agent.wait_until(more, SOON, |agent| {
            let status = agent.status();
            let error = status["config_error"].as_str().unwrap_or_default();
            words.iter().all(|words| error.contains(words)) && error.contains(file.to_str().unwrap())
        });
        assert_eq!(agent.state("syscall_latency"), "disabled");
        bystander.check(&agent);
    };
    let last = text.lines().count();
    faulty("[plugins.syscall\n", &[&format!("line {}", last + 1)]);
    faulty(
        "interva = \"1s\"\n",
        &[&format!("line {}", last + 1), "unknown key `interva`", "did you mean `interval`?"],
    );
    faulty("[agnet]\n", &["unknown key `agnet`; did you mean `agent`?"]);
    faulty("interval = 7\n", &[&format!("line {}", last + 1), "invalid type"]);
    fs::remove_file(&file).unwrap();
    agent.wait_until("no file", SOON, |agent| {
        agent.status()["config_error"].as_str().unwrap_or_default().contains("there is no such file")
    });
    assert_eq!(agent.state("syscall_latency"), "disabled");

    agent.configure("");
    agent.wait_until("a valid one", SOON, |agent| agent.state("syscall_latency") == "running");
    assert!(agent.status()["config_error"].is_null());
    bystander.check(&agent);
}

#[test]
fn root_editors_that_write_in_place() {
    let agent = Agent::start_with(&[Bystander::PLUGIN], "[plugins.syscall]\nenabled = false");
    let text = fs::read_to_string(agent.config_path()).unwrap();
    // Emptied, then filled. Empty is valid, but nobody meant that.
    let mut file = File::create(agent.config_path()).unwrap();
    thread::sleep(Duration::from_millis(100));
    for piece in text.as_bytes().chunks(16) {
        file.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    drop(file);
    thread::sleep(Duration::from_millis(600));
    assert_eq!(agent.plugin_state("syscall"), "disabled");
    assert!(!agent.log().contains("changed"), "{}", agent.log());
    assert!(agent.status()["config_error"].is_null());
    // And with something new in it.
    fs::write(agent.config_path(), text.replace("enabled = false", "enabled = true")).unwrap();
    agent.wait_until("taken over", SOON, |agent| agent.plugin_state("syscall") == "running");
}

#[test]
fn root_a_hangup_is_a_look_around() {
    let agent = Agent::start(&[Bystander::PLUGIN]);
    agent.signal(libc::SIGHUP);
    agent.configure("[plugins.syscall]\nenabled = false");
    agent.signal(libc::SIGHUP);
    agent.wait_until("off", SOON, |agent| agent.plugin_state("syscall") == "disabled");
    (0..20).for_each(|_| agent.signal(libc::SIGHUP));
    agent.configure("");
    agent.wait_until("on", SOON, |agent| agent.plugin_state("syscall") == "running");
    Bystander::new(&agent).check(&agent);
}

#[test]
fn root_ends_cleanly_and_leaves_nothing_behind() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut agent = Agent::start(&[Bystander::PLUGIN, "scheduler"]);
        let footprint = Footprint::of(&agent);
        assert!(footprint.programs.len() > 4 && footprint.maps.len() > 4 && footprint.links.len() > 4);
        agent.signal(signal);
        let status = agent.wait_for_end(SOON);
        assert_eq!(status.code(), Some(0), "{status}\n{}", agent.log());
        wait_until_gone(&footprint);
    }
}

#[test]
fn root_fifty_toggles_leak_nothing() {
    let agent = Agent::start(&[Bystander::PLUGIN]);
    let bystander = Bystander::new(&agent);
    let toggle = |round: u32| {
        let (config, state) = match round % 4 {
            0 => ("[plugins.syscall]\nenabled = false", ("disabled", "disabled")),
            2 => ("[plugins.syscall.samplers.syscall_latency]\nenabled = false", ("running", "disabled")),
            _ => ("", ("running", "running")),
        };
        agent.configure(config);
        agent.wait_until(config, SOON, |agent| {
            (agent.state("syscall_counts").as_str(), agent.state("syscall_latency").as_str()) == state
        });
    };
    (0..4).for_each(toggle);
    let before = Footprint::of(&agent);
    (4..54).for_each(toggle);
    toggle(55);
    let after = Footprint::of(&agent);
    let counts = |of: &Footprint| (of.programs.len(), of.maps.len(), of.links.len(), of.mapped);
    assert_eq!(counts(&after), counts(&before), "{before:?}\n{after:?}");
    assert!(after.threads <= before.threads, "{before:?}\n{after:?}");
    assert!(after.descriptors <= before.descriptors + 3, "{before:?}\n{after:?}");
    assert!(after.private < before.private + 4_000, "{before:?}\n{after:?}");
    bystander.check(&agent);
}

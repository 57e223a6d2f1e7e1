//! Files that are no plugins, and plugins that misbehave: each ends as a state
//! with a reason, and everything else goes on.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::{Agent, install};
use crate::fixture::{Bystander, Footprint, SOON, bad, example, fixture, put};

/// An agent, a plugin that has nothing to do with the fault, and the file that
/// has.
struct Stage {
    agent: Agent,
    bystander: Bystander,
}

impl Stage {
    fn new() -> Self {
        let agent = Agent::start(&[Bystander::PLUGIN]);
        let bystander = Bystander::new(&agent);
        Self { agent, bystander }
    }

    fn file(&self) -> std::path::PathBuf {
        self.agent.plugin_dir().join("fault.so")
    }

    /// Waits until a plugin is in a state, for a reason with these words, and
    /// everything else goes on. A reason is a line that fits a table.
    fn expect(&self, name: &str, state: &str, words: &str) {
        self.agent.wait_until(&format!("{name} {state}: {words}"), SOON, |agent| {
            let Some(plugin) = agent.plugin(name) else { return false };
            let reason = text(&plugin["reason"]);
            assert!(reason.len() < 360 && !reason.contains('\n'), "not for people: {reason}");
            plugin["state"] == state && reason.contains(words)
        });
        self.bystander.check(&self.agent);
    }

    /// As [`expect`](Self::expect), for the userspace sampler of `bad`.
    fn degraded(&self, words: &str) {
        self.agent.wait_until(&format!("degraded: {words}"), SOON, |agent| {
            let sampler = agent.sampler("bad_values");
            sampler["state"] == "degraded" && text(&sampler["reason"]).contains(words)
        });
        self.bystander.check(&self.agent);
    }

    /// Puts the plugin `bad` into place, as the next generation.
    fn install(&self, switch: &str) {
        let generation =
            |agent: &Agent| agent.plugin("bad").map_or(0, |plugin| plugin["generation"].as_u64().unwrap());
        let before = generation(&self.agent);
        put(&bad(switch), &self.file());
        self.agent.wait_until(&format!("bad with {switch:?}"), SOON, |agent| generation(agent) == before + 1);
    }

    /// A file that is refused, for a reason with these words.
    fn refused(&self, bytes: &[u8], words: &str) {
        put(bytes, &self.file());
        self.expect("fault", "refused", words);
        self.clear();
    }

    /// Takes the file away again.
    fn clear(&self) {
        fs::remove_file(self.file()).unwrap();
        self.agent.wait_until("the file is forgotten", SOON, |agent| agent.plugin("fault").is_none());
    }

    /// A good plugin in place of the faulty one: nothing stuck.
    fn recovers(&self) {
        self.install("");
        self.expect("bad", "running", "");
        let snapshot = self.agent.snapshot();
        let before = snapshot.counter("bad_refreshes", &[]);
        assert!(self.agent.snapshot().counter("bad_refreshes", &[]) > before);
        self.bystander.check(&self.agent);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

#[test]
fn root_files_that_are_no_plugins() {
    let stage = Stage::new();
    stage.refused(b"#!/bin/sh\necho no plugin\n", "not an ELF file");
    stage.refused(b"", "the file is empty");
    let whole = fs::read(fixture("bad")).unwrap();
    stage.refused(&whole[..4096], "truncated");
    stage.refused(&whole[..whole.len() / 2], "truncated");
    stage.refused(&whole[..whole.len() - 1], "truncated");
    let mut holed = whole.clone();
    let (start, end) = (whole.len() / 3, whole.len() / 3 * 2);
    holed[start..end].fill(0);
    stage.refused(&holed, "");
    stage.refused(&fs::read("/proc/self/exe").unwrap(), "not a rezolus plugin");
    let libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6"];
    let libc = libc.iter().find(|path| Path::new(path).exists()).expect("Debian's libc");
    stage.refused(&fs::read(libc).unwrap(), "not a rezolus plugin");
    stage.recovers();
}

#[test]
fn root_things_that_are_no_files() {
    let stage = Stage::new();
    let path = stage.file();
    let made = |how: &str| {
        let done = Command::new("sh").args(["-c", how]).arg(&path).status().unwrap();
        assert!(done.success(), "{how}");
    };
    for (how, words) in [
        ("mkfifo -m 644 $0", "not a regular file"),
        ("mkdir -m 755 $0", "not a regular file"),
        ("ln -s /nowhere $0", "cannot be opened: No such file"),
        ("ln -s $0 $0", "cannot be opened: Too many levels of symbolic links"),
        ("ln -s /dev/zero $0", "not a regular file"),
        // Empty but for its length.
        ("truncate -s 8G $0", "too large for a plugin: 8192 MiB"),
    ] {
        made(how);
        stage.expect("fault", "refused", words);
        made("rm -r $0");
        stage.agent.wait_until("forgotten", SOON, |agent| agent.plugin("fault").is_none());
    }
    // A link to a plugin is as good as the plugin.
    let elsewhere = stage.agent.scratch().join("elsewhere");
    put(&bad(""), &elsewhere);
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    stage.expect("bad", "running", "");
}

#[test]
fn root_libraries_that_cannot_be_loaded() {
    let stage = Stage::new();
    stage.refused(
        &fs::read(fixture("missing_symbol")).unwrap(),
        "undefined symbol: rezolus_nobody_provides_this",
    );
    stage.refused(&fs::read(fixture("missing_library")).unwrap(), "librezolus_nothing.so");
    stage.refused(&fs::read(fixture("other_abi")).unwrap(), "another plugin ABI");
    stage.refused(&bad("abort in constructor"), "crashes when it is loaded (signal 6)");
    stage.refused(&bad("exit in constructor"), "ends the process");
    stage.recovers();
}

#[test]
fn root_an_older_plugin_goes_on_working() {
    let stage = Stage::new();
    install(&fixture("previous"), &stage.file());
    stage.expect("previous", "running", "");
    let before = stage.agent.snapshot().counter("previous_asked", &[]);
    assert!(stage.agent.snapshot().counter("previous_asked", &[]) > before);
}

#[test]
fn root_manifests_that_are_wrong() {
    let stage = Stage::new();
    stage.refused(&bad("panic in manifest"), "manifest: panicked: the manifest went wrong");
    stage.refused(&bad("exit in manifest"), "ends the process");
    stage.refused(&bad("broken manifest"), "manifest: line 1: ");
    stage.refused(&bad("senseless manifest"), "program x: there is no sampler nobody");
    stage.refused(&bad("broken dashboard"), "the dashboard is not valid JSON");
    stage.refused(&bad("broken diagnoses"), "the diagnoses are not valid JSON");
    stage.refused(
        &bad("reserved metric"),
        "its metric rezolus_refreshes is already provided by rezolus itself",
    );
    // A diagnosis that is wrong costs itself, no metric and no other diagnosis.
    stage.install("senseless diagnoses");
    stage.expect("bad", "running", "");
    let told = stage.agent.json("/diagnoses")["bad"]["diagnoses"].clone();
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    let warnings = stage.agent.json("/status")["warnings"].to_string();
    assert!(warnings.contains("plugin bad: left out: diagnosis worse: condition: 1:13: "), "{warnings}");
    // From the future: what the host does not know it leaves alone.
    stage.install("unknown keys");
    stage.expect("bad", "running", "");
    stage.recovers();
}

#[test]
fn root_a_manifest_that_hangs_delays_nobody() {
    let stage = Stage::new();
    put(&bad("hang in manifest"), &stage.file());
    // While it is being tried out, and after it has been given up.
    thread::sleep(Duration::from_secs(1));
    stage.bystander.check(&stage.agent);
    stage
        .agent
        .wait_until("refused", Duration::from_secs(8), |agent| agent.plugin_state("fault") == "refused");
    stage.expect("fault", "refused", "does not finish loading");
    stage.clear();
    stage.recovers();
}

#[test]
fn root_samplers_that_do_not_start() {
    let stage = Stage::new();
    for (switch, state, reason) in [
        ("panic in start", "failed", "panicked: the start went wrong"),
        ("error in start", "failed", "there is nothing to read here"),
        ("unsupported", "unsupported", "this machine has no such thing"),
    ] {
        stage.install(switch);
        let sampler = stage.agent.sampler("bad_values");
        assert_eq!((&sampler["state"], &sampler["reason"]), (&state.into(), &reason.into()));
        // The plugin's other sampler is none the worse.
        signals_are_counted(&stage.agent);
        assert!(!stage.agent.snapshot().has("bad_refreshes"));
        stage.bystander.check(&stage.agent);
    }
    stage.recovers();
}

/// The kernel part of the bad plugin counts what only tests send.
fn signals_are_counted(agent: &Agent) {
    const SIGNALS: u64 = 101;
    let last = libc::SIGRTMAX();
    // SAFETY: a disposition, and signals to ourselves that are ignored.
    let delta = agent.delta(|| unsafe {
        libc::signal(last, libc::SIG_IGN);
        (0..SIGNALS).for_each(|_| assert_eq!(libc::kill(libc::getpid(), last), 0));
    });
    assert_eq!(delta.counter("bad_signals", &[]), SIGNALS);
}

#[test]
fn root_refreshes_that_fail() {
    let stage = Stage::new();
    for (switch, reason) in [
        ("panic in refresh", "went wrong"),
        ("error in refresh", "cannot read what there is to read"),
        ("wild series", "reported a number for series 3, which it does not have"),
    ] {
        stage.install(switch);
        let _ = stage.agent.snapshot();
        stage.degraded(reason);
        signals_are_counted(&stage.agent);
        stage.bystander.check(&stage.agent);
    }
    // Rows that do not exist are left out, the rest of the refresh counts.
    stage.install("wild rows");
    assert!(stage.agent.snapshot().counter("bad_refreshes", &[]) > 0);
    stage.bystander.check(&stage.agent);
    stage.recovers();
}

#[test]
fn root_a_slow_refresh_delays_nobody() {
    for switch in ["slow refresh", "endless refresh"] {
        let stage = Stage::new();
        let threads = Footprint::of(&stage.agent).threads;
        stage.install(switch);
        // Once it costs the host's patience of 0.1 s, after that nothing.
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let started = Instant::now();
            let _ = stage.agent.snapshot();
            slowest = slowest.max(started.elapsed());
        }
        assert!(slowest < Duration::from_millis(700), "{switch}: a snapshot took {slowest:?}");
        stage.degraded("refresh");
        signals_are_counted(&stage.agent);
        stage.bystander.check(&stage.agent);
        stage.recovers();
        // The thread that was left behind ends when its refresh does.
        let late = if switch == "slow refresh" { 0 } else { 1 };
        stage
            .agent
            .wait_until("late threads end", SOON, |agent| Footprint::of(agent).threads <= threads + late);
    }
}

#[test]
fn root_a_panic_at_the_end_is_contained() {
    let stage = Stage::new();
    stage.install("panic in stop");
    stage.recovers();
    assert!(stage.agent.log().contains("the stop went wrong"), "{}", stage.agent.log());
}

#[test]
fn root_a_name_belongs_to_whoever_came_first() {
    let stage = Stage::new();
    let owner = stage.agent.plugin_dir().join("syscall.so");
    put(&bad("duplicate plugin"), &stage.file());
    stage.expect(
        "fault",
        "refused",
        &format!("the plugin syscall is already loaded from {}", owner.display()),
    );
    put(&bad("duplicate metric"), &stage.file());
    stage.expect("fault", "refused", "its metric syscall is already provided by the plugin syscall");

    // The reason goes away with the first one.
    fs::remove_file(&owner).unwrap();
    stage
        .agent
        .wait_until("the second one has its turn", SOON, |agent| agent.plugin_state("bad") == "running");
    // And the other way round.
    install(&crate::agent::built("syscall"), &owner);
    stage
        .agent
        .wait_until("the first one is second", SOON, |agent| agent.plugin_state("syscall") == "refused");
    fs::remove_file(stage.file()).unwrap();
    stage.agent.wait_until("and has its turn", SOON, |agent| agent.plugin_state("syscall") == "running");
    let after = Bystander::new(&stage.agent);
    after.check(&stage.agent);
}

#[test]
fn root_what_the_verifier_refuses_degrades_its_sampler() {
    let stage = Stage::new();
    stage.install("refused program");
    stage.expect("bad", "degraded", "bad_refused: ");
    assert_eq!(stage.agent.state("bad_refused"), "failed");
    let why = text(&stage.agent.sampler("bad_refused")["reason"]);
    assert!(why.contains("verifier: R0 invalid mem access 'map_value_or_null'"), "{why}");
    assert_eq!(stage.agent.state("bad_good"), "running");
    assert_eq!(stage.agent.state("bad_values"), "running");
    assert!(!stage.agent.snapshot().has("bad_refused"));
    signals_are_counted(&stage.agent);
    stage.recovers();
}

#[test]
fn root_a_broken_object_fails_what_needs_it() {
    let stage = Stage::new();
    stage.install("broken object");
    stage.expect("bad", "degraded", "bad_good: the BPF object cannot be opened");
    assert_eq!(stage.agent.state("bad_good"), "failed");
    assert_eq!(stage.agent.state("bad_values"), "running");
    stage.recovers();
}

#[test]
fn root_files_that_others_could_change() {
    let stage = Stage::new();
    let good = bad("");
    stage.install("");
    fs::remove_file(stage.file()).unwrap();
    stage.expect("bad", "retired", "");

    for mode in [0o666, 0o664, 0o646] {
        put_with(&good, &stage.file(), Some(mode), None);
        stage.expect(
            "fault",
            "refused",
            &format!("writable by others than its owner (mode {mode:04o}); run chmod go-w"),
        );
    }
    put_with(&good, &stage.file(), None, Some(65534));
    stage.expect("fault", "refused", "the file belongs to user 65534; it must belong to root");
    // Put right in place: changes of owner and mode are noticed.
    chown(&stage.file(), 0);
    stage.agent.wait_until("put right", SOON, |agent| agent.plugin_state("bad") == "running");
    stage.bystander.check(&stage.agent);
}

#[test]
fn root_a_folder_that_others_could_change() {
    let stage = Stage::new();
    let folder = stage.agent.plugin_dir();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    stage.agent.wait_until("a warning", SOON, |agent| {
        agent.status()["warnings"].to_string().contains("writable by others")
    });
    put(&bad(""), &stage.file());
    thread::sleep(Duration::from_millis(600));
    assert!(stage.agent.plugin("bad").is_none(), "loaded from a folder anybody can write to");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    stage.agent.wait_until("put right", SOON, |agent| {
        agent.plugin_state("bad") == "running" && agent.plugin_state("syscall") == "running"
    });
    assert!(stage.agent.status()["warnings"].is_null());
}

fn put_with(bytes: &[u8], to: &Path, mode: Option<u32>, owner: Option<u32>) {
    let aside = to.with_extension("new");
    fs::write(&aside, bytes).unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(mode.unwrap_or(0o644))).unwrap();
    if let Some(owner) = owner {
        chown(&aside, owner);
    }
    fs::rename(&aside, to).unwrap();
}

fn chown(path: &Path, owner: u32) {
    std::os::unix::fs::chown(path, Some(owner), Some(owner)).unwrap();
}

#[test]
fn root_overwritten_in_place_while_running() {
    let stage = Stage::new();
    stage.install("");
    // As `cp` does it: same inode, new content. With garbage the running
    // generation goes on, and says so.
    File::create(stage.file()).unwrap().write_all(&[0x5a; 300_000]).unwrap();
    stage.agent.wait_until("the successor is refused", SOON, |agent| {
        text(&agent.plugin("bad").unwrap()["reason"]).contains("not an ELF file")
    });
    let plugin = stage.agent.plugin("bad").unwrap();
    assert_eq!((&plugin["state"], &plugin["generation"]), (&"running".into(), &1.into()));
    signals_are_counted(&stage.agent);
    let before = stage.agent.snapshot().counter("bad_refreshes", &[]);
    assert!(stage.agent.snapshot().counter("bad_refreshes", &[]) > before);
    // With another plugin it becomes the next generation.
    File::create(stage.file()).unwrap().write_all(&bad("another")).unwrap();
    stage.agent.wait_until("the next generation", SOON, |agent| {
        let plugin = agent.plugin("bad").unwrap();
        plugin["generation"] == 2 && plugin["state"] == "running" && plugin["reason"].is_null()
    });
    signals_are_counted(&stage.agent);
    stage.bystander.check(&stage.agent);
}

#[test]
fn root_deleted_while_running() {
    let stage = Stage::new();
    stage.install("");
    fs::remove_file(stage.file()).unwrap();
    stage.expect("bad", "retired", "its file was removed");
    let snapshot = stage.agent.snapshot();
    assert!(!snapshot.has("bad_refreshes") && !snapshot.has("bad_signals"));
    stage.recovers();
}

#[test]
fn root_replaced_a_hundred_times_without_a_leak() {
    let stage = Stage::new();
    let replace = |round: u32| stage.install(&format!("round {round}"));
    // The first few fill caches: of the allocator, of the loader.
    (0..5).for_each(replace);
    let _ = stage.agent.snapshot();
    let before = Footprint::of(&stage.agent);
    (5..105).for_each(replace);
    let _ = stage.agent.snapshot();
    let after = Footprint::of(&stage.agent);

    let counts = |of: &Footprint| (of.programs.len(), of.maps.len(), of.links.len(), of.mapped);
    assert_eq!(counts(&after), counts(&before), "{before:?}\n{after:?}");
    assert!(after.threads <= before.threads, "{before:?}\n{after:?}");
    assert!(after.descriptors <= before.descriptors + 3, "{before:?}\n{after:?}");
    // Code is never unmapped: the file of each generation stays, and some data.
    assert!(after.private < before.private + 10_000, "{before:?}\n{after:?}");
    let file = fs::metadata(stage.file()).unwrap().len() as usize / 1024;
    assert!(after.libraries < before.libraries + 110 * file, "{before:?}\n{after:?}");
    // None of the earlier generations' programs is left in the kernel.
    let gone = Footprint {
        programs: before.programs.difference(&after.programs).copied().collect(),
        maps: before.maps.difference(&after.maps).copied().collect(),
        links: before.links.difference(&after.links).copied().collect(),
        ..Footprint::default()
    };
    assert!(!gone.programs.is_empty() && !gone.links.is_empty(), "{before:?}\n{after:?}");
    assert_eq!(gone.remains(), Vec::<String>::new());
    signals_are_counted(&stage.agent);
    stage.bystander.check(&stage.agent);
}

#[test]
fn root_the_example_is_dropped_into_a_running_agent() {
    const KILLED: u64 = 101;
    let stage = Stage::new();
    let target = stage.agent.plugin_dir().join("example.so");
    // As the guide says it.
    let installed = Command::new("install").args(["-m", "644"]).arg(example()).arg(&target).status().unwrap();
    assert!(installed.success());
    stage.expect("example", "running", "");

    let delta = stage.agent.delta(|| {
        for _ in 0..KILLED {
            let mut child = Command::new("sleep").arg("600").spawn().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });
    // Hardly anybody else gets killed.
    assert_eq!(delta.counter("process_exits", &[("how", "signal")]), KILLED);
    let ended = delta.counter("process_exits", &[]);
    let lifetimes: u64 = delta.histogram("process_lifetime", &[]).iter().sum();
    assert!(ended >= KILLED && lifetimes.abs_diff(ended) <= 2, "{ended} ends, {lifetimes} lifetimes");

    assert_eq!(stage.agent.json("/dashboards")["example"]["title"], "Processes");
    assert!(stage.agent.json("/metrics/descriptions")["process_lifetime"].is_string());
    let rezolus = env!("CARGO_BIN_EXE_rezolus");
    let status = Command::new(rezolus).args(["status", "--url", stage.agent.url()]).output().unwrap();
    let table = String::from_utf8(status.stdout).unwrap();
    assert!(table.contains("\nexample 1.0.0, generation 1  running"), "{table}");
    assert!(table.contains("tp_btf sched/sched_process_exit"), "{table}");
    let check = Command::new(rezolus).args(["plugins", "check"]).arg(&target).output().unwrap();
    let shown = String::from_utf8(check.stdout).unwrap();
    assert!(
        check.status.success() && shown.contains("counter   process_exits how={success,failure,signal}"),
        "{shown}"
    );
}

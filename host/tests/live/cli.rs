//! The command line: help, exit codes, errors, completions.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::{Agent, built};
use crate::fixture::{bad, example, put};

/// Runs the binary; its exit code, output and errors.
fn rezolus(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_rezolus")).args(arguments).env_remove("RUST_LOG").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().expect("ends by itself"), text(stdout), text(stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_command_has_help() {
    for (arguments, words) in [
        (&["--help"][..], &["sudo rezolus /etc/rezolus/config.toml", "Exit codes:", "SIGHUP", "status"][..]),
        (&["status", "--help"], &["--url", "--cost", "--json", "http://127.0.0.1:4241"]),
        (&["plugins", "--help"], &["check"]),
        (&["plugins", "check", "--help"], &["FILE.so", "--json", "Exit code 1"]),
        (&["config", "--help"], &["check"]),
        (&["config", "check", "--help"], &["FILE"]),
        (&["completions", "--help"], &["bash", "zsh", "fish"]),
    ] {
        let (code, out, err) = rezolus(arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        for word in words {
            assert!(out.contains(word), "{arguments:?}: {word:?} is not in:\n{out}");
        }
    }
    let (code, out, _) = rezolus(&["--version"]);
    assert_eq!((code, out.trim()), (0, concat!("rezolus ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_usage_is_code_two() {
    for arguments in [
        &[][..],
        &["--no-such-option"],
        &["plugins"],
        &["plugins", "check"],
        &["config", "check"],
        &["status", "--cost", "soon"],
        &["completions", "tcsh"],
    ] {
        let (code, out, err) = rezolus(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn completions_know_the_commands() {
    for (shell, mark) in
        [("bash", "complete -F _rezolus"), ("zsh", "#compdef rezolus"), ("fish", "complete -c rezolus")]
    {
        let (code, out, _) = rezolus(&["completions", shell]);
        assert_eq!(code, 0);
        for word in [mark, "status", "plugins", "config", "--cost"]
            .iter()
            .filter(|word| **word != "--cost" || shell != "fish")
        {
            assert!(out.contains(word), "{shell}: {word}");
        }
        assert!(!out.contains("try-plugin"), "{shell} completes what is hidden");
    }
    let (_, script, _) = rezolus(&["completions", "bash"]);
    let complete = format!(
        "{script}\nCOMP_WORDS=(rezolus pl); COMP_CWORD=1; _rezolus rezolus pl rezolus; echo \"${{COMPREPLY[*]}}\""
    );
    let said = Command::new("bash").args(["-c", &complete]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "plugins");
}

#[test]
fn configurations_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    for (content, code, words) in [
        ("", 0, "valid"),
        (include_str!("../../../config/config.toml"), 0, "valid"),
        ("[agent]\nlissen = \"x\"\n", 1, "line 2: unknown key `lissen`; did you mean `listen`?"),
        ("[agent]\nlisten = \"x\"\n", 1, "line 2: "),
        ("[agent\n", 1, "line 1: "),
    ] {
        fs::write(&file, content).unwrap();
        let (found, out, err) = rezolus(&["config", "check", text(&file)]);
        assert_eq!(found, code, "{content}: {out}{err}");
        let said = if code == 0 { &out } else { &err };
        assert!(said.contains(words) && said.contains(text(&file)), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let (code, _, err) = rezolus(&["config", "check", "/nowhere/config.toml"]);
    assert!(code == 1 && err.contains("/nowhere/config.toml: there is no such file"), "{err}");
    // The agent says the same.
    let (code, _, err) = rezolus(&["/nowhere/config.toml"]);
    assert!(code == 1 && err.contains("/nowhere/config.toml: there is no such file"), "{err}");
    let (code, _, err) = rezolus(&[text(&file)]);
    assert!(code == 1 && err.contains("line 1: "), "{err}");
}

#[test]
fn root_a_second_agent_does_not_start() {
    let agent = Agent::start(&[]);
    let address = agent.url().trim_start_matches("http://");
    let file = agent.scratch().join("second.toml");
    fs::write(&file, format!("[agent]\nlisten = \"{address}\"\n")).unwrap();
    let (code, _, err) = rezolus(&[text(&file)]);
    assert_eq!(code, 1);
    assert!(
        err.contains(&format!("cannot listen on {address}")) && err.contains("running already?"),
        "{err}"
    );
}

#[test]
fn root_without_privileges_it_says_what_is_missing() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    // Everything where nobody may read it.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::copy(env!("CARGO_BIN_EXE_rezolus"), at("rezolus")).unwrap();
    fs::create_dir(at("plugins")).unwrap();
    fs::set_permissions(at("plugins"), fs::Permissions::from_mode(0o755)).unwrap();
    put(&bad(""), &at("plugins/bad.so"));
    let config = format!("[agent]\nlisten = \"127.0.0.1:0\"\nplugin_dir = \"{}\"\n", at("plugins").display());
    fs::write(at("config.toml"), config).unwrap();
    fs::set_permissions(at("config.toml"), fs::Permissions::from_mode(0o644)).unwrap();

    let log = fs::File::create(at("log")).unwrap();
    let mut agent = Command::new(at("rezolus"))
        .arg(at("config.toml"))
        .uid(NOBODY)
        .gid(NOBODY)
        .stderr(log)
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(at("log")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let url = loop {
        if let Some((_, rest)) = said().split_once("serving on ") {
            break rest.split_whitespace().next().unwrap().to_string();
        }
        assert!(Instant::now() < deadline && agent.try_wait().unwrap().is_none(), "{}", said());
        thread::sleep(Duration::from_millis(10));
    };
    let (code, table, _) = rezolus(&["status", "--url", &url]);
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(code, 0);
    assert!(table.contains("this process may not load BPF programs (Operation not permitted"), "{table}");
    assert!(table.contains("run it as root, or with CAP_BPF, CAP_PERFMON"), "{table}");
    // What needs no privileges works.
    assert!(table.lines().any(|line| line.starts_with("  bad_values  running")), "{table}");
}

#[test]
fn plugin_files_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let text_file = folder.path().join("text.so");
    put(b"text", &text_file);
    let bad_file = folder.path().join("bad.so");
    put(&bad("exit in manifest"), &bad_file);
    let good = folder.path().join("good.so");
    put(&fs::read(built("syscall")).unwrap(), &good);
    let example_file = folder.path().join("example.so");
    put(&fs::read(example()).unwrap(), &example_file);

    let (code, out, err) = rezolus(&["plugins", "check", text(&good), text(&example_file)]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for words in [
        &format!("{}: accepted", good.display()) as &str,
        "plugin     syscall",
        "sampler    syscall_latency",
        "program  leave: leave",
        "histogram syscall_latency op={other,read,",
        "plugin     example 1.0.0 (contract 3)",
        "program  process_exit: process_exit_btf > process_exit_raw",
        "a dashboard, a diagnosis",
        "a dashboard, 3 diagnoses",
    ] {
        assert!(out.contains(words), "{words:?} is not in:\n{out}");
    }

    let missing = folder.path().join("missing.so");
    let files = [text(&text_file), text(&bad_file), text(&missing), text(&good)];
    let (code, out, _) = rezolus(&[&["plugins", "check"][..], &files].concat());
    assert_eq!(code, 1);
    for words in
        ["refused: not an ELF file", "refused: ends the process", "refused: cannot be opened", "accepted"]
    {
        assert!(out.contains(words), "{words:?} is not in:\n{out}");
    }

    let (code, out, _) = rezolus(&[&["plugins", "check", "--json"][..], &files].concat());
    assert_eq!(code, 1);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found[0]["refused"], "not an ELF file");
    assert_eq!(found[0]["file"], text(&text_file));
    assert_eq!(found[3]["plugin"]["name"], "syscall");
    assert_eq!(found[3]["plugin"]["samplers"][0]["metrics"][0]["kind"], "counter");
}

#[test]
fn no_agent_to_ask() {
    // Bound, so that nobody else is there either.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let (code, out, err) = rezolus(&["status", "--url", &format!("http://{address}")]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains(&format!("no agent answers at http://{address}")), "{err}");

    let (code, _, err) = rezolus(&["status", "--url", "not a url"]);
    assert!(code == 1 && err.contains("not a url"), "{err}");

    for (answer, words) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>", "not as a rezolus agent does"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nno such\n", "404 Not Found: no such"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "broke off"),
        ("SSH-2.0-OpenSSH\r\n", ""),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        });
        let (code, out, err) = rezolus(&["status", "--url", &url]);
        serving.join().unwrap();
        assert_eq!((code, out.as_str()), (1, ""), "{answer}");
        assert!(err.contains(words) && err.contains(&url), "{err}");
    }
}

#[test]
fn root_status_as_table_and_json() {
    let agent = Agent::start_with(
        &["syscall", "tcp"],
        "[plugins.tcp]\nenabled = false\n[plugins.sycall]\nenabled = false",
    );
    put(b"text", &agent.plugin_dir().join("broken.so"));
    agent.wait_until("refused", Duration::from_secs(2), |agent| agent.plugin_state("broken") == "refused");
    let (code, out, err) = rezolus(&["status", "--url", agent.url()]);
    assert_eq!((code, err.as_str()), (0, ""));
    for words in [
        &format!("rezolus {} at {}", env!("CARGO_PKG_VERSION"), agent.url()) as &str,
        "\nsyscall ",
        ", generation 1  running",
        "raw_syscalls/sys_enter",
        "  disabled",
        "\nbroken  refused",
        "not an ELF file",
        "warning: [plugins.sycall]: no plugin of this name is loaded; did you mean syscall?",
        "cgroups: ",
    ] {
        assert!(out.contains(words), "{words:?} is not in:\n{out}");
    }
    assert!(!out.contains('\x1b'), "colours, though not for a terminal");
    assert!(!out.lines().any(|line| line.ends_with(' ')), "trailing blanks:\n{out}");

    // The JSON is the agent's.
    let (code, out, _) = rezolus(&["status", "--json", "--url", &format!("{}/", agent.url())]);
    assert_eq!(code, 0);
    let status: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status["plugins"].as_array().unwrap().len(), 3);
    // Into a pipe that nobody reads.
    let piped = format!("{} status --url {} | true", env!("CARGO_BIN_EXE_rezolus"), agent.url());
    let said = Command::new("bash").args(["-c", &piped]).output().unwrap();
    assert!(!String::from_utf8_lossy(&said.stderr).contains("panicked"), "{said:?}");
}

#[test]
fn root_status_says_what_measuring_costs() {
    let agent = Agent::start(&["syscall"]);
    let started = Instant::now();
    let (code, out, err) = rezolus(&["status", "--cost", "1s", "--url", agent.url()]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!((1.0..4.0).contains(&started.elapsed().as_secs_f64()));
    let enter = out.lines().find(|line| line.contains("sys_enter")).unwrap();
    let words: Vec<&str> = enter.split_whitespace().collect();
    let unit = words.iter().position(|word| *word == "ns").unwrap_or_else(|| panic!("no cost in {enter}"));
    let ns: f64 = words[unit - 1].parse().unwrap();
    let rate: f64 = words[unit + 1].trim_end_matches("/s").parse().unwrap();
    assert!((10.0..20_000.0).contains(&ns) && rate > 10.0, "{enter}");
    let (code, _, err) = rezolus(&["status", "--cost", "2h", "--url", agent.url()]);
    assert!(code == 1 && err.contains("up to 60s"), "{err}");
}

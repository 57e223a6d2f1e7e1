//! The exporter inside the agent and alone: valid for Prometheus, and the same
//! numbers as the agent's own.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::agent::{Agent, Mode, get};

/// What promtool has to say about an answer; nothing, if all is well.
fn promtool(text: &str) -> String {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool: install Debian's package prometheus");
    // Written beside the reading: it may answer before it has all.
    let mut input = child.stdin.take().unwrap();
    let text = text.to_string();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { said } else { format!("{}\n{said}", output.status) }
}

/// The value of a series that has no labels.
fn value(text: &str, series: &str) -> i64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let number = line.unwrap_or_else(|| panic!("no {series} in\n{text}"));
    number.parse::<f64>().unwrap() as i64
}

fn check(agent: &Agent, url: &str) {
    let (code, text) = get(url);
    assert_eq!(code, 200, "{text}");
    assert_eq!(promtool(&text), "");
    let total = agent.snapshot().gauge("memory_total", &[]);
    assert!(total > 0);
    assert_eq!(value(&text, "memory_total_bytes"), total);
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series > 50, "{series} series");
}

#[test]
fn root_exporter_in_the_agent() {
    let config = "[exporter]\nenabled = true\nlisten = \"127.0.0.1:0\"";
    let agent = Agent::start_with(&["cpu", "memory", "scheduler"], config);
    check(&agent, &agent.mode("exporter"));
}

#[test]
fn root_exporter_alone() {
    let mut agent = Agent::start(&["cpu", "memory", "scheduler"]);
    let config = format!("[exporter]\nlisten = \"127.0.0.1:0\"\nsource = \"{}\"\n", agent.url());
    let mut exporter = Mode::start("exporter", &config);
    check(&agent, &exporter.url);
    // Without an agent there is nothing to hand on, and no old numbers.
    agent.signal(libc::SIGTERM);
    agent.wait_for_end(std::time::Duration::from_secs(5));
    let (code, why) = get(&exporter.url);
    assert_eq!(code, 503, "{why}");
    assert!(exporter.runs(), "{}", exporter.log());
}

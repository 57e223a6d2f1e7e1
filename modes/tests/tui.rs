//! The viewer in a terminal, in one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rezolus_modes::tui::{Input, Options, run};
use rezolus_modes::viewer::dashboard::Dashboard;
use rezolus_store::memory::Memory;
use rezolus_store::{Labels, Sample, Source};

const LEAVES_SCREEN: &str = "\u{1b}[?1049l";

fn pages() -> Vec<Dashboard> {
    let pages = r#"[
        {"title": "First", "groups": [{"title": "Usage", "charts": [
            {"title": "Busy", "kind": "line", "unit": "percent", "queries": [{"query": "busy", "legend": "busy"}]}]}]},
        {"title": "Second", "groups": [{"title": "", "charts": [
            {"title": "Other", "kind": "line", "unit": "count", "queries": [{"query": "other"}]}]}]}
    ]"#;
    serde_json::from_str(pages).unwrap()
}

fn source() -> Memory {
    let mut memory = Memory::default();
    for at in 0..100 {
        let time = 1_790_000_000_000_000_000 + at * 1_000_000_000;
        memory.append(&Labels::new([("__name__", "busy")]), time, Sample::Float((at % 10) as f64));
    }
    memory
}

fn options(live: bool) -> Options {
    Options { interval: Duration::from_secs(1), live, title: "a recording".into() }
}

/// What the other tests run in a terminal: this program again. By itself it does nothing.
#[test]
fn shown() {
    let Ok(wanted) = std::env::var("TUI_SOURCE") else { return };
    let source: Arc<dyn Source> = match wanted.as_str() {
        "empty" => Arc::new(Memory::default()),
        "panics" => Arc::new(Panics(source())),
        _ => Arc::new(source()),
    };
    let inputs = vec![Input { name: "a".into(), source }];
    if let Err(error) = run(inputs, pages(), options(std::env::var("TUI_LIVE").is_ok()), Box::new(|| None)) {
        println!("error: {error:#}");
        std::process::exit(3);
    }
    std::process::exit(0);
}

/// Has a range, and nothing else.
struct Panics(Memory);

impl Source for Panics {
    fn select(
        &self,
        _: &[rezolus_store::Matcher],
        _: i64,
        _: i64,
    ) -> Result<Vec<rezolus_store::Series>, rezolus_store::promql::Error> {
        panic!("as it was told")
    }

    fn series(
        &self,
        _: &[rezolus_store::Matcher],
        _: i64,
        _: i64,
    ) -> Result<Vec<Labels>, rezolus_store::promql::Error> {
        Ok(Vec::new())
    }

    fn range(&self) -> Option<(i64, i64)> {
        self.0.range()
    }
}

/// A terminal of 80 by 24 with the viewer in it.
struct Shown {
    child: Child,
    keys: File,
    /// How the terminal was set before.
    terminal: OwnedFd,
    before: String,
    output: Receiver<Vec<u8>>,
    seen: String,
}

/// How a terminal is set, to be compared.
fn settings(terminal: &OwnedFd) -> String {
    // SAFETY: an all-zero termios is valid, and is filled in.
    let settings = unsafe {
        let mut settings: libc::termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(terminal.as_raw_fd(), &raw mut settings), 0);
        settings
    };
    format!("{:x} {:x} {:x}", settings.c_iflag, settings.c_oflag, settings.c_lflag)
}

impl Shown {
    fn start(variables: &[(&str, &str)]) -> Self {
        let (mut master, mut slave) = (0, 0);
        let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: all pointers are null or point to live values; the descriptors are new.
        let (master, slave) = unsafe {
            let none = std::ptr::null_mut();
            assert_eq!(
                libc::openpty(&raw mut master, &raw mut slave, none, std::ptr::null(), &raw const size),
                0
            );
            (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
        };
        let before = settings(&slave);
        let end = || Stdio::from(slave.try_clone().unwrap());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "shown", "--nocapture"])
            .env("TUI_SOURCE", "some")
            .env("TERM", "xterm-256color")
            .envs(variables.iter().copied())
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let mut reader = File::from(master.try_clone().unwrap());
        let (send, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys: master.into(), terminal: slave, before, output, seen: String::new() }
    }

    /// Waits until something has been written.
    fn see(&mut self, text: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        while !self.seen.contains(text) {
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{text:?} is not in {:?}", self.seen),
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.seen.clear();
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), signal) }, 0);
    }

    /// Waits for its end: with this code, and the terminal as it was.
    fn end(mut self, code: i32) {
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{:?}", self.seen);
        self.see(LEAVES_SCREEN);
        assert_eq!(settings(&self.terminal), self.before);
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn without_a_terminal_it_says_so() {
    // Standard input is none here, whatever standard output is.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "shown", "--nocapture"])
        .env("TUI_SOURCE", "some")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("error: needs a terminal; "), "{text}");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn keys_are_answered_until_one_leaves() {
    let mut shown = Shown::start(&[]);
    shown.see("Busy");
    // The answer, a cell at a time as cells differ.
    shown.see("max");
    shown.press("2");
    shown.see("Other");
    shown.press("?");
    shown.see("keys");
    shown.press("\u{1b}");
    shown.see("no data here");
    assert_ne!(settings(&shown.terminal), shown.before);
    shown.press("q");
    shown.end(0);
}

#[test]
fn the_terminal_is_given_back_when_it_is_told_to_end() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let mut shown = Shown::start(&[("TUI_LIVE", "1")]);
        shown.see("live");
        shown.signal(signal);
        shown.end(0);
    }
}

#[test]
fn all_is_drawn_anew_without_asking_the_terminal() {
    let mut shown = Shown::start(&[]);
    shown.see("Busy");
    shown.see("max");
    for _ in 0..3 {
        shown.press("\u{c}");
        // All of the frame, and not what has changed.
        shown.see("a recording");
        shown.see("Busy");
        shown.see("leave");
        // A terminal that does not say where its cursor is would be waited for.
        assert!(!shown.seen.contains("\u{1b}[6n"), "{:?}", shown.seen);
    }
    shown.press("q");
    shown.end(0);
}

#[test]
fn a_fault_in_a_query_is_told_in_its_chart() {
    let mut shown = Shown::start(&[("TUI_SOURCE", "panics")]);
    shown.see("a fault of the viewer: as it was told");
    shown.press("q");
    shown.end(0);
}

#[test]
fn an_empty_recording_is_told() {
    let mut shown = Shown::start(&[("TUI_SOURCE", "empty")]);
    shown.see("error: a recording: there are no samples in it");
}

//! Trying a library out in a short-lived child process first.
//!
//! A file can pass every check and still take the process down when it is
//! loaded: zeroed pages, a constructor that exits. Such a file shall take down
//! a child of ours.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::copy::anonymous;
use super::library::Library;

/// The option with which the agent's own binary is the child.
pub const TRIAL_OPTION: &str = "--try-plugin";

/// Standard input by name. Not every Linux has the link in /dev.
const STDIN: &str = if cfg!(target_os = "linux") { "/proc/self/fd/0" } else { "/dev/fd/0" };

const LIMIT: Duration = Duration::from_secs(5);

/// The child's exit code for a library that can be loaded: one that a library
/// which ends the process is not likely to choose.
const ACCEPTED: u8 = 90;

/// Loads the library in a child. `Ok` means it can be loaded here.
///
/// # Errors
///
/// What the child said, or how it died.
pub fn try_out(name: &str, bytes: &[u8]) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot be tried out: {error}");
    let copy = anonymous(name, bytes).map_err(cannot)?;
    let mut child = Command::new(own_binary().map_err(cannot)?)
        .arg(TRIAL_OPTION)
        .stdin(copy)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(cannot)?;
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        match child.try_wait().map_err(cannot)? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                // Nothing to do about a failure: it is dead already then.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("does not finish loading (stopped after {LIMIT:?})"));
            }
            None => thread::sleep(Duration::from_micros(500)),
        }
    };
    if status.code() == Some(ACCEPTED.into()) {
        return Ok(());
    }
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        let _ = stdout.read_to_string(&mut said);
    }
    Err(match status.signal() {
        Some(signal) => {
            format!("crashes when it is loaded (signal {signal}): damaged, or not built for this system")
        }
        None if said.trim().is_empty() => format!("ends the process when it is loaded ({status})"),
        None => said.trim().to_string(),
    })
}

/// The agent's binary, even if its file has been replaced meanwhile.
#[cfg(target_os = "linux")]
fn own_binary() -> std::io::Result<PathBuf> {
    Ok("/proc/self/exe".into())
}

#[cfg(not(target_os = "linux"))]
fn own_binary() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// The child's side: loads the library on standard input and says what is
/// wrong with it, if anything. Returns the exit code.
pub fn run_trial() -> u8 {
    // SAFETY: prctl and setrlimit with constant arguments. No core dumps: a
    // crash here is an expected answer.
    unsafe {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
    }
    match Library::open_at(Path::new(STDIN)) {
        Ok(_) => ACCEPTED,
        Err(why) => {
            println!("{why}");
            1
        }
    }
}

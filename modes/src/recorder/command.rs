//! The command that is recorded: a process group of its own.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::sync::mpsc::Sender;
use std::thread;

use super::Event;

/// A running command.
pub struct Running {
    group: i32,
}

impl Running {
    /// Starts it; its end is an event.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(command: &[OsString], events: Sender<Event>) -> io::Result<Self> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| io::Error::other("there is no command"))?;
        let mut command = Command::new(program);
        command.args(arguments).process_group(0);
        // SAFETY: one async-signal-safe call.
        unsafe { command.pre_exec(crate::signals::unblock_all) };
        let mut child = command.spawn()?;
        let group = i32::try_from(child.id()).map_err(io::Error::other)?;
        let wait = move || {
            if let Ok(status) = child.wait() {
                let _ = events.send(Event::Ended(status));
            }
        };
        thread::Builder::new().name("command".into()).spawn(wait)?;
        Ok(Self { group })
    }

    /// Sends a signal to the whole group.
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill has no preconditions; the group is the child's own.
        unsafe { libc::kill(-self.group, signal) };
    }
}

/// The exit code of a shell for such an end.
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

//! Signals as events, for what is not asynchronous.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;

/// From now on these signals do not end the process: each is sent through
/// `events`, as `event` makes it. To be called before there are other threads.
///
/// # Errors
///
/// When there is no thread to be had.
pub fn forward<E: Send + 'static>(
    signals: &[i32],
    events: Sender<E>,
    event: impl Fn(i32) -> E + Send + 'static,
) -> io::Result<()> {
    // SAFETY: the set is initialised by sigemptyset before it is used.
    let set = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for &signal in signals {
            libc::sigaddset(&mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    };
    let wait = move || {
        loop {
            let mut signal = 0;
            // SAFETY: both point to live values; the signals are blocked.
            if unsafe { libc::sigwait(&set, &mut signal) } == 0 && events.send(event(signal)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
}

/// Undoes the blocking of signals in a process that is about to be executed.
///
/// # Safety of use
///
/// Only async-signal-safe calls: may be used between fork and exec.
pub fn unblock_all() -> io::Result<()> {
    // SAFETY: as above; sigprocmask is async-signal-safe.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        if libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

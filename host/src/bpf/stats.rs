//! What programs cost, from the kernel's own BPF statistics.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libbpf_rs::libbpf_sys;
use serde::Serialize;

/// Keeps the kernel counting run time of BPF programs while it lives. That
/// itself costs some 20 to 40 ns per run.
pub struct StatsOn(#[allow(dead_code)] OwnedFd);

impl StatsOn {
    pub fn new() -> std::io::Result<Self> {
        // SAFETY: a system call without pointers.
        let fd = unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) };
        if fd < 0 {
            return Err(std::io::Error::from_raw_os_error(-fd));
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

/// A program's run time so far, as far as statistics were on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    pub run_time_ns: u64,
    pub run_count: u64,
}

/// Of a program, by kernel id; zero if it is gone.
pub fn cost_of(id: u32) -> Cost {
    let Ok(fd) = libbpf_rs::Program::fd_from_id(id) else { return Cost::default() };
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut length = std::mem::size_of_val(&info) as u32;
    // SAFETY: `info` is zeroed and as long as `length` says.
    let failed = unsafe { libbpf_sys::bpf_prog_get_info_by_fd(fd.as_raw_fd(), &mut info, &mut length) };
    if failed != 0 {
        return Cost::default();
    }
    Cost { run_time_ns: info.run_time_ns, run_count: info.run_cnt }
}

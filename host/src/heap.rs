//! Keeping the process small: what glibc's allocator is asked to do.

/// glibc gives every thread a heap of its own, and keeps what was freed. Ours
/// have little to do at the same time; memory is worth more. Its second kind of
/// short lists, after those of each thread, is gone through whenever something
/// large is freed, as every answer is: without it that costs nothing.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn use_one() {
    // SAFETY: mallopt with documented parameters, before there are threads.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MXFAST, 0);
    }
}

/// Gives back what loading needed: libbpf had the kernel's type information in
/// memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn trim() {
    // SAFETY: malloc_trim has no preconditions.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn use_one() {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn trim() {}

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

/// Whoever evaluates queries takes and frees megabytes at a time. glibc would give each
/// back to the kernel, which has to clear it again for the next: a third of the time of
/// a query over a day. So some of what is freed is kept, until [`give_back`]; in fewer heaps
/// than glibc would have, since each keeps that much.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep() {
    // SAFETY: mallopt with documented parameters, before there are threads.
    unsafe {
        // The most that it takes; larger ones are mapped each for itself.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_TOP_PAD, 4 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 4);
    }
}

/// Gives back to the kernel what was freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back() {
    // SAFETY: malloc_trim has no preconditions.
    unsafe { libc::malloc_trim(0) };
}

/// Gives back what loading needed: libbpf had the kernel's type information in
/// memory, and half of the code that ran will not run again. What is still
/// needed of that is mapped again from the page cache, at a microsecond each.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn trim() {
    give_back();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, end) in maps.lines().filter_map(code) {
        // SAFETY: the range is a mapping of a file that cannot be written through,
        // so its pages are those of the file, and come back when touched.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

/// The addresses of a line of `/proc/PID/maps` that is code or constants from a
/// file: nothing that the loader relocates, which begins later in the file and
/// would be lost.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn code(line: &str) -> Option<(usize, usize)> {
    let mut columns = line.split_ascii_whitespace();
    let (start, end) = columns.next()?.split_once('-')?;
    let (permissions, offset) = (columns.next()?, columns.next()?);
    let path = columns.nth(2)?;
    let constant = permissions == "r-xp" || (permissions == "r--p" && offset == "00000000");
    if !constant || !path.starts_with('/') {
        return None;
    }
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn use_one() {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn trim() {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep() {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}

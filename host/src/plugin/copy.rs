//! A private copy of a library to load: whatever happens to the original file
//! afterwards does not concern it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A copy under a path that no other library was ever loaded by: the dynamic
/// loader tells libraries apart by name. Gone when dropped, though not for
/// whoever has loaded it.
pub struct PrivateCopy {
    path: PathBuf,
    #[cfg(target_os = "linux")]
    _numbered: std::os::fd::OwnedFd,
}

impl PrivateCopy {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use std::io::Write;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::sync::atomic::{AtomicI32, Ordering};

    use super::{File, PathBuf, PrivateCopy, io};

    impl PrivateCopy {
        /// Copies into sealed memory.
        pub fn new(name: &str, bytes: &[u8]) -> io::Result<Self> {
            let numbered = with_fresh_number(&anonymous(name, bytes)?)?;
            let path = PathBuf::from(format!("/proc/self/fd/{}", numbered.as_raw_fd()));
            Ok(Self { path, _numbered: numbered })
        }
    }

    /// An unchangeable file in memory.
    pub fn anonymous(name: &str, bytes: &[u8]) -> io::Result<File> {
        let name = std::ffi::CString::new(name.replace('\0', "")).unwrap_or_default();
        // SAFETY: the name is a valid C string.
        let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        let mut file = unsafe { File::from_raw_fd(fd) };
        file.write_all(bytes)?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
        // SAFETY: fcntl on our own descriptor.
        if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(file)
    }

    /// Duplicates a descriptor to a number that was never used for a library.
    ///
    /// The loader knows `/proc/self/fd/N` as a name and would hand out the
    /// library that was loaded under it before, so numbers must not repeat; the
    /// descriptor itself need not stay open. They last for as many different
    /// files as the limit of open files allows.
    fn with_fresh_number(file: &File) -> io::Result<OwnedFd> {
        static NEXT: AtomicI32 = AtomicI32::new(256);
        let at_least = NEXT.load(Ordering::Acquire);
        // SAFETY: fcntl on our own descriptor.
        let fd = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, at_least) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            return Err(io::Error::new(
                error.kind(),
                format!("no descriptor number from {at_least} up is free ({error}); restart the agent"),
            ));
        }
        NEXT.fetch_max(fd + 1, Ordering::AcqRel);
        // SAFETY: a fresh descriptor that nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::fs;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{File, PrivateCopy, io};

    impl PrivateCopy {
        /// Copies into a temporary file.
        pub fn new(name: &str, bytes: &[u8]) -> io::Result<Self> {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("rezolus-{}-{number}-{name}", std::process::id()));
            fs::write(&path, bytes)?;
            Ok(Self { path })
        }
    }

    impl Drop for PrivateCopy {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// A file of this content that is gone when it is closed.
    pub fn anonymous(name: &str, bytes: &[u8]) -> io::Result<File> {
        let copy = PrivateCopy::new(name, bytes)?;
        File::open(copy.path())
    }
}

pub use platform::anonymous;

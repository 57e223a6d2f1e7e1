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
    use std::ffi::CStr;
    use std::io::Write;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::sync::atomic::{AtomicI32, Ordering};
    use std::time::Duration;

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
        until_idle(|| {
            let file = written(&name, bytes)?;
            seal(&file).map(|()| file)
        })
    }

    /// Tries again where something was busy: the kernel refuses to seal a file while anybody holds on to one of its
    /// pages, such as who moves or ages pages in the background. It waits for a fifth of a second by itself
    /// (`memfd_wait_for_pins` in mm/memfd.c), which is not always enough.
    fn until_idle<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        for pause in [1, 10, 100, 500] {
            match attempt() {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    std::thread::sleep(Duration::from_millis(pause));
                }
                done => return done,
            }
        }
        attempt()
    }

    fn written(name: &CStr, bytes: &[u8]) -> io::Result<File> {
        // SAFETY: the name is a valid C string.
        let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        let mut file = unsafe { File::from_raw_fd(fd) };
        file.write_all(bytes)?;
        Ok(file)
    }

    fn seal(file: &File) -> io::Result<()> {
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
        // SAFETY: fcntl on our own descriptor.
        match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
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

    #[cfg(test)]
    mod tests {
        use std::io::Read;

        use super::*;

        #[test]
        fn what_is_busy_is_tried_again_and_nothing_else() {
            let fails = |code: i32, times: usize| {
                let mut attempts = 0;
                let done = until_idle(|| {
                    attempts += 1;
                    if attempts <= times { Err(io::Error::from_raw_os_error(code)) } else { Ok(()) }
                });
                (attempts, done.map_err(|error| error.raw_os_error()))
            };
            assert_eq!(fails(libc::EBUSY, 3), (4, Ok(())));
            assert_eq!(fails(libc::EBUSY, 9), (5, Err(Some(libc::EBUSY))));
            assert_eq!(fails(libc::ENOMEM, 1), (1, Err(Some(libc::ENOMEM))));
        }

        #[test]
        fn a_copy_cannot_be_written() {
            let mut file = anonymous("copy", b"bytes").unwrap();
            assert_eq!(file.write(b"x").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            let mut there = String::new();
            File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
                .unwrap()
                .read_to_string(&mut there)
                .unwrap();
            assert_eq!(there, "bytes");
        }
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

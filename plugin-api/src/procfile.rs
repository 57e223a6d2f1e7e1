//! A help for userspace samplers, most of which read the same small files over
//! and over.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// A file of /proc or /sys that is kept open and read from its start each time.
pub struct ProcFile {
    path: &'static str,
    file: File,
    buffer: Vec<u8>,
}

impl ProcFile {
    /// Opens the file.
    ///
    /// # Errors
    ///
    /// A sentence with the path; `unsupported: ...` when the kernel has no such file.
    pub fn open(path: &'static str) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("unsupported: this kernel has no {path}"),
            _ => format!("cannot open {path}: {error}"),
        })?;
        Ok(Self { path, file, buffer: vec![0; 8192] })
    }

    /// What the file says now. Allocates only when the file has outgrown the
    /// largest size seen so far.
    ///
    /// # Errors
    ///
    /// A sentence with the path.
    pub fn read(&mut self) -> Result<&[u8], String> {
        // The kernel hands out a page at a time: only a read of nothing is the end.
        let mut length = 0;
        loop {
            if length == self.buffer.len() {
                self.buffer.resize(2 * length, 0);
            }
            match self.file.read_at(&mut self.buffer[length..], length as u64) {
                Ok(0) => return Ok(&self.buffer[..length]),
                Ok(read) => length += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot read {}: {error}", self.path)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_of_it_each_time() {
        // Longer than the buffer is at first.
        let mut file = ProcFile::open("/proc/self/smaps").unwrap();
        for _ in 0..2 {
            let text = file.read().unwrap();
            assert!(text.len() > 8192 && text.ends_with(b"\n"), "{}", text.len());
        }
    }

    #[test]
    fn what_the_kernel_lacks_is_unsupported() {
        let why = ProcFile::open("/proc/no-such-file").err().unwrap();
        assert_eq!(why, "unsupported: this kernel has no /proc/no-such-file");
    }
}

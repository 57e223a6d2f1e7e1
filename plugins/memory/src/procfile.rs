//! A file of /proc that is kept open and read again and again.

use std::fs::File;
use std::os::unix::fs::FileExt;

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

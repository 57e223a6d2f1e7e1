//! A segment's checksum, which is in its name.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads all of a segment, and nothing of it into memory.
///
/// # Errors
///
/// When it cannot be read, or its checksum is not the one in its name.
pub fn check(path: &Path) -> Result<(), String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let (mut hasher, mut piece) = (crc32fast::Hasher::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return compare(path, hasher.finalize()),
            Ok(length) => hasher.update(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// # Errors
///
/// When a checksum is not the one in a segment's name.
pub fn compare(path: &Path, found: u32) -> Result<(), String> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let wanted = stem.split_once('-').and_then(|(_, checksum)| u32::from_str_radix(checksum, 16).ok());
    match wanted == Some(found) {
        true => Ok(()),
        false => Err("its checksum is not the one in its name: it is damaged".into()),
    }
}

//! What a file must be before any of its code runs.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use rezolus_plugin_api::abi::ROOT_SYMBOL;

/// Nothing larger is read: a plugin is below ten megabytes, and that with all
/// its debugging information.
const LARGEST: u64 = 256 << 20;

/// A file's content, found fit to be tried.
pub struct Checked {
    pub bytes: Vec<u8>,
    /// Identifies the content: the same content is not loaded twice.
    pub hash: u64,
}

/// Reads a plugin file and checks owner, mode and completeness.
///
/// # Errors
///
/// A sentence for people: what is wrong, and what to do about it where that
/// is not obvious.
pub fn check(path: &Path) -> Result<Checked, String> {
    // Without blocking: what is no file might wait for a writer.
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let mut file = options.open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    // The opened file's own metadata: the name may point elsewhere by now.
    let metadata = file.metadata().map_err(|error| format!("cannot be examined: {error}"))?;
    if !metadata.is_file() {
        return Err("not a regular file".into());
    }
    check_trust("the file", &metadata)?;
    if metadata.len() > LARGEST {
        return Err(format!("too large for a plugin: {} MiB", metadata.len() >> 20));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    #[cfg(target_os = "linux")]
    check_elf(&bytes)?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Ok(Checked { bytes, hash: hasher.finish() })
}

/// Checks that nobody else can put plugins into the folder.
pub fn check_folder(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if !metadata.is_dir() {
        return Err(format!("{}: not a folder", path.display()));
    }
    check_trust("the folder", &metadata).map_err(|why| format!("{}: {why}", path.display()))
}

fn check_trust(what: &str, metadata: &fs::Metadata) -> Result<(), String> {
    // SAFETY: geteuid has no preconditions.
    let me = unsafe { libc::geteuid() };
    let owner = metadata.uid();
    if owner != 0 && owner != me {
        return Err(format!(
            "{what} belongs to user {owner}; it must belong to root or to the agent's user {me} (chown)"
        ));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(format!("{what} is writable by others than its owner (mode {mode:04o}); run chmod go-w"));
    }
    Ok(())
}

/// Checks that the bytes are a complete shared object for this machine that
/// has the root symbol of a plugin. Loading a file that is cut short would
/// kill the process, and loading one that is no plugin would run its
/// constructors.
fn check_elf(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err("not an ELF file".into());
    }
    let broken = |error: object::Error| format!("truncated or damaged: {error}");
    let header = elf::FileHeader64::<object::Endianness>::parse(bytes)
        .map_err(|_| "truncated, or not a 64-bit ELF file".to_string())?;
    let endian = header.endian().map_err(broken)?;
    if header.e_type(endian) != elf::ET_DYN {
        return Err("an ELF file, but not a shared object".into());
    }
    let machine = header.e_machine(endian);
    let wanted = if cfg!(target_arch = "aarch64") { elf::EM_AARCH64 } else { elf::EM_X86_64 };
    if machine != wanted {
        return Err(format!(
            "built for another kind of machine (ELF machine {machine}, this one is {wanted})"
        ));
    }
    let length = bytes.len() as u64;
    let inside = |what: &str, offset: u64, size: u64| {
        let end = offset.saturating_add(size);
        if end > length {
            Err(format!("truncated: {what} ends at byte {end}, the file at {length}"))
        } else {
            Ok(())
        }
    };
    let mut dynamic = false;
    for segment in header.program_headers(endian, bytes).map_err(broken)? {
        let kind = segment.p_type(endian);
        dynamic |= kind == elf::PT_DYNAMIC;
        if kind == elf::PT_LOAD || kind == elf::PT_DYNAMIC {
            inside("a segment", segment.p_offset(endian), segment.p_filesz(endian))?;
        }
    }
    if !dynamic {
        return Err("truncated or static: it has no dynamic section".into());
    }
    let sections = header.sections(endian, bytes).map_err(broken)?;
    for section in sections.iter() {
        if section.sh_type(endian) != elf::SHT_NOBITS {
            inside("a section", section.sh_offset(endian), section.sh_size(endian))?;
        }
    }
    let symbols = sections.symbols(endian, bytes, elf::SHT_DYNSYM).map_err(broken)?;
    let exports_root = symbols.iter().any(|symbol| {
        use object::read::elf::Sym;
        !symbol.is_undefined(endian)
            && symbol.name(endian, symbols.strings()).is_ok_and(|name| name == ROOT_SYMBOL.as_bytes())
    });
    if !exports_root {
        return Err(
            "a shared object, but not a rezolus plugin: it lacks the symbol that export! makes".into()
        );
    }
    Ok(())
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    device: u64,
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
    /// Ownership and mode changes show here only.
    changed: (i64, i64),
}

impl Fingerprint {
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: metadata.modified().ok(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_truncation_of_a_library_is_refused() {
        // This test's own executable is an ET_DYN without the root symbol:
        // cut anywhere it must be refused for being cut, whole for the symbol.
        let whole = fs::read("/proc/self/exe").unwrap();
        assert!(check_elf(&whole).unwrap_err().contains("not a rezolus plugin"));
        for at in (0..whole.len()).step_by(whole.len() / 97 + 1) {
            let why = check_elf(&whole[..at]).unwrap_err();
            assert!(why.contains("truncated") || at < 64, "cut at {at}: {why}");
        }
    }

    #[test]
    fn text_is_not_an_elf_file() {
        assert_eq!(check_elf(b"#!/bin/sh\n").unwrap_err(), "not an ELF file");
        assert_eq!(check_elf(b"").unwrap_err(), "the file is empty");
    }

    proptest::proptest! {
        /// Headers with arbitrary bytes changed: refused or accepted, but
        /// never a panic and never a look outside of the file.
        #[test]
        fn damaged_headers_never_panic(changes in proptest::collection::vec((0..4096usize, 0..=255u8), 1..20)) {
            static WHOLE: std::sync::LazyLock<Vec<u8>> =
                std::sync::LazyLock::new(|| fs::read("/proc/self/exe").unwrap());
            let mut bytes = WHOLE.clone();
            let tail = bytes.len() - 4096;
            for (at, byte) in changes {
                // Half of them at the section headers, which are at the end.
                let at = if at % 2 == 0 { at / 16 } else { tail + at };
                bytes[at] = byte;
            }
            let _ = check_elf(&bytes);
        }
    }
}

//! Output files: written aside, and renamed when they are whole.

use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::Error;

/// Shorter work needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file that is there under its name only once it is whole.
pub struct Aside {
    target: PathBuf,
    temporary: PathBuf,
    force: bool,
}

impl Aside {
    /// Begins a file beside the `target`.
    ///
    /// # Errors
    ///
    /// When the target exists, unless forced, or the folder cannot be written.
    pub fn create(target: &Path, force: bool) -> Result<(Self, File), Error> {
        // What a link points to is replaced, not the link.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.into());
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.tmp", std::process::id()));
        let aside = Self { temporary: target.with_file_name(name), target, force };
        aside.check()?;
        let file = File::create_new(&aside.temporary).map_err(|error| {
            Error::file(&aside.target, format!("{} cannot be created: {error}", aside.temporary.display()))
        })?;
        Ok((aside, file))
    }

    fn check(&self) -> Result<(), Error> {
        match self.target.exists() && !self.force {
            true => Err(Error::file(&self.target, "exists already; --force replaces it")),
            false => Ok(()),
        }
    }

    /// Gives the whole file its name.
    ///
    /// # Errors
    ///
    /// When that fails: the target is as it was.
    pub fn finish(self, file: &File) -> Result<(), Error> {
        self.check()?;
        let renamed = || -> io::Result<()> {
            if let Ok(before) = fs::metadata(&self.target) {
                file.set_permissions(before.permissions())?;
            }
            file.sync_all()?;
            fs::rename(&self.temporary, &self.target)?;
            let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
            // Not every file system can; the rename is done in any case.
            let _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
            Ok(())
        };
        renamed().map_err(|error| Error::file(&self.target, format!("cannot be written: {error}")))
    }

    /// What went wrong while it was written.
    pub fn error(&self, why: impl ToString) -> Error {
        Error::file(&self.target, format!("cannot be written: {}", why.to_string()))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Gone already if it was renamed.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// A bar on the terminal, for work that takes a while.
pub struct Progress {
    started: Instant,
    total: u64,
    done: u64,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn new(total: usize) -> Self {
        Self { started: Instant::now(), total: total as u64, done: 0, bar: None }
    }

    pub fn step(&mut self) {
        self.done += 1;
        if self.bar.is_none() && self.started.elapsed() > PATIENCE && io::stderr().is_terminal() {
            self.bar = Some(ProgressBar::new(self.total));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

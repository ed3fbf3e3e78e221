//! Quarantine: files that belong to no tenant. The library never deletes them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use crate::disk::files::{Entry, SIDECARS, beside, look, sync_dir};
use crate::disk::owner::mkdir;
use crate::disk::root::Root;
use crate::error::IoError;

impl Root {
    pub(crate) fn quarantine_dir(&self) -> PathBuf {
        self.path().join("quarantine")
    }

    /// Moves a file with its sidecars to a new directory in quarantine, and returns the path there.
    /// All keep their names, so that they stay one database: a `-wal` may hold rows that the main
    /// file does not have yet. If a crash leaves a sidecar behind, a call for the sidecar moves it
    /// to the same directory.
    pub(crate) fn quarantine(&self, path: &Path) -> Result<PathBuf, IoError> {
        let name = path.file_name().unwrap_or(OsStr::new("unnamed"));
        let quarantine = self.quarantine_dir();
        mkdir(&quarantine)?;
        let (main, is_sidecar) = match main_of(name) {
            Some(main) => (main, true),
            None => (name.to_owned(), false),
        };
        let dir = free_dir(&quarantine, &main, if is_sidecar { name } else { &main })?;
        mkdir(&dir)?;
        let to = dir.join(name);
        rename(path, &to)?;
        if !is_sidecar {
            for suffix in SIDECARS {
                let sidecar = beside(path, suffix);
                if look(&sidecar).map_err(IoError::at(&sidecar, "looked at"))? != Entry::Missing {
                    rename(&sidecar, &beside(&to, suffix))?;
                }
            }
        }
        for dir in [&dir, &quarantine] {
            sync_dir(dir)?;
        }
        if let Some(from) = path.parent() {
            sync_dir(from)?;
        }
        Ok(to)
    }

    /// Moves the non-empty sidecars of a database to quarantine.
    pub(crate) fn quarantine_sidecars(&self, path: &Path) -> Result<(), IoError> {
        for suffix in SIDECARS {
            let sidecar = beside(path, suffix);
            if fs::symlink_metadata(&sidecar).is_ok_and(|meta| meta.len() > 0) {
                self.quarantine(&sidecar)?;
            }
        }
        Ok(())
    }
}

/// Returns the directory for a database named `main`: the first one without an entry `file`.
fn free_dir(quarantine: &Path, main: &OsStr, file: &OsStr) -> Result<PathBuf, IoError> {
    let mut n = 1_u32;
    loop {
        let mut name = main.to_owned();
        if n > 1 {
            name.push(format!(".{n}"));
        }
        let dir = quarantine.join(name);
        let there = dir.join(file);
        if look(&there).map_err(IoError::at(&there, "looked at"))? == Entry::Missing {
            return Ok(dir);
        }
        n += 1;
    }
}

/// Returns the name of the database that a sidecar belongs to, or `None` for other names.
pub(crate) fn main_of(name: &OsStr) -> Option<OsString> {
    let name = name.to_str()?;
    let main = SIDECARS.iter().find_map(|suffix| name.strip_suffix(suffix));
    main.map(OsString::from)
}

fn rename(from: &Path, to: &Path) -> Result<(), IoError> {
    fs::rename(from, to).map_err(IoError::at(from, "moved to quarantine"))
}

//! Operations on single files and directories: kind, fsync, removal.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::error::IoError;

/// The suffixes of the files that SQLite keeps beside a database. A sidecar belongs only to the
/// main file beside which it was created: a `-wal` that is left behind would put its rows into the
/// next file of the same name.
pub(crate) const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The kind of the entry at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Missing,
    File,
    /// Another kind of entry, in words: `a directory`, for example.
    Other(&'static str),
}

/// Returns the kind of the entry at a path, without opening it: opening and closing a live database
/// would drop SQLite's locks in this process.
pub(crate) fn look(path: &Path) -> io::Result<Entry> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => Ok(Entry::File),
        Ok(meta) if meta.is_symlink() => Ok(Entry::Other("a symbolic link")),
        Ok(meta) if meta.is_dir() => Ok(Entry::Other("a directory")),
        Ok(_) => Ok(Entry::Other("no plain file")),
        // `NotADirectory` means that a file is in the place of a parent directory.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Entry::Missing)
        }
        Err(error) => Err(error),
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), IoError> {
    let dir = File::open(path).map_err(IoError::at(path, "opened"))?;
    dir.sync_all().map_err(IoError::at(path, "synced"))
}

/// Removes a database that no process has open, its sidecars first. After a crash in between, the
/// main file alone is still a database, but a `-wal` alone could be replayed into another one.
pub(crate) fn remove_file(path: &Path) -> Result<(), IoError> {
    remove_sidecars(path)?;
    remove_if_there(path)
}

/// Returns the path with a suffix of [`SIDECARS`] appended.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes the sidecars of a database.
pub(crate) fn remove_sidecars(path: &Path) -> Result<(), IoError> {
    for suffix in SIDECARS {
        remove_if_there(&beside(path, suffix))?;
    }
    Ok(())
}

/// Removes a file; a missing one is no error.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), IoError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(IoError::new(path, "removed", error))
        }
        _ => Ok(()),
    }
}

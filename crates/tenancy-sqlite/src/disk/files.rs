//! Single files and directories: their kind, fsync, removal.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::error::IoError;

/// The suffixes of the files that SQLite keeps beside a database. They belong to the main file of
/// the same name and to no other: a `-wal` left behind would put its rows into the next one.
pub(crate) const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The kind of the entry at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Missing,
    File,
    /// Something else, in words: `a directory`, for example.
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
        // A file in place of the directory.
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

/// Removes a database that no process has open, its sidecars first: without them the main file is
/// a database still, and a `-wal` alone would be replayed into another.
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

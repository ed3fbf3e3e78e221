//! Single files and directories: look, sync, remove.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::error::IoError;

/// What SQLite may leave beside a database. They belong to the main file of the
/// same name and to no other: a `-wal` left behind would put its rows into it.
pub(crate) const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What stands at a path, without opening it: opening and closing a live database
/// would drop SQLite's locks in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    File,
    Other(&'static str),
}

pub(crate) fn look(path: &Path) -> io::Result<Found> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => Ok(Found::File),
        Ok(meta) if meta.is_symlink() => Ok(Found::Other("a symbolic link")),
        Ok(meta) if meta.is_dir() => Ok(Found::Other("a directory")),
        Ok(_) => Ok(Found::Other("no plain file")),
        // Something else than its directory may stand there.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Found::Nothing)
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn sync_dir(path: &Path) -> Result<(), IoError> {
    let dir = File::open(path).map_err(IoError::at(path, "opened"))?;
    dir.sync_all().map_err(IoError::at(path, "synced"))
}

/// Removes a database that nobody has open, its sidecars first.
pub(crate) fn remove_file(path: &Path) -> Result<(), IoError> {
    remove_sidecars(path)?;
    remove_if_there(path)
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(crate) fn remove_sidecars(path: &Path) -> Result<(), IoError> {
    for suffix in SIDECARS {
        remove_if_there(&beside(path, suffix))?;
    }
    Ok(())
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), IoError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(IoError::new(path, "removed", error))
        }
        _ => Ok(()),
    }
}

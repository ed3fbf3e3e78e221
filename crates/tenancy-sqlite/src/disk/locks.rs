//! The locks of a root: of its users, of itself, of its directories and of its runs.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::disk::files::remove_file;
use crate::disk::flock;
use crate::disk::flock::PATIENCE;
use crate::error::IoError;

/// Shared use of a root, told to other processes.
#[derive(Debug)]
pub(crate) struct Lock {
    pub(super) _file: File,
    /// Was nobody else there when it was taken?
    pub(crate) was_alone: bool,
}

/// The lock that every process takes that makes a file in the root itself.
pub(crate) struct RootLock {
    _dir: File,
}

impl RootLock {
    pub(crate) fn of(path: &Path) -> Result<Self, IoError> {
        let dir = File::open(path).map_err(IoError::at(path, "opened"))?;
        flock::exclusive(&dir, path, PATIENCE)?;
        Ok(Self { _dir: dir })
    }
}

/// A directory of tenants' files in which nobody else adds or removes one.
pub(crate) struct DirLock {
    pub(super) dir: File,
    pub(super) path: PathBuf,
}

impl DirLock {
    pub(crate) fn sync(&self) -> Result<(), IoError> {
        self.dir
            .sync_all()
            .map_err(IoError::at(&self.path, "synced"))
    }

    /// Removes a file that nobody has open, its sidecars first: a main file alone
    /// is a database, a `-wal` alone waits for another's.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), IoError> {
        remove_file(path)?;
        self.sync()
    }
}

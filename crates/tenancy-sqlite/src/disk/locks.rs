//! The locks of a root: one of the processes that use it, one of the root itself, and those of its
//! directories.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::disk::files::remove_file;
use crate::disk::flock;
use crate::disk::flock::LOCK_TIMEOUT;
use crate::error::IoError;

/// The lock of a process that uses a root, shared with other processes.
#[derive(Debug)]
pub(crate) struct SharedLock {
    pub(super) _file: File,
    /// Whether no other process had the lock when it was taken.
    pub(crate) was_alone: bool,
}

/// The exclusive lock of a root, held while files are created in the root itself.
pub(crate) struct RootLock {
    _dir: File,
}

impl RootLock {
    /// Takes the lock.
    pub(crate) fn of(path: &Path) -> Result<Self, IoError> {
        let dir = File::open(path).map_err(IoError::at(path, "opened"))?;
        flock::exclusive(&dir, path, LOCK_TIMEOUT)?;
        Ok(Self { _dir: dir })
    }
}

/// The exclusive lock of a directory of tenants' files, held while files are added or removed.
pub(crate) struct DirLock {
    pub(super) dir: File,
    pub(super) path: PathBuf,
}

impl DirLock {
    /// Makes the entries of the directory durable.
    pub(crate) fn sync(&self) -> Result<(), IoError> {
        self.dir
            .sync_all()
            .map_err(IoError::at(&self.path, "synced"))
    }

    /// Removes a database that no process has open, durably.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), IoError> {
        remove_file(path)?;
        self.sync()
    }
}

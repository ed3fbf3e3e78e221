//! The locks of a root: of its users, of itself, of its directories and of its runs.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::files::remove_file;
use crate::disk::flock;
use crate::disk::flock::PATIENCE;
use crate::disk::owner::{open_dir, open_or_create};
use crate::disk::place::Place;
use crate::disk::root::Root;
use crate::error::{IoError, StorageError};

impl Root {
    /// Marks this process as a user of the root for as long as the lock lives. If it
    /// is the only one, what killed ones left in staging is removed first.
    pub(crate) fn lock(&self) -> Result<Lock, StorageError> {
        let (file, path) = self.lock_file()?;
        let was_alone = self.take_up(&file, &path)?;
        Ok(Lock {
            _file: file,
            was_alone,
        })
    }

    /// Keeps every driver out for as long as the lock lives; none if there is one.
    pub(crate) fn lock_alone(&self) -> Result<Option<File>, IoError> {
        let (file, _) = self.lock_file()?;
        Ok(file.try_lock().is_ok().then_some(file))
    }

    fn lock_file(&self) -> Result<(File, PathBuf), IoError> {
        self.file_to_lock("tenancy.lock")
    }

    /// The file that who runs over many tenants has locked.
    pub(crate) fn run_lock_file(&self) -> Result<(File, PathBuf), IoError> {
        self.file_to_lock("runs.lock")
    }

    fn file_to_lock(&self, name: &str) -> Result<(File, PathBuf), IoError> {
        let path = self.path.join(name);
        Ok((open_or_create(&path)?, path))
    }

    /// Waits for shared use. Who is alone first takes up what killed ones left in
    /// staging; who waited for such a one looks himself, as that one may have died.
    fn take_up(&self, file: &File, path: &Path) -> Result<bool, StorageError> {
        let mut alone = false;
        for _ in 0..2 {
            alone = file.try_lock().is_ok();
            if alone {
                self.recover_staging()?;
                self.clear_scratch()?;
                // Others may get in before the shared lock: nothing of ours is staged yet.
                file.unlock().map_err(IoError::at(path, "unlocked"))?;
                break;
            }
            flock::shared(file, path, PATIENCE)?;
            file.unlock().map_err(IoError::at(path, "unlocked"))?;
        }
        flock::shared(file, path, PATIENCE)?;
        Ok(alone)
    }

    /// The lock of a place's directory, which every process takes that puts a file
    /// in place or takes one away there. A link to a directory is refused: what is behind it
    /// may be moved or unmounted. In a root that an older version made, the directories are made
    /// when the first of them is missing.
    pub(crate) fn lock_dir(&self, place: &Place) -> Result<DirLock, IoError> {
        self.lock_dir_within(place, PATIENCE)
    }

    /// The same for a call that has a deadline.
    pub(crate) fn lock_dir_within(
        &self,
        place: &Place,
        patience: Duration,
    ) -> Result<DirLock, IoError> {
        let path = self.dir(place);
        let open = || open_dir(&path);
        let dir = match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make_shards()?;
                open()
            }
            other => other,
        };
        let dir = dir.map_err(IoError::at(&path, "opened as a directory"))?;
        flock::exclusive(&dir, &path, patience)?;
        Ok(DirLock { dir, path })
    }
}

/// Shared use of a root, told to other processes.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
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
    dir: File,
    path: PathBuf,
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

//! How a file leaves: retired to the trash, revived from it, destroyed.
//!
//! Every call may be repeated after it failed or its process died at any step. All
//! of them hold the lock of the file's directory, so that two never move one file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tenancy_core::Tenant;

use crate::disk::files::{Entry, look};
use crate::disk::holders::processes_with;
use crate::disk::locks::DirLock;
use crate::disk::place::Place;
use crate::disk::trash::Trashed;
use crate::error::{FileError, IoError, OpenError, sqlite};
use crate::ops::open::connect;
use crate::raw::{ensure_wal, is_busy, set_journal_mode};
use crate::schema::stamp;
use crate::schema::stamp::Stamp;
use crate::store::Store;

/// How often a file that is in use is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// How long the lock of a directory is waited for by a call that tries once: a creation
/// beside it has the lock for that long, and is no reason to give up.
const MOMENT: Duration = Duration::from_millis(250);

impl Store {
    /// Closes the file and moves it to the trash, waiting for who has it open.
    pub(crate) fn retire(&self, tenant: &Tenant, timeout: Duration) -> Result<(), FileError> {
        let place = Place::of(tenant)?;
        let began = Instant::now();
        loop {
            let left = timeout.saturating_sub(began.elapsed());
            let done = self.try_retire(tenant, &place, left);
            let left = timeout.saturating_sub(began.elapsed());
            match done {
                Err(FileError::InUse { .. }) if !left.is_zero() => {
                    // Without the lock: others make and remove files there.
                    std::thread::sleep(RETRY.min(left));
                }
                done => return done,
            }
        }
    }

    fn try_retire(
        &self,
        tenant: &Tenant,
        place: &Place,
        timeout: Duration,
    ) -> Result<(), FileError> {
        let path = self.root.file(place);
        let dir = self.root.lock_dir_within(place, timeout.max(MOMENT))?;
        if look(&path).map_err(IoError::at(&path, "looked at"))? == Entry::Missing {
            return match self.root.find_trashed(place)? {
                // It may be there since a crash that came before this.
                Some(_) => self.sync_both(&dir),
                None => Err(missing(tenant, &path)),
            };
        }
        self.close(tenant, &path)?;
        self.step("move to the trash")?;
        dir.move_to_trash(&self.root, place, &path)?;
        self.sync_both(&dir)
    }

    /// Retires the file if it is the tenant's own and sound enough to be closed, else moves
    /// what stands in its place to the quarantine and returns the path there. A placement
    /// that is not this driver's has nothing here.
    pub(crate) fn set_aside(
        &self,
        tenant: &Tenant,
        timeout: Duration,
    ) -> Result<Option<PathBuf>, FileError> {
        let Ok(place) = Place::of(tenant) else {
            return Ok(None);
        };
        let path = self.root.file(&place);
        match self.retire(tenant, timeout) {
            Err(FileError::Open(OpenError::Missing { .. })) | Ok(()) => return Ok(None),
            Err(error @ FileError::InUse { .. }) => return Err(error),
            Err(_) => {}
        }
        let _dir = self.root.lock_dir(&place)?;
        self.step("move to quarantine")?;
        Ok(Some(self.root.quarantine(&path)?))
    }

    /// Moves the file back to its place and opens it.
    pub(crate) fn revive(&self, tenant: &Tenant) -> Result<(), FileError> {
        let place = Place::of(tenant)?;
        let path = self.root.file(&place);
        let dir = self.root.lock_dir(&place)?;
        if look(&path).map_err(IoError::at(&path, "looked at"))? == Entry::Missing {
            let trashed = self.root.find_trashed(&place)?;
            let trashed = trashed.ok_or_else(|| missing(tenant, &path))?;
            // A file leaves WAL mode before it goes there: what is beside it is another's.
            self.root.quarantine_sidecars(&trashed.path)?;
            // Another's file is refused where it lies.
            self.own_stamp(tenant, &trashed.path)?;
            self.step("move back")?;
            dir.restore(&trashed, &path)?;
        }
        self.sync_both(&dir)?;
        let (connection, stamp) = self.own_stamp(tenant, &path)?;
        // A retirement that ended between leaving WAL mode and closing the stamp has left
        // an open file in rollback-journal mode.
        ensure_wal(&connection).map_err(|source| sqlite(&path, source))?;
        if stamp == Stamp::Closed {
            self.step("open again")?;
            stamp::reopen(&connection).map_err(|source| sqlite(&path, source))?;
        }
        Ok(())
    }

    /// Removes the file, wherever it is.
    pub(crate) fn destroy(&self, tenant: &Tenant) -> Result<(), FileError> {
        let place = Place::of(tenant)?;
        let path = self.root.file(&place);
        let dir = self.root.lock_dir(&place)?;
        if look(&path).map_err(IoError::at(&path, "looked at"))? != Entry::Missing {
            self.close(tenant, &path)?;
            self.step("remove")?;
            return Ok(dir.remove(&path)?);
        }
        // What a kill left beside it, and the entry itself, are gone for good.
        dir.remove(&path)?;
        match self.root.find_trashed(&place)? {
            Some(trashed) => self.remove_trashed(&trashed),
            None => Ok(()),
        }
    }

    /// Removes a file from the trash if it is there still, and says whether it was:
    /// somebody may have revived it.
    pub(crate) fn remove_if_trashed(&self, trashed: &Trashed) -> Result<bool, FileError> {
        let _dir = self.root.lock_dir(&trashed.place)?;
        let path = &trashed.path;
        if look(path).map_err(IoError::at(path, "looked at"))? == Entry::Missing {
            return Ok(false);
        }
        self.remove_trashed(trashed)?;
        Ok(true)
    }

    fn remove_trashed(&self, trashed: &Trashed) -> Result<(), FileError> {
        self.step("remove from the trash")?;
        Ok(self.root.remove_trashed(trashed)?)
    }

    /// After a move between the trash and a directory: where it went to, first.
    fn sync_both(&self, dir: &DirLock) -> Result<(), FileError> {
        self.step("sync both directories")?;
        self.root.sync_trash()?;
        Ok(dir.sync()?)
    }

    /// A maintenance connection to a tenant's own file, open or closed.
    fn own_stamp(&self, tenant: &Tenant, path: &Path) -> Result<(Connection, Stamp), FileError> {
        let connection = connect(self, tenant, path)?;
        let stamp = stamp::read(&connection, tenant).map_err(|source| sqlite(path, source))?;
        if matches!(stamp, Stamp::Foreign(_)) {
            // Says so.
            stamp::check(&connection, tenant, path)?;
        }
        stamp::own_wal(&connection);
        Ok((connection, stamp))
    }

    /// Makes sure that nobody has the file open, and that nobody will.
    fn close(&self, tenant: &Tenant, path: &Path) -> Result<(), FileError> {
        self.step("close")?;
        let (connection, _) = self.own_stamp(tenant, path)?;
        let alone = leave_wal(&connection);
        if let Ok(true) = alone {
            self.step("close the stamp")?;
        }
        let alone = alone.and_then(|alone| {
            if alone {
                stamp::close(&connection)?;
            }
            Ok(alone)
        });
        // Its own locks would count as somebody's.
        drop(connection);
        match alone {
            Ok(true) => Ok(()),
            Err(error) if !is_busy(&error) => Err(sqlite(path, error)),
            _ => Err(FileError::InUse {
                path: path.to_owned(),
                by: processes_with(path),
            }),
        }
    }
}

/// Leaves WAL mode if this is the file's only connection, and returns whether it is. The
/// lock is exclusive from this check until the connection is closed.
fn leave_wal(connection: &Connection) -> rusqlite::Result<bool> {
    // A caller that waits does so without the directory's lock.
    connection.busy_timeout(Duration::ZERO)?;
    // Only the last connection to a WAL database, in any process, can leave WAL mode.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    Ok(set_journal_mode(connection, "PRAGMA journal_mode = DELETE")? == "delete")
}

fn missing(tenant: &Tenant, path: &Path) -> FileError {
    let (tenant, path) = (tenant.to_ref(), path.to_owned());
    OpenError::Missing { tenant, path }.into()
}

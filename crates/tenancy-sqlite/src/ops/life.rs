//! The operations that retire a file to the trash, revive it from there, and destroy it.
//!
//! Every call may be repeated after an error, and after its process was killed at any step. Each
//! holds the lock of the file's directory, so that no two calls move the same file at once.

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

/// The interval between two attempts to retire a file that is in use.
const RETRY: Duration = Duration::from_millis(10);

/// The shortest timeout for the lock of a directory, also of a call that tries only once. A
/// creation in the directory may hold the lock for that long, and must not make the call fail.
const MIN_LOCK_TIMEOUT: Duration = Duration::from_millis(250);

impl Store {
    /// Closes the file and moves it to the trash. Waits at most for `timeout` until no connection
    /// has the file open.
    pub(crate) fn retire(&self, tenant: &Tenant, timeout: Duration) -> Result<(), FileError> {
        let place = Place::of(tenant)?;
        let began = Instant::now();
        loop {
            let left = timeout.saturating_sub(began.elapsed());
            let done = self.try_retire(tenant, &place, left);
            let left = timeout.saturating_sub(began.elapsed());
            match done {
                Err(FileError::InUse { .. }) if !left.is_zero() => {
                    // The wait does not hold the lock, which other operations need.
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
        let dir = self
            .root
            .lock_dir_within(place, timeout.max(MIN_LOCK_TIMEOUT))?;
        if look(&path).map_err(IoError::at(&path, "looked at"))? == Entry::Missing {
            return match self.root.find_trashed(place)? {
                // An earlier call may have crashed before its fsync.
                Some(_) => self.sync_both(&dir),
                None => Err(missing(tenant, &path)),
            };
        }
        self.close(tenant, &path)?;
        self.step("move to the trash")?;
        dir.move_to_trash(&self.root, place, &path)?;
        self.sync_both(&dir)
    }

    /// Retires the file if it is the tenant's own and can be closed. Otherwise moves the entry in
    /// its place to quarantine, and returns the path there. Does nothing for the placement of
    /// another driver.
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
            // A file in the trash is not in WAL mode, so non-empty sidecars belong to another file.
            self.root.quarantine_sidecars(&trashed.path)?;
            // The file of another tenant is refused before it is moved.
            self.connect_to_own(tenant, &trashed.path)?;
            self.step("move back")?;
            dir.restore(&trashed, &path)?;
        }
        self.sync_both(&dir)?;
        let (connection, stamp) = self.connect_to_own(tenant, &path)?;
        // A retirement may have been killed between leaving WAL mode and closing the stamp. Then
        // the file is open and in rollback-journal mode.
        ensure_wal(&connection).map_err(|source| sqlite(&path, source))?;
        if stamp == Stamp::Closed {
            self.step("open again")?;
            stamp::reopen(&connection).map_err(|source| sqlite(&path, source))?;
        }
        Ok(())
    }

    /// Removes the file from its place, or from the trash.
    pub(crate) fn destroy(&self, tenant: &Tenant) -> Result<(), FileError> {
        let place = Place::of(tenant)?;
        let path = self.root.file(&place);
        let dir = self.root.lock_dir(&place)?;
        if look(&path).map_err(IoError::at(&path, "looked at"))? != Entry::Missing {
            self.close(tenant, &path)?;
            self.step("remove")?;
            return Ok(dir.remove(&path)?);
        }
        // This removes sidecars that a killed process left, and makes the file's removal durable.
        dir.remove(&path)?;
        match self.root.find_trashed(&place)? {
            Some(trashed) => self.remove_trashed(&trashed),
            None => Ok(()),
        }
    }

    /// Removes a file from the trash. Returns `false` if the file is no longer there, as another
    /// process may have revived it.
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

    /// Makes a move between the trash and a directory durable.
    fn sync_both(&self, dir: &DirLock) -> Result<(), FileError> {
        self.step("sync both directories")?;
        self.root.sync_trash()?;
        Ok(dir.sync()?)
    }

    /// Connects to a tenant's own file, open or closed, for maintenance.
    fn connect_to_own(
        &self,
        tenant: &Tenant,
        path: &Path,
    ) -> Result<(Connection, Stamp), FileError> {
        let connection = connect(self, tenant, path)?;
        let stamp = stamp::read(&connection, tenant).map_err(|source| sqlite(path, source))?;
        if matches!(stamp, Stamp::Foreign(_)) {
            // The check returns the error for a foreign stamp.
            stamp::check(&connection, tenant, path)?;
        }
        stamp::checkpoint_on_close(&connection);
        Ok((connection, stamp))
    }

    /// Closes the file, so that every later open is refused. Returns an error if another connection
    /// has the file open.
    fn close(&self, tenant: &Tenant, path: &Path) -> Result<(), FileError> {
        self.step("close")?;
        let (connection, _) = self.connect_to_own(tenant, path)?;
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
        // Otherwise the locks of this connection would be listed as those of a user.
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

/// Leaves WAL mode if this is the only connection to the file, and returns whether it is. The
/// connection then holds an exclusive lock until it is closed.
fn leave_wal(connection: &Connection) -> rusqlite::Result<bool> {
    // No wait here: `retire` waits without the lock of the directory.
    connection.busy_timeout(Duration::ZERO)?;
    // Only the last connection to a WAL database, in any process, can leave WAL mode.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    Ok(set_journal_mode(connection, "PRAGMA journal_mode = DELETE")? == "delete")
}

fn missing(tenant: &Tenant, path: &Path) -> FileError {
    let (tenant, path) = (tenant.to_ref(), path.to_owned());
    OpenError::Missing { tenant, path }.into()
}

//! How large a tenant's database may become, and how large its log is.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Result};
use tenancy_core::Tenant;

use crate::disk::place::Place;
use crate::driver::manager::connect;
use crate::driver::{Shared, SqliteDriver};
use crate::error::{FileError, IoError};
use crate::ops::maintenance::cut_log;
use crate::ops::provision::sqlite;
use crate::schema::stamp;

/// What a tenant's own bound is asked from.
pub(crate) type MaxBytesBy = dyn Fn(&Tenant) -> Option<u64> + Send + Sync;

/// The bounds of all tenants.
#[derive(Default)]
pub(crate) struct Quota {
    pub(crate) all: Option<u64>,
    pub(crate) by: Option<Box<MaxBytesBy>>,
}

impl Quota {
    /// The bound of one tenant.
    pub(crate) fn of(&self, tenant: &Tenant) -> Option<u64> {
        let own = self.by.as_ref().and_then(|by| by(tenant));
        own.or(self.all)
    }
}

/// Bounds a database, for one connection. What is larger already stays as it is.
pub(crate) fn set(connection: &Connection, bytes: u64) -> Result<()> {
    let page_size: u32 = connection.query_row("PRAGMA main.page_size", [], |row| row.get(0))?;
    // The largest that SQLite takes; nobody meant less than one page.
    let pages = (bytes / u64::from(page_size)).clamp(1, 4_294_967_294);
    let sql = format!("PRAGMA main.max_page_count = {pages}");
    connection.query_row(&sql, [], |_| Ok(()))
}

/// What a checkpoint did; see [`SqliteDriver::checkpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpointed {
    /// Bytes of the log afterwards: 0 when all of it is in the database.
    pub wal_bytes: u64,
    /// Somebody still read an older state, or wrote: try again later.
    pub busy: bool,
}

impl SqliteDriver {
    /// How many bytes a tenant's log, the `-wal` file, has. It does not count against
    /// [`max_bytes`](crate::SqliteStorageBuilder::max_bytes), and one reader that stays in
    /// a transaction keeps it growing, up to
    /// [`max_wal_bytes`](crate::SqliteStorageBuilder::max_wal_bytes): watch it, and end such
    /// readers.
    ///
    /// # Errors
    /// When the placement is not this driver's, or the file cannot be looked at.
    pub fn wal_bytes(&self, tenant: &Tenant) -> std::result::Result<u64, FileError> {
        let path = self.shared.root.file(&Place::of(tenant)?);
        Ok(wal_bytes(&path)?)
    }

    /// Moves a tenant's log into its database and empties it, on a connection of its
    /// own, without waiting for anybody: for tenants that are idle, so that closing their
    /// last connection has nothing left to do.
    ///
    /// # Errors
    /// When the file cannot be opened, is another's, or the disk fails.
    pub fn checkpoint(&self, tenant: &Tenant) -> std::result::Result<Checkpointed, FileError> {
        self.shared.checkpoint(tenant)
    }
}

impl Shared {
    fn checkpoint(&self, tenant: &Tenant) -> std::result::Result<Checkpointed, FileError> {
        let path = self.root.file(&Place::of(tenant)?);
        let connection = connect(self, tenant, &path)?;
        stamp::check(&connection, tenant, &path)?;
        let run = || {
            connection.busy_timeout(std::time::Duration::ZERO)?;
            Ok(!cut_log(&connection)?)
        };
        let busy = run().map_err(|source| sqlite(&path, source))?;
        // Looked at while this connection is open: closing the last one removes it.
        let wal_bytes = wal_bytes(&path)?;
        Ok(Checkpointed { wal_bytes, busy })
    }
}

/// By its entry alone; the file is not opened.
pub(crate) fn wal_bytes(database: &Path) -> std::result::Result<u64, IoError> {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    let path = PathBuf::from(path);
    match std::fs::symlink_metadata(&path) {
        Ok(meta) => Ok(meta.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(IoError::new(path, "looked at", error)),
    }
}

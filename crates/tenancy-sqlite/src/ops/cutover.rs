//! The cutover from one file of a tenant to the next, by a rollback to a snapshot. Connections of
//! this process and of others may have the old file open meanwhile.
//!
//! A commit into the old file after the cutover would be acknowledged and lost. So the cutover
//! happens under the write lock of the old file, and every commit checks under that lock whether it
//! has happened. The check first looks for a file of the next incarnation, which costs a
//! microsecond. The check reads the catalog only if there is such a file. The file alone proves no
//! cutover, as the rollback may have been killed before it.

use std::path::PathBuf;

use rusqlite::Connection;
use tenancy_core::Tenant;

use crate::disk::place::Place;
use crate::error::{FileError, sqlite};
use crate::ops::open::connect;
use crate::schema::stamp;
use crate::store::Store;

/// The write lock of a tenant's old file: while it exists, no connection commits into the file.
pub(crate) struct Fence {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Takes the write lock of a tenant's file. Waits for other writers, at most for the busy
    /// timeout.
    pub(crate) fn fence(&self, tenant: &Tenant) -> Result<Fence, FileError> {
        let path = self.root.file(&Place::of(tenant)?);
        let connection = connect(self, tenant, &path)?;
        stamp::check_and_assign(&connection, tenant, &path)?;
        let begun = connection.execute_batch("BEGIN IMMEDIATE");
        begun.map_err(|source| sqlite(&path, source))?;
        Ok(Fence { connection, path })
    }
}

impl Fence {
    /// Returns the schema version of the old file, which no connection can change now.
    pub(crate) fn schema(&self) -> Result<u32, FileError> {
        let sql = "PRAGMA main.user_version";
        let version = self.connection.query_row(sql, [], |row| row.get(0));
        version.map_err(|source| sqlite(&self.path, source))
    }

    /// Closes the stamp of the old file after the cutover, so that the file can no longer be
    /// opened.
    pub(crate) fn close(self) -> Result<(), FileError> {
        let closed = stamp::close(&self.connection);
        let closed = closed.and_then(|()| self.connection.execute_batch("COMMIT"));
        closed.map_err(|source| sqlite(&self.path, source))
    }
}

//! The cutover from one file of a tenant to the next, as a rollback to a snapshot makes it, while
//! connections of this process and of others have the old one open.
//!
//! A commit into the old file after the cutover would be acknowledged and lost. So the cutover is made
//! under the write lock of the old file, and every commit checks under that lock whether it was made:
//! first, as that costs a microsecond, whether the next incarnation has a file, and only then in the
//! catalog. A file alone proves nothing: a process may have died between the file and the cutover.

use std::path::PathBuf;

use rusqlite::Connection;
use tenancy_core::Tenant;

use crate::disk::place::Place;
use crate::error::{FileError, sqlite};
use crate::ops::open::connect;
use crate::schema::stamp;
use crate::store::Store;

/// A tenant's old file, into which no connection commits while this lives.
pub(crate) struct Fence {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Waits for a commit that is going on, at most as long as the busy timeout.
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
    /// Returns the schema version of the old file, which no connection changes any more.
    pub(crate) fn schema(&self) -> Result<u32, FileError> {
        let sql = "PRAGMA main.user_version";
        let version = self.connection.query_row(sql, [], |row| row.get(0));
        version.map_err(|source| sqlite(&self.path, source))
    }

    /// Closes the stamp of the old file after the cutover: it can no longer be opened.
    pub(crate) fn close(self) -> Result<(), FileError> {
        let closed = stamp::close(&self.connection);
        let closed = closed.and_then(|()| self.connection.execute_batch("COMMIT"));
        closed.map_err(|source| sqlite(&self.path, source))
    }
}

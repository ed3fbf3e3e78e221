//! The turn from one file of a tenant to the next, as a rollback to a copy makes it, while
//! others have the old one open, in this process and in others.
//!
//! What is committed into the old file after the turn would be acknowledged and lost. So
//! the turn is made while its maker holds the old file's lock for writing, and whoever
//! commits looks, under that lock, whether it was made: first, as that costs a microsecond,
//! whether the next incarnation has a file, and only then into the catalog. A file alone
//! says nothing: a process may have died between the file and the turn.

use std::path::PathBuf;

use rusqlite::Connection;
use tenancy_core::Tenant;

use crate::disk::place::Place;
use crate::error::{FileError, sqlite};
use crate::ops::open::connect;
use crate::schema::stamp;
use crate::store::Store;

/// A tenant's old file, into which nobody commits while this lives.
pub(crate) struct Fence {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Waits for who is committing at this moment, at most as long as the busy timeout.
    pub(crate) fn fence(&self, tenant: &Tenant) -> Result<Fence, FileError> {
        let path = self.root.file(&Place::of(tenant)?);
        let connection = connect(self, tenant, &path)?;
        stamp::check_and_take(&connection, tenant, &path)?;
        let begun = connection.execute_batch("BEGIN IMMEDIATE");
        begun.map_err(|source| sqlite(&path, source))?;
        Ok(Fence { connection, path })
    }
}

impl Fence {
    /// The schema version of the old file, which nobody changes any more.
    pub(crate) fn schema(&self) -> Result<u32, FileError> {
        let sql = "PRAGMA main.user_version";
        let version = self.connection.query_row(sql, [], |row| row.get(0));
        version.map_err(|source| sqlite(&self.path, source))
    }

    /// Closes the old file after the turn: who opens it, or looks at its stamp, is refused.
    pub(crate) fn close(self) -> Result<(), FileError> {
        let closed = stamp::close(&self.connection);
        let closed = closed.and_then(|()| self.connection.execute_batch("COMMIT"));
        closed.map_err(|source| sqlite(&self.path, source))
    }
}

//! The turn from one file of a tenant to the next, as a rollback to a copy makes it, while
//! others have the old one open, in this process and in others.
//!
//! What is committed into the old file after the turn would be acknowledged and lost. So
//! the turn is made while its maker holds the old file's lock for writing, and whoever
//! commits looks, under that lock, whether it was made: first, as that costs a microsecond,
//! whether the next incarnation has a file, and only then into the catalog. A file alone
//! says nothing: a process may have died between the file and the turn.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use tenancy_core::{Tenant, TenantId};

use crate::disk::place::Place;
use crate::disk::root::{Found, Root, look};
use crate::driver::Shared;
use crate::driver::manager::connect;
use crate::error::FileError;
use crate::ops::provision::sqlite;
use crate::schema::stamp;

/// What tells whether a tenant has turned to another file.
#[derive(Debug)]
pub(crate) struct Turned {
    id: TenantId,
    epoch: u64,
    /// The file of the next incarnation, if that is made from this one.
    next: PathBuf,
    catalog: PathBuf,
}

impl Turned {
    pub(crate) fn of(root: &Root, tenant: &Tenant, path: &Path) -> Self {
        let next = Place::of(tenant).map(|place| Place {
            epoch: place.epoch.next(),
            ..place
        });
        Self {
            id: tenant.id().clone(),
            epoch: tenant.epoch().get(),
            // Who has no place has no connection either.
            next: next.map_or_else(|_| path.to_owned(), |next| root.file(&next)),
            catalog: root.catalog(),
        }
    }

    /// Whether the turn was made. A catalog that cannot be asked counts as yes: better a
    /// commit that is refused than one that is lost.
    pub(crate) fn has_come(&self) -> bool {
        let there = !matches!(look(&self.next), Ok(Found::Nothing));
        there && self.current().is_none_or(|current| current > self.epoch)
    }

    /// The tenant's epoch in the catalog; none if nobody can say.
    fn current(&self) -> Option<u64> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let catalog = Connection::open_with_flags(&self.catalog, flags).ok()?;
        catalog
            .busy_timeout(std::time::Duration::from_secs(1))
            .ok()?;
        let sql = "SELECT epoch FROM tenants WHERE id = ?1";
        let epoch = catalog.query_row(sql, [self.id.as_str()], |row| row.get::<_, i64>(0));
        epoch.ok().map(i64::unsigned_abs)
    }
}

/// A tenant's old file, into which nobody commits while this lives.
pub(crate) struct Fence {
    connection: Connection,
    path: PathBuf,
}

impl Shared {
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

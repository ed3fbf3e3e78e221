//! [`Cutover`]: the check before each commit that the tenant has no newer file.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use tenancy_core::{Tenant, TenantId};

use crate::disk::files::{Entry, look};
use crate::disk::place::Place;
use crate::disk::root::Root;

/// The possible cutover of a tenant to its next file.
#[derive(Debug)]
pub(crate) struct Cutover {
    id: TenantId,
    epoch: u64,
    /// The path of the next incarnation's file, which exists only after a rollback.
    next: PathBuf,
    catalog: PathBuf,
}

impl Cutover {
    /// Returns the cutover from the file at `path`.
    pub(crate) fn of(root: &Root, tenant: &Tenant, path: &Path) -> Self {
        let next = Place::of(tenant).map(|place| Place {
            epoch: place.epoch.next(),
            ..place
        });
        Self {
            id: tenant.id().clone(),
            epoch: tenant.epoch().get(),
            // A tenant without a place has no connections, so the path is not used.
            next: next.map_or_else(|_| path.to_owned(), |next| root.file(&next)),
            catalog: root.catalog(),
        }
    }

    /// Returns whether the cutover is done. If the next file exists and the catalog cannot be read,
    /// returns `true`: a refused commit is better than a lost one.
    pub(crate) fn is_done(&self) -> bool {
        let there = !matches!(look(&self.next), Ok(Entry::Missing));
        there && self.current().is_none_or(|current| current > self.epoch)
    }

    /// Reads the tenant's epoch in the catalog. Returns `None` if it cannot be read.
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

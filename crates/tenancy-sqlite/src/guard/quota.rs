//! The bound on the size of a tenant's database.

use rusqlite::{Connection, Result};
use tenancy_core::Tenant;

/// The function that returns the bound of one tenant.
pub(crate) type MaxBytesBy = dyn Fn(&Tenant) -> Option<u64> + Send + Sync;

/// The bounds of all tenants.
#[derive(Default)]
pub(crate) struct Quota {
    pub(crate) all: Option<u64>,
    pub(crate) by: Option<Box<MaxBytesBy>>,
}

impl Quota {
    /// Returns the bound of a tenant.
    pub(crate) fn of(&self, tenant: &Tenant) -> Option<u64> {
        let own = self.by.as_ref().and_then(|by| by(tenant));
        own.or(self.all)
    }
}

/// Bounds the size of a database, for one connection. A database that is larger keeps its size.
pub(crate) fn set(connection: &Connection, bytes: u64) -> Result<()> {
    let page_size: u32 = connection.query_row("PRAGMA main.page_size", [], |row| row.get(0))?;
    // The bound is at least one page, and at most SQLite's maximum.
    let pages = (bytes / u64::from(page_size)).clamp(1, 4_294_967_294);
    let sql = format!("PRAGMA main.max_page_count = {pages}");
    connection.query_row(&sql, [], |_| Ok(()))
}

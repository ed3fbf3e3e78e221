//! The maintenance of a tenant's file: checks and vacuum.

use rusqlite::Connection;
use tenancy_core::Tenant;

use crate::error::{FileError, sqlite};
use crate::raw::truncate_wal;
use crate::store::Store;

/// The depth of SQLite's check of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// Checks pages and rows, at 150–400 MB a second (`PRAGMA quick_check`).
    Quick,
    /// Also checks that indexes agree with their tables (`PRAGMA integrity_check`).
    Full,
}

/// The most faults that are reported of a file.
const MAX_FAULTS: usize = 20;

/// The result of [`SqliteDriver::vacuum`](crate::SqliteDriver::vacuum).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vacuumed {
    /// The size of the database before the vacuum, in bytes.
    pub before: u64,
    /// The size of the database after the vacuum, in bytes.
    pub now: u64,
}

impl Store {
    /// Checks a tenant's file for damage, and returns SQLite's findings.
    pub(crate) fn check(&self, tenant: &Tenant, check: Check) -> Result<Vec<Box<str>>, FileError> {
        let (connection, path) = self.open_to_maintain(tenant)?;
        faults(&connection, check).map_err(|source| sqlite(&path, source))
    }

    /// Rewrites a tenant's file without its free pages.
    pub(crate) fn vacuum(&self, tenant: &Tenant) -> Result<Vacuumed, FileError> {
        let (connection, path) = self.open_to_maintain(tenant)?;
        let before = bytes_of(&connection).map_err(|source| sqlite(&path, source))?;
        self.step("vacuum")?;
        let vacuum = || {
            connection.execute_batch("VACUUM")?;
            // The file shrinks at the checkpoint. If a reader prevents it, the next checkpoint
            // shrinks the file, so that is no failure.
            truncate_wal(&connection)?;
            bytes_of(&connection)
        };
        let now = vacuum().map_err(|source| sqlite(&path, source))?;
        Ok(Vacuumed { before, now })
    }
}

fn bytes_of(connection: &Connection) -> rusqlite::Result<u64> {
    // Pragmas, as tables could hide the table-valued functions of these names.
    let pragma = |name: &str| {
        let sql = format!("PRAGMA main.{name}");
        connection.query_row(&sql, [], |row| row.get::<_, i64>(0))
    };
    let bytes = pragma("page_count")? * pragma("page_size")?;
    Ok(bytes.unsigned_abs())
}

/// Returns the faults that SQLite finds in a database.
pub(crate) fn faults(connection: &Connection, check: Check) -> rusqlite::Result<Vec<Box<str>>> {
    let sql = match check {
        Check::Quick => format!("PRAGMA main.quick_check({MAX_FAULTS})"),
        Check::Full => format!("PRAGMA main.integrity_check({MAX_FAULTS})"),
    };
    let mut check = connection.prepare(&sql)?;
    let lines = check.query_map([], |row| row.get(0))?;
    let mut lines: Vec<Box<str>> = lines.collect::<Result<_, _>>()?;
    lines.retain(|line| &**line != "ok");
    Ok(lines)
}

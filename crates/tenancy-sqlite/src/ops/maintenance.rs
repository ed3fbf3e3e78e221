//! What is done to a tenant's file beside its use: checked and made smaller.

use std::path::PathBuf;

use rusqlite::Connection;
use tenancy_core::Tenant;

use crate::driver::manager::open;
use crate::driver::{Shared, SqliteDriver};
use crate::error::FileError;
use crate::guard as harden;
use crate::guard::Purpose;
use crate::guard::deadline::Late;
use crate::hazards::{Hazard, guarded};
use crate::ops::life::is_busy;
use crate::ops::provision::sqlite;

/// How thoroughly SQLite looks at a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// Pages and rows, 150–400 MB a second (`PRAGMA quick_check`).
    Quick,
    /// Also that every index holds what its table does (`PRAGMA integrity_check`).
    Full,
}

/// So many faults are told of a file; more say nothing new.
const MAX_FAULTS: usize = 20;

/// What [`SqliteDriver::vacuum`] made of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vacuumed {
    /// The bytes of the database before.
    pub before: u64,
    /// The bytes of the database now.
    pub now: u64,
}

impl SqliteDriver {
    /// Lets SQLite look for damage; what it found, in its words, at most 20 lines.
    /// Empty says that the file is sound. Readers and writers go on meanwhile.
    ///
    /// ```
    /// # use tenancy_core::{Provisioner, Tenant};
    /// # use tenancy_sqlite::{Check, SqliteStorage};
    /// # let root = tempfile::tempdir()?;
    /// # let driver = SqliteStorage::create(root.path())?.driver().clone();
    /// # let id = "acme".parse()?;
    /// # let place = driver.place(&id)?;
    /// # let acme = Tenant::builder(id).placement(place).build()?;
    /// # driver.provision(&acme)?;
    /// assert!(driver.check(&acme, Check::Full)?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub fn check(&self, tenant: &Tenant, check: Check) -> Result<Vec<Box<str>>, FileError> {
        let (connection, path) = self.shared.open_to_maintain(tenant)?;
        faults(&connection, check).map_err(|source| sqlite(&path, source))
    }

    /// Writes the file anew without the pages that nothing uses any more. Writers wait
    /// meanwhile, for as long as their busy timeout; it needs as much free space as
    /// the file has bytes, twice.
    ///
    /// # Errors
    /// When the file cannot be opened, somebody is writing, or the disk is full;
    /// nothing has changed then.
    pub fn vacuum(&self, tenant: &Tenant) -> Result<Vacuumed, FileError> {
        let (connection, path) = self.shared.open_to_maintain(tenant)?;
        let before = bytes_of(&connection).map_err(|source| sqlite(&path, source))?;
        self.shared.step("vacuum")?;
        let vacuum = || {
            connection.execute_batch("VACUUM")?;
            // The file shrinks when what stands in the log is moved into it. Who reads at
            // this moment delays that to the next checkpoint, which is no failure.
            cut_log(&connection)?;
            bytes_of(&connection)
        };
        let now = vacuum().map_err(|source| sqlite(&path, source))?;
        Ok(Vacuumed { before, now })
    }
}

fn bytes_of(connection: &Connection) -> rusqlite::Result<u64> {
    // Not the functions of these names, which tables could hide.
    let pragma = |name: &str| {
        let sql = format!("PRAGMA main.{name}");
        connection.query_row(&sql, [], |row| row.get::<_, i64>(0))
    };
    let bytes = pragma("page_count")? * pragma("page_size")?;
    Ok(bytes.unsigned_abs())
}

/// Moves what stands in the log into the database, as far as readers allow; tells whether
/// that is all. It is when somebody else is moving it.
pub(crate) fn move_log(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "PRAGMA main.wal_checkpoint(PASSIVE)";
    let moved = connection.query_row(sql, [], |row| {
        let (busy, pages, moved): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(busy || moved >= pages)
    });
    moved.or_else(|error| if_busy(error, true))
}

/// Moves the log and empties it; tells whether it could, as readers may stay for longer
/// than the busy timeout.
pub(crate) fn cut_log(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "PRAGMA main.wal_checkpoint(TRUNCATE)";
    let cut = connection.query_row(sql, [], |row| Ok(!row.get::<_, bool>(0)?));
    cut.or_else(|error| if_busy(error, false))
}

fn if_busy(error: rusqlite::Error, then: bool) -> rusqlite::Result<bool> {
    match is_busy(&error) {
        true => Ok(then),
        false => Err(error),
    }
}

impl Shared {
    /// A connection of our own to a tenant's file, never lent: it has what
    /// `on_connect` registers, as indexes may need it, and no authorizer.
    pub(crate) fn open_to_maintain(
        &self,
        tenant: &Tenant,
    ) -> Result<(Connection, PathBuf), FileError> {
        let (mut connection, path, _) = open(self, tenant)?;
        let (on_connect, late) = (self.on_connect.as_deref(), Late::default());
        harden::equip(&mut connection, on_connect, &late, self.limits)
            .map_err(|source| sqlite(&path, source))?;
        if !guarded(Hazard::MaintainedAsLent) {
            let guard = harden::guard(
                &connection,
                Purpose::Tenant,
                self.hardening,
                self.limits,
                &late,
            );
            guard.map_err(|source| sqlite(&path, source))?;
        }
        Ok((connection, path))
    }
}

/// What SQLite says against a database.
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

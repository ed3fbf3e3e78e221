//! The stamp: every tenant's file says whose it is, and is asked at every open.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, OptionalExtension, Result, Row, Transaction, TransactionBehavior, params,
};
use tenancy_core::{Epoch, Tenant, TenantId};

use crate::disk::place::Place;
use crate::error::OpenError;
use crate::guard::deadline::bounded;

/// `application_id` of a tenant's file: "tnt1".
pub(crate) const TENANT_FILE: i32 = i32::from_be_bytes(*b"tnt1");
/// `application_id` of a catalog: "tnc1".
pub(crate) const CATALOG_FILE: i32 = i32::from_be_bytes(*b"tnc1");

/// The column that files of an older version lack, where SQLite adds it: a file has the same
/// text then, whichever way it came.
const PLACED: &str = ", locator TEXT NOT NULL DEFAULT ''";

/// The tables that a file has before its first migration.
pub(crate) const BASE: &str = "
CREATE TABLE _tenancy_stamp (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    tenant TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    open INTEGER NOT NULL CHECK (open IN (0, 1))
, locator TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE _tenancy_migrations (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    applied_at INTEGER NOT NULL,
    micros INTEGER NOT NULL
) STRICT;
INSERT INTO _tenancy_stamp VALUES (1, '', 0, 1, '');
";

/// Makes the library's own tables in an empty database.
pub(crate) fn create(connection: &Connection) -> Result<()> {
    connection.pragma_update(None, "application_id", TENANT_FILE)?;
    connection.execute_batch(BASE)
}

/// Makes the file this incarnation's.
pub(crate) fn write(connection: &Connection, tenant: &Tenant) -> Result<()> {
    let sql = "UPDATE main._tenancy_stamp SET tenant = ?1, epoch = ?2, open = 1, locator = ?3";
    let mut write = connection.prepare_cached(sql)?;
    let locator = &tenant.placement().locator;
    write.execute(params![tenant.id().as_str(), epoch_of(tenant), locator])?;
    Ok(())
}

/// Adds the locator to a file of before the stamp held it, in one transaction that waits for
/// no other writer.
pub(crate) fn add_locator(connection: &Connection, tenant: &Tenant) -> Result<()> {
    let timeout = pragma(connection, "busy_timeout")?.unsigned_abs();
    connection.busy_timeout(Duration::ZERO)?;
    let added = try_add_locator(connection, tenant);
    connection.busy_timeout(Duration::from_millis(timeout))?;
    added
}

fn try_add_locator(connection: &Connection, tenant: &Tenant) -> Result<()> {
    let behavior = TransactionBehavior::Immediate;
    let transaction = Transaction::new_unchecked(connection, behavior)?;
    // Another process may have been faster.
    let columns = |row: &Row<'_>| Ok(row.as_ref().column_count());
    if connection.query_row(READ, [], columns)? <= LOCATOR {
        let column = PLACED.trim_start_matches(", ");
        let sql = format!("ALTER TABLE main._tenancy_stamp ADD COLUMN {column}");
        connection.execute_batch(&sql)?;
    }
    let sql = "UPDATE main._tenancy_stamp SET locator = ?1 WHERE locator = ''";
    connection.execute(sql, [&*tenant.placement().locator])?;
    transaction.commit()
}

/// The whole row: the column of the locator is missing in files that an older version made.
const READ: &str = "SELECT * FROM main._tenancy_stamp";
const TENANT: usize = 1;
const EPOCH: usize = 2;
const OPEN: usize = 3;
const LOCATOR: usize = 4;

/// The place that a file was made for; `None` for one of before the stamp held it.
fn locator(row: &Row<'_>) -> Result<Option<Box<str>>> {
    if row.as_ref().column_count() <= LOCATOR {
        return Ok(None);
    }
    let locator: Box<str> = row.get(LOCATOR)?;
    Ok(Some(locator).filter(|locator| !locator.is_empty()))
}

/// Closes the file: from now on every open of it is refused.
pub(crate) fn close(connection: &Connection) -> Result<()> {
    connection.execute_batch("UPDATE main._tenancy_stamp SET open = 0")
}

/// Opens a closed file again.
pub(crate) fn reopen(connection: &Connection) -> Result<()> {
    connection.execute_batch("UPDATE main._tenancy_stamp SET open = 1")
}

/// What a file says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// It is this incarnation's, at this schema version.
    Own { schema: u32 },
    /// It is this incarnation's, and was made before the stamp held its place.
    Unplaced { schema: u32 },
    /// It came from the warm pool, and nobody has opened it since.
    Untaken { schema: u32 },
    /// It is this incarnation's, and closed: the tenant was retired.
    Closed,
    /// It is something else.
    Foreign(Box<str>),
}

/// Reads a file's schema version.
pub(crate) fn schema(connection: &Connection) -> Result<u32> {
    let schema = pragma(connection, "user_version")?;
    // Only migrations write it, and they count from 0 to i32::MAX.
    Ok(u32::try_from(schema).unwrap_or(u32::MAX))
}

/// Reads what a file says of itself.
pub(crate) fn read(connection: &Connection, tenant: &Tenant) -> Result<Stamp> {
    bounded(connection, || read_all(connection, tenant))
}

fn read_all(connection: &Connection, tenant: &Tenant) -> Result<Stamp> {
    let id = match pragma(connection, "application_id") {
        Err(error) if is_no_database(&error) => {
            return Ok(Stamp::Foreign("no SQLite database".into()));
        }
        id => id?,
    };
    if id != i64::from(TENANT_FILE) {
        return Ok(Stamp::Foreign(match i32::try_from(id) {
            Ok(CATALOG_FILE) => "a catalog".into(),
            Ok(0) => "a database without a stamp".into(),
            _ => format!("a database of application {id}").into(),
        }));
    }
    if !is_plain(connection)? {
        return Ok(Stamp::Foreign("a database with another stamp".into()));
    }
    let row = connection.query_row(READ, [], |row| {
        let locator = locator(row)?;
        Ok((row.get(TENANT)?, row.get(EPOCH)?, row.get(OPEN)?, locator))
    });
    let (found, epoch, open, locator): (Box<str>, i64, bool, _) = match row.optional() {
        Ok(Some(row)) => row,
        Ok(None) => return Ok(Stamp::Foreign("a database with an empty stamp".into())),
        Err(error) if is_no_stamp(&error) => {
            return Ok(Stamp::Foreign("a database with another stamp".into()));
        }
        Err(error) => return Err(error),
    };
    let own = *found == *tenant.id().as_str();
    if !own && !is_from_warm_pool(&found, tenant) || epoch != epoch_of(tenant) {
        let found: String = found.escape_debug().take(80).collect();
        return Ok(Stamp::Foreign(format!("stamped {found}@{epoch}").into()));
    }
    let other = |locator: &str| *locator != *tenant.placement().locator;
    if locator.as_deref().is_some_and(other) {
        let found = format!("stamped {found}@{epoch}, and the file of another place");
        return Ok(Stamp::Foreign(found.into()));
    }
    if !open {
        return Ok(Stamp::Closed);
    }
    let schema = schema(connection)?;
    Ok(match (own, locator) {
        (false, _) => Stamp::Untaken { schema },
        (true, None) => Stamp::Unplaced { schema },
        (true, Some(_)) => Stamp::Own { schema },
    })
}

/// Is that what the file at this tenant's place was called in the warm pool? The stamp
/// names the place, so that no file is taken that was moved to another's.
fn is_from_warm_pool(found: &str, tenant: &Tenant) -> bool {
    Place::of(tenant).is_ok_and(|place| found == place.placeholder().id().as_str())
}

/// Puts the tenant's name on a file from the warm pool. It is not waited for: whatever
/// becomes durable of the file later comes after it in the log.
fn take(connection: &Connection, tenant: &Tenant) -> Result<()> {
    let Ok(place) = Place::of(tenant) else {
        return Ok(());
    };
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let sql = "UPDATE main._tenancy_stamp SET tenant = ?1 WHERE tenant = ?2";
    let nobody = place.placeholder();
    connection.execute(sql, [tenant.id().as_str(), nobody.id().as_str()])?;
    Ok(())
}

/// Whose a file says it is, whoever that is.
pub(crate) fn claim(connection: &Connection) -> Result<Option<Claim>> {
    bounded(connection, || claim_of(connection))
}

fn claim_of(connection: &Connection) -> Result<Option<Claim>> {
    if pragma(connection, "application_id")? != i64::from(TENANT_FILE) || !is_plain(connection)? {
        return Ok(None);
    }
    let claim = connection.query_row(READ, [], |row| {
        let id = row.get_ref(TENANT)?.as_str()?.parse().ok();
        let epoch = u64::try_from(row.get::<_, i64>(EPOCH)?)
            .ok()
            .and_then(Epoch::new);
        let (open, locator) = (row.get(OPEN)?, locator(row)?);
        Ok(id.zip(epoch).map(|(id, epoch)| Claim {
            id,
            epoch,
            open,
            locator,
        }))
    });
    Ok(claim.optional()?.flatten())
}

/// Whose a file says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) id: TenantId,
    pub(crate) epoch: Epoch,
    pub(crate) open: bool,
    /// The place that it was made for; `None` for files of before the stamp held it.
    pub(crate) locator: Option<Box<str>>,
}

impl Claim {
    /// Returns whether the file may stand in this place.
    pub(crate) fn fits(&self, place: &Place) -> bool {
        let locator = self.locator.as_ref();
        self.epoch == place.epoch && locator.is_none_or(|locator| *locator == place.locator)
    }
}

/// Returns whether the library's tables are those that it makes. A column or an index that is
/// computed can take any time in one step. Triggers do not run for the library's statements.
fn is_plain(connection: &Connection) -> Result<bool> {
    let mut objects = connection.prepare(
        "SELECT sql FROM main.sqlite_schema WHERE type <> 'trigger'
         AND tbl_name COLLATE NOCASE IN ('_tenancy_stamp', '_tenancy_migrations')",
    )?;
    let mut objects = objects.query([])?;
    let mut found = 0;
    while let Some(object) = objects.next()? {
        let made = object.get_ref(0)?.as_str().ok();
        let is_in = |base: &str| base.split(';').any(|own| Some(own.trim()) == made);
        if !is_in(BASE) && !is_in(&BASE.replace(PLACED, "")) {
            return Ok(false);
        }
        found += 1;
    }
    Ok(found == 2)
}

/// Is this still the file that was opened? For connections that were idle.
pub(crate) fn is_own(connection: &Connection, tenant: &Tenant) -> Result<bool> {
    let sql = "SELECT 1 FROM main._tenancy_stamp WHERE tenant = ?1 AND epoch = ?2 AND open = 1";
    let mut read = connection.prepare_cached(sql)?;
    read.exists(params![tenant.id().as_str(), epoch_of(tenant)])
}

/// The stamp as the errors of an open: its schema version when it is the tenant's.
pub(crate) fn check(
    connection: &Connection,
    tenant: &Tenant,
    path: &Path,
) -> Result<u32, OpenError> {
    let schema = judge(read(connection, tenant), tenant, path)?;
    own_wal(connection);
    Ok(schema)
}

/// Lets the last close move the WAL into the database again: both are the tenant's.
pub(crate) fn own_wal(connection: &Connection) {
    // If not, the next opening does it.
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
}

/// The same for who is going to use the file: one from the warm pool is the tenant's then.
pub(crate) fn check_and_take(
    connection: &Connection,
    tenant: &Tenant,
    path: &Path,
) -> Result<u32, OpenError> {
    let mut found = read(connection, tenant);
    if let Ok(Stamp::Untaken { .. }) = found {
        // Read again: somebody may have been faster.
        found = take(connection, tenant).and_then(|()| read(connection, tenant));
    }
    if let Ok(Stamp::Unplaced { .. }) = found {
        // A disk that is full or read-only, and another writer, are no reason not to open it.
        let _ = add_locator(connection, tenant);
    }
    let schema = judge(found, tenant, path)?;
    own_wal(connection);
    Ok(schema)
}

fn judge(found: Result<Stamp>, tenant: &Tenant, path: &Path) -> Result<u32, OpenError> {
    let found = match found {
        Ok(Stamp::Own { schema } | Stamp::Untaken { schema } | Stamp::Unplaced { schema }) => {
            return Ok(schema);
        }
        Ok(Stamp::Closed) => {
            let (tenant, path) = (tenant.to_ref(), path.to_owned());
            return Err(OpenError::Retired { tenant, path });
        }
        Ok(Stamp::Foreign(found)) => found,
        Err(source) => {
            let tenant = tenant.to_ref();
            return Err(OpenError::Sqlite { tenant, source });
        }
    };
    Err(OpenError::WrongDatabase {
        tenant: tenant.to_ref(),
        path: path.to_owned(),
        found,
    })
}

/// The epoch as SQLite's integer; one in 2^63 years would saturate.
fn epoch_of(tenant: &Tenant) -> i64 {
    i64::try_from(tenant.epoch().get()).unwrap_or(i64::MAX)
}

fn pragma(connection: &Connection, name: &str) -> Result<i64> {
    connection.query_row(&format!("PRAGMA main.{name}"), [], |row| row.get(0))
}

/// Its table is not there, or is another one.
fn is_no_stamp(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{InvalidColumnType, SqlInputError};
    // Plain SQLITE_ERROR is about the statement, never about the disk.
    error.sqlite_error().is_some_and(|e| e.extended_code == 1)
        || matches!(error, InvalidColumnType(..) | SqlInputError { .. })
}

fn is_no_database(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::NotADatabase;
    error.sqlite_error_code() == Some(NotADatabase)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between who reads a stamp and takes the file, another may have taken it.
    #[test]
    fn a_file_that_is_taken_meanwhile_is_not_taken_again() -> Result<()> {
        let connection = Connection::open_in_memory()?;
        create(&connection)?;
        let place = Place::parse(&"7".repeat(32), Epoch::FIRST);
        let nobody = place.expect("a place").placeholder();
        write(&connection, &nobody)?;
        let tenant = |id: &str| {
            let tenant = Tenant::builder(id.parse().expect("an id"));
            let tenant = tenant.placement(nobody.placement().clone()).build();
            tenant.expect("a tenant")
        };
        let (first, second) = (tenant("acme"), tenant("beta"));
        assert_eq!(read(&connection, &second)?, Stamp::Untaken { schema: 0 });
        take(&connection, &first)?;
        take(&connection, &second)?;
        assert_eq!(read(&connection, &first)?, Stamp::Own { schema: 0 });
        assert!(matches!(read(&connection, &second)?, Stamp::Foreign(_)));
        Ok(())
    }
}

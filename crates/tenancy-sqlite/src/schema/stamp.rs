//! The stamp of a tenant's file. It names the tenant and the place to which the file belongs, and
//! is checked at every open.

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

/// The column that files of an older version lack. It is written as SQLite adds it to the SQL of
/// the table, so that upgraded and new files have the same SQL.
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

/// Creates the library's own tables in an empty database.
pub(crate) fn create(connection: &Connection) -> Result<()> {
    connection.pragma_update(None, "application_id", TENANT_FILE)?;
    connection.execute_batch(BASE)
}

/// Stamps a file with this incarnation of the tenant.
pub(crate) fn write(connection: &Connection, tenant: &Tenant) -> Result<()> {
    let sql = "UPDATE main._tenancy_stamp SET tenant = ?1, epoch = ?2, open = 1, locator = ?3";
    let mut write = connection.prepare_cached(sql)?;
    let locator = &tenant.placement().locator;
    write.execute(params![tenant.id().as_str(), epoch_of(tenant), locator])?;
    Ok(())
}

/// Adds the locator to the stamp of a file that an older version created, in one transaction that
/// does not wait for other writers.
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
    // Another process may have added the column first.
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

/// The read of the whole row, as files of an older version have no column for the locator.
const READ: &str = "SELECT * FROM main._tenancy_stamp";
const TENANT: usize = 1;
const EPOCH: usize = 2;
const OPEN: usize = 3;
const LOCATOR: usize = 4;

/// Returns the locator for which a file was created, or `None` for a file of an older version.
fn locator(row: &Row<'_>) -> Result<Option<Box<str>>> {
    if row.as_ref().column_count() <= LOCATOR {
        return Ok(None);
    }
    let locator: Box<str> = row.get(LOCATOR)?;
    Ok(Some(locator).filter(|locator| !locator.is_empty()))
}

/// Closes the file, so that every later open is refused.
pub(crate) fn close(connection: &Connection) -> Result<()> {
    connection.execute_batch("UPDATE main._tenancy_stamp SET open = 0")
}

/// Opens a closed file again.
pub(crate) fn reopen(connection: &Connection) -> Result<()> {
    connection.execute_batch("UPDATE main._tenancy_stamp SET open = 1")
}

/// The state of a file by its stamp.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// The file belongs to this incarnation, and has this schema version.
    Own { schema: u32 },
    /// The file belongs to this incarnation; an older version created it without a place.
    Unplaced { schema: u32 },
    /// The file is from the warm pool, and is not yet stamped with the tenant.
    FromWarmPool { schema: u32 },
    /// The file belongs to this incarnation, and is closed, as the tenant was retired.
    Closed,
    /// The file belongs to another tenant or to none; the text describes the file.
    Foreign(Box<str>),
}

/// Reads a file's schema version.
pub(crate) fn schema(connection: &Connection) -> Result<u32> {
    let schema = pragma(connection, "user_version")?;
    // Only migrations write the version, from 0 to i32::MAX.
    Ok(u32::try_from(schema).unwrap_or(u32::MAX))
}

/// Reads the stamp of a file.
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
        (false, _) => Stamp::FromWarmPool { schema },
        (true, None) => Stamp::Unplaced { schema },
        (true, Some(_)) => Stamp::Own { schema },
    })
}

/// Returns whether a stamp is that of the warm pool for this tenant's place. The stamp names the
/// place, so that a file that was moved to another place does not fit.
fn is_from_warm_pool(found: &str, tenant: &Tenant) -> bool {
    Place::of(tenant).is_ok_and(|place| found == place.placeholder().id().as_str())
}

/// Stamps a file from the warm pool with the tenant. The commit needs no fsync: every later commit
/// follows it in the WAL, and becomes durable together with it.
fn assign(connection: &Connection, tenant: &Tenant) -> Result<()> {
    let Ok(place) = Place::of(tenant) else {
        return Ok(());
    };
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let sql = "UPDATE main._tenancy_stamp SET tenant = ?1 WHERE tenant = ?2";
    let placeholder = place.placeholder();
    connection.execute(sql, [tenant.id().as_str(), placeholder.id().as_str()])?;
    Ok(())
}

/// Reads the incarnation that a file is stamped for, without comparing it with a tenant.
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

/// The incarnation that a file is stamped for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) id: TenantId,
    pub(crate) epoch: Epoch,
    pub(crate) open: bool,
    /// The locator for which the file was created; `None` for files of an older version.
    pub(crate) locator: Option<Box<str>>,
}

impl Claim {
    /// Returns whether the file belongs to this place.
    pub(crate) fn fits(&self, place: &Place) -> bool {
        let locator = self.locator.as_ref();
        self.epoch == place.epoch && locator.is_none_or(|locator| *locator == place.locator)
    }
}

/// Returns whether the library's tables have exactly the SQL with which it creates them. A computed
/// column or an index could take any time within one step. Triggers do not count, as they do not
/// run for the library's statements.
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

/// Returns whether the file of a connection is still open and the tenant's.
pub(crate) fn is_own(connection: &Connection, tenant: &Tenant) -> Result<bool> {
    let sql = "SELECT 1 FROM main._tenancy_stamp WHERE tenant = ?1 AND epoch = ?2 AND open = 1";
    let mut read = connection.prepare_cached(sql)?;
    read.exists(params![tenant.id().as_str(), epoch_of(tenant)])
}

/// Returns the schema version of the tenant's own, open file, and an error for other files.
pub(crate) fn check(
    connection: &Connection,
    tenant: &Tenant,
    path: &Path,
) -> Result<u32, OpenError> {
    let schema = schema_of(read(connection, tenant), tenant, path)?;
    checkpoint_on_close(connection);
    Ok(schema)
}

/// Lets the close of the last connection checkpoint the WAL, once it is known to be the tenant's.
pub(crate) fn checkpoint_on_close(connection: &Connection) {
    // After an error the next connection checkpoints.
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
}

/// Checks the stamp like [`check`], for an operation that uses the file. A file from the warm pool
/// is first stamped with the tenant.
pub(crate) fn check_and_assign(
    connection: &Connection,
    tenant: &Tenant,
    path: &Path,
) -> Result<u32, OpenError> {
    let mut found = read(connection, tenant);
    if let Ok(Stamp::FromWarmPool { .. }) = found {
        // The stamp is read again, as another process may have assigned the file first.
        found = assign(connection, tenant).and_then(|()| read(connection, tenant));
    }
    if let Ok(Stamp::Unplaced { .. }) = found {
        // An error, such as a full disk or another writer, does not keep the file from being
        // opened.
        let _ = add_locator(connection, tenant);
    }
    let schema = schema_of(found, tenant, path)?;
    checkpoint_on_close(connection);
    Ok(schema)
}

fn schema_of(found: Result<Stamp>, tenant: &Tenant, path: &Path) -> Result<u32, OpenError> {
    let found = match found {
        Ok(Stamp::Own { schema } | Stamp::FromWarmPool { schema } | Stamp::Unplaced { schema }) => {
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

/// Returns the epoch as SQLite's integer, saturated.
fn epoch_of(tenant: &Tenant) -> i64 {
    i64::try_from(tenant.epoch().get()).unwrap_or(i64::MAX)
}

fn pragma(connection: &Connection, name: &str) -> Result<i64> {
    connection.query_row(&format!("PRAGMA main.{name}"), [], |row| row.get(0))
}

/// Returns whether the table of the stamp is missing or another one.
fn is_no_stamp(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{InvalidColumnType, SqlInputError};
    // Plain SQLITE_ERROR means a fault of the statement, never of the disk.
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

    /// Another process may assign the file after its stamp was read.
    #[test]
    fn a_file_is_assigned_once() -> Result<()> {
        let connection = Connection::open_in_memory()?;
        create(&connection)?;
        let place = Place::parse(&"7".repeat(32), Epoch::FIRST);
        let placeholder = place.expect("a place").placeholder();
        write(&connection, &placeholder)?;
        let tenant = |id: &str| {
            let tenant = Tenant::builder(id.parse().expect("an id"));
            let tenant = tenant.placement(placeholder.placement().clone()).build();
            tenant.expect("a tenant")
        };
        let (first, second) = (tenant("acme"), tenant("beta"));
        assert_eq!(
            read(&connection, &second)?,
            Stamp::FromWarmPool { schema: 0 }
        );
        assign(&connection, &first)?;
        assign(&connection, &second)?;
        assert_eq!(read(&connection, &first)?, Stamp::Own { schema: 0 });
        assert!(matches!(read(&connection, &second)?, Stamp::Foreign(_)));
        Ok(())
    }
}

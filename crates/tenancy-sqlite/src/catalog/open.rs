//! The creation, opening and upgrade of `catalog.db`.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Result, TransactionBehavior};

use super::{maintenance, storage};
use crate::catalog::transaction::Fault;
use crate::disk::files::{Entry, look, sync_dir};
use crate::disk::locks::RootLock;
use crate::disk::owner::create_new;
use crate::disk::root::{Root, holds_files};
use crate::error::{IoError, StorageError};
use crate::raw::enter_wal;
use crate::schema::stamp::CATALOG_FILE;

/// The SQL of each format, which upgrades the format before it. `user_version` has the number of
/// the format.
const FORMATS: [&str; 6] = [
    include_str!("schema.sql"),
    include_str!("warm_pool.sql"),
    include_str!("maintenance.sql"),
    include_str!("storage.sql"),
    include_str!("undo.sql"),
    include_str!("claims.sql"),
];
const FORMAT: u32 = FORMATS.len() as u32;
/// The first format that records the storage root.
const STORAGE_FORMAT: u32 = 4;

/// The longest time that a write waits for the writes of other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The most prepared statements that a connection keeps; there are about 40.
const STATEMENTS: usize = 64;

/// The treatment of a lost catalog, which has no rows though the root has tenants' files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    Refuse,
    Fill,
}

/// Connects to the catalog of a root. Creates a missing catalog, upgrades an older one, and refuses
/// a file that is not a catalog.
pub(super) fn open(
    root: &Root,
    path: &Path,
    lost: Lost,
    // One process at a time: SQLite's switch to WAL mode does not wait for readers.
    _lock: &RootLock,
) -> Result<Connection, StorageError> {
    if lost == Lost::Refuse && is_lost(root.path(), path)? {
        return Err(lost_catalog(root.path()));
    }
    make(root, path)?;
    let connection = connect(path)?;
    prepare(&connection, path)?;
    match storage::record(&connection, root.id()) {
        Ok(()) => Ok(connection),
        Err(Fault::Sqlite(source)) => Err(failed(path, source)),
        Err(Fault::Refused(source)) => Err(StorageError::OtherCatalog {
            path: path.to_owned(),
            source: Box::new(source),
        }),
    }
}

/// Returns whether the catalog has no rows though there are tenants' files. The files are looked up
/// first, because a tenant's row is written before its file.
fn is_lost(root: &Path, path: &Path) -> Result<bool, StorageError> {
    Ok(holds_files(root) && !has_rows(path)?)
}

/// Returns whether a row was ever written to the catalog; `false` if the catalog is missing.
/// Returns an error for a damaged catalog, and does not change it.
fn has_rows(path: &Path) -> Result<bool, StorageError> {
    if look(path).map_err(IoError::at(path, "looked at"))? != Entry::File {
        return Ok(false);
    }
    let connection = connect(path)?;
    let read = || match format_of(&connection)? {
        Ok(0) => Ok(false),
        // `prepare` refuses such a file, and its error names the application.
        Err(_) => Ok(true),
        Ok(_) => connection.query_row("SELECT version > 0 FROM clock", [], |row| row.get(0)),
    };
    read().map_err(|source| failed(path, source))
}

/// Returns the error for a lost catalog.
fn lost_catalog(root: &Path) -> StorageError {
    StorageError::LostCatalog {
        catalog: root.join("catalog.db"),
        tenants: root.join("tenants"),
    }
}

/// Refuses a directory without a marker, unless its catalog has rows. With rows it is a root that
/// an older version of this library created, or that has lost its marker. Returns the id in the
/// catalog, if any.
pub(super) fn refuse_unmarked(root: &Path) -> Result<Option<Box<str>>, StorageError> {
    let path = root.join("catalog.db");
    match has_rows(&path)? {
        true => recorded(root),
        false if holds_files(root) => Err(lost_catalog(root)),
        false => Err(StorageError::NotARoot {
            path: root.to_owned(),
        }),
    }
}

/// Returns the id of the storage root that the catalog has recorded, if any.
pub(super) fn recorded(root: &Path) -> Result<Option<Box<str>>, StorageError> {
    let path = root.join("catalog.db");
    if look(&path).map_err(IoError::at(&path, "looked at"))? != Entry::File {
        return Ok(None);
    }
    let connection = connect(&path)?;
    let read = || match format_of(&connection)? {
        Ok(STORAGE_FORMAT..) => storage::recorded(&connection),
        _ => Ok(None),
    };
    read().map_err(|source| failed(&path, source))
}

/// Returns whether the catalog has an older format than the newest one.
pub(super) fn is_outdated(path: &Path) -> Result<bool, StorageError> {
    if look(path).map_err(IoError::at(path, "looked at"))? != Entry::File {
        return Ok(false);
    }
    let format = format_of(&connect(path)?).map_err(|source| failed(path, source))?;
    Ok(format.is_ok_and(|format| (1..FORMAT).contains(&format)))
}

/// Creates an empty file with the mode of the root's files, if the file is missing.
fn make(root: &Root, path: &Path) -> Result<(), StorageError> {
    // The close of a descriptor drops the locks that SQLite holds on the file in this process. The
    // lock of the root is held, so no thread has opened the new file yet.
    match look(path).map_err(IoError::at(path, "looked at"))? {
        Entry::File => Ok(()),
        Entry::Missing => {
            create_new(path)?;
            Ok(sync_dir(root.path())?)
        }
        Entry::Other(found) => Err(StorageError::NotACatalog {
            path: path.to_owned(),
            found: found.into(),
        }),
    }
}

/// Opens a connection to the catalog.
pub(super) fn connect(path: &Path) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connect = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")?;
        Ok(connection)
    };
    connect().map_err(|source| failed(path, source))
}

/// Writes the schema into an empty file, and upgrades an older catalog to the newest format.
fn prepare(connection: &Connection, path: &Path) -> Result<(), StorageError> {
    let found = format_of(connection).map_err(|source| failed(path, source))?;
    let found = found.map_err(|id| StorageError::NotACatalog {
        path: path.to_owned(),
        found: format!("a database of application {id}").into(),
    })?;
    if found > FORMAT {
        return Err(StorageError::NewerCatalog {
            path: path.to_owned(),
            found,
            known: FORMAT,
        });
    }
    let lacking = &FORMATS[found as usize..];
    if lacking.is_empty() {
        return Ok(());
    }
    let write = || -> Result<()> {
        enter_wal(connection)?;
        maintenance::add_hash(connection)?;
        let behavior = TransactionBehavior::Immediate;
        let transaction = rusqlite::Transaction::new_unchecked(connection, behavior)?;
        connection.execute_batch(&lacking.concat())?;
        connection.pragma_update(None, "application_id", CATALOG_FILE)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()
    };
    write().map_err(|source| failed(path, source))
}

/// Returns the format of a catalog, 0 for an empty file, or the application id of another database.
fn format_of(connection: &Connection) -> Result<std::result::Result<u32, i64>> {
    if is_empty(connection)? {
        return Ok(Ok(0));
    }
    let id = pragma(connection, "application_id")?;
    if id != i64::from(CATALOG_FILE) {
        return Ok(Err(id));
    }
    let found = pragma(connection, "user_version")?;
    Ok(Ok(u32::try_from(found).unwrap_or(u32::MAX)))
}

fn is_empty(connection: &Connection) -> Result<bool> {
    let sql = "SELECT count(*) = 0 FROM sqlite_schema";
    connection.query_row(sql, [], |row| row.get(0))
}

fn pragma(connection: &Connection, name: &str) -> Result<i64> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

fn failed(path: &Path, source: rusqlite::Error) -> StorageError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StorageError::NotACatalog {
            path,
            found: "not a SQLite database".into(),
        },
        _ => StorageError::Catalog { path, source },
    }
}

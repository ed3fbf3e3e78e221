//! Making and opening `catalog.db`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Result, TransactionBehavior};

use crate::error::{IoError, StorageError};
use crate::root::{Found, Root, create_new, look, sync_dir};
use crate::stamp::CATALOG_FILE;

const SCHEMA: &str = include_str!("schema.sql");

/// The format of `schema.sql`, in `user_version`.
const FORMAT: u32 = 1;

/// How long a write waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that are kept prepared; there are about 40.
const STATEMENTS: usize = 64;

/// Makes an empty file with our mode, if there is none.
pub(super) fn make(root: &Root, path: &Path) -> Result<(), StorageError> {
    // Under the lock even if it is there: its maker has closed it then. Closing a
    // descriptor of a database drops the locks that this process has on it.
    let _lock = root.lock_root()?;
    match look(path).map_err(IoError::at(path, "looked at"))? {
        Found::File => Ok(()),
        Found::Nothing => {
            create_new(path)?;
            Ok(sync_dir(root.path())?)
        }
        Found::Other(found) => Err(StorageError::NotACatalog {
            path: path.to_owned(),
            found: found.into(),
        }),
    }
}

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

/// Writes the schema into an empty file; refuses what is no catalog.
pub(super) fn prepare(connection: &Connection, path: &Path) -> Result<(), StorageError> {
    let id = pragma(connection, "application_id").map_err(|source| failed(path, source))?;
    if id == i64::from(CATALOG_FILE) {
        return check_format(connection, path);
    }
    let write = || -> Result<bool> {
        if !is_empty(connection)? {
            return Ok(false);
        }
        connection.execute_batch("PRAGMA journal_mode = WAL")?;
        let behavior = TransactionBehavior::Immediate;
        let transaction = rusqlite::Transaction::new_unchecked(connection, behavior)?;
        // Another process may have been faster.
        if is_empty(connection)? {
            connection.execute_batch(SCHEMA)?;
            connection.pragma_update(None, "application_id", CATALOG_FILE)?;
            connection.pragma_update(None, "user_version", FORMAT)?;
        }
        transaction.commit()?;
        Ok(true)
    };
    if write().map_err(|source| failed(path, source))? {
        return check_format(connection, path);
    }
    Err(StorageError::NotACatalog {
        path: path.to_owned(),
        found: format!("a database of application {id}").into(),
    })
}

fn check_format(connection: &Connection, path: &Path) -> Result<(), StorageError> {
    let found = pragma(connection, "user_version").map_err(|source| failed(path, source))?;
    let found = u32::try_from(found).unwrap_or(u32::MAX);
    if found > FORMAT {
        return Err(StorageError::NewerCatalog {
            path: path.to_owned(),
            found,
            known: FORMAT,
        });
    }
    Ok(())
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
            found: "no SQLite database".into(),
        },
        _ => StorageError::Catalog { path, source },
    }
}

pub(super) fn refuse_lost(root: &Path) -> Result<(), StorageError> {
    let (catalog, tenants) = (root.join("catalog.db"), root.join("tenants"));
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let holds_a_file = || entries(&tenants).any(|dir| entries(&dir.path()).next().is_some());
    match !catalog.exists() && holds_a_file() {
        true => Err(StorageError::LostCatalog { catalog, tenants }),
        false => Ok(()),
    }
}

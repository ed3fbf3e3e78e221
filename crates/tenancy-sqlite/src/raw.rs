//! Plain connections to SQLite files: flags, the journal mode, checkpoints, the size of the WAL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use r2d2::ManageConnection;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::IoError;

/// The hook for every new connection; see `SqliteStorageBuilder::on_connect`.
pub(crate) type OnConnect = dyn Fn(&mut Connection) -> rusqlite::Result<()> + Send + Sync;

/// The flags of a connection to a tenant's file. Without the flag CREATE, a missing file is an
/// error. Without the flag URI, a path cannot carry options.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE
    .union(OpenFlags::SQLITE_OPEN_NO_MUTEX)
    .union(OpenFlags::SQLITE_OPEN_NOFOLLOW);

/// Opens a connection to an existing database, without reading the file. The connection has the
/// schema objects of the file switched off.
pub(crate) fn connect(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let manager = SqliteConnectionManager::file(path).with_flags(FLAGS);
    let connection = manager.connect()?;
    set_flags(&connection)?;
    connection.busy_timeout(busy_timeout)?;
    // The WAL may belong to another file that was in this place before. So until the stamp is
    // checked, the close of this connection changes neither the WAL nor the file.
    if wal_bytes(path).is_ok_and(|bytes| bytes > 0) {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    }
    Ok(connection)
}

/// The switches that every connection to a tenant's file has.
const ALWAYS: [(DbConfig, bool); 2] = [
    (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
];

/// The switches of schema objects. They are on for SQL of the application, and off for the
/// library's own SQL, so that no object of a schema can stop the library's statements or run with
/// them. Foreign keys are included, because `REFERENCES _tenancy_stamp(open)` in any table makes
/// every write to the stamp an error.
pub(crate) const OF_THE_SCHEMA: [DbConfig; 3] = [
    DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY,
    DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
    DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW,
];

/// Sets the switches of a connection of the library, before the file is read.
pub(crate) fn set_flags(connection: &Connection) -> rusqlite::Result<()> {
    set_switches(connection, false)
}

/// Sets the switches of a connection; `schema_runs` is the value of those for schema objects.
pub(crate) fn set_switches(connection: &Connection, schema_runs: bool) -> rusqlite::Result<()> {
    for (switch, value) in ALWAYS {
        connection.set_db_config(switch, value)?;
    }
    for switch in OF_THE_SCHEMA {
        connection.set_db_config(switch, schema_runs)?;
    }
    Ok(())
}

/// Switches the file to WAL mode, if it is in another mode.
pub(crate) fn ensure_wal(connection: &Connection) -> rusqlite::Result<()> {
    match is_wal(connection)? {
        true => Ok(()),
        false => enter_wal(connection),
    }
}

/// Returns whether the file is in WAL mode.
pub(crate) fn is_wal(connection: &Connection) -> rusqlite::Result<bool> {
    let mut mode = connection.prepare_cached("PRAGMA main.journal_mode")?;
    mode.query_row([], |row| Ok(row.get_ref(0)?.as_str()? == "wal"))
}

/// Switches the file to WAL mode.
pub(crate) fn enter_wal(connection: &Connection) -> rusqlite::Result<()> {
    set_journal_mode(connection, "PRAGMA journal_mode = WAL").map(drop)
}

/// Changes the journal mode by a PRAGMA, and returns the resulting mode. The statement is run to
/// its end, because it returns its row before a commit that may fail.
pub(crate) fn set_journal_mode(connection: &Connection, sql: &str) -> rusqlite::Result<String> {
    let mut switch = connection.prepare(sql)?;
    let modes = switch.query_map([], |row| row.get::<_, String>(0))?;
    modes.collect()
}

/// Returns whether a statement failed because another connection holds a lock that it needs.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseBusy | DatabaseLocked)
    )
}

/// Checkpoints the WAL as far as readers allow, and returns whether the whole WAL is in the
/// database. Also returns `true` if another connection is checkpointing at this moment.
pub(crate) fn checkpoint(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "PRAGMA main.wal_checkpoint(PASSIVE)";
    let moved = connection.query_row(sql, [], |row| {
        let (busy, pages, moved): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(busy || moved >= pages)
    });
    moved.or_else(|error| if_busy(error, true))
}

/// Checkpoints the WAL and truncates it. Returns `false` if readers or a writer prevented that for
/// longer than the busy timeout.
pub(crate) fn truncate_wal(connection: &Connection) -> rusqlite::Result<bool> {
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

/// Returns the size of a database's WAL in bytes, 0 if there is none. The file is not opened.
pub(crate) fn wal_bytes(database: &Path) -> Result<u64, IoError> {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    let path = PathBuf::from(path);
    match std::fs::symlink_metadata(&path) {
        Ok(meta) => Ok(meta.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(IoError::new(path, "looked at", error)),
    }
}

//! The bound on SQLite's memory in this process.

use rusqlite::Connection;

use crate::error::StorageError;

/// The least bound, in bytes, which the catalog, its cache and a few connections need.
const LEAST: u64 = 64 << 20;

/// Refuses a bound that is too small or too large.
pub(crate) fn check(bytes: u64) -> Result<(), StorageError> {
    let most = i64::MAX as u64;
    if (LEAST..=most).contains(&bytes) {
        return Ok(());
    }
    Err(StorageError::Limit {
        option: "max_memory",
        found: bytes,
        least: LEAST,
        most,
    })
}

/// Lowers the bound of the process. A pragma does this, because a call of the C function would be
/// unsafe. The pragma never raises the bound.
pub(crate) fn bound(bytes: u64) -> Result<(), StorageError> {
    let set = || {
        let connection = Connection::open_in_memory()?;
        let sql = format!("PRAGMA hard_heap_limit = {bytes}");
        connection.query_row(&sql, [], |_| Ok(()))
    };
    set().map_err(|source| StorageError::MaxMemory { source })
}

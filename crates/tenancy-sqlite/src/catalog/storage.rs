//! The id of the storage root to which a catalog belongs.

use rusqlite::{Connection, OptionalExtension, Result};
use tenancy_core::WriteError;

use crate::catalog::transaction::{Done, Fault};

/// Records the id of a storage root. Refuses the id if another one is recorded.
pub(super) fn record(connection: &Connection, id: &str) -> Done<()> {
    let found = match recorded(connection)? {
        Some(found) => found,
        None => {
            // Another process may have recorded it first.
            let sql = "INSERT INTO storage VALUES (1, ?1) ON CONFLICT DO NOTHING";
            connection.execute(sql, [id])?;
            recorded(connection)?.unwrap_or_default()
        }
    };
    match *found == *id {
        true => Ok(()),
        false => Err(Fault::Refused(WriteError::OtherStorage {
            recorded: found,
            found: id.into(),
        })),
    }
}

/// Returns the recorded id, if any.
pub(super) fn recorded(connection: &Connection) -> Result<Option<Box<str>>> {
    let sql = "SELECT id FROM storage";
    connection.query_row(sql, [], |row| row.get(0)).optional()
}

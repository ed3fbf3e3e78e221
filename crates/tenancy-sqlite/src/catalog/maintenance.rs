//! The columns of a tenant's row that hold a [`Maintenance`].

use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Result, Row};
use tenancy_core::{Maintenance, Secret};

use crate::catalog::columns::unexpected;

/// Reads the columns 9 to 12 of a tenant's row.
pub(super) fn read(row: &Row<'_>) -> Result<Option<Maintenance>> {
    if !row.get::<_, bool>(9)? {
        return Ok(None);
    }
    let mut maintenance = Maintenance::default();
    let millis: Option<i64> = row.get(10)?;
    maintenance.retry_after = millis.map(|ms| Duration::from_millis(ms.unsigned_abs()));
    maintenance.message = row.get(11)?;
    if let Some(hex) = row.get::<_, Option<Box<str>>>(12)? {
        let hash = from_hex(&hex).ok_or_else(|| unexpected(12, "not a SHA-256 hash"))?;
        maintenance.secret = Some(Secret::from_hash(hash));
    }
    Ok(Some(maintenance))
}

/// Returns the value of the column `secret`.
pub(super) fn hex(secret: &Secret) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(64);
    for byte in secret.hash() {
        // Writing to a string does not fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    let pairs = text.as_bytes().chunks(2);
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// Adds the function by which an upgrade hashes the secrets of an older catalog.
pub(super) fn add_hash(connection: &Connection) -> Result<()> {
    // Secrets that are overwritten must not remain in the free space of the file.
    connection.execute_batch("PRAGMA secure_delete = ON")?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("sha256_hex", 1, flags, |context| {
        Ok(hex(&Secret::new(context.get_raw(0).as_str()?)))
    })
}

//! [`Limits`]: the bounds of statements, from the driver's options.

use rusqlite::limits::Limit;
use rusqlite::{Connection, Result};

use crate::error::StorageError;
use crate::guard::rules::Purpose;

/// The bounds of statements; see the options of `SqliteStorageBuilder`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) value_bytes: u32,
    pub(crate) columns: u32,
    pub(crate) statement_steps: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            value_bytes: 16 << 20,
            columns: 200,
            statement_steps: 25_000,
        }
    }
}

impl Limits {
    /// Refuses a bound below the needs of the library's own statements, or above SQLite's maximum.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        for (option, found, least, most) in [
            ("max_value_bytes", self.value_bytes, 64 << 10, 1_000_000_000),
            ("max_columns", self.columns, 16, 2_000),
            (
                "max_statement_steps",
                self.statement_steps,
                1_000,
                250_000_000,
            ),
        ] {
            if !(least..=most).contains(&found) {
                return Err(StorageError::Limit {
                    option,
                    found: found.into(),
                    least: least.into(),
                    most: most.into(),
                });
            }
        }
        Ok(())
    }

    /// Sets the limits of a connection. Statements of migrations and seeds may have any number of
    /// steps, but the values and tables that they create have to keep the other bounds.
    pub(crate) fn set(&self, connection: &Connection, purpose: Purpose) -> Result<()> {
        let set = |limit, value: u32| {
            let value = i32::try_from(value).unwrap_or(i32::MAX);
            connection.set_limit(limit, value).map(drop)
        };
        set(Limit::SQLITE_LIMIT_LENGTH, self.value_bytes)?;
        set(Limit::SQLITE_LIMIT_COLUMN, self.columns)?;
        if purpose == Purpose::Tenant {
            set(Limit::SQLITE_LIMIT_VDBE_OP, self.statement_steps)?;
        }
        Ok(())
    }
}

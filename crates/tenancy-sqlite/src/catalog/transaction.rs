//! A write transaction of the catalog, and its errors.

use rusqlite::{ErrorCode, Transaction};
use tenancy_core::{Actor, CatalogError, NewTenant, TenantStatus, Version, WriteError};

/// The error of a write that was rolled back.
pub(super) enum Fault {
    Refused(WriteError),
    Sqlite(rusqlite::Error),
}

impl Fault {
    /// Returns whether the error concerns only one row, so that other rows can still be written.
    pub(super) fn is_of_one_row(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Sqlite(error) => {
                error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
            }
        }
    }
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Fault> for WriteError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => error,
            Fault::Sqlite(error) => CatalogError::new(error).into(),
        }
    }
}

/// The result of a step of a write.
pub(super) type Done<T> = Result<T, Fault>;

/// A write transaction: the version of its last row, its actor and its time.
pub(super) struct Write<'w> {
    pub(super) transaction: Transaction<'w>,
    pub(super) version: Version,
    pub(super) actor: &'w Actor,
    pub(super) at_ms: i64,
}

/// The moment at which a write is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Synced {
    /// Before the write returns.
    Now,
    /// With the next write that is synced, as both are in one WAL.
    WithNext,
}

impl Synced {
    /// Returns the sync that an insertion needs.
    ///
    /// A row with status `provisioning` needs no fsync. If a power cut loses the row, the creation
    /// has not returned yet, and its file is an orphan. The write that makes the tenant active
    /// syncs both rows, so a creation needs one fsync less. The row of a tenant that takes a file
    /// of the warm pool needs an fsync: if the row were lost, another tenant would take the same
    /// file.
    pub(super) fn of(new: &[NewTenant]) -> Self {
        let is_begun = |new: &NewTenant| {
            new.from_warm_pool.is_none() && new.status == TenantStatus::Provisioning
        };
        match new.iter().all(is_begun) {
            true => Self::WithNext,
            false => Self::Now,
        }
    }
}

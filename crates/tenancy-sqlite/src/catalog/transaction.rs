//! A write transaction of the catalog, and its failures.

use rusqlite::{ErrorCode, Transaction};
use tenancy_core::{Actor, CatalogError, NewTenant, TenantStatus, Version, WriteError};

/// The failure of a write.
pub(super) enum Fault {
    Refused(WriteError),
    Sqlite(rusqlite::Error),
}

impl Fault {
    /// Returns whether another row can be written all the same.
    pub(super) fn is_about_the_row(&self) -> bool {
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

pub(super) type Done<T> = Result<T, Fault>;

/// A write transaction with its clock.
pub(super) struct Write<'w> {
    pub(super) transaction: Transaction<'w>,
    pub(super) version: Version,
    pub(super) actor: &'w Actor,
    pub(super) at_ms: i64,
}

/// The time of a write's fsync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Synced {
    /// Before it returns.
    Now,
    /// With the next write that is synced now: both are in one WAL.
    WithTheNext,
}

impl Synced {
    /// Returns the time for the rows of new tenants. A row that is `provisioning` may be lost in a
    /// power cut: its file is found without a row, and no caller has seen the tenant. The write that
    /// makes it active syncs both, so that a creation has one fsync less. The row of a file of the
    /// warm pool is synced, else the file would be taken a second time.
    pub(super) fn of(new: &[NewTenant]) -> Self {
        let is_begun = |new: &NewTenant| {
            new.from_warm_pool.is_none() && new.status == TenantStatus::Provisioning
        };
        match new.iter().all(is_begun) {
            true => Self::WithTheNext,
            false => Self::Now,
        }
    }
}

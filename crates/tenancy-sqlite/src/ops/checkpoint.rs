//! Checkpoints of a tenant's WAL.

use tenancy_core::Tenant;

use crate::disk::place::Place;
use crate::error::{FileError, sqlite};
use crate::ops::open::connect;
use crate::raw::{truncate_wal, wal_bytes};
use crate::schema::stamp;
use crate::store::Store;

/// The result of [`SqliteDriver::checkpoint`](crate::SqliteDriver::checkpoint).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpointed {
    /// The length of the WAL afterwards, in bytes; 0 if it was truncated.
    pub wal_bytes: u64,
    /// Whether a reader of an older state, or a writer, prevented the truncation: try again later.
    pub busy: bool,
}

impl Store {
    pub(crate) fn checkpoint(&self, tenant: &Tenant) -> Result<Checkpointed, FileError> {
        let path = self.root.file(&Place::of(tenant)?);
        let connection = connect(self, tenant, &path)?;
        stamp::check(&connection, tenant, &path)?;
        let run = || {
            connection.busy_timeout(std::time::Duration::ZERO)?;
            Ok(!truncate_wal(&connection)?)
        };
        let busy = run().map_err(|source| sqlite(&path, source))?;
        // Read while this connection is open, as the close of the last connection removes the WAL.
        let wal_bytes = wal_bytes(&path)?;
        Ok(Checkpointed { wal_bytes, busy })
    }
}

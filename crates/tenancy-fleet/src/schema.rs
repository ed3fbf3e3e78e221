//! The schema versions of tenants, as far as a journal knows them. The database's own version
//! is the truth.

use tenancy_core::Tenant;

/// A tenant and the schema version that its database had when it was last seen.
#[derive(Debug, Clone)]
pub struct KnownSchema {
    /// The tenant of the database.
    pub tenant: Tenant,
    /// The version; `None` if a run over it goes on or was killed, or no version was recorded.
    pub schema: Option<u32>,
}

/// A selection of tenants by the schema versions that a journal knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All tenants, of every status.
    All,
    /// Tenants that are not known to have this version, of every status.
    NotAt(u32),
    /// Tenants of unknown version, without those that are `provisioning` or `retiring`.
    Unknown,
}

/// The schema of a tenant, and the failure of the last run over it.
#[derive(Debug, Clone)]
pub struct SchemaStatus {
    /// The tenant of the database.
    pub tenant: Tenant,
    /// The schema version of its database when a create, a migration or a rollback last saw it;
    /// read from the database if none of them recorded it; `None` if it cannot be read.
    pub schema: Option<u32>,
    /// The failure of the last run, if that failed for this tenant.
    pub failed: Option<TaskFailure>,
}

/// A run that failed for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFailure {
    /// The number of the run.
    pub run: u64,
    /// The time of the failure, in milliseconds since 1970.
    pub at_ms: i64,
    /// The text of the error with its causes.
    pub why: Box<str>,
}

/// The number of tenants at each schema version, relative to the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchemaCounts {
    /// The newest schema version.
    pub newest: u32,
    /// Tenants at the newest version.
    pub current: u64,
    /// Tenants at an older version.
    pub behind: u64,
    /// Tenants at a newer version than this program knows.
    pub ahead: u64,
    /// Tenants of unknown version.
    pub unknown: u64,
}

impl SchemaCounts {
    /// Returns whether every tenant is known to have the newest schema.
    pub fn all_current(&self) -> bool {
        self.behind + self.ahead + self.unknown == 0
    }
}

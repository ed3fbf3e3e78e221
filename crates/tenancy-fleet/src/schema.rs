//! The schema versions of tenants that a journal knows. They are a cache: the version in the
//! database itself decides.

use tenancy_core::Tenant;

/// A tenant and its last known schema version.
#[derive(Debug, Clone)]
pub struct KnownSchema {
    /// The tenant of the database.
    pub tenant: Tenant,
    /// The schema version that was last recorded. `None` if none was recorded, or if a run is working
    /// on the tenant or was killed while it did.
    pub schema: Option<u32>,
}

/// A selection of tenants by the schema versions that a journal knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All tenants of every status.
    All,
    /// Tenants of every status that are not known to be at this version.
    NotAt(u32),
    /// Tenants whose version is unknown, except those that are `provisioning` or `retiring`.
    Unknown,
}

/// The schema version of a tenant, and its failure in the last run.
#[derive(Debug, Clone)]
pub struct SchemaStatus {
    /// The tenant of the database.
    pub tenant: Tenant,
    /// The last known schema version. If none is known, the version in the database; `None` if it
    /// cannot be read.
    pub schema: Option<u32>,
    /// The failure in the last run, if the tenant failed.
    pub failed: Option<TaskFailure>,
}

/// The failure of a tenant in a run.
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
    /// The number of tenants at the newest version.
    pub current: u64,
    /// The number of tenants at an older version.
    pub behind: u64,
    /// The number of tenants at a newer version than this program knows.
    pub ahead: u64,
    /// The number of tenants whose version is unknown.
    pub unknown: u64,
}

impl SchemaCounts {
    /// Returns whether every counted tenant is known to be at the newest version.
    pub fn all_current(&self) -> bool {
        self.behind + self.ahead + self.unknown == 0
    }
}

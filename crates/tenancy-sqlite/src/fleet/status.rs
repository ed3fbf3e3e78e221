//! Where tenants stand.

use tenancy_core::TenantId;

use super::Fleet;
use crate::catalog::{Run, SchemaStatus};
use crate::error::FleetError;

/// How many tenants have which schema, as far as the catalog knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SchemaCounts {
    /// The newest schema version there is.
    pub newest: u32,
    /// Tenants that have it.
    pub current: u64,
    /// Tenants that have an older one.
    pub behind: u64,
    /// Tenants that have a newer one than this program knows.
    pub ahead: u64,
    /// Tenants whose file was never looked at.
    pub unknown: u64,
}

impl SchemaCounts {
    /// Whether every tenant is known to have the newest schema.
    pub fn all_current(&self) -> bool {
        self.behind + self.ahead + self.unknown == 0
    }
}

impl Fleet {
    /// Whether there is anything to migrate: from the catalog alone, no file is opened.
    /// Tenants whose creation is not finished do not count.
    ///
    /// # Errors
    /// When the catalog cannot be asked.
    pub fn check(&self) -> Result<SchemaCounts, FleetError> {
        let newest = self.driver.migrations().newest();
        Ok(self.catalog.schema_counts(newest)?)
    }

    /// What is known of the schemas of tenants by id, at most `max`, after this one:
    /// from the catalog alone.
    ///
    /// # Errors
    /// When the catalog cannot be asked.
    pub fn status(
        &self,
        after: Option<&TenantId>,
        max: usize,
    ) -> Result<Vec<SchemaStatus>, FleetError> {
        Ok(self.catalog.schema_page(after, max)?)
    }

    /// The last runs over many tenants, newest first, at most `max`.
    ///
    /// # Errors
    /// When the catalog cannot be asked.
    pub fn runs(&self, max: usize) -> Result<Vec<Run>, FleetError> {
        Ok(self.catalog.runs(max)?)
    }
}

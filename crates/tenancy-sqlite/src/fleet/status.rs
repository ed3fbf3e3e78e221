//! Where tenants stand.

use std::cmp::Ordering;

use tenancy_core::{Tenant, TenantId};

use super::Fleet;
use super::options::FleetOptions;
use super::run::ask_all;
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
    /// Tenants whose file cannot be read.
    pub unknown: u64,
}

impl SchemaCounts {
    /// Whether every tenant is known to have the newest schema.
    pub fn all_current(&self) -> bool {
        self.behind + self.ahead + self.unknown == 0
    }
}

impl Fleet {
    /// Whether there is anything to migrate, as [`schema_counts`](Self::schema_counts) tells
    /// it.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be asked, or the migrations are not those
    /// that the tenants have.
    pub fn check(&self) -> Result<SchemaCounts, FleetError> {
        self.check_history()?;
        self.schema_counts()
    }

    /// How many tenants have which schema: from the catalog, and from the files of
    /// tenants of which it knows nothing because a run over them goes on or was killed.
    /// Nothing is written. Tenants whose creation is not finished, and retired ones, do
    /// not count.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be asked.
    pub fn schema_counts(&self) -> Result<SchemaCounts, FleetError> {
        let newest = self.driver.migrations().newest();
        let mut counts = self.catalog.schema_counts(newest)?;
        if counts.unknown == 0 {
            return Ok(counts);
        }
        let unknown = self.catalog.unknown_schemas()?;
        for version in self.versions_of(&unknown).into_iter().flatten() {
            counts.unknown = counts.unknown.saturating_sub(1);
            match version.cmp(&newest) {
                Ordering::Less => counts.behind += 1,
                Ordering::Equal => counts.current += 1,
                Ordering::Greater => counts.ahead += 1,
            }
        }
        Ok(counts)
    }

    /// What is known of the schemas of tenants by id, at most `max`, after this one. The
    /// files of those of which the catalog knows nothing are looked at.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be asked.
    pub fn status(
        &self,
        after: Option<&TenantId>,
        max: usize,
    ) -> Result<Vec<SchemaStatus>, FleetError> {
        let mut page = self.catalog.schema_page(after, max)?;
        let unknown = page.iter_mut().filter(|status| status.schema.is_none());
        let mut unknown: Vec<_> = unknown.collect();
        let tenants: Vec<_> = unknown.iter().map(|status| status.tenant.clone()).collect();
        for (status, version) in unknown.iter_mut().zip(self.versions_of(&tenants)) {
            status.schema = version;
        }
        Ok(page)
    }

    /// The schema versions of their files, as far as those can be read.
    fn versions_of(&self, tenants: &[Tenant]) -> Vec<Option<u32>> {
        let version = |tenant: &Tenant| self.driver.shared.schema_of(tenant).ok();
        let versions = ask_all(tenants, &FleetOptions::new(), version);
        versions.into_iter().map(Option::flatten).collect()
    }

    /// The last runs over many tenants, newest first, at most `max`.
    ///
    /// # Errors
    /// When the catalog cannot be asked.
    pub fn runs(&self, max: usize) -> Result<Vec<Run>, FleetError> {
        Ok(self.catalog.runs(max)?)
    }
}

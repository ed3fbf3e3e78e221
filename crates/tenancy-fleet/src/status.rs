//! The schema versions of all tenants, and the past runs.

use std::cmp::Ordering;

use tenancy_core::{Tenant, TenantId, WriteError};

use crate::driver::{FleetDriver, Snapshot};
use crate::error::{FleetError, TenantError};
use crate::fleet::Fleet;
use crate::jobs::Jobs;
use crate::journal::{Run, RunJournal};
use crate::schema::{SchemaCounts, SchemaStatus, Selection};

/// The number of databases that are read at the same time.
const JOBS: usize = 8;

impl<D: FleetDriver, C: RunJournal> Fleet<D, C> {
    /// Returns the [numbers of tenants](Self::schema_counts) by schema version, which show whether a
    /// migration is needed. Before, compares the driver's steps with those of the tenants.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read, or if the steps differ from those that were
    /// applied to the tenants.
    pub fn check(&self) -> Result<SchemaCounts, FleetError> {
        self.check_history()?;
        self.schema_counts()
    }

    /// Returns the numbers of tenants by schema version. The versions come from the journal. A version
    /// that the journal does not know, because a run is in progress or was killed, is read from the
    /// database. Tenants that are `provisioning` or `retiring` are counted only if they are known to
    /// be at the newest version. Nothing is written.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    pub fn schema_counts(&self) -> Result<SchemaCounts, FleetError> {
        let newest = self.driver.newest_schema();
        let mut counts = self.catalog.schema_counts(newest)?;
        if counts.unknown == 0 {
            return Ok(counts);
        }
        let unknown = self.catalog.known_schemas(Selection::Unknown)?;
        let unknown: Vec<_> = unknown.into_iter().map(|known| known.tenant).collect();
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

    /// Returns the schemas of at most `max` tenants after the id `after`, sorted by id. A version that
    /// the journal does not know is read from the database.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
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

    /// Returns the schema versions in the databases, or `None` for each that cannot be read.
    fn versions_of(&self, tenants: &[Tenant]) -> Vec<Option<u32>> {
        let version = |tenant: &Tenant| self.driver.schema_of(tenant).ok();
        let versions = Jobs::clamped(JOBS).answers(tenants, || true, version);
        versions.into_iter().map(Option::flatten).collect()
    }

    /// Returns the snapshots of a tenant, including those of earlier incarnations, oldest first.
    ///
    /// # Errors
    /// Returns an error if no tenant has this id, or if the snapshots cannot be listed.
    pub fn snapshots_of(&self, id: &TenantId) -> Result<Vec<Snapshot>, TenantError> {
        let known = self.catalog.known_schema(id).map_err(WriteError::from)?;
        let known = known.ok_or_else(|| WriteError::Unknown { id: id.clone() })?;
        self.driver.snapshots_of(&known.tenant)
    }

    /// Returns the last `max` runs over many tenants, newest first.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    pub fn runs(&self, max: usize) -> Result<Vec<Run>, FleetError> {
        Ok(self.catalog.runs(max)?)
    }
}

//! [`Fleet`]: the operations on many tenants.

use std::fmt;

use tenancy_core::{TenantId, TenantStatus, WriteError};

use crate::driver::FleetDriver;
use crate::error::{FleetError, TenantError};
use crate::jobs::Jobs;
use crate::journal::RunJournal;
use crate::options::FleetOptions;
use crate::report::Skipped;
use crate::schema::{KnownSchema, Selection};

/// The tenants of a catalog together with the driver of their databases. The methods are the
/// operations on many tenants.
///
/// ```
/// use tenancy_fleet::{Fleet, FleetDriver, FleetError, FleetOptions, RunJournal};
///
/// fn release(fleet: &Fleet<impl FleetDriver, impl RunJournal>) -> Result<bool, FleetError> {
///     let options = FleetOptions::new().canary(5).max_failures(10);
///     let report = fleet.migrate(&options, |at| eprintln!("{} of {}", at.done, at.total))?;
///     for failed in &report.failed {
///         eprintln!("{}: {}", failed.tenant, failed.error);
///     }
///     // A call that stopped, failed or was killed is resumed by the same call.
///     Ok(report.is_complete())
/// }
/// ```
#[derive(Clone)]
pub struct Fleet<D, C> {
    pub(crate) driver: D,
    pub(crate) catalog: C,
}

impl<D: FleetDriver, C: RunJournal> Fleet<D, C> {
    /// Returns the fleet of the tenants that `catalog` lists and `driver` stores.
    pub fn new(driver: D, catalog: C) -> Self {
        Self { driver, catalog }
    }

    /// Returns the driver of the tenants' databases.
    pub fn driver(&self) -> &D {
        &self.driver
    }

    /// Returns the catalog that lists the tenants.
    pub fn catalog(&self) -> &C {
        &self.catalog
    }

    /// Checks the number of jobs, and that the tenants to skip exist.
    pub(crate) fn check_options(&self, options: &FleetOptions) -> Result<(), FleetError> {
        Jobs::new(options.jobs)?;
        self.named(&options.skip)?;
        Ok(())
    }

    /// Returns the tenants with these ids, sorted by id.
    pub(crate) fn named(&self, ids: &[TenantId]) -> Result<Vec<KnownSchema>, FleetError> {
        let mut ids: Vec<_> = ids.iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let known = self.catalog.known_schema(id)?;
            found.push(known.ok_or_else(|| WriteError::Unknown { id: id.clone() })?);
        }
        Ok(found)
    }

    /// Returns the tenants that the options name. If they name none, returns all.
    pub(crate) fn named_or_all(
        &self,
        options: &FleetOptions,
    ) -> Result<Vec<KnownSchema>, FleetError> {
        match &options.only {
            Some(ids) => self.named(ids),
            None => Ok(self.catalog.known_schemas(Selection::All)?),
        }
    }

    /// Reads the schema version of each database. A version that cannot be read becomes unknown; its
    /// error is reported when the run works on the tenant. Returns `None` if the stop was requested
    /// meanwhile.
    pub(crate) fn survey(&self, chosen: &mut [KnownSchema], options: &FleetOptions) -> Option<()> {
        let proceed = || !options.stop.is_requested();
        let read = |known: &KnownSchema| self.driver.schema_of(&known.tenant);
        let versions = Jobs::clamped(options.jobs).answers(chosen, proceed, read);
        for (known, version) in chosen.iter_mut().zip(versions) {
            known.schema = version?.ok();
        }
        Some(())
    }

    /// Returns the schema version of a tenant's database that the survey read.
    pub(crate) fn surveyed(&self, known: &KnownSchema) -> Result<u32, TenantError> {
        match known.schema {
            Some(version) => Ok(version),
            None => {
                self.driver.schema_of(&known.tenant)?;
                let tenant = known.tenant.to_ref();
                Err(TenantError::NotSurveyed { tenant })
            }
        }
    }
}

impl<D: fmt::Debug, C> fmt::Debug for Fleet<D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fleet").field(&self.driver).finish()
    }
}

/// The tenants to work on, and the skipped tenants.
pub(crate) type Split = (Vec<KnownSchema>, Vec<(KnownSchema, Skipped)>);

/// Separates the tenants to work on from the skipped tenants.
pub(crate) fn split(chosen: Vec<KnownSchema>, options: &FleetOptions) -> Split {
    let (mut kept, mut skipped) = (Vec::new(), Vec::new());
    for known in chosen {
        match known.tenant.status() {
            _ if options.skip.contains(known.tenant.id()) => {
                skipped.push((known, Skipped::Requested));
            }
            status if is_owned_by_another_operation(status) => {
                skipped.push((known, Skipped::Status(status)));
            }
            _ => kept.push(known),
        }
    }
    (kept, skipped)
}

/// Returns whether the status of a tenant is `provisioning` or `retiring`.
pub(crate) fn is_owned_by_another_operation(status: TenantStatus) -> bool {
    matches!(status, TenantStatus::Provisioning | TenantStatus::Retiring)
}

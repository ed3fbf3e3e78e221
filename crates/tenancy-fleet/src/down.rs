//! The rollback of one tenant, by scripts or by a snapshot.

use tenancy_core::{SchemaTarget, Tenant};

use crate::cutover::Cutover;
use crate::driver::{FleetDriver, Keep, SchemaStep, Snapshot};
use crate::error::TenantError;
use crate::fleet::Fleet;
use crate::journal::RunJournal;
use crate::options::FleetOptions;
use crate::run::Done;
use crate::schema::KnownSchema;

impl<D: FleetDriver, C: RunJournal> Fleet<D, C> {
    /// Rolls back one tenant to the schema version `to`, if its version is higher.
    pub(crate) fn roll_back_one(
        &self,
        known: &KnownSchema,
        to: u32,
        run: u64,
        options: &FleetOptions,
    ) -> Result<Done, TenantError> {
        let tenant = &known.tenant;
        let from = self.surveyed(known)?;
        let done = |tenant: Tenant, from, to, restored| Done {
            tenant,
            from,
            to,
            schema: Some(to),
            restored,
        };
        self.driver.settle(tenant);
        if from <= to {
            return Ok(done(tenant.clone(), from, from, false));
        }
        match self.way_down(tenant, (from, to), options)? {
            None => {
                let target = SchemaTarget::Version(to);
                let keep = match options.keeps_snapshots {
                    true => Keep::ForRun(run),
                    false => Keep::Nothing,
                };
                let migrated = self.driver.migrate_from(tenant, from, target, keep)?;
                Ok(done(tenant.clone(), migrated.from, to, false))
            }
            // The driver keeps the old database.
            Some(snapshot) => {
                let cutover = Cutover::new(&self.catalog, tenant, (from, to), &options.by)?;
                let next = self.driver.restore(&snapshot, &cutover)?;
                Ok(done(next, from, to, true))
            }
        }
    }

    /// Returns the snapshot to restore, or `None` if every step has a down script.
    pub(crate) fn way_down(
        &self,
        tenant: &Tenant,
        (from, to): (u32, u32),
        options: &FleetOptions,
    ) -> Result<Option<Snapshot>, TenantError> {
        let newest = self.driver.newest_schema();
        match self.irreversible((from, to)) {
            _ if from > newest => Err(TenantError::TooNew {
                found: from,
                newest,
            }),
            None => Ok(None),
            Some((version, _)) if options.restores_snapshots => {
                self.snapshot_for(tenant, version, to).map(Some)
            }
            Some((version, step)) => {
                let name = step.map_or_else(Box::default, |step| step.name);
                Err(TenantError::Irreversible { version, name })
            }
        }
    }

    /// Returns the last step between two versions that has no down script, with the version after it.
    /// An unknown step has no script.
    fn irreversible(&self, (from, to): (u32, u32)) -> Option<(u32, Option<SchemaStep>)> {
        let steps = (to.saturating_add(1)..=from).rev();
        let mut steps = steps.map(|version| (version, self.driver.step(version)));
        steps.find(|(_, step)| step.as_ref().is_none_or(|step| step.down.is_none()))
    }

    /// Returns the latest snapshot that can be migrated to `to`, up or by down scripts.
    fn snapshot_for(
        &self,
        tenant: &Tenant,
        version: u32,
        to: u32,
    ) -> Result<Snapshot, TenantError> {
        let snapshots = self.driver.snapshots_of(tenant)?;
        let leads = |of: &Snapshot| self.irreversible((of.schema, to)).is_none();
        let snapshot = snapshots.into_iter().rfind(leads);
        snapshot.ok_or_else(|| TenantError::NoSnapshot {
            tenant: tenant.to_ref(),
            version,
            to,
        })
    }
}

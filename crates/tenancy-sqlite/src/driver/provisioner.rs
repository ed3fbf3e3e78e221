//! The driver as a [`Provisioner`].

use std::time::Duration;

use tenancy_core::{
    Migrated, Placement, ProvisionError, Provisioned, Provisioner, SchemaTarget, Tenant, TenantId,
};
use tenancy_fleet::Keep;

use crate::disk::place::Place;
use crate::driver::SqliteDriver;
use crate::error::{FileError, MigrateError};

/// The number of files that [`SqliteDriver::provision_many`] makes durable at once.
pub(crate) const BATCH: usize = 100;

impl Provisioner for SqliteDriver {
    fn place(&self, id: &TenantId) -> Result<Placement, ProvisionError> {
        Place::draw().map_err(|error| {
            let nowhere = Tenant::builder(id.clone()).build();
            let nowhere = nowhere.expect("a tenant without attributes keeps their bounds");
            ProvisionError::new(&nowhere, "placed", error)
        })
    }

    fn provision(&self, tenant: &Tenant) -> Result<Provisioned, ProvisionError> {
        let made = self.store.provision(tenant);
        made.map_err(|error| ProvisionError::new(tenant, "made", error))
    }

    /// Creates the files in batches of a hundred, with one fsync for each batch.
    fn provision_many(&self, tenants: &[Tenant]) -> Vec<Result<Provisioned, ProvisionError>> {
        let batch = |tenants: &[Tenant]| match tenants {
            [one] => vec![self.store.provision(one)],
            several => self.store.provision_batch(several),
        };
        let made = tenants.chunks(BATCH).flat_map(batch);
        let named = |(tenant, made): (&Tenant, Result<_, FileError>)| {
            made.map_err(|error| ProvisionError::new(tenant, "made", error))
        };
        tenants.iter().zip(made).map(named).collect()
    }

    fn migrate(&self, tenant: &Tenant, target: SchemaTarget) -> Result<Migrated, ProvisionError> {
        let migrated = self.store.migrate(tenant, target, Keep::IfIrreversible);
        migrated.map_err(|error| ProvisionError::new(tenant, "migrated", error))
    }

    fn seed(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let seeded = self.store.seed(tenant);
        seeded
            .map(drop)
            .map_err(|error| ProvisionError::new(tenant, "seeded", error))
    }

    fn storage_id(&self) -> Option<Box<str>> {
        Some(self.store.root.id().into())
    }

    /// Refuses a file that was migrated by other scripts. Accepts a file that cannot be opened.
    fn check_history(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        match self.store.check_history(tenant) {
            Err(error @ FileError::Migrate(MigrateError::Diverged { .. })) => {
                let step = "taken for an example of the schema";
                Err(ProvisionError::new(tenant, step, error))
            }
            _ => Ok(()),
        }
    }

    fn schema(&self) -> Option<u32> {
        Some(self.migrations().newest())
    }

    fn fingerprint(&self) -> Option<Box<str>> {
        Some(self.store.fingerprint.clone())
    }

    fn exists(&self, tenant: &Tenant) -> Result<bool, ProvisionError> {
        let there = self.store.exists(tenant);
        there.map_err(|error| ProvisionError::new(tenant, "found", error))
    }

    fn retire(&self, tenant: &Tenant, timeout: Duration) -> Result<(), ProvisionError> {
        let retired = self.store.retire(tenant, timeout);
        retired.map_err(|error| ProvisionError::new(tenant, "retired", error))
    }

    /// Moves the file with its sidecars to quarantine if it is damaged or another tenant's, and to
    /// the trash otherwise. Snapshots and files of earlier incarnations stay in their places.
    fn set_aside(
        &self,
        tenant: &Tenant,
        timeout: Duration,
    ) -> Result<Option<Box<str>>, ProvisionError> {
        let set_aside = self.store.set_aside(tenant, timeout);
        let path = set_aside.map_err(|error| ProvisionError::new(tenant, "set aside", error))?;
        Ok(path.map(|path| path.to_string_lossy().into()))
    }

    fn revive(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let revived = self.store.revive(tenant);
        revived.map_err(|error| ProvisionError::new(tenant, "revived", error))
    }

    fn destroy(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let removed = self.store.destroy(tenant);
        let removed = removed.and_then(|()| self.store.remove_snapshots(tenant));
        removed.map_err(|error| ProvisionError::new(tenant, "removed", error))
    }
}

//! How a file is made, from the template; the driver as a [`Provisioner`].

use std::path::Path;
use std::time::Duration;

use tenancy_core::{
    Migrated, Placement, ProvisionError, Provisioned, Provisioner, SchemaTarget, Tenant, TenantId,
};

use crate::driver::{Shared, SqliteDriver};
use crate::error::{FileError, IoError, OpenError};
use crate::manager::{open, open_to_migrate};
use crate::migrate;
use crate::root::{Found, Place, look};

/// How many files [`SqliteDriver::provision_many`] makes durable at once.
const BATCH: usize = 100;

impl Provisioner for SqliteDriver {
    fn place(&self, id: &TenantId) -> Result<Placement, ProvisionError> {
        Place::draw().map_err(|error| {
            let nowhere = Tenant::builder(id.clone()).build();
            let nowhere = nowhere.expect("a tenant without attributes keeps their bounds");
            ProvisionError::new(&nowhere, "placed", error)
        })
    }

    fn provision(&self, tenant: &Tenant) -> Result<Provisioned, ProvisionError> {
        let made = self.shared.provision(tenant);
        made.map_err(|error| ProvisionError::new(tenant, "made", error))
    }

    fn migrate(&self, tenant: &Tenant, target: SchemaTarget) -> Result<Migrated, ProvisionError> {
        let migrated = self.shared.migrate(tenant, target);
        migrated.map_err(|error| ProvisionError::new(tenant, "migrated", error))
    }

    fn schema(&self) -> Option<u32> {
        Some(self.migrations().newest())
    }

    fn exists(&self, tenant: &Tenant) -> Result<bool, ProvisionError> {
        let there = self.shared.exists(tenant);
        there.map_err(|error| ProvisionError::new(tenant, "found", error))
    }

    fn retire(&self, tenant: &Tenant, timeout: Duration) -> Result<(), ProvisionError> {
        let retired = self.shared.retire(tenant, timeout);
        retired.map_err(|error| ProvisionError::new(tenant, "retired", error))
    }

    fn revive(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let revived = self.shared.revive(tenant);
        revived.map_err(|error| ProvisionError::new(tenant, "revived", error))
    }

    fn destroy(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let removed = self.shared.destroy(tenant);
        removed.map_err(|error| ProvisionError::new(tenant, "removed", error))
    }
}

impl SqliteDriver {
    /// Provisions many tenants with two waits for the disk a hundred of them, instead
    /// of two each. What it says of each stands in the order of `tenants`.
    ///
    /// # Errors
    /// As [`Provisioner::provision`], with the tenant that it failed for. Those before
    /// it may be made; the call may be repeated.
    pub fn provision_many(&self, tenants: &[Tenant]) -> Result<Vec<Provisioned>, ProvisionError> {
        let mut all = Vec::with_capacity(tenants.len());
        for batch in tenants.chunks(BATCH) {
            all.extend(self.shared.provision_batch(batch)?);
        }
        Ok(all)
    }
}

impl Shared {
    fn provision(&self, tenant: &Tenant) -> Result<Provisioned, FileError> {
        let place = Place::of(tenant)?;
        let path = self.root.file(&place);
        if self.is_whole(tenant, &path)? {
            // It may be there since a crash that came before its directory was synced.
            self.root.lock_dir(&place)?.sync()?;
            return Ok(Provisioned::AlreadyThere);
        }
        let bytes = self.bytes(tenant, &path)?;
        self.step("stage")?;
        let staged = self.root.stage(&place, &bytes)?;
        self.step("sync the staged file")?;
        staged.sync()?;
        self.step("put in place")?;
        let dir = self.root.lock_dir(&place)?;
        if self.is_whole(tenant, &path)? {
            // Another process was faster; its file may be in use already.
            return Ok(Provisioned::AlreadyThere);
        }
        dir.put(staged, &path)?;
        self.step("sync the directory")?;
        dir.sync()?;
        Ok(Provisioned::Made)
    }

    /// The same for a batch, with one wait for the disk before all are put in place
    /// and one after.
    fn provision_batch(&self, tenants: &[Tenant]) -> Result<Vec<Provisioned>, ProvisionError> {
        let failed = |tenant: &Tenant, error: FileError| ProvisionError::new(tenant, "made", error);
        let mut staged = Vec::new();
        for tenant in tenants {
            let stage = || -> Result<_, FileError> {
                let place = Place::of(tenant)?;
                let path = self.root.file(&place);
                if self.is_whole(tenant, &path)? {
                    return Ok(None);
                }
                let bytes = self.bytes(tenant, &path)?;
                self.step("stage")?;
                Ok(Some((self.root.stage(&place, &bytes)?, place, path)))
            };
            staged.push(stage().map_err(|e| failed(tenant, e))?);
        }
        let Some(first) = tenants.first() else {
            return Ok(Vec::new());
        };
        let sync = |name| -> Result<(), FileError> {
            self.step(name)?;
            Ok(self.root.sync_all()?)
        };
        if staged.iter().any(Option::is_some) {
            sync("sync the staged batch").map_err(|e| failed(first, e))?;
        }
        let mut all = Vec::with_capacity(tenants.len());
        for (tenant, staged) in tenants.iter().zip(staged) {
            let put = || -> Result<_, FileError> {
                let Some((staged, place, path)) = staged else {
                    return Ok(Provisioned::AlreadyThere);
                };
                self.step("put in place")?;
                let dir = self.root.lock_dir(&place)?;
                if self.is_whole(tenant, &path)? {
                    return Ok(Provisioned::AlreadyThere);
                }
                dir.put(staged, &path)?;
                Ok(Provisioned::Made)
            };
            all.push(put().map_err(|e| failed(tenant, e))?);
        }
        sync("sync the directories").map_err(|e| failed(first, e))?;
        Ok(all)
    }

    fn bytes(&self, tenant: &Tenant, path: &Path) -> Result<Vec<u8>, FileError> {
        let bytes = self.template()?.stamped(tenant);
        bytes.map_err(|source| sqlite(path, source))
    }

    /// Is the tenant's own, whole file there? What stands there instead is an error,
    /// and is not touched.
    fn is_whole(&self, tenant: &Tenant, path: &Path) -> Result<bool, FileError> {
        match look(path).map_err(IoError::at(path, "looked at"))? {
            Found::Nothing => Ok(false),
            // A link or a directory comes back as the error that it is.
            Found::File | Found::Other(_) => Ok(open(self, tenant).map(|_| true)?),
        }
    }

    pub(crate) fn migrate(
        &self,
        tenant: &Tenant,
        target: SchemaTarget,
    ) -> Result<Migrated, FileError> {
        let (connection, guard) = open_to_migrate(self, tenant)?;
        let on_step = |name| self.step(name);
        Ok(migrate::run(
            &connection,
            &guard,
            &self.migrations,
            target,
            &on_step,
        )?)
    }

    /// The schema version of a tenant's file.
    pub(crate) fn schema_of(&self, tenant: &Tenant) -> Result<u32, FileError> {
        let (_, _, schema) = open(self, tenant)?;
        Ok(schema)
    }

    fn exists(&self, tenant: &Tenant) -> Result<bool, FileError> {
        let path = self.root.file(&Place::of(tenant)?);
        match look(&path).map_err(IoError::at(&path, "looked at"))? {
            Found::Nothing => Ok(false),
            Found::File => Ok(true),
            Found::Other(found) => Err(FileError::Open(OpenError::NotAFile {
                tenant: tenant.to_ref(),
                path,
                found,
            })),
        }
    }
}

pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> FileError {
    FileError::Sqlite {
        path: path.to_owned(),
        source,
    }
}

//! How a file is made, from the template; the driver as a [`Provisioner`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use tenancy_core::{
    Migrated, Placement, ProvisionError, Provisioned, Provisioner, SchemaTarget, Tenant, TenantId,
};
use tenancy_fleet::Keep;

use crate::disk::place::Place;
use crate::disk::root::{Found, look};
use crate::disk::staging::Staged;
use crate::driver::manager::open;
use crate::driver::{Shared, SqliteDriver};
use crate::error::{FileError, IoError, MigrateError, OpenError};

/// How many files [`SqliteDriver::provision_many`] makes durable at once.
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
        let made = self.shared.provision(tenant);
        made.map_err(|error| ProvisionError::new(tenant, "made", error))
    }

    /// With one wait for the disk a hundred of them.
    fn provision_many(&self, tenants: &[Tenant]) -> Vec<Result<Provisioned, ProvisionError>> {
        let batch = |tenants: &[Tenant]| match tenants {
            [one] => vec![self.shared.provision(one)],
            several => self.shared.provision_batch(several),
        };
        let made = tenants.chunks(BATCH).flat_map(batch);
        let named = |(tenant, made): (&Tenant, Result<_, FileError>)| {
            made.map_err(|error| ProvisionError::new(tenant, "made", error))
        };
        tenants.iter().zip(made).map(named).collect()
    }

    fn migrate(&self, tenant: &Tenant, target: SchemaTarget) -> Result<Migrated, ProvisionError> {
        let migrated = self.shared.migrate(tenant, target, Keep::IfIrreversible);
        migrated.map_err(|error| ProvisionError::new(tenant, "migrated", error))
    }

    fn seed(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let seeded = self.shared.seed(tenant);
        seeded
            .map(drop)
            .map_err(|error| ProvisionError::new(tenant, "seeded", error))
    }

    fn storage_id(&self) -> Option<Box<str>> {
        Some(self.shared.root.id().into())
    }

    /// A file that cannot be opened tells of no difference.
    fn check_history(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        match self.shared.check_history(tenant) {
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
        Some(self.shared.fingerprint.clone())
    }

    fn exists(&self, tenant: &Tenant) -> Result<bool, ProvisionError> {
        let there = self.shared.exists(tenant);
        there.map_err(|error| ProvisionError::new(tenant, "found", error))
    }

    fn retire(&self, tenant: &Tenant, timeout: Duration) -> Result<(), ProvisionError> {
        let retired = self.shared.retire(tenant, timeout);
        retired.map_err(|error| ProvisionError::new(tenant, "retired", error))
    }

    /// Moves a file that is damaged or another's to the quarantine, with its sidecars. Copies
    /// and files of earlier incarnations stay where they are.
    fn set_aside(
        &self,
        tenant: &Tenant,
        timeout: Duration,
    ) -> Result<Option<Box<str>>, ProvisionError> {
        let set_aside = self.shared.set_aside(tenant, timeout);
        let path = set_aside.map_err(|error| ProvisionError::new(tenant, "set aside", error))?;
        Ok(path.map(|path| path.to_string_lossy().into()))
    }

    fn revive(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let revived = self.shared.revive(tenant);
        revived.map_err(|error| ProvisionError::new(tenant, "revived", error))
    }

    fn destroy(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let removed = self.shared.destroy(tenant);
        let removed = removed.and_then(|()| self.shared.remove_copies(tenant));
        removed.map_err(|error| ProvisionError::new(tenant, "removed", error))
    }
}

/// A file that waits in staging for its place.
struct New {
    place: Place,
    path: PathBuf,
    file: Staged,
}

impl Shared {
    fn provision(&self, tenant: &Tenant) -> Result<Provisioned, FileError> {
        let Some(staged) = self.stage(tenant)? else {
            // It may be there since a crash that came before its directory was synced.
            self.root.lock_dir(&Place::of(tenant)?)?.sync()?;
            return Ok(Provisioned::AlreadyThere);
        };
        self.step("sync the staged file")?;
        self.root.sync_staged(&staged.file)?;
        let place = staged.place.clone();
        let made = self.put(tenant, staged)?;
        self.clear_staged(&[place])?;
        Ok(made)
    }

    /// The same for a batch, with one wait for the disk before all are put in place.
    pub(crate) fn provision_batch(
        &self,
        tenants: &[Tenant],
    ) -> Vec<Result<Provisioned, FileError>> {
        let stage = |tenant| {
            let staged = self.stage(tenant);
            staged.inspect(|new| new.iter().for_each(|new| new.file.begin()))
        };
        let staged: Vec<_> = tenants.iter().map(stage).collect();
        let places = staged.iter().flatten().flatten();
        let places: Vec<_> = places.map(|new| new.place.clone()).collect();
        let synced = self.sync_batch();
        let put = |(tenant, staged): (_, Result<Option<New>, FileError>)| {
            let staged = staged?;
            synced.as_ref().map_err(IoError::again)?;
            staged.map_or(Ok(Provisioned::AlreadyThere), |new| self.put(tenant, new))
        };
        let mut made: Vec<_> = tenants.iter().zip(staged).map(put).collect();
        if let Err(error) = self.clear_staged(&places) {
            let fail = |made: &mut Result<_, FileError>| *made = Err(error.again().into());
            made.iter_mut().filter(|made| made.is_ok()).for_each(fail);
        }
        made
    }

    fn clear_staged(&self, places: &[Place]) -> Result<(), IoError> {
        self.step("clear what others staged")?;
        self.root.clear_staged(&places.iter().collect())
    }

    /// Makes all that is below the root durable, files that were there already too.
    fn sync_batch(&self) -> Result<(), IoError> {
        self.step("sync the staged batch")?;
        self.root.sync_all()
    }

    /// Writes the tenant's file into staging, unless it is in place already.
    fn stage(&self, tenant: &Tenant) -> Result<Option<New>, FileError> {
        let place = Place::of(tenant)?;
        let path = self.root.file(&place);
        if self.is_whole(tenant, &path)? {
            return Ok(None);
        }
        let image = self.template()?.stamped(tenant);
        let image = image.map_err(|source| sqlite(&path, source))?;
        self.step("stage")?;
        let file = self.root.stage(&place, &image)?;
        Ok(Some(New { place, path, file }))
    }

    /// Puts a staged, durable file in place. The rename is not waited for: see
    /// [`staging`](crate::disk::staging).
    fn put(&self, tenant: &Tenant, new: New) -> Result<Provisioned, FileError> {
        self.step("put in place")?;
        let dir = self.root.lock_dir(&new.place)?;
        if self.is_whole(tenant, &new.path)? {
            // Another process was faster; its file may be in use already.
            return Ok(Provisioned::AlreadyThere);
        }
        dir.put(new.file, &new.path)?;
        Ok(Provisioned::Made)
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

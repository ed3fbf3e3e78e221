//! How a file is made, from the template; the driver as a [`Provisioner`].

use std::path::{Path, PathBuf};

use tenancy_core::{Provisioned, Tenant};

use crate::disk::files::{Entry, look};
use crate::disk::place::Place;
use crate::disk::staging::Staged;
use crate::error::{FileError, IoError, OpenError, sqlite};
use crate::ops::open::open;
use crate::store::Store;

/// A file that waits in staging for its place.
struct New {
    place: Place,
    path: PathBuf,
    file: Staged,
}

impl Store {
    pub(crate) fn provision(&self, tenant: &Tenant) -> Result<Provisioned, FileError> {
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
        dir.move_into_place(new.file, &new.path)?;
        Ok(Provisioned::Made)
    }

    /// Is the tenant's own, whole file there? What stands there instead is an error,
    /// and is not touched.
    fn is_whole(&self, tenant: &Tenant, path: &Path) -> Result<bool, FileError> {
        match look(path).map_err(IoError::at(path, "looked at"))? {
            Entry::Missing => Ok(false),
            // A link or a directory comes back as the error that it is.
            Entry::File | Entry::Other(_) => Ok(open(self, tenant).map(|_| true)?),
        }
    }

    pub(crate) fn exists(&self, tenant: &Tenant) -> Result<bool, FileError> {
        let path = self.root.file(&Place::of(tenant)?);
        match look(&path).map_err(IoError::at(&path, "looked at"))? {
            Entry::Missing => Ok(false),
            Entry::File => Ok(true),
            Entry::Other(found) => Err(FileError::Open(OpenError::NotAFile {
                tenant: tenant.to_ref(),
                path,
                found,
            })),
        }
    }
}

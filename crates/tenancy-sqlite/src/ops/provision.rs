//! Provisioning: the creation of a tenant's file from the template.

use std::path::{Path, PathBuf};

use tenancy_core::{Provisioned, Tenant};

use crate::disk::files::{Entry, look};
use crate::disk::place::Place;
use crate::disk::staging::Staged;
use crate::error::{FileError, IoError, OpenError, sqlite};
use crate::ops::open::open;
use crate::store::Store;

/// A new file in staging, with its place.
struct StagedFile {
    place: Place,
    path: PathBuf,
    file: Staged,
}

impl Store {
    /// Creates a tenant's file, unless the file exists.
    pub(crate) fn provision(&self, tenant: &Tenant) -> Result<Provisioned, FileError> {
        let Some(staged) = self.stage(tenant)? else {
            // An earlier call may have crashed before the fsync of the directory.
            self.root.lock_dir(&Place::of(tenant)?)?.sync()?;
            return Ok(Provisioned::AlreadyThere);
        };
        self.step("sync the staged file")?;
        self.root.sync_staged(&staged.file)?;
        let place = staged.place.clone();
        let made = self.move_into_place(tenant, staged)?;
        self.clear_staged(&[place])?;
        Ok(made)
    }

    /// Creates the files of a batch, with one fsync for all of them.
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
        let place = |(tenant, staged): (_, Result<Option<StagedFile>, FileError>)| {
            let staged = staged?;
            synced.as_ref().map_err(IoError::duplicate)?;
            staged.map_or(Ok(Provisioned::AlreadyThere), |new| {
                self.move_into_place(tenant, new)
            })
        };
        let mut made: Vec<_> = tenants.iter().zip(staged).map(place).collect();
        if let Err(error) = self.clear_staged(&places) {
            let fail = |made: &mut Result<_, FileError>| *made = Err(error.duplicate().into());
            made.iter_mut().filter(|made| made.is_ok()).for_each(fail);
        }
        made
    }

    fn clear_staged(&self, places: &[Place]) -> Result<(), IoError> {
        self.step("clear what others staged")?;
        self.root.clear_staged(&places.iter().collect())
    }

    /// Makes all files on the root's file system durable, existing files included.
    fn sync_batch(&self) -> Result<(), IoError> {
        self.step("sync the staged batch")?;
        self.root.sync_all()
    }

    /// Writes the tenant's file into staging. Returns `None` if the file is already in place.
    fn stage(&self, tenant: &Tenant) -> Result<Option<StagedFile>, FileError> {
        let place = Place::of(tenant)?;
        let path = self.root.file(&place);
        if self.is_whole(tenant, &path)? {
            return Ok(None);
        }
        let image = self.template()?.stamped(tenant);
        let image = image.map_err(|source| sqlite(&path, source))?;
        self.step("stage")?;
        let file = self.root.stage(&place, &image)?;
        Ok(Some(StagedFile { place, path, file }))
    }

    /// Moves a staged, durable file into place. The rename is not synced: see
    /// [`staging`](crate::disk::staging).
    fn move_into_place(&self, tenant: &Tenant, new: StagedFile) -> Result<Provisioned, FileError> {
        self.step("put in place")?;
        let dir = self.root.lock_dir(&new.place)?;
        if self.is_whole(tenant, &new.path)? {
            // Another process has created the file first, and it may be in use.
            return Ok(Provisioned::AlreadyThere);
        }
        dir.move_into_place(new.file, &new.path)?;
        Ok(Provisioned::Made)
    }

    /// Returns whether the tenant's own, whole file is in place. Returns an error for another entry
    /// in its place, which stays unchanged.
    fn is_whole(&self, tenant: &Tenant, path: &Path) -> Result<bool, FileError> {
        match look(path).map_err(IoError::at(path, "looked at"))? {
            Entry::Missing => Ok(false),
            // The open returns the error for a link or a directory.
            Entry::File | Entry::Other(_) => Ok(open(self, tenant).map(|_| true)?),
        }
    }

    /// Returns whether the tenant's place has a file, without opening the file.
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

//! The trash: the files of retired tenants and of earlier incarnations, until they are removed.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tenancy_core::Epoch;

use crate::disk::files::{remove_file, remove_sidecars, sync_dir};
use crate::disk::locks::DirLock;
use crate::disk::place::Place;
use crate::disk::root::Root;
use crate::error::IoError;

/// A file in the trash: `<32 hex>.<epoch>.<seconds since 1970>.db`. The time is part of the name,
/// because not every copy of a file keeps the file's times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trashed {
    pub(crate) path: PathBuf,
    pub(crate) place: Place,
    /// The time of the retirement, in seconds since 1970.
    pub(crate) at: u64,
}

impl Trashed {
    /// Parses the path of a file in the trash. Returns `None` for other names.
    pub(crate) fn parse(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (name, at) = name.strip_suffix(".db")?.rsplit_once('.')?;
        let (locator, epoch) = name.rsplit_once('.')?;
        let place = Place::parse(locator, Epoch::new(epoch.parse().ok()?)?)?;
        let at = at.parse().ok()?;
        Some(Self { path, place, at })
    }
}

impl Root {
    pub(crate) fn trash(&self) -> PathBuf {
        self.path().join("trash")
    }

    /// Returns all files in the trash.
    pub(crate) fn trashed(&self) -> Result<Vec<Trashed>, IoError> {
        let dir = self.trash();
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(IoError::at(&dir, "listed"))? {
            let path = entry.map_err(IoError::at(&dir, "listed"))?.path();
            found.extend(Trashed::parse(path));
        }
        Ok(found)
    }

    /// Returns the file of a place, if it is in the trash.
    pub(crate) fn find_trashed(&self, place: &Place) -> Result<Option<Trashed>, IoError> {
        let mut all = self.trashed()?.into_iter();
        Ok(all.find(|trashed| trashed.place == *place))
    }

    /// Returns the places of all files in the trash.
    pub(crate) fn places_in_trash(&self) -> Result<HashSet<Place>, IoError> {
        let all = self.trashed()?.into_iter();
        Ok(all.map(|trashed| trashed.place).collect())
    }

    /// Makes the entries of the trash durable.
    pub(crate) fn sync_trash(&self) -> Result<(), IoError> {
        sync_dir(&self.trash())
    }

    /// Removes a file from the trash, its sidecars first.
    pub(crate) fn remove_trashed(&self, trashed: &Trashed) -> Result<(), IoError> {
        remove_file(&trashed.path)?;
        self.sync_trash()
    }
}

impl DirLock {
    /// Moves a closed file to the trash.
    pub(crate) fn move_to_trash(
        &self,
        root: &Root,
        place: &Place,
        path: &Path,
    ) -> Result<(), IoError> {
        let name = format!("{}.{}.{}.db", place.locator, place.epoch, now());
        // The file is not in WAL mode any more, so its sidecars hold no data.
        remove_sidecars(path)?;
        fs::rename(path, root.trash().join(name)).map_err(IoError::at(path, "moved to the trash"))
    }

    /// Moves a file from the trash to its place, which has to be free.
    pub(crate) fn restore(&self, trashed: &Trashed, path: &Path) -> Result<(), IoError> {
        remove_sidecars(path)?;
        fs::rename(&trashed.path, path).map_err(IoError::at(path, "moved back"))
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

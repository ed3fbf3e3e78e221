//! Staging: the directory in which a new file is written and made durable, before it is renamed
//! into place.
//!
//! The rename is not synced. After a power cut the file has either its old or its new name. If it
//! has the old one, the next process that is alone on the root moves it into place. The name of a
//! staged file contains a checksum of its bytes, by which a whole file is recognised. So a creation
//! needs one fsync instead of two. Two attempts may stage files for one place; the attempt that
//! completes removes the file of the other.

use std::collections::HashSet;
use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tenancy_core::Epoch;

use crate::disk::files::{Entry, look, remove_if_there, remove_sidecars, sync_dir};
use crate::disk::hex::random_hex;
use crate::disk::image::{Image, sum};
use crate::disk::locks::DirLock;
use crate::disk::owner::create_new;
use crate::disk::place::Place;
use crate::disk::root::Root;
use crate::error::IoError;

impl Root {
    /// Returns the directory of staged files.
    pub(crate) fn staging(&self) -> PathBuf {
        self.path().join("staging")
    }

    /// Writes a new file into staging, without an fsync.
    pub(crate) fn stage(&self, place: &Place, image: &Image<'_>) -> Result<Staged, IoError> {
        let (random, sum) = (random_hex::<8>()?, image.sum());
        let name = format!("{}.{random}.{sum:016x}.new", place.file_name());
        let path = self.staging().join(name);
        let file = create_new(&path)?;
        let mut staged = Staged { path, file };
        let written = image.write_to(&mut staged.file);
        written.map_err(IoError::at(&staged.path, "written"))?;
        Ok(staged)
    }

    /// Makes a staged file and its name durable. Not on every file system does the fsync of a file
    /// include its name.
    pub(crate) fn sync_staged(&self, staged: &Staged) -> Result<(), IoError> {
        let synced = staged.file.sync_all();
        synced.map_err(IoError::at(&staged.path, "synced"))?;
        match self.file_system.syncs_names {
            true => Ok(()),
            false => sync_dir(&self.staging()),
        }
    }

    /// Removes the files that other attempts staged for places that have a file now. Recovery would
    /// move such a file into place after the present one is removed.
    pub(crate) fn clear_staged(&self, places: &HashSet<&Place>) -> Result<(), IoError> {
        for (path, name) in self.staged()? {
            if places.contains(&name.place) {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// Moves whole staged files into free places, and removes the other staged files. The process
    /// has to be alone on the root.
    pub(crate) fn recover_staging(&self) -> Result<(), IoError> {
        let staged = self.staged()?;
        if !staged.is_empty() {
            // A killed process may have created directories without an fsync.
            sync_dir(&self.tenants())?;
        }
        for (path, name) in staged {
            let target = self.file(&name.place);
            let found = look(&target).map_err(IoError::at(&target, "looked at"))?;
            let is_gone = found == Entry::Missing && self.find_trashed(&name.place)?.is_none();
            // No process has the staged file open, as it was never in place.
            let bytes = fs::read(&path).map_err(IoError::at(&path, "read"))?;
            if is_gone && sum(&bytes) == name.sum {
                let _dir = self.lock_dir(&name.place)?;
                // A sidecar there was created after a rename of this file that a power cut undid.
                fs::rename(&path, &target).map_err(IoError::at(&target, "put in place"))?;
            } else {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// Lists the staged files of this library.
    fn staged(&self) -> Result<Vec<(PathBuf, StagedName)>, IoError> {
        let dir = self.staging();
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(IoError::at(&dir, "listed"))? {
            let entry = entry.map_err(IoError::at(&dir, "listed"))?;
            let plain = entry.file_type().is_ok_and(|kind| kind.is_file());
            let name = entry.file_name().to_str().and_then(StagedName::parse);
            found.extend(name.filter(|_| plain).map(|name| (entry.path(), name)));
        }
        Ok(found)
    }
}

impl DirLock {
    /// Moves a staged, durable file into its place, which has to be free.
    pub(crate) fn move_into_place(&self, staged: Staged, path: &Path) -> Result<(), IoError> {
        // If a file were replaced, its connections would still read and write the old one.
        let found = look(path).map_err(IoError::at(path, "looked at"))?;
        if found != Entry::Missing {
            let error = ErrorKind::AlreadyExists.into();
            return Err(IoError::new(path, "put in place", error));
        }
        remove_sidecars(path)?;
        fs::rename(&staged.path, path).map_err(IoError::at(path, "put in place"))?;
        staged.keep();
        Ok(())
    }
}

/// A file in staging, which is removed on drop unless it was moved into place.
pub(crate) struct Staged {
    path: PathBuf,
    file: File,
}

impl Staged {
    /// Starts to write the file to the disk, while other files of its batch are staged.
    #[cfg(target_os = "linux")]
    pub(crate) fn begin(&self) {
        // This is only advice; the fsync writes the rest.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn begin(&self) {}

    /// Keeps the drop from removing the file.
    fn keep(mut self) {
        self.path.clear();
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The name of a staged file, `<32 hex>.<epoch>.db.<16 hex>.<16 hex>.new`. Files with other names
/// are not staged files.
struct StagedName {
    place: Place,
    sum: u64,
}

impl StagedName {
    fn parse(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('.').collect();
        let [locator, epoch, "db", random, sum, "new"] = parts[..] else {
            return None;
        };
        let is_hex = |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let place = Place::parse(locator, Epoch::new(epoch.parse().ok()?)?)?;
        let sum = u64::from_str_radix(sum, 16).ok().filter(|_| is_hex(sum))?;
        is_hex(random).then_some(Self { place, sum })
    }
}

//! Staging: a new file is written and made durable here before it gets into place.
//!
//! The rename into place is not waited for. Whatever becomes durable first, a power
//! cut leaves the file under one of its two names, and the next process that is alone
//! puts a staged file in place that is whole: its name carries a sum of its bytes. So
//! a creation waits for the disk once instead of twice. A file that two attempts staged
//! has one place; who completes it clears away what the other left.

use std::collections::HashSet;
use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tenancy_core::Epoch;

use crate::disk::files::{Found, look, remove_if_there, remove_sidecars, sync_dir};
use crate::disk::hex::random_hex;
use crate::disk::image::{Image, sum};
use crate::disk::locks::DirLock;
use crate::disk::owner::create_new;
use crate::disk::place::Place;
use crate::disk::root::Root;
use crate::error::IoError;

impl Root {
    pub(crate) fn staging(&self) -> PathBuf {
        self.path().join("staging")
    }

    /// Writes a new file into staging, not yet durable.
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

    /// Makes a staged file durable, and its name, which a file's own sync does not
    /// promise everywhere.
    pub(crate) fn sync_staged(&self, staged: &Staged) -> Result<(), IoError> {
        let synced = staged.file.sync_all();
        synced.map_err(IoError::at(&staged.path, "synced"))?;
        match self.file_system.names_come_along {
            true => Ok(()),
            false => sync_dir(&self.staging()),
        }
    }

    /// Removes what other attempts staged for places that have their file by now: it
    /// must not come back when that file has gone.
    pub(crate) fn clear_staged(&self, places: &HashSet<&Place>) -> Result<(), IoError> {
        for (path, name) in self.staged()? {
            if places.contains(&name.place) {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// Puts what is whole in place, and removes the rest: for who is alone.
    pub(crate) fn recover_staging(&self) -> Result<(), IoError> {
        let staged = self.staged()?;
        if !staged.is_empty() {
            // Who was killed may have made directories and not have waited for them.
            sync_dir(&self.tenants())?;
        }
        for (path, name) in staged {
            let target = self.file(&name.place);
            let there = look(&target).map_err(IoError::at(&target, "looked at"))?;
            let gone = there == Found::Nothing && self.find_trashed(&name.place)?.is_none();
            // Nobody has it open: it never was a database.
            let bytes = fs::read(&path).map_err(IoError::at(&path, "read"))?;
            if gone && sum(&bytes) == name.sum {
                let _dir = self.lock_dir(&name.place)?;
                // What is beside the place was made after the rename that got lost.
                fs::rename(&path, &target).map_err(IoError::at(&target, "put in place"))?;
            } else {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// Everything in staging that is ours.
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
    /// Puts a staged, durable file in place, where none may be.
    pub(crate) fn move_into_place(&self, staged: Staged, path: &Path) -> Result<(), IoError> {
        // Who has the one that is there open would go on seeing it.
        let there = look(path).map_err(IoError::at(path, "looked at"))?;
        if there != Found::Nothing {
            let error = ErrorKind::AlreadyExists.into();
            return Err(IoError::new(path, "put in place", error));
        }
        remove_sidecars(path)?;
        fs::rename(&staged.path, path).map_err(IoError::at(path, "put in place"))?;
        staged.settle();
        Ok(())
    }
}

/// A file in staging; it is removed unless it was put in place.
pub(crate) struct Staged {
    path: PathBuf,
    file: File,
}

impl Staged {
    /// Lets the disk begin with it, while others are written that it is waited for with.
    #[cfg(target_os = "linux")]
    pub(crate) fn begin(&self) {
        // Only advice: what it does not do, the sync does.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn begin(&self) {}

    /// There is nothing to remove any more.
    fn settle(mut self) {
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

/// `<32 hex>.<epoch>.db.<16 hex>.<16 hex>.new`: nothing else in staging is ours.
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

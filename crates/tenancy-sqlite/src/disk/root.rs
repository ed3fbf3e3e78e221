//! [`Root`]: the storage root, with its paths and locks.

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use crate::disk::files::{Entry, look, sync_dir};
use crate::disk::flock::LOCK_TIMEOUT;
use crate::disk::locks::{DirLock, RootLock, SharedLock};
use crate::disk::marker::Marker;
use crate::disk::mounts::FileSystem;
use crate::disk::network::FileSystems;
use crate::disk::owner::{DIR_MODE, mkdir, open_dir, open_or_create};
use crate::disk::place::Place;
use crate::disk::{flock, network};
use crate::error::{IoError, StorageError};

/// A hook that is called before each named step.
pub(crate) type Step<'s> = &'s dyn Fn(&'static str) -> Result<(), IoError>;

/// An open storage root. Its path is canonical, and below it no path contains a link.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    path: PathBuf,
    id: Box<str>,
    pub(crate) file_system: FileSystem,
}

impl Root {
    /// Opens a root that [`create`](Self::create) or an older version of this library created.
    /// Roots of older versions have no marker: `unmarked` refuses any other directory without a
    /// marker, and returns the id that the catalog has recorded. Such a root gets a marker after
    /// `fill`, which runs under the root's lock.
    pub(crate) fn open<T, E: From<StorageError>>(
        path: &Path,
        allowed: FileSystems,
        step: Step<'_>,
        unmarked: impl FnOnce(&Path) -> Result<Option<Box<str>>, StorageError>,
        fill: impl FnOnce(&Self, &RootLock) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        refuse_old_sqlite()?;
        match look(path)
            .map_err(IoError::at(path, "looked at"))
            .map_err(StorageError::from)?
        {
            Entry::Missing => {
                let path = path.to_owned();
                return Err(StorageError::NoRoot { path }.into());
            }
            found => refuse_file(path, found)?,
        }
        let path = checked(path, allowed)?;
        let lock = RootLock::of(&path).map_err(StorageError::from)?;
        let marker = Marker::read(&path)?;
        let recorded = match marker {
            Some(_) => None,
            None => unmarked(&path)?,
        };
        Self::of(path, marker, recorded, lock, step, fill)
    }

    /// Creates a root. `fill` runs under the root's lock, before the root gets its marker.
    pub(crate) fn create<T, E: From<StorageError>>(
        path: &Path,
        allowed: FileSystems,
        step: Step<'_>,
        recorded: impl FnOnce(&Path) -> Result<Option<Box<str>>, StorageError>,
        fill: impl FnOnce(&Self, &RootLock) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        refuse_old_sqlite()?;
        make_root_dir(path)?;
        let path = checked(path, allowed)?;
        let lock = RootLock::of(&path).map_err(StorageError::from)?;
        // A root of an older version has no marker, but it has files.
        if Marker::read(&path)?.is_some() || holds_files(&path) {
            return Err(StorageError::RootExists { path }.into());
        }
        let recorded = recorded(&path)?;
        Self::of(path, None, recorded, lock, step, fill)
    }

    /// Creates the missing parts of a root: its directories, the results of `fill`, and last its
    /// marker. If the process is killed before the marker is in place, the directory is no root
    /// yet, and the next call completes it.
    fn of<T, E: From<StorageError>>(
        path: PathBuf,
        marker: Option<Marker>,
        recorded: Option<Box<str>>,
        lock: RootLock,
        step: Step<'_>,
        fill: impl FnOnce(&Self, &RootLock) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let is_marked = marker.is_some();
        let prepare = || {
            step("prepare the marker")?;
            Marker::prepare(&path, recorded)
        };
        let marker = match marker {
            Some(marker) => marker,
            None => prepare().map_err(StorageError::from)?,
        };
        make_dirs(&path)?;
        let root = Self {
            file_system: FileSystem::of(&path),
            id: marker.id,
            path,
        };
        if !is_marked {
            root.make_shards().map_err(StorageError::from)?;
        }
        let filled = fill(&root, &lock)?;
        let settle = || {
            step("put the marker in place")?;
            Marker::put_in_place(&root.path)
        };
        if !is_marked {
            settle().map_err(StorageError::from)?;
        }
        Ok((root, filled))
    }

    /// Returns the id of the root: 32 hex digits, drawn when it was created.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the directory that contains the directories of tenants' files.
    pub(crate) fn tenants(&self) -> PathBuf {
        self.path.join("tenants")
    }

    /// Returns the canonical path of the root.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the directory for snapshots of the files of a locator, if it is missing.
    pub(crate) fn make_snapshot_dir(&self, locator: &str) -> Result<PathBuf, IoError> {
        let above = self.path.join("snapshots");
        let dir = self.snapshot_dir(locator);
        let is_new = look(&dir).map_err(IoError::at(&dir, "looked at"))? == Entry::Missing;
        mkdir(&above)?;
        mkdir(&dir)?;
        if is_new {
            sync_dir(&self.path)?;
            sync_dir(&above)?;
        }
        Ok(dir)
    }

    /// Returns the directory for snapshots of a locator's files.
    pub(crate) fn snapshot_dir(&self, locator: &str) -> PathBuf {
        self.path.join("snapshots").join(&locator[..2])
    }

    /// Returns the path of the catalog.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.path.join("catalog.db")
    }

    /// Returns the path of a place's file.
    pub(crate) fn file(&self, place: &Place) -> PathBuf {
        let mut path = self.dir(place);
        path.push(place.file_name());
        path
    }

    /// Makes all files on the root's file system durable with one call.
    pub(crate) fn sync_all(&self) -> Result<(), IoError> {
        let dir = File::open(&self.path).map_err(IoError::at(&self.path, "opened"))?;
        sync_file_system(&dir).map_err(IoError::at(&self.path, "synced"))
    }

    /// Returns the directory of a place's file.
    fn dir(&self, place: &Place) -> PathBuf {
        let mut path = self.tenants();
        path.push(&place.locator[..2]);
        path
    }

    /// Creates the 256 directories of tenants' files, and makes them durable with one fsync, so
    /// that no creation of a tenant needs an fsync for its directory.
    fn make_shards(&self) -> Result<(), IoError> {
        for shard in 0..=u8::MAX {
            mkdir(&self.tenants().join(format!("{shard:02x}")))?;
        }
        sync_dir(&self.tenants())
    }

    /// Takes the shared lock of a process that uses the root. If no other process has the lock,
    /// first recovers the files that killed processes left in staging.
    pub(crate) fn lock(&self) -> Result<SharedLock, StorageError> {
        let (file, path) = self.lock_file()?;
        let was_alone = self.lock_shared(&file, &path)?;
        Ok(SharedLock {
            _file: file,
            was_alone,
        })
    }

    /// Takes the same lock exclusively. Returns `None` if another process has it.
    pub(crate) fn lock_alone(&self) -> Result<Option<File>, IoError> {
        let (file, _) = self.lock_file()?;
        Ok(file.try_lock().is_ok().then_some(file))
    }

    fn lock_file(&self) -> Result<(File, PathBuf), IoError> {
        self.file_to_lock("tenancy.lock")
    }

    /// Opens the lock file of runs over many tenants.
    pub(crate) fn run_lock_file(&self) -> Result<(File, PathBuf), IoError> {
        self.file_to_lock("runs.lock")
    }

    fn file_to_lock(&self, name: &str) -> Result<(File, PathBuf), IoError> {
        let path = self.path.join(name);
        Ok((open_or_create(&path)?, path))
    }

    /// Takes the shared lock, and returns whether this process was alone. A process that is alone
    /// recovers staging under the exclusive lock. A process that had to wait tries once more to be
    /// alone, as the other process may have been killed during its recovery.
    fn lock_shared(&self, file: &File, path: &Path) -> Result<bool, StorageError> {
        let mut was_alone = false;
        for _ in 0..2 {
            was_alone = file.try_lock().is_ok();
            if was_alone {
                self.recover_staging()?;
                self.clear_scratch()?;
                // Another process may take the lock now; this process has not staged a file yet.
                file.unlock().map_err(IoError::at(path, "unlocked"))?;
                break;
            }
            flock::shared(file, path, LOCK_TIMEOUT)?;
            file.unlock().map_err(IoError::at(path, "unlocked"))?;
        }
        flock::shared(file, path, LOCK_TIMEOUT)?;
        Ok(was_alone)
    }

    /// Takes the lock of a place's directory, which every operation that adds or removes files
    /// there holds. Refuses a link to a directory, as its target may be moved or unmounted. If the
    /// directory is missing, as in a root of an older version, creates all directories.
    pub(crate) fn lock_dir(&self, place: &Place) -> Result<DirLock, IoError> {
        self.lock_dir_within(place, LOCK_TIMEOUT)
    }

    /// Takes the lock of a place's directory like [`lock_dir`](Self::lock_dir), with a timeout.
    pub(crate) fn lock_dir_within(
        &self,
        place: &Place,
        timeout: Duration,
    ) -> Result<DirLock, IoError> {
        let path = self.dir(place);
        let open = || open_dir(&path);
        let dir = match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make_shards()?;
                open()
            }
            other => other,
        };
        let dir = dir.map_err(IoError::at(&path, "opened as a directory"))?;
        flock::exclusive(&dir, &path, timeout)?;
        Ok(DirLock { dir, path })
    }
}

/// Returns the canonical path of a root, and refuses a root that cannot be used.
fn checked(path: &Path, allowed: FileSystems) -> Result<PathBuf, StorageError> {
    let path = fs::canonicalize(path).map_err(IoError::at(path, "resolved"))?;
    network::check(&path, allowed)?;
    match path.to_str() {
        Some(_) => Ok(path),
        None => Err(StorageError::NotUtf8 { path }),
    }
}

/// Returns whether a directory contains tenants' files, in their places or in the trash.
pub(crate) fn holds_files(root: &Path) -> bool {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let mut places = entries(&root.join("tenants"));
    places.any(|dir| entries(&dir.path()).next().is_some())
        || entries(&root.join("trash")).next().is_some()
}

/// Creates the missing directories of a root.
fn make_dirs(root: &Path) -> Result<(), StorageError> {
    let mut new = false;
    let device = |path: &Path| {
        let meta = fs::metadata(path).map_err(IoError::at(path, "looked at"))?;
        Ok::<_, IoError>(meta.dev())
    };
    let own = device(root)?;
    for name in ["tenants", "staging", "trash"] {
        let path = root.join(name);
        new |= make_dir(&path)?;
        // Files are renamed between these directories, which one file system has to hold.
        if device(&path)? != own {
            return Err(StorageError::OtherMount { path });
        }
    }
    if new {
        sync_dir(root)?;
    }
    Ok(())
}

/// Creates the directory of a root with its parents. It may be a link to a directory.
fn make_root_dir(path: &Path) -> Result<(), StorageError> {
    match look(path).map_err(IoError::at(path, "looked at"))? {
        Entry::Missing => {
            let made = DirBuilder::new()
                .recursive(true)
                .mode(DIR_MODE)
                .create(path);
            Ok(made.map_err(IoError::at(path, "created"))?)
        }
        found => refuse_file(path, found),
    }
}

/// Creates a directory of a root if it is missing, and returns whether it was missing.
fn make_dir(path: &Path) -> Result<bool, StorageError> {
    match look(path).map_err(IoError::at(path, "looked at"))? {
        Entry::Missing => Ok(mkdir(path).map(|()| true)?),
        Entry::Other("a directory") => Ok(false),
        found => Err(not_a_directory(path, found)),
    }
}

/// Refuses a path that is neither a directory nor a link to one.
fn refuse_file(path: &Path, found: Entry) -> Result<(), StorageError> {
    match path.is_dir() {
        true => Ok(()),
        false => Err(not_a_directory(path, found)),
    }
}

fn not_a_directory(path: &Path, found: Entry) -> StorageError {
    StorageError::NotADirectory {
        path: path.to_owned(),
        found: match found {
            Entry::Other(found) => found,
            _ => "a file",
        },
    }
}

#[cfg(target_os = "linux")]
fn sync_file_system(dir: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(dir)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_dir: &File) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

/// The oldest SQLite without the bug by which several connections corrupt a database in WAL mode.
const MIN_SQLITE: i32 = 3_051_003;

fn refuse_old_sqlite() -> Result<(), StorageError> {
    if rusqlite::version_number() < MIN_SQLITE {
        return Err(StorageError::OldSqlite {
            found: rusqlite::version(),
        });
    }
    Ok(())
}

/// Refuses a directory without a marker if it has no tenants' files. A directory with files is a
/// root of an older version.
pub(crate) fn refuse_empty(path: &Path) -> Result<Option<Box<str>>, StorageError> {
    match holds_files(path) {
        true => Ok(None),
        false => Err(StorageError::NotARoot {
            path: path.to_owned(),
        }),
    }
}

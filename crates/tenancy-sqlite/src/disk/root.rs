//! The storage root: where things are, who uses it, and how a file gets into place.

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use crate::disk::files::{Found, look, sync_dir};
use crate::disk::flock::PATIENCE;
use crate::disk::locks::{DirLock, Lock, RootLock};
use crate::disk::marker::Marker;
use crate::disk::mounts::FileSystem;
use crate::disk::network::FileSystems;
use crate::disk::owner::{DIR_MODE, mkdir, open_dir, open_or_create};
use crate::disk::place::Place;
use crate::disk::{flock, network};
use crate::error::{IoError, StorageError};

/// Is told of each named step.
pub(crate) type Step<'s> = &'s dyn Fn(&'static str) -> Result<(), IoError>;

/// A storage root, canonicalised once: below it no path has a link.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    path: PathBuf,
    id: Box<str>,
    pub(crate) file_system: FileSystem,
}

impl Root {
    /// Opens a root that [`create`](Self::create) has made, or an older version of this
    /// library, which made no marker: `unmarked` refuses whatever is neither, and answers with
    /// the id that the catalog has recorded. A root without a marker gets one once `fill` has
    /// done what it does under the root's lock.
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
            Found::Nothing => {
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

    /// Makes a root; `fill` puts into it what has to be there before it counts as one.
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
        // An older version of this library made roots without a marker.
        if Marker::read(&path)?.is_some() || holds_files(&path) {
            return Err(StorageError::RootExists { path }.into());
        }
        let recorded = recorded(&path)?;
        Self::of(path, None, recorded, lock, step, fill)
    }

    /// A root with its directories, filled and marked. The marker comes last: what was
    /// killed before is no root, and the next call goes on with it.
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
            Marker::settle(&root.path)
        };
        if !is_marked {
            settle().map_err(StorageError::from)?;
        }
        Ok((root, filled))
    }

    /// The id of the root, 32 hex digits that were drawn when it was made.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn tenants(&self) -> PathBuf {
        self.path.join("tenants")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory for copies of a locator's files, made with the first.
    pub(crate) fn make_copies_dir(&self, locator: &str) -> Result<PathBuf, IoError> {
        let above = self.path.join("snapshots");
        let dir = self.copies_dir(locator);
        let is_new = look(&dir).map_err(IoError::at(&dir, "looked at"))? == Found::Nothing;
        mkdir(&above)?;
        mkdir(&dir)?;
        if is_new {
            sync_dir(&self.path)?;
            sync_dir(&above)?;
        }
        Ok(dir)
    }

    pub(crate) fn copies_dir(&self, locator: &str) -> PathBuf {
        self.path.join("snapshots").join(&locator[..2])
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.path.join("catalog.db")
    }

    /// The directory and the file of a place.
    pub(crate) fn file(&self, place: &Place) -> PathBuf {
        let mut path = self.dir(place);
        path.push(place.file_name());
        path
    }

    /// Makes everything written below the root durable with one call.
    pub(crate) fn sync_all(&self) -> Result<(), IoError> {
        let dir = File::open(&self.path).map_err(IoError::at(&self.path, "opened"))?;
        sync_file_system(&dir).map_err(IoError::at(&self.path, "synced"))
    }

    /// The directory of a place.
    fn dir(&self, place: &Place) -> PathBuf {
        let mut path = self.tenants();
        path.push(&place.locator[..2]);
        path
    }

    /// Makes the 256 directories of tenants' files, durable with one sync: a new root waits for
    /// them once, and no creation does.
    fn make_shards(&self) -> Result<(), IoError> {
        for shard in 0..=u8::MAX {
            mkdir(&self.tenants().join(format!("{shard:02x}")))?;
        }
        sync_dir(&self.tenants())
    }

    /// Marks this process as a user of the root for as long as the lock lives. If it
    /// is the only one, what killed ones left in staging is removed first.
    pub(crate) fn lock(&self) -> Result<Lock, StorageError> {
        let (file, path) = self.lock_file()?;
        let was_alone = self.take_up(&file, &path)?;
        Ok(Lock {
            _file: file,
            was_alone,
        })
    }

    /// Keeps every driver out for as long as the lock lives; none if there is one.
    pub(crate) fn lock_alone(&self) -> Result<Option<File>, IoError> {
        let (file, _) = self.lock_file()?;
        Ok(file.try_lock().is_ok().then_some(file))
    }

    fn lock_file(&self) -> Result<(File, PathBuf), IoError> {
        self.file_to_lock("tenancy.lock")
    }

    /// The file that who runs over many tenants has locked.
    pub(crate) fn run_lock_file(&self) -> Result<(File, PathBuf), IoError> {
        self.file_to_lock("runs.lock")
    }

    fn file_to_lock(&self, name: &str) -> Result<(File, PathBuf), IoError> {
        let path = self.path.join(name);
        Ok((open_or_create(&path)?, path))
    }

    /// Waits for shared use. Who is alone first takes up what killed ones left in
    /// staging; who waited for such a one looks himself, as that one may have died.
    fn take_up(&self, file: &File, path: &Path) -> Result<bool, StorageError> {
        let mut alone = false;
        for _ in 0..2 {
            alone = file.try_lock().is_ok();
            if alone {
                self.recover_staging()?;
                self.clear_scratch()?;
                // Others may get in before the shared lock: nothing of ours is staged yet.
                file.unlock().map_err(IoError::at(path, "unlocked"))?;
                break;
            }
            flock::shared(file, path, PATIENCE)?;
            file.unlock().map_err(IoError::at(path, "unlocked"))?;
        }
        flock::shared(file, path, PATIENCE)?;
        Ok(alone)
    }

    /// The lock of a place's directory, which every process takes that puts a file
    /// in place or takes one away there. A link to a directory is refused: what is behind it
    /// may be moved or unmounted. In a root that an older version made, the directories are made
    /// when the first of them is missing.
    pub(crate) fn lock_dir(&self, place: &Place) -> Result<DirLock, IoError> {
        self.lock_dir_within(place, PATIENCE)
    }

    /// The same for a call that has a deadline.
    pub(crate) fn lock_dir_within(
        &self,
        place: &Place,
        patience: Duration,
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
        flock::exclusive(&dir, &path, patience)?;
        Ok(DirLock { dir, path })
    }
}

/// Canonicalises a root's path, and refuses one that cannot be used.
fn checked(path: &Path, allowed: FileSystems) -> Result<PathBuf, StorageError> {
    let path = fs::canonicalize(path).map_err(IoError::at(path, "resolved"))?;
    network::check(&path, allowed)?;
    match path.to_str() {
        Some(_) => Ok(path),
        None => Err(StorageError::NotUtf8 { path }),
    }
}

/// Whether there are tenants' files, in their places or in the trash.
pub(crate) fn holds_files(root: &Path) -> bool {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let mut places = entries(&root.join("tenants"));
    places.any(|dir| entries(&dir.path()).next().is_some())
        || entries(&root.join("trash")).next().is_some()
}

/// Makes the directories of a root that are missing.
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
        // A file gets from one to the other by a rename.
        if device(&path)? != own {
            return Err(StorageError::OtherMount { path });
        }
    }
    if new {
        sync_dir(root)?;
    }
    Ok(())
}

/// Makes the directory of a root, with those above it. It may be reached by a link.
fn make_root_dir(path: &Path) -> Result<(), StorageError> {
    match look(path).map_err(IoError::at(path, "looked at"))? {
        Found::Nothing => {
            let made = DirBuilder::new()
                .recursive(true)
                .mode(DIR_MODE)
                .create(path);
            Ok(made.map_err(IoError::at(path, "created"))?)
        }
        found => refuse_file(path, found),
    }
}

/// Makes a directory of a root if it is missing; returns whether it was.
fn make_dir(path: &Path) -> Result<bool, StorageError> {
    match look(path).map_err(IoError::at(path, "looked at"))? {
        Found::Nothing => Ok(mkdir(path).map(|()| true)?),
        Found::Other("a directory") => Ok(false),
        found => Err(not_a_directory(path, found)),
    }
}

/// Refuses what is no directory and no link to one.
fn refuse_file(path: &Path, found: Found) -> Result<(), StorageError> {
    match path.is_dir() {
        true => Ok(()),
        false => Err(not_a_directory(path, found)),
    }
}

fn not_a_directory(path: &Path, found: Found) -> StorageError {
    StorageError::NotADirectory {
        path: path.to_owned(),
        found: match found {
            Found::Other(found) => found,
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

/// Below this, many connections to one WAL database can corrupt it.
const MIN_SQLITE: i32 = 3_051_003;

fn refuse_old_sqlite() -> Result<(), StorageError> {
    if rusqlite::version_number() < MIN_SQLITE {
        return Err(StorageError::OldSqlite {
            found: rusqlite::version(),
        });
    }
    Ok(())
}

//! Snapshots of files, taken before a step that no script undoes and before each rollback.
//!
//! The name of a snapshot is `<root>/snapshots/<2 hex>/<32 hex>.<epoch>.<schema version>.db`. If a
//! rollback took it, the number of the rollback's run precedes `.db`. The directory is the list of
//! snapshots: every snapshot in it is complete, and its name describes it. A new snapshot replaces
//! an older one of the same name; snapshots of different rollbacks have different names. Only a
//! rollback opens a snapshot. No two tenants ever have the same locator, so no tenant gets the
//! snapshot of another.

use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use tenancy_core::{Epoch, SchemaTarget, Tenant};
use tenancy_fleet::{Keep, Snapshot};

use crate::disk::files::{Entry, look, remove_file, remove_if_there, sync_dir};
use crate::disk::hex::random_hex;
use crate::disk::locks::DirLock;
use crate::disk::owner::create_new;
use crate::disk::place::Place;
use crate::disk::root::Root;
use crate::error::{FileError, IoError, OpenError, sqlite};
use crate::guard::deadline::DeadlineClock;
use crate::guard::rules::Purpose;
use crate::guard::{install, register_functions};
use crate::ops::open::connect;
use crate::raw::enter_wal;
use crate::schema::stamp::Stamp;
use crate::schema::{migrate, stamp};
use crate::store::Store;

/// The offset of the file format's write and read version in a database's header, and the value for
/// a rollback journal (SQLite file format, §1.3.3).
const FORMAT_VERSIONS: u64 = 18;
const ROLLBACK_JOURNAL: u8 = 1;

/// A snapshot in the directory of snapshots.
#[derive(Debug, Clone)]
pub(crate) struct StoredSnapshot {
    pub(crate) path: PathBuf,
    pub(crate) place: Place,
    pub(crate) schema: u32,
    /// The run of the rollback that took the snapshot; `None` for a migration.
    pub(crate) run: Option<u64>,
    pub(crate) made: SystemTime,
    pub(crate) bytes: u64,
}

impl StoredSnapshot {
    /// Returns the snapshot as a fleet sees it.
    pub(crate) fn to_snapshot(&self) -> Snapshot {
        Snapshot {
            epoch: self.place.epoch,
            schema: self.schema,
            run: self.run,
            made: self.made,
            bytes: self.bytes,
        }
    }

    /// Returns the snapshot of a path; `None` for another entry.
    fn parse(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(".db")?;
        let mut parts = name.split('.');
        let (locator, epoch, schema) = (parts.next()?, parts.next()?, parts.next()?);
        let place = Place::parse(locator, Epoch::new(epoch.parse().ok()?)?)?;
        let meta = fs::symlink_metadata(&path).ok()?;
        let run = match parts.next() {
            Some(run) => Some(run.parse().ok()?),
            None => None,
        };
        let whole = parts.next().is_none() && meta.is_file();
        whole.then_some(Self {
            place,
            schema: schema.parse().ok()?,
            run,
            made: meta.modified().ok()?,
            bytes: meta.len(),
            path,
        })
    }
}

impl Root {
    /// Returns the snapshots of a tenant's files, those of earlier incarnations included, oldest
    /// first.
    pub(crate) fn snapshots_of(&self, locator: &str) -> Result<Vec<StoredSnapshot>, IoError> {
        let mut snapshots = snapshots_in(&self.snapshot_dir(locator))?;
        snapshots.retain(|snapshot| *snapshot.place.locator == *locator);
        snapshots.sort_by_key(|snapshot| (snapshot.made, snapshot.place.epoch, snapshot.schema));
        Ok(snapshots)
    }

    /// Returns all snapshots of all tenants.
    pub(crate) fn all_snapshots(&self) -> Result<Vec<StoredSnapshot>, IoError> {
        let mut all = Vec::new();
        for shard in 0..=u8::MAX {
            all.extend(snapshots_in(&self.snapshot_dir(&format!("{shard:02x}")))?);
        }
        Ok(all)
    }

    pub(crate) fn remove_snapshot(&self, snapshot: &StoredSnapshot) -> Result<(), IoError> {
        remove_file(&snapshot.path)
    }
}

/// A database that is being written in staging, with its sidecars. The drop removes it, unless it
/// was put in place. Recovery removes it, too.
pub(crate) struct Scratch {
    path: PathBuf,
    file: File,
}

/// The end of the name `<32 hex>.<epoch>.db.<16 hex>.copy`.
const SCRATCH: &str = ".copy";

impl Root {
    fn scratch(&self, place: &Place) -> Result<Scratch, IoError> {
        let name = format!("{}.{}{SCRATCH}", place.file_name(), random_hex::<8>()?);
        let path = self.staging().join(name);
        let file = create_new(&path)?;
        Ok(Scratch { path, file })
    }

    /// Removes the scratch files of killed processes. The process has to be alone on the root.
    pub(crate) fn clear_scratch(&self) -> Result<(), IoError> {
        let dir = self.staging();
        for entry in fs::read_dir(&dir).map_err(IoError::at(&dir, "listed"))? {
            let entry = entry.map_err(IoError::at(&dir, "listed"))?;
            let plain = entry.file_type().is_ok_and(|kind| kind.is_file());
            if plain && entry.file_name().to_str().is_some_and(is_scratch) {
                remove_if_there(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn is_scratch(name: &str) -> bool {
    let sidecar = ["-wal", "-shm", "-journal"];
    let sidecar = sidecar.iter().find_map(|end| name.strip_suffix(end));
    let name = sidecar.unwrap_or(name).strip_suffix(SCRATCH);
    let mut parts = name.unwrap_or_default().split('.');
    let (locator, epoch) = (parts.next(), parts.next());
    let place = locator.zip(epoch.and_then(|epoch| Epoch::new(epoch.parse().ok()?)));
    let is_hex = |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    place.is_some_and(|(locator, epoch)| Place::parse(locator, epoch).is_some())
        && parts.next() == Some("db")
        && parts.next().is_some_and(is_hex)
        && parts.next().is_none()
}

impl Scratch {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), IoError> {
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(IoError::at(&self.path, "written"))
    }

    fn sync(&self) -> Result<(), IoError> {
        let synced = self.file.sync_all();
        synced.map_err(IoError::at(&self.path, "synced"))
    }

    /// Renames the file to `path`, and replaces an existing file there.
    fn rename_to(self, path: &Path) -> Result<(), IoError> {
        fs::rename(&self.path, path).map_err(IoError::at(path, "put in place"))
        // The removal at the drop finds no file then.
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove_file(&self.path);
    }
}

impl DirLock {
    /// Puts a restored file in the place of an incarnation that no row has ever had. An existing
    /// file there was left by an interrupted attempt, and is replaced.
    pub(crate) fn move_restored_into_place(
        &self,
        restored: Scratch,
        path: &Path,
    ) -> Result<(), IoError> {
        remove_file(path)?;
        restored.rename_to(path)?;
        self.sync()
    }
}

fn snapshots_in(dir: &Path) -> Result<Vec<StoredSnapshot>, IoError> {
    let entries = match fs::read_dir(dir) {
        // The directory is created with the first snapshot.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(IoError::at(dir, "listed"))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(IoError::at(dir, "listed"))?.path();
        found.extend(StoredSnapshot::parse(path));
    }
    Ok(found)
}

impl Store {
    /// Takes a snapshot of a tenant's file, and returns its schema version. The snapshot is durable
    /// when this returns.
    pub(crate) fn take_snapshot(&self, tenant: &Tenant, keep: Keep) -> Result<u32, FileError> {
        let place = Place::of(tenant)?;
        let path = self.root.file(&place);
        let source = connect(self, tenant, &path)?;
        // One read transaction for the version and the pages.
        source
            .execute_batch("BEGIN")
            .map_err(|e| sqlite(&path, e))?;
        let schema = stamp::check(&source, tenant, &path)?;
        self.step("copy the file")?;
        let staged = self.root.scratch(&place)?;
        copy_pages(&source, &staged.path).map_err(|e| sqlite(&path, e))?;
        drop(source);
        // The snapshot is not in WAL mode, so that a reader creates no sidecar. A sidecar would
        // count as that of a later snapshot of the same name.
        staged.write_at(FORMAT_VERSIONS, &[ROLLBACK_JOURNAL; 2])?;
        self.step("sync the copy")?;
        staged.sync()?;
        self.step("put the copy in place")?;
        let dir = self.root.make_snapshot_dir(&place.locator)?;
        let name = match keep {
            Keep::ForRun(run) => format!("{}.{}.{schema}.{run}.db", place.locator, place.epoch),
            _ => format!("{}.{}.{schema}.db", place.locator, place.epoch),
        };
        staged.rename_to(&dir.join(name))?;
        sync_dir(&dir)?;
        Ok(schema)
    }

    /// Creates the file of the next incarnation in staging, from a snapshot and at schema `to`. The
    /// file is durable when this returns.
    pub(crate) fn stage_restore(
        &self,
        snapshot: &StoredSnapshot,
        tenant: &Tenant,
        next: &Tenant,
        to: u32,
    ) -> Result<Scratch, FileError> {
        let at = |e| sqlite(&snapshot.path, e);
        let then = tenant.to_builder().epoch(snapshot.place.epoch).build();
        let then = then.expect("it keeps the bounds that it kept");
        let source = read_only(&snapshot.path).map_err(at)?;
        // A closed stamp is accepted, but a foreign one is not.
        if let Stamp::Foreign(found) = stamp::read(&source, &then).map_err(at)? {
            let (tenant, path) = (then.to_ref(), snapshot.path.clone());
            return Err(OpenError::WrongDatabase {
                tenant,
                path,
                found,
            }
            .into());
        }
        self.step("copy the copy")?;
        let staged = self.root.scratch(&Place::of(next)?)?;
        copy_pages(&source, &staged.path).map_err(at)?;
        drop(source);
        self.migrate_restored(next, &staged.path, to)?;
        self.step("sync the restored file")?;
        staged.sync()?;
        Ok(staged)
    }

    /// Stamps a staged file and brings it to schema `to`.
    fn migrate_restored(&self, next: &Tenant, path: &Path, to: u32) -> Result<(), FileError> {
        let at = |e| sqlite(path, e);
        let mut connection = connect(self, next, path)?;
        // No fsyncs: the file is synced as a whole before it is put in place.
        connection
            .execute_batch("PRAGMA synchronous = OFF")
            .and_then(|()| enter_wal(&connection))
            .and_then(|()| stamp::add_locator(&connection, next))
            .and_then(|()| stamp::write(&connection, next))
            .map_err(at)?;
        let (on_connect, deadline) = (self.on_connect.as_deref(), DeadlineClock::default());
        register_functions(&mut connection, on_connect, &deadline, self.limits).map_err(at)?;
        let guard = install(
            &connection,
            Purpose::Migration,
            self.hardening,
            self.limits,
            &deadline,
        )
        .map_err(at)?;
        let target = SchemaTarget::Version(to);
        let on_step = |name| self.step(name);
        migrate::run(&connection, &guard, &self.migrations, target, &on_step)?;
        // The close of the last connection checkpoints the WAL.
        connection.close().map_err(|(_, e)| at(e))
    }

    /// Moves the files of earlier incarnations to the trash, if a rollback had to leave them in
    /// their places because they were open. Waits at most for `timeout` for each file.
    pub(crate) fn retire_earlier(
        &self,
        tenant: &Tenant,
        timeout: Duration,
    ) -> Result<(), FileError> {
        for epoch in 1..tenant.epoch().get() {
            let epoch = Epoch::new(epoch).expect("it counts from 1");
            let earlier = tenant.to_builder().epoch(epoch).build();
            let earlier = earlier.expect("it keeps the bounds that it kept");
            let path = self.root.file(&Place::of(&earlier)?);
            if look(&path).map_err(IoError::at(&path, "looked at"))? == Entry::File {
                self.retire(&earlier, timeout)?;
            }
        }
        Ok(())
    }

    /// Removes all files of a tenant except its current one: snapshots, and files of earlier
    /// incarnations.
    pub(crate) fn remove_snapshots(&self, tenant: &Tenant) -> Result<(), FileError> {
        self.retire_earlier(tenant, Duration::ZERO)?;
        let locator = &tenant.placement().locator;
        for snapshot in self.root.snapshots_of(locator)? {
            self.root.remove_snapshot(&snapshot)?;
        }
        let earlier = match tenant.epoch() {
            Epoch::FIRST => Vec::new(),
            _ => self.root.trashed()?,
        };
        for trashed in earlier.iter().filter(|t| t.place.locator == *locator) {
            self.root.remove_trashed(trashed)?;
        }
        Ok(())
    }
}

/// Opens a connection that writes nothing.
fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    crate::raw::set_flags(&connection)?;
    Ok(connection)
}

/// Copies all pages in one step: in several steps, every write in between would restart the copy.
fn copy_pages(source: &Connection, to: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut to = Connection::open_with_flags(to, flags)?;
    to.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF")?;
    let done = Backup::new(source, &mut to)?.step(-1)?;
    match done {
        StepResult::Done => to.close().map_err(|(_, error)| error),
        // Another connection held a lock for longer than the busy timeout.
        _ => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            None,
        )),
    }
}

//! The trash and the snapshots: their lists with retention, and their removal on request.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tenancy_core::{Actor, CatalogWriter, Epoch, Tenant, TenantRef, TenantStatus};

use super::SqliteFleet;
use crate::disk::files::remove_file;
use crate::disk::trash::Trashed;
use crate::error::{IoError, RepairError};

/// A file in the trash, with the time until which it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrashedFile {
    /// The tenant, with the incarnation that the file belongs to.
    pub tenant: TenantRef,
    /// Whether the tenant is retired. If not, the file is of an incarnation before a rollback, and
    /// the tenant no longer uses it.
    pub retired: bool,
    /// The time of the retirement: the latest of the time in the file's name, the file's change
    /// time and, if the tenant is retired, the events of the catalog until then.
    pub since: SystemTime,
    /// The end of the retention; `None` if it has no end.
    pub until: Option<SystemTime>,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The path of the file.
    pub path: PathBuf,
}

/// A snapshot of a tenant's file, with the time until which it is kept. Migrations and rollbacks
/// take snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotFile {
    /// The tenant, with the incarnation whose file was copied; `None` if no tenant has the place of
    /// that file.
    pub tenant: Option<TenantRef>,
    /// The schema version of the snapshot.
    pub schema: u32,
    /// The time at which the snapshot was taken: the later of its modification and change times.
    pub since: SystemTime,
    /// The end of the retention; `None` if it has no end.
    pub until: Option<SystemTime>,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The path of the file.
    pub path: PathBuf,
}

impl TrashedFile {
    /// Returns whether the retention has ended.
    pub fn is_expired(&self) -> bool {
        is_over(self.until)
    }
}

impl SnapshotFile {
    /// Returns whether the retention has ended.
    pub fn is_expired(&self) -> bool {
        is_over(self.until)
    }
}

fn is_over(until: Option<SystemTime>) -> bool {
    until.is_some_and(|until| until <= SystemTime::now())
}

impl SqliteFleet {
    /// Returns the files in the trash that belong to a tenant, sorted by the end of their
    /// retention; those without an end come first. [`validate`](Self::validate) finds the files in
    /// the trash that belong to no tenant.
    ///
    /// ```
    /// # use tenancy_sqlite::SqliteStorage;
    /// # let root = tempfile::tempdir()?;
    /// # let fleet = SqliteStorage::create(root.path())?.fleet();
    /// for file in fleet.trash()? {
    ///     println!("{}: {} bytes, kept until {:?}", file.tenant, file.bytes, file.until);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the catalog or the trash cannot be read.
    pub fn trash(&self) -> Result<Vec<TrashedFile>, RepairError> {
        let mut files = Vec::new();
        for trashed in self.driver().store.root.trashed()? {
            if let Some((_, file)) = self.look_up(&trashed)? {
                files.push(file);
            }
        }
        files.sort_by(|a, b| (a.until, &a.path).cmp(&(b.until, &b.path)));
        Ok(files)
    }

    /// Destroys the retired tenants whose retention has ended, and returns them. For each tenant
    /// the files are removed first, and then the row. Files of earlier incarnations, which
    /// rollbacks have moved to the trash, are removed after their retention, too. No tenant is
    /// destroyed because of its age without this call.
    ///
    /// The call does not trust one clock alone. A file counts as retired since the latest of the
    /// time in its name, its change time and the times of the 10,000 events of the catalog until
    /// its retirement. So no file is destroyed too early because a clock was behind at its
    /// retirement.
    ///
    /// ```
    /// use tenancy_core::Actor;
    /// # use tenancy_sqlite::SqliteStorage;
    /// # let root = tempfile::tempdir()?;
    /// # let fleet = SqliteStorage::create(root.path())?.fleet();
    /// for gone in fleet.empty_trash(&Actor::new("cron"))? {
    ///     println!("destroyed {gone}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read or written, or a file cannot be removed. The
    /// tenants before it are destroyed, and the call may be repeated.
    pub fn empty_trash(&self, by: &Actor) -> Result<Vec<TenantRef>, RepairError> {
        let store = &self.driver().store;
        let mut gone = Vec::new();
        for trashed in store.root.trashed()? {
            let Some((tenant, file)) = self.look_up(&trashed)? else {
                continue;
            };
            if !file.is_expired() || !store.remove_if_trashed(&trashed)? {
                continue;
            }
            if file.retired {
                store.remove_snapshots(&tenant)?;
                self.catalog().remove(tenant.id(), tenant.version(), by)?;
                gone.push(file.tenant);
            }
        }
        Ok(gone)
    }

    /// Returns the snapshots of tenants' files, sorted by the end of their retention; those without
    /// an end come first.
    ///
    /// # Errors
    /// Returns an error if the catalog or a directory cannot be read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotFile>, RepairError> {
        let store = &self.driver().store;
        let mut snapshots = Vec::new();
        for copy in store.root.all_snapshots()? {
            let owner = self.catalog().at_place(&copy.place)?;
            let Some((times, bytes)) = look_at(&copy.path)? else {
                continue;
            };
            let since = times.max(copy.made);
            snapshots.push(SnapshotFile {
                tenant: owner.map(|tenant| of_epoch(&tenant, copy.place.epoch)),
                schema: copy.schema,
                since,
                until: since.checked_add(store.snapshot_retention),
                bytes,
                path: copy.path,
            });
        }
        snapshots.sort_by(|a, b| (a.until, &a.path).cmp(&(b.until, &b.path)));
        Ok(snapshots)
    }

    /// Removes the snapshots whose retention has ended, and returns them. A rollback can no longer
    /// restore them.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read, or a file cannot be removed. The snapshots
    /// before it are removed, and the call may be repeated.
    pub fn remove_expired_snapshots(&self) -> Result<Vec<SnapshotFile>, RepairError> {
        let mut removed = Vec::new();
        for snapshot in self.snapshots()? {
            if snapshot.is_expired() {
                remove_file(&snapshot.path)?;
                removed.push(snapshot);
            }
        }
        Ok(removed)
    }

    /// Removes all snapshots of at least the age `older_than`, and returns their number. Call it to
    /// free space before the retention ends, once a release has proven itself.
    ///
    /// # Errors
    /// Returns an error if the snapshots cannot be listed or removed.
    pub fn remove_snapshots(&self, older_than: Duration) -> Result<u64, RepairError> {
        let root = &self.driver().store.root;
        let mut removed = 0;
        for copy in root.all_snapshots()? {
            if copy.made.elapsed().is_ok_and(|age| age >= older_than) {
                root.remove_snapshot(&copy)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Returns a file of the trash with the tenant that has its place. Returns `None` if no tenant
    /// has the place, or the tenant is in use with this incarnation.
    pub(super) fn look_up(
        &self,
        trashed: &Trashed,
    ) -> Result<Option<(Tenant, TrashedFile)>, RepairError> {
        let Some(tenant) = self.catalog().at_place(&trashed.place)? else {
            return Ok(None);
        };
        let epoch = trashed.place.epoch;
        let retired = tenant.epoch() == epoch && tenant.status() == TenantStatus::Retiring;
        let (true, Some((changed, bytes))) =
            (retired || tenant.epoch() > epoch, look_at(&trashed.path)?)
        else {
            return Ok(None);
        };
        let mut since = changed.max(UNIX_EPOCH + Duration::from_secs(trashed.at));
        if retired {
            // The row's version tells nothing about an earlier incarnation: later changes raise it.
            since = since.max(self.catalog().latest_event_until(tenant.version())?);
        }
        let file = TrashedFile {
            tenant: of_epoch(&tenant, epoch),
            retired,
            since,
            until: since.checked_add(self.driver().store.trash_retention),
            bytes,
            path: trashed.path.clone(),
        };
        Ok(Some((tenant, file)))
    }
}

fn of_epoch(tenant: &Tenant, epoch: Epoch) -> TenantRef {
    let mut of = tenant.to_ref();
    of.epoch = epoch;
    of
}

/// Returns the change time and the size of a file; `None` if it is gone. The kernel sets the change
/// time at renames and copies, and no program can choose it.
fn look_at(path: &Path) -> Result<Option<(SystemTime, u64)>, IoError> {
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        meta => meta.map_err(IoError::at(path, "looked at"))?,
    };
    let changed = Duration::from_secs(u64::try_from(meta.ctime()).unwrap_or(0));
    Ok(Some((UNIX_EPOCH + changed, meta.len())))
}

//! The rebuild of a catalog from the stamps of the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use tenancy_core::{
    Actor, Epoch, Maintenance, Placement, Tenant, TenantId, TenantRef, TenantStatus,
};
use tenancy_fleet::{Jobs, Progress};

use super::SqliteFleet;
use super::survey::{shards, survey, survey_trash};
use super::validate::is_nothing;
use crate::catalog::SqliteCatalog;
use crate::disk::locks::RootLock;
use crate::disk::network::FileSystems;
use crate::disk::place::{KIND, Place};
use crate::disk::root::{Root, refuse_empty};
use crate::error::{RebuildError, RepairError};
use crate::ops::maintenance::{Check, faults};
use crate::raw;
use crate::schema::stamp;
use crate::schema::stamp::{CATALOG_FILE, Claim};

/// The number of files that are open at a time.
const JOBS: usize = 4;
/// The busy timeout, which is short because no other process uses the root.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// The result of [`SqliteFleet::rebuild_catalog`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Rebuilt {
    /// The tenants that are not retired, by id. All of them are in maintenance.
    pub tenants: Vec<TenantRef>,
    /// The retired tenants, by id: their files are in the trash or closed.
    pub retired: Vec<TenantRef>,
    /// The paths in quarantine of files whose tenant has a better file.
    pub quarantined: Vec<PathBuf>,
    /// The files without a tenant: files that have no stamp, the stamp of another place or of the
    /// warm pool, or cannot be read, and entries of another kind or name. They stay in their
    /// places. A validation reports them, for example as an [orphan](crate::Problem::Orphan) or a
    /// [stray](crate::Problem::Stray).
    pub silent: Vec<PathBuf>,
    /// The path in quarantine of the damaged catalog, if there was one.
    pub damaged_catalog: Option<PathBuf>,
}

/// A file with a stamp.
struct Found {
    path: PathBuf,
    place: Place,
    claim: Claim,
    schema: u32,
    trashed: bool,
    modified: SystemTime,
}

impl Found {
    /// Returns the rank of a file among those of its tenant. A later incarnation is better; then a
    /// file that is not in the trash; then an open one; then the one that was written last.
    fn rank(&self) -> (Epoch, bool, bool, SystemTime) {
        let open = self.claim.open;
        (self.claim.epoch, !self.trashed, open, self.modified)
    }

    fn status(&self) -> TenantStatus {
        match self.claim.open && !self.trashed {
            true => TenantStatus::Active,
            false => TenantStatus::Retiring,
        }
    }

    fn tenant(&self) -> Tenant {
        let placement = Placement::new(KIND, self.place.locator.clone());
        let tenant = Tenant::builder(self.claim.id.clone())
            .epoch(self.claim.epoch)
            .status(self.status())
            .maintenance(Some(Maintenance::default()))
            .placement(placement)
            .build();
        tenant.expect("a tenant without attributes keeps their bounds")
    }
}

impl SqliteFleet {
    /// Creates a new catalog from the stamps of the files below `root`, after `catalog.db` was lost
    /// or damaged, and calls `progress` while it reads the files. No other process may use the
    /// root, and this process must not have a driver for it. A damaged catalog is first moved to
    /// quarantine. If there is a sound catalog with tenants, or a catalog of an unknown format, the
    /// call returns an error.
    ///
    /// A file stores its tenant's id, epoch and schema version, and whether it is in use. **All
    /// other data of a catalog is lost**: domains and further labels, attributes, the audit trail,
    /// the epochs of destroyed tenants, and suspensions. So every tenant is in maintenance
    /// afterwards, until an operator has checked it.
    ///
    /// If a tenant has several files, the one with the highest epoch is used, and the others go to
    /// quarantine. The rows are written in one transaction, so an interrupted call can be repeated.
    ///
    /// ```
    /// use tenancy_core::Actor;
    /// use tenancy_sqlite::{SqliteFleet, SqliteStorage};
    /// # let root = tempfile::tempdir()?;
    /// # drop(SqliteStorage::create(root.path())?);
    /// let rebuilt = SqliteFleet::rebuild_catalog(root.path(), &Actor::new("ada"), |_| {})?;
    /// println!("{} tenants; bring each up again", rebuilt.tenants.len());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the root is in use, has a sound catalog with tenants, or cannot be read.
    pub fn rebuild_catalog(
        root: impl AsRef<Path>,
        by: &Actor,
        mut progress: impl FnMut(Progress),
    ) -> Result<Rebuilt, RebuildError> {
        let path = root.as_ref();
        let rebuild = |root: &Root, lock: &RootLock| rebuild(root, lock, by, &mut progress);
        // Any file system will do, as no other process uses the root.
        let (_, rebuilt) = Root::open(path, FileSystems::Any, &|_| Ok(()), refuse_empty, rebuild)?;
        Ok(rebuilt)
    }
}

fn rebuild(
    root: &Root,
    lock: &RootLock,
    by: &Actor,
    progress: &mut dyn FnMut(Progress),
) -> Result<Rebuilt, RebuildError> {
    let alone = root.lock_alone()?;
    let _alone = alone.ok_or_else(|| RebuildError::InUse {
        root: root.path().to_owned(),
    })?;
    let damaged_catalog = clear_the_way(root)?;
    root.recover_staging()?;
    let (found, silent) = look_at_all(root, progress)?;
    let (winners, losers) = choose(found);
    let catalog = SqliteCatalog::open_or_make(root, lock)?;
    let rows = winners.iter().map(|found| (found.tenant(), found.schema));
    catalog.insert_rebuilt(rows.collect(), by)?;
    let mut rebuilt = Rebuilt {
        silent,
        damaged_catalog,
        ..Rebuilt::default()
    };
    for found in &winners {
        let list = match found.status() {
            TenantStatus::Retiring => &mut rebuilt.retired,
            _ => &mut rebuilt.tenants,
        };
        list.push(found.tenant().to_ref());
    }
    for loser in losers {
        rebuilt.quarantined.push(root.quarantine(&loser.path)?);
    }
    Ok(rebuilt)
}

/// Moves a damaged catalog to quarantine, and returns its new path. Refuses a sound catalog with
/// tenants.
fn clear_the_way(root: &Root) -> Result<Option<PathBuf>, RebuildError> {
    let path = root.catalog();
    if is_nothing(&path)? {
        return Ok(None);
    }
    // Returns `None` for a damaged catalog, and for an empty one of another root.
    let tenants = || -> rusqlite::Result<Option<u64>> {
        let connection = raw::connect(&path, BUSY_TIMEOUT)?;
        let id: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables == 0 {
            return Ok(Some(0));
        }
        if id != CATALOG_FILE || !faults(&connection, Check::Full)?.is_empty() {
            return Ok(None);
        }
        let sql = "SELECT count(*) FROM tenants";
        let tenants: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        let sql = "SELECT count(*) FROM storage WHERE id <> ?1";
        let other = connection.query_row(sql, [root.id()], |row| row.get(0));
        match tenants {
            0 if other == Ok(1) => Ok(None),
            tenants => Ok(Some(tenants.unsigned_abs())),
        }
    };
    match tenants() {
        Ok(Some(0)) => Ok(None),
        Ok(Some(tenants)) => Err(RebuildError::CatalogIsSound { path, tenants }),
        Ok(None) | Err(_) => Ok(Some(root.quarantine(&path)?)),
    }
}

/// Reads every file. Returns the files that name a tenant, and the paths of the others.
fn look_at_all(
    root: &Root,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Vec<Found>, Vec<PathBuf>), RepairError> {
    let (mut files, mut found) = (Vec::new(), Vec::new());
    let all = shards(root)?;
    let unexpected = all.unexpected.into_iter().map(|(path, _)| path);
    let mut silent: Vec<PathBuf> = unexpected.chain(all.strays).collect();
    for shard in all.dirs {
        let survey = survey(&shard)?;
        silent.extend(survey.strays);
        for (key, odd) in survey.databases {
            let path = root.file(&key.place());
            match odd {
                None => files.push((path, key.place(), false)),
                Some(_) => silent.push(path),
            }
        }
    }
    let (trashed, strays) = survey_trash(root)?;
    silent.extend(strays);
    for (trashed, odd) in trashed {
        match odd {
            None => files.push((trashed.path, trashed.place, true)),
            Some(_) => silent.push(trashed.path),
        }
    }
    let look = |(path, place, trashed): &(PathBuf, Place, bool)| {
        // A file that cannot be read has no stamp.
        let (claim, schema) = look_at(path).ok().flatten()?;
        Some(Found {
            path: path.clone(),
            place: place.clone(),
            // If a file's name does not fit its stamp, a person put the file there. A file with the
            // stamp of the warm pool was never in use, even if a tenant has taken it.
            claim: Some(claim)
                .filter(|claim| claim.fits(place) && claim.id != *place.placeholder().id())?,
            schema,
            trashed: *trashed,
            modified: fs::symlink_metadata(path)
                .and_then(|meta| meta.modified())
                .ok()?,
        })
    };
    let mut done = Progress {
        total: files.len() as u64,
        ..Progress::default()
    };
    Jobs::new(JOBS)?.run(
        &files,
        || true,
        look,
        |results| {
            for (at, result) in results {
                match result {
                    Some(one) => found.push(one),
                    None => {
                        done.failed += 1;
                        silent.push(files[at].0.clone());
                    }
                }
                done.done += 1;
            }
            progress(done);
            Ok::<(), RepairError>(())
        },
    )?;
    silent.sort();
    Ok((found, silent))
}

fn look_at(path: &Path) -> rusqlite::Result<Option<(Claim, u32)>> {
    let connection: Connection = raw::connect(path, BUSY_TIMEOUT)?;
    let Some(claim) = stamp::claim(&connection)? else {
        return Ok(None);
    };
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(Some((claim, version)))
}

/// Returns the best file of each tenant, by id, and the others.
fn choose(found: Vec<Found>) -> (Vec<Found>, Vec<Found>) {
    let (mut best, mut losers) = (BTreeMap::<TenantId, Found>::new(), Vec::new());
    for one in found {
        let id = one.claim.id.clone();
        let better = best.get(&id).is_none_or(|other| one.rank() > other.rank());
        let loser = match better {
            true => best.insert(id, one),
            false => Some(one),
        };
        losers.extend(loser);
    }
    (best.into_values().collect(), losers)
}

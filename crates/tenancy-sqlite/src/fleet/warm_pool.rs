//! The warm pool: databases that are created before their tenants.

use std::time::{SystemTime, UNIX_EPOCH};

use tenancy_core::{Actor, Placement, Tenant};

use super::SqliteFleet;
use crate::catalog::WarmDatabase;
use crate::disk::place::Place;
use crate::driver::provisioner::BATCH;
use crate::error::{FileError, InvalidWarmPool, RepairError};

/// The time after which a process that is creating or removing a database counts as killed.
const LAPSE_MS: i64 = 60_000;
/// The time after which databases of other migrations are removed, even if those are not older. By
/// then their release was rolled back, or has filled its own pool.
const TURN_MS: i64 = 60 * LAPSE_MS;

/// The state of the warm pool after [`SqliteFleet::fill_warm_pool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WarmPool {
    /// The number of databases that a new tenant can take now.
    pub ready: usize,
    /// The number of databases that this call created.
    pub made: usize,
    /// The number of databases of other migrations that this call removed.
    pub removed: usize,
}

/// The greatest size: each database has a file, and a row that every filler reads twice a second.
const MAX_WARM_POOL: usize = 10_000;

impl WarmPool {
    /// Checks that a size of the warm pool is within its bounds, 0 to 10,000 databases.
    ///
    /// # Errors
    /// Returns an error if the size is greater.
    pub fn check(wanted: usize) -> Result<(), InvalidWarmPool> {
        match wanted {
            0..=MAX_WARM_POOL => Ok(()),
            found => Err(InvalidWarmPool { found }),
        }
    }
}

impl SqliteFleet {
    /// Creates databases for later tenants until `wanted` (0 to 10,000) are ready, at most a
    /// hundred per call. A batch needs about as many fsyncs as one database. A later creation of a
    /// tenant takes a database of the same migrations in the write that inserts the tenant's row.
    /// The tenant needs nothing else before its first request.
    ///
    /// The facade's upkeep calls this if a warm pool is configured. Several processes may call it.
    /// A database that a process began to create or remove more than a minute ago is taken over. A
    /// surplus stays until tenants take it. `wanted` 0 removes all databases of the warm pool.
    ///
    /// Databases of older migrations are removed. While the warm pool has databases of newer or
    /// other migrations, no database is created, so that two releases that run side by side do not
    /// remove each other's databases. An hour after such a database was created it is removed, too,
    /// because its release may have been rolled back.
    ///
    /// A database of the warm pool is an ordinary, empty file in its place. Its stamp names the
    /// place, and names the tenant only from the first open on. Until then
    /// [`rebuild_catalog`](Self::rebuild_catalog) does not find the tenant.
    ///
    /// ```
    /// use tenancy_core::Actor;
    /// # use tenancy_sqlite::SqliteStorage;
    /// # let root = tempfile::tempdir()?;
    /// # let fleet = SqliteStorage::create(root.path())?.fleet();
    /// let warm_pool = fleet.fill_warm_pool(3, &Actor::new("start"))?;
    /// assert_eq!((warm_pool.ready, warm_pool.made), (3, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if `wanted` is out of bounds, the catalog cannot be read or written, or a
    /// file cannot be created or removed. An error of one file does not stop the other files of its
    /// batch, and a later call completes the work.
    pub fn fill_warm_pool(&self, wanted: usize, by: &Actor) -> Result<WarmPool, RepairError> {
        WarmPool::check(wanted)?;
        let store = &*self.driver().store;
        let newest = self.driver().migrations().newest();
        let waiting = self.catalog().warm_pool()?;
        let now_ms = now_ms();
        // A clock that was set back leaves times in the future, so the distance counts.
        let is_over = |w: &WarmDatabase, ms: i64| w.at_ms.abs_diff(now_ms) > ms.unsigned_abs();
        let is_free = |w: &&WarmDatabase| w.ready || is_over(w, LAPSE_MS);
        let is_own = |w: &&WarmDatabase| wanted > 0 && w.fingerprint == store.fingerprint;
        let is_old = |w: &&WarmDatabase| {
            let older = w.schema < newest || w.is_withdrawn() || wanted == 0;
            !is_own(w) && (older || is_over(w, TURN_MS))
        };
        let old = waiting.iter().filter(is_old).filter(is_free);
        let old: Vec<&Place> = old.map(|w| &w.place).collect();
        let mut warm_pool = WarmPool {
            removed: self.remove_warm_pool(&old, by)?,
            ..WarmPool::default()
        };
        let own: Vec<&WarmDatabase> = waiting.iter().filter(is_own).collect();
        warm_pool.ready = own.iter().filter(|w| w.ready).count();
        let is_due = own.len() < wanted || own.iter().any(|w| !w.ready && is_free(w));
        let is_others = waiting.iter().any(|w| !is_own(&w) && !is_old(&w));
        if is_due && !is_others {
            warm_pool.made = self.make_warm_pool(wanted, own.len(), by)?;
            warm_pool.ready += warm_pool.made;
        }
        Ok(warm_pool)
    }

    fn make_warm_pool(
        &self,
        wanted: usize,
        there: usize,
        by: &Actor,
    ) -> Result<usize, RepairError> {
        let store = &*self.driver().store;
        let draw = |_| Place::draw();
        let drawn = (there..wanted).take(BATCH).map(draw);
        let drawn: Vec<Placement> = drawn.collect::<Result<_, _>>()?;
        let like = (&*store.fingerprint, self.driver().migrations().newest());
        // Each place is listed before its file exists, so that a crash leaves no unknown file.
        let begun = self
            .catalog()
            .begin_warm_databases(like, (wanted, &drawn), LAPSE_MS, by)?;
        store.step("make the warm pool")?;
        let nobodies: Vec<Tenant> = begun.iter().map(Place::placeholder).collect();
        let made = store.provision_batch(&nobodies);
        let is_made = |(place, made): (_, &Result<_, FileError>)| made.is_ok().then_some(place);
        let ready: Vec<&Place> = begun.iter().zip(&made).filter_map(is_made).collect();
        store.step("list the warm pool")?;
        self.catalog().mark_warm_databases_ready(&ready, by)?;
        let failed = made.into_iter().find_map(Result::err);
        failed.map_or(Ok(ready.len()), |error| Err(error.into()))
    }

    fn remove_warm_pool(&self, places: &[&Place], by: &Actor) -> Result<usize, RepairError> {
        // Places that tenants have taken meanwhile are left out; no tenant can take the others now.
        let mut gone = self.catalog().withdraw_warm_databases(places, by)?;
        let store = &*self.driver().store;
        let mut failed = None;
        gone.retain(|place| match store.destroy(&place.placeholder()) {
            Ok(()) => true,
            // A validation has the file open.
            Err(FileError::InUse { .. }) => false,
            Err(error) => {
                failed.get_or_insert(error);
                false
            }
        });
        if !gone.is_empty() {
            store.step("strike off the warm pool")?;
            // Otherwise a file that a killed process staged would be recovered into the place.
            store.root.clear_staged(&gone.iter().collect())?;
        }
        self.catalog().forget_warm_databases(&gone, by)?;
        failed.map_or(Ok(gone.len()), |error| Err(error.into()))
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

//! The warm pool: databases that are made before their tenants.

use std::time::{SystemTime, UNIX_EPOCH};

use tenancy_core::{Actor, Placement, Tenant};

use super::SqliteFleet;
use crate::catalog::WarmDatabase;
use crate::disk::place::Place;
use crate::driver::provisioner::BATCH;
use crate::error::{FileError, InvalidWarmPool, RepairError};

/// The time after which a process that makes or removes a database counts as killed.
const LAPSE_MS: i64 = 60_000;
/// The time after which databases of other, not older migrations are removed: their release was
/// rolled back by then, or has filled its own pool.
const TURN_MS: i64 = 60 * LAPSE_MS;

/// The state of the warm pool after [`SqliteFleet::fill_warm_pool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WarmPool {
    /// Databases that a new tenant can take now.
    pub ready: usize,
    /// The number of them that this call made.
    pub made: usize,
    /// Databases of other migrations that were removed.
    pub removed: usize,
}

/// The most databases: each has a file, and a row that every filler reads twice a second.
const MAX_WARM_POOL: usize = 10_000;

impl WarmPool {
    /// Checks a number of databases: 0 to 10,000.
    ///
    /// # Errors
    /// Returns an error if it is greater.
    pub fn check(wanted: usize) -> Result<(), InvalidWarmPool> {
        match wanted {
            0..=MAX_WARM_POOL => Ok(()),
            found => Err(InvalidWarmPool { found }),
        }
    }
}

impl SqliteFleet {
    /// Makes databases for later tenants until `wanted` (0 to 10,000) are ready, at most a hundred a
    /// call, with about the fsyncs of one. A creation takes one of them, if it was made by the same
    /// migrations, in the write that inserts the tenant's row: the tenant needs nothing else before
    /// its first request.
    ///
    /// The facade's upkeep calls this if a warm pool is configured; several processes may call it.
    /// Databases of older migrations are removed. While there are databases of newer or other
    /// migrations none are made, so that two releases that run side by side do not remove each
    /// other's; an hour after they were made they are removed, too, as their release may have been
    /// rolled back. `wanted` 0 removes all. A surplus stays until it is taken. A database that a
    /// process began to make or remove more than a minute ago is taken over.
    ///
    /// A database is an ordinary, empty file in its place. Its stamp has its place, and gets its
    /// tenant at the first open: until then [`rebuild_catalog`](Self::rebuild_catalog) does not
    /// find its tenant.
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
    /// file cannot be made or removed; the other files are made and removed all the same, and a
    /// later call completes what was begun.
    pub fn fill_warm_pool(&self, wanted: usize, by: &Actor) -> Result<WarmPool, RepairError> {
        WarmPool::check(wanted)?;
        let store = &*self.driver().store;
        let newest = self.driver().migrations().newest();
        let waiting = self.catalog().warm_pool()?;
        let now_ms = now_ms();
        // A time in the future was written before the clock was set back.
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
        // Listed first, so that its file is known whatever happens next.
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
        // A tenant that took one meanwhile has it; no tenant can take the others any more.
        let mut gone = self.catalog().withdraw_warm_databases(places, by)?;
        let store = &*self.driver().store;
        let mut failed = None;
        gone.retain(|place| match store.destroy(&place.placeholder()) {
            Ok(()) => true,
            // A validation has it open.
            Err(FileError::InUse { .. }) => false,
            Err(error) => {
                failed.get_or_insert(error);
                false
            }
        });
        if !gone.is_empty() {
            store.step("strike off the warm pool")?;
            // A file that a killed process staged would be recovered.
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

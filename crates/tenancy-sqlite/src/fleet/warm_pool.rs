//! The warm pool: databases that are ready before their tenants come.

use std::time::{SystemTime, UNIX_EPOCH};

use tenancy_core::{Actor, Placement, Tenant};

use super::SqliteFleet;
use crate::catalog::Waiting;
use crate::disk::place::Place;
use crate::driver::provisioner::BATCH;
use crate::error::{FileError, InvalidWarmPool, RepairError};

/// Who has not made or removed a database of the warm pool by then was killed.
const LAPSE_MS: i64 = 60_000;
/// When a warm pool goes that no older migrations made: its release was taken back by then,
/// or has had its turn.
const TURN_MS: i64 = 60 * LAPSE_MS;

/// What [`SqliteFleet::fill_warm_pool`] left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WarmPool {
    /// Databases that a new tenant can take now.
    pub ready: usize,
    /// How many of them were made by this call.
    pub made: usize,
    /// Databases of other migrations that were removed.
    pub removed: usize,
}

/// A file each, and a row that every filler reads twice a second.
const MAX_WARM_POOL: usize = 10_000;

impl WarmPool {
    /// Whether so many may be kept ready: 0 to 10,000.
    ///
    /// # Errors
    /// When there are more.
    pub fn check(wanted: usize) -> Result<(), InvalidWarmPool> {
        match wanted {
            0..=MAX_WARM_POOL => Ok(()),
            found => Err(InvalidWarmPool { found }),
        }
    }
}

impl SqliteFleet {
    /// Makes databases for tenants yet to come, until `wanted` (0 to 10,000) are ready, at
    /// most a hundred a call, with about the waits for the disk of one. A creation takes
    /// one of them, if it was made by the same migrations, in the write that inserts the
    /// tenant's row: nothing else is left to be done before its first request.
    ///
    /// The facade's upkeep calls this where a warm pool is asked for; several processes may.
    /// What was made by older migrations is removed. While there are databases of newer
    /// or other ones nothing is made, so that two releases that run side by side do not
    /// remove each other's; an hour after they were made they go, too, as their release
    /// may have been taken back. `wanted` 0 removes all. More than are wanted stay until
    /// they are taken. What somebody began to make or remove, and has not in a minute, is
    /// taken over.
    ///
    /// A database is an ordinary, empty file in its place. It is stamped with its place
    /// and gets its tenant's name when it is first opened: until then it does not know
    /// its tenant, and [`rebuild_catalog`](Self::rebuild_catalog) does not find it.
    ///
    /// ```
    /// use tenancy_core::Actor;
    /// # use tenancy_sqlite::SqliteStorage;
    /// # let root = tempfile::tempdir()?;
    /// # let fleet = SqliteStorage::create(root.path())?.fleet();
    /// let warm_pool = fleet.fill_warm_pool(3, &Actor::new("start"))?;
    /// assert_eq!((warm pool.ready, warm pool.made), (3, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When `wanted` is out of bounds, the catalog cannot be asked or written, or a file
    /// cannot be made or removed: the others are all the same. What was begun is taken up
    /// by a later call.
    pub fn fill_warm_pool(&self, wanted: usize, by: &Actor) -> Result<WarmPool, RepairError> {
        WarmPool::check(wanted)?;
        let store = &*self.driver().store;
        let newest = self.driver().migrations().newest();
        let waiting = self.catalog().warm_pool()?;
        let now_ms = now_ms();
        // What is in the future was begun before the clock was set back.
        let is_over = |w: &Waiting, ms: i64| w.at_ms.abs_diff(now_ms) > ms.unsigned_abs();
        let is_free = |w: &&Waiting| w.ready || is_over(w, LAPSE_MS);
        let is_own = |w: &&Waiting| wanted > 0 && w.fingerprint == store.fingerprint;
        let is_old = |w: &&Waiting| {
            let older = w.schema < newest || w.is_withdrawn() || wanted == 0;
            !is_own(w) && (older || is_over(w, TURN_MS))
        };
        let old = waiting.iter().filter(is_old).filter(is_free);
        let old: Vec<&Place> = old.map(|w| &w.place).collect();
        let mut warm_pool = WarmPool {
            removed: self.remove_warm_pool(&old, by)?,
            ..WarmPool::default()
        };
        let own: Vec<&Waiting> = waiting.iter().filter(is_own).collect();
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
        // Listed first: whatever happens next, its file is not an unknown one.
        let begun = self
            .catalog()
            .begin_warm_pool(like, (wanted, &drawn), LAPSE_MS, by)?;
        store.step("make the warm pool")?;
        let nobodies: Vec<Tenant> = begun.iter().map(Place::nobody).collect();
        let made = store.provision_batch(&nobodies);
        let is_made = |(place, made): (_, &Result<_, FileError>)| made.is_ok().then_some(place);
        let ready: Vec<&Place> = begun.iter().zip(&made).filter_map(is_made).collect();
        store.step("list the warm pool")?;
        self.catalog().end_warm_pool(&ready, by)?;
        let failed = made.into_iter().find_map(Result::err);
        failed.map_or(Ok(ready.len()), |error| Err(error.into()))
    }

    fn remove_warm_pool(&self, places: &[&Place], by: &Actor) -> Result<usize, RepairError> {
        // Who took one meanwhile has it; the others nobody can take any more.
        let mut gone = self.catalog().withdraw_warm_pool(places, by)?;
        let store = &*self.driver().store;
        let mut failed = None;
        gone.retain(|place| match store.destroy(&place.nobody()) {
            Ok(()) => true,
            // A validation looks into it.
            Err(FileError::InUse { .. }) => false,
            Err(error) => {
                failed.get_or_insert(error);
                false
            }
        });
        if !gone.is_empty() {
            store.step("strike off the warm pool")?;
            // What a killed one staged would come back.
            store.root.clear_staged(&gone.iter().collect())?;
        }
        self.catalog().forget_warm_pool(&gone, by)?;
        failed.map_or(Ok(gone.len()), |error| Err(error.into()))
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

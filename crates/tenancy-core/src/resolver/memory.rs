//! [`Memory`]: the names that a resolver knows, kept up to date with the catalog.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use super::error::ResolveError;
use super::fresh::{Fresh, Turn};
use super::reserved::Reserved;
use crate::catalog::{Catalog, CatalogError, Change, Changes, Name, TenantKey};
use crate::clock::Clock;
use crate::event::{Event, Observers};
use crate::id::{TenantId, Version};
use crate::index::cache::Cache;
use crate::index::replica::{Conflict, Replica};
use crate::index::{Found, Probe};

/// The number of changes to read at a time: a few megabytes.
const PAGE: usize = 10_000;

pub(super) enum Store {
    Replica(Box<Replica>),
    Cache { cache: Cache, feed: Feed },
}

const GONE: &str = "its change feed is gone";
const STARTED_OVER: &str = "its change feed started over while it was read";

/// Reads the changes after `since`, and checks them. With a gap, changes would be lost for good.
/// With `more` but without progress, reading would never end.
fn ask(catalog: &dyn Catalog, since: Version) -> Result<Option<Changes>, CatalogError> {
    let Some(changes) = catalog.changes(since, PAGE)? else {
        return Ok(None);
    };
    let from = match changes.reset {
        true => Version::ZERO,
        false => since,
    };
    if changes.since > from {
        return Err(CatalogError::new(format!(
            "its change feed was read from version {from} on and starts after version {}",
            changes.since
        )));
    }
    if changes.more && changes.upto <= from {
        return Err(CatalogError::new(format!(
            "its change feed promises more after version {from} and does not get beyond it"
        )));
    }
    Ok(Some(changes))
}

/// The change feed of a catalog, if it has one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Feed {
    Changes,
    None,
}

impl Store {
    pub(super) fn has_feed(&self) -> bool {
        !matches!(
            self,
            Self::Cache {
                feed: Feed::None,
                ..
            }
        )
    }
}

/// The changes that were applied. Observers are notified of them once no lock is held.
#[derive(Default)]
struct Applied {
    batches: Vec<Changes>,
    conflicts: Vec<Conflict>,
}

/// The part of a catalog that a resolver knows, and its freshness.
pub(super) struct Memory {
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) reserved: Arc<Reserved>,
    pub(super) clock: Clock,
    pub(super) fresh: Fresh,
    pub(super) max_tenants: usize,
    pub(super) max_cached: usize,
    pub(super) observers: Observers,
    /// Empty before the first load.
    pub(super) store: OnceLock<Store>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("applied", &self.applied())
            .finish_non_exhaustive()
    }
}

/// The error for a catalog that cannot be read and a memory that lacks the name or is too old.
pub(super) struct Unavailable(Arc<CatalogError>);

impl From<Unavailable> for ResolveError {
    fn from(Unavailable(source): Unavailable) -> Self {
        Self::CatalogUnavailable { source }
    }
}

impl Memory {
    #[inline(always)]
    pub(super) fn store(&self) -> Option<&Store> {
        self.store.get()
    }

    #[inline(always)]
    pub(super) fn now(&self) -> u64 {
        self.clock.nanos()
    }

    /// Applies all changes of the catalog; see [`Resolver::sync`](super::Resolver::sync).
    pub(super) fn sync(&self) -> Result<Version, Arc<CatalogError>> {
        let Some(store) = self.store.get() else {
            self.load()?;
            return Ok(self.applied());
        };
        let mut syncing = self.fresh.syncing.lock();
        let applied = self.sync_locked(store, &mut syncing);
        let failed = syncing.clone();
        drop(syncing);
        self.notify(&applied);
        failed.map_or_else(|| Ok(self.applied()), Err)
    }

    /// Applies a stretch of the change feed; see [`Resolver::apply`](super::Resolver::apply).
    pub(super) fn apply(&self, changes: &Changes) {
        let Some(store) = self.store.get() else {
            return;
        };
        let syncing = self.fresh.syncing.lock();
        let (at, mut applied) = (self.applied(), Applied::default());
        let is_due = match store {
            Store::Cache {
                cache,
                feed: Feed::None,
            } => {
                cache.forget_each(&changes.items);
                applied.batches.push(changes.clone());
                false
            }
            _ if changes.reset => true,
            _ if changes.upto <= at => false,
            _ if changes.since == at => {
                self.apply_locked(store, changes.clone(), &mut applied);
                changes.more
            }
            _ => true,
        };
        if is_due {
            self.fresh.make_due();
        }
        drop(syncing);
        self.notify(&applied);
    }

    /// Returns the version up to which every change was applied.
    pub(super) fn applied(&self) -> Version {
        Version(self.fresh.applied.load(Ordering::Acquire))
    }

    #[cold]
    pub(super) fn load_first(&self) -> Result<&Store, Unavailable> {
        self.load()
            .map_err(|error| self.unavailable(Arc::new(error)))
    }

    /// Loads the catalog. One caller loads it, and the other callers wait.
    fn load(&self) -> Result<&Store, CatalogError> {
        let _syncing = self.fresh.syncing.lock();
        match self.store.get() {
            Some(store) => Ok(store),
            None => {
                let store = self.load_locked()?;
                Ok(self.store.get_or_init(|| store))
            }
        }
    }

    fn load_locked(&self) -> Result<Store, CatalogError> {
        let began = self.clock.nanos();
        let cache = |feed| {
            let ttl = match feed {
                Feed::Changes => u64::MAX,
                Feed::None => self.fresh.max_staleness,
            };
            let cache = Cache::new(self.max_cached, ttl);
            Store::Cache { cache, feed }
        };
        let replica = Replica::new();
        let (mut since, mut tenants) = (Version::ZERO, 0);
        loop {
            let Some(changes) = ask(&*self.catalog, since)? else {
                return Ok(cache(Feed::None));
            };
            if changes.reset && since > Version::ZERO {
                return Err(CatalogError::new(STARTED_OVER));
            }
            let is_tenant = |change: &&Change| matches!(change, Change::Tenant(_));
            tenants += changes.items.iter().filter(is_tenant).count();
            if tenants > self.max_tenants {
                // The cache is still empty, so it may start at any current version. The look-up of
                // an arbitrary name returns one.
                let now = self.catalog.lookup(TenantKey::Label("tenancy"))?.as_of;
                self.fresh.applied.store(now.0, Ordering::Release);
                self.fresh.synced(began);
                return Ok(cache(Feed::Changes));
            }
            replica.apply(&changes.items, &|label| {
                self.reserved.contains(label.as_str().as_bytes())
            });
            since = changes.upto;
            if !changes.more {
                break;
            }
        }
        self.fresh.applied.store(since.0, Ordering::Release);
        self.fresh.synced(began);
        Ok(Store::Replica(Box::new(replica)))
    }

    /// Syncs the memory if a sync is due and this caller must do it.
    #[cold]
    pub(super) fn refresh(&self, store: &Store, now: u64) -> Result<(), Unavailable> {
        if !store.has_feed() {
            return Ok(());
        }
        let turn = self.fresh.turn(now);
        if turn == Turn::Answer {
            return Ok(());
        }
        let seen = self.fresh.syncs.load(Ordering::Acquire);
        let mut syncing = self.fresh.syncing.lock();
        let now = self.clock.nanos();
        if !self.fresh.is_due(now) {
            return Ok(());
        }
        let age = self.fresh.age(now);
        let mut applied = Applied::default();
        if self.fresh.syncs.load(Ordering::Acquire) == seen || syncing.is_none() {
            applied = self.sync_locked(store, &mut syncing);
        }
        let failed = syncing.clone();
        drop(syncing);
        self.notify(&applied);
        match failed {
            Some(error) if turn == Turn::MustSync || age > self.fresh.serve_stale_for => {
                Err(self.unavailable(error))
            }
            Some(error) => {
                self.observers
                    .emit(&Event::CatalogUnavailable { error: &error });
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn sync_locked(&self, store: &Store, failed: &mut Option<Arc<CatalogError>>) -> Applied {
        let mut applied = Applied::default();
        *failed = self.sync_pages(store, &mut applied).err().map(Arc::new);
        self.fresh.syncs.fetch_add(1, Ordering::AcqRel);
        applied
    }

    fn sync_pages(&self, store: &Store, applied: &mut Applied) -> Result<(), CatalogError> {
        if !store.has_feed() {
            return Ok(());
        }
        let began = self.clock.nanos();
        loop {
            let Some(changes) = ask(&*self.catalog, self.applied())? else {
                return Err(CatalogError::new(GONE));
            };
            let more = changes.more;
            if changes.reset {
                self.start_over(store, changes, applied)?;
                break;
            }
            self.apply_locked(store, changes, applied);
            if !more {
                break;
            }
        }
        self.fresh.synced(began);
        Ok(())
    }

    fn apply_locked(&self, store: &Store, changes: Changes, applied: &mut Applied) {
        match store {
            Store::Replica(replica) => {
                let conflicts = replica.apply(&changes.items, &|label| {
                    self.reserved.contains(label.as_str().as_bytes())
                });
                applied.conflicts.extend(conflicts);
            }
            Store::Cache { cache, .. } => {
                cache.raise(changes.upto);
                for change in &changes.items {
                    cache.forget(change);
                }
            }
        }
        // The version is stored after the changes, so that a thread that reads it sees them.
        self.fresh
            .applied
            .fetch_max(changes.upto.0, Ordering::AcqRel);
        applied.batches.push(changes);
    }

    /// Applies a feed that starts over. Its changes are applied first, and then all names that it
    /// does not hold are removed. So no tenant of the feed is missing meanwhile.
    fn start_over(
        &self,
        store: &Store,
        first: Changes,
        applied: &mut Applied,
    ) -> Result<(), CatalogError> {
        let mut pages = vec![first];
        while let Some(page) = pages.last().filter(|page| page.more) {
            match ask(&*self.catalog, page.upto)? {
                Some(next) if next.reset => return Err(CatalogError::new(STARTED_OVER)),
                Some(next) => pages.push(next),
                None => return Err(CatalogError::new(GONE)),
            }
        }
        let mut ids = HashSet::<TenantId>::new();
        let mut bound = HashMap::<Name, Vec<TenantId>>::new();
        for change in pages.iter_mut().flat_map(|page| &mut page.items) {
            match change {
                Change::Tenant(tenant) => drop(ids.insert(tenant.id().clone())),
                Change::Removed { id, .. } => drop(ids.remove(id)),
                Change::Bound { name, id } => {
                    let (name, id) = (name.clone(), id.clone());
                    let owners = bound.entry(name.clone()).or_default();
                    owners.push(id.clone());
                    if owners.len() == 1 {
                        // The first binding replaces the owner from before the feed started over.
                        *change = Change::Moved { name, id };
                    }
                }
                Change::Moved { name, id } => drop(bound.insert(name.clone(), vec![id.clone()])),
                Change::Unbound { name } => drop(bound.remove(name)),
            }
        }
        let upto = pages.last().map_or(Version::ZERO, |page| page.upto);
        for page in pages {
            self.apply_locked(store, page, applied);
        }
        match store {
            Store::Replica(replica) => replica.retain(&ids, &bound),
            Store::Cache { cache, .. } => cache.restart(upto),
        }
        // A catalog that was rebuilt may have a lower version than before.
        self.fresh.applied.store(upto.0, Ordering::Release);
        Ok(())
    }

    pub(super) fn find_or_load(
        &self,
        cache: &Cache,
        name: Probe<'_>,
        now: u64,
    ) -> Result<Found, Unavailable> {
        if let Some(found) = cache.find(name, now) {
            return Ok(found);
        }
        let mut buffer = [0; 32];
        let Some(key) = name.as_key(&mut buffer) else {
            // The catalog is never read for a text that is no name.
            return Ok(Found::NoTenant);
        };
        if matches!(key, TenantKey::Label(label) if self.reserved.contains(label.as_bytes())) {
            return Ok(Found::NoTenant);
        }
        cache.load(&*self.catalog, key, now).or_else(|error| {
            let unavailable = self.unavailable(error);
            let oldest = self
                .clock
                .nanos()
                .saturating_sub(self.fresh.serve_stale_for);
            cache.find_since(name, oldest).ok_or(unavailable)
        })
    }

    fn unavailable(&self, source: Arc<CatalogError>) -> Unavailable {
        self.observers
            .emit(&Event::CatalogUnavailable { error: &source });
        Unavailable(source)
    }

    fn notify(&self, applied: &Applied) {
        for conflict in &applied.conflicts {
            self.observers.emit(&Event::NameConflict {
                name: &conflict.name,
                owner: &conflict.owner,
                other: &conflict.other,
            });
        }
        for changes in applied.batches.iter().filter(|c| !c.items.is_empty()) {
            for change in &changes.items {
                match change {
                    Change::Tenant(tenant) => {
                        self.observers.emit(&Event::TenantChanged { tenant });
                    }
                    Change::Removed { id, epoch } => {
                        self.observers
                            .emit(&Event::TenantRemoved { id, epoch: *epoch });
                    }
                    _ => {}
                }
            }
            self.observers.emit(&Event::Synced {
                upto: changes.upto,
                changes: changes.items.len(),
            });
        }
    }
}

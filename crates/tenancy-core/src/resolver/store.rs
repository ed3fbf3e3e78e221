//! The resolver's memory, and how it is kept up to date.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Resolver;
use super::fresh::Turn;
use super::way::Unavailable;
use crate::catalog::{CatalogError, Change, Changes, Name, TenantKey};
use crate::event::Event;
use crate::id::{TenantId, Version};
use crate::index::cache::Cache;
use crate::index::copy::{Conflict, Copy};
use crate::index::{Found, Probe};

/// Changes asked for at a time: a few megabytes.
const PAGE: usize = 10_000;

pub(crate) enum Store<S> {
    Copy(Box<Copy<S>>),
    Cache { cache: Cache<S>, feed: Feed },
}

/// Where a stretch that is not the last one ends: beyond where it began, or who follows the
/// feed would ask for ever.
fn moved(since: Version, changes: &Changes) -> Result<Version, CatalogError> {
    if changes.upto > since {
        return Ok(changes.upto);
    }
    Err(CatalogError::new(format!(
        "its change feed says that there is more after version {since} and does not get beyond it"
    )))
}

/// Whether a catalog tells what changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Feed {
    Changes,
    None,
}

impl<S> Store<S> {
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

/// What was applied, to be told once no lock is held.
#[derive(Default)]
struct Applied {
    batches: Vec<Changes>,
    conflicts: Vec<Conflict>,
}

impl<S: BuildHasher + Clone> Resolver<S> {
    /// Applies everything that the catalog has changed since the last time. Without
    /// a feed, everything cached is forgotten instead. Afterwards no answer is older
    /// than this call.
    ///
    /// # Errors
    /// When the catalog cannot be asked; what was known stays.
    pub fn sync(&self) -> Result<Version, Arc<CatalogError>> {
        let Some(store) = self.store.get() else {
            self.load()?;
            return Ok(self.applied());
        };
        let mut syncing = self.fresh.syncing.lock();
        let applied = self.sync_locked(store, &mut syncing);
        let failed = syncing.clone();
        drop(syncing);
        self.tell(&applied);
        failed.map_or_else(|| Ok(self.applied()), Err)
    }

    /// Applies what a change feed delivered by another way than
    /// [`sync`](Self::sync), in the order it was delivered. What was applied before
    /// is passed over; before the first load there is nothing to apply it to.
    pub fn apply(&self, changes: &Changes) {
        let Some(store) = self.store.get() else {
            return;
        };
        let syncing = self.fresh.syncing.lock();
        if changes.upto <= self.applied() {
            return;
        }
        let mut applied = Applied::default();
        self.apply_locked(store, changes.clone(), &mut applied);
        drop(syncing);
        self.tell(&applied);
    }

    /// Everything up to this version was applied.
    pub fn applied(&self) -> Version {
        Version(self.fresh.applied.load(Ordering::Acquire))
    }

    #[cold]
    pub(crate) fn load_first(&self) -> Result<&Store<S>, Unavailable> {
        self.load()
            .map_err(|error| self.unavailable(Arc::new(error)))
    }

    /// The first load: one caller does it, the others wait for it.
    fn load(&self) -> Result<&Store<S>, CatalogError> {
        self.store.get_or_try_init(|| {
            let began = self.clock.nanos();
            let cache = |feed| {
                let ttl = match feed {
                    Feed::Changes => u64::MAX,
                    Feed::None => self.fresh.max_staleness,
                };
                let cache = Cache::new(self.hasher.clone(), self.max_cached, ttl);
                Store::Cache { cache, feed }
            };
            let copy = Copy::new(self.hasher.clone());
            let (mut since, mut tenants) = (Version::ZERO, 0);
            loop {
                let Some(changes) = self.catalog.changes(since, PAGE)? else {
                    return Ok(cache(Feed::None));
                };
                let is_tenant = |change: &&Change| matches!(change, Change::Tenant(_));
                tenants += changes.items.iter().filter(is_tenant).count();
                if tenants > self.max_tenants {
                    // Nothing is cached yet, so any version will do to begin with:
                    // the one that a look-up is answered at.
                    let now = self.catalog.lookup(TenantKey::Label("tenancy"))?.as_of;
                    self.fresh.applied.store(now.0, Ordering::Release);
                    self.fresh.synced(began);
                    return Ok(cache(Feed::Changes));
                }
                for change in &changes.items {
                    copy.apply(change, &|label| self.is_reserved(label));
                }
                if !changes.more {
                    since = changes.upto;
                    break;
                }
                since = moved(since, &changes)?;
            }
            self.fresh.applied.store(since.0, Ordering::Release);
            self.fresh.synced(began);
            Ok(Store::Copy(Box::new(copy)))
        })
    }

    /// Memory is older than `poll_every`: sync if it is this caller's turn.
    #[cold]
    pub(super) fn refresh(&self, store: &Store<S>, now: u64) -> Result<(), Unavailable> {
        if !store.has_feed() {
            return Ok(());
        }
        let turn = self.fresh.turn(now);
        if turn == Turn::Answer {
            return Ok(());
        }
        let seen = self.fresh.syncs.load(Ordering::Acquire);
        let mut syncing = self.fresh.syncing.lock();
        let age = self.fresh.age(self.clock.nanos());
        if age < self.fresh.poll_every {
            return Ok(());
        }
        let mut applied = Applied::default();
        if self.fresh.syncs.load(Ordering::Acquire) == seen || syncing.is_none() {
            applied = self.sync_locked(store, &mut syncing);
        }
        let failed = syncing.clone();
        drop(syncing);
        self.tell(&applied);
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

    fn sync_locked(&self, store: &Store<S>, failed: &mut Option<Arc<CatalogError>>) -> Applied {
        let mut applied = Applied::default();
        *failed = self.sync_pages(store, &mut applied).err().map(Arc::new);
        self.fresh.syncs.fetch_add(1, Ordering::AcqRel);
        applied
    }

    fn sync_pages(&self, store: &Store<S>, applied: &mut Applied) -> Result<(), CatalogError> {
        if let Store::Cache {
            cache,
            feed: Feed::None,
        } = store
        {
            cache.forget_all();
            return Ok(());
        }
        let began = self.clock.nanos();
        loop {
            let Some(changes) = self.catalog.changes(self.applied(), PAGE)? else {
                return Err(CatalogError::new("its change feed is gone"));
            };
            let more = changes.more;
            if changes.reset {
                self.start_over(store, changes, applied)?;
                break;
            }
            if more {
                moved(self.applied(), &changes)?;
            }
            self.apply_locked(store, changes, applied);
            if !more {
                break;
            }
        }
        self.fresh.synced(began);
        Ok(())
    }

    fn apply_locked(&self, store: &Store<S>, changes: Changes, applied: &mut Applied) {
        match store {
            Store::Copy(copy) => {
                for change in &changes.items {
                    let conflict = copy.apply(change, &|label| self.is_reserved(label));
                    applied.conflicts.extend(conflict);
                }
            }
            Store::Cache { cache, .. } => {
                cache.raise(changes.upto);
                for change in &changes.items {
                    cache.forget(change);
                }
            }
        }
        // After the changes: who reads this version has them.
        self.fresh
            .applied
            .fetch_max(changes.upto.0, Ordering::AcqRel);
        applied.batches.push(changes);
    }

    /// The feed starts over. What it no longer holds goes only after all that it
    /// holds is in, so that no tenant is missing meanwhile.
    fn start_over(
        &self,
        store: &Store<S>,
        first: Changes,
        applied: &mut Applied,
    ) -> Result<(), CatalogError> {
        let mut pages = vec![first];
        while let Some(page) = pages.last().filter(|page| page.more) {
            match self.catalog.changes(page.upto, PAGE)? {
                Some(next) => {
                    if next.more {
                        moved(page.upto, &next)?;
                    }
                    pages.push(next);
                }
                None => return Err(CatalogError::new("its change feed is gone")),
            }
        }
        let (mut ids, mut names) = (HashSet::<TenantId>::new(), HashSet::<Name>::new());
        for change in pages.iter().flat_map(|page| &page.items) {
            match change {
                Change::Tenant(tenant) => drop(ids.insert(tenant.id().clone())),
                Change::Removed { id, .. } => drop(ids.remove(id)),
                Change::Bound { name, .. } => drop(names.insert(name.clone())),
                Change::Unbound { name } => drop(names.remove(name)),
            }
        }
        let upto = pages.last().map_or(Version::ZERO, |page| page.upto);
        for page in pages {
            self.apply_locked(store, page, applied);
        }
        match store {
            Store::Copy(copy) => copy.retain(&ids, &names),
            Store::Cache { cache, .. } => cache.restart(upto),
        }
        // A catalog that was rebuilt may count from a lower version again.
        self.fresh.applied.store(upto.0, Ordering::Release);
        Ok(())
    }

    pub(super) fn find_or_load(
        &self,
        cache: &Cache<S>,
        name: Probe<'_>,
        now: u64,
    ) -> Result<Found, Unavailable> {
        if let Some(found) = cache.find(name, now) {
            return Ok(found);
        }
        let mut buffer = [0; 32];
        let Some(key) = name.as_key(&mut buffer) else {
            // No name at all: the catalog is not asked.
            return Ok(Found::Nobody);
        };
        if matches!(key, TenantKey::Label(label) if self.hosts.reserved.contains(label)) {
            return Ok(Found::Nobody);
        }
        let loaded = cache.load(&*self.catalog, key, now);
        loaded.map_err(|error| self.unavailable(error))
    }

    fn unavailable(&self, source: Arc<CatalogError>) -> Unavailable {
        self.observers
            .emit(&Event::CatalogUnavailable { error: &source });
        Unavailable(source)
    }

    fn tell(&self, applied: &Applied) {
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

//! A bounded cache of a catalog that is too large for a replica, or has no feed.
//!
//! Names with and without a tenant are kept apart, so that a flood of unknown names never evicts a
//! tenant. Each name is loaded by one caller at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::bounded::{Bounded, Kept};
use super::{Found, Probe};
use crate::catalog::{Catalog, CatalogError, Change, TenantKey, Versioned};
use crate::id::{TenantId, Version};
use crate::sync::{AtomicU64, Mutex, Signal};
use crate::tenant::Tenant;

pub(crate) struct Cache {
    /// The tenants by name, each with the time just before it was read.
    tenants: Bounded<(Tenant, u64)>,
    without_tenant: Bounded<u64>,
    /// The names by which each tenant is cached, and perhaps some more. This lock is taken last.
    names: Mutex<HashMap<TenantId, Vec<Kept>>>,
    loads: Mutex<HashMap<Kept, Arc<SharedLoad>>>,
    /// The version up to which every change is applied. Older answers are not cached.
    applied: AtomicU64,
    /// A counter that rises when entries are removed without a newer version. An answer is not
    /// cached if the counter rose during its look-up.
    forgotten: AtomicU64,
    /// The nanoseconds that an answer is valid for. They are unbounded if the catalog has a feed.
    ttl: u64,
}

type Answer = Versioned<Option<Tenant>>;
type Loaded = Result<Answer, Arc<CatalogError>>;

/// The caller that read the catalog.
enum By {
    ThisCaller,
    AnotherCaller,
}

/// A load that several callers wait for.
#[derive(Default)]
struct SharedLoad {
    /// The value of the cache's `forgotten` when the load began.
    forgotten: u64,
    state: Mutex<LoadState>,
    ended: Signal,
}

#[derive(Default)]
enum LoadState {
    #[default]
    Loading,
    Done(Loaded),
    /// The catalog panicked. Each waiter loads again.
    Lost,
}

impl Cache {
    /// Makes a cache of at most `max` names with a tenant, and an eighth as many without one.
    pub(crate) fn new(max: usize, ttl: u64) -> Self {
        Self {
            tenants: Bounded::new(max),
            without_tenant: Bounded::new((max / 8).max(1)),
            names: Mutex::default(),
            loads: Mutex::default(),
            applied: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            ttl,
        }
    }

    pub(crate) fn find(&self, name: Probe<'_>, now: u64) -> Option<Found> {
        self.find_since(name, now.saturating_sub(self.ttl))
    }

    /// Returns an answer that was read at this time or later.
    pub(crate) fn find_since(&self, name: Probe<'_>, oldest: u64) -> Option<Found> {
        if let Some((tenant, read_at)) = self.tenants.get(name) {
            return (read_at >= oldest).then_some(Found::Tenant(tenant));
        }
        let read_at = self.without_tenant.get(name)?;
        (read_at >= oldest).then_some(Found::NoTenant)
    }

    /// Reads the catalog. Callers that need the same name at the same time share one read.
    pub(crate) fn load(
        &self,
        catalog: &dyn Catalog,
        key: TenantKey<'_>,
        now: u64,
    ) -> Result<Found, Arc<CatalogError>> {
        let needed = self.applied.load(Ordering::Acquire);
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let (answer, is_ours) = match self.load_shared(catalog, key, forgotten)? {
            (answer, By::ThisCaller) => (answer, true),
            (answer, By::AnotherCaller) if answer.as_of.0 >= needed => (answer, false),
            // The other caller read the catalog before the last change was applied.
            (_, By::AnotherCaller) => (catalog.lookup(key)?, true),
        };
        if answer.as_of.0 < needed {
            let lags = "its answers are older than the changes it fed; is it a replica that lags?";
            return Err(Arc::new(CatalogError::new(lags)));
        }
        if is_ours {
            self.keep(Probe::of(key), &answer, forgotten, now);
        }
        Ok(answer.value.map_or(Found::NoTenant, Found::Tenant))
    }

    /// Returns the answer of a load that callers share.
    fn load_shared(
        &self,
        catalog: &dyn Catalog,
        key: TenantKey<'_>,
        forgotten: u64,
    ) -> Result<(Answer, By), Arc<CatalogError>> {
        let kept = Kept::from(Probe::of(key));
        let mut loads = self.loads.lock();
        if let Some(load) = loads.get(&kept).cloned() {
            drop(loads);
            if load.forgotten == forgotten
                && let Some(loaded) = load.wait()
            {
                return Ok((loaded?, By::AnotherCaller));
            }
            // The other load began before entries were removed, or its caller panicked.
            return Ok((catalog.lookup(key)?, By::ThisCaller));
        }
        let load = Arc::new(SharedLoad {
            forgotten,
            ..SharedLoad::default()
        });
        loads.insert(kept.clone(), load.clone());
        drop(loads);
        let mut end = EndOfLoad {
            cache: self,
            name: kept,
            load,
            state: LoadState::Lost,
        };
        let loaded = catalog.lookup(key).map_err(Arc::new);
        end.state = LoadState::Done(loaded.clone());
        Ok((loaded?, By::ThisCaller))
    }

    fn keep(&self, name: Probe<'_>, answer: &Answer, forgotten: u64, read_at: u64) {
        // The counters are compared while the shard of the name is locked, and are raised before
        // entries are removed. So either the comparison fails, or the new entry is removed later.
        let current = || {
            self.applied.load(Ordering::Acquire) <= answer.as_of.0
                && self.forgotten.load(Ordering::Acquire) == forgotten
        };
        let Some(tenant) = &answer.value else {
            self.without_tenant
                .put_if(name, read_at, current, |_, _| {});
            self.remove_tenant(name);
            return;
        };
        self.without_tenant.del(name, |_, _| {});
        // The name is recorded before the comparison and under the same lock. So every cached name
        // is recorded, even while another thread removes the tenant.
        let still = || {
            self.record_name(tenant.id(), name.into());
            current()
        };
        let evicted = |gone: &Kept, (owner, _): &(Tenant, u64)| self.remove_name(owner.id(), gone);
        self.tenants
            .put_if(name, (tenant.clone(), read_at), still, evicted);
    }

    fn record_name(&self, id: &TenantId, name: Kept) {
        let mut names = self.names.lock();
        let names = names.entry(id.clone()).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }

    fn remove_name(&self, id: &TenantId, gone: &Kept) {
        let mut names = self.names.lock();
        if let Some(kept) = names.get_mut(id) {
            kept.retain(|name| name != gone);
            if kept.is_empty() {
                names.remove(id);
            }
        }
    }

    /// Removes the tenant of a name.
    fn remove_tenant(&self, name: Probe<'_>) {
        let gone = |name: &Kept, (owner, _): &(Tenant, u64)| self.remove_name(owner.id(), name);
        self.tenants.del(name, gone);
    }

    /// Refuses to cache answers that are older than this version. Call it before
    /// [`forget`](Self::forget).
    pub(crate) fn raise(&self, upto: Version) {
        self.applied.fetch_max(upto.0, Ordering::AcqRel);
    }

    /// Removes the entries that a change makes stale.
    pub(crate) fn forget(&self, change: &Change) {
        match change {
            Change::Tenant(tenant) => self.forget_tenant(tenant.id()),
            Change::Removed { id, .. } => self.forget_tenant(id),
            Change::Bound { name, .. } | Change::Moved { name, .. } | Change::Unbound { name } => {
                let name = Probe::of(name.as_key());
                self.remove_tenant(name);
                self.without_tenant.del(name, |_, _| {});
            }
        }
    }

    fn forget_tenant(&self, id: &TenantId) {
        let names = self.names.lock().remove(id).unwrap_or_default();
        for name in &names {
            self.tenants.del(name.as_probe(), |_, _| {});
        }
        let own = Probe::of(TenantKey::Label(id.as_str()));
        self.without_tenant.del(own, |_, _| {});
    }

    /// Removes all entries, and accepts answers from this version on.
    pub(crate) fn restart(&self, upto: Version) {
        self.applied.store(upto.0, Ordering::Release);
        self.forget_all();
    }

    /// Removes the entries that these changes make stale. Answers of look-ups that are running are
    /// not cached.
    pub(crate) fn forget_each(&self, changes: &[Change]) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        changes.iter().for_each(|change| self.forget(change));
    }

    fn forget_all(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        // The names are cleared first: an entry that is made after its shard was cleared is also
        // recorded after the names were cleared.
        self.names.lock().clear();
        self.tenants.clear();
        self.without_tenant.clear();
    }
}

impl SharedLoad {
    fn wait(&self) -> Option<Loaded> {
        let mut state = self.state.lock();
        loop {
            match &*state {
                LoadState::Loading => state = self.ended.wait(state),
                LoadState::Done(loaded) => return Some(loaded.clone()),
                LoadState::Lost => return None,
            }
        }
    }
}

/// The guard that ends a load, also if the catalog panics.
struct EndOfLoad<'a> {
    cache: &'a Cache,
    name: Kept,
    load: Arc<SharedLoad>,
    state: LoadState,
}

impl Drop for EndOfLoad<'_> {
    fn drop(&mut self) {
        self.cache.loads.lock().remove(&self.name);
        *self.load.state.lock() = std::mem::take(&mut self.state);
        self.load.ended.notify_all();
    }
}

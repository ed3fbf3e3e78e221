//! A bounded part of a catalog that is too large for a full copy, or has no feed.
//!
//! Tenants and "nobody" have places of their own, so that a flood of unknown names
//! can never push a tenant out. One load a name at a time.

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
    /// Each answer with the moment before it was read.
    tenants: Bounded<(Tenant, u64)>,
    nobody: Bounded<u64>,
    /// Which names of a tenant are kept, at least. Locked last.
    names: Mutex<HashMap<TenantId, Vec<Kept>>>,
    flights: Mutex<HashMap<Kept, Arc<Flight>>>,
    /// Everything up to this version was applied: older answers are not kept.
    applied: AtomicU64,
    /// Raised when everything is forgotten: what was asked before is not kept.
    forgotten: AtomicU64,
    /// Nanoseconds that an answer is good for; without end where a feed tells.
    ttl: u64,
}

type Answer = Versioned<Option<Tenant>>;
type Loaded = Result<Answer, Arc<CatalogError>>;

/// Who asked the catalog.
enum By {
    Us,
    Another,
}

/// One load that several callers wait for.
#[derive(Default)]
struct Flight {
    /// How often all had been forgotten when it set off.
    forgotten: u64,
    state: Mutex<FlightState>,
    landed: Signal,
}

#[derive(Default)]
enum FlightState {
    #[default]
    Flying,
    Landed(Loaded),
    /// The catalog panicked: whoever waits flies himself.
    Lost,
}

impl Cache {
    /// At most `max` names of tenants, an eighth of that of nobody's.
    pub(crate) fn new(max: usize, ttl: u64) -> Self {
        Self {
            tenants: Bounded::new(max),
            nobody: Bounded::new((max / 8).max(1)),
            names: Mutex::default(),
            flights: Mutex::default(),
            applied: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            ttl,
        }
    }

    pub(crate) fn find(&self, name: Probe<'_>, now: u64) -> Option<Found> {
        self.find_since(name, now.saturating_sub(self.ttl))
    }

    /// An answer that was read at this moment or later.
    pub(crate) fn find_since(&self, name: Probe<'_>, oldest: u64) -> Option<Found> {
        if let Some((tenant, read_at)) = self.tenants.get(name) {
            return (read_at >= oldest).then_some(Found::Tenant(tenant));
        }
        let read_at = self.nobody.get(name)?;
        (read_at >= oldest).then_some(Found::Nobody)
    }

    /// Asks the catalog, once for all who ask at the same time.
    pub(crate) fn load(
        &self,
        catalog: &dyn Catalog,
        key: TenantKey<'_>,
        now: u64,
    ) -> Result<Found, Arc<CatalogError>> {
        let needed = self.applied.load(Ordering::Acquire);
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let (answer, kept_by_us) = match self.fly(catalog, key, forgotten)? {
            (answer, By::Us) => (answer, true),
            (answer, By::Another) if answer.as_of.0 >= needed => (answer, false),
            // Another began to ask before the last change was applied.
            (_, By::Another) => (catalog.lookup(key)?, true),
        };
        if answer.as_of.0 < needed {
            let lags = "its answers are older than the changes it fed; is it a replica that lags?";
            return Err(Arc::new(CatalogError::new(lags)));
        }
        if kept_by_us {
            self.keep(Probe::of(key), &answer, forgotten, now);
        }
        Ok(answer.value.map_or(Found::Nobody, Found::Tenant))
    }

    /// The answer, from a load that others may share.
    fn fly(
        &self,
        catalog: &dyn Catalog,
        key: TenantKey<'_>,
        forgotten: u64,
    ) -> Result<(Answer, By), Arc<CatalogError>> {
        let kept = Kept::from(Probe::of(key));
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(&kept).cloned() {
            drop(flights);
            if flight.forgotten == forgotten
                && let Some(loaded) = flight.wait()
            {
                return Ok((loaded?, By::Another));
            }
            // What it brings may be from before all was forgotten, or its caller panicked.
            return Ok((catalog.lookup(key)?, By::Us));
        }
        let flight = Arc::new(Flight {
            forgotten,
            ..Flight::default()
        });
        flights.insert(kept.clone(), flight.clone());
        drop(flights);
        let mut landing = Landing {
            cache: self,
            name: kept,
            flight,
            state: FlightState::Lost,
        };
        let loaded = catalog.lookup(key).map_err(Arc::new);
        landing.state = FlightState::Landed(loaded.clone());
        Ok((loaded?, By::Us))
    }

    fn keep(&self, name: Probe<'_>, answer: &Answer, forgotten: u64, read_at: u64) {
        // Compared while the name's shard is locked, and raised before anything is
        // forgotten: either the comparison fails or what is kept here is forgotten.
        let current = || {
            self.applied.load(Ordering::Acquire) <= answer.as_of.0
                && self.forgotten.load(Ordering::Acquire) == forgotten
        };
        let Some(tenant) = &answer.value else {
            self.nobody.put_if(name, read_at, current, |_, _| {});
            self.drop_tenant(name);
            return;
        };
        self.nobody.del(name, |_, _| {});
        // Remembered before the comparison, and under the same lock: what is kept is
        // remembered, whoever forgets the tenant meanwhile.
        let still = || {
            self.remember(tenant.id(), name.into());
            current()
        };
        let evicted = |gone: &Kept, (owner, _): &(Tenant, u64)| self.disremember(owner.id(), gone);
        self.tenants
            .put_if(name, (tenant.clone(), read_at), still, evicted);
    }

    fn remember(&self, id: &TenantId, name: Kept) {
        let mut names = self.names.lock();
        let names = names.entry(id.clone()).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }

    fn disremember(&self, id: &TenantId, gone: &Kept) {
        let mut names = self.names.lock();
        if let Some(kept) = names.get_mut(id) {
            kept.retain(|name| name != gone);
            if kept.is_empty() {
                names.remove(id);
            }
        }
    }

    /// What is kept of nobody's name is no tenant's any more.
    fn drop_tenant(&self, name: Probe<'_>) {
        let gone = |name: &Kept, (owner, _): &(Tenant, u64)| self.disremember(owner.id(), name);
        self.tenants.del(name, gone);
    }

    /// From here on older answers are not kept. Call before [`forget`](Self::forget).
    pub(crate) fn raise(&self, upto: Version) {
        self.applied.fetch_max(upto.0, Ordering::AcqRel);
    }

    /// Forgets what a change makes stale.
    pub(crate) fn forget(&self, change: &Change) {
        match change {
            Change::Tenant(tenant) => self.forget_tenant(tenant.id()),
            Change::Removed { id, .. } => self.forget_tenant(id),
            Change::Bound { name, .. } | Change::Moved { name, .. } | Change::Unbound { name } => {
                let name = Probe::of(name.as_key());
                self.drop_tenant(name);
                self.nobody.del(name, |_, _| {});
            }
        }
    }

    fn forget_tenant(&self, id: &TenantId) {
        let names = self.names.lock().remove(id).unwrap_or_default();
        for name in &names {
            self.tenants.del(name.as_probe(), |_, _| {});
        }
        let own = Probe::of(TenantKey::Label(id.as_str()));
        self.nobody.del(own, |_, _| {});
    }

    /// Forgets all and counts from this version on.
    pub(crate) fn restart(&self, upto: Version) {
        self.applied.store(upto.0, Ordering::Release);
        self.forget_all();
    }

    /// Forgets what these are about, and does not keep what was asked before.
    pub(crate) fn forget_each(&self, changes: &[Change]) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        changes.iter().for_each(|change| self.forget(change));
    }

    fn forget_all(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        // Names first: what is kept after its shard was cleared is remembered after.
        self.names.lock().clear();
        self.tenants.clear();
        self.nobody.clear();
    }
}

impl Flight {
    fn wait(&self) -> Option<Loaded> {
        let mut state = self.state.lock();
        loop {
            match &*state {
                FlightState::Flying => state = self.landed.wait(state),
                FlightState::Landed(loaded) => return Some(loaded.clone()),
                FlightState::Lost => return None,
            }
        }
    }
}

/// Ends a flight whatever happens on it.
struct Landing<'a> {
    cache: &'a Cache,
    name: Kept,
    flight: Arc<Flight>,
    state: FlightState,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.cache.flights.lock().remove(&self.name);
        *self.flight.state.lock() = std::mem::take(&mut self.state);
        self.flight.landed.notify_all();
    }
}

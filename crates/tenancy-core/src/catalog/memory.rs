//! [`MemoryCatalog`]: a catalog for tests, examples and small fixed lists.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::{
    Actor, Binding, Catalog, CatalogError, CatalogWriter, Change, Changes, Name, NewTenant, Proof,
    TenantChange, TenantKey, Versioned, WriteError,
};
use crate::domain::{Challenge, Domain};
use crate::id::{Epoch, TenantId, Version};
use crate::tenant::Tenant;

/// A catalog in memory, with a change feed. It keeps every change it ever fed.
///
/// See [`CatalogWriter`] for an example.
#[derive(Debug, Default)]
pub struct MemoryCatalog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Invariant: equals the number of entries of `log`, one a write.
    version: u64,
    tenants: BTreeMap<TenantId, Tenant>,
    /// Further names; a tenant's own id is not among them.
    names: BTreeMap<Name, (TenantId, Option<Challenge>)>,
    /// Invariant: each is among the names, its own tenant's, and routes.
    primary: BTreeMap<TenantId, Name>,
    tombstones: BTreeMap<TenantId, Epoch>,
    log: Vec<Change>,
    storage: Option<Box<str>>,
}

impl MemoryCatalog {
    /// An empty catalog.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tenant as it is, its status and epoch too; an id that was destroyed
    /// comes back with a later epoch than its last at least.
    ///
    /// # Errors
    /// When the id or label is taken.
    pub fn put(&self, tenant: &Tenant) -> Result<Tenant, WriteError> {
        let mut state = self.0.lock();
        state.refuse_taken(tenant.id())?;
        let version = Version(state.version + 1);
        let last = state.tombstones.get(tenant.id());
        let epoch = last.map_or(tenant.epoch(), |last| tenant.epoch().max(last.next()));
        let tenant = tenant.to_builder().version(version).epoch(epoch).build()?;
        state.store(tenant.clone());
        Ok(tenant)
    }
}

impl State {
    fn write(&mut self, change: Change) -> Version {
        self.version += 1;
        self.log.push(change);
        Version(self.version)
    }

    fn store(&mut self, tenant: Tenant) {
        self.tenants.insert(tenant.id().clone(), tenant.clone());
        self.write(Change::Tenant(tenant));
    }

    fn find(&self, key: TenantKey<'_>) -> Option<&Tenant> {
        if let TenantKey::Label(label) = key
            && let Some(tenant) = self.tenants.get(label)
        {
            return Some(tenant);
        }
        let (id, pending) = self.names.get(&key.to_name()?)?;
        pending.is_none().then(|| &self.tenants[id])
    }

    fn get(&self, id: &TenantId) -> Result<&Tenant, WriteError> {
        let unknown = || WriteError::Unknown { id: id.clone() };
        self.tenants.get(id).ok_or_else(unknown)
    }

    fn get_seen(&self, id: &TenantId, seen: Version) -> Result<&Tenant, WriteError> {
        let tenant = self.get(id)?;
        if tenant.version() != seen {
            return Err(WriteError::Conflict {
                id: id.clone(),
                seen,
                current: tenant.version(),
            });
        }
        Ok(tenant)
    }

    fn refuse_taken(&self, id: &TenantId) -> Result<(), WriteError> {
        if self.tenants.contains_key(id) {
            return Err(WriteError::Exists { id: id.clone() });
        }
        let name = Name::Label(id.clone());
        match self.names.get(&name) {
            None => Ok(()),
            Some((owner, _)) => Err(WriteError::NameTaken {
                owner: owner.clone(),
                name,
            }),
        }
    }

    fn owner<'a>(&'a self, name: &'a Name) -> Option<&'a TenantId> {
        match name {
            Name::Label(label) if self.tenants.contains_key(label) => Some(label),
            _ => self.names.get(name).map(|(id, _)| id),
        }
    }
}

impl State {
    fn refuse_others(&self, name: &Name, id: &TenantId) -> Result<(), WriteError> {
        match self.owner(name).filter(|owner| *owner != id) {
            None => Ok(()),
            Some(owner) => Err(WriteError::NameTaken {
                name: name.clone(),
                owner: owner.clone(),
            }),
        }
    }

    fn bind(&mut self, name: &Name, id: &TenantId, pending: Option<Challenge>) -> Version {
        let change = match pending {
            None => Change::Bound {
                name: name.clone(),
                id: id.clone(),
            },
            Some(_) => Change::Unbound { name: name.clone() },
        };
        if pending.is_some() {
            self.primary.retain(|_, primary| primary != name);
        }
        if *name != Name::Label(id.clone()) {
            self.names.insert(name.clone(), (id.clone(), pending));
        }
        self.write(change)
    }
}

impl Catalog for MemoryCatalog {
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        let state = self.0.lock();
        Ok(Versioned {
            value: state.find(key).cloned(),
            as_of: Version(state.version),
        })
    }

    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        let state = self.0.lock();
        let from = usize::try_from(since.0).unwrap_or(usize::MAX);
        let from = from.min(state.log.len());
        let to = from.saturating_add(max).min(state.log.len());
        Ok(Some(Changes {
            upto: Version(to as u64),
            more: to < state.log.len(),
            reset: false,
            items: state.log[from..to].to_vec(),
        }))
    }
}

impl CatalogWriter for MemoryCatalog {
    fn record_storage(&self, id: &str) -> Result<(), WriteError> {
        let mut state = self.0.lock();
        let recorded = state.storage.get_or_insert_with(|| id.into()).clone();
        match *recorded == *id {
            true => Ok(()),
            false => Err(WriteError::OtherStorage {
                recorded,
                found: id.into(),
            }),
        }
    }

    fn insert(&self, new: NewTenant, _by: &Actor) -> Result<Tenant, WriteError> {
        let mut state = self.0.lock();
        state.refuse_taken(&new.id)?;
        for name in &new.names {
            state.refuse_others(name, &new.id)?;
        }
        let last = state.tombstones.get(&new.id);
        let epoch = last.map_or(Epoch::FIRST, |last| last.next());
        let tenant = Tenant::builder(new.id)
            .epoch(epoch)
            .version(Version(state.version + 1))
            .status(new.status)
            .placement(new.placement)
            .attributes(new.attributes)
            .build()?;
        state.store(tenant.clone());
        for name in new.names {
            state.bind(&name, tenant.id(), None);
        }
        Ok(tenant)
    }

    fn update(
        &self,
        id: &TenantId,
        seen: Version,
        change: TenantChange,
        _by: &Actor,
    ) -> Result<Tenant, WriteError> {
        let mut state = self.0.lock();
        let tenant = change.apply(state.get_seen(id, seen)?, Version(state.version + 1))?;
        state.store(tenant.clone());
        Ok(tenant)
    }

    fn remove(&self, id: &TenantId, seen: Version, _by: &Actor) -> Result<Version, WriteError> {
        let mut state = self.0.lock();
        let epoch = state.get_seen(id, seen)?.epoch();
        state.tenants.remove(id);
        state.names.retain(|_, (owner, _)| owner != id);
        state.primary.remove(id);
        state.tombstones.insert(id.clone(), epoch);
        let id = id.clone();
        Ok(state.write(Change::Removed { id, epoch }))
    }

    fn bind(
        &self,
        name: &Name,
        id: &TenantId,
        proof: Proof,
        _by: &Actor,
    ) -> Result<Version, WriteError> {
        let mut state = self.0.lock();
        state.get(id)?;
        state.refuse_others(name, id)?;
        let pending = match (name, proof) {
            (_, Proof::Trusted) => None,
            (Name::Domain(_), Proof::Pending(challenge)) => Some(challenge),
            (Name::Label(label), Proof::Pending(_)) => {
                let label = label.clone();
                return Err(WriteError::LabelNeedsNoProof { label });
            }
        };
        Ok(state.bind(name, id, pending))
    }

    fn verify(
        &self,
        domain: &Domain,
        id: &TenantId,
        txt: &str,
        _by: &Actor,
    ) -> Result<Version, WriteError> {
        let mut state = self.0.lock();
        state.get(id)?;
        let name = Name::Domain(domain.clone());
        let bound = state.names.get_mut(&name).filter(|(owner, _)| owner == id);
        let Some((_, pending)) = bound else {
            let id = id.clone();
            return Err(WriteError::NotBound { name, id });
        };
        if pending.as_ref().is_some_and(|c| !c.is_met_by(txt)) {
            return Err(WriteError::NotProven {
                domain: domain.clone(),
                id: id.clone(),
            });
        }
        *pending = None;
        let id = id.clone();
        Ok(state.write(Change::Bound { name, id }))
    }

    fn make_primary(
        &self,
        domain: &Domain,
        id: &TenantId,
        _by: &Actor,
    ) -> Result<Version, WriteError> {
        let mut state = self.0.lock();
        state.get(id)?;
        let (name, id) = (Name::Domain(domain.clone()), id.clone());
        match state.names.get(&name) {
            Some((owner, None)) if *owner == id => {}
            Some((owner, Some(_))) if *owner == id => {
                let domain = domain.clone();
                return Err(WriteError::NotProven { domain, id });
            }
            _ => return Err(WriteError::NotBound { name, id }),
        }
        state.primary.insert(id.clone(), name.clone());
        Ok(state.write(Change::Bound { name, id }))
    }

    fn unbind(&self, name: &Name, id: &TenantId, _by: &Actor) -> Result<Version, WriteError> {
        let mut state = self.0.lock();
        state.get(id)?;
        if *name == Name::Label(id.clone()) {
            return Err(WriteError::OwnId { id: id.clone() });
        }
        if state.names.get(name).is_none_or(|(owner, _)| owner != id) {
            return Err(WriteError::NotBound {
                name: name.clone(),
                id: id.clone(),
            });
        }
        state.names.remove(name);
        state.primary.retain(|_, primary| primary != name);
        Ok(state.write(Change::Unbound { name: name.clone() }))
    }

    fn names(&self, id: &TenantId) -> Result<Vec<Binding>, CatalogError> {
        let state = self.0.lock();
        let own = state.names.iter().filter(|(_, (owner, _))| owner == id);
        let primary = state.primary.get(id);
        let binding = |(name, (_, pending)): (&Name, &(_, Option<Challenge>))| {
            let mut binding = Binding::new(name.clone(), pending.clone());
            binding.primary = primary == Some(name);
            binding
        };
        Ok(own.map(binding).collect())
    }

    fn page(&self, after: Option<&TenantId>, max: usize) -> Result<Vec<Tenant>, CatalogError> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.0.lock();
        let range = state.tenants.range::<TenantId, _>((from, Bound::Unbounded));
        Ok(range.take(max).map(|(_, tenant)| tenant.clone()).collect())
    }
}

//! [`MemoryCatalog`]: a catalog for tests, examples and small fixed lists.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::{
    Actor, Binding, CLAIM_TTL, Catalog, CatalogError, CatalogWriter, Change, Changes, Name,
    NewTenant, Proof, TenantChange, TenantKey, Versioned, WriteError,
};
use crate::clock::Clock;
use crate::domain::{Challenge, Domain};
use crate::id::{Epoch, TenantId, Version};
use crate::tenant::Tenant;

/// A catalog in memory. Its change feed keeps every change, so its memory grows with each write.
///
/// ```
/// use tenancy_core::{Actor, Catalog, CatalogWriter, MemoryCatalog, NewTenant, TenantKey};
/// let catalog = MemoryCatalog::new();
/// let acme = catalog.insert(NewTenant::new("acme".parse()?), &Actor::new("docs"))?;
/// let found = catalog.lookup(TenantKey::Label("acme"))?;
/// assert_eq!((found.value, found.as_of), (Some(acme.clone()), acme.version()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryCatalog {
    state: Mutex<State>,
    /// Measures the age of claims.
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    /// Invariant: equals the number of entries of `log`.
    version: u64,
    tenants: BTreeMap<TenantId, Tenant>,
    /// The further names that route. The ids of tenants are not among them.
    names: BTreeMap<Name, TenantId>,
    /// Invariant: a domain that routes has no claim.
    claims: BTreeMap<(Domain, TenantId), Claim>,
    /// The primary domains. Invariant: `names` holds each of them with the same tenant.
    primary: BTreeMap<TenantId, Name>,
    tombstones: BTreeMap<TenantId, Epoch>,
    log: Vec<Change>,
    storage: Option<Box<str>>,
}

#[derive(Debug)]
struct Claim {
    challenge: Challenge,
    /// The time at which the claim ends, on the catalog's clock.
    until: Duration,
}

impl MemoryCatalog {
    /// Makes an empty catalog.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an empty catalog that uses this clock to end claims.
    pub fn with_clock(clock: Clock) -> Self {
        Self {
            clock,
            ..Self::default()
        }
    }

    /// Adds a tenant with all values of this handle except its version. If a tenant of this id was
    /// removed before, the epoch is at least one higher than the last epoch of that tenant.
    ///
    /// # Errors
    /// Returns an error if a tenant of this id exists, or the id is a label of another tenant.
    pub fn put(&self, tenant: &Tenant) -> Result<Tenant, WriteError> {
        let mut state = self.state.lock();
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
        self.tenants.get(self.names.get(&key.to_name()?)?)
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
        self.refuse_others(&Name::Label(id.clone()), id)
    }

    fn refuse_others(&self, name: &Name, id: &TenantId) -> Result<(), WriteError> {
        let own = match name {
            Name::Label(label) => self.tenants.get_key_value(label).map(|(label, _)| label),
            Name::Domain(_) => None,
        };
        let owner = own.or_else(|| self.names.get(name));
        match owner.is_some_and(|owner| owner != id) {
            true => Err(WriteError::NameTaken { name: name.clone() }),
            false => Ok(()),
        }
    }

    /// Refuses a name that does not route to this tenant, or that is its id.
    fn refuse_not_bound(&self, name: &Name, id: &TenantId) -> Result<(), WriteError> {
        self.get(id)?;
        let (name, id) = (name.clone(), id.clone());
        match self.names.get(&name) {
            _ if name == Name::Label(id.clone()) => Err(WriteError::OwnId { id }),
            Some(owner) if *owner == id => Ok(()),
            _ => Err(WriteError::NotBound { name, id }),
        }
    }
}

impl State {
    /// Makes a name route, which ends every claim of it.
    fn route(&mut self, name: &Name, id: &TenantId) -> Version {
        if let Name::Domain(domain) = name {
            self.claims.retain(|(claimed, _), _| claimed != domain);
        }
        if *name != Name::Label(id.clone()) {
            self.names.insert(name.clone(), id.clone());
        }
        let stays = |owner: &TenantId, primary: &mut Name| primary != name || owner == id;
        self.primary.retain(stays);
        let (name, id) = (name.clone(), id.clone());
        self.write(Change::Moved { name, id })
    }

    /// Claims a domain. From now on the domain does not route.
    fn claim(&mut self, domain: &Domain, id: &TenantId, claim: Claim) -> Version {
        self.claims.insert((domain.clone(), id.clone()), claim);
        self.let_go(Name::Domain(domain.clone()))
    }

    fn let_go(&mut self, name: Name) -> Version {
        self.names.remove(&name);
        self.primary.retain(|_, primary| *primary != name);
        self.write(Change::Unbound { name })
    }

    fn live_claim(&self, domain: &Domain, id: &TenantId, now: Duration) -> Option<&Challenge> {
        let claim = self.claims.get(&(domain.clone(), id.clone()))?;
        (now < claim.until).then_some(&claim.challenge)
    }
}

impl Catalog for MemoryCatalog {
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        let state = self.state.lock();
        Ok(Versioned {
            value: state.find(key).cloned(),
            as_of: Version(state.version),
        })
    }

    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        let state = self.state.lock();
        let from = usize::try_from(since.0).unwrap_or(usize::MAX);
        let from = from.min(state.log.len());
        let to = from.saturating_add(max).min(state.log.len());
        Ok(Some(Changes {
            since: Version(from as u64),
            upto: Version(to as u64),
            more: to < state.log.len(),
            reset: false,
            items: state.log[from..to].to_vec(),
        }))
    }
}

impl CatalogWriter for MemoryCatalog {
    fn record_storage(&self, id: &str) -> Result<(), WriteError> {
        let mut state = self.state.lock();
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
        let mut state = self.state.lock();
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
            state.route(&name, tenant.id());
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
        let mut state = self.state.lock();
        let tenant = change.apply(state.get_seen(id, seen)?, Version(state.version + 1))?;
        state.store(tenant.clone());
        Ok(tenant)
    }

    fn remove(&self, id: &TenantId, seen: Version, _by: &Actor) -> Result<Version, WriteError> {
        let mut state = self.state.lock();
        let epoch = state.get_seen(id, seen)?.epoch();
        state.tenants.remove(id);
        state.names.retain(|_, owner| owner != id);
        state.claims.retain(|(_, claimant), _| claimant != id);
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
        let mut state = self.state.lock();
        let until = self.clock.now() + CLAIM_TTL;
        state.get(id)?;
        state.refuse_others(name, id)?;
        match (name, proof) {
            (_, Proof::Trusted) => Ok(state.route(name, id)),
            (Name::Domain(domain), Proof::Pending(challenge)) => {
                Ok(state.claim(domain, id, Claim { challenge, until }))
            }
            (Name::Label(label), Proof::Pending(_)) => {
                let label = label.clone();
                Err(WriteError::LabelNeedsNoProof { label })
            }
        }
    }

    fn verify(
        &self,
        domain: &Domain,
        id: &TenantId,
        txt: &str,
        _by: &Actor,
    ) -> Result<Version, WriteError> {
        let mut state = self.state.lock();
        state.get(id)?;
        let name = Name::Domain(domain.clone());
        let is_bound = state.names.get(&name) == Some(id);
        let claim = state.live_claim(domain, id, self.clock.now());
        let (domain, id) = (domain.clone(), id.clone());
        match claim {
            Some(challenge) if challenge.is_met_by(txt) => {}
            Some(_) => return Err(WriteError::NotProven { domain, id }),
            None if is_bound => {}
            None => return Err(WriteError::NoClaim { domain, id }),
        }
        Ok(state.route(&name, &id))
    }

    fn make_primary(
        &self,
        domain: &Domain,
        id: &TenantId,
        _by: &Actor,
    ) -> Result<Version, WriteError> {
        let mut state = self.state.lock();
        let (name, id) = (Name::Domain(domain.clone()), id.clone());
        match state.refuse_not_bound(&name, &id) {
            Err(WriteError::NotBound { .. })
                if state.live_claim(domain, &id, self.clock.now()).is_some() =>
            {
                let domain = domain.clone();
                return Err(WriteError::NotProven { domain, id });
            }
            bound => bound?,
        }
        state.primary.insert(id.clone(), name.clone());
        Ok(state.write(Change::Moved { name, id }))
    }

    fn rebind(
        &self,
        name: &Name,
        from: &TenantId,
        to: &TenantId,
        _by: &Actor,
    ) -> Result<Version, WriteError> {
        let mut state = self.state.lock();
        state.get(to)?;
        state.refuse_not_bound(name, from)?;
        Ok(state.route(name, to))
    }

    fn unbind(&self, name: &Name, id: &TenantId, _by: &Actor) -> Result<Version, WriteError> {
        let mut state = self.state.lock();
        let bound = state.refuse_not_bound(name, id);
        if let (Err(WriteError::NotBound { .. }), Name::Domain(domain)) = (&bound, name)
            && state.live_claim(domain, id, self.clock.now()).is_some()
        {
            state.claims.remove(&(domain.clone(), id.clone()));
        } else {
            bound?;
        }
        Ok(state.let_go(name.clone()))
    }

    fn names(&self, id: &TenantId) -> Result<Vec<Binding>, CatalogError> {
        let (state, now) = (self.state.lock(), self.clock.now());
        let bound = state.names.iter().filter(|(_, owner)| *owner == id);
        let bound = bound.map(|(name, _)| (name.clone(), None));
        let claims = state
            .claims
            .iter()
            .filter(|((_, claimant), _)| claimant == id);
        let claims = claims.filter(|(_, claim)| now < claim.until);
        let claims = claims.map(|((domain, _), claim)| {
            (Name::Domain(domain.clone()), Some(claim.challenge.clone()))
        });
        let all: BTreeMap<_, _> = bound.chain(claims).collect();
        let primary = state.primary.get(id);
        let binding = |(name, pending)| {
            let mut binding = Binding::new(name, pending);
            binding.primary = primary == Some(&binding.name);
            binding
        };
        Ok(all.into_iter().map(binding).collect())
    }

    fn page(&self, after: Option<&TenantId>, max: usize) -> Result<Vec<Tenant>, CatalogError> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.state.lock();
        let range = state.tenants.range::<TenantId, _>((from, Bound::Unbounded));
        Ok(range.take(max).map(|(_, tenant)| tenant.clone()).collect())
    }
}

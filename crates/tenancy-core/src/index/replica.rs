//! [`Replica`]: all names of a catalog, so that an unknown name needs no look-up in the catalog.
//!
//! A reader locks one shard during a probe. A writer locks the shards of the names that change, one
//! at a time. So the longest wait of a reader is the growth of one shard.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{Found, Probe};
use crate::catalog::{Change, Name};
use crate::id::TenantId;
use crate::key::{Key, Kind};
use crate::sync::{Mutex, RwLock};
use crate::tenant::Tenant;

/// The number of shards. With it, a shard of an index with a million names grows within 0.5 ms. A
/// model checker has fewer, as it makes all shards in each of its schedules.
const SHARDS: usize = if cfg!(shuttle) { 4 } else { 1024 };

type Shard = RwLock<HashTable<(Key, Slot)>>;

#[derive(Debug, Clone, PartialEq)]
enum Slot {
    Owner(Tenant),
    Contested,
}

impl From<&Slot> for Found {
    #[inline]
    fn from(slot: &Slot) -> Self {
        match slot {
            Slot::Owner(tenant) => Self::Tenant(tenant.clone()),
            Slot::Contested => Self::Contested,
        }
    }
}

/// A name that two tenants claim, for the observers.
#[derive(Debug, PartialEq)]
pub(crate) struct Conflict {
    pub(crate) name: Name,
    pub(crate) owner: TenantId,
    pub(crate) other: TenantId,
}

pub(crate) struct Replica {
    /// The hasher, with a random seed, as tenants choose the names.
    hasher: RandomState,
    shards: Box<[Shard; SHARDS]>,
    /// The names that are too long for a [`Key`], by kind.
    long: [RwLock<HashMap<Box<str>, Slot>>; 2],
    owners: Mutex<Owners>,
}

/// The bindings that a writer needs in addition to the index. Most tenants have only their id as a
/// name, and are not in here.
#[derive(Default)]
struct Owners {
    known: HashMap<TenantId, Owned>,
    contested: HashMap<Name, Vec<TenantId>>,
    /// The names that do not lead to their tenants yet, with those tenants: the binding came before
    /// its tenant, or the label is reserved.
    waiting: HashMap<Name, Vec<TenantId>>,
}

#[derive(Default)]
struct Owned {
    /// The handle, or `None` if a binding came before its tenant.
    tenant: Option<Tenant>,
    /// The further names, without the id.
    names: Vec<Name>,
}

impl Replica {
    pub(crate) fn new() -> Self {
        // The shards are made on the heap, as the stack may be too small for all of them.
        let shards: Box<[Shard]> = (0..SHARDS).map(|_| Shard::default()).collect();
        let Ok(shards) = shards.try_into() else {
            unreachable!("SHARDS of them were collected")
        };
        Self {
            hasher: RandomState::default(),
            shards,
            long: Default::default(),
            owners: Mutex::default(),
        }
    }

    #[inline(always)]
    pub(crate) fn find(&self, name: Probe<'_>) -> Found {
        match name {
            Probe::Short(key) => {
                let hash = self.hash(&key);
                let shard = self.shard(hash).read();
                match shard.find(hash, |(known, _)| *known == key) {
                    Some((_, slot)) => slot.into(),
                    None => Found::NoTenant,
                }
            }
            Probe::Long(kind, text) => self.find_long(kind, text),
        }
    }

    #[cold]
    fn find_long(&self, kind: Kind, text: &str) -> Found {
        let long = self.long(kind).read();
        long.get(text).map_or(Found::NoTenant, Found::from)
    }

    fn long(&self, kind: Kind) -> &RwLock<HashMap<Box<str>, Slot>> {
        match kind {
            Kind::Label => &self.long[0],
            Kind::Domain => &self.long[1],
        }
    }

    #[inline]
    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    #[inline]
    fn shard(&self, hash: u64) -> &Shard {
        // The table of a shard uses the lowest bits and the top seven, so these are other bits.
        &self.shards[(hash >> 40) as usize % SHARDS]
    }

    fn slot(&self, name: &Name) -> Option<Slot> {
        match Probe::of(name.as_key()) {
            Probe::Short(key) => {
                let hash = self.hash(&key);
                let shard = self.shard(hash).read();
                shard
                    .find(hash, |(known, _)| *known == key)
                    .map(|(_, slot)| slot.clone())
            }
            Probe::Long(kind, text) => self.long(kind).read().get(text).cloned(),
        }
    }

    /// Puts a slot. The replaced slot is dropped after the lock is released.
    fn put(&self, name: &Name, slot: Slot) {
        match Probe::of(name.as_key()) {
            Probe::Short(key) => {
                let hash = self.hash(&key);
                let mut shard = self.shard(hash).write();
                let before = match shard.find_mut(hash, |(known, _)| *known == key) {
                    Some((_, known)) => Some(std::mem::replace(known, slot)),
                    None => {
                        shard.insert_unique(hash, (key, slot), |(key, _)| self.hash(key));
                        None
                    }
                };
                drop(shard);
                drop(before);
            }
            Probe::Long(kind, text) => {
                let before = self.long(kind).write().insert(text.into(), slot);
                drop(before);
            }
        }
    }

    fn del(&self, name: &Name) {
        match Probe::of(name.as_key()) {
            Probe::Short(key) => {
                let hash = self.hash(&key);
                let mut shard = self.shard(hash).write();
                let gone = shard.find_entry(hash, |(known, _)| *known == key);
                let gone = gone.ok().map(|entry| entry.remove().0);
                // The removal of many names frees memory. A single removal does not move entries.
                if shard.len() * 8 < shard.capacity() {
                    let room = shard.len() * 2;
                    shard.shrink_to(room, |(key, _)| self.hash(key));
                }
                drop(shard);
                drop(gone);
            }
            Probe::Long(kind, text) => {
                let gone = self.long(kind).write().remove(text);
                drop(gone);
            }
        }
    }

    /// Applies changes, oldest first. A reader sees each name as it was before all of the changes
    /// or as it is after all of them, so a name that moves always has an owner. Labels that are
    /// `reserved` are recorded, but never found.
    pub(crate) fn apply<'c>(
        &self,
        changes: impl IntoIterator<Item = &'c Change>,
        reserved: &dyn Fn(&TenantId) -> bool,
    ) -> Vec<Conflict> {
        self.write(reserved, |writer| {
            for change in changes {
                match change {
                    Change::Tenant(tenant) => writer.tenant(tenant),
                    Change::Removed { id, .. } => writer.removed(id),
                    Change::Bound { name, id } => writer.bound(name, id),
                    Change::Moved { name, id } => writer.moved(name, id),
                    Change::Unbound { name } => writer.unbound(name),
                }
            }
        })
    }

    /// Removes all bindings except those in `bound`, and all tenants except `ids`.
    pub(crate) fn retain(&self, ids: &HashSet<TenantId>, bound: &HashMap<Name, Vec<TenantId>>) {
        let mut gone = Vec::new();
        for shard in &*self.shards {
            let shard = shard.read();
            gone.extend(shard.iter().filter_map(|(_, slot)| match slot {
                Slot::Owner(tenant) => (!ids.contains(tenant.id())).then(|| tenant.id().clone()),
                Slot::Contested => None,
            }));
        }
        let mut unbound = Vec::new();
        for (id, owned) in &self.owners.lock().known {
            if !ids.contains(id) {
                gone.push(id.clone());
            }
            let stays = |name: &&Name| bound.get(*name).is_some_and(|ids| ids.contains(id));
            let lost = owned.names.iter().filter(|name| !stays(name));
            unbound.extend(lost.map(|name| (name.clone(), id.clone())));
        }
        self.write(&|_| false, |writer| {
            gone.iter().for_each(|id| writer.removed(id));
            unbound.iter().for_each(|(name, id)| writer.lost(name, id));
        });
    }

    fn write(
        &self,
        reserved: &dyn Fn(&TenantId) -> bool,
        changes: impl FnOnce(&mut Writer<'_>),
    ) -> Vec<Conflict> {
        let mut writer = Writer {
            replica: self,
            owners: &mut self.owners.lock(),
            reserved,
            slots: HashMap::new(),
            conflicts: Vec::new(),
        };
        changes(&mut writer);
        writer.show()
    }
}

struct Writer<'a> {
    replica: &'a Replica,
    owners: &'a mut Owners,
    reserved: &'a dyn Fn(&TenantId) -> bool,
    /// The new slots of the names that were written, which readers do not see yet.
    slots: HashMap<Name, Option<Slot>>,
    conflicts: Vec<Conflict>,
}

impl Writer<'_> {
    fn slot(&self, name: &Name) -> Option<Slot> {
        match self.slots.get(name) {
            Some(slot) => slot.clone(),
            None => self.replica.slot(name),
        }
    }

    fn put(&mut self, name: &Name, slot: Slot) {
        self.slots.insert(name.clone(), Some(slot));
    }

    fn del(&mut self, name: &Name) {
        self.slots.insert(name.clone(), None);
    }

    /// Shows all new slots to readers, name by name. Returns the conflicts, without those that a
    /// later change of the same stretch has solved.
    fn show(mut self) -> Vec<Conflict> {
        let slots = &self.slots;
        let lasts = |c: &mut Conflict| slots.get(&c.name) == Some(&Some(Slot::Contested));
        self.conflicts.retain_mut(lasts);
        for (name, slot) in self.slots {
            match slot {
                Some(slot) => self.replica.put(&name, slot),
                None => self.replica.del(&name),
            }
        }
        self.conflicts
    }

    fn tenant(&mut self, tenant: &Tenant) {
        let id = tenant.id();
        let own = Name::Label(id.clone());
        if (self.reserved)(id) {
            // The label never routes, so the index does not hold the handle. It is stored here.
            self.owners.known.entry(id.clone()).or_default();
        }
        let names = match self.owners.known.get_mut(id) {
            Some(owned) => {
                owned.tenant = Some(tenant.clone());
                owned.names.clone()
            }
            None => Vec::new(),
        };
        self.claim(&own, tenant);
        for name in &names {
            self.stop_waiting(name, id);
            self.claim(name, tenant);
        }
    }

    fn removed(&mut self, id: &TenantId) {
        let owned = self.owners.known.remove(id).unwrap_or_default();
        for name in std::iter::once(Name::Label(id.clone())).chain(owned.names) {
            self.stop_waiting(&name, id);
            self.release(&name, id);
        }
    }

    fn stop_waiting(&mut self, name: &Name, id: &TenantId) {
        if let Some(waiting) = self.owners.waiting.get_mut(name) {
            waiting.retain(|waiter| waiter != id);
            if waiting.is_empty() {
                self.owners.waiting.remove(name);
            }
        }
    }

    fn bound(&mut self, name: &Name, id: &TenantId) {
        if matches!(name, Name::Label(label) if label == id) {
            return;
        }
        let tenant = self.tenant_of(id);
        let owned = self.owners.known.entry(id.clone()).or_default();
        owned.tenant.clone_from(&tenant);
        if !owned.names.contains(name) {
            owned.names.push(name.clone());
        }
        match tenant {
            Some(tenant) => self.claim(name, &tenant),
            None => self.wait(name, id),
        }
    }

    fn wait(&mut self, name: &Name, id: &TenantId) {
        let waiting = self.owners.waiting.entry(name.clone()).or_default();
        if !waiting.contains(id) {
            waiting.push(id.clone());
        }
    }

    /// Binds the name to this tenant and to no other.
    fn moved(&mut self, name: &Name, id: &TenantId) {
        for holder in self.holders(name) {
            if holder != *id {
                self.lost(name, &holder);
            }
        }
        self.bound(name, id);
    }

    fn unbound(&mut self, name: &Name) {
        for holder in self.holders(name) {
            self.lost(name, &holder);
        }
    }

    /// Returns all tenants that the name may be bound to.
    fn holders(&self, name: &Name) -> Vec<TenantId> {
        let mut holders = self.owners.waiting.get(name).cloned().unwrap_or_default();
        match (self.owners.contested.get(name), self.slot(name)) {
            (Some(claimants), _) => holders.extend_from_slice(claimants),
            (None, Some(Slot::Owner(tenant))) => holders.push(tenant.id().clone()),
            _ => {}
        }
        holders
    }

    /// Removes a binding of the name to this tenant, if there is one.
    fn lost(&mut self, name: &Name, id: &TenantId) {
        let bound = |owned: &&mut Owned| owned.names.contains(name);
        if let Some(owned) = self.owners.known.get_mut(id).filter(bound) {
            owned.names.retain(|known| known != name);
            self.stop_waiting(name, id);
            self.release(name, id);
        }
    }

    /// Lets the name lead to this tenant. If it leads to another tenant, the name is contested.
    fn claim(&mut self, name: &Name, tenant: &Tenant) {
        if matches!(name, Name::Label(label) if (self.reserved)(label)) {
            return self.wait(name, tenant.id());
        }
        match self.slot(name) {
            Some(Slot::Owner(owner)) if owner.id() != tenant.id() => {
                for tenant in [&owner, tenant] {
                    let owned = self.owners.known.entry(tenant.id().clone()).or_default();
                    owned.tenant = Some(tenant.clone());
                }
                let claimants = vec![owner.id().clone(), tenant.id().clone()];
                self.owners.contested.insert(name.clone(), claimants);
                self.put(name, Slot::Contested);
                self.conflicts.push(Conflict {
                    name: name.clone(),
                    owner: owner.id().clone(),
                    other: tenant.id().clone(),
                });
            }
            Some(Slot::Contested) => {
                let claimants = self.owners.contested.entry(name.clone()).or_default();
                if !claimants.contains(tenant.id()) {
                    claimants.push(tenant.id().clone());
                }
                let owned = self.owners.known.entry(tenant.id().clone()).or_default();
                owned.tenant = Some(tenant.clone());
            }
            _ => self.put(name, Slot::Owner(tenant.clone())),
        }
    }

    /// Ends the claim of this tenant to the name. If one other tenant claims the name, it leads to
    /// that tenant.
    fn release(&mut self, name: &Name, id: &TenantId) {
        let Some(claimants) = self.owners.contested.get_mut(name) else {
            if matches!(self.slot(name), Some(Slot::Owner(owner)) if owner.id() == id) {
                self.del(name);
            }
            return;
        };
        claimants.retain(|claimant| claimant != id);
        if let [only] = &claimants[..] {
            let owner = self
                .owners
                .known
                .get(only)
                .and_then(|owned| owned.tenant.clone());
            self.owners.contested.remove(name);
            match owner {
                Some(owner) => self.put(name, Slot::Owner(owner)),
                None => self.del(name),
            }
        }
    }

    fn tenant_of(&self, id: &TenantId) -> Option<Tenant> {
        if let Some(owned) = self.owners.known.get(id)
            && owned.tenant.is_some()
        {
            return owned.tenant.clone();
        }
        match self.slot(&Name::Label(id.clone())) {
            Some(Slot::Owner(tenant)) if tenant.id() == id => Some(tenant),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

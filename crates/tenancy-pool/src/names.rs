//! [`Names`]: tenant id → slot.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use tenancy_core::TenantId;

use crate::sched::Key;
use crate::sync::RwLock;

/// Which slot is whose. Its lock is never held together with the scheduler's.
pub(crate) struct Names(RwLock<HashMap<TenantId, Key, RandomState>>);

impl Names {
    pub(crate) fn new() -> Self {
        Self(RwLock::new(HashMap::default()))
    }

    pub(crate) fn find(&self, id: &TenantId) -> Option<Key> {
        self.0.read().get(id).copied()
    }

    /// Names a slot; says which one has the name already.
    pub(crate) fn insert(&self, id: &TenantId, key: Key) -> Result<(), Key> {
        match self.0.write().entry(id.clone()) {
            Entry::Occupied(other) => Err(*other.get()),
            Entry::Vacant(free) => {
                free.insert(key);
                Ok(())
            }
        }
    }

    /// Takes the name away, if it still is this slot's.
    pub(crate) fn remove(&self, id: &TenantId, key: Key) {
        if let Entry::Occupied(entry) = self.0.write().entry(id.clone())
            && *entry.get() == key
        {
            entry.remove();
        }
    }
}

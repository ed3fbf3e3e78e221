//! [`SlotIndex`]: the map from tenant ids to slots.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use tenancy_core::TenantId;

use crate::sched::SlotKey;
use crate::sync::RwLock;

/// The map from tenant ids to slots. Its lock is never held together with the scheduler's.
pub(crate) struct SlotIndex(RwLock<HashMap<TenantId, SlotKey, RandomState>>);

impl SlotIndex {
    pub(crate) fn new() -> Self {
        Self(RwLock::new(HashMap::default()))
    }

    pub(crate) fn find(&self, id: &TenantId) -> Option<SlotKey> {
        self.0.read().get(id).copied()
    }

    /// Enters a slot.
    ///
    /// # Errors
    /// Returns the slot that the tenant has already.
    pub(crate) fn insert(&self, id: &TenantId, key: SlotKey) -> Result<(), SlotKey> {
        match self.0.write().entry(id.clone()) {
            Entry::Occupied(other) => Err(*other.get()),
            Entry::Vacant(free) => {
                free.insert(key);
                Ok(())
            }
        }
    }

    /// Removes a tenant, unless it has another slot by now.
    pub(crate) fn remove(&self, id: &TenantId, key: SlotKey) {
        if let Entry::Occupied(entry) = self.0.write().entry(id.clone())
            && *entry.get() == key
        {
            entry.remove();
        }
    }
}

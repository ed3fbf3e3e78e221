//! The release of slots: of removed tenants, and of tenants without any state.

use tenancy_core::{Epoch, TenantId};

use super::slot::{Lifecycle, Preparation};
use super::stamp::Stamp;
use super::state::{Discarded, Sched, SlotKey};

/// A slot that was released, with the name of its tenant.
pub(crate) struct ReleasedSlot<C, S> {
    pub(crate) id: TenantId,
    pub(crate) key: SlotKey,
    /// To be dropped outside the lock.
    pub(crate) _discarded: Discarded<C, S>,
}

impl<C, S: Clone> Sched<C, S> {
    /// Marks a tenant as removed. Handles of epochs before `next` are superseded, and the slot is
    /// released by the first [`release_slots`](Self::release_slots) that finds it unused.
    pub(crate) fn remove(&mut self, key: SlotKey, next: Epoch, now: Stamp) {
        if self.slot(key).is_none() || self.raise_epoch(key.index, next, now).is_err() {
            return;
        }
        // Otherwise the tenant was created again, and used, before this removal was reported.
        if self.at(key.index).preparation == Preparation::Cold {
            self.at(key.index).lifecycle = Lifecycle::Removed;
            self.mark_releasable(key.index);
        }
    }

    /// Makes the next [`release_slots`](Self::release_slots) examine a slot.
    pub(super) fn mark_releasable(&mut self, index: u32) {
        if !self.releasable.contains(index) {
            self.releasable.push_back(index);
        }
    }

    /// Releases the unused slots of removed tenants, and those without any state: of a tenant that
    /// was never connected to, in its first epoch or none, not closed and not in backoff.
    pub(crate) fn release_slots(&mut self, now: Stamp) -> Vec<ReleasedSlot<C, S>> {
        let releasable: Vec<u32> = self.releasable.iter().collect();
        let release = |index| self.release_slot(index, now);
        releasable.into_iter().filter_map(release).collect()
    }

    fn release_slot(&mut self, index: u32, now: Stamp) -> Option<ReleasedSlot<C, S>> {
        let slot = self.at(index);
        let removed = slot.lifecycle == Lifecycle::Removed;
        let first = slot.epoch.is_none_or(|epoch| epoch == Epoch::FIRST);
        let blank = first && slot.preparation == Preparation::Cold && !slot.closed;
        let busy = slot.in_use() || slot.backoff(now).is_some();
        let generation = slot.generation;
        if busy && (removed || blank) {
            return None;
        }
        self.releasable.remove(index);
        if !removed && !blank {
            return None;
        }
        let key = SlotKey { index, generation };
        let id = self.records[index as usize].id.clone()?;
        let _discarded = self.forget(key)?;
        Some(ReleasedSlot {
            id,
            key,
            _discarded,
        })
    }
}

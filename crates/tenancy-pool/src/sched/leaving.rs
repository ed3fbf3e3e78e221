//! Slots that are given up: of removed tenants, and those that say nothing.

use tenancy_core::{Epoch, TenantId};

use super::slot::Fate;
use super::{Key, Prepared, Rubbish, Sched, Stamp};

/// A slot that was given up: its tenant's name and what it takes to connect.
pub(crate) struct Freed<C, S> {
    pub(crate) id: TenantId,
    pub(crate) key: Key,
    /// To be dropped outside the lock.
    pub(crate) _rubbish: Rubbish<C, S>,
}

impl<C, S: Clone> Sched<C, S> {
    /// A tenant was removed: handles up to the epoch before are superseded, and its slot is
    /// freed by the first [`free`](Self::free) that finds nothing of it left.
    pub(crate) fn remove(&mut self, key: Key, next: Epoch, now: Stamp) {
        if self.slot(key).is_none() || self.raise(key.index, next, now).is_err() {
            return;
        }
        // Else it was made again, and is used, before anybody told of its removal.
        if self.at(key.index).prepared == Prepared::Cold {
            self.at(key.index).fate = Fate::Removed;
            self.may_leave(key.index);
        }
    }

    /// A slot may be worth nothing by now: [`free`](Self::free) will look.
    pub(super) fn may_leave(&mut self, index: u32) {
        if !self.leaving.contains(index) {
            self.leaving.push_back(index);
        }
    }

    /// Gives up the slots of removed tenants of which nothing is left, and those that say no
    /// more than none would: of a tenant that was never connected to, in its first epoch
    /// or none, not closed and not failing.
    pub(crate) fn free(&mut self, now: Stamp) -> Vec<Freed<C, S>> {
        let leaving: Vec<u32> = self.leaving.iter().collect();
        let freed = leaving.into_iter().filter_map(|index| {
            let slot = self.at(index);
            let removed = slot.fate == Fate::Removed;
            let first = slot.epoch.is_none_or(|epoch| epoch == Epoch::FIRST);
            let blank = first && slot.prepared == Prepared::Cold && !slot.closed;
            let busy = slot.in_use() || slot.failing(now).is_some();
            let generation = slot.generation;
            if busy && (removed || blank) {
                return None;
            }
            self.leaving.remove(index);
            if !removed && !blank {
                return None;
            }
            let key = Key { index, generation };
            let id = self.records[index as usize].id.clone()?;
            let _rubbish = self.forget(key)?;
            Some(Freed { id, key, _rubbish })
        });
        freed.collect()
    }
}

//! The work that evictions leave to upkeep: once for each tenant, unless it is connected to again.

use super::stamp::Stamp;
use super::state::{Sched, SlotKey};

impl<C, S: Clone> Sched<C, S> {
    /// Schedules the upkeep of the tenant whose connection in this seat was evicted.
    pub(crate) fn schedule_upkeep(&mut self, seat: u32) {
        let at = &self.seats[seat];
        let (index, slot) = (at.slot, &self.slots[at.slot as usize]);
        // Another open connection does the work itself; a stale slot is of another database by now.
        let alone = slot.counts.idle + slot.counts.out == 0;
        if alone && slot.source.is_some() && !slot.stale && !self.upkeep_due.contains(index) {
            self.upkeep_due.push_back(index);
        }
    }

    /// Returns a tenant that is due for upkeep, and the way to connect to it. Until
    /// [`end_upkeep`](Self::end_upkeep) the tenant counts as open.
    pub(crate) fn begin_upkeep(&mut self) -> Option<(SlotKey, S)> {
        while let Some(index) = self.upkeep_due.first() {
            self.upkeep_due.remove(index);
            let slot = self.at(index);
            let generation = slot.generation;
            if let Some(source) = slot.source.clone().filter(|_| !slot.closed && !slot.stale) {
                slot.rare().in_upkeep = true;
                return Some((SlotKey { index, generation }, source));
            }
        }
        None
    }

    pub(crate) fn end_upkeep(&mut self, key: SlotKey, now: Stamp) {
        // The slot was in use, so it still belongs to the same tenant.
        self.at(key.index).rare().in_upkeep = false;
        self.settle(key.index, now);
    }
}

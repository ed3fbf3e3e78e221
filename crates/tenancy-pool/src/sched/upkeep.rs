//! The work that evictions left: each tenant's once, unless it is connected to again.

use super::{Key, Sched, Stamp};

impl<C, S: Clone> Sched<C, S> {
    /// The connection of a seat was closed quickly, and left work behind.
    pub(crate) fn owe(&mut self, seat: u32) {
        let at = &self.seats[seat];
        let (index, slot) = (at.slot, &self.slots[at.slot as usize]);
        // Else its database is another one by now. What has a connection does it itself.
        let alone = slot.parts.idle + slot.parts.out == 0;
        if alone && slot.source.is_some() && !slot.stale && !self.owed.contains(index) {
            self.owed.push_back(index);
        }
    }

    /// A tenant for which work is left, and how to connect to it. Until
    /// [`end_upkeep`](Self::end_upkeep) something of the tenant counts as open.
    pub(crate) fn begin_upkeep(&mut self) -> Option<(Key, S)> {
        while let Some(index) = self.owed.first() {
            self.owed.remove(index);
            let slot = self.at(index);
            let generation = slot.generation;
            if let Some(source) = slot.source.clone().filter(|_| !slot.closed && !slot.stale) {
                slot.rare().in_upkeep = true;
                return Some((Key { index, generation }, source));
            }
        }
        None
    }

    pub(crate) fn end_upkeep(&mut self, key: Key, now: Stamp) {
        // It is in use, so its slot is still its own.
        self.at(key.index).rare().in_upkeep = false;
        self.settle(key.index, now);
    }
}

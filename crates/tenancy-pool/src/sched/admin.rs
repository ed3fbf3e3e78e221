//! Slots come and go, tenants are closed, reopened and superseded, idle connections
//! expire.

use std::sync::Arc;

use tenancy_core::{Epoch, TenantId};

use super::chain::NONE;
use super::slot::Fate;
use super::{Key, Prepared, Record, Refusal, Rubbish, Sched, Slot, Stamp, State};
use crate::mailbox::Mailbox;

impl<C, S: Clone> Sched<C, S> {
    /// A slot for a tenant.
    pub(crate) fn add(&mut self, id: TenantId) -> Key {
        let index = self.free_slots.pop().unwrap_or_else(|| {
            self.tickets.grow();
            self.owed.grow();
            self.leaving.grow();
            self.slots.push(Slot::new(0));
            self.records.push(Record::default());
            self.slots.len() as u32 - 1
        });
        self.records[index as usize].id = Some(id);
        let closed = self.shut;
        self.at(index).closed = closed;
        let generation = self.at(index).generation;
        Key { index, generation }
    }

    /// Gives a slot up, epoch, closedness and all; only if nothing of the tenant is
    /// left and nobody waits.
    pub(crate) fn forget(&mut self, key: Key) -> Option<Rubbish<C, S>> {
        if self.slot(key)?.in_use() {
            return None;
        }
        self.owed.remove(key.index);
        self.leaving.remove(key.index);
        let next = Slot::new(key.generation.wrapping_add(1));
        let old = std::mem::replace(self.at(key.index), next);
        self.records[key.index as usize] = Record::default();
        self.free_slots.push(key.index);
        Some(Rubbish {
            connections: Vec::new(),
            source: old.source,
        })
    }

    /// Raises the epoch that is current for a tenant: those who wait for an older
    /// one are refused, its idle connections are closed by the next check-out or
    /// [`reap`](Self::reap), those out when they come back.
    ///
    /// Errs with the current epoch if that is higher.
    pub(super) fn raise(&mut self, index: u32, epoch: Epoch, now: Stamp) -> Result<(), Epoch> {
        let slot = self.at(index);
        match slot.epoch {
            Some(current) if current > epoch => return Err(current),
            Some(current) if current == epoch => return Ok(()),
            _ => {}
        }
        slot.epoch = Some(epoch);
        slot.prepared = Prepared::Cold;
        if slot.fate == Fate::Removed {
            // It was made again.
            slot.fate = Fate::Stays;
        }
        slot.stale = slot.parts.idle > 0 || slot.source.is_some();
        slot.forget_failure();
        self.refuse_waiters(index, &Refusal::Superseded { current: epoch });
        self.settle(index, now);
        Ok(())
    }

    /// Sets how many connections a tenant may have from now on, and takes the idle ones
    /// that are too many then, the least recently used first. Those out are closed as
    /// they come back.
    pub(crate) fn allow(&mut self, key: Key, epoch: Epoch, cap: u32, now: Stamp) -> Rubbish<C, S> {
        let index = key.index;
        let mut connections = Vec::new();
        let slot = self.slot(key);
        // Else it will be asked when this incarnation is connected to.
        if slot.is_some_and(|slot| slot.epoch == Some(epoch) && slot.source.is_some()) {
            self.at(index).cap = cap;
            let surplus = self.at(index).parts.staying().saturating_sub(cap) as usize;
            let lru = self.seats.lru.iter();
            let mine = lru.filter(|seat| self.seats[*seat].slot == index);
            let surplus: Vec<u32> = mine.take(surplus).collect();
            connections = (surplus.into_iter())
                .map(|seat| (seat, self.condemn(seat, now)))
                .collect();
            self.settle(index, now);
        }
        Rubbish {
            connections,
            source: None,
        }
    }

    /// As [`raise`](Self::raise), for who only tells.
    pub(crate) fn mark(&mut self, key: Key, epoch: Epoch, now: Stamp) {
        if self.slot(key).is_some() {
            let _ = self.raise(key.index, epoch, now);
        }
    }

    /// Whether a tenant is to be retired: see [`reap`](Self::reap).
    pub(crate) fn set_retiring(&mut self, key: Key, retiring: bool) {
        if self.slot(key).is_some() {
            self.at(key.index).fate = match retiring {
                true => Fate::Retiring,
                false => Fate::Stays,
            };
        }
    }

    /// Takes all idle connections of a tenant, and what they were made with if its
    /// epoch has passed.
    pub(super) fn clear(&mut self, index: u32, now: Stamp) -> Rubbish<C, S> {
        let mut connections = Vec::new();
        while self.at(index).top != NONE {
            let seat = self.at(index).top;
            connections.push((seat, self.condemn(seat, now)));
        }
        let slot = self.at(index);
        let stale = std::mem::take(&mut slot.stale);
        let source = slot.source.take_if(|_| stale);
        Rubbish {
            connections,
            source,
        }
    }

    /// Closes a tenant to check-outs.
    pub(crate) fn close(&mut self, key: Key, now: Stamp) -> Option<Rubbish<C, S>> {
        self.slot(key)?;
        let slot = self.at(key.index);
        slot.closed = true;
        if slot.fate == Fate::Removed {
            // It is closed anew, and stays so.
            slot.fate = Fate::Stays;
        }
        self.refuse_waiters(key.index, &Refusal::Closed);
        let mut rubbish = self.clear(key.index, now);
        rubbish.connections.append(&mut self.aside_of(key));
        self.settle(key.index, now);
        Some(rubbish)
    }

    /// Is the tenant of this seat closed to check-outs?
    pub(crate) fn is_closed(&self, seat: u32) -> bool {
        self.slots[self.seats[seat].slot as usize].closed
    }

    /// Opens a tenant to check-outs again; says whether it was closed.
    pub(crate) fn reopen(&mut self, key: Key) -> bool {
        if self.slot(key).is_none() || self.shut {
            return false;
        }
        self.may_leave(key.index);
        std::mem::take(&mut self.at(key.index).closed)
    }

    /// Closes all tenants, and those that come later.
    pub(crate) fn close_all(&mut self, now: Stamp) -> Vec<Rubbish<C, S>> {
        self.shut = true;
        let known = 0..self.slots.len() as u32;
        let known: Vec<u32> = known
            .filter(|index| self.records[*index as usize].id.is_some())
            .collect();
        let close = known.into_iter().filter_map(|index| {
            let generation = self.at(index).generation;
            self.close(Key { index, generation }, now)
        });
        close.collect()
    }

    /// Is nothing left at all? Else `closer` will be told when nothing is.
    pub(crate) fn all_drained(&mut self, closer: &Arc<Mailbox<()>>) -> bool {
        self.closers.retain(|other| !Arc::ptr_eq(other, closer));
        let drained = self.seats.parts.total() == 0;
        if !drained {
            self.closers.push(closer.clone());
        }
        drained
    }

    /// Who closes all waits no longer.
    pub(crate) fn stop_closing_all(&mut self, closer: &Arc<Mailbox<()>>) {
        self.closers.retain(|other| !Arc::ptr_eq(other, closer));
    }

    /// Is nothing of this tenant left? Else `closer` will be told when nothing is.
    pub(crate) fn drained(&mut self, key: Key, closer: &Arc<Mailbox<()>>) -> bool {
        self.stop_waiting(key, closer);
        let drained = self.slot(key).is_none_or(Slot::is_drained);
        if !drained {
            let closers = &mut self.at(key.index).rare().closers;
            closers.push(closer.clone());
        }
        drained
    }

    /// A closer waits no longer.
    pub(crate) fn stop_waiting(&mut self, key: Key, closer: &Arc<Mailbox<()>>) {
        if self.slot(key).is_some()
            && let Some(rare) = &mut self.at(key.index).rare
        {
            rare.closers.retain(|other| !Arc::ptr_eq(other, closer));
        }
    }

    /// Takes what was set aside, and the idle connections that have expired, are of an
    /// older epoch or of a tenant that is to be retired.
    pub(crate) fn reap(&mut self, now: Stamp) -> Rubbish<C, S> {
        let due = |seat: &u32| {
            let owner = &self.slots[self.seats[*seat].slot as usize];
            owner.stale || owner.fate == Fate::Retiring || self.has_expired(*seat, now)
        };
        let due: Vec<u32> = self.seats.lru.iter().filter(due).collect();
        let mut connections = Vec::new();
        for seat in due {
            // Whoever was served meanwhile may have taken its place.
            if self.seats[seat].state == State::Idle {
                connections.push((seat, self.expire(seat, now)));
            }
        }
        connections.append(&mut self.all_aside());
        Rubbish {
            connections,
            source: None,
        }
    }

    /// Takes an idle connection that has expired. Somebody may have been nudged
    /// towards it.
    pub(super) fn expire(&mut self, seat: u32, now: Stamp) -> C {
        let connection = self.condemn(seat, now);
        self.settle(self.seats[seat].slot, now);
        connection
    }

    /// Takes an idle connection that is to be closed.
    fn condemn(&mut self, seat: u32, now: Stamp) -> C {
        let connection = self.pluck(seat);
        self.begin_close(seat, now);
        connection
    }

    /// Every connection that nobody has, when the pools go.
    pub(crate) fn drain(&mut self) -> Vec<C> {
        let idle: Vec<_> = self.seats.lru.iter().collect();
        let aside: Vec<_> = self.seats.aside.iter().collect();
        let mut all: Vec<_> = idle.into_iter().map(|seat| self.pluck(seat)).collect();
        all.extend(aside.into_iter().map(|seat| self.take_aside(seat)));
        all
    }
}

//! The administration of slots: tenants are closed, reopened and superseded, idle connections
//! expire.

use std::sync::Arc;

use tenancy_core::{Epoch, TenantId};

use super::chain::NONE;
use super::seats::SeatState;
use super::slot::{Lifecycle, Preparation, Slot, TenantRecord};
use super::stamp::Stamp;
use super::state::{Discarded, Sched, SlotKey};
use super::waiting::Refusal;
use crate::mailbox::Mailbox;

impl<C, S: Clone> Sched<C, S> {
    /// Adds a slot for a tenant.
    pub(crate) fn add(&mut self, id: TenantId) -> SlotKey {
        let index = self.free_slots.pop().unwrap_or_else(|| {
            self.tickets.grow();
            self.upkeep_due.grow();
            self.releasable.grow();
            self.slots.push(Slot::new(0));
            self.records.push(TenantRecord::default());
            self.slots.len() as u32 - 1
        });
        self.records[index as usize].id = Some(id);
        let closed = self.all_closed;
        self.at(index).closed = closed;
        let generation = self.at(index).generation;
        SlotKey { index, generation }
    }

    /// Releases a slot with its epoch and whether it is closed. Returns `None`, and does nothing,
    /// if the tenant has a connection or a waiter.
    pub(crate) fn forget(&mut self, key: SlotKey) -> Option<Discarded<C, S>> {
        if self.slot(key)?.in_use() {
            return None;
        }
        self.upkeep_due.remove(key.index);
        self.releasable.remove(key.index);
        let next = Slot::new(key.generation.wrapping_add(1));
        let old = std::mem::replace(self.at(key.index), next);
        self.records[key.index as usize] = TenantRecord::default();
        self.free_slots.push(key.index);
        Some(Discarded {
            connections: Vec::new(),
            source: old.source,
        })
    }

    /// Raises the current epoch of a tenant. Waiters of an older epoch are refused; its idle
    /// connections are closed by the next check-out or [`reap`](Self::reap), those that are out
    /// when they come back.
    ///
    /// # Errors
    /// Returns the current epoch if that is higher.
    pub(super) fn raise_epoch(
        &mut self,
        index: u32,
        epoch: Epoch,
        now: Stamp,
    ) -> Result<(), Epoch> {
        let slot = self.at(index);
        match slot.epoch {
            Some(current) if current > epoch => return Err(current),
            Some(current) if current == epoch => return Ok(()),
            _ => {}
        }
        slot.epoch = Some(epoch);
        slot.preparation = Preparation::Cold;
        if slot.lifecycle == Lifecycle::Removed {
            // The tenant was created again.
            slot.lifecycle = Lifecycle::Active;
        }
        slot.stale = slot.counts.idle > 0 || slot.source.is_some();
        slot.clear_failure();
        self.refuse_waiters(index, &Refusal::Superseded { current: epoch });
        self.settle(index, now);
        Ok(())
    }

    /// Sets the bound of a tenant, and takes its surplus idle connections, the least recently used
    /// first. Surplus connections that are out are closed as they come back.
    pub(crate) fn set_max(
        &mut self,
        key: SlotKey,
        epoch: Epoch,
        max: u32,
        now: Stamp,
    ) -> Discarded<C, S> {
        let index = key.index;
        let mut connections = Vec::new();
        let slot = self.slot(key);
        // Otherwise the bound is determined when this incarnation is connected to.
        if slot.is_some_and(|slot| slot.epoch == Some(epoch) && slot.source.is_some()) {
            self.at(index).cap = max;
            let surplus = self.at(index).counts.staying().saturating_sub(max) as usize;
            let lru = self.seats.lru.iter();
            let own = lru.filter(|seat| self.seats[*seat].slot == index);
            let surplus: Vec<u32> = own.take(surplus).collect();
            connections = (surplus.into_iter())
                .map(|seat| (seat, self.take_to_close(seat, now)))
                .collect();
            self.settle(index, now);
        }
        Discarded {
            connections,
            source: None,
        }
    }

    /// Raises the current epoch of a tenant, or ignores one that is lower.
    pub(crate) fn observe_epoch(&mut self, key: SlotKey, epoch: Epoch, now: Stamp) {
        if self.slot(key).is_some() {
            let _ = self.raise_epoch(key.index, epoch, now);
        }
    }

    /// Records whether a tenant is being retired: see [`reap`](Self::reap).
    pub(crate) fn set_retiring(&mut self, key: SlotKey, retiring: bool) {
        if self.slot(key).is_some() {
            self.at(key.index).lifecycle = match retiring {
                true => Lifecycle::Retiring,
                false => Lifecycle::Active,
            };
        }
    }

    /// Takes all idle connections of a tenant, and its source if that is of a past epoch.
    pub(super) fn take_all_idle(&mut self, index: u32, now: Stamp) -> Discarded<C, S> {
        let mut connections = Vec::new();
        while self.at(index).top != NONE {
            let seat = self.at(index).top;
            connections.push((seat, self.take_to_close(seat, now)));
        }
        let slot = self.at(index);
        let stale = std::mem::take(&mut slot.stale);
        let source = slot.source.take_if(|_| stale);
        Discarded {
            connections,
            source,
        }
    }

    /// Closes a tenant to check-outs. Returns `None` if the slot was released.
    pub(crate) fn close(&mut self, key: SlotKey, now: Stamp) -> Option<Discarded<C, S>> {
        self.slot(key)?;
        let slot = self.at(key.index);
        slot.closed = true;
        if slot.lifecycle == Lifecycle::Removed {
            // A closed tenant keeps its slot.
            slot.lifecycle = Lifecycle::Active;
        }
        self.refuse_waiters(key.index, &Refusal::Closed);
        let mut discarded = self.take_all_idle(key.index, now);
        discarded.connections.append(&mut self.deferred_of(key));
        self.settle(key.index, now);
        Some(discarded)
    }

    /// Returns whether the tenant of a seat is closed to check-outs.
    pub(crate) fn is_closed(&self, seat: u32) -> bool {
        self.slots[self.seats[seat].slot as usize].closed
    }

    /// Opens a tenant to check-outs again; returns whether it was closed.
    pub(crate) fn reopen(&mut self, key: SlotKey) -> bool {
        if self.slot(key).is_none() || self.all_closed {
            return false;
        }
        self.mark_releasable(key.index);
        std::mem::take(&mut self.at(key.index).closed)
    }

    /// Closes all tenants, and those that come later.
    pub(crate) fn close_all(&mut self, now: Stamp) -> Vec<Discarded<C, S>> {
        self.all_closed = true;
        let known = 0..self.slots.len() as u32;
        let known: Vec<u32> = known
            .filter(|index| self.records[*index as usize].id.is_some())
            .collect();
        let close = known.into_iter().filter_map(|index| {
            let generation = self.at(index).generation;
            self.close(SlotKey { index, generation }, now)
        });
        close.collect()
    }

    /// Returns whether nothing is open; otherwise `watcher` is woken when nothing is, or a close
    /// was deferred.
    pub(crate) fn all_drained_or_watch(&mut self, watcher: &Arc<Mailbox<()>>) -> bool {
        self.unwatch_all(watcher);
        let drained = self.seats.counts.total() == 0;
        if !drained {
            self.close_watchers.push(watcher.clone());
        }
        drained
    }

    /// Ends the watch of [`all_drained_or_watch`](Self::all_drained_or_watch).
    pub(crate) fn unwatch_all(&mut self, watcher: &Arc<Mailbox<()>>) {
        self.close_watchers
            .retain(|other| !Arc::ptr_eq(other, watcher));
    }

    /// Returns whether nothing of a tenant is open; otherwise `watcher` is woken when nothing is,
    /// or a close was deferred.
    pub(crate) fn drained_or_watch(&mut self, key: SlotKey, watcher: &Arc<Mailbox<()>>) -> bool {
        self.unwatch(key, watcher);
        let drained = self.slot(key).is_none_or(Slot::is_drained);
        if !drained {
            let watchers = &mut self.at(key.index).rare().close_watchers;
            watchers.push(watcher.clone());
        }
        drained
    }

    /// Ends the watch of [`drained_or_watch`](Self::drained_or_watch).
    pub(crate) fn unwatch(&mut self, key: SlotKey, watcher: &Arc<Mailbox<()>>) {
        if self.slot(key).is_some()
            && let Some(rare) = &mut self.at(key.index).rare
        {
            rare.close_watchers
                .retain(|other| !Arc::ptr_eq(other, watcher));
        }
    }

    /// Takes the connections whose close was deferred, and the idle connections that have expired,
    /// or are of a past epoch or of a retiring tenant.
    pub(crate) fn reap(&mut self, now: Stamp) -> Discarded<C, S> {
        let due = |seat: &u32| {
            let owner = &self.slots[self.seats[*seat].slot as usize];
            let retiring = owner.lifecycle == Lifecycle::Retiring;
            owner.stale || retiring || self.has_expired(*seat, now)
        };
        let due: Vec<u32> = self.seats.lru.iter().filter(due).collect();
        let mut connections = Vec::new();
        for seat in due {
            // Its seat may have been transferred to a waiter meanwhile.
            if self.seats[seat].state == SeatState::Idle {
                connections.push((seat, self.expire(seat, now)));
            }
        }
        connections.append(&mut self.all_deferred());
        Discarded {
            connections,
            source: None,
        }
    }

    /// Takes an idle connection that has expired. A waiter may have been woken for it.
    pub(super) fn expire(&mut self, seat: u32, now: Stamp) -> C {
        let connection = self.take_to_close(seat, now);
        self.settle(self.seats[seat].slot, now);
        connection
    }

    /// Takes every idle and every deferred connection, when the pools are dropped.
    pub(crate) fn drain(&mut self) -> Vec<C> {
        let idle: Vec<_> = self.seats.lru.iter().collect();
        let deferred: Vec<_> = self.seats.deferred.iter().collect();
        let idle = idle.into_iter().map(|seat| self.remove_idle(seat));
        let mut all: Vec<_> = idle.collect();
        all.extend(deferred.into_iter().map(|seat| self.take_deferred(seat)));
        all
    }
}

//! Slots come and go, tenants are closed, reopened and superseded, idle connections
//! expire.

use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{Epoch, TenantId};

use super::chain::NONE;
use super::{Key, Parts, Prepared, Refusal, Rubbish, Sched, Slot, State};
use crate::stats::Counters;
use crate::sync::Signal;

impl<C, S: Clone> Sched<C, S> {
    /// A slot for a tenant.
    pub(crate) fn add(&mut self, id: TenantId) -> Key {
        let index = self.free_slots.pop().unwrap_or_else(|| {
            self.tickets.grow();
            self.slots.push(Slot::new());
            self.slots.len() as u32 - 1
        });
        let slot = self.at(index);
        slot.id = Some(id);
        let generation = slot.generation;
        Key { index, generation }
    }

    /// Gives a slot up, epoch, closedness and all; only if nothing of the tenant is
    /// left and nobody waits.
    pub(crate) fn forget(&mut self, key: Key) -> Option<Rubbish<C, S>> {
        let slot = self.slot_mut(key)?;
        let busy = |rare: &super::Rare<C, S>| !rare.waiters.is_empty() || !rare.closers.is_empty();
        if slot.parts.total() > 0 || slot.rare.as_deref().is_some_and(busy) {
            return None;
        }
        let next = Slot {
            generation: slot.generation.wrapping_add(1),
            ..Slot::new()
        };
        let old = std::mem::replace(slot, next);
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
    pub(super) fn raise(&mut self, index: u32, epoch: Epoch) -> Result<(), Epoch> {
        let slot = self.at(index);
        if let Some(current) = slot.epoch.filter(|current| *current > epoch) {
            return Err(current);
        }
        if slot.epoch == Some(epoch) {
            return Ok(());
        }
        let first = slot.epoch.replace(epoch).is_none();
        if !first {
            slot.prepared = Prepared::Cold;
            slot.stale = slot.parts.idle > 0 || slot.source.is_some();
            if let Some(rare) = &mut slot.rare {
                rare.failure = None;
            }
            self.refuse_waiters(index, &Refusal::Superseded { current: epoch });
        }
        Ok(())
    }

    /// As [`raise`](Self::raise), for who only tells.
    pub(crate) fn mark(&mut self, key: Key, epoch: Epoch, now: Duration) {
        if self.slot(key).is_some() && self.raise(key.index, epoch).is_ok() {
            self.settle(key.index, now);
        }
    }

    /// Takes all idle connections of a tenant, and what they were made with if its
    /// epoch has passed.
    pub(super) fn clear(&mut self, index: u32) -> Rubbish<C, S> {
        let mut connections = Vec::new();
        while self.at(index).top != NONE {
            let (seat, connection) = self.pop_idle(index);
            self.shift(seat, State::Closing);
            connections.push((seat, connection));
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
    pub(crate) fn close(&mut self, key: Key) -> Option<Rubbish<C, S>> {
        self.slot_mut(key)?.closed = true;
        self.refuse_waiters(key.index, &Refusal::Closed);
        let rubbish = self.clear(key.index);
        self.settle(key.index, Duration::MAX);
        Some(rubbish)
    }

    /// Opens a tenant to check-outs again; says whether it was closed.
    pub(crate) fn reopen(&mut self, key: Key) -> bool {
        self.slot_mut(key)
            .is_some_and(|slot| std::mem::take(&mut slot.closed))
    }

    /// Is anything of this tenant left? Then `closer` will be told when nothing is.
    pub(crate) fn drained(&mut self, key: Key, closer: &Arc<Signal>) -> bool {
        let Some(slot) = self.slot_mut(key) else {
            return true;
        };
        let drained = slot.parts.total() == 0;
        let closers = &mut slot.rare().closers;
        closers.retain(|other| !Arc::ptr_eq(other, closer));
        if !drained {
            closers.push(closer.clone());
        }
        drained
    }

    /// A closer waits no longer.
    pub(crate) fn give_up(&mut self, key: Key, closer: &Arc<Signal>) {
        if let Some(rare) = self.slot_mut(key).and_then(|slot| slot.rare.as_mut()) {
            rare.closers.retain(|other| !Arc::ptr_eq(other, closer));
        }
    }

    /// Takes the idle connections that have expired or are of an older epoch.
    pub(crate) fn reap(&mut self, now: Duration) -> Rubbish<C, S> {
        let idle_timeout = self.limits.idle_timeout;
        let expired = |sched: &Self, seat: u32| {
            let at = &sched.seats[seat];
            let idle = now.saturating_sub(at.since);
            sched.slots[at.slot as usize].stale
                || idle_timeout.is_some_and(|max| idle >= max)
                || sched.too_old(seat, now)
        };
        let due: Vec<_> = self
            .seats
            .lru
            .iter()
            .filter(|seat| expired(self, *seat))
            .collect();
        let connections = due.into_iter().map(|seat| (seat, self.pluck(seat)));
        let connections: Vec<_> = connections.collect();
        for (seat, _) in &connections {
            self.shift(*seat, State::Closing);
        }
        Rubbish {
            connections,
            source: None,
        }
    }

    /// Every idle connection, when the pools go.
    pub(crate) fn drain(&mut self) -> Vec<C> {
        let idle: Vec<_> = self.seats.lru.iter().collect();
        idle.into_iter().map(|seat| self.pluck(seat)).collect()
    }
}

impl<C, S> Slot<C, S> {
    fn new() -> Self {
        Self {
            id: None,
            generation: 0,
            epoch: None,
            prepared: Prepared::Cold,
            closed: false,
            stale: false,
            cap: 1,
            parts: Parts::default(),
            top: NONE,
            source: None,
            counters: Counters::default(),
            rare: None,
        }
    }
}

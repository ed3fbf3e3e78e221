//! What the scheduler can be asked.

use std::time::Duration;

use tenancy_core::TenantId;

use super::slot::Prepared;
use super::{Key, Sched, Stamp, State};
use crate::holders::Activity;
use crate::label::Label;
use crate::stats::{PoolStats, TenantStats};

/// A connection that is not idle.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) tenant: TenantId,
    pub(crate) label: Label,
    pub(crate) activity: Activity,
    pub(crate) since: Stamp,
    pub(crate) thread: u32,
}

impl Held {
    /// Nothing comes of it before this thread does something. One that is being closed
    /// needs nobody.
    pub(crate) fn is_by(&self, thread: u32) -> bool {
        self.activity != Activity::Closing && self.thread == thread
    }
}

impl<C, S: Clone> Sched<C, S> {
    pub(crate) fn stats(&self) -> PoolStats {
        let parts = self.seats.parts;
        PoolStats {
            max: self.limits.max,
            open: parts.total(),
            peak: self.seats.peak(),
            idle: parts.idle,
            out: parts.out,
            opening: parts.opening,
            closing: parts.closing,
            waiting: self.waiters,
            tenants: self.slots.len() - self.free_slots.len(),
            tickets: self.tickets.iter().count(),
            held: Duration::from_nanos(self.held),
            waited: Duration::ZERO,
            counters: self.counters.counters(self.checkouts, parts.out),
        }
    }

    pub(crate) fn tenant_stats(&self, key: Key) -> Option<TenantStats> {
        let slot = self.slot(key)?;
        Some(TenantStats {
            epoch: slot.epoch,
            max: slot.cap,
            idle: slot.parts.idle,
            out: slot.parts.out,
            opening: slot.parts.opening,
            closing: slot.parts.closing,
            waiting: slot.waiters(),
            prepared: slot.prepared == Prepared::Ready,
            closed: slot.closed,
            counters: self.records[key.index as usize]
                .counters
                .counters(slot.checkouts, slot.parts.out),
        })
    }

    /// What is not idle, of all tenants.
    pub(crate) fn all_held(&self) -> Vec<Held> {
        self.held(None)
    }

    /// When this connection was checked out.
    pub(crate) fn out_since(&self, seat: u32) -> Stamp {
        self.seats[seat].since
    }

    /// Who holds what a check-out of this tenant would wait for: its own connections
    /// if it may have no more, else all.
    pub(crate) fn holders(&self, key: Key) -> Vec<Held> {
        let own = self.slot(key).is_some() && !self.may_open(key.index);
        self.held(own.then_some(key.index))
    }

    /// Who holds this tenant's connections.
    pub(crate) fn held_of(&self, key: Key) -> Vec<Held> {
        self.held(Some(key.index))
    }

    fn held(&self, index: Option<u32>) -> Vec<Held> {
        let held = self.seats.taken().filter_map(|seat| {
            let heir = seat
                .heir()
                .filter(|heir| index.is_none_or(|index| index == *heir));
            let (owner, activity) = match (seat.state, heir) {
                (_, Some(heir)) => (heir, Activity::Opening),
                (State::Out, _) => (seat.slot, Activity::CheckedOut),
                (State::Opening, _) => (seat.slot, Activity::Opening),
                (State::Closing, _) => (seat.slot, Activity::Closing),
                (State::Idle | State::Free, _) => return None,
            };
            let concerns = index.is_none_or(|index| index == owner);
            let tenant = self.records[owner as usize].id.clone();
            tenant.filter(|_| concerns).map(|tenant| Held {
                tenant,
                label: seat.label,
                activity,
                since: seat.since,
                thread: seat.thread,
            })
        });
        held.collect()
    }

    /// Names a connection that is out.
    pub(crate) fn relabel(&mut self, seat: u32, label: Label) {
        self.seats[seat].label = label;
    }
}

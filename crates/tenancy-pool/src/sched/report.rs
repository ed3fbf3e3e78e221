//! The figures of the scheduler, and the holders of its connections.

use std::time::Duration;

use super::seats::SeatState;
use super::slot::Preparation;
use super::stamp::Stamp;
use super::state::{Sched, SlotKey};
use super::waiting::HeldConnection;
use crate::holders::Activity;
use crate::label::Label;
use crate::stats::{PoolStats, TenantStats};

impl<C, S: Clone> Sched<C, S> {
    pub(crate) fn stats(&self) -> PoolStats {
        let counts = self.seats.counts;
        PoolStats {
            max: self.limits.max,
            open: counts.total(),
            peak: self.seats.peak(),
            idle: counts.idle,
            out: counts.out,
            opening: counts.opening,
            closing: counts.closing,
            waiting: self.waiters,
            tenants: self.slots.len() - self.free_slots.len(),
            tickets: self.tickets.iter().count(),
            held: Duration::from_nanos(self.held),
            waited: Duration::ZERO,
            counters: self.counters.counters(self.checkouts, counts.out),
        }
    }

    pub(crate) fn tenant_stats(&self, key: SlotKey) -> Option<TenantStats> {
        let slot = self.slot(key)?;
        Some(TenantStats {
            epoch: slot.epoch,
            max: slot.cap,
            idle: slot.counts.idle,
            out: slot.counts.out,
            opening: slot.counts.opening,
            closing: slot.counts.closing,
            waiting: slot.waiters(),
            prepared: slot.preparation == Preparation::Ready,
            closed: slot.closed,
            counters: self.records[key.index as usize]
                .counters
                .counters(slot.checkouts, slot.counts.out),
        })
    }

    /// Lists the connections of all tenants that are not idle.
    pub(crate) fn all_held(&self) -> Vec<HeldConnection> {
        self.held(None)
    }

    /// Returns the time at which a connection was checked out.
    pub(crate) fn checked_out_since(&self, seat: u32) -> Stamp {
        self.seats[seat].since
    }

    /// Lists the connections that a check-out of this tenant would wait for: its own if it may open
    /// no other, all otherwise.
    pub(crate) fn holders(&self, key: SlotKey) -> Vec<HeldConnection> {
        let own = self.slot(key).is_some() && !self.may_open(key.index);
        self.held(own.then_some(key.index))
    }

    /// Lists the connections of a tenant that are not idle.
    pub(crate) fn held_of(&self, key: SlotKey) -> Vec<HeldConnection> {
        self.held(Some(key.index))
    }

    fn held(&self, index: Option<u32>) -> Vec<HeldConnection> {
        let held = self.seats.occupied().filter_map(|seat| {
            let successor = seat
                .successor()
                .filter(|successor| index.is_none_or(|index| index == *successor));
            let (owner, activity) = match (seat.state, successor) {
                (_, Some(successor)) => (successor, Activity::Opening),
                (SeatState::Out, _) => (seat.slot, Activity::CheckedOut),
                (SeatState::Opening, _) => (seat.slot, Activity::Opening),
                (SeatState::Closing, _) => (seat.slot, Activity::Closing),
                (SeatState::Idle | SeatState::Free, _) => return None,
            };
            let concerns = index.is_none_or(|index| index == owner);
            let tenant = self.records[owner as usize].id.clone();
            tenant.filter(|_| concerns).map(|tenant| HeldConnection {
                tenant,
                label: seat.label,
                activity,
                since: seat.since,
                thread: seat.thread,
            })
        });
        held.collect()
    }

    /// Labels a connection that is out.
    pub(crate) fn relabel(&mut self, seat: u32, label: Label) {
        self.seats[seat].label = label;
    }
}

//! [`Sched`]: the state of the scheduler, and the changes of state that all others are made of.

use std::sync::Arc;
use std::time::Duration;

use tenancy_core::Epoch;

use super::chain::{Chain, NONE};
use super::seats::{Caller, SeatState, Seats};
use super::slot::{Slot, TenantRecord};
use super::stamp::{Age, Jitter, Stamp};
use super::waiting::Waiting;
use crate::mailbox::Mailbox;
use crate::stats::Tally;

/// The configured bounds; the builder documents them.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) max: u32,
    pub(crate) max_waiters: usize,
    pub(crate) handoff_after: Duration,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) lifetime_jitter: Duration,
    pub(crate) validate_after: Option<Duration>,
    pub(crate) idle_maintenance_after: Duration,
    pub(crate) failure_ttl: Duration,
}

/// The key of a tenant's slot; the generation tells the tenant from the slot's next user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotKey {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// A request for a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) key: SlotKey,
    pub(crate) epoch: Epoch,
    pub(crate) caller: Caller,
    pub(crate) now: Stamp,
}

/// Connections to be closed, each with its seat, and a source to be dropped.
pub(crate) struct Discarded<C, S> {
    pub(crate) connections: Vec<(u32, C)>,
    pub(crate) source: Option<S>,
}

/// The way to connect to an incarnation of a tenant, found out by its first connect.
#[derive(Clone)]
pub(crate) struct NewSource<S> {
    pub(crate) source: S,
    /// The number of connections that the tenant may have.
    pub(crate) max: u32,
}

/// The state of the scheduler. `C` is a connection, `S` is the way to make one; the scheduler
/// neither looks into them nor drops them.
pub(crate) struct Sched<C, S> {
    pub(crate) limits: Limits,
    pub(super) idle_timeout: Age,
    pub(super) max_lifetime: Age,
    pub(super) jitter: Jitter,
    pub(super) validate_after: Age,
    pub(super) idle_maintenance_after: Age,
    /// A connection that was idle for less is neither expired nor to be validated.
    pub(super) fresh: Age,
    pub(super) slots: Vec<Slot<C, S>>,
    /// One for each slot.
    pub(super) records: Vec<TenantRecord>,
    pub(super) free_slots: Vec<u32>,
    pub(super) seats: Seats<C>,
    /// Tenants that wait for a seat.
    pub(super) tickets: Chain,
    /// Tenants whose eviction left work to [`Driver::upkeep`](crate::Driver::upkeep).
    pub(super) upkeep_due: Chain,
    /// Slots that may be released.
    pub(super) releasable: Chain,
    pub(super) checkouts: u64,
    pub(super) counters: Tally,
    pub(super) waiters: usize,
    /// The nanoseconds for which all returned connections were out.
    pub(super) held: u64,
    /// Whether all tenants are closed, those that come later included.
    pub(super) all_closed: bool,
    /// The calls of `close_all` that wait.
    pub(super) close_watchers: Vec<Arc<Mailbox<()>>>,
    /// The waiters to be woken as soon as the lock is free.
    pub(crate) wakes: Vec<Arc<Waiting<C, S>>>,
}

impl<C, S: Clone> Sched<C, S> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            seats: Seats::new(limits.max),
            idle_timeout: Age::new(limits.idle_timeout),
            max_lifetime: Age::new(limits.max_lifetime),
            jitter: Jitter::new(limits.lifetime_jitter),
            validate_after: Age::new(limits.validate_after),
            idle_maintenance_after: Age::new(Some(limits.idle_maintenance_after)),
            fresh: Age::new(limits.idle_timeout).min(Age::new(limits.validate_after)),
            limits,
            slots: Vec::new(),
            records: Vec::new(),
            free_slots: Vec::new(),
            tickets: Chain::new(),
            upkeep_due: Chain::new(),
            releasable: Chain::new(),
            checkouts: 0,
            counters: Tally::default(),
            waiters: 0,
            held: 0,
            all_closed: false,
            close_watchers: Vec::new(),
            wakes: Vec::new(),
        }
    }

    pub(super) fn slot(&self, key: SlotKey) -> Option<&Slot<C, S>> {
        let slot = self.slots.get(key.index as usize)?;
        (slot.generation == key.generation).then_some(slot)
    }

    pub(super) fn at(&mut self, index: u32) -> &mut Slot<C, S> {
        &mut self.slots[index as usize]
    }

    /// Counts an event for a tenant and for all.
    pub(super) fn count(&mut self, index: u32, which: impl Fn(&mut Tally) -> &mut u64) {
        *which(&mut self.records[index as usize].counters) += 1;
        *which(&mut self.counters) += 1;
    }

    pub(super) fn shift(&mut self, seat: u32, to: SeatState) {
        let (index, from) = (self.seats[seat].slot, self.seats[seat].state);
        self.at(index).counts.shift(from, to);
        self.seats.shift(seat, to);
    }

    /// Marks the connection of a seat as closing.
    pub(super) fn begin_close(&mut self, seat: u32, now: Stamp) {
        self.shift(seat, SeatState::Closing);
        self.seats[seat].since = now;
    }

    /// Checks the connection of a seat out.
    pub(super) fn check_out(&mut self, seat: u32, caller: Caller, now: Stamp) {
        self.shift(seat, SeatState::Out);
        let at = &mut self.seats[seat];
        at.set_caller(caller);
        at.since = now;
        let index = at.slot;
        self.at(index).checkouts += 1;
        self.checkouts += 1;
    }

    /// Makes a connection that was out idle.
    #[inline]
    pub(super) fn push_idle(&mut self, seat: u32, connection: C, now: Stamp) {
        let at = &mut self.seats[seat];
        let slot = &mut self.slots[at.slot as usize];
        at.state = SeatState::Idle;
        (at.connection, at.since) = (Some(connection), now);
        at.link = std::mem::replace(&mut slot.top, seat);
        slot.counts.shift(SeatState::Out, SeatState::Idle);
        self.seats.counts.shift(SeatState::Out, SeatState::Idle);
        self.seats.lru.push_back(seat);
    }

    /// Takes the most recently used idle connection of a tenant that has one; its seat stays idle
    /// until it is shifted.
    pub(super) fn pop_idle(&mut self, index: u32) -> (u32, C) {
        let seat = self.at(index).top;
        (seat, self.remove_idle(seat))
    }

    /// Takes an idle connection out of its owner's stack and out of the queue for eviction; its
    /// seat stays idle until it is shifted.
    pub(super) fn remove_idle(&mut self, seat: u32) -> C {
        self.seats.lru.remove(seat);
        let at = &mut self.seats[seat];
        let owner = at.slot;
        let below = std::mem::replace(&mut at.link, NONE);
        let connection = at.connection.take();
        let mut above = self.at(owner).top;
        if above == seat {
            self.at(owner).top = below;
        } else {
            while self.seats[above].link != seat {
                above = self.seats[above].link;
            }
            self.seats[above].link = below;
        }
        connection.expect("an idle seat has its connection")
    }

    pub(super) fn has_expired(&self, seat: u32, now: Stamp) -> bool {
        let at = &self.seats[seat];
        self.idle_timeout.is_reached(at.since, now) || self.max_lifetime.is_reached(at.born, now)
    }

    /// Takes an idle connection that is to be closed.
    pub(super) fn take_to_close(&mut self, seat: u32, now: Stamp) -> C {
        let connection = self.remove_idle(seat);
        self.begin_close(seat, now);
        connection
    }
}

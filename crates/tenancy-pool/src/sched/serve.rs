//! The service of waiters: which of them gets a connection or a seat that becomes available.

use super::chain::NONE;
use super::seats::{Caller, SeatState};
use super::slot::{Lifecycle, Preparation};
use super::stamp::Stamp;
use super::state::Sched;
use super::waiting::{Grant, Permit};
use crate::sync::Moment;

impl<C, S: Clone> Sched<C, S> {
    /// Gives a sound connection that came back to a waiter of its tenant, or its seat to another
    /// tenant.
    pub(super) fn reassign(&mut self, seat: u32, connection: C, now: Stamp) {
        let index = self.seats[seat].slot;
        if let Some(successor) = self.successor_for(index) {
            let caller = self.first_ticket_caller(successor);
            let permit = self.transfer(seat, connection, successor, caller, now);
            self.serve_ticket(successor, permit, now);
        } else if self.at(index).waiters() > 0 && !self.may_barge(index) {
            let first = self.next_waiter(index).expect("there are waiters");
            self.check_out(seat, first.caller, now);
            self.count(index, |counters| &mut counters.hand_offs);
            self.grant(first, Grant::Use { seat, connection });
        } else {
            self.push_idle(seat, connection, now);
        }
        // A tenant that was served as the first in the queue of tickets goes to the end.
        if self.tickets.first() == Some(index) {
            self.tickets.remove(index);
        }
        self.settle(index, now);
    }

    /// Returns the other tenant that gets the seat of a returned connection: the one with the first
    /// ticket.
    ///
    /// A tenant that waits for seats itself keeps its own until that ticket is `handoff_after` old:
    /// otherwise two busy tenants would close each other's connections at every return.
    fn successor_for(&self, index: u32) -> Option<u32> {
        let first = self.tickets.first().filter(|first| *first != index)?;
        let handoff_after = self.limits.handoff_after;
        let rare = self.slots[first as usize].rare.as_ref();
        let old = rare.is_some_and(|rare| rare.ticket.is_older_than(handoff_after));
        (!self.tickets.contains(index) || old).then_some(first)
    }

    fn first_ticket_caller(&mut self, index: u32) -> Caller {
        let waiting = self.at(index).first_waiter();
        waiting.expect("a tenant with a ticket has a waiter").caller
    }

    /// Restores the invariants after the share of a tenant has changed.
    pub(super) fn settle(&mut self, index: u32, now: Stamp) {
        self.settle_tenant(index, now);
        let deferred = self.seats.deferred.first().is_some();
        if !self.close_watchers.is_empty() && (self.seats.counts.total() == 0 || deferred) {
            for watcher in self.close_watchers.drain(..) {
                watcher.put(());
                watcher.wake();
            }
        }
        while let Some(first) = self.tickets.first() {
            let caller = self.first_ticket_caller(first);
            let Some(permit) = self.permit_for(first, caller, now) else {
                break;
            };
            self.serve_ticket(first, permit, now);
        }
    }

    /// Gives a seat to the first waiter of a tenant that holds a ticket.
    fn serve_ticket(&mut self, index: u32, permit: Permit<C, S>, now: Stamp) {
        let waiting = self.next_waiter(index);
        let waiting = waiting.expect("a tenant with a ticket has a waiter");
        self.grant(waiting, Grant::Open(permit));
        // If it waits for more seats, it does so behind the others.
        self.tickets.remove(index);
        self.settle_tenant(index, now);
    }

    /// Restores the invariants of one tenant; see [`settle`](Self::settle).
    fn settle_tenant(&mut self, index: u32, now: Stamp) {
        let slot = self.at(index);
        let nothing_open = slot.counts.total() == 0;
        let backoff = slot.backoff(now);
        if let Some(refusal) = backoff.as_ref().filter(|_| nothing_open) {
            self.refuse_waiters(index, refusal);
        }
        let slot = &mut self.slots[index as usize];
        let to_retry = slot.top != NONE || backoff.is_some();
        if let Some(first) = slot.first_waiter().filter(|_| to_retry) {
            // Once, until it has retried.
            if first.mail.offer(Grant::Retry) {
                self.wakes.push(first.clone());
            }
        }
        self.wake_close_watchers(index);
        let slot = &self.slots[index as usize];
        let wanting = slot.waiters() > slot.counts.idle as usize;
        let wants = wanting && backoff.is_none() && self.may_open(index);
        match (wants, self.tickets.contains(index)) {
            (true, false) => {
                self.at(index).rare().ticket = Moment::now();
                self.tickets.push_back(index);
            }
            (false, true) => drop(self.tickets.remove(index)),
            _ => {}
        }
    }

    /// Wakes the calls of `close` for a tenant that has nothing open any more, or a deferred close,
    /// which is theirs to do.
    fn wake_close_watchers(&mut self, index: u32) {
        let slot = &self.slots[index as usize];
        if !slot.closed || !(slot.is_drained() || self.own_deferred(index).is_some()) {
            return;
        }
        if let Some(rare) = &mut self.at(index).rare {
            for watcher in rare.close_watchers.drain(..) {
                watcher.put(());
                watcher.wake();
            }
        }
    }

    /// Finds a seat for one more connection of a tenant: that of its own deferred close, a free
    /// one, that of another tenant's deferred close, or else that of the eviction candidate.
    pub(super) fn permit_for(
        &mut self,
        index: u32,
        caller: Caller,
        now: Stamp,
    ) -> Option<Permit<C, S>> {
        if let Some(seat) = self.own_deferred(index) {
            let connection = self.take_deferred(seat);
            return Some(self.permit_in_place(seat, connection, caller, now));
        }
        let epoch = self
            .at(index)
            .epoch
            .expect("a requested tenant has an epoch");
        if let Some(seat) = self.seats.claim(index, epoch, caller, now) {
            let counts = &mut self.at(index).counts;
            counts.shift(SeatState::Free, SeatState::Opening);
            return Some(self.issue_permit(index, seat, None));
        }
        if let Some(seat) = self.seats.deferred.first() {
            let (owner, connection) = (self.seats[seat].slot, self.take_deferred(seat));
            let permit = self.transfer(seat, connection, index, caller, now);
            // The owner may have held a ticket for this very seat.
            self.settle_tenant(owner, now);
            return Some(permit);
        }
        let (seat, connection) = self.take_eviction_candidate(index)?;
        self.count(self.seats[seat].slot, |counters| &mut counters.evicted);
        Some(self.transfer(seat, connection, index, caller, now))
    }

    /// Takes the least recently used idle connection of another tenant without waiters.
    fn take_eviction_candidate(&mut self, requester: u32) -> Option<(u32, C)> {
        let candidate = self.seats.lru.iter().find(|seat| {
            let owner = self.seats[*seat].slot;
            owner != requester && self.slots[owner as usize].waiters() == 0
        })?;
        Some((candidate, self.remove_idle(candidate)))
    }

    /// Transfers a seat to `successor`, once its connection is closed. Until then both tenants
    /// count it, so that neither exceeds its own bound.
    fn transfer(
        &mut self,
        seat: u32,
        connection: C,
        successor: u32,
        caller: Caller,
        now: Stamp,
    ) -> Permit<C, S> {
        self.begin_close(seat, now);
        let epoch = self.at(successor).epoch;
        let epoch = epoch.expect("a requested tenant has an epoch");
        let at = &mut self.seats[seat];
        (at.link, at.epoch) = (successor, epoch);
        at.set_caller(caller);
        let counts = &mut self.at(successor).counts;
        counts.shift(SeatState::Free, SeatState::Opening);
        self.issue_permit(successor, seat, Some(connection))
    }

    pub(super) fn issue_permit(
        &mut self,
        index: u32,
        seat: u32,
        to_close: Option<C>,
    ) -> Permit<C, S> {
        let slot = self.at(index);
        if slot.lifecycle == Lifecycle::Removed {
            // The tenant was created again.
            slot.lifecycle = Lifecycle::Active;
        }
        let cold = slot.preparation == Preparation::Cold;
        if cold {
            slot.preparation = Preparation::Running;
        }
        Permit {
            seat,
            to_close,
            source: slot.source.clone(),
            cold,
        }
    }
}

//! The scheduler: which check-out gets which connection. It decides and keeps
//! count; whoever calls it does what it says, outside its lock.
//!
//! Invariants, restored by [`Sched::settle`] whenever a tenant's share changes:
//! - a tenant with idle connections and waiters has its first waiter nudged; one that
//!   failed to connect has told its first waiter when to look again;
//! - a tenant holds a ticket if, and only if, it has more waiters than idle
//!   connections, may open another and did not just fail to;
//! - while tickets exist no seat is free, nothing is set aside, and nobody's idle
//!   connection may be taken for the first of them.

mod admin;
mod aside;
mod chain;
mod leaving;
mod report;
mod rest;
mod seats;
mod serve;
mod slot;
mod stamp;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod upkeep;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use tenancy_core::Epoch;

use crate::mailbox::Mailbox;
use crate::stats::Tally;
pub(crate) use aside::Place;
use chain::{Chain, NONE};
pub(crate) use report::Held;
pub(crate) use seats::Holder;
use seats::{Seats, State};
pub(crate) use serve::Queued;
use slot::{Prepared, Record, Slot};
pub(crate) use stamp::Stamp;
use stamp::{Age, Jitter};
pub(crate) use wait::{Grant, Looked, Permit, Refusal, Waiting};

/// The bounds it works with; what they mean stands at the builder.
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

/// Names a tenant's slot; the generation tells it from the slot's next user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Who asks for a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) key: Key,
    pub(crate) epoch: Epoch,
    pub(crate) holder: Holder,
    pub(crate) now: Stamp,
}

/// What a check-out is told.
pub(crate) enum Taken<C, S> {
    /// An idle connection; `check` it before use if it was idle for long.
    Idle {
        seat: u32,
        connection: C,
        check: bool,
    },
    Open(Permit<C, S>),
    /// Close these and ask again.
    Rubbish(Rubbish<C, S>),
    /// Nothing at the moment.
    Full,
    Refused(Refusal),
    /// The slot is nobody's, or another's by now.
    Gone,
}

/// Connections to be closed, each with its seat, and a source to be dropped.
pub(crate) struct Rubbish<C, S> {
    pub(crate) connections: Vec<(u32, C)>,
    pub(crate) source: Option<S>,
}

/// How to connect, and how many connections the tenant may have, if that had to be
/// found out.
pub(crate) type Made<S> = Option<(S, u32)>;

/// `C` is a connection, `S` what it takes to make one; neither is looked into, and
/// neither is ever dropped in here.
pub(crate) struct Sched<C, S> {
    pub(crate) limits: Limits,
    idle_timeout: Age,
    max_lifetime: Age,
    jitter: Jitter,
    validate_after: Age,
    idle_maintenance_after: Age,
    /// Idle for less, a connection is used as it is.
    fresh: Age,
    slots: Vec<Slot<C, S>>,
    /// One for each slot.
    records: Vec<Record>,
    free_slots: Vec<u32>,
    seats: Seats<C>,
    /// Tenants that wait for a seat.
    tickets: Chain,
    /// Tenants for which an eviction left work.
    owed: Chain,
    /// Slots that may be freed.
    leaving: Chain,
    checkouts: u64,
    counters: Tally,
    waiters: usize,
    /// How long all connections that came back were out.
    held: u64,
    /// Is everything closed, also what was never seen?
    shut: bool,
    closers: Vec<Arc<Mailbox<()>>>,
    /// Who has news and is to be woken, once the lock is free.
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
            owed: Chain::new(),
            leaving: Chain::new(),
            checkouts: 0,
            counters: Tally::default(),
            waiters: 0,
            held: 0,
            shut: false,
            closers: Vec::new(),
            wakes: Vec::new(),
        }
    }

    fn slot(&self, key: Key) -> Option<&Slot<C, S>> {
        let slot = self.slots.get(key.index as usize)?;
        (slot.generation == key.generation).then_some(slot)
    }

    fn at(&mut self, index: u32) -> &mut Slot<C, S> {
        &mut self.slots[index as usize]
    }

    /// Counts something for a tenant and for all.
    fn count(&mut self, index: u32, which: impl Fn(&mut Tally) -> &mut u64) {
        *which(&mut self.records[index as usize].counters) += 1;
        *which(&mut self.counters) += 1;
    }

    /// The hot path: an idle connection that can be used as it is, of a tenant that
    /// nobody waits for.
    #[inline]
    pub(crate) fn try_take(&mut self, ask: &Ask) -> Option<(u32, C)> {
        let slot = self.slots.get_mut(ask.key.index as usize)?;
        let known = slot.generation == ask.key.generation && slot.epoch == Some(ask.epoch);
        if !known || slot.closed || slot.stale || slot.top == NONE || slot.waiters() > 0 {
            return None;
        }
        let index = slot.top;
        let seat = &mut self.seats[index];
        if self.fresh.is_reached(seat.since, ask.now)
            || self.max_lifetime.is_reached(seat.born, ask.now)
        {
            return None;
        }
        slot.top = std::mem::replace(&mut seat.link, NONE);
        slot.checkouts += 1;
        slot.parts.shift(State::Idle, State::Out);
        seat.state = State::Out;
        seat.since = ask.now;
        seat.hold(ask.holder);
        let connection = seat.connection.take();
        self.seats.parts.shift(State::Idle, State::Out);
        self.seats.lru.remove(index);
        self.checkouts += 1;
        let connection = connection.expect("an idle seat has its connection");
        Some((index, connection))
    }

    /// An idle connection, or what else there is.
    pub(crate) fn take(&mut self, ask: &Ask) -> Taken<C, S> {
        let index = ask.key.index;
        if let Err(otherwise) = self.admit(ask) {
            return otherwise;
        }
        let slot = self.at(index);
        if slot.stale {
            return Taken::Rubbish(self.clear(index, ask.now));
        }
        let top = slot.top;
        if top != NONE && self.may_barge(index) {
            return match self.has_expired(top, ask.now) {
                true => Taken::Rubbish(Rubbish {
                    connections: vec![(top, self.expire(top, ask.now))],
                    source: None,
                }),
                false => self.take_idle(index, ask),
            };
        }
        let slot = &self.slots[index as usize];
        if slot.waiters() > 0 || !self.may_open(index) || !self.tickets.is_empty() {
            return Taken::Full;
        }
        if let Some(refusal) = slot.failing(ask.now) {
            return Taken::Refused(refusal);
        }
        self.reserve(index, ask.holder, ask.now)
            .map_or(Taken::Full, Taken::Open)
    }

    /// Is this check-out to be served at all?
    pub(crate) fn admit(&mut self, ask: &Ask) -> Result<(), Taken<C, S>> {
        let slot = self.slot(ask.key).ok_or(Taken::Gone)?;
        if slot.epoch != Some(ask.epoch) {
            let raised = self.raise(ask.key.index, ask.epoch, ask.now);
            raised.map_err(|current| Taken::Refused(Refusal::Superseded { current }))?;
        }
        match self.at(ask.key.index).closed {
            true => Err(Taken::Refused(Refusal::Closed)),
            false => Ok(()),
        }
    }

    /// Who came later may be served before those who wait, because it is awake,
    /// until the first of them has waited `handoff_after`.
    fn may_barge(&self, index: u32) -> bool {
        let first = self.slots[index as usize].first_waiter();
        first.is_none_or(|first| !first.since.is_older_than(self.limits.handoff_after))
    }

    fn take_idle(&mut self, index: u32, ask: &Ask) -> Taken<C, S> {
        let (seat, connection) = self.pop_idle(index);
        let since = self.seats[seat].since;
        let check = self.validate_after.is_reached(since, ask.now);
        self.lend(seat, ask.holder, ask.now);
        if self.at(index).waiters() > 0 {
            self.settle(index, ask.now);
        }
        Taken::Idle {
            seat,
            connection,
            check,
        }
    }

    fn has_expired(&self, seat: u32, now: Stamp) -> bool {
        let at = &self.seats[seat];
        self.idle_timeout.is_reached(at.since, now) || self.max_lifetime.is_reached(at.born, now)
    }

    fn shift(&mut self, seat: u32, to: State) {
        let (index, from) = (self.seats[seat].slot, self.seats[seat].state);
        self.at(index).parts.shift(from, to);
        self.seats.shift(seat, to);
    }

    /// The connection of a seat is to be closed.
    fn begin_close(&mut self, seat: u32, now: Stamp) {
        self.shift(seat, State::Closing);
        self.seats[seat].since = now;
    }

    /// Puts a seat's connection into hands.
    fn lend(&mut self, seat: u32, holder: Holder, now: Stamp) {
        self.shift(seat, State::Out);
        let at = &mut self.seats[seat];
        at.hold(holder);
        at.since = now;
        let index = at.slot;
        self.at(index).checkouts += 1;
        self.checkouts += 1;
    }

    /// A connection that was out is idle.
    #[inline]
    fn push_idle(&mut self, seat: u32, connection: C, now: Stamp) {
        let at = &mut self.seats[seat];
        let slot = &mut self.slots[at.slot as usize];
        at.state = State::Idle;
        (at.connection, at.since) = (Some(connection), now);
        at.link = std::mem::replace(&mut slot.top, seat);
        slot.parts.shift(State::Out, State::Idle);
        self.seats.parts.shift(State::Out, State::Idle);
        self.seats.lru.push_back(seat);
    }

    /// Takes the most recently used idle connection of a tenant that has one; its
    /// seat stays idle until it is shifted.
    fn pop_idle(&mut self, index: u32) -> (u32, C) {
        let seat = self.at(index).top;
        (seat, self.pluck(seat))
    }

    /// Takes an idle connection out of its owner's stack and the queue of victims;
    /// its seat stays idle until it is shifted.
    fn pluck(&mut self, seat: u32) -> C {
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

    /// Takes back a connection that was out. One that may not be kept is returned,
    /// to be dropped and then reported [`closed`](Self::closed).
    #[expect(clippy::inline_always, reason = "the other callers are cold")]
    #[inline(always)]
    pub(crate) fn put_back(
        &mut self,
        seat: u32,
        connection: C,
        sound: bool,
        now: Stamp,
    ) -> Option<C> {
        let at = &mut self.seats[seat];
        let index = at.slot;
        let slot = &mut self.slots[index as usize];
        let old = self.max_lifetime.is_reached(at.born, now);
        self.held = self.held.wrapping_add(now.nanos_since(at.since));
        let keep = sound && !old && slot.parts.staying() <= slot.cap;
        if !keep || slot.closed || slot.epoch != Some(at.epoch) {
            self.begin_close(seat, now);
            return Some(connection);
        }
        if slot.waiters() > 0 || !self.tickets.is_empty() {
            self.pass_on(seat, connection, now);
            return None;
        }
        self.push_idle(seat, connection, now);
        None
    }

    /// A connection was opened and, if it was to be, prepared: it is out now. If its
    /// tenant was closed or superseded meanwhile it has to be closed instead.
    pub(crate) fn opened(&mut self, seat: u32, made: Made<S>, now: Stamp) -> Result<(), Refusal> {
        let (index, epoch) = (self.seats[seat].slot, self.seats[seat].epoch);
        self.count(index, |counters| &mut counters.opened);
        // The tenant has a connection again: it does what the evicted one left.
        self.owed.remove(index);
        let refusal = match self.at(index).epoch {
            Some(current) if current != epoch => Some(Refusal::Superseded { current }),
            _ => {
                self.learn(index, made);
                let slot = self.at(index);
                slot.prepared = Prepared::Ready;
                slot.forget_failure();
                slot.closed.then_some(Refusal::Closed)
            }
        };
        if let Some(refusal) = refusal {
            self.begin_close(seat, now);
            return Err(refusal);
        }
        let at = &mut self.seats[seat];
        // A little older than it is, so that not all of a start end together.
        at.born = now.before(self.jitter.pick(self.counters.opened));
        let holder = Holder {
            label: at.label,
            thread: at.thread,
        };
        self.lend(seat, holder, now);
        if self.at(index).waiters() > 0 {
            self.settle(index, now);
        }
        Ok(())
    }

    /// A connection was not opened: failed for `reason`, or panicked without one.
    pub(crate) fn abandon(
        &mut self,
        seat: u32,
        made: Made<S>,
        reason: Option<Arc<str>>,
        now: Stamp,
    ) {
        let (index, epoch) = (self.seats[seat].slot, self.seats[seat].epoch);
        self.count(index, |counters| &mut counters.open_failed);
        self.shift(seat, State::Free);
        let ttl = self.limits.failure_ttl;
        if self.at(index).epoch == Some(epoch) {
            self.learn(index, made);
            let slot = self.at(index);
            if slot.prepared == Prepared::Under {
                slot.prepared = Prepared::Cold;
            }
            if let Some(reason) = reason.filter(|_| !ttl.is_zero()) {
                slot.rare().failure = Some((now.after(ttl), reason));
            }
            // A tenant that is not there shall not be remembered for ever.
            self.may_leave(index);
        }
        self.settle(index, now);
    }

    /// A check-out of this tenant came too late by what it did itself.
    pub(crate) fn count_late(&mut self, key: Key) {
        if self.slot(key).is_some() {
            self.count(key.index, |counters| &mut counters.step_timeouts);
        }
    }

    /// Keeps how to connect, for the next connections of the current epoch.
    fn learn(&mut self, index: u32, made: Made<S>) {
        let slot = self.at(index);
        if let Some((source, cap)) = made.filter(|_| slot.source.is_none()) {
            slot.source = Some(source);
            slot.cap = cap;
        }
    }

    /// The connection of a seat has been dropped.
    pub(crate) fn closed(&mut self, seat: u32, now: Stamp) {
        let index = self.seats[seat].slot;
        self.count(index, |counters| &mut counters.closed);
        match self.seats[seat].heir() {
            // Its own tenant opens another one in its place.
            None if self.seats[seat].state == State::Opening => return,
            None => self.shift(seat, State::Free),
            Some(heir) => {
                // The heir counts it as opening already.
                self.at(index).parts.shift(State::Closing, State::Free);
                self.seats.shift(seat, State::Opening);
                (self.seats[seat].slot, self.seats[seat].link) = (heir, NONE);
            }
        }
        self.settle(index, now);
    }
}

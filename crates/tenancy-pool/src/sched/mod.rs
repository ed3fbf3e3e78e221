//! The scheduler: which check-out gets which connection. It decides and keeps
//! count; whoever calls it does what it says, outside its lock.
//!
//! Invariants, restored by [`Sched::settle`] whenever a tenant's share changes:
//! - a tenant with idle connections and waiters has its first waiter nudged;
//! - a tenant holds a ticket if, and only if, it has more waiters than idle
//!   connections and may open another;
//! - while tickets exist no seat is free and nobody's idle connection may be taken.

mod admin;
mod chain;
mod report;
mod seats;
mod serve;
mod wait;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{Epoch, TenantId};

use crate::stats::Counters;
use crate::sync::{Moment, Signal};
use chain::{Chain, NONE};
pub(crate) use report::Held;
pub(crate) use seats::Holder;
use seats::{Parts, Seats, State};
pub(crate) use serve::Queued;
pub(crate) use wait::{Grant, Permit, Refusal, Waiting};

/// The bounds it works with; what they mean stands at the builder.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) max: u32,
    pub(crate) max_waiters: usize,
    pub(crate) handoff_after: Duration,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) validate_after: Option<Duration>,
    pub(crate) failure_ttl: Duration,
}

/// Names a tenant's slot; the generation tells it from the slot's next user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Has this incarnation's database been prepared?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prepared {
    Cold,
    /// By the one connection that may be opened until it has been.
    Under,
    Ready,
}

struct Slot<C, S> {
    /// None: the slot is nobody's.
    id: Option<TenantId>,
    generation: u32,
    /// The highest seen; none if the tenant was only closed by name so far.
    epoch: Option<Epoch>,
    prepared: Prepared,
    closed: bool,
    /// Are all idle connections of an older epoch? They are never of both.
    stale: bool,
    cap: u32,
    /// Seats of its connections, and seats it is heir to (as opening).
    parts: Parts,
    /// The most recently used idle connection.
    top: u32,
    source: Option<S>,
    counters: Counters,
    /// What few tenants have at a time.
    rare: Option<Box<Rare<C, S>>>,
}

struct Rare<C, S> {
    /// First come, first served.
    waiters: VecDeque<Arc<Waiting<C, S>>>,
    /// Since when it holds its ticket.
    ticket: Moment,
    /// The last failure to connect, until it is forgotten.
    failure: Option<(Duration, Arc<str>)>,
    /// Who waits until nothing of a closed tenant is left.
    closers: Vec<Arc<Signal>>,
}

impl<C, S> Slot<C, S> {
    fn waiters(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.waiters.len())
    }

    fn rare(&mut self) -> &mut Rare<C, S> {
        self.rare.get_or_insert_with(|| {
            Box::new(Rare {
                waiters: VecDeque::new(),
                ticket: Moment::now(),
                failure: None,
                closers: Vec::new(),
            })
        })
    }

    /// May it have another connection? Only one until it is prepared, so that a
    /// herd of first requests makes one connection and one preparation.
    fn may_open(&self) -> bool {
        self.prepared != Prepared::Under && self.parts.total() < self.cap
    }

    fn failing(&self, now: Duration) -> Option<Refusal> {
        let (until, reason) = self.rare.as_ref()?.failure.as_ref()?;
        let retry_in = until.checked_sub(now).filter(|left| !left.is_zero())?;
        let reason = reason.clone();
        Some(Refusal::Failing { reason, retry_in })
    }
}

/// Who asks for a connection.
#[derive(Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) key: Key,
    pub(crate) epoch: Epoch,
    pub(crate) holder: Holder,
    pub(crate) now: Duration,
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

/// `C` is a connection, `S` what it takes to make one; neither is looked into, and
/// neither is ever dropped in here.
pub(crate) struct Sched<C, S> {
    pub(crate) limits: Limits,
    slots: Vec<Slot<C, S>>,
    free_slots: Vec<u32>,
    seats: Seats<C>,
    /// Tenants that wait for a seat.
    tickets: Chain,
    counters: Counters,
    waiters: usize,
}

impl<C, S: Clone> Sched<C, S> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            seats: Seats::new(limits.max),
            limits,
            slots: Vec::new(),
            free_slots: Vec::new(),
            tickets: Chain::new(),
            counters: Counters::default(),
            waiters: 0,
        }
    }

    fn slot(&self, key: Key) -> Option<&Slot<C, S>> {
        let slot = self.slots.get(key.index as usize)?;
        (slot.generation == key.generation).then_some(slot)
    }

    fn slot_mut(&mut self, key: Key) -> Option<&mut Slot<C, S>> {
        let slot = self.slots.get_mut(key.index as usize)?;
        (slot.generation == key.generation).then_some(slot)
    }

    fn at(&mut self, index: u32) -> &mut Slot<C, S> {
        &mut self.slots[index as usize]
    }

    /// An idle connection, or what else there is.
    pub(crate) fn take(&mut self, ask: &Ask) -> Taken<C, S> {
        let index = ask.key.index;
        if let Err(otherwise) = self.admit(ask) {
            return otherwise;
        }
        if self.at(index).stale {
            return Taken::Rubbish(self.clear(index));
        }
        if self.at(index).top != NONE && self.may_barge(index) {
            return self.take_idle(index, ask);
        }
        let slot = self.at(index);
        if slot.waiters() > 0 || !slot.may_open() || !self.tickets.is_empty() {
            return Taken::Full;
        }
        self.take_seat(index, ask)
    }

    /// An idle connection that can be used as it is, or `Full`.
    pub(crate) fn try_take(&mut self, ask: &Ask) -> Taken<C, S> {
        let index = ask.key.index;
        if let Err(otherwise) = self.admit(ask) {
            return otherwise;
        }
        let slot = self.at(index);
        let top = slot.top;
        if slot.stale || top == NONE || !self.may_barge(index) {
            return Taken::Full;
        }
        let idle = ask.now.saturating_sub(self.seats[top].since);
        let after = [self.limits.idle_timeout, self.limits.validate_after];
        if after.into_iter().flatten().any(|max| idle >= max) || self.too_old(top, ask.now) {
            return Taken::Full;
        }
        self.take_idle(index, ask)
    }

    /// Is this check-out to be served at all?
    fn admit(&mut self, ask: &Ask) -> Result<(), Taken<C, S>> {
        let slot = self.slot(ask.key).ok_or(Taken::Gone)?;
        let closed = slot.closed;
        if slot.epoch != Some(ask.epoch) {
            let raised = self.raise(ask.key.index, ask.epoch);
            raised.map_err(|current| Taken::Refused(Refusal::Superseded { current }))?;
            // Those who waited for the older epoch are gone, and so is their ticket.
            self.settle(ask.key.index, ask.now);
        }
        match closed {
            true => Err(Taken::Refused(Refusal::Closed)),
            false => Ok(()),
        }
    }

    /// Who came later may be served before those who wait, because it is awake,
    /// until the first of them has waited `handoff_after`.
    fn may_barge(&self, index: u32) -> bool {
        let rare = self.slots[index as usize].rare.as_ref();
        let first = rare.and_then(|rare| rare.waiters.front());
        first.is_none_or(|first| !first.since.is_older_than(self.limits.handoff_after))
    }

    fn take_idle(&mut self, index: u32, ask: &Ask) -> Taken<C, S> {
        let (seat, connection) = self.pop_idle(index);
        let idle_since = self.seats[seat].since;
        let idle = ask.now.saturating_sub(idle_since);
        let expired = self.limits.idle_timeout.is_some_and(|max| idle >= max);
        if expired || self.too_old(seat, ask.now) {
            self.shift(seat, State::Closing);
            return Taken::Rubbish(Rubbish {
                connections: vec![(seat, connection)],
                source: None,
            });
        }
        let check = self.limits.validate_after.is_some_and(|max| idle >= max);
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

    /// A seat to open a connection in: a free one, else that of the least recently
    /// used idle connection of another tenant.
    fn take_seat(&mut self, index: u32, ask: &Ask) -> Taken<C, S> {
        if let Some(refusal) = self.at(index).failing(ask.now) {
            return Taken::Refused(refusal);
        }
        match self.reserve(index, ask.holder) {
            Some(permit) => Taken::Open(permit),
            None => Taken::Full,
        }
    }

    fn too_old(&self, seat: u32, now: Duration) -> bool {
        let age = now.saturating_sub(self.seats[seat].born);
        self.limits.max_lifetime.is_some_and(|max| age >= max)
    }

    fn shift(&mut self, seat: u32, to: State) {
        let (index, from) = (self.seats[seat].slot, self.seats[seat].state);
        self.at(index).parts.shift(from, to);
        self.seats.shift(seat, to);
    }

    /// Puts a seat's connection into hands.
    fn lend(&mut self, seat: u32, holder: Holder, now: Duration) {
        self.shift(seat, State::Out);
        let at = &mut self.seats[seat];
        (at.holder, at.since) = (holder, now);
        let slot = at.slot;
        self.at(slot).counters.checkouts += 1;
        self.counters.checkouts += 1;
    }

    fn push_idle(&mut self, seat: u32, connection: C, now: Duration) {
        self.shift(seat, State::Idle);
        let index = self.seats[seat].slot;
        let top = std::mem::replace(&mut self.at(index).top, seat);
        let at = &mut self.seats[seat];
        (at.connection, at.since, at.below) = (Some(connection), now, top);
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
        let owner = self.seats[seat].slot;
        let below = std::mem::replace(&mut self.seats[seat].below, NONE);
        let mut at = self.at(owner).top;
        if at == seat {
            self.at(owner).top = below;
        } else {
            while self.seats[at].below != seat {
                at = self.seats[at].below;
            }
            self.seats[at].below = below;
        }
        let connection = self.seats[seat].connection.take();
        connection.expect("an idle seat has its connection")
    }

    /// Takes back a connection that was out. One that may not be kept is returned,
    /// to be dropped and then reported [`closed`](Self::closed).
    pub(crate) fn put_back(
        &mut self,
        seat: u32,
        connection: C,
        sound: bool,
        now: Duration,
    ) -> Option<C> {
        let (index, epoch) = (self.seats[seat].slot, self.seats[seat].epoch);
        let keep = sound && !self.too_old(seat, now);
        let slot = self.at(index);
        if !keep || slot.closed || slot.epoch != Some(epoch) {
            self.shift(seat, State::Closing);
            return Some(connection);
        }
        if slot.waiters() == 0 && self.tickets.is_empty() {
            self.push_idle(seat, connection, now);
        } else {
            self.pass_on(seat, connection, now);
        }
        None
    }

    /// A connection was opened and, if it was to be, prepared: it is out now. If its
    /// tenant was closed or superseded meanwhile it has to be closed instead.
    pub(crate) fn opened(
        &mut self,
        seat: u32,
        made: Made<S>,
        now: Duration,
    ) -> Result<(), Refusal> {
        let (index, epoch) = (self.seats[seat].slot, self.seats[seat].epoch);
        self.counters.opened += 1;
        self.at(index).counters.opened += 1;
        self.learn(index, epoch, made);
        let slot = self.at(index);
        let refusal = match slot.epoch {
            Some(current) if current != epoch => Some(Refusal::Superseded { current }),
            _ if slot.closed => Some(Refusal::Closed),
            _ => None,
        };
        if slot.epoch == Some(epoch) {
            slot.prepared = Prepared::Ready;
            if let Some(rare) = &mut slot.rare {
                rare.failure = None;
            }
        }
        if let Some(refusal) = refusal {
            self.shift(seat, State::Closing);
            return Err(refusal);
        }
        let holder = self.seats[seat].holder;
        self.seats[seat].born = now;
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
        now: Duration,
    ) {
        let (index, epoch) = (self.seats[seat].slot, self.seats[seat].epoch);
        self.counters.open_failed += 1;
        self.learn(index, epoch, made);
        self.shift(seat, State::Free);
        let ttl = self.limits.failure_ttl;
        let slot = self.at(index);
        slot.counters.open_failed += 1;
        if slot.epoch == Some(epoch) {
            if slot.prepared == Prepared::Under {
                slot.prepared = Prepared::Cold;
            }
            if let Some(reason) = reason.filter(|_| !ttl.is_zero()) {
                slot.rare().failure = Some((now + ttl, reason));
            }
        }
        self.settle(index, now);
    }

    /// Keeps how to connect for this incarnation's next connections.
    fn learn(&mut self, index: u32, epoch: Epoch, made: Made<S>) {
        let slot = self.at(index);
        if slot.epoch == Some(epoch)
            && slot.source.is_none()
            && let Some((source, cap)) = made
        {
            slot.source = Some(source);
            slot.cap = cap;
        }
    }

    /// The connection of a seat has been dropped.
    pub(crate) fn closed(&mut self, seat: u32, now: Duration) {
        let at = &mut self.seats[seat];
        let (index, heir) = (at.slot, std::mem::replace(&mut at.heir, NONE));
        self.counters.closed += 1;
        self.at(index).counters.closed += 1;
        if heir == NONE {
            self.shift(seat, State::Free);
        } else {
            // The heir counts it as opening already.
            self.at(index).parts.shift(State::Closing, State::Free);
            self.seats.shift(seat, State::Opening);
            self.seats[seat].slot = heir;
        }
        self.settle(index, now);
    }
}

/// How to connect, and how many connections the tenant may have, if that had to be
/// found out.
pub(crate) type Made<S> = Option<(S, u32)>;

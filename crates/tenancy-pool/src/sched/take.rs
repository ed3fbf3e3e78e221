//! The check-out of a connection and its return.

use super::chain::NONE;
use super::seats::SeatState;
use super::stamp::Stamp;
use super::state::{Discarded, Request, Sched};
use super::waiting::{Permit, Refusal};

/// The outcome of a request for a connection.
pub(crate) enum TakeOutcome<C, S> {
    /// An idle connection; to be validated before use if `check` is set.
    Idle {
        seat: u32,
        connection: C,
        check: bool,
    },
    Open(Permit<C, S>),
    /// These connections have to be closed before the next request.
    CloseFirst(Discarded<C, S>),
    /// The request has to wait.
    Full,
    Refused(Refusal),
    /// The slot was released, and may belong to another tenant.
    StaleKey,
}

impl<C, S: Clone> Sched<C, S> {
    /// Takes an idle connection that can be used without a check, of a tenant without waiters. This
    /// is the hot path.
    #[inline]
    pub(crate) fn try_take(&mut self, request: &Request) -> Option<(u32, C)> {
        let slot = self.slots.get_mut(request.key.index as usize)?;
        let known = slot.generation == request.key.generation && slot.epoch == Some(request.epoch);
        if !known || slot.closed || slot.stale || slot.top == NONE || slot.waiters() > 0 {
            return None;
        }
        let index = slot.top;
        let seat = &mut self.seats[index];
        if self.fresh.is_reached(seat.since, request.now)
            || self.max_lifetime.is_reached(seat.born, request.now)
        {
            return None;
        }
        slot.top = std::mem::replace(&mut seat.link, NONE);
        slot.checkouts += 1;
        slot.counts.shift(SeatState::Idle, SeatState::Out);
        seat.state = SeatState::Out;
        seat.since = request.now;
        seat.set_caller(request.caller);
        let connection = seat.connection.take();
        self.seats.counts.shift(SeatState::Idle, SeatState::Out);
        self.seats.lru.remove(index);
        self.checkouts += 1;
        let connection = connection.expect("an idle seat has its connection");
        Some((index, connection))
    }

    /// Takes an idle connection, or a permit to open one.
    pub(crate) fn take(&mut self, request: &Request) -> TakeOutcome<C, S> {
        let index = request.key.index;
        if let Err(otherwise) = self.admit(request) {
            return otherwise;
        }
        let slot = self.at(index);
        if slot.stale {
            return TakeOutcome::CloseFirst(self.take_all_idle(index, request.now));
        }
        let top = slot.top;
        if top != NONE && self.may_barge(index) {
            return match self.has_expired(top, request.now) {
                true => TakeOutcome::CloseFirst(Discarded {
                    connections: vec![(top, self.expire(top, request.now))],
                    source: None,
                }),
                false => self.take_idle(index, request),
            };
        }
        let slot = &self.slots[index as usize];
        if slot.waiters() > 0 || !self.may_open(index) || !self.tickets.is_empty() {
            return TakeOutcome::Full;
        }
        if let Some(refusal) = slot.backoff(request.now) {
            return TakeOutcome::Refused(refusal);
        }
        self.permit_for(index, request.caller, request.now)
            .map_or(TakeOutcome::Full, TakeOutcome::Open)
    }

    /// Checks that the tenant of a request is open and of the epoch of the request.
    pub(crate) fn admit(&mut self, request: &Request) -> Result<(), TakeOutcome<C, S>> {
        let slot = self.slot(request.key).ok_or(TakeOutcome::StaleKey)?;
        if slot.epoch != Some(request.epoch) {
            let raised = self.raise_epoch(request.key.index, request.epoch, request.now);
            raised.map_err(|current| TakeOutcome::Refused(Refusal::Superseded { current }))?;
        }
        match self.at(request.key.index).closed {
            true => Err(TakeOutcome::Refused(Refusal::Closed)),
            false => Ok(()),
        }
    }

    /// Returns whether a new request may be served before the waiters. It may until the first of
    /// them has waited for `handoff_after`: its thread is awake already.
    pub(super) fn may_barge(&self, index: u32) -> bool {
        let first = self.slots[index as usize].first_waiter();
        first.is_none_or(|first| !first.since.is_older_than(self.limits.handoff_after))
    }

    fn take_idle(&mut self, index: u32, request: &Request) -> TakeOutcome<C, S> {
        let (seat, connection) = self.pop_idle(index);
        let since = self.seats[seat].since;
        let check = self.validate_after.is_reached(since, request.now);
        self.check_out(seat, request.caller, request.now);
        if self.at(index).waiters() > 0 {
            self.settle(index, request.now);
        }
        TakeOutcome::Idle {
            seat,
            connection,
            check,
        }
    }

    /// Puts back a connection that was out. Returns one that may not be kept: it is to be dropped
    /// and then reported as [`closed`](Self::closed).
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
        let keep = sound && !old && slot.counts.staying() <= slot.cap;
        if !keep || slot.closed || slot.epoch != Some(at.epoch) {
            self.begin_close(seat, now);
            return Some(connection);
        }
        if slot.waiters() > 0 || !self.tickets.is_empty() {
            self.reassign(seat, connection, now);
            return None;
        }
        self.push_idle(seat, connection, now);
        None
    }
}

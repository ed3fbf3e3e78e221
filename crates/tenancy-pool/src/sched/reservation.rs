//! The reservation that a [`Seat`](crate::Seat) holds until it is opened, and deferred closes.
//!
//! A task must not block, so it closes no connection: the close is deferred to a thread that may.

use std::sync::Arc;

use super::chain::NONE;
use super::seats::{Caller, SeatState};
use super::slot::Preparation;
use super::stamp::Stamp;
use super::state::{Discarded, Request, Sched, SlotKey};
use super::take::TakeOutcome;
use super::waiting::{Grant, Permit, Refusal, Waiting};
use crate::label::Label;

/// A connection, or a permit to open one, that is reserved until it is opened or released.
pub(crate) enum Reservation<C, S> {
    Connection {
        seat: u32,
        connection: C,
        /// Whether it has to be validated before use.
        check: bool,
        /// The time since which it was idle, and its last label; `None` if it was not idle.
        idle: Option<(Stamp, Label)>,
    },
    Permit(Permit<C, S>),
}

impl<C, S: Clone> Sched<C, S> {
    /// Takes a connection or a permit as [`take`](Self::take) does, but defers the closes. What is
    /// discarded then is at most the source of a past epoch.
    pub(crate) fn take_reservation(
        &mut self,
        request: &Request,
    ) -> Result<Reservation<C, S>, TakeOutcome<C, S>> {
        let top = self.slot(request.key).map_or(NONE, |slot| slot.top);
        let idle = (top != NONE).then(|| (self.seats[top].since, self.seats[top].label));
        match self.take(request) {
            TakeOutcome::Idle {
                seat,
                connection,
                check,
            } => Ok(Reservation::Connection {
                seat,
                connection,
                check,
                idle,
            }),
            TakeOutcome::Open(permit) => Ok(Reservation::Permit(permit)),
            TakeOutcome::CloseFirst(discarded) => {
                for (seat, connection) in discarded.connections {
                    self.defer_close(seat, connection, request.now);
                }
                Err(TakeOutcome::CloseFirst(Discarded {
                    connections: Vec::new(),
                    source: discarded.source,
                }))
            }
            otherwise => Err(otherwise),
        }
    }

    /// Defers the close of a seat's connection to the next thread that needs a seat and may block,
    /// to `close`, or to [`reap`](Self::reap).
    fn defer_close(&mut self, seat: u32, connection: C, now: Stamp) {
        debug_assert_eq!(self.seats[seat].state, SeatState::Closing);
        self.seats[seat].connection = Some(connection);
        self.seats.deferred.push_back(seat);
        self.settle(self.seats[seat].slot, now);
    }

    pub(super) fn take_deferred(&mut self, seat: u32) -> C {
        self.seats.deferred.remove(seat);
        let connection = self.seats[seat].connection.take();
        connection.expect("a deferred seat has its connection")
    }

    /// Returns a seat of this tenant whose close was deferred.
    pub(super) fn own_deferred(&self, index: u32) -> Option<u32> {
        let mut deferred = self.seats.deferred.iter();
        deferred.find(|seat| self.seats[*seat].slot == index)
    }

    /// Takes all connections whose close was deferred.
    pub(crate) fn all_deferred(&mut self) -> Vec<(u32, C)> {
        let next = |sched: &mut Self| {
            let seat = sched.seats.deferred.first()?;
            Some((seat, sched.take_deferred(seat)))
        };
        std::iter::from_fn(|| next(self)).collect()
    }

    /// Takes all connections of a tenant whose close was deferred.
    pub(crate) fn deferred_of(&mut self, key: SlotKey) -> Vec<(u32, C)> {
        let known = self.slot(key).is_some();
        let next = |sched: &mut Self| {
            let seat = sched.own_deferred(key.index).filter(|_| known)?;
            Some((seat, sched.take_deferred(seat)))
        };
        std::iter::from_fn(|| next(self)).collect()
    }

    /// Returns whether a tenant may have another connection, if only in the seat of a deferred
    /// close.
    pub(super) fn may_open(&self, index: u32) -> bool {
        let slot = &self.slots[index as usize];
        slot.may_open()
            || (slot.preparation != Preparation::Running && self.own_deferred(index).is_some())
    }

    /// Permits to close a connection and to open another one of the same tenant in its seat.
    pub(super) fn permit_in_place(
        &mut self,
        seat: u32,
        connection: C,
        caller: Caller,
        now: Stamp,
    ) -> Permit<C, S> {
        let index = self.seats[seat].slot;
        self.shift(seat, SeatState::Opening);
        let epoch = self
            .at(index)
            .epoch
            .expect("a requested tenant has an epoch");
        let at = &mut self.seats[seat];
        (at.epoch, at.link, at.since) = (epoch, NONE, now);
        at.set_caller(caller);
        self.issue_permit(index, seat, Some(connection))
    }

    /// Permits to replace a broken connection that was out, unless its tenant was closed or
    /// superseded meanwhile: then it has to be closed.
    pub(crate) fn replace_broken(
        &mut self,
        seat: u32,
        connection: C,
        caller: Caller,
        now: Stamp,
    ) -> Result<Permit<C, S>, (C, Refusal)> {
        let (index, epoch) = (self.seats[seat].slot, self.seats[seat].epoch);
        let slot = self.at(index);
        let refusal = match slot.epoch {
            Some(current) if current != epoch => Some(Refusal::Superseded { current }),
            _ => slot.closed.then_some(Refusal::Closed),
        };
        match refusal {
            None => Ok(self.permit_in_place(seat, connection, caller, now)),
            Some(refusal) => {
                self.begin_close(seat, now);
                Err((connection, refusal))
            }
        }
    }

    /// Names the caller that has a seat from now on.
    pub(crate) fn set_caller(&mut self, seat: u32, caller: Caller) {
        self.seats[seat].set_caller(caller);
    }

    /// Gives an unopened reservation back. The source that it returns is to be dropped outside the
    /// lock.
    pub(crate) fn release(&mut self, reservation: Reservation<C, S>, now: Stamp) -> Option<S> {
        match reservation {
            Reservation::Permit(permit) => self.release_permit(permit, now),
            Reservation::Connection {
                seat,
                connection,
                check,
                idle,
            } => {
                let index = self.seats[seat].slot;
                self.count(index, |counters| &mut counters.unopened);
                if let Some((_, label)) = idle {
                    self.seats[seat].label = label;
                }
                // A connection that has to be validated was not: it is not kept.
                let refused = self.put_back(seat, connection, !check, now);
                match (refused, idle) {
                    (Some(connection), _) => self.defer_close(seat, connection, now),
                    (None, Some((since, _))) => self.restore_idle_since(seat, since),
                    (None, None) => {}
                }
                None
            }
        }
    }

    fn release_permit(&mut self, permit: Permit<C, S>, now: Stamp) -> Option<S> {
        let seat = permit.seat;
        let (successor, epoch) = (self.seats[seat].successor(), self.seats[seat].epoch);
        let index = successor.unwrap_or(self.seats[seat].slot);
        let slot = self.at(index);
        if permit.cold && slot.epoch == Some(epoch) {
            slot.preparation = Preparation::Cold;
        }
        match (permit.to_close, successor) {
            (None, _) => self.shift(seat, SeatState::Free),
            (Some(connection), None) => {
                self.begin_close(seat, now);
                self.defer_close(seat, connection, now);
            }
            (Some(connection), Some(successor)) => {
                let counts = &mut self.at(successor).counts;
                counts.shift(SeatState::Opening, SeatState::Free);
                self.seats[seat].link = NONE;
                self.defer_close(seat, connection, now);
            }
        }
        self.settle(index, now);
        permit.source
    }

    /// Removes a waiter that was cancelled, and releases what it was granted meanwhile.
    pub(crate) fn cancel_wait(
        &mut self,
        key: SlotKey,
        waiting: &Arc<Waiting<C, S>>,
        now: Stamp,
    ) -> Option<S> {
        if self.remove_waiter(key, waiting) {
            self.settle(key.index, now);
            return None;
        }
        let reservation = match waiting.mail.take()? {
            Grant::Use { seat, connection } => Reservation::Connection {
                seat,
                connection,
                check: false,
                idle: None,
            },
            Grant::Open(permit) => Reservation::Permit(permit),
            Grant::Retry | Grant::Refused(_) | Grant::TimedOut(_) => return None,
        };
        self.release(reservation, now)
    }
}

//! Seats of those who must not block: what they give back, and connections that wait for
//! a thread that may close them.

use std::sync::Arc;

use super::chain::NONE;
use super::{
    Ask, Grant, Holder, Key, Permit, Prepared, Refusal, Rubbish, Sched, Stamp, State, Taken,
    Waiting,
};
use crate::label::Label;

/// What is held for somebody until he opens it.
pub(crate) enum Place<C, S> {
    Connection {
        seat: u32,
        connection: C,
        /// Must it be asked whether it still is one?
        check: bool,
        /// Since when it was idle, and who had it last.
        was: Option<(Stamp, Label)>,
    },
    Permit(Permit<C, S>),
}

impl<C, S: Clone> Sched<C, S> {
    /// As [`take`](Self::take); what is to be closed is set aside, so that only the source
    /// of an epoch that has passed comes out as rubbish.
    pub(crate) fn take_place(&mut self, ask: &Ask) -> Result<Place<C, S>, Taken<C, S>> {
        let top = self.slot(ask.key).map_or(NONE, |slot| slot.top);
        let was = (top != NONE).then(|| (self.seats[top].since, self.seats[top].label));
        match self.take(ask) {
            Taken::Idle {
                seat,
                connection,
                check,
            } => Ok(Place::Connection {
                seat,
                connection,
                check,
                was,
            }),
            Taken::Open(permit) => Ok(Place::Permit(permit)),
            Taken::Rubbish(rubbish) => {
                for (seat, connection) in rubbish.connections {
                    self.set_aside(seat, connection, ask.now);
                }
                Err(Taken::Rubbish(Rubbish {
                    connections: Vec::new(),
                    source: rubbish.source,
                }))
            }
            otherwise => Err(otherwise),
        }
    }

    /// Leaves the connection of a closing seat to the next who needs a seat and may
    /// block, to `close` or to [`reap`](Self::reap).
    fn set_aside(&mut self, seat: u32, connection: C, now: Stamp) {
        debug_assert_eq!(self.seats[seat].state, State::Closing);
        self.seats[seat].connection = Some(connection);
        self.seats.aside.push_back(seat);
        self.settle(self.seats[seat].slot, now);
    }

    pub(super) fn take_aside(&mut self, seat: u32) -> C {
        self.seats.aside.remove(seat);
        let connection = self.seats[seat].connection.take();
        connection.expect("what is set aside has its connection")
    }

    /// A connection of this tenant that was set aside.
    pub(super) fn own_aside(&self, index: u32) -> Option<u32> {
        let mut aside = self.seats.aside.iter();
        aside.find(|seat| self.seats[*seat].slot == index)
    }

    /// All that was set aside.
    pub(crate) fn all_aside(&mut self) -> Vec<(u32, C)> {
        let next = |sched: &mut Self| {
            let seat = sched.seats.aside.first()?;
            Some((seat, sched.take_aside(seat)))
        };
        std::iter::from_fn(|| next(self)).collect()
    }

    /// All that was set aside of a tenant.
    pub(crate) fn aside_of(&mut self, key: Key) -> Vec<(u32, C)> {
        let known = self.slot(key).is_some();
        let next = |sched: &mut Self| {
            let seat = sched.own_aside(key.index).filter(|_| known)?;
            Some((seat, sched.take_aside(seat)))
        };
        std::iter::from_fn(|| next(self)).collect()
    }

    /// May a tenant have another connection, if only in the place of one that was set aside?
    pub(super) fn may_open(&self, index: u32) -> bool {
        let slot = &self.slots[index as usize];
        slot.may_open() || (slot.prepared != Prepared::Under && self.own_aside(index).is_some())
    }

    /// Leave to open a connection where another of the same tenant is, which is closed
    /// before. It is one seat all the time.
    pub(super) fn replace(
        &mut self,
        seat: u32,
        connection: C,
        holder: Holder,
        now: Stamp,
    ) -> Permit<C, S> {
        let index = self.seats[seat].slot;
        self.shift(seat, State::Opening);
        let epoch = self.at(index).epoch.expect("who asks has an epoch");
        let at = &mut self.seats[seat];
        (at.epoch, at.link, at.since) = (epoch, NONE, now);
        at.hold(holder);
        self.permit(index, seat, Some(connection))
    }

    /// A connection that was out is no good: leave to open another in its place, unless
    /// its tenant was closed or superseded meanwhile. Then it is closing.
    pub(crate) fn replace_bad(
        &mut self,
        seat: u32,
        connection: C,
        holder: Holder,
        now: Stamp,
    ) -> Result<Permit<C, S>, (C, Refusal)> {
        let (index, epoch) = (self.seats[seat].slot, self.seats[seat].epoch);
        let slot = self.at(index);
        let refusal = match slot.epoch {
            Some(current) if current != epoch => Some(Refusal::Superseded { current }),
            _ => slot.closed.then_some(Refusal::Closed),
        };
        match refusal {
            None => Ok(self.replace(seat, connection, holder, now)),
            Some(refusal) => {
                self.begin_close(seat, now);
                Err((connection, refusal))
            }
        }
    }

    /// Names who has a seat from now on.
    pub(crate) fn hold(&mut self, seat: u32, holder: Holder) {
        self.seats[seat].hold(holder);
    }

    /// Gives a place back that was not opened. A source is to be dropped outside the lock.
    pub(crate) fn vacate(&mut self, place: Place<C, S>, now: Stamp) -> Option<S> {
        match place {
            Place::Permit(permit) => self.give_permit_back(permit, now),
            Place::Connection {
                seat,
                connection,
                check,
                was,
            } => {
                let index = self.seats[seat].slot;
                self.count(index, |counters| &mut counters.unopened);
                if let Some((_, label)) = was {
                    self.seats[seat].label = label;
                }
                // One that had to be asked was not: it is not kept.
                let refused = self.put_back(seat, connection, !check, now);
                match (refused, was) {
                    (Some(connection), _) => self.set_aside(seat, connection, now),
                    (None, Some((since, _))) => self.rested(seat, since),
                    (None, None) => {}
                }
                None
            }
        }
    }

    fn give_permit_back(&mut self, permit: Permit<C, S>, now: Stamp) -> Option<S> {
        let seat = permit.seat;
        let (heir, epoch) = (self.seats[seat].heir(), self.seats[seat].epoch);
        let index = heir.unwrap_or(self.seats[seat].slot);
        let slot = self.at(index);
        if permit.cold && slot.epoch == Some(epoch) {
            slot.prepared = Prepared::Cold;
        }
        match (permit.victim, heir) {
            (None, _) => self.shift(seat, State::Free),
            (Some(victim), None) => {
                self.begin_close(seat, now);
                self.set_aside(seat, victim, now);
            }
            (Some(victim), Some(heir)) => {
                self.at(heir).parts.shift(State::Opening, State::Free);
                self.seats[seat].link = NONE;
                self.set_aside(seat, victim, now);
            }
        }
        self.settle(index, now);
        permit.source
    }

    /// Somebody waits no longer: gives back what he was granted meanwhile.
    pub(crate) fn withdraw(
        &mut self,
        key: Key,
        waiting: &Arc<Waiting<C, S>>,
        now: Stamp,
    ) -> Option<S> {
        if self.leave_queue(key, waiting) {
            self.settle(key.index, now);
            return None;
        }
        let place = match waiting.mail.take()? {
            Grant::Use { seat, connection } => Place::Connection {
                seat,
                connection,
                check: false,
                was: None,
            },
            Grant::Open(permit) => Place::Permit(permit),
            Grant::Nudge | Grant::Refused(_) | Grant::TimedOut(_) => return None,
        };
        self.vacate(place, now)
    }

    /// The time of one that may not be looking is up. What it was granted before counts.
    pub(crate) fn give_up(&mut self, key: Key, waiting: &Arc<Waiting<C, S>>, now: Stamp) {
        let holders = self.holders(key);
        if self.leave_queue(key, waiting) {
            self.count(key.index, |counters| &mut counters.timeouts);
            self.tell(waiting.clone(), Grant::TimedOut(holders));
            self.settle(key.index, now);
        }
    }

    /// Tells one that still waits to look again.
    pub(crate) fn remind(&mut self, key: Key, waiting: &Arc<Waiting<C, S>>) {
        let waits = self.slot(key).and_then(|slot| slot.rare.as_ref());
        let waits = waits.is_some_and(|rare| rare.waiters.iter().any(|w| Arc::ptr_eq(w, waiting)));
        if waits && waiting.mail.offer(Grant::Nudge) {
            self.wakes.push(waiting.clone());
        }
    }

    /// Takes a waiter out of its tenant's queue; says whether it was in.
    pub(super) fn leave_queue(&mut self, key: Key, waiting: &Arc<Waiting<C, S>>) -> bool {
        if self.slot(key).is_none() {
            return false;
        }
        let Some(rare) = &mut self.at(key.index).rare else {
            return false;
        };
        let at = rare.waiters.iter().position(|w| Arc::ptr_eq(w, waiting));
        let left = at.and_then(|at| rare.waiters.remove(at)).is_some();
        self.waiters -= usize::from(left);
        left
    }
}

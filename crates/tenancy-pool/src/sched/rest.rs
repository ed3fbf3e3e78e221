//! Idle connections rest: each once, until it is used again.

use super::chain::NONE;
use super::{Holder, Sched, Stamp, State};
use crate::label::Label;

impl<C, S: Clone> Sched<C, S> {
    /// Lends the one that has been idle for longest of those that are due to rest, and says
    /// since when it is idle. It counts as out, as any other, but not as checked out.
    pub(crate) fn next_to_rest(&mut self, thread: u32, now: Stamp) -> Option<(u32, C, Stamp)> {
        let seat = self.seats.lru.iter().find(|seat| {
            let at = &self.seats[*seat];
            let due =
                at.label != Label::REST && self.idle_maintenance_after.is_reached(at.since, now);
            // Else somebody has been nudged towards it.
            due && self.slots[at.slot as usize].waiters() == 0
        })?;
        let connection = self.pluck(seat);
        self.shift(seat, State::Out);
        let at = &mut self.seats[seat];
        let label = Label::REST;
        at.hold(Holder { label, thread });
        let since = std::mem::replace(&mut at.since, now);
        Some((seat, connection, since))
    }

    /// The time that a connection rested is not time that a check-out held it.
    pub(crate) fn end_rest(&mut self, seat: u32, now: Stamp) {
        self.seats[seat].since = now;
    }

    /// A connection was put back after its rest. That was no use: if it is idle, it is so
    /// since when it was, and has its old place among the others.
    pub(crate) fn rested(&mut self, seat: u32, since: Stamp) {
        if self.seats[seat].state != State::Idle {
            return;
        }
        let connection = self.pluck(seat);
        // Of those that came back with it, the ones that rested went before it.
        let later = |sched: &Self, other: u32| {
            let other = &sched.seats[other];
            (other.since, other.label != Label::REST) > (since, false)
        };
        let owner = self.seats[seat].slot;
        let (mut above, mut below) = (NONE, self.at(owner).top);
        while below != NONE && later(self, below) {
            (above, below) = (below, self.seats[below].link);
        }
        let at = &mut self.seats[seat];
        (at.connection, at.since, at.link) = (Some(connection), since, below);
        match above {
            NONE => self.at(owner).top = seat,
            above => self.seats[above].link = seat,
        }
        let behind = self.seats.lru.iter().find(|other| later(self, *other));
        self.seats.lru.insert(seat, behind.unwrap_or(NONE));
    }
}

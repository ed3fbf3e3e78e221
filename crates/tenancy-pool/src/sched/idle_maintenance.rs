//! The idle maintenance of connections: each one once, until it is used again.

use super::chain::NONE;
use super::seats::{Caller, SeatState};
use super::stamp::Stamp;
use super::state::Sched;
use crate::label::Label;

impl<C, S: Clone> Sched<C, S> {
    /// Takes the connection that is due for idle maintenance and has been idle for longest. Returns
    /// it with its seat and the time since which it has been idle.
    ///
    /// It counts as out, but not as checked out.
    pub(crate) fn begin_idle_maintenance(
        &mut self,
        thread: u32,
        now: Stamp,
    ) -> Option<(u32, C, Stamp)> {
        let seat = self.seats.lru.iter().find(|seat| {
            let at = &self.seats[*seat];
            let due = at.label != Label::IDLE_MAINTENANCE
                && self.idle_maintenance_after.is_reached(at.since, now);
            // A waiter may have been woken to take it.
            due && self.slots[at.slot as usize].waiters() == 0
        })?;
        let connection = self.remove_idle(seat);
        self.shift(seat, SeatState::Out);
        let at = &mut self.seats[seat];
        let label = Label::IDLE_MAINTENANCE;
        at.set_caller(Caller { label, thread });
        let since = std::mem::replace(&mut at.since, now);
        Some((seat, connection, since))
    }

    /// Puts a connection back after its maintenance, as [`put_back`](Self::put_back) does.
    /// Maintenance is no use: the connection stays idle since `since`, at its place among the
    /// others.
    pub(crate) fn end_idle_maintenance(
        &mut self,
        seat: u32,
        connection: C,
        sound: bool,
        since: Stamp,
        now: Stamp,
    ) -> Option<C> {
        // The time of the maintenance is not time that a check-out held the connection.
        self.seats[seat].since = now;
        let refused = self.put_back(seat, connection, sound, now);
        self.restore_idle_since(seat, since);
        refused
    }

    /// Moves a connection, if it is idle, to the place that it has when idle since `since`.
    pub(super) fn restore_idle_since(&mut self, seat: u32, since: Stamp) {
        if self.seats[seat].state != SeatState::Idle {
            return;
        }
        let connection = self.remove_idle(seat);
        // Of connections idle since the same time, those with maintenance behind them come first.
        let later = |sched: &Self, other: u32| {
            let other = &sched.seats[other];
            (other.since, other.label != Label::IDLE_MAINTENANCE) > (since, false)
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

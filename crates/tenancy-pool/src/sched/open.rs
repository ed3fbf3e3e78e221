//! The end of an open, successful or not, and of a close.

use std::sync::Arc;

use super::chain::NONE;
use super::seats::{Caller, SeatState};
use super::slot::Preparation;
use super::stamp::Stamp;
use super::state::{NewSource, Sched, SlotKey};
use super::waiting::Refusal;

impl<C, S: Clone> Sched<C, S> {
    /// Records that a connection was opened and, where needed, prepared: it is checked out.
    ///
    /// Returns a refusal if the tenant was closed or superseded meanwhile: the connection has to be
    /// closed.
    pub(crate) fn opened(
        &mut self,
        seat: u32,
        new: Option<NewSource<S>>,
        now: Stamp,
    ) -> Result<(), Refusal> {
        let (index, epoch) = (self.seats[seat].slot, self.seats[seat].epoch);
        self.count(index, |counters| &mut counters.opened);
        // The new connection does the work that the evicted one left.
        self.upkeep_due.remove(index);
        let refusal = match self.at(index).epoch {
            Some(current) if current != epoch => Some(Refusal::Superseded { current }),
            _ => {
                self.keep_source(index, new);
                let slot = self.at(index);
                slot.preparation = Preparation::Ready;
                slot.clear_failure();
                slot.closed.then_some(Refusal::Closed)
            }
        };
        if let Some(refusal) = refusal {
            self.begin_close(seat, now);
            return Err(refusal);
        }
        let at = &mut self.seats[seat];
        // Born a little earlier, so that connections opened together do not expire together.
        at.born = now.before(self.jitter.pick(self.counters.opened));
        let caller = Caller {
            label: at.label,
            thread: at.thread,
        };
        self.check_out(seat, caller, now);
        if self.at(index).waiters() > 0 {
            self.settle(index, now);
        }
        Ok(())
    }

    /// Records that a connection was not opened. The attempt failed for `reason`, or panicked
    /// without one.
    pub(crate) fn open_failed(
        &mut self,
        seat: u32,
        new: Option<NewSource<S>>,
        reason: Option<Arc<str>>,
        now: Stamp,
    ) {
        let (index, epoch) = (self.seats[seat].slot, self.seats[seat].epoch);
        self.count(index, |counters| &mut counters.open_failed);
        self.shift(seat, SeatState::Free);
        let ttl = self.limits.failure_ttl;
        if self.at(index).epoch == Some(epoch) {
            self.keep_source(index, new);
            let slot = self.at(index);
            if slot.preparation == Preparation::Running {
                slot.preparation = Preparation::Cold;
            }
            if let Some(reason) = reason.filter(|_| !ttl.is_zero()) {
                slot.rare().failure = Some((now.after(ttl), reason));
            }
            // The slot of a tenant that does not exist must not stay.
            self.mark_releasable(index);
        }
        self.settle(index, now);
    }

    /// Counts a check-out whose own steps took longer than its time-out.
    pub(crate) fn count_step_timeout(&mut self, key: SlotKey) {
        if self.slot(key).is_some() {
            self.count(key.index, |counters| &mut counters.step_timeouts);
        }
    }

    /// Keeps the way to connect for the next connections of the current epoch.
    fn keep_source(&mut self, index: u32, new: Option<NewSource<S>>) {
        let slot = self.at(index);
        if let Some(new) = new.filter(|_| slot.source.is_none()) {
            slot.source = Some(new.source);
            slot.cap = new.max;
        }
    }

    /// Records that the connection of a seat was dropped.
    pub(crate) fn closed(&mut self, seat: u32, now: Stamp) {
        let index = self.seats[seat].slot;
        self.count(index, |counters| &mut counters.closed);
        match self.seats[seat].successor() {
            // The same tenant opens another connection in this seat.
            None if self.seats[seat].state == SeatState::Opening => return,
            None => self.shift(seat, SeatState::Free),
            Some(successor) => {
                // The successor counts it as opening already.
                let counts = &mut self.at(index).counts;
                counts.shift(SeatState::Closing, SeatState::Free);
                self.seats.shift(seat, SeatState::Opening);
                (self.seats[seat].slot, self.seats[seat].link) = (successor, NONE);
            }
        }
        self.settle(index, now);
    }
}

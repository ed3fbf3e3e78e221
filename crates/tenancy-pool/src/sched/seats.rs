//! [`Seats`]: a seat for each connection that may be open.

use tenancy_core::Epoch;

use super::chain::{Chain, NONE};
use super::stamp::Stamp;
use crate::label::Label;

/// The use of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeatState {
    Free,
    /// A connection is being opened in it.
    Opening,
    Idle,
    Out,
    /// The connection is open until it has been dropped.
    Closing,
}

/// The number of seats in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SeatCounts {
    pub(crate) idle: u32,
    pub(crate) out: u32,
    pub(crate) opening: u32,
    pub(crate) closing: u32,
}

impl SeatCounts {
    pub(crate) fn total(&self) -> u32 {
        self.idle + self.out + self.opening + self.closing
    }

    /// Returns the number of connections that stay open. A tenant with more than its bound keeps
    /// none idle.
    #[inline]
    pub(crate) fn staying(&self) -> u32 {
        self.idle + self.out + self.opening
    }

    #[inline]
    fn of(&mut self, state: SeatState) -> Option<&mut u32> {
        match state {
            SeatState::Free => None,
            SeatState::Opening => Some(&mut self.opening),
            SeatState::Idle => Some(&mut self.idle),
            SeatState::Out => Some(&mut self.out),
            SeatState::Closing => Some(&mut self.closing),
        }
    }

    #[inline]
    pub(crate) fn shift(&mut self, from: SeatState, to: SeatState) {
        if let Some(from) = self.of(from) {
            *from -= 1;
        }
        if let Some(to) = self.of(to) {
            *to += 1;
        }
    }
}

/// The call that has a connection, or waits for one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) label: Label,
    pub(crate) thread: u32,
}

/// The place of one connection. It fills a cache line: among thousands of tenants most are cold.
#[repr(align(64))]
pub(crate) struct SeatEntry<C> {
    pub(crate) state: SeatState,
    /// The slot of the tenant that the connection is of.
    pub(crate) slot: u32,
    /// While idle, the idle connection below; while closing, the slot that gets the seat
    /// afterwards; while free, the next free seat.
    pub(crate) link: u32,
    pub(crate) epoch: Epoch,
    pub(crate) born: Stamp,
    /// The time at which it entered its state.
    pub(crate) since: Stamp,
    pub(crate) label: Label,
    pub(crate) thread: u32,
    pub(crate) connection: Option<C>,
}

impl Caller {
    /// The thread of a task, which belongs to no thread. No thread has this number.
    pub(crate) const NO_THREAD: u32 = 0;
}

impl<C> SeatEntry<C> {
    /// Returns the slot that gets the seat once its connection is closed.
    pub(crate) fn successor(&self) -> Option<u32> {
        (self.state == SeatState::Closing && self.link != NONE).then_some(self.link)
    }

    pub(crate) fn set_caller(&mut self, caller: Caller) {
        (self.label, self.thread) = (caller.label, caller.thread);
    }

    /// Returns whether the seat stays as it is until this thread acts.
    pub(crate) fn is_held_by(&self, thread: u32) -> bool {
        matches!(self.state, SeatState::Out | SeatState::Opening) && self.thread == thread
    }
}

/// The seats for connections.
///
/// Invariant: `seats.len() <= max`, and a connection is open only in a seat that is not free; so at
/// no time are more than `max` open.
pub(crate) struct Seats<C> {
    seats: Vec<SeatEntry<C>>,
    free: u32,
    max: u32,
    /// The idle seats, least recently used first.
    pub(crate) lru: Chain,
    /// The closing seats whose close was deferred: they still have their connection.
    pub(crate) deferred: Chain,
    pub(crate) counts: SeatCounts,
}

impl<C> Seats<C> {
    pub(crate) fn new(max: u32) -> Self {
        Self {
            seats: Vec::new(),
            free: NONE,
            max,
            lru: Chain::new(),
            deferred: Chain::new(),
            counts: SeatCounts::default(),
        }
    }

    /// Returns the highest number of seats that were occupied at one time: a seat is added only
    /// when none is free.
    pub(crate) fn peak(&self) -> u32 {
        self.seats.len() as u32
    }

    /// Claims a free seat for a connection that is to be opened.
    pub(crate) fn claim(
        &mut self,
        slot: u32,
        epoch: Epoch,
        caller: Caller,
        now: Stamp,
    ) -> Option<u32> {
        if self.counts.total() >= self.max {
            return None;
        }
        let seat = SeatEntry {
            state: SeatState::Opening,
            slot,
            link: NONE,
            epoch,
            born: Stamp::default(),
            since: now,
            label: caller.label,
            thread: caller.thread,
            connection: None,
        };
        self.counts.opening += 1;
        if self.free == NONE {
            self.seats.push(seat);
            self.lru.grow();
            self.deferred.grow();
            return Some(self.seats.len() as u32 - 1);
        }
        let index = self.free;
        self.free = self[index].link;
        self[index] = seat;
        Some(index)
    }

    pub(crate) fn shift(&mut self, index: u32, to: SeatState) {
        let from = std::mem::replace(&mut self[index].state, to);
        self.counts.shift(from, to);
        if to == SeatState::Free {
            self[index].link = self.free;
            self.free = index;
        }
    }

    /// Iterates over the seats that are not free.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = &SeatEntry<C>> {
        let all = self.seats.iter();
        all.filter(|seat| seat.state != SeatState::Free)
    }
}

impl<C> std::ops::Index<u32> for Seats<C> {
    type Output = SeatEntry<C>;
    fn index(&self, index: u32) -> &SeatEntry<C> {
        &self.seats[index as usize]
    }
}

impl<C> std::ops::IndexMut<u32> for Seats<C> {
    fn index_mut(&mut self, index: u32) -> &mut SeatEntry<C> {
        &mut self.seats[index as usize]
    }
}

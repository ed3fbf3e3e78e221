//! [`Seats`]: one seat for each connection that may be open.

use tenancy_core::Epoch;

use super::chain::{Chain, NONE};
use super::stamp::Stamp;
use crate::label::Label;

/// What a seat is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    /// Its connection is being opened.
    Opening,
    Idle,
    Out,
    /// Its connection lives until it has been dropped.
    Closing,
}

/// How many seats are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) idle: u32,
    pub(crate) out: u32,
    pub(crate) opening: u32,
    pub(crate) closing: u32,
}

impl Parts {
    pub(crate) fn total(&self) -> u32 {
        self.idle + self.out + self.opening + self.closing
    }

    /// Those that are there, or will be. With more than its cap a tenant keeps none idle.
    #[inline]
    pub(crate) fn staying(&self) -> u32 {
        self.idle + self.out + self.opening
    }

    #[inline]
    fn of(&mut self, state: State) -> Option<&mut u32> {
        match state {
            State::Free => None,
            State::Opening => Some(&mut self.opening),
            State::Idle => Some(&mut self.idle),
            State::Out => Some(&mut self.out),
            State::Closing => Some(&mut self.closing),
        }
    }

    #[inline]
    pub(crate) fn shift(&mut self, from: State, to: State) {
        if let Some(from) = self.of(from) {
            *from -= 1;
        }
        if let Some(to) = self.of(to) {
            *to += 1;
        }
    }
}

/// Who has a connection, or waits for one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) label: Label,
    pub(crate) thread: u32,
}

/// A cache line: with thousands of tenants each is met cold.
#[repr(align(64))]
pub(crate) struct Seat<C> {
    pub(crate) state: State,
    /// Whose connection it is.
    pub(crate) slot: u32,
    /// While idle, the idle connection below; while closing, the slot that gets the
    /// seat afterwards; while free, the next free one.
    pub(crate) link: u32,
    pub(crate) epoch: Epoch,
    pub(crate) born: Stamp,
    /// When it came into its state.
    pub(crate) since: Stamp,
    pub(crate) label: Label,
    pub(crate) thread: u32,
    pub(crate) connection: Option<C>,
}

impl Holder {
    /// The thread of those who hold a seat for no thread in particular: it is never one
    /// that asks.
    pub(crate) const NO_THREAD: u32 = 0;
}

impl<C> Seat<C> {
    /// The slot that gets the seat once its connection is closed.
    pub(crate) fn heir(&self) -> Option<u32> {
        (self.state == State::Closing && self.link != NONE).then_some(self.link)
    }

    pub(crate) fn hold(&mut self, holder: Holder) {
        (self.label, self.thread) = (holder.label, holder.thread);
    }

    /// Will this thread have to do something before anything comes of this seat?
    pub(crate) fn is_held_by(&self, thread: u32) -> bool {
        matches!(self.state, State::Out | State::Opening) && self.thread == thread
    }
}

/// Invariant: `seats.len() <= max`, and a connection lives only in a seat that is
/// not free; so at no time are more than `max` open.
pub(crate) struct Seats<C> {
    seats: Vec<Seat<C>>,
    free: u32,
    max: u32,
    /// The idle ones, least recently used first.
    pub(crate) lru: Chain,
    /// Closing ones that still have their connection: a thread that may block closes it.
    pub(crate) aside: Chain,
    pub(crate) parts: Parts,
}

impl<C> Seats<C> {
    pub(crate) fn new(max: u32) -> Self {
        Self {
            seats: Vec::new(),
            free: NONE,
            max,
            lru: Chain::new(),
            aside: Chain::new(),
            parts: Parts::default(),
        }
    }

    /// The most that were ever taken at a time: a new one is added only when none of
    /// those before it is free.
    pub(crate) fn peak(&self) -> u32 {
        self.seats.len() as u32
    }

    /// Takes a free one for a connection that is to be opened.
    pub(crate) fn claim(
        &mut self,
        slot: u32,
        epoch: Epoch,
        holder: Holder,
        now: Stamp,
    ) -> Option<u32> {
        if self.parts.total() >= self.max {
            return None;
        }
        let seat = Seat {
            state: State::Opening,
            slot,
            link: NONE,
            epoch,
            born: Stamp::default(),
            since: now,
            label: holder.label,
            thread: holder.thread,
            connection: None,
        };
        self.parts.opening += 1;
        if self.free == NONE {
            self.seats.push(seat);
            self.lru.grow();
            self.aside.grow();
            return Some(self.seats.len() as u32 - 1);
        }
        let index = self.free;
        self.free = self[index].link;
        self[index] = seat;
        Some(index)
    }

    pub(crate) fn shift(&mut self, index: u32, to: State) {
        let from = std::mem::replace(&mut self[index].state, to);
        self.parts.shift(from, to);
        if to == State::Free {
            self[index].link = self.free;
            self.free = index;
        }
    }

    /// Those that are not free.
    pub(crate) fn taken(&self) -> impl Iterator<Item = &Seat<C>> {
        let all = self.seats.iter();
        all.filter(|seat| seat.state != State::Free)
    }
}

impl<C> std::ops::Index<u32> for Seats<C> {
    type Output = Seat<C>;
    fn index(&self, index: u32) -> &Seat<C> {
        &self.seats[index as usize]
    }
}

impl<C> std::ops::IndexMut<u32> for Seats<C> {
    fn index_mut(&mut self, index: u32) -> &mut Seat<C> {
        &mut self.seats[index as usize]
    }
}

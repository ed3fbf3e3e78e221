//! [`Seats`]: one seat for each connection that may be open.

use std::time::Duration;

use tenancy_core::Epoch;

use super::chain::{Chain, NONE};
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

    fn of(&mut self, state: State) -> Option<&mut u32> {
        match state {
            State::Free => None,
            State::Opening => Some(&mut self.opening),
            State::Idle => Some(&mut self.idle),
            State::Out => Some(&mut self.out),
            State::Closing => Some(&mut self.closing),
        }
    }

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
    pub(crate) thread: usize,
}

pub(crate) struct Seat<C> {
    pub(crate) state: State,
    /// Whose connection it is.
    pub(crate) slot: u32,
    /// Who gets the seat once its connection is closed.
    pub(crate) heir: u32,
    /// The next idle one of the same tenant, or the next free one.
    pub(crate) below: u32,
    pub(crate) epoch: Epoch,
    pub(crate) born: Duration,
    /// Since when it is idle or out.
    pub(crate) since: Duration,
    pub(crate) holder: Holder,
    pub(crate) connection: Option<C>,
}

/// Invariant: `seats.len() <= max`, and a connection lives only in a seat that is
/// not free; so at no time are more than `max` open.
pub(crate) struct Seats<C> {
    seats: Vec<Seat<C>>,
    free: u32,
    max: u32,
    /// The idle ones, least recently used first.
    pub(crate) lru: Chain,
    pub(crate) parts: Parts,
}

impl<C> Seats<C> {
    pub(crate) fn new(max: u32) -> Self {
        Self {
            seats: Vec::new(),
            free: NONE,
            max,
            lru: Chain::new(),
            parts: Parts::default(),
        }
    }

    /// Is one free?
    pub(crate) fn available(&self) -> bool {
        self.parts.total() < self.max
    }

    /// The most that were ever taken at a time: a new one is added only when none of
    /// those before it is free.
    pub(crate) fn peak(&self) -> u32 {
        self.seats.len() as u32
    }

    /// Takes a free one for a connection that is to be opened.
    pub(crate) fn claim(&mut self, slot: u32, epoch: Epoch, holder: Holder) -> Option<u32> {
        if !self.available() {
            return None;
        }
        let seat = Seat {
            state: State::Opening,
            slot,
            heir: NONE,
            below: NONE,
            epoch,
            born: Duration::ZERO,
            since: Duration::ZERO,
            holder,
            connection: None,
        };
        self.parts.opening += 1;
        if self.free == NONE {
            self.seats.push(seat);
            self.lru.grow();
            return Some(self.seats.len() as u32 - 1);
        }
        let index = self.free;
        self.free = self[index].below;
        self[index] = seat;
        Some(index)
    }

    pub(crate) fn shift(&mut self, index: u32, to: State) {
        let from = std::mem::replace(&mut self[index].state, to);
        self.parts.shift(from, to);
        if to == State::Free {
            self[index].below = self.free;
            self.free = index;
        }
    }

    /// The indices and seats that are not free.
    pub(crate) fn taken(&self) -> impl Iterator<Item = (u32, &Seat<C>)> {
        let all = (0..).zip(&self.seats);
        all.filter(|(_, seat)| seat.state != State::Free)
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

//! The scheduler decides which check-out gets which connection, and keeps count.
//!
//! It performs nothing itself: its caller opens and closes the connections that it returns, outside
//! its lock.
//!
//! Invariants, restored by [`Sched::settle`] whenever the share of a tenant changes:
//! - if a tenant has idle connections and waiters, its first waiter is woken to retry; if its last
//!   connect failed, the first waiter knows when to retry;
//! - a tenant holds a ticket if, and only if, it has more waiters than idle connections, may open
//!   another connection and is not in backoff;
//! - while tickets exist, no seat is free, no close is deferred, and no idle connection can be
//!   evicted for the tenant with the first ticket.

mod admin;
mod chain;
mod idle_maintenance;
mod open;
mod queue;
mod release;
mod report;
mod reservation;
mod seats;
mod serve;
mod slot;
mod stamp;
mod state;
mod take;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod upkeep;
mod waiting;

pub(crate) use queue::Queued;
pub(crate) use reservation::Reservation;
pub(crate) use seats::Caller;
pub(crate) use stamp::Stamp;
pub(crate) use state::{Discarded, Limits, NewSource, Request, Sched, SlotKey};
pub(crate) use take::TakeOutcome;
pub(crate) use waiting::{Grant, HeldConnection, Permit, Refusal, Retried, Waiting};

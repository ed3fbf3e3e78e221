//! The figures of the pools: [`PoolStats`], [`TenantStats`], [`Counters`].

use std::time::Duration;

use tenancy_core::Epoch;

/// The state of all pools at one instant. `idle + out + opening + closing == open`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// The bound of open connections.
    pub max: u32,
    /// Connections that are open or being opened.
    pub open: u32,
    /// The highest number of them at one instant.
    pub peak: u32,
    /// Connections that are ready to be checked out.
    pub idle: u32,
    /// Connections that are checked out.
    pub out: u32,
    /// Connections that are being opened.
    pub opening: u32,
    /// Connections that are being closed.
    pub closing: u32,
    /// Check-outs and seats that wait.
    pub waiting: usize,
    /// Tenants that were seen, with or without a connection.
    pub tenants: usize,
    /// Tenants that wait for a connection of another tenant, because the bound is reached.
    pub tickets: usize,
    /// The time that check-outs waited for their connections, opening included, added up. A
    /// check-out that found an idle connection adds nothing.
    pub waited: Duration,
    /// The time that connections were out, added up when they came back.
    pub held: Duration,
    /// The events since the pools were built.
    pub counters: Counters,
}

/// The state of one tenant's pool at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantStats {
    /// The highest epoch seen; `None` if the tenant was only closed by its id so far.
    pub epoch: Option<Epoch>,
    /// The bound of open connections, once the database is prepared.
    pub max: u32,
    /// Connections that are ready to be checked out.
    pub idle: u32,
    /// Connections that are checked out.
    pub out: u32,
    /// Connections that are being opened, or will be as soon as an evicted one is closed.
    pub opening: u32,
    /// Connections that are being closed.
    pub closing: u32,
    /// Check-outs and seats that wait.
    pub waiting: usize,
    /// Whether the database of this epoch is prepared.
    pub prepared: bool,
    /// Whether the tenant is closed to check-outs.
    pub closed: bool,
    /// The events since the tenant was first seen.
    pub counters: Counters,
}

/// Counts of events, of one tenant or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections that were checked out.
    pub checkouts: u64,
    /// Checked-out connections that came back.
    pub returned: u64,
    /// Returned connections that a [`Seat`](crate::Seat) had reserved and not opened.
    pub unopened: u64,
    /// Connections that were opened.
    pub opened: u64,
    /// Attempts to open or prepare that failed, panicked or were abandoned at their deadline.
    pub open_failed: u64,
    /// Connections that were closed.
    pub closed: u64,
    /// Closed connections that were idle and evicted for another tenant.
    pub evicted: u64,
    /// Check-outs that had to wait.
    pub waits: u64,
    /// Check-outs that waited and were handed a connection directly.
    pub hand_offs: u64,
    /// Check-outs that waited and got no connection in time.
    pub timeouts: u64,
    /// Check-outs whose own steps took longer than their time-out.
    pub step_timeouts: u64,
    /// Check-outs that were refused because `max_waiters` were waiting.
    pub overloaded: u64,
}

/// The counters that are kept for each tenant, and for all.
///
/// The number of check-outs is kept elsewhere: beside the state that a check-out reads anyway.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) unopened: u64,
    pub(crate) opened: u64,
    pub(crate) open_failed: u64,
    pub(crate) closed: u64,
    pub(crate) evicted: u64,
    pub(crate) waits: u64,
    pub(crate) hand_offs: u64,
    pub(crate) timeouts: u64,
    pub(crate) step_timeouts: u64,
    pub(crate) overloaded: u64,
}

impl Tally {
    /// Returns all counters, for a number of check-outs and the number of them that are still out.
    pub(crate) fn counters(self, checkouts: u64, out: u32) -> Counters {
        Counters {
            checkouts,
            returned: checkouts.saturating_sub(u64::from(out)),
            unopened: self.unopened,
            opened: self.opened,
            open_failed: self.open_failed,
            closed: self.closed,
            evicted: self.evicted,
            waits: self.waits,
            hand_offs: self.hand_offs,
            timeouts: self.timeouts,
            step_timeouts: self.step_timeouts,
            overloaded: self.overloaded,
        }
    }
}

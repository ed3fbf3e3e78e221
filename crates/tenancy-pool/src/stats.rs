//! The statistics of the pools: [`PoolStats`], [`TenantStats`], [`Counters`].

use std::time::Duration;

use tenancy_core::Epoch;

/// The state of all pools at one instant. `idle + out + opening + closing == open`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// The largest allowed number of open connections.
    pub max: u32,
    /// The number of connections that are open, being opened or being closed.
    pub open: u32,
    /// The highest value of `open` so far.
    pub peak: u32,
    /// The number of idle connections.
    pub idle: u32,
    /// The number of connections that are checked out.
    pub out: u32,
    /// The number of connections that are being opened.
    pub opening: u32,
    /// The number of connections that are being closed.
    pub closing: u32,
    /// The number of waiting check-outs, including waits for seats.
    pub waiting: usize,
    /// The number of tenants that the pools know, with or without a connection.
    pub tenants: usize,
    /// The number of tenants that wait for a connection of another tenant, as the bound is reached.
    pub tickets: usize,
    /// The total time for which check-outs waited for connections, including the time to open them. A
    /// check-out that found an idle connection adds nothing.
    pub waited: Duration,
    /// The total time for which connections were checked out. The time of a connection is added when
    /// it is returned.
    pub held: Duration,
    /// The numbers of events since the pools were built.
    pub counters: Counters,
}

/// The state of one tenant's pool at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantStats {
    /// The current epoch; `None` if the pools know only that the tenant is closed.
    pub epoch: Option<Epoch>,
    /// The largest allowed number of open connections, once the database is prepared.
    pub max: u32,
    /// The number of idle connections.
    pub idle: u32,
    /// The number of connections that are checked out.
    pub out: u32,
    /// The number of connections that are being opened, or will be opened once an evicted one is
    /// closed.
    pub opening: u32,
    /// The number of connections that are being closed.
    pub closing: u32,
    /// The number of waiting check-outs, including waits for seats.
    pub waiting: usize,
    /// Whether the database of this epoch is prepared.
    pub prepared: bool,
    /// Whether the tenant is closed to check-outs.
    pub closed: bool,
    /// The numbers of events of this tenant.
    pub counters: Counters,
}

/// The numbers of events, of one tenant or of all tenants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// The number of connections that were checked out.
    pub checkouts: u64,
    /// The number of checked-out connections that were returned.
    pub returned: u64,
    /// The number of returned connections that a [`Seat`](crate::Seat) had reserved but not opened.
    pub unopened: u64,
    /// The number of connections that were opened.
    pub opened: u64,
    /// The number of attempts to open or prepare that failed, panicked or exceeded their time-out.
    pub open_failed: u64,
    /// The number of connections that were closed.
    pub closed: u64,
    /// The number of closed connections that were idle and evicted for another tenant.
    pub evicted: u64,
    /// The number of check-outs that waited.
    pub waits: u64,
    /// The number of waiting check-outs for which a returned connection was reserved; see
    /// [`handoff_after`](crate::Builder::handoff_after).
    pub hand_offs: u64,
    /// The number of check-outs that waited and got no connection before their time-out.
    pub timeouts: u64,
    /// The number of check-outs whose own steps took longer than their time-out.
    pub step_timeouts: u64,
    /// The number of check-outs that were refused, as `max_waiters` others waited.
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

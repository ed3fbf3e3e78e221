//! Figures: [`PoolStats`], [`TenantStats`], [`Counters`].

use std::time::Duration;

use tenancy_core::Epoch;

/// The state of all pools at one instant. `idle + out + opening + closing == open`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// The bound: so many may be open.
    pub max: u32,
    /// Connections that exist or are being opened.
    pub open: u32,
    /// The most that ever were at one instant.
    pub peak: u32,
    /// Ready to be checked out.
    pub idle: u32,
    /// Checked out.
    pub out: u32,
    /// Being opened.
    pub opening: u32,
    /// Being closed.
    pub closing: u32,
    /// Check-outs that wait.
    pub waiting: usize,
    /// Tenants that are known, with or without a connection.
    pub tenants: usize,
    /// Tenants that wait because all that may be open is.
    pub tickets: usize,
    /// How long check-outs waited for their connections, opening included, added up; those
    /// that found an idle one did not.
    pub waited: Duration,
    /// How long connections were out, added up when they came back.
    pub held: Duration,
    /// What happened since the pools were built.
    pub counters: Counters,
}

/// The state of one tenant's pool at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantStats {
    /// The highest epoch seen; none if it was only closed by name so far.
    pub epoch: Option<Epoch>,
    /// So many may be open once the database is prepared.
    pub max: u32,
    /// Ready to be checked out.
    pub idle: u32,
    /// Checked out.
    pub out: u32,
    /// Being opened, or about to be once another tenant's is closed.
    pub opening: u32,
    /// Being closed.
    pub closing: u32,
    /// Check-outs that wait.
    pub waiting: usize,
    /// Has this epoch's database been prepared?
    pub prepared: bool,
    /// Is it closed to check-outs?
    pub closed: bool,
    /// What happened since the tenant was first seen.
    pub counters: Counters,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections that were checked out.
    pub checkouts: u64,
    /// Of those, connections that came back.
    pub returned: u64,
    /// Of those, ones that were reserved by a [`Seat`](crate::Seat) and given back unopened.
    pub unopened: u64,
    /// Connections that were opened.
    pub opened: u64,
    /// Attempts to open or prepare that failed, panicked or were given up at their deadline.
    pub open_failed: u64,
    /// Connections that were closed.
    pub closed: u64,
    /// Of those, idle ones whose place another tenant needed.
    pub evicted: u64,
    /// Check-outs that had to wait.
    pub waits: u64,
    /// Of those, ones that were handed a connection directly.
    pub hand_offs: u64,
    /// Of those, ones that got none in time.
    pub timeouts: u64,
    /// Check-outs that came too late by what they did themselves.
    pub step_timeouts: u64,
    /// Check-outs refused because too many were waiting.
    pub overloaded: u64,
}

/// The counters that are kept of each tenant, and of all. Check-outs stand beside them: those
/// of a tenant are with what a check-out looks at anyway, and which came back follows.
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
    /// Returns all counters, with so many check-outs of which so many are still out.
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

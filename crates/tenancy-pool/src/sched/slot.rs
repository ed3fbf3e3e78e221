//! [`Slot`]: the state of one tenant.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{Epoch, TenantId};

use super::chain::NONE;
use super::seats::SeatCounts;
use super::stamp::Stamp;
use super::waiting::{Refusal, Waiting};
use crate::mailbox::Mailbox;
use crate::stats::Tally;
use crate::sync::Moment;

/// The preparation of an incarnation's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preparation {
    /// No connection has been opened yet.
    Cold,
    /// The first connection is being opened; until it is, no other may be.
    Running,
    Ready,
}

/// The lifecycle of a tenant, as far as the pools were notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifecycle {
    Active,
    /// It is being retired: the next reap closes its idle connections.
    Retiring,
    /// It was removed from its catalog: its slot is released as soon as it is unused.
    Removed,
}

/// The state of one tenant. It fills a cache line: among thousands of tenants most are cold.
#[repr(align(64))]
pub(super) struct Slot<C, S> {
    pub(super) generation: u32,
    /// The seat of the most recently used idle connection.
    pub(super) top: u32,
    /// The bound of the tenant.
    pub(super) cap: u32,
    pub(super) preparation: Preparation,
    pub(super) closed: bool,
    /// Whether all idle connections are of a past epoch. They never are of two epochs.
    pub(super) stale: bool,
    pub(super) lifecycle: Lifecycle,
    /// The highest epoch seen; `None` if the tenant was only closed by its id so far.
    pub(super) epoch: Option<Epoch>,
    /// The seats of its connections, and those that are transferred to it (as opening).
    pub(super) counts: SeatCounts,
    pub(super) source: Option<S>,
    pub(super) checkouts: u64,
    /// State that few tenants have at a time.
    pub(super) rare: Option<Box<RareState<C, S>>>,
}

/// The part of a tenant that no check-out reads.
#[derive(Default)]
pub(super) struct TenantRecord {
    /// `None` if the slot is free.
    pub(super) id: Option<TenantId>,
    pub(super) counters: Tally,
}

/// State that few tenants have at a time: waiters, a failure, upkeep, calls of `close`.
pub(super) struct RareState<C, S> {
    /// The waiters in the order of their arrival.
    pub(super) waiters: VecDeque<Arc<Waiting<C, S>>>,
    /// The time at which the tenant got its ticket.
    pub(super) ticket: Moment,
    /// The end of the backoff, and the text of the failure.
    pub(super) failure: Option<(Stamp, Arc<str>)>,
    /// Whether upkeep is running. It may have the database open.
    pub(super) in_upkeep: bool,
    /// The calls of `close` that wait.
    pub(super) close_watchers: Vec<Arc<Mailbox<()>>>,
}

impl<C, S> Slot<C, S> {
    pub(super) fn new(generation: u32) -> Self {
        Self {
            generation,
            top: NONE,
            cap: 1,
            preparation: Preparation::Cold,
            closed: false,
            stale: false,
            lifecycle: Lifecycle::Active,
            epoch: None,
            counts: SeatCounts::default(),
            source: None,
            checkouts: 0,
            rare: None,
        }
    }

    pub(super) fn waiters(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.waiters.len())
    }

    pub(super) fn first_waiter(&self) -> Option<&Arc<Waiting<C, S>>> {
        self.rare.as_ref()?.waiters.front()
    }

    pub(super) fn rare(&mut self) -> &mut RareState<C, S> {
        self.rare.get_or_insert_with(|| {
            Box::new(RareState {
                waiters: VecDeque::new(),
                ticket: Moment::now(),
                failure: None,
                in_upkeep: false,
                close_watchers: Vec::new(),
            })
        })
    }

    /// Returns whether the tenant may have another connection. Until the database is prepared it
    /// may have one, so that simultaneous first requests share one connect and one preparation.
    pub(super) fn may_open(&self) -> bool {
        self.preparation != Preparation::Running && self.counts.total() < self.cap
    }

    /// Returns the refusal of a tenant in backoff.
    pub(super) fn backoff(&self, now: Stamp) -> Option<Refusal> {
        let retry_in = self.retry_in(now)?;
        let (_, reason) = self.rare.as_ref()?.failure.as_ref()?;
        let reason = reason.clone();
        Some(Refusal::Backoff { reason, retry_in })
    }

    /// Returns the time until the backoff ends.
    pub(super) fn retry_in(&self, now: Stamp) -> Option<Duration> {
        let (until, _) = self.rare.as_ref()?.failure.as_ref()?;
        let retry_in = until.since(now);
        (!retry_in.is_zero()).then_some(retry_in)
    }

    /// Ends the backoff; returns whether there was one.
    pub(super) fn clear_failure(&mut self) -> bool {
        let rare = self.rare.as_mut();
        rare.is_some_and(|rare| rare.failure.take().is_some())
    }

    /// Returns whether nothing of the tenant is open.
    pub(super) fn is_drained(&self) -> bool {
        let in_upkeep = self.rare.as_ref().is_some_and(|rare| rare.in_upkeep);
        self.counts.total() == 0 && !in_upkeep
    }

    /// Returns whether anything of the tenant is open or waited for.
    pub(super) fn in_use(&self) -> bool {
        let waited_for =
            |rare: &RareState<C, S>| !rare.waiters.is_empty() || !rare.close_watchers.is_empty();
        !self.is_drained() || self.rare.as_deref().is_some_and(waited_for)
    }
}

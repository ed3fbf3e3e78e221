//! [`Slot`]: what is known of one tenant.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{Epoch, TenantId};

use super::chain::NONE;
use super::seats::Parts;
use super::stamp::Stamp;
use super::{Refusal, Waiting};
use crate::mailbox::Mailbox;
use crate::stats::Tally;
use crate::sync::Moment;

/// Has this incarnation's database been prepared?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prepared {
    Cold,
    /// By the one connection that may be opened until it has been.
    Under,
    Ready,
}

/// What becomes of a tenant, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    /// It is to be retired: the next reap closes what is idle.
    Retiring,
    /// Its catalog has no such tenant any more: once nothing of it is left the slot is freed.
    Removed,
}

/// A cache line: with thousands of tenants each is met cold.
#[repr(align(64))]
pub(super) struct Slot<C, S> {
    pub(super) generation: u32,
    /// The most recently used idle connection.
    pub(super) top: u32,
    pub(super) cap: u32,
    pub(super) prepared: Prepared,
    pub(super) closed: bool,
    /// Are all idle connections of an older epoch? They are never of both.
    pub(super) stale: bool,
    pub(super) fate: Fate,
    /// The highest seen; none if the tenant was only closed by name so far.
    pub(super) epoch: Option<Epoch>,
    /// Seats of its connections, and seats it is heir to (as opening).
    pub(super) parts: Parts,
    pub(super) source: Option<S>,
    pub(super) checkouts: u64,
    /// What few tenants have at a time.
    pub(super) rare: Option<Box<Rare<C, S>>>,
}

/// What a check-out does not look at.
#[derive(Default)]
pub(super) struct Record {
    /// None: the slot is nobody's.
    pub(super) id: Option<TenantId>,
    pub(super) counters: Tally,
}

pub(super) struct Rare<C, S> {
    /// First come, first served.
    pub(super) waiters: VecDeque<Arc<Waiting<C, S>>>,
    /// Since when it holds its ticket.
    pub(super) ticket: Moment,
    /// The last failure to connect, until it is forgotten.
    pub(super) failure: Option<(Stamp, Arc<str>)>,
    /// Is the work done that an eviction left? It may have the database open.
    pub(super) in_upkeep: bool,
    /// Who waits until nothing of a closed tenant is left.
    pub(super) closers: Vec<Arc<Mailbox<()>>>,
}

impl<C, S> Slot<C, S> {
    pub(super) fn new(generation: u32) -> Self {
        Self {
            generation,
            top: NONE,
            cap: 1,
            prepared: Prepared::Cold,
            closed: false,
            stale: false,
            fate: Fate::Stays,
            epoch: None,
            parts: Parts::default(),
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

    pub(super) fn rare(&mut self) -> &mut Rare<C, S> {
        self.rare.get_or_insert_with(|| {
            Box::new(Rare {
                waiters: VecDeque::new(),
                ticket: Moment::now(),
                failure: None,
                in_upkeep: false,
                closers: Vec::new(),
            })
        })
    }

    /// May it have another connection? Only one until it is prepared, so that a
    /// herd of first requests makes one connection and one preparation.
    pub(super) fn may_open(&self) -> bool {
        self.prepared != Prepared::Under && self.parts.total() < self.cap
    }

    pub(super) fn failing(&self, now: Stamp) -> Option<Refusal> {
        let retry_in = self.retry_in(now)?;
        let (_, reason) = self.rare.as_ref()?.failure.as_ref()?;
        let reason = reason.clone();
        Some(Refusal::Backoff { reason, retry_in })
    }

    /// How long the last failure to connect will be remembered.
    pub(super) fn retry_in(&self, now: Stamp) -> Option<Duration> {
        let (until, _) = self.rare.as_ref()?.failure.as_ref()?;
        let retry_in = until.since(now);
        (!retry_in.is_zero()).then_some(retry_in)
    }

    /// Forgets the last failure to connect; says whether there was one.
    pub(super) fn forget_failure(&mut self) -> bool {
        let rare = self.rare.as_mut();
        rare.is_some_and(|rare| rare.failure.take().is_some())
    }

    /// Is nothing of it open?
    pub(super) fn is_drained(&self) -> bool {
        let in_upkeep = self.rare.as_ref().is_some_and(|rare| rare.in_upkeep);
        self.parts.total() == 0 && !in_upkeep
    }

    /// Is anything of it left, or does anybody wait for it?
    pub(super) fn in_use(&self) -> bool {
        let waited_for = |rare: &Rare<C, S>| !rare.waiters.is_empty() || !rare.closers.is_empty();
        !self.is_drained() || self.rare.as_deref().is_some_and(waited_for)
    }
}

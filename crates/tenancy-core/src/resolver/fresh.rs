//! How fresh the resolver's memory is, and whose turn it is to refresh it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::catalog::CatalogError;
use crate::clock::nanos_of;
use crate::sync::{AtomicBool, AtomicU64, Mutex};

/// Bounds in nanoseconds, and the moments they are measured from.
pub(crate) struct Fresh {
    pub(crate) poll_every: u64,
    /// No answer from memory is older, while the catalog can be asked.
    pub(crate) max_staleness: u64,
    /// No answer from memory is older, while the catalog cannot be asked.
    pub(crate) serve_stale_for: u64,
    /// Everything up to here was applied.
    pub(crate) applied: AtomicU64,
    /// When the last complete sync began.
    pub(crate) synced_at: AtomicU64,
    /// When a caller has to look whether it is its turn to sync; 0 where a sync is due now.
    due_at: AtomicU64,
    /// From the last sync until callers sync: `poll_every`, or later where a thread does.
    due_after: u64,
    /// Changes are known to be missing: the next caller claims a sync.
    gap: AtomicBool,
    claimed_at: AtomicU64,
    /// A `try_resolve` claimed a sync and left it to the next `resolve`.
    owed: AtomicBool,
    /// Held by who applies changes; why the last sync failed, if it did.
    pub(crate) syncing: Mutex<Option<Arc<CatalogError>>>,
    /// How many syncs have ended, so that who waited for one need not try again.
    pub(crate) syncs: AtomicU64,
}

/// What a caller has to do before it may answer from memory.
#[derive(Debug, PartialEq)]
pub(crate) enum Turn {
    /// Nothing: it is fresh enough, or another syncs.
    Answer,
    /// Sync, then answer even if that failed.
    Sync,
    /// Sync, and refuse if that failed.
    MustSync,
}

impl Fresh {
    pub(crate) fn new(
        poll_every: Duration,
        max_staleness: Duration,
        serve_stale: Duration,
        upkeep: Option<Duration>,
    ) -> Self {
        let late = upkeep.unwrap_or_default().saturating_mul(2);
        // Early enough for one caller to sync before the others may no longer be answered.
        let due_after = late.min(max_staleness.saturating_sub(poll_every));
        Self {
            due_after: nanos_of(due_after.max(poll_every)),
            due_at: AtomicU64::new(0),
            gap: AtomicBool::new(false),
            poll_every: nanos_of(poll_every),
            max_staleness: nanos_of(max_staleness),
            serve_stale_for: nanos_of(serve_stale.max(max_staleness)),
            applied: AtomicU64::new(0),
            synced_at: AtomicU64::new(0),
            claimed_at: AtomicU64::new(0),
            owed: AtomicBool::new(false),
            syncing: Mutex::new(None),
            syncs: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.synced_at.load(Ordering::Acquire))
    }

    /// Is it time to ask the feed again?
    #[inline]
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now >= self.due_at.load(Ordering::Acquire)
    }

    /// Changes are missing. Call with the lock of the syncs.
    pub(crate) fn make_due(&self) {
        self.gap.store(true, Ordering::Release);
        self.due_at.store(0, Ordering::Release);
    }

    /// Whose turn it is, for a caller that may block.
    #[cold]
    pub(crate) fn turn(&self, now: u64) -> Turn {
        let age = self.age(now);
        if age > self.serve_stale_for {
            return Turn::MustSync;
        }
        let mine = self.owed.swap(false, Ordering::AcqRel) || self.claim(now);
        match age > self.max_staleness || mine {
            true => Turn::Sync,
            false => Turn::Answer,
        }
    }

    /// Whether a caller that may not block may answer; one that claims the sync may
    /// not, nor may anybody when memory is too old.
    #[cold]
    pub(crate) fn may_answer(&self, now: u64) -> bool {
        if self.age(now) > self.max_staleness {
            return false;
        }
        if self.claim(now) {
            self.owed.store(true, Ordering::Release);
            return false;
        }
        true
    }

    /// One caller in each `poll_every` gets the claim; who never keeps it loses it
    /// to the next.
    fn claim(&self, now: u64) -> bool {
        if self.gap.swap(false, Ordering::AcqRel) {
            return true;
        }
        let last = self.claimed_at.load(Ordering::Acquire);
        now.saturating_sub(last) >= self.poll_every
            && self
                .claimed_at
                .compare_exchange(last, now, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// Call with the lock of the syncs.
    pub(crate) fn synced(&self, began: u64) {
        self.gap.store(false, Ordering::Release);
        self.synced_at.fetch_max(began, Ordering::AcqRel);
        self.claimed_at.fetch_max(began, Ordering::AcqRel);
        let due_at = began.saturating_add(self.due_after);
        self.due_at.fetch_max(due_at, Ordering::AcqRel);
    }
}

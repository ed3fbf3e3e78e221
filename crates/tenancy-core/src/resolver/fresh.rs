//! The freshness of the resolver's memory, and the choice of the caller that syncs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::catalog::CatalogError;
use crate::clock::nanos_of;
use crate::sync::{AtomicBool, AtomicU64, Mutex};

/// The bounds of freshness in nanoseconds, and the times that they count from.
pub(crate) struct Fresh {
    pub(crate) poll_every: u64,
    /// The bound on the age of an answer while the catalog can be read.
    pub(crate) max_staleness: u64,
    /// The bound on the age of an answer while the catalog cannot be read.
    pub(crate) serve_stale_for: u64,
    /// The version up to which every change was applied.
    pub(crate) applied: AtomicU64,
    /// The time at which the last complete sync began.
    pub(crate) synced_at: AtomicU64,
    /// The time from which a caller checks whether it must sync. It is 0 if changes are missing.
    due_at: AtomicU64,
    /// The time from the last sync until callers sync: `poll_every`, or longer if a thread syncs.
    due_after: u64,
    /// Whether changes are known to be missing, so that the next caller claims a sync.
    gap: AtomicBool,
    claimed_at: AtomicU64,
    /// Whether a `try_resolve` claimed a sync and left it to the next `resolve`.
    owed: AtomicBool,
    /// The lock of syncs, with the error of the last one if it failed.
    pub(crate) syncing: Mutex<Option<Arc<CatalogError>>>,
    /// The number of syncs that have ended. A thread that waited for a sync compares it, and does
    /// not repeat that sync.
    pub(crate) syncs: AtomicU64,
}

/// The duty of a caller before it answers from memory.
#[derive(Debug, PartialEq)]
pub(crate) enum Turn {
    /// The caller answers: the memory is fresh enough, or another caller syncs.
    Answer,
    /// The caller syncs, and answers even if the sync fails.
    Sync,
    /// The caller syncs, and refuses if the sync fails.
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
        // Early enough that one caller syncs before the memory is too old for the other callers.
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

    /// Returns whether it is time to read the feed.
    #[inline]
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now >= self.due_at.load(Ordering::Acquire)
    }

    /// Records that changes are missing. The caller holds the lock of the syncs.
    pub(crate) fn make_due(&self) {
        self.gap.store(true, Ordering::Release);
        self.due_at.store(0, Ordering::Release);
    }

    /// Returns the duty of a caller that may block.
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

    /// Returns whether a caller that must not block may answer. It may not if the memory is too
    /// old, or if the caller has just claimed the sync, which it leaves to the next `resolve`.
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

    /// Claims the sync. If changes are missing, the first caller succeeds at once. Otherwise one
    /// caller succeeds in each `poll_every`, even if an earlier one did not sync.
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

    /// Records a complete sync, which began at `began`. The caller holds the lock of the syncs.
    pub(crate) fn synced(&self, began: u64) {
        self.gap.store(false, Ordering::Release);
        self.synced_at.fetch_max(began, Ordering::AcqRel);
        self.claimed_at.fetch_max(began, Ordering::AcqRel);
        let due_at = began.saturating_add(self.due_after);
        self.due_at.fetch_max(due_at, Ordering::AcqRel);
    }
}

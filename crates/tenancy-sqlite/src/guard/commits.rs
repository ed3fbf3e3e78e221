//! The state of a connection's commits: whether one failed, and the bound on the WAL.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::guard::wal_bound::WalBound;

/// The largest page that SQLite has.
const MAX_PAGE_SIZE: u64 = 65_536;

/// The state of a connection's commits.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    /// Whether a commit or a checkpoint failed.
    failed: AtomicBool,
    bound: OnceLock<WalBound>,
    /// Whether the WAL was within its bound at the last commit, even with the largest pages. Then
    /// its size is not read before the next commit, which saves a quarter of the time of a quick
    /// commit.
    is_short: AtomicBool,
}

impl Commits {
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Sets the bound on the WAL, once.
    pub(crate) fn set_wal_bound(&self, bound: WalBound) {
        let _ = self.bound.set(bound);
    }

    /// Records the length of the WAL after a commit.
    pub(crate) fn set_wal_pages(&self, pages: i32) {
        let most = u64::from(pages.unsigned_abs()) * MAX_PAGE_SIZE;
        let is_short = self.bound.get().is_some_and(|bound| most <= bound.max);
        self.is_short.store(is_short, Ordering::Relaxed);
    }

    /// Returns the bound on the WAL, if the WAL is longer than the bound.
    pub(crate) fn exceeded(&self) -> Option<&WalBound> {
        let bound = self.bound.get();
        bound.filter(|bound| !self.is_short.load(Ordering::Relaxed) && bound.is_exceeded())
    }
}

//! The state of a connection's commits: whether one failed, and the bound on the WAL.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::guard::wal_bound::WalBound;

/// The largest page that SQLite has.
const MAX_PAGE_SIZE: u64 = 65_536;

/// Whether a commit or a checkpoint of a connection failed, and how long its log may be.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    failed: AtomicBool,
    bound: OnceLock<WalBound>,
    /// Was the log far from its bound at the last commit? Then it is not looked at before
    /// the next one, which would cost a quick commit a quarter of its time.
    is_short: AtomicBool,
}

impl Commits {
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Bounds the log, for good.
    pub(crate) fn set_wal_bound(&self, bound: WalBound) {
        let _ = self.bound.set(bound);
    }

    pub(crate) fn has_log_of(&self, pages: i32) {
        let most = u64::from(pages.unsigned_abs()) * MAX_PAGE_SIZE;
        let is_short = self.bound.get().is_some_and(|bound| most <= bound.max);
        self.is_short.store(is_short, Ordering::Relaxed);
    }

    pub(crate) fn passed(&self) -> Option<&WalBound> {
        let bound = self.bound.get();
        bound.filter(|bound| !self.is_short.load(Ordering::Relaxed) && bound.is_passed())
    }
}

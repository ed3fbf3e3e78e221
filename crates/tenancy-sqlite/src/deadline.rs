//! [`Deadline`]: how long statements may run.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Result};

/// After so many steps of SQLite's machine the clock is looked at: some 10 µs of work.
const STEPS: i32 = 1_000;

/// No deadline.
const NEVER: u64 = u64::MAX;

/// Interrupts what runs on a connection after a moment, until it is dropped; see
/// [`SqliteConnection::deadline`].
///
/// [`SqliteConnection::deadline`]: crate::SqliteConnection::deadline
#[must_use = "dropping it ends the deadline"]
#[derive(Debug)]
pub struct Deadline {
    at: Arc<AtomicU64>,
    before: u64,
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.at.store(self.before, Ordering::Relaxed);
    }
}

/// The deadline of one connection, in nanoseconds of [`now`].
#[derive(Debug)]
pub(crate) struct Deadlines(Arc<AtomicU64>);

impl Deadlines {
    /// Watches the statements of a connection. Always, not only with the first deadline:
    /// who sets a handler of his own is then noticed.
    pub(crate) fn watch(connection: &Connection) -> Result<Self> {
        let at = Arc::new(AtomicU64::new(NEVER));
        let watched = at.clone();
        // Must not panic: a handler that does lets the statement go on.
        let late = move || match watched.load(Ordering::Relaxed) {
            NEVER => false,
            at => now() >= at,
        };
        connection.progress_handler(STEPS, Some(late))?;
        Ok(Self(at))
    }

    /// Sets one. An earlier one that is already set stays.
    pub(crate) fn set(&self, after: Duration) -> Deadline {
        let before = self.0.load(Ordering::Relaxed);
        let after = u64::try_from(after.as_nanos()).unwrap_or(NEVER);
        let at = now().saturating_add(after).min(before);
        self.0.store(at, Ordering::Relaxed);
        Deadline {
            at: self.0.clone(),
            before,
        }
    }

    /// Is none set, and is the handler still ours? It owns the other count.
    pub(crate) fn is_clear(&self) -> bool {
        self.0.load(Ordering::Relaxed) == NEVER && Arc::strong_count(&self.0) == 2
    }
}

/// Nanoseconds since the first call in this process; it takes five centuries to overflow.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(NEVER - 1)
}

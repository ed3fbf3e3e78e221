//! [`Deadline`]: how long statements may run.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
pub(crate) struct Deadlines {
    at: Arc<AtomicU64>,
    watched: AtomicBool,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            at: Arc::new(AtomicU64::new(NEVER)),
            watched: AtomicBool::new(false),
        }
    }
}

impl Deadlines {
    /// Sets one. An earlier one that is already set stays.
    pub(crate) fn set(&self, connection: &Connection, after: Duration) -> Result<Deadline> {
        if !self.watched.load(Ordering::Relaxed) {
            let at = self.at.clone();
            // Must not panic: a handler that does lets the statement go on.
            let late = move || now() >= at.load(Ordering::Relaxed);
            connection.progress_handler(STEPS, Some(late))?;
            self.watched.store(true, Ordering::Relaxed);
        }
        let before = self.at.load(Ordering::Relaxed);
        let after = u64::try_from(after.as_nanos()).unwrap_or(NEVER);
        let at = now().saturating_add(after).min(before);
        self.at.store(at, Ordering::Relaxed);
        Ok(Deadline {
            at: self.at.clone(),
            before,
        })
    }

    /// Is none set?
    pub(crate) fn is_clear(&self) -> bool {
        self.at.load(Ordering::Relaxed) == NEVER
    }
}

/// Nanoseconds since the first call in this process; it takes five centuries to overflow.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(NEVER - 1)
}

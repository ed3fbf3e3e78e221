//! [`Deadline`]: the bound on the run time of statements.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rusqlite::limits::Limit;
use rusqlite::{Connection, Error, ErrorCode, Result, ffi};

/// The number of steps of SQLite's machine between two checks of the clock. Most steps take some
/// nanoseconds, but a step that calls a function can take 10 ms.
const STEPS: i32 = 50;

/// The value for no deadline.
const NEVER: u64 = u64::MAX;

/// A deadline for the statements of a connection. It ends when this guard is dropped; see
/// [`SqliteConnection::deadline`].
///
/// [`SqliteConnection::deadline`]: crate::SqliteConnection::deadline
#[must_use = "dropping it ends the deadline"]
#[derive(Debug)]
pub struct Deadline {
    at: DeadlineClock,
    before: u64,
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.at.0.store(self.before, Ordering::Relaxed);
    }
}

/// The clock of a connection's deadline. The callbacks of the connection own clones.
#[derive(Debug, Clone)]
pub(crate) struct DeadlineClock(Arc<AtomicU64>);

impl Default for DeadlineClock {
    /// Returns a clock without a deadline.
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(NEVER)))
    }
}

impl DeadlineClock {
    /// Returns whether the deadline has passed. It must not panic: if a progress handler panics,
    /// the statement continues.
    #[inline]
    pub(crate) fn has_passed(&self) -> bool {
        match self.0.load(Ordering::Relaxed) {
            NEVER => false,
            at => now() >= at,
        }
    }

    /// Returns the error of an interrupt if the deadline has passed.
    pub(crate) fn check(&self) -> Result<()> {
        match self.has_passed() {
            false => Ok(()),
            true => Err(Error::SqliteFailure(
                ffi::Error::new(ffi::SQLITE_INTERRUPT),
                None,
            )),
        }
    }

    /// Interrupts statements of a connection once the deadline has passed.
    pub(crate) fn watch(&self, connection: &Connection) -> Result<()> {
        let watched = self.clone();
        connection.progress_handler(STEPS, Some(move || watched.has_passed()))
    }
}

/// The deadline of a checked-out connection.
#[derive(Debug)]
pub(crate) struct ConnectionDeadline {
    deadline: DeadlineClock,
    /// The number of clones when the connection was opened: a replaced handler or function
    /// drops its own.
    clones: usize,
}

impl ConnectionDeadline {
    /// Returns the deadline of a connection, after all its callbacks have got their clones.
    pub(crate) fn of(deadline: DeadlineClock) -> Self {
        let clones = Arc::strong_count(&deadline.0);
        Self { deadline, clones }
    }

    /// Sets a deadline, unless a deadline that ends earlier is already set.
    pub(crate) fn set(&self, after: Duration) -> Deadline {
        let before = self.deadline.0.load(Ordering::Relaxed);
        let at = moment(after).min(before);
        self.deadline.0.store(at, Ordering::Relaxed);
        Deadline {
            at: self.deadline.clone(),
            before,
        }
    }

    /// Returns whether no deadline is set, and no callback was replaced since the opening.
    pub(crate) fn is_clear(&self) -> bool {
        let set = self.deadline.0.load(Ordering::Relaxed);
        set == NEVER && Arc::strong_count(&self.deadline.0) == self.clones
    }
}

/// The longest time that the library's own reads of a file of unknown origin may take.
const MOST: Duration = Duration::from_secs(2);

/// The longest row and value of such a file, in bytes.
const LONGEST: i32 = 16 << 20;

/// Reads a file of unknown origin on a connection of the library, with at most two seconds of work
/// and rows of at most 16 MiB. The wait for a lock does not count, as the clock starts with the
/// first steps after it; the busy timeout bounds that wait.
pub(crate) fn bounded<R>(connection: &Connection, read: impl FnOnce() -> Result<R>) -> Result<R> {
    let mut began = None;
    let is_late = move || began.get_or_insert_with(Instant::now).elapsed() > MOST;
    connection.progress_handler(STEPS, Some(is_late))?;
    let longest = connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST)?;
    let done = read();
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, longest)?;
    connection.progress_handler(0, None::<fn() -> bool>)?;
    done.map_err(|error| match error.sqlite_error() {
        Some(failure) if failure.code == ErrorCode::OperationInterrupted => {
            let text =
                "its schema and stamp take longer to read than 2 s; look at who made the file";
            Error::SqliteFailure(*failure, Some(text.to_owned()))
        }
        _ => error,
    })
}

fn moment(after: Duration) -> u64 {
    let after = u64::try_from(after.as_nanos()).unwrap_or(NEVER);
    now().saturating_add(after)
}

/// Returns the nanoseconds since the first call in this process, which overflow after five
/// centuries.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(NEVER - 1)
}

//! [`Clock`]: the time that bounds of freshness are measured with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A monotonic clock, injected so that tests can move it.
///
/// The system's is coarse: it steps about every 4 ms and costs a quarter of a
/// precise reading.
///
/// ```
/// use std::time::Duration;
/// use tenancy_core::Clock;
/// let clock = Clock::manual();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(clock.now() - before, Duration::from_secs(2));
/// ```
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    /// Nanoseconds.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The operating system's.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// One that stands still until it is [advanced](Self::advance). Clones share it.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(0))))
    }

    /// Moves a manual clock; the system's moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(nanos) = &self.0 {
            nanos.fetch_add(nanos_of(by), Ordering::Relaxed);
        }
    }

    /// The time since some moment in the past.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    /// [`now`](Self::now) in nanoseconds.
    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        match &self.0 {
            Source::System => {
                let now = clock_gettime(ClockId::MonotonicCoarse);
                now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
            }
            Source::Manual(nanos) => nanos.load(Ordering::Relaxed),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// Whole nanoseconds; what does not fit is as long as makes no difference.
pub(crate) fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

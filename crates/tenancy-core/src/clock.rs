//! [`Clock`]: the clock that freshness is measured with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A monotonic clock that tests can replace by a manual one. It stands still while the machine is
/// [suspended](Self::suspended).
///
/// The clock of the operating system is read in its coarse form, which steps about every 4 ms. A
/// reading costs a quarter of a precise one.
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
    Manual(Arc<Manual>),
}

/// The time of a manual clock, in nanoseconds.
#[derive(Debug, Default)]
struct Manual {
    now: AtomicU64,
    suspended: AtomicU64,
}

impl Clock {
    /// Returns the clock of the operating system.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Returns a clock that stands still until it is [advanced](Self::advance). Clones share
    /// their time.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::default()))
    }

    /// Moves a manual clock forward. Does nothing to the clock of the operating system.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            manual.now.fetch_add(nanos_of(by), Ordering::Relaxed);
        }
    }

    /// Lets a manual clock report a suspension of this duration. [`now`](Self::now) moves by one
    /// nanosecond, so that its readers notice the suspension. Does nothing to the clock of the
    /// operating system.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tenancy_core::Clock;
    /// let clock = Clock::manual();
    /// clock.suspend(Duration::from_secs(3600));
    /// assert!(clock.now() < Duration::from_secs(1));
    /// assert_eq!(clock.suspended(), Duration::from_secs(3600));
    /// ```
    pub fn suspend(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            manual.suspended.fetch_add(nanos_of(by), Ordering::Relaxed);
            self.advance(Duration::from_nanos(1));
        }
    }

    /// Returns the total time that the machine has been suspended since it started, accurate to
    /// some microseconds. [`now`](Self::now) does not include that time. A call costs two
    /// precise readings.
    pub fn suspended(&self) -> Duration {
        match &self.0 {
            Source::System => {
                // In this order the result is never longer than the suspension.
                let with = nanos_by(ClockId::Boottime);
                let without = nanos_by(ClockId::Monotonic);
                Duration::from_nanos(with.saturating_sub(without))
            }
            Source::Manual(manual) => {
                Duration::from_nanos(manual.suspended.load(Ordering::Relaxed))
            }
        }
    }

    /// Returns the time since a fixed moment in the past.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    /// Returns [`now`](Self::now) in nanoseconds.
    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        match &self.0 {
            Source::System => nanos_by(ClockId::MonotonicCoarse),
            Source::Manual(manual) => manual.now.load(Ordering::Relaxed),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

#[inline]
fn nanos_by(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Returns whole nanoseconds, or a quarter of `u64::MAX` (146 years) if they do not fit.
pub(crate) fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suspended_time_stands_still_while_the_system_runs() {
        let clock = Clock::system();
        let (before, began) = (clock.suspended(), std::time::Instant::now());
        std::thread::sleep(Duration::from_millis(20));
        let grown = clock.suspended().saturating_sub(before);
        assert!(grown < began.elapsed() / 2, "{grown:?}");
    }
}

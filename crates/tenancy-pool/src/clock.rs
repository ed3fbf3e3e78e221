//! [`CoarseClock`]: the clock of ages, which runs on while the machine is suspended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tenancy_core::Clock;

use crate::sched::Stamp;

/// A coarse clock that counts suspended time.
///
/// The suspended time is read only where the coarse clock has advanced since its last reading,
/// which it always has after a suspension. So a check-out pays for one comparison.
pub(crate) struct CoarseClock {
    clock: Clock,
    /// The last reading of the clock.
    last: AtomicU64,
    /// The suspended time in nanoseconds.
    suspended: AtomicU64,
}

impl CoarseClock {
    /// The shortest suspension that is counted: the two clocks are not read at the same moment.
    const MIN_SUSPENSION: Duration = Duration::from_millis(100);

    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            last: AtomicU64::new(0),
            suspended: AtomicU64::new(nanos(clock.suspended())),
            clock,
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Stamp {
        let now = Stamp::new(self.clock.now());
        if now.nanos() != self.last.load(Ordering::Relaxed) {
            self.advanced(now);
        }
        now.later(self.suspended.load(Ordering::Relaxed))
    }

    #[cold]
    fn advanced(&self, now: Stamp) {
        let suspended = nanos(self.clock.suspended());
        let before = self.suspended.load(Ordering::Relaxed);
        if suspended.saturating_sub(before) >= nanos(Self::MIN_SUSPENSION) {
            self.suspended.fetch_max(suspended, Ordering::Relaxed);
        }
        // Stored last: a thread that sees this reading does not read the suspended time itself.
        self.last.store(now.nanos(), Ordering::Release);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

//! [`Ages`]: the clock of ages, which goes on while the machine is suspended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tenancy_core::Clock;

use crate::sched::Stamp;

/// The suspensions are asked for where the clock has moved since the last reading: after one
/// it always has. So a check-out pays for a comparison.
pub(crate) struct Ages {
    clock: Clock,
    /// The clock's last reading.
    last: AtomicU64,
    /// Nanoseconds.
    suspended: AtomicU64,
}

impl Ages {
    /// The two clocks are not read at one moment: less than this is no suspension.
    const LEAST: Duration = Duration::from_millis(100);

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
            self.moved(now);
        }
        now.later(self.suspended.load(Ordering::Relaxed))
    }

    #[cold]
    fn moved(&self, now: Stamp) {
        let suspended = nanos(self.clock.suspended());
        let before = self.suspended.load(Ordering::Relaxed);
        if suspended.saturating_sub(before) >= nanos(Self::LEAST) {
            self.suspended.fetch_max(suspended, Ordering::Relaxed);
        }
        // Last: who sees this reading does not ask.
        self.last.store(now.nanos(), Ordering::Release);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

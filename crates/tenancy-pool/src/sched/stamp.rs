//! [`Stamp`]: a reading of the coarse clock in one word.

use std::time::Duration;

/// A reading of the coarse clock, in nanoseconds since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(u64);

impl Stamp {
    #[inline]
    pub(crate) fn new(reading: Duration) -> Self {
        // `as_nanos` would compute in 128 bits, which is measurable here.
        let nanos = reading.as_secs().wrapping_mul(1_000_000_000);
        Self(nanos.wrapping_add(u64::from(reading.subsec_nanos())))
    }

    #[inline]
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(nanos(wait)))
    }

    /// Returns the time since `earlier`, or zero if that is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Stamp {
    #[inline]
    pub(crate) fn nanos(self) -> u64 {
        self.0
    }

    /// Returns the time that is `nanos` later.
    #[inline]
    pub(crate) fn later(self, nanos: u64) -> Self {
        Self(self.0.wrapping_add(nanos))
    }

    #[inline]
    pub(super) fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the time that is `nanos` earlier.
    pub(super) fn before(self, nanos: u64) -> Self {
        Self(self.0.saturating_sub(nanos))
    }
}

/// The bound within which lifetimes differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(most: Duration) -> Self {
        Self(nanos(most))
    }

    /// Picks a jitter from zero to the bound, evenly and without a visible order.
    pub(super) fn pick(self, number: u64) -> u64 {
        // Multiples of the golden ratio modulo 1: neighbours are far apart.
        let fraction = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((u128::from(fraction) * u128::from(self.0)) >> 64) as u64
    }
}

/// An age that is compared on the hot path. An absent age is never reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age(u64);

impl Age {
    pub(super) fn new(age: Option<Duration>) -> Self {
        Self(age.map_or(u64::MAX, nanos))
    }

    #[inline]
    pub(super) fn is_reached(self, since: Stamp, now: Stamp) -> bool {
        now.0.saturating_sub(since.0) >= self.0
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

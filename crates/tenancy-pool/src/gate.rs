//! [`Gate`]: few connections are opened and closed at a time.

use std::time::Duration;

use crate::sync::{Moment, Mutex, Signal};

/// Opening costs the processor: more at a time than there are processors only makes
/// each slower (measured: three to four times the p99). But one that hangs on a
/// network must not keep others out, so nobody waits here for longer than this.
const PATIENCE: Duration = Duration::from_millis(20);

pub(crate) struct Gate {
    free: Mutex<u32>,
    signal: Signal,
}

impl Gate {
    pub(crate) fn new(width: u32) -> Self {
        Self {
            free: Mutex::new(width),
            signal: Signal::default(),
        }
    }

    /// Waits until few enough are inside, or [`PATIENCE`] or the time of who waits is over.
    pub(crate) fn pass(&self, until: Option<Moment>) -> Pass<'_> {
        let mut free = self.free.lock();
        if *free == 0 {
            let deadline = Moment::now().after(PATIENCE);
            let deadline = until.map_or(deadline, |until| until.min(deadline));
            let mut late = false;
            while *free == 0 && !late {
                (free, late) = self.signal.wait_until(free, deadline);
            }
        }
        let counted = *free > 0;
        *free -= u32::from(counted);
        Pass {
            gate: self,
            counted,
        }
    }
}

/// Somebody is inside until it is dropped.
pub(crate) struct Pass<'g> {
    gate: &'g Gate,
    counted: bool,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.counted {
            *self.gate.free.lock() += 1;
            self.gate.signal.notify();
        }
    }
}

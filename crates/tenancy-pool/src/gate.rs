//! [`Gate`]: the bound on connections that are opened or closed at a time.

use std::time::Duration;

use crate::sync::{Moment, Mutex, Signal};

/// The longest wait at the gate. A connect that hangs on a network must not keep others out.
const PATIENCE: Duration = Duration::from_millis(20);

/// A bound on the connections that are opened or closed at a time.
///
/// Opening a connection is work for the processor: with more at a time than processors each takes
/// longer (measured: three to four times the p99).
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

    /// Waits for a free place, at most until the deadline and for [`PATIENCE`].
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

/// A place at the gate until it is dropped; counted only if it was free.
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

//! [`Until`]: the time that a check-out may take.

use std::time::Duration;

use crate::sync::Moment;

/// The deadline of a check-out, for its waits and for the steps that it does itself.
#[derive(Clone, Copy)]
pub(crate) struct Until {
    began: Moment,
    pub(crate) deadline: Moment,
    /// With a time-out of zero it waits for nobody, but does what has to be done.
    waits: bool,
}

impl Until {
    pub(crate) fn after(timeout: Duration) -> Self {
        let began = Moment::now();
        Self {
            began,
            deadline: began.after(timeout),
            waits: !timeout.is_zero(),
        }
    }

    /// Is there no time for another step?
    pub(crate) fn is_over(&self) -> bool {
        self.waits && Moment::now() >= self.deadline
    }

    pub(crate) fn waited(&self) -> Duration {
        self.began.elapsed()
    }
}

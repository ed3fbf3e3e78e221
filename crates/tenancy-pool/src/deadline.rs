//! [`Deadline`]: the end of the time that a check-out may take.

use std::time::Duration;

use crate::sync::Moment;

/// The deadline of a check-out, for its wait and for its own steps.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    began: Moment,
    pub(crate) at: Moment,
    /// With a time-out of zero a check-out does not wait, but it does all its steps.
    bounds_steps: bool,
}

impl Deadline {
    pub(crate) fn after(timeout: Duration) -> Self {
        let began = Moment::now();
        Self {
            began,
            at: began.after(timeout),
            bounds_steps: !timeout.is_zero(),
        }
    }

    /// Returns whether no further step may begin.
    pub(crate) fn has_passed(&self) -> bool {
        self.bounds_steps && Moment::now() >= self.at
    }

    pub(crate) fn waited(&self) -> Duration {
        self.began.elapsed()
    }
}

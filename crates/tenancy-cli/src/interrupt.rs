//! Ctrl-C: the work at hand is finished, what was done is said.

use std::sync::LazyLock;

use tenancy::Stop;

use crate::failure::Failure;

static STOP: LazyLock<Stop> = LazyLock::new(Stop::new);

/// From now on the first Ctrl-C is a wish that [`requested`] tells. A second one ends
/// the process: nothing that it is in the middle of is harmed by that, it is only not
/// said what was done.
pub fn watch() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        if STOP.is_asked() {
            std::process::exit(1);
        }
        STOP.now();
    })
    .map_err(|error| Failure::Refused(error.into()))
}

/// Has somebody asked for the end?
pub fn requested() -> bool {
    STOP.is_asked()
}

/// The wish, for those who look for it themselves.
pub fn stop() -> Stop {
    STOP.clone()
}

//! Ctrl-C: the work at hand is finished, what was done is said.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

static STOP: AtomicBool = AtomicBool::new(false);

/// From now on the first Ctrl-C is a wish that [`requested`] tells. A second one ends
/// the process.
pub fn watch() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
    })
    .map_err(|error| Failure::Refused(error.into()))
}

/// Has somebody asked for the end?
pub fn requested() -> bool {
    STOP.load(Ordering::Relaxed)
}

//! Ctrl-C: the work at hand is finished, what was done is said.

use std::process;
use std::sync::LazyLock;

use tenancy::fleet::Stop;

use crate::failure::Failure;

static STOP: LazyLock<Stop> = LazyLock::new(Stop::new);

/// From now on the first Ctrl-C is a wish that [`requested`] tells. A second one ends
/// the process: nothing that it is in the middle of is harmed by that, it is only not
/// said what was done.
pub fn watch() -> Result<(), Failure> {
    handle(|| {
        if STOP.is_requested() {
            process::exit(1);
        }
        STOP.request();
    })
}

/// From now on Ctrl-C ends the process, with these words for how it stands then: where
/// the library waits for others, or only reads, and dies as harmlessly at any step.
pub fn ends_with(words: String) -> Result<(), Failure> {
    handle(move || {
        Failure::refused(&words).say();
        process::exit(1);
    })
}

fn handle(handler: impl Fn() + Send + 'static) -> Result<(), Failure> {
    ctrlc::set_handler(handler).map_err(|error| Failure::Refused(error.into()))
}

/// Has somebody asked for the end?
pub fn requested() -> bool {
    STOP.is_requested()
}

/// The wish, for those who look for it themselves.
pub fn stop() -> Stop {
    STOP.clone()
}

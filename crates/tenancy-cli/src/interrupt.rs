//! Ctrl-C: work in progress is finished, and the result is reported.

use std::process;
use std::sync::LazyLock;

use tenancy::fleet::Stop;

use crate::failure::Failure;

static STOP: LazyLock<Stop> = LazyLock::new(Stop::new);

/// From now on the first Ctrl-C is a request that [`requested`] returns. A second one ends
/// the process; no data is harmed by that, but the result is not reported.
pub fn watch() -> Result<(), Failure> {
    handle(|| {
        if STOP.is_requested() {
            process::exit(1);
        }
        STOP.request();
    })
}

/// From now on Ctrl-C ends the process with this message, for stretches in which the library
/// waits or reads, so that an end at any step is harmless.
pub fn ends_with(words: String) -> Result<(), Failure> {
    handle(move || {
        Failure::refused(&words).say();
        process::exit(1);
    })
}

fn handle(handler: impl Fn() + Send + 'static) -> Result<(), Failure> {
    ctrlc::set_handler(handler).map_err(|error| Failure::Refused(error.into()))
}

/// Returns whether Ctrl-C was pressed.
pub fn requested() -> bool {
    STOP.is_requested()
}

/// Returns the stop signal, for operations that check it themselves.
pub fn stop() -> Stop {
    STOP.clone()
}

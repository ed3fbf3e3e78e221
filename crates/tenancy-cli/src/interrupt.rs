//! The handling of Ctrl-C.

use std::process;
use std::sync::LazyLock;

use tenancy::fleet::Stop;

use crate::failure::Failure;

static STOP: LazyLock<Stop> = LazyLock::new(Stop::new);

/// Makes the first Ctrl-C request a stop: [`requested`] then returns true, and work in progress is
/// finished and reported. The second Ctrl-C ends the process without a report; it damages no data.
pub fn watch() -> Result<(), Failure> {
    handle(|| {
        if STOP.is_requested() {
            process::exit(1);
        }
        STOP.request();
    })
}

/// Makes Ctrl-C end the process with this message, for operations that can be ended at any step.
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

/// Returns the stop signal, for operations that check it.
pub fn stop() -> Stop {
    STOP.clone()
}

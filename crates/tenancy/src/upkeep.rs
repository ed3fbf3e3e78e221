//! What has to be done from time to time, and who does it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Error;

/// Who calls [`Tenancy::maintain`](crate::Tenancy::maintain).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upkeep {
    /// A thread of the library's own, so often; the default, every 500 ms. It ends
    /// with the last handle. A stock of ready databases has a second one.
    Every(Duration),
    /// The application.
    Manual,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self::Every(Duration::from_millis(500))
    }
}

/// The thread; dropping this ends it and waits for the round it is in.
#[derive(Debug)]
pub(crate) struct Thread {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    pub(crate) fn start(every: Duration, round: impl Fn() + Send + 'static) -> Result<Self, Error> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("tenancy-maintain".to_owned())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
                    // A catalog or driver that panics once does not end the upkeep.
                    let _ = catch_unwind(AssertUnwindSafe(&round));
                }
            })
            .map_err(Error::Thread)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop = None;
        let own = std::thread::current().id();
        // An observer may hold the last handle: then this is the thread itself.
        let thread = self
            .thread
            .take()
            .filter(|thread| thread.thread().id() != own);
        // A round that panicked has ended the thread already.
        let _ = thread.map(JoinHandle::join);
    }
}

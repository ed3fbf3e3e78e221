//! The upkeep: periodic work, and the threads that run it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Error;

/// The caller of [`Tenancy::maintain`](crate::Tenancy::maintain).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upkeep {
    /// A thread of the library does the work at this interval. A second thread fills the warm pool,
    /// if there is one. The threads end when the last [`Tenancy`](crate::Tenancy) is dropped. This
    /// is the default, with 500 ms.
    Every(Duration),
    /// The application calls `maintain`.
    Manual,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self::Every(Duration::from_millis(500))
    }
}

/// A thread of the upkeep. Dropping this ends the thread after its current round.
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
        // If an observer held the last handle, this code runs on the thread itself, which cannot
        // join itself.
        let thread = self
            .thread
            .take()
            .filter(|thread| thread.thread().id() != own);
        // A panic of the thread is not passed on.
        let _ = thread.map(JoinHandle::join);
    }
}

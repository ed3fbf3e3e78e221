//! [`Mailbox`]: the place where a thread or a task waits for a message.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};

use crate::sync::{Moment, Mutex, Signal};

/// Room for one message, with a reader that waits for it: a thread, or a task that left its waker.
///
/// The message is written first, and the reader is woken later, outside the scheduler's lock: a
/// wake-up is a system call.
pub(crate) struct Mailbox<T> {
    inside: Mutex<Inside<T>>,
    signal: Signal,
}

struct Inside<T> {
    message: Option<T>,
    reader: Option<Waker>,
}

impl<T> Mailbox<T> {
    pub(crate) fn new() -> Self {
        let inside = Inside {
            message: None,
            reader: None,
        };
        Self {
            inside: Mutex::new(inside),
            signal: Signal::default(),
        }
    }

    /// Puts a message in, and returns the one that it replaces.
    pub(crate) fn put(&self, message: T) -> Option<T> {
        self.inside.lock().message.replace(message)
    }

    /// Puts a message in if there is none; returns whether it did.
    pub(crate) fn offer(&self, message: T) -> bool {
        let mut inside = self.inside.lock();
        let free = inside.message.is_none();
        if free {
            inside.message = Some(message);
        }
        free
    }

    /// Wakes the reader. A waker is foreign code: it is called outside every lock, and a panic in
    /// it ends here, so that other readers are woken.
    pub(crate) fn wake(&self) {
        let reader = self.inside.lock().reader.take();
        match reader {
            None => self.signal.notify(),
            Some(reader) => _ = catch_unwind(AssertUnwindSafe(|| reader.wake())),
        }
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.inside.lock().message.take()
    }

    /// Takes the message if it meets a condition.
    pub(crate) fn take_if(&self, which: impl FnOnce(&T) -> bool) -> Option<T> {
        self.inside.lock().message.take_if(|message| which(message))
    }

    /// Waits for a message until the deadline. A message that comes at the deadline is returned.
    pub(crate) fn wait_until(&self, deadline: Moment) -> Option<T> {
        let mut inside = self.inside.lock();
        let mut late = false;
        while inside.message.is_none() && !late {
            (inside, late) = self.signal.wait_until(inside, deadline);
        }
        inside.message.take()
    }

    /// Takes the message, or leaves the waker of the task that waits for it.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<T> {
        let known = |reader: &Option<Waker>| reader.as_ref().is_some_and(|r| r.will_wake(waker));
        let mut inside = self.inside.lock();
        if inside.message.is_none() && !known(&inside.reader) {
            // Cloning and dropping a waker run foreign code, too.
            drop(inside);
            let reader = waker.clone();
            inside = self.inside.lock();
            let last = inside.reader.replace(reader);
            let message = inside.message.take();
            drop(inside);
            drop(last);
            return message.map_or(Poll::Pending, Poll::Ready);
        }
        inside.message.take().map_or(Poll::Pending, Poll::Ready)
    }

    #[cfg(all(test, not(shuttle)))]
    pub(crate) fn has(&self, which: impl FnOnce(&T) -> bool) -> bool {
        self.inside.lock().message.as_ref().is_some_and(which)
    }
}

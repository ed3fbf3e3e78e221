//! [`Mailbox`]: where somebody waits for news.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};

use crate::sync::{Moment, Mutex, Signal};

/// Room for one piece of news. It is written first and its reader woken later, by
/// whoever wrote it: so nobody is woken, which costs a call into the kernel, while a
/// lock is held that others want. The reader is a thread, or a task that left its waker.
pub(crate) struct Mailbox<T> {
    inside: Mutex<Inside<T>>,
    signal: Signal,
}

struct Inside<T> {
    news: Option<T>,
    reader: Option<Waker>,
}

impl<T> Mailbox<T> {
    pub(crate) fn new() -> Self {
        let inside = Inside {
            news: None,
            reader: None,
        };
        Self {
            inside: Mutex::new(inside),
            signal: Signal::default(),
        }
    }

    /// Puts news in and returns what was there.
    pub(crate) fn put(&self, news: T) -> Option<T> {
        self.inside.lock().news.replace(news)
    }

    /// Puts news in if there is none; says whether it did.
    pub(crate) fn offer(&self, news: T) -> bool {
        let mut inside = self.inside.lock();
        let free = inside.news.is_none();
        if free {
            inside.news = Some(news);
        }
        free
    }

    /// A waker is the user's: it is called outside every lock, and a panic in it keeps
    /// nobody else from being woken.
    pub(crate) fn wake(&self) {
        let reader = self.inside.lock().reader.take();
        match reader {
            None => self.signal.notify(),
            Some(reader) => _ = catch_unwind(AssertUnwindSafe(|| reader.wake())),
        }
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.inside.lock().news.take()
    }

    /// Takes news of this kind.
    pub(crate) fn take_if(&self, which: impl FnOnce(&T) -> bool) -> Option<T> {
        self.inside.lock().news.take_if(|news| which(news))
    }

    /// Waits for news until the deadline. What comes together with it counts.
    pub(crate) fn wait_until(&self, deadline: Moment) -> Option<T> {
        let mut inside = self.inside.lock();
        let mut late = false;
        while inside.news.is_none() && !late {
            (inside, late) = self.signal.wait_until(inside, deadline);
        }
        inside.news.take()
    }

    /// Takes news, or leaves the waker of the task that wants it in place of the last one.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<T> {
        let known = |reader: &Option<Waker>| reader.as_ref().is_some_and(|r| r.will_wake(waker));
        let mut inside = self.inside.lock();
        if inside.news.is_none() && !known(&inside.reader) {
            // Cloning and dropping one is the user's, too.
            drop(inside);
            let reader = waker.clone();
            inside = self.inside.lock();
            let last = inside.reader.replace(reader);
            let news = inside.news.take();
            drop(inside);
            drop(last);
            return news.map_or(Poll::Pending, Poll::Ready);
        }
        inside.news.take().map_or(Poll::Pending, Poll::Ready)
    }

    #[cfg(all(test, not(shuttle)))]
    pub(crate) fn has(&self, which: impl FnOnce(&T) -> bool) -> bool {
        self.inside.lock().news.as_ref().is_some_and(which)
    }
}

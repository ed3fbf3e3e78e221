//! [`Mailbox`]: where somebody waits for news.

use crate::sync::{Moment, Mutex, Signal};

/// Room for one piece of news. It is written first and its reader woken later, by
/// whoever wrote it: so nobody is woken, which costs a call into the kernel, while a
/// lock is held that others want.
pub(crate) struct Mailbox<T> {
    news: Mutex<Option<T>>,
    signal: Signal,
}

impl<T> Mailbox<T> {
    pub(crate) fn new() -> Self {
        Self {
            news: Mutex::new(None),
            signal: Signal::default(),
        }
    }

    /// Puts news in and returns what was there.
    pub(crate) fn put(&self, news: T) -> Option<T> {
        self.news.lock().replace(news)
    }

    /// Puts news in if there is none; says whether it did.
    pub(crate) fn offer(&self, news: T) -> bool {
        let mut slot = self.news.lock();
        let free = slot.is_none();
        if free {
            *slot = Some(news);
        }
        free
    }

    pub(crate) fn wake(&self) {
        self.signal.notify();
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.news.lock().take()
    }

    /// Takes news of this kind.
    pub(crate) fn take_if(&self, which: impl FnOnce(&T) -> bool) -> Option<T> {
        self.news.lock().take_if(|news| which(news))
    }

    /// Waits for news until the deadline. What comes together with it counts.
    pub(crate) fn wait_until(&self, deadline: Moment) -> Option<T> {
        let mut slot = self.news.lock();
        let mut late = false;
        while slot.is_none() && !late {
            (slot, late) = self.signal.wait_until(slot, deadline);
        }
        slot.take()
    }

    #[cfg(all(test, not(shuttle)))]
    pub(crate) fn has(&self, which: impl FnOnce(&T) -> bool) -> bool {
        self.news.lock().as_ref().is_some_and(which)
    }
}

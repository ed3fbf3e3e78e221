//! [`Timer`]: the deadlines of tasks that wait.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::sync::{Moment, Mutex, Signal, spawn};

/// A timer that passes alarms on when they are due.
///
/// Its thread starts with the first alarm and ends when the timer is closed.
pub(crate) struct Timer<A> {
    due: Mutex<Due<A>>,
    signal: Signal,
}

struct Due<A> {
    alarms: BTreeMap<AlarmId, A>,
    last: u64,
    started: bool,
    closed: bool,
}

/// The time of an alarm, and its number: several may be due at one time.
pub(crate) type AlarmId = (Moment, u64);

impl<A: Send + 'static> Timer<A> {
    pub(crate) fn new() -> Self {
        Self {
            due: Mutex::new(Due {
                alarms: BTreeMap::new(),
                last: 0,
                started: false,
                closed: false,
            }),
            signal: Signal::default(),
        }
    }

    /// Sets an alarm. The first call starts the thread, which passes each alarm that is due to what
    /// `start` returns, until that returns false.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be started.
    pub(crate) fn set<R>(
        self: &Arc<Self>,
        at: Moment,
        alarm: A,
        start: impl FnOnce() -> R,
    ) -> io::Result<AlarmId>
    where
        R: FnMut(&A) -> bool + Send + 'static,
    {
        let mut due = self.due.lock();
        if !due.started {
            let (timer, ring) = (self.clone(), start());
            spawn("tenancy-seats", move || timer.run(ring))?;
            due.started = true;
        }
        due.last += 1;
        let id = (at, due.last);
        due.alarms.insert(id, alarm);
        let first = due.alarms.first_key_value();
        let is_first = first.is_some_and(|(first, _)| *first == id);
        drop(due);
        if is_first {
            self.signal.notify();
        }
        Ok(id)
    }

    /// Cancels an alarm, and drops it outside the lock: it may have a waker in it.
    pub(crate) fn cancel(&self, id: AlarmId) {
        let alarm = self.due.lock().alarms.remove(&id);
        drop(alarm);
    }

    /// Ends the thread.
    pub(crate) fn close(&self) {
        self.due.lock().closed = true;
        self.signal.notify();
    }

    fn run(&self, mut ring: impl FnMut(&A) -> bool) {
        while let Some(alarm) = self.next()
            && ring(&alarm)
        {}
    }

    /// Waits for the next alarm. Returns `None` if the timer was closed.
    fn next(&self) -> Option<A> {
        let mut due = self.due.lock();
        let mut passed = None;
        while !due.closed {
            let first = match due.alarms.first_entry() {
                Some(first) if passed.is_some_and(|passed| first.key().0 <= passed) => {
                    return Some(first.remove());
                }
                first => first.map(|first| first.key().0),
            };
            let at = first.unwrap_or_else(Moment::never);
            let (guard, late) = self.signal.wait_until(due, at);
            (due, passed) = (guard, late.then_some(at));
        }
        None
    }
}

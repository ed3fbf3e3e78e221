//! [`Timer`]: the deadlines of those who wait without a thread.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};

use crate::driver::Driver;
use crate::pools::{Inner, Lent, Source};
use crate::sched::{Key, Waiting};
use crate::sync::{Moment, Mutex, Signal, spawn};

/// Wakes futures in time. Its thread starts with the first of them and ends with the
/// pools; it opens, closes and asks nothing.
pub(crate) struct Timer<D: Driver> {
    due: Mutex<Due<D>>,
    signal: Signal,
}

struct Due<D: Driver> {
    alarms: BTreeMap<Id, Alarm<D>>,
    last: u64,
    started: bool,
    closed: bool,
}

/// When an alarm rings, and its number: several may ring at a time.
pub(crate) type Id = (Moment, u64);

/// One that waits, and what it is to be told.
pub(crate) struct Alarm<D: Driver> {
    pub(crate) key: Key,
    pub(crate) waiting: Arc<Waiting<Lent<D>, Arc<Source<D>>>>,
    pub(crate) what: What,
}

pub(crate) enum What {
    /// Its time is up.
    Deadline,
    /// A failure to connect may be forgotten by now.
    LookAgain,
}

impl<D: Driver> Timer<D> {
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

    /// Sets an alarm.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn set(
        self: &Arc<Self>,
        pools: &Arc<Inner<D>>,
        at: Moment,
        alarm: Alarm<D>,
    ) -> io::Result<Id> {
        let mut due = self.due.lock();
        if !due.started {
            let (timer, pools) = (self.clone(), Arc::downgrade(pools));
            spawn("tenancy-seats", move || timer.keep(&pools))?;
            due.started = true;
        }
        due.last += 1;
        let id = (at, due.last);
        due.alarms.insert(id, alarm);
        let sooner = due
            .alarms
            .first_key_value()
            .is_some_and(|(first, _)| *first == id);
        drop(due);
        if sooner {
            self.signal.notify();
        }
        Ok(id)
    }

    /// Takes an alarm back; it is dropped outside the lock, with the waker in it.
    pub(crate) fn cancel(&self, id: Id) {
        let alarm = self.due.lock().alarms.remove(&id);
        drop(alarm);
    }

    /// The pools go: ends the thread.
    pub(crate) fn close(&self) {
        self.due.lock().closed = true;
        self.signal.notify();
    }

    fn keep(&self, pools: &Weak<Inner<D>>) {
        while let Some(alarm) = self.next()
            && let Some(pools) = pools.upgrade()
        {
            pools.ring(&alarm);
        }
    }

    /// Waits for the next alarm; none if the pools are gone.
    fn next(&self) -> Option<Alarm<D>> {
        let mut due = self.due.lock();
        let mut passed = None;
        while !due.closed {
            let first = due.alarms.first_entry();
            let first = match first {
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

impl<D: Driver> Inner<D> {
    fn ring(&self, alarm: &Alarm<D>) {
        let now = self.now();
        self.decide(|sched| match alarm.what {
            What::Deadline => sched.give_up(alarm.key, &alarm.waiting, now),
            What::LookAgain => sched.remind(alarm.key, &alarm.waiting),
        });
    }
}

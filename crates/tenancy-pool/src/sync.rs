//! Locks, threads and clocks, which a model checker replaces by its own (`--cfg shuttle`).

#[cfg(not(shuttle))]
pub(crate) use real::*;

#[cfg(shuttle)]
pub(crate) use model::*;

#[cfg(not(shuttle))]
mod real {
    use std::cell::Cell;
    use std::io;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use parking_lot::Condvar;
    pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};

    /// A condition variable with one waiter.
    #[derive(Default)]
    pub(crate) struct Signal(Condvar);

    impl Signal {
        pub(crate) fn notify(&self) {
            self.0.notify_one();
        }

        /// Releases the lock until it is notified or the deadline passes. Returns whether the
        /// deadline passed.
        pub(crate) fn wait_until<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            deadline: Moment,
        ) -> (MutexGuard<'a, T>, bool) {
            let late = self.0.wait_until(&mut guard, deadline.0).timed_out();
            (guard, late)
        }
    }

    /// A point in time, to the nanosecond.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Moment(Instant);

    impl Moment {
        pub(crate) fn now() -> Self {
            Self(Instant::now())
        }

        /// Returns the time after `wait`, or after a year where the clock cannot represent it.
        pub(crate) fn after(self, wait: Duration) -> Self {
            const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
            Self(self.0.checked_add(wait).unwrap_or(self.0 + YEAR))
        }

        /// Returns a time that is never reached.
        pub(crate) fn never() -> Self {
            Self::now().after(Duration::MAX)
        }

        /// Returns the time after `wait`; in a model it is always reached.
        pub(crate) fn surely_after(self, wait: Duration) -> Self {
            self.after(wait)
        }

        pub(crate) fn elapsed(self) -> Duration {
            self.0.elapsed()
        }

        pub(crate) fn is_older_than(self, age: Duration) -> bool {
            age.is_zero() || self.elapsed() >= age
        }
    }

    /// Starts a detached thread.
    ///
    /// # Errors
    /// Returns an error, and drops `work`, if the system refuses a thread.
    pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let named = std::thread::Builder::new().name(name.into());
        named.spawn(work).map(drop)
    }

    thread_local! {
        /// The number of this thread, 0 while it has none.
        static NUMBER: Cell<u32> = const { Cell::new(0) };
        /// The number of connections of all pools that this thread holds or opens.
        static HELD: Cell<usize> = const { Cell::new(0) };
    }

    static LAST_NUMBER: AtomicU32 = AtomicU32::new(0);

    /// Returns the number of this thread. Numbers repeat after four billion threads.
    #[inline]
    pub(crate) fn this_thread() -> u32 {
        let number = |number: &Cell<u32>| match number.get() {
            0 => {
                number.set(LAST_NUMBER.fetch_add(1, Ordering::Relaxed).wrapping_add(1));
                number.get()
            }
            number => number,
        };
        NUMBER.try_with(number).unwrap_or(0)
    }

    /// Changes the number of connections that this thread holds, and returns the number before. A
    /// guard may outlive the locals of its thread: then the number is of no use any more.
    #[inline]
    pub(crate) fn held(change: isize) -> usize {
        let change = |held: &Cell<usize>| held.replace(held.get().wrapping_add_signed(change));
        HELD.try_with(change).unwrap_or(0)
    }
}

#[cfg(shuttle)]
mod model {
    use std::cell::Cell;
    use std::io;
    use std::time::Duration;

    use shuttle::rand::Rng;
    pub(crate) use shuttle::sync::MutexGuard;

    /// The lock of `shuttle` without its poison: the pools restore their state on panic.
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(|poison| poison.into_inner())
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0
                .get_mut()
                .unwrap_or_else(|poison| poison.into_inner())
        }
    }

    /// The reader-writer lock of `shuttle` without its poison.
    pub(crate) struct RwLock<T>(shuttle::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> shuttle::sync::RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(|poison| poison.into_inner())
        }

        pub(crate) fn write(&self) -> shuttle::sync::RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(|poison| poison.into_inner())
        }
    }

    /// A condition variable with one waiter, whose deadlines are random.
    ///
    /// The `wait_timeout` of `shuttle` never times out, so a deadline passes either at once or
    /// never. A thread that waits for ever has lost a wake-up, and `shuttle` reports the deadlock.
    #[derive(Default)]
    pub(crate) struct Signal(shuttle::sync::Condvar);

    impl Signal {
        pub(crate) fn notify(&self) {
            self.0.notify_one();
        }

        pub(crate) fn wait_until<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            deadline: Moment,
        ) -> (MutexGuard<'a, T>, bool) {
            let late = match deadline {
                Moment::Soon => shuttle::rand::thread_rng().gen_bool(0.5),
                Moment::Surely => true,
                Moment::Now | Moment::Never => false,
            };
            if late {
                return (guard, true);
            }
            let guard = self.0.wait(guard);
            (guard.unwrap_or_else(|poison| poison.into_inner()), false)
        }
    }

    /// A stand-in for time: a deadline under a minute may pass, others never do.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) enum Moment {
        Now,
        Surely,
        Soon,
        Never,
    }

    impl Moment {
        pub(crate) fn now() -> Self {
            Self::Now
        }

        pub(crate) fn after(self, wait: Duration) -> Self {
            match wait < Duration::from_secs(60) {
                true => Self::Soon,
                false => Self::Never,
            }
        }

        pub(crate) fn surely_after(self, _: Duration) -> Self {
            Self::Surely
        }

        pub(crate) fn never() -> Self {
            Self::Never
        }

        pub(crate) fn elapsed(self) -> Duration {
            Duration::ZERO
        }

        pub(crate) fn is_older_than(self, age: Duration) -> bool {
            age.is_zero() || shuttle::rand::thread_rng().gen_bool(0.5)
        }
    }

    pub(crate) fn spawn(_: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        shuttle::thread::spawn(work);
        Ok(())
    }

    shuttle::thread_local! {
        static HELD: Cell<usize> = Cell::new(0);
    }

    pub(crate) fn this_thread() -> u32 {
        usize::from(shuttle::current::me()) as u32 + 1
    }

    pub(crate) fn held(change: isize) -> usize {
        let change = |held: &Cell<usize>| held.replace(held.get().wrapping_add_signed(change));
        HELD.try_with(change).unwrap_or(0)
    }
}

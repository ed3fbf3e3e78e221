//! [`Shared`]: the state that the pools, their check-outs and their seats share.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tenancy_core::{Event, Observers, Tenant, TenantId};

use crate::clock::CoarseClock;
use crate::config::{Config, MaxPerTenant, Timing};
use crate::driver::{Driver, Eviction};
use crate::error::{CheckoutError, ErrorOf};
use crate::gate::Gate;
use crate::holders::{Holder, Holders};
use crate::label::Label;
use crate::live::{BoxedLive, DiscardedOf, Live, Scheduler, WaitingOf};
use crate::sched::{Caller, HeldConnection, Refusal, Request, Sched, SlotKey, Stamp};
use crate::slot_index::SlotIndex;
use crate::sync::{Moment, Mutex, this_thread};
use crate::timer::{AlarmId, Timer};

/// The state that the pools, their check-outs and their seats share.
pub(crate) struct Shared<D: Driver> {
    sched: Mutex<Scheduler<D>>,
    pub(crate) slots: SlotIndex,
    pub(crate) gate: Gate,
    timer: Arc<Timer<Alarm<D>>>,
    pub(crate) driver: D,
    pub(crate) max: u32,
    pub(crate) max_waiters: usize,
    max_per_tenant: u32,
    max_per_tenant_by: Option<MaxPerTenant>,
    pub(crate) timing: Timing,
    pub(crate) observers: Observers,
    clock: CoarseClock,
    /// The nanoseconds that check-outs waited.
    waited: AtomicU64,
    /// The time at which leaks were last reported.
    leaks_reported: Mutex<Stamp>,
}

/// The deadline of a waiting task, or the time at which it has to retry.
pub(crate) struct Alarm<D: Driver> {
    pub(crate) key: SlotKey,
    pub(crate) waiting: WaitingOf<D>,
    pub(crate) kind: AlarmKind,
}

/// The kind of an alarm.
pub(crate) enum AlarmKind {
    Deadline,
    /// A backoff has ended.
    Retry,
}

/// The way to close a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseMode {
    /// A check-out or its return waits for the close: the driver leaves long work to upkeep.
    Evict,
    /// The close was requested: no work is left.
    Complete,
}

impl CloseMode {
    /// Returns the mode for a connection whose check-out was refused. A closed tenant leaves no
    /// work.
    pub(crate) fn for_refusal(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Closed => Self::Complete,
            _ => Self::Evict,
        }
    }
}

impl<D: Driver> Shared<D> {
    pub(crate) fn new(driver: D, config: Config) -> Self {
        let clock = CoarseClock::new(config.clock);
        Self {
            max: config.limits.max,
            max_waiters: config.limits.max_waiters,
            sched: Mutex::new(Sched::new(config.limits)),
            slots: SlotIndex::new(),
            gate: Gate::new(config.max_opening),
            timer: Arc::new(Timer::new()),
            driver,
            max_per_tenant: config.max_per_tenant,
            max_per_tenant_by: config.max_per_tenant_by,
            timing: config.timing,
            observers: config.observers,
            leaks_reported: Mutex::new(clock.now()),
            clock,
            waited: AtomicU64::new(0),
        }
    }

    /// Runs `work` under the lock, and afterwards wakes the waiters that it granted something.
    /// `work` returns what is to be dropped, so that it is dropped outside the lock.
    #[inline]
    pub(crate) fn decide<T>(&self, work: impl FnOnce(&mut Scheduler<D>) -> T) -> T {
        let mut sched = self.sched.lock();
        let decided = work(&mut sched);
        if !sched.wakes.is_empty() {
            let wakes = std::mem::take(&mut sched.wakes);
            drop(sched);
            wakes.iter().for_each(|waiting| waiting.mail.wake());
        }
        decided
    }

    #[inline]
    pub(crate) fn now(&self) -> Stamp {
        self.clock.now()
    }

    /// Returns the bound of a tenant.
    pub(crate) fn max_of(&self, tenant: &Tenant) -> u32 {
        let Some(max_per_tenant_by) = &self.max_per_tenant_by else {
            return self.max_per_tenant;
        };
        max_per_tenant_by(tenant).clamp(1, self.max)
    }

    /// Returns the slot of a tenant; adds it if there is none.
    pub(crate) fn slot(&self, id: &TenantId) -> SlotKey {
        self.slots.find(id).unwrap_or_else(|| {
            let key = self.decide(|sched| sched.add(id.clone()));
            match self.slots.insert(id, key) {
                Ok(()) => key,
                Err(theirs) => {
                    self.decide(|sched| sched.forget(key));
                    theirs
                }
            }
        })
    }

    /// Returns the request of this thread for a connection of a tenant. `key` is the tenant's slot
    /// if the caller knows it.
    ///
    /// # Errors
    /// Returns an error if another tenant is current on this thread.
    #[inline]
    pub(crate) fn request(
        &self,
        tenant: &Tenant,
        key: Option<SlotKey>,
        label: Label,
    ) -> Result<Request, ErrorOf<D>> {
        self.refuse_other(tenant)?;
        Ok(Request {
            key: key.unwrap_or_else(|| self.slot(tenant.id())),
            epoch: tenant.epoch(),
            caller: Caller {
                label,
                thread: this_thread(),
            },
            now: self.now(),
        })
    }

    /// Refuses a check-out while another tenant is current on this thread.
    #[inline]
    pub(crate) fn refuse_other(&self, tenant: &Tenant) -> Result<(), ErrorOf<D>> {
        match Tenant::current().filter(|current| current != tenant) {
            None => Ok(()),
            Some(current) => Err(CheckoutError::OtherTenant {
                wanted: tenant.to_ref(),
                current: current.to_ref(),
            }),
        }
    }

    /// Returns whether no connection comes back unless this thread gives it back.
    pub(crate) fn held_by_this_thread(&self, held: &[HeldConnection]) -> bool {
        let mine = |held: &HeldConnection| held.is_held_by(this_thread());
        !held.is_empty() && held.iter().all(mine)
    }

    pub(crate) fn holders(&self, held: Vec<HeldConnection>) -> Holders {
        self.holders_at(held, self.now())
    }

    pub(crate) fn holders_at(&self, held: Vec<HeldConnection>, now: Stamp) -> Holders {
        let holder = |held: HeldConnection| Holder {
            tenant: held.tenant,
            label: held.label,
            activity: held.activity,
            age: now.since(held.since),
        };
        let mut holders: Vec<_> = held.into_iter().map(holder).collect();
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.age));
        Holders(holders)
    }

    /// Emits the event of a check-out.
    #[inline]
    pub(crate) fn emit_checked_out(&self, tenant: &Tenant, waited: Duration) {
        if self.observers.is_observed() {
            let event = Event::CheckedOut { tenant, waited };
            self.observers.emit(&event);
        }
    }

    /// Adds the wait of a check-out, successful or not.
    pub(crate) fn count_wait(&self, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.waited.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Returns the waits of all check-outs, added up.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }

    /// Returns the time at which leaks were last reported, and sets it to `now`.
    pub(crate) fn leaks_reported(&self, now: Stamp) -> Stamp {
        std::mem::replace(&mut *self.leaks_reported.lock(), now)
    }

    /// Sets an alarm for a task that waits.
    ///
    /// # Errors
    /// Returns an error if the thread of the timer cannot be started.
    pub(crate) fn set_alarm(self: &Arc<Self>, at: Moment, alarm: Alarm<D>) -> io::Result<AlarmId> {
        self.timer.set(at, alarm, || {
            let pools = Arc::downgrade(self);
            move |alarm: &Alarm<D>| {
                let pools = pools.upgrade();
                pools.inspect(|pools| pools.ring(alarm)).is_some()
            }
        })
    }

    pub(crate) fn cancel_alarm(&self, id: AlarmId) {
        self.timer.cancel(id);
    }

    fn ring(&self, alarm: &Alarm<D>) {
        let now = self.now();
        self.decide(|sched| match alarm.kind {
            AlarmKind::Deadline => sched.expire_wait(alarm.key, &alarm.waiting, now),
            AlarmKind::Retry => sched.wake_to_retry(alarm.key, &alarm.waiting),
        });
    }

    /// Ends the wait of a task that was cancelled.
    pub(crate) fn cancel_wait(&self, key: SlotKey, waiting: &WaitingOf<D>) {
        let now = self.now();
        // Bound, so that a source is dropped outside the lock.
        let source = self.decide(|sched| sched.cancel_wait(key, waiting, now));
        drop(source);
    }

    /// Closes a connection whose seat is closing, through the gate.
    pub(crate) fn close_one(&self, seat: u32, live: BoxedLive<D>, mode: CloseMode) {
        let _pass = self.gate.pass(None);
        self.close(seat, live, mode);
    }

    /// Closes connections completely, one after the other.
    pub(crate) fn close_each(&self, connections: Vec<(u32, BoxedLive<D>)>) {
        for (seat, live) in connections {
            self.close_one(seat, live, CloseMode::Complete);
        }
    }

    pub(crate) fn close_discarded(&self, discarded: DiscardedOf<D>, mode: CloseMode) {
        for (seat, live) in discarded.connections {
            self.close_one(seat, live, mode);
        }
        drop(discarded.source);
    }

    /// Closes the connection of a seat.
    pub(crate) fn close(&self, seat: u32, mut live: BoxedLive<D>, mode: CloseMode) {
        let eviction = match mode {
            CloseMode::Complete => Eviction::Complete,
            CloseMode::Evict => {
                let evict = || self.driver.evict(&mut live.connection);
                // A panic may have left work undone.
                catch_unwind(AssertUnwindSafe(evict)).unwrap_or(Eviction::NeedsUpkeep)
            }
        };
        self.drop_connection(live);
        let now = self.now();
        self.decide(|sched| {
            if eviction == Eviction::NeedsUpkeep {
                sched.schedule_upkeep(seat);
            }
            sched.closed(seat, now);
        });
    }

    /// Drops a connection. A panic in its destructor ends here: the thread that drops it may be
    /// that of another tenant.
    #[expect(clippy::boxed_local, reason = "connections travel in boxes")]
    fn drop_connection(&self, live: BoxedLive<D>) {
        let Live { connection, source } = *live;
        let tenant = &source.tenant;
        self.observers.emit(&Event::Closing { tenant });
        let _ = catch_unwind(AssertUnwindSafe(|| drop(connection)));
        self.observers.emit(&Event::Closed { tenant });
    }

    /// Does the upkeep that evictions left, for one tenant after the other, until `enough` says so.
    pub(crate) fn upkeep(&self, mut enough: impl FnMut() -> bool) {
        while !enough()
            && let Some((key, source)) = self.decide(Sched::begin_upkeep)
        {
            let tenant = &source.tenant;
            let upkeep = || self.driver.upkeep(tenant);
            if let Ok(Err(error)) = catch_unwind(AssertUnwindSafe(upkeep)) {
                let error = &error;
                self.observers.emit(&Event::UpkeepFailed { tenant, error });
            }
            let now = self.now();
            self.decide(|sched| sched.end_upkeep(key, now));
        }
    }
}

impl<D: Driver> Drop for Shared<D> {
    fn drop(&mut self) {
        self.timer.close();
        for live in self.sched.get_mut().drain() {
            self.drop_connection(live);
        }
        self.upkeep(|| false);
    }
}

//! [`TenantPools`]: all tenants' connections under one bound.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use r2d2::ManageConnection;
use tenancy_core::{Epoch, Event, Observer, Observers, Tenant, TenantId, TenantStatus};

use crate::ages::Ages;
use crate::checkout::{Checkout, Hold};
use crate::config::{Builder, Config, MaxOf, Timing};
use crate::driver::{Connection, Driver, DriverError};
use crate::error::{CheckoutError, CloseError};
use crate::gate::Gate;
use crate::handle::TenantPool;
use crate::holders::{Holder, Holders};
use crate::label::Label;
use crate::mailbox::Mailbox;
use crate::names::Names;
use crate::open::Haste;
use crate::sched::{Held, Key, Sched, Stamp};
use crate::seat::SeatFuture;
use crate::stats::{PoolStats, TenantStats};
use crate::sync::{Moment, Mutex, this_thread};
use crate::timer::Timer;

/// So many connections rest in a round: whoever else is served by the thread that calls
/// waits for them. A checkpoint takes 1 to 2 ms, now and then ten times as long.
const MAX_RESTS: usize = 32;

/// So long a round of [`reap`](TenantPools::reap) goes on to a next tenant for which an
/// eviction left work: a large WAL takes seconds, and the thread has other things to do.
const UPKEEP: Duration = Duration::from_millis(250);

type Error<D> = CheckoutError<DriverError<D>>;
pub(crate) type Scheduler<D> = Sched<Lent<D>, Arc<Source<D>>>;

/// What the scheduler hands around: a word, however big the connection is.
pub(crate) type Lent<D> = Box<Live<D>>;

/// A live connection and what it was made with.
pub(crate) struct Live<D: Driver> {
    pub(crate) connection: Connection<D>,
    pub(crate) source: Arc<Source<D>>,
}

impl<D: Driver> Live<D> {
    pub(crate) fn has_broken(&mut self) -> bool {
        self.source.manager.has_broken(&mut self.connection)
    }
}

/// How to connect to one incarnation of a tenant.
pub(crate) struct Source<D: Driver> {
    pub(crate) tenant: Tenant,
    pub(crate) manager: D::Manager,
}

/// Pools of connections, a small one for each tenant, under one bound for all.
/// Cloning is cheap.
pub struct TenantPools<D: Driver>(pub(crate) Arc<Inner<D>>);

pub(crate) struct Inner<D: Driver> {
    sched: Mutex<Scheduler<D>>,
    pub(crate) names: Names,
    pub(crate) gate: Gate,
    pub(crate) timer: Arc<Timer<D>>,
    pub(crate) driver: D,
    pub(crate) max: u32,
    pub(crate) max_waiters: usize,
    max_per_tenant: u32,
    max_of: Option<MaxOf>,
    pub(crate) timing: Timing,
    pub(crate) observers: Observers,
    ages: Ages,
    /// Nanoseconds that check-outs waited.
    pub(crate) waited: AtomicU64,
    /// When leaks were last looked for.
    pub(crate) leaks_told: Mutex<Stamp>,
}

impl<D: Driver> Clone for TenantPools<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Driver> Inner<D> {
    /// Lets `work` decide under the lock, and wakes afterwards whoever has news of it.
    /// What is to be dropped has to come out of it: the lock is free by then.
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
        self.ages.now()
    }

    /// How many connections this tenant may have.
    pub(crate) fn max_of(&self, tenant: &Tenant) -> u32 {
        let Some(max_of) = &self.max_of else {
            return self.max_per_tenant;
        };
        let max = max_of(tenant);
        max.clamp(1, self.max)
    }

    /// A tenant's slot, made if there is none.
    pub(crate) fn slot(&self, id: &TenantId) -> Key {
        self.names.find(id).unwrap_or_else(|| {
            let key = self.decide(|sched| sched.add(id.clone()));
            match self.names.insert(id, key) {
                Ok(()) => key,
                Err(theirs) => {
                    self.decide(|sched| sched.forget(key));
                    theirs
                }
            }
        })
    }

    /// Will nothing come back unless this thread gives it?
    pub(crate) fn are_mine(&self, held: &[Held]) -> bool {
        !held.is_empty() && held.iter().all(|held| held.is_by(this_thread()))
    }

    pub(crate) fn holders(&self, held: Vec<Held>) -> Holders {
        self.holders_at(held, self.now())
    }

    pub(crate) fn holders_at(&self, held: Vec<Held>, now: Stamp) -> Holders {
        let holder = |held: Held| Holder {
            tenant: held.tenant,
            label: held.label,
            activity: held.activity,
            age: now.since(held.since),
        };
        let mut holders: Vec<_> = held.into_iter().map(holder).collect();
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.age));
        Holders(holders)
    }
}

impl<D: Driver> Drop for Inner<D> {
    fn drop(&mut self) {
        self.timer.close();
        for live in self.sched.get_mut().drain() {
            self.destroy(live);
        }
        self.upkeep(|| false);
    }
}

impl<D: Driver> TenantPools<D> {
    /// Starts a configuration; every bound has a default.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(driver: D, config: Config) -> Self {
        let ages = Ages::new(config.clock);
        Self(Arc::new(Inner {
            max: config.limits.max,
            max_waiters: config.limits.max_waiters,
            sched: Mutex::new(Sched::new(config.limits)),
            names: Names::new(),
            gate: Gate::new(config.max_opening),
            timer: Arc::new(Timer::new()),
            driver,
            max_per_tenant: config.max_per_tenant,
            max_of: config.max_of,
            timing: config.timing,
            observers: config.observers,
            leaks_told: Mutex::new(ages.now()),
            ages,
            waited: AtomicU64::new(0),
        }))
    }

    /// Checks out a connection of this tenant: an idle one, else a new one, else the
    /// next that comes back within the configured time-out.
    ///
    /// The time-out bounds the whole check-out: waiting for others, closing what has expired
    /// or gives its place up, validating, connecting and preparing. No step is begun when it
    /// has passed ([`Late`](CheckoutError::StepTimeout)). A step that has begun cannot be interrupted:
    /// the manager's `connect` and `is_valid`, the driver's `evict`, `prepare`, `restrict` and
    /// `on_checkout`, and the drop of a connection have time-outs of their own, if any. A
    /// connection that was opened and prepared is lent, however late.
    ///
    /// # Errors
    /// See [`CheckoutError`]: all that can be known at once is said at once.
    #[track_caller]
    pub fn checkout(&self, tenant: &Tenant) -> Result<Checkout<D>, Error<D>> {
        self.obtain(tenant, None, self.0.timing.checkout_timeout, Label::here())
    }

    /// As [`checkout`](Self::checkout), with a time-out of its own; zero does not
    /// wait for others, and does each step that has to be done.
    ///
    /// # Errors
    /// As [`checkout`](Self::checkout).
    #[track_caller]
    pub fn checkout_timeout(
        &self,
        tenant: &Tenant,
        timeout: Duration,
    ) -> Result<Checkout<D>, Error<D>> {
        self.obtain(tenant, None, timeout, Label::here())
    }

    /// Checks out a connection that is idle, and `None` if none is: nothing is opened,
    /// closed, asked or waited for.
    ///
    /// # Errors
    /// When the tenant is closed, the handle superseded, or another tenant current.
    #[track_caller]
    pub fn try_checkout(&self, tenant: &Tenant) -> Result<Option<Checkout<D>>, Error<D>> {
        self.try_obtain(tenant, None, Label::here())
    }

    /// Checks out a connection of the tenant that is current on this thread.
    ///
    /// # Errors
    /// [`CheckoutError::NoTenant`] outside every scope; else as
    /// [`checkout`](Self::checkout).
    #[track_caller]
    pub fn checkout_current(&self) -> Result<Checkout<D>, Error<D>> {
        let tenant = Tenant::current().ok_or(CheckoutError::NoTenant)?;
        self.obtain(&tenant, None, self.0.timing.checkout_timeout, Label::here())
    }

    /// Waits for a place for a connection without holding a thread, within the configured
    /// time-out; for async code, on any runtime. What blocks is left to
    /// [`Seat::open`](crate::Seat::open).
    ///
    /// Waiting here and in [`checkout`](Self::checkout) is one queue with one bound,
    /// [`max_waiters`](Builder::max_waiters). The first future that has to wait starts a
    /// thread that keeps deadlines; it ends with the pools.
    ///
    /// ```
    /// # use tenancy_pool::{Connection, Driver, TenantPools};
    /// # use tenancy_core::Tenant;
    /// async fn with_connection<D: Driver, T: Send + 'static>(
    ///     pools: &TenantPools<D>,
    ///     tenant: &Tenant,
    ///     work: impl FnOnce(&mut Connection<D>) -> T + Send + 'static,
    /// ) -> Result<T, Box<dyn std::error::Error + Send + Sync>> {
    ///     let seat = pools.seat_async(tenant).await.map_err(|e| e.to_string())?;
    ///     let work = move || seat.open().map(|mut out| work(&mut out)).map_err(|e| e.to_string());
    ///     Ok(tokio::task::spawn_blocking(work).await??)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`checkout`](Self::checkout), but for what [`Seat::open`](crate::Seat::open) can
    /// refuse and [`WouldDeadlock`](CheckoutError::WouldDeadlock): a task that waits blocks
    /// no thread. [`NoTimer`](CheckoutError::NoTimer) if that thread cannot be started.
    #[track_caller]
    pub fn seat_async(&self, tenant: &Tenant) -> SeatFuture<D> {
        self.seat_async_timeout(tenant, self.0.timing.checkout_timeout)
    }

    /// As [`seat_async`](Self::seat_async), with a time-out of its own.
    ///
    /// # Errors
    /// As [`seat_async`](Self::seat_async).
    #[track_caller]
    pub fn seat_async_timeout(&self, tenant: &Tenant, timeout: Duration) -> SeatFuture<D> {
        SeatFuture::new(self, tenant, None, timeout, Label::here())
    }

    /// This tenant's own pool, to be kept: checking out from it saves looking the
    /// tenant up. It stays good when the tenant is closed, reopened or forgotten, and
    /// is [superseded](CheckoutError::Superseded) with its epoch.
    ///
    /// ```
    /// # use tenancy_pool::{Checkout, CheckoutError, Driver, DriverError, TenantPools};
    /// # fn count<D: Driver>(pools: TenantPools<D>, acme: &tenancy_core::Tenant)
    /// # -> Result<(), CheckoutError<DriverError<D>>> {
    /// let acme = pools.handle(acme);
    /// let writer = acme.checkout()?;
    /// let reader = acme.read_only().checkout()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn handle(&self, tenant: &Tenant) -> TenantPool<D> {
        TenantPool::new(self.clone(), tenant.clone())
    }

    /// Closes a tenant to check-outs and waits until nothing of it is left: who waits
    /// for it is refused, idle connections are closed, those out when they come back.
    /// When this has returned `Ok` no connection to it exists, and none is opened
    /// before [`reopen`](Self::reopen), also if the tenant was never seen before: that takes
    /// some memory until it is reopened, [removed](tenancy_core::Event::TenantRemoved) or
    /// [forgotten](Self::forget).
    ///
    /// # Errors
    /// When something is still out at the end of the time-out, or is held by this
    /// very thread. The tenant stays closed.
    pub fn close(&self, id: &TenantId, timeout: Duration) -> Result<(), CloseError> {
        let began = Moment::now();
        let deadline = began.after(timeout);
        let closer = Arc::new(Mailbox::new());
        loop {
            let key = self.0.slot(id);
            // Bound first: the lock must be free when the connections are closed.
            let now = self.0.now();
            let rubbish = self.0.decide(|sched| sched.close(key, now));
            match rubbish {
                Some(rubbish) => self.discard(rubbish, Haste::Thorough),
                None => {
                    self.0.names.remove(id, key);
                    continue;
                }
            }
            let mut late = false;
            loop {
                let (aside, left) = self.0.decide(|sched| {
                    let aside = sched.aside_of(key);
                    let drained = sched.drained(key, &closer);
                    (aside, (!drained).then(|| sched.held_of(key)))
                });
                if !aside.is_empty() {
                    self.close_each(aside);
                    continue;
                }
                let Some(held) = left else {
                    return Ok(());
                };
                if late || self.0.are_mine(&held) {
                    self.0.decide(|sched| sched.stop_waiting(key, &closer));
                    return Err(CloseError {
                        tenant: id.clone(),
                        waited: began.elapsed(),
                        holders: self.0.holders(held),
                    });
                }
                late = closer.wait_until(deadline).is_none();
            }
        }
    }

    /// Opens a closed tenant to check-outs again; says whether it was closed.
    pub fn reopen(&self, id: &TenantId) -> bool {
        let key = self.0.names.find(id);
        key.is_some_and(|key| self.0.decide(|sched| sched.reopen(key)))
    }

    /// Forgets a tenant, its epoch and whether it is closed, and frees the memory;
    /// for one that was destroyed. Says whether it could: nothing of it may be left.
    pub fn forget(&self, id: &TenantId) -> bool {
        let Some(key) = self.0.names.find(id) else {
            return true;
        };
        // Bound first: what is forgotten is dropped outside the lock.
        let forgotten = self.0.decide(|sched| sched.forget(key));
        if forgotten.is_some() {
            self.0.names.remove(id, key);
        }
        forgotten.is_some()
    }

    /// Takes note of a tenant's current epoch: handles of an older one are refused
    /// from now on, and their connections closed by the next check-out or
    /// [`reap`](Self::reap), those out when they come back. Closes nothing itself and
    /// never blocks.
    pub fn raise_epoch(&self, id: &TenantId, epoch: Epoch) {
        let key = match self.0.names.find(id) {
            Some(key) => key,
            // Nothing comes before the first epoch, so there is nothing to refuse.
            None if epoch == Epoch::FIRST => return,
            None => self.0.slot(id),
        };
        let now = self.0.now();
        self.0.decide(|sched| sched.mark(key, epoch, now));
    }

    /// Takes note that a tenant is no more. Of one that was never seen nothing is kept.
    fn remove(&self, id: &TenantId, next: Epoch) {
        if let Some(key) = self.0.names.find(id) {
            let now = self.0.now();
            self.0.decide(|sched| sched.remove(key, next, now));
        }
    }

    /// Takes note of what was changed about a tenant. Who was never seen here has
    /// nothing idle, and is asked about when it comes.
    fn take_note(&self, tenant: &Tenant) {
        let Some(key) = self.0.names.find(tenant.id()) else {
            return;
        };
        let retiring = tenant.status() == TenantStatus::Retiring;
        let max = self.0.max_of(tenant);
        let now = self.0.now();
        let surplus = self.0.decide(|sched| {
            sched.set_retiring(key, retiring);
            sched.allow(key, tenant.epoch(), max, now)
        });
        self.discard(surplus, Haste::Quick);
    }

    /// Closes the idle connections that have been idle or alive for too long, belong
    /// to an epoch that has passed or to a tenant that is being retired; says how many.
    /// Then lets up to 32 of those that have been idle for a while
    /// [rest](Driver::maintain_idle), one after the other, and does what
    /// [evictions left](Driver::evict), one tenant's after the other until 250 ms have
    /// passed. It frees what is remembered of removed tenants, and tells observers of
    /// connections that are [out for long](Builder::leak_after). Call it now and then.
    ///
    /// A connection that rests is out: a check-out that comes at this moment uses another
    /// one or waits for it.
    pub fn reap(&self) -> usize {
        let now = self.0.now();
        let rubbish = self.0.decide(|sched| sched.reap(now));
        let closed = rubbish.connections.len();
        self.discard(rubbish, Haste::Thorough);
        self.rest(now);
        let began = Moment::now();
        self.0.upkeep(|| began.is_older_than(UPKEEP));
        for freed in self.0.decide(|sched| sched.free(now)) {
            self.0.names.remove(&freed.id, freed.key);
        }
        self.tell_of_leaks(now);
        closed
    }

    fn rest(&self, now: Stamp) {
        for _ in 0..MAX_RESTS {
            let thread = this_thread();
            let Some((seat, live, since)) = self.0.decide(|sched| sched.next_to_rest(thread, now))
            else {
                break;
            };
            Checkout::new(self.clone(), seat, live, Hold::new()).rest(since);
        }
    }

    /// The driver that they connect with.
    pub fn driver(&self) -> &D {
        &self.0.driver
    }

    /// The state of all pools.
    pub fn stats(&self) -> PoolStats {
        let waited = Duration::from_nanos(self.0.waited.load(Ordering::Relaxed));
        PoolStats {
            waited,
            ..self.0.decide(|sched| sched.stats())
        }
    }

    /// The state of one tenant's pool; `None` if it was never seen.
    pub fn tenant_stats(&self, id: &TenantId) -> Option<TenantStats> {
        let key = self.0.names.find(id)?;
        self.0.decide(|sched| sched.tenant_stats(key))
    }
}

/// Pools take note of what a resolver tells: see [`TenantPools::raise_epoch`]. A removed
/// tenant's handles are superseded too, until a [`TenantPools::reap`] finds nothing of it left
/// and forgets it (its database, which is gone, refuses them then); a retiring one keeps no idle connection beyond
/// the next [`TenantPools::reap`] (another process may wait for its file), and how many
/// connections a changed one may have is [asked anew](Builder::max_per_tenant_by).
impl<D: Driver> Observer for TenantPools<D> {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::TenantChanged { tenant } => {
                self.raise_epoch(tenant.id(), tenant.epoch());
                self.take_note(tenant);
            }
            Event::TenantRemoved { id, epoch } => self.remove(id, epoch.next()),
            _ => {}
        }
    }
}

impl<D: Driver> fmt::Debug for TenantPools<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TenantPools").field(&self.stats()).finish()
    }
}

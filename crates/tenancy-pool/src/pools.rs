//! [`TenantPools`]: the connections of all tenants under one bound.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{Epoch, Event, Observer, Tenant, TenantId, TenantStatus};

use crate::builder::Builder;
use crate::checkout::Checkout;
use crate::closing;
use crate::config::Config;
use crate::driver::{Driver, DriverError};
use crate::error::{CheckoutError, CloseAllError, CloseError};
use crate::handle::TenantPool;
use crate::holders::Holders;
use crate::label::Label;
use crate::reap;
use crate::request;
use crate::seat_future::SeatFuture;
use crate::shared::{CloseMode, Shared};
use crate::stats::{PoolStats, TenantStats};

/// A bounded pool of connections per tenant, under one bound for all tenants. Cloning is cheap.
///
/// Every check-out names a tenant, or takes the one that is current on its thread. The functions
/// come in three forms: `checkout` waits for the configured time-out, `checkout_timeout` for its
/// own, and `try_checkout` does not wait.
///
/// ```
/// # use tenancy_core::Tenant;
/// # use tenancy_pool::{CheckoutError, Connection, Driver, DriverError, TenantPools};
/// # fn with<D: Driver>(pools: &TenantPools<D>, acme: &Tenant)
/// # -> Result<(), CheckoutError<DriverError<D>>> {
/// let mut checkout = pools.checkout(acme)?;
/// let connection: &mut Connection<D> = &mut checkout;
/// drop(checkout); // the connection stays open for the next check-out
///
/// let stats = pools.stats();
/// assert_eq!(stats.open, stats.idle + stats.out + stats.opening + stats.closing);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "connection pool")]
pub struct TenantPools<D: Driver>(Arc<Shared<D>>);

impl<D: Driver> Clone for TenantPools<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Driver> TenantPools<D> {
    /// Returns a builder; every bound has a default.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(driver: D, config: Config) -> Self {
        Self(Arc::new(Shared::new(driver, config)))
    }

    /// Checks out a connection of a tenant: an idle one, or else a new one, or else the next one
    /// that comes back within the configured [`checkout_timeout`](Builder::checkout_timeout).
    ///
    /// The time-out bounds the whole check-out: waiting for other check-outs, closing a connection
    /// that has expired or is evicted, validating, connecting and preparing. No step begins after
    /// it ([`StepTimeout`](CheckoutError::StepTimeout)). A step that has begun cannot be
    /// interrupted: the manager's `connect` and `is_valid`, the driver's `evict`, `prepare`,
    /// `restrict` and `on_checkout`, and the drop of a connection have to keep time-outs
    /// themselves. A connection that was opened and prepared is checked out, however late.
    ///
    /// # Errors
    /// Returns a [`CheckoutError`]; at once, unless it is [`Timeout`](CheckoutError::Timeout).
    #[doc(alias = "acquire")]
    #[doc(alias = "get")]
    #[track_caller]
    pub fn checkout(&self, tenant: &Tenant) -> Result<Checkout<D>, CheckoutError<DriverError<D>>> {
        self.checkout_timeout(tenant, self.0.timing.checkout_timeout)
    }

    /// Checks out a connection within `timeout`, as [`checkout`](Self::checkout) does. A time-out
    /// of zero waits for no other check-out, but does every step.
    ///
    /// # Errors
    /// Returns the errors of [`checkout`](Self::checkout).
    #[track_caller]
    pub fn checkout_timeout(
        &self,
        tenant: &Tenant,
        timeout: Duration,
    ) -> Result<Checkout<D>, CheckoutError<DriverError<D>>> {
        request::check_out(&self.0, tenant, None, timeout, Label::here())
    }

    /// Checks out an idle connection. Returns `None` if there is none: nothing is opened, closed,
    /// validated or waited for.
    ///
    /// # Errors
    /// Returns an error if the tenant is closed or superseded, if another tenant is current, or if
    /// the driver rejects the connection.
    #[track_caller]
    pub fn try_checkout(
        &self,
        tenant: &Tenant,
    ) -> Result<Option<Checkout<D>>, CheckoutError<DriverError<D>>> {
        request::try_check_out(&self.0, tenant, None, Label::here())
    }

    /// Checks out a connection of the tenant that is current on this thread.
    ///
    /// # Errors
    /// Returns [`CheckoutError::NoTenant`] outside every scope, and the errors of
    /// [`checkout`](Self::checkout).
    #[track_caller]
    pub fn checkout_current(&self) -> Result<Checkout<D>, CheckoutError<DriverError<D>>> {
        let tenant = Tenant::current().ok_or(CheckoutError::NoTenant)?;
        self.checkout(&tenant)
    }

    /// Waits for a seat of a tenant within the configured time-out, without holding a thread: for
    /// async code on any runtime. The part of a check-out that blocks is
    /// [`Seat::open`](crate::Seat::open).
    ///
    /// Seats and check-outs wait in one queue with one bound,
    /// [`max_waiters`](Builder::max_waiters). The first future that has to wait starts a thread
    /// that keeps deadlines; it ends with the pools.
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
    /// The future returns the errors of [`checkout`](Self::checkout), except those of
    /// [`Seat::open`](crate::Seat::open) and [`WouldDeadlock`](CheckoutError::WouldDeadlock): a
    /// task that waits blocks no thread. It returns [`NoTimer`](CheckoutError::NoTimer) if the
    /// thread cannot be started.
    #[track_caller]
    pub fn seat_async(&self, tenant: &Tenant) -> SeatFuture<D> {
        self.seat_async_timeout(tenant, self.0.timing.checkout_timeout)
    }

    /// Waits for a seat within `timeout`, as [`seat_async`](Self::seat_async) does.
    ///
    /// # Errors
    /// The future returns the errors of [`seat_async`](Self::seat_async).
    #[track_caller]
    pub fn seat_async_timeout(&self, tenant: &Tenant, timeout: Duration) -> SeatFuture<D> {
        SeatFuture::new(&self.0, tenant, None, timeout, Label::here())
    }

    /// Returns a handle to the pool of a tenant, to be kept: its check-outs do not look the tenant
    /// up.
    ///
    /// It stays valid when the tenant is closed, reopened or forgotten, and is
    /// [superseded](CheckoutError::Superseded) with its epoch.
    pub fn handle(&self, tenant: &Tenant) -> TenantPool<D> {
        TenantPool::new(self.0.clone(), tenant.clone())
    }

    /// Opens connections of a tenant ahead of its first requests, until `count` of them are idle,
    /// or as many as the tenant may have. Returns how many it found or opened.
    ///
    /// It checks them out together and gives them back, so it waits and evicts as those check-outs
    /// do.
    ///
    /// ```
    /// # use tenancy_pool::{CheckoutError, Driver, DriverError, TenantPools};
    /// # fn start<D: Driver>(pools: &TenantPools<D>, tenants: &[tenancy_core::Tenant])
    /// # -> Result<(), CheckoutError<DriverError<D>>> {
    /// for tenant in tenants {
    ///     pools.warm(tenant, 2)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`checkout`](Self::checkout). The connections opened until then stay
    /// open.
    #[track_caller]
    pub fn warm(&self, tenant: &Tenant, count: u32) -> Result<u32, CheckoutError<DriverError<D>>> {
        let (label, timeout) = (Label::here(), self.0.timing.checkout_timeout);
        let most = count.min(self.0.max_of(tenant));
        let mut out = Vec::new();
        for _ in 0..most {
            match request::check_out(&self.0, tenant, None, timeout, label) {
                Ok(checkout) => out.push(checkout),
                // This thread holds all others that the tenant may have.
                Err(CheckoutError::WouldDeadlock { .. }) if !out.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(out.len() as u32)
    }

    /// Closes a tenant to check-outs, and waits until no connection to it is open: its waiters are
    /// refused, its idle connections are closed, those that are out when they come back.
    ///
    /// After it has returned `Ok` no connection to the tenant exists, and none is opened before
    /// [`reopen`](Self::reopen), even if the tenant was never seen before. A closed tenant takes
    /// memory until it is reopened, [removed](Event::TenantRemoved) or [forgotten](Self::forget).
    ///
    /// # Errors
    /// Returns an error if a connection is still open at the end of the time-out, or is held by
    /// this thread. The tenant stays closed.
    pub fn close(&self, id: &TenantId, timeout: Duration) -> Result<(), CloseError> {
        closing::close(&self.0, id, timeout)
    }

    /// Closes all tenants to check-outs for good, and waits until no connection is open: for the
    /// end of a program. Then it does the [upkeep](Driver::upkeep) that is due, while there is
    /// time.
    ///
    /// [`reopen`](Self::reopen) has no effect afterwards.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tenancy_pool::{Driver, TenantPools};
    /// # fn end<D: Driver>(pools: &TenantPools<D>) {
    /// if let Err(error) = pools.close_all(Duration::from_secs(10)) {
    ///     eprintln!("{error}"); // names the lines that still hold connections
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if a connection is still open at the end of the time-out, or is held by
    /// this thread. All tenants stay closed.
    #[doc(alias = "shutdown")]
    pub fn close_all(&self, timeout: Duration) -> Result<(), CloseAllError> {
        closing::close_all(&self.0, timeout)
    }

    /// Opens a closed tenant to check-outs again; returns whether it was closed.
    pub fn reopen(&self, id: &TenantId) -> bool {
        let key = self.0.slots.find(id);
        key.is_some_and(|key| self.0.decide(|sched| sched.reopen(key)))
    }

    /// Forgets a tenant that was destroyed, with its epoch and whether it is closed, and frees the
    /// memory. Returns false, and does nothing, if the tenant has a connection or a waiter.
    pub fn forget(&self, id: &TenantId) -> bool {
        let Some(key) = self.0.slots.find(id) else {
            return true;
        };
        // Bound, so that the source is dropped outside the lock.
        let forgotten = self.0.decide(|sched| sched.forget(key));
        if forgotten.is_some() {
            self.0.slots.remove(id, key);
        }
        forgotten.is_some()
    }

    /// Raises the current epoch of a tenant. Handles of earlier epochs are refused from now on;
    /// their idle connections are closed by the next check-out or [`reap`](Self::reap), those that
    /// are out when they come back.
    ///
    /// It closes nothing itself, and never blocks. A lower epoch than the current one is ignored.
    pub fn raise_epoch(&self, id: &TenantId, epoch: Epoch) {
        let key = match self.0.slots.find(id) {
            Some(key) => key,
            // No epoch is earlier than the first one.
            None if epoch == Epoch::FIRST => return,
            None => self.0.slot(id),
        };
        let now = self.0.now();
        self.0.decide(|sched| sched.observe_epoch(key, epoch, now));
    }

    /// Records the removal of a tenant. No memory is kept of one that was never seen.
    fn remove(&self, id: &TenantId, next: Epoch) {
        if let Some(key) = self.0.slots.find(id) {
            let now = self.0.now();
            self.0.decide(|sched| sched.remove(key, next, now));
        }
    }

    /// Applies the changed status and bound of a tenant that was seen before.
    fn update(&self, tenant: &Tenant) {
        let Some(key) = self.0.slots.find(tenant.id()) else {
            return;
        };
        let retiring = tenant.status() == TenantStatus::Retiring;
        let max = self.0.max_of(tenant);
        let now = self.0.now();
        let surplus = self.0.decide(|sched| {
            sched.set_retiring(key, retiring);
            sched.set_max(key, tenant.epoch(), max, now)
        });
        self.0.close_discarded(surplus, CloseMode::Evict);
    }

    /// Does the work that is due now and then; returns how many connections it closed. Call it
    /// every few seconds.
    ///
    /// - It closes idle connections that have expired, or are of a past epoch or of a retiring
    ///   tenant.
    /// - It does the [idle maintenance](Driver::maintain_idle) of up to 32 connections, one after
    ///   the other. Meanwhile each of them is out: a check-out uses another one or waits.
    /// - It does the [upkeep](Driver::upkeep) that evictions left, one tenant after the other,
    ///   until 250 ms have passed.
    /// - It frees the memory of removed tenants.
    /// - It notifies observers of connections that are [out for long](Builder::leak_after).
    pub fn reap(&self) -> usize {
        reap::reap(&self.0)
    }

    /// Returns the driver.
    pub fn driver(&self) -> &D {
        &self.0.driver
    }

    /// Returns the state of all pools.
    pub fn stats(&self) -> PoolStats {
        PoolStats {
            waited: self.0.waited(),
            ..self.0.decide(|sched| sched.stats())
        }
    }

    /// Returns the state of one tenant's pool, or `None` if the tenant was never seen.
    pub fn tenant_stats(&self, id: &TenantId) -> Option<TenantStats> {
        let key = self.0.slots.find(id)?;
        self.0.decide(|sched| sched.tenant_stats(key))
    }

    /// Lists the connections that are out, being opened or being closed, longest first.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tenancy_pool::{Driver, TenantPools};
    /// # fn leaks<D: Driver>(pools: &TenantPools<D>) {
    /// let minute = Duration::from_secs(60);
    /// for leak in pools.holders().iter().take_while(|holder| holder.age > minute) {
    ///     eprintln!("{leak}"); // "acme at src/report.rs:12 for 73s"
    /// }
    /// # }
    /// ```
    pub fn holders(&self) -> Holders {
        self.0.holders(self.0.decide(|sched| sched.all_held()))
    }
}

/// Pools observe a resolver, and apply the changes of tenants that it reports.
///
/// The epoch of a changed tenant is [raised](TenantPools::raise_epoch), and its bound is
/// [determined again](Builder::max_per_tenant_by). A retiring tenant keeps no idle connection
/// beyond the next [`reap`](TenantPools::reap): another process may wait for its file. The handles
/// of a removed tenant are superseded until a `reap` finds it unused and forgets it; from then on
/// they are refused because its database is gone.
impl<D: Driver> Observer for TenantPools<D> {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::TenantChanged { tenant } => {
                self.raise_epoch(tenant.id(), tenant.epoch());
                self.update(tenant);
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

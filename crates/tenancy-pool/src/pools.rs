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

/// Bounded pools of connections, one per tenant, with one bound for all tenants together. A clone is
/// a cheap handle to the same pools.
///
/// Every check-out names a tenant, or uses the tenant that is current on its thread. There are three
/// forms: `checkout` waits at most the configured time-out, `checkout_timeout` the given one, and
/// `try_checkout` does not wait.
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
    /// The time-out covers all steps of the check-out: waiting for other check-outs, closing an
    /// expired or evicted connection, validating, connecting and preparing. After the time-out no
    /// further step begins ([`StepTimeout`](CheckoutError::StepTimeout)). A step that has begun
    /// cannot be interrupted: the manager's `connect` and `is_valid`, the driver's `evict`,
    /// `prepare`, `restrict` and `on_checkout`, and the drop of a connection should enforce their own
    /// time-outs. A connection that is open and prepared is checked out even after the time-out.
    ///
    /// # Errors
    /// Returns a [`CheckoutError`], whose variants are the possible reasons.
    #[doc(alias = "acquire")]
    #[doc(alias = "get")]
    #[track_caller]
    pub fn checkout(&self, tenant: &Tenant) -> Result<Checkout<D>, CheckoutError<DriverError<D>>> {
        self.checkout_timeout(tenant, self.0.timing.checkout_timeout)
    }

    /// Checks out a connection like [`checkout`](Self::checkout), within `timeout`. With a time-out of
    /// zero it does not wait for other check-outs, but still connects if necessary.
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

    /// Checks out an idle connection. Returns `None` if there is none. Never waits, and never opens,
    /// closes or validates a connection.
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

    /// Waits for a seat of a tenant within the configured time-out, without blocking a thread. This is
    /// for async code on any runtime. The blocking part of the check-out is
    /// [`Seat::open`](crate::Seat::open).
    ///
    /// Futures and check-outs wait in the same queue, which [`max_waiters`](Builder::max_waiters)
    /// bounds. The first future that has to wait starts a thread for time-outs, which ends with the
    /// pools.
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
    /// The future returns the errors of [`checkout`](Self::checkout), except those that
    /// [`Seat::open`](crate::Seat::open) returns. It never returns
    /// [`WouldDeadlock`](CheckoutError::WouldDeadlock), as a waiting task blocks no thread. It returns
    /// [`NoTimer`](CheckoutError::NoTimer) if the thread for time-outs cannot be started.
    #[track_caller]
    pub fn seat_async(&self, tenant: &Tenant) -> SeatFuture<D> {
        self.seat_async_timeout(tenant, self.0.timing.checkout_timeout)
    }

    /// Waits for a seat like [`seat_async`](Self::seat_async), within `timeout`.
    ///
    /// # Errors
    /// The future returns the errors of [`seat_async`](Self::seat_async).
    #[track_caller]
    pub fn seat_async_timeout(&self, tenant: &Tenant, timeout: Duration) -> SeatFuture<D> {
        SeatFuture::new(&self.0, tenant, None, timeout, Label::here())
    }

    /// Returns a handle to the pool of a tenant. A program that keeps the handle saves the lookup of
    /// the tenant at each check-out.
    ///
    /// The handle stays valid if the tenant is closed, reopened or forgotten. Once the tenant has a
    /// higher epoch, its check-outs are refused as [superseded](CheckoutError::Superseded).
    pub fn handle(&self, tenant: &Tenant) -> TenantPool<D> {
        TenantPool::new(self.0.clone(), tenant.clone())
    }

    /// Opens connections of a tenant in advance, until `count` connections are idle or the bound of
    /// the tenant is reached. Returns the number of connections that it found or opened.
    ///
    /// It checks out all of them and returns them, so that it waits and evicts like these check-outs.
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
    /// Returns the errors of [`checkout`](Self::checkout). Connections that were opened before the
    /// error stay open.
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

    /// Closes a tenant to check-outs, and waits until no connection to it is open. Waiting check-outs
    /// are refused, idle connections are closed at once, checked-out connections when they are
    /// returned.
    ///
    /// After it has returned `Ok`, no connection to the tenant exists, and none is opened before
    /// [`reopen`](Self::reopen). This also holds for a tenant that these pools have not used before. A
    /// closed tenant uses memory until it is reopened, [removed](Event::TenantRemoved) or
    /// [forgotten](Self::forget).
    ///
    /// # Errors
    /// Returns an error if a connection is still open at the end of the time-out, or if this thread
    /// holds one. The tenant stays closed.
    pub fn close(&self, id: &TenantId, timeout: Duration) -> Result<(), CloseError> {
        closing::close(&self.0, id, timeout)
    }

    /// Closes all tenants to check-outs permanently, and waits until no connection is open. This is for
    /// the end of a program. In the remaining time it runs the [upkeep](Driver::upkeep) that is due.
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
    /// Returns an error if a connection is still open at the end of the time-out, or if this thread
    /// holds one. All tenants stay closed.
    #[doc(alias = "shutdown")]
    pub fn close_all(&self, timeout: Duration) -> Result<(), CloseAllError> {
        closing::close_all(&self.0, timeout)
    }

    /// Opens a closed tenant to check-outs again. Returns whether it was closed.
    pub fn reopen(&self, id: &TenantId) -> bool {
        let key = self.0.slots.find(id);
        key.is_some_and(|key| self.0.decide(|sched| sched.reopen(key)))
    }

    /// Frees the memory of a destroyed tenant, including its epoch and the fact that it is closed.
    /// Returns `false` and does nothing if the tenant has an open connection or a waiting check-out.
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

    /// Raises the current epoch of a tenant. Check-outs with handles of earlier epochs are refused from
    /// then on. Idle connections of earlier epochs are closed by the next check-out or
    /// [`reap`](Self::reap), checked-out connections when they are returned.
    ///
    /// This method closes nothing itself, and never blocks. An epoch that is lower than the current one
    /// is ignored.
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

    /// Runs the periodic work, and returns the number of connections that it closed. The application
    /// should call it every few seconds.
    ///
    /// - It closes idle connections that have expired, or that belong to a past epoch or to a retiring
    ///   tenant.
    /// - It runs the [idle maintenance](Driver::maintain_idle) of up to 32 connections, one after the
    ///   other. Each of them is not available meanwhile: a check-out uses another connection or waits.
    /// - It runs the [upkeep](Driver::upkeep) that evictions require, one tenant after the other, until
    ///   250 ms have passed.
    /// - It frees the memory of removed tenants.
    /// - It notifies observers of connections that are [checked out for too
    ///   long](Builder::leak_after).
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

    /// Returns the state of one tenant's pool, or `None` if the pools do not know the tenant.
    pub fn tenant_stats(&self, id: &TenantId) -> Option<TenantStats> {
        let key = self.0.slots.find(id)?;
        self.0.decide(|sched| sched.tenant_stats(key))
    }

    /// Returns the connections that are checked out, being opened or being closed, longest first.
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

/// The pools can observe a resolver. They then apply the changes of tenants that it reports.
///
/// For a changed tenant, the epoch is [raised](TenantPools::raise_epoch), and the bound is
/// [determined again](Builder::max_per_tenant_by). The next [`reap`](TenantPools::reap) closes the
/// idle connections of a retiring tenant, as another process may wait for its database. Check-outs of
/// a removed tenant are refused as superseded, until a `reap` finds the tenant unused and forgets it;
/// then they fail as the database does not exist.
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

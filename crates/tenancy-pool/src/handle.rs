//! [`TenantPool`]: a handle to the pool of one tenant.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tenancy_core::Tenant;

use crate::checkout::Checkout;
use crate::driver::{Access, Driver, DriverError};
use crate::error::CheckoutError;
use crate::label::Label;
use crate::request;
use crate::sched::SlotKey;
use crate::seat_future::SeatFuture;
use crate::shared::Shared;

/// A handle to the pool of one tenant; see [`TenantPools::handle`](crate::TenantPools::handle).
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
pub struct TenantPool<D: Driver> {
    pools: Arc<Shared<D>>,
    tenant: Tenant,
    key: SlotKey,
    access: Access,
}

impl<D: Driver> TenantPool<D> {
    pub(crate) fn new(pools: Arc<Shared<D>>, tenant: Tenant) -> Self {
        let key = pools.slot(tenant.id());
        Self {
            pools,
            tenant,
            key,
            access: Access::ReadWrite,
        }
    }

    /// Returns the tenant of the pool.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Returns a handle whose check-outs are read-only: the driver restricts each connection before
    /// it is checked out, and lifts the restriction when it is returned.
    ///
    /// The first connection still prepares the database, which may write.
    pub fn read_only(&self) -> Self {
        let access = Access::ReadOnly;
        Self {
            access,
            ..self.clone()
        }
    }

    /// Checks out a connection, as [`TenantPools::checkout`](crate::TenantPools::checkout) does.
    ///
    /// # Errors
    /// Returns the errors of that function. A read-only check-out also returns
    /// [`CheckoutError::ReadOnlyUnsupported`] if the driver does not support restrictions, and
    /// [`CheckoutError::Restrict`] if the driver could not restrict the connection.
    #[track_caller]
    pub fn checkout(&self) -> Result<Checkout<D>, CheckoutError<DriverError<D>>> {
        self.checkout_timeout(self.pools.timing.checkout_timeout)
    }

    /// Checks out a connection within `timeout`, as
    /// [`TenantPools::checkout_timeout`](crate::TenantPools::checkout_timeout) does.
    ///
    /// # Errors
    /// Returns the errors of [`checkout`](Self::checkout).
    #[track_caller]
    pub fn checkout_timeout(
        &self,
        timeout: Duration,
    ) -> Result<Checkout<D>, CheckoutError<DriverError<D>>> {
        let (key, here) = (Some(self.key), Label::here());
        let checkout = request::check_out(&self.pools, &self.tenant, key, timeout, here)?;
        self.restricted(checkout)
    }

    /// Checks out an idle connection, as
    /// [`TenantPools::try_checkout`](crate::TenantPools::try_checkout) does.
    ///
    /// # Errors
    /// Returns the errors of that function, and those that [`checkout`](Self::checkout) adds for
    /// read-only check-outs.
    #[track_caller]
    pub fn try_checkout(&self) -> Result<Option<Checkout<D>>, CheckoutError<DriverError<D>>> {
        let (key, here) = (Some(self.key), Label::here());
        let checkout = request::try_check_out(&self.pools, &self.tenant, key, here)?;
        checkout.map(|out| self.restricted(out)).transpose()
    }

    /// Waits for a seat, as [`TenantPools::seat_async`](crate::TenantPools::seat_async) does.
    ///
    /// # Errors
    /// The future returns the errors of that function.
    #[track_caller]
    pub fn seat_async(&self) -> SeatFuture<D> {
        self.seat_async_timeout(self.pools.timing.checkout_timeout)
    }

    /// Waits for a seat within `timeout`, as
    /// [`TenantPools::seat_async_timeout`](crate::TenantPools::seat_async_timeout) does.
    ///
    /// # Errors
    /// The future returns the errors of that function.
    #[track_caller]
    pub fn seat_async_timeout(&self, timeout: Duration) -> SeatFuture<D> {
        let (key, here) = (Some(self.key), Label::here());
        let seat = SeatFuture::new(&self.pools, &self.tenant, key, timeout, here);
        seat.restricted(self.access)
    }

    #[inline]
    fn restricted(
        &self,
        checkout: Checkout<D>,
    ) -> Result<Checkout<D>, CheckoutError<DriverError<D>>> {
        match self.access {
            Access::ReadWrite => Ok(checkout),
            Access::ReadOnly => checkout.into_read_only(),
        }
    }
}

impl<D: Driver> Clone for TenantPool<D> {
    fn clone(&self) -> Self {
        Self {
            pools: self.pools.clone(),
            tenant: self.tenant.clone(),
            key: self.key,
            access: self.access,
        }
    }
}

impl<D: Driver> fmt::Debug for TenantPool<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TenantPool").field(&self.tenant).finish()
    }
}

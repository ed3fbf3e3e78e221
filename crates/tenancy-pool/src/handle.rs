//! [`TenantPool`]: one tenant's pool, kept.

use std::fmt;
use std::time::Duration;

use tenancy_core::Tenant;

use crate::checkout::Checkout;
use crate::driver::{Access, Driver, DriverError};
use crate::error::CheckoutError;
use crate::label::Label;
use crate::pools::TenantPools;
use crate::sched::Key;
use crate::seat::SeatFuture;

type Error<D> = CheckoutError<DriverError<D>>;

/// One tenant's pool; see [`TenantPools::handle`].
pub struct TenantPool<D: Driver> {
    pools: TenantPools<D>,
    tenant: Tenant,
    key: Key,
    access: Access,
}

impl<D: Driver> TenantPool<D> {
    pub(crate) fn new(pools: TenantPools<D>, tenant: Tenant) -> Self {
        let key = pools.0.slot(tenant.id());
        Self {
            pools,
            tenant,
            key,
            access: Access::ReadWrite,
        }
    }

    /// Whose pool it is.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The same pool, lending for reading only: the driver restricts each connection
    /// before it is lent and lifts that when it comes back. A database that was never
    /// used is prepared all the same.
    pub fn read_only(&self) -> Self {
        let access = Access::ReadOnly;
        Self {
            access,
            ..self.clone()
        }
    }

    /// As [`TenantPools::checkout`].
    ///
    /// # Errors
    /// As there; for reading only also [`CheckoutError::ReadOnlyUnsupported`] if the driver cannot
    /// restrict connections, and [`CheckoutError::Restrict`] if it failed to.
    #[track_caller]
    pub fn checkout(&self) -> Result<Checkout<D>, Error<D>> {
        self.checkout_timeout(self.pools.0.timing.checkout_timeout)
    }

    /// As [`TenantPools::checkout_timeout`].
    ///
    /// # Errors
    /// As [`checkout`](Self::checkout).
    #[track_caller]
    pub fn checkout_timeout(&self, timeout: Duration) -> Result<Checkout<D>, Error<D>> {
        let (key, here) = (Some(self.key), Label::here());
        let checkout = self.pools.obtain(&self.tenant, key, timeout, here)?;
        self.restricted(checkout)
    }

    /// As [`TenantPools::try_checkout`].
    ///
    /// # Errors
    /// As there and as [`checkout`](Self::checkout).
    #[track_caller]
    pub fn try_checkout(&self) -> Result<Option<Checkout<D>>, Error<D>> {
        let (key, here) = (Some(self.key), Label::here());
        let checkout = self.pools.try_obtain(&self.tenant, key, here)?;
        checkout.map(|out| self.restricted(out)).transpose()
    }

    /// As [`TenantPools::seat_async`].
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn seat_async(&self) -> SeatFuture<D> {
        self.seat_async_timeout(self.pools.0.timing.checkout_timeout)
    }

    /// As [`TenantPools::seat_async_timeout`].
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn seat_async_timeout(&self, timeout: Duration) -> SeatFuture<D> {
        let (key, here) = (Some(self.key), Label::here());
        let seat = SeatFuture::new(&self.pools, &self.tenant, key, timeout, here);
        seat.restricted(self.access)
    }

    #[inline]
    fn restricted(&self, checkout: Checkout<D>) -> Result<Checkout<D>, Error<D>> {
        match self.access {
            Access::ReadWrite => Ok(checkout),
            Access::ReadOnly => checkout.for_reading(),
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

//! [`Seat`]: the right to open one connection, which async code waits for.

use std::fmt;
use std::sync::Arc;

use tenancy_core::Tenant;

use crate::checkout::{Checkout, ThreadHold};
use crate::deadline::Deadline;
use crate::driver::{Access, Driver, DriverError};
use crate::error::{CheckoutError, ErrorOf};
use crate::label::Label;
use crate::live::ReservationOf;
use crate::opening::open;
use crate::sched::{Caller, Reservation};
use crate::shared::{CloseMode, Shared};
use crate::sync::{spawn, this_thread};

/// The right to check out one connection of a tenant. It reserves a place under the bounds of the
/// pools until it is opened or dropped, and can be sent to another thread.
///
/// Dropping a seat frees the place. It never closes a connection on this thread: the close is left to
/// the next check-out that needs the place, to [`close`](crate::TenantPools::close), or to
/// [`reap`](crate::TenantPools::reap).
///
/// A seat belongs to no thread, so that no check-out is refused with
/// [`WouldDeadlock`](CheckoutError::WouldDeadlock) because of a seat. Once a seat is opened, its
/// connection counts as held by the thread that opened it.
///
/// ```
/// # use tenancy_pool::{CheckoutError, Connection, Driver, DriverError, Seat};
/// /// Runs on a thread that may block, with a seat that a task has waited for.
/// fn work<D: Driver>(seat: Seat<D>) -> Result<(), CheckoutError<DriverError<D>>> {
///     let mut checkout = seat.open()?;
///     let connection: &mut Connection<D> = &mut checkout;
///     // …
///     Ok(())
/// }
/// ```
#[must_use = "dropping it frees its place"]
pub struct Seat<D: Driver> {
    /// `None` only while it is opened or dropped.
    reservation: Option<ReservationOf<D>>,
    pools: NonBlockingRef<D>,
    tenant: Tenant,
    label: Label,
    access: Access,
}

impl<D: Driver> Seat<D> {
    pub(crate) fn new(
        reservation: ReservationOf<D>,
        pools: &Arc<Shared<D>>,
        tenant: &Tenant,
        label: Label,
        access: Access,
    ) -> Self {
        Self {
            reservation: Some(reservation),
            pools: NonBlockingRef::new(pools),
            tenant: tenant.clone(),
            label,
            access,
        }
    }

    /// Returns the tenant of the connection.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Checks out the connection. If necessary, closes an evicted connection, connects, prepares the
    /// database, or validates the connection.
    ///
    /// These steps block, so call it on a thread that may block. It does not wait for other
    /// check-outs, and begins no step after [`checkout_timeout`](crate::Builder::checkout_timeout).
    ///
    /// # Errors
    /// Returns an error if the connection cannot be opened, prepared or restricted, if the tenant
    /// was closed or superseded meanwhile, or if another tenant is current on this thread.
    pub fn open(mut self) -> Result<Checkout<D>, CheckoutError<DriverError<D>>> {
        self.pools.refuse_other(&self.tenant)?;
        let deadline = Deadline::after(self.pools.timing.checkout_timeout);
        let checkout = self.occupy(deadline)?.accepted()?;
        let waited = deadline.waited();
        self.pools.emit_checked_out(&self.tenant, waited);
        match self.access {
            Access::ReadWrite => Ok(checkout),
            Access::ReadOnly => checkout.into_read_only(),
        }
    }

    /// Turns the reservation into a check-out of this thread.
    fn occupy(&mut self, deadline: Deadline) -> Result<Checkout<D>, ErrorOf<D>> {
        let (pools, tenant) = (&*self.pools, &self.tenant);
        let (label, thread) = (self.label, this_thread());
        let caller = Caller { label, thread };
        let reservation = self.reservation.take();
        let (seat, connection, check) = match reservation.expect("taken only here and by drop") {
            Reservation::Permit(permit) => {
                pools.decide(|sched| sched.set_caller(permit.seat, caller));
                return open(pools, tenant, permit, deadline);
            }
            Reservation::Connection {
                seat,
                connection,
                check,
                ..
            } => (seat, connection, check),
        };
        pools.decide(|sched| sched.set_caller(seat, caller));
        let checkout = Checkout::new(pools.clone(), seat, connection, ThreadHold::new());
        if !check {
            return Ok(checkout);
        }
        let (seat, live) = match checkout.validated_or_taken() {
            Ok(checkout) => return Ok(checkout),
            Err(invalid) => invalid,
        };
        let now = pools.now();
        match pools.decide(|sched| sched.replace_broken(seat, live, caller, now)) {
            Ok(permit) => open(pools, tenant, permit, deadline),
            Err((live, refusal)) => {
                pools.close_one(seat, live, CloseMode::for_refusal(&refusal));
                Err(CheckoutError::refused(tenant, refusal))
            }
        }
    }
}

impl<D: Driver> Drop for Seat<D> {
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            let now = self.pools.now();
            // Bound, so that a source is dropped outside the lock.
            let source = self.pools.decide(|sched| sched.release(reservation, now));
            drop(source);
        }
    }
}

impl<D: Driver> fmt::Debug for Seat<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seat").field(&self.tenant).finish()
    }
}

/// A reference to the pools whose drop never blocks. The last one closes the idle connections on a
/// thread that is started for it.
pub(crate) struct NonBlockingRef<D: Driver> {
    /// `None` only while it is being dropped.
    pools: Option<Arc<Shared<D>>>,
}

impl<D: Driver> NonBlockingRef<D> {
    pub(crate) fn new(pools: &Arc<Shared<D>>) -> Self {
        let pools = Some(pools.clone());
        Self { pools }
    }
}

impl<D: Driver> std::ops::Deref for NonBlockingRef<D> {
    type Target = Arc<Shared<D>>;
    fn deref(&self) -> &Arc<Shared<D>> {
        self.pools.as_ref().expect("taken only by drop")
    }
}

impl<D: Driver> Drop for NonBlockingRef<D> {
    fn drop(&mut self) {
        if let Some(last) = self.pools.take().and_then(Arc::into_inner) {
            // Where the system refuses a thread, the connections are closed here.
            let _ = spawn("tenancy-close", move || drop(last));
        }
    }
}

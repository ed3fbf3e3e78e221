//! [`Checkout`]: a connection in use.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tenancy_core::{Event, Tenant};

use crate::driver::{Access, Connection, Driver, DriverError};
use crate::error::{CheckoutError, ErrorOf};
use crate::label::Label;
use crate::live::{BoxedLive, Live, Scheduler};
use crate::sched::Stamp;
use crate::shared::{CloseMode, Shared};
use crate::sync::held;

/// A tenant's connection, checked out until it is dropped.
///
/// A check-out dereferences to the connection of the driver's manager. Dropping it returns the
/// connection to its pool. A connection that is broken, or that is returned during a panic, is closed
/// instead.
///
/// A check-out is not `Send`: the pools count the connections that each thread holds, and refuse a
/// check-out that would wait for connections of its own thread
/// ([`WouldDeadlock`](CheckoutError::WouldDeadlock)). As the calls of a connection block, it should
/// not be held over an `.await`. Async code waits for a [`Seat`](crate::Seat), which is `Send`, and
/// opens it on a thread that may block.
///
/// ```
/// # use tenancy_pool::{Checkout, CheckoutError, Driver, DriverError, TenantPools};
/// # fn report<D: Driver>(pools: &TenantPools<D>, acme: &tenancy_core::Tenant)
/// # -> Result<(), CheckoutError<DriverError<D>>> {
/// let connection = pools.checkout(acme)?;
/// Checkout::label(&connection, "monthly report"); // named in errors and in `holders`
/// assert_eq!(Checkout::tenant(&connection), acme);
/// drop(connection); // returned to its pool
/// # Ok(())
/// # }
/// ```
#[doc(alias = "lease")]
#[doc(alias = "PooledConnection")]
#[must_use = "dropping it returns the connection to its pool"]
pub struct Checkout<D: Driver> {
    /// `None` only while it is being dropped.
    live: Option<BoxedLive<D>>,
    seat: u32,
    /// The restriction of the connection, as far as is known.
    access: Access,
    pools: Arc<Shared<D>>,
    _held: ThreadHold,
}

impl<D: Driver> Checkout<D> {
    pub(crate) fn new(
        pools: Arc<Shared<D>>,
        seat: u32,
        live: BoxedLive<D>,
        held: ThreadHold,
    ) -> Self {
        Self {
            live: Some(live),
            seat,
            access: Access::ReadWrite,
            pools,
            _held: held,
        }
    }

    fn live(&self) -> &Live<D> {
        self.live.as_deref().expect("taken only by drop")
    }

    fn live_mut(&mut self) -> &mut Live<D> {
        self.live.as_deref_mut().expect("taken only by drop")
    }

    /// Validates the connection.
    ///
    /// # Errors
    /// Returns an invalid connection with its seat, which still counts it.
    pub(crate) fn validated_or_taken(mut self) -> Result<Self, (u32, BoxedLive<D>)> {
        match self.live_mut().is_valid() {
            true => Ok(self),
            false => Err((self.seat, self.live.take().expect("taken only by drop"))),
        }
    }

    /// Validates the connection; an invalid one is closed.
    pub(crate) fn validated(mut self) -> Option<Self> {
        match self.live_mut().is_valid() {
            true => Some(self),
            false => {
                self.give_back(false);
                None
            }
        }
    }

    /// Makes the connection read-only.
    ///
    /// # Errors
    /// Returns an error, and gives the connection back, if the driver does not restrict it.
    pub(crate) fn into_read_only(mut self) -> Result<Self, ErrorOf<D>> {
        // Set before the attempt: after a panic the restriction has to be lifted.
        self.access = Access::ReadOnly;
        match self.restrict(Access::ReadOnly) {
            Ok(Access::ReadOnly) => Ok(self),
            Ok(Access::ReadWrite) => {
                self.access = Access::ReadWrite;
                let tenant = Self::tenant(&self).id().clone();
                Err(CheckoutError::ReadOnlyUnsupported { tenant })
            }
            Err(source) => {
                let tenant = Self::tenant(&self).id().clone();
                self.give_back(false);
                Err(CheckoutError::Restrict { tenant, source })
            }
        }
    }

    fn restrict(&mut self, access: Access) -> Result<Access, DriverError<D>> {
        let live = self.live.as_deref_mut().expect("taken only by drop");
        self.pools.driver.restrict(&mut live.connection, access)
    }

    /// Calls the driver's `on_checkout`; a connection that it rejects is closed.
    #[inline]
    pub(crate) fn accepted(mut self) -> Result<Self, ErrorOf<D>> {
        let live = self.live.as_deref_mut().expect("taken only by drop");
        let Live { connection, source } = live;
        match self.pools.driver.on_checkout(&source.tenant, connection) {
            Ok(()) => Ok(self),
            Err(source) => {
                let tenant = Self::tenant(&self).id().clone();
                self.give_back(false);
                Err(CheckoutError::Rejected { tenant, source })
            }
        }
    }

    fn is_sound(&mut self) -> bool {
        let sound = !self.live_mut().has_broken();
        match self.access {
            Access::ReadWrite => sound,
            Access::ReadOnly => {
                sound && matches!(self.restrict(Access::ReadWrite), Ok(Access::ReadWrite))
            }
        }
    }

    /// Calls the driver's `on_return`; returns whether it accepts the connection.
    fn is_accepted_back(&mut self) -> bool {
        let live = self.live.as_deref_mut().expect("taken only by drop");
        let Live { connection, source } = live;
        let driver = &self.pools.driver;
        driver.on_return(&source.tenant, connection).is_ok()
    }

    /// Does the idle maintenance of a connection that has been idle since `since`, and stays so.
    pub(crate) fn maintain_idle(mut self, since: Stamp) {
        let maintained = catch_unwind(AssertUnwindSafe(|| {
            let live = self.live.as_deref_mut().expect("taken only by drop");
            self.pools.driver.maintain_idle(&mut live.connection)
        }));
        if let Ok(Err(error)) = &maintained {
            let tenant = Self::tenant(&self);
            let event = Event::IdleMaintenanceFailed { tenant, error };
            self.pools.observers.emit(&event);
        }
        let sound = matches!(maintained, Ok(Ok(()))) && unpanicked(|| self.is_sound());
        let live = self.live.take().expect("taken only by drop");
        let (pools, seat, now) = (&self.pools, self.seat, self.pools.now());
        let end =
            |sched: &mut Scheduler<D>| sched.end_idle_maintenance(seat, live, sound, since, now);
        if let Some(live) = pools.decide(end) {
            pools.close_one(seat, live, CloseMode::Complete);
        }
    }

    fn give_back(&mut self, sound: bool) {
        let Some(live) = self.live.take() else {
            return;
        };
        let (pools, seat) = (&self.pools, self.seat);
        let now = pools.now();
        let refused = match pools.observers.is_observed() {
            false => pools.decide(|sched| sched.put_back(seat, live, sound, now)),
            true => self.put_back_observed(live, sound, now),
        };
        if let Some(live) = refused {
            self.close_refused(live);
        }
    }

    #[cold]
    fn put_back_observed(
        &self,
        live: BoxedLive<D>,
        sound: bool,
        now: Stamp,
    ) -> Option<BoxedLive<D>> {
        let (pools, seat) = (&self.pools, self.seat);
        let tenant = live.source.tenant.clone();
        let (since, refused) = pools.decide(|sched| {
            let since = sched.checked_out_since(seat);
            (since, sched.put_back(seat, live, sound, now))
        });
        let (tenant, held) = (&tenant, now.since(since));
        pools.observers.emit(&Event::Returned { tenant, held });
        refused
    }

    #[cold]
    fn close_refused(&self, live: BoxedLive<D>) {
        let seat = self.seat;
        let mode = match self.pools.decide(|sched| sched.is_closed(seat)) {
            true => CloseMode::Complete,
            false => CloseMode::Evict,
        };
        self.pools.close_one(seat, live, mode);
    }

    /// Closes the connection instead of returning it to its pool. For a connection whose state is
    /// uncertain after an error, or whose settings the next check-out must not get.
    ///
    /// ```
    /// # use tenancy_pool::{Checkout, CheckoutError, Driver, DriverError, TenantPools};
    /// # fn discard<D: Driver>(pools: TenantPools<D>, acme: &tenancy_core::Tenant)
    /// # -> Result<(), CheckoutError<DriverError<D>>> {
    /// let connection = pools.checkout(acme)?;
    /// Checkout::discard(connection); // the next check-out opens another one
    /// # Ok(())
    /// # }
    /// ```
    pub fn discard(mut this: Self) {
        this.give_back(false);
    }

    /// Returns the tenant of the connection.
    pub fn tenant(this: &Self) -> &Tenant {
        &this.live().source.tenant
    }

    /// Sets the label of the check-out in errors and in the list of
    /// [holders](crate::TenantPools::holders). Without a label, they show the line of its call.
    pub fn label(this: &Self, name: &'static str) {
        let (seat, label) = (this.seat, Label::Named(name));
        this.pools.decide(|sched| sched.relabel(seat, label));
    }
}

impl<D: Driver> Deref for Checkout<D> {
    type Target = Connection<D>;
    fn deref(&self) -> &Connection<D> {
        &self.live().connection
    }
}

impl<D: Driver> DerefMut for Checkout<D> {
    fn deref_mut(&mut self) -> &mut Connection<D> {
        &mut self.live_mut().connection
    }
}

impl<D: Driver> Drop for Checkout<D> {
    fn drop(&mut self) {
        if self.live.is_none() {
            return;
        }
        // A panic may have left the connection in any state.
        let sound =
            !std::thread::panicking() && unpanicked(|| self.is_sound() && self.is_accepted_back());
        self.give_back(sound);
    }
}

impl<D: Driver> fmt::Debug for Checkout<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkout")
            .field("tenant", Self::tenant(self))
            .finish_non_exhaustive()
    }
}

/// Returns whether foreign code says yes. A panic says no, and must not leave a destructor.
fn unpanicked(check: impl FnOnce() -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or(false)
}

/// One connection in the count of what this thread holds. It stays on its thread.
pub(crate) struct ThreadHold(PhantomData<*const ()>);

impl ThreadHold {
    pub(crate) fn new() -> Self {
        held(1);
        Self(PhantomData)
    }
}

impl Drop for ThreadHold {
    fn drop(&mut self) {
        held(-1);
    }
}

//! [`Checkout`]: a connection in use.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};

use r2d2::ManageConnection;
use tenancy_core::{Event, Tenant};

use crate::driver::{Access, Connection, Driver, DriverError};
use crate::error::CheckoutError;
use crate::label::Label;
use crate::open::Haste;
use crate::pools::{Lent, Live, TenantPools};
use crate::sched::Stamp;
use crate::sync::held;

/// A tenant's connection, until it is dropped.
///
/// It stays on its thread (`!Send`): what a thread holds is how the pools know that it
/// would wait for itself ([`WouldDeadlock`](CheckoutError::WouldDeadlock)), and a
/// connection's calls block, so none is held over an `.await`. To wait in async code take a
/// [`Seat`](crate::Seat), which is `Send`, and open it where blocking is allowed.
#[must_use = "dropping it gives the connection back"]
pub struct Checkout<D: Driver> {
    /// None only while it is being dropped.
    live: Option<Lent<D>>,
    seat: u32,
    /// What it is restricted to, as far as is known.
    access: Access,
    pools: TenantPools<D>,
    _held: Hold,
}

impl<D: Driver> Checkout<D> {
    pub(crate) fn new(pools: TenantPools<D>, seat: u32, live: Lent<D>, held: Hold) -> Self {
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

    /// Asks the manager whether it still is a connection; if it is not, it comes out with
    /// its seat, which still counts it.
    pub(crate) fn validated_or_taken(mut self) -> Result<Self, (u32, Lent<D>)> {
        let live = self.live.as_mut().expect("taken only by drop");
        match live.source.manager.is_valid(&mut live.connection) {
            Ok(()) => Ok(self),
            Err(_) => Err((self.seat, self.live.take().expect("it was there"))),
        }
    }

    /// Asks the manager whether it still is a connection; none if it is not.
    pub(crate) fn validated(mut self) -> Option<Self> {
        let live = self.live.as_mut().expect("taken only by drop");
        match live.source.manager.is_valid(&mut live.connection) {
            Ok(()) => Some(self),
            Err(_) => {
                self.give_back(false);
                None
            }
        }
    }

    /// Restricts it to reading; given back if that cannot be done.
    pub(crate) fn for_reading(mut self) -> Result<Self, CheckoutError<DriverError<D>>> {
        // Before it is tried: a panic leaves it in doubt, and unwinding gives it back.
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
        self.pools.0.driver.restrict(&mut live.connection, access)
    }

    /// Tells the driver that it is lent; given back if the driver refuses that.
    #[inline]
    pub(crate) fn admitted(mut self) -> Result<Self, CheckoutError<DriverError<D>>> {
        let live = self.live.as_deref_mut().expect("taken only by drop");
        let Live { connection, source } = live;
        match self.pools.0.driver.on_checkout(&source.tenant, connection) {
            Ok(()) => Ok(self),
            Err(source) => {
                let tenant = Self::tenant(&self).id().clone();
                self.give_back(false);
                Err(CheckoutError::Rejected { tenant, source })
            }
        }
    }

    fn is_sound(&mut self) -> bool {
        let live = self.live.as_mut().expect("taken only by drop");
        let sound = !live.has_broken();
        match self.access {
            Access::ReadWrite => sound,
            Access::ReadOnly => {
                sound && matches!(self.restrict(Access::ReadWrite), Ok(Access::ReadWrite))
            }
        }
    }

    fn is_returned_well(&mut self) -> bool {
        let live = self.live.as_deref_mut().expect("taken only by drop");
        let Live { connection, source } = live;
        let driver = &self.pools.0.driver;
        driver.on_return(&source.tenant, connection).is_ok()
    }

    /// Lets it rest. It was idle since then, and goes on being so.
    pub(crate) fn rest(mut self, since: Stamp) {
        let rested = catch_unwind(AssertUnwindSafe(|| {
            let live = self.live.as_deref_mut().expect("taken only by drop");
            self.pools.0.driver.maintain_idle(&mut live.connection)
        }));
        if let Ok(Err(error)) = &rested {
            let tenant = Self::tenant(&self);
            let event = Event::IdleMaintenanceFailed { tenant, error };
            self.pools.0.observers.emit(&event);
        }
        let sound = matches!(rested, Ok(Ok(()))) && agreed(|| self.is_sound());
        let live = self.live.take().expect("taken only by drop");
        let (pools, seat, now) = (&self.pools.0, self.seat, self.pools.0.now());
        // Under one lock: nobody sees it as just used.
        let refused = pools.decide(|sched| {
            sched.end_rest(seat, now);
            let refused = sched.put_back(seat, live, sound, now);
            sched.rested(seat, since);
            refused
        });
        if let Some(live) = refused {
            self.pools.close_one(seat, live, Haste::Thorough);
        }
    }

    fn give_back(&mut self, sound: bool) {
        let Some(live) = self.live.take() else {
            return;
        };
        let (pools, seat) = (&self.pools.0, self.seat);
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
    fn put_back_observed(&self, live: Lent<D>, sound: bool, now: Stamp) -> Option<Lent<D>> {
        let (pools, seat) = (&self.pools.0, self.seat);
        let tenant = live.source.tenant.clone();
        let (since, refused) = pools.decide(|sched| {
            let since = sched.out_since(seat);
            (since, sched.put_back(seat, live, sound, now))
        });
        let (tenant, held) = (&tenant, now.since(since));
        pools.observers.emit(&Event::Returned { tenant, held });
        refused
    }

    #[cold]
    fn close_refused(&self, live: Lent<D>) {
        let seat = self.seat;
        let haste = match self.pools.0.decide(|sched| sched.is_closed(seat)) {
            // Of a tenant that is closed nothing is to be left.
            true => Haste::Thorough,
            false => Haste::Quick,
        };
        self.pools.close_one(seat, live, haste);
    }

    /// Closes the connection instead of giving it back: after an error that leaves it in
    /// doubt, or when settings were changed that the next check-out must not meet.
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

    /// The tenant whose connection this is.
    pub fn tenant(this: &Self) -> &Tenant {
        &this.live().source.tenant
    }

    /// Gives it a name for errors that say who holds the connections, in place of
    /// the line that asked for it.
    pub fn label(this: &Self, name: &'static str) {
        let (seat, label) = (this.seat, Label::Named(name));
        this.pools.0.decide(|sched| sched.relabel(seat, label));
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
        let live = self.live.as_deref_mut().expect("taken only by drop");
        &mut live.connection
    }
}

impl<D: Driver> Drop for Checkout<D> {
    fn drop(&mut self) {
        if self.live.is_none() {
            return;
        }
        // A panic may have left it in any state.
        let sound =
            !std::thread::panicking() && agreed(|| self.is_sound() && self.is_returned_well());
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

/// Asks the user's code whether a connection can be lent again. A panic says no, and must
/// not get out of a destructor.
fn agreed(ask: impl FnOnce() -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or(false)
}

/// This thread holds one connection more. It stays on its thread, so that a thread
/// that would wait for itself is told so.
pub(crate) struct Hold(PhantomData<*const ()>);

impl Hold {
    pub(crate) fn new() -> Self {
        held(1);
        Self(PhantomData)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        held(-1);
    }
}

//! Opening and closing connections, outside every lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use r2d2::ManageConnection;
use tenancy_core::{Event, Tenant};

use crate::checkout::{Checkout, Hold};
use crate::driver::{Connection, Driver, DriverError, Eviction};
use crate::error::{CheckoutError, CheckoutStep};
use crate::pools::{Inner, Lent, Live, Source, TenantPools};
use crate::sched::{Made, Permit, Refusal, Rubbish, Sched};
use crate::until::Until;

type Error<D> = CheckoutError<DriverError<D>>;

/// Whether somebody waits for a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// It is on the way of a check-out or of its return: the driver is asked to leave to
    /// upkeep what takes long.
    Quick,
    /// It is what was asked for.
    Thorough,
}

impl Haste {
    /// Of a tenant that is closed nothing is to be left.
    pub(crate) fn of(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Closed => Self::Thorough,
            _ => Self::Quick,
        }
    }
}

/// A seat in which a connection is being opened. Dropped before that is done, it
/// gives the seat back, so that neither an error nor a panic loses it.
struct Reservation<'p, D: Driver> {
    pools: &'p TenantPools<D>,
    seat: u32,
    made: Made<Arc<Source<D>>>,
    reason: Option<Arc<str>>,
    done: bool,
}

impl<D: Driver> Drop for Reservation<'_, D> {
    fn drop(&mut self) {
        if !self.done {
            let now = self.pools.0.now();
            let (made, reason) = (self.made.clone(), self.reason.take());
            self.pools
                .0
                .decide(|sched| sched.abandon(self.seat, made, reason, now));
        }
    }
}

impl<D: Driver> TenantPools<D> {
    /// Opens a connection in a reserved seat, on this thread.
    pub(crate) fn open(
        &self,
        tenant: &Tenant,
        permit: Permit<Lent<D>, Arc<Source<D>>>,
        until: Until,
    ) -> Result<Checkout<D>, Error<D>> {
        let held = Hold::new();
        let mut reservation = Reservation {
            pools: self,
            seat: permit.seat,
            made: None,
            reason: None,
            done: false,
        };
        let pass = self.0.gate.pass(Some(until.deadline));
        if let Some(victim) = permit.victim {
            self.0.close(permit.seat, victim, Haste::Quick);
            Self::in_time(tenant, until, CheckoutStep::Closing)?;
        }
        let source = permit.source.unwrap_or_else(|| {
            let source = Arc::new(Source {
                manager: self.0.driver.manager(tenant),
                tenant: tenant.clone(),
            });
            reservation.made = Some((source.clone(), self.0.max_of(tenant)));
            source
        });
        self.0.observers.emit(&Event::Opening { tenant });
        let began = Instant::now();
        let connection = self.connect(&source, permit.cold, until);
        let connection = connection.inspect_err(|error| {
            // What came too late may be there at the next attempt.
            let failed = !matches!(error, CheckoutError::StepTimeout { .. });
            reservation.reason = failed.then(|| text_of(error));
        })?;
        drop(pass);
        let took = began.elapsed();
        self.0.observers.emit(&Event::Opened { tenant, took });
        let live = Box::new(Live { connection, source });
        reservation.done = true;
        let now = self.0.now();
        let made = reservation.made.clone();
        let opened = self.0.decide(|sched| sched.opened(permit.seat, made, now));
        match opened {
            Ok(()) => Ok(Checkout::new(self.clone(), permit.seat, live, held)),
            Err(refusal) => {
                self.close_one(permit.seat, live, Haste::of(&refusal));
                Err(Self::refused(tenant, refusal))
            }
        }
    }

    /// Is there time for another step, after this one?
    pub(crate) fn in_time(
        tenant: &Tenant,
        until: Until,
        step: CheckoutStep,
    ) -> Result<(), Error<D>> {
        match until.is_over() {
            false => Ok(()),
            true => Err(CheckoutError::StepTimeout {
                tenant: tenant.id().clone(),
                waited: until.waited(),
                step,
            }),
        }
    }

    fn connect(
        &self,
        source: &Source<D>,
        cold: bool,
        until: Until,
    ) -> Result<Connection<D>, Error<D>> {
        let tenant = &source.tenant;
        let failed =
            |error: &DriverError<D>| self.0.observers.emit(&Event::OpenFailed { tenant, error });
        let id = || tenant.id().clone();
        let mut connection = source.manager.connect().map_err(|source| {
            failed(&source);
            let tenant = id();
            CheckoutError::Connect { tenant, source }
        })?;
        if cold {
            Self::in_time(tenant, until, CheckoutStep::Connecting)?;
            let prepared = self.0.driver.prepare(tenant, &mut connection);
            prepared.map_err(|source| {
                failed(&source);
                let tenant = id();
                CheckoutError::Prepare { tenant, source }
            })?;
        }
        Ok(connection)
    }

    /// Closes a connection whose seat is closing.
    pub(crate) fn close_one(&self, seat: u32, live: Lent<D>, haste: Haste) {
        let _pass = self.0.gate.pass(None);
        self.0.close(seat, live, haste);
    }

    /// Closes connections of which nothing is to be left.
    pub(crate) fn close_each(&self, aside: Vec<(u32, Lent<D>)>) {
        for (seat, live) in aside {
            self.close_one(seat, live, Haste::Thorough);
        }
    }

    pub(crate) fn discard(&self, rubbish: Rubbish<Lent<D>, Arc<Source<D>>>, haste: Haste) {
        for (seat, live) in rubbish.connections {
            self.close_one(seat, live, haste);
        }
        drop(rubbish.source);
    }
}

impl<D: Driver> Inner<D> {
    /// Closes the connection of a seat.
    fn close(&self, seat: u32, mut live: Lent<D>, haste: Haste) {
        let left = match haste {
            Haste::Thorough => Eviction::Complete,
            // What a panic left undone is work, too.
            Haste::Quick => {
                let evict = || self.driver.evict(&mut live.connection);
                catch_unwind(AssertUnwindSafe(evict)).unwrap_or(Eviction::NeedsUpkeep)
            }
        };
        self.destroy(live);
        let now = self.now();
        self.decide(|sched| {
            if left == Eviction::NeedsUpkeep {
                sched.owe(seat);
            }
            sched.closed(seat, now);
        });
    }

    /// Does the work that evictions left, for one tenant after the other, until it is
    /// `enough`.
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

    /// Drops a connection. A panic in its destructor ends here: whose turn it is to
    /// drop it has nothing to do with it.
    #[expect(clippy::boxed_local, reason = "connections travel in boxes")]
    pub(crate) fn destroy(&self, live: Lent<D>) {
        let Live { connection, source } = *live;
        let tenant = &source.tenant;
        self.observers.emit(&Event::Closing { tenant });
        let _ = catch_unwind(AssertUnwindSafe(|| drop(connection)));
        self.observers.emit(&Event::Closed { tenant });
    }
}

/// An error's text with those of its causes.
fn text_of(error: &dyn std::error::Error) -> Arc<str> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<_> = causes.map(|error| error.to_string()).collect();
    texts.join(": ").into()
}

//! The opening of a connection in a reserved seat, outside every lock.

use std::sync::Arc;
use std::time::Instant;

use r2d2::ManageConnection;
use tenancy_core::{Event, Tenant};

use crate::checkout::{Checkout, ThreadHold};
use crate::deadline::Deadline;
use crate::driver::{Connection, Driver, DriverError};
use crate::error::{CheckoutError, CheckoutStep, ErrorOf};
use crate::live::{Live, PermitOf, Scheduler, SharedSource, Source};
use crate::sched::NewSource;
use crate::shared::{CloseMode, Shared};

/// A seat in which a connection is being opened. Dropped before the end, it gives the seat back, so
/// that neither an error nor a panic loses it.
struct OpeningSeat<'p, D: Driver> {
    pools: &'p Arc<Shared<D>>,
    seat: u32,
    new: Option<NewSource<SharedSource<D>>>,
    reason: Option<Arc<str>>,
    done: bool,
}

impl<D: Driver> Drop for OpeningSeat<'_, D> {
    fn drop(&mut self) {
        if !self.done {
            let now = self.pools.now();
            let (seat, new, reason) = (self.seat, self.new.clone(), self.reason.take());
            let fail = |sched: &mut Scheduler<D>| {
                sched.open_failed(seat, new, reason, now);
            };
            self.pools.decide(fail);
        }
    }
}

/// Opens the connection of a permit on this thread.
pub(crate) fn open<D: Driver>(
    pools: &Arc<Shared<D>>,
    tenant: &Tenant,
    permit: PermitOf<D>,
    deadline: Deadline,
) -> Result<Checkout<D>, ErrorOf<D>> {
    let held = ThreadHold::new();
    let mut opening = OpeningSeat {
        pools,
        seat: permit.seat,
        new: None,
        reason: None,
        done: false,
    };
    let pass = pools.gate.pass(Some(deadline.at));
    if let Some(live) = permit.to_close {
        pools.close(permit.seat, live, CloseMode::Evict);
        CheckoutError::check_deadline(tenant, deadline, CheckoutStep::Closing)?;
    }
    let source = permit.source.unwrap_or_else(|| {
        let source = Arc::new(Source {
            manager: pools.driver.manager(tenant),
            tenant: tenant.clone(),
        });
        opening.new = Some(NewSource {
            source: source.clone(),
            max: pools.max_of(tenant),
        });
        source
    });
    pools.observers.emit(&Event::Opening { tenant });
    let began = Instant::now();
    let connection = connect(pools, &source, permit.cold, deadline);
    let connection = connection.inspect_err(|error| {
        // A connect that was too slow begins no backoff: the next one may be faster.
        let failed = !matches!(error, CheckoutError::StepTimeout { .. });
        opening.reason = failed.then(|| text_of(error));
    })?;
    drop(pass);
    let took = began.elapsed();
    pools.observers.emit(&Event::Opened { tenant, took });
    let live = Box::new(Live { connection, source });
    opening.done = true;
    let (seat, new, now) = (permit.seat, opening.new.clone(), pools.now());
    match pools.decide(|sched| sched.opened(seat, new, now)) {
        Ok(()) => Ok(Checkout::new(pools.clone(), seat, live, held)),
        Err(refusal) => {
            pools.close_one(seat, live, CloseMode::for_refusal(&refusal));
            Err(CheckoutError::refused(tenant, refusal))
        }
    }
}

fn connect<D: Driver>(
    pools: &Shared<D>,
    source: &Source<D>,
    cold: bool,
    deadline: Deadline,
) -> Result<Connection<D>, ErrorOf<D>> {
    let tenant = &source.tenant;
    let emit = |error: &DriverError<D>| pools.observers.emit(&Event::OpenFailed { tenant, error });
    let id = || tenant.id().clone();
    let mut connection = source.manager.connect().map_err(|source| {
        emit(&source);
        let tenant = id();
        CheckoutError::Connect { tenant, source }
    })?;
    if cold {
        CheckoutError::check_deadline(tenant, deadline, CheckoutStep::Connecting)?;
        let prepared = pools.driver.prepare(tenant, &mut connection);
        prepared.map_err(|source| {
            emit(&source);
            let tenant = id();
            CheckoutError::Prepare { tenant, source }
        })?;
    }
    Ok(connection)
}

/// Returns the text of an error with those of its causes.
fn text_of(error: &dyn std::error::Error) -> Arc<str> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<_> = causes.map(|error| error.to_string()).collect();
    texts.join(": ").into()
}

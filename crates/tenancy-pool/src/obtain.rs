//! How a check-out comes by its connection.

use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{Event, Tenant};

use crate::checkout::{Checkout, Hold};
use crate::driver::{Driver, DriverError};
use crate::error::{CheckoutError, Remembered};
use crate::label::Label;
use crate::pools::{Guard, Lent, Source, TenantPools};
use crate::sched::{Ask, Grant, Held, Holder, Key, Queued, Refusal, Taken};
use crate::sync::{Moment, held, this_thread};

type Error<D> = CheckoutError<DriverError<D>>;
type Granted<D> = Grant<Lent<D>, Arc<Source<D>>>;

impl<D: Driver> TenantPools<D> {
    /// `key` is the tenant's slot if the caller knows it.
    #[inline]
    pub(crate) fn obtain(
        &self,
        tenant: &Tenant,
        key: Option<Key>,
        timeout: Duration,
        label: Label,
    ) -> Result<Checkout<D>, Error<D>> {
        let ask = self.ask(tenant, key, label)?;
        // Bound first, here and below: the lock is free when anything else happens.
        let taken = self.0.lock().try_take(&ask);
        match taken {
            Some((seat, connection)) => Ok(self.lend(seat, connection)),
            None => self.obtain_otherwise(tenant, ask, timeout),
        }
    }

    pub(crate) fn try_obtain(
        &self,
        tenant: &Tenant,
        key: Option<Key>,
        label: Label,
    ) -> Result<Option<Checkout<D>>, Error<D>> {
        let ask = self.ask(tenant, key, label)?;
        let mut sched = self.0.lock();
        let taken = sched.try_take(&ask);
        let admitted = sched.admit(&ask);
        drop(sched);
        match (taken, admitted) {
            (Some((seat, connection)), _) => Ok(Some(self.lend(seat, connection))),
            (None, Err(Taken::Refused(refusal))) => Err(Self::refused(tenant, refusal)),
            (None, _) => Ok(None),
        }
    }

    fn lend(&self, seat: u32, connection: Lent<D>) -> Checkout<D> {
        Checkout::new(self.clone(), seat, connection, Hold::new())
    }

    /// Where there was nothing to be used as it is.
    #[cold]
    fn obtain_otherwise(
        &self,
        tenant: &Tenant,
        mut ask: Ask,
        timeout: Duration,
    ) -> Result<Checkout<D>, Error<D>> {
        let mut deadline = None;
        loop {
            let mut sched = self.0.lock();
            let taken = sched.take(&ask);
            if let Taken::Full = taken {
                let deadline = deadline.unwrap_or_else(|| Moment::now().after(timeout));
                return self.wait(tenant, ask, sched, deadline);
            }
            drop(sched);
            match taken {
                Taken::Idle {
                    seat,
                    connection,
                    check,
                } => {
                    let checkout = self.lend(seat, connection);
                    if !check {
                        return Ok(checkout);
                    }
                    if let Some(checkout) = checkout.validated() {
                        return Ok(checkout);
                    }
                }
                Taken::Open(permit) => return self.open(tenant, permit),
                Taken::Refused(refusal) => return Err(Self::refused(tenant, refusal)),
                Taken::Rubbish(rubbish) => self.discard(rubbish),
                Taken::Gone => {
                    self.0.names.remove(tenant.id(), ask.key);
                    ask.key = self.0.slot(tenant.id());
                }
                Taken::Full => unreachable!("it has waited"),
            }
            // What was just done took its time.
            deadline.get_or_insert_with(|| Moment::now().after(timeout));
            ask.now = self.0.now();
        }
    }

    #[inline]
    fn ask(&self, tenant: &Tenant, key: Option<Key>, label: Label) -> Result<Ask, Error<D>> {
        if let Some(current) = Tenant::current().filter(|current| current != tenant) {
            return Err(CheckoutError::OtherTenant {
                wanted: tenant.to_ref(),
                current: current.to_ref(),
            });
        }
        Ok(Ask {
            key: key.unwrap_or_else(|| self.0.slot(tenant.id())),
            epoch: tenant.epoch(),
            holder: Holder {
                label,
                thread: this_thread(),
            },
            now: self.0.now(),
        })
    }

    /// Waits for a grant until the deadline.
    fn wait<'p>(
        &'p self,
        tenant: &Tenant,
        mut ask: Ask,
        mut sched: Guard<'p, D>,
        deadline: Moment,
    ) -> Result<Checkout<D>, Error<D>> {
        let id = || tenant.id().clone();
        if held(0) > 0 && sched.is_stuck(&ask) {
            let holders = sched.holders(ask.key);
            drop(sched);
            let holders = self.0.holders(holders);
            let tenant = id();
            return Err(CheckoutError::WouldDeadlock { tenant, holders });
        }
        let Some(queued) = sched.queue(&ask) else {
            let (tenant, waiting) = (id(), sched.limits.max_waiters);
            return Err(CheckoutError::Overloaded { tenant, waiting });
        };
        if queued.bound_reached {
            let max = sched.limits.max as usize;
            drop(sched);
            self.0.observers.emit(&Event::BoundReached { max });
            sched = self.0.lock();
        }
        let granted = self.granted(&mut ask, sched, &queued, deadline);
        let waited = queued.waiting.since.elapsed();
        if waited >= self.0.timing.long_wait {
            self.0.observers.emit(&Event::WaitedLong { tenant, waited });
        }
        match granted {
            Ok(Grant::Use { seat, connection }) => Ok(self.lend(seat, connection)),
            Ok(Grant::Open(permit)) => self.open(tenant, permit),
            Ok(Grant::Refused(refusal)) => Err(Self::refused(tenant, refusal)),
            Ok(Grant::Nudge) => unreachable!("it has looked"),
            Err(holders) => Err(CheckoutError::Timeout {
                tenant: id(),
                waited,
                holders: self.0.holders(holders),
            }),
        }
    }

    /// What a waiter is granted at last, else who holds what it waited for.
    fn granted<'p>(
        &'p self,
        ask: &mut Ask,
        mut sched: Guard<'p, D>,
        queued: &Queued<Lent<D>, Arc<Source<D>>>,
        deadline: Moment,
    ) -> Result<Granted<D>, Vec<Held>> {
        let waiting = &queued.waiting;
        let mut late = false;
        // A grant that came together with the deadline counts: it is looked for first.
        loop {
            match waiting.take() {
                Some(Grant::Nudge) => {
                    ask.now = self.0.now();
                    if let Some((seat, connection)) = sched.look(ask, waiting) {
                        return Ok(Grant::Use { seat, connection });
                    }
                }
                Some(grant) => return Ok(grant),
                None => {}
            }
            if late {
                let holders = sched.holders(ask.key);
                ask.now = self.0.now();
                sched.leave(ask, waiting);
                return Err(holders);
            }
            (sched, late) = waiting.signal.wait_until(sched, deadline);
        }
    }

    pub(crate) fn refused(tenant: &Tenant, refusal: Refusal) -> Error<D> {
        let id = tenant.id().clone();
        match refusal {
            Refusal::Closed => CheckoutError::Closed { tenant: id },
            Refusal::Superseded { current } => CheckoutError::Superseded {
                tenant: id,
                yours: tenant.epoch(),
                current,
            },
            Refusal::Failing { reason, retry_in } => CheckoutError::Failing {
                tenant: id,
                retry_in,
                source: Remembered(reason),
            },
        }
    }
}

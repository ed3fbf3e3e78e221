//! How a check-out comes by its connection.

use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{Event, Tenant};

use crate::checkout::{Checkout, Hold};
use crate::driver::{Driver, DriverError};
use crate::error::{CheckoutError, CheckoutStep, PreviousFailure};
use crate::label::Label;
use crate::open::Haste;
use crate::pools::{Lent, Scheduler, Source, TenantPools};
use crate::sched::{Ask, Grant, Held, Holder, Key, Looked, Queued, Refusal, Taken, Waiting};
use crate::sync::{Moment, held, this_thread};
use crate::until::Until;

type Error<D> = CheckoutError<DriverError<D>>;
type Granted<D> = Grant<Lent<D>, Arc<Source<D>>>;

/// What the scheduler decided about a check-out.
enum Told<D: Driver> {
    Taken(Taken<Lent<D>, Arc<Source<D>>>),
    Queued(Queued<Lent<D>, Arc<Source<D>>>),
    /// Too many wait.
    Overloaded,
    /// This thread holds all that it would wait for.
    Stuck(Vec<Held>),
}

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
        // Beside the return value: on the hot path nothing but a word is moved.
        let mut told = None;
        let taken = self.0.decide(|sched| {
            let idle = sched.try_take(&ask);
            if idle.is_none() {
                told = Some(Self::take_or_queue(sched, &ask));
            }
            idle
        });
        match taken {
            Some((seat, connection)) => {
                let checkout = self.lend(seat, connection).admitted()?;
                self.tell_lent(tenant, Duration::ZERO);
                Ok(checkout)
            }
            None => {
                let (until, key) = (Until::after(timeout), ask.key);
                let told = told.expect("told if nothing was taken");
                let checkout = self.obtain_otherwise(tenant, ask, told, until);
                let waited = until.waited();
                self.count_wait(waited);
                match &checkout {
                    Err(CheckoutError::Timeout { .. }) => {
                        self.0.observers.emit(&Event::TimedOut { tenant, waited });
                    }
                    Err(CheckoutError::StepTimeout { .. }) => {
                        self.0.decide(|sched| sched.count_late(key));
                        self.0.observers.emit(&Event::TimedOut { tenant, waited });
                    }
                    _ => {}
                }
                let checkout = checkout?.admitted()?;
                self.tell_lent(tenant, waited);
                Ok(checkout)
            }
        }
    }

    #[inline]
    pub(crate) fn tell_lent(&self, tenant: &Tenant, waited: Duration) {
        if self.0.observers.is_observed() {
            let event = Event::CheckedOut { tenant, waited };
            self.0.observers.emit(&event);
        }
    }

    pub(crate) fn try_obtain(
        &self,
        tenant: &Tenant,
        key: Option<Key>,
        label: Label,
    ) -> Result<Option<Checkout<D>>, Error<D>> {
        let ask = self.ask(tenant, key, label)?;
        let decide = |sched: &mut Scheduler<D>| (sched.try_take(&ask), sched.admit(&ask));
        let (taken, admitted) = self.0.decide(decide);
        match (taken, admitted) {
            (Some((seat, connection)), _) => {
                let checkout = self.lend(seat, connection).admitted()?;
                self.tell_lent(tenant, Duration::ZERO);
                Ok(Some(checkout))
            }
            (None, Err(Taken::Refused(refusal))) => Err(Self::refused(tenant, refusal)),
            (None, _) => Ok(None),
        }
    }

    fn lend(&self, seat: u32, connection: Lent<D>) -> Checkout<D> {
        Checkout::new(self.clone(), seat, connection, Hold::new())
    }

    #[cold]
    fn take_or_queue(sched: &mut Scheduler<D>, ask: &Ask) -> Told<D> {
        match sched.take(ask) {
            Taken::Full if held(0) > 0 && sched.is_stuck(ask) => {
                Told::Stuck(sched.holders(ask.key))
            }
            Taken::Full => sched.queue(ask).map_or(Told::Overloaded, Told::Queued),
            taken => Told::Taken(taken),
        }
    }

    /// Where there was nothing to be used as it is.
    #[cold]
    fn obtain_otherwise(
        &self,
        tenant: &Tenant,
        mut ask: Ask,
        mut told: Told<D>,
        until: Until,
    ) -> Result<Checkout<D>, Error<D>> {
        let id = || tenant.id().clone();
        loop {
            let taken = match told {
                Told::Queued(queued) => return self.wait(tenant, ask, &queued, until),
                Told::Overloaded => {
                    let (tenant, waiting) = (id(), self.0.max_waiters);
                    return Err(CheckoutError::Overloaded { tenant, waiting });
                }
                Told::Stuck(held) => {
                    let (tenant, holders) = (id(), self.0.holders(held));
                    return Err(CheckoutError::WouldDeadlock { tenant, holders });
                }
                Told::Taken(taken) => taken,
            };
            let step = match taken {
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
                    CheckoutStep::Validating
                }
                Taken::Open(permit) => return self.open(tenant, permit, until),
                Taken::Refused(refusal) => return Err(Self::refused(tenant, refusal)),
                Taken::Rubbish(rubbish) => {
                    self.discard(rubbish, Haste::Quick);
                    CheckoutStep::Closing
                }
                Taken::Gone => {
                    self.0.names.remove(tenant.id(), ask.key);
                    ask.key = self.0.slot(tenant.id());
                    CheckoutStep::Closing
                }
                Taken::Full => unreachable!("it is queued then"),
            };
            // What was just done took its time.
            Self::in_time(tenant, until, step)?;
            ask.now = self.0.now();
            told = self.0.decide(|sched| Self::take_or_queue(sched, &ask));
        }
    }

    #[inline]
    pub(crate) fn ask(
        &self,
        tenant: &Tenant,
        key: Option<Key>,
        label: Label,
    ) -> Result<Ask, Error<D>> {
        self.refuse_other(tenant)?;
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

    /// Refuses a check-out while another tenant is current on this thread.
    #[inline]
    pub(crate) fn refuse_other(&self, tenant: &Tenant) -> Result<(), Error<D>> {
        match Tenant::current().filter(|current| current != tenant) {
            None => Ok(()),
            Some(current) => Err(CheckoutError::OtherTenant {
                wanted: tenant.to_ref(),
                current: current.to_ref(),
            }),
        }
    }

    /// Waits for a grant until the deadline.
    fn wait(
        &self,
        tenant: &Tenant,
        mut ask: Ask,
        queued: &Queued<Lent<D>, Arc<Source<D>>>,
        until: Until,
    ) -> Result<Checkout<D>, Error<D>> {
        if queued.bound_reached {
            let max = self.0.max as usize;
            self.0.observers.emit(&Event::BoundReached { max });
        }
        let granted = self.granted(&mut ask, &queued.waiting, until.deadline);
        let waited = queued.waiting.since.elapsed();
        if waited >= self.0.timing.long_wait {
            self.0.observers.emit(&Event::WaitedLong { tenant, waited });
        }
        match granted {
            Ok(Grant::Use { seat, connection }) => Ok(self.lend(seat, connection)),
            Ok(Grant::Open(permit)) => self.open(tenant, permit, until),
            Ok(Grant::Refused(refusal)) => Err(Self::refused(tenant, refusal)),
            Ok(Grant::Nudge) => unreachable!("it has looked"),
            Ok(Grant::TimedOut(holders)) | Err(holders) => Err(CheckoutError::Timeout {
                tenant: tenant.id().clone(),
                waited,
                holders: self.0.holders(holders),
            }),
        }
    }

    /// What a waiter is granted at last, else who holds what it waited for.
    fn granted(
        &self,
        ask: &mut Ask,
        waiting: &Arc<Waiting<Lent<D>, Arc<Source<D>>>>,
        deadline: Moment,
    ) -> Result<Granted<D>, Vec<Held>> {
        let mut look_at = None;
        loop {
            let until = look_at.map_or(deadline, |at| deadline.min(at));
            let grant = waiting.mail.wait_until(until);
            ask.now = self.0.now();
            match grant {
                Some(Grant::Nudge) => {}
                Some(grant) => return Ok(grant),
                None if until < deadline => {}
                None => return self.0.decide(|sched| sched.leave(ask, waiting)),
            }
            match self.0.decide(|sched| sched.look(ask, waiting)) {
                Looked::Found { seat, connection } => return Ok(Grant::Use { seat, connection }),
                Looked::Nothing { retry_in } => {
                    look_at = retry_in.map(|wait| Moment::now().surely_after(wait));
                }
            }
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
            Refusal::Backoff { reason, retry_in } => CheckoutError::Backoff {
                tenant: id,
                retry_in,
                source: PreviousFailure(reason),
            },
        }
    }
}

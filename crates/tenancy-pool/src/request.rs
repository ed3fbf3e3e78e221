//! The course of a check-out on a thread: an idle connection, a new one, or a wait.

use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{Event, Tenant};

use crate::checkout::{Checkout, ThreadHold};
use crate::deadline::Deadline;
use crate::driver::Driver;
use crate::error::{CheckoutError, CheckoutStep, ErrorOf};
use crate::label::Label;
use crate::live::{BoxedLive, GrantOf, OutcomeOf, QueuedOf, Scheduler, WaitingOf};
use crate::opening::open;
use crate::sched::{Grant, HeldConnection, Request, Retried, SlotKey, TakeOutcome};
use crate::shared::{CloseMode, Shared};
use crate::sync::{Moment, held};

/// The decision of the scheduler about a check-out.
enum Decision<D: Driver> {
    Taken(OutcomeOf<D>),
    Queued(QueuedOf<D>),
    /// `max_waiters` check-outs wait already.
    Overloaded,
    /// This thread holds every connection that the check-out would wait for.
    WouldDeadlock(Vec<HeldConnection>),
}

/// Checks out a connection. `key` is the tenant's slot if the caller knows it.
#[inline]
pub(crate) fn check_out<D: Driver>(
    pools: &Arc<Shared<D>>,
    tenant: &Tenant,
    key: Option<SlotKey>,
    timeout: Duration,
    label: Label,
) -> Result<Checkout<D>, ErrorOf<D>> {
    let request = pools.request(tenant, key, label)?;
    // Beside the return value, so that only a word is moved on the hot path.
    let mut decision = None;
    let taken = pools.decide(|sched| {
        let idle = sched.try_take(&request);
        if idle.is_none() {
            decision = Some(take_or_queue(sched, &request));
        }
        idle
    });
    match taken {
        Some((seat, connection)) => check_out_idle(pools, tenant, seat, connection),
        None => {
            let decision = decision.expect("decided if nothing was taken");
            check_out_slowly(pools, tenant, request, decision, timeout)
        }
    }
}

/// Checks out a connection that is idle, if there is one.
pub(crate) fn try_check_out<D: Driver>(
    pools: &Arc<Shared<D>>,
    tenant: &Tenant,
    key: Option<SlotKey>,
    label: Label,
) -> Result<Option<Checkout<D>>, ErrorOf<D>> {
    let request = pools.request(tenant, key, label)?;
    let decide = |sched: &mut Scheduler<D>| (sched.try_take(&request), sched.admit(&request));
    match pools.decide(decide) {
        (Some((seat, connection)), _) => check_out_idle(pools, tenant, seat, connection).map(Some),
        (None, Err(TakeOutcome::Refused(refusal))) => Err(CheckoutError::refused(tenant, refusal)),
        (None, _) => Ok(None),
    }
}

#[inline]
fn check_out_idle<D: Driver>(
    pools: &Arc<Shared<D>>,
    tenant: &Tenant,
    seat: u32,
    connection: BoxedLive<D>,
) -> Result<Checkout<D>, ErrorOf<D>> {
    let checkout = Checkout::new(pools.clone(), seat, connection, ThreadHold::new());
    let checkout = checkout.accepted()?;
    pools.emit_checked_out(tenant, Duration::ZERO);
    Ok(checkout)
}

#[cold]
fn take_or_queue<D: Driver>(sched: &mut Scheduler<D>, request: &Request) -> Decision<D> {
    match sched.take(request) {
        TakeOutcome::Full if held(0) > 0 && sched.would_deadlock(request) => {
            Decision::WouldDeadlock(sched.holders(request.key))
        }
        TakeOutcome::Full => match sched.queue(request) {
            Some(queued) => Decision::Queued(queued),
            None => Decision::Overloaded,
        },
        taken => Decision::Taken(taken),
    }
}

/// Checks out a connection where none was idle and fresh.
#[cold]
fn check_out_slowly<D: Driver>(
    pools: &Arc<Shared<D>>,
    tenant: &Tenant,
    request: Request,
    decision: Decision<D>,
    timeout: Duration,
) -> Result<Checkout<D>, ErrorOf<D>> {
    let deadline = Deadline::after(timeout);
    let key = request.key;
    let mut slow = SlowCheckout {
        pools,
        tenant,
        request,
        deadline,
    };
    let checkout = slow.run(decision);
    let waited = deadline.waited();
    pools.count_wait(waited);
    match &checkout {
        Err(CheckoutError::Timeout { .. }) => {
            pools.observers.emit(&Event::TimedOut { tenant, waited });
        }
        Err(CheckoutError::StepTimeout { .. }) => {
            pools.decide(|sched| sched.count_step_timeout(key));
            pools.observers.emit(&Event::TimedOut { tenant, waited });
        }
        _ => {}
    }
    let checkout = checkout?.accepted()?;
    pools.emit_checked_out(tenant, waited);
    Ok(checkout)
}

/// A check-out that closes, validates, opens or waits.
struct SlowCheckout<'p, D: Driver> {
    pools: &'p Arc<Shared<D>>,
    tenant: &'p Tenant,
    request: Request,
    deadline: Deadline,
}

impl<D: Driver> SlowCheckout<'_, D> {
    /// Carries decisions out until one of them ends the check-out.
    fn run(&mut self, mut decision: Decision<D>) -> Result<Checkout<D>, ErrorOf<D>> {
        loop {
            let taken = match decision {
                Decision::Taken(taken) => taken,
                Decision::Queued(queued) => return self.wait(&queued),
                Decision::Overloaded => {
                    let (tenant, waiting) = (self.tenant.id().clone(), self.pools.max_waiters);
                    return Err(CheckoutError::Overloaded { tenant, waiting });
                }
                Decision::WouldDeadlock(held) => {
                    let (tenant, holders) = (self.tenant.id().clone(), self.pools.holders(held));
                    return Err(CheckoutError::WouldDeadlock { tenant, holders });
                }
            };
            let step = match self.use_taken(taken) {
                Ok(ended) => return ended,
                Err(step) => step,
            };
            CheckoutError::check_deadline(self.tenant, self.deadline, step)?;
            self.request.now = self.pools.now();
            let request = &self.request;
            decision = self.pools.decide(|sched| take_or_queue(sched, request));
        }
    }

    /// Uses what was taken.
    ///
    /// # Errors
    /// Returns the step that was done instead if the check-out has to start again.
    fn use_taken(
        &mut self,
        taken: OutcomeOf<D>,
    ) -> Result<Result<Checkout<D>, ErrorOf<D>>, CheckoutStep> {
        match taken {
            TakeOutcome::Idle {
                seat,
                connection,
                check,
            } => {
                let checkout = self.checkout(seat, connection);
                match check {
                    false => Ok(Ok(checkout)),
                    true => checkout.validated().map(Ok).ok_or(CheckoutStep::Validating),
                }
            }
            TakeOutcome::Open(permit) => Ok(open(self.pools, self.tenant, permit, self.deadline)),
            TakeOutcome::Refused(refusal) => Ok(Err(CheckoutError::refused(self.tenant, refusal))),
            TakeOutcome::CloseFirst(discarded) => {
                self.pools.close_discarded(discarded, CloseMode::Evict);
                Err(CheckoutStep::Closing)
            }
            TakeOutcome::StaleKey => {
                self.pools.slots.remove(self.tenant.id(), self.request.key);
                self.request.key = self.pools.slot(self.tenant.id());
                Err(CheckoutStep::Closing)
            }
            TakeOutcome::Full => unreachable!("it was queued"),
        }
    }

    fn checkout(&self, seat: u32, connection: BoxedLive<D>) -> Checkout<D> {
        Checkout::new(self.pools.clone(), seat, connection, ThreadHold::new())
    }

    /// Waits for a grant until the deadline.
    fn wait(&mut self, queued: &QueuedOf<D>) -> Result<Checkout<D>, ErrorOf<D>> {
        let (pools, tenant) = (self.pools, self.tenant);
        if queued.bound_reached {
            let max = pools.max as usize;
            pools.observers.emit(&Event::BoundReached { max });
        }
        let granted = self.wait_for_grant(&queued.waiting);
        let waited = queued.waiting.since.elapsed();
        if waited >= pools.timing.long_wait {
            pools.observers.emit(&Event::WaitedLong { tenant, waited });
        }
        match granted {
            Ok(Grant::Use { seat, connection }) => Ok(self.checkout(seat, connection)),
            Ok(Grant::Open(permit)) => open(pools, tenant, permit, self.deadline),
            Ok(Grant::Refused(refusal)) => Err(CheckoutError::refused(tenant, refusal)),
            Ok(Grant::Retry) => unreachable!("it has retried"),
            Ok(Grant::TimedOut(holders)) | Err(holders) => Err(CheckoutError::Timeout {
                tenant: tenant.id().clone(),
                waited,
                holders: pools.holders(holders),
            }),
        }
    }

    /// Waits until a grant ends the wait.
    ///
    /// # Errors
    /// Returns the connections that it waited for if the deadline has passed.
    fn wait_for_grant(
        &mut self,
        waiting: &WaitingOf<D>,
    ) -> Result<GrantOf<D>, Vec<HeldConnection>> {
        let (pools, deadline) = (self.pools, self.deadline.at);
        let mut retry_at = None;
        loop {
            let until = retry_at.map_or(deadline, |at| deadline.min(at));
            let grant = waiting.mail.wait_until(until);
            self.request.now = pools.now();
            let request = &self.request;
            match grant {
                Some(Grant::Retry) => {}
                Some(grant) => return Ok(grant),
                None if until < deadline => {}
                None => return pools.decide(|sched| sched.time_out(request, waiting)),
            }
            match pools.decide(|sched| sched.retry(request, waiting)) {
                Retried::Found { seat, connection } => {
                    return Ok(Grant::Use { seat, connection });
                }
                Retried::Nothing { retry_in } => {
                    retry_at = retry_in.map(|wait| Moment::now().surely_after(wait));
                }
            }
        }
    }
}

//! [`SeatFuture`]: the wait for a [`Seat`] without blocking a thread.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tenancy_core::{Event, Tenant};

use crate::driver::{Access, Driver, DriverError};
use crate::error::{CheckoutError, ErrorOf};
use crate::label::Label;
use crate::live::{BoxedLive, GrantOf, OutcomeOf, QueuedOf, ReservationOf, Scheduler, WaitingOf};
use crate::sched::{
    Caller, Grant, HeldConnection, Request, Reservation, Retried, SlotKey, TakeOutcome,
};
use crate::seat::{NonBlockingRef, Seat};
use crate::shared::{Alarm, AlarmKind, Shared};
use crate::sync::Moment;
use crate::timer::AlarmId;

/// A future that waits for a [`Seat`]; see
/// [`TenantPools::seat_async`](crate::TenantPools::seat_async).
///
/// The first poll requests the seat and starts the time-out. Polling and dropping the future never
/// block, and never open, prepare, validate or close a connection. When the future is granted a
/// seat, it holds the seat until the future is polled or dropped, so it should not be kept unpolled.
#[must_use = "a future does nothing until it is polled"]
pub struct SeatFuture<D: Driver> {
    pools: NonBlockingRef<D>,
    tenant: Tenant,
    key: Option<SlotKey>,
    label: Label,
    timeout: Duration,
    access: Access,
    stage: Stage<D>,
}

enum Stage<D: Driver> {
    New,
    Waiting(Wait<D>),
    Done,
}

/// A place in the queue, and the alarms that go with it.
struct Wait<D: Driver> {
    request: Request,
    waiting: WaitingOf<D>,
    deadline: AlarmId,
    retry: Option<AlarmId>,
}

/// The decision of the scheduler about a request for a seat.
enum SeatDecision<D: Driver> {
    Reserved(ReservationOf<D>),
    Queued(QueuedOf<D>),
    /// `max_waiters` check-outs wait already.
    Overloaded,
    Otherwise(OutcomeOf<D>),
}

impl<D: Driver> SeatFuture<D> {
    pub(crate) fn new(
        pools: &Arc<Shared<D>>,
        tenant: &Tenant,
        key: Option<SlotKey>,
        timeout: Duration,
        label: Label,
    ) -> Self {
        Self {
            pools: NonBlockingRef::new(pools),
            tenant: tenant.clone(),
            key,
            label,
            timeout,
            access: Access::ReadWrite,
            stage: Stage::New,
        }
    }

    pub(crate) fn restricted(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Takes a reservation, or queues.
    fn begin(&mut self) -> Result<Option<ReservationOf<D>>, ErrorOf<D>> {
        let pools = &self.pools;
        let mut request = pools.request(&self.tenant, self.key, self.label)?;
        request.caller.thread = Caller::NO_THREAD;
        loop {
            match pools.decide(|sched| Self::take_or_queue(sched, &request)) {
                SeatDecision::Reserved(reservation) => return Ok(Some(reservation)),
                SeatDecision::Queued(queued) => {
                    self.stage = Stage::Waiting(self.wait(request, queued)?);
                    return Ok(None);
                }
                SeatDecision::Overloaded => {
                    let (tenant, waiting) = (self.tenant.id().clone(), pools.max_waiters);
                    return Err(CheckoutError::Overloaded { tenant, waiting });
                }
                SeatDecision::Otherwise(TakeOutcome::Refused(refusal)) => {
                    return Err(CheckoutError::refused(&self.tenant, refusal));
                }
                SeatDecision::Otherwise(TakeOutcome::StaleKey) => {
                    pools.slots.remove(self.tenant.id(), request.key);
                    request.key = pools.slot(self.tenant.id());
                }
                // Closes were deferred; a source is dropped here.
                SeatDecision::Otherwise(_) => {}
            }
        }
    }

    fn take_or_queue(sched: &mut Scheduler<D>, request: &Request) -> SeatDecision<D> {
        match sched.take_reservation(request) {
            Ok(reservation) => SeatDecision::Reserved(reservation),
            Err(TakeOutcome::Full) => match sched.queue(request) {
                Some(queued) => SeatDecision::Queued(queued),
                None => SeatDecision::Overloaded,
            },
            Err(otherwise) => SeatDecision::Otherwise(otherwise),
        }
    }

    fn wait(&self, request: Request, queued: QueuedOf<D>) -> Result<Wait<D>, ErrorOf<D>> {
        let pools = &self.pools;
        if queued.bound_reached {
            let max = pools.max as usize;
            pools.observers.emit(&Event::BoundReached { max });
        }
        let (key, waiting) = (request.key, queued.waiting);
        let at = Moment::now().after(self.timeout);
        let deadline = self.set_alarm(key, &waiting, at, AlarmKind::Deadline);
        let deadline = deadline.map_err(|source| {
            pools.cancel_wait(key, &waiting);
            let tenant = self.tenant.id().clone();
            CheckoutError::NoTimer { tenant, source }
        })?;
        Ok(Wait {
            request,
            waiting,
            deadline,
            retry: None,
        })
    }

    fn set_alarm(
        &self,
        key: SlotKey,
        waiting: &WaitingOf<D>,
        at: Moment,
        kind: AlarmKind,
    ) -> std::io::Result<AlarmId> {
        let waiting = waiting.clone();
        let alarm = Alarm { key, waiting, kind };
        self.pools.set_alarm(at, alarm)
    }

    /// Reads the mailbox of a wait.
    fn poll_wait(&mut self, cx: &Context<'_>) -> Poll<Result<ReservationOf<D>, ErrorOf<D>>> {
        let Stage::Waiting(mut wait) = std::mem::replace(&mut self.stage, Stage::Done) else {
            unreachable!("it waits")
        };
        let end = loop {
            match wait.waiting.mail.poll(cx.waker()) {
                Poll::Pending => break None,
                Poll::Ready(Grant::Retry) => {
                    if let Some(found) = self.retry(&mut wait) {
                        break Some(Ok(found));
                    }
                }
                Poll::Ready(grant) => break Some(self.granted(&wait, grant)),
            }
        };
        match end {
            None => {
                self.stage = Stage::Waiting(wait);
                Poll::Pending
            }
            Some(end) => {
                self.end_wait(&wait);
                Poll::Ready(end)
            }
        }
    }

    /// Tries to take an idle connection. In a backoff it sets an alarm for the next try.
    fn retry(&self, wait: &mut Wait<D>) -> Option<ReservationOf<D>> {
        let pools = &self.pools;
        wait.request.now = pools.now();
        match pools.decide(|sched| sched.retry(&wait.request, &wait.waiting)) {
            Retried::Found { seat, connection } => Some(Self::in_use(seat, connection)),
            Retried::Nothing { retry_in } => {
                wait.retry.take().inspect(|id| pools.cancel_alarm(*id));
                let at = retry_in.map(|wait| Moment::now().surely_after(wait));
                // This alarm cannot fail: that of the deadline has started the thread.
                wait.retry = at.and_then(|at| {
                    let alarm =
                        self.set_alarm(wait.request.key, &wait.waiting, at, AlarmKind::Retry);
                    alarm.ok()
                });
                None
            }
        }
    }

    fn granted(&self, wait: &Wait<D>, grant: GrantOf<D>) -> Result<ReservationOf<D>, ErrorOf<D>> {
        match grant {
            Grant::Use { seat, connection } => Ok(Self::in_use(seat, connection)),
            Grant::Open(permit) => Ok(Reservation::Permit(permit)),
            Grant::Refused(refusal) => Err(CheckoutError::refused(&self.tenant, refusal)),
            Grant::TimedOut(held) => Err(self.timed_out(wait, held)),
            Grant::Retry => unreachable!("it has retried"),
        }
    }

    fn timed_out(&self, wait: &Wait<D>, held: Vec<HeldConnection>) -> ErrorOf<D> {
        let (tenant, waited) = (&self.tenant, wait.waiting.since.elapsed());
        let event = Event::TimedOut { tenant, waited };
        self.pools.observers.emit(&event);
        CheckoutError::Timeout {
            tenant: self.tenant.id().clone(),
            waited,
            holders: self.pools.holders(held),
        }
    }

    fn in_use(seat: u32, connection: BoxedLive<D>) -> ReservationOf<D> {
        Reservation::Connection {
            seat,
            connection,
            check: false,
            idle: None,
        }
    }

    /// Cancels the alarms of a wait that has ended, and counts it.
    fn end_wait(&self, wait: &Wait<D>) {
        let pools = &self.pools;
        wait.cancel_alarms(pools);
        let (tenant, waited) = (&self.tenant, wait.waiting.since.elapsed());
        pools.count_wait(waited);
        if waited >= pools.timing.long_wait {
            pools.observers.emit(&Event::WaitedLong { tenant, waited });
        }
    }

    fn seat(&self, reservation: ReservationOf<D>) -> Seat<D> {
        Seat::new(
            reservation,
            &self.pools,
            &self.tenant,
            self.label,
            self.access,
        )
    }
}

impl<D: Driver> Wait<D> {
    fn cancel_alarms(&self, pools: &Shared<D>) {
        let alarms = [Some(self.deadline), self.retry];
        let alarms = alarms.into_iter().flatten();
        alarms.for_each(|id| pools.cancel_alarm(id));
    }
}

impl<D: Driver> Future for SeatFuture<D> {
    type Output = Result<Seat<D>, CheckoutError<DriverError<D>>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Stage::New = this.stage {
            this.stage = Stage::Done;
            match this.begin() {
                Ok(Some(reservation)) => return Poll::Ready(Ok(this.seat(reservation))),
                Ok(None) => {}
                Err(refused) => return Poll::Ready(Err(refused)),
            }
        }
        assert!(
            matches!(this.stage, Stage::Waiting(_)),
            "polled after it was done"
        );
        let end = this.poll_wait(cx);
        end.map(|end| end.map(|reservation| this.seat(reservation)))
    }
}

impl<D: Driver> Drop for SeatFuture<D> {
    fn drop(&mut self) {
        if let Stage::Waiting(wait) = &self.stage {
            wait.cancel_alarms(&self.pools);
            self.pools.cancel_wait(wait.request.key, &wait.waiting);
        }
    }
}

impl<D: Driver> fmt::Debug for SeatFuture<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SeatFuture").field(&self.tenant).finish()
    }
}

//! [`SeatFuture`] and [`Seat`]: waiting for a connection without a thread.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tenancy_core::{Event, Tenant};

use crate::checkout::{Checkout, Hold};
use crate::driver::{Access, Driver, DriverError};
use crate::error::CheckoutError;
use crate::label::Label;
use crate::open::Haste;
use crate::pools::{Inner, Lent, Scheduler, Source, TenantPools};
use crate::sched::{Ask, Grant, Held, Holder, Key, Looked, Place, Queued, Taken, Waiting};
use crate::sync::{Moment, spawn, this_thread};
use crate::timer::{Alarm, Id, What};
use crate::until::Until;

type Error<D> = CheckoutError<DriverError<D>>;
type PlaceOf<D> = Place<Lent<D>, Arc<Source<D>>>;
type WaitingOf<D> = Arc<Waiting<Lent<D>, Arc<Source<D>>>>;

/// A place for one connection of a tenant, reserved until it is opened or dropped. It may
/// go to any thread.
///
/// Dropping it gives the place back, and never closes a connection on this thread: one
/// that cannot be kept is closed by the next check-out that needs its place, by
/// [`close`](TenantPools::close) or by [`reap`](TenantPools::reap).
///
/// A seat belongs to no thread: a check-out on another one may wait for it, and never gets
/// [`WouldDeadlock`](CheckoutError::WouldDeadlock) on its account. Once it is opened, the
/// connection counts as held by the thread that opened it.
#[must_use = "dropping it gives the place back"]
pub struct Seat<D: Driver> {
    /// None only while it is opened or dropped.
    place: Option<PlaceOf<D>>,
    pools: Keeper<D>,
    tenant: Tenant,
    label: Label,
    access: Access,
}

impl<D: Driver> Seat<D> {
    /// The tenant whose connection it is for.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Checks the connection out: closes another tenant's that has to give way, connects,
    /// prepares the database, validates, whatever it takes. All of that blocks: call it
    /// where blocking is allowed. It waits for no other check-out, and begins no step once
    /// the pools' [`checkout_timeout`](crate::Builder::checkout_timeout) has passed.
    ///
    /// # Errors
    /// When the connection cannot be opened, prepared or restricted, the tenant was closed
    /// or superseded meanwhile, or another one is current on this thread.
    pub fn open(mut self) -> Result<Checkout<D>, Error<D>> {
        self.pools.refuse_other(&self.tenant)?;
        let place = self.place.take().expect("taken only here and by drop");
        let (label, thread) = (self.label, this_thread());
        let until = Until::after(self.pools.0.timing.checkout_timeout);
        let checkout = self
            .pools
            .occupy(&self.tenant, place, Holder { label, thread }, until)?;
        let checkout = checkout.admitted()?;
        self.pools.tell_lent(&self.tenant, until.waited());
        match self.access {
            Access::ReadWrite => Ok(checkout),
            Access::ReadOnly => checkout.for_reading(),
        }
    }
}

impl<D: Driver> Drop for Seat<D> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let now = self.pools.0.now();
            // Bound first: a source is dropped outside the lock.
            let source = self.pools.0.decide(|sched| sched.vacate(place, now));
            drop(source);
        }
    }
}

impl<D: Driver> fmt::Debug for Seat<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seat").field(&self.tenant).finish()
    }
}

/// The wait for a [`Seat`]; see [`TenantPools::seat_async`].
///
/// It asks at its first poll, and its time-out begins there. Neither polling nor dropping
/// it blocks, connects, validates, prepares or closes anything. Once it has been granted a
/// seat it holds that until it is polled or dropped: do not keep it unpolled.
#[must_use = "a future does nothing until it is polled"]
pub struct SeatFuture<D: Driver> {
    pools: Keeper<D>,
    tenant: Tenant,
    key: Option<Key>,
    label: Label,
    timeout: Duration,
    access: Access,
    stage: Stage<D>,
}

enum Stage<D: Driver> {
    New,
    Waits(Wait<D>),
    Done,
}

/// A place in the queue, and the alarms that go with it.
struct Wait<D: Driver> {
    ask: Ask,
    waiting: WaitingOf<D>,
    deadline: Id,
    look_again: Option<Id>,
}

/// What was decided about one that asks.
enum Told<D: Driver> {
    Place(PlaceOf<D>),
    Queued(Queued<Lent<D>, Arc<Source<D>>>),
    Overloaded,
    Otherwise(Taken<Lent<D>, Arc<Source<D>>>),
}

impl<D: Driver> SeatFuture<D> {
    pub(crate) fn new(
        pools: &TenantPools<D>,
        tenant: &Tenant,
        key: Option<Key>,
        timeout: Duration,
        label: Label,
    ) -> Self {
        Self {
            pools: Keeper::new(pools),
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

    /// Takes what there is, or queues.
    fn begin(&mut self) -> Result<Option<PlaceOf<D>>, Error<D>> {
        let pools = &self.pools.0;
        let mut ask = self.pools.ask(&self.tenant, self.key, self.label)?;
        ask.holder.thread = Holder::NO_THREAD;
        loop {
            let id = || self.tenant.id().clone();
            match pools.decide(|sched| Self::take_or_queue(sched, &ask)) {
                Told::Place(place) => return Ok(Some(place)),
                Told::Queued(queued) => {
                    self.stage = Stage::Waits(self.wait(ask, queued)?);
                    return Ok(None);
                }
                Told::Overloaded => {
                    let (tenant, waiting) = (id(), pools.max_waiters);
                    return Err(CheckoutError::Overloaded { tenant, waiting });
                }
                Told::Otherwise(Taken::Refused(refusal)) => {
                    return Err(TenantPools::<D>::refused(&self.tenant, refusal));
                }
                Told::Otherwise(Taken::Gone) => {
                    pools.names.remove(self.tenant.id(), ask.key);
                    ask.key = pools.slot(self.tenant.id());
                }
                // Connections were set aside; a source is dropped here.
                Told::Otherwise(_) => {}
            }
        }
    }

    fn take_or_queue(sched: &mut Scheduler<D>, ask: &Ask) -> Told<D> {
        match sched.take_place(ask) {
            Ok(place) => Told::Place(place),
            Err(Taken::Full) => sched.queue(ask).map_or(Told::Overloaded, Told::Queued),
            Err(otherwise) => Told::Otherwise(otherwise),
        }
    }

    fn wait(&self, ask: Ask, queued: Queued<Lent<D>, Arc<Source<D>>>) -> Result<Wait<D>, Error<D>> {
        let pools = &self.pools.0;
        if queued.bound_reached {
            let max = pools.max as usize;
            pools.observers.emit(&Event::BoundReached { max });
        }
        let waiting = queued.waiting;
        let at = Moment::now().after(self.timeout);
        let deadline = self.alarm(&ask, &waiting, at, What::Deadline);
        let deadline = deadline.map_err(|source| {
            pools.withdraw(ask.key, &waiting);
            let tenant = self.tenant.id().clone();
            CheckoutError::NoTimer { tenant, source }
        })?;
        Ok(Wait {
            ask,
            waiting,
            deadline,
            look_again: None,
        })
    }

    fn alarm(
        &self,
        ask: &Ask,
        waiting: &WaitingOf<D>,
        at: Moment,
        what: What,
    ) -> std::io::Result<Id> {
        let alarm = Alarm {
            key: ask.key,
            waiting: waiting.clone(),
            what,
        };
        self.pools.0.timer.set(&self.pools.0, at, alarm)
    }

    /// Reads what came for one that waits.
    fn look(&mut self, cx: &Context<'_>) -> Poll<Result<PlaceOf<D>, Error<D>>> {
        let Stage::Waits(mut wait) = std::mem::replace(&mut self.stage, Stage::Done) else {
            unreachable!("it waits")
        };
        let end = loop {
            match wait.waiting.mail.poll(cx.waker()) {
                Poll::Pending => break None,
                Poll::Ready(Grant::Nudge) => {
                    if let Some(found) = self.come(&mut wait) {
                        break Some(Ok(found));
                    }
                }
                Poll::Ready(grant) => break Some(self.granted(&wait, grant)),
            }
        };
        match end {
            None => {
                self.stage = Stage::Waits(wait);
                Poll::Pending
            }
            Some(end) => {
                self.told(&wait);
                Poll::Ready(end)
            }
        }
    }

    /// A nudged waiter looks for an idle connection; beside a failure it will look again.
    fn come(&self, wait: &mut Wait<D>) -> Option<PlaceOf<D>> {
        let pools = &self.pools.0;
        wait.ask.now = pools.now();
        match pools.decide(|sched| sched.look(&wait.ask, &wait.waiting)) {
            Looked::Found { seat, connection } => Some(Self::lent(seat, connection)),
            Looked::Nothing { retry_in } => {
                wait.look_again.take().inspect(|id| pools.timer.cancel(*id));
                let at = retry_in.map(|wait| Moment::now().surely_after(wait));
                // Its thread runs: the deadline's alarm was set before.
                wait.look_again = at.and_then(|at| {
                    self.alarm(&wait.ask, &wait.waiting, at, What::LookAgain)
                        .ok()
                });
                None
            }
        }
    }

    fn granted(
        &self,
        wait: &Wait<D>,
        grant: Grant<Lent<D>, Arc<Source<D>>>,
    ) -> Result<PlaceOf<D>, Error<D>> {
        match grant {
            Grant::Use { seat, connection } => Ok(Self::lent(seat, connection)),
            Grant::Open(permit) => Ok(Place::Permit(permit)),
            Grant::Refused(refusal) => Err(TenantPools::<D>::refused(&self.tenant, refusal)),
            Grant::TimedOut(held) => Err(self.late(wait, held)),
            Grant::Nudge => unreachable!("it has looked"),
        }
    }

    fn late(&self, wait: &Wait<D>, held: Vec<Held>) -> Error<D> {
        let (tenant, waited) = (&self.tenant, wait.waiting.since.elapsed());
        let event = Event::TimedOut { tenant, waited };
        self.pools.0.observers.emit(&event);
        CheckoutError::Timeout {
            tenant: self.tenant.id().clone(),
            waited,
            holders: self.pools.0.holders(held),
        }
    }

    fn lent(seat: u32, connection: Lent<D>) -> PlaceOf<D> {
        Place::Connection {
            seat,
            connection,
            check: false,
            was: None,
        }
    }

    /// A wait is over.
    fn told(&self, wait: &Wait<D>) {
        let pools = &self.pools.0;
        wait.cancel(pools);
        let (tenant, waited) = (&self.tenant, wait.waiting.since.elapsed());
        self.pools.count_wait(waited);
        if waited >= pools.timing.long_wait {
            pools.observers.emit(&Event::WaitedLong { tenant, waited });
        }
    }
}

impl<D: Driver> Wait<D> {
    fn cancel(&self, pools: &Inner<D>) {
        let alarms = [Some(self.deadline), self.look_again];
        alarms
            .into_iter()
            .flatten()
            .for_each(|id| pools.timer.cancel(id));
    }
}

impl<D: Driver> Future for SeatFuture<D> {
    type Output = Result<Seat<D>, Error<D>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Stage::New = this.stage {
            this.stage = Stage::Done;
            match this.begin() {
                Ok(Some(place)) => return Poll::Ready(Ok(this.seat(place))),
                Ok(None) => {}
                Err(refused) => return Poll::Ready(Err(refused)),
            }
        }
        assert!(
            matches!(this.stage, Stage::Waits(_)),
            "polled after it was done"
        );
        this.look(cx).map(|end| end.map(|place| this.seat(place)))
    }
}

impl<D: Driver> SeatFuture<D> {
    fn seat(&self, place: PlaceOf<D>) -> Seat<D> {
        Seat {
            place: Some(place),
            pools: Keeper::new(&self.pools),
            tenant: self.tenant.clone(),
            label: self.label,
            access: self.access,
        }
    }
}

impl<D: Driver> Drop for SeatFuture<D> {
    fn drop(&mut self) {
        if let Stage::Waits(wait) = &self.stage {
            wait.cancel(&self.pools.0);
            self.pools.0.withdraw(wait.ask.key, &wait.waiting);
        }
    }
}

impl<D: Driver> fmt::Debug for SeatFuture<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SeatFuture").field(&self.tenant).finish()
    }
}

impl<D: Driver> Inner<D> {
    /// Somebody waits no longer.
    fn withdraw(&self, key: Key, waiting: &WaitingOf<D>) {
        let now = self.now();
        let source = self.decide(|sched| sched.withdraw(key, waiting, now));
        drop(source);
    }
}

impl<D: Driver> TenantPools<D> {
    /// Makes a check-out of a place, on this thread.
    fn occupy(
        &self,
        tenant: &Tenant,
        place: PlaceOf<D>,
        holder: Holder,
        until: Until,
    ) -> Result<Checkout<D>, Error<D>> {
        let (seat, connection, check) = match place {
            Place::Permit(permit) => {
                self.0.decide(|sched| sched.hold(permit.seat, holder));
                return self.open(tenant, permit, until);
            }
            Place::Connection {
                seat,
                connection,
                check,
                ..
            } => (seat, connection, check),
        };
        self.0.decide(|sched| sched.hold(seat, holder));
        let checkout = Checkout::new(self.clone(), seat, connection, Hold::new());
        let (seat, live) = match check {
            false => return Ok(checkout),
            true => match checkout.validated_or_taken() {
                Ok(checkout) => return Ok(checkout),
                Err(taken) => taken,
            },
        };
        let now = self.0.now();
        match self
            .0
            .decide(|sched| sched.replace_bad(seat, live, holder, now))
        {
            Ok(permit) => self.open(tenant, permit, until),
            Err((live, refusal)) => {
                self.close_one(seat, live, Haste::of(&refusal));
                Err(Self::refused(tenant, refusal))
            }
        }
    }
}

/// The pools, kept by somebody who must not block: if all others are gone by the time he
/// is, what is idle is closed on a thread of its own.
struct Keeper<D: Driver> {
    /// None only while it is being dropped.
    pools: Option<TenantPools<D>>,
}

impl<D: Driver> Keeper<D> {
    fn new(pools: &TenantPools<D>) -> Self {
        let pools = Some(pools.clone());
        Self { pools }
    }
}

impl<D: Driver> std::ops::Deref for Keeper<D> {
    type Target = TenantPools<D>;
    fn deref(&self) -> &TenantPools<D> {
        self.pools.as_ref().expect("taken only by drop")
    }
}

impl<D: Driver> Drop for Keeper<D> {
    fn drop(&mut self) {
        let last = self.pools.take().and_then(|pools| Arc::into_inner(pools.0));
        if let Some(last) = last {
            // Where the system has no thread it is closed here, late being worse than slow.
            let _ = spawn("tenancy-close", move || drop(last));
        }
    }
}

//! The scheduler with a harness that carries its decisions out in any order: opens fail, panic or
//! succeed, waiters retry or time out, tenants are closed and superseded. After every step the
//! invariants of the scheduler are counted anew.
//!
//! `handoff_after` is either zero or for ever, so that no clock decides. It changes from one to the
//! other, as if the waiters had waited that long.

mod reservations;
mod steps;
mod verify;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tenancy_core::{Epoch, TenantId};

use super::chain::NONE;
use super::seats::{SeatCounts, SeatState};
use super::slot::Preparation;
use super::*;
use crate::label::Label;
use steps::{Outcome, Step, step};

const TENANTS: usize = 4;
const FOREVER: Duration = Duration::from_secs(3600);

/// A connection that knows its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Conn {
    tenant: usize,
    epoch: Epoch,
    serial: u32,
}

/// The source of connections: the number of the tenant.
type Source = usize;

/// The view that the harness has of a waiter.
struct Waiter {
    tenant: usize,
    request: Request,
    waiting: Arc<Waiting<Conn, Source>>,
    /// Whether it retries at the end of a backoff.
    retries_later: bool,
}

/// A permit that is being used.
struct Opening {
    tenant: usize,
    epoch: Epoch,
    permit: Permit<Conn, Source>,
}

struct Harness {
    sched: Sched<Conn, Source>,
    keys: Vec<SlotKey>,
    epochs: Vec<Epoch>,
    caps: Vec<u32>,
    now: u64,
    serial: u32,
    out: Vec<(u32, Conn)>,
    opening: Vec<Opening>,
    closing: Vec<(u32, Conn)>,
    /// Connections in idle maintenance, and the time since which each was idle.
    maintaining: Vec<(u32, Conn, Stamp)>,
    /// Serial numbers of connections that were maintained and not used since.
    maintained: HashSet<u32>,
    waiters: Vec<Waiter>,
    /// Reservations that were not opened yet.
    reservations: Vec<(usize, Reservation<Conn, Source>)>,
    /// The number of connections that were given back unopened.
    released: u64,
    /// The number of the use after which each connection was last put back.
    used: HashMap<u32, u64>,
    uses: u64,
    prepared: HashMap<(usize, Epoch), u32>,
    checked_out: u64,
    returned: u64,
    raised: bool,
    /// The number of connections that each tenant had after the previous step.
    before: Vec<u32>,
    /// The waiters that were to be woken, at any time.
    woken: Vec<Arc<Waiting<Conn, Source>>>,
}

fn tenant_id(tenant: usize) -> TenantId {
    format!("t{tenant}").parse().expect("an id")
}

impl Harness {
    fn new(max: u32, cap: u32, handoff_after: Duration, failure_ttl: Duration) -> Self {
        let mut sched = Sched::new(Limits {
            max,
            max_waiters: 5,
            handoff_after,
            idle_timeout: Some(Duration::from_secs(10)),
            max_lifetime: Some(Duration::from_secs(25)),
            lifetime_jitter: Duration::ZERO,
            validate_after: Some(Duration::from_secs(5)),
            idle_maintenance_after: Duration::from_secs(3),
            failure_ttl,
        });
        let keys = (0..TENANTS).map(|t| sched.add(tenant_id(t))).collect();
        Self {
            sched,
            keys,
            epochs: vec![Epoch::FIRST; TENANTS],
            caps: (0..TENANTS as u32)
                .map(|t| cap.min(max).max(t % 2))
                .collect(),
            now: 1,
            serial: 0,
            out: Vec::new(),
            opening: Vec::new(),
            closing: Vec::new(),
            maintaining: Vec::new(),
            maintained: HashSet::new(),
            waiters: Vec::new(),
            reservations: Vec::new(),
            released: 0,
            used: HashMap::new(),
            uses: 0,
            prepared: HashMap::new(),
            checked_out: 0,
            returned: 0,
            raised: false,
            before: vec![0; TENANTS],
            woken: Vec::new(),
        }
    }

    /// No two connections are put back at the same moment.
    fn now(&self) -> Stamp {
        Stamp::new(Duration::new(self.now, self.uses as u32))
    }

    fn request_for(&self, tenant: usize, epoch: Epoch, thread: u32) -> Request {
        Request {
            key: self.keys[tenant],
            epoch,
            caller: Caller {
                label: Label::Named("test"),
                thread,
            },
            now: self.now(),
        }
    }

    /// Returns the connection that is evicted for a tenant: the least recently used idle one of
    /// another tenant without waiters.
    fn eviction_candidate_for(&self, tenant: usize) -> Option<u32> {
        let idle = self.sched.seats.occupied();
        let idle = idle.filter(|seat| seat.state == SeatState::Idle);
        let idle = idle.filter_map(|seat| seat.connection);
        let candidates = idle.filter(|conn| {
            let owner = conn.tenant;
            owner != tenant && !self.waiters.iter().any(|waiter| self.waits(waiter, owner))
        });
        candidates
            .min_by_key(|conn| self.used[&conn.serial])
            .map(|conn| conn.serial)
    }

    /// Returns whether a waiter waits for a tenant without a grant.
    fn waits(&self, waiter: &Waiter, tenant: usize) -> bool {
        let slot = &self.sched.slots[self.keys[tenant].index as usize];
        let waiters = slot.rare.iter().flat_map(|rare| &rare.waiters);
        waiter.tenant == tenant && waiters.into_iter().any(|w| Arc::ptr_eq(w, &waiter.waiting))
    }

    fn request(&mut self, tenant: usize, epoch: Epoch, thread: u32) {
        let request = self.request_for(tenant, epoch, thread);
        let candidate = self.closed_for(tenant);
        let queued = self.sched.slots[request.key.index as usize].waiters() > 0;
        let strict = self.sched.limits.handoff_after.is_zero();
        let taken = self.sched.take(&request);
        let overtakes = match &taken {
            TakeOutcome::Idle { .. } => queued && strict,
            TakeOutcome::Open(_) => queued,
            _ => false,
        };
        assert!(!overtakes || self.raised, "it overtook the waiters");
        match taken {
            TakeOutcome::Idle {
                seat, connection, ..
            } => self.check_out(tenant, epoch, seat, connection),
            TakeOutcome::Open(permit) => {
                let closed_first = permit.to_close.map(|conn| conn.serial);
                assert_eq!(
                    closed_first, candidate,
                    "the wrong connection is closed first"
                );
                self.start(tenant, permit);
            }
            TakeOutcome::CloseFirst(discarded) => self.closing.extend(discarded.connections),
            TakeOutcome::Full => {
                if self.sched.would_deadlock(&request) {
                    self.check_deadlock(tenant, thread);
                } else if let Some(queued) = self.sched.queue(&request) {
                    let waiting = queued.waiting;
                    self.waiters.push(Waiter {
                        tenant,
                        request,
                        waiting,
                        retries_later: false,
                    });
                }
            }
            TakeOutcome::Refused(refusal) => self.check_refusal(tenant, epoch, &refusal),
            TakeOutcome::StaleKey => panic!("the harness keeps its keys fresh"),
        }
    }

    fn check_deadlock(&self, tenant: usize, thread: u32) {
        let slot = &self.sched.slots[self.keys[tenant].index as usize];
        let own = !self.sched.may_open(self.keys[tenant].index);
        assert!(
            own || slot.retry_in(self.now()).is_none(),
            "it may try again"
        );
        for seat in self.sched.seats.occupied() {
            let concerns = !own || seat.slot == self.keys[tenant].index;
            assert!(
                !concerns || seat.thread == thread,
                "another thread could serve it"
            );
            assert!(
                !concerns || seat.state != SeatState::Idle,
                "an idle connection could serve it"
            );
        }
    }

    fn check_refusal(&self, tenant: usize, epoch: Epoch, refusal: &Refusal) {
        let slot = &self.sched.slots[self.keys[tenant].index as usize];
        match refusal {
            Refusal::Closed => assert!(slot.closed),
            Refusal::Superseded { current } => assert!(*current > epoch),
            Refusal::Backoff { .. } => assert!(!self.sched.limits.failure_ttl.is_zero()),
        }
    }

    fn check_out(&mut self, tenant: usize, epoch: Epoch, seat: u32, conn: Conn) {
        assert_eq!(conn.tenant, tenant, "another tenant's connection");
        assert_eq!(conn.epoch, epoch, "another epoch's connection");
        assert!(
            self.out
                .iter()
                .all(|(_, other)| other.serial != conn.serial)
        );
        self.checked_out += 1;
        self.maintained.remove(&conn.serial);
        self.out.push((seat, conn));
    }

    fn begin_maintenance(&mut self) {
        let Some((seat, conn, since)) = self.sched.begin_idle_maintenance(7, self.now()) else {
            let due = self.sched.seats.occupied().filter(|seat| {
                let waited_for = self.sched.slots[seat.slot as usize].waiters() > 0;
                let idle_for = self.now().since(seat.since);
                seat.state == SeatState::Idle && !waited_for && idle_for >= Duration::from_secs(3)
            });
            let mut due = due.filter_map(|seat| seat.connection);
            assert!(
                due.all(|conn| self.maintained.contains(&conn.serial)),
                "a connection is due"
            );
            return;
        };
        let idle_for = self.now().since(since);
        assert!(idle_for >= Duration::from_secs(3), "it was used just now");
        assert!(
            self.maintained.insert(conn.serial),
            "it was maintained twice"
        );
        self.maintaining.push((seat, conn, since));
    }

    fn end_maintenance(&mut self, at: usize, sound: bool) {
        let (seat, conn, since) = self.maintaining.remove(at);
        let now = self.now();
        let refused = self
            .sched
            .end_idle_maintenance(seat, conn, sound, since, now);
        assert!(
            sound || refused == Some(conn),
            "a broken connection was kept"
        );
        self.closing.extend(refused.map(|conn| (seat, conn)));
    }

    fn start(&mut self, tenant: usize, permit: Permit<Conn, Source>) {
        let epoch = self.sched.seats[permit.seat].epoch;
        let others = self.opening.iter().filter(|other| {
            other.tenant == tenant && other.epoch == epoch && (other.permit.cold || permit.cold)
        });
        assert_eq!(others.count(), 0, "two prepare at a time");
        if let Some(source) = permit.source {
            assert_eq!(source, tenant, "another tenant's source");
        }
        self.opening.push(Opening {
            tenant,
            epoch,
            permit,
        });
    }

    fn open(&mut self, opening: Opening, outcome: Outcome) {
        let Opening {
            tenant,
            epoch,
            permit,
        } = opening;
        if permit.to_close.is_some() {
            self.sched.closed(permit.seat, self.now());
        }
        let new = permit.source.is_none().then(|| NewSource {
            source: tenant,
            max: self.caps[tenant].max(1),
        });
        match outcome {
            Outcome::Works => {
                self.serial += 1;
                let conn = Conn {
                    tenant,
                    epoch,
                    serial: self.serial,
                };
                if permit.cold {
                    *self.prepared.entry((tenant, epoch)).or_default() += 1;
                }
                match self.sched.opened(permit.seat, new, self.now()) {
                    Ok(()) => self.check_out(tenant, epoch, permit.seat, conn),
                    Err(refusal) => {
                        self.check_refusal(tenant, epoch, &refusal);
                        self.closing.push((permit.seat, conn));
                    }
                }
            }
            Outcome::Fails => {
                let reason = Some("no".into());
                self.sched.open_failed(permit.seat, new, reason, self.now());
            }
            Outcome::Panics => self.sched.open_failed(permit.seat, None, None, self.now()),
        }
    }

    /// Lets a waiter read its mailbox, or time out.
    fn wake(&mut self, at: usize, times_out: bool) {
        let waiter = &self.waiters[at];
        let (tenant, waiting) = (waiter.tenant, waiter.waiting.clone());
        let request = Request {
            now: self.now(),
            ..waiter.request
        };
        self.woken.retain(|woken| !Arc::ptr_eq(woken, &waiting));
        let grant = match times_out {
            true => self.sched.time_out(&request, &waiting).ok(),
            false => waiting.mail.take(),
        };
        let retries_later = std::mem::take(&mut self.waiters[at].retries_later);
        let comes = matches!(grant, Some(Grant::Retry)) || (retries_later && grant.is_none());
        match grant {
            _ if comes && !times_out => match self.sched.retry(&request, &waiting) {
                Retried::Found { seat, connection } => {
                    self.check_out(tenant, request.epoch, seat, connection);
                }
                Retried::Nothing { retry_in } => {
                    self.waiters[at].retries_later = retry_in.is_some();
                    return;
                }
            },
            Some(grant) => self.granted(tenant, request.epoch, grant),
            None if !times_out => return,
            None => {}
        }
        self.waiters.remove(at);
    }

    fn granted(&mut self, tenant: usize, epoch: Epoch, grant: Grant<Conn, Source>) {
        match grant {
            Grant::Use { seat, connection } => self.check_out(tenant, epoch, seat, connection),
            Grant::Open(permit) => self.start(tenant, permit),
            // The tenant may have been reopened since.
            Grant::Refused(_) | Grant::TimedOut(_) => {}
            Grant::Retry => panic!("a retry is no end"),
        }
    }

    fn free(&self) -> u32 {
        self.sched.limits.max - self.sched.seats.counts.total()
    }

    fn queued(&self) -> impl Iterator<Item = &Waiter> {
        self.waiters
            .iter()
            .filter(|waiter| self.waits(waiter, waiter.tenant))
    }

    /// Ends all activity, and checks that no connection is in use then.
    fn finish(mut self) {
        for round in 0.. {
            assert!(round < 1000, "the activity does not end");
            while let Some(opening) = self.opening.pop() {
                self.open(opening, Outcome::Works);
            }
            while let Some((seat, conn)) = self.out.pop() {
                self.returned += 1;
                self.uses += 1;
                self.used.insert(conn.serial, self.uses);
                let refused = self.sched.put_back(seat, conn, true, self.now());
                self.closing.extend(refused.map(|conn| (seat, conn)));
            }
            while !self.maintaining.is_empty() {
                self.end_maintenance(0, true);
            }
            while !self.reservations.is_empty() {
                self.release(0);
            }
            while let Some((seat, _)) = self.closing.pop() {
                self.sched.closed(seat, self.now());
            }
            self.verify();
            (0..self.waiters.len())
                .rev()
                .for_each(|at| self.wake(at, false));
            self.verify();
            if self.out.is_empty() && self.opening.is_empty() && self.waiters.is_empty() {
                break;
            }
        }
        // Deferred closes remain if no check-out needs their seats.
        for (seat, _) in self.sched.reap(self.now()).connections {
            self.sched.closed(seat, self.now());
        }
        let counts = self.sched.seats.counts;
        assert_eq!((counts.out, counts.opening, counts.closing), (0, 0, 0));
        assert!(self.sched.tickets.is_empty() && self.sched.waiters == 0);
        let stats = self.sched.stats();
        assert_eq!(stats.open, stats.idle);
    }
}

fn check(max: u32, cap: u32, handoff_after: Duration, failure_ttl: Duration, steps: &[Step]) {
    let mut harness = Harness::new(max, cap, handoff_after, failure_ttl);
    for step in steps {
        harness.run_in_order(step);
        harness.verify();
    }
    harness.finish();
}

proptest! {
    #[test]
    fn the_scheduler_keeps_its_promises(
        max in 1..6_u32,
        cap in 1..4_u32,
        strict in any::<bool>(),
        remembers in any::<bool>(),
        steps in vec(step(), 1..200),
    ) {
        let handoff_after = if strict { Duration::ZERO } else { FOREVER };
        let failure_ttl = if remembers { Duration::from_secs(3) } else { Duration::ZERO };
        check(max, cap, handoff_after, failure_ttl, &steps);
    }
}

#[test]
fn a_connection_with_a_woken_waiter_is_not_maintained() {
    use steps::Soundness::{Broken, Sound};
    let open = [Step::Request(0, 1), Step::Open(0, Outcome::Works)];
    let mut steps = [open.clone(), open].concat();
    steps.extend([
        Step::Request(0, 2),
        Step::Return(0, Sound),
        Step::Return(0, Broken),
        Step::Dropped(0),
        Step::Advance,
        Step::Advance,
        Step::Maintain,
    ]);
    check(2, 2, FOREVER, Duration::ZERO, &steps);
}

//! The scheduler against a harness that does what it says in any order: opens fail,
//! panic or succeed, waiters look or give up, tenants are closed and superseded.
//! After every step all that the scheduler promises is counted from scratch.
//!
//! `handoff_after` is either zero or for ever, so that no clock decides, and it turns
//! from one into the other, as if those who wait had waited that long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tenancy_core::{Epoch, TenantId};

use super::chain::NONE;
use super::seats::Parts;
use super::slot::Prepared;
use super::*;
use crate::label::Label;

const TENANTS: usize = 4;
const FOREVER: Duration = Duration::from_secs(3600);

/// A connection that knows whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Conn {
    tenant: usize,
    epoch: Epoch,
    serial: u32,
}

/// What connections are made with: the tenant's number.
type Source = usize;

#[derive(Debug, Clone)]
enum Step {
    /// A check-out; the thread it comes from.
    Ask(usize, u32),
    TryAsk(usize),
    /// A handle of the epoch before.
    AskOld(usize),
    /// Of those that apply, the one with this number.
    Return(usize, Soundness),
    Open(usize, Outcome),
    Dropped(usize),
    Wake(usize),
    GiveUp(usize),
    Close(usize),
    Reopen(usize),
    /// The tenant's next epoch is told.
    Mark(usize),
    /// The tenant's next epoch is used.
    Raise(usize),
    Forget(usize),
    Allow(usize, u32),
    Reap,
    Advance,
    /// Those who wait have waited `handoff_after`, or those who come now have not.
    Patience,
}

#[derive(Debug, Clone, Copy)]
enum Soundness {
    Sound,
    Broken,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Works,
    Fails,
    Panics,
}

fn step() -> impl Strategy<Value = Step> {
    let t = 0..TENANTS;
    let n = 0..64_usize;
    let soundness = prop_oneof![8 => Just(Soundness::Sound), 1 => Just(Soundness::Broken)];
    let outcome = prop_oneof![
        8 => Just(Outcome::Works), 1 => Just(Outcome::Fails), 1 => Just(Outcome::Panics)
    ];
    prop_oneof![
        20 => (t.clone(), 1..4_u32).prop_map(|(t, thread)| Step::Ask(t, thread)),
        3 => t.clone().prop_map(Step::TryAsk),
        1 => t.clone().prop_map(Step::AskOld),
        16 => (n.clone(), soundness).prop_map(|(n, sound)| Step::Return(n, sound)),
        16 => (n.clone(), outcome).prop_map(|(n, outcome)| Step::Open(n, outcome)),
        6 => n.clone().prop_map(Step::Dropped),
        10 => n.clone().prop_map(Step::Wake),
        4 => n.prop_map(Step::GiveUp),
        1 => t.clone().prop_map(Step::Close),
        2 => t.clone().prop_map(Step::Reopen),
        1 => t.clone().prop_map(Step::Mark),
        1 => t.clone().prop_map(Step::Raise),
        1 => t.clone().prop_map(Step::Forget),
        1 => (t, 1..4_u32).prop_map(|(t, cap)| Step::Allow(t, cap)),
        1 => Just(Step::Reap),
        2 => Just(Step::Advance),
        2 => Just(Step::Patience),
    ]
}

/// A waiter as the harness knows it.
struct Waiter {
    tenant: usize,
    ask: Ask,
    waiting: Arc<Waiting<Conn, Source>>,
}

/// A permit that is being used.
struct Opening {
    tenant: usize,
    epoch: Epoch,
    permit: Permit<Conn, Source>,
}

struct Harness {
    sched: Sched<Conn, Source>,
    keys: Vec<Key>,
    epochs: Vec<Epoch>,
    caps: Vec<u32>,
    now: u64,
    serial: u32,
    out: Vec<(u32, Conn)>,
    opening: Vec<Opening>,
    closing: Vec<(u32, Conn)>,
    waiters: Vec<Waiter>,
    /// When each connection was last put back.
    used: HashMap<u32, u64>,
    uses: u64,
    prepared: HashMap<(usize, Epoch), u32>,
    lent: u64,
    returned: u64,
    raised: bool,
    /// How many connections each tenant had after the step before.
    before: Vec<u32>,
    /// Who was to be woken, at any time.
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
            validate_after: Some(Duration::from_secs(5)),
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
            waiters: Vec::new(),
            used: HashMap::new(),
            uses: 0,
            prepared: HashMap::new(),
            lent: 0,
            returned: 0,
            raised: false,
            before: vec![0; TENANTS],
            woken: Vec::new(),
        }
    }

    fn now(&self) -> Stamp {
        Stamp::new(Duration::from_secs(self.now))
    }

    fn ask_for(&self, tenant: usize, epoch: Epoch, thread: u32) -> Ask {
        Ask {
            key: self.keys[tenant],
            epoch,
            holder: Holder {
                label: Label::Named("test"),
                thread,
            },
            now: self.now(),
        }
    }

    /// The connection that has to give way to this tenant: the least recently used
    /// idle one of another for which nobody waits.
    fn victim_for(&self, tenant: usize) -> Option<u32> {
        let idle = self.sched.seats.taken().filter_map(|seat| seat.connection);
        let candidates = idle.filter(|conn| {
            let owner = conn.tenant;
            owner != tenant && !self.waiters.iter().any(|waiter| self.waits(waiter, owner))
        });
        candidates
            .min_by_key(|conn| self.used[&conn.serial])
            .map(|conn| conn.serial)
    }

    /// Does this waiter wait for this tenant, with nothing granted?
    fn waits(&self, waiter: &Waiter, tenant: usize) -> bool {
        let slot = &self.sched.slots[self.keys[tenant].index as usize];
        let waiters = slot.rare.iter().flat_map(|rare| &rare.waiters);
        waiter.tenant == tenant && waiters.into_iter().any(|w| Arc::ptr_eq(w, &waiter.waiting))
    }

    fn ask(&mut self, tenant: usize, epoch: Epoch, thread: u32) {
        let ask = self.ask_for(tenant, epoch, thread);
        let (victim, free) = (self.victim_for(tenant), self.free());
        let queued = self.sched.slots[ask.key.index as usize].waiters() > 0;
        let strict = self.sched.limits.handoff_after.is_zero();
        let taken = self.sched.take(&ask);
        let overtakes = match &taken {
            Taken::Idle { .. } => queued && strict,
            Taken::Open(_) => queued,
            _ => false,
        };
        assert!(!overtakes || self.raised, "it overtook those who wait");
        match taken {
            Taken::Idle {
                seat, connection, ..
            } => self.lend(tenant, epoch, seat, connection),
            Taken::Open(permit) => {
                let gives_way = permit.victim.map(|conn| conn.serial);
                assert_eq!(
                    gives_way,
                    victim.filter(|_| free == 0),
                    "the wrong one gave way"
                );
                self.start(tenant, permit);
            }
            Taken::Rubbish(rubbish) => self.closing.extend(rubbish.connections),
            Taken::Full => {
                if self.sched.is_stuck(&ask) {
                    self.check_stuck(tenant, thread);
                } else if let Some(queued) = self.sched.queue(&ask) {
                    let waiting = queued.waiting;
                    self.waiters.push(Waiter {
                        tenant,
                        ask,
                        waiting,
                    });
                }
            }
            Taken::Refused(refusal) => self.check_refusal(tenant, epoch, &refusal),
            Taken::Gone => panic!("the harness keeps its keys fresh"),
        }
    }

    fn check_stuck(&self, tenant: usize, thread: u32) {
        let slot = &self.sched.slots[self.keys[tenant].index as usize];
        let own = !slot.may_open();
        for seat in self.sched.seats.taken() {
            let concerns = !own || seat.slot == self.keys[tenant].index;
            assert!(
                !concerns || seat.thread == thread,
                "another thread could help"
            );
            assert!(
                !concerns || seat.state != State::Idle,
                "an idle one could help"
            );
        }
    }

    fn check_refusal(&self, tenant: usize, epoch: Epoch, refusal: &Refusal) {
        let slot = &self.sched.slots[self.keys[tenant].index as usize];
        match refusal {
            Refusal::Closed => assert!(slot.closed),
            Refusal::Superseded { current } => assert!(*current > epoch),
            Refusal::Failing { .. } => assert!(!self.sched.limits.failure_ttl.is_zero()),
        }
    }

    fn lend(&mut self, tenant: usize, epoch: Epoch, seat: u32, conn: Conn) {
        assert_eq!(conn.tenant, tenant, "another tenant's connection");
        assert_eq!(conn.epoch, epoch, "another epoch's connection");
        assert!(
            self.out
                .iter()
                .all(|(_, other)| other.serial != conn.serial)
        );
        self.lent += 1;
        self.out.push((seat, conn));
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
        if permit.victim.is_some() {
            self.sched.closed(permit.seat, self.now());
        }
        let made = permit
            .source
            .is_none()
            .then_some((tenant, self.caps[tenant].max(1)));
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
                match self.sched.opened(permit.seat, made, self.now()) {
                    Ok(()) => self.lend(tenant, epoch, permit.seat, conn),
                    Err(refusal) => {
                        self.check_refusal(tenant, epoch, &refusal);
                        self.closing.push((permit.seat, conn));
                    }
                }
            }
            Outcome::Fails => {
                let reason = Some("no".into());
                self.sched.abandon(permit.seat, made, reason, self.now());
            }
            Outcome::Panics => self.sched.abandon(permit.seat, None, None, self.now()),
        }
    }

    /// What a waiter finds; whether it is done with waiting.
    fn wake(&mut self, at: usize, gives_up: bool) {
        let waiter = &self.waiters[at];
        let (tenant, waiting) = (waiter.tenant, waiter.waiting.clone());
        let ask = Ask {
            now: self.now(),
            ..waiter.ask
        };
        self.woken.retain(|woken| !Arc::ptr_eq(woken, &waiting));
        let grant = match gives_up {
            true => self.sched.leave(&ask, &waiting).ok(),
            false => waiting.mail.take(),
        };
        match grant {
            Some(Grant::Nudge) => match self.sched.look(&ask, &waiting) {
                Some((seat, connection)) => self.lend(tenant, ask.epoch, seat, connection),
                None => return,
            },
            Some(grant) => self.granted(tenant, ask.epoch, grant),
            None if !gives_up => return,
            None => {}
        }
        self.waiters.remove(at);
    }

    fn granted(&mut self, tenant: usize, epoch: Epoch, grant: Grant<Conn, Source>) {
        match grant {
            Grant::Use { seat, connection } => self.lend(tenant, epoch, seat, connection),
            Grant::Open(permit) => self.start(tenant, permit),
            // It may have been reopened since.
            Grant::Refused(_) => {}
            Grant::Nudge => panic!("it looks for itself"),
        }
    }

    fn free(&self) -> u32 {
        self.sched.limits.max - self.sched.seats.parts.total()
    }

    fn run(&mut self, step: &Step) {
        let pick = |n: usize, len: usize| (len > 0).then(|| n % len);
        match *step {
            Step::Ask(t, thread) => self.ask(t, self.epochs[t], thread),
            Step::TryAsk(t) => {
                let ask = self.ask_for(t, self.epochs[t], 9);
                if let Some((seat, connection)) = self.sched.try_take(&ask) {
                    self.lend(t, ask.epoch, seat, connection);
                }
            }
            Step::AskOld(t) => {
                let number = self.epochs[t].get() - 1;
                if let Some(old) = Epoch::new(number) {
                    let ask = self.ask_for(t, old, 1);
                    let refused = matches!(
                        self.sched.take(&ask),
                        Taken::Refused(Refusal::Superseded { current }) if current == self.epochs[t]
                    );
                    assert!(refused, "a superseded handle was served");
                }
            }
            Step::Return(n, soundness) => {
                if let Some(at) = pick(n, self.out.len()) {
                    let (seat, conn) = self.out.remove(at);
                    self.returned += 1;
                    self.uses += 1;
                    self.used.insert(conn.serial, self.uses);
                    let sound = matches!(soundness, Soundness::Sound);
                    let refused = self.sched.put_back(seat, conn, sound, self.now());
                    assert!(sound || refused == Some(conn), "a broken one was kept");
                    self.closing.extend(refused.map(|conn| (seat, conn)));
                }
            }
            Step::Open(n, outcome) => {
                if let Some(at) = pick(n, self.opening.len()) {
                    let opening = self.opening.remove(at);
                    self.open(opening, outcome);
                }
            }
            Step::Dropped(n) => {
                if let Some(at) = pick(n, self.closing.len()) {
                    let (seat, _) = self.closing.remove(at);
                    self.sched.closed(seat, self.now());
                }
            }
            Step::Wake(n) => {
                if let Some(at) = pick(n, self.waiters.len()) {
                    self.wake(at, false);
                }
            }
            Step::GiveUp(n) => {
                if let Some(at) = pick(n, self.waiters.len()) {
                    self.wake(at, true);
                }
            }
            Step::Close(t) => {
                let rubbish = self.sched.close(self.keys[t], self.now());
                let rubbish = rubbish.expect("the key is fresh");
                self.closing.extend(rubbish.connections);
            }
            Step::Reopen(t) => drop(self.sched.reopen(self.keys[t])),
            Step::Mark(t) => {
                self.epochs[t] = self.epochs[t].next();
                self.sched.mark(self.keys[t], self.epochs[t], self.now());
            }
            Step::Raise(t) => {
                self.epochs[t] = self.epochs[t].next();
                // Those who wait are refused before it is served.
                self.raised = true;
                self.ask(t, self.epochs[t], 1);
                self.raised = false;
            }
            Step::Forget(t) => self.forget(t),
            Step::Allow(t, cap) => {
                self.caps[t] = cap.min(self.sched.limits.max);
                let (key, epoch, now) = (self.keys[t], self.epochs[t], self.now());
                self.sched.allow(key, epoch, self.caps[t], now);
            }
            Step::Reap => {
                let rubbish = self.sched.reap(self.now());
                self.closing.extend(rubbish.connections);
            }
            Step::Advance => self.now += 2,
            Step::Patience => {
                let handoff_after = &mut self.sched.limits.handoff_after;
                *handoff_after = FOREVER - *handoff_after;
            }
        }
    }

    fn forget(&mut self, t: usize) {
        let old = self.keys[t];
        if self.sched.forget(old).is_none() {
            assert!(self.sched.slots[old.index as usize].in_use());
            return;
        }
        self.keys[t] = self.sched.add(tenant_id(t));
        self.prepared.retain(|(tenant, _), _| *tenant != t);
        let stale = Ask {
            key: old,
            ..self.ask_for(t, self.epochs[t], 1)
        };
        assert!(
            matches!(self.sched.take(&stale), Taken::Gone),
            "a stale key was served"
        );
        // It is known of which epoch it is, as a resolver would tell.
        self.sched.mark(self.keys[t], self.epochs[t], self.now());
    }

    /// Runs a step and sees that seats went to those who had waited for them longest.
    fn run_in_order(&mut self, step: &Step) {
        let tickets: Vec<_> = self.sched.tickets.iter().collect();
        let queued: Vec<_> = self
            .queued()
            .map(|w| (w.tenant, w.waiting.clone()))
            .collect();
        let slots = self
            .keys
            .iter()
            .map(|key| &self.sched.slots[key.index as usize]);
        self.before = slots.map(|slot| slot.parts.total()).collect();
        self.run(step);
        self.woken.append(&mut self.sched.wakes);
        let granted = queued
            .iter()
            .filter(|(_, waiting)| waiting.mail.has(|grant| matches!(grant, Grant::Open(_))));
        let granted: Vec<_> = granted.map(|(t, _)| self.keys[*t].index).collect();
        let served = tickets.iter().position(|index| !granted.contains(index));
        let passed_over = tickets.iter().skip(served.unwrap_or(tickets.len()));
        for index in passed_over {
            let later = tickets.iter().skip_while(|other| *other != index).skip(1);
            let overtaken = later.clone().any(|other| granted.contains(other));
            let still = self.sched.tickets.contains(*index);
            assert!(
                granted.contains(index) || !still || !overtaken,
                "a ticket was passed over"
            );
        }
    }

    fn queued(&self) -> impl Iterator<Item = &Waiter> {
        self.waiters
            .iter()
            .filter(|waiter| self.waits(waiter, waiter.tenant))
    }

    /// Counts everything from scratch.
    fn verify(&self) {
        self.verify_seats();
        (0..TENANTS).for_each(|t| self.verify_tenant(t));
        self.verify_tickets();
        assert_eq!(self.lent - self.returned, self.out.len() as u64);
        let counters = self.sched.counters;
        let granted = self.sched.seats.parts.out as usize - self.out.len();
        assert_eq!(counters.checkouts, self.lent + granted as u64);
        let parts = self.sched.seats.parts;
        let live = u64::from(parts.idle + parts.out + parts.closing);
        assert_eq!(counters.opened - counters.closed, live);
    }

    fn verify_seats(&self) {
        let seats = &self.sched.seats;
        let mut parts = Parts::default();
        seats
            .taken()
            .for_each(|seat| parts.shift(State::Free, seat.state));
        assert_eq!(parts, seats.parts);
        assert!(
            parts.total() <= self.sched.limits.max,
            "more than the bound"
        );
        let idle = seats.taken().filter(|seat| seat.state == State::Idle);
        let mut idle: Vec<_> = idle.filter_map(|seat| seat.connection).collect();
        assert_eq!(
            idle.len() as u32,
            parts.idle,
            "an idle seat without a connection"
        );
        idle.sort_by_key(|conn| self.used[&conn.serial]);
        let lru: Vec<_> = seats
            .lru
            .iter()
            .filter_map(|at| seats[at].connection)
            .collect();
        assert_eq!(lru, idle, "the queue of victims is not by use");
    }

    fn verify_tenant(&self, t: usize) {
        let index = self.keys[t].index;
        let slot = &self.sched.slots[index as usize];
        let mut parts = Parts::default();
        for seat in self.sched.seats.taken() {
            if seat.slot == index {
                parts.shift(State::Free, seat.state);
            }
            if seat.heir() == Some(index) {
                parts.shift(State::Free, State::Opening);
            }
        }
        assert_eq!(parts, slot.parts, "tenant {t}");
        assert!(
            parts.total() <= slot.cap.max(1).max(self.before[t]),
            "tenant {t} has more than its cap"
        );
        let mut stack = 0;
        let mut at = slot.top;
        while at != NONE {
            let seat = &self.sched.seats[at];
            let conn = seat.connection.expect("it is idle");
            assert_eq!((seat.state, conn.tenant), (State::Idle, t));
            assert_eq!(slot.stale, conn.epoch != self.epochs[t]);
            (stack, at) = (stack + 1, seat.link);
        }
        assert_eq!(stack, parts.idle);
        // Those who were granted something came before those who still wait.
        let mine = self.waiters.iter().filter(|waiter| waiter.tenant == t);
        assert!(
            mine.is_sorted_by_key(|waiter| self.waits(waiter, t)),
            "{t} is out of order"
        );
        let under = slot.prepared == Prepared::Under;
        let cold = self.opening_of(t).filter(|permit| permit.cold).count();
        let granted = self.waiters.iter().filter(|waiter| waiter.tenant == t);
        let unseen = granted.filter(|waiter| !self.waits(waiter, t)).count();
        assert!(
            !under || cold == 1 || unseen > 0,
            "nobody prepares tenant {t}"
        );
        if slot.closed {
            assert_eq!((slot.waiters(), parts.idle), (0, 0));
        }
        for ((tenant, epoch), times) in &self.prepared {
            assert!(
                *times <= 1,
                "{tenant} was prepared {times} times in epoch {epoch}"
            );
        }
    }

    fn opening_of(&self, t: usize) -> impl Iterator<Item = &Permit<Conn, Source>> {
        let of = self.opening.iter();
        of.filter(move |opening| opening.tenant == t && opening.epoch == self.epochs[t])
            .map(|opening| &opening.permit)
    }

    /// Who waits has a reason, and those who could be served have been told.
    fn verify_tickets(&self) {
        let sched = &self.sched;
        let mut waiters = 0;
        for t in 0..TENANTS {
            let index = self.keys[t].index;
            let slot = &sched.slots[index as usize];
            waiters += slot.waiters();
            let ticket = sched.tickets.contains(index);
            let failing = slot.failing(self.now()).is_some();
            let wanting = slot.waiters() > slot.parts.idle as usize && slot.may_open();
            // A failure is forgotten by time alone: who waits is told at the next event.
            let forgotten = slot
                .rare
                .as_ref()
                .is_some_and(|rare| rare.failure.is_some());
            assert!(
                !ticket || (wanting && !failing) || forgotten,
                "{t} has no need of a ticket"
            );
            assert!(
                ticket || !wanting || failing || forgotten,
                "{t} lost its ticket"
            );
            if let Some(first) = slot.first_waiter() {
                let nudged = self.waiters.iter().any(|waiter| {
                    Arc::ptr_eq(first, &waiter.waiting)
                        && first.mail.has(|grant| matches!(grant, Grant::Nudge))
                });
                assert!(
                    slot.top == NONE || nudged,
                    "{t} has idle ones and does not know"
                );
            }
        }
        assert_eq!(waiters, sched.waiters);
        for waiter in &self.waiters {
            let mut woken = self.woken.iter().chain(&sched.wakes);
            let woken = woken.any(|woken| Arc::ptr_eq(woken, &waiter.waiting));
            assert!(
                woken || !waiter.waiting.mail.has(|_| true),
                "{} has news and was not woken",
                waiter.tenant
            );
        }
        if let Some(first) = sched.tickets.first() {
            assert_eq!(self.free(), 0, "a seat is free and nobody takes it");
            let t = self.keys.iter().position(|key| key.index == first);
            let victim = self.victim_for(t.expect("a tenant"));
            assert_eq!(victim, None, "an idle connection is nobody's");
        }
    }

    /// Lets everything come to rest, and sees that nothing is left.
    fn finish(mut self) {
        for round in 0.. {
            assert!(round < 1000, "it does not come to rest");
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
        let parts = self.sched.seats.parts;
        assert_eq!((parts.out, parts.opening, parts.closing), (0, 0, 0));
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

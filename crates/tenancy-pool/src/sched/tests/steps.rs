//! The steps of the harness.

use super::*;

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A check-out from a thread.
    Request(usize, u32),
    TryRequest(usize),
    /// A check-out with a handle of the previous epoch.
    RequestOld(usize),
    /// The return of the connection with this number.
    Return(usize, Soundness),
    Open(usize, Outcome),
    Dropped(usize),
    Wake(usize),
    /// The request of a task for a seat.
    RequestSeat(usize),
    /// The reservation with this number is opened or given back.
    Occupy(usize, Soundness),
    Release(usize),
    /// The waiter with this number is dropped, or its deadline passes without a retry.
    CancelWait(usize),
    ExpireWait(usize),
    TimeOut(usize),
    Close(usize),
    Reopen(usize),
    /// The pools are notified of the tenant's next epoch.
    ObserveEpoch(usize),
    /// The tenant's next epoch is checked out.
    UseNextEpoch(usize),
    Forget(usize),
    SetMax(usize, u32),
    Reap,
    Maintain,
    /// The maintenance with this number ends.
    EndMaintenance(usize, Soundness),
    Advance,
    /// All waiters have waited `handoff_after`, or none has.
    Patience,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Soundness {
    Sound,
    Broken,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    Works,
    Fails,
    Panics,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let t = 0..TENANTS;
    let n = 0..64_usize;
    let soundness = prop_oneof![8 => Just(Soundness::Sound), 1 => Just(Soundness::Broken)];
    let outcome = prop_oneof![
        8 => Just(Outcome::Works), 1 => Just(Outcome::Fails), 1 => Just(Outcome::Panics)
    ];
    prop_oneof![
        20 => (t.clone(), 1..4_u32).prop_map(|(t, thread)| Step::Request(t, thread)),
        3 => t.clone().prop_map(Step::TryRequest),
        1 => t.clone().prop_map(Step::RequestOld),
        16 => (n.clone(), soundness.clone()).prop_map(|(n, sound)| Step::Return(n, sound)),
        16 => (n.clone(), outcome).prop_map(|(n, outcome)| Step::Open(n, outcome)),
        6 => n.clone().prop_map(Step::Dropped),
        10 => n.clone().prop_map(Step::Wake),
        4 => n.clone().prop_map(Step::TimeOut),
        12 => t.clone().prop_map(Step::RequestSeat),
        6 => (n.clone(), soundness.clone()).prop_map(|(n, sound)| Step::Occupy(n, sound)),
        6 => n.clone().prop_map(Step::Release),
        3 => n.clone().prop_map(Step::CancelWait),
        2 => n.clone().prop_map(Step::ExpireWait),
        1 => t.clone().prop_map(Step::Close),
        2 => t.clone().prop_map(Step::Reopen),
        1 => t.clone().prop_map(Step::ObserveEpoch),
        1 => t.clone().prop_map(Step::UseNextEpoch),
        1 => t.clone().prop_map(Step::Forget),
        1 => (t, 1..4_u32).prop_map(|(t, cap)| Step::SetMax(t, cap)),
        1 => Just(Step::Reap),
        4 => Just(Step::Maintain),
        6 => (n, soundness).prop_map(|(n, sound)| Step::EndMaintenance(n, sound)),
        6 => Just(Step::Advance),
        2 => Just(Step::Patience),
    ]
}

impl Harness {
    fn run(&mut self, step: &Step) {
        let pick = |n: usize, len: usize| (len > 0).then(|| n % len);
        match *step {
            Step::Request(t, thread) => self.request(t, self.epochs[t], thread),
            Step::TryRequest(t) => {
                let request = self.request_for(t, self.epochs[t], 9);
                if let Some((seat, connection)) = self.sched.try_take(&request) {
                    self.check_out(t, request.epoch, seat, connection);
                }
            }
            Step::RequestOld(t) => {
                let number = self.epochs[t].get() - 1;
                if let Some(old) = Epoch::new(number) {
                    let request = self.request_for(t, old, 1);
                    let refused = matches!(
                        self.sched.take(&request),
                        TakeOutcome::Refused(Refusal::Superseded { current }) if current == self.epochs[t]
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
            Step::TimeOut(n) => {
                if let Some(at) = pick(n, self.waiters.len()) {
                    self.wake(at, true);
                }
            }
            Step::RequestSeat(t) => self.request_seat(t),
            Step::Occupy(n, soundness) => {
                if let Some(at) = pick(n, self.reservations.len()) {
                    self.occupy(at, matches!(soundness, Soundness::Sound));
                }
            }
            Step::Release(n) => {
                if let Some(at) = pick(n, self.reservations.len()) {
                    self.release(at);
                }
            }
            Step::CancelWait(n) => {
                if let Some(at) = pick(n, self.waiters.len()) {
                    self.cancel_wait(at);
                }
            }
            Step::ExpireWait(n) => {
                if let Some(at) = pick(n, self.waiters.len()) {
                    let waiter = &self.waiters[at];
                    let key = self.keys[waiter.tenant];
                    let (waiting, now) = (waiter.waiting.clone(), self.now());
                    self.sched.expire_wait(key, &waiting, now);
                    assert!(!self.waits(&self.waiters[at], self.waiters[at].tenant));
                }
            }
            Step::Close(t) => {
                let discarded = self.sched.close(self.keys[t], self.now());
                let discarded = discarded.expect("the key is fresh");
                self.closing.extend(discarded.connections);
            }
            Step::Reopen(t) => drop(self.sched.reopen(self.keys[t])),
            Step::ObserveEpoch(t) => {
                self.epochs[t] = self.epochs[t].next();
                self.sched
                    .observe_epoch(self.keys[t], self.epochs[t], self.now());
            }
            Step::UseNextEpoch(t) => {
                self.epochs[t] = self.epochs[t].next();
                // The waiters are refused before it is served.
                self.raised = true;
                self.request(t, self.epochs[t], 1);
                self.raised = false;
            }
            Step::Forget(t) => self.forget(t),
            Step::SetMax(t, cap) => {
                self.caps[t] = cap.min(self.sched.limits.max);
                let (key, epoch, now) = (self.keys[t], self.epochs[t], self.now());
                let surplus = self.sched.set_max(key, epoch, self.caps[t], now);
                self.closing.extend(surplus.connections);
            }
            Step::Reap => {
                let discarded = self.sched.reap(self.now());
                self.closing.extend(discarded.connections);
            }
            Step::Maintain => self.begin_maintenance(),
            Step::EndMaintenance(n, soundness) => {
                if let Some(at) = pick(n, self.maintaining.len()) {
                    self.end_maintenance(at, matches!(soundness, Soundness::Sound));
                }
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
        let stale = Request {
            key: old,
            ..self.request_for(t, self.epochs[t], 1)
        };
        assert!(
            matches!(self.sched.take(&stale), TakeOutcome::StaleKey),
            "a stale key was served"
        );
        // A resolver would report its epoch.
        self.sched
            .observe_epoch(self.keys[t], self.epochs[t], self.now());
    }

    /// Runs a step, and checks that seats went to the tenants that had waited for them longest.
    pub(super) fn run_in_order(&mut self, step: &Step) {
        let tickets: Vec<_> = self.sched.tickets.iter().collect();
        let queued: Vec<_> = self
            .queued()
            .map(|w| (w.tenant, w.waiting.clone()))
            .collect();
        let slots = self
            .keys
            .iter()
            .map(|key| &self.sched.slots[key.index as usize]);
        self.before = slots.map(|slot| slot.counts.total()).collect();
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
}

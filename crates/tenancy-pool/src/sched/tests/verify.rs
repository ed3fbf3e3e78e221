//! What the scheduler promises, counted from scratch.

use super::*;

impl Harness {
    /// Counts everything from scratch.
    pub(super) fn verify(&self) {
        self.verify_seats();
        (0..TENANTS).for_each(|t| self.verify_tenant(t));
        self.verify_tickets();
        assert_eq!(self.lent - self.returned, self.out.len() as u64);
        let counters = self.sched.counters;
        let granted = self.sched.seats.parts.out as usize - self.out.len() - self.resting.len();
        assert_eq!(
            self.sched.checkouts,
            self.lent + granted as u64 + self.vacated
        );
        let seats = &self.sched.seats;
        let parts = seats.parts;
        // Those whose place another of the same tenant gets, and that live still.
        let replaced = self.permits().into_iter();
        let replaced =
            replaced.filter(|(seat, _, victim)| *victim && seats[*seat].state == State::Opening);
        let live = u64::from(parts.idle + parts.out + parts.closing) + replaced.count() as u64;
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
        assert!(
            parts.idle == 0 || parts.staying() <= slot.cap,
            "tenant {t} keeps idle connections beyond its cap"
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
        let late = |waiter: &Waiter| {
            waiter
                .waiting
                .mail
                .has(|it| matches!(it, Grant::TimedOut(_)))
        };
        let mine = self.waiters.iter();
        let mine = mine.filter(|waiter| waiter.tenant == t && !late(waiter));
        assert!(
            mine.is_sorted_by_key(|waiter| self.waits(waiter, t)),
            "{t} is out of order"
        );
        let under = slot.prepared == Prepared::Under;
        let mine = |seat: u32| {
            let seat = &self.sched.seats[seat];
            seat.heir().unwrap_or(seat.slot) == index && seat.epoch == self.epochs[t]
        };
        let permits = self.permits().into_iter();
        let cold = permits
            .filter(|(seat, cold, _)| *cold && mine(*seat))
            .count();
        assert!(
            under == (cold == 1) && cold <= 1,
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
            let wanting = slot.waiters() > slot.parts.idle as usize && sched.may_open(index);
            // A failure is forgotten by time alone: the first who waits looks again then.
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
                let mut known = self.waiters.iter();
                let known = known.find(|waiter| Arc::ptr_eq(first, &waiter.waiting));
                let nudged = first.mail.has(|grant| matches!(grant, Grant::Nudge));
                let looks = nudged || known.is_some_and(|known| known.looks_again);
                let must_look = failing || (wanting && !ticket);
                assert!(!must_look || looks, "{t} does not know of its failure");
                assert!(
                    slot.top == NONE || nudged,
                    "{t} has idle ones and does not know"
                );
            }
        }
        assert_eq!(waiters, sched.waiters);
        let aside = sched.seats.taken();
        let aside = aside.filter(|s| s.state == State::Closing && s.connection.is_some());
        assert_eq!(aside.count(), sched.seats.aside.iter().count());
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
            assert_eq!(sched.seats.aside.first(), None, "what is aside is nobody's");
            let t = self.keys.iter().position(|key| key.index == first);
            let victim = self.victim_for(t.expect("a tenant"));
            assert_eq!(victim, None, "an idle connection is nobody's");
        }
    }
}

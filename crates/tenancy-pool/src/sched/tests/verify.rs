//! The invariants of the scheduler, counted anew.

use super::*;

impl Harness {
    /// Counts everything anew.
    pub(super) fn verify(&self) {
        self.verify_seats();
        (0..TENANTS).for_each(|t| self.verify_tenant(t));
        self.verify_tickets();
        assert_eq!(self.checked_out - self.returned, self.out.len() as u64);
        let counters = self.sched.counters;
        let granted =
            self.sched.seats.counts.out as usize - self.out.len() - self.maintaining.len();
        assert_eq!(
            self.sched.checkouts,
            self.checked_out + granted as u64 + self.released
        );
        let seats = &self.sched.seats;
        let counts = seats.counts;
        // Connections that are still open in a seat that was permitted to the same tenant.
        let replaced = self.permits().into_iter();
        let replaced = replaced
            .filter(|(seat, _, candidate)| *candidate && seats[*seat].state == SeatState::Opening);
        let live = u64::from(counts.idle + counts.out + counts.closing) + replaced.count() as u64;
        assert_eq!(counters.opened - counters.closed, live);
    }

    fn verify_seats(&self) {
        let seats = &self.sched.seats;
        let mut counts = SeatCounts::default();
        seats
            .occupied()
            .for_each(|seat| counts.shift(SeatState::Free, seat.state));
        assert_eq!(counts, seats.counts);
        assert!(
            counts.total() <= self.sched.limits.max,
            "more than the bound"
        );
        let idle = seats
            .occupied()
            .filter(|seat| seat.state == SeatState::Idle);
        let mut idle: Vec<_> = idle.filter_map(|seat| seat.connection).collect();
        assert_eq!(
            idle.len() as u32,
            counts.idle,
            "an idle seat without a connection"
        );
        idle.sort_by_key(|conn| self.used[&conn.serial]);
        let lru: Vec<_> = seats
            .lru
            .iter()
            .filter_map(|at| seats[at].connection)
            .collect();
        assert_eq!(lru, idle, "the queue of eviction candidates is not by use");
    }

    fn verify_tenant(&self, t: usize) {
        let index = self.keys[t].index;
        let slot = &self.sched.slots[index as usize];
        let mut counts = SeatCounts::default();
        for seat in self.sched.seats.occupied() {
            if seat.slot == index {
                counts.shift(SeatState::Free, seat.state);
            }
            if seat.successor() == Some(index) {
                counts.shift(SeatState::Free, SeatState::Opening);
            }
        }
        assert_eq!(counts, slot.counts, "tenant {t}");
        assert!(
            counts.total() <= slot.cap.max(1).max(self.before[t]),
            "tenant {t} has more than its cap"
        );
        assert!(
            counts.idle == 0 || counts.staying() <= slot.cap,
            "tenant {t} keeps idle connections beyond its cap"
        );
        let mut stack = 0;
        let mut at = slot.top;
        while at != NONE {
            let seat = &self.sched.seats[at];
            let conn = seat.connection.expect("it is idle");
            assert_eq!((seat.state, conn.tenant), (SeatState::Idle, t));
            assert_eq!(slot.stale, conn.epoch != self.epochs[t]);
            (stack, at) = (stack + 1, seat.link);
        }
        assert_eq!(stack, counts.idle);
        // The waiters with a grant arrived before the others.
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
        let under = slot.preparation == Preparation::Running;
        let mine = |seat: u32| {
            let seat = &self.sched.seats[seat];
            seat.successor().unwrap_or(seat.slot) == index && seat.epoch == self.epochs[t]
        };
        let permits = self.permits().into_iter();
        let cold = permits
            .filter(|(seat, cold, _)| *cold && mine(*seat))
            .count();
        assert!(
            under == (cold == 1) && cold <= 1,
            "no connection prepares tenant {t}"
        );
        if slot.closed {
            assert_eq!((slot.waiters(), counts.idle), (0, 0));
        }
        for ((tenant, epoch), times) in &self.prepared {
            assert!(
                *times <= 1,
                "{tenant} was prepared {times} times in epoch {epoch}"
            );
        }
    }

    /// Checks that every waiter waits for a reason, and that each one that can be served is woken.
    fn verify_tickets(&self) {
        let sched = &self.sched;
        let mut waiters = 0;
        for t in 0..TENANTS {
            let index = self.keys[t].index;
            let slot = &sched.slots[index as usize];
            waiters += slot.waiters();
            let ticket = sched.tickets.contains(index);
            let failing = slot.backoff(self.now()).is_some();
            let wanting = slot.waiters() > slot.counts.idle as usize && sched.may_open(index);
            // Only time ends a backoff: the first waiter retries then.
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
                let retries = first.mail.has(|grant| matches!(grant, Grant::Retry));
                let looks = retries || known.is_some_and(|known| known.retries_later);
                let must_look = failing || (wanting && !ticket);
                assert!(!must_look || looks, "{t} does not know of its backoff");
                assert!(
                    slot.top == NONE || retries,
                    "{t} has idle connections and does not know"
                );
            }
        }
        assert_eq!(waiters, sched.waiters);
        assert_eq!(waiters, self.queued().count(), "a waiter is not known");
        let deferred = sched.seats.occupied();
        let deferred = deferred.filter(|s| s.state == SeatState::Closing && s.connection.is_some());
        assert_eq!(deferred.count(), sched.seats.deferred.iter().count());
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
            assert_eq!(self.free(), 0, "a seat is free beside a ticket");
            assert_eq!(
                sched.seats.deferred.first(),
                None,
                "a close is deferred beside a ticket"
            );
            let t = self.keys.iter().position(|key| key.index == first);
            let candidate = self.eviction_candidate_for(t.expect("a tenant"));
            assert_eq!(
                candidate, None,
                "an idle connection could be evicted for a ticket"
            );
        }
    }
}

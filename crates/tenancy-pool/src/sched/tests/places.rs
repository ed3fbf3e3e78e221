//! Those who wait without a thread: places, and what is set aside.

use super::*;

impl Harness {
    /// The connection that is closed for another of this tenant: one of its own that was
    /// set aside, none if a seat is free, one of others that was, else a victim.
    pub(super) fn gives_way_to(&self, tenant: usize) -> Option<u32> {
        let seats = &self.sched.seats;
        let index = self.keys[tenant].index;
        let serial = |seat: u32| seats[seat].connection.map(|conn| conn.serial);
        let own = seats.aside.iter().find(|seat| seats[*seat].slot == index);
        match own {
            Some(own) => serial(own),
            None if self.free() > 0 => None,
            None => seats
                .aside
                .first()
                .map_or_else(|| self.victim_for(tenant), serial),
        }
    }

    pub(super) fn ask_for_place(&mut self, tenant: usize) {
        let ask = self.ask_for(tenant, self.epochs[tenant], Holder::NO_THREAD);
        let victim = self.gives_way_to(tenant);
        let before = self.sched.counters.closed;
        match self.sched.take_place(&ask) {
            Ok(place) => {
                match &place {
                    Place::Permit(permit) => {
                        let gives_way = permit.victim.map(|conn| conn.serial);
                        assert_eq!(gives_way, victim, "the wrong one gave way");
                        let source = permit.source.unwrap_or(tenant);
                        assert_eq!(source, tenant, "another tenant's source");
                    }
                    Place::Connection { connection, .. } => {
                        let whose = (connection.tenant, connection.epoch);
                        assert_eq!(whose, (tenant, ask.epoch), "another's connection");
                    }
                }
                self.places.push((tenant, place));
            }
            Err(Taken::Rubbish(rubbish)) => assert!(rubbish.connections.is_empty()),
            Err(Taken::Full) => {
                if let Some(queued) = self.sched.queue(&ask) {
                    let waiting = queued.waiting;
                    self.waiters.push(Waiter {
                        tenant,
                        ask,
                        waiting,
                        looks_again: false,
                    });
                }
            }
            Err(Taken::Refused(refusal)) => self.check_refusal(tenant, ask.epoch, &refusal),
            Err(_) => panic!("it is a place or none"),
        }
        assert_eq!(self.sched.counters.closed, before, "it closed one");
    }

    pub(super) fn vacate(&mut self, at: usize) {
        let (_, place) = self.places.remove(at);
        self.vacated += u64::from(matches!(place, Place::Connection { .. }));
        self.sched.vacate(place, self.now());
    }

    /// Opens a place; a connection that has to be asked says whether it still is one.
    pub(super) fn occupy(&mut self, at: usize, sound: bool) {
        let (tenant, place) = self.places.remove(at);
        let holder = Holder {
            label: Label::Named("test"),
            thread: 1,
        };
        match place {
            Place::Permit(permit) => {
                self.sched.hold(permit.seat, holder);
                self.start(tenant, permit);
            }
            Place::Connection {
                seat,
                connection,
                check,
                ..
            } => {
                self.sched.hold(seat, holder);
                if !check || sound {
                    return self.lend(tenant, connection.epoch, seat, connection);
                }
                self.vacated += 1;
                match self.sched.replace_bad(seat, connection, holder, self.now()) {
                    Ok(permit) => self.start(tenant, permit),
                    Err((connection, refusal)) => {
                        self.check_refusal(tenant, connection.epoch, &refusal);
                        self.closing.push((seat, connection));
                    }
                }
            }
        }
    }

    /// A waiter is dropped, whatever it was granted.
    pub(super) fn withdraw(&mut self, at: usize) {
        let waiter = self.waiters.remove(at);
        let (key, waiting) = (self.keys[waiter.tenant], waiter.waiting);
        self.woken.retain(|woken| !Arc::ptr_eq(woken, &waiting));
        let mut handed = None;
        waiting.mail.has(|grant| {
            if let Grant::Use { connection, .. } = grant {
                handed = Some(connection.serial);
            }
            false
        });
        if let Some(serial) = handed {
            self.vacated += 1;
            self.uses += 1;
            self.used.insert(serial, self.uses);
        }
        self.sched.withdraw(key, &waiting, self.now());
        assert!(
            !waiting.mail.has(|grant| !matches!(
                grant,
                Grant::Nudge | Grant::Refused(_) | Grant::TimedOut(_)
            ))
        );
    }

    /// Every leave to connect that somebody has.
    pub(super) fn permits(&self) -> Vec<(u32, bool, bool)> {
        let told =
            |permit: &Permit<Conn, Source>| (permit.seat, permit.cold, permit.victim.is_some());
        let opening = self.opening.iter().map(|opening| told(&opening.permit));
        let places = self.places.iter().filter_map(|(_, place)| match place {
            Place::Permit(permit) => Some(told(permit)),
            Place::Connection { .. } => None,
        });
        let granted = self.waiters.iter().filter_map(|waiter| {
            let mut permit = None;
            waiter.waiting.mail.has(|grant| {
                if let Grant::Open(granted) = grant {
                    permit = Some(told(granted));
                }
                false
            });
            permit
        });
        opening.chain(places).chain(granted).collect()
    }
}

//! Waits of tasks: reservations and deferred closes.

use super::*;

impl Harness {
    /// Returns the connection that is closed for another one of this tenant: that of its own
    /// deferred close, none if a seat is free, that of another deferred close, or else the eviction
    /// candidate.
    pub(super) fn closed_for(&self, tenant: usize) -> Option<u32> {
        let seats = &self.sched.seats;
        let index = self.keys[tenant].index;
        let serial = |seat: u32| seats[seat].connection.map(|conn| conn.serial);
        let own = seats
            .deferred
            .iter()
            .find(|seat| seats[*seat].slot == index);
        match own {
            Some(own) => serial(own),
            None if self.free() > 0 => None,
            None => seats
                .deferred
                .first()
                .map_or_else(|| self.eviction_candidate_for(tenant), serial),
        }
    }

    pub(super) fn request_seat(&mut self, tenant: usize) {
        let request = self.request_for(tenant, self.epochs[tenant], Caller::NO_THREAD);
        let candidate = self.closed_for(tenant);
        let before = self.sched.counters.closed;
        match self.sched.take_reservation(&request) {
            Ok(reservation) => {
                match &reservation {
                    Reservation::Permit(permit) => {
                        let closed_first = permit.to_close.map(|conn| conn.serial);
                        assert_eq!(
                            closed_first, candidate,
                            "the wrong connection is closed first"
                        );
                        let source = permit.source.unwrap_or(tenant);
                        assert_eq!(source, tenant, "another tenant's source");
                    }
                    Reservation::Connection { connection, .. } => {
                        let whose = (connection.tenant, connection.epoch);
                        assert_eq!(whose, (tenant, request.epoch), "another's connection");
                    }
                }
                self.reservations.push((tenant, reservation));
            }
            Err(TakeOutcome::CloseFirst(discarded)) => assert!(discarded.connections.is_empty()),
            Err(TakeOutcome::Full) => {
                if let Some(queued) = self.sched.queue(&request) {
                    let waiting = queued.waiting;
                    self.waiters.push(Waiter {
                        tenant,
                        request,
                        waiting,
                        retries_later: false,
                    });
                }
            }
            Err(TakeOutcome::Refused(refusal)) => {
                self.check_refusal(tenant, request.epoch, &refusal)
            }
            Err(_) => panic!("a fresh key finds its slot"),
        }
        assert_eq!(
            self.sched.counters.closed, before,
            "a connection was closed"
        );
    }

    pub(super) fn release(&mut self, at: usize) {
        let (_, reservation) = self.reservations.remove(at);
        self.released += u64::from(matches!(reservation, Reservation::Connection { .. }));
        self.sched.release(reservation, self.now());
    }

    /// Opens a reservation. `sound` is the outcome of a validation.
    pub(super) fn occupy(&mut self, at: usize, sound: bool) {
        let (tenant, reservation) = self.reservations.remove(at);
        let caller = Caller {
            label: Label::Named("test"),
            thread: 1,
        };
        match reservation {
            Reservation::Permit(permit) => {
                self.sched.set_caller(permit.seat, caller);
                self.start(tenant, permit);
            }
            Reservation::Connection {
                seat,
                connection,
                check,
                ..
            } => {
                self.sched.set_caller(seat, caller);
                if !check || sound {
                    return self.check_out(tenant, connection.epoch, seat, connection);
                }
                self.released += 1;
                match self
                    .sched
                    .replace_broken(seat, connection, caller, self.now())
                {
                    Ok(permit) => self.start(tenant, permit),
                    Err((connection, refusal)) => {
                        self.check_refusal(tenant, connection.epoch, &refusal);
                        self.closing.push((seat, connection));
                    }
                }
            }
        }
    }

    /// Cancels a wait, whatever was granted.
    pub(super) fn cancel_wait(&mut self, at: usize) {
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
            self.released += 1;
            self.uses += 1;
            self.used.insert(serial, self.uses);
        }
        self.sched.cancel_wait(key, &waiting, self.now());
        assert!(
            !waiting.mail.has(|grant| !matches!(
                grant,
                Grant::Retry | Grant::Refused(_) | Grant::TimedOut(_)
            ))
        );
    }

    /// Lists every permit: its seat, whether it is cold, and whether a connection is closed first.
    pub(super) fn permits(&self) -> Vec<(u32, bool, bool)> {
        let permitted =
            |permit: &Permit<Conn, Source>| (permit.seat, permit.cold, permit.to_close.is_some());
        let opening = self
            .opening
            .iter()
            .map(|opening| permitted(&opening.permit));
        let reservations =
            self.reservations
                .iter()
                .filter_map(|(_, reservation)| match reservation {
                    Reservation::Permit(permit) => Some(permitted(permit)),
                    Reservation::Connection { .. } => None,
                });
        let granted = self.waiters.iter().filter_map(|waiter| {
            let mut permit = None;
            waiter.waiting.mail.has(|grant| {
                if let Grant::Open(granted) = grant {
                    permit = Some(permitted(granted));
                }
                false
            });
            permit
        });
        opening.chain(reservations).chain(granted).collect()
    }
}

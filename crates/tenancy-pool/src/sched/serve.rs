//! Who waits, and who is served when something comes free.

use std::sync::Arc;

use super::chain::NONE;
use super::slot::Fate;
use super::{
    Ask, Grant, Held, Holder, Looked, Permit, Prepared, Refusal, Sched, Stamp, State, Waiting,
};
use crate::sync::Moment;

/// A place in the queue.
pub(crate) struct Queued<C, S> {
    pub(crate) waiting: Arc<Waiting<C, S>>,
    /// Is it the first to wait for a connection that others hold?
    pub(crate) bound_reached: bool,
}

impl<C, S: Clone> Sched<C, S> {
    /// Queues a check-out that found nothing; none if `max_waiters` wait already.
    pub(crate) fn queue(&mut self, ask: &Ask) -> Option<Queued<C, S>> {
        let index = ask.key.index;
        let max = self.limits.max_waiters;
        let waiting = Arc::new(Waiting::new(ask.holder));
        let before = self.tickets.is_empty();
        let slot = self.at(index);
        if slot.waiters() >= max {
            self.count(index, |counters| &mut counters.overloaded);
            return None;
        }
        slot.rare().waiters.push_back(waiting.clone());
        self.count(index, |counters| &mut counters.waits);
        self.waiters += 1;
        self.settle(index, ask.now);
        Some(Queued {
            waiting,
            bound_reached: before && !self.tickets.is_empty(),
        })
    }

    /// Does this thread hold all that could end its wait?
    pub(crate) fn is_stuck(&self, ask: &Ask) -> bool {
        let index = ask.key.index;
        let own = !self.may_open(index);
        let concerns = |seat: u32, heir: Option<u32>| !own || seat == index || heir == Some(index);
        // It waits behind others for a failure to be forgotten.
        if !own && self.slots[index as usize].retry_in(ask.now).is_some() {
            return false;
        }
        let mut blocking = self.seats.taken();
        blocking.all(|seat| !concerns(seat.slot, seat.heir()) || seat.is_held_by(ask.holder.thread))
    }

    /// A nudged waiter came to look: an idle connection if it is still its turn and
    /// one is there. If a failure to connect has been forgotten since, its tenant gets
    /// its ticket back.
    pub(crate) fn look(&mut self, ask: &Ask, waiting: &Arc<Waiting<C, S>>) -> Looked<C> {
        let index = ask.key.index;
        let slot = self.at(index);
        let first = slot.first_waiter();
        let is_first = first.is_some_and(|first| Arc::ptr_eq(first, waiting));
        if is_first && slot.top != NONE {
            self.next_waiter(index);
            let (seat, connection) = self.pop_idle(index);
            self.lend(seat, ask.holder, ask.now);
            self.settle(index, ask.now);
            return Looked::Found { seat, connection };
        }
        let retry_in = slot.retry_in(ask.now);
        if retry_in.is_none() && slot.forget_failure() {
            self.settle(index, ask.now);
        }
        Looked::Nothing { retry_in }
    }

    /// A waiter's time is up: what it was granted at the last moment, else who holds
    /// what it waited for.
    pub(crate) fn leave(
        &mut self,
        ask: &Ask,
        waiting: &Arc<Waiting<C, S>>,
    ) -> Result<Grant<C, S>, Vec<Held>> {
        match waiting.mail.take() {
            None => {}
            Some(Grant::Nudge) => {
                if let Looked::Found { seat, connection } = self.look(ask, waiting) {
                    return Ok(Grant::Use { seat, connection });
                }
            }
            Some(grant) => return Ok(grant),
        }
        // Looking may have served it.
        if let Some(grant) = waiting.mail.take_if(|grant| !matches!(grant, Grant::Nudge)) {
            return Ok(grant);
        }
        let index = ask.key.index;
        let holders = self.holders(ask.key);
        self.leave_queue(ask.key, waiting);
        self.count(index, |counters| &mut counters.timeouts);
        self.settle(index, ask.now);
        Err(holders)
    }

    fn next_waiter(&mut self, index: u32) -> Option<Arc<Waiting<C, S>>> {
        let next = self.at(index).rare.as_mut()?.waiters.pop_front()?;
        self.waiters -= 1;
        Some(next)
    }

    /// Grants a waiter that has left the queue; only a nudge is written over.
    pub(super) fn tell(&mut self, waiting: Arc<Waiting<C, S>>, grant: Grant<C, S>) {
        let before = waiting.mail.put(grant);
        debug_assert!(matches!(before, None | Some(Grant::Nudge)));
        self.wakes.push(waiting);
    }

    /// Refuses all who wait for a tenant; it has to be settled then.
    pub(super) fn refuse_waiters(&mut self, index: u32, refusal: &Refusal) {
        while let Some(waiting) = self.next_waiter(index) {
            self.tell(waiting, Grant::Refused(refusal.clone()));
        }
    }

    /// A sound connection came back while somebody waits.
    pub(super) fn pass_on(&mut self, seat: u32, connection: C, now: Stamp) {
        let index = self.seats[seat].slot;
        if let Some(heir) = self.rightful_heir(index) {
            let waiting = self.at(heir).first_waiter();
            let holder = waiting.expect("who holds a ticket waits").holder;
            let permit = self.bequeath(seat, connection, heir, holder, now);
            self.serve_ticket(heir, permit, now);
        } else if self.at(index).waiters() > 0 && !self.may_barge(index) {
            let first = self.next_waiter(index).expect("somebody waits");
            self.lend(seat, first.holder, now);
            self.counters.hand_offs += 1;
            self.tell(first, Grant::Use { seat, connection });
        } else {
            self.push_idle(seat, connection, now);
        }
        // Whoever was first in the queue of tickets has been served; it goes last.
        if self.tickets.first() == Some(index) {
            self.tickets.remove(index);
        }
        self.settle(index, now);
    }

    /// The other tenant that a returned connection's seat is due to: the one with
    /// the first ticket. A tenant that waits for seats itself keeps its own until
    /// that ticket is `handoff_after` old: else two busy tenants would close each
    /// other's connections at every return.
    fn rightful_heir(&self, index: u32) -> Option<u32> {
        let first = self.tickets.first().filter(|first| *first != index)?;
        let patience = self.limits.handoff_after;
        let rare = self.slots[first as usize].rare.as_ref();
        let old = rare.is_some_and(|rare| rare.ticket.is_older_than(patience));
        (!self.tickets.contains(index) || old).then_some(first)
    }

    /// Restores the invariants after a tenant's share has changed.
    pub(super) fn settle(&mut self, index: u32, now: Stamp) {
        self.tidy(index, now);
        let set_aside = self.seats.aside.first().is_some();
        if !self.closers.is_empty() && (self.seats.parts.total() == 0 || set_aside) {
            for closer in self.closers.drain(..) {
                closer.put(());
                closer.wake();
            }
        }
        while let Some(first) = self.tickets.first() {
            let waiting = self.at(first).first_waiter();
            let holder = waiting.expect("who holds a ticket waits").holder;
            let Some(permit) = self.reserve(first, holder, now) else {
                break;
            };
            self.serve_ticket(first, permit, now);
        }
    }

    /// Gives the first waiter of a tenant that holds a ticket its seat.
    fn serve_ticket(&mut self, index: u32, permit: Permit<C, S>, now: Stamp) {
        let waiting = self.next_waiter(index).expect("who holds a ticket waits");
        self.tell(waiting, Grant::Open(permit));
        // If it waits for more, it does so behind the others.
        self.tickets.remove(index);
        self.tidy(index, now);
    }

    /// The part of [`settle`](Self::settle) that is one tenant's own.
    fn tidy(&mut self, index: u32, now: Stamp) {
        let slot = self.at(index);
        let nothing_left = slot.parts.total() == 0;
        let failing = slot.failing(now);
        if let Some(refusal) = failing.as_ref().filter(|_| nothing_left) {
            self.refuse_waiters(index, refusal);
        }
        let slot = &mut self.slots[index as usize];
        let to_look = slot.top != NONE || failing.is_some();
        if let Some(first) = slot.first_waiter().filter(|_| to_look) {
            // Once, until it has come to look.
            if first.mail.offer(Grant::Nudge) {
                self.wakes.push(first.clone());
            }
        }
        let (closed, drained) = (slot.closed, slot.is_drained());
        // What was set aside is the closer's to close.
        let has_news = closed && (drained || self.own_aside(index).is_some());
        let slot = &mut self.slots[index as usize];
        if let Some(rare) = slot.rare.as_mut().filter(|_| has_news) {
            for closer in rare.closers.drain(..) {
                closer.put(());
                closer.wake();
            }
        }
        let wanting = slot.waiters() > slot.parts.idle as usize;
        let wants = wanting && failing.is_none() && self.may_open(index);
        match (wants, self.tickets.contains(index)) {
            (true, false) => {
                self.at(index).rare().ticket = Moment::now();
                self.tickets.push_back(index);
            }
            (false, true) => drop(self.tickets.remove(index)),
            _ => {}
        }
    }

    /// A seat for one more connection of a tenant: that of one of its own that was set
    /// aside, a free one, one that was set aside by others, else that of the least
    /// recently used idle connection of another.
    pub(super) fn reserve(
        &mut self,
        index: u32,
        holder: Holder,
        now: Stamp,
    ) -> Option<Permit<C, S>> {
        if let Some(seat) = self.own_aside(index) {
            let connection = self.take_aside(seat);
            return Some(self.replace(seat, connection, holder, now));
        }
        let epoch = self.at(index).epoch.expect("who asks has an epoch");
        if let Some(seat) = self.seats.claim(index, epoch, holder, now) {
            self.at(index).parts.shift(State::Free, State::Opening);
            return Some(self.permit(index, seat, None));
        }
        if let Some(seat) = self.seats.aside.first() {
            let (owner, connection) = (self.seats[seat].slot, self.take_aside(seat));
            let permit = self.bequeath(seat, connection, index, holder, now);
            // It may have held a ticket for just that.
            self.tidy(owner, now);
            return Some(permit);
        }
        let (seat, connection) = self.take_victim(index)?;
        self.counters.evicted += 1;
        Some(self.bequeath(seat, connection, index, holder, now))
    }

    /// The least recently used idle connection of a tenant that is not the asker's
    /// and that nobody waits for.
    fn take_victim(&mut self, asker: u32) -> Option<(u32, C)> {
        let victim = self.seats.lru.iter().find(|seat| {
            let owner = self.seats[*seat].slot;
            owner != asker && self.slots[owner as usize].waiters() == 0
        })?;
        Some((victim, self.pluck(victim)))
    }

    /// Leaves a seat to `heir`, once its connection is closed. Until then both
    /// tenants count it, so that neither goes beyond its cap.
    fn bequeath(
        &mut self,
        seat: u32,
        connection: C,
        heir: u32,
        holder: Holder,
        now: Stamp,
    ) -> Permit<C, S> {
        self.begin_close(seat, now);
        let epoch = self.at(heir).epoch.expect("who asks has an epoch");
        let at = &mut self.seats[seat];
        (at.link, at.epoch) = (heir, epoch);
        at.hold(holder);
        self.at(heir).parts.shift(State::Free, State::Opening);
        self.permit(heir, seat, Some(connection))
    }

    pub(super) fn permit(&mut self, index: u32, seat: u32, victim: Option<C>) -> Permit<C, S> {
        let slot = self.at(index);
        if slot.fate == Fate::Removed {
            // It was made again.
            slot.fate = Fate::Stays;
        }
        let cold = slot.prepared == Prepared::Cold;
        if cold {
            slot.prepared = Prepared::Under;
        }
        Permit {
            seat,
            victim,
            source: slot.source.clone(),
            cold,
        }
    }
}

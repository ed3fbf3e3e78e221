//! The queue of the check-outs that wait for a tenant's connections.

use std::sync::Arc;

use super::chain::NONE;
use super::stamp::Stamp;
use super::state::{Request, Sched, SlotKey};
use super::waiting::{Grant, HeldConnection, Refusal, Retried, Waiting};

/// A request that was queued.
pub(crate) struct Queued<C, S> {
    pub(crate) waiting: Arc<Waiting<C, S>>,
    /// Whether it is the first one to wait for the connection of another tenant.
    pub(crate) bound_reached: bool,
}

impl<C, S: Clone> Sched<C, S> {
    /// Queues a request that found nothing. Returns `None` if `max_waiters` wait already.
    pub(crate) fn queue(&mut self, request: &Request) -> Option<Queued<C, S>> {
        let index = request.key.index;
        let max = self.limits.max_waiters;
        let waiting = Arc::new(Waiting::new(request.caller));
        let before = self.tickets.is_empty();
        let slot = self.at(index);
        if slot.waiters() >= max {
            self.count(index, |counters| &mut counters.overloaded);
            return None;
        }
        slot.rare().waiters.push_back(waiting.clone());
        self.count(index, |counters| &mut counters.waits);
        self.waiters += 1;
        self.settle(index, request.now);
        Some(Queued {
            waiting,
            bound_reached: before && !self.tickets.is_empty(),
        })
    }

    /// Returns whether the thread of a request holds everything that could end its wait.
    pub(crate) fn would_deadlock(&self, request: &Request) -> bool {
        let index = request.key.index;
        let own = !self.may_open(index);
        let concerns =
            |slot: u32, successor: Option<u32>| !own || slot == index || successor == Some(index);
        // The end of a backoff serves it, too.
        if !own && self.slots[index as usize].retry_in(request.now).is_some() {
            return false;
        }
        let thread = request.caller.thread;
        let mut blocking = self.seats.occupied();
        blocking.all(|seat| !concerns(seat.slot, seat.successor()) || seat.is_held_by(thread))
    }

    /// Serves a waiter that was woken to retry: with an idle connection if it is the first waiter
    /// and there is one. If a backoff has ended since, its tenant gets its ticket back.
    pub(crate) fn retry(&mut self, request: &Request, waiting: &Arc<Waiting<C, S>>) -> Retried<C> {
        let index = request.key.index;
        let slot = self.at(index);
        let first = slot.first_waiter();
        let is_first = first.is_some_and(|first| Arc::ptr_eq(first, waiting));
        if is_first && slot.top != NONE {
            self.next_waiter(index);
            let (seat, connection) = self.pop_idle(index);
            self.check_out(seat, request.caller, request.now);
            self.settle(index, request.now);
            return Retried::Found { seat, connection };
        }
        let retry_in = slot.retry_in(request.now);
        if retry_in.is_none() && slot.clear_failure() {
            self.settle(index, request.now);
        }
        Retried::Nothing { retry_in }
    }

    /// Ends the wait of a thread at its deadline. Returns what it was granted at the last moment.
    ///
    /// # Errors
    /// Returns the connections that it waited for if it was granted nothing.
    pub(crate) fn time_out(
        &mut self,
        request: &Request,
        waiting: &Arc<Waiting<C, S>>,
    ) -> Result<Grant<C, S>, Vec<HeldConnection>> {
        match waiting.mail.take() {
            None => {}
            Some(Grant::Retry) => {
                if let Retried::Found { seat, connection } = self.retry(request, waiting) {
                    return Ok(Grant::Use { seat, connection });
                }
            }
            Some(grant) => return Ok(grant),
        }
        // The retry itself may have served it.
        if let Some(grant) = waiting.mail.take_if(|grant| !matches!(grant, Grant::Retry)) {
            return Ok(grant);
        }
        let index = request.key.index;
        let holders = self.holders(request.key);
        self.remove_waiter(request.key, waiting);
        self.count(index, |counters| &mut counters.timeouts);
        self.settle(index, request.now);
        Err(holders)
    }

    /// Ends the wait of a task at its deadline, unless it was granted something before.
    pub(crate) fn expire_wait(&mut self, key: SlotKey, waiting: &Arc<Waiting<C, S>>, now: Stamp) {
        let holders = self.holders(key);
        if self.remove_waiter(key, waiting) {
            self.count(key.index, |counters| &mut counters.timeouts);
            self.grant(waiting.clone(), Grant::TimedOut(holders));
            self.settle(key.index, now);
        }
    }

    /// Wakes a waiter, if it still waits, to retry.
    pub(crate) fn wake_to_retry(&mut self, key: SlotKey, waiting: &Arc<Waiting<C, S>>) {
        let waits = self.slot(key).and_then(|slot| slot.rare.as_ref());
        let waits = waits.is_some_and(|rare| rare.waiters.iter().any(|w| Arc::ptr_eq(w, waiting)));
        if waits && waiting.mail.offer(Grant::Retry) {
            self.wakes.push(waiting.clone());
        }
    }

    /// Removes a waiter from its tenant's queue; returns whether it was in the queue.
    pub(super) fn remove_waiter(&mut self, key: SlotKey, waiting: &Arc<Waiting<C, S>>) -> bool {
        if self.slot(key).is_none() {
            return false;
        }
        let Some(rare) = &mut self.at(key.index).rare else {
            return false;
        };
        let at = rare.waiters.iter().position(|w| Arc::ptr_eq(w, waiting));
        let removed = at.and_then(|at| rare.waiters.remove(at)).is_some();
        self.waiters -= usize::from(removed);
        removed
    }

    /// Removes the first waiter of a tenant from the queue.
    pub(super) fn next_waiter(&mut self, index: u32) -> Option<Arc<Waiting<C, S>>> {
        let next = self.at(index).rare.as_mut()?.waiters.pop_front()?;
        self.waiters -= 1;
        Some(next)
    }

    /// Grants something to a waiter that was removed from the queue. A pending retry is
    /// overwritten.
    pub(super) fn grant(&mut self, waiting: Arc<Waiting<C, S>>, grant: Grant<C, S>) {
        let before = waiting.mail.put(grant);
        debug_assert!(matches!(before, None | Some(Grant::Retry)));
        self.wakes.push(waiting);
    }

    /// Refuses all waiters of a tenant; it has to be settled afterwards.
    pub(super) fn refuse_waiters(&mut self, index: u32, refusal: &Refusal) {
        while let Some(waiting) = self.next_waiter(index) {
            self.grant(waiting, Grant::Refused(refusal.clone()));
        }
    }
}

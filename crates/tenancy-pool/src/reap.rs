//! The work that is due now and then: expiry, idle maintenance, upkeep, reports of leaks.

use std::sync::Arc;
use std::time::Duration;

use tenancy_core::Event;

use crate::checkout::{Checkout, ThreadHold};
use crate::driver::Driver;
use crate::holders::Activity;
use crate::sched::Stamp;
use crate::shared::{CloseMode, Shared};
use crate::sync::{Moment, this_thread};

/// The most connections that a round maintains: the calling thread has other work, too. A
/// checkpoint takes 1 to 2 ms, and ten times as long at times.
const MAX_MAINTAINED: usize = 32;

/// The time after which a round begins no further upkeep: a large WAL takes seconds.
const MAX_UPKEEP: Duration = Duration::from_millis(250);

/// Does one round. Returns the number of connections that it closed.
pub(crate) fn reap<D: Driver>(pools: &Arc<Shared<D>>) -> usize {
    let now = pools.now();
    let discarded = pools.decide(|sched| sched.reap(now));
    let closed = discarded.connections.len();
    pools.close_discarded(discarded, CloseMode::Complete);
    maintain_idle(pools, now);
    let began = Moment::now();
    pools.upkeep(|| began.is_older_than(MAX_UPKEEP));
    for released in pools.decide(|sched| sched.release_slots(now)) {
        pools.slots.remove(&released.id, released.key);
    }
    report_leaks(pools, now);
    closed
}

fn maintain_idle<D: Driver>(pools: &Arc<Shared<D>>, now: Stamp) {
    for _ in 0..MAX_MAINTAINED {
        let thread = this_thread();
        let due = pools.decide(|sched| sched.begin_idle_maintenance(thread, now));
        let Some((seat, live, since)) = due else {
            break;
        };
        Checkout::new(pools.clone(), seat, live, ThreadHold::new()).maintain_idle(since);
    }
}

/// Notifies observers of the connections that were out for too long for the first time.
fn report_leaks<D: Driver>(pools: &Shared<D>, now: Stamp) {
    let before = pools.leaks_reported(now);
    let leak_after = pools.timing.leak_after;
    if !pools.observers.is_observed() || leak_after == Duration::MAX {
        return;
    }
    let held = pools.decide(|sched| sched.all_held());
    for holder in pools.holders_at(held, now).iter() {
        let reported = holder.age.saturating_sub(now.since(before)) >= leak_after;
        if holder.activity == Activity::CheckedOut && holder.age >= leak_after && !reported {
            pools.observers.emit(&Event::HeldLong {
                tenant: &holder.tenant,
                holder: &holder.label.to_string(),
                held: holder.age,
            });
        }
    }
}

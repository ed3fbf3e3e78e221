//! The close of one tenant and of all.

use std::sync::Arc;
use std::time::Duration;

use tenancy_core::TenantId;

use crate::driver::Driver;
use crate::error::{CloseAllError, CloseError};
use crate::live::{BoxedLive, Scheduler};
use crate::mailbox::Mailbox;
use crate::sched::{HeldConnection, SlotKey};
use crate::shared::{CloseMode, Shared};
use crate::sync::Moment;

type Watcher = Arc<Mailbox<()>>;

/// The connections whose close was deferred, and the open ones; `None` if no connection is open.
type Remaining<D> = (Vec<(u32, BoxedLive<D>)>, Option<Vec<HeldConnection>>);

/// Closes a tenant to check-outs, and waits until no connection to it is open.
pub(crate) fn close<D: Driver>(
    pools: &Shared<D>,
    id: &TenantId,
    timeout: Duration,
) -> Result<(), CloseError> {
    let began = Moment::now();
    let watcher = Watcher::new(Mailbox::new());
    let key = begin(pools, id);
    let remaining = |sched: &mut Scheduler<D>| {
        let deferred = sched.deferred_of(key);
        let drained = sched.drained_or_watch(key, &watcher);
        (deferred, (!drained).then(|| sched.held_of(key)))
    };
    let drained = drain(pools, began.after(timeout), &watcher, remaining);
    drained.map_err(|held| {
        pools.decide(|sched| sched.unwatch(key, &watcher));
        CloseError {
            tenant: id.clone(),
            waited: began.elapsed(),
            holders: pools.holders(held),
        }
    })
}

/// Closes a tenant to check-outs and its idle connections. Returns its slot.
fn begin<D: Driver>(pools: &Shared<D>, id: &TenantId) -> SlotKey {
    loop {
        let (key, now) = (pools.slot(id), pools.now());
        // Bound, so that the connections are closed outside the lock.
        let discarded = pools.decide(|sched| sched.close(key, now));
        match discarded {
            Some(discarded) => {
                pools.close_discarded(discarded, CloseMode::Complete);
                return key;
            }
            None => pools.slots.remove(id, key),
        }
    }
}

/// Closes all tenants to check-outs, waits until no connection is open, and does the upkeep.
pub(crate) fn close_all<D: Driver>(
    pools: &Shared<D>,
    timeout: Duration,
) -> Result<(), CloseAllError> {
    let began = Moment::now();
    let watcher = Watcher::new(Mailbox::new());
    let now = pools.now();
    for discarded in pools.decide(|sched| sched.close_all(now)) {
        pools.close_discarded(discarded, CloseMode::Complete);
    }
    let remaining = |sched: &mut Scheduler<D>| {
        let deferred = sched.all_deferred();
        let drained = sched.all_drained_or_watch(&watcher);
        (deferred, (!drained).then(|| sched.all_held()))
    };
    let drained = drain(pools, began.after(timeout), &watcher, remaining);
    drained.map_err(|held| {
        pools.decide(|sched| sched.unwatch_all(&watcher));
        CloseAllError {
            waited: began.elapsed(),
            holders: pools.holders(held),
        }
    })?;
    pools.upkeep(|| began.is_older_than(timeout));
    Ok(())
}

/// Closes the connections whose close was deferred, and waits until no connection is open.
///
/// # Errors
/// Returns the connections that are open at the deadline, or that only this thread could give back.
fn drain<D: Driver>(
    pools: &Shared<D>,
    deadline: Moment,
    watcher: &Watcher,
    remaining: impl Fn(&mut Scheduler<D>) -> Remaining<D>,
) -> Result<(), Vec<HeldConnection>> {
    let mut late = false;
    loop {
        let (deferred, open) = pools.decide(&remaining);
        if !deferred.is_empty() {
            pools.close_each(deferred);
            continue;
        }
        let Some(held) = open else {
            return Ok(());
        };
        if late || pools.held_by_this_thread(&held) {
            return Err(held);
        }
        late = watcher.wait_until(deadline).is_none();
    }
}

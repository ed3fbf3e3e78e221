//! The events that observers get, and their order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tenancy_core::Event;

use crate::util::*;

/// An observer that records events.
type Events = Arc<Mutex<Vec<String>>>;

/// Pools of at most one connection whose events are recorded in a list.
fn observed(driver: &Fake, long_wait: Duration) -> (tenancy_pool::TenantPools<Fake>, Events) {
    let events = Events::default();
    let list = events.clone();
    let observer = move |event: &Event<'_>| {
        let text = match event {
            Event::Opening { tenant } => format!("opening {}", tenant.id()),
            Event::Opened { tenant, .. } => format!("opened {}", tenant.id()),
            Event::OpenFailed { tenant, error } => format!("failed {}: {error}", tenant.id()),
            Event::IdleMaintenanceFailed { tenant, error } => {
                format!("not maintained {}: {error}", tenant.id())
            }
            Event::Closing { tenant } => format!("closing {}", tenant.id()),
            Event::Closed { tenant } => format!("closed {}", tenant.id()),
            Event::WaitedLong { tenant, .. } => format!("waited long {}", tenant.id()),
            Event::BoundReached { max } => format!("bound {max}"),
            Event::CheckedOut { .. } | Event::Returned { .. } | Event::TimedOut { .. } => return,
            other => format!("{other:?}"),
        };
        locked(&list).push(text);
    };
    let pools = pools_with(driver, 1, 1, |builder| {
        builder.observer(Arc::new(observer)).long_wait(long_wait)
    });
    (pools, events)
}

#[test]
fn observers_are_notified_before_and_after_opens_and_closes() {
    let driver = OkDriver();
    let (pools, events) = observed(&driver, Duration::from_secs(60));
    let use_one = |id| drop(pools.checkout(&tenant(id)).expect("a connection"));
    use_one("acme");
    use_one("acme");
    use_one("beta");
    pools
        .close(tenant("beta").id(), Duration::ZERO)
        .expect("nothing is out");
    let wanted = [
        "opening acme",
        "opened acme",
        "closing acme",
        "closed acme",
        "opening beta",
        "opened beta",
        "closing beta",
        "closed beta",
    ];
    assert_eq!(*locked(&events), wanted);
}

#[test]
fn observers_are_notified_of_failures() {
    let driver = FailAfter(0);
    let (pools, events) = observed(&driver, Duration::from_secs(60));
    for _ in 0..2 {
        assert!(pools.checkout(&tenant("acme")).is_err());
    }
    let wanted = ["opening acme", "failed acme: no such database"];
    assert_eq!(*locked(&events), wanted, "a backoff emits no event");
}

#[test]
fn observers_are_notified_of_long_waits_and_of_the_bound() {
    let driver = OkDriver();
    let (pools, events) = observed(&driver, SHORT);
    let out = pools.checkout(&tenant("acme")).expect("a connection");
    let wait = |id| drop(pools.checkout_timeout(&tenant(id), SHORT));
    std::thread::scope(|scope| {
        // Of its own tenant: it could get no connection of another.
        scope.spawn(|| wait("acme")).join().expect("no panic");
        scope.spawn(|| wait("beta")).join().expect("no panic");
        scope.spawn(|| drop(pools.checkout_timeout(&tenant("beta"), Duration::ZERO)));
    });
    drop(out);
    let events = locked(&events);
    let wanted = ["waited long acme", "bound 1", "waited long beta", "bound 1"];
    assert_eq!(events[2..6], wanted, "{events:?}");
}

#[test]
fn an_observer_may_read_the_stats() {
    let driver = OkDriver();
    let kept = Arc::new(Mutex::new(None::<tenancy_pool::TenantPools<Fake>>));
    let asking = kept.clone();
    let pools = pools_with(&driver, 1, 1, |builder| {
        let asks = move |_: &Event<'_>| {
            let pools = locked(&asking).clone();
            assert!(pools.is_none_or(|pools| pools.stats().open <= 1));
        };
        builder.observer(Arc::new(asks))
    });
    *locked(&kept) = Some(pools.clone());
    for id in ["acme", "beta"] {
        drop(pools.checkout(&tenant(id)).expect("a connection"));
    }
    *locked(&kept) = None;
    assert_eq!(pools.stats().counters.opened, 2);
}

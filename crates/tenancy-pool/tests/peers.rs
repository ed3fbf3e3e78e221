//! Events, figures and lists of check-outs, warm starts, shutdown, jitter of lifetimes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tenancy_core::{Clock, Event};
use tenancy_pool::{Activity, Checkout, CheckoutError};

use crate::util::*;

type List = Arc<Mutex<Vec<String>>>;

/// An observer that records the events of check-outs.
fn observer(list: &List) -> Arc<dyn tenancy_core::Observer> {
    let list = list.clone();
    Arc::new(move |event: &Event<'_>| {
        let text = match event {
            Event::CheckedOut { tenant, waited } => {
                format!("out {} {}", tenant.id(), waited.is_zero())
            }
            Event::Returned { tenant, held } => format!("back {} {held:?}", tenant.id()),
            Event::TimedOut { tenant, waited } => {
                assert!(*waited >= SHORT);
                format!("late {}", tenant.id())
            }
            Event::HeldLong {
                tenant,
                holder,
                held,
            } => format!("leak {tenant} {holder} {held:?}"),
            _ => return,
        };
        locked(&list).push(text);
    })
}

#[test]
fn observers_are_notified_of_check_outs_returns_and_time_outs() {
    let (list, clock, driver) = (List::default(), Clock::manual(), OkDriver());
    let pools = pools_with(&driver, 1, 1, |builder| {
        builder.clock(clock.clone()).observer(observer(&list))
    });
    let acme = tenant("acme");
    let out = pools.checkout(&acme).expect("a new one");
    std::thread::scope(|scope| {
        scope.spawn(|| drop(pools.checkout_timeout(&acme, SHORT)));
    });
    clock.advance(Duration::from_millis(7));
    drop(out);
    let out = pools.checkout(&acme).expect("an idle one");
    clock.advance(Duration::from_millis(2));
    Checkout::discard(out);
    assert!(pools.try_checkout(&acme).expect("not refused").is_none());
    let wanted = [
        "out acme false",
        "late acme",
        "back acme 7ms",
        "out acme true",
        "back acme 2ms",
    ];
    assert_eq!(*locked(&list), wanted);
    let stats = pools.stats();
    let counted = (
        stats.counters.checkouts,
        stats.counters.returned,
        stats.held,
    );
    assert_eq!(counted, (2, 2, Duration::from_millis(9)));
    assert!(stats.waited >= SHORT, "{:?}", stats.waited);
    let of = pools.tenant_stats(acme.id()).expect("it is known").counters;
    assert_eq!((of.checkouts, of.returned, of.timeouts), (2, 2, 1));
}

#[test]
fn idle_maintenance_does_not_count_as_held() {
    let (clock, moves) = (Clock::manual(), Clock::manual());
    let maintains = clock.clone();
    let driver = OkDriver().maintaining(move |_| {
        maintains.advance(Duration::from_secs(3));
        Ok(())
    });
    drop(moves);
    let pools = pools_with(&driver, 1, 1, |builder| builder.clock(clock.clone()));
    drop(pools.checkout(&tenant("acme")).expect("one"));
    clock.advance(Duration::from_secs(6));
    pools.reap();
    let stats = pools.stats();
    assert_eq!((stats.held, stats.counters.returned), (Duration::ZERO, 1));
}

#[test]
fn a_leak_is_reported_once() {
    let (list, clock, driver) = (List::default(), Clock::manual(), OkDriver());
    let pools = pools_with(&driver, 4, 4, |builder| {
        let builder = builder.clock(clock.clone()).observer(observer(&list));
        builder.leak_after(Duration::from_secs(10))
    });
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let first = pools.checkout(&acme).expect("one");
    Checkout::label(&first, "report");
    for (advance, due) in [(9, 0), (1, 1), (1, 0), (100, 0)] {
        locked(&list).clear();
        clock.advance(Duration::from_secs(advance));
        pools.reap();
        assert_eq!(locked(&list).len(), due, "after {advance} s more");
        if due > 0 {
            assert_eq!(*locked(&list), ["leak acme report 10s"]);
        }
    }
    drop(first);
    let _second = pools.checkout(&beta).expect("another");
    locked(&list).clear();
    clock.advance(Duration::from_secs(11));
    pools.reap();
    assert_eq!(locked(&list).len(), 1, "each check-out has its own time");
}

#[test]
fn holders_are_listed_longest_first() {
    let (clock, driver) = (Clock::manual(), OkDriver());
    let pools = pools_with(&driver, 4, 4, |builder| builder.clock(clock.clone()));
    let first = pools.checkout(&tenant("acme")).expect("one");
    Checkout::label(&first, "import");
    clock.advance(Duration::from_secs(2));
    let second = pools.checkout(&tenant("beta")).expect("one");
    Checkout::label(&second, "export");
    drop(
        pools
            .checkout(&tenant("corp"))
            .expect("an idle one is not listed"),
    );
    clock.advance(Duration::from_secs(1));
    let listed: Vec<_> = pools.holders().iter().map(ToString::to_string).collect();
    assert_eq!(listed, ["acme at import for 3s", "beta at export for 1s"]);
    let holders = pools.holders();
    assert!(
        holders
            .iter()
            .all(|holder| holder.activity == Activity::CheckedOut)
    );
}

#[test]
fn warm_opens_the_requested_number_up_to_the_bound() {
    let driver = OkDriver();
    let pools = pools(&driver, 8, 4);
    let acme = tenant("acme");
    for (count, found, live) in [(0, 0, 0), (2, 2, 2), (2, 2, 2), (9, 4, 4)] {
        assert_eq!(pools.warm(&acme, count).expect("they open"), found);
        let stats = pools.stats();
        assert_eq!((driver.world.live(), stats.idle), (live, live as u32));
    }
    assert_eq!(locked(&driver.world.prepared).len(), 1);
    // It does not wait for the connections of its own thread.
    let _out = pools.checkout(&acme).expect("one");
    assert_eq!(pools.warm(&acme, 4).expect("the others"), 3);
    let failing = pools_with(&FailAfter(1), 8, 4, |builder| builder);
    let error = failing.warm(&acme, 3).expect_err("the second one fails");
    assert!(matches!(error, CheckoutError::Connect { .. }), "{error}");
    assert_eq!(failing.stats().idle, 1, "the first one stays");
}

#[test]
fn close_all_leaves_no_connection_and_opens_none() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 1);
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    drop(pools.checkout(&beta).expect("an idle one"));
    let (ready, holds) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _out = pools.checkout(&acme).expect("a connection");
            ready.send(()).expect("the other end is there");
            until("it is waited for", || pools.stats().idle == 0);
            std::thread::sleep(SHORT);
        });
        holds.recv().expect("it holds one");
        let left = pools.close_all(Duration::ZERO).expect_err("one is out");
        assert_eq!(left.holders.iter().count(), 1);
        assert!(left.to_string().contains("acme at "), "{left}");
        let began = std::time::Instant::now();
        assert_eq!(pools.close_all(Duration::from_secs(60)), Ok(()));
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "it was not woken"
        );
    });
    assert_eq!((driver.world.live(), pools.stats().open), (0, 0));
    for id in ["acme", "beta", "new"] {
        assert!(!pools.reopen(tenant(id).id()));
        let refused = pools.checkout(&tenant(id)).map(drop);
        assert!(matches!(refused, Err(CheckoutError::Closed { .. })), "{id}");
    }
    assert_eq!(pools.close_all(Duration::ZERO), Ok(()), "it is so already");
}

#[test]
fn close_all_does_not_wait_for_its_own_thread() {
    let pools = pools(&OkDriver(), 4, 4);
    let out = pools.checkout(&tenant("acme")).expect("one");
    let left = pools.close_all(Duration::from_secs(3600));
    assert!(left.is_err());
    drop(out);
    assert_eq!(pools.close_all(Duration::ZERO), Ok(()));
}

#[test]
fn lifetimes_differ_within_their_bound() {
    let (clock, driver) = (Clock::manual(), OkDriver());
    let pools = pools_with(&driver, 100, 1, |builder| {
        let builder = builder.clock(clock.clone()).idle_timeout(Duration::MAX);
        builder.max_lifetime(Duration::from_secs(1000))
    });
    clock.advance(Duration::from_secs(5000));
    for n in 0..100 {
        drop(pools.checkout(&tenant(&format!("t{n}"))).expect("one"));
    }
    let mut closed = Vec::new();
    for advance in [899, 26, 25, 25, 25] {
        clock.advance(Duration::from_secs(advance));
        closed.push(pools.reap());
    }
    let sum: usize = closed.iter().sum();
    assert_eq!((closed[0], sum), (0, 100), "{closed:?}");
    assert!(
        closed[1..].iter().all(|each| (15..=35).contains(each)),
        "{closed:?}"
    );
}

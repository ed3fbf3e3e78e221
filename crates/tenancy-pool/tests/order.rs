//! The order of service, and the end of waits.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tenancy_core::{Event, Observer, Tenant};
use tenancy_pool::CheckoutError;

use crate::util::*;

const LONG: Duration = Duration::from_secs(20);

#[test]
fn waiters_are_served_in_order_of_arrival() {
    let driver = OkDriver();
    let pools = pools_with(&driver, 4, 1, |builder| {
        builder.handoff_after(Duration::ZERO)
    });
    let acme = tenant("acme");
    let served = Mutex::new(Vec::new());
    let out = pools.checkout(&acme).expect("a connection");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (pools, acme, served) = (&pools, &acme, &served);
            scope.spawn(move || {
                let _out = pools.checkout_timeout(acme, LONG).expect("a connection");
                locked(served).push(n);
            });
            until("it waits", || pools.stats().waiting == n + 1);
        }
        drop(out);
    });
    assert_eq!(*locked(&served), (0..8).collect::<Vec<_>>());
    assert_eq!(pools.stats().counters.hand_offs, 8);
    let of_tenant = pools.tenant_stats(acme.id()).expect("it was seen");
    assert_eq!(of_tenant.counters.hand_offs, 8);
}

#[test]
fn tenants_are_served_in_order_of_arrival() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let served = Mutex::new(Vec::new());
    let out = pools.checkout(&tenant("acme")).expect("a connection");
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (pools, served) = (&pools, &served);
            scope.spawn(move || {
                let other = tenant(&format!("other-{n}"));
                let _out = pools.checkout_timeout(&other, LONG).expect("a connection");
                locked(served).push(n);
            });
            until("it waits", || pools.stats().tickets == n + 1);
        }
        drop(out);
    });
    assert_eq!(*locked(&served), (0..6).collect::<Vec<_>>());
    assert_eq!(driver.world.peak(), 1);
}

#[test]
fn a_time_out_leaves_no_ticket() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let acme = tenant("acme");
    let out = pools.checkout(&acme).expect("a connection");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let refused = pools.checkout_timeout(&tenant("beta"), SHORT);
            assert!(matches!(refused, Err(CheckoutError::Timeout { .. })));
        });
    });
    let stats = pools.stats();
    assert_eq!(
        (stats.tickets, stats.waiting, stats.counters.timeouts),
        (0, 0, 1)
    );
    drop(out);
    // It has no waiter any more, so it stays.
    assert_eq!((pools.stats().idle, driver.world.live_of("acme")), (1, 1));
}

#[test]
fn a_check_out_ends_at_its_deadline() {
    let driver = OkDriver();
    let pools = pools(&driver, 2, 1);
    let acme = tenant("acme");
    let _out = pools.checkout(&acme).expect("a connection");
    let _other = pools.checkout(&tenant("beta")).expect("a connection");
    // One quick run is enough: other work on the machine delays some.
    let late = (0..10).map(|n| {
        let wanted = if n % 2 == 0 { &acme } else { &tenant("gamma") };
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let began = Instant::now();
                let refused = pools.checkout_timeout(wanted, SHORT);
                assert!(matches!(refused, Err(CheckoutError::Timeout { .. })));
                assert!(began.elapsed() >= SHORT, "too early");
                began.elapsed() - SHORT
            });
            waiter.join().expect("no panic")
        })
    });
    let late: Vec<_> = late.collect();
    let quick = late
        .iter()
        .filter(|late| **late < Duration::from_millis(50));
    assert!(quick.count() >= 5, "{late:?}");
}

#[test]
fn every_waiter_waits_for_a_reason() {
    let driver = OkDriver();
    let pools = pools(&driver, 2, 2);
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let first = pools.checkout(&acme).expect("a connection");
    let second = pools.checkout(&acme).expect("a connection");
    std::thread::scope(|scope| {
        for wanted in [&acme, &beta] {
            scope.spawn(|| drop(pools.checkout_timeout(wanted, LONG).expect("a connection")));
        }
        until("both wait", || pools.stats().waiting == 2);
        let stats = pools.stats();
        assert_eq!((stats.open, stats.idle, stats.tickets), (2, 0, 1));
        drop((first, second));
    });
    assert_eq!(pools.stats().waiting, 0);
}

#[test]
fn a_hot_tenant_yields_to_a_waiting_one() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let acme = tenant("acme");
    let mut held = Some(pools.checkout(&acme).expect("a connection"));
    std::thread::scope(|scope| {
        let beta = scope.spawn(|| drop(pools.checkout_timeout(&tenant("beta"), LONG)));
        until("beta waits", || pools.stats().tickets == 1);
        drop(held.take());
        beta.join().expect("no panic");
    });
    assert_eq!(pools.stats().counters.closed, 1);
    assert_eq!(driver.world.live_of("acme"), 0);
}

#[test]
fn a_failed_connect_serves_the_next() {
    // The second connection of acme fails and gives its seat to beta, which waits for it.
    let driver = ConnectWith(|tenant, attempt| {
        if attempt == 0 || tenant.id().as_str() == "beta" {
            return Ok(());
        }
        std::thread::sleep(SHORT);
        Err(NoDatabase)
    });
    let pools = pools(&driver, 2, 2);
    let acme = tenant("acme");
    let _out = pools.checkout(&acme).expect("a connection");
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(pools.checkout(&acme).is_err()));
        until("acme connects", || pools.stats().opening == 1);
        let began = Instant::now();
        let beta = scope.spawn(|| pools.checkout_timeout(&tenant("beta"), LONG).map(drop));
        beta.join().expect("no panic").expect("a connection");
        assert!(began.elapsed() < LONG / 2);
    });
}

#[test]
fn too_many_waiters_are_refused_at_once() {
    let driver = OkDriver();
    let pools = pools_with(&driver, 4, 1, |builder| builder.max_waiters(1));
    let acme = tenant("acme");
    let out = pools.checkout(&acme).expect("a connection");
    std::thread::scope(|scope| {
        scope.spawn(|| drop(pools.checkout_timeout(&acme, LONG).expect("a connection")));
        until("it waits", || pools.stats().waiting == 1);
        let more = scope.spawn(|| pools.checkout_timeout(&acme, LONG).map(drop));
        let refused = more.join().expect("no panic");
        assert_eq!(
            refused.expect_err("too many").to_string(),
            "tenant acme has 1 check-outs waiting, as many as are allowed; shed load or raise `max_waiters`"
        );
        drop(out);
    });
}

#[test]
fn a_thread_that_would_wait_for_itself_is_refused() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let acme = tenant("acme");
    let _out = pools.checkout(&acme).expect("a connection");
    for wanted in ["acme", "beta"] {
        let began = Instant::now();
        let refused = pools.checkout_timeout(&tenant(wanted), LONG);
        assert!(
            matches!(refused, Err(CheckoutError::WouldDeadlock { .. })),
            "{wanted}: {refused:?}"
        );
        assert!(began.elapsed() < LONG / 2);
    }
}

#[test]
fn a_larger_plan_has_a_higher_bound() {
    let driver = OkDriver();
    let pools = pools_with(&driver, 8, 1, |builder| {
        builder.max_per_tenant_by(|tenant| if tenant.id().as_str() == "big" { 3 } else { 1 })
    });
    for (id, wanted) in [("big", 3), ("small", 1)] {
        let tenant = tenant(id);
        let mut out = Vec::new();
        while let Ok(more) = pools.checkout_timeout(&tenant, Duration::ZERO) {
            out.push(more);
        }
        assert_eq!(out.len(), wanted, "{id}");
    }
}

#[test]
fn a_changed_plan_changes_the_bound() {
    let driver = OkDriver();
    let pools = pools_with(&driver, 8, 1, |builder| {
        let plan = |tenant: &Tenant| tenant.attribute("max")?.parse().ok();
        builder.max_per_tenant_by(move |tenant| plan(tenant).unwrap_or(2))
    });
    let mut out = Vec::new();
    // The plan that the resolver reports, and the number of connections that can be out then. The
    // bounds 0 and 99 are clamped.
    for (max, wanted) in [("2", 2), ("4", 4), ("1", 4), ("0", 4), ("99", 8)] {
        let acme = Tenant::builder("acme".parse().expect("an id")).attribute("max", max);
        let acme = acme.build().expect("a tenant");
        pools.observe(&Event::TenantChanged { tenant: &acme });
        while let Ok(more) = pools.checkout_timeout(&acme, Duration::ZERO) {
            out.push(more);
        }
        assert_eq!(out.len(), wanted, "{max}");
    }
    let acme = tenant("acme");
    pools.observe(&Event::TenantChanged { tenant: &acme });
    drop(out);
    let stats = pools.tenant_stats(acme.id()).expect("it is known");
    assert_eq!((stats.max, stats.idle, driver.world.live()), (2, 2, 2));
}

#[test]
fn a_slow_connect_does_not_delay_other_tenants() {
    // One tenant hangs while it connects; another's idle connection is there at once.
    let driver = ConnectWith(|tenant, _| {
        if tenant.id().as_str() == "slow" {
            std::thread::sleep(Duration::from_millis(300));
        }
        Ok(())
    });
    let pools = pools_with(&driver, 8, 4, |builder| builder.max_opening(1));
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| drop(pools.checkout(&tenant("slow")).expect("a connection")));
        until("it connects", || pools.stats().opening == 1);
        drop(pools.checkout(&tenant("quick")).expect("a connection"));
        assert_eq!(pools.stats().opening, 1, "it went past the one that hangs");
        slow.join().expect("no panic");
    });
}

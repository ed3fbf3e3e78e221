//! Close, reopen, forget, epochs, ages and the current tenant.

use std::time::{Duration, Instant};

use tenancy_core::{Clock, Epoch, Event, Observer, Tenant, TenantStatus};
use tenancy_pool::CheckoutError;

use crate::util::*;

fn second() -> Epoch {
    Epoch::new(2).expect("an epoch")
}

#[test]
fn close_waits_for_connections_that_are_out() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 4);
    let acme = tenant("acme");
    let (ready, holds) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let _out = pools.checkout(&acme).expect("a connection");
            ready.send(()).expect("the other end is there");
            std::thread::sleep(SHORT);
        });
        holds.recv().expect("it holds one");
        let closed = pools.close(acme.id(), Duration::from_secs(20));
        assert_eq!((closed, driver.world.live()), (Ok(()), 0));
        holder.join().expect("no panic");
    });
    assert_eq!(driver.world.live(), 0);
}

#[test]
fn close_waits_for_a_connection_that_is_being_opened() {
    let driver = SlowDriver(SHORT);
    let pools = pools(&driver, 4, 4);
    let acme = tenant("acme");
    std::thread::scope(|scope| {
        let opener = scope.spawn(|| pools.checkout(&acme).map(drop));
        until("it opens", || pools.stats().opening == 1);
        pools
            .close(acme.id(), Duration::from_secs(20))
            .expect("it is closed");
        assert_eq!((driver.world.live(), pools.stats().open), (0, 0));
        let refused = opener.join().expect("no panic");
        assert!(
            matches!(refused, Err(CheckoutError::Closed { .. })),
            "{refused:?}"
        );
    });
}

#[test]
fn close_refuses_waiters() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let acme = tenant("acme");
    let _out = pools.checkout(&acme).expect("a connection");
    std::thread::scope(|scope| {
        let began = Instant::now();
        let waiter = scope.spawn(|| pools.checkout(&acme).map(drop));
        until("it waits", || pools.stats().waiting == 1);
        pools
            .close(acme.id(), Duration::ZERO)
            .expect_err("one is out");
        let refused = waiter.join().expect("no panic");
        assert!(matches!(refused, Err(CheckoutError::Closed { .. })));
        assert!(began.elapsed() < Duration::from_secs(4));
    });
}

#[test]
fn an_older_epoch_is_superseded() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 4);
    let (old, new) = (tenant("acme"), tenant_at("acme", 2));
    let out = pools.checkout(&old).expect("a connection");
    drop(pools.checkout(&old).expect("a connection"));
    drop(pools.checkout(&new).expect("a connection"));
    assert_eq!(
        driver.world.opened(),
        3,
        "the idle one was of the old epoch"
    );
    let refused = pools.checkout(&old).expect_err("it has passed");
    assert!(
        matches!(refused, CheckoutError::Superseded { yours, current, .. }
            if yours == Epoch::FIRST && current == second())
    );
    drop(out);
    assert_eq!((driver.world.live(), pools.stats().idle), (1, 1));
    let again = pools.checkout(&new).expect("a connection");
    assert_eq!(again.tenant.epoch(), second());
}

#[test]
fn waiters_of_an_older_epoch_are_refused() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let acme = tenant("acme");
    let _out = pools.checkout(&acme).expect("a connection");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| pools.checkout(&acme).map(drop));
        until("it waits", || pools.stats().waiting == 1);
        pools.observe(&Event::TenantRemoved {
            id: acme.id(),
            epoch: Epoch::FIRST,
        });
        let refused = waiter.join().expect("no panic");
        assert!(matches!(refused, Err(CheckoutError::Superseded { .. })));
    });
}

#[test]
fn a_check_out_of_a_newer_epoch_removes_the_ticket_of_the_older() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let out = pools.checkout(&tenant("beta")).expect("a connection");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| pools.checkout(&tenant("acme")).map(drop));
        until("it waits", || pools.stats().tickets == 1);
        let newer = pools.try_checkout(&tenant_at("acme", 2));
        assert!(matches!(newer, Ok(None)));
        let stats = pools.stats();
        assert_eq!((stats.tickets, stats.waiting), (0, 0));
        let refused = waiter.join().expect("no panic");
        assert!(matches!(refused, Err(CheckoutError::Superseded { .. })));
    });
    drop(out);
    assert_eq!((pools.stats().idle, driver.world.live_of("beta")), (1, 1));
}

#[test]
fn a_new_epoch_is_prepared_again() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 4);
    for epoch in [1, 1, 2, 2] {
        drop(pools.checkout(&tenant_at("acme", epoch)).expect("one"));
    }
    let prepared = locked(&driver.world.prepared);
    let epochs: Vec<_> = prepared.iter().map(|tenant| tenant.epoch()).collect();
    assert_eq!(epochs, [Epoch::FIRST, second()]);
}

#[test]
fn a_kept_handle_finds_its_tenant_after_it_was_forgotten() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 4);
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let handle = pools.handle(&acme);
    assert!(pools.forget(acme.id()));
    drop(pools.checkout(&beta).expect("it takes the slot"));
    let mine = handle.checkout().expect("a connection");
    assert_eq!((&mine.tenant, pools.stats().tenants), (&acme, 2));
    assert!(!pools.forget(acme.id()), "one is out");
}

#[test]
fn a_connection_that_was_out_during_a_panic_is_closed() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 4);
    let acme = tenant("acme");
    let attempt = std::panic::AssertUnwindSafe(|| {
        let _out = pools.checkout(&acme).expect("a connection");
        panic!("planned panic while holding");
    });
    std::panic::catch_unwind(attempt).expect_err("it panics");
    assert_eq!((driver.world.live(), pools.stats().open), (0, 0));
}

#[test]
fn broken_connections_are_closed() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 4);
    let acme = tenant("acme");
    pools.checkout(&acme).expect("a connection").broken = true;
    assert_eq!((driver.world.live(), pools.stats().open), (0, 0));
}

#[test]
fn connections_idle_for_long_are_validated_first() {
    let clock = Clock::manual();
    let driver = OkDriver();
    let pools = pools_with(&driver, 4, 4, |builder| {
        builder
            .clock(clock.clone())
            .validate_after(Duration::from_secs(1))
    });
    let acme = tenant("acme");
    pools.checkout(&acme).expect("a connection").stale = true;
    assert!(pools.checkout(&acme).expect("not asked yet").stale);
    clock.advance(Duration::from_secs(2));
    assert!(!pools.checkout(&acme).expect("another one").stale);
    assert_eq!((driver.world.opened(), driver.world.live()), (2, 1));
}

#[test]
fn reap_closes_connections_that_are_idle_or_open_for_too_long() {
    let clock = Clock::manual();
    let driver = OkDriver();
    let pools = pools_with(&driver, 4, 4, |builder| {
        builder
            .clock(clock.clone())
            .idle_timeout(Duration::from_secs(10))
            .max_lifetime(Duration::from_secs(25))
            .lifetime_jitter(Duration::ZERO)
    });
    let acme = tenant("acme");
    let use_it = || drop(pools.checkout(&acme).expect("a connection"));
    for (advance, opened) in [(0, 1), (9, 1), (9, 1), (9, 2), (10, 3)] {
        clock.advance(Duration::from_secs(advance));
        use_it();
        assert_eq!(driver.world.opened(), opened, "after {advance} s");
    }
    assert_eq!(pools.reap(), 0);
    clock.advance(Duration::from_secs(11));
    assert_eq!((pools.reap(), driver.world.live()), (1, 0));
}

#[test]
fn a_check_out_is_refused_while_another_tenant_is_current() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 4);
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let scope = acme.enter().expect("no tenant is current");
    let handle = pools.handle(&beta);
    for refused in [
        pools.checkout(&beta).map(drop),
        handle.checkout().map(drop),
        pools.try_checkout(&beta).map(drop),
    ] {
        assert!(matches!(refused, Err(CheckoutError::OtherTenant { .. })));
    }
    assert_eq!(pools.checkout_current().expect("acme's").tenant, acme);
    drop(scope);
    let refused = pools.checkout_current().expect_err("no tenant is current");
    assert!(matches!(refused, CheckoutError::NoTenant));
    assert_eq!(pools.checkout(&beta).expect("a connection").tenant, beta);
}

#[test]
fn a_backoff_ends() {
    let clock = Clock::manual();
    let driver = ConnectWith(|_, attempt| {
        if attempt == 0 {
            Err(NoDatabase)
        } else {
            Ok(())
        }
    });
    let pools = pools_with(&driver, 4, 4, |builder| builder.clock(clock.clone()));
    let acme = tenant("acme");
    assert!(pools.checkout(&acme).is_err());
    clock.advance(Duration::from_millis(99));
    assert!(pools.checkout(&acme).is_err());
    clock.advance(Duration::from_millis(1));
    assert!(pools.checkout(&acme).is_ok());
    assert_eq!(driver.attempts(), 2);
}

#[test]
fn dropped_pools_leave_no_connection() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 4);
    let out = pools.checkout(&tenant("acme")).expect("a connection");
    drop(pools.checkout(&tenant("beta")).expect("a connection"));
    drop(pools);
    assert_eq!(driver.world.live(), 2, "a check-out keeps the pools");
    drop(out);
    assert_eq!(driver.world.live(), 0);
}

#[test]
fn idle_connections_of_a_retiring_tenant_are_reaped() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 4);
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let changed = |status| {
        let acme = acme.to_builder().status(status).build().expect("a tenant");
        pools.observe(&Event::TenantChanged { tenant: &acme });
    };
    let use_both = || {
        drop(pools.checkout(&acme).expect("a connection"));
        drop(pools.checkout(&beta).expect("a connection"));
    };
    // A tenant that was never seen gets no slot.
    changed(TenantStatus::Retiring);
    use_both();
    assert_eq!(pools.reap(), 0);
    changed(TenantStatus::Retiring);
    assert_eq!(driver.world.live_of("acme"), 1, "marking closes nothing");
    assert_eq!((pools.reap(), driver.world.live_of("acme")), (1, 0));
    // An operator may still look at it.
    use_both();
    assert_eq!((pools.reap(), driver.world.live_of("beta")), (1, 1));
    changed(TenantStatus::Active);
    use_both();
    assert_eq!((pools.reap(), driver.world.live_of("acme")), (0, 1));
}

#[test]
fn surplus_connections_are_closed_when_a_tenants_bound_is_lowered() {
    let driver = OkDriver();
    let plan = |tenant: &Tenant| {
        let max = tenant.attribute("max").expect("a bound");
        max.parse().expect("a number")
    };
    let pools = pools_with(&driver, 16, 8, |builder| builder.max_per_tenant_by(plan));
    let acme = |max: u32| {
        let acme = tenant("acme").to_builder();
        acme.attribute("max", max.to_string())
            .build()
            .expect("a tenant")
    };
    let wide = acme(8);
    let mut out: Vec<_> = (0..8)
        .map(|_| pools.checkout(&wide).expect("one"))
        .collect();
    out.truncate(3);
    for (max, idle) in [(6, 3), (4, 1), (1, 0)] {
        pools.observe(&Event::TenantChanged { tenant: &acme(max) });
        let stats = pools.tenant_stats(wide.id()).expect("it is known");
        assert_eq!((stats.idle, stats.out, stats.max), (idle, 3, max));
        assert_eq!(driver.world.live(), 3 + idle as usize, "closed at once");
    }
    assert!(pools.try_checkout(&wide).expect("not refused").is_none());
    drop(out);
    assert_eq!((driver.world.live(), pools.stats().idle), (1, 1));
    let _one = pools.checkout(&wide).expect("the one that may be");
    let refused = pools.checkout_timeout(&wide, Duration::ZERO);
    assert!(refused.is_err(), "a second one was checked out");
    assert_eq!(pools.reap(), 0);
}

#[test]
fn a_bound_lowered_during_an_open_keeps_no_surplus() {
    let (open, opens) = std::sync::mpsc::channel::<()>();
    let opens = std::sync::Mutex::new(opens);
    let driver = ConnectWith(move |_, attempt| {
        if attempt == 1 {
            let _ = locked(&opens).recv();
        }
        Ok(())
    });
    let max = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(2));
    let asked = max.clone();
    let pools = pools_with(&driver, 4, 2, |builder| {
        builder.max_per_tenant_by(move |_| asked.load(std::sync::atomic::Ordering::Relaxed))
    });
    let acme = tenant("acme");
    let first = pools.checkout(&acme).expect("a connection");
    std::thread::scope(|scope| {
        let second = scope.spawn(|| pools.checkout(&acme).map(|out| out.serial));
        until("it opens", || pools.stats().opening == 1);
        max.store(1, std::sync::atomic::Ordering::Relaxed);
        pools.observe(&Event::TenantChanged { tenant: &acme });
        drop(first);
        assert_eq!(pools.stats().idle, 0, "one idle beside one that opens");
        drop(open);
        assert_eq!(second.join().expect("no panic").expect("a connection"), 1);
    });
    assert_eq!((driver.world.live(), pools.stats().idle), (1, 1));
}

#[test]
fn suspended_time_counts_for_ages() {
    let clock = Clock::manual();
    // The machine was suspended before.
    clock.suspend(Duration::from_secs(5000));
    let driver = OkDriver();
    let pools = pools_with(&driver, 4, 4, |builder| {
        let builder = builder.clock(clock.clone());
        let builder = builder.validate_after(Duration::from_secs(1));
        builder.idle_timeout(Duration::from_secs(10))
    });
    let acme = tenant("acme");
    pools.checkout(&acme).expect("a connection").stale = true;
    clock.suspend(Duration::from_millis(99));
    assert!(pools.checkout(&acme).expect("used as it is").stale);
    clock.suspend(Duration::from_secs(2));
    assert!(!pools.checkout(&acme).expect("it was asked").stale);
    clock.suspend(Duration::from_secs(10));
    assert_eq!(
        (pools.reap(), driver.world.live()),
        (1, 0),
        "it is idle for too long"
    );
}

//! The steps of a check-out count against its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tenancy_core::Clock;
use tenancy_pool::{CheckoutError, CheckoutStep, Eviction, TenantPools};

use crate::util::*;

const STEP: Duration = Duration::from_millis(40);
const LESS: Duration = Duration::from_millis(10);
const PLENTY: Duration = Duration::from_secs(60);

#[track_caller]
fn late(pools: &TenantPools<Fake>, id: &str, timeout: Duration) -> CheckoutStep {
    let error = pools.checkout_timeout(&tenant(id), timeout);
    match error.map(drop).expect_err("it is late") {
        CheckoutError::StepTimeout { waited, step, .. } => {
            assert!(waited >= timeout, "{waited:?}");
            step
        }
        other => panic!("{other}"),
    }
}

#[test]
fn no_connection_is_opened_after_a_close_past_the_deadline() {
    let driver = OkDriver().evicting(
        |_| {
            std::thread::sleep(STEP);
            Eviction::Complete
        },
        |_| Ok(()),
    );
    let pools = pools(&driver, 1, 1);
    drop(pools.checkout(&tenant("acme")).expect("one"));
    assert_eq!(late(&pools, "beta", LESS), CheckoutStep::Closing);
    let stats = pools.stats();
    assert_eq!(
        (stats.open, driver.world.live(), driver.attempts()),
        (0, 0, 1)
    );
    // It begins no backoff: the next check-out connects at once, and does not wait for others.
    drop(
        pools
            .checkout_timeout(&tenant("beta"), PLENTY)
            .expect("one"),
    );
    drop(
        pools
            .checkout_timeout(&tenant("acme"), Duration::ZERO)
            .expect("one"),
    );
}

#[test]
fn a_slow_close_of_an_expired_connection_times_the_check_out_out() {
    let (driver, clock) = (OkDriver(), Clock::manual());
    let pools = pools_with(&driver, 4, 4, |builder| builder.clock(clock.clone()));
    let slow = || {
        let mut out = pools.checkout(&tenant("acme")).expect("one");
        out.on_drop = Some(Box::new(|| std::thread::sleep(STEP)));
    };
    slow();
    clock.advance(Duration::from_secs(600));
    assert_eq!(late(&pools, "acme", LESS), CheckoutStep::Closing);
    assert_eq!(
        (pools.stats().open, pools.stats().counters.step_timeouts),
        (0, 1)
    );
    slow();
    clock.advance(Duration::from_secs(600));
    drop(
        pools
            .checkout_timeout(&tenant("acme"), PLENTY)
            .expect("one"),
    );
}

#[test]
fn no_database_is_prepared_after_a_connect_past_the_deadline() {
    let slow = Arc::new(AtomicU64::new(40));
    let wait = slow.clone();
    let driver = ConnectWith(move |_, _| {
        std::thread::sleep(Duration::from_millis(wait.load(Ordering::Relaxed)));
        Ok(())
    });
    let pools = pools(&driver, 4, 4);
    assert_eq!(late(&pools, "acme", LESS), CheckoutStep::Connecting);
    assert_eq!((driver.world.live(), pools.stats().open), (0, 0));
    assert_eq!(pools.stats().counters.step_timeouts, 1);
    assert!(locked(&driver.world.prepared).is_empty());
    slow.store(0, Ordering::Relaxed);
    let first = pools
        .checkout_timeout(&tenant("acme"), PLENTY)
        .expect("at once");
    assert_eq!(locked(&driver.world.prepared).len(), 1);
    // A connection that is prepared already is checked out, however late.
    slow.store(40, Ordering::Relaxed);
    drop(
        pools
            .checkout_timeout(&tenant("acme"), LESS)
            .expect("late, but there"),
    );
    drop(first);
}

#[test]
fn repeated_validation_ends_at_the_deadline() {
    let (clock, driver) = (Clock::manual(), OkDriver());
    let pools = pools_with(&driver, 4, 4, |builder| {
        builder
            .clock(clock.clone())
            .validate_after(Duration::from_secs(1))
    });
    let acme = tenant("acme");
    let stale = || {
        let mut all: Vec<_> = (0..4)
            .map(|_| pools.checkout(&acme).expect("one"))
            .collect();
        for out in &mut all {
            (out.stale, out.slow_to_validate) = (true, STEP);
        }
        drop(all);
        clock.advance(Duration::from_secs(2));
    };
    stale();
    assert_eq!(late(&pools, "acme", LESS), CheckoutStep::Validating);
    assert_eq!(pools.stats().idle, 3, "the others were not asked");
    let sound = pools.checkout_timeout(&acme, PLENTY).expect("a new one");
    assert!(!sound.stale);
}

#[test]
fn waiters_behind_a_step_time_out_are_served() {
    let slow = Arc::new(AtomicU64::new(40));
    let wait = slow.clone();
    let driver = ConnectWith(move |_, _| {
        std::thread::sleep(Duration::from_millis(wait.swap(0, Ordering::Relaxed)));
        Ok(())
    });
    let pools = pools(&driver, 1, 1);
    std::thread::scope(|scope| {
        scope.spawn(|| late(&pools, "acme", LESS));
        until("it opens", || pools.stats().opening == 1);
        drop(
            pools
                .checkout_timeout(&tenant("acme"), PLENTY)
                .expect("after it"),
        );
    });
    assert_eq!((pools.stats().waiting, pools.stats().idle), (0, 1));
}

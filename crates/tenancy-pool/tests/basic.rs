//! The common uses of the pools.

use std::time::Duration;

use tenancy_pool::{Checkout, CheckoutError};

use crate::util::*;

#[test]
fn a_connection_comes_back_and_is_used_again() {
    let driver = OkDriver();
    let pools = pools(&driver, 8, 4);
    let acme = tenant("acme");
    let first = pools.checkout(&acme).expect("a connection");
    let serial = first.serial;
    assert_eq!(Checkout::tenant(&first), &acme);
    drop(first);
    assert_eq!(pools.checkout(&acme).expect("a connection").serial, serial);
    assert_eq!(driver.world.opened(), 1);
}

#[test]
fn another_tenants_idle_connection_is_evicted() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    drop(pools.checkout(&tenant("acme")).expect("a connection"));
    drop(pools.checkout(&tenant("beta")).expect("a connection"));
    assert_eq!((driver.world.peak(), driver.world.live_of("acme")), (1, 0));
}

#[test]
fn a_failure_is_returned_at_once_and_begins_a_backoff() {
    let driver = FailAfter(0);
    let pools = pools(&driver, 8, 4);
    let acme = tenant("acme");
    let first = pools.checkout(&acme).expect_err("it fails");
    assert!(matches!(first, CheckoutError::Connect { .. }), "{first}");
    let second = pools.checkout(&acme).expect_err("it fails");
    assert!(matches!(second, CheckoutError::Backoff { .. }), "{second}");
    assert_eq!((driver.attempts(), pools.stats().open), (1, 0));
}

#[test]
fn a_closed_tenant_is_refused_until_it_is_reopened() {
    let driver = OkDriver();
    let pools = pools(&driver, 8, 4);
    let acme = tenant("acme");
    let out = pools.checkout(&acme).expect("a connection");
    let still = pools.close(acme.id(), SHORT).expect_err("it is out");
    assert_eq!(still.holders.iter().count(), 1);
    drop(out);
    pools.close(acme.id(), SHORT).expect("it is back");
    assert_eq!(driver.world.live(), 0);
    assert!(matches!(
        pools.checkout(&acme),
        Err(CheckoutError::Closed { .. })
    ));
    assert!(pools.reopen(acme.id()));
    assert!(pools.checkout(&acme).is_ok());
}

#[test]
fn waiters_are_served_by_returns() {
    let driver = OkDriver();
    let pools = pools(&driver, 2, 1);
    let acme = tenant("acme");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let _out = pools.checkout(&acme).expect("a connection");
                    std::thread::sleep(Duration::from_micros(20));
                }
            });
        }
    });
    let stats = pools.stats();
    assert_eq!(
        (
            stats.counters.checkouts,
            stats.waiting,
            stats.tickets,
            stats.out
        ),
        (400, 0, 0, 0)
    );
    assert_eq!(driver.world.peak(), 1);
}

#[test]
fn simultaneous_first_check_outs_make_one_preparation() {
    let driver = SlowDriver(SHORT).preparing(|_| Ok(()));
    let pools = pools(&driver, 8, 4);
    let acme = tenant("acme");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| drop(pools.checkout(&acme).expect("a connection")));
        }
    });
    let prepared = driver.world.prepared.lock().expect("no panic").len();
    assert_eq!(prepared, 1);
    assert!(driver.world.peak_of("acme") <= 4);
}

#[test]
fn a_panic_while_connecting_unwinds_and_gives_the_seat_back() {
    let driver = PanicDriver(1);
    let pools = pools(&driver, 1, 1);
    let acme = tenant("acme");
    let attempt = std::panic::AssertUnwindSafe(|| pools.checkout(&acme).map(drop));
    assert!(std::panic::catch_unwind(attempt).is_err());
    assert_eq!(pools.stats().open, 0);
    assert!(pools.checkout(&acme).is_ok());
}

#[test]
fn a_discarded_connection_is_closed_and_never_checked_out_again() {
    let driver = OkDriver();
    let pools = pools(&driver, 8, 4);
    let acme = tenant("acme");
    let first = pools.checkout(&acme).expect("a connection");
    let serial = first.serial;
    Checkout::discard(first);
    assert_eq!((driver.world.live(), pools.stats().open), (0, 0));
    assert_ne!(pools.checkout(&acme).expect("another one").serial, serial);
}

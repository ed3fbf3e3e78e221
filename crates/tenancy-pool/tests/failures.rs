//! Waiters beside a connect that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tenancy_core::Tenant;
use tenancy_pool::{CheckoutError, TenantPools};

use crate::util::*;

const LONG: Duration = Duration::from_secs(20);

/// A driver whose second attempt hangs until it is made to fail; further ones succeed.
struct Hanging {
    driver: Fake,
    fail: Arc<AtomicBool>,
}

impl Hanging {
    fn new(panics: bool) -> Self {
        let fail = Arc::new(AtomicBool::new(false));
        let failing = fail.clone();
        let driver = ConnectWith(move |_, attempt| {
            if attempt != 1 {
                return Ok(());
            }
            until("it may fail", || failing.load(Ordering::SeqCst));
            assert!(!panics, "planned panic while connecting");
            Err(NoDatabase)
        });
        Self { driver, fail }
    }

    /// Lets the second connect fail beside `waiting` waiters, and returns how long each of them
    /// took from then on. One connection is out all the time.
    fn waits(&self, pools: &TenantPools<Fake>, acme: &Tenant, waiting: usize) -> Vec<Duration> {
        let _out = pools.checkout(acme).expect("a connection");
        let take = || pools.checkout_timeout(acme, LONG).map(drop);
        std::thread::scope(|scope| {
            let first = scope.spawn(take);
            until("it connects", || pools.stats().opening == 1);
            let waiters: Vec<_> = (0..waiting).map(|_| scope.spawn(take)).collect();
            until("they wait", || pools.stats().waiting == waiting);
            self.fail.store(true, Ordering::SeqCst);
            let failed = Instant::now();
            let first = first.join();
            assert!(!matches!(first, Ok(Ok(()))), "it failed");
            let served = |waiter: std::thread::ScopedJoinHandle<'_, Result<(), _>>| {
                let result: Result<(), CheckoutError<NoDatabase>> = waiter.join().expect("ends");
                result.expect("a connection");
                failed.elapsed()
            };
            waiters.into_iter().map(served).collect()
        })
    }
}

#[test]
fn a_waiter_beside_a_failed_connect_is_served_after_the_backoff() {
    let hanging = Hanging::new(false);
    let pools = pools(&hanging.driver, 64, 2);
    let waits = hanging.waits(&pools, &tenant("acme"), 3);
    assert!(waits.iter().all(|wait| *wait < LONG / 2), "{waits:?}");
    assert!(waits[0] >= Duration::from_millis(80), "{waits:?}: too soon");
    assert_eq!(hanging.driver.attempts(), 3);
}

#[test]
fn a_waiter_beside_a_panicked_connect_is_served_at_once() {
    let hanging = Hanging::new(true);
    let pools = pools_with(&hanging.driver, 64, 2, |builder| builder.failure_ttl(LONG));
    let waits = hanging.waits(&pools, &tenant("acme"), 3);
    assert!(waits.iter().all(|wait| *wait < LONG / 2), "{waits:?}");
}

#[test]
fn a_waiter_beside_a_failed_preparation_is_served_after_the_backoff() {
    // The older epoch's connection is out all the time.
    let attempts = AtomicUsize::new(0);
    let fail = Arc::new(AtomicBool::new(false));
    let failing = fail.clone();
    let driver = OkDriver().preparing(move |_| {
        if attempts.fetch_add(1, Ordering::SeqCst) != 1 {
            return Ok(());
        }
        until("it may fail", || failing.load(Ordering::SeqCst));
        Err(NoDatabase)
    });
    let pools = pools(&driver, 64, 4);
    let _old = pools.checkout(&tenant("acme")).expect("a connection");
    let newer = tenant_at("acme", 2);
    std::thread::scope(|scope| {
        let take = || pools.checkout_timeout(&newer, LONG).map(drop);
        let first = scope.spawn(take);
        until("it prepares", || pools.stats().opening == 1);
        let waiter = scope.spawn(take);
        until("it waits", || pools.stats().waiting == 1);
        fail.store(true, Ordering::SeqCst);
        let failed = Instant::now();
        let refused = first.join().expect("ends");
        assert!(matches!(refused, Err(CheckoutError::Prepare { .. })));
        waiter.join().expect("ends").expect("a connection");
        assert!(failed.elapsed() < LONG / 2);
    });
}

#[test]
fn a_waiter_for_the_failed_connect_alone_is_refused_with_its_error() {
    let fail = AtomicBool::new(false);
    let fail = Arc::new(fail);
    let failing = fail.clone();
    let driver = ConnectWith(move |_, _| {
        until("it may fail", || failing.load(Ordering::SeqCst));
        Err(NoDatabase)
    });
    let pools = pools(&driver, 64, 4);
    let acme = tenant("acme");
    std::thread::scope(|scope| {
        let take = || pools.checkout_timeout(&acme, LONG).map(drop);
        let first = scope.spawn(take);
        until("it connects", || pools.stats().opening == 1);
        let waiters: Vec<_> = (0..3).map(|_| scope.spawn(take)).collect();
        until("they wait", || pools.stats().waiting == 3);
        fail.store(true, Ordering::SeqCst);
        let refused = first.join().expect("ends");
        assert!(matches!(refused, Err(CheckoutError::Connect { .. })));
        for waiter in waiters {
            let refused = waiter.join().expect("ends");
            assert!(matches!(refused, Err(CheckoutError::Backoff { .. })));
        }
    });
    assert_eq!(driver.attempts(), 1);
}

#[test]
fn a_thread_that_holds_all_connections_waits_for_the_end_of_a_backoff() {
    let hanging = Hanging::new(false);
    let pools = pools_with(&hanging.driver, 64, 2, |builder| {
        builder.failure_ttl(Duration::from_secs(1))
    });
    let acme = tenant("acme");
    let _out = pools.checkout(&acme).expect("a connection");
    let take = || pools.checkout_timeout(&acme, LONG).map(drop);
    std::thread::scope(|scope| {
        let first = scope.spawn(take);
        until("it connects", || pools.stats().opening == 1);
        let second = scope.spawn(take);
        until("it waits", || pools.stats().waiting == 1);
        hanging.fail.store(true, Ordering::SeqCst);
        first.join().expect("ends").expect_err("it failed");
        take().expect("a connection");
        second.join().expect("ends").expect("a connection");
    });
}

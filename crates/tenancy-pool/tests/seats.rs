//! Seats, and the futures that wait for them.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use r2d2::ManageConnection;
use tenancy_core::{Clock, Tenant};
use tenancy_pool::{Checkout, CheckoutError, Driver, Seat, SeatFuture, TenantPools};

use crate::util::*;

const LONG: Duration = Duration::from_secs(20);

fn poll<D: Driver>(
    future: &mut SeatFuture<D>,
    waker: &Waker,
) -> Poll<Result<Seat<D>, CheckoutError<tenancy_pool::DriverError<D>>>> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Returns the seat that a future gets at its first poll.
#[track_caller]
fn now(pools: &TenantPools<Fake>, tenant: &Tenant) -> Seat<Fake> {
    let mut future = pools.seat_async(tenant);
    match poll(&mut future, Waker::noop()) {
        Poll::Ready(seat) => seat.expect("a seat"),
        Poll::Pending => panic!("it waits"),
    }
}

/// A waker that counts its calls.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn check_idle(pools: &TenantPools<Fake>, driver: &Fake) {
    let stats = pools.stats();
    let busy = (stats.out, stats.opening, stats.waiting, stats.tickets);
    assert_eq!(busy, (0, 0, 0, 0), "{stats:?}");
    pools.reap();
    let stats = pools.stats();
    assert_eq!((stats.closing, stats.idle), (0, driver.world.live() as u32));
}

#[test]
fn a_seat_opens_and_its_connection_comes_back() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 2);
    let acme = tenant("acme");
    let seat = now(&pools, &acme);
    assert_eq!((driver.attempts(), pools.stats().opening), (0, 1));
    let out = seat.open().expect("a connection");
    assert_eq!(Checkout::tenant(&out), &acme);
    let serial = out.serial;
    drop(out);
    let again = now(&pools, &acme);
    assert_eq!(pools.stats().out, 1);
    let again = std::thread::spawn(move || again.open().expect("a connection").serial);
    assert_eq!(again.join().expect("no panic"), serial);
    check_idle(&pools, &driver);
}

#[test]
fn a_dropped_seat_gives_its_place_back_unused() {
    let clock = Clock::manual();
    let driver = OkDriver();
    let pools = pools_with(&driver, 2, 1, |builder| builder.clock(clock.clone()));
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    for id in [&acme, &beta] {
        drop(pools.checkout(id).expect("a connection"));
        clock.advance(Duration::from_secs(1));
    }
    drop(now(&pools, &acme));
    assert_eq!((pools.stats().idle, driver.world.live()), (2, 2));
    // That was no use: acme's connection is still the one to be evicted.
    drop(pools.checkout(&tenant("gamma")).expect("a connection"));
    let live = ["acme", "beta"].map(|id| driver.world.live_of(id));
    assert_eq!(live, [0, 1]);
    check_idle(&pools, &driver);
}

#[test]
fn an_evicted_connection_is_closed_where_the_seat_is_opened() {
    for opens in [true, false] {
        let driver = OkDriver();
        let pools = pools(&driver, 1, 1);
        drop(pools.checkout(&tenant("acme")).expect("a connection"));
        let seat = now(&pools, &tenant("beta"));
        assert_eq!(driver.world.live_of("acme"), 1, "nothing is closed yet");
        if opens {
            drop(seat.open().expect("a connection"));
            assert_eq!(driver.world.live_of("beta"), 1);
        } else {
            drop(seat);
            assert_eq!(driver.world.live_of("acme"), 1, "nor by dropping it");
            drop(pools.checkout(&tenant("gamma")).expect("a connection"));
        }
        assert_eq!((driver.world.live_of("acme"), driver.world.peak()), (0, 1));
        check_idle(&pools, &driver);
    }
}

#[test]
fn the_close_of_a_dropped_seats_connection_is_deferred() {
    type Spoil = fn(&TenantPools<Fake>, &Clock, &Tenant);
    let spoils: [Spoil; 3] = [
        |_, clock, _| clock.advance(Duration::from_secs(100)),
        |pools, _, acme| pools.raise_epoch(acme.id(), acme.epoch().next()),
        |pools, _, acme| drop(pools.close(acme.id(), Duration::ZERO)),
    ];
    for (number, spoil) in spoils.into_iter().enumerate() {
        let clock = Clock::manual();
        let driver = OkDriver();
        let pools = pools_with(&driver, 1, 1, |builder| {
            builder
                .clock(clock.clone())
                .max_lifetime(Duration::from_secs(50))
        });
        let acme = tenant("acme");
        drop(pools.checkout(&acme).expect("a connection"));
        let seat = now(&pools, &acme);
        spoil(&pools, &clock, &acme);
        drop(seat);
        assert_eq!(driver.world.live(), 1, "{number}: it was closed here");
        match number {
            2 => assert_eq!(pools.close(acme.id(), LONG), Ok(())),
            _ => drop(pools.checkout(&tenant("beta")).expect("a connection")),
        }
        assert_eq!(driver.world.live_of("acme"), 0, "{number}");
        check_idle(&pools, &driver);
    }
}

#[test]
fn an_expired_connection_is_replaced_where_the_seat_is_opened() {
    let clock = Clock::manual();
    let driver = OkDriver();
    let pools = pools_with(&driver, 4, 1, |builder| {
        builder
            .clock(clock.clone())
            .idle_timeout(Duration::from_secs(10))
    });
    let acme = tenant("acme");
    drop(pools.checkout(&acme).expect("a connection"));
    clock.advance(Duration::from_secs(11));
    let seat = now(&pools, &acme);
    assert_eq!((driver.attempts(), driver.world.live()), (1, 1));
    drop(seat.open().expect("a connection"));
    assert_eq!((driver.attempts(), driver.world.live()), (2, 1));
    assert_eq!(driver.world.peak_of("acme"), 1, "the old one went first");
    check_idle(&pools, &driver);
}

#[test]
fn an_invalid_connection_is_replaced_in_its_seat() {
    let clock = Clock::manual();
    let driver = OkDriver();
    let pools = pools_with(&driver, 1, 1, |builder| {
        builder
            .clock(clock.clone())
            .validate_after(Duration::from_secs(1))
    });
    let acme = tenant("acme");
    pools.checkout(&acme).expect("a connection").stale = true;
    clock.advance(Duration::from_secs(2));
    // Unopened it was not validated: it is not kept.
    drop(now(&pools, &acme));
    assert_eq!((pools.stats().idle, driver.world.live()), (0, 1));
    pools.checkout(&acme).expect("a connection").stale = true;
    clock.advance(Duration::from_secs(2));
    let out = now(&pools, &acme).open().expect("a connection");
    assert_eq!(
        (out.stale, driver.world.live(), driver.attempts()),
        (false, 1, 3)
    );
    drop(out);
    check_idle(&pools, &driver);
}

#[test]
fn a_wait_ends_at_the_deadline_and_names_the_holders() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let _out = pools.checkout(&tenant("acme")).expect("a connection");
    for id in ["acme", "beta"] {
        let began = Instant::now();
        let refused = block_on(pools.seat_async_timeout(&tenant(id), SHORT));
        assert!(began.elapsed() >= SHORT);
        let refused = refused.expect_err("all are out").to_string();
        assert!(refused.contains("seats.rs"), "{refused}");
    }
    let stats = pools.stats();
    let left = (stats.waiting, stats.tickets, stats.counters.timeouts);
    assert_eq!(left, (0, 0, 2));
}

#[test]
fn a_future_that_is_never_polled_again_leaves_the_queue_at_its_deadline() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let acme = tenant("acme");
    let out = pools.checkout(&acme).expect("a connection");
    let mut parked = pools.seat_async_timeout(&acme, SHORT);
    assert!(poll(&mut parked, Waker::noop()).is_pending());
    until("its time is up", || pools.stats().waiting == 0);
    let behind = std::thread::scope(|scope| {
        let behind = scope.spawn(|| pools.checkout_timeout(&acme, LONG).map(drop));
        until("it waits", || pools.stats().waiting == 1);
        drop(out);
        behind.join().expect("no panic")
    });
    behind.expect("a connection");
    let refused = block_on(parked).expect_err("it was late");
    assert!(matches!(refused, CheckoutError::Timeout { .. }));
    check_idle(&pools, &driver);
}

#[test]
fn threads_and_tasks_wait_in_one_queue() {
    let driver = OkDriver();
    let pools = pools_with(&driver, 4, 1, |builder| {
        builder.handoff_after(Duration::ZERO).max_waiters(8)
    });
    let acme = tenant("acme");
    let served = Mutex::new(Vec::new());
    let out = pools.checkout(&acme).expect("a connection");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (pools, acme, served) = (&pools, &acme, &served);
            scope.spawn(move || {
                let _out = match n % 2 {
                    0 => pools.checkout_timeout(acme, LONG).expect("a connection"),
                    _ => {
                        let seat = block_on(pools.seat_async_timeout(acme, LONG));
                        seat.expect("a seat").open().expect("a connection")
                    }
                };
                locked(served).push(n);
            });
            until("it waits", || pools.stats().waiting == n + 1);
        }
        let refused = block_on(pools.seat_async(&acme)).expect_err("too many");
        assert!(matches!(refused, CheckoutError::Overloaded { .. }));
        drop(out);
    });
    assert_eq!(*locked(&served), (0..8).collect::<Vec<_>>());
    check_idle(&pools, &driver);
}

#[test]
fn the_last_waker_is_woken_and_spurious_polls_change_nothing() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let acme = tenant("acme");
    let out = pools.checkout(&acme).expect("a connection");
    let wakers: [Arc<Woken>; 3] = Default::default();
    let mut future = pools.seat_async_timeout(&acme, LONG);
    for woken in wakers.iter().chain(&wakers).chain(&wakers[..2]) {
        assert!(poll(&mut future, &woken.clone().into()).is_pending());
    }
    assert_eq!(pools.stats().waiting, 1);
    drop(out);
    let times = wakers.each_ref().map(|woken| woken.times());
    assert_eq!(times, [0, 1, 0], "the last task that polled is woken");
    let Poll::Ready(Ok(seat)) = poll(&mut future, Waker::noop()) else {
        panic!("it was granted");
    };
    drop((seat.open().expect("a connection"), future));
    check_idle(&pools, &driver);
}

#[test]
fn a_panicking_waker_does_not_stop_other_waiters() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("planned"));
        }
    }
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let acme = tenant("acme");
    let out = pools.checkout(&acme).expect("a connection");
    let mut future = pools.seat_async_timeout(&acme, LONG);
    assert!(poll(&mut future, &Arc::new(Panics).into()).is_pending());
    drop(out);
    assert!(poll(&mut future, Waker::noop()).is_ready());
    drop(future);
    check_idle(&pools, &driver);
}

#[test]
fn a_future_dropped_before_or_after_its_grant_loses_no_connection() {
    // Granted: an idle connection, one that was handed over, or a permit to connect.
    for (polls, granted, patience) in [
        (0, false, LONG),
        (1, false, LONG),
        (2, false, LONG),
        (1, true, LONG),
        (1, true, Duration::ZERO),
    ] {
        for id in ["acme", "beta"] {
            let driver = OkDriver();
            let pools = pools_with(&driver, 1, 1, |builder| builder.handoff_after(patience));
            let mut out = Some(pools.checkout(&tenant("acme")).expect("a connection"));
            let mut future = pools.seat_async_timeout(&tenant(id), LONG);
            for _ in 0..polls {
                assert!(poll(&mut future, Waker::noop()).is_pending());
            }
            if granted {
                drop(out.take());
            }
            assert_eq!(driver.attempts(), 1);
            drop(future);
            let stats = pools.stats();
            let left = (stats.waiting, stats.tickets, stats.opening);
            assert_eq!(left, (0, 0, 0), "{id} {polls} {granted}");
            drop(out);
            drop(pools.checkout(&tenant("gamma")).expect("a connection"));
            check_idle(&pools, &driver);
        }
    }
}

#[test]
fn close_refuses_waiting_tasks_and_waits_for_seats() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let acme = tenant("acme");
    drop(pools.checkout(&acme).expect("a connection"));
    let seat = now(&pools, &acme);
    let mut waits = pools.seat_async_timeout(&acme, LONG);
    assert!(poll(&mut waits, Waker::noop()).is_pending());
    let still = pools.close(acme.id(), SHORT).expect_err("a seat is held");
    assert_eq!(still.holders.iter().count(), 1);
    let Poll::Ready(Err(CheckoutError::Closed { .. })) = poll(&mut waits, Waker::noop()) else {
        panic!("it is refused");
    };
    std::thread::scope(|scope| {
        let closer = scope.spawn(|| pools.close(acme.id(), LONG));
        std::thread::sleep(SHORT);
        let began = Instant::now();
        drop(seat);
        assert_eq!(closer.join().expect("no panic"), Ok(()));
        assert!(began.elapsed() < LONG / 2);
    });
    assert_eq!(driver.world.live(), 0);
    assert!(pools.reopen(acme.id()));
    let seat = now(&pools, &acme);
    pools.close(acme.id(), SHORT).expect_err("a seat is held");
    let refused = seat.open().expect_err("it was closed meanwhile");
    assert!(matches!(refused, CheckoutError::Closed { .. }));
    assert_eq!((driver.world.live(), pools.stats().open), (0, 0));
}

#[test]
fn close_all_closes_the_connection_of_a_seat_dropped_meanwhile() {
    let driver = OkDriver();
    let pools = pools(&driver, 2, 1);
    let acme = tenant("acme");
    drop(pools.checkout(&acme).expect("a connection"));
    let seat = now(&pools, &acme);
    std::thread::scope(|scope| {
        let closer = scope.spawn(|| pools.close_all(LONG));
        until("it waits", || {
            matches!(pools.checkout(&acme), Err(CheckoutError::Closed { .. }))
        });
        std::thread::sleep(SHORT);
        let began = Instant::now();
        drop(seat);
        assert_eq!(closer.join().expect("no panic"), Ok(()));
        assert!(began.elapsed() < LONG / 2);
    });
    assert_eq!(driver.world.live(), 0);
}

#[test]
fn a_task_beside_a_failed_connect_is_served_after_the_backoff() {
    let driver = ConnectWith(|_, attempt| {
        if attempt == 1 {
            Err(NoDatabase)
        } else {
            Ok(())
        }
    });
    let pools = pools(&driver, 64, 2);
    let acme = tenant("acme");
    let _out = pools.checkout(&acme).expect("a connection");
    let seat = now(&pools, &acme);
    let mut waits = pools.seat_async_timeout(&acme, LONG);
    assert!(poll(&mut waits, Waker::noop()).is_pending());
    let failed = seat.open().expect_err("it fails");
    assert!(matches!(failed, CheckoutError::Connect { .. }));
    let began = Instant::now();
    let seat = block_on(waits).expect("a seat");
    assert!(began.elapsed() < LONG / 2);
    drop(seat.open().expect("a connection"));
}

#[test]
fn seats_are_refused_while_another_tenant_is_current() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 1);
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let seat = now(&pools, &acme);
    let _scope = beta.enter().expect("no tenant is current");
    let refused = seat.open().expect_err("beta is current");
    assert!(matches!(refused, CheckoutError::OtherTenant { .. }));
    let refused = block_on(pools.seat_async(&acme)).expect_err("beta is current");
    assert!(matches!(refused, CheckoutError::OtherTenant { .. }));
    check_idle(&pools, &driver);
}

#[test]
fn a_seat_belongs_to_no_thread() {
    let driver = OkDriver();
    let pools = pools(&driver, 2, 1);
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let other = pools.checkout(&beta).expect("a connection");
    let seat = now(&pools, &acme);
    // This thread has the seat, but any other may give it back.
    let refused = pools
        .checkout_timeout(&acme, SHORT)
        .expect_err("it is taken");
    assert!(
        matches!(refused, CheckoutError::Timeout { .. }),
        "{refused}"
    );
    let out = seat.open().expect("a connection");
    let refused = pools
        .checkout_timeout(&acme, LONG)
        .expect_err("it is taken");
    assert!(matches!(refused, CheckoutError::WouldDeadlock { .. }));
    // A task that waits blocks no thread, so it may wait for the thread that polls it.
    let refused = block_on(pools.seat_async_timeout(&acme, SHORT));
    assert!(matches!(refused, Err(CheckoutError::Timeout { .. })));
    drop((out, other));
}

/// A stand-in for a synchronous client of PostgreSQL: each connection has a runtime, so that using
/// one where tasks are polled panics.
struct Blocking {
    id: String,
    wrong: Arc<AtomicUsize>,
    live: Arc<AtomicUsize>,
}

impl Blocking {
    fn block(wrong: &AtomicUsize) {
        let blocks = || {
            let own = tokio::runtime::Builder::new_current_thread().build();
            own.expect("a runtime").block_on(async {});
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(blocks)) {
            wrong.fetch_add(1, Ordering::SeqCst);
            std::panic::resume_unwind(panic);
        }
    }
}

struct BlockingConn(String, Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Drop for BlockingConn {
    fn drop(&mut self) {
        self.2.fetch_sub(1, Ordering::SeqCst);
        Blocking::block(&self.1);
    }
}

impl ManageConnection for Blocking {
    type Connection = BlockingConn;
    type Error = NoDatabase;

    fn connect(&self) -> Result<BlockingConn, NoDatabase> {
        Blocking::block(&self.wrong);
        self.live.fetch_add(1, Ordering::SeqCst);
        let (id, wrong) = (self.id.clone(), self.wrong.clone());
        Ok(BlockingConn(id, wrong, self.live.clone()))
    }

    fn is_valid(&self, _: &mut BlockingConn) -> Result<(), NoDatabase> {
        Blocking::block(&self.wrong);
        Err(NoDatabase)
    }

    fn has_broken(&self, _: &mut BlockingConn) -> bool {
        Blocking::block(&self.wrong);
        false
    }
}

#[derive(Clone, Default)]
struct BlockingDriver {
    wrong: Arc<AtomicUsize>,
    live: Arc<AtomicUsize>,
}

impl Driver for BlockingDriver {
    type Manager = Blocking;

    fn manager(&self, tenant: &Tenant) -> Blocking {
        Blocking {
            id: tenant.id().to_string(),
            wrong: self.wrong.clone(),
            live: self.live.clone(),
        }
    }

    fn prepare(&self, _: &Tenant, _: &mut BlockingConn) -> Result<(), NoDatabase> {
        Blocking::block(&self.wrong);
        Ok(())
    }
}

/// Does one request: sometimes cancelled while it waits, sometimes with its seat unopened.
async fn request(pools: TenantPools<BlockingDriver>, wanted: Tenant, mut rng: Rng) {
    let wait = pools.seat_async_timeout(&wanted, Duration::from_secs(2));
    let seat = match rng.below(4) {
        0 => tokio::time::timeout(Duration::from_micros(rng.below(800)), wait).await,
        _ => Ok(wait.await),
    };
    let Ok(Ok(seat)) = seat else { return };
    if rng.below(4) == 0 {
        tokio::task::yield_now().await;
        return drop(seat);
    }
    let work = move || {
        if let Ok(out) = seat.open() {
            assert_eq!(out.0, wanted.id().as_str(), "another's connection");
            std::thread::sleep(Duration::from_micros(100));
        }
    };
    tokio::task::spawn_blocking(work).await.expect("no panic");
}

#[test]
fn no_foreign_code_runs_where_tasks_are_polled() {
    let seed = from_env("TENANCY_POOL_SEED", u64::from(std::process::id()));
    println!("TENANCY_POOL_SEED={seed}");
    let driver = BlockingDriver::default();
    let builder = TenantPools::<BlockingDriver>::builder()
        .max_connections(3)
        .max_per_tenant(2)
        .idle_timeout(Duration::from_millis(20))
        .validate_after(Duration::from_millis(10))
        .failure_ttl(Duration::from_millis(5));
    let pools = builder.build(driver.clone()).expect("pools");
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_time().build();
    let runtime = runtime.expect("a runtime");
    let mut rng = Rng(seed);
    for round in 0..40_u64 {
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                let wanted = tenant_at(&format!("tenant-{}", rng.below(5)), 1 + round / 10);
                runtime.spawn(request(pools.clone(), wanted, Rng(rng.next())))
            })
            .collect();
        let closed = tenant("tenant-0").id().clone();
        if round % 8 == 3 {
            let _ = pools.close(&closed, Duration::from_millis(20));
        }
        for task in tasks {
            runtime.block_on(task).expect("no panic");
        }
        pools.reopen(&closed);
        std::thread::sleep(Duration::from_millis(rng.below(30)));
    }
    assert_eq!(driver.wrong.load(Ordering::SeqCst), 0);
    let stats = pools.stats();
    let busy = (stats.out, stats.opening, stats.waiting, stats.tickets);
    assert_eq!(busy, (0, 0, 0, 0), "{stats:?}");
    // The last reference is a future on a worker: idle connections are not closed there.
    let last = pools.seat_async(&tenant("tenant-1"));
    drop(pools);
    runtime
        .block_on(runtime.spawn(async move { drop(last) }))
        .expect("no panic");
    until("all are closed", || {
        driver.live.load(Ordering::SeqCst) == 0 || { driver.wrong.load(Ordering::SeqCst) > 0 }
    });
    assert_eq!(driver.wrong.load(Ordering::SeqCst), 0);
}

#[test]
fn futures_and_seats_are_send() {
    fn sent<T: Send + 'static>(_: &T) {}
    fn pinned_anywhere<T: Unpin>(_: &T) {}
    let pools = pools(&OkDriver(), 1, 1);
    let future = pools.seat_async(&tenant("acme"));
    sent(&future);
    pinned_anywhere(&future);
    sent(&block_on(pin!(future)).expect("a seat"));
}

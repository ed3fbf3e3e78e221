//! Idle maintenance: its time, its order, and check-outs during it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tenancy_core::{Clock, Event};
use tenancy_pool::{CheckoutError, TenantPools};

use crate::util::*;

const AFTER: Duration = Duration::from_secs(5);

/// Pools with a manual clock, and the serial numbers of maintained connections.
fn maintained(max: u32, per_tenant: u32) -> (TenantPools<Fake>, Clock, Arc<Mutex<Vec<u64>>>) {
    let (clock, maintained) = (Clock::manual(), Arc::<Mutex<Vec<_>>>::default());
    let list = maintained.clone();
    let driver = OkDriver().maintaining(move |conn| {
        locked(&list).push(conn.serial);
        Ok(())
    });
    let pools = pools_with(&driver, max, per_tenant, |builder| {
        builder.clock(clock.clone())
    });
    (pools, clock, maintained)
}

#[test]
fn a_connection_is_maintained_once_until_it_is_used_again() {
    let (pools, clock, maintained) = maintained(4, 4);
    let acme = tenant("acme");
    for (advance, use_it, times) in [
        (0, true, 0),
        (4, false, 0),
        (1, false, 1),
        (100, false, 1),
        (0, true, 1),
        (4, true, 1),
        (5, false, 2),
        (5, false, 2),
    ] {
        clock.advance(Duration::from_secs(advance));
        if use_it {
            drop(pools.checkout(&acme).expect("a connection"));
        }
        assert_eq!(pools.reap(), 0);
        let row = (advance, use_it, times);
        assert_eq!(locked(&maintained).len(), times, "{row:?}");
    }
    let stats = pools.stats();
    assert_eq!((stats.idle, stats.out, stats.counters.checkouts), (1, 0, 3));
}

#[test]
fn idle_maintenance_is_no_use() {
    let (pools, clock, maintained) = maintained(3, 3);
    let ids = ["acme", "beta", "corp"];
    for id in ids {
        drop(pools.checkout(&tenant(id)).expect("a connection"));
        clock.advance(Duration::from_secs(2));
    }
    // Acme has been idle for 6 s, beta for 4.
    pools.reap();
    assert_eq!(*locked(&maintained), [0]);
    drop(pools.checkout(&tenant("dune")).expect("in acme's place"));
    let idle = |id| pools.tenant_stats(tenant(id).id()).map(|stats| stats.idle);
    assert_eq!(ids.map(idle), [Some(0), Some(1), Some(1)]);
    clock.advance(Duration::from_secs(2));
    pools.reap();
    assert_eq!(*locked(&maintained), [0, 1]);
    // Its time to expire goes on.
    clock.advance(Duration::from_secs(594));
    assert_eq!((pools.reap(), idle("beta")), (1, Some(0)));
}

#[test]
fn idle_maintenance_keeps_the_order_of_use() {
    let (pools, clock, maintained) = maintained(4, 4);
    let acme = tenant("acme");
    let (first, last) = (pools.checkout(&acme), pools.checkout(&acme));
    let serial = last.as_ref().expect("a connection").serial;
    drop(first);
    clock.advance(AFTER);
    drop(last);
    pools.reap();
    assert_eq!(*locked(&maintained), [0]);
    assert_eq!(pools.checkout(&acme).expect("a connection").serial, serial);
}

#[test]
fn a_round_of_idle_maintenance_is_bounded() {
    let (pools, clock, maintained) = maintained(40, 1);
    for n in 0..40 {
        drop(pools.checkout(&tenant(&format!("t{n}"))).expect("one"));
    }
    clock.advance(AFTER);
    for sum in [32, 40, 40] {
        pools.reap();
        let all: Vec<u64> = (0..sum).collect();
        assert_eq!(*locked(&maintained), all, "by how long they are idle");
    }
}

/// Pools whose maintenance begins at once and lasts until it is ended by a message.
fn maintaining(max: u32, per_tenant: u32) -> (TenantPools<Fake>, Fake, mpsc::Sender<()>) {
    let (end, ends) = mpsc::channel();
    let ends = Mutex::new(ends);
    let driver = OkDriver().maintaining(move |_| {
        let _ = locked(&ends).recv();
        Ok(())
    });
    let pools = pools_with(&driver, max, per_tenant, |builder| {
        builder.idle_maintenance_after(Duration::ZERO)
    });
    drop(pools.checkout(&tenant("acme")).expect("a connection"));
    (pools, driver, end)
}

#[test]
fn a_check_out_during_idle_maintenance_opens_another_connection_or_waits() {
    for per_tenant in [2, 1] {
        let (pools, driver, end) = maintaining(4, per_tenant);
        let acme = tenant("acme");
        std::thread::scope(|scope| {
            scope.spawn(|| pools.reap());
            until("it is being maintained", || pools.stats().out == 1);
            let comes = scope.spawn(|| pools.checkout(&acme).map(|out| out.serial));
            match per_tenant {
                1 => until("it waits", || pools.stats().waiting == 1),
                _ => until("it has opened", || driver.world.opened() == 2),
            }
            end.send(()).expect("it is being maintained");
            drop(end);
            let serial = comes.join().expect("no panic").expect("a connection");
            assert_eq!(serial, u64::from(per_tenant - 1), "of {per_tenant}");
        });
        assert_eq!(pools.stats().counters.opened, u64::from(per_tenant));
    }
}

#[test]
fn another_tenant_waits_for_the_end_of_idle_maintenance() {
    let (pools, _, end) = maintaining(1, 1);
    std::thread::scope(|scope| {
        scope.spawn(|| pools.reap());
        until("it is being maintained", || pools.stats().out == 1);
        let comes = scope.spawn(|| pools.checkout(&tenant("beta")).map(drop));
        until("it waits", || pools.stats().tickets == 1);
        drop(end);
        comes.join().expect("no panic").expect("a connection");
    });
}

#[test]
fn a_time_out_names_idle_maintenance() {
    let (pools, _, end) = maintaining(1, 1);
    std::thread::scope(|scope| {
        scope.spawn(|| pools.reap());
        until("it is being maintained", || pools.stats().out == 1);
        let late = pools.checkout_timeout(&tenant("acme"), Duration::ZERO);
        let late = late.expect_err("it is being maintained").to_string();
        assert!(late.contains("the pools, for idle maintenance"), "{late}");
        let idle = pools.try_checkout(&tenant("acme")).expect("not refused");
        assert!(idle.is_none());
        drop(end);
    });
    assert!(pools.try_checkout(&tenant("acme")).expect("ok").is_some());
}

#[test]
fn close_waits_for_idle_maintenance() {
    let (pools, driver, end) = maintaining(4, 4);
    let acme = tenant("acme");
    std::thread::scope(|scope| {
        scope.spawn(|| pools.reap());
        until("it is being maintained", || pools.stats().out == 1);
        assert!(pools.close(acme.id(), Duration::ZERO).is_err());
        let close = scope.spawn(|| pools.close(acme.id(), Duration::from_secs(20)));
        drop(end);
        assert_eq!(close.join().expect("no panic"), Ok(()));
    });
    assert_eq!(driver.world.live(), 0);
}

#[test]
fn failed_or_panicked_idle_maintenance_closes_the_connection() {
    for panics in [false, true] {
        let failed = Arc::new(AtomicUsize::new(0));
        let count = failed.clone();
        let driver = OkDriver().maintaining(move |_| match panics {
            true => std::panic::resume_unwind(Box::new("planned")),
            false => Err(NoDatabase),
        });
        let observer = move |event: &Event<'_>| {
            if let Event::IdleMaintenanceFailed { tenant, .. } = event {
                assert_eq!(tenant.id().as_str(), "acme");
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        let pools = pools_with(&driver, 4, 4, |builder| {
            let builder = builder.idle_maintenance_after(Duration::ZERO);
            builder.observer(Arc::new(observer))
        });
        drop(pools.checkout(&tenant("acme")).expect("a connection"));
        assert_eq!((pools.reap(), driver.world.live()), (0, 0));
        assert_eq!(failed.load(Ordering::Relaxed), usize::from(!panics));
        drop(pools.checkout(&tenant("acme")).expect("a new one"));
    }
}

#[test]
fn a_driver_that_waits_for_its_own_idle_maintenance_is_refused() {
    let kept = Arc::new(Mutex::new(None::<TenantPools<Fake>>));
    let asks = kept.clone();
    let refused = Arc::new(AtomicUsize::new(0));
    let stuck = refused.clone();
    let driver = OkDriver().maintaining(move |_| {
        let pools = locked(&asks).clone().expect("they are there");
        let refused = pools.checkout(&tenant("acme")).map(drop);
        let is_stuck = matches!(refused, Err(CheckoutError::WouldDeadlock { .. }));
        stuck.fetch_add(usize::from(is_stuck), Ordering::Relaxed);
        Ok(())
    });
    let pools = pools_with(&driver, 1, 1, |builder| {
        builder.idle_maintenance_after(Duration::ZERO)
    });
    *locked(&kept) = Some(pools.clone());
    drop(pools.checkout(&tenant("acme")).expect("a connection"));
    pools.reap();
    assert_eq!(refused.load(Ordering::Relaxed), 1);
    *locked(&kept) = None;
}

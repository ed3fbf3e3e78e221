//! What the library's own thread does, and that it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tenancy::catalog::MemoryCatalog;
use tenancy::event::Event;
use tenancy::{Tenancy, TenantStatus, Upkeep};

use crate::util::{World, at, id, rules};

#[test]
fn the_thread_applies_what_others_write_and_ends_with_the_last_handle() {
    let root = tempfile::tempdir().expect("a directory");
    let driver = at(root.path()).open_driver().expect("a driver");
    let synced = Arc::new(AtomicUsize::new(0));
    let alive = Arc::downgrade(&synced);
    let observer = move |event: &Event<'_>| {
        if let Event::Synced { .. } = event {
            synced.fetch_add(1, Ordering::Relaxed);
        }
    };
    let tenancy = Tenancy::builder((driver, MemoryCatalog::new()))
        .resolver(rules)
        .upkeep(Upkeep::Every(Duration::from_millis(5)))
        .observer(Arc::new(observer))
        .build()
        .expect("a tenancy");
    let count = || alive.upgrade().map(|count| count.load(Ordering::Relaxed));
    let acme = tenancy.create(id("acme")).expect("a tenant");
    let before = count();
    // Not through the facade: only a sync can find this.
    let change = tenancy::catalog::TenantChange::status(TenantStatus::Suspended);
    let by = tenancy::catalog::Actor::new("another process");
    tenancy
        .catalog()
        .update(acme.id(), acme.version(), change, &by)
        .expect("written");
    let started = Instant::now();
    while count() == before {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "nobody has synced"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let other = tenancy.clone();
    drop(tenancy);
    assert!(alive.upgrade().is_some(), "a handle is left");
    drop(other);
    assert!(
        alive.upgrade().is_none(),
        "the thread has ended and let go of everything"
    );
}

#[test]
fn a_changed_epoch_is_marked_in_the_pools_at_once() {
    let world = World::new();
    let acme = world.made("acme");
    drop(world.checkout(&acme).expect("a connection"));
    let mut change = tenancy::catalog::TenantChange::default();
    change.reincarnate = Some(acme.placement().clone());
    let by = tenancy::catalog::Actor::new("another process");
    world
        .catalog()
        .update(acme.id(), acme.version(), change, &by)
        .expect("written");
    world.maintain();
    let stats = world.pools().tenant_stats(acme.id()).expect("it is known");
    assert_eq!(stats.epoch, Some(acme.epoch().next()));
    let error = world.checkout(&acme).expect_err("an older handle");
    assert!(
        matches!(error, tenancy::pool::CheckoutError::Superseded { .. }),
        "{error}"
    );
}

#[test]
fn the_upkeep_thread_maintains_idle_connections() {
    let root = tempfile::tempdir().expect("a directory");
    let driver = at(root.path()).open_driver().expect("a driver");
    let tenancy = Tenancy::builder((driver.clone(), MemoryCatalog::new()))
        .resolver(rules)
        .pools(|pools| pools.idle_maintenance_after(Duration::from_millis(1)))
        .upkeep(Upkeep::Every(Duration::from_millis(5)))
        .build()
        .expect("a tenancy");
    let acme = tenancy.create(id("acme")).expect("a tenant");
    let log = || driver.wal_bytes(&acme).expect("it is looked at");
    {
        let connection = tenancy.checkout(&acme).expect("a connection");
        let write = "CREATE TABLE t (x); INSERT INTO t VALUES (1)";
        connection.execute_batch(write).expect("written");
        assert!(log() > 0);
    }
    let started = Instant::now();
    while log() > 0 {
        let late = started.elapsed() > Duration::from_secs(10);
        assert!(!late, "its log was never moved");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(tenancy.pools().stats().counters.closed, 0);
}

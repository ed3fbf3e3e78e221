//! A cache: what it asks, keeps and forgets.

use super::*;

#[test]
fn a_cache_reads_a_name_once_with_or_without_a_tenant() {
    for w in [feedless(), too_large()] {
        w.catalog.add("acme");
        assert!(w.get("acme.app.test").is_ok());
        assert_eq!(w.get("nobody.test"), Err(Reason::NoTenant));
        let asked = w.catalog.lookups();
        for _ in 0..10 {
            assert!(w.get("ACME.app.test:80").is_ok());
            assert_eq!(w.get("nobody.test"), Err(Reason::NoTenant));
            assert!(try_get(&w.resolver, "acme.app.test").is_some());
        }
        assert_eq!(w.catalog.lookups(), asked);
        assert_eq!(
            try_get(&w.resolver, "other.app.test"),
            None,
            "it would have to ask"
        );
        assert_eq!(w.catalog.lookups(), asked);
    }
}

#[test]
fn without_a_feed_an_answer_is_kept_no_longer_than_the_bound() {
    let w = feedless();
    w.catalog.add("acme");
    assert!(w.get("acme.app.test").is_ok());
    assert_eq!(w.get("beta.app.test"), Err(Reason::UnknownTenant));
    w.catalog.set("acme", TenantStatus::Suspended);
    w.catalog.add("beta");
    w.clock.advance(T);
    assert!(w.get("acme.app.test").is_ok());
    assert_eq!(w.get("beta.app.test"), Err(Reason::UnknownTenant));
    w.clock.advance(Duration::from_nanos(1));
    assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
    assert!(w.get("beta.app.test").is_ok());
}

#[test]
fn a_cache_never_reads_a_malformed_or_reserved_name() {
    let w = world(|builder| builder.reserved("www").max_tenants(0));
    w.catalog.feedless.store(true, Ordering::SeqCst);
    for (host, reason) in [
        ("a_b.app.test", Reason::BadHost),
        ("-a.app.test", Reason::BadHost),
        ("ä.test", Reason::BadHost),
        ("www.app.test", Reason::NoTenant),
        ("[::1]", Reason::NoTenant),
    ] {
        assert_eq!(w.get(host), Err(reason), "{host}");
    }
    assert_eq!(w.catalog.lookups(), 0);
}

#[test]
fn a_flood_of_unknown_hosts_pushes_no_tenant_out_of_a_cache() {
    for w in [feedless(), too_large()] {
        for number in 0..100 {
            w.catalog.add(&format!("t{number}"));
            assert!(w.get(&format!("t{number}.app.test")).is_ok());
        }
        for number in 0..50_000 {
            assert_eq!(w.get(&format!("x{number}.test")), Err(Reason::NoTenant));
        }
        let asked = w.catalog.lookups();
        for number in 0..100 {
            assert!(w.get(&format!("t{number}.app.test")).is_ok());
        }
        assert_eq!(w.catalog.lookups(), asked);
    }
}

#[test]
fn one_load_a_name_at_a_time() {
    let w = feedless();
    w.catalog.add("acme");
    w.get("other.app.test").ok();
    w.catalog.slow_ms.store(200, Ordering::SeqCst);
    let (before, barrier) = (w.catalog.lookups(), Barrier::new(8));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                assert!(w.get("acme.app.test").is_ok());
            });
        }
    });
    assert_eq!(w.catalog.lookups() - before, 1);
}

#[test]
fn a_catalog_that_panics_blocks_no_other_caller() {
    let w = feedless();
    w.catalog.add("acme");
    w.get("other.app.test").ok();
    w.catalog.slow_ms.store(50, Ordering::SeqCst);
    w.catalog.cursed.store(true, Ordering::SeqCst);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let get = std::panic::AssertUnwindSafe(|| w.get("acme.app.test"));
                assert!(std::panic::catch_unwind(get).is_err());
            });
        }
    });
    w.catalog.cursed.store(false, Ordering::SeqCst);
    assert!(w.get("acme.app.test").is_ok());
}

/// The bug that was found in four products: a read before a change, stored after it.
#[test]
fn an_answer_read_before_a_change_is_not_stored_after_it() {
    for w in [feedless(), too_large()] {
        w.catalog.add("acme");
        w.get("other.app.test").ok();
        w.catalog.slow_ms.store(300, Ordering::SeqCst);
        thread::scope(|scope| {
            let reader = scope.spawn(|| w.get("acme.app.test"));
            // The reader has read and is on its way back.
            thread::sleep(Duration::from_millis(100));
            w.apply_write(w.catalog.set("acme", TenantStatus::Suspended));
            reader.join().unwrap().ok();
        });
        assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
    }
}

#[test]
fn a_caller_after_a_change_never_gets_an_answer_from_before() {
    for w in [feedless(), too_large()] {
        w.catalog.add("acme");
        w.get("other.app.test").ok();
        w.catalog.slow_ms.store(300, Ordering::SeqCst);
        thread::scope(|scope| {
            scope.spawn(|| w.get("acme.app.test"));
            thread::sleep(Duration::from_millis(100));
            w.apply_write(w.catalog.set("acme", TenantStatus::Suspended));
            assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
        });
    }
}

#[test]
fn without_a_feed_stale_answers_are_served_as_long_as_that_was_allowed() {
    let minute = Duration::from_secs(60);
    for (allowed, served) in [(Duration::ZERO, T), (minute, minute)] {
        let w = world(|builder| builder.serve_stale_for(allowed));
        w.catalog.feedless.store(true, Ordering::SeqCst);
        w.catalog.add("acme");
        assert!(w.get("acme.app.test").is_ok());
        assert_eq!(w.get("nobody.test"), Err(Reason::NoTenant));
        w.catalog.down.store(true, Ordering::SeqCst);
        w.clock.advance(served);
        assert!(w.get("acme.app.test").is_ok(), "{allowed:?}");
        assert_eq!(w.get("nobody.test"), Err(Reason::NoTenant));
        w.clock.advance(Duration::from_nanos(1));
        for host in ["acme.app.test", "nobody.test", "new.app.test"] {
            assert_eq!(w.get(host), Err(Reason::CatalogUnavailable), "{host}");
        }
        w.catalog.down.store(false, Ordering::SeqCst);
        assert!(w.get("acme.app.test").is_ok());
    }
}

#[test]
fn without_a_feed_stale_answers_are_not_served_while_the_catalog_can_be_read() {
    let w = world(|builder| builder.serve_stale_for(Duration::from_secs(60)));
    w.catalog.feedless.store(true, Ordering::SeqCst);
    let acme = w.catalog.add("acme");
    assert!(w.get("acme.app.test").is_ok());
    w.catalog
        .inner
        .remove(acme.id(), acme.version(), &by())
        .unwrap();
    w.clock.advance(T + Duration::from_nanos(1));
    assert_eq!(w.get("acme.app.test"), Err(Reason::UnknownTenant));
    // The newer answer is served while the catalog is down, and was read once.
    let asked = w.catalog.lookups();
    assert_eq!(w.get("acme.app.test"), Err(Reason::UnknownTenant));
    assert_eq!(w.catalog.lookups(), asked);
    w.catalog.down.store(true, Ordering::SeqCst);
    w.clock.advance(T + Duration::from_nanos(1));
    assert_eq!(w.get("acme.app.test"), Err(Reason::UnknownTenant));
}

#[test]
fn without_a_feed_a_sync_forgets_nothing_that_is_young_enough() {
    let w = feedless();
    w.catalog.add("acme");
    assert!(w.get("acme.app.test").is_ok());
    let asked = w.catalog.lookups();
    for _ in 0..4 {
        w.clock.advance(POLL);
        w.resolver.sync().unwrap();
        assert!(w.get("acme.app.test").is_ok());
    }
    assert_eq!(w.catalog.lookups(), asked);
    w.clock.advance(POLL);
    assert!(w.get("acme.app.test").is_ok());
    assert_eq!(w.catalog.lookups(), asked + 1);
}

#[test]
fn without_a_feed_apply_removes_the_changed_answers_alone() {
    let w = feedless();
    let (acme, beta) = (w.catalog.add("acme"), w.catalog.add("beta"));
    let shop = Name::Domain("shop.test".parse().unwrap());
    let bind = |id: &TenantId| w.catalog.inner.bind(&shop, id, Proof::Trusted, &by());
    bind(acme.id()).unwrap();
    for host in ["acme.app.test", "beta.app.test", "shop.test"] {
        assert!(w.get(host).is_ok());
    }
    assert_eq!(w.get("late.test"), Err(Reason::NoTenant));
    let told = |items| {
        w.resolver.apply(&Changes {
            items,
            ..Changes::default()
        });
    };
    let asked = w.catalog.lookups();
    w.catalog
        .inner
        .rebind(&shop, acme.id(), beta.id(), &by())
        .unwrap();
    let late = Name::Domain("late.test".parse().unwrap());
    w.catalog
        .inner
        .bind(&late, beta.id(), Proof::Trusted, &by())
        .unwrap();
    let moved = |name: &Name| Change::Moved {
        name: name.clone(),
        id: beta.id().clone(),
    };
    told(vec![moved(&shop), moved(&late)]);
    assert_eq!(w.get("shop.test").unwrap().id(), beta.id());
    assert_eq!(w.get("late.test").unwrap().id(), beta.id());
    assert!(w.get("acme.app.test").is_ok() && w.get("beta.app.test").is_ok());
    assert_eq!(w.catalog.lookups(), asked + 2);
    // A tenant goes with all its names.
    let suspended = w.catalog.set("beta", TenantStatus::Suspended);
    told(vec![Change::Tenant(suspended)]);
    for host in ["beta.app.test", "shop.test", "late.test"] {
        assert_eq!(w.get(host), Err(Reason::Suspended), "{host}");
    }
    assert!(w.get("acme.app.test").is_ok());
    assert_eq!(w.catalog.lookups(), asked + 5);
}

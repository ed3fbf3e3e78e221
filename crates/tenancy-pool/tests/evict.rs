//! Evictions: the driver makes the close quick, and upkeep does the work that it leaves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tenancy_core::{Clock, Event, Observer};
use tenancy_pool::{Eviction, TenantPools};

use crate::util::*;

type List = Arc<Mutex<Vec<String>>>;

/// Pools with a manual clock whose evictions leave work, and the list of evictions and upkeep.
fn noted(max: u32, per_tenant: u32) -> (TenantPools<Fake>, Fake, Clock, List) {
    let (list, clock) = (List::default(), Clock::manual());
    let (evicts, upkeeps) = (list.clone(), list.clone());
    let driver = OkDriver().evicting(
        move |conn| {
            locked(&evicts).push(format!("evict {}", conn.tenant.id()));
            Eviction::NeedsUpkeep
        },
        move |tenant| {
            locked(&upkeeps).push(format!("upkeep {}", tenant.id()));
            Ok(())
        },
    );
    let pools = pools_with(&driver, max, per_tenant, |builder| {
        let builder = builder.clock(clock.clone());
        builder.idle_timeout(Duration::from_secs(10))
    });
    (pools, driver, clock, list)
}

fn taken(list: &List) -> Vec<String> {
    std::mem::take(&mut *locked(list))
}

#[test]
fn the_next_reap_does_the_upkeep_of_an_eviction_once() {
    let (pools, _, _, list) = noted(1, 1);
    let use_one = |id| drop(pools.checkout(&tenant(id)).expect("a connection"));
    use_one("acme");
    use_one("beta");
    use_one("corp");
    assert_eq!(taken(&list), ["evict acme", "evict beta"]);
    pools.reap();
    assert_eq!(taken(&list), ["upkeep acme", "upkeep beta"], "in order");
    pools.reap();
    assert!(taken(&list).is_empty());
}

#[test]
fn a_tenant_that_is_connected_to_again_needs_no_upkeep() {
    let (pools, _, _, list) = noted(1, 1);
    let use_one = |id| drop(pools.checkout(&tenant(id)).expect("a connection"));
    for id in ["acme", "beta", "acme"] {
        use_one(id);
    }
    pools.reap();
    assert_eq!(taken(&list), ["evict acme", "evict beta", "upkeep beta"]);
}

#[test]
fn closes_on_the_way_of_a_check_out_evict_and_requested_closes_complete() {
    let (pools, driver, clock, list) = noted(4, 4);
    let acme = tenant("acme");
    let take = || pools.checkout(&acme).expect("a connection");
    // Broken, at its return.
    take().broken = true;
    assert_eq!(taken(&list), ["evict acme"]);
    // Expired, at a check-out.
    drop(take());
    clock.advance(Duration::from_secs(11));
    drop(take());
    assert_eq!(taken(&list), ["evict acme"]);
    // Of an older epoch, at a check-out and at its return.
    let old = pools.checkout(&acme).expect("a connection");
    drop(pools.checkout(&tenant_at("acme", 2)).expect("a newer one"));
    drop(old);
    assert_eq!(taken(&list), ["evict acme"]);
    // By `reap`, and with the tenant.
    clock.advance(Duration::from_secs(11));
    assert_eq!(pools.reap(), 1);
    let out = pools.checkout(&tenant_at("acme", 2)).expect("a connection");
    assert!(pools.close(acme.id(), Duration::ZERO).is_err());
    drop(out);
    let closed = pools.close(acme.id(), Duration::ZERO);
    assert_eq!((closed, driver.world.live()), (Ok(()), 0));
    assert!(taken(&list).is_empty());
}

#[test]
fn due_upkeep_is_done_when_the_pools_are_dropped() {
    let (pools, _, _, list) = noted(1, 1);
    for id in ["acme", "beta"] {
        drop(pools.checkout(&tenant(id)).expect("a connection"));
    }
    drop(pools);
    assert_eq!(taken(&list), ["evict acme", "upkeep acme"]);
}

#[test]
fn a_closed_or_superseded_tenant_gets_no_upkeep() {
    let (pools, _, _, list) = noted(1, 1);
    for id in ["acme", "beta", "corp"] {
        drop(pools.checkout(&tenant(id)).expect("a connection"));
    }
    let acme = tenant("acme");
    pools
        .close(acme.id(), Duration::ZERO)
        .expect("nothing is out");
    pools.raise_epoch(tenant("beta").id(), tenant_at("beta", 2).epoch());
    taken(&list);
    pools.reap();
    assert!(taken(&list).is_empty());
    assert!(pools.forget(acme.id()) && pools.forget(tenant("beta").id()));
}

#[test]
fn close_waits_for_upkeep_and_is_woken_by_its_end() {
    let (end, ends) = mpsc::channel::<()>();
    let (ends, begun) = (Mutex::new(ends), Arc::new(AtomicUsize::new(0)));
    let begins = begun.clone();
    let driver = OkDriver().evicting(
        |_| Eviction::NeedsUpkeep,
        move |_| {
            begins.fetch_add(1, Ordering::SeqCst);
            let _ = locked(&ends).recv();
            Ok(())
        },
    );
    let pools = pools(&driver, 1, 1);
    for id in ["acme", "beta"] {
        drop(pools.checkout(&tenant(id)).expect("a connection"));
    }
    let acme = tenant("acme");
    std::thread::scope(|scope| {
        scope.spawn(|| pools.reap());
        until("it has begun", || begun.load(Ordering::SeqCst) == 1);
        assert!(pools.close(acme.id(), Duration::ZERO).is_err());
        assert!(!pools.forget(acme.id()), "it is in use");
        // Other tenants are served meanwhile.
        drop(pools.checkout(&tenant("beta")).expect("a connection"));
        let close = scope.spawn(|| pools.close(acme.id(), Duration::from_secs(20)));
        until("it waits", || begun.load(Ordering::SeqCst) == 1);
        drop(end);
        assert_eq!(close.join().expect("no panic"), Ok(()));
    });
}

#[test]
fn failed_upkeep_is_reported_and_stops_no_other() {
    let failed = List::default();
    let list = failed.clone();
    let driver = OkDriver().evicting(
        |_| Eviction::NeedsUpkeep,
        |tenant| match tenant.id().as_str() {
            "acme" => Err(NoDatabase),
            _ => std::panic::resume_unwind(Box::new("planned")),
        },
    );
    let observer = move |event: &Event<'_>| {
        if let Event::UpkeepFailed { tenant, error } = event {
            locked(&list).push(format!("{}: {error}", tenant.id()));
        }
    };
    let pools = pools_with(&driver, 1, 1, |builder| {
        builder.observer(Arc::new(observer))
    });
    for id in ["acme", "beta", "corp"] {
        drop(pools.checkout(&tenant(id)).expect("a connection"));
    }
    pools.reap();
    assert_eq!(taken(&failed), ["acme: no such database"]);
    for id in ["acme", "beta"] {
        pools
            .close(tenant(id).id(), Duration::ZERO)
            .expect("nothing is left");
    }
}

#[test]
fn an_eviction_that_panics_still_closes() {
    let driver = OkDriver().evicting(
        |_| std::panic::resume_unwind(Box::new("planned")),
        |_| Ok(()),
    );
    let pools = pools(&driver, 1, 1);
    for id in ["acme", "beta"] {
        drop(pools.checkout(&tenant(id)).expect("a connection"));
    }
    assert_eq!((driver.world.live(), pools.stats().open), (1, 1));
}

#[test]
fn the_surplus_of_a_lowered_bound_is_evicted() {
    let wide = Arc::new(std::sync::atomic::AtomicU32::new(2));
    let asked = wide.clone();
    let list = List::default();
    let evicts = list.clone();
    let driver = OkDriver().evicting(
        move |conn| {
            locked(&evicts).push(format!("evict {}", conn.serial));
            Eviction::Complete
        },
        |_| Ok(()),
    );
    let pools = pools_with(&driver, 4, 2, |builder| {
        builder.max_per_tenant_by(move |_| asked.load(Ordering::Relaxed))
    });
    let acme = tenant("acme");
    drop((pools.checkout(&acme), pools.checkout(&acme)));
    wide.store(1, Ordering::Relaxed);
    pools.observe(&Event::TenantChanged { tenant: &acme });
    assert_eq!(taken(&list), ["evict 0"]);
}

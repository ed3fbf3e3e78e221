//! The memory of removed tenants: none that grows.

use std::time::Duration;

use tenancy_core::{Clock, Epoch, Event, Observer, TenantStatus};
use tenancy_pool::{CheckoutError, TenantPools};

use crate::util::*;

/// Of each kind.
const IDS: usize = 20_000;

fn removed(pools: &TenantPools<Fake>, id: &str) {
    pools.observe(&Event::TenantRemoved {
        id: tenant(id).id(),
        epoch: Epoch::FIRST,
    });
}

/// Does something with all ids, in rounds with a reap after each.
fn grows(
    pools: &TenantPools<Fake>,
    clock: &Clock,
    work: impl Fn(&TenantPools<Fake>, &str),
) -> usize {
    let mut most = 0;
    for n in 0..IDS {
        work(pools, &format!("t{n}"));
        if n % 1000 == 999 {
            clock.advance(Duration::from_secs(1));
            pools.reap();
            most = most.max(pools.stats().tenants);
        }
    }
    most
}

#[test]
fn a_hundred_thousand_removed_tenants_take_no_memory() {
    type Work = fn(&TenantPools<Fake>, &str);
    let works: [(&str, Work); 6] = [
        ("removed, never seen", removed),
        ("used and removed", |pools, id| {
            drop(pools.checkout(&tenant(id)).expect("one"));
            removed(pools, id);
        }),
        ("closed and removed, as destroying does", |pools, id| {
            drop(pools.checkout(&tenant(id)).expect("one"));
            pools
                .close(tenant(id).id(), Duration::ZERO)
                .expect("nothing is out");
            removed(pools, id);
        }),
        ("closed unknown and removed", |pools, id| {
            pools
                .close(tenant(id).id(), Duration::ZERO)
                .expect("nothing is out");
            removed(pools, id);
        }),
        ("closed unknown and reopened", |pools, id| {
            pools
                .close(tenant(id).id(), Duration::ZERO)
                .expect("nothing is out");
            assert!(pools.reopen(tenant(id).id()));
        }),
        ("a handle of one that is gone", |pools, id| {
            let gone = tenant(id).to_builder().attribute("gone", "1");
            assert!(pools.checkout(&gone.build().expect("a tenant")).is_err());
        }),
    ];
    for (what, work) in works {
        let clock = Clock::manual();
        let driver = ConnectWith(|tenant, _| match tenant.attribute("gone") {
            Some(_) => Err(NoDatabase),
            None => Ok(()),
        });
        let pools = pools_with(&driver, 4, 4, |builder| builder.clock(clock.clone()));
        assert_eq!(grows(&pools, &clock, work), 0, "{what}");
        assert_eq!((driver.world.live(), pools.stats().open), (0, 0), "{what}");
    }
}

#[test]
fn a_removed_tenant_keeps_its_slot_while_a_connection_is_out() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 4);
    let acme = tenant("acme");
    let out = pools.checkout(&acme).expect("one");
    removed(&pools, "acme");
    pools.reap();
    let refused = pools.checkout(&acme).map(drop);
    assert!(matches!(refused, Err(CheckoutError::Superseded { .. })));
    assert_eq!(pools.stats().tenants, 1);
    drop(out);
    pools.reap();
    assert_eq!((pools.stats().tenants, driver.world.live()), (0, 0));
}

#[test]
fn slots_with_state_are_kept() {
    let (clock, driver) = (Clock::manual(), FailAfter(1));
    let pools = pools_with(&driver, 8, 4, |builder| builder.clock(clock.clone()));
    let kept = |id: &str| pools.tenant_stats(tenant(id).id()).is_some();
    // Closed by name.
    pools
        .close(tenant("closed").id(), Duration::ZERO)
        .expect("nothing is out");
    // Used.
    drop(pools.checkout(&tenant("used")).expect("one"));
    // Of a later epoch, whose database does not answer.
    assert!(pools.checkout(&tenant_at("later", 2)).is_err());
    // In backoff, until it ends.
    assert!(pools.checkout(&tenant("failing")).is_err());
    pools.reap();
    for id in ["closed", "used", "later", "failing"] {
        assert!(kept(id), "{id}");
    }
    clock.advance(Duration::from_secs(1));
    pools.reap();
    for (id, stays) in [
        ("closed", true),
        ("used", true),
        ("later", true),
        ("failing", false),
    ] {
        assert_eq!(kept(id), stays, "{id}");
    }
    let refused = pools.checkout(&tenant("later")).map(drop);
    assert!(matches!(refused, Err(CheckoutError::Superseded { .. })));
    let refused = pools.checkout(&tenant("closed")).map(drop);
    assert!(matches!(refused, Err(CheckoutError::Closed { .. })));
}

#[test]
fn a_tenant_created_again_or_closed_after_its_removal_keeps_its_slot() {
    let pools = pools(&OkDriver(), 4, 4);
    for id in ["again", "closed"] {
        drop(pools.checkout(&tenant(id)).expect("one"));
        removed(&pools, id);
    }
    let again = tenant_at("again", 2)
        .to_builder()
        .status(TenantStatus::Active);
    let again = again.build().expect("a tenant");
    pools.observe(&Event::TenantChanged { tenant: &again });
    pools
        .close(tenant("closed").id(), Duration::ZERO)
        .expect("nothing is out");
    pools.reap();
    let refused = pools.checkout(&tenant("again")).map(drop);
    assert!(matches!(refused, Err(CheckoutError::Superseded { .. })));
    let refused = pools.checkout(&tenant_at("closed", 2)).map(drop);
    assert!(matches!(refused, Err(CheckoutError::Closed { .. })));
}

#[test]
fn a_late_removal_forgets_nothing_of_the_tenant_created_again() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 4);
    drop(pools.checkout(&tenant_at("acme", 2)).expect("one"));
    removed(&pools, "acme");
    pools.reap();
    drop(pools.checkout(&tenant_at("acme", 2)).expect("one"));
    assert_eq!(driver.world.opened(), 1);
    pools
        .close(tenant("acme").id(), Duration::ZERO)
        .expect("nothing is out");
    removed(&pools, "acme");
    pools.reap();
    let refused = pools.checkout(&tenant_at("acme", 2)).map(drop);
    assert!(matches!(refused, Err(CheckoutError::Closed { .. })));
}

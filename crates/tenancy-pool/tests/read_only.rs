//! Read-only check-outs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tenancy_pool::{Access, CheckoutError};

use crate::util::*;

#[test]
fn a_connection_is_read_only_while_checked_out_so() {
    let driver = OkDriver();
    let pools = pools(&driver, 4, 4);
    let all = pools.handle(&tenant("acme"));
    let reading = all.read_only();
    let first = reading.checkout().expect("a connection");
    let serial = first.serial;
    assert_eq!(first.access, Access::ReadOnly);
    drop(first);
    let again = all.checkout().expect("a connection");
    assert_eq!((again.serial, again.access), (serial, Access::ReadWrite));
    drop(again);
    let idle = reading
        .try_checkout()
        .expect("it can")
        .expect("an idle one");
    assert_eq!((idle.serial, idle.access), (serial, Access::ReadOnly));
    let writing = all.checkout().expect("another beside it");
    assert_eq!(writing.access, Access::ReadWrite);
}

#[test]
fn a_driver_without_restrictions_refuses_read_only_check_outs() {
    let driver = OkDriver().restricting(|_| Ok(Access::ReadWrite));
    let pools = pools(&driver, 4, 4);
    let acme = pools.handle(&tenant("acme"));
    let refused = acme.read_only().checkout().expect_err("it cannot");
    assert_eq!(
        refused.to_string(),
        "tenant acme has no read-only connections: its driver supports none; check out a read-write one"
    );
    let stats = pools.stats();
    assert_eq!((stats.idle, stats.open), (1, 1), "it is as good as before");
    let refused = acme.read_only().try_checkout().expect_err("it cannot");
    assert!(matches!(refused, CheckoutError::ReadOnlyUnsupported { .. }));
    assert!(acme.checkout().is_ok());
}

#[test]
fn a_connection_that_could_not_be_restricted_is_closed() {
    let driver = OkDriver().restricting(|_| Err(NoDatabase));
    let pools = pools(&driver, 4, 4);
    let acme = pools.handle(&tenant("acme")).read_only();
    let refused = acme.checkout().expect_err("it fails");
    assert!(matches!(refused, CheckoutError::Restrict { .. }));
    assert_eq!(
        refused.to_string(),
        "a connection to tenant acme could not be made read-only and was closed: no such database"
    );
    assert_eq!((pools.stats().open, driver.world.live()), (0, 0));
}

#[test]
fn a_connection_that_stays_restricted_is_closed() {
    type OnRestrict = fn(Access) -> Result<Access, NoDatabase>;
    let lifting: [(&str, OnRestrict); 3] = [
        ("fails", |access| match access {
            Access::ReadOnly => Ok(access),
            Access::ReadWrite => Err(NoDatabase),
        }),
        ("does nothing", |_| Ok(Access::ReadOnly)),
        ("panics", |access| match access {
            Access::ReadOnly => Ok(access),
            Access::ReadWrite => std::panic::resume_unwind(Box::new("planned")),
        }),
    ];
    for (how, on_restrict) in lifting {
        let driver = OkDriver().restricting(on_restrict);
        let pools = pools(&driver, 4, 4);
        let acme = pools.handle(&tenant("acme"));
        drop(acme.read_only().checkout().expect("a connection"));
        let left = (pools.stats().open, driver.world.live());
        assert_eq!(left, (0, 0), "lifting {how}");
        let next = acme.checkout().expect("another one");
        assert_eq!(next.access, Access::ReadWrite, "lifting {how}");
    }
}

#[test]
fn a_panic_while_restricting_unwinds_and_closes_the_connection() {
    let driver = OkDriver().restricting(|_| std::panic::resume_unwind(Box::new("planned")));
    let pools = pools(&driver, 4, 4);
    let acme = pools.handle(&tenant("acme")).read_only();
    let attempt = AssertUnwindSafe(|| acme.checkout().map(drop));
    assert!(catch_unwind(attempt).is_err());
    assert_eq!((pools.stats().open, driver.world.live()), (0, 0));
}

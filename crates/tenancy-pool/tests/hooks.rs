//! A driver's `on_checkout` and `on_return`: the connections that they get, and the effect of their
//! errors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tenancy_core::Clock;
use tenancy_pool::CheckoutError;

use crate::util::*;

type List = Arc<Mutex<Vec<String>>>;

fn noted() -> (Fake, List) {
    let list = List::default();
    let (checkouts, returns, maintained) = (list.clone(), list.clone(), list.clone());
    let driver = OkDriver()
        .checking_out(move |conn| {
            locked(&checkouts).push(format!("checkout {}", conn.serial));
            Ok(())
        })
        .returning(move |conn| {
            locked(&returns).push(format!("return {}", conn.serial));
            Ok(())
        })
        .maintaining(move |conn| {
            locked(&maintained).push(format!("maintain {}", conn.serial));
            Ok(())
        });
    (driver, list)
}

#[test]
fn hooks_run_at_every_check_out_and_return() {
    let (driver, list) = noted();
    let clock = Clock::manual();
    let pools = pools_with(&driver, 1, 1, |builder| builder.clock(clock.clone()));
    let acme = tenant("acme");
    drop(pools.checkout(&acme).expect("a new one"));
    drop(pools.checkout(&acme).expect("an idle one"));
    drop(
        pools
            .try_checkout(&acme)
            .expect("not refused")
            .expect("one"),
    );
    drop(pools.handle(&acme).checkout().expect("by handle"));
    drop(pools.handle(&acme).read_only().checkout().expect("to read"));
    let out = pools.checkout(&acme).expect("one");
    std::thread::scope(|scope| {
        scope.spawn(|| drop(pools.checkout(&acme).expect("handed over")));
        until("it waits", || pools.stats().waiting == 1);
        drop(out);
    });
    let wanted = ["checkout 0", "return 0"];
    assert_eq!(*locked(&list), wanted.repeat(7));
    locked(&list).clear();
    clock.advance(Duration::from_secs(60));
    pools.reap();
    assert_eq!(
        *locked(&list),
        ["maintain 0"],
        "idle maintenance is no check-out"
    );
}

#[test]
fn a_connection_rejected_at_its_check_out_is_closed() {
    let refuse = Arc::new(AtomicUsize::new(0));
    let left = refuse.clone();
    let driver = OkDriver().checking_out(move |_| match left.load(Ordering::Relaxed) {
        0 => Ok(()),
        1 => Err(NoDatabase),
        _ => std::panic::resume_unwind(Box::new("planned")),
    });
    let pools = pools(&driver, 4, 4);
    let acme = tenant("acme");
    for (refusal, open) in [(0, true), (1, true), (1, false), (0, false), (1, true)] {
        if open {
            refuse.store(0, Ordering::Relaxed);
            drop(pools.checkout(&acme).expect("one"));
        }
        refuse.store(refusal, Ordering::Relaxed);
        let taken = pools.checkout(&acme);
        match refusal {
            0 => drop(taken.expect("a connection")),
            _ => {
                let refused = taken.map(drop).expect_err("refused");
                assert!(
                    matches!(refused, CheckoutError::Rejected { .. }),
                    "{refused}"
                );
                let text = "a connection to tenant acme was rejected by its driver and closed: no such database";
                assert_eq!(refused.to_string(), text, "whether it was open or not");
                assert_eq!((driver.world.live(), pools.stats().open), (0, 0));
            }
        }
    }
    refuse.store(2, Ordering::Relaxed);
    let panics = std::panic::AssertUnwindSafe(|| pools.checkout(&acme).map(drop));
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!((driver.world.live(), pools.stats().open), (0, 0));
}

#[test]
fn a_connection_rejected_at_its_return_is_closed() {
    for panics in [false, true] {
        let driver = OkDriver().returning(move |_| match panics {
            true => std::panic::resume_unwind(Box::new("planned")),
            false => Err(NoDatabase),
        });
        let pools = pools(&driver, 4, 4);
        drop(pools.checkout(&tenant("acme")).expect("one"));
        assert_eq!((driver.world.live(), pools.stats().open), (0, 0));
    }
}

#[test]
fn a_broken_connection_is_not_reset() {
    let (driver, list) = noted();
    let pools = pools(&driver, 4, 4);
    pools.checkout(&tenant("acme")).expect("one").broken = true;
    assert_eq!(*locked(&list), ["checkout 0"]);
}

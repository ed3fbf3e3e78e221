//! What errors say, and which types may go where.

use std::error::Error;
use std::time::Duration;

use tenancy_pool::{
    Builder, Checkout, CheckoutError, Holder, InvalidPools, Label, PoolStats, StillOut, TenantPool,
    TenantPools, TenantStats,
};

use crate::util::*;

const NO_TIME: Duration = Duration::ZERO;

/// An error's text, without how long it took.
fn timeless(error: &dyn Error, waited: Duration) -> String {
    error.to_string().replace(&format!("{waited:?}"), "TIME")
}

#[test]
fn errors_say_what_it_is_and_what_to_do() {
    let clock = tenancy_core::Clock::manual();
    let driver = FailAfter(2);
    let pools = pools_with(&driver, 2, 1, |builder| builder.clock(clock.clone()));
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let out = pools.checkout(&acme).expect("a connection");
    Checkout::label(&out, "import");
    let text = |error: CheckoutError<NoDatabase>| match &error {
        CheckoutError::Timeout { waited, .. } => timeless(&error, *waited),
        _ => error.to_string(),
    };
    let of = |id: &str| {
        text(
            pools
                .checkout_timeout(&tenant(id), NO_TIME)
                .expect_err("refused"),
        )
    };
    let mut told = vec![of("acme")];
    told.push(std::thread::scope(|scope| {
        scope.spawn(|| of("acme")).join().expect("no panic")
    }));
    let blocked = pools.close(acme.id(), NO_TIME).expect_err("one is out");
    told.push(timeless(&blocked, blocked.waited));
    told.push(of("acme"));
    drop(pools.checkout(&beta).expect("a connection"));
    pools.mark(beta.id(), beta.epoch().next());
    told.push(of("beta"));
    drop(out);
    told.push(of("gamma"));
    told.push(of("gamma"));
    {
        let _scope = acme.enter().expect("nobody is current");
        told.push(of("beta"));
    }
    told.push(text(
        pools.checkout_current().expect_err("nobody is current"),
    ));
    let wanted = [
        "tenant acme can get no connection while this thread holds 1 is out (acme at import for 0ns); give one back first",
        "tenant acme got no connection within TIME: 1 is out (acme at import for 0ns); give them back sooner or allow more",
        "tenant acme still has connections after TIME: 1 is out (acme at import for 0ns); wait for them, it stays closed",
        "tenant acme is closed to check-outs; `reopen` it first",
        "tenant beta is at epoch 2 and this handle is of epoch 1; resolve it again",
        "no connection to tenant gamma could be opened; check that its database is there and reachable",
        "no connection to tenant gamma could be opened a moment ago; try again in 100ms",
        "tenant beta@1 cannot be checked out while acme@1 is current; drop that scope, or call `Tenant::switch` to cross on purpose",
        "no tenant is current on this thread; enter one, or check out with its handle",
    ];
    for (told, wanted) in told.iter().zip(wanted) {
        assert_eq!(told, wanted);
    }
    assert_eq!(told.len(), wanted.len());
}

#[test]
fn a_failed_preparation_is_told_as_such() {
    let driver = OkDriver().preparing(|_| Err(NoDatabase));
    let pools = pools(&driver, 2, 1);
    let error = pools.checkout(&tenant("acme")).expect_err("it fails");
    assert_eq!(
        error.to_string(),
        "the database of tenant acme could not be prepared; repair it, the next check-out tries again"
    );
    assert_eq!((driver.world.live(), pools.stats().open), (0, 0));
}

#[test]
fn the_cause_stands_in_source_alone() {
    let driver = FailAfter(0);
    let pools = pools(&driver, 2, 1);
    for _ in 0..2 {
        let error = pools.checkout(&tenant("acme")).expect_err("it fails");
        let source = error.source().expect("a cause").to_string();
        assert_eq!(source, "no such database");
        assert!(!error.to_string().contains(&source));
    }
}

#[test]
fn a_time_out_names_the_line_that_holds_the_connection() {
    let driver = OkDriver();
    let pools = pools(&driver, 1, 1);
    let acme = tenant("acme");
    let line = line!() + 1;
    let _out = pools.checkout(&acme).expect("a connection");
    let refused = pools.checkout(&tenant("beta")).expect_err("all are out");
    let text = refused.to_string();
    assert!(text.contains(&format!("texts.rs:{line} for ")), "{text}");
}

#[test]
fn bounds_that_cannot_hold_are_refused() {
    type Change = fn(Builder) -> Builder;
    let zero = |what: &str| format!("`{what}` is zero; make it 1 at least");
    let cases: [(Change, String); 7] = [
        (|b| b.max_connections(0), zero("max_connections")),
        (|b| b.max_per_tenant(0), zero("max_per_tenant")),
        (|b| b.max_opening(0), zero("max_opening")),
        (|b| b.max_waiters(0), zero("max_waiters")),
        (|b| b.max_lifetime(NO_TIME), zero("max_lifetime")),
        (
            |b| b.max_connections(2).max_per_tenant(3),
            "`max_per_tenant` is 3 and `max_connections` is 2; one tenant cannot have more than all".into(),
        ),
        (|b| b.max_connections(u32::MAX), "4294967295 connections at 1 descriptors each do not fit".into()),
    ];
    for (change, wanted) in cases {
        let built = change(TenantPools::<Fake>::builder()).build(OkDriver());
        let told = built.map(drop).expect_err("refused").to_string();
        assert!(told.starts_with(&wanted), "{told}\n{wanted}");
    }
}

#[test]
fn pools_are_shared_between_threads_and_check_outs_stay_on_theirs() {
    fn shared<T: Send + Sync + 'static>() {}
    fn cloned<T: Clone>() {}
    shared::<TenantPools<Fake>>();
    shared::<TenantPool<Fake>>();
    shared::<CheckoutError<NoDatabase>>();
    shared::<InvalidPools>();
    shared::<(StillOut, Holder, Label, PoolStats, TenantStats)>();
    cloned::<TenantPools<Fake>>();
    cloned::<TenantPool<Fake>>();

    // That it is not `Send` shows in which of two equally good methods is meant.
    trait IsSend<A> {
        fn which() {}
    }
    struct Any;
    impl<T: ?Sized> IsSend<()> for T {}
    impl<T: ?Sized + Send> IsSend<Any> for T {}
    let _ = <Checkout<Fake> as IsSend<_>>::which;
}

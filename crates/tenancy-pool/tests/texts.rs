//! The texts of errors, and the types that are `Send`.

use std::error::Error;
use std::time::Duration;

use tenancy_pool::{
    Builder, Checkout, CheckoutError, CloseError, Holder, InvalidPools, Label, PoolStats,
    TenantPool, TenantPools, TenantStats,
};

use crate::util::*;

const NO_TIME: Duration = Duration::ZERO;

/// Returns the text of an error without its wait.
fn timeless(error: &dyn Error, waited: Duration) -> String {
    error.to_string().replace(&format!("{waited:?}"), "TIME")
}

#[test]
fn errors_name_the_fact_and_the_remedy() {
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
    let mut texts = vec![of("acme")];
    texts.push(std::thread::scope(|scope| {
        scope.spawn(|| of("acme")).join().expect("no panic")
    }));
    let blocked = pools.close(acme.id(), NO_TIME).expect_err("one is out");
    texts.push(timeless(&blocked, blocked.waited));
    texts.push(of("acme"));
    drop(pools.checkout(&beta).expect("a connection"));
    pools.raise_epoch(beta.id(), beta.epoch().next());
    texts.push(of("beta"));
    drop(out);
    texts.push(of("gamma"));
    texts.push(of("gamma"));
    {
        let _scope = acme.enter().expect("no tenant is current");
        texts.push(of("beta"));
    }
    texts.push(text(
        pools.checkout_current().expect_err("no tenant is current"),
    ));
    let wanted = [
        "a check-out of tenant acme would wait for connections that its own thread holds: 1 connection in use (acme at import for 0ns); return one first",
        "tenant acme got no connection within TIME: 1 connection in use (acme at import for 0ns); return connections sooner, or raise the bounds",
        "tenant acme has open connections after TIME: 1 connection in use (acme at import for 0ns); the tenant stays closed; wait for the connections, then close it again",
        "tenant acme is closed to check-outs; `reopen` it first",
        "tenant beta is at epoch 2, but its handle has epoch 1; resolve the tenant again",
        "no connection to tenant gamma could be opened: no such database",
        "no connection to tenant gamma could be opened: no such database; the next attempt is in 100ms",
        "tenant beta@1 cannot be checked out while acme@1 is current; drop that scope, or call `Tenant::switch` to cross on purpose",
        "no tenant is current on this thread; enter one, or check out with its handle",
    ];
    for (text, wanted) in texts.iter().zip(wanted) {
        assert_eq!(text, wanted);
    }
    assert_eq!(texts.len(), wanted.len());
}

#[test]
fn a_failed_preparation_has_its_own_error() {
    let driver = OkDriver().preparing(|_| Err(NoDatabase));
    let pools = pools(&driver, 2, 1);
    let error = pools.checkout(&tenant("acme")).expect_err("it fails");
    assert_eq!(
        error.to_string(),
        "the database of tenant acme could not be prepared: no such database"
    );
    assert_eq!((driver.world.live(), pools.stats().open), (0, 0));
}

/// An error with a cause.
struct Behind;

#[derive(Debug, thiserror::Error)]
#[error("schema version 3, the program needs 4; migrate it")]
struct TooOld(#[source] NoDatabase);

impl r2d2::ManageConnection for Behind {
    type Connection = ();
    type Error = TooOld;
    fn connect(&self) -> Result<(), TooOld> {
        Err(TooOld(NoDatabase))
    }
    fn is_valid(&self, (): &mut ()) -> Result<(), TooOld> {
        Ok(())
    }
    fn has_broken(&self, (): &mut ()) -> bool {
        false
    }
}

impl tenancy_pool::Driver for Behind {
    type Manager = Self;
    fn manager(&self, _: &tenancy_core::Tenant) -> Self {
        Self
    }
}

#[test]
fn a_failure_and_its_backoff_have_the_text_of_the_driver() {
    let clock = tenancy_core::Clock::manual();
    let builder = TenantPools::<Behind>::builder().clock(clock);
    let pools = builder.build(Behind).expect("pools");
    let acme = tenant("acme");
    let text = "no connection to tenant acme could be opened: schema version 3, the program needs 4; migrate it";
    let first = pools.checkout(&acme).expect_err("it is behind");
    assert_eq!(first.to_string(), text);
    // The text of the driver is above: a report of all causes repeats nothing and loses nothing.
    let cause = first.source().map(ToString::to_string);
    assert_eq!(cause.as_deref(), Some("no such database"));
    let second = pools.checkout(&acme).expect_err("it is remembered");
    let wanted = format!("{text}: no such database; the next attempt is in 100ms");
    assert_eq!(second.to_string(), wanted);
    assert!(second.source().is_none());
}

#[test]
fn a_connection_that_is_being_opened_is_named_so() {
    let (open, opens) = std::sync::mpsc::channel::<()>();
    let opens = std::sync::Mutex::new(opens);
    let driver = ConnectWith(move |_, _| {
        let _ = locked(&opens).recv();
        Ok(())
    });
    // The clock has run for a long time before anything is opened.
    let clock = tenancy_core::Clock::manual();
    clock.advance(Duration::from_secs(1972));
    let pools = pools_with(&driver, 1, 1, |builder| builder.clock(clock.clone()));
    std::thread::scope(|scope| {
        scope.spawn(|| pools.checkout(&tenant("acme")).map(drop));
        until("it opens", || pools.stats().opening == 1);
        clock.advance(Duration::from_millis(155));
        for id in ["acme", "beta"] {
            let late = pools.checkout_timeout(&tenant(id), NO_TIME);
            let late = late.expect_err("it is being opened").to_string();
            assert!(late.contains("acme at "), "{late}");
            assert!(late.contains(", being opened for 155ms"), "{late}");
        }
        drop(open);
    });
}

#[test]
fn a_connection_that_is_being_closed_is_named_so() {
    let (close, closes) = std::sync::mpsc::channel::<()>();
    let (driver, clock) = (OkDriver(), tenancy_core::Clock::manual());
    clock.advance(Duration::from_secs(1972));
    let pools = pools_with(&driver, 1, 1, |builder| builder.clock(clock.clone()));
    let late = |id| {
        let late = pools.checkout_timeout(&tenant(id), NO_TIME);
        late.expect_err("it is being closed").to_string()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut out = pools.checkout(&tenant("acme")).expect("a connection");
            out.on_drop = Some(Box::new(move || {
                let _ = closes.recv();
            }));
            Checkout::discard(out);
        });
        until("it closes", || pools.stats().closing == 1);
        clock.advance(Duration::from_millis(20));
        for id in ["acme", "beta"] {
            let late = late(id);
            assert!(late.contains("(acme, being closed for 20ms)"), "{late}");
        }
        drop(close);
    });
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
fn contradictory_bounds_are_refused() {
    type Change = fn(Builder) -> Builder;
    let zero = |what: &str| format!("`{what}` is zero; set it to at least 1");
    let short = |what: &str| format!("`{what}` is 9.999ms; set it to at least 10ms");
    const SHORT: Duration = Duration::from_micros(9_999);
    let cases: [(Change, String); 10] = [
        (|b| b.max_connections(0), zero("max_connections")),
        (|b| b.max_per_tenant(0), zero("max_per_tenant")),
        (|b| b.max_opening(0), zero("max_opening")),
        (|b| b.max_waiters(0), zero("max_waiters")),
        (|b| b.max_lifetime(SHORT), short("max_lifetime")),
        (|b| b.idle_timeout(SHORT), short("idle_timeout")),
        (|b| b.validate_after(SHORT), short("validate_after")),
        (|b| b.failure_ttl(Duration::from_secs(61)), "`failure_ttl` is 61s; set it to at most 60s".into()),
        (
            |b| b.max_connections(2).max_per_tenant(3),
            "`max_per_tenant` is 3 and `max_connections` is 2; set `max_per_tenant` to at most `max_connections`".into(),
        ),
        (|b| b.max_connections(u32::MAX), "4294967295 connections with 1 file descriptors each exceed".into()),
    ];
    for (change, wanted) in cases {
        let built = change(TenantPools::<Fake>::builder()).build(OkDriver());
        let text = built.map(drop).expect_err("refused").to_string();
        assert!(text.starts_with(&wanted), "{text}\n{wanted}");
    }
}

#[test]
fn bounds_at_their_limits_are_accepted() {
    type Change = fn(Builder) -> Builder;
    let cases: [Change; 7] = [
        |b| b.max_lifetime(Builder::MIN_AGE).max_waiters(1),
        |b| b.idle_timeout(Builder::MIN_AGE).max_opening(1),
        |b| b.validate_after(Builder::MIN_AGE),
        |b| b.failure_ttl(Builder::MAX_FAILURE_TTL),
        |b| b.idle_timeout(Duration::MAX).max_lifetime(Duration::MAX),
        |b| {
            b.failure_ttl(NO_TIME)
                .handoff_after(NO_TIME)
                .idle_maintenance_after(NO_TIME)
        },
        |b| b.max_connections(3).max_per_tenant(3).long_wait(NO_TIME),
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let built = change(TenantPools::<Fake>::builder()).build(OkDriver());
        let pools = built.unwrap_or_else(|error| panic!("case {number}: {error}"));
        drop(pools.checkout(&tenant("acme")).expect("a connection"));
        let idle = pools.try_checkout(&tenant("acme")).expect("not refused");
        assert!(idle.is_some(), "case {number} never checks out again");
    }
}

/// A condition that passes is 503, a mistake of the program is 500; no two kinds share a reason by
/// chance.
#[test]
fn a_refused_check_out_has_a_reason_a_status_and_a_retry_time() {
    let acme = tenant("acme");
    let other = tenant("beta");
    let pools = pools_with(&OkDriver(), 1, 1, |builder| builder);
    let answer = |error: CheckoutError<NoDatabase>| {
        let after = error.retry_after().map(|after| after.as_secs());
        (error.reason(), error.status(), after)
    };
    assert_eq!(
        answer(pools.checkout_current().expect_err("no tenant is current")),
        ("no_tenant_current", 500, None)
    );
    let out = pools.checkout(&acme).expect("a connection");
    let refused = std::thread::scope(|scope| {
        let wait = || {
            answer(
                pools
                    .checkout_timeout(&acme, NO_TIME)
                    .expect_err("all are out"),
            )
        };
        scope.spawn(wait).join().expect("no panic")
    });
    assert_eq!(refused, ("busy", 503, Some(1)));
    assert_eq!(
        answer(pools.checkout(&acme).expect_err("it is held here")),
        ("would_deadlock", 500, None)
    );
    drop(out);
    let crossed = other.run(|| answer(pools.checkout(&acme).expect_err("another is current")));
    assert_eq!(
        crossed.expect("no tenant is current"),
        ("other_tenant", 500, None)
    );
    pools.close(acme.id(), NO_TIME).expect("nothing is out");
    assert_eq!(
        answer(pools.checkout(&acme).expect_err("it is closed")),
        ("closed", 503, None)
    );
    let failing = pools_with(&FailAfter(0), 1, 1, |builder| builder);
    let first = answer(failing.checkout(&acme).expect_err("it does not open"));
    assert_eq!(first, ("database_unavailable", 503, None));
}

#[test]
fn pools_are_send_and_check_outs_are_not() {
    fn shared<T: Send + Sync + 'static>() {}
    fn cloned<T: Clone>() {}
    shared::<TenantPools<Fake>>();
    shared::<TenantPool<Fake>>();
    shared::<CheckoutError<NoDatabase>>();
    shared::<InvalidPools>();
    shared::<(CloseError, Holder, Label, PoolStats, TenantStats)>();
    cloned::<TenantPools<Fake>>();
    cloned::<TenantPool<Fake>>();

    // Whether a type is `Send` decides which of two methods is chosen.
    trait IsSend<A> {
        fn which() {}
    }
    struct Any;
    impl<T: ?Sized> IsSend<()> for T {}
    impl<T: ?Sized + Send> IsSend<Any> for T {}
    let _ = <Checkout<Fake> as IsSend<_>>::which;
}

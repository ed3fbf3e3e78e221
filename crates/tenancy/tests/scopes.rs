//! Requests as tasks of one thread, which keep scopes over their awaits: each writes to the
//! file of the tenant that it runs for, and to no other.

// The lint is right: this is what it warns of. That it does is expected, so that its lines in
// `clippy.toml` are known to work.
#![expect(clippy::await_holding_invalid_type)]

use std::cell::RefCell;
use std::rc::Rc;

use smol::LocalExecutor;
use smol::future::yield_now;
use tenancy::Tenant;
use tenancy::pool::CheckoutError;
use tenancy::scope::detached;

use crate::util::{World, mark, marks};

/// Enters acme, and waits for its neighbour inside the scope.
async fn keeps_acme(world: &World, acme: &Tenant) {
    let _scope = acme.enter().expect("nobody is current");
    yield_now().await;
    mark(&world.checkout_current().expect("acme's"), "acme's own");
}

/// Enters nobody, and writes to whichever file it is given.
async fn enters_nobody(world: &World, gets: &RefCell<Vec<String>>) {
    let written = match world.checkout_current() {
        Ok(connection) => {
            mark(&connection, "a stranger's");
            connection.tenant_id()
        }
        Err(CheckoutError::NoTenant) => "nobody".to_owned(),
        Err(error) => panic!("{error}"),
    };
    gets.borrow_mut().push(written);
    yield_now().await;
}

trait TenantOf {
    fn tenant_id(&self) -> String;
}

impl<D: tenancy::pool::Driver> TenantOf for tenancy::pool::Checkout<D> {
    fn tenant_id(&self) -> String {
        tenancy::pool::Checkout::tenant(self).id().to_string()
    }
}

/// Runs the two as tasks of one thread; says where the second got to, and what stands in
/// acme's file.
fn served(wrap_first: bool, wrap_second: bool) -> (Vec<String>, Vec<String>) {
    let world = World::new();
    let acme = world.made("acme");
    let gets = Rc::new(RefCell::new(Vec::new()));
    let executor = LocalExecutor::new();
    let first = keeps_acme(&world, &acme);
    let second = enters_nobody(&world, &gets);
    let first = match wrap_first {
        true => executor.spawn(detached(first)),
        false => executor.spawn(first),
    };
    let second = match wrap_second {
        true => executor.spawn(detached(second)),
        false => executor.spawn(second),
    };
    smol::block_on(executor.run(async {
        first.await;
        second.await;
    }));
    assert_eq!(Tenant::current(), None);
    let connection = world.checkout(&acme).expect("acme's");
    (gets.take(), marks(&connection))
}

#[test]
fn a_request_without_a_scope_writes_to_no_file() {
    let nobody = ["nobody".to_owned()];
    for (wrap_first, wrap_second) in [(true, true), (true, false), (false, true)] {
        let (gets, marks) = served(wrap_first, wrap_second);
        assert_eq!(gets, nobody, "{wrap_first}, {wrap_second}");
        assert_eq!(marks, ["acme's own"], "{wrap_first}, {wrap_second}");
    }
    // Neither is wrapped: no library can see this, and the documentation says so. It
    // shows that the two do run in turns.
    let (gets, marks) = served(false, false);
    assert_eq!(gets, ["acme"]);
    assert_eq!(marks, ["a stranger's", "acme's own"]);
}

#[test]
fn after_a_switch_and_an_await_the_connection_is_the_other_tenants() {
    let world = World::new();
    let (acme, beta) = (world.made("acme"), world.made("beta"));
    let crosses = acme.attach(async {
        let scope = beta.switch();
        yield_now().await;
        mark(&world.checkout_current().expect("beta's"), "for beta");
        drop(scope);
        yield_now().await;
        mark(&world.checkout_current().expect("acme's"), "for acme");
    });
    smol::block_on(crosses);
    for (tenant, mark) in [(&acme, "for acme"), (&beta, "for beta")] {
        let connection = world.checkout(tenant).expect("its own");
        assert_eq!(marks(&connection), [mark]);
    }
}

#[test]
fn central_work_inside_a_tenants_scope_gets_no_connection() {
    let world = World::new();
    let (acme, beta) = (world.made("acme"), world.made("beta"));
    let gets = RefCell::new(Vec::new());
    let _scope = acme.enter().expect("nobody is current");
    smol::block_on(detached(enters_nobody(&world, &gets)));
    assert_eq!(gets.take(), ["nobody"]);
    Tenant::outside(|| {
        let refused = world.checkout_current().expect_err("nobody is current");
        assert!(matches!(refused, CheckoutError::NoTenant), "{refused}");
        // It can work for any tenant, one after the other.
        for tenant in [&acme, &beta] {
            let got = tenant.run(|| world.checkout_current().expect("its own").tenant_id());
            assert_eq!(got.as_deref(), Ok(tenant.id().as_str()));
        }
    });
    let got = beta.switch_to(|| world.checkout_current().expect("beta's").tenant_id());
    assert_eq!(got, "beta");
    let back = world.checkout_current().expect("acme's");
    assert_eq!(back.tenant_id(), "acme");
}

//! Created, suspended, taken down, destroyed, created anew.

use std::time::Duration;

use tenancy::catalog::{Maintenance, NewTenant, Provisioner, WriteError};
use tenancy::pool::CheckoutError;
use tenancy::{Error, TenantSpec, TenantStatus};

use crate::util::{FailAt, World, at, id, mark, marks};

const SOON: Duration = Duration::from_millis(20);

#[test]
fn a_created_tenant_has_a_row_a_database_and_its_requests() {
    let world = World::new();
    let spec = TenantSpec::new(id("acme"))
        .attribute("plan", "pro")
        .name("shop.example");
    let acme = world.create(spec).expect("a tenant");
    assert_eq!(
        (acme.status(), acme.epoch().get()),
        (TenantStatus::Active, 1)
    );
    assert_eq!(acme.attribute("plan"), Some("pro"));
    assert_eq!(world.said("acme.app.test"), "acme");
    assert_eq!(world.said("shop.example"), "acme");
    mark(&world.checkout(&acme).expect("a connection"), "here");
    assert_eq!(world.files().len(), 1);
}

#[test]
fn creating_twice_is_an_error_that_changes_nothing() {
    let world = World::new();
    let acme = world.made("acme");
    mark(&world.checkout(&acme).expect("a connection"), "kept");
    let again = TenantSpec::new(id("acme"))
        .attribute("plan", "free")
        .name("new.example");
    let error = world.create(again).expect_err("it is there");
    assert_eq!(
        error.to_string(),
        "tenant acme exists already; nothing was changed"
    );
    let now = world.tenant(acme.id()).expect("a tenant");
    assert_eq!(
        (now.version(), now.attribute("plan")),
        (acme.version(), None)
    );
    assert_eq!(world.said("new.example"), "no_tenant");
    assert_eq!(
        marks(&world.checkout(&now).expect("a connection")),
        ["kept"]
    );
    assert_eq!(world.files().len(), 1);
}

#[test]
fn a_creation_that_crashed_is_completed_by_calling_it_again() {
    for at in [
        FailAt::Place,
        FailAt::BeforeProvision,
        FailAt::AfterProvision,
    ] {
        for restart in [false, true] {
            let mut world = World::new();
            let spec = TenantSpec::new(id("acme")).name("shop.example");
            world.fail_at(at);
            let error = world.create(spec.clone()).expect_err("it is told to fail");
            assert!(matches!(error, Error::Provision(_)), "{at:?}: {error}");
            let refused = if at == FailAt::Place {
                "unknown_tenant"
            } else {
                "not_ready"
            };
            assert_eq!(world.said("acme.app.test"), refused, "{at:?}");
            if restart {
                world = world.restart();
            }
            world.fail_at(FailAt::Never);
            let spec = spec.attribute("plan", "pro");
            let acme = world
                .create(spec)
                .unwrap_or_else(|error| panic!("{at:?}: {error}"));
            assert_eq!(
                (acme.status(), acme.epoch().get()),
                (TenantStatus::Active, 1),
                "{at:?}"
            );
            assert_eq!(acme.attribute("plan"), Some("pro"), "{at:?}");
            assert_eq!(world.said("shop.example"), "acme", "{at:?}");
            mark(&world.checkout(&acme).expect("a connection"), "here");
            assert_eq!(world.files().len(), 1, "{at:?} left a file behind");
        }
    }
}

#[test]
fn a_row_whose_process_died_before_anything_else_is_resumed() {
    let world = World::new();
    let mut row = NewTenant::new(id("acme"));
    row.status = TenantStatus::Provisioning;
    let storage = at(world.root.path()).open().expect("a root");
    let driver = storage.driver();
    row.placement = driver.place(&row.id).expect("a place");
    world
        .catalog()
        .insert(row, &tenancy::catalog::Actor::new("dead"))
        .expect("a row");
    world.made("acme");
    assert_eq!(world.said("acme.app.test"), "acme");
}

#[test]
fn of_concurrent_creations_of_one_tenant_exactly_one_succeeds() {
    let world = World::new();
    for round in 0..5 {
        let name = format!("t{round}");
        let results: Vec<_> = std::thread::scope(|scope| {
            let creators: Vec<_> = (0..6)
                .map(|_| scope.spawn(|| world.create(id(&name))))
                .collect();
            creators
                .into_iter()
                .map(|creator| creator.join().expect("no panic"))
                .collect()
        });
        let made = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(made, 1, "{name}: {results:?}");
        for error in results.into_iter().filter_map(Result::err) {
            assert!(
                matches!(error, Error::Write(WriteError::Exists { .. })),
                "{name}: {error}"
            );
        }
        assert_eq!(world.said(&format!("{name}.app.test")), name);
    }
}

#[test]
fn many_are_created_at_once_and_each_has_its_own_result() {
    let world = World::new();
    world.made("t3");
    let specs: Vec<_> = (0..20)
        .map(|n| TenantSpec::new(id(&format!("t{n}"))))
        .collect();
    let results = world.create_many(&specs);
    assert_eq!(results.len(), 20);
    for (n, (spec, result)) in specs.iter().zip(&results).enumerate() {
        match result {
            Ok(tenant) => assert_eq!(tenant.id(), &spec.id),
            Err(error) => assert!(
                n == 3 && error.to_string().contains("exists"),
                "{n}: {error}"
            ),
        }
        assert_eq!(world.said(&format!("t{n}.app.test")), format!("t{n}"));
    }
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    assert_eq!(world.files().len(), 20);
    assert!(world.create_many(&[]).is_empty());
}

#[test]
fn a_suspended_tenant_is_refused_by_the_next_request_and_let_in_again() {
    let world = World::new();
    let acme = world.made("acme");
    assert_eq!(world.said("acme.app.test"), "acme");
    world.suspend(acme.id()).expect("suspended");
    assert_eq!(world.said("acme.app.test"), "suspended");
    // Status is the resolver's affair: an operator may still work in it.
    let scope = world.enter(acme.id()).expect("an operator may");
    mark(
        &world.checkout_current().expect("a connection"),
        "by the operator",
    );
    drop(scope);
    world.resume(acme.id()).expect("resumed");
    assert_eq!(world.said("acme.app.test"), "acme");
}

#[test]
fn a_tenant_in_maintenance_is_refused_with_its_message() {
    let world = World::new();
    let acme = world.made("acme");
    let mut down = Maintenance::default();
    down.message = Some("back at noon".into());
    down.retry_after = Some(Duration::from_secs(60));
    world.down(acme.id(), down).expect("down");
    let error = world.ask("acme.app.test").expect_err("it is down");
    assert_eq!(
        (error.status(), error.retry_after()),
        (503, Some(Duration::from_secs(60)))
    );
    assert!(error.to_string().contains("back at noon"), "{error}");
    let acme = world.up(acme.id()).expect("up");
    assert_eq!(acme.maintenance(), None);
    assert_eq!(world.said("acme.app.test"), "acme");
}

#[test]
fn suspension_and_maintenance_are_independent_and_repeatable() {
    let world = World::new();
    let acme = world.made("acme");
    let id = acme.id();
    let mut down = Maintenance::default();
    down.message = Some("back at noon".into());
    type Step<'a> = &'a dyn Fn() -> Result<tenancy::Tenant, Error>;
    let (suspend, resume): (Step<'_>, Step<'_>) = (&|| world.suspend(id), &|| world.resume(id));
    let (take_down, up): (Step<'_>, Step<'_>) =
        (&|| world.down(id, down.clone()), &|| world.up(id));
    // One fact stays whatever is done to the other; suspension is the stronger word.
    for (step, says) in [
        (resume, "acme"),
        (up, "acme"),
        (take_down, "maintenance"),
        (suspend, "suspended"),
        (up, "suspended"),
        (take_down, "suspended"),
        (resume, "maintenance"),
        (suspend, "suspended"),
        (resume, "maintenance"),
        (up, "acme"),
        (suspend, "suspended"),
        (take_down, "suspended"),
        (resume, "maintenance"),
        (up, "acme"),
    ] {
        let once = step().expect(says);
        assert_eq!(world.said("acme.app.test"), says);
        assert_eq!(step().expect(says).version(), once.version(), "{says}");
    }
    // Another message is no repetition.
    world.down(id, down.clone()).expect("down");
    down.message = Some("back at one".into());
    let told = world.down(id, down.clone()).expect("told anew");
    assert_eq!(told.maintenance(), Some(&down));
}

#[test]
fn a_change_that_does_not_fit_the_status_changes_nothing() {
    let world = World::new();
    let acme = world.made("acme");
    let (id, nobody) = (acme.id(), id("nobody"));
    for (result, says) in [
        (world.suspend(&nobody), "there is no tenant nobody"),
        (world.tenant(&nobody), "there is no tenant nobody"),
    ] {
        let error = result.expect_err(says);
        assert!(error.to_string().starts_with(says), "{error}");
    }
    assert_eq!(
        world.tenant(id).expect("a tenant").version(),
        acme.version()
    );
}

#[test]
fn a_destroyed_tenant_is_gone_with_its_names_and_files() {
    let world = World::new();
    let acme = world
        .create(TenantSpec::new(id("acme")).name("shop.example"))
        .expect("a tenant");
    mark(&world.checkout(&acme).expect("a connection"), "old");
    world.destroy(acme.id(), SOON).expect("nothing is out");
    assert_eq!(world.said("acme.app.test"), "unknown_tenant");
    assert_eq!(world.said("shop.example"), "no_tenant");
    assert!(world.files().is_empty());
    world.checkout(&acme).expect_err("its handle opens nothing");
    assert!(world.files().is_empty(), "and makes nothing");
    let again = world.destroy(acme.id(), SOON).expect_err("it is gone");
    assert!(
        matches!(again, Error::Write(WriteError::Unknown { .. })),
        "{again}"
    );
}

#[test]
fn a_destruction_waits_for_checked_out_connections() {
    let world = World::new();
    let acme = world.made("acme");
    let out = world.checkout(&acme).expect("a connection");
    let error = world.destroy(acme.id(), SOON).expect_err("one is out");
    assert!(matches!(error, Error::Close(_)), "{error}");
    assert_eq!(world.said("acme.app.test"), "not_ready");
    mark(&out, "an acknowledged write is not lost under a worker");
    let refused = world.checkout(&acme).expect_err("it is closed");
    assert!(matches!(refused, CheckoutError::Closed { .. }), "{refused}");
    drop(out);
    world
        .destroy(acme.id(), SOON)
        .expect("it goes on from there");
    assert_eq!(world.said("acme.app.test"), "unknown_tenant");
}

#[test]
fn a_destruction_that_crashed_is_completed_by_calling_it_again() {
    for at in [FailAt::Destroy, FailAt::AfterDestroy] {
        let world = World::new();
        let acme = world.made("acme");
        world.fail_at(at);
        world
            .destroy(acme.id(), SOON)
            .expect_err("it is told to fail");
        let world = world.restart();
        assert_eq!(world.said("acme.app.test"), "not_ready", "{at:?}");
        world.fail_at(FailAt::Never);
        world
            .destroy(acme.id(), SOON)
            .unwrap_or_else(|error| panic!("{at:?}: {error}"));
        assert!(world.files().is_empty(), "{at:?}");
    }
}

#[test]
fn a_tenant_created_anew_never_sees_what_its_predecessor_had() {
    let world = World::new();
    let first = world.made("acme");
    for round in 0..3 {
        let acme = world.tenant(first.id()).expect("a tenant");
        let connection = world.checkout(&acme).expect("a connection");
        assert!(marks(&connection).is_empty(), "round {round}");
        mark(&connection, &format!("secret of round {round}"));
        drop(connection);
        world.destroy(acme.id(), SOON).expect("nothing is out");
        let anew = world.made("acme");
        assert_eq!(anew.epoch(), acme.epoch().next(), "round {round}");
        assert_ne!(
            anew.placement(),
            acme.placement(),
            "a file name is never used again"
        );
        world
            .checkout(&acme)
            .expect_err("the old handle is of an earlier incarnation");
    }
    assert_eq!(world.files().len(), 1);
}

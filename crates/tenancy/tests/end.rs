//! Retired, revived, destroyed.

use std::time::{Duration, Instant};

use tenancy::catalog::{CatalogWriter, NewTenant, Provisioner, TenantChange, WriteError};
use tenancy::pool::CheckoutError;
use tenancy::{Error, TenantSpec, TenantStatus};

use crate::util::{FailAt, World, at, id, mark, marks};

const SOON: Duration = Duration::from_millis(20);

impl World {
    fn retire_soon(&self, name: &str) -> Result<(), Error> {
        self.retire(&id(name), SOON).map(drop)
    }

    fn destroy_soon(&self, name: &str) -> Result<(), Error> {
        self.destroy(&id(name), SOON)
    }
}

#[test]
fn a_retired_tenant_is_refused_keeps_its_names_and_comes_back_as_it_was() {
    let world = World::new();
    let spec = TenantSpec::new(id("acme")).attribute("plan", "pro");
    let acme = world.create(spec.name("shop.example")).expect("a tenant");
    mark(&world.checkout(&acme).expect("a connection"), "kept");
    for _ in 0..2 {
        let retired = world.retire(acme.id(), SOON).expect("nothing is out");
        assert_eq!(retired.status(), TenantStatus::Retiring);
        assert_eq!(world.said("acme.app.test"), "not_ready");
        assert_eq!(world.said("shop.example"), "not_ready");
        assert!(world.files().is_empty());
        for handle in [&acme, &retired] {
            let refused = world.checkout(handle).expect_err("it is closed");
            assert!(matches!(refused, CheckoutError::Closed { .. }), "{refused}");
        }
        let taken = world.create(id("acme")).expect_err("its id is its own");
        assert!(taken.to_string().contains("exists already"), "{taken}");
    }
    let revived = world.revive(acme.id()).expect("it is in the trash");
    assert_eq!(
        (revived.status(), revived.epoch(), revived.attribute("plan")),
        (TenantStatus::Active, acme.epoch(), Some("pro"))
    );
    assert_eq!(world.said("shop.example"), "acme");
    // Same incarnation: handles from before are good again.
    mark(&world.checkout(&acme).expect("a connection"), "later");
    let connection = world.checkout(&revived).expect("a connection");
    assert_eq!(marks(&connection), ["kept", "later"]);
}

#[test]
fn only_a_retired_tenant_is_revived_and_only_a_made_one_retired() {
    let world = World::new();
    let acme = world.made("acme");
    let mut begun = NewTenant::new(id("begun"));
    begun.status = TenantStatus::Provisioning;
    let catalog = world.catalog();
    catalog
        .insert(begun, &tenancy::catalog::Actor::new("dead"))
        .expect("a row");
    for (result, says) in [
        (
            world.revive(acme.id()),
            "tenant acme has status active, but this operation needs status retiring",
        ),
        (
            world.retire(&id("begun"), SOON),
            "tenant begun has status provisioning, but this operation needs status active, suspended or retiring",
        ),
        (
            world.retire(&id("nobody"), SOON),
            "there is no tenant nobody",
        ),
    ] {
        let error = result.expect_err(says);
        assert!(error.to_string().starts_with(says), "{error}");
    }
    assert_eq!(world.said("acme.app.test"), "acme");
}

#[test]
fn a_tenant_of_every_status_can_be_destroyed() {
    let world = World::new();
    for status in TenantStatus::ALL {
        let acme = world.made("acme");
        let change = TenantChange::status(status);
        let by = tenancy::catalog::Actor::new("test");
        let catalog = world.catalog();
        catalog
            .update(acme.id(), acme.version(), change, &by)
            .expect("a status");
        world
            .destroy(acme.id(), SOON)
            .unwrap_or_else(|error| panic!("{status}: {error}"));
        assert!(world.files().is_empty(), "{status}");
    }
    let acme = world.made("acme");
    world.retire(acme.id(), SOON).expect("nothing is out");
    world.destroy(acme.id(), SOON).expect("also from the trash");
    let trash = std::fs::read_dir(world.root.path().join("trash")).expect("the trash");
    assert_eq!(trash.count(), 0);
    let epochs = TenantStatus::ALL.len() as u64 + 2;
    assert_eq!(world.made("acme").epoch().get(), epochs);
}

#[test]
fn a_checked_out_connection_keeps_its_tenant_from_the_trash() {
    let world = World::new();
    let acme = world.made("acme");
    let out = world.checkout(&acme).expect("a connection");
    let error = world.retire(acme.id(), SOON).expect_err("one is out");
    assert!(matches!(error, Error::Close(_)), "{error}");
    mark(&out, "an acknowledged write is not lost");
    drop(out);
    // Whoever changes his mind.
    let acme = world.revive(acme.id()).expect("it was never gone");
    let kept = marks(&world.checkout(&acme).expect("a connection"));
    assert_eq!(kept, ["an acknowledged write is not lost"]);
}

/// Two processes: two tenancies over one root, each with pools of its own.
#[test]
fn idle_connections_of_another_process_are_closed_by_its_upkeep() {
    let world = World::new();
    let acme = world.made("acme");
    let other = world.beside();
    assert_eq!(other.said("acme.app.test"), "acme");
    mark(&other.checkout(&acme).expect("a connection"), "theirs");
    // It does not know yet, and keeps its connection.
    let error = world
        .retire(acme.id(), SOON)
        .expect_err("one is idle there");
    assert!(matches!(error, Error::Provision(_)), "{error}");
    std::thread::scope(|scope| {
        let retiring = scope.spawn(|| world.retire(acme.id(), Duration::from_secs(20)));
        other.maintain();
        retiring.join().expect("no panic").expect("it is closed");
    });
    assert_eq!(other.said("acme.app.test"), "not_ready");
    other.checkout(&acme).expect_err("its file is in the trash");
    world.revive(acme.id()).expect("it comes back");
    other.maintain();
    assert_eq!(other.said("acme.app.test"), "acme");
    let began = Instant::now();
    // The failure of a moment ago is remembered for as long as the pools say.
    let connection = loop {
        match other.checkout(&acme) {
            Ok(connection) => break connection,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(10), "{error}"),
        }
    };
    assert_eq!(marks(&connection), ["theirs"]);
}

#[test]
fn a_retirement_or_a_revival_that_crashed_is_completed_by_calling_it_again() {
    for at in [
        FailAt::Retire,
        FailAt::AfterRetire,
        FailAt::Revive,
        FailAt::AfterRevive,
    ] {
        let world = World::new();
        let acme = world.made("acme");
        mark(&world.checkout(&acme).expect("a connection"), "kept");
        world.fail_at(at);
        let failed = world.retire(acme.id(), SOON).is_err();
        let failed = failed || world.revive(acme.id()).is_err();
        assert!(failed, "{at:?} was never reached");
        let world = world.restart();
        assert_eq!(world.said("acme.app.test"), "not_ready", "{at:?}");
        world.fail_at(FailAt::Never);
        let retired = world.retire(acme.id(), SOON);
        retired.unwrap_or_else(|error| panic!("{at:?}: {error}"));
        assert!(world.files().is_empty(), "{at:?}");
        let acme = world.revive(acme.id());
        let acme = acme.unwrap_or_else(|error| panic!("{at:?}: {error}"));
        let kept = marks(&world.checkout(&acme).expect("a connection"));
        assert_eq!(kept, ["kept"], "{at:?}");
    }
}

/// The reviver comes between the row and the file of one who retires.
#[test]
fn a_revival_during_a_retirement_wins() {
    for end in [World::retire_soon, World::destroy_soon] {
        let world = World::new();
        let acme = world.made("acme");
        mark(&world.checkout(&acme).expect("a connection"), "kept");
        let other = world.beside();
        world.when(FailAt::Retire, move || {
            other.revive(&id("acme")).expect("it is retiring");
        });
        let error = end(&world, "acme").expect_err("somebody was faster");
        let told = matches!(error, Error::Write(WriteError::Conflict { .. }));
        assert!(told, "{error}");
        let acme = world.tenant(acme.id()).expect("a tenant");
        assert_eq!(acme.status(), TenantStatus::Active);
        let kept = marks(&world.checkout(&acme).expect("a connection"));
        assert_eq!(kept, ["kept"]);
    }
}

/// Whoever retires and whoever revives at the same moment: the tenant ends as one of
/// them left it, with its file where its status says, and no row is lost.
#[test]
fn concurrent_retire_and_revive_end_in_one_of_the_two_states() {
    let world = World::new();
    let other = world.beside();
    let acme = world.made("acme");
    mark(&world.checkout(&acme).expect("a connection"), "kept");
    for round in 0..30 {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = world.retire(acme.id(), Duration::from_secs(5));
            });
            scope.spawn(|| {
                for _ in 0..3 {
                    let _ = other.revive(acme.id());
                }
            });
        });
        other.maintain();
        world.maintain();
        let now = world.tenant(acme.id()).expect("a tenant");
        let there = world.pools().driver().exists(&now).expect("an answer");
        if now.status() == TenantStatus::Active {
            assert!(there, "round {round}: active without its file");
        } else {
            world
                .revive(acme.id())
                .unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        world.pools().reopen(acme.id());
        let kept = marks(&world.checkout(&acme).expect("a connection"));
        assert_eq!(kept, ["kept"], "round {round}");
    }
}

/// Under load, over and over: whoever reads as tenant `acme` never sees a row of an
/// incarnation before his own.
#[test]
fn a_recreated_tenant_never_sees_an_old_row_under_load() {
    let rounds = std::env::var("TENANCY_RACES").map_or(100, |text| text.parse().expect("a number"));
    let world = World::new();
    let acme = id("acme");
    world.made("acme");
    let done = std::sync::atomic::AtomicBool::new(false);
    let seen = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let Ok(Some(tenant)) = world.ask("acme.app.test") else {
                        std::thread::yield_now();
                        continue;
                    };
                    let Ok(connection) = world.checkout(&tenant) else {
                        continue;
                    };
                    let own = tenant.epoch().to_string();
                    mark(&connection, &own);
                    for found in marks(&connection) {
                        assert_eq!(found, own, "a row of another incarnation");
                    }
                    seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
        for round in 0..rounds {
            let gone = world.destroy(&acme, Duration::from_secs(20));
            gone.unwrap_or_else(|error| panic!("round {round}: {error}"));
            world.made("acme");
            // Each incarnation is seen, on a busy machine too.
            let before = seen.load(std::sync::atomic::Ordering::Relaxed);
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            while seen.load(std::sync::atomic::Ordering::Relaxed) == before
                && std::time::Instant::now() < deadline
            {
                std::thread::yield_now();
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let seen = seen.into_inner();
    println!("{rounds} times destroyed and created, {seen} looks");
    assert!(seen >= rounds, "{seen} looks in {rounds} rounds");
    let epoch = world.tenant(&acme).expect("a tenant").epoch().get();
    assert_eq!(epoch, rounds as u64 + 1);
}

#[test]
fn a_row_that_vanished_while_its_database_was_made_leaves_no_file() {
    let world = World::new();
    let catalog = at(world.root.path())
        .open()
        .expect("a root")
        .catalog()
        .clone();
    world.when(FailAt::BeforeProvision, move || {
        let begun = catalog.page(None, 1).expect("rows").remove(0);
        let by = tenancy::catalog::Actor::new("somebody");
        let removed = catalog.remove(begun.id(), begun.version(), &by);
        removed.expect("it is there");
    });
    let error = world.create(id("acme")).expect_err("its row is gone");
    assert!(
        matches!(error, Error::Write(WriteError::Unknown { .. })),
        "{error}"
    );
    assert!(world.files().is_empty());
}

/// The config's way of opening takes up what a killed process left, if it is alone.
#[test]
fn a_retirement_that_was_cut_off_is_completed_at_the_next_start() {
    let world = World::new();
    world.made("acme");
    let root = world.root.clone();
    let file = root.path().join("tenancy.toml");
    let text = "[storage]\nroot = \".\"\n[resolve]\nrules = [\"domain\"]\n";
    std::fs::write(&file, text).expect("a config");
    let config = tenancy::Config::load(file).expect("a config");
    world.fail_at(FailAt::Retire);
    world.retire(&id("acme"), SOON).expect_err("told to fail");
    // Somebody is at work there: he is not disturbed.
    drop(tenancy::Tenancy::from_config(&config).expect("a tenancy"));
    assert_eq!(world.files().len(), 1);
    drop(world);
    let tenancy = tenancy::Tenancy::from_config(&config).expect("a tenancy");
    let acme = tenancy.tenant(&id("acme")).expect("a tenant");
    assert_eq!(acme.status(), TenantStatus::Retiring);
    assert!(!tenancy.pools().driver().exists(&acme).expect("an answer"));
    tenancy.revive(acme.id()).expect("it is in the trash");
}

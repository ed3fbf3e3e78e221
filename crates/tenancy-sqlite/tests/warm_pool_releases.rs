//! WarmPools of several releases, and of those who were killed.

use r2d2::ManageConnection;
use tenancy_core::{Provisioner, TenantStatus};
use tenancy_fleet::FleetOptions;
use tenancy_pool::Driver;
use tenancy_sqlite::{Migration, Migrations};

use crate::util::{at, notes};
use crate::warm_pool::{Shop, by, sign_up};

/// One migration more than [`notes`].
pub fn more() -> Migrations {
    let step = Migration::new("more", "CREATE TABLE more (x)");
    Migrations::new(notes().iter().cloned().chain([step])).unwrap()
}

#[test]
fn databases_of_older_migrations_are_removed_and_those_of_newer_ones_stay() {
    let shop = Shop::new();
    shop.fleet.fill_warm_pool(3, &by()).unwrap();
    let old = shop.files();
    let acme = sign_up(&shop.fleet, "acme");
    let newer = shop.release(more());
    let filled = newer.fill_warm_pool(2, &by()).unwrap();
    assert_eq!((filled.ready, filled.made, filled.removed), (2, 2, 2));
    let files = shop.files();
    assert_eq!(files.len(), 3);
    let kept: Vec<_> = files.iter().filter(|file| old.contains(file)).collect();
    assert_eq!(kept.len(), 1, "acme's");
    let validation = shop.validate();
    assert_eq!((validation.warm_pool, validation.other_warm_pool), (0, 2));
    // The older release lets it be, and makes none that the newer one would remove.
    let filled = shop.fleet.fill_warm_pool(3, &by()).unwrap();
    assert_eq!((filled.ready, filled.made, filled.removed), (0, 0, 0));
    assert_eq!(shop.files(), files);
    let none = shop.fleet.fill_warm_pool(0, &by()).unwrap();
    assert_eq!(none.removed, 2);
    assert_eq!(shop.files().len(), 1);
    // acme, taken from the warm pool and never opened, is migrated like everybody.
    let options = FleetOptions::new();
    assert!(newer.migrate(&options, |_| {}).unwrap().is_complete());
    let connection = newer.driver().manager(&acme).connect().unwrap();
    connection
        .execute("INSERT INTO more VALUES (1)", [])
        .unwrap();
    assert_eq!(shop.stamp(&acme).0, "acme");
}

/// Two programs of one schema version, or scripts of one number and other content: who
/// came second waits for an hour, so that they do not remove each other's in turn.
#[test]
fn a_release_with_other_migrations_of_one_version_fills_the_pool_after_an_hour() {
    let shop = Shop::new();
    let first = notes().iter().next().unwrap().clone();
    let edited = [first, Migration::new("marks", "CREATE TABLE marks (x)")];
    let edited = shop.release(Migrations::new(edited).unwrap());
    let driver = at(shop.root.dir.path()).page_size(8192);
    let pages = driver.migrations(notes()).open_driver().unwrap();
    assert_ne!(pages.fingerprint(), shop.root.driver.fingerprint());
    shop.fleet.fill_warm_pool(1, &by()).unwrap();
    let rounds = [(0, (0, 0)), (50, (0, 0)), (70, (1, 1)), (0, (0, 0))];
    for (round, (minutes, want)) in rounds.into_iter().enumerate() {
        shop.turn_back(minutes * 60_000);
        let filled = edited.fill_warm_pool(1, &by()).unwrap();
        assert_eq!((filled.made, filled.removed), want, "{round}");
        let ours = shop.fleet.fill_warm_pool(1, &by()).unwrap();
        assert_eq!(ours.removed, 0, "{round}");
        let row = sign_up(&edited, &format!("t{round}"));
        let filled = row.status() == TenantStatus::Active;
        assert_eq!(filled, want.0 == 1, "{round}");
        shop.fleet.fill_warm_pool(1, &by()).unwrap();
    }
}

/// A release that was taken back does not leave a warm pool that nobody takes from.
#[test]
fn databases_of_a_newer_release_are_removed_after_an_hour() {
    let shop = Shop::new();
    shop.release(more()).fill_warm_pool(2, &by()).unwrap();
    let filled = shop.fleet.fill_warm_pool(3, &by()).unwrap();
    assert_eq!((filled.ready, filled.removed), (0, 0));
    shop.turn_back(70 * 60_000);
    let filled = shop.fleet.fill_warm_pool(3, &by()).unwrap();
    assert_eq!((filled.ready, filled.made, filled.removed), (3, 3, 2));
}

/// An odd file is told of, and is in nobody's way.
#[test]
fn a_file_that_cannot_be_removed_leaves_the_others_alone() {
    let shop = Shop::new();
    shop.fleet.fill_warm_pool(3, &by()).unwrap();
    let odd = shop.root.dir.path().join("tenants").join(&shop.files()[0]);
    std::fs::remove_file(&odd).unwrap();
    std::fs::create_dir(&odd).unwrap();
    let newer = shop.release(more());
    let error = newer.fill_warm_pool(1, &by()).unwrap_err();
    assert!(error.to_string().contains("a directory"), "{error}");
    assert_eq!(shop.files().len(), 0, "{:?}", shop.files());
    let filled = newer.fill_warm_pool(1, &by()).unwrap();
    assert_eq!((filled.made, filled.removed), (1, 0));
    std::fs::remove_dir(&odd).unwrap();
    shop.turn_back(2 * 60_000);
    let filled = newer.fill_warm_pool(1, &by()).unwrap();
    assert_eq!((filled.made, filled.removed), (0, 1));
}

/// What is being made at this moment is not taken away under its maker's hands. What
/// was begun a minute ago, or a clock that was set back has in the future, is.
#[test]
fn a_pending_database_is_left_to_its_process_for_a_minute() {
    for minutes in [-2, 2] {
        let shop = Shop::new();
        shop.fleet.fill_warm_pool(2, &by()).unwrap();
        let raw = rusqlite::Connection::open(shop.fleet.catalog().path()).unwrap();
        let sql = "UPDATE stock SET ready = 0, at_ms = unixepoch() * 1000";
        raw.execute(sql, []).unwrap();
        assert_eq!(shop.fleet.fill_warm_pool(2, &by()).unwrap().ready, 0);
        let newer = shop.release(more());
        assert_eq!(newer.fill_warm_pool(1, &by()).unwrap().removed, 0);
        assert_eq!(shop.files().len(), 3);
        shop.turn_back(minutes * 60_000);
        assert_eq!(newer.fill_warm_pool(1, &by()).unwrap().removed, 2);
        assert_eq!(shop.files().len(), 1);
        raw.execute("UPDATE stock SET ready = 0", []).unwrap();
        shop.turn_back(minutes * 60_000);
        let filled = newer.fill_warm_pool(1, &by()).unwrap();
        assert_eq!((filled.ready, filled.made), (1, 1), "{minutes}");
        assert_eq!(shop.files().len(), 1);
    }
}

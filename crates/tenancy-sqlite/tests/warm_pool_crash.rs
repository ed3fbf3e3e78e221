//! Filling the warm pool and taking from it, killed at any step.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex};

use tenancy_core::{CatalogWriter, TenantStatus};
use tenancy_sqlite::{Migrations, SqliteStorage};

use crate::util::{Root, at, child, files_below, notes};
use crate::warm_pool::{Shop, asking, by};

/// What is filled up, and what an older release had left, which is removed first.
const WANTED: usize = 3;
const OLD: usize = 2;

fn old() -> Migrations {
    Migrations::new(notes().iter().take(1).cloned()).unwrap()
}

/// A root with the warm pool of an older release.
fn prepared() -> Root {
    let root = Root::with(|builder| builder.migrations(old()));
    let shop = Shop::of(root);
    assert_eq!(shop.fleet.fill_warm_pool(OLD, &by()).unwrap().made, OLD);
    shop.root
}

fn open(
    root: &str,
    on_step: impl Fn(&'static str) -> std::io::Result<()> + Send + Sync + 'static,
) -> SqliteStorage {
    let driver = at(root).migrations(notes());
    driver.on_step(on_step).open().unwrap()
}

fn steps() -> Vec<&'static str> {
    let dir = prepared().close();
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = steps.clone();
    let storage = open(dir.path().to_str().unwrap(), move |name| {
        seen.lock().unwrap().push(name);
        Ok(())
    });
    storage.fleet().fill_warm_pool(WANTED, &by()).unwrap();
    let steps = steps.lock().unwrap();
    steps.clone()
}

/// The child: lives until its step.
pub fn fill_and_die(arguments: &[String]) {
    let [root, at] = arguments else {
        panic!("root, at")
    };
    let left = Mutex::new(at.parse::<usize>().unwrap());
    let storage = open(root, move |_| {
        let mut left = left.lock().unwrap();
        if *left == 0 {
            let this = rustix::process::getpid();
            rustix::process::kill_process(this, rustix::process::Signal::KILL)?;
        }
        *left -= 1;
        Ok(())
    });
    storage.fleet().fill_warm_pool(WANTED, &by()).unwrap();
}

/// What was begun lapses after a minute; here at once.
fn let_lapse(dir: &std::path::Path) {
    let raw = rusqlite::Connection::open(dir.join("catalog.db")).unwrap();
    raw.execute("UPDATE stock SET at_ms = 0", []).unwrap();
}

/// All that there is fits together, and the warm pool is full.
fn assert_full(root: Root, context: &str) {
    let shop = Shop::of(root);
    let fleet = open(shop.root.dir.path().to_str().unwrap(), |_| Ok(())).fleet();
    let filled = fleet.fill_warm_pool(WANTED, &by()).unwrap();
    assert_eq!((filled.ready, filled.made), (WANTED, 0), "{context}");
    assert_eq!(shop.files().len(), WANTED, "{context}: {:?}", shop.files());
    let staged = files_below(&shop.root.dir.path().join("staging"));
    assert!(staged.is_empty(), "{context}: {staged:?}");
    let shop = Shop {
        fleet,
        root: shop.root,
    };
    let validation = shop.validate();
    assert!(
        validation.is_sound(),
        "{context}: {:?}",
        validation.findings
    );
    for n in 0..WANTED {
        let new = asking(&shop.fleet, &format!("t{n}"));
        let tenant = shop.fleet.catalog().insert(new, &by()).unwrap();
        assert_eq!(tenant.status(), TenantStatus::Active, "{context}");
        use r2d2::ManageConnection;
        use tenancy_pool::Driver;
        let connection = shop.fleet.driver().manager(&tenant).connect().unwrap();
        let sql = "INSERT INTO notes (text, mark) VALUES ('x', 1)";
        connection.execute(sql, []).unwrap();
    }
    shop.fleet.catalog().check_events().unwrap().unwrap();
}

#[test]
fn a_filling_that_is_killed_at_any_step_is_taken_up_by_the_next() {
    let steps = steps();
    let names: BTreeSet<_> = steps.iter().copied().collect();
    let expected = [
        "clear what others staged",
        "close",
        "close the stamp",
        "list the warm pool",
        "make the warm pool",
        "put in place",
        "remove",
        "stage",
        "strike off the warm pool",
        "sync the staged batch",
    ];
    assert!(names.iter().eq(&expected), "{names:?}");
    println!("{} steps", steps.len());
    for (at, step) in steps.iter().enumerate() {
        let dir = prepared().close();
        let path = dir.path().to_str().unwrap().to_owned();
        let child = child::start("warm_pool", &[&path, &at.to_string()]);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(9), "{step}: {output:?}");
        // Nothing that a validation would complain of, at any moment.
        let storage = open(&path, |_| Ok(()));
        let shop = Shop::of(Root::of(storage, dir));
        let validation = shop.validate();
        assert!(validation.is_sound(), "{step}: {:?}", validation.findings);
        let_lapse(shop.root.dir.path());
        shop.fleet.fill_warm_pool(WANTED, &by()).unwrap();
        assert_full(shop.root, step);
    }
}

#[test]
fn a_filling_that_fails_at_any_step_is_taken_up_by_the_next() {
    for (at, step) in steps().into_iter().enumerate() {
        let dir = prepared().close();
        let path = dir.path().to_str().unwrap().to_owned();
        let left = Mutex::new(at);
        let failing = open(&path, move |_| {
            let mut left = left.lock().unwrap();
            *left = left.wrapping_sub(1);
            match *left {
                usize::MAX => Err(std::io::Error::other("no space left")),
                _ => Ok(()),
            }
        });
        let fleet = failing.fleet();
        assert!(fleet.fill_warm_pool(WANTED, &by()).is_err(), "{step}");
        let_lapse(dir.path());
        fleet.fill_warm_pool(WANTED, &by()).unwrap();
        drop(fleet);
        assert_full(Root::of(failing, dir), step);
    }
}

/// Nobody was alone since, who would have put in place what was staged.
#[test]
fn a_file_staged_by_a_killed_fill_is_not_recovered_after_its_removal() {
    let root = prepared();
    let path = root.dir.path().to_str().unwrap().to_owned();
    let at = steps().iter().position(|step| *step == "put in place");
    let child = child::start("warm_pool", &[&path, &at.unwrap().to_string()]);
    child.wait_with_output().unwrap();
    let_lapse(root.dir.path());
    let shop = Shop::of(root);
    assert!(!files_below(&shop.root.dir.path().join("staging")).is_empty());
    assert_eq!(shop.fleet.fill_warm_pool(0, &by()).unwrap().removed, WANTED);
    let Shop { root, fleet } = shop;
    drop(fleet);
    let dir = root.close();
    let storage = SqliteStorage::open(dir.path()).unwrap();
    assert!(storage.driver().was_alone());
    let shop = Shop::of(Root::of(storage, dir));
    assert!(shop.validate().is_sound(), "{:?}", shop.validate().findings);
}

/// What is begun and not lapsed is somebody's who is alive.
#[test]
fn databases_that_another_process_makes_are_not_touched() {
    let dir = prepared().close();
    let path = dir.path().to_str().unwrap().to_owned();
    let at = steps().iter().position(|step| *step == "stage").unwrap();
    let child = child::start("warm_pool", &[&path, &at.to_string()]);
    child.wait_with_output().unwrap();
    let fleet = open(&path, |_| Ok(())).fleet();
    let filled = fleet.fill_warm_pool(WANTED, &by()).unwrap();
    assert_eq!((filled.ready, filled.made), (0, 0));
}

/// Children that sign up tenants as fast as they can, all from one warm pool.
pub fn sign_up(arguments: &[String]) {
    let [root, name, count] = arguments else {
        panic!("root, name, count")
    };
    let fleet = open(root, |_| Ok(())).fleet();
    child::wait_for_the_other(root);
    for n in 0..count.parse::<usize>().unwrap() {
        let new = asking(&fleet, &format!("{name}{n}"));
        fleet.catalog().insert(new, &by()).unwrap();
    }
}

#[test]
fn two_processes_never_take_the_same() {
    let root = Root::new();
    let shop = Shop::of(root);
    shop.fleet.fill_warm_pool(50, &by()).unwrap();
    let path = shop.root.dir.path().to_str().unwrap().to_owned();
    let children = ["a", "b"].map(|name| child::start("sign-ups", &[&path, name, "30"]));
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let tenants = shop.fleet.catalog().page(None, 100).unwrap();
    let active: Vec<_> = tenants
        .iter()
        .filter(|tenant| tenant.status() == TenantStatus::Active)
        .collect();
    assert_eq!((tenants.len(), active.len()), (60, 50));
    let places: BTreeSet<_> = active.iter().map(|t| &t.placement().locator).collect();
    assert_eq!(places.len(), 50);
    for tenant in active {
        shop.root.connect(tenant).unwrap();
    }
}

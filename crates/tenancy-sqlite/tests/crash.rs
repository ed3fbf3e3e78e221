//! Killed at every step: nothing is lost, crossed or wedged.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tenancy_core::{
    Actor, Catalog, CatalogWriter, NewTenant, Provisioner, Tenant, TenantChange, TenantKey,
    TenantStatus,
};
use tenancy_sqlite::SqliteDriver;

use crate::util::{self, Root, at, catalog, child, files_below, notes};

/// What a facade does to create a tenant and to destroy another.
fn life(root: &Path, driver: &SqliteDriver) {
    let by = Actor::new("test");
    let catalog = catalog(root).unwrap();
    let acme = match catalog.lookup(TenantKey::Label("acme")).unwrap().value {
        Some(acme) => acme,
        None => {
            let mut new = NewTenant::new("acme".parse().unwrap());
            new.status = TenantStatus::Provisioning;
            new.placement = driver.place(&new.id).unwrap();
            catalog.insert(new, &by).unwrap()
        }
    };
    driver.provision(&acme).unwrap();
    if acme.status() == TenantStatus::Provisioning {
        let active = TenantChange::status(TenantStatus::Active);
        let acme = catalog.update(acme.id(), acme.version(), active, &by);
        acme.unwrap();
    }
    let old = catalog.lookup(TenantKey::Label("old")).unwrap().value;
    if let Some(old) = old {
        driver.destroy(&old).unwrap();
        catalog.remove(old.id(), old.version(), &by).unwrap();
    }
    let batch = [batch_tenant("b1", '1'), batch_tenant("b2", '2')];
    for made in driver.provision_many(&batch) {
        made.unwrap();
    }
}

fn batch_tenant(id: &str, digit: char) -> Tenant {
    let locator: String = std::iter::repeat_n(digit, 32).collect();
    let place = tenancy_core::Placement::new("sqlite", locator);
    let tenant = Tenant::builder(id.parse().unwrap()).placement(place);
    tenant.build().unwrap()
}

/// A root in which `old` waits to be destroyed.
fn prepared() -> Root {
    let root = Root::new();
    let catalog = catalog(root.dir.path()).unwrap();
    let mut new = NewTenant::new("old".parse().unwrap());
    new.placement = root.driver.place(&new.id).unwrap();
    let old = catalog.insert(new, &Actor::new("test")).unwrap();
    root.driver.provision(&old).unwrap();
    root
}

/// The child: lives until its step.
pub fn provision_and_die(arguments: &[String]) {
    let [root, step, count] = arguments else {
        panic!("root, step, count")
    };
    let (step, count) = (step.clone(), count.parse::<usize>().unwrap());
    let seen = Mutex::new(0);
    let driver = at(root)
        .migrations(notes())
        .on_step(move |name| {
            if name == step {
                let mut seen = seen.lock().unwrap();
                *seen += 1;
                if *seen == count {
                    let this = rustix::process::getpid();
                    rustix::process::kill_process(this, rustix::process::Signal::KILL)?;
                }
            }
            Ok(())
        })
        .open_driver();
    life(Path::new(root), &driver.unwrap());
}

/// The steps of [`life`], in order.
fn steps() -> Vec<&'static str> {
    let root = prepared();
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = steps.clone();
    let driver = at(root.dir.path())
        .migrations(notes())
        .on_step(move |name| {
            seen.lock().unwrap().push(name);
            Ok(())
        })
        .open_driver();
    life(root.dir.path(), &driver.unwrap());
    let steps = steps.lock().unwrap();
    steps.clone()
}

#[test]
fn a_process_killed_at_any_step_is_taken_up_by_the_next() {
    let steps = steps();
    let names: BTreeSet<_> = steps.iter().copied().collect();
    println!("{} steps: {names:?}", steps.len());
    let expected = [
        "clear what others staged",
        "close",
        "close the stamp",
        "put in place",
        "remove",
        "stage",
        "sync the staged batch",
        "sync the staged file",
    ];
    assert!(names.iter().eq(&expected), "{names:?}");
    for (at, step) in steps.iter().enumerate() {
        let count = steps[..=at].iter().filter(|s| *s == step).count();
        let dir = prepared().close();
        let path = dir.path().to_str().unwrap().to_owned();
        let child = child::start("provision", &[&path, step, &count.to_string()]);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.signal(),
            Some(9),
            "{step} {count}: {output:?}"
        );

        let storage = util::at(&path).migrations(notes()).open().unwrap();
        let staged = files_below(&dir.path().join("staging"));
        assert!(staged.is_empty(), "{step} {count}: {staged:?}");
        life(dir.path(), storage.driver());

        let root = Root::of(storage, dir);
        let catalog = catalog(root.dir.path()).unwrap();
        let tenants = catalog.page(None, 10).unwrap();
        let [acme] = &tenants[..] else {
            panic!("{step} {count}: {tenants:?}")
        };
        assert_eq!(acme.status(), TenantStatus::Active);
        for tenant in [acme, &batch_tenant("b1", '1'), &batch_tenant("b2", '2')] {
            let connection = root.connect(tenant);
            let connection = connection.unwrap_or_else(|e| panic!("{step} {count}: {e}"));
            connection
                .execute("INSERT INTO notes (text) VALUES ('x')", [])
                .unwrap();
        }
        let files = files_below(&root.dir.path().join("tenants"));
        assert_eq!(files.len(), 3, "{step} {count}: {files:?}");
        catalog.check_events().unwrap().unwrap();
    }
}

/// The same steps, but the call fails where the process died.
#[test]
fn a_step_that_fails_leaves_nothing_half_made() {
    for (at, step) in steps().into_iter().enumerate() {
        let dir = prepared().close();
        let left = Mutex::new(at);
        let failing = util::at(dir.path())
            .migrations(notes())
            .on_step(move |_| {
                let mut left = left.lock().unwrap();
                *left = left.wrapping_sub(1);
                if *left == usize::MAX {
                    return Err(std::io::Error::other("no space left"));
                }
                Ok(())
            })
            .open_driver()
            .unwrap();
        let life_fails = || life(dir.path(), &failing);
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(life_fails));
        assert!(failed.is_err(), "{step}");
        let staged = files_below(&dir.path().join("staging"));
        assert!(staged.is_empty(), "{step}: {staged:?}");
        // The same driver goes on.
        life(dir.path(), &failing);
        let files = files_below(&dir.path().join("tenants"));
        assert_eq!(files.len(), 3, "{step}: {files:?}");
    }
}

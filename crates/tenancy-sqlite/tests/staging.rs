//! What was left in staging, and how a lost rename is made again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tenancy_core::{Provisioner, Tenant};

use crate::util::{Root, at, files_below, notes};

/// Only files that this library named so are cleared, and only when nobody else
/// uses the root.
#[test]
fn staging_is_cleared_of_our_leftovers_alone() {
    let Root {
        storage,
        driver,
        dir,
    } = Root::new();
    let staging = dir.path().join("staging");
    let ours = "0123456789abcdef0123456789abcdef.1.db.0123456789abcdef.0123456789abcdef.new";
    let others = ["notes.txt", "x.1.db.0123456789abcdef.0123456789abcdef.new"];
    for name in [ours].iter().chain(&others) {
        fs::write(staging.join(name), "x").unwrap();
    }
    let second = at(dir.path()).open_driver().unwrap();
    assert_eq!(files_below(&staging).len(), 3, "another one uses the root");
    drop((storage, driver, second));
    let _third = at(dir.path()).open_driver().unwrap();
    assert_eq!(files_below(&staging), others);
}

/// A root whose `acme` has a file in place, and that file's name in staging.
fn staged() -> (Root, Tenant, PathBuf) {
    let name = Arc::new(Mutex::new(None));
    let dir = crate::util::quick_dir();
    let (seen, staging) = (name.clone(), dir.path().join("staging"));
    let driver = at(dir.path())
        .migrations(notes())
        .on_step(move |step| {
            if step == "put in place" {
                let names = files_below(&staging);
                *seen.lock().unwrap() = names.first().map(|name| staging.join(name));
            }
            Ok(())
        })
        .open();
    let root = Root::of(driver.unwrap(), dir).listed();
    let acme = root.made("acme");
    let name = name.lock().unwrap().take().unwrap();
    assert!(!name.exists());
    (root, acme, name)
}

fn restarted(root: Root) -> Root {
    let dir = root.close();
    let storage = at(dir.path()).migrations(notes()).open().unwrap();
    Root::of(storage, dir)
}

/// The rename into place is not waited for: a power cut may take it back.
#[test]
fn a_rename_that_was_lost_is_made_again_at_the_next_start() {
    let (root, acme, name) = staged();
    fs::rename(root.path(&acme), &name).unwrap();
    assert!(root.connect(&acme).is_err());
    let root = restarted(root);
    root.connect(&acme).unwrap();
    assert!(!name.exists());
}

#[test]
fn a_torn_file_is_never_put_in_place() {
    type Tear = fn(&mut Vec<u8>);
    let tears: [(&str, Tear); 4] = [
        ("empty", |bytes| bytes.clear()),
        ("shorter by a page", |bytes| {
            bytes.truncate(bytes.len() - 4096)
        }),
        ("a page of zeros", |bytes| bytes[8192..12288].fill(0)),
        ("two pages swapped", |bytes| {
            let (one, other) = bytes.split_at_mut(8192);
            one[4096..].swap_with_slice(&mut other[..4096]);
        }),
    ];
    for (what, tear) in tears {
        let (root, acme, name) = staged();
        let mut bytes = fs::read(root.path(&acme)).unwrap();
        fs::remove_file(root.path(&acme)).unwrap();
        tear(&mut bytes);
        fs::write(&name, bytes).unwrap();
        let root = restarted(root);
        assert!(!root.driver.exists(&acme).unwrap(), "{what}");
        assert!(!name.exists(), "{what}");
        // The creation is made again.
        root.driver.provision(&acme).unwrap();
        root.connect(&acme).unwrap();
    }
}

/// What a killed attempt left must not come back as an empty database.
#[test]
fn a_leftover_of_a_place_never_replaces_its_file() {
    let leave = |root: &Root, acme: &Tenant, name: &Path| {
        fs::copy(root.path(acme), name).unwrap();
    };
    // While it is in use.
    let (root, acme, name) = staged();
    leave(&root, &acme, &name);
    let insert = "INSERT INTO notes (text) VALUES ('kept')";
    root.connect(&acme).unwrap().execute(insert, []).unwrap();
    let root = restarted(root);
    let sql = "SELECT count(*) FROM notes";
    let count = root.connect(&acme).unwrap();
    let count: i64 = count.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!((count, name.exists()), (1, false));
    // While it is in the trash.
    let (root, acme, name) = staged();
    leave(&root, &acme, &name);
    root.driver.retire(&acme, Duration::ZERO).unwrap();
    let root = restarted(root);
    assert_eq!((root.path(&acme).exists(), name.exists()), (false, false));
    // And who completes the creation takes it away.
    let (root, acme, name) = staged();
    leave(&root, &acme, &name);
    fs::remove_file(root.path(&acme)).unwrap();
    root.driver.provision(&acme).unwrap();
    assert!(!name.exists());
}

/// SQLite writes the stamps one after the other into one page.
#[test]
fn a_new_file_holds_nothing_of_another_tenant() {
    let root = Root::new();
    let long = "a-tenant-whose-name-is-quite-a-bit-longer";
    let made = [long, "b", "some-third"].map(|id| root.made(id));
    for tenant in &made {
        let bytes = fs::read(root.path(tenant)).unwrap();
        for other in made.iter().filter(|other| *other != tenant) {
            let needle = other.id().as_str().as_bytes();
            let found = bytes.windows(needle.len()).any(|w| w == needle);
            assert!(!found || needle == b"b", "{tenant:?} has {other:?}");
        }
        assert!(
            !bytes.windows(8).any(|w| w == &long.as_bytes()[9..17]) || tenant.id().as_str() == long
        );
    }
}

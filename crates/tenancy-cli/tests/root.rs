//! What stands for the storage root, and what every command says of it.

use std::fs;
use std::path::Path;

use crate::util::{project, snapshot, tenancy, tenants};

/// One call of every command that opens the storage root.
const COMMANDS: [&[&str]; 20] = [
    &["create", "new"],
    &["list"],
    &["show", "acme"],
    &["domain", "list", "acme"],
    &["domain", "add", "acme", "x.example.org"],
    &["down", "acme"],
    &["up", "acme"],
    &["suspend", "acme"],
    &["resume", "acme"],
    &["sql", "acme", "SELECT 1"],
    &["retire", "acme"],
    &["revive", "acme"],
    &["destroy", "acme", "--yes"],
    &["migrate"],
    &["migrate", "--check"],
    &["rollback", "--steps", "1", "--yes"],
    &["status"],
    &["validate"],
    &["validate", "--fix"],
    &["resolve", "http://acme.localhost/"],
];

/// All that is said is an error of one line, and nothing is changed or made.
#[track_caller]
fn all_refuse(dir: &Path, code: i32, says: &str) {
    let before = snapshot(dir);
    for args in COMMANDS {
        let run = tenancy(dir, args);
        let context = format!("{args:?}: {run:?}");
        assert_eq!(run.code, code, "{context}");
        assert!(run.stderr.contains(says), "{context}");
        assert_eq!(run.stdout, "", "{context}");
        let same = snapshot(dir) == before;
        assert!(same, "{context}: something was changed");
    }
}

#[test]
fn a_root_that_is_not_there_is_made_by_no_command_but_init_and_create_init() {
    let dir = project();
    let data = dir.path().join("data");
    fs::rename(&data, dir.path().join("elsewhere")).expect("it is moved");
    all_refuse(dir.path(), 2, "does not exist; mount it, or make it");
    assert!(!data.exists());
    let rebuild = &["validate", "--rebuild"];
    tenancy(dir.path(), rebuild).refused(2, "does not exist");

    // An empty mount point.
    fs::create_dir(&data).expect("a directory");
    all_refuse(
        dir.path(),
        2,
        "is not a storage root, as it has no tenancy.root",
    );
    tenancy(dir.path(), rebuild).refused(2, "is not a storage root");
    assert_eq!(fs::read_dir(&data).expect("a directory").count(), 0);

    // A file.
    fs::remove_dir(&data).expect("it is empty");
    fs::write(&data, "").expect("a file");
    all_refuse(
        dir.path(),
        2,
        "is a file; a plain directory is needed there",
    );
    fs::remove_file(&data).expect("it is there");

    tenancy(dir.path(), &["create", "acme", "--init"]).ok();
    tenancy(dir.path(), &["create", "beta", "--init"]).ok();
    tenancy(dir.path(), &["list"]).ok();
}

#[test]
fn a_catalog_without_rows_beside_files_is_lost_for_every_command_but_the_rebuild() {
    let other = project();
    let fresh = other.path().join("data/catalog.db");
    for lose in ["missing", "empty", "new"] {
        let dir = project();
        tenants(dir.path(), &["acme", "beta"]);
        let catalog = dir.path().join("data/catalog.db");
        let says = match lose {
            "missing" => {
                fs::remove_file(&catalog).expect("removed");
                "is missing or empty, but there are tenants' files"
            }
            "empty" => {
                fs::write(&catalog, "").expect("emptied");
                "is missing or empty, but there are tenants' files"
            }
            _ => {
                fs::copy(&fresh, &catalog).expect("copied");
                "is missing or empty, but there are tenants' files"
            }
        };
        all_refuse(dir.path(), 1, says);
        tenancy(dir.path(), &["create", "new", "--init"]).refused(1, says);
        tenancy(dir.path(), &["validate", "--rebuild"]).ok();
        let ids = tenancy(dir.path(), &["list", "--json"]).ok().json_lines();
        let ids: Vec<_> = ids.iter().map(|row| row["id"].clone()).collect();
        assert_eq!(ids, ["acme", "beta"], "{lose}");
    }
}

#[test]
fn a_killed_init_is_completed_by_the_next() {
    let dir = project();
    fs::remove_file(dir.path().join("data/tenancy.root")).expect("its last step");
    all_refuse(dir.path(), 2, "is not a storage root");
    for name in [
        "tenancy.toml",
        "migrations/0001_init.sql",
        "migrations/0001_init.down.sql",
    ] {
        fs::remove_file(dir.path().join(name)).expect("not yet written");
    }
    tenancy(dir.path(), &["init"]).ok();
    tenancy(dir.path(), &["create", "acme"]).ok();
}

#[test]
fn a_marker_that_is_lost_beside_a_catalog_with_rows_is_made_again() {
    let dir = project();
    tenants(dir.path(), &["acme"]);
    let marker = dir.path().join("data/tenancy.root");
    let before = fs::read_to_string(&marker).expect("a marker");
    fs::remove_file(&marker).expect("it is there");
    tenancy(dir.path(), &["list"]).ok();
    assert_eq!(fs::read_to_string(&marker).expect("a marker"), before);
}

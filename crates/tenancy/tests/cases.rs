//! The cases that other projects' test suites hold: those of the catalog, the guard
//! and the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tenancy::Error;
use tenancy::catalog::{Actor, NewTenant, Placement, Proof, WriteError};
use tenancy::pool::CheckoutError;
use tenancy::sqlite::OpenError;

use crate::util::{World, id, mark};

/// Who else checks the rows of these kinds, or why nobody does.
const ELSEWHERE: [(&str, &str); 8] = [
    ("request", "checked through the binary, in tenancy-cli"),
    ("config_error", "checked through the binary, in tenancy-cli"),
    ("id", "checked in tenancy-core"),
    ("domain", "checked in tenancy-core"),
    ("host", "checked in tenancy-core"),
    ("path", "checked in tenancy-core"),
    ("session", "waits for the sign-in library"),
    ("out_of_scope", "each has its reason"),
];

#[test]
fn every_case_of_catalog_guard_and_file_holds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases/cases.jsonl");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let required = std::env::var("TENANCY_CORPORA").is_ok_and(|word| word == "required");
            assert!(!required, "{}: {error}", path.display());
            return println!("left out: {}: {error}", path.display());
        }
    };
    let mut rows = BTreeMap::<String, usize>::new();
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let word = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
        match word("id").as_str() {
            "C03" => a_domain_of_two(),
            "C15" => one_name_in_two_forms(),
            "G31" => another_is_current(),
            "L13" => a_file_that_is_the_catalog(),
            "N17" => a_file_that_is_a_link(),
            other => {
                let kind = word("kind");
                let known = ELSEWHERE.iter().any(|(listed, _)| *listed == kind);
                assert!(known, "case {other} of kind {kind} is not checked");
            }
        }
        *rows.entry(word("kind")).or_default() += 1;
    }
    for (kind, rows) in rows {
        let elsewhere = ELSEWHERE.iter().find(|(listed, _)| *listed == kind);
        println!(
            "{kind}: {rows} rows {}",
            elsewhere.map_or("checked", |(_, why)| why)
        );
    }
}

#[track_caller]
fn taken_by_t1(result: Result<tenancy::catalog::Name, Error>, name: &str) {
    let error = result.expect_err("the name is t1's");
    assert!(
        matches!(error, Error::Write(WriteError::NameTaken { .. })),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        format!("{name} is taken; choose another name, or have the operator move it")
    );
}

fn a_domain_of_two() {
    let world = World::new();
    world.made("t1");
    world
        .bind("foo.localhost", &id("t1"), Proof::Trusted)
        .expect("bound");
    world.made("t2");
    taken_by_t1(
        world.bind("foo.localhost", &id("t2"), Proof::Trusted),
        "foo.localhost",
    );
    assert_eq!(world.said("foo.localhost"), "t1");
}

fn one_name_in_two_forms() {
    let world = World::new();
    world.made("t1");
    // app.test is the base domain here.
    world
        .bind("foo.app.test", &id("t1"), Proof::Trusted)
        .expect("bound");
    world.made("t2");
    taken_by_t1(world.bind("FOO.app.test", &id("t2"), Proof::Trusted), "foo");
    assert_eq!(world.said("foo.app.test"), "t1");
}

fn another_is_current() {
    let world = World::new();
    world.made("foo");
    world.made("bar");
    let current = world
        .ask("foo.app.test")
        .expect("resolved")
        .expect("a tenant");
    let scope = current.enter().expect("nobody is current");
    let error = world.enter(&id("bar")).expect_err("foo is current");
    assert_eq!(
        error.to_string(),
        "tenant bar cannot be entered while foo is current; \
         drop that scope, or call `Tenant::switch` to cross on purpose"
    );
    drop(scope);
    drop(world.enter(&id("bar")).expect("nobody is current"));
}

fn a_file_that_is_the_catalog() {
    let world = World::new();
    let names = [
        "catalog.db",
        "catalog.db?mode=ro",
        "file:catalog.db?mode=ro",
        "../catalog.db",
    ];
    for (n, locator) in names.into_iter().enumerate() {
        let mut row = NewTenant::new(id(&format!("t{n}")));
        row.placement = Placement::new("sqlite", locator);
        let tenant = world
            .catalog()
            .insert(row, &Actor::new("test"))
            .expect("a row");
        world.checkout(&tenant).expect_err(locator);
        drop(world.enter(tenant.id()).expect("entering opens nothing"));
    }
    // A tenant's own file that has become the catalog is told by its stamp.
    let acme = world.made("acme");
    let file = world.files().remove(0);
    world
        .pools()
        .close(acme.id(), std::time::Duration::ZERO)
        .expect("nothing is out");
    world.pools().reopen(acme.id());
    fs::copy(world.root.path().join("catalog.db"), file).expect("copied");
    let error = world.checkout(&acme).expect_err("not acme's");
    let CheckoutError::Connect { source, .. } = error else {
        panic!("{error}");
    };
    assert!(
        matches!(source, OpenError::WrongDatabase { .. }),
        "{source}"
    );
}

fn a_file_that_is_a_link() {
    let world = World::new();
    let acme = world.made("acme");
    let file = world.files().remove(0);
    let outside = tempfile::tempdir().expect("a directory");
    let moved = outside.path().join("moved.db");
    fs::rename(&file, &moved).expect("moved");
    std::os::unix::fs::symlink(&moved, &file).expect("a link");
    world.checkout(&acme).expect_err("links are not followed");
    fs::remove_file(&file).expect("unlinked");
    fs::rename(&moved, &file).expect("moved back");
    // A failure to open is remembered for a moment.
    std::thread::sleep(std::time::Duration::from_millis(150));
    mark(
        &world.checkout(&acme).expect("the file itself opens"),
        "here",
    );
}

//! What is opened, and what is refused.

use std::fs;
use std::path::Path;

use r2d2::ManageConnection;
use tenancy_core::{Provisioner, Tenant};
use tenancy_pool::Driver;
use tenancy_sqlite::OpenError;

use crate::util::{Root, catalog};

#[test]
fn a_missing_file_stays_missing() {
    let root = Root::new();
    let acme = root.placed("acme");
    let opened = root.connect(&acme);
    assert!(
        matches!(opened, Err(OpenError::Missing { .. })),
        "{opened:?}"
    );
    assert!(!root.driver.exists(&acme).unwrap());
}

/// Case N17.
#[test]
fn a_symbolic_link_is_not_followed() {
    let root = Root::new();
    let acme = root.made("acme");
    let outside = root.dir.path().join("outside.db");
    std::fs::rename(root.path(&acme), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, root.path(&acme)).unwrap();
    let opened = root.connect(&acme);
    assert!(
        matches!(opened, Err(OpenError::NotAFile { .. })),
        "{opened:?}"
    );
}

/// Case L13.
#[test]
fn the_catalog_is_no_tenants_file() {
    let (root, other) = (Root::new(), crate::util::quick_dir());
    let acme = root.placed("acme");
    drop(catalog(other.path()).unwrap());
    std::fs::copy(other.path().join("catalog.db"), root.path(&acme)).unwrap();
    let opened = root.connect(&acme);
    assert!(
        matches!(&opened, Err(OpenError::WrongDatabase { found, .. }) if &**found == "a catalog"),
        "{opened:?}"
    );
}

#[test]
fn another_tenants_file_is_refused() {
    let root = Root::new();
    let (acme, beta) = (root.made("acme"), root.made("beta"));
    let crossed = Tenant::builder(beta.id().clone())
        .placement(acme.placement().clone())
        .build()
        .unwrap();
    let opened = root.connect(&crossed);
    assert!(
        matches!(&opened, Err(OpenError::WrongDatabase { found, .. }) if &**found == "stamped acme@1"),
        "{opened:?}"
    );
}

#[test]
fn a_connection_returned_in_a_transaction_is_broken() {
    let root = Root::new();
    let acme = root.made("acme");
    let manager = root.driver.manager(&acme);
    let mut connection = manager.connect().unwrap();
    assert!(!manager.has_broken(&mut connection));
    connection.execute_batch("BEGIN").unwrap();
    assert!(manager.has_broken(&mut connection));
}

/// What stands in the place of the file, and what is said of it.
#[test]
fn a_file_that_is_not_the_tenants_is_refused_and_kept() {
    type Make = fn(&Path);
    let sql = |path: &Path, sql: &str| {
        let other = rusqlite::Connection::open(path).unwrap();
        other.execute_batch(sql).unwrap();
    };
    let (id, table) = (
        i32::from_be_bytes(*b"tnt1"),
        "CREATE TABLE _tenancy_stamp (tenant TEXT, epoch INTEGER, open INTEGER)",
    );
    let cases: [(&str, Make); 5] = [
        ("a database without a stamp", |path| {
            fs::write(path, "").unwrap()
        }),
        ("no SQLite database", |path| {
            fs::write(path, "x".repeat(5000)).unwrap()
        }),
        ("a database without a stamp", |path| {
            let other = rusqlite::Connection::open(path).unwrap();
            other.execute_batch("CREATE TABLE x (y)").unwrap();
        }),
        ("a database of application 7", |path| {
            let other = rusqlite::Connection::open(path).unwrap();
            other.execute_batch("PRAGMA application_id = 7").unwrap();
        }),
        ("a directory", |path| fs::create_dir(path).unwrap()),
    ];
    let root = Root::new();
    for (n, (what, make)) in cases.into_iter().enumerate() {
        let acme = root.placed(&format!("t{n}"));
        let path = root.path(&acme);
        make(&path);
        let before = fs::read(&path).ok();
        let error = root.connect(&acme).unwrap_err();
        assert!(
            matches!(
                error,
                OpenError::WrongDatabase { .. } | OpenError::NotAFile { .. }
            ),
            "{what}: {error:?}"
        );
        let text = error.to_string();
        assert!(text.contains(&format!(" is {what}; ")), "{what}: {text}");
        root.driver.provision(&acme).unwrap_err();
        root.driver.destroy(&acme).unwrap_err();
        assert_eq!(fs::read(&path).ok(), before, "{what}");
    }
    // With our application id, but no stamp or an empty one.
    for (n, stamp) in ["", table].into_iter().enumerate() {
        let acme = root.placed(&format!("s{n}"));
        sql(
            &root.path(&acme),
            &format!("PRAGMA application_id = {id}; {stamp}"),
        );
        let error = root.connect(&acme).unwrap_err();
        assert!(
            matches!(error, OpenError::WrongDatabase { .. }),
            "{stamp}: {error:?}"
        );
    }
}

#[test]
fn another_incarnations_file_is_refused() {
    let root = Root::new();
    let acme = root.made("acme");
    let next = acme.to_builder().epoch(acme.epoch().next());
    let next = next.build().unwrap();
    let missing = root.connect(&next);
    assert!(
        matches!(missing, Err(OpenError::Missing { .. })),
        "{missing:?}"
    );
    fs::rename(root.path(&acme), root.path(&next)).unwrap();
    let error = root.connect(&next).unwrap_err();
    let path = root.path(&next);
    assert_eq!(
        error.to_string(),
        format!(
            "tenant acme@2: {} is stamped acme@1; restore the tenant's own file",
            path.display()
        )
    );
}

#[test]
fn an_idle_connection_is_valid_as_long_as_its_stamp_is() {
    let root = Root::new();
    let acme = root.made("acme");
    let manager = root.driver.manager(&acme);
    let mut connection = manager.connect().unwrap();
    manager.is_valid(&mut connection).unwrap();
    let raw = rusqlite::Connection::open(root.path(&acme)).unwrap();
    raw.execute_batch("UPDATE _tenancy_stamp SET open = 0")
        .unwrap();
    let invalid = manager.is_valid(&mut connection);
    assert!(
        matches!(invalid, Err(OpenError::WrongDatabase { .. })),
        "{invalid:?}"
    );
}

/// Case L13, the second half: a query string is no disguise, because no part of a
/// path comes from a name.
#[test]
fn names_with_a_query_string_are_no_places() {
    let root = Root::new();
    catalog(root.dir.path()).unwrap();
    for locator in [
        "../catalog.db",
        "../catalog.db?mode=ro",
        "file:catalog.db?x=1",
    ] {
        let place = tenancy_core::Placement::new("sqlite", locator);
        let acme = Tenant::builder("acme".parse().unwrap()).placement(place);
        let opened = root.connect(&acme.build().unwrap());
        assert!(
            matches!(opened, Err(OpenError::Placement { .. })),
            "{locator}"
        );
    }
}

#[test]
fn naughty_strings_are_values_like_any_other() {
    let Some(rows) = crate::util::shared_rows("corpora/tenant_names_blns.jsonl") else {
        return;
    };
    let root = Root::new();
    let acme = root.made("acme");
    let connection = root.connect(&acme).unwrap();
    for row in &rows {
        let Some(text) = row["s"].as_str() else {
            continue;
        };
        let sql = "INSERT INTO notes (text) VALUES (?1) RETURNING text";
        let back: String = connection.query_row(sql, [text], |row| row.get(0)).unwrap();
        assert_eq!(back, text);
        // As a whole statement each is an error or harmless.
        let _ = connection.execute_batch(text);
        assert!(connection.is_autocommit(), "{text}");
    }
    let sql = "SELECT count(*) FROM notes";
    let count: usize = connection
        .query_row(sql, [], |row| row.get::<_, i64>(0))
        .unwrap() as usize;
    assert_eq!(count, rows.len());
    let connection = root.connect(&acme).unwrap();
    assert!(connection.is_autocommit());
}

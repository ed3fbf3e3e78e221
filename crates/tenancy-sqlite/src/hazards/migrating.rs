//! Hazards of migrating: each with its guard and without.

#![cfg(test)]
#![allow(clippy::unwrap_used)]

use std::path::Path;

use r2d2::ManageConnection;
use rusqlite::Connection;
use tenancy_core::{Provisioner, SchemaTarget, Tenant};
use tenancy_fleet::Keep;
use tenancy_pool::Driver;

use super::{Hazard, without};
use crate::disk::place::Place;
use crate::{
    FileError, MigrateError, Migration, Migrations, OpenError, SqliteDriver, SqliteStorage,
    SqliteStorageBuilder,
};

fn set(steps: impl IntoIterator<Item = Migration>) -> Migrations {
    Migrations::new(steps).unwrap()
}

/// Opens a root, and makes it first if it is new.
fn at(root: &Path) -> SqliteStorageBuilder {
    if !root.join("tenancy.root").exists() {
        SqliteStorage::builder(root).create_driver().unwrap();
    }
    SqliteStorage::builder(root)
}

fn driver(root: &Path, migrations: Migrations) -> SqliteDriver {
    at(root).migrations(migrations).open_driver().unwrap()
}

/// A tenant whose file has these migrations.
fn made(root: &Path, migrations: Migrations) -> Tenant {
    let driver = driver(root, migrations);
    let id = "acme".parse().unwrap();
    let place = driver.place(&id).unwrap();
    let acme = Tenant::builder(id).placement(place).build().unwrap();
    driver.provision(&acme).unwrap();
    acme
}

/// By a connection that knows nothing of us.
fn raw(root: &Path, tenant: &Tenant) -> Connection {
    let root = driver(root, Migrations::default());
    Connection::open(root.store.root.file(&Place::of(tenant).unwrap())).unwrap()
}

fn count(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn migrate(driver: &SqliteDriver, tenant: &Tenant) -> Result<(), MigrateError> {
    match driver
        .store
        .migrate(tenant, SchemaTarget::Latest, Keep::IfIrreversible)
    {
        Ok(_) => Ok(()),
        Err(FileError::Migrate(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

/// One program reads the version; another one migrates; the first one goes on.
#[test]
fn a_version_that_was_read_outside_the_transaction_applies_a_migration_twice() {
    let twice = |off: &[Hazard]| {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let base = Migration::new("runs", "CREATE TABLE runs (x)");
        let steps = || {
            set([
                base.clone(),
                Migration::new("ran", "INSERT INTO runs VALUES (1)"),
            ])
        };
        let acme = made(root, set([base.clone()]));
        let connection = raw(root, &acme);
        let file = connection.path().unwrap().to_owned();
        let (other, of_other) = (driver(root, steps()), acme.clone());
        let once = std::sync::Once::new();
        let first = at(root).migrations(steps()).on_step(move |step| {
            if step == "migrate" {
                once.call_once(|| {
                    migrate(&other, &of_other).unwrap();
                    // As with a runner that keeps no history: its key alone would refuse the second.
                    let sql = "DELETE FROM _tenancy_migrations WHERE version = 2";
                    Connection::open(&file).unwrap().execute(sql, []).unwrap();
                });
            }
            Ok(())
        });
        without(off, || migrate(&first.open_driver().unwrap(), &acme)).unwrap();
        count(&connection, "SELECT count(*) FROM runs")
    };
    assert_eq!(twice(&[]), 1);
    assert_eq!(twice(&[Hazard::VersionReadOutside]), 2);
}

/// A run chose its target when the file was at 1; somebody took it to 3 meanwhile.
#[test]
fn a_target_that_was_chosen_by_an_earlier_look_takes_a_file_further_than_was_meant() {
    let step = |n: u32| {
        let up = format!("CREATE TABLE t{n} (x)");
        Migration::new(format!("t{n}"), up).down(format!("DROP TABLE t{n}"))
    };
    let back = |off: &[Hazard]| {
        let dir = tempfile::tempdir().unwrap();
        let acme = made(dir.path(), set([step(1)]));
        let driver = driver(dir.path(), set((1..=3).map(step)));
        migrate(&driver, &acme).unwrap();
        let to = SchemaTarget::Version(0);
        let went = without(off, || {
            let store = &driver.store;
            store.migrate_from(&acme, Some(1), to, Keep::Nothing)
        });
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name GLOB 't[0-9]'";
        (went, count(&raw(dir.path(), &acme), tables))
    };
    let (went, tables) = back(&[]);
    assert!(
        matches!(
            went,
            Err(FileError::Migrate(MigrateError::Conflict {
                seen: 1,
                found: 3
            }))
        ),
        "{went:?}"
    );
    assert_eq!(tables, 3);
    let (went, tables) = back(&[Hazard::SurveyNotChecked]);
    assert!(went.is_ok());
    assert_eq!(tables, 0);
}

#[test]
fn a_commit_in_a_script_leaves_half_a_migration() {
    let run = |off: &[Hazard]| {
        let dir = tempfile::tempdir().unwrap();
        let acme = made(dir.path(), Migrations::default());
        let script = "CREATE TABLE half (x); COMMIT; INSERT INTO nowhere VALUES (1)";
        let driver = driver(dir.path(), set([Migration::new("bad", script)]));
        let error = without(off, || migrate(&driver, &acme)).unwrap_err();
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'half'";
        (error, count(&raw(dir.path(), &acme), sql))
    };
    let (error, half) = run(&[]);
    assert!(
        matches!(error, MigrateError::Refused { statement: 2, .. }),
        "{error}"
    );
    assert_eq!(half, 0);
    // The second guard cannot undo it, but it names it.
    let (error, half) = run(&[Hazard::CommitInScript]);
    assert!(
        matches!(error, MigrateError::LeftTransaction { statement: 2, .. }),
        "{error}"
    );
    assert_eq!(half, 1);
    let (error, half) = run(&[Hazard::CommitInScript, Hazard::CommitUnnoticed]);
    assert!(
        matches!(error, MigrateError::Statement { statement: 3, .. }),
        "{error}"
    );
    assert_eq!(half, 1);
}

#[test]
fn foreign_keys_that_are_switched_off_inside_a_transaction_stay_on() {
    let children = |off: &[Hazard]| {
        let dir = tempfile::tempdir().unwrap();
        let first = Migration::new(
            "first",
            "CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;
             CREATE TABLE child (of INTEGER REFERENCES parent (id) ON DELETE CASCADE) STRICT;
             INSERT INTO parent VALUES (1), (2);
             INSERT INTO child VALUES (1), (2);",
        );
        let acme = made(dir.path(), set([first.clone()]));
        let rebuild = Migration::new(
            "rebuild",
            "CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT) STRICT;
             INSERT INTO new SELECT id, 'x' FROM parent;
             DROP TABLE parent;
             ALTER TABLE new RENAME TO parent;",
        );
        let driver = driver(dir.path(), set([first, rebuild.without_foreign_keys()]));
        without(off, || migrate(&driver, &acme)).unwrap();
        count(&raw(dir.path(), &acme), "SELECT count(*) FROM child")
    };
    assert_eq!(children(&[]), 2);
    assert_eq!(children(&[Hazard::ForeignKeysInside]), 0);
}

#[test]
fn a_header_does_not_know_what_stands_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let acme = made(dir.path(), Migrations::default());
    let notes = set([Migration::new("notes", "CREATE TABLE notes (x)")]);
    let driver = driver(dir.path(), notes);
    // While somebody has it open, nothing is written back into the file.
    let reader = raw(dir.path(), &acme);
    count(&reader, "SELECT count(*) FROM sqlite_schema");
    migrate(&driver, &acme).unwrap();
    let manager = driver.manager(&acme);
    manager.connect().unwrap();
    let opened = without(&[Hazard::VersionFromHeader], || manager.connect());
    let error = opened.map(drop).unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Behind {
                found: 0,
                newest: 1,
                ..
            }
        ),
        "{error}"
    );
}

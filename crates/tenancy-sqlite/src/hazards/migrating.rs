//! Hazards of migrating: races with other programs, and scripts that leave their transaction.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use r2d2::ManageConnection;
use rusqlite::Connection;
use tenancy_core::{Migrated, Provisioner, SchemaTarget, Tenant};
use tenancy_fleet::Keep;
use tenancy_pool::Driver;

use crate::disk::place::Place;
use crate::{
    FileError, MigrateError, Migration, Migrations, SqliteDriver, SqliteStorage,
    SqliteStorageBuilder,
};

fn set(steps: impl IntoIterator<Item = Migration>) -> Migrations {
    Migrations::new(steps).unwrap()
}

/// A step that creates the table `t<n>`, and its reverse.
fn table(n: u32) -> Migration {
    let up = format!("CREATE TABLE t{n} (x)");
    Migration::new(format!("t{n}"), up).down(format!("DROP TABLE t{n}"))
}

const TABLES: &str = "SELECT count(*) FROM sqlite_schema WHERE name GLOB 't[0-9]'";

/// Builds on a root, which is created first if it is new.
fn builder(root: &Path) -> SqliteStorageBuilder {
    if !root.join("tenancy.root").exists() {
        SqliteStorage::builder(root).create_driver().unwrap();
    }
    SqliteStorage::builder(root)
}

fn driver(root: &Path, migrations: Migrations) -> SqliteDriver {
    let builder = builder(root).migrations(migrations);
    builder.open_driver().unwrap()
}

/// Provisions a tenant with these migrations.
fn provision(root: &Path, migrations: Migrations) -> Tenant {
    let driver = driver(root, migrations);
    let id = "acme".parse().unwrap();
    let place = driver.place(&id).unwrap();
    let acme = Tenant::builder(id).placement(place).build().unwrap();
    driver.provision(&acme).unwrap();
    acme
}

/// Opens the file with a connection that has no guard.
fn raw(root: &Path, tenant: &Tenant) -> Connection {
    let driver = driver(root, Migrations::default());
    Connection::open(driver.store.root.file(&Place::of(tenant).unwrap())).unwrap()
}

fn count(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn migrate(driver: &SqliteDriver, tenant: &Tenant) -> Result<(), MigrateError> {
    let latest = SchemaTarget::Latest;
    match driver.store.migrate(tenant, latest, Keep::IfIrreversible) {
        Ok(_) => Ok(()),
        Err(FileError::Migrate(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

/// One program reads the version, another one migrates, and the first one resumes.
#[test]
fn a_migration_runs_once_beside_another_program() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let base = Migration::new("runs", "CREATE TABLE runs (x)");
    let steps = || {
        set([
            base.clone(),
            Migration::new("ran", "INSERT INTO runs VALUES (1)"),
        ])
    };
    let acme = provision(root, set([base.clone()]));
    let connection = raw(root, &acme);
    let file = connection.path().unwrap().to_owned();
    let (other, of_other) = (driver(root, steps()), acme.clone());
    let once = std::sync::Once::new();
    let first = builder(root).migrations(steps()).on_step(move |step| {
        if step == "migrate" {
            once.call_once(|| {
                migrate(&other, &of_other).unwrap();
                // The key of the history alone would refuse a second run.
                let sql = "DELETE FROM _tenancy_migrations WHERE version = 2";
                Connection::open(&file).unwrap().execute(sql, []).unwrap();
            });
        }
        Ok(())
    });
    migrate(&first.open_driver().unwrap(), &acme).unwrap();
    assert_eq!(count(&connection, "SELECT count(*) FROM runs"), 1);
}

/// A run chose its target when the file was at version 1; it is at 3 when the run gets to it.
#[test]
fn a_file_is_not_rolled_back_further_than_its_survey() {
    let dir = tempfile::tempdir().unwrap();
    let acme = provision(dir.path(), set([table(1)]));
    let driver = driver(dir.path(), set((1..=3).map(table)));
    migrate(&driver, &acme).unwrap();
    let to = SchemaTarget::Version(0);
    let store = &driver.store;
    let result = store.migrate_from(&acme, Some(1), to, Keep::Nothing);
    assert_is_conflict(result);
    assert_eq!(count(&raw(dir.path(), &acme), TABLES), 3);
}

/// Another program migrates the file from 1 to 3 after a run has read its version.
#[test]
fn a_file_that_moves_away_from_its_survey_or_the_target_is_a_conflict() {
    let cases = [
        (Some(1), SchemaTarget::Latest),
        (Some(1), SchemaTarget::Version(0)),
        (None, SchemaTarget::Version(0)),
    ];
    for (surveyed, target) in cases {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let acme = provision(root, set([table(1)]));
        let steps = || set((1..=3).map(table));
        let (other, of_other) = (driver(root, steps()), acme.clone());
        let once = std::sync::Once::new();
        let first = builder(root).migrations(steps()).on_step(move |step| {
            if step == "migrate" {
                once.call_once(|| migrate(&other, &of_other).unwrap());
            }
            Ok(())
        });
        let store = &first.open_driver().unwrap().store;
        assert_is_conflict(store.migrate_from(&acme, surveyed, target, Keep::Nothing));
        assert_eq!(count(&raw(root, &acme), TABLES), 3);
    }
}

fn assert_is_conflict(result: Result<Migrated, FileError>) {
    let conflict = MigrateError::Conflict { seen: 1, found: 3 };
    let Err(FileError::Migrate(error)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(error.to_string(), conflict.to_string());
}

#[test]
fn a_commit_in_a_script_is_refused_before_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let acme = provision(dir.path(), Migrations::default());
    let script = "CREATE TABLE half (x); COMMIT; INSERT INTO nowhere VALUES (1)";
    let driver = driver(dir.path(), set([Migration::new("bad", script)]));
    let error = migrate(&driver, &acme).unwrap_err();
    assert!(
        matches!(error, MigrateError::Refused { statement: 2, .. }),
        "{error}"
    );
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'half'";
    assert_eq!(count(&raw(dir.path(), &acme), sql), 0);
}

/// `PRAGMA foreign_keys` does nothing in a transaction, and the DROP would then delete the
/// children.
#[test]
fn rebuilding_a_parent_keeps_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let first = Migration::new(
        "first",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;
         CREATE TABLE child (of INTEGER REFERENCES parent (id) ON DELETE CASCADE) STRICT;
         INSERT INTO parent VALUES (1), (2);
         INSERT INTO child VALUES (1), (2);",
    );
    let acme = provision(dir.path(), set([first.clone()]));
    let rebuild = Migration::new(
        "rebuild",
        "CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT) STRICT;
         INSERT INTO new SELECT id, 'x' FROM parent;
         DROP TABLE parent;
         ALTER TABLE new RENAME TO parent;",
    );
    let driver = driver(dir.path(), set([first, rebuild.without_foreign_keys()]));
    migrate(&driver, &acme).unwrap();
    let sql = "SELECT count(*) FROM child";
    assert_eq!(count(&raw(dir.path(), &acme), sql), 2);
}

/// The bytes of the main file hold the version of the last checkpoint.
#[test]
fn the_version_is_read_with_its_wal() {
    let dir = tempfile::tempdir().unwrap();
    let acme = provision(dir.path(), Migrations::default());
    let driver = driver(dir.path(), set([table(1)]));
    // While another connection is open, a close does not checkpoint.
    let reader = raw(dir.path(), &acme);
    count(&reader, "SELECT count(*) FROM sqlite_schema");
    migrate(&driver, &acme).unwrap();
    driver.manager(&acme).connect().unwrap();
}

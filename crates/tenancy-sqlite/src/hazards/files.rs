//! Hazards of files that are open, replaced or removed.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use r2d2::ManageConnection;
use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode};
use tempfile::TempDir;
use tenancy_core::{Epoch, Provisioner, Tenant, TenantId};
use tenancy_pool::Driver;

use crate::disk::place::Place;
use crate::driver::connection::SqliteConnection;
use crate::{DenyRule, FileError, Migration, Migrations, SqliteDriver, SqliteStorage};

/// A storage root in a temporary directory.
struct World {
    driver: SqliteDriver,
    _dir: TempDir,
}

impl World {
    fn new() -> Self {
        // In memory where that is possible: no test here depends on the disk.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = dir.unwrap();
        let notes = Migration::new("notes", "CREATE TABLE notes (text TEXT) STRICT");
        let driver = SqliteStorage::builder(dir.path())
            .migrations(Migrations::new([notes]).unwrap())
            .busy_timeout(Duration::ZERO)
            .create_driver();
        Self {
            driver: driver.unwrap(),
            _dir: dir,
        }
    }

    fn provision(&self, id: &str) -> Tenant {
        let id: TenantId = id.parse().unwrap();
        let place = self.driver.place(&id).unwrap();
        let tenant = Tenant::builder(id).placement(place).build().unwrap();
        self.driver.provision(&tenant).unwrap();
        tenant
    }

    fn path(&self, tenant: &Tenant) -> PathBuf {
        self.driver.store.root.file(&Place::of(tenant).unwrap())
    }

    fn connect(&self, tenant: &Tenant) -> SqliteConnection {
        self.driver.manager(tenant).connect().unwrap()
    }
}

fn note(connection: &Connection, text: &str) -> rusqlite::Result<usize> {
    connection.execute("INSERT INTO notes VALUES (?1)", [text])
}

fn notes(connection: &Connection) -> Vec<String> {
    let mut read = connection
        .prepare("SELECT text FROM notes ORDER BY text")
        .unwrap();
    let rows = read.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// An operator removes the main file by hand, and the place is provisioned again.
#[test]
fn a_wal_left_behind_does_not_reach_the_next_file() {
    let world = World::new();
    let first = world.provision("first");
    let path = world.path(&first);
    let connection = world.connect(&first);
    note(&connection, "of the first").unwrap();
    let wal = fs::read(wal_of(&path)).unwrap();
    drop(connection);
    fs::remove_file(&path).unwrap();
    fs::write(wal_of(&path), wal).unwrap();

    world.driver.provision(&first).unwrap();
    let connection = world.connect(&first);
    let check: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    assert!(notes(&connection).is_empty());
}

/// A connection to the old file would go on reading and writing it.
#[test]
fn no_file_is_renamed_over_another() {
    let world = World::new();
    let acme = world.provision("acme");
    let (path, place) = (world.path(&acme), Place::of(&acme).unwrap());
    let user = world.connect(&acme);
    note(&user, "old").unwrap();
    let store = &world.driver.store;
    // The new file holds no note.
    let image = store.template().unwrap().stamped(&acme).unwrap();
    let staged = store.root.stage(&place, &image).unwrap();
    let dir = store.root.lock_dir(&place).unwrap();
    assert!(dir.move_into_place(staged, &path).is_err());
    assert_eq!(notes(&world.connect(&acme)), notes(&user));
}

/// A commit into an unlinked file is acknowledged and lost.
#[test]
fn a_file_that_is_open_is_not_removed() {
    let world = World::new();
    let acme = world.provision("acme");
    let user = world.connect(&acme);
    assert!(notes(&user).is_empty());
    let destroyed = world.driver.store.destroy(&acme);
    assert!(
        matches!(destroyed, Err(FileError::InUse { .. })),
        "{destroyed:?}"
    );
    note(&user, "acknowledged").unwrap();
    drop(user);
    assert!(world.path(&acme).exists());
    assert_eq!(notes(&world.connect(&acme)), ["acknowledged"]);
}

/// A process that opens and closes a database file drops the locks that SQLite has on it in this
/// process, and another process then writes into its open transaction.
#[test]
fn looking_at_a_file_keeps_sqlites_locks() {
    let world = World::new();
    let acme = world.provision("acme");
    let ours = world.connect(&acme);
    ours.execute_batch("BEGIN IMMEDIATE").unwrap();
    note(&ours, "ours").unwrap();
    assert!(world.driver.exists(&acme).unwrap());
    assert_eq!(another_process_writes(&world.path(&acme)), "busy");
    ours.execute_batch("COMMIT").unwrap();
    drop(ours);
    let plain = Connection::open(world.path(&acme)).unwrap();
    assert_eq!(notes(&plain), ["ours"]);
}

const ROLE: &str = "TENANCY_HAZARD_FILE";

fn another_process_writes(path: &Path) -> String {
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .args([
            "--exact",
            "hazards::files::the_other_process_writes",
            "--nocapture",
        ])
        .env(ROLE, path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = text.lines().find_map(|line| line.strip_prefix("it is "));
    result.unwrap_or_else(|| panic!("{output:?}")).to_owned()
}

/// The part of the other process; without its variable it does nothing.
#[test]
fn the_other_process_writes() {
    let Some(path) = std::env::var_os(ROLE) else {
        return;
    };
    let connection = Connection::open(path).unwrap();
    let result = match note(&connection, "theirs") {
        Ok(_) => "written",
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => "busy",
        Err(error) => panic!("{error}"),
    };
    println!("\nit is {result}");
}

/// The authorizer and the limit on attached files each keep a neighbour's file out of reach.
#[test]
fn sql_attaches_no_file_past_either_guard() {
    let world = World::new();
    let (acme, beta) = (world.provision("acme"), world.provision("beta"));
    let attach = format!("ATTACH '{}' AS other", world.path(&beta).display());

    let connection = world.connect(&acme);
    let most = Limit::SQLITE_LIMIT_ATTACHED;
    connection.set_limit(most, 10).unwrap();
    connection.execute_batch(&attach).unwrap_err();
    assert_eq!(connection.refusal().unwrap().rule, DenyRule::Attach);

    let connection = world.connect(&acme);
    let none = None::<fn(AuthContext<'_>) -> Authorization>;
    connection.authorizer(none).unwrap();
    let error = connection.execute_batch(&attach).unwrap_err();
    assert!(error.to_string().contains("too many attached"), "{error}");
}

/// VACUUM attaches a file, so that maintenance needs connections without these guards.
#[test]
fn vacuum_works_beside_the_guards_of_attach() {
    let world = World::new();
    let acme = world.provision("acme");
    world.connect(&acme).execute_batch("VACUUM").unwrap_err();
    world.driver.vacuum(&acme).unwrap();
}

/// No path is used twice: it contains the epoch.
#[test]
fn each_incarnation_has_its_own_file() {
    let world = World::new();
    let acme = world.provision("acme");
    let next = Tenant::builder(acme.id().clone())
        .epoch(Epoch::FIRST.next())
        .placement(acme.placement().clone())
        .build()
        .unwrap();
    assert_ne!(world.path(&acme), world.path(&next));
}

//! Hazards of files: each with its guard and without.

#![cfg(test)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use r2d2::ManageConnection;
use rusqlite::{Connection, ErrorCode};
use tempfile::TempDir;
use tenancy_core::{Epoch, Provisioner, Tenant, TenantId};
use tenancy_pool::Driver;

use super::{Hazard, without};
use crate::disk::place::Place;
use crate::driver::connection::SqliteConnection;
use crate::{FileError, Migration, Migrations, SqliteDriver, SqliteStorage};

/// A root with a tenant or two.
struct World {
    driver: SqliteDriver,
    _dir: TempDir,
}

impl World {
    fn new() -> Self {
        // In memory where that is possible: none of this is about the disk.
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

    fn made(&self, id: &str) -> Tenant {
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

fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Somebody removes a main file by hand, and a place that is used again gets a new one.
#[test]
fn a_log_left_behind_puts_its_rows_into_the_next_file() {
    let next = |off: &[Hazard]| {
        let world = World::new();
        let first = world.made("first");
        let path = world.path(&first);
        let connection = world.connect(&first);
        note(&connection, "of the first").unwrap();
        let log = fs::read(log_of(&path)).unwrap();
        drop(connection);
        fs::remove_file(&path).unwrap();
        fs::write(log_of(&path), log).unwrap();

        without(off, || world.driver.provision(&first)).unwrap();
        let connection = world.connect(&first);
        let sound: String = connection
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok");
        notes(&connection)
    };
    assert!(next(&[]).is_empty());
    assert_eq!(next(&[Hazard::LogLeftBehind]), ["of the first"]);
}

/// A restore by a rename over the file that is in use.
#[test]
fn who_has_a_file_open_does_not_see_what_was_put_over_it() {
    let seen = |off: &[Hazard]| {
        let world = World::new();
        let acme = world.made("acme");
        let (path, place) = (world.path(&acme), Place::of(&acme).unwrap());
        let user = world.connect(&acme);
        note(&user, "old").unwrap();
        let store = &world.driver.store;
        // What is restored holds no note.
        let image = store.template().unwrap().stamped(&acme).unwrap();
        let staged = store.root.stage(&place, &image).unwrap();
        let dir = store.root.lock_dir(&place).unwrap();
        let put = without(off, || dir.put(staged, &path));
        (put.is_ok(), notes(&user))
    };
    let old = || vec!["old".to_owned()];
    // Nothing was put there: what it sees is what there is.
    assert_eq!(seen(&[]), (false, old()));
    assert_eq!(seen(&[Hazard::PutOverAFile]), (true, old()));
}

/// What two guards keep from a file that somebody has open.
fn destroyed_under(off: &[Hazard]) -> (Result<(), FileError>, bool) {
    let world = World::new();
    let acme = world.made("acme");
    let user = world.connect(&acme);
    assert!(notes(&user).is_empty());
    let destroyed = without(off, || world.driver.store.destroy(&acme));
    note(&user, "acknowledged").unwrap();
    drop(user);
    let kept = world.path(&acme).exists() && notes(&world.connect(&acme)) == ["acknowledged"];
    (destroyed, kept)
}

#[test]
fn what_is_written_after_an_unlink_is_acknowledged_and_vanishes() {
    let (destroyed, kept) = destroyed_under(&[]);
    assert!(
        matches!(destroyed, Err(FileError::InUse { .. })),
        "{destroyed:?}"
    );
    assert!(kept);
    let (destroyed, kept) = destroyed_under(&[Hazard::RemovedWhileOpen]);
    assert!(destroyed.is_ok(), "{destroyed:?}");
    assert!(!kept);
}

#[test]
fn an_exclusive_lock_does_not_tell_who_else_has_a_log_open() {
    let (destroyed, kept) = destroyed_under(&[Hazard::AloneByALock]);
    assert!(destroyed.is_ok(), "{destroyed:?}");
    assert!(!kept);
}

/// Looking at a path must not open it: closing it again drops the locks that SQLite
/// has in this process, and another process writes into our transaction.
#[test]
fn a_file_that_is_opened_and_closed_beside_sqlite_loses_its_locks() {
    let others = |off: &[Hazard]| {
        let world = World::new();
        let acme = world.made("acme");
        let ours = world.connect(&acme);
        ours.execute_batch("BEGIN IMMEDIATE").unwrap();
        note(&ours, "ours").unwrap();
        assert!(without(off, || world.driver.exists(&acme)).unwrap());
        let other = another_process_writes(&world.path(&acme));
        let committed = ours.execute_batch("COMMIT");
        drop(ours);
        let plain = Connection::open(world.path(&acme)).unwrap();
        (other, committed, notes(&plain))
    };
    let (other, committed, there) = others(&[]);
    assert_eq!(other, "busy");
    committed.unwrap();
    assert_eq!(there, ["ours"]);
    let (other, committed, there) = others(&[Hazard::OpenedByItself]);
    assert_eq!(other, "written");
    assert!(committed.is_ok(), "{committed:?}");
    assert_ne!(there, ["ours", "theirs"], "both were acknowledged");
}

const ROLE: &str = "TENANCY_HAZARD_FILE";

fn another_process_writes(path: &Path) -> String {
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .args([
            "--exact",
            "hazards::files::is_another_process",
            "--nocapture",
        ])
        .env(ROLE, path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = text.lines().find_map(|line| line.strip_prefix("it is "));
    said.unwrap_or_else(|| panic!("{output:?}")).to_owned()
}

/// Without its role it passes.
#[test]
fn is_another_process() {
    let Some(path) = std::env::var_os(ROLE) else {
        return;
    };
    let connection = Connection::open(path).unwrap();
    let said = match note(&connection, "theirs") {
        Ok(_) => "written",
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => "busy",
        Err(error) => panic!("{error}"),
    };
    println!("\nit is {said}");
}

#[test]
fn sql_that_may_attach_reads_a_neighbour_s_file() {
    let stolen = |off: &[Hazard]| {
        let world = World::new();
        let (acme, beta) = (world.made("acme"), world.made("beta"));
        note(&world.connect(&beta), "secret").unwrap();
        let connection = without(off, || world.connect(&acme));
        let attach = format!("ATTACH '{}' AS other", world.path(&beta).display());
        let attached = without(off, || connection.execute_batch(&attach));
        attached.map(|()| {
            let sql = "SELECT text FROM other.notes";
            connection
                .query_row(sql, [], |row| row.get::<_, String>(0))
                .unwrap()
        })
    };
    let both = [Hazard::AttachUnlimited, Hazard::AttachAllowed];
    // Either alone keeps it out.
    for off in [&[][..], &both[..1], &both[1..]] {
        stolen(off).unwrap_err();
    }
    assert_eq!(stolen(&both).unwrap(), "secret");
}

/// VACUUM attaches, too: maintenance has connections of its own.
#[test]
fn what_keeps_others_files_away_breaks_vacuum() {
    let world = World::new();
    let acme = world.made("acme");
    let vacuum = |off: &[Hazard]| without(off, || world.driver.vacuum(&acme));
    vacuum(&[]).unwrap();
    let error = vacuum(&[Hazard::MaintainedAsLent]).unwrap_err();
    assert!(matches!(error, FileError::Sqlite { .. }), "{error}");
}

/// No path is ever used again: the epoch is in its name.
#[test]
fn each_incarnation_has_a_file_of_its_own() {
    let world = World::new();
    let acme = world.made("acme");
    let next = Tenant::builder(acme.id().clone())
        .epoch(Epoch::FIRST.next())
        .placement(acme.placement().clone())
        .build()
        .unwrap();
    assert_ne!(world.path(&acme), world.path(&next));
}

//! Retired, revived, destroyed: nothing is lost, and nobody writes where nobody reads.

use std::error::Error;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tenancy_core::{
    Actor, CatalogWriter, NewTenant, ProvisionError, Provisioner, Tenant, TenantStatus,
};
use tenancy_sqlite::{FileError, OpenError, SqliteConnection, SqliteDriver, SqliteFleet};

use crate::util::{Root, at, child, files_below, notes};

const NOW: Duration = Duration::ZERO;

fn file_error(error: &ProvisionError) -> &FileError {
    let source = error.source().expect("a cause");
    source.downcast_ref().expect("a FileError")
}

fn write(connection: &SqliteConnection, text: &str) {
    let sql = "INSERT INTO notes (text) VALUES (?1)";
    connection.execute(sql, [text]).unwrap();
}

fn texts(connection: &SqliteConnection) -> Vec<String> {
    let mut read = connection.prepare("SELECT text FROM notes ORDER BY id");
    let rows = read.as_mut().unwrap().query_map([], |row| row.get(0));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_retired_file_is_in_the_trash_with_all_its_rows_until_it_is_revived() {
    let root = Root::durable();
    let acme = root.made("acme");
    write(&root.connect(&acme).unwrap(), "kept");
    for _ in 0..3 {
        for _ in 0..2 {
            root.driver.retire(&acme, NOW).unwrap();
            assert!(!root.driver.exists(&acme).unwrap());
            let refused = root.connect(&acme);
            let missing = matches!(refused, Err(OpenError::Missing { .. }));
            assert!(missing, "{refused:?}");
            let files = files_below(&root.dir.path().join("trash"));
            let start = format!("{}.1.", acme.placement().locator);
            let [file] = &files[..] else {
                panic!("{files:?}")
            };
            assert!(file.starts_with(&start) && file.ends_with(".db"), "{file}");
        }
        for _ in 0..2 {
            root.driver.revive(&acme).unwrap();
            let connection = root.connect(&acme).unwrap();
            assert_eq!(texts(&connection), ["kept"]);
            let mode: String = connection
                .query_row("PRAGMA journal_mode", [], |row| row.get(0))
                .unwrap();
            assert_eq!(mode, "wal");
        }
        assert!(files_below(&root.dir.path().join("trash")).is_empty());
    }
    root.driver.retire(&acme, NOW).unwrap();
    root.driver.destroy(&acme).unwrap();
    root.driver.destroy(&acme).unwrap();
    assert_eq!(root.files(), [""; 0]);
    for gone in [root.driver.retire(&acme, NOW), root.driver.revive(&acme)] {
        let error = gone.unwrap_err();
        let missing = matches!(
            file_error(&error),
            FileError::Open(OpenError::Missing { .. })
        );
        assert!(missing, "{error:?}");
    }
}

#[test]
fn a_file_in_use_is_waited_for_and_named_with_its_processes() {
    let root = Root::new();
    let acme = root.made("acme");
    let connection = root.connect(&acme).unwrap();
    let began = Instant::now();
    let error = root
        .driver
        .retire(&acme, Duration::from_millis(60))
        .unwrap_err();
    assert!(began.elapsed() >= Duration::from_millis(60));
    let FileError::InUse { path, by } = file_error(&error) else {
        panic!("{error:?}")
    };
    assert_eq!(
        (path, &**by),
        (&root.path(&acme), &[std::process::id()][..])
    );
    let text = file_error(&error).to_string();
    assert!(text.contains("(this one); close its connections"), "{text}");
    // Nothing has happened to it.
    write(&connection, "kept");
    assert_eq!(texts(&root.connect(&acme).unwrap()), ["kept"]);
    std::thread::scope(|scope| {
        let retiring = scope.spawn(|| root.driver.retire(&acme, Duration::from_secs(20)));
        std::thread::sleep(Duration::from_millis(30));
        write(&connection, "last");
        drop(connection);
        retiring.join().unwrap().unwrap();
    });
    root.driver.revive(&acme).unwrap();
    assert_eq!(texts(&root.connect(&acme).unwrap()), ["kept", "last"]);
}

/// The lock of a directory that somebody keeps does not hold up a call beyond its deadline.
#[test]
fn a_locked_directory_is_waited_for_until_the_deadline_of_the_call() {
    let root = Root::new();
    let acme = root.made("acme");
    let path = root.path(&acme);
    let dir = std::fs::File::open(path.parent().unwrap()).unwrap();
    dir.lock().unwrap();
    let began = Instant::now();
    let error = root
        .driver
        .retire(&acme, Duration::from_millis(100))
        .unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(20), "{error:?}");
    let FileError::Io(error) = file_error(&error) else {
        panic!("{error:?}")
    };
    let said = error.cause().to_string();
    let holder = format!("by process {}", std::process::id());
    assert!(said.contains(&holder), "{said}");
    drop(dir);
    // One who has it for a moment, as a creation does, keeps no call from its work.
    let dir = std::fs::File::open(path.parent().unwrap()).unwrap();
    dir.lock().unwrap();
    std::thread::scope(|scope| {
        let retiring = scope.spawn(|| root.driver.retire(&acme, NOW));
        std::thread::sleep(Duration::from_millis(20));
        drop(dir);
        retiring.join().unwrap().unwrap();
    });
}

/// The child: keeps a connection until it is told to write once more and go.
pub fn hold(arguments: &[String]) {
    let [root, locator] = arguments else {
        panic!("root, locator")
    };
    let root = std::path::Path::new(root);
    let driver = at(root).migrations(notes()).open_driver();
    let place = tenancy_core::Placement::new("sqlite", locator.as_str());
    let acme = Tenant::builder("acme".parse().unwrap()).placement(place);
    let manager = tenancy_pool::Driver::manager(&driver.unwrap(), &acme.build().unwrap());
    let connection = r2d2::ManageConnection::connect(&manager).unwrap();
    write(&connection, "theirs");
    std::fs::write(root.join("holds"), "").unwrap();
    let go = root.join("go");
    while !go.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    write(&connection, "theirs, later");
}

fn started(root: &Root, acme: &Tenant) -> Child {
    let path = root.dir.path().to_str().unwrap();
    let child = child::start("hold", &[path, &acme.placement().locator]);
    let began = Instant::now();
    while !root.dir.path().join("holds").exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "never started");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

#[test]
fn another_process_that_has_the_file_open_loses_no_write() {
    let root = Root::new();
    let acme = root.made("acme");
    let child = started(&root, &acme);
    for refused in [
        root.driver.retire(&acme, Duration::from_millis(50)),
        root.driver.destroy(&acme),
    ] {
        let error = refused.unwrap_err();
        let named =
            matches!(file_error(&error), FileError::InUse { by, .. } if **by == [child.id()]);
        assert!(named, "{error:?}");
    }
    std::thread::scope(|scope| {
        let retiring = scope.spawn(|| root.driver.retire(&acme, Duration::from_secs(20)));
        std::fs::write(root.dir.path().join("go"), "").unwrap();
        assert!(child.wait_with_output().unwrap().status.success());
        retiring.join().unwrap().unwrap();
    });
    root.driver.revive(&acme).unwrap();
    let kept = texts(&root.connect(&acme).unwrap());
    assert_eq!(kept, ["theirs", "theirs, later"]);
}

#[test]
fn another_file_in_the_place_or_in_the_trash_is_refused_and_kept() {
    let root = Root::new();
    let (acme, beta) = (root.made("acme"), root.made("beta"));
    std::fs::rename(root.path(&acme), root.path(&beta)).unwrap();
    root.driver.retire(&beta, NOW).unwrap_err();
    assert!(root.driver.exists(&beta).unwrap());
    std::fs::rename(root.path(&beta), root.path(&acme)).unwrap();
    root.driver.retire(&acme, NOW).unwrap();
    let trash = root.dir.path().join("trash");
    let name = files_below(&trash).remove(0);
    let other = name.replace(&*acme.placement().locator, &beta.placement().locator);
    std::fs::rename(trash.join(name), trash.join(&other)).unwrap();
    let error = root.driver.revive(&beta).unwrap_err();
    let foreign = matches!(
        file_error(&error),
        FileError::Open(OpenError::WrongDatabase { .. })
    );
    assert!(foreign, "{error:?}");
    assert_eq!(files_below(&trash), [other]);
}

/// A fleet of one root; `acme` is a retiring row with a file.
fn fleet(root: &Root, retention: Duration) -> (SqliteFleet, Tenant) {
    let storage = at(root.dir.path()).migrations(notes());
    let storage = storage.trash_retention(retention).open().unwrap();
    let (driver, catalog) = (storage.driver(), storage.catalog());
    let mut new = NewTenant::new("acme".parse().unwrap());
    new.placement = driver.place(&new.id).unwrap();
    new.status = TenantStatus::Retiring;
    let acme = catalog.insert(new, &Actor::new("test")).unwrap();
    driver.provision(&acme).unwrap();
    (storage.fleet(), acme)
}

#[test]
fn emptying_the_trash_destroys_only_expired_files() {
    let by = Actor::new("test");
    for (retention, gone) in [(Duration::from_secs(60), false), (Duration::ZERO, true)] {
        let root = Root::new();
        let (fleet, acme) = fleet(&root, retention);
        assert!(fleet.empty_trash(&by).unwrap().is_empty(), "not in it yet");
        fleet.driver().retire(&acme, NOW).unwrap();
        // None of ours, though old enough.
        let trash = root.dir.path().join("trash");
        let strange = [
            format!("{}.1.1.db", "0".repeat(32)),
            "notes.1.1.db".to_owned(),
        ];
        for name in &strange {
            std::fs::write(trash.join(name), "whose?").unwrap();
        }
        let destroyed = fleet.empty_trash(&by).unwrap();
        assert_eq!(destroyed == [acme.to_ref()], gone, "{destroyed:?}");
        assert_eq!(files_below(&trash).len(), if gone { 2 } else { 3 });
        let rows = fleet.catalog().page(None, 9).unwrap();
        assert_eq!(rows.is_empty(), gone);
        assert!(fleet.empty_trash(&by).unwrap().is_empty());
    }
}

/// A clock that was 40 days behind at the retirement has written a name that is past the
/// retention. The file's change time, and the events of the catalog before it, say more.
#[test]
fn a_clock_that_was_behind_destroys_nothing_early() {
    let by = Actor::new("test");
    let days = |n: u64| Duration::from_secs(n * 86_400);
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap();
    let root = Root::new();
    let (fleet, acme) = fleet(&root, days(30));
    fleet.driver().retire(&acme, NOW).unwrap();
    let trash = root.dir.path().join("trash");
    let older = format!(
        "{}.1.{}.db",
        acme.placement().locator,
        (now() - days(40)).as_secs()
    );
    std::fs::rename(trash.join(&files_below(&trash)[0]), trash.join(older)).unwrap();
    assert!(!fleet.trash().unwrap()[0].is_expired());
    assert!(fleet.empty_trash(&by).unwrap().is_empty());

    // Now as if all of this file's times were 40 days behind the events before it.
    let (root, at_ms) = (Root::new(), (now() + days(40)).as_millis() as i64);
    let (fleet, acme) = self::fleet(&root, Duration::ZERO);
    fleet.driver().retire(&acme, NOW).unwrap();
    let catalog = rusqlite::Connection::open(root.dir.path().join("catalog.db")).unwrap();
    let sql = "INSERT INTO events VALUES (0, ?1, 'test', 'insert', 'beta', '', x'')";
    catalog.execute(sql, [at_ms]).unwrap();
    assert!(!fleet.trash().unwrap()[0].is_expired());
    assert!(fleet.empty_trash(&by).unwrap().is_empty());
}

#[test]
fn copies_are_listed_with_their_retention_and_removed_past_it() {
    for (retention, removed) in [(Duration::from_secs(3_600), 0), (Duration::ZERO, 1)] {
        let root = Root::new();
        // The third step has no down script, so a snapshot is taken before it.
        let steps = notes().iter().cloned().collect::<Vec<_>>();
        let third = tenancy_sqlite::Migration::new("third", "CREATE TABLE third (x)");
        let all = steps.into_iter().chain([third]);
        let storage = at(root.dir.path())
            .migrations(tenancy_sqlite::Migrations::new(all).unwrap())
            .snapshot_retention(retention)
            .open()
            .unwrap();
        let (driver, catalog) = (storage.driver(), storage.catalog());
        let mut new = NewTenant::new("acme".parse().unwrap());
        new.placement = driver.place(&new.id).unwrap();
        let acme = catalog.insert(new, &Actor::new("test")).unwrap();
        root.driver.provision(&acme).unwrap();
        driver
            .migrate(&acme, tenancy_core::SchemaTarget::Latest)
            .unwrap();
        let fleet = storage.fleet();
        let kept = fleet.snapshots().unwrap();
        let [copy] = &kept[..] else {
            panic!("{kept:?}")
        };
        assert_eq!((&copy.tenant, copy.schema), (&Some(acme.to_ref()), 2));
        assert_eq!(copy.is_expired(), removed == 1);
        assert_eq!(fleet.remove_expired_snapshots().unwrap().len(), removed);
        assert_eq!(fleet.snapshots().unwrap().len(), 1 - removed);
        assert_eq!(copy.path.exists(), removed == 0);
    }
}

#[test]
fn the_file_of_a_tenant_that_is_not_retired_is_never_emptied_from_the_trash() {
    let root = Root::new();
    let (fleet, acme) = fleet(&root, Duration::ZERO);
    fleet.driver().retire(&acme, NOW).unwrap();
    let active = tenancy_core::TenantChange::status(TenantStatus::Active);
    let by = Actor::new("test");
    let acme = fleet
        .catalog()
        .update(acme.id(), acme.version(), active, &by);
    assert!(fleet.empty_trash(&by).unwrap().is_empty());
    fleet.driver().revive(&acme.unwrap()).unwrap();
}

/// A retirement that ended after the file had left WAL mode and before its stamp was
/// closed: neither a revival nor an opening leaves it in rollback-journal mode.
#[test]
fn a_file_outside_of_wal_mode_is_switched_to_it() {
    for revived in [true, false] {
        let root = Root::with(|builder| {
            builder.migrations(notes()).on_step(|step| match step {
                "close the stamp" => Err(std::io::Error::other("no space left")),
                _ => Ok(()),
            })
        });
        let acme = root.made("acme");
        write(&root.connect(&acme).unwrap(), "kept");
        root.driver.retire(&acme, NOW).unwrap_err();
        let mode = |connection: &rusqlite::Connection| -> String {
            let sql = "PRAGMA journal_mode";
            connection.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        let plain = || rusqlite::Connection::open(root.path(&acme)).unwrap();
        assert_eq!(mode(&plain()), "delete");
        if revived {
            root.driver.revive(&acme).unwrap();
            assert_eq!(mode(&plain()), "wal");
        }
        let connection = root.connect(&acme).unwrap();
        assert_eq!(mode(&connection), "wal");
        assert_eq!(texts(&connection), ["kept"]);
    }
}

/// The steps that a file takes, in order, and what comes of a repeated call when one
/// of them fails.
#[test]
fn a_step_that_fails_is_repeated() {
    let rounds = ["retire", "revive", "retire", "destroy"];
    let go = |driver: &SqliteDriver, acme: &Tenant, what: &str| match what {
        "retire" => driver.retire(acme, NOW),
        "revive" => driver.revive(acme),
        _ => driver.destroy(acme),
    };
    // (steps to go, the steps that were taken)
    let state = Arc::new(Mutex::new((usize::MAX, Vec::new())));
    let seen = state.clone();
    let root = Root::with(|builder| {
        builder.migrations(notes()).on_step(move |step| {
            let mut state = seen.lock().unwrap();
            state.1.push(step);
            state.0 = state.0.wrapping_sub(1);
            match state.0 {
                0 => Err(std::io::Error::other("no space left")),
                _ => Ok(()),
            }
        })
    });
    let made = |name: &str| {
        let acme = root.made(name);
        write(&root.connect(&acme).unwrap(), "kept");
        *state.lock().unwrap() = (usize::MAX, Vec::new());
        acme
    };
    let whole = made("whole");
    for what in rounds {
        go(&root.driver, &whole, what).unwrap();
    }
    let steps = state.lock().unwrap().1.clone();
    assert_eq!(
        steps,
        [
            "close",
            "close the stamp",
            "move to the trash",
            "sync both directories",
            "move back",
            "sync both directories",
            "open again",
            "close",
            "close the stamp",
            "move to the trash",
            "sync both directories",
            "remove from the trash",
        ]
    );
    for (at, step) in steps.iter().enumerate() {
        let acme = made(&format!("t{at}"));
        state.lock().unwrap().0 = at + 1;
        let mut failed = 0;
        for what in rounds {
            if go(&root.driver, &acme, what).is_err() {
                failed += 1;
                go(&root.driver, &acme, what).unwrap_or_else(|e| panic!("{step}: {e}"));
            }
            if what == "revive" {
                let kept = texts(&root.connect(&acme).unwrap());
                assert_eq!(kept, ["kept"], "{at} {step}");
            }
        }
        assert_eq!(failed, 1, "{at} {step}");
    }
    assert_eq!(root.files(), [""; 0]);
}

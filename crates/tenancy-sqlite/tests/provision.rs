//! Making and removing files.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tenancy_core::{Placement, ProvisionError, Provisioned, Provisioner, Tenant};
use tenancy_sqlite::{FileError, OpenError, SqliteStorage, StorageError};

use crate::util::{Root, at, files_below, notes, quick_dir};

fn file_error(error: &ProvisionError) -> &FileError {
    let source = error.source().expect("a cause");
    source.downcast_ref().expect("a FileError")
}

#[test]
fn a_file_is_made_once_used_and_removed() {
    let root = Root::durable();
    let acme = root.placed("acme");
    assert!(!root.driver.exists(&acme).unwrap());
    assert_eq!(root.driver.provision(&acme).unwrap(), Provisioned::Made);
    assert!(root.driver.exists(&acme).unwrap());
    let again = root.driver.provision(&acme).unwrap();
    assert_eq!(again, Provisioned::AlreadyThere);
    let connection = root.connect(&acme).unwrap();
    connection
        .execute("INSERT INTO notes (text) VALUES ('hello')", [])
        .unwrap();
    drop(connection);
    root.driver.destroy(&acme).unwrap();
    assert!(!root.driver.exists(&acme).unwrap());
    root.driver.destroy(&acme).unwrap();
    let rest = files_below(&root.dir.path().join("tenants"));
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn a_new_file_is_whole_migrated_and_in_wal_mode() {
    let root = Root::with(|builder| builder.migrations(notes()).page_size(8192));
    let acme = root.made("acme");
    let connection = root.connect(&acme).unwrap();
    let pragma = |name: &str| -> String {
        let sql = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(pragma("integrity_check"), "ok");
    assert_eq!(pragma("journal_mode"), "wal");
    assert_eq!(pragma("user_version"), "2");
    assert_eq!(pragma("page_size"), "8192");
    // FULL.
    assert_eq!(pragma("synchronous"), "2");
    let raw = rusqlite::Connection::open(root.path(&acme)).unwrap();
    let history: Vec<String> = raw
        .prepare("SELECT name FROM _tenancy_migrations ORDER BY version")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(history, ["notes", "marks"]);
}

#[test]
fn files_are_ours_alone_and_so_are_their_sidecars() {
    let root = Root::new();
    let acme = root.made("acme");
    let connection = root.connect(&acme).unwrap();
    connection
        .execute("INSERT INTO notes (text) VALUES ('x')", [])
        .unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files = files_below(root.dir.path());
    assert!(files.iter().any(|f| f.ends_with(".db-wal")), "{files:?}");
    for file in files {
        assert_eq!(mode(&root.dir.path().join(&file)), 0o600, "{file}");
    }
    let own = root.path(&acme);
    let own = own.parent().unwrap();
    let tenants = own.parent().unwrap();
    for dir in [own, tenants, &root.dir.path().join("staging")] {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
}

#[test]
fn directories_are_made_with_a_root_and_again_if_one_is_missing() {
    let root = Root::new();
    let tenants = root.driver.root().join("tenants");
    let dirs = || fs::read_dir(&tenants).unwrap();
    assert_eq!(dirs().count(), 256);
    // As in a root that an older version made.
    for dir in dirs() {
        fs::remove_dir(dir.unwrap().path()).unwrap();
    }
    let acme = root.placed("acme");
    assert!(!root.driver.exists(&acme).unwrap());
    assert!(root.connect(&acme).is_err());
    assert_eq!(dirs().count(), 0);
    root.driver.provision(&acme).unwrap();
    assert_eq!(dirs().count(), 256);
    fs::remove_dir_all(&tenants).unwrap();
    fs::create_dir(&tenants).unwrap();
    let many: Vec<_> = (0..3).map(|n| root.placed(&format!("t{n}"))).collect();
    for made in root.driver.provision_many(&many) {
        made.unwrap();
    }
    assert_eq!(dirs().count(), 256);
}

#[test]
fn a_root_that_was_cut_off_while_it_was_made_is_completed() {
    for step in [
        "prepare the marker",
        "make the catalog",
        "put the marker in place",
    ] {
        let dir = quick_dir();
        let fail = SqliteStorage::builder(dir.path()).on_step(move |name| match name == step {
            true => Err(std::io::Error::other("on purpose")),
            false => Ok(()),
        });
        assert!(fail.create().is_err(), "{step}");
        // As a kill in the middle of the directories leaves it.
        let tenants = dir.path().join("tenants");
        for shard in 0x70..=0xff {
            let _ = fs::remove_dir(tenants.join(format!("{shard:02x}")));
        }
        let opened = SqliteStorage::open(dir.path());
        assert!(
            matches!(opened, Err(StorageError::NotARoot { .. })),
            "{step}"
        );
        drop(SqliteStorage::create(dir.path()).unwrap());
        assert_eq!(fs::read_dir(&tenants).unwrap().count(), 256, "{step}");
        SqliteStorage::open(dir.path()).unwrap();
    }
}

#[test]
fn many_are_made_at_once() {
    let root = Root::durable();
    let there = root.made("t7");
    let tenants: Vec<_> = (0..250)
        .map(|n| match n {
            7 => there.clone(),
            _ => root.placed(&format!("t{n}")),
        })
        .collect();
    let made = root.driver.provision_many(&tenants);
    for (n, (tenant, made)) in tenants.iter().zip(made).enumerate() {
        let expected = match n {
            7 => Provisioned::AlreadyThere,
            _ => Provisioned::Made,
        };
        assert_eq!(made.unwrap(), expected, "{tenant:?}");
        root.connect(tenant).unwrap();
    }
    assert_eq!(files_below(&root.driver.root().join("tenants")).len(), 250);
    assert!(files_below(&root.driver.root().join("staging")).is_empty());
}

/// Hazard: a `-wal` that another database left beside the path would put its rows
/// into the new file, and `integrity_check` would say ok.
#[test]
fn sidecars_left_at_a_path_do_not_reach_the_new_file() {
    let root = Root::new();
    let old = root.made("old");
    let connection = root.connect(&old).unwrap();
    connection
        .execute("INSERT INTO notes (text) VALUES ('old secret')", [])
        .unwrap();
    let wal = fs::read(root.path(&old).with_extension("db-wal")).unwrap();
    drop(connection);
    let acme = root.placed("acme");
    for suffix in ["db-wal", "db-shm", "db-journal"] {
        fs::write(root.path(&acme).with_extension(suffix), &wal).unwrap();
    }
    root.driver.provision(&acme).unwrap();
    let connection = root.connect(&acme).unwrap();
    let rows: i64 = connection
        .query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 0);
}

/// The one that comes second finds a file that is in use already.
#[test]
fn the_same_tenant_is_made_once_by_many_threads() {
    let root = Root::new();
    for n in 0..20 {
        let acme = root.placed(&format!("t{n}"));
        let start = std::sync::Barrier::new(4);
        let made = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (root, acme, start, made) = (&root, &acme, &start, &made);
                scope.spawn(move || {
                    start.wait();
                    let how = match thread {
                        0 => root
                            .driver
                            .provision_many(&[acme.clone(), acme.clone()])
                            .swap_remove(0)
                            .unwrap(),
                        _ => root.driver.provision(acme).unwrap(),
                    };
                    made.fetch_add(
                        usize::from(how == Provisioned::Made),
                        std::sync::atomic::Ordering::Relaxed,
                    );
                    let connection = root.connect(acme).unwrap();
                    connection
                        .execute("INSERT INTO notes (text) VALUES ('x')", [])
                        .unwrap();
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
        let connection = root.connect(&acme).unwrap();
        let rows: i64 = connection
            .query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 4, "no thread's row was in a file that was replaced");
    }
}

#[test]
fn another_file_in_the_place_is_refused_and_kept() {
    let root = Root::new();
    let (acme, beta) = (root.made("acme"), root.placed("beta"));
    fs::copy(root.path(&acme), root.path(&beta)).unwrap();
    let before = fs::read(root.path(&beta)).unwrap();
    for refused in [
        root.driver.provision(&beta).map(drop),
        root.driver
            .provision_many(&[beta.clone(), beta.clone()])
            .swap_remove(1)
            .map(drop),
        root.driver.destroy(&beta),
    ] {
        let error = refused.unwrap_err();
        let open = file_error(&error);
        assert!(
            matches!(open, FileError::Open(OpenError::WrongDatabase { .. })),
            "{open:?}"
        );
    }
    assert_eq!(fs::read(root.path(&beta)).unwrap(), before);
}

#[test]
fn a_file_in_use_is_not_removed() {
    let root = Root::with(|builder| {
        let builder = builder.migrations(notes());
        builder.busy_timeout(Duration::from_millis(50))
    });
    let acme = root.made("acme");
    let connection = root.connect(&acme).unwrap();
    let error = root.driver.destroy(&acme).unwrap_err();
    assert!(
        matches!(file_error(&error), FileError::InUse { .. }),
        "{error:?}"
    );
    // It still works, also for a new connection.
    connection
        .execute("INSERT INTO notes (text) VALUES ('kept')", [])
        .unwrap();
    let other = root.connect(&acme).unwrap();
    let kept: i64 = other
        .query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 1);
    drop((connection, other));
    root.driver.destroy(&acme).unwrap();
}

/// A destroy that was cut off between the stamp and the removal.
#[test]
fn a_file_that_was_closed_is_not_opened_again() {
    let root = Root::with(|builder| {
        builder.migrations(notes()).on_step(|step| match step {
            "remove" => Err(std::io::Error::other("cut off")),
            _ => Ok(()),
        })
    });
    let acme = root.made("acme");
    root.driver.destroy(&acme).unwrap_err();
    let opened = root.connect(&acme);
    assert!(
        matches!(&opened, Err(OpenError::Retired { .. })),
        "{opened:?}"
    );
    let again = at(root.dir.path()).open_driver().unwrap();
    again.destroy(&acme).unwrap();
    assert!(!root.driver.exists(&acme).unwrap());
}

#[test]
fn only_places_of_this_driver_reach_a_path() {
    let root = Root::new();
    let mut shard = root.placed("acme").placement().clone();
    shard.shard = "other".into();
    let mut places = vec![Placement::default(), shard];
    let locators = [
        "",
        "../../../../../../../etc/passwd",
        "../aaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "6F1C6F1C6F1C6F1C6F1C6F1C6F1C6F1C",
        "6f1c6f1c6f1c6f1c6f1c6f1c6f1c6f1",
        "6f1c6f1c6f1c6f1c6f1c6f1c6f1c6f1c0",
        "6f1c6f1c6f1c6f1c6f1c6f1c6f1c6f1/",
        "6f1c6f1c6f1c6f1c6f1c6f1c6f1c6f1\0",
        "éééééééééééééééé",
    ];
    places.extend(locators.map(|locator| Placement::new("sqlite", locator)));
    places.push(Placement::new(
        "postgres",
        "6f1c6f1c6f1c6f1c6f1c6f1c6f1c6f1c",
    ));
    for place in places {
        let tenant = Tenant::builder("acme".parse().unwrap()).placement(place.clone());
        let tenant = tenant.build().unwrap();
        let opened = root.connect(&tenant);
        assert!(
            matches!(opened, Err(OpenError::Placement { .. })),
            "{place:?}: {opened:?}"
        );
        root.driver.provision(&tenant).unwrap_err();
        root.driver.destroy(&tenant).unwrap_err();
    }
    let rest = files_below(&root.dir.path().join("tenants"));
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn every_place_is_new() {
    let root = Root::new();
    let id = "acme".parse().unwrap();
    let places: std::collections::HashSet<_> = (0..1000)
        .map(|_| root.driver.place(&id).unwrap().locator)
        .collect();
    assert_eq!(places.len(), 1000);
}

#[test]
fn a_link_in_place_of_a_directory_is_refused() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("tenants")).unwrap();
    let built = SqliteStorage::create(dir.path());
    assert!(
        matches!(&built, Err(StorageError::NotADirectory { found, .. }) if *found == "a symbolic link"),
        "{built:?}"
    );
    assert!(files_below(elsewhere.path()).is_empty());
    // The root itself may be one: it is resolved once.
    let real = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("root");
    std::os::unix::fs::symlink(real.path(), &link).unwrap();
    let driver = at(&link).open_driver().unwrap();
    assert_eq!(driver.root(), real.path().canonicalize().unwrap());
}

#[test]
fn a_root_that_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let built = SqliteStorage::create(&file);
    assert!(
        matches!(built, Err(StorageError::NotADirectory { .. })),
        "{built:?}"
    );
    let built = SqliteStorage::create(file.join("below"));
    assert!(matches!(built, Err(StorageError::Io(_))), "{built:?}");
    for size in [0, 1, 511, 1000, 131_072] {
        let built = SqliteStorage::builder(dir.path().join("r"))
            .page_size(size)
            .create();
        assert!(
            matches!(built, Err(StorageError::PageSize { .. })),
            "{size}"
        );
    }
    assert!(!dir.path().join("r").exists());
}

/// A mount in a namespace of its own, where that is allowed; it goes with the process.
#[test]
fn a_directory_of_the_root_on_another_mount_is_refused() {
    for name in ["tenants", "staging", "trash"] {
        let dir = tempfile::tempdir().unwrap();
        drop(SqliteStorage::create(dir.path()).unwrap());
        let root = dir.path().to_str().unwrap();
        let script = format!("mount -t tmpfs none {root}/{name} && exec \"$@\"");
        let outer = ["unshare", "-rm", "sh", "-c", &script, "sh"];
        let tried = std::process::Command::new(outer[0])
            .args(&outer[1..])
            .arg("true")
            .status();
        if !tried.is_ok_and(|status| status.success()) {
            return println!("left out: this process may not mount anything");
        }
        let output = crate::util::child::start_under(&outer, "open", &[root]);
        let output = output.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let refused = said.contains("SAID Err(OtherMount") && said.contains(name);
        assert!(refused, "{name}: {said} {output:?}");
    }
}

/// The child: opens a root and says what came of it.
pub fn open_and_say(arguments: &[String]) {
    println!("\nSAID {:?}", SqliteStorage::open(&arguments[0]));
}

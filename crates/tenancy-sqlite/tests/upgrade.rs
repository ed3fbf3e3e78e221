//! A storage root of format 2, which was kept, and what becomes of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tenancy_core::{
    Actor, Catalog as _, CatalogWriter as _, Maintenance, Name, NewTenant, Provisioner as _,
    Tenant, TenantKey, TenantStatus,
};
use tenancy_sqlite::{
    Depth, Migration, Migrations, SqliteFleet, SqliteStorage, SqliteStorageBuilder, StorageError,
    ValidateOptions,
};

use crate::util::{child, make_dir, quick_dir};

/// A copy of the root that is kept in `root_of_format_2`; `made_by.rs.txt` there says how it
/// was made.
fn kept() -> tempfile::TempDir {
    let dir = quick_dir();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/root_of_format_2");
    copy(&kept, dir.path());
    // Empty directories and modes are not kept by a repository.
    for name in ["tenants", "staging", "trash"] {
        let path = dir.path().join(name);
        make_dir(&path);
    }
    fs::remove_file(dir.path().join("made_by.rs.txt")).unwrap();
    dir
}

fn copy(from: &Path, to: &Path) {
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            make_dir(&to);
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

fn options(root: &Path) -> SqliteStorageBuilder {
    let notes = Migration::new("notes", "CREATE TABLE notes (text TEXT NOT NULL) STRICT");
    let marks = Migration::new("marks", "ALTER TABLE notes ADD COLUMN mark INTEGER");
    let steps = [
        notes.down("DROP TABLE notes"),
        marks.down("ALTER TABLE notes DROP COLUMN mark"),
    ];
    SqliteStorage::builder(root).migrations(Migrations::new(steps).unwrap())
}

fn notes_of(storage: &SqliteStorage, tenant: &Tenant) -> Vec<String> {
    let manager = tenancy_pool::Driver::manager(storage.driver(), tenant);
    let connection = r2d2::ManageConnection::connect(&manager).unwrap();
    let mut read = connection
        .prepare("SELECT text FROM notes ORDER BY rowid")
        .unwrap();
    let rows = read.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Every fact that the root had.
#[track_caller]
fn assert_whole(storage: &SqliteStorage) {
    let catalog = storage.catalog();
    let find = |id: &str| catalog.lookup(TenantKey::Label(id)).unwrap().value.unwrap();
    let statuses = ["acme", "beta", "gamma", "delta", "zeta"].map(|id| find(id).status());
    use TenantStatus::{Active, Retiring, Suspended};
    assert_eq!(statuses, [Active, Suspended, Active, Retiring, Active]);
    let mut down = Maintenance::default();
    down.retry_after = Some(std::time::Duration::from_secs(600));
    down.message = Some("moving house".into());
    assert_eq!(find("gamma").maintenance(), Some(&down));
    let acme = find("acme");
    assert_eq!(acme.attribute("plan"), Some("pro"));
    assert_eq!(find("acme-inc"), acme);
    let domain = |name| catalog.lookup(TenantKey::Domain(name)).unwrap().value;
    assert_eq!(domain("shop.example.org"), Some(acme.clone()));
    assert_eq!(domain("new.example.org"), None);
    let names = catalog.names(acme.id()).unwrap();
    let primary: Vec<_> = names.iter().filter(|name| name.primary).collect();
    let shop = Name::Domain("shop.example.org".parse().unwrap());
    assert_eq!(primary.len(), 1);
    assert_eq!(primary[0].name, shop);
    let pending = catalog.names(find("beta").id()).unwrap();
    assert_eq!(pending.len(), 1);
    assert!(pending[0].pending.is_some());

    // The tombstone: a destroyed id comes back with the next epoch.
    assert!(
        catalog
            .lookup(TenantKey::Label("epsilon"))
            .unwrap()
            .value
            .is_none()
    );
    catalog.check_events().unwrap().unwrap();
    let runs = storage.fleet().runs(10).unwrap();
    assert_eq!(
        (runs.len(), &*runs[0].what, runs[0].done),
        (1, "migrate", 5)
    );

    assert_eq!(notes_of(storage, &acme), ["seeded", "acme", "in the log"]);
    assert_eq!(notes_of(storage, &find("beta")), ["beta"]);
    assert_eq!(notes_of(storage, &find("gamma")), ["gamma"]);
    assert!(
        notes_of(storage, &find("zeta")).is_empty(),
        "from the warm pool, never opened"
    );
    let options = ValidateOptions::new().depth(Depth::Full);
    let validation = storage.fleet().validate(&options, |_| {}).unwrap();
    assert!(validation.is_sound(), "{:?}", validation.findings);
    assert_eq!(validation.warm_pool + validation.other_warm_pool, 1);
}

fn marker(root: &Path) -> Option<String> {
    fs::read_to_string(root.join("tenancy.root")).ok()
}

#[test]
fn a_root_of_format_2_comes_up_with_every_fact() {
    let dir = kept();
    assert_eq!(marker(dir.path()), None);
    let storage = options(dir.path()).open().unwrap();
    assert_whole(&storage);
    let marked = marker(dir.path()).unwrap();
    assert!(marked.starts_with("format = 3\nid = "), "{marked}");
    drop(storage);
    let storage = options(dir.path()).open().unwrap();
    assert_whole(&storage);
    assert_eq!(marker(dir.path()), Some(marked));

    let catalog = storage.catalog();
    let delta = catalog
        .lookup(TenantKey::Label("delta"))
        .unwrap()
        .value
        .unwrap();
    storage.driver().revive(&delta).unwrap();
    assert_eq!(notes_of(&storage, &delta), ["delta"]);
    let again = NewTenant::new("epsilon".parse().unwrap());
    let again = catalog.insert(again, &Actor::new("test")).unwrap();
    assert_eq!(again.epoch().get(), 2);
}

/// The child: opens the root and is killed at a step.
pub fn open_and_die(arguments: &[String]) {
    let [root, step] = arguments else {
        panic!("root, step")
    };
    let step = step.clone();
    let die = move |name: &'static str| {
        if name == step {
            let this = rustix::process::getpid();
            rustix::process::kill_process(this, rustix::process::Signal::KILL)?;
        }
        Ok(())
    };
    drop(options(Path::new(root)).on_step(die).open());
}

/// The steps of an upgrade, in order.
const STEPS: [&str; 3] = [
    "prepare the marker",
    "upgrade the catalog",
    "put the marker in place",
];

#[test]
fn an_upgrade_that_is_killed_or_fails_at_any_step_is_resumed() {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let (dir, seen) = (kept(), steps.clone());
    let builder = options(dir.path()).on_step(move |name| {
        seen.lock().unwrap().push(name);
        Ok(())
    });
    drop(builder.open().unwrap());
    assert_eq!(*steps.lock().unwrap(), STEPS);

    for step in STEPS {
        let dir = kept();
        let path = dir.path().to_str().unwrap();
        let output = child::start("upgrade", &[path, step])
            .wait_with_output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(9), "{step}: {output:?}");
        assert_eq!(marker(dir.path()), None, "{step}");
        assert_whole(&options(dir.path()).open().unwrap());

        let dir = kept();
        let fail = options(dir.path()).on_step(move |name| match name == step {
            true => Err(std::io::Error::other("on purpose")),
            false => Ok(()),
        });
        assert!(matches!(fail.open(), Err(StorageError::Io(_))), "{step}");
        assert_eq!(marker(dir.path()), None, "{step}");
        assert_whole(&options(dir.path()).open().unwrap());
    }
}

#[test]
fn an_older_root_is_not_created_again_and_its_lost_catalog_is_refused() {
    let dir = kept();
    let made = SqliteStorage::create(dir.path());
    assert!(
        matches!(made, Err(StorageError::RootExists { .. })),
        "{made:?}"
    );
    for lose in ["remove", "empty"] {
        let dir = kept();
        let path = dir.path().join("catalog.db");
        match lose {
            "remove" => fs::remove_file(&path).unwrap(),
            _ => fs::write(&path, "").unwrap(),
        }
        let opened = options(dir.path()).open();
        let lost = matches!(opened, Err(StorageError::LostCatalog { .. }));
        assert!(lost, "{lose}: {opened:?}");
        assert_eq!(marker(dir.path()), None, "{lose}: nothing was changed");
        let rebuilt =
            SqliteFleet::rebuild_catalog(dir.path(), &Actor::new("test"), |_| {}).unwrap();
        let ids: Vec<_> = rebuilt
            .tenants
            .iter()
            .map(|tenant| tenant.id.as_str())
            .collect();
        assert_eq!(ids, ["acme", "beta", "gamma"], "{lose}");
        assert!(marker(dir.path()).is_some(), "{lose}");
        options(dir.path()).open().unwrap();
    }
}

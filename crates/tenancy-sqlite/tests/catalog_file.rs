//! The catalog's file: made, refused, damaged, and its chain of events.

use std::error::Error;
use std::fs;

use tenancy_core::{
    Actor, Attributes, Binding, Catalog, CatalogWriter, Maintenance, NewTenant, Secret, Tenant,
    TenantChange, TenantKey, TenantStatus, Version, WriteError,
};
use tenancy_sqlite::{SqliteCatalog, StorageError};

use crate::util::{self, at, quick_dir};

fn empty() -> (tempfile::TempDir, SqliteCatalog) {
    let dir = quick_dir();
    let catalog = util::catalog(dir.path()).unwrap();
    (dir, catalog)
}

fn insert(catalog: &SqliteCatalog, id: &str) -> Tenant {
    let new = NewTenant::new(id.parse().unwrap());
    catalog.insert(new, &by()).unwrap()
}

/// The one that says that a file is a catalog.
fn application_id() -> i64 {
    let (_dir, catalog) = empty();
    let raw = rusqlite::Connection::open(catalog.path()).unwrap();
    raw.query_row("PRAGMA application_id", [], |row| row.get(0))
        .unwrap()
}

fn by() -> Actor {
    Actor::new("test")
}

#[test]
fn a_chain_of_events_shows_what_was_done_to_it() {
    type Tampering = (&'static str, &'static str, u64);
    let tampering: [Tampering; 4] = [
        (
            "changed",
            "UPDATE events SET actor = 'nobody' WHERE version = 2",
            2,
        ),
        (
            "moved",
            "UPDATE events SET at_ms = at_ms + 1 WHERE version = 3",
            3,
        ),
        ("taken out", "DELETE FROM events WHERE version = 2", 3),
        (
            "put in",
            "INSERT INTO events VALUES (9, 0, 'x', 'insert', 'x', '', zeroblob(32))",
            9,
        ),
    ];
    for (what, sql, at) in tampering {
        let (_dir, catalog) = empty();
        for id in ["a", "b", "c"] {
            insert(&catalog, id);
        }
        let raw = rusqlite::Connection::open(catalog.path()).unwrap();
        let guarded = raw.execute_batch(sql).is_err();
        assert_eq!(guarded, what != "put in", "{what}: the triggers refuse it");
        raw.execute_batch("DROP TRIGGER events_stay; DROP TRIGGER events_remain")
            .unwrap();
        if guarded {
            raw.execute_batch(sql).unwrap();
        }
        let broken = catalog.check_events().unwrap().unwrap_err();
        assert_eq!(broken.at, Version(at), "{what}");
    }
}

#[test]
fn a_file_that_is_no_catalog_is_refused_and_kept() {
    type Make = fn(&std::path::Path);
    let contents: [(&str, Make); 4] = [
        ("text", |path| {
            fs::write(path, "no database".repeat(100)).unwrap()
        }),
        ("a link", |path| {
            std::os::unix::fs::symlink("elsewhere.db", path).unwrap();
        }),
        ("another database", |path| {
            let other = rusqlite::Connection::open(path).unwrap();
            other.execute_batch("CREATE TABLE x (y)").unwrap();
        }),
        ("a directory", |path| fs::create_dir(path).unwrap()),
    ];
    for (what, make) in contents {
        let dir = quick_dir();
        let path = dir.path().join("catalog.db");
        make(&path);
        let before = fs::read(&path).ok();
        let opened = util::catalog(dir.path());
        assert!(
            matches!(opened, Err(StorageError::NotACatalog { .. })),
            "{what}: {opened:?}"
        );
        assert_eq!(fs::read(&path).ok(), before, "{what}");
        assert!(!dir.path().join("elsewhere.db").exists());
    }
    // A tenant's file is none, either.
    let root = crate::util::Root::new();
    let acme = root.path(&root.made("acme"));
    let dir = root.close();
    fs::copy(acme, dir.path().join("catalog.db")).unwrap();
    let opened = util::catalog(dir.path());
    assert!(
        matches!(opened, Err(StorageError::NotACatalog { .. })),
        "{opened:?}"
    );
}

#[test]
fn a_newer_catalog_is_left_to_newer_programs() {
    let (dir, catalog) = empty();
    let raw = rusqlite::Connection::open(catalog.path()).unwrap();
    raw.execute_batch("PRAGMA user_version = 99").unwrap();
    let text = util::catalog(dir.path()).unwrap_err().to_string();
    assert!(
        text.contains("has catalog format 99, this program knows "),
        "{text}"
    );
}

/// Several processes may find it at the same moment.
#[test]
fn an_older_catalog_gets_what_it_lacks_when_it_is_opened() {
    let dir = quick_dir();
    let raw = rusqlite::Connection::open(dir.path().join("catalog.db")).unwrap();
    raw.execute_batch(include_str!("../src/catalog/schema.sql"))
        .unwrap();
    // Application id and format of a catalog that knew nothing of what came later, with a
    // tenant, a primary domain, one that routes and one that is claimed.
    raw.pragma_update(None, "application_id", application_id())
        .unwrap();
    raw.execute_batch(
        "PRAGMA user_version = 1; PRAGMA journal_mode = WAL;
        INSERT INTO tenants VALUES ('old', 1, 1, 'active', '', '', '', '', '', 0, NULL, NULL, NULL, NULL);
        INSERT INTO labels VALUES ('old', 'old', NULL), ('ancient', 'old', 2);
        INSERT INTO domains VALUES ('first.test', 'old', NULL, 3, 1), ('more.test', 'old', NULL, 4, 0),
            ('soon.test', 'old', 'tenancy-verify=1', NULL, 0);
        UPDATE clock SET version = 4;",
    )
    .unwrap();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let root = dir.path();
            scope.spawn(move || {
                let fleet = at(root).open().unwrap().fleet();
                fleet.fill_warm_pool(2, &by()).unwrap();
                let new = crate::warm_pool::asking(&fleet, &format!("new{n}"));
                fleet.catalog().insert(new, &by()).unwrap();
            });
        }
    });
    let catalog = util::catalog(dir.path()).unwrap();
    assert_eq!(catalog.page(None, 10).unwrap().len(), 5);
    let format = raw.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0));
    assert!(format.unwrap() > 3);
    let old = "old".parse().unwrap();
    let names = catalog.names(&old).unwrap();
    let told = |b: &Binding| format!("{} {:?} {}", b.name, b.pending.is_some(), b.primary);
    assert_eq!(
        names.iter().map(told).collect::<Vec<_>>(),
        [
            "ancient false false",
            "first.test false true",
            "more.test false false",
            "soon.test true false"
        ]
    );
    // It has seven days from now on.
    let soon = "soon.test".parse().unwrap();
    catalog
        .verify(&soon, &old, "tenancy-verify=1", &by())
        .unwrap();
    let owner = catalog.lookup(TenantKey::Domain("soon.test")).unwrap();
    assert_eq!(owner.value.map(|t| t.id().clone()), Some(old));
}

/// A catalog of the second format held maintenance as a status, and secrets as they were said.
#[test]
fn a_tenant_that_an_older_catalog_has_in_maintenance_is_active_and_in_maintenance() {
    let dir = quick_dir();
    let path = dir.path().join("catalog.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(include_str!("../src/catalog/schema.sql"))
        .unwrap();
    raw.execute_batch(include_str!("../src/catalog/warm_pool.sql"))
        .unwrap();
    let tables = "PRAGMA journal_mode = WAL; PRAGMA user_version = 2; PRAGMA application_id = ";
    let (_other, new) = empty();
    let new = rusqlite::Connection::open(new.path()).unwrap();
    let id = new.query_row("PRAGMA application_id", [], |row| row.get::<_, i64>(0));
    raw.execute_batch(&format!("{tables}{}", id.unwrap()))
        .unwrap();
    for (n, (id, rest)) in [
        (
            "told",
            "'maintenance', 1, 90000, 'back at noon', 'open sesame'",
        ),
        ("mute", "'maintenance', 0, NULL, NULL, NULL"),
        ("empty", "'maintenance', 1, NULL, NULL, ''"),
        ("shut", "'suspended', 1, 1000, 'of long ago', 'old'"),
        ("fine", "'active', 0, NULL, NULL, NULL"),
    ]
    .into_iter()
    .enumerate()
    {
        let sql = format!(
            "INSERT INTO tenants (id, epoch, version, kind, shard, owner, region, locator,
             status, down, retry_after_ms, message, secret)
             VALUES ('{id}', 1, {}, '', '', '', '', '', {rest});
             INSERT INTO labels VALUES ('{id}', '{id}', NULL)",
            n + 1
        );
        raw.execute_batch(&sql).unwrap();
    }
    raw.execute_batch("UPDATE clock SET version = 5").unwrap();
    drop(raw);
    let catalog = util::catalog(dir.path()).unwrap();
    let mut told = Maintenance::default();
    told.retry_after = Some(std::time::Duration::from_secs(90));
    told.message = Some("back at noon".into());
    told.secret = Some(Secret::new("open sesame"));
    let down = Some(Maintenance::default());
    for (id, status, maintenance) in [
        ("told", TenantStatus::Active, Some(told)),
        ("mute", TenantStatus::Active, down.clone()),
        ("empty", TenantStatus::Active, down),
        ("shut", TenantStatus::Suspended, None),
        ("fine", TenantStatus::Active, None),
    ] {
        let read = catalog.lookup(TenantKey::Label(id)).unwrap().value.unwrap();
        assert_eq!(read.status(), status, "{id}");
        assert_eq!(read.maintenance(), maintenance.as_ref(), "{id}");
    }
    drop(catalog);
    // The secret is nowhere in the files, not even where it once stood.
    for file in fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let holds = bytes.windows(11).any(|at| at == b"open sesame");
            assert!(!holds, "{}", path.display());
        }
    }
}

#[test]
fn a_catalog_that_is_damaged_is_a_third_answer() {
    let (_dir, catalog) = empty();
    let acme = insert(&catalog, "acme");
    let raw = rusqlite::Connection::open(catalog.path()).unwrap();
    raw.execute_batch("DROP TABLE clock").unwrap();
    let error = catalog.lookup(TenantKey::Label("acme")).unwrap_err();
    assert!(error.source().unwrap().to_string().contains("clock"));
    let mut update = TenantChange::default();
    update.attributes = Some(Attributes::default());
    let error = catalog.update(acme.id(), acme.version(), update, &by());
    assert!(
        matches!(error, Err(WriteError::Unavailable(_))),
        "{error:?}"
    );
}

/// A driver and a catalog share a root.
#[test]
fn concurrent_creations_make_one_root() {
    for _ in 0..20 {
        a_root_is_made_by_several();
    }
}

fn a_root_is_made_by_several() {
    let dir = quick_dir();
    let root = dir.path().join("data");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let root = &root;
            scope.spawn(move || match n % 2 {
                0 => drop(util::catalog(root).unwrap()),
                _ => drop(at(root).open_driver().unwrap()),
            });
        }
    });
    assert!(
        util::catalog(&root)
            .unwrap()
            .page(None, 1)
            .unwrap()
            .is_empty()
    );
}

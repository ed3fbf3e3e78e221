//! Databases that are ready before their tenants come.

use std::collections::BTreeSet;

use tenancy_core::{
    Actor, CatalogWriter, FromWarmPool, Name, NewTenant, Placement, Proof, Provisioner, Tenant,
    TenantStatus, WriteError,
};
use tenancy_fleet::{FleetOptions, RollbackTo};
use tenancy_pool::TenantPools;
use tenancy_sqlite::{
    Depth, Migration, Migrations, OpenError, SqliteDriver, SqliteFleet, ValidateOptions, Validation,
};

use crate::util::{Root, at, files_below, notes};
use crate::warm_pool_releases::more;

/// A storage root with its fleet.
pub struct Shop {
    pub root: Root,
    pub fleet: SqliteFleet,
}

pub fn by() -> Actor {
    Actor::new("test")
}

impl Shop {
    pub fn new() -> Self {
        Self::of(Root::new())
    }

    pub fn of(root: Root) -> Self {
        let fleet = root.storage.fleet();
        Self { root, fleet }
    }

    /// A second release of the program, beside the first.
    pub fn release(&self, migrations: Migrations) -> SqliteFleet {
        let driver = at(self.root.dir.path());
        driver.migrations(migrations).open().unwrap().fleet()
    }

    /// Lets so much time go by for the warm pool.
    pub fn turn_back(&self, ms: i64) {
        let raw = rusqlite::Connection::open(self.fleet.catalog().path()).unwrap();
        raw.execute("UPDATE stock SET at_ms = at_ms - ?1", [ms])
            .unwrap();
    }

    pub fn files(&self) -> Vec<String> {
        files_below(&self.root.dir.path().join("tenants"))
    }

    pub fn validate(&self) -> Validation {
        let options = ValidateOptions::new().depth(Depth::Full);
        self.fleet.validate(&options, |_| {}).unwrap()
    }

    /// What is noted of a file, read without the library.
    pub fn stamp(&self, tenant: &Tenant) -> (String, i64) {
        let raw = rusqlite::Connection::open(self.root.path(tenant)).unwrap();
        let sql = "SELECT tenant, epoch FROM _tenancy_stamp";
        raw.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    }
}

/// A new tenant that takes what is ready, or waits for its own.
pub fn asking(fleet: &SqliteFleet, id: &str) -> NewTenant {
    let driver = fleet.driver();
    let mut new = NewTenant::new(id.parse().unwrap());
    new.status = TenantStatus::Provisioning;
    new.placement = driver.place(&new.id).unwrap();
    new.from_warm_pool = Some(FromWarmPool {
        fingerprint: driver.fingerprint().unwrap(),
        status: TenantStatus::Active,
    });
    new
}

pub fn sign_up(fleet: &SqliteFleet, id: &str) -> Tenant {
    fleet.catalog().insert(asking(fleet, id), &by()).unwrap()
}

#[test]
fn a_ready_database_is_taken_in_the_write_that_inserts_the_tenant() {
    let shop = Shop::new();
    let filled = shop.fleet.fill_warm_pool(3, &by()).unwrap();
    assert_eq!((filled.ready, filled.made, filled.removed), (3, 3, 0));
    let files = shop.files();
    assert_eq!(files.len(), 3);
    // What is there is no reason to make more.
    let again = shop.fleet.fill_warm_pool(3, &by()).unwrap();
    assert_eq!((again.ready, again.made), (3, 0));

    let acme = sign_up(&shop.fleet, "acme");
    assert_eq!(acme.status(), TenantStatus::Active);
    assert_eq!(shop.files(), files, "nothing was made");
    assert!(shop.stamp(&acme).0.starts_with("stock-"));
    let connection = shop.root.connect(&acme).unwrap();
    let sql = "INSERT INTO notes (text) VALUES ('hello')";
    connection.execute(sql, []).unwrap();
    drop(connection);
    assert_eq!(shop.stamp(&acme), ("acme".to_owned(), 1));
    let status = shop.fleet.status(None, 10).unwrap();
    assert_eq!(status[0].schema, Some(2), "it is known to be migrated");

    let refilled = shop.fleet.fill_warm_pool(3, &by()).unwrap();
    assert_eq!((refilled.ready, refilled.made), (3, 1));
    let validation = shop.validate();
    let counts = (
        validation.tenants,
        validation.files,
        validation.warm_pool,
        validation.other_warm_pool,
    );
    assert_eq!(counts, (1, 4, 3, 0));
    assert!(validation.is_sound(), "{:?}", validation.findings);
    shop.fleet.catalog().check_events().unwrap().unwrap();
}

#[test]
fn a_tenant_that_is_never_opened_is_sound_and_can_be_ended() {
    let shop = Shop::new();
    shop.fleet.fill_warm_pool(2, &by()).unwrap();
    let acme = sign_up(&shop.fleet, "acme");
    let validation = shop.validate();
    assert!(validation.is_sound(), "{:?}", validation.findings);
    let driver = &shop.root.driver;
    let soon = std::time::Duration::ZERO;
    driver.retire(&acme, soon).unwrap();
    assert!(matches!(
        shop.root.connect(&acme).unwrap_err(),
        OpenError::Missing { .. }
    ));
    driver.revive(&acme).unwrap();
    shop.root.connect(&acme).unwrap();
    assert_eq!(shop.stamp(&acme).0, "acme");
    driver.destroy(&sign_up(&shop.fleet, "beta")).unwrap();
    assert_eq!(shop.files().len(), 1);
}

/// Whatever is the first that is done to it.
#[test]
fn a_tenant_that_was_never_opened_can_be_read_checkpointed_and_restored_from_a_copy() {
    let shop = Shop::new();
    shop.fleet.fill_warm_pool(4, &by()).unwrap();
    let [read, moved, kept, named] = [
        "read",
        "moved",
        "kept",
        &format!("stock-{}", "0".repeat(32)),
    ]
    .map(|id| sign_up(&shop.fleet, id));
    let pools = TenantPools::<SqliteDriver>::builder();
    let pools = pools.build(shop.root.driver.clone()).unwrap();
    let connection = pools.handle(&read).read_only().checkout().unwrap();
    assert!(connection.execute("DELETE FROM notes", []).is_err());
    assert_eq!(shop.stamp(&read).0, "read");
    shop.root.driver.checkpoint(&moved).unwrap();
    shop.root.driver.vacuum(&moved).unwrap();
    assert_eq!(shop.stamp(&moved).0, "moved");
    // A name like those of the warm pool is a name.
    shop.root.connect(&named).unwrap();
    assert_eq!(shop.stamp(&named).0, named.id().as_str());

    let shout = Migration::new("shout", "UPDATE notes SET text = upper(text)");
    let newer = Migrations::new(notes().iter().cloned().chain([shout]));
    let newer = shop.release(newer.unwrap());
    let options = FleetOptions::new();
    assert!(newer.migrate(&options, |_| {}).unwrap().is_complete());
    assert_eq!(newer.snapshots_of(kept.id()).unwrap().len(), 1);
    let options = options.restore_snapshots();
    let back = newer
        .rollback(RollbackTo::Steps(1), &options, |_| {})
        .unwrap();
    assert!(
        back.is_complete() && back.done.iter().all(|done| done.restored),
        "{back:?}"
    );
    let row = shop
        .fleet
        .catalog()
        .page(Some(&"g".parse().unwrap()), 1)
        .unwrap();
    assert_eq!((row[0].id(), row[0].epoch().get()), (kept.id(), 2));
    shop.root.connect(&row[0]).unwrap();
    assert_eq!(shop.stamp(&row[0]), ("kept".to_owned(), 2));
}

/// Only the place that the stamp names: the same file elsewhere is another's.
#[test]
fn a_waiting_file_that_was_moved_to_anothers_place_is_not_taken() {
    let shop = Shop::new();
    shop.fleet.fill_warm_pool(2, &by()).unwrap();
    let (acme, beta) = (sign_up(&shop.fleet, "acme"), sign_up(&shop.fleet, "beta"));
    let stamp = shop.stamp(&beta);
    std::fs::rename(shop.root.path(&beta), shop.root.path(&acme)).unwrap();
    let error = shop.root.connect(&acme).unwrap_err();
    assert!(matches!(error, OpenError::WrongDatabase { .. }), "{error}");
    assert_eq!(shop.stamp(&acme), stamp, "it was not written to");
}

/// A row that was changed by hand to another's place finds the other's name there.
#[test]
fn a_taken_file_belongs_to_no_other_tenant() {
    let shop = Shop::new();
    shop.fleet.fill_warm_pool(1, &by()).unwrap();
    let acme = sign_up(&shop.fleet, "acme");
    let thief = Tenant::builder("beta".parse().unwrap())
        .placement(acme.placement().clone())
        .build()
        .unwrap();
    shop.root.connect(&acme).unwrap();
    let error = shop.root.connect(&thief).unwrap_err();
    assert!(matches!(error, OpenError::WrongDatabase { .. }), "{error}");
}

#[test]
fn who_finds_none_that_fits_waits_for_its_own() {
    let shop = Shop::new();
    let place_of = |new: &NewTenant| new.placement.clone();
    // None there at all.
    let new = asking(&shop.fleet, "early");
    let want = place_of(&new);
    let row = shop.fleet.catalog().insert(new, &by()).unwrap();
    assert_eq!(
        (row.status(), row.placement()),
        (TenantStatus::Provisioning, &want)
    );
    shop.fleet.fill_warm_pool(1, &by()).unwrap();
    // One of another release.
    let other = shop.release(more());
    let row = sign_up(&other, "other");
    assert_eq!(row.status(), TenantStatus::Provisioning);
    // An id whose next file is not of a first incarnation.
    let old = sign_up(&shop.fleet, "old");
    let catalog = shop.fleet.catalog();
    catalog.remove(old.id(), old.version(), &by()).unwrap();
    shop.fleet.fill_warm_pool(1, &by()).unwrap();
    let row = sign_up(&shop.fleet, "old");
    assert_eq!(
        (row.status(), row.epoch().get()),
        (TenantStatus::Provisioning, 2)
    );
    // And one that is not made yet, where another release has some.
    let raw = rusqlite::Connection::open(catalog.path()).unwrap();
    raw.execute("UPDATE stock SET ready = 0", []).unwrap();
    let another = "INSERT INTO stock VALUES (?1, 'another', 9, 1, 0)";
    raw.execute(another, ["0".repeat(32)]).unwrap();
    let row = sign_up(&shop.fleet, "late");
    assert_eq!(row.status(), TenantStatus::Provisioning);
}

/// Who names a waiting place has its file, and nobody gets it after that.
#[test]
fn a_place_that_was_asked_for_is_off_the_list() {
    let shop = Shop::new();
    shop.fleet.fill_warm_pool(1, &by()).unwrap();
    let catalog = shop.fleet.catalog();
    let raw = rusqlite::Connection::open(catalog.path()).unwrap();
    let sql = "SELECT locator FROM stock";
    let locator: String = raw.query_row(sql, [], |row| row.get(0)).unwrap();
    let mut new = NewTenant::new("acme".parse().unwrap());
    new.placement = Placement::new("sqlite", locator);
    let acme = catalog.insert(new, &by()).unwrap();
    let row = sign_up(&shop.fleet, "beta");
    assert_eq!(row.status(), TenantStatus::Provisioning);
    assert_eq!(shop.fleet.fill_warm_pool(0, &by()).unwrap().removed, 0);
    shop.root.connect(&acme).unwrap();
}

#[test]
fn a_sign_up_that_is_refused_leaves_the_warm_pool_as_it_is() {
    let shop = Shop::new();
    shop.fleet.fill_warm_pool(2, &by()).unwrap();
    let acme = sign_up(&shop.fleet, "acme");
    let label = Name::Label("shop".parse().unwrap());
    let catalog = shop.fleet.catalog();
    catalog
        .bind(&label, acme.id(), Proof::Trusted, &by())
        .unwrap();
    let mut new = asking(&shop.fleet, "beta");
    new.names = vec![label];
    let answers = catalog.insert_many(vec![new, asking(&shop.fleet, "gamma")], &by());
    assert!(
        matches!(&answers[..], [Err(WriteError::NameTaken { .. }), Ok(gamma)]
            if gamma.status() == TenantStatus::Active),
        "{answers:?}"
    );
    let filled = shop.fleet.fill_warm_pool(2, &by()).unwrap();
    assert_eq!((filled.ready, filled.made), (2, 2));
}

#[test]
fn threads_and_handles_never_take_the_same() {
    const EACH: usize = 20;
    let shop = Shop::new();
    shop.fleet.fill_warm_pool(60, &by()).unwrap();
    let taken: Vec<Tenant> = std::thread::scope(|scope| {
        let hands: Vec<_> = ["a", "b", "c", "d"]
            .into_iter()
            .map(|name| {
                let fleet = shop.release(notes());
                scope.spawn(move || {
                    let each = (0..EACH).map(|n| sign_up(&fleet, &format!("{name}{n}")));
                    each.collect::<Vec<_>>()
                })
            })
            .collect();
        let taken = hands.into_iter().flat_map(|hand| hand.join().unwrap());
        taken.collect()
    });
    let active = taken
        .iter()
        .filter(|tenant| tenant.status() == TenantStatus::Active);
    assert_eq!(active.clone().count(), 60, "all that were ready");
    let places: BTreeSet<_> = taken
        .iter()
        .map(|t| t.placement().locator.clone())
        .collect();
    assert_eq!(places.len(), taken.len());
    for tenant in active {
        shop.root.connect(tenant).unwrap();
        assert_eq!(shop.stamp(tenant).0, tenant.id().as_str());
    }
}

#[test]
fn who_fill_it_at_once_make_no_more_than_is_wanted() {
    let shop = Shop::new();
    for wanted in (4..=40).step_by(4) {
        let together = std::sync::Barrier::new(2);
        let made: Vec<usize> = std::thread::scope(|scope| {
            let hands = [(); 2].map(|()| {
                let fleet = shop.release(notes());
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    fleet.fill_warm_pool(wanted, &by()).unwrap().made
                })
            });
            hands.map(|hand| hand.join().unwrap()).into()
        });
        assert_eq!(made.iter().sum::<usize>(), 4, "{wanted}: {made:?}");
        assert_eq!(shop.files().len(), wanted);
    }
}

/// The first connections of a tenant, at the same moment.
#[test]
fn a_file_is_taken_once_by_many_connections() {
    let shop = Shop::new();
    for round in 0..20 {
        shop.fleet.fill_warm_pool(1, &by()).unwrap();
        let tenant = sign_up(&shop.fleet, &format!("t{round}"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let connection = shop.root.connect(&tenant).unwrap();
                    let sql = "INSERT INTO notes (text) VALUES ('x')";
                    connection.execute(sql, []).unwrap();
                });
            }
        });
        let connection = shop.root.connect(&tenant).unwrap();
        let count = connection.query_row("SELECT count(*) FROM notes", [], |row| row.get(0));
        assert_eq!(count, Ok(4), "round {round}");
    }
}

/// It has as waiting what was taken since.
#[test]
fn an_older_catalog_that_was_restored_does_not_hide_a_tenants_file() {
    let Shop { root, fleet } = Shop::new();
    fleet.fill_warm_pool(2, &by()).unwrap();
    let (old, new) = (
        root.dir.path().join("old.db"),
        fleet.catalog().path().to_owned(),
    );
    let raw = rusqlite::Connection::open(&new).unwrap();
    raw.execute("VACUUM INTO ?1", [old.to_str()]).unwrap();
    let taken = sign_up(&fleet, "acme");
    let connection = root.connect(&taken).unwrap();
    let sql = "INSERT INTO notes (text) VALUES ('hello')";
    connection.execute(sql, []).unwrap();
    drop((connection, raw, fleet));
    let dir = root.close();
    let wal = rusqlite::Connection::open(&old).unwrap();
    wal.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    drop(wal);
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&old, closed).unwrap();
    std::fs::rename(&old, &new).unwrap();
    let storage = at(dir.path()).migrations(notes()).open().unwrap();
    let shop = Shop::of(Root::of(storage, dir));
    for round in ["waiting", "withdrawn"] {
        let findings = shop.validate().findings;
        let said: Vec<_> = findings.iter().map(|f| (f.code(), &f.path)).collect();
        let path = Some(shop.root.path(&taken));
        assert_eq!(said, [("foreign", &path)], "{round}");
        assert!(findings[0].to_string().contains("stamped acme@1"));
        assert!(shop.fleet.fill_warm_pool(0, &by()).is_err() || round == "withdrawn");
        assert_eq!(shop.files().len(), 1, "it is not removed");
    }
}

#[test]
fn a_rebuilt_catalog_lists_the_unused_files_of_the_warm_pool() {
    let shop = Shop::new();
    shop.fleet.fill_warm_pool(3, &by()).unwrap();
    let (acme, _unused) = (sign_up(&shop.fleet, "acme"), sign_up(&shop.fleet, "beta"));
    shop.root.connect(&acme).unwrap();
    let Shop { root, fleet } = shop;
    drop(fleet);
    let dir = root.close();
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join(name));
    }
    let rebuilt = SqliteFleet::rebuild_catalog(dir.path(), &by(), |_| {}).unwrap();
    let ids: Vec<_> = rebuilt.tenants.iter().map(|t| t.id.as_str()).collect();
    assert_eq!(ids, ["acme"]);
    assert_eq!(rebuilt.silent.len(), 2, "{:?}", rebuilt.silent);
}

//! A catalog that was lost is made anew from what the files say.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tenancy_core::{
    Actor, CatalogWriter, NewTenant, Provisioner, Tenant, TenantChange, TenantRef, TenantStatus,
};
use tenancy_fleet::Progress;
use tenancy_sqlite::{Depth, RebuildError, SqliteFleet, ValidateOptions};

use crate::util::{at, files_below, make_dir, notes, quick_dir};

fn by() -> Actor {
    Actor::new("test")
}

fn open(root: &Path) -> SqliteFleet {
    at(root).migrations(notes()).open().unwrap().fleet()
}

fn made(fleet: &SqliteFleet, id: &str, text: &str) -> Tenant {
    let mut new = NewTenant::new(id.parse().unwrap());
    new.placement = fleet.driver().place(&new.id).unwrap();
    let tenant = fleet.catalog().insert(new, &by()).unwrap();
    write(fleet, &tenant, text);
    tenant
}

fn write(fleet: &SqliteFleet, tenant: &Tenant, text: &str) {
    fleet.driver().provision(tenant).unwrap();
    let manager = tenancy_pool::Driver::manager(fleet.driver(), tenant);
    let connection = r2d2::ManageConnection::connect(&manager).unwrap();
    let sql = "INSERT INTO notes (text) VALUES (?1)";
    connection.execute(sql, [text]).unwrap();
}

fn read(fleet: &SqliteFleet, tenant: &Tenant) -> String {
    let manager = tenancy_pool::Driver::manager(fleet.driver(), tenant);
    let connection = r2d2::ManageConnection::connect(&manager).unwrap();
    connection
        .query_row("SELECT text FROM notes", [], |row| row.get(0))
        .unwrap()
}

fn path(root: &Path, tenant: &Tenant) -> PathBuf {
    let locator = &*tenant.placement().locator;
    let mut path = root.canonicalize().unwrap().join("tenants");
    path.push(&locator[..2]);
    path.push(format!("{locator}.{}.db", tenant.epoch()));
    path
}

/// A place that nobody drew: this byte sixteen times.
fn place(root: &Path, byte: &str, epoch: u64) -> PathBuf {
    let dir = root.join("tenants").join(byte);
    make_dir(&dir);
    dir.join(format!("{}.{epoch}.db", byte.repeat(16)))
}

fn forget_catalog(root: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(root.join(format!("catalog.db{suffix}")));
    }
}

fn texts(all: &[TenantRef]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

fn next_incarnation(fleet: &SqliteFleet, tenant: &Tenant) -> Tenant {
    let mut change = TenantChange::default();
    change.reincarnate = Some(fleet.driver().place(tenant.id()).unwrap());
    let catalog = fleet.catalog();
    catalog
        .update(tenant.id(), tenant.version(), change, &by())
        .unwrap()
}

#[test]
fn rebuilt_tenants_have_their_epochs_and_rows_and_are_in_maintenance() {
    let dir = quick_dir();
    let root = dir.path();
    let fleet = open(root);
    made(&fleet, "acme", "of acme");
    let old = made(&fleet, "beta", "of beta, before");
    let beta = next_incarnation(&fleet, &old);
    write(&fleet, &beta, "of beta");
    let gone = made(&fleet, "retired", "of retired");
    fleet.driver().retire(&gone, Duration::ZERO).unwrap();
    // A file that says nothing, and one that was put under another's name.
    let mute = place(root, "ab", 1);
    fs::write(&mute, "no database, and long enough to be one ".repeat(200)).unwrap();
    let lying = place(root, "cd", 7);
    fs::copy(path(root, &beta), &lying).unwrap();
    drop(fleet);
    forget_catalog(root);

    let mut reached = Progress::default();
    let rebuilt = SqliteFleet::rebuild_catalog(root, &by(), |at| reached = at).unwrap();
    // Two of the six files name no tenant of their own place.
    assert_eq!((reached.done, reached.failed, reached.total), (6, 2, 6));
    assert_eq!(texts(&rebuilt.tenants), ["acme@1", "beta@2"]);
    assert_eq!(texts(&rebuilt.retired), ["retired@1"]);
    assert_eq!(rebuilt.quarantined.len(), 1);
    assert!(rebuilt.quarantined[0].ends_with(path(root, &old).file_name().unwrap()));
    let silent: Vec<_> = rebuilt.silent.iter().map(|p| p.file_name()).collect();
    assert_eq!(silent, [mute.file_name(), lying.file_name()]);
    assert_eq!(rebuilt.damaged_catalog, None);

    let fleet = open(root);
    for tenant in fleet.catalog().page(None, 9).unwrap() {
        if tenant.id().as_str() == "retired" {
            assert_eq!(tenant.status(), TenantStatus::Retiring);
            fleet.driver().revive(&tenant).unwrap();
        } else {
            assert_eq!(tenant.status(), TenantStatus::Active);
            assert!(tenant.maintenance().is_some());
        }
        assert_eq!(read(&fleet, &tenant), format!("of {}", tenant.id()));
        fleet.driver().retire(&tenant, Duration::ZERO).unwrap();
        fleet.driver().revive(&tenant).unwrap();
    }
    fleet.catalog().check_events().unwrap().unwrap();
    let options = ValidateOptions::new().depth(Depth::Full);
    let found = fleet.validate(&options, |_| {}).unwrap();
    let codes: Vec<_> = found.findings.iter().map(|f| f.code()).collect();
    assert_eq!(
        codes,
        ["orphan", "duplicate", "half_retired"],
        "{:?}",
        found.findings
    );
    // The catalog knows their schemas, too.
    assert!(fleet.check().unwrap().all_current());
}

/// Files of before the stamp held the locator.
fn forget_locator(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = "ALTER TABLE _tenancy_stamp DROP COLUMN locator";
    connection.execute_batch(sql).unwrap();
}

fn stamp_of(path: &Path) -> (String, Option<String>) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT sql FROM sqlite_schema WHERE name = '_tenancy_stamp'";
    let made = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    let sql = "SELECT locator FROM _tenancy_stamp";
    (made, connection.query_row(sql, [], |row| row.get(0)).ok())
}

#[test]
fn an_older_stamp_gets_its_place_at_the_next_open_that_can_write() {
    let dir = quick_dir();
    let root = dir.path();
    let fleet = open(root);
    let acme = made(&fleet, "acme", "of acme");
    let path = path(root, &acme);
    let new = stamp_of(&path);
    let locator = acme.placement().locator.to_string();
    assert_eq!(new.1, Some(locator.clone()));
    forget_locator(&path);
    assert_eq!(stamp_of(&path).1, None);

    let writer = rusqlite::Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = std::time::Instant::now();
    assert_eq!(read(&fleet, &acme), "of acme");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "it waits for no writer"
    );
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(stamp_of(&path).1, None);
    // A lock on the file is refused to nobody who comes later.
    drop(writer);
    assert_eq!(read(&fleet, &acme), "of acme");
    assert_eq!(stamp_of(&path), new, "as if it had been made so");
    let options = ValidateOptions::new().depth(Depth::Full);
    let found = fleet.validate(&options, |_| {}).unwrap();
    assert!(found.is_sound(), "{:?}", found.findings);
}

#[test]
fn a_copy_under_another_name_does_not_replace_the_live_file() {
    let dir = quick_dir();
    let root = dir.path();
    let fleet = open(root);
    let acme = made(&fleet, "acme", "of acme");
    let (live, copy) = (path(root, &acme), place(root, "ab", 1));
    fs::copy(&live, &copy).unwrap();
    let connection = rusqlite::Connection::open(&copy).unwrap();
    let sql = "UPDATE notes SET text = 'of the copy'";
    connection.execute_batch(sql).unwrap();
    drop(connection);
    let trashed = format!("{}.1.1.db", "cd".repeat(16));
    fs::copy(&live, root.join("trash").join(&trashed)).unwrap();
    let time = |path| fs::metadata(path).unwrap().modified().unwrap();
    assert!(time(&copy) > time(&live));
    drop(fleet);
    forget_catalog(root);

    let rebuilt = SqliteFleet::rebuild_catalog(root, &by(), |_| {}).unwrap();
    assert_eq!(texts(&rebuilt.tenants), ["acme@1"]);
    let silent: Vec<_> = rebuilt.silent.iter().map(|p| p.file_name()).collect();
    assert_eq!(silent, [copy.file_name(), Some(trashed.as_ref())]);
    let fleet = open(root);
    let acme = fleet.catalog().page(None, 9).unwrap().remove(0);
    assert_eq!(read(&fleet, &acme), "of acme");
    assert!(live.exists() && path(root, &acme) == live);

    // Nor is it opened where a row names it.
    let placement = tenancy_core::Placement::new("sqlite", "ab".repeat(16));
    let moved = acme.to_builder().placement(placement).build().unwrap();
    let manager = tenancy_pool::Driver::manager(fleet.driver(), &moved);
    let error = r2d2::ManageConnection::connect(&manager).unwrap_err();
    let foreign = matches!(error, tenancy_sqlite::OpenError::WrongDatabase { .. });
    assert!(
        foreign && error.to_string().contains("of another place"),
        "{error}"
    );
}

#[test]
fn of_two_files_of_one_incarnation_the_one_in_use_wins_then_the_last_written() {
    let dir = quick_dir();
    let root = dir.path();
    let fleet = open(root);
    let acme = made(&fleet, "acme", "older");
    let copy = place(root, "ab", 1);
    fs::copy(path(root, &acme), &copy).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let connection = rusqlite::Connection::open(path(root, &acme)).unwrap();
    connection
        .execute_batch("UPDATE notes SET text = 'newer'")
        .unwrap();
    drop(connection);
    // And one in the trash, which was written last of all.
    let trashed = root
        .join("trash")
        .join(format!("{}.1.1.db", "cd".repeat(16)));
    fs::copy(path(root, &acme), &trashed).unwrap();
    drop(fleet);
    let live = path(root, &acme);
    let written = fs::metadata(&live).unwrap().modified().unwrap();
    for file in [&live, &copy, &trashed] {
        forget_locator(file);
    }
    // The copy was written first, whatever was done to it since.
    let earlier = written - Duration::from_secs(60);
    let copy = fs::File::options().write(true).open(copy).unwrap();
    copy.set_modified(earlier).unwrap();
    forget_catalog(root);
    let rebuilt = SqliteFleet::rebuild_catalog(root, &by(), |_| {}).unwrap();
    assert_eq!(texts(&rebuilt.tenants), ["acme@1"]);
    assert_eq!(rebuilt.quarantined.len(), 2);
    let fleet = open(root);
    let acme = fleet.catalog().page(None, 9).unwrap().remove(0);
    assert_eq!(read(&fleet, &acme), "newer");
}

#[test]
fn a_damaged_catalog_goes_to_quarantine_and_a_sound_one_is_refused() {
    let dir = quick_dir();
    let root = dir.path();
    let fleet = open(root);
    made(&fleet, "acme", "of acme");
    let refused = SqliteFleet::rebuild_catalog(root, &by(), |_| {}).unwrap_err();
    assert!(matches!(refused, RebuildError::InUse { .. }), "{refused}");
    drop(fleet);
    let refused = SqliteFleet::rebuild_catalog(root, &by(), |_| {}).unwrap_err();
    let sound = matches!(refused, RebuildError::CatalogIsSound { tenants: 1, .. });
    assert!(sound, "{refused}");

    let catalog = root.join("catalog.db");
    let whole = fs::read(&catalog).unwrap();
    let mut hole = whole.clone();
    hole[4_096..].fill(0x5a);
    for (at, bytes) in [hole, b"nonsense".repeat(2_000), whole[..5_000].to_vec()]
        .into_iter()
        .enumerate()
    {
        fs::write(&catalog, &bytes).unwrap();
        let rebuilt = SqliteFleet::rebuild_catalog(root, &by(), |_| {});
        let rebuilt = rebuilt.unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(texts(&rebuilt.tenants), ["acme@1"], "{at}");
        let kept = rebuilt.damaged_catalog.expect("it was damaged");
        assert_eq!(fs::read(kept).unwrap(), bytes, "{at}");
    }
    assert_eq!(files_below(&root.join("quarantine")).len(), 3);
    let fleet = open(root);
    let acme = fleet.catalog().page(None, 9).unwrap().remove(0);
    assert_eq!(read(&fleet, &acme), "of acme");
}

#[test]
fn a_rebuild_that_was_cut_off_is_repeated() {
    let dir = quick_dir();
    let root = dir.path();
    let fleet = open(root);
    made(&fleet, "acme", "of acme");
    drop(fleet);
    forget_catalog(root);
    // The rows are one transaction: before it there is an empty catalog at most.
    std::fs::write(root.join("catalog.db"), "").unwrap();
    let rebuilt = SqliteFleet::rebuild_catalog(root, &by(), |_| {}).unwrap();
    assert_eq!(texts(&rebuilt.tenants), ["acme@1"]);
    let empty = quick_dir();
    let error = SqliteFleet::rebuild_catalog(empty.path(), &by(), |_| {}).unwrap_err();
    assert!(
        error.to_string().contains("is not a storage root"),
        "{error}"
    );
    drop(at(empty.path()).open().unwrap());
    let rebuilt = SqliteFleet::rebuild_catalog(empty.path(), &by(), |_| {}).unwrap();
    assert!(rebuilt.tenants.is_empty() && rebuilt.quarantined.is_empty());
}

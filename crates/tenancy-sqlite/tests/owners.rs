//! What root makes in a storage root belongs to the owner of that root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tenancy_core::{
    Actor, CatalogWriter, NewTenant, Provisioner, Tenant, TenantChange, TenantStatus,
};
use tenancy_fleet::{FleetOptions, RollbackTo};
use tenancy_sqlite::{Depth, Repair, SqliteFleet, ValidateOptions, Validation};

use crate::util::{at, child, notes, quick_dir};

/// The application's user: no name is needed, and no process has it.
const USER: u32 = 54_321;

/// A directory that belongs to [`USER`], where it can be given away.
fn given() -> Option<TempDir> {
    let dir = quick_dir();
    if fs::metadata(dir.path()).unwrap().uid() != 0 {
        println!("left out: only root can give a directory to another user");
        return None;
    }
    chown(dir.path(), Some(USER), Some(USER)).unwrap();
    Some(dir)
}

fn open(root: &Path) -> SqliteFleet {
    at(root).migrations(notes()).open().unwrap().fleet()
}

fn by() -> Actor {
    Actor::new("test")
}

fn made(fleet: &SqliteFleet, id: &str) -> Tenant {
    let mut new = NewTenant::new(id.parse().unwrap());
    new.status = TenantStatus::Provisioning;
    new.placement = fleet.driver().place(&new.id).unwrap();
    let tenant = fleet.catalog().insert(new, &by()).unwrap();
    fleet.driver().provision(&tenant).unwrap();
    set(fleet, &tenant, TenantStatus::Active)
}

fn set(fleet: &SqliteFleet, tenant: &Tenant, status: TenantStatus) -> Tenant {
    let change = TenantChange::status(status);
    let catalog = fleet.catalog();
    catalog
        .update(tenant.id(), tenant.version(), change, &by())
        .unwrap()
}

fn connect(fleet: &SqliteFleet, tenant: &Tenant) -> tenancy_sqlite::SqliteConnection {
    let manager = tenancy_pool::Driver::manager(fleet.driver(), tenant);
    r2d2::ManageConnection::connect(&manager).unwrap()
}

fn validated(fleet: &SqliteFleet) -> Validation {
    let options = ValidateOptions::new().depth(Depth::Stamps);
    fleet.validate(&options, |_| {}).unwrap()
}

fn codes(validation: &Validation) -> Vec<&'static str> {
    validation.findings.iter().map(|f| f.code()).collect()
}

/// Everything below a directory, itself included.
fn all_below(dir: &Path) -> Vec<PathBuf> {
    let mut all = vec![dir.to_owned()];
    let mut at = 0;
    while at < all.len() {
        if all[at].is_dir() {
            let entries = fs::read_dir(&all[at]).unwrap();
            all.extend(entries.map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    all
}

#[track_caller]
fn assert_all_given(root: &Path, when: &str) {
    for path in all_below(root) {
        // What SQLite puts beside a database may be gone again.
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        let owner = (meta.uid(), meta.gid());
        assert_eq!(owner, (USER, USER), "{when}: {}", path.display());
    }
}

/// Every kind of file and directory that a root can have.
fn work(root: &Path) {
    let fleet = open(root);
    let all: Vec<_> = (0..8).map(|n| made(&fleet, &format!("t{n}"))).collect();
    let open_ones: Vec<_> = all.iter().map(|tenant| connect(&fleet, tenant)).collect();
    for connection in &open_ones {
        let sql = "INSERT INTO notes (text) VALUES ('x')";
        connection.execute(sql, []).unwrap();
    }
    assert_all_given(root, "tenants, open");
    drop(open_ones);
    let retired = set(&fleet, &all[0], TenantStatus::Retiring);
    fleet.driver().retire(&retired, Duration::ZERO).unwrap();
    let options = FleetOptions::new().by(by());
    fleet
        .rollback(RollbackTo::Version(1), &options, |_| {})
        .unwrap();
    fleet.migrate(&options, |_| {}).unwrap();
    fleet.fill_warm_pool(2, &by()).unwrap();
    let stray = root.join("trash/stray.txt");
    fs::write(&stray, "x").unwrap();
    chown(&stray, Some(USER), Some(USER)).unwrap();
    let found = validated(&fleet);
    assert_eq!(codes(&found), ["stray"], "{:?}", found.findings);
    fleet.fix(&found, &by(), |_| {});
    assert_all_given(root, "runs, copies, quarantine");
}

/// The child: makes tenants in the root as its owner.
pub fn make_tenants(arguments: &[String]) {
    let [root] = arguments else { panic!("root") };
    let fleet = open(Path::new(root));
    for n in 0..64 {
        made(&fleet, &format!("u{n}"));
    }
    let validation = validated(&fleet);
    assert!(validation.is_sound(), "{:?}", validation.findings);
}

#[test]
fn the_owner_of_a_root_goes_on_after_root_has_worked_in_it() {
    let Some(dir) = given() else { return };
    work(dir.path());
    let root = dir.path().to_str().unwrap();
    let child = child::command(&[], "owner", &[root])
        .uid(USER)
        .gid(USER)
        .spawn();
    let output = child.unwrap().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_all_given(dir.path(), "its owner's");
}

#[test]
fn owners_and_modes_that_differ_are_found_and_mended() {
    let dir = given().unwrap_or_else(quick_dir);
    let root = dir.path();
    let fleet = open(root);
    let acme = made(&fleet, "acme");
    let locator = &*acme.placement().locator;
    let shard = root
        .canonicalize()
        .unwrap()
        .join("tenants")
        .join(&locator[..2]);
    let file = shard.join(format!("{locator}.{}.db", acme.epoch()));
    assert!(validated(&fleet).is_sound());

    let own = fs::metadata(root).unwrap();
    for path in [
        &shard,
        &file,
        &root.join("runs.lock"),
        &root.join("catalog.db"),
    ] {
        if !path.exists() {
            fs::write(path, "").unwrap();
        }
        let path = &path.canonicalize().unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        let expected: &[&str] = match own.uid() == USER {
            true => {
                chown(path, Some(0), Some(0)).unwrap();
                &["owner", "mode"]
            }
            false => &["mode"],
        };
        let found = validated(&fleet);
        assert_eq!(codes(&found), expected, "{:?}", found.findings);
        for finding in &found.findings {
            assert_eq!(finding.path.as_ref(), Some(path));
            let of_acme = *path == shard || *path == root.join("catalog.db");
            assert_eq!(
                finding.tenant.is_none(),
                *path != file || of_acme,
                "{finding}"
            );
        }
        for fixed in fleet.fix(&found, &by(), |_| {}) {
            assert_eq!(
                fixed.result.unwrap(),
                Repair::AccessCorrected,
                "{}",
                path.display()
            );
        }
        let meta = fs::symlink_metadata(path).unwrap();
        let mode = if meta.is_dir() { 0o700 } else { 0o600 };
        assert_eq!((meta.uid(), meta.mode() & 0o777), (own.uid(), mode));
        assert!(validated(&fleet).is_sound());
    }
}

/// A second name may be of a file outside: it would be given away, too.
#[test]
fn a_file_with_a_second_name_is_not_given_away() {
    let Some(dir) = given() else { return };
    let fleet = open(dir.path());
    let outside = quick_dir();
    let other = outside.path().join("other");
    fs::write(&other, "").unwrap();
    let lock = dir.path().join("runs.lock");
    let _ = fs::remove_file(&lock);
    fs::hard_link(&other, &lock).unwrap();
    let found = validated(&fleet);
    assert_eq!(codes(&found), ["owner", "mode"]);
    for fixed in fleet.fix(&found, &by(), |_| {}) {
        assert!(fixed.result.is_err(), "{fixed:?}");
    }
    assert_eq!(fs::metadata(&other).unwrap().uid(), 0);
}

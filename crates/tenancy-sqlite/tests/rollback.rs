//! Rollbacks by scripts and to snapshots.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use r2d2::ManageConnection;
use tenancy_core::{CatalogWriter, Provisioner, SchemaTarget, Tenant};
use tenancy_fleet::{FleetError, RollbackTo, RunEnd, TenantError};
use tenancy_pool::{CheckoutError, Driver, TenantPools};
use tenancy_sqlite::{Migration, Migrations, SqliteDriver, ValidateOptions};

use crate::fleet::{Bed, by, first_step, options};
use crate::util::{at, files_below, notes};

/// The steps of [`notes`], one that no script undoes, and one more.
pub fn with_irreversible() -> Migrations {
    let later = [
        Migration::new("shout", "UPDATE notes SET text = upper(text)"),
        Migration::new("tags", "CREATE TABLE tags (tag TEXT) STRICT").down("DROP TABLE tags"),
    ];
    Migrations::new(notes().iter().cloned().chain(later)).unwrap()
}

fn write(bed: &Bed, tenant: &Tenant, text: &str) {
    let sql = "INSERT INTO notes (text) VALUES (?1)";
    bed.raw(tenant).execute(sql, [text]).unwrap();
}

fn texts(bed: &Bed, tenant: &Tenant) -> String {
    let sql = "SELECT coalesce(group_concat(text, ' '), '') FROM notes";
    bed.raw(tenant)
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

fn copies(bed: &Bed) -> Vec<String> {
    let dir = bed.root.dir.path().join("snapshots");
    if !dir.exists() {
        return Vec::new();
    }
    files_below(&dir)
}

fn in_trash(bed: &Bed) -> usize {
    files_below(&bed.root.dir.path().join("trash")).len()
}

#[test]
fn a_fleet_is_rolled_back_by_its_scripts() {
    let bed = Bed::with(6, notes());
    let fleet = bed.fleet(notes());
    let only = options().only(["t00".parse().unwrap()]);
    let report = fleet.rollback(RollbackTo::Steps(1), &only, |_| {}).unwrap();
    let done = &report.done[0];
    assert_eq!(
        (report.done.len(), done.from, done.to, done.restored),
        (1, 2, 1, false)
    );
    let mut seen = 0;
    let report = fleet
        .rollback(RollbackTo::Version(1), &options(), |at| seen = at.total)
        .unwrap();
    assert_eq!((report.done.len(), report.current, seen), (5, 1, 5));
    assert!(bed.tenants().iter().all(|t| bed.version(t) == 1));
    let again = fleet
        .rollback(RollbackTo::Version(1), &options(), |_| {})
        .unwrap();
    assert_eq!((again.done.len(), again.current, again.run), (0, 6, None));
    // No version is below the first.
    let error = fleet.rollback(RollbackTo::Steps(2), &options(), |_| {});
    assert!(
        matches!(
            error,
            Err(FleetError::TooManySteps {
                steps: 2,
                version: 1
            })
        ),
        "{error:?}"
    );
    fleet
        .rollback(RollbackTo::Steps(1), &options(), |_| {})
        .unwrap();
    assert!(bed.tenants().iter().all(|t| bed.version(t) == 0));
    assert_eq!(fleet.migrate(&options(), |_| {}).unwrap().steps(), 12);
    let kept = fleet.snapshots_of(bed.tenant("t00").id()).unwrap();
    let kept: Vec<_> = kept.iter().map(|c| (c.schema, c.run)).collect();
    assert_eq!(kept, [(2, Some(1)), (1, Some(3))], "before each rollback");
    assert_eq!(copies(&bed).len(), 12);
    let words: Vec<_> = fleet
        .runs(9)
        .unwrap()
        .iter()
        .map(|r| r.target.to_string())
        .collect();
    assert_eq!(words, ["2", "1 steps of all", "to 1", "1 steps of t00"]);
}

#[test]
fn a_snapshot_is_kept_before_a_step_that_no_script_undoes() {
    let bed = Bed::with(2, first_step());
    let fleet = bed.fleet(with_irreversible());
    let id = |n: usize| format!("t{n:02}").parse().unwrap();
    let without = options().without_snapshots().only([id(1)]);
    fleet.migrate(&without, |_| {}).unwrap();
    assert!(copies(&bed).is_empty());
    fleet.migrate(&options(), |_| {}).unwrap();
    let kept = fleet.snapshots_of(&id(0)).unwrap();
    assert_eq!((kept.len(), kept[0].schema, kept[0].epoch.get()), (1, 1, 1));
    assert_eq!(copies(&bed).len(), 1, "and nothing beside it");
    // Any migration keeps it: here that of a file which is opened.
    let beta = bed.create("beta");
    let driver = at(bed.root.dir.path()).migrations(with_irreversible());
    let driver = driver
        .behind(tenancy_sqlite::Behind::Migrate)
        .open_driver()
        .unwrap();
    driver.manager(&beta).connect().unwrap();
    assert_eq!(fleet.snapshots_of(beta.id()).unwrap().len(), 1);

    assert_eq!(fleet.remove_snapshots(Duration::from_secs(60)).unwrap(), 0);
    assert_eq!(fleet.remove_snapshots(Duration::ZERO).unwrap(), 2);
    assert!(copies(&bed).is_empty());
}

#[test]
fn a_snapshot_is_restored_only_on_request() {
    let bed = Bed::with(1, first_step());
    let fleet = bed.fleet(with_irreversible());
    fleet.migrate(&options(), |_| {}).unwrap();
    let report = fleet
        .rollback(RollbackTo::Version(1), &options(), |_| {})
        .unwrap();
    let error = &report.failed[0].error;
    assert!(
        matches!(error, TenantError::Irreversible { version: 3, .. }),
        "{error:?}"
    );
    let tenant = bed.tenant("t00");
    assert_eq!(
        (tenant.epoch().get(), bed.version(&tenant)),
        (1, 4),
        "not half-way either"
    );
    // A script undoes the last step.
    let report = fleet
        .rollback(RollbackTo::Steps(1), &options(), |_| {})
        .unwrap();
    assert_eq!((report.done[0].to, report.done[0].restored), (3, false));
}

/// Another operation migrates the tenant while its snapshot is copied.
#[test]
fn a_tenant_that_is_migrated_before_its_cutover_is_a_conflict() {
    let bed = Bed::with(1, first_step());
    bed.fleet(with_irreversible())
        .migrate(&options(), |_| {})
        .unwrap();
    let (other, acme) = (bed.fleet(with_irreversible()), bed.tenant("t00"));
    let once = Once::new();
    let storage = at(bed.root.dir.path()).migrations(with_irreversible());
    let storage = storage.on_step(move |step| {
        if step == "copy the copy" {
            let to = SchemaTarget::Version(3);
            once.call_once(|| assert!(other.driver().migrate(&acme, to).is_ok()));
        }
        Ok(())
    });
    let fleet = storage.open().unwrap().fleet();
    let restoring = options().restore_snapshots();
    let report = fleet
        .rollback(RollbackTo::Version(1), &restoring, |_| {})
        .unwrap();
    let error = format!("{:?}", report.failed[0].error);
    assert!(error.contains("Conflict { seen: 4, found: 3 }"), "{error}");
    let tenant = bed.tenant("t00");
    assert_eq!((tenant.epoch().get(), bed.version(&tenant)), (1, 3));
}

#[test]
fn a_snapshot_becomes_the_file_of_the_next_incarnation() {
    // The target, and the text that the snapshot of version 1 has after its migration to it.
    for to in [0, 1, 2] {
        let bed = Bed::with(2, first_step());
        let tenant = bed.tenant("t00");
        write(&bed, &tenant, "before");
        let fleet = bed.fleet(with_irreversible());
        fleet.migrate(&options(), |_| {}).unwrap();
        write(&bed, &tenant, "after");
        if to == 1 {
            // A snapshot from before stamps had the locator.
            let copy = bed.root.dir.path().join("snapshots").join(&copies(&bed)[0]);
            let copy = rusqlite::Connection::open(copy).unwrap();
            let sql = "ALTER TABLE _tenancy_stamp DROP COLUMN locator";
            copy.execute_batch(sql).unwrap();
        }
        let pools = TenantPools::<SqliteDriver>::builder();
        let pools = pools.build(fleet.driver().clone()).unwrap();
        drop(pools.checkout(&tenant).unwrap());
        // Pools close their idle connections to the old one when they see the new one: here,
        // at once.
        pools.close(tenant.id(), Duration::ZERO).unwrap();
        pools.reopen(tenant.id());

        let restoring = options().restore_snapshots();
        let report = fleet
            .rollback(RollbackTo::Version(to), &restoring, |_| {})
            .unwrap();
        let done = &report.done[0];
        assert_eq!(done.tenant.to_string(), "t00@2", "{to}");
        assert_eq!((done.from, done.to, done.restored), (4, to, true));
        let now = bed.tenant("t00");
        assert_eq!((now.epoch().get(), bed.version(&now)), (2, to));
        assert_eq!(now.placement(), tenant.placement());
        if to > 0 {
            assert_eq!(texts(&bed, &now), "before");
        }
        assert_eq!(in_trash(&bed), 2, "the old files");
        assert!(files_below(&bed.root.dir.path().join("staging")).is_empty());
        // A validation finds no fault in it.
        let validation = fleet.validate(&ValidateOptions::new(), |_| {});
        let findings = validation.unwrap().findings;
        assert!(findings.is_empty(), "{findings:?}");
        // The catalog has the schema of the new file.
        let counts = bed.fleet(with_irreversible()).check().unwrap();
        assert_eq!((counts.behind, counts.unknown), (2, 0));
        let old = pools.checkout(&tenant).unwrap_err();
        assert!(!matches!(old, CheckoutError::Timeout { .. }), "{old}");

        // And up again, past the same snapshot.
        assert_eq!(fleet.migrate(&options(), |_| {}).unwrap().done.len(), 2);
        let connection = pools.checkout(&now).unwrap();
        let sql = "SELECT count(*) FROM notes WHERE text = 'BEFORE'";
        let count: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(count, i64::from(to > 0));
        let kept: Vec<_> = fleet.snapshots_of(now.id()).unwrap();
        let kept: Vec<_> = kept.iter().map(|c| (c.epoch.get(), c.schema)).collect();
        assert_eq!(kept, [(1, 1), (2, to)]);
    }
}

#[test]
fn a_file_that_is_in_use_is_put_away_by_the_next_call() {
    let bed = Bed::with(1, first_step());
    let fleet = bed.fleet(with_irreversible());
    fleet.migrate(&options(), |_| {}).unwrap();
    let old = bed.tenant("t00");
    let reader = bed.raw(&old);
    let count = || -> i64 {
        let sql = "SELECT count(*) FROM notes";
        reader.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(), 0);
    let restoring = options().restore_snapshots();
    let report = fleet
        .rollback(RollbackTo::Version(1), &restoring, |_| {})
        .unwrap();
    assert!(report.done[0].restored && report.is_complete());
    assert_eq!((in_trash(&bed), count()), (0, 0));
    assert!(bed.root.path(&old).exists());
    drop(reader);
    let only = restoring.only([old.id().clone()]);
    fleet
        .rollback(RollbackTo::Version(1), &only, |_| {})
        .unwrap();
    assert_eq!(in_trash(&bed), 1);
    assert!(!bed.root.path(&old).exists());
}

#[test]
fn a_tenant_without_a_snapshot_fails_and_stays() {
    let bed = Bed::with(1, with_irreversible());
    let fleet = bed.fleet(with_irreversible());
    let restoring = options().restore_snapshots();
    let report = fleet
        .rollback(RollbackTo::Version(1), &restoring, |_| {})
        .unwrap();
    assert_eq!(
        report.failed[0].error.to_string(),
        "tenant t00@1: migration 3 has no down script, and there is no snapshot to roll back to version 1; restore a backup"
    );
    assert_eq!(bed.version(&bed.tenant("t00")), 4);
}

/// Two rollbacks by one step are two steps, unless the first was interrupted.
#[test]
fn an_interrupted_rollback_undoes_no_step_twice() {
    let bed = Bed::with(6, notes());
    let begun = AtomicUsize::new(0);
    let driver = at(bed.root.dir.path()).migrations(notes());
    // The fourth fails.
    let driver = driver.on_step(move |name| {
        let fourth = name == "migrate" && begun.fetch_add(1, Ordering::Relaxed) == 3;
        match fourth {
            true => Err(std::io::Error::other("no space left")),
            false => Ok(()),
        }
    });
    let fleet = driver.open().unwrap().fleet();
    let one_at_a_time = options().jobs(1);
    let report = fleet
        .rollback(RollbackTo::Steps(1), &one_at_a_time, |_| {})
        .unwrap();
    assert_eq!((report.done.len(), report.end), (3, RunEnd::Failures));
    // Another operation rolls back one of the tenants that were not reached.
    fleet
        .driver()
        .migrate(&bed.tenant("t05"), SchemaTarget::Version(1))
        .unwrap();
    let report = fleet
        .rollback(RollbackTo::Steps(1), &options(), |_| {})
        .unwrap();
    assert_eq!((report.run, report.done.len()), (Some(1), 3));
    assert!(bed.tenants().iter().all(|t| bed.version(t) == 1));
    // That run is done.
    let report = fleet
        .rollback(RollbackTo::Steps(1), &options(), |_| {})
        .unwrap();
    assert_eq!((report.run, report.done.len()), (Some(2), 6));
    assert!(bed.tenants().iter().all(|t| bed.version(t) == 0));
}

#[test]
fn a_destroyed_tenant_leaves_no_snapshot_for_its_successor() {
    let bed = Bed::with(1, first_step());
    let tenant = bed.tenant("t00");
    write(&bed, &tenant, "secret");
    let fleet = bed.fleet(with_irreversible());
    fleet.migrate(&options(), |_| {}).unwrap();
    fleet
        .rollback(
            RollbackTo::Version(1),
            &options().restore_snapshots(),
            |_| {},
        )
        .unwrap();
    assert_eq!((copies(&bed).len(), in_trash(&bed)), (1, 1));
    let now = bed.tenant("t00");
    fleet.driver().destroy(&now).unwrap();
    bed.catalog.remove(now.id(), now.version(), &by()).unwrap();
    assert_eq!((copies(&bed).len(), in_trash(&bed)), (0, 0));
    let files = files_below(&bed.root.dir.path().join("tenants"));
    assert!(files.is_empty(), "{files:?}");
    let again = bed.create("t00");
    fleet.migrate(&options(), |_| {}).unwrap();
    fleet
        .rollback(
            RollbackTo::Version(1),
            &options().restore_snapshots(),
            |_| {},
        )
        .unwrap();
    assert_eq!(texts(&bed, &bed.tenant("t00")), "");
    assert!(again.epoch() > now.epoch());
}

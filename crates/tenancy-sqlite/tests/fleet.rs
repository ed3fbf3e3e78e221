//! Many tenants at once: migrated, checked, reported.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use tenancy_core::{
    Actor, CatalogWriter, Maintenance, NewTenant, Placement, Provisioner, Tenant, TenantChange,
    TenantStatus,
};
use tenancy_fleet::{FleetError, FleetOptions, RunEnd, SchemaStep, Skipped, Stop, TenantError};
use tenancy_sqlite::{FileError, MigrateError, Migration, Migrations, SqliteCatalog, SqliteFleet};

use crate::util::{Root, at, catalog, notes};

pub fn by() -> Actor {
    Actor::new("test")
}

/// A root with its catalog.
pub struct Bed {
    pub root: Root,
    pub catalog: SqliteCatalog,
}

impl Bed {
    /// Tenants `t00`, `t01`, … at the first step of [`notes`].
    pub fn new(tenants: usize) -> Self {
        Self::with(tenants, first_step())
    }

    pub fn with(tenants: usize, migrations: Migrations) -> Self {
        let root = Root::with(|builder| builder.migrations(migrations));
        let catalog = catalog(root.dir.path()).unwrap();
        let bed = Self { root, catalog };
        for n in 0..tenants {
            bed.create(&format!("t{n:02}"));
        }
        bed
    }

    /// Creates a tenant as the facade does.
    pub fn create(&self, id: &str) -> Tenant {
        let mut new = NewTenant::new(id.parse().unwrap());
        new.status = TenantStatus::Provisioning;
        new.placement = self.root.driver.place(&new.id).unwrap();
        let tenant = self.catalog.insert(new, &by()).unwrap();
        self.root.driver.provision(&tenant).unwrap();
        let mut change = TenantChange::status(TenantStatus::Active);
        change.schema = self.root.driver.schema();
        self.change(&tenant, change)
    }

    pub fn change(&self, tenant: &Tenant, change: TenantChange) -> Tenant {
        let (id, seen) = (tenant.id(), tenant.version());
        self.catalog.update(id, seen, change, &by()).unwrap()
    }

    pub fn tenants(&self) -> Vec<Tenant> {
        self.catalog.page(None, 1000).unwrap()
    }

    pub fn tenant(&self, id: &str) -> Tenant {
        let tenants = self.tenants();
        let found = tenants.into_iter().find(|t| t.id().as_str() == id);
        found.unwrap()
    }

    /// The same root by a program with these migrations.
    pub fn fleet(&self, migrations: Migrations) -> SqliteFleet {
        let builder = at(self.root.dir.path()).migrations(migrations);
        builder.open().unwrap().fleet()
    }

    /// A connection without any of the library's settings.
    pub fn raw(&self, tenant: &Tenant) -> rusqlite::Connection {
        rusqlite::Connection::open(self.root.path(tenant)).unwrap()
    }

    pub fn version(&self, tenant: &Tenant) -> u32 {
        let sql = "PRAGMA user_version";
        let version = self.raw(tenant).query_row(sql, [], |row| row.get(0));
        version.unwrap()
    }

    /// Makes the second step of [`notes`] fail for this tenant.
    fn break_it(&self, id: &str) {
        let sql = "ALTER TABLE notes ADD COLUMN mark TEXT";
        self.raw(&self.tenant(id)).execute_batch(sql).unwrap();
    }

    fn mend_it(&self, id: &str) {
        let sql = "ALTER TABLE notes DROP COLUMN mark";
        self.raw(&self.tenant(id)).execute_batch(sql).unwrap();
    }
}

pub fn first_step() -> Migrations {
    Migrations::new(notes().iter().take(1).cloned()).unwrap()
}

pub fn options() -> FleetOptions {
    FleetOptions::new().by(by())
}

/// The driver's error of a tenant.
#[track_caller]
pub fn file_error(error: &TenantError) -> &FileError {
    match error.driver_error() {
        Some(error) => error,
        None => panic!("no error of the driver: {error:?}"),
    }
}

fn ids<'r>(refs: impl IntoIterator<Item = &'r tenancy_core::TenantRef>) -> Vec<String> {
    refs.into_iter()
        .map(|tenant| tenant.id.to_string())
        .collect()
}

#[test]
fn a_second_migration_opens_no_file() {
    let bed = Bed::new(20);
    let fleet = bed.fleet(notes());
    let counts = fleet.check().unwrap();
    assert_eq!((counts.current, counts.behind, counts.unknown), (0, 20, 0));
    let mut seen = Vec::new();
    let report = fleet.migrate(&options(), |at| seen.push((at.done, at.failed, at.total)));
    let report = report.unwrap();
    assert_eq!((report.done.len(), report.end), (20, RunEnd::Through));
    assert!(report.is_complete() && report.skipped.is_empty());
    assert!(
        report
            .done
            .iter()
            .all(|done| (done.from, done.to) == (1, 2))
    );
    assert_eq!(seen.last(), Some(&(20, 0, 20)));
    assert!(seen.windows(2).all(|w| w[0] < w[1]), "{seen:?}");
    assert!(fleet.check().unwrap().all_current());
    for tenant in bed.tenants() {
        assert_eq!(bed.version(&tenant), 2);
        // Opening one of them would fail now.
        fs::remove_file(bed.root.path(&tenant)).unwrap();
    }
    let again = fleet
        .migrate(&options(), |_| panic!("nothing to do"))
        .unwrap();
    assert_eq!((again.current, again.done.len(), again.run), (20, 0, None));
    let asked = fleet
        .migrate(&options().read_schemas().keep_going(), |_| {})
        .unwrap();
    assert_eq!(asked.failed.len(), 20, "the files were asked");
    // The trail has each run with its end.
    let events = bed
        .catalog
        .events(tenancy_core::Version::ZERO, 1000)
        .unwrap();
    let of_runs: Vec<_> = events.iter().filter(|e| &*e.tenant == "*").collect();
    let words: Vec<_> = of_runs.iter().map(|e| (&*e.what, &*e.detail)).collect();
    assert_eq!(
        words[..2],
        [
            ("begin", "run 1: migrate 2, 20 tenants"),
            ("end", "run 1: done")
        ]
    );
    bed.catalog.check_events().unwrap().unwrap();
}

#[test]
fn a_failure_stops_the_run_and_the_next_one_resumes_it() {
    let bed = Bed::new(12);
    bed.break_it("t03");
    let fleet = bed.fleet(notes());
    let report = fleet.migrate(&options().jobs(1), |_| {}).unwrap();
    assert_eq!((report.run, report.end), (Some(1), RunEnd::Failures));
    assert_eq!(
        (report.done.len(), report.failed.len(), report.not_reached),
        (3, 1, 8)
    );
    let failed = &report.failed[0];
    assert_eq!(failed.tenant.to_string(), "t03@1");
    let error = file_error(&failed.error);
    assert!(
        matches!(
            error,
            FileError::Migrate(MigrateError::Statement { version: 2, .. })
        ),
        "{error:?}"
    );
    let status = fleet.status(None, 100).unwrap();
    let known: Vec<_> = status.iter().map(|s| s.schema.unwrap()).collect();
    assert_eq!(known[..5], [2, 2, 2, 1, 1]);
    let why = &status[3].failed.as_ref().unwrap().why;
    assert!(
        why.starts_with("migration 2 marks failed in statement 1; see the cause: duplicate column"),
        "{why}"
    );
    assert!(
        status
            .iter()
            .enumerate()
            .all(|(n, s)| s.failed.is_some() == (n == 3))
    );
    let run = &fleet.runs(10).unwrap()[0];
    assert_eq!((run.done, run.failed, run.pending), (3, 1, 8));
    assert_eq!(run.outcome.map(|o| o.as_str()), Some("failed"));

    bed.mend_it("t03");
    let report = fleet.migrate(&options(), |_| {}).unwrap();
    assert_eq!(
        (report.run, report.current, report.done.len()),
        (Some(1), 3, 9)
    );
    let run = &fleet.runs(10).unwrap()[0];
    assert_eq!((run.done, run.failed, run.pending), (12, 0, 0));
    assert_eq!(run.outcome.map(|o| o.as_str()), Some("done"));
    assert!(
        fleet
            .status(None, 100)
            .unwrap()
            .iter()
            .all(|s| s.failed.is_none())
    );
}

#[test]
fn a_run_stops_after_more_failures_than_may_be() {
    let broken = ["t02", "t04", "t06", "t08"];
    for (max, failed, done, end) in [
        (0, 1, 2, RunEnd::Failures),
        (1, 2, 3, RunEnd::Failures),
        (3, 4, 5, RunEnd::Failures),
        (4, 4, 6, RunEnd::Through),
        (usize::MAX, 4, 6, RunEnd::Through),
    ] {
        let bed = Bed::new(10);
        broken.into_iter().for_each(|id| bed.break_it(id));
        let options = options().jobs(1).max_failures(max);
        let report = bed.fleet(notes()).migrate(&options, |_| {}).unwrap();
        let found = (report.failed.len(), report.done.len(), report.end);
        assert_eq!(found, (failed, done, end), "{max}");
        let names = ids(report.failed.iter().map(|f| &f.tenant));
        assert_eq!(names, broken[..failed], "{max}");
        assert_eq!(report.not_reached as usize, 10 - failed - done, "{max}");
    }
}

#[test]
fn a_canary_that_fails_spares_the_others() {
    for (broken, reached, end) in [("t01", 3, RunEnd::Canary), ("t09", 10, RunEnd::Through)] {
        let bed = Bed::new(10);
        bed.break_it(broken);
        let options = options().canary(3).keep_going();
        let report = bed.fleet(notes()).migrate(&options, |_| {}).unwrap();
        let found = report.done.len() + report.failed.len();
        assert_eq!((found, report.end), (reached, end), "{broken}");
        assert_eq!(report.not_reached as usize, 10 - reached, "{broken}");
    }
    // The canary has all tenants.
    let bed = Bed::new(2);
    let report = bed
        .fleet(notes())
        .migrate(&options().canary(5), |_| {})
        .unwrap();
    assert_eq!((report.done.len(), report.end), (2, RunEnd::Through));
}

#[test]
fn a_run_that_is_stopped_finishes_the_tenants_that_it_works_on() {
    let bed = Bed::new(12);
    let stop = Stop::new();
    let (asked, seen) = (stop.clone(), AtomicUsize::new(0));
    let driver = at(bed.root.dir.path()).migrations(notes());
    // While it migrates the fourth.
    let driver = driver.on_step(move |name| {
        if name == "migrate" && seen.fetch_add(1, Ordering::Relaxed) == 3 {
            asked.request();
        }
        Ok(())
    });
    let fleet = driver.open().unwrap().fleet();
    let report = fleet.migrate(&options().jobs(1).stop(&stop), |_| {});
    let report = report.unwrap();
    assert_eq!(report.end, RunEnd::Stopped);
    assert_eq!((report.done.len(), report.not_reached), (4, 8));
    assert_eq!(
        fleet.runs(1).unwrap()[0].outcome.map(|o| o.as_str()),
        Some("stopped")
    );
    let rest = fleet.migrate(&options(), |_| {}).unwrap();
    assert_eq!((rest.run, rest.done.len()), (Some(1), 8));
}

#[test]
fn tenants_that_another_operation_owns_are_skipped_and_named() {
    let bed = Bed::new(4);
    let mut new = NewTenant::new("begun".parse().unwrap());
    new.status = TenantStatus::Provisioning;
    bed.catalog.insert(new, &by()).unwrap();
    bed.change(
        &bed.tenant("t00"),
        TenantChange::status(TenantStatus::Retiring),
    );
    bed.change(
        &bed.tenant("t01"),
        TenantChange::status(TenantStatus::Suspended),
    );
    let mut down = TenantChange::default();
    down.maintenance = Some(Some(Maintenance::default()));
    bed.change(&bed.tenant("t02"), down);
    let fleet = bed.fleet(notes());
    let skipping = options().skip(["t03".parse().unwrap()]);
    let report = fleet.migrate(&skipping, |_| {}).unwrap();
    assert_eq!(ids(report.done.iter().map(|d| &d.tenant)), ["t01", "t02"]);
    let left_out: Vec<_> = report
        .skipped
        .iter()
        .map(|l| (l.tenant.id.as_str(), l.why))
        .collect();
    assert_eq!(
        left_out,
        [
            ("begun", Skipped::Status(TenantStatus::Provisioning)),
            ("t00", Skipped::Status(TenantStatus::Retiring)),
            ("t03", Skipped::Requested),
        ]
    );
    assert_eq!(fleet.runs(1).unwrap()[0].skipped, 3);
    // A tenant that was not chosen is still behind.
    assert!(!fleet.check().unwrap().all_current());
    let only = options().only(["t03".parse().unwrap()]);
    assert_eq!(fleet.migrate(&only, |_| {}).unwrap().done.len(), 1);
    let nobody = options().only(["nobody".parse().unwrap()]);
    let error = fleet.migrate(&nobody, |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no tenant nobody; `list` shows those there are"
    );
}

#[test]
fn migrations_that_fail_on_an_empty_database_touch_no_tenant() {
    let bed = Bed::new(3);
    let broken = Migration::new("broken", "INSERT INTO nowhere VALUES (1)");
    let steps = first_step()
        .iter()
        .cloned()
        .chain([broken])
        .collect::<Vec<_>>();
    let fleet = bed.fleet(Migrations::new(steps).unwrap());
    let error = fleet.migrate(&options(), |_| {}).unwrap_err();
    assert!(matches!(error, FleetError::Migrations(_)), "{error:?}");
    assert!(fleet.runs(10).unwrap().is_empty());
    assert!(fleet.plan(&options()).is_err());
}

#[test]
fn a_plan_shows_the_steps_of_each_tenant_and_changes_nothing() {
    let bed = Bed::new(3);
    let late = bed.tenant("t01");
    bed.fleet(notes())
        .driver()
        .migrate(&late, tenancy_core::SchemaTarget::Latest)
        .unwrap();
    let plan = bed.fleet(notes()).plan(&options()).unwrap();
    let planned: Vec<_> = plan
        .tenants
        .iter()
        .map(|p| {
            (
                p.tenant.id().as_str(),
                p.from.clone().unwrap(),
                &p.steps[..],
            )
        })
        .collect();
    let marks = notes().iter().nth(1).unwrap().clone();
    let marks = SchemaStep::new(2, marks.name(), marks.down_sql());
    let steps = std::slice::from_ref(&marks);
    assert_eq!(planned, [("t00", 1, steps), ("t02", 1, steps)]);
    assert_eq!(bed.version(&bed.tenant("t00")), 1);
    assert_eq!(
        bed.fleet(notes()).check().unwrap().behind,
        3,
        "nothing was written down"
    );
}

/// The catalog's versions are a cache: a wrong one costs one look at the file.
#[test]
fn a_file_that_was_migrated_outside_of_a_run_is_read_once() {
    let bed = Bed::new(3);
    let fleet = bed.fleet(notes());
    let tenant = bed.tenant("t01");
    fleet
        .driver()
        .migrate(&tenant, tenancy_core::SchemaTarget::Latest)
        .unwrap();
    assert_eq!(fleet.check().unwrap().behind, 3);
    let report = fleet.migrate(&options(), |_| {}).unwrap();
    let moved: Vec<_> = report.done.iter().map(|d| (d.from, d.to)).collect();
    assert_eq!(moved, [(1, 2), (2, 2), (1, 2)]);
    // A file of an older version is found if all files are read, or if its tenant is named.
    let down = tenancy_core::SchemaTarget::Version(1);
    fleet.driver().migrate(&tenant, down).unwrap();
    assert_eq!(fleet.migrate(&options(), |_| {}).unwrap().done.len(), 0);
    let only = options().only([tenant.id().clone()]);
    assert_eq!(fleet.migrate(&only, |_| {}).unwrap().steps(), 1);
    fleet.driver().migrate(&tenant, down).unwrap();
    assert_eq!(
        fleet
            .migrate(&options().read_schemas(), |_| {})
            .unwrap()
            .steps(),
        1
    );
}

#[test]
fn a_tenant_ahead_of_the_program_fails_and_is_counted() {
    let bed = Bed::new(2);
    bed.fleet(notes())
        .migrate(&options().skip(["t00".parse().unwrap()]), |_| {})
        .unwrap();
    let old = bed.fleet(first_step());
    let counts = old.check().unwrap();
    assert_eq!((counts.current, counts.ahead), (1, 1));
    let report = old.migrate(&options(), |_| {}).unwrap();
    let error = &report.failed[0].error;
    let too_new = |e: &FileError| matches!(e, FileError::Migrate(MigrateError::TooNew { .. }));
    assert!(too_new(file_error(error)), "{error:?}");
}

#[test]
fn the_schema_of_another_incarnation_is_unknown() {
    let bed = Bed::new(1);
    let tenant = bed.tenant("t00");
    let tenant = bed.change(&tenant, TenantChange::status(TenantStatus::Suspended));
    assert_eq!(
        bed.fleet(notes()).check().unwrap().behind,
        1,
        "it is the same incarnation"
    );
    let mut next = TenantChange::default();
    next.reincarnate = Some(Placement::new("sqlite", "0".repeat(32)));
    bed.change(&tenant, next);
    assert_eq!(bed.fleet(notes()).check().unwrap().unknown, 1);
}

#[test]
fn steps_share_a_transaction_and_one_that_fails_undoes_no_other() {
    let bed = Bed::with(1, Migrations::default());
    let steps = ["a", "b", "c", "b", "d"]
        .map(|name| Migration::new(name, format!("CREATE TABLE {name} (x)")));
    // The fourth fails on a file and on the template, so the runner is called directly.
    let driver = at(bed.root.dir.path())
        .migrations(Migrations::new(steps).unwrap())
        .open_driver()
        .unwrap();
    let tenant = bed.tenant("t00");
    driver
        .migrate(&tenant, tenancy_core::SchemaTarget::Latest)
        .unwrap_err();
    assert_eq!(bed.version(&tenant), 3);
    let sql = "SELECT group_concat(name, '') FROM sqlite_schema WHERE length(name) = 1";
    let tables: String = bed
        .raw(&tenant)
        .query_row(sql, [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, "abc");
    let different: BTreeSet<i64> = {
        let raw = bed.raw(&tenant);
        let mut read = raw
            .prepare("SELECT version FROM _tenancy_migrations")
            .unwrap();
        read.query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    assert_eq!(different, BTreeSet::from([1, 2, 3]));
}

//! Migrating all tenants, against what programs do without this library.
//!
//! Twenty migrations a tenant, on files that stand on the disk. `rusqlite_migration` is the
//! usual crate, in a loop over all tenants; `raw` is the least that can be done, one
//! transaction a tenant in such a loop; `serial` is ours with one job. The disk's latency is
//! most of it and drifts: compare within one run. Each measures whole fleets, which are made
//! outside the time, and every file is looked at afterwards.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rusqlite::Connection;
use rusqlite_migration::M;
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use tenancy_benches::size;
use tenancy_core::{Actor, CatalogWriter, NewTenant, Provisioner, TenantChange, TenantStatus};
use tenancy_fleet::FleetOptions;
use tenancy_sqlite::{Migration, Migrations, SqliteFleet, SqliteStorage};

/// Migrations of a tenant, each a table and an index.
const STEPS: u32 = 20;

/// Tenants that are migrated at once.
const TENANTS: usize = 200;

/// Tenants of which all are at the newest schema.
const CURRENT: usize = 10_000;

fn up(n: u32) -> String {
    format!(
        "CREATE TABLE t{n} (id INTEGER PRIMARY KEY, name TEXT NOT NULL, made INTEGER) STRICT;
         CREATE INDEX t{n}_name ON t{n} (name);"
    )
}

fn migrations() -> Migrations {
    let step = |n| Migration::new(format!("step{n}"), up(n)).down(format!("DROP TABLE t{n}"));
    Migrations::new((1..=STEPS).map(step)).expect("no script is empty")
}

/// Tenants whose files have nothing but the stamp.
struct Bed {
    _dir: TempDir,
    fleet: SqliteFleet,
    files: Vec<PathBuf>,
}

impl Bed {
    fn new(tenants: usize, made_with: Migrations) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let at = || SqliteStorage::builder(dir.path());
        let storage = at().migrations(made_with).create().expect("a root");
        let (by, maker, catalog) = (Actor::new("bench"), storage.driver(), storage.catalog());
        let new = |n: usize| {
            let mut new = NewTenant::new(format!("t{n}").parse().expect("an id"));
            new.status = TenantStatus::Provisioning;
            new.placement = maker.place(&new.id).expect("a place");
            new
        };
        let rows = catalog.insert_many((0..tenants).map(new).collect(), &by);
        let rows: Vec<_> = rows.into_iter().map(|row| row.expect("a row")).collect();
        for made in maker.provision_many(&rows) {
            made.expect("a file");
        }
        let mut active = TenantChange::status(TenantStatus::Active);
        active.schema = maker.schema();
        let changes = rows.iter().map(|row| (row.clone(), active.clone()));
        for row in catalog.update_many(changes.collect(), &by) {
            row.expect("an active row");
        }
        let file = |row: &tenancy_core::Tenant| {
            let locator = &*row.placement().locator;
            let tenants = dir.path().join("tenants").join(&locator[..2]);
            tenants.join(format!("{locator}.{}.db", row.epoch()))
        };
        let files = rows.iter().map(file).collect();
        let storage = at().migrations(migrations()).open();
        let fleet = storage.expect("the same root").fleet();
        Self {
            _dir: dir,
            fleet,
            files,
        }
    }

    fn migrate(&self, jobs: usize) {
        let report = self.fleet.migrate(&FleetOptions::new().jobs(jobs), |_| {});
        let report = report.expect("a run");
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(report.done.len(), self.files.len());
    }

    /// Every file has every table, whoever made them.
    fn check(&self) {
        for file in &self.files {
            let sql = "SELECT count(*) FROM sqlite_schema WHERE name GLOB 't[0-9]*'";
            let count = open(file).query_row(sql, [], |row| row.get::<_, u32>(0));
            assert_eq!(count, Ok(2 * STEPS), "{}", file.display());
        }
    }
}

fn open(file: &Path) -> Connection {
    let connection = Connection::open(file).expect("a database");
    let pragmas = "PRAGMA synchronous = FULL";
    connection.execute_batch(pragmas).expect("pragmas");
    connection
}

fn raw(bed: &Bed) {
    let script: String = (1..=STEPS).map(up).collect();
    let script = format!("BEGIN IMMEDIATE; {script} PRAGMA user_version = {STEPS}; COMMIT");
    for file in &bed.files {
        open(file).execute_batch(&script).expect("a migrated file");
    }
}

fn rusqlite_migration(bed: &Bed) {
    let scripts: Vec<_> = (1..=STEPS).map(up).collect();
    let steps = scripts.iter().map(|script| M::up(script)).collect();
    let migrations = rusqlite_migration::Migrations::new(steps);
    for file in &bed.files {
        let migrated = migrations.to_latest(&mut open(file));
        migrated.expect("a migrated file");
    }
}

/// What `work` took on a fleet that is made for it.
struct Took {
    time: Duration,
    /// Of all cores.
    processor: Duration,
    /// Kept: removing files makes those that come after it slower, see `provision`.
    _bed: Bed,
}

impl Took {
    fn of(work: impl Fn(&Bed)) -> Self {
        let bed = Bed::new(size(TENANTS, 3), Migrations::default());
        let (start, processor) = (Instant::now(), processor_time());
        work(&bed);
        let took = (start.elapsed(), processor_time() - processor);
        bed.check();
        Self {
            time: took.0,
            processor: took.1,
            _bed: bed,
        }
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u32::try_from(time.tv_nsec).expect("less than a second");
    Duration::new(time.tv_sec.unsigned_abs(), nanos)
}

type Contender = (&'static str, fn(&Bed));

const CONTENDERS: [Contender; 4] = [
    ("tenancy", |bed| bed.migrate(8)),
    ("serial", |bed| bed.migrate(1)),
    ("rusqlite_migration", rusqlite_migration),
    ("raw", raw),
];

fn fleet(c: &mut Criterion) {
    let mut group = c.benchmark_group("migrate");
    group.sample_size(10);
    group.measurement_time(Duration::from_secs(10));
    for (name, work) in CONTENDERS {
        group.bench_function(name, |b| {
            b.iter_custom(|count| (0..count).map(|_| Took::of(work).time).sum());
        });
    }
    group.finish();
}

/// All contenders in turns, which is fairer than one after the other.
fn ratios(_: &mut Criterion) {
    let rounds = size(7, 1);
    let mut runs = CONTENDERS.map(|_| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for ((_, work), runs) in CONTENDERS.iter().zip(&mut runs) {
            runs.push(Took::of(work));
        }
    }
    for runs in &mut runs {
        runs.sort_unstable_by_key(|took| took.time);
    }
    let tenants = size(TENANTS, 3) as f64;
    let medians = runs.each_ref().map(|runs| &runs[rounds / 2]);
    let ours = medians[0].time.as_secs_f64();
    for ((name, _), took) in CONTENDERS.iter().zip(medians) {
        let time = took.time.as_secs_f64();
        let (rate, ratio) = (tenants / time, time / ours);
        let processor = took.processor.as_secs_f64() * 1e3 / tenants;
        println!(
            "migrate/{name}: {rate:.0} tenants/s, {ratio:.2} times ours, {processor:.2} ms of \
             processor time each (median of {rounds})"
        );
    }
}

/// Nothing to do.
fn current(c: &mut Criterion) {
    let bed = Bed::new(size(CURRENT, 20), migrations());
    let options = FleetOptions::new();
    let mut group = c.benchmark_group("migrate-current");
    group.sample_size(10);
    group.bench_function("migrate", |b| {
        b.iter(|| {
            let report = bed.fleet.migrate(&options, |_| {}).expect("a run");
            assert_eq!(
                (report.current as usize, report.run),
                (bed.files.len(), None)
            );
        });
    });
    group.bench_function("check", |b| {
        b.iter(|| assert!(bed.fleet.check().expect("counts").all_current()));
    });
    group.finish();
}

criterion_group!(benches, ratios, fleet, current);
criterion_main!(benches);

//! Making tenants, against what it costs without this library.
//!
//! `raw` writes and syncs the same bytes; `migrate-rusqlite` runs the same migrations
//! into a new file, as programs without a template do. The disk's latency is most of
//! it, and it drifts: compare within one run, never across machines. The lines after
//! the groups take their candidates in turns, which is fairer than one after the other.

use std::cell::Cell;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rusqlite::Connection;
use tempfile::TempDir;
use tenancy_benches::size;
use tenancy_core::{
    Actor, CatalogWriter, NewTenant, Provisioner, Tenant, TenantChange, TenantId, TenantStatus,
};
use tenancy_sqlite::{Migration, Migrations, SqliteCatalog, SqliteDriver, SqliteStorage};

const MANY: usize = 100;

/// Twenty steps of a table and an index each.
fn scripts() -> Vec<String> {
    let script = |n: usize| {
        format!(
            "CREATE TABLE t{n} (id INTEGER PRIMARY KEY, name TEXT NOT NULL, made INTEGER) STRICT;
             CREATE INDEX t{n}_name ON t{n} (name);"
        )
    };
    (1..=20).map(script).collect()
}

fn migrations() -> Migrations {
    let step = |(n, sql): (usize, String)| Migration::new(format!("step{n}"), sql);
    let steps = scripts().into_iter().enumerate().map(step);
    Migrations::new(steps).expect("no script is empty")
}

struct Bed {
    dir: TempDir,
    driver: SqliteDriver,
    catalog: SqliteCatalog,
    by: Actor,
    made: usize,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let storage = SqliteStorage::builder(dir.path()).migrations(migrations());
        let storage = storage.create().expect("a root");
        let mut bed = Self {
            dir,
            driver: storage.driver().clone(),
            catalog: storage.catalog().clone(),
            by: Actor::new("bench"),
            made: 0,
        };
        // The template is made once a process, not once a tenant.
        let first = bed.new_tenants(1);
        bed.create(first);
        bed
    }

    fn new_tenants(&mut self, count: usize) -> Vec<NewTenant> {
        let new = |n: usize| {
            let id: TenantId = format!("t{n}").parse().expect("an id");
            let mut new = NewTenant::new(id);
            new.status = TenantStatus::Provisioning;
            new.placement = self.driver.place(&new.id).expect("a place");
            new
        };
        let from = self.made;
        self.made += count;
        (from..self.made).map(new).collect()
    }

    /// One tenant, durable: its row, its file, its row again.
    fn create(&self, mut new: Vec<NewTenant>) -> Tenant {
        let new = new.pop().expect("one");
        let tenant = self.catalog.insert(new, &self.by).expect("a row");
        self.driver.provision(&tenant).expect("a file");
        let active = TenantChange::status(TenantStatus::Active);
        let (id, seen) = (tenant.id(), tenant.version());
        let tenant = self.catalog.update(id, seen, active, &self.by);
        tenant.expect("an active row")
    }

    fn create_many(&self, new: Vec<NewTenant>) -> Vec<Tenant> {
        let rows = self.catalog.insert_many(new, &self.by).into_iter();
        let rows: Vec<_> = rows.map(|row| row.expect("a row")).collect();
        for made in self.driver.provision_many(&rows) {
            made.expect("a file");
        }
        let active = |row| (row, TenantChange::status(TenantStatus::Active));
        let changes = rows.into_iter().map(active).collect();
        let tenants = self.catalog.update_many(changes, &self.by).into_iter();
        tenants.map(|row| row.expect("an active row")).collect()
    }

    fn path(&self, tenant: &Tenant) -> PathBuf {
        let locator = &*tenant.placement().locator;
        let mut path = self.dir.path().join("tenants");
        path.push(&locator[..2]);
        path.push(format!("{locator}.{}.db", tenant.epoch()));
        path
    }
}

fn write_synced(path: PathBuf, bytes: &[u8]) -> PathBuf {
    let mut file = File::create_new(&path).expect("a new file");
    file.write_all(bytes).expect("written");
    file.sync_all().expect("synced");
    path
}

/// What a program does that has migrations and no template.
fn migrate_anew(path: &Path, scripts: &[String]) {
    let connection = Connection::open(path).expect("a database");
    let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL";
    connection.execute_batch(pragmas).expect("pragmas");
    for (n, script) in (1..).zip(scripts) {
        let step = format!("BEGIN IMMEDIATE; {script} PRAGMA user_version = {n}; COMMIT");
        connection.execute_batch(&step).expect("a step");
    }
}

/// The application's tables; the library's own begin with `_tenancy_`.
fn schema(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).expect("a database");
    let sql = "SELECT sql FROM sqlite_schema WHERE name NOT LIKE '\\_tenancy%' ESCAPE '\\' \
               AND sql NOT NULL ORDER BY name";
    let mut read = connection.prepare(sql).expect("a statement");
    let rows = read.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("texts")
}

/// Times `work` on what `prepare` made, and clears up outside the time.
fn timed<I, O>(
    count: u64,
    mut prepare: impl FnMut() -> I,
    mut work: impl FnMut(I) -> O,
    mut clear: impl FnMut(O),
) -> Duration {
    let mut sum = Duration::ZERO;
    for _ in 0..count {
        let input = prepare();
        let start = Instant::now();
        let output = black_box(work(input));
        sum += start.elapsed();
        clear(output);
    }
    sum
}

/// Clears up. The file stays: ext4 without a journal gives the inode of a removed one away
/// only minutes later, and looks at all of those at each creation (0.5 to 1.5 ms).
fn empty(path: &Path) {
    let file = File::options().write(true).open(path).expect("a file");
    file.set_len(0).expect("emptied");
    file.sync_all().expect("synced");
}

/// Paths of files that were never there.
struct Scratch {
    dir: TempDir,
    used: Cell<usize>,
}

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let used = Cell::new(0);
        Self { dir, used }
    }

    fn path(&self) -> PathBuf {
        self.used.set(self.used.get() + 1);
        self.dir.path().join(format!("{}.db", self.used.get()))
    }
}

fn create(c: &mut Criterion) {
    let bed = std::cell::RefCell::new(Bed::new());
    let scripts = scripts();
    let scratch = Scratch::new();
    let one = bed.borrow_mut().new_tenants(1);
    let one = bed.borrow().create(one);
    let bytes = fs::read(bed.borrow().path(&one)).expect("its bytes");
    let new = scratch.path();
    migrate_anew(&new, &scripts);
    assert_eq!(schema(&new), schema(&bed.borrow().path(&one)));

    let mut group = c.benchmark_group("provision/create");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    group.bench_function("tenancy", |b| {
        b.iter_custom(|count| {
            let prepare = || bed.borrow_mut().new_tenants(1);
            let clear = |tenant| empty(&bed.borrow().path(&tenant));
            timed(count, prepare, |new| bed.borrow().create(new), clear)
        });
    });
    // The file alone, without the two writes of the catalog.
    group.bench_function("tenancy-file", |b| {
        b.iter_custom(|count| {
            let prepare = || {
                let new = bed.borrow_mut().new_tenants(1).remove(0);
                let tenant = Tenant::builder(new.id).placement(new.placement);
                tenant.build().expect("a tenant")
            };
            let work = |tenant: Tenant| {
                bed.borrow().driver.provision(&tenant).expect("a file");
                tenant
            };
            let clear = |tenant: Tenant| empty(&bed.borrow().path(&tenant));
            timed(count, prepare, work, clear)
        });
    });
    group.bench_function("raw", |b| {
        let work = |path: PathBuf| write_synced(path, &bytes);
        b.iter_custom(|count| timed(count, || scratch.path(), work, |path| empty(&path)));
    });
    group.bench_function("migrate-rusqlite", |b| {
        let work = |path: PathBuf| {
            migrate_anew(&path, &scripts);
            path
        };
        b.iter_custom(|count| timed(count, || scratch.path(), work, |path| empty(&path)));
    });
    group.finish();
}

fn create_many(c: &mut Criterion) {
    let many = size(MANY, 3);
    let bed = std::cell::RefCell::new(Bed::new());
    let one = bed.borrow_mut().new_tenants(1);
    let one = bed.borrow().create(one);
    let bytes = fs::read(bed.borrow().path(&one)).expect("its bytes");
    let scratch = Scratch::new();

    let mut group = c.benchmark_group("provision/create-many-100");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    group.bench_function("tenancy", |b| {
        b.iter_custom(|count| {
            let prepare = || bed.borrow_mut().new_tenants(many);
            let work = |new| bed.borrow().create_many(new);
            let clear = |tenants: Vec<Tenant>| {
                assert_eq!(tenants.len(), many);
                for tenant in tenants {
                    empty(&bed.borrow().path(&tenant));
                }
            };
            timed(count, prepare, work, clear)
        });
    });
    group.bench_function("raw", |b| {
        let paths = || (0..many).map(|_| scratch.path()).collect();
        let work = |paths: Vec<PathBuf>| paths.into_iter().map(|path| write_synced(path, &bytes));
        let work = |paths| work(paths).collect::<Vec<_>>();
        let clear = |paths: Vec<PathBuf>| paths.iter().for_each(|path| empty(path));
        b.iter_custom(|count| timed(count, paths, work, clear));
    });
    group.finish();
}

/// Medians of what was taken in turns, as multiples of the last one.
fn in_turns(what: &str, rounds: usize, candidates: &mut [(&str, &mut dyn FnMut() -> Duration)]) {
    let mut times = vec![Vec::with_capacity(rounds); candidates.len()];
    for _ in 0..rounds {
        for ((_, run), times) in candidates.iter_mut().zip(&mut times) {
            times.push(run());
        }
    }
    let medians = times.iter_mut().map(|times| {
        times.sort_unstable();
        times[rounds / 2]
    });
    let medians: Vec<_> = medians.collect();
    let base = medians[medians.len() - 1].as_secs_f64();
    for ((name, _), median) in candidates.iter().zip(medians) {
        let ratio = median.as_secs_f64() / base;
        println!("{what}/{name}: {median:.1?}, {ratio:.2} of the last (median of {rounds})");
    }
}

fn ratios(_: &mut Criterion) {
    let many = size(MANY, 2);
    let bed = std::cell::RefCell::new(Bed::new());
    let scripts = scripts();
    let scratch = Scratch::new();
    let one = bed.borrow_mut().new_tenants(1);
    let one = bed.borrow().create(one);
    let path = bed.borrow().path(&one).canonicalize().expect("a file");
    let bytes = fs::read(&path).expect("its bytes");
    let clear = |tenants: Vec<Tenant>| {
        for tenant in tenants {
            empty(&bed.borrow().path(&tenant));
        }
    };
    let mut create = || {
        let prepare = || bed.borrow_mut().new_tenants(1);
        timed(1, prepare, |new| vec![bed.borrow().create(new)], clear)
    };
    let mut create_many = || {
        let prepare = || bed.borrow_mut().new_tenants(many);
        timed(1, prepare, |new| bed.borrow().create_many(new), clear)
    };
    let raw = || {
        let work = |path| write_synced(path, &bytes);
        timed(1, || scratch.path(), work, |path| empty(&path))
    };
    let mut migrate = || {
        let work = |path: PathBuf| {
            migrate_anew(&path, &scripts);
            path
        };
        timed(1, || scratch.path(), work, |path| empty(&path))
    };
    in_turns(
        "provision/create",
        size(300, 2),
        &mut [
            ("tenancy", &mut create),
            ("migrate-rusqlite", &mut migrate),
            ("raw", &mut raw.clone()),
        ],
    );
    in_turns(
        "provision/create-many-100",
        size(20, 2),
        &mut [
            ("tenancy", &mut create_many),
            ("raw", &mut || (0..many).map(|_| raw()).sum()),
        ],
    );
}

criterion_group!(benches, ratios, create, create_many);
criterion_main!(benches);

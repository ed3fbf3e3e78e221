//! The open of a tenant's database: open, one query, close, each on a file that is not open
//! elsewhere.
//!
//! `raw` is rusqlite with the same flags and pragmas, `raw-checked` is that with the reads of the
//! stamp and the version, `raw-plain` is rusqlite with its defaults. The cost of the checks is
//! `raw-checked` less `raw`; the remainder is the cost of the guard around the connection.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use r2d2::ManageConnection;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tenancy_benches::size;
use tenancy_core::{Provisioner, Tenant};
use tenancy_pool::Driver;
use tenancy_sqlite::{Migration, Migrations, SqliteManager, SqliteStorage};

/// Migrations of the tenant, each a table and an index.
const STEPS: u32 = 20;

const PRAGMAS: &str = "PRAGMA cache_size = -256; PRAGMA synchronous = FULL; \
                       PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 4194304";

struct Bed {
    _dir: TempDir,
    manager: SqliteManager,
    path: PathBuf,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let step = |n| {
            let up = format!(
                "CREATE TABLE t{n} (id INTEGER PRIMARY KEY, name TEXT NOT NULL, made INTEGER) STRICT;
                 CREATE INDEX t{n}_name ON t{n} (name);"
            );
            Migration::new(format!("step{n}"), up)
        };
        let migrations = Migrations::new((1..=STEPS).map(step)).expect("no script is empty");
        let storage = SqliteStorage::builder(dir.path()).migrations(migrations);
        let driver = storage.create_driver().expect("a driver");
        let id = "acme".parse().expect("an id");
        let place = driver.place(&id).expect("a place");
        let tenant = Tenant::builder(id).placement(place).build();
        let tenant = tenant.expect("a tenant");
        driver.provision(&tenant).expect("a file");
        let locator = &*tenant.placement().locator;
        let path = driver.root().join("tenants").join(&locator[..2]);
        Self {
            _dir: dir,
            manager: driver.manager(&tenant),
            path: path.join(format!("{locator}.{}.db", tenant.epoch())),
        }
    }

    fn tenancy(&self) -> i64 {
        query(&self.manager.connect().expect("a connection"))
    }

    fn raw(&self) -> i64 {
        let connection = connect(&self.path);
        connection.execute_batch(PRAGMAS).expect("pragmas");
        query(&connection)
    }

    fn raw_checked(&self) -> i64 {
        let connection = connect(&self.path);
        check(&connection);
        connection.execute_batch(PRAGMAS).expect("pragmas");
        query(&connection)
    }

    fn raw_plain(&self) -> i64 {
        query(&Connection::open(&self.path).expect("a connection"))
    }
}

fn connect(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    Connection::open_with_flags(path, flags).expect("a connection")
}

/// Runs the reads that an open makes before it trusts a file.
fn check(connection: &Connection) {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let id = number("PRAGMA main.application_id").expect("a number");
    let sql = "SELECT tenant, epoch, open FROM main._tenancy_stamp";
    let stamp = connection.query_row(sql, [], |row| {
        let tenant: Box<str> = row.get(0)?;
        Ok((tenant, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?))
    });
    let (tenant, epoch, open) = stamp.expect("a stamp");
    let version = number("PRAGMA main.user_version").expect("a number");
    assert_eq!(id, i64::from(i32::from_be_bytes(*b"tnt1")));
    assert_eq!((&*tenant, epoch, open), ("acme", 1, true));
    assert_eq!(version, i64::from(STEPS));
}

fn query(connection: &Connection) -> i64 {
    let sql = "SELECT count(*) FROM t7 WHERE name = 'x'";
    let count = connection.query_row(sql, [], |row| row.get(0));
    count.expect("a row")
}

type Contender = (&'static str, fn(&Bed) -> i64);

const CONTENDERS: [Contender; 4] = [
    ("tenancy", Bed::tenancy),
    ("raw", Bed::raw),
    ("raw-checked", Bed::raw_checked),
    ("raw-plain", Bed::raw_plain),
];

fn open(c: &mut Criterion) {
    let bed = Bed::new();
    let mut group = c.benchmark_group("open");
    for (name, open) in CONTENDERS {
        group.bench_function(name, |b| b.iter(|| assert_eq!(open(&bed), 0)));
    }
    group.finish();
}

/// Runs all contenders in turns, which is fairer than one after the other.
fn ratios(_: &mut Criterion) {
    let bed = Bed::new();
    let rounds = size(5_000, 2);
    let mut times = CONTENDERS.map(|_| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for ((_, open), times) in CONTENDERS.iter().zip(&mut times) {
            let start = Instant::now();
            assert_eq!(open(&bed), 0);
            times.push(start.elapsed());
        }
    }
    let medians: [Duration; 4] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    let [tenancy, raw, checked, _] = medians.map(|median| median.as_secs_f64());
    for ((name, _), median) in CONTENDERS.iter().zip(medians) {
        let ratio = median.as_secs_f64() / raw;
        println!("open/{name}: {median:.1?}, {ratio:.3} of raw (median of {rounds})");
    }
    let share = 100.0 * (checked - raw) / tenancy;
    println!("open: the stamp and the version are {share:.1} % of an open");
}

criterion_group!(benches, ratios, open);
criterion_main!(benches);

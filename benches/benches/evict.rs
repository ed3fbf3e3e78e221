//! The eviction of a tenant whose WAL is large, and its next check-out.
//!
//! `evict`: a check-out of a small tenant that has to close the connection of another one, by the
//! size of that one's WAL; `raw` is the same open without an eviction, after a recovery of the
//! same WAL, which leaves the processor's caches cold. `recover`: the check-out of
//! the evicted tenant, which recovers the WAL; `raw` is a plain open and the first read.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use r2d2::ManageConnection;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tempfile::TempDir;
use tenancy_benches::size;
use tenancy_core::{Provisioner, Tenant};
use tenancy_pool::{Driver, TenantPools};
use tenancy_sqlite::{Migration, Migrations, SqliteDriver, SqliteStorage};

/// A storage root with a small tenant, and one with a WAL of a given size.
struct Bed {
    _dir: TempDir,
    driver: SqliteDriver,
    pools: TenantPools<SqliteDriver>,
    small: Tenant,
    large: Tenant,
    path: PathBuf,
}

impl Bed {
    fn new(megabytes: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Migration::new("blobs", "CREATE TABLE blobs (blob BLOB) STRICT");
        let migrations = Migrations::new([blobs]).expect("no script is empty");
        let storage = SqliteStorage::builder(dir.path()).migrations(migrations);
        let driver = storage.create_driver().expect("a driver");
        let made = |id: &str| {
            let id = id.parse().expect("an id");
            let place = driver.place(&id).expect("a place");
            let tenant = Tenant::builder(id)
                .placement(place)
                .build()
                .expect("a tenant");
            driver.provision(&tenant).expect("it is made");
            tenant
        };
        let (small, large) = (made("small"), made("large"));
        let pools = TenantPools::<SqliteDriver>::builder().max_connections(1);
        let pools = pools.build(driver.clone()).expect("the bounds hold");
        let path = {
            let connection = pools.checkout(&large).expect("a connection");
            PathBuf::from(connection.path().expect("it is a file"))
        };
        drop(pools.checkout(&small).expect("a connection"));
        fill(&path, megabytes);
        Self {
            _dir: dir,
            driver,
            pools,
            small,
            large,
            path,
        }
    }

    /// Times the check-out of one tenant after that of the other.
    fn timed(&self, iterations: u64, before: &Tenant, tenant: &Tenant) -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..iterations {
            drop(self.pools.checkout(before).expect("a connection"));
            let began = Instant::now();
            let connection = self.pools.checkout(tenant).expect("a connection");
            total += began.elapsed();
            drop(connection);
        }
        total
    }
}

/// Writes a WAL of a given size in MB, and leaves it.
fn fill(path: &Path, megabytes: usize) {
    let connection = plain(path);
    let unbounded = "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF";
    connection.execute_batch(unbounded).expect("they are set");
    for _ in 0..megabytes {
        let sql = "INSERT INTO blobs VALUES (zeroblob(1000000))";
        connection.execute(sql, []).expect("it is written");
    }
}

fn plain(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("it opens");
    let no_checkpoint = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection
        .set_db_config(no_checkpoint, true)
        .expect("it is set");
    connection
}

/// Counts the tables: the first read of a file recovers its WAL.
fn tables(connection: &Connection) -> i64 {
    let sql = "SELECT count(*) FROM sqlite_schema";
    let tables = connection.query_row(sql, [], |row| row.get(0));
    tables.expect("it reads")
}

fn evict(c: &mut Criterion) {
    let mut group = c.benchmark_group("evict");
    for megabytes in [0, size(40, 1), size(400, 2)] {
        let bed = Bed::new(megabytes);
        let name = format!("tenancy-{megabytes}-mb");
        group.bench_function(name, |b| {
            b.iter_custom(|iterations| bed.timed(iterations, &bed.large, &bed.small));
        });
        let manager = bed.driver.manager(&bed.small);
        group.bench_function(format!("raw-{megabytes}-mb"), |b| {
            b.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    // As cold as after the other tenant's recovery.
                    assert!(tables(&plain(&bed.path)) > 0);
                    let began = Instant::now();
                    let connection = manager.connect().expect("a connection");
                    total += began.elapsed();
                    drop(connection);
                }
                total
            });
        });
    }
}

fn recover(c: &mut Criterion) {
    let mut group = c.benchmark_group("recover");
    group.sample_size(10);
    for megabytes in [size(40, 1), size(400, 2)] {
        let bed = Bed::new(megabytes);
        group.bench_function(format!("tenancy-{megabytes}-mb"), |b| {
            b.iter_custom(|iterations| bed.timed(iterations, &bed.small, &bed.large));
        });
        drop(bed.pools.checkout(&bed.small).expect("a connection"));
        group.bench_function(format!("raw-{megabytes}-mb"), |b| {
            b.iter(|| {
                assert!(tables(&plain(&bed.path)) > 0);
            });
        });
    }
}

criterion_group!(benches, evict, recover);
criterion_main!(benches);

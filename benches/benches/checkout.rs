//! Checking a connection out and giving it back: these pools, one r2d2 pool a tenant,
//! and the bare operation.
//!
//! Where it is about the pool, connections are numbers in memory; `cold`, `cold-reclaim`
//! and `select` open SQLite files with r2d2_sqlite's own manager. The rivals get the same
//! manager, r2d2 also one shared thread pool, no test on check-out and no idle minimum:
//! its fastest configuration.

use std::cell::Cell;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use dashmap::DashMap;
use parking_lot::Mutex;
use r2d2::ManageConnection;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;
use scheduled_thread_pool::ScheduledThreadPool;
use tenancy_benches::rng::Rng;
use tenancy_core::{Tenant, TenantId};
use tenancy_pool::{Descriptors, Driver, TenantPools};

const TENANTS: usize = 10_000;

fn tenants(count: usize) -> Vec<Tenant> {
    let tenant = |n| {
        let id: TenantId = format!("tenant-{n}").parse().expect("digits are in order");
        Tenant::builder(id).build().expect("no attributes")
    };
    (0..count).map(tenant).collect()
}

/// The number that stands for a tenant's connection.
fn number(tenant: &Tenant) -> u64 {
    let digits = tenant.id().as_str().trim_start_matches("tenant-");
    digits.parse().expect("every tenant has a number")
}

/// Connects to a number, while it may.
#[derive(Clone)]
struct Memory {
    works: Arc<AtomicBool>,
}

struct Numbers {
    number: u64,
    works: Arc<AtomicBool>,
}

impl ManageConnection for Numbers {
    type Connection = u64;
    type Error = std::io::Error;

    fn connect(&self) -> Result<u64, std::io::Error> {
        match self.works.load(Ordering::Relaxed) {
            true => Ok(self.number),
            false => Err(std::io::Error::other("it is away")),
        }
    }

    fn is_valid(&self, _: &mut u64) -> Result<(), std::io::Error> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}

impl Memory {
    fn new() -> Self {
        Self {
            works: Arc::new(AtomicBool::new(true)),
        }
    }

    fn numbers(&self, tenant: &Tenant) -> Numbers {
        Numbers {
            number: number(tenant),
            works: self.works.clone(),
        }
    }
}

impl Driver for Memory {
    type Manager = Numbers;

    fn manager(&self, tenant: &Tenant) -> Numbers {
        self.numbers(tenant)
    }

    fn descriptors(&self) -> Descriptors {
        Descriptors {
            first: 0,
            further: 0,
        }
    }
}

fn memory_pools(max: usize) -> TenantPools<Memory> {
    let builder = TenantPools::<Memory>::builder().max_connections(max as u32);
    builder.build(Memory::new()).expect("the bounds hold")
}

/// r2d2 as fast as it goes.
fn r2d2_builder<M: ManageConnection>(threads: &Arc<ScheduledThreadPool>) -> r2d2::Builder<M> {
    r2d2::Pool::builder()
        .max_size(4)
        .min_idle(Some(0))
        .test_on_check_out(false)
        .thread_pool(threads.clone())
}

fn threads() -> Arc<ScheduledThreadPool> {
    Arc::new(ScheduledThreadPool::new(3))
}

fn warm(c: &mut Criterion) {
    let acme = &tenants(1)[0];
    let mut group = c.benchmark_group("checkout/warm");
    let pools = memory_pools(256);
    let handle = pools.handle(acme);
    group.bench_function("tenancy", |b| {
        b.iter(|| {
            let connection = black_box(&handle).checkout().expect("a connection");
            assert_eq!(*connection, 0);
        });
    });
    let threads = threads();
    let pool = r2d2_builder(&threads).build_unchecked(Memory::new().numbers(acme));
    group.bench_function("r2d2", |b| {
        b.iter(|| {
            let connection = black_box(&pool).get().expect("a connection");
            assert_eq!(*connection, 0);
        });
    });
    let stack = Mutex::new(vec![0_u64]);
    group.bench_function("raw", |b| {
        b.iter(|| {
            let connection = black_box(&stack).lock().pop().expect("a connection");
            assert_eq!(connection, 0);
            stack.lock().push(connection);
        });
    });
}

fn by_name(c: &mut Criterion) {
    for (name, count) in [("by-name-1", 1), ("by-name-10k", TENANTS)] {
        let tenants = tenants(count);
        let mut group = c.benchmark_group(format!("checkout/{name}"));
        // A random walk, the same for all.
        let order: Vec<usize> = {
            let mut rng = Rng::new(7);
            (0..1 << 16).map(|_| rng.below(count)).collect()
        };
        let at = Cell::new(0);
        let next = || {
            at.set((at.get() + 1) % order.len());
            order[at.get()]
        };
        let pools = memory_pools(count.max(256));
        for tenant in &tenants {
            drop(pools.checkout(tenant).expect("a connection"));
        }
        group.bench_function("tenancy", |b| {
            b.iter(|| {
                let tenant = next();
                let connection = pools.checkout(&tenants[tenant]).expect("a connection");
                assert_eq!(*connection, tenant as u64);
            });
        });
        drop(pools);
        let (threads, memory) = (threads(), Memory::new());
        let map: DashMap<TenantId, r2d2::Pool<Numbers>> = DashMap::new();
        for tenant in &tenants {
            let pool = r2d2_builder(&threads).build_unchecked(memory.numbers(tenant));
            drop(pool.get().expect("a connection"));
            map.insert(tenant.id().clone(), pool);
        }
        group.bench_function("r2d2", |b| {
            b.iter(|| {
                let tenant = next();
                let pool = map.get(tenants[tenant].id()).expect("it is there");
                let connection = pool.get().expect("a connection");
                assert_eq!(*connection, tenant as u64);
            });
        });
        drop(map);
        let map: DashMap<TenantId, Mutex<Vec<u64>>> = DashMap::new();
        for tenant in &tenants {
            map.insert(tenant.id().clone(), Mutex::new(vec![number(tenant)]));
        }
        group.bench_function("raw", |b| {
            b.iter(|| {
                let tenant = next();
                let stack = map.get(tenants[tenant].id()).expect("it is there");
                let connection = stack.lock().pop().expect("a connection");
                assert_eq!(connection, tenant as u64);
                stack.lock().push(connection);
            });
        });
    }
}

/// SQLite files, one a tenant, each with a table of numbers.
#[derive(Clone)]
struct Files {
    root: PathBuf,
}

impl Files {
    fn new(root: &Path, tenants: &[Tenant]) -> Self {
        let files = Self { root: root.into() };
        for tenant in tenants {
            let connection = Connection::open(files.path(tenant)).expect("a file");
            let schema = "PRAGMA journal_mode = WAL; \
                          CREATE TABLE item (id INTEGER PRIMARY KEY, whose INTEGER)";
            connection.execute_batch(schema).expect("a schema");
            for id in 0..64 {
                let row = [id, number(tenant) as i64];
                connection
                    .execute("INSERT INTO item VALUES (?1, ?2)", row)
                    .expect("a row");
            }
        }
        files
    }

    fn path(&self, tenant: &Tenant) -> PathBuf {
        self.root.join(tenant.id().as_str())
    }

    fn connect(&self, tenant: &Tenant) -> SqliteConnectionManager {
        SqliteConnectionManager::file(self.path(tenant)).with_init(|connection| {
            connection.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
                 PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000; PRAGMA cache_size = -256",
            )
        })
    }
}

impl Driver for Files {
    type Manager = SqliteConnectionManager;

    fn manager(&self, tenant: &Tenant) -> SqliteConnectionManager {
        self.connect(tenant)
    }

    fn descriptors(&self) -> Descriptors {
        Descriptors {
            first: 3,
            further: 2,
        }
    }
}

fn whose(connection: &Connection, id: i64) -> i64 {
    let mut query = connection
        .prepare_cached("SELECT whose FROM item WHERE id = ?1")
        .expect("a statement");
    query.query_row([id], |row| row.get(0)).expect("a row")
}

fn file_pools(files: &Files, max: u32) -> TenantPools<Files> {
    let builder = TenantPools::<Files>::builder().max_connections(max);
    builder
        .max_per_tenant(max.min(4))
        .build(files.clone())
        .expect("the bounds hold")
}

/// Times `work` alone, `clean` its result outside of the clock.
fn timed<T>(
    iterations: u64,
    mut work: impl FnMut(usize) -> T,
    mut clean: impl FnMut(T),
) -> Duration {
    let mut total = Duration::ZERO;
    for at in 0..iterations as usize {
        let began = Instant::now();
        let made = black_box(work(at));
        total += began.elapsed();
        clean(made);
    }
    total
}

/// The first connection to a file: nothing of the tenant is open.
fn cold(c: &mut Criterion) {
    let tenants = tenants(256);
    let directory = tempfile::tempdir().expect("a directory");
    let files = Files::new(directory.path(), &tenants);
    let tenant = |at: usize| &tenants[at % tenants.len()];
    let mut group = c.benchmark_group("checkout/cold");
    let pools = file_pools(&files, 64);
    group.bench_function("tenancy", |b| {
        b.iter_custom(|iterations| {
            timed(
                iterations,
                |at| pools.checkout(tenant(at)).expect("a connection"),
                |connection| {
                    let tenant = tenancy_pool::Checkout::tenant(&connection).clone();
                    let id = tenant.id();
                    assert_eq!(whose(&connection, 7), number(&tenant) as i64);
                    drop(connection);
                    pools.close(id, Duration::ZERO).expect("nothing is out");
                    pools.reopen(id);
                },
            )
        });
    });
    let threads = threads();
    group.bench_function("r2d2", |b| {
        b.iter_custom(|iterations| {
            timed(
                iterations,
                |at| {
                    let pool = r2d2_builder(&threads).build_unchecked(files.connect(tenant(at)));
                    (pool.get().expect("a connection"), pool, tenant(at))
                },
                |(connection, _pool, tenant)| {
                    assert_eq!(whose(&connection, 7), number(tenant) as i64);
                },
            )
        });
    });
    group.bench_function("raw", |b| {
        b.iter_custom(|iterations| {
            timed(
                iterations,
                |at| {
                    let connection = files.connect(tenant(at)).connect();
                    (connection.expect("a connection"), tenant(at))
                },
                |(connection, tenant)| {
                    assert_eq!(whose(&connection, 7), number(tenant) as i64);
                },
            )
        });
    });
}

/// As cold, but another tenant's idle connection has to be closed first.
fn cold_reclaim(c: &mut Criterion) {
    let tenants = tenants(256);
    let directory = tempfile::tempdir().expect("a directory");
    let files = Files::new(directory.path(), &tenants);
    let at = Cell::new(0);
    let next = || {
        at.set((at.get() + 1) % tenants.len());
        &tenants[at.get()]
    };
    const OPEN: usize = 8;
    let mut group = c.benchmark_group("checkout/cold-reclaim");
    let pools = file_pools(&files, OPEN as u32);
    group.bench_function("tenancy", |b| {
        b.iter(|| {
            let connection = pools.checkout(next()).expect("a connection");
            assert!(!connection.is_busy());
        });
    });
    assert!(pools.stats().open <= OPEN as u32);
    drop(pools);
    let threads = threads();
    let mut open = std::collections::VecDeque::new();
    group.bench_function("r2d2", |b| {
        b.iter(|| {
            if open.len() == OPEN {
                open.pop_front();
            }
            let pool = r2d2_builder(&threads).build_unchecked(files.connect(next()));
            assert!(!pool.get().expect("a connection").is_busy());
            open.push_back(pool);
        });
    });
    drop(open);
    let mut open = std::collections::VecDeque::new();
    group.bench_function("raw", |b| {
        b.iter(|| {
            if open.len() == OPEN {
                open.pop_front();
            }
            let connection = files.connect(next()).connect().expect("a connection");
            assert!(!connection.is_busy());
            open.push_back(connection);
        });
    });
}

/// A tenant whose database is away. r2d2 tells it at its time-out, 30 s unless said;
/// here 20 ms, for patience.
fn failing(c: &mut Criterion) {
    let acme = &tenants(1)[0];
    let memory = Memory::new();
    memory.works.store(false, Ordering::Relaxed);
    let mut group = c.benchmark_group("checkout/failing");
    let builder = TenantPools::<Memory>::builder().failure_ttl(Duration::ZERO);
    let pools = builder.build(memory.clone()).expect("the bounds hold");
    group.bench_function("tenancy", |b| {
        b.iter(|| assert!(pools.checkout(black_box(acme)).is_err()));
    });
    let numbers = memory.numbers(acme);
    group.bench_function("raw", |b| {
        b.iter(|| assert!(black_box(&numbers).connect().is_err()));
    });
    let threads = threads();
    let patience = Duration::from_millis(20);
    let pool = r2d2_builder(&threads).connection_timeout(patience);
    let pool = pool.error_handler(Box::new(r2d2::NopErrorHandler));
    let pool = pool.build_unchecked(memory.numbers(acme));
    group.sample_size(10);
    group.bench_function("r2d2", |b| b.iter(|| assert!(pool.get().is_err())));
}

/// A check-out and a cached point SELECT.
fn select(c: &mut Criterion) {
    let tenants = tenants(1);
    let acme = &tenants[0];
    let directory = tempfile::tempdir().expect("a directory");
    let files = Files::new(directory.path(), &tenants);
    let mut group = c.benchmark_group("checkout/select");
    let pools = file_pools(&files, 8);
    let handle = pools.handle(acme);
    group.bench_function("tenancy", |b| {
        b.iter(|| {
            let connection = handle.checkout().expect("a connection");
            assert_eq!(whose(&connection, black_box(7)), 0);
        });
    });
    let threads = threads();
    let pool = r2d2_builder(&threads).build_unchecked(files.connect(acme));
    group.bench_function("r2d2", |b| {
        b.iter(|| {
            let connection = pool.get().expect("a connection");
            assert_eq!(whose(&connection, black_box(7)), 0);
        });
    });
    let connection = files.connect(acme).connect().expect("a connection");
    group.bench_function("raw", |b| {
        b.iter(|| assert_eq!(whose(&connection, black_box(7)), 0));
    });
}

criterion_group!(benches, warm, by_name, cold, cold_reclaim, failing, select);
criterion_main!(benches);

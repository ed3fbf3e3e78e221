//! The check-out of a connection and its return: these pools, one r2d2 pool per tenant, one
//! deadpool per tenant, and the bare operation.
//!
//! Connections are numbers in memory; `cold`, `cold-reclaim` and `select` open SQLite files with
//! the manager of r2d2_sqlite. The rivals get the same manager, and their fastest configuration.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use r2d2::ManageConnection;
use tenancy_benches::pools::{
    Deadpool, Files, Memory, Numbers, block_on, deadpool, number, r2d2_builder, tenants, threads,
};
use tenancy_benches::rng::Rng;
use tenancy_benches::size;
use tenancy_core::{Provisioner, Tenant, TenantId};
use tenancy_pool::{Checkout, Driver, TenantPools};
use tenancy_sqlite::{Migration, Migrations, SqliteConnection, SqliteDriver, SqliteStorage};

fn memory_pools(max: usize) -> TenantPools<Memory> {
    let builder = TenantPools::<Memory>::builder().max_connections(max as u32);
    builder.build(Memory::default()).expect("the bounds hold")
}

fn file_pools(files: &Files, max: u32) -> TenantPools<Files> {
    let builder = TenantPools::<Files>::builder().max_connections(max);
    builder
        .max_per_tenant(max.min(4))
        .build(files.clone())
        .expect("the bounds hold")
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
    let pool = r2d2_builder(&threads).build_unchecked(Memory::default().manager(acme));
    group.bench_function("r2d2", |b| {
        b.iter(|| {
            let connection = black_box(&pool).get().expect("a connection");
            assert_eq!(*connection, 0);
        });
    });
    let map = DashMap::new();
    map.insert(acme.id().clone(), pool);
    group.bench_function("dashmap-r2d2", |b| {
        b.iter(|| {
            let pool = map.get(black_box(acme.id())).expect("it is there");
            let connection = pool.get().expect("a connection");
            assert_eq!(*connection, 0);
        });
    });
    let pool = deadpool(Memory::default().manager(acme));
    group.bench_function("deadpool", |b| {
        b.iter(|| {
            let connection = block_on(black_box(&pool).get()).expect("a connection");
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

/// Returns a random walk over a number of tenants, the same for all contenders.
struct Walk {
    order: Vec<usize>,
    at: Cell<usize>,
}

impl Walk {
    fn over(count: usize) -> Self {
        let mut rng = Rng::new(7);
        Self {
            order: (0..1 << 16).map(|_| rng.below(count)).collect(),
            at: Cell::new(0),
        }
    }

    fn next(&self) -> usize {
        self.at.set((self.at.get() + 1) % self.order.len());
        self.order[self.at.get()]
    }
}

fn by_name(c: &mut Criterion) {
    by_name_of(c, "by-name-1", 1);
    by_name_of(c, "by-name-10k", size(10_000, 100));
}

fn by_name_of(c: &mut Criterion, name: &str, count: usize) {
    let (tenants, walk) = (tenants(count), Walk::over(count));
    let mut group = c.benchmark_group(format!("checkout/{name}"));
    let pools = memory_pools(count.max(256));
    for tenant in &tenants {
        drop(pools.checkout(tenant).expect("a connection"));
    }
    group.bench_function("tenancy", |b| {
        b.iter(|| {
            let tenant = walk.next();
            let connection = pools.checkout(&tenants[tenant]).expect("a connection");
            assert_eq!(*connection, tenant as u64);
        });
    });
    drop(pools);
    let (threads, memory) = (threads(), Memory::default());
    let pools = tenants.iter().map(|tenant| {
        let pool = r2d2_builder(&threads).build_unchecked(memory.manager(tenant));
        drop(pool.get().expect("a connection"));
        (tenant.id().clone(), pool)
    });
    let map: RwLock<HashMap<TenantId, r2d2::Pool<Numbers>>> = RwLock::new(pools.collect());
    group.bench_function("r2d2", |b| {
        b.iter(|| {
            let tenant = walk.next();
            let pool = map.read().get(tenants[tenant].id()).cloned();
            let connection = pool.expect("it is there").get().expect("a connection");
            assert_eq!(*connection, tenant as u64);
        });
    });
    let map: DashMap<TenantId, r2d2::Pool<Numbers>> = map.into_inner().into_iter().collect();
    group.bench_function("dashmap-r2d2", |b| {
        b.iter(|| {
            let tenant = walk.next();
            let pool = map.get(tenants[tenant].id()).expect("it is there");
            let connection = pool.get().expect("a connection");
            assert_eq!(*connection, tenant as u64);
        });
    });
    drop(map);
    let pools = tenants.iter().map(|tenant| {
        let pool = deadpool(memory.manager(tenant));
        drop(block_on(pool.get()).expect("a connection"));
        (tenant.id().clone(), pool)
    });
    let map: DashMap<TenantId, deadpool::managed::Pool<Deadpool<Numbers>>> = pools.collect();
    group.bench_function("deadpool", |b| {
        b.iter(|| {
            let tenant = walk.next();
            let pool = map.get(tenants[tenant].id()).expect("it is there");
            let connection = block_on(pool.get()).expect("a connection");
            assert_eq!(*connection, tenant as u64);
        });
    });
    drop(map);
    let stacks = tenants.iter().map(|tenant| {
        let stack = Mutex::new(vec![number(tenant)]);
        (tenant.id().clone(), stack)
    });
    let map: DashMap<TenantId, Mutex<Vec<u64>>> = stacks.collect();
    group.bench_function("raw", |b| {
        b.iter(|| {
            let tenant = walk.next();
            let stack = map.get(tenants[tenant].id()).expect("it is there");
            let connection = stack.lock().pop().expect("a connection");
            assert_eq!(connection, tenant as u64);
            stack.lock().push(connection);
        });
    });
}

/// Times `work` alone, and cleans its result up with `clean` outside of the measured time.
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

/// Measures the first connection to a file: the tenant has none open.
fn cold(c: &mut Criterion) {
    let tenants = tenants(256);
    let directory = tempfile::tempdir().expect("a directory");
    let files = Files::new(directory.path(), &tenants);
    let tenant = |at: usize| &tenants[at % tenants.len()];
    let mut group = c.benchmark_group("checkout/cold");
    let pools = file_pools(&files, 64);
    group.bench_function("tenancy", |b| {
        b.iter_custom(|iterations| {
            let take = |at| pools.checkout(tenant(at)).expect("a connection");
            timed(iterations, take, |connection| {
                let tenant = Checkout::tenant(&connection).clone();
                assert_eq!(Files::whose(&connection, 7), number(&tenant));
                drop(connection);
                let closed = pools.close(tenant.id(), Duration::ZERO);
                closed.expect("nothing is out");
                pools.reopen(tenant.id());
            })
        });
    });
    let threads = threads();
    group.bench_function("r2d2", |b| {
        b.iter_custom(|iterations| {
            let take = |at| {
                let pool = r2d2_builder(&threads).build_unchecked(files.manager(tenant(at)));
                (pool.get().expect("a connection"), pool, tenant(at))
            };
            timed(iterations, take, |(connection, _pool, tenant)| {
                assert_eq!(Files::whose(&connection, 7), number(tenant));
            })
        });
    });
    let map = DashMap::new();
    group.bench_function("dashmap-r2d2", |b| {
        b.iter_custom(|iterations| {
            let take = |at| {
                let new = || r2d2_builder(&threads).build_unchecked(files.manager(tenant(at)));
                let pool = map.entry(tenant(at).id().clone()).or_insert_with(new);
                let connection = pool.get().expect("a connection");
                (connection, tenant(at))
            };
            timed(iterations, take, |(connection, tenant)| {
                assert_eq!(Files::whose(&connection, 7), number(tenant));
                drop(connection);
                map.remove(tenant.id());
            })
        });
    });
    group.bench_function("deadpool", |b| {
        b.iter_custom(|iterations| {
            let take = |at| {
                let pool = deadpool(files.manager(tenant(at)));
                let connection = block_on(pool.get()).expect("a connection");
                (connection, pool, tenant(at))
            };
            timed(iterations, take, |(connection, _pool, tenant)| {
                assert_eq!(Files::whose(&connection, 7), number(tenant));
            })
        });
    });
    group.bench_function("raw", |b| {
        b.iter_custom(|iterations| {
            let take = |at| {
                let connection = files.manager(tenant(at)).connect();
                (connection.expect("a connection"), tenant(at))
            };
            timed(iterations, take, |(connection, tenant)| {
                assert_eq!(Files::whose(&connection, 7), number(tenant));
            })
        });
    });
}

/// Measures a cold check-out that first evicts an idle connection of another tenant.
fn cold_reclaim(c: &mut Criterion) {
    const OPEN: usize = 8;
    let tenants = tenants(256);
    let directory = tempfile::tempdir().expect("a directory");
    let files = Files::new(directory.path(), &tenants);
    let at = Cell::new(0);
    let next = || {
        at.set((at.get() + 1) % tenants.len());
        &tenants[at.get()]
    };
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
    let mut open = VecDeque::new();
    group.bench_function("r2d2", |b| {
        b.iter(|| {
            if open.len() == OPEN {
                open.pop_front();
            }
            let pool = r2d2_builder(&threads).build_unchecked(files.manager(next()));
            assert!(!pool.get().expect("a connection").is_busy());
            open.push_back(pool);
        });
    });
    drop(open);
    let mut open = VecDeque::new();
    group.bench_function("raw", |b| {
        b.iter(|| {
            if open.len() == OPEN {
                open.pop_front();
            }
            let connection = files.manager(next()).connect().expect("a connection");
            assert!(!connection.is_busy());
            open.push_back(connection);
        });
    });
}

/// Measures a tenant whose database does not connect. r2d2 returns its error at its time-out, which
/// defaults to 30 s; here it is 20 ms.
fn failing(c: &mut Criterion) {
    let acme = &tenants(1)[0];
    let memory = Memory::default();
    memory.works.store(false, Ordering::Relaxed);
    let mut group = c.benchmark_group("checkout/failing");
    let builder = TenantPools::<Memory>::builder().failure_ttl(Duration::ZERO);
    let pools = builder.build(memory.clone()).expect("the bounds hold");
    group.bench_function("tenancy", |b| {
        b.iter(|| assert!(pools.checkout(black_box(acme)).is_err()));
    });
    let numbers = memory.manager(acme);
    group.bench_function("raw", |b| {
        b.iter(|| assert!(black_box(&numbers).connect().is_err()));
    });
    let threads = threads();
    let patience = Duration::from_millis(20);
    let pool = r2d2_builder(&threads).connection_timeout(patience);
    let pool = pool.error_handler(Box::new(r2d2::NopErrorHandler));
    let pool = pool.build_unchecked(memory.manager(acme));
    group.sample_size(10);
    group.bench_function("r2d2", |b| b.iter(|| assert!(pool.get().is_err())));
}

/// Measures a check-out and a cached point SELECT.
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
            assert_eq!(Files::whose(&connection, black_box(7)), 0);
        });
    });
    let threads = threads();
    let pool = r2d2_builder(&threads).build_unchecked(files.manager(acme));
    group.bench_function("r2d2", |b| {
        b.iter(|| {
            let connection = pool.get().expect("a connection");
            assert_eq!(Files::whose(&connection, black_box(7)), 0);
        });
    });
    let connection = files.manager(acme).connect().expect("a connection");
    group.bench_function("raw", |b| {
        b.iter(|| assert_eq!(Files::whose(&connection, black_box(7)), 0));
    });
}

/// Measures a check-out of `SqliteDriver` and a cached point SELECT, against the same SELECT on a
/// connection that is held: the difference is the cost of the pool and of the checks on return.
fn sqlite_select(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let sql = "CREATE TABLE rows (id INTEGER PRIMARY KEY, v INTEGER) STRICT";
    let step = Migration::new("rows", sql);
    let migrations = Migrations::new([step]).expect("a script");
    let driver = SqliteStorage::builder(directory.path()).migrations(migrations);
    let driver = driver.create_driver().expect("a driver");
    let id: TenantId = "acme".parse().expect("an id");
    let place = driver.place(&id).expect("a place");
    let acme = Tenant::builder(id).placement(place).build();
    let acme = acme.expect("a tenant");
    driver.provision(&acme).expect("a file");
    let ask = |connection: &SqliteConnection| {
        let mut ask = connection.prepare_cached("SELECT v FROM rows WHERE id = ?1");
        let ask = ask.as_mut().expect("a statement");
        let v: i64 = ask
            .query_row([black_box(7)], |row| row.get(0))
            .expect("a row");
        assert_eq!(v, 70);
    };
    let connection = driver.manager(&acme).connect().expect("a connection");
    let rows = "INSERT INTO rows SELECT value, value * 10 FROM json_each('[1,2,3,4,5,6,7,8,9]')";
    connection.execute(rows, []).expect("nine rows");
    let mut group = c.benchmark_group("checkout/sqlite-select");
    let pools = TenantPools::<SqliteDriver>::builder().build(driver.clone());
    let handle = pools.expect("the bounds hold").handle(&acme);
    group.bench_function("tenancy", |b| {
        b.iter(|| ask(&handle.checkout().expect("a connection")));
    });
    group.bench_function("raw", |b| b.iter(|| ask(&connection)));
}

criterion_group!(
    benches,
    warm,
    by_name,
    cold,
    cold_reclaim,
    failing,
    select,
    sqlite_select
);
criterion_main!(benches);

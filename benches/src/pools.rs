//! The tenants, the drivers and the rivals of the benchmarks of the pools.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use r2d2::ManageConnection;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;
use scheduled_thread_pool::ScheduledThreadPool;
use tenancy_core::{Tenant, TenantId};
use tenancy_pool::Driver;

/// Returns a number of tenants, numbered from 0.
pub fn tenants(count: usize) -> Vec<Tenant> {
    let tenant = |n| {
        let id: TenantId = format!("tenant-{n}").parse().expect("digits are in order");
        Tenant::builder(id).build().expect("no attributes")
    };
    (0..count).map(tenant).collect()
}

/// Returns the number that stands for a tenant's connection.
pub fn number(tenant: &Tenant) -> u64 {
    let digits = tenant.id().as_str().trim_start_matches("tenant-");
    digits.parse().expect("every tenant has a number")
}

/// A driver whose connections are numbers in memory.
#[derive(Clone)]
pub struct Memory {
    /// Whether attempts to connect succeed.
    pub works: Arc<AtomicBool>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            works: Arc::new(AtomicBool::new(true)),
        }
    }
}

/// A tenant's manager of [`Memory`].
pub struct Numbers {
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

impl Driver for Memory {
    type Manager = Numbers;

    fn manager(&self, tenant: &Tenant) -> Numbers {
        Numbers {
            number: number(tenant),
            works: self.works.clone(),
        }
    }

    fn descriptors(&self) -> u32 {
        0
    }
}

/// A driver of SQLite files, one per tenant, each with a table that has the number of its tenant.
#[derive(Clone)]
pub struct Files {
    root: PathBuf,
}

impl Files {
    /// The number in the template that is replaced by that of the tenant.
    const MARK: i64 = 0x5eed_0000_5eed_0000;

    /// Creates a file for each of these tenants.
    pub fn new(root: &Path, tenants: &[Tenant]) -> Self {
        let files = Self { root: root.into() };
        let template = Self::template(&root.join("template"));
        for tenant in tenants {
            let mut bytes = template.clone();
            let (mark, mine) = (Self::MARK.to_be_bytes(), Self::value(tenant).to_be_bytes());
            let rows = 0..=bytes.len() - 8;
            let rows: Vec<_> = rows.filter(|at| bytes[*at..].starts_with(&mark)).collect();
            assert_eq!(rows.len(), 64, "each row is marked");
            rows.iter()
                .for_each(|at| bytes[*at..*at + 8].copy_from_slice(&mine));
            std::fs::write(files.path(tenant), bytes).expect("a file");
        }
        files
    }

    fn template(path: &Path) -> Vec<u8> {
        let connection = Connection::open(path).expect("a file");
        let schema = "PRAGMA journal_mode = WAL; \
                      CREATE TABLE item (id INTEGER PRIMARY KEY, whose INTEGER)";
        connection.execute_batch(schema).expect("a schema");
        for id in 0..64_i64 {
            connection
                .execute("INSERT INTO item VALUES (?1, ?2)", [id, Self::MARK])
                .expect("a row");
        }
        drop(connection);
        std::fs::read(path).expect("it was written")
    }

    fn value(tenant: &Tenant) -> i64 {
        Self::MARK + number(tenant) as i64
    }

    fn path(&self, tenant: &Tenant) -> PathBuf {
        self.root.join(tenant.id().as_str())
    }

    /// Runs a point SELECT by a cached statement; returns the number of the tenant.
    pub fn whose(connection: &Connection, id: i64) -> u64 {
        let mut query = connection
            .prepare_cached("SELECT whose FROM item WHERE id = ?1")
            .expect("a statement");
        let whose: i64 = query.query_row([id], |row| row.get(0)).expect("a row");
        (whose - Self::MARK) as u64
    }
}

impl Driver for Files {
    type Manager = SqliteConnectionManager;

    fn manager(&self, tenant: &Tenant) -> SqliteConnectionManager {
        SqliteConnectionManager::file(self.path(tenant)).with_init(|connection| {
            connection.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
                 PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000; PRAGMA cache_size = -256",
            )
        })
    }

    fn descriptors(&self) -> u32 {
        3
    }
}

/// Returns the fastest configuration of r2d2: no test on check-out, no idle minimum, shared
/// threads.
pub fn r2d2_builder<M: ManageConnection>(threads: &Arc<ScheduledThreadPool>) -> r2d2::Builder<M> {
    r2d2::Pool::builder()
        .max_size(4)
        .min_idle(Some(0))
        .test_on_check_out(false)
        .thread_pool(threads.clone())
}

/// Returns the threads that the pools of r2d2 share.
pub fn threads() -> Arc<ScheduledThreadPool> {
    Arc::new(ScheduledThreadPool::new(3))
}

/// An adapter of an r2d2 manager to deadpool. It connects on the thread of the caller; the adapters
/// for SQLite use another one.
pub struct Deadpool<M>(pub M);

impl<M: ManageConnection<Error: Send>> deadpool::managed::Manager for Deadpool<M> {
    type Type = M::Connection;
    type Error = M::Error;

    async fn create(&self) -> Result<M::Connection, M::Error> {
        self.0.connect()
    }

    async fn recycle(
        &self,
        _: &mut M::Connection,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<M::Error> {
        Ok(())
    }
}

/// Returns a deadpool of at most four connections.
pub fn deadpool<M: ManageConnection<Error: Send>>(
    manager: M,
) -> deadpool::managed::Pool<Deadpool<M>> {
    let builder = deadpool::managed::Pool::builder(Deadpool(manager)).max_size(4);
    builder.build().expect("no time-outs, so no runtime")
}

/// Waits for a future on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    // The future is ready at its first poll: that is the case that is timed.
    if let Poll::Ready(value) = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        return value;
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

//! [`SqliteStorageBuilder`]: the options of a storage, and their bounds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;
use rusqlite::Connection;
use tenancy_core::{Event, Tenant, emit};

use super::SqliteStorage;
use crate::catalog::SqliteCatalog;
use crate::disk::locks::RootLock;
use crate::disk::network::FileSystems;
use crate::disk::root::{Root, refuse_empty};
use crate::disk::steps::Steps;
use crate::driver::SqliteDriver;
use crate::error::{IoError, StorageError};
use crate::fleet::WarmPool;
use crate::guard::limits::Limits;
use crate::guard::quota::Quota;
use crate::guard::{Hardening, memory};
use crate::raw::OnConnect;
use crate::schema::migrate::Migrations;
use crate::schema::seeds::Seeds;
use crate::schema::template::fingerprint;
use crate::store::{Behind, Durability, Store};

/// The default wait for a lock, equal to the default wait of a check-out for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The default retention: a customer notices a mistaken retirement on a monthly invoice.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The default page size: SQLite's default, and the block size of the usual file systems.
const PAGE_SIZE: u32 = 4096;

/// The default of [`SqliteStorageBuilder::max_wal_bytes`].
const MAX_WAL_BYTES: u64 = 512 << 20;
const MIN_WAL_PAGES: u64 = 2_000;

/// A builder of a [`SqliteStorage`]. If an option is out of bounds, [`create`](Self::create) and
/// [`open`](Self::open) return an error.
///
/// ```
/// # use std::time::Duration;
/// use tenancy_sqlite::{Durability, Hardening, SqliteStorage};
/// # let root = tempfile::tempdir()?;
/// let storage = SqliteStorage::builder(root.path())
///     .durability(Durability::Normal)
///     .busy_timeout(Duration::from_secs(1))
///     .max_bytes(100 << 20)
///     .create()?;
/// let error = SqliteStorage::builder(root.path()).page_size(1000).open().unwrap_err();
/// assert_eq!(error.to_string(), "page size 1000 is invalid; use a power of two from 512 to 65536");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "call `create` or `open`"]
pub struct SqliteStorageBuilder {
    root: PathBuf,
    migrations: Migrations,
    seeds: Seeds,
    durability: Durability,
    busy_timeout: Duration,
    hardening: Hardening,
    limits: Limits,
    max_memory: Option<u64>,
    behind: Behind,
    trash_retention: Duration,
    snapshot_retention: Duration,
    file_systems: FileSystems,
    page_size: u32,
    quota: Quota,
    max_wal_bytes: u64,
    on_connect: Option<Box<OnConnect>>,
    steps: Steps,
    warm_pool: Option<usize>,
}

impl SqliteStorageBuilder {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            migrations: Migrations::default(),
            seeds: Seeds::default(),
            durability: Durability::default(),
            busy_timeout: BUSY_TIMEOUT,
            hardening: Hardening::default(),
            limits: Limits::default(),
            max_memory: None,
            behind: Behind::default(),
            trash_retention: RETENTION,
            snapshot_retention: RETENTION,
            file_systems: FileSystems::default(),
            page_size: PAGE_SIZE,
            max_wal_bytes: MAX_WAL_BYTES,
            quota: Quota::default(),
            on_connect: None,
            steps: Steps::default(),
            warm_pool: None,
        }
    }

    /// Sets the migrations that create a tenant's schema, at most 2^31 - 1 of them (the bound of
    /// SQLite's `user_version`). Defaults to no migrations.
    pub fn migrations(mut self, migrations: Migrations) -> Self {
        self.migrations = migrations;
        self
    }

    /// Sets the scripts by which [`Fleet::seed`](tenancy_fleet::Fleet::seed) and
    /// `Provisioner::seed` fill a tenant's database. Defaults to no seeds.
    pub fn seeds(mut self, seeds: Seeds) -> Self {
        self.seeds = seeds;
        self
    }

    /// Sets the moment at which a commit is on the disk. Defaults to [`Durability::Full`], so that
    /// a power cut loses no acknowledged commit.
    #[doc(alias = "fsync")]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the time that a statement waits for another connection's lock, rounded up to whole
    /// milliseconds, from zero (no wait) to [`MAX_BUSY_TIMEOUT`](Self::MAX_BUSY_TIMEOUT). Defaults
    /// to 5 s. A statement that has waited for this time fails with
    /// `rusqlite::ErrorCode::DatabaseBusy`.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// The longest busy timeout that SQLite supports, about 24 days and 20 hours.
    pub const MAX_BUSY_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

    /// Sets which SQL is refused on checked-out connections. Defaults to [`Hardening::Strict`].
    /// Migrations and seeds are always strict, except that they may call the functions of
    /// [`DenyRule::Cost`](crate::DenyRule::Cost).
    pub fn hardening(mut self, hardening: Hardening) -> Self {
        self.hardening = hardening;
        self
    }

    /// Sets the greatest size of a value and of a row that SQL may read or create on checked-out
    /// connections and in migrations, in bytes, from 64 KiB to 1,000,000,000. Defaults to 16 MiB.
    /// The bound exists because SQLite handles one value in one step, which no deadline interrupts.
    /// A longer row that already exists can be neither read nor migrated. The text of a statement
    /// is bounded separately, at 1 MiB.
    pub fn max_value_bytes(mut self, bytes: u32) -> Self {
        self.limits.value_bytes = bytes;
        self
    }

    /// Sets the greatest number of columns of a table, a result, a `SET`, a `GROUP BY` or an
    /// `ORDER BY`, on checked-out connections and in migrations, from 16 to 2,000 (SQLite's default
    /// bound). Defaults to 200. It also bounds memory: each column of a result row may hold
    /// [`max_value_bytes`](Self::max_value_bytes). A tenant that has a table with more columns
    /// cannot be opened.
    pub fn max_columns(mut self, columns: u32) -> Self {
        self.limits.columns = columns;
        self
    }

    /// Sets the greatest length of the program to which SQLite may compile a statement on a
    /// checked-out connection, in steps of its virtual machine, from 1,000 to 250,000,000 (SQLite's
    /// default bound). Defaults to 25,000. SQLite doubles its allocations, so that the default
    /// takes effect at about 21,500 steps.
    ///
    /// The bound limits how far nested views and common table expressions expand. It also limits
    /// the rows of a `VALUES` list, because each value is a step: insert many rows with one
    /// prepared statement instead. A longer program fails in SQLite with "out of memory", and
    /// [`refusal_of`](crate::SqliteConnection::refusal_of) returns
    /// [`DenyRule::Steps`](crate::DenyRule::Steps). Migrations and seeds are not bounded.
    pub fn max_statement_steps(mut self, steps: u32) -> Self {
        self.limits.statement_steps = steps;
        self
    }

    /// Sets the most memory that SQLite may use in this process, in bytes, from 64 MiB. Defaults to
    /// no bound.
    ///
    /// It is SQLite's `hard_heap_limit`: one bound for all tenants, catalogs and other connections
    /// of the process. Creating or opening the storage sets it for the rest of the process's life.
    /// The bound is never raised, so that of several storages the smallest bound holds. At the
    /// bound *every* statement that needs memory fails with `rusqlite::ErrorCode::OutOfMemory` and
    /// is rolled back, statements of other tenants too. Without a bound the system might kill the
    /// process instead.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// Sets the treatment of a tenant with an older schema when a connection is opened. Defaults to
    /// [`Behind::Refuse`], so that no request waits for a migration, and an operator sees every
    /// migration that fails.
    pub fn behind(mut self, behind: Behind) -> Self {
        self.behind = behind;
        self
    }

    /// Sets the time for which a retired tenant's file is kept in the trash, from where the tenant
    /// can be revived. Defaults to 30 days. Afterwards the file is not removed by itself: a call of
    /// [`SqliteFleet::empty_trash`](crate::SqliteFleet::empty_trash) destroys the tenant, and a
    /// validation warns of the file.
    pub fn trash_retention(mut self, retention: Duration) -> Self {
        self.trash_retention = retention;
        self
    }

    /// Sets the time for which the snapshots are kept that migrations and rollbacks take of
    /// tenants' files. Defaults to 30 days. Afterwards a snapshot is not removed by itself, but by
    /// a call of
    /// [`SqliteFleet::remove_expired_snapshots`](crate::SqliteFleet::remove_expired_snapshots).
    pub fn snapshot_retention(mut self, retention: Duration) -> Self {
        self.snapshot_retention = retention;
        self
    }

    /// Sets the file systems that the storage root may be on. Defaults to [`FileSystems::Local`].
    pub fn file_systems(mut self, allowed: FileSystems) -> Self {
        self.file_systems = allowed;
        self
    }

    /// Sets the page size of new files, in bytes: a power of two from 512 to 65536. Defaults to
    /// 4096, which is SQLite's default and the block size of the usual file systems. An existing
    /// file keeps its page size.
    pub fn page_size(mut self, bytes: u32) -> Self {
        self.page_size = bytes;
        self
    }

    /// Sets the greatest size of each tenant's database, in bytes, at least one page. The size is
    /// rounded down to whole pages. Defaults to SQLite's own bound of 2^32 - 2 pages, which is 16
    /// TiB with pages of 4096 bytes.
    ///
    /// A statement that would need more fails with `SQLITE_FULL` (`rusqlite::ErrorCode::DiskFull`)
    /// and is rolled back. The tenant can still read and delete rows, and other tenants are not
    /// affected. A database that is already larger grows no further. The WAL does not count; see
    /// [`SqliteDriver::wal_bytes`]. Migrations are not bounded.
    #[doc(alias = "quota")]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.quota.all = Some(bytes);
        self
    }

    /// Sets the greatest size of a tenant's WAL, in bytes. The least value is 2,000 pages, twice
    /// the usual size between two checkpoints: 8 MB with the default page size. `u64::MAX` means no
    /// bound. Defaults to 512 MiB.
    ///
    /// While a reader stays in a transaction, no checkpoint can reset the WAL, and every write
    /// makes it longer. The default allows a reader of some minutes beside a busy writer, and
    /// leaves room on the disk for a few such tenants.
    ///
    /// Beyond the bound each commit on a checked-out connection first waits up to 250 ms for
    /// readers to end. If the WAL still cannot be reset, the commit is rolled back with
    /// `SQLITE_CONSTRAINT_COMMITHOOK`, and
    /// [`SqliteConnection::refusal`](crate::SqliteConnection::refusal) returns
    /// [`DenyRule::Wal`](crate::DenyRule::Wal). The connection stays usable: it can read, and it
    /// can write again once the reader has ended. Readers of other processes count, too. A
    /// transaction may exceed the bound by its own size. Migrations are not bounded.
    pub fn max_wal_bytes(mut self, bytes: u64) -> Self {
        self.max_wal_bytes = bytes;
        self
    }

    /// Sets a function that returns the greatest size of one tenant's database, in bytes. It is
    /// called for each new connection; an open connection keeps its bound. For `None`,
    /// [`max_bytes`](Self::max_bytes) holds. A size below one page counts as one page. The function
    /// must be quick and must not use a pool.
    ///
    /// ```
    /// # use tenancy_sqlite::SqliteStorage;
    /// # let root = tempfile::tempdir()?;
    /// let storage = SqliteStorage::builder(root.path())
    ///     .max_bytes(100 << 20)
    ///     .max_bytes_by(|tenant| match tenant.attribute("plan") {
    ///         Some("pro") => Some(10 << 30),
    ///         _ => None,
    ///     })
    ///     .create()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_bytes_by(
        mut self,
        f: impl Fn(&Tenant) -> Option<u64> + Send + Sync + 'static,
    ) -> Self {
        self.quota.by = Some(Box::new(f));
        self
    }

    /// Sets a function that registers SQL functions and collations. It runs on each new connection
    /// that is checked out, migrates, seeds, checks or vacuums, before the connection is hardened,
    /// and on the template in memory. The function is trusted. If it fails, the operation fails
    /// with its error. Defaults to no function.
    ///
    /// ```
    /// # use rusqlite::functions::FunctionFlags;
    /// # use tenancy_sqlite::SqliteStorage;
    /// # let root = tempfile::tempdir()?;
    /// let storage = SqliteStorage::builder(root.path())
    ///     .on_connect(|connection| {
    ///         // Innocuous: views, triggers and indexes of the file may call it.
    ///         let flags = FunctionFlags::SQLITE_DETERMINISTIC
    ///             | FunctionFlags::SQLITE_INNOCUOUS
    ///             | FunctionFlags::SQLITE_UTF8;
    ///         connection.create_scalar_function("half", 1, flags, |c| Ok(c.get::<f64>(0)? / 2.0))
    ///     })
    ///     .create()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_connect(
        mut self,
        f: impl Fn(&mut Connection) -> rusqlite::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.on_connect = Some(Box::new(f));
        self
    }

    /// Sets a function that is called before each named step of an operation on files; its error
    /// fails the step. It serves tests of crashes, and is not part of the API.
    #[doc(hidden)]
    pub fn on_step(
        mut self,
        f: impl Fn(&'static str) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.steps = Steps::new(f);
        self
    }

    /// Sets the size of the warm pool: the number of databases, 0 to 10,000, that are provisioned
    /// in advance. A creation that takes one of them is a single write to the catalog. 0 removes
    /// the existing ones. Defaults to no change of the warm pool. Only the facade's upkeep uses the
    /// number, for [`SqliteFleet::fill_warm_pool`](crate::SqliteFleet::fill_warm_pool).
    pub fn warm_pool(mut self, ready: usize) -> Self {
        self.warm_pool = Some(ready);
        self
    }

    /// Creates the storage root, with an empty catalog, and opens it. The directory may already
    /// exist. If a killed process has left an incomplete root there, the root is completed.
    ///
    /// # Errors
    /// Returns [`StorageError::RootExists`] if the directory is already a storage root. Returns
    /// another error if an option is out of bounds, the root cannot be created or is on a network
    /// file system, or SQLite is too old.
    pub fn create(self) -> Result<SqliteStorage, StorageError> {
        self.check()?;
        let step = |name| self.step(name);
        let make = |root: &Root, lock: &RootLock| {
            step("make the catalog")?;
            SqliteCatalog::open(root, lock, &self.steps)
        };
        let (root, catalog) = Root::create(
            &self.root,
            self.file_systems,
            &step,
            SqliteCatalog::recorded,
            make,
        )?;
        self.storage(root, catalog)
    }

    /// Opens a storage root. If no other process uses the root, new files that killed processes
    /// left in staging are put in place if they are whole, and removed otherwise. A root that an
    /// older version of this library created is upgraded: its catalog gets the newest format, and
    /// the root gets a marker. From then on older versions refuse the root.
    ///
    /// # Errors
    /// Returns [`StorageError::NoRoot`] or [`StorageError::NotARoot`] if there is no storage root,
    /// and [`StorageError::LostCatalog`] if it has tenants' files but no rows in its catalog.
    /// Returns another error if an option is out of bounds, the root cannot be used or is on a
    /// network file system, its catalog has an unknown format, or SQLite is too old.
    pub fn open(self) -> Result<SqliteStorage, StorageError> {
        self.check()?;
        let step = |name| self.step(name);
        let open = |root: &Root, lock: &RootLock| {
            if SqliteCatalog::is_outdated(root)? {
                step("upgrade the catalog")?;
            }
            SqliteCatalog::open(root, lock, &self.steps)
        };
        let unmarked = SqliteCatalog::refuse_unmarked;
        let (root, catalog) = Root::open(&self.root, self.file_systems, &step, unmarked, open)?;
        self.storage(root, catalog)
    }

    /// Creates a storage root without a catalog, for tenants that are listed elsewhere, and returns
    /// the driver of its files.
    ///
    /// # Errors
    /// Returns the errors of [`create`](Self::create), except those about the catalog.
    pub fn create_driver(self) -> Result<SqliteDriver, StorageError> {
        self.check()?;
        let step = |name| self.step(name);
        let files = self.file_systems;
        let (root, ()) = Root::create(&self.root, files, &step, |_| Ok(None), no_catalog)?;
        self.driver(root)
    }

    /// Opens a storage root without its catalog, for tenants that are listed elsewhere, and returns
    /// the driver of its files.
    ///
    /// # Errors
    /// Returns the errors of [`open`](Self::open), except those about the catalog.
    pub fn open_driver(self) -> Result<SqliteDriver, StorageError> {
        self.check()?;
        let step = |name| self.step(name);
        let files = self.file_systems;
        let (root, ()) = Root::open(&self.root, files, &step, refuse_empty, no_catalog)?;
        self.driver(root)
    }

    /// Reports a named step, at which tests kill the process or let the call fail.
    fn step(&self, name: &'static str) -> Result<(), IoError> {
        self.steps.reach(&self.root, name)
    }

    fn storage(self, root: Root, catalog: SqliteCatalog) -> Result<SqliteStorage, StorageError> {
        let warm_pool = self.warm_pool;
        Ok(SqliteStorage {
            driver: self.driver(root)?,
            catalog,
            warm_pool,
        })
    }

    fn driver(self, root: Root) -> Result<SqliteDriver, StorageError> {
        let lock = root.lock()?;
        if root.file_system.needs_warning() {
            emit(&Event::NoJournal { path: root.path() });
        }
        self.max_memory.map_or(Ok(()), memory::bound)?;
        Ok(SqliteDriver {
            store: Arc::new(Store {
                root,
                fingerprint: fingerprint(&self.migrations, self.page_size),
                migrations: self.migrations,
                seeds: self.seeds,
                busy_timeout: whole_millis(self.busy_timeout),
                hardening: self.hardening,
                limits: self.limits,
                behind: self.behind,
                trash_retention: self.trash_retention,
                snapshot_retention: self.snapshot_retention,
                on_connect: self.on_connect,
                quota: self.quota,
                max_wal_bytes: self.max_wal_bytes,
                durability: self.durability,
                page_size: self.page_size,
                template: OnceCell::new(),
                steps: self.steps,
                lock,
            }),
        })
    }

    fn check(&self) -> Result<(), StorageError> {
        self.warm_pool.map_or(Ok(()), WarmPool::check)?;
        self.limits.check()?;
        self.max_memory.map_or(Ok(()), memory::check)?;
        let found = self.page_size;
        if !found.is_power_of_two() || !(512..=65536).contains(&found) {
            return Err(StorageError::PageSize { found });
        }
        if self.busy_timeout > Self::MAX_BUSY_TIMEOUT {
            let found = self.busy_timeout;
            return Err(StorageError::BusyTimeout { found });
        }
        let page_size = self.page_size;
        let least = MIN_WAL_PAGES * u64::from(page_size);
        if self.max_wal_bytes < least {
            let found = self.max_wal_bytes;
            return Err(StorageError::MaxWalBytes { found, least });
        }
        match self.quota.all {
            Some(found) if found < page_size.into() => {
                Err(StorageError::MaxBytes { found, page_size })
            }
            _ => Ok(()),
        }
    }
}

/// Rounds up to milliseconds, so that a part of a millisecond does not mean "no wait".
fn whole_millis(time: Duration) -> Duration {
    let millis = time.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

fn no_catalog(_: &Root, _: &RootLock) -> Result<(), StorageError> {
    Ok(())
}

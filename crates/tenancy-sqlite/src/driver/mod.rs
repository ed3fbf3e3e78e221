//! [`SqliteDriver`]: the places of files, and their connections.

pub(crate) mod connection;
pub(crate) mod manager;
pub(crate) mod provisioner;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tenancy_core::Tenant;
use tenancy_pool::{Access, Driver, Eviction};

use crate::disk::place::Place;
use crate::driver::connection::SqliteConnection;
use crate::driver::manager::SqliteManager;
use crate::error::{FileError, OpenError};
use crate::ops::checkpoint::Checkpointed;
use crate::ops::maintenance::{Check, Vacuumed};
use crate::raw::wal_bytes;
use crate::schema::migrate::Migrations;
use crate::store::Store;

/// A driver that keeps one SQLite file per tenant below a storage root. A
/// [`SqliteStorage`](crate::SqliteStorage) creates it. Cloning is cheap.
///
/// ```
/// use tenancy_core::{Provisioner, Tenant};
/// use tenancy_pool::Driver;
/// use tenancy_sqlite::{Migration, Migrations, SqliteStorage};
/// use r2d2::ManageConnection;
///
/// let root = tempfile::tempdir()?;
/// let notes = Migration::new("notes", "CREATE TABLE notes (text TEXT) STRICT");
/// let storage = SqliteStorage::builder(root.path()).migrations(Migrations::new([notes])?).create()?;
/// let driver = storage.driver();
/// let id = "acme".parse()?;
/// let place = driver.place(&id)?;
/// let acme = Tenant::builder(id).placement(place).build()?;
/// driver.provision(&acme)?;
/// let connection = driver.manager(&acme).connect()?;
/// connection.execute("INSERT INTO notes VALUES ('hello')", [])?;
/// assert!(connection.execute("ATTACH '/etc/passwd' AS x", []).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqliteDriver {
    pub(crate) store: Arc<Store>,
}

impl SqliteDriver {
    /// Returns the migrations that create a tenant's schema.
    pub fn migrations(&self) -> &Migrations {
        &self.store.migrations
    }

    /// Returns whether this driver was the only one of all processes on the storage root when it
    /// was built. Then every unfinished operation there belongs to a killed process, and
    /// [`SqliteFleet::recover`](crate::SqliteFleet::recover) may complete it.
    pub fn was_alone(&self) -> bool {
        self.store.lock.was_alone
    }

    /// Returns the canonical path of the storage root.
    pub fn root(&self) -> &Path {
        self.store.root.path()
    }

    /// Returns the length of a tenant's WAL in bytes. The WAL does not count against
    /// [`max_bytes`](crate::SqliteStorageBuilder::max_bytes). While a reader stays in a
    /// transaction, the WAL grows, up to
    /// [`max_wal_bytes`](crate::SqliteStorageBuilder::max_wal_bytes): monitor its length, and end
    /// such readers.
    ///
    /// # Errors
    /// Returns an error if the placement is of another driver, or the length cannot be read.
    pub fn wal_bytes(&self, tenant: &Tenant) -> Result<u64, FileError> {
        let path = self.store.root.file(&Place::of(tenant)?);
        Ok(wal_bytes(&path)?)
    }

    /// Checkpoints and truncates a tenant's WAL on a separate connection, without waiting for other
    /// connections. Call it for idle tenants, so that the close of their last connection is quick.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened, it is another tenant's, or the disk fails.
    pub fn checkpoint(&self, tenant: &Tenant) -> Result<Checkpointed, FileError> {
        self.store.checkpoint(tenant)
    }

    /// Checks a tenant's file for damage by SQLite, and returns the findings, at most 20. A sound
    /// file has no findings. Readers and writers are not blocked.
    ///
    /// ```
    /// # use tenancy_core::{Provisioner, Tenant};
    /// # use tenancy_sqlite::{Check, SqliteStorage};
    /// # let root = tempfile::tempdir()?;
    /// # let driver = SqliteStorage::create(root.path())?.driver().clone();
    /// # let id = "acme".parse()?;
    /// # let place = driver.place(&id)?;
    /// # let acme = Tenant::builder(id).placement(place).build()?;
    /// # driver.provision(&acme)?;
    /// assert!(driver.check(&acme, Check::Full)?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened or read.
    pub fn check(&self, tenant: &Tenant, check: Check) -> Result<Vec<Box<str>>, FileError> {
        self.store.check(tenant, check)
    }

    /// Rewrites a tenant's file without its free pages. Writers wait meanwhile, at most for their
    /// busy timeout. The disk needs free space of twice the size of the file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened, another connection is writing for longer than
    /// the busy timeout, or the disk is full. The file is unchanged then.
    pub fn vacuum(&self, tenant: &Tenant) -> Result<Vacuumed, FileError> {
        self.store.vacuum(tenant)
    }
}

impl fmt::Debug for SqliteDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteDriver({})", self.root().display())
    }
}

impl Driver for SqliteDriver {
    type Manager = SqliteManager;

    fn manager(&self, tenant: &Tenant) -> SqliteManager {
        SqliteManager::new(self.store.clone(), tenant.clone())
    }

    /// Sets `PRAGMA query_only`. SQL on the connection cannot switch it off.
    fn restrict(
        &self,
        connection: &mut SqliteConnection,
        access: Access,
    ) -> Result<Access, OpenError> {
        connection.restrict(access)
    }

    /// Checkpoints the WAL as far as readers allow, and truncates it if there are none, so that the
    /// close of the connection is quick. Then releases the page cache. Waits for no lock. A failed
    /// checkpoint closes the connection, like a failed commit.
    fn maintain_idle(&self, connection: &mut SqliteConnection) -> Result<(), OpenError> {
        connection.maintain_idle(self.store.busy_timeout)
    }

    /// Lets the close of the connection skip the checkpoint, whatever the size of the WAL. If the
    /// WAL is not empty, [`upkeep`](Driver::upkeep) checkpoints it later, or the next connection
    /// recovers it within the deadline of its check-out: a WAL of 400 MB takes 0.2 s.
    fn evict(&self, connection: &mut SqliteConnection) -> Eviction {
        connection.skip_checkpoint_on_close()
    }

    /// Checkpoints the WAL of an evicted tenant and removes it, unless the file is in use.
    fn upkeep(&self, tenant: &Tenant) -> Result<(), OpenError> {
        self.store.finish_eviction(tenant)
    }

    /// Reads the schema version again if the last read was 500 ms ago or more. So an open
    /// connection to a tenant that was migrated or rolled back meanwhile is admitted or refused
    /// like a new one.
    #[inline]
    fn on_checkout(
        &self,
        tenant: &Tenant,
        connection: &mut SqliteConnection,
    ) -> Result<(), OpenError> {
        connection.readmit(&self.store, tenant)
    }

    /// Returns 3: a connection opens the database file, its `-wal` and its `-shm`.
    fn descriptors(&self) -> u32 {
        3
    }
}

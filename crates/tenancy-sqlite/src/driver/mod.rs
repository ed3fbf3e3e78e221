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

/// One SQLite file per tenant, below a storage root, out of a
/// [`SqliteStorage`](crate::SqliteStorage). Cloning is cheap.
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
    /// Returns the migrations of tenants.
    pub fn migrations(&self) -> &Migrations {
        &self.store.migrations
    }

    /// Returns whether no other driver, in any process, used the storage root when this one was built:
    /// unfinished operations there are those of killed processes, and
    /// [`SqliteFleet::recover`](crate::SqliteFleet::recover) may complete them.
    pub fn was_alone(&self) -> bool {
        self.store.lock.was_alone
    }

    /// Returns the canonical path of the storage root.
    pub fn root(&self) -> &Path {
        self.store.root.path()
    }

    /// Returns the length of a tenant's WAL in bytes. It does not count against
    /// [`max_bytes`](crate::SqliteStorageBuilder::max_bytes), and a reader that stays in a transaction
    /// lets it grow, up to
    /// [`max_wal_bytes`](crate::SqliteStorageBuilder::max_wal_bytes): watch it, and end such
    /// readers.
    ///
    /// # Errors
    /// Returns an error if the placement is of another driver, or the file cannot be looked at.
    pub fn wal_bytes(&self, tenant: &Tenant) -> Result<u64, FileError> {
        let path = self.store.root.file(&Place::of(tenant)?);
        Ok(wal_bytes(&path)?)
    }

    /// Checkpoints and truncates a tenant's WAL on a separate connection, without waiting for other
    /// connections: for idle tenants, so that the close of their last connection has no work left.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened, is another tenant's, or the disk fails.
    pub fn checkpoint(&self, tenant: &Tenant) -> Result<Checkpointed, FileError> {
        self.store.checkpoint(tenant)
    }

    /// Lets SQLite look for damage, and returns its findings, at most 20 lines; none for a sound file.
    /// Readers and writers are not blocked.
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

    /// Rewrites the file without its free pages. Writers wait meanwhile, for as long as their busy
    /// timeout. It needs twice the size of the file as free space.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened, a connection is writing, or the disk is full;
    /// nothing is changed then.
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

    /// Sets `PRAGMA query_only`, which SQL cannot switch off then.
    fn restrict(
        &self,
        connection: &mut SqliteConnection,
        access: Access,
    ) -> Result<Access, OpenError> {
        connection.restrict(access)
    }

    /// Checkpoints the WAL as far as readers allow, and truncates it if there are none, so that
    /// the close of the connection has no work left; then releases the page cache. Waits for no
    /// lock. A failed checkpoint closes the connection, as a failed commit does.
    fn maintain_idle(&self, connection: &mut SqliteConnection) -> Result<(), OpenError> {
        connection.maintain_idle(self.store.busy_timeout)
    }

    /// Leaves a WAL that is not empty where it is, whatever its size, to
    /// [`upkeep`](Driver::upkeep) or the next connection, which recovers it: 0.2 s for one of
    /// 400 MB, within the deadline of that check-out.
    fn evict(&self, connection: &mut SqliteConnection) -> Eviction {
        connection.skip_checkpoint_on_close()
    }

    /// Checkpoints the WAL of an evicted tenant and removes it, unless the file is in use.
    fn upkeep(&self, tenant: &Tenant) -> Result<(), OpenError> {
        self.store.finish_eviction(tenant)
    }

    /// Reads the schema version again every 500 ms, so that a tenant that was migrated or
    /// rolled back meanwhile is served or refused alike with an open connection and a new one.
    #[inline]
    fn on_checkout(
        &self,
        tenant: &Tenant,
        connection: &mut SqliteConnection,
    ) -> Result<(), OpenError> {
        connection.readmit(&self.store, tenant)
    }

    /// Returns 3: the database file, its `-wal` and its `-shm`.
    fn descriptors(&self) -> u32 {
        3
    }
}

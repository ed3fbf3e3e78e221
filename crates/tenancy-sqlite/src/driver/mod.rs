//! [`SqliteDriver`]: where the files are and how they are opened.

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
    /// The migrations that tenants have.
    pub fn migrations(&self) -> &Migrations {
        &self.store.migrations
    }

    /// Whether no other driver, in any process, used the storage root when this one was
    /// built: what is half done there was left by killed processes, and
    /// [`SqliteFleet::recover`](crate::SqliteFleet::recover) may take it up.
    pub fn was_alone(&self) -> bool {
        self.store.lock.was_alone
    }

    /// The storage root, canonical.
    pub fn root(&self) -> &Path {
        self.store.root.path()
    }

    /// How many bytes a tenant's log, the `-wal` file, has. It does not count against
    /// [`max_bytes`](crate::SqliteStorageBuilder::max_bytes), and one reader that stays in
    /// a transaction keeps it growing, up to
    /// [`max_wal_bytes`](crate::SqliteStorageBuilder::max_wal_bytes): watch it, and end such
    /// readers.
    ///
    /// # Errors
    /// When the placement is not this driver's, or the file cannot be looked at.
    pub fn wal_bytes(&self, tenant: &Tenant) -> Result<u64, FileError> {
        let path = self.store.root.file(&Place::of(tenant)?);
        Ok(wal_bytes(&path)?)
    }

    /// Moves a tenant's log into its database and empties it, on a connection of its
    /// own, without waiting for anybody: for tenants that are idle, so that closing their
    /// last connection has nothing left to do.
    ///
    /// # Errors
    /// When the file cannot be opened, is another's, or the disk fails.
    pub fn checkpoint(&self, tenant: &Tenant) -> Result<Checkpointed, FileError> {
        self.store.checkpoint(tenant)
    }

    /// Lets SQLite look for damage; what it found, in its words, at most 20 lines.
    /// Empty says that the file is sound. Readers and writers go on meanwhile.
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
    /// When the file cannot be opened or read.
    pub fn check(&self, tenant: &Tenant, check: Check) -> Result<Vec<Box<str>>, FileError> {
        self.store.check(tenant, check)
    }

    /// Writes the file anew without the pages that nothing uses any more. Writers wait
    /// meanwhile, for as long as their busy timeout; it needs as much free space as
    /// the file has bytes, twice.
    ///
    /// # Errors
    /// When the file cannot be opened, somebody is writing, or the disk is full;
    /// nothing has changed then.
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

    /// `PRAGMA query_only`, which SQL can then not switch off.
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

    /// Checkpoints the WAL of an evicted tenant and removes it, unless somebody uses it.
    fn upkeep(&self, tenant: &Tenant) -> Result<(), OpenError> {
        self.store.finish_eviction(tenant)
    }

    /// Reads the schema version again every 500 ms, so that a tenant that was migrated or
    /// rolled back meanwhile is served or refused alike whether its connection was open.
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

//! [`SqliteDriver`]: where the files are and how they are opened.

pub(crate) mod lending;
pub(crate) mod manager;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;
use rusqlite::Connection;
use tenancy_core::Tenant;
use tenancy_pool::{Access, Descriptors, Driver, Eviction};

use crate::disk::root::{Lock, Root};
use crate::disk::steps::Steps;
use crate::driver::lending::quick_close;
use crate::driver::manager::{SqliteConnection, SqliteManager};
use crate::error::{FileError, IoError, OpenError};
use crate::guard::quota::Quota;
use crate::guard::{Hardening, Limits};
use crate::schema::migrate::Migrations;
use crate::schema::seeds::Seeds;
use crate::schema::template::Template;

/// What runs on every new connection; see [`SqliteStorageBuilder::on_connect`].
pub(crate) type OnConnect = dyn Fn(&mut Connection) -> rusqlite::Result<()> + Send + Sync;

/// When a commit is on the disk. New files, migrations' steps before they are recorded
/// and the catalog are always waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Before it returns: `synchronous = FULL`, one sync of the log a commit.
    #[default]
    Full,
    /// At the next checkpoint: `synchronous = NORMAL`, no sync a commit. A power cut, and
    /// nothing less, may lose the last commits; nothing is torn.
    Normal,
}

/// What to do with a tenant whose schema is older than the migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Behind {
    /// Refuse to open it: somebody migrates all tenants.
    #[default]
    Refuse,
    /// Migrate it when it is opened.
    Migrate,
    /// Open it as it is: for a tool with which a person looks at a tenant's rows, and mends
    /// those over which a migration fails. See [`SqliteConnection::schema`].
    Open,
}

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
    pub(crate) shared: Arc<Shared>,
}

impl SqliteDriver {
    /// The migrations that tenants have.
    pub fn migrations(&self) -> &Migrations {
        &self.shared.migrations
    }

    /// Whether no other driver, in any process, used the storage root when this one was
    /// built: what is half done there was left by killed processes, and
    /// [`SqliteFleet::recover`](crate::SqliteFleet::recover) may take it up.
    pub fn was_alone(&self) -> bool {
        self.shared.lock.was_alone
    }

    /// The storage root, canonical.
    pub fn root(&self) -> &Path {
        self.shared.root.path()
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
        SqliteManager::new(self.shared.clone(), tenant.clone())
    }

    /// `PRAGMA query_only`, which SQL can then not switch off.
    fn restrict(
        &self,
        connection: &mut SqliteConnection,
        access: Access,
    ) -> Result<Access, OpenError> {
        connection.restrict(access)
    }

    /// Moves the log into the database, as far as nobody reads what stands there, and
    /// empties it if nobody reads at all, so that closing the connection finds nothing to
    /// do; then gives the page cache back. Waits for nobody. A checkpoint that failed costs
    /// the connection, as a commit does.
    fn maintain_idle(&self, connection: &mut SqliteConnection) -> Result<(), OpenError> {
        connection.rest(self.shared.busy_timeout)
    }

    /// Leaves a WAL that is not empty where it is, whatever its size, to
    /// [`upkeep`](Driver::upkeep) or the next connection, which recovers it: 0.2 s for one of
    /// 400 MB, within the deadline of that check-out.
    fn evict(&self, connection: &mut SqliteConnection) -> Eviction {
        quick_close(connection)
    }

    /// Checkpoints the WAL of an evicted tenant and removes it, unless somebody uses it.
    fn upkeep(&self, tenant: &Tenant) -> Result<(), OpenError> {
        self.shared.finish_eviction(tenant)
    }

    /// Reads the schema version again every 500 ms, so that a tenant that was migrated or
    /// rolled back meanwhile is served or refused alike whether its connection was open.
    #[inline]
    fn on_checkout(
        &self,
        tenant: &Tenant,
        connection: &mut SqliteConnection,
    ) -> Result<(), OpenError> {
        self.shared.admit_again(tenant, connection)
    }

    /// The file, its `-wal` and its `-shm`; a further connection shares the `-shm`.
    fn descriptors(&self) -> Descriptors {
        Descriptors {
            first: 3,
            further: 2,
        }
    }
}

/// What the driver and its managers share.
pub(crate) struct Shared {
    pub(crate) root: Root,
    pub(crate) migrations: Migrations,
    pub(crate) seeds: Seeds,
    pub(crate) busy_timeout: Duration,
    pub(crate) hardening: Hardening,
    pub(crate) limits: Limits,
    pub(crate) behind: Behind,
    pub(crate) trash_retention: Duration,
    pub(crate) snapshot_retention: Duration,
    pub(crate) on_connect: Option<Box<OnConnect>>,
    pub(crate) quota: Quota,
    pub(crate) max_wal_bytes: u64,
    pub(crate) durability: Durability,
    pub(crate) page_size: u32,
    /// What new files are like.
    pub(crate) fingerprint: Box<str>,
    pub(crate) template: OnceCell<Template>,
    pub(crate) steps: Steps,
    pub(crate) lock: Lock,
}

impl Shared {
    /// One batch, so that an open pays for one. The cache is small because there are
    /// hundreds of connections: 256 KiB holds the hot pages of a small database. A log
    /// that a stuck reader made long is cut back to 4 MiB, which is about what it has
    /// between two checkpoints.
    pub(crate) fn pragmas(&self) -> &'static str {
        match self.durability {
            Durability::Full => {
                "PRAGMA cache_size = -256; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; \
                 PRAGMA journal_size_limit = 4194304"
            }
            Durability::Normal => {
                "PRAGMA cache_size = -256; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; \
                 PRAGMA journal_size_limit = 4194304"
            }
        }
    }

    /// The template, built at its first use.
    pub(crate) fn template(&self) -> Result<&Template, FileError> {
        let build = || {
            let on_connect = self.on_connect.as_deref();
            Template::build(&self.migrations, self.page_size, on_connect, self.limits)
        };
        Ok(self.template.get_or_try_init(build)?)
    }

    /// Reaches a named step, at which tests stop the process or let the call fail.
    pub(crate) fn step(&self, name: &'static str) -> Result<(), IoError> {
        self.steps.reach(self.root.path(), name)
    }
}

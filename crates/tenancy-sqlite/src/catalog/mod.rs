//! [`SqliteCatalog`]: the list of all tenants in one file, for several processes.

mod events;
mod feed;
mod maintenance;
mod names;
mod open;
mod rows;
mod runs;
mod scan;
mod stock;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, Result};
use tenancy_core::{
    Catalog, CatalogError, Changes, Tenant, TenantId, TenantKey, TenantStatus, Version, Versioned,
};

use crate::error::StorageError;
use crate::network::FileSystems;
use crate::root::Root;

pub use events::{AuditEvent, BrokenChain};
pub(crate) use runs::{Known, Outcome, State};
pub use runs::{Run, SchemaStatus, TaskFailure};
pub(crate) use stock::Waiting;

/// The catalog of a storage root: `catalog.db`. Several processes may have it open,
/// and several threads one value of it. Cloning is cheap.
///
/// ```
/// use tenancy_core::{Actor, Catalog, CatalogWriter, NewTenant, TenantKey};
/// use tenancy_sqlite::SqliteCatalog;
///
/// let root = tempfile::tempdir()?;
/// let catalog = SqliteCatalog::open(root.path())?;
/// let acme = catalog.insert(NewTenant::new("acme".parse()?), &Actor::new("docs"))?;
/// let found = catalog.lookup(TenantKey::Label("acme"))?;
/// assert_eq!(found.value, Some(acme));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqliteCatalog(Arc<Inner>);

struct Inner {
    path: PathBuf,
    /// One writer a process: SQLite has one a file.
    writer: Mutex<Connection>,
    /// Idle readers, at most [`MAX_READERS`].
    readers: Mutex<Vec<Connection>>,
    feed: Mutex<feed::Feed>,
}

/// Readers that are kept open; a ninth thread opens one and closes it again.
const MAX_READERS: usize = 8;

impl SqliteCatalog {
    /// Refuses a root that has files of tenants and no catalog: what opens an existing
    /// root asks this first, as [`open`](Self::open) would make an empty one.
    ///
    /// # Errors
    /// [`StorageError::LostCatalog`].
    pub fn refuse_lost(root: impl AsRef<Path>) -> Result<(), StorageError> {
        open::refuse_lost(root.as_ref())
    }

    /// Opens the catalog of a storage root, making both if they are missing. One that an
    /// older version of this library made is brought up to date; older ones refuse it then.
    ///
    /// # Errors
    /// When the root cannot be used or is on a network, or the file is no catalog of a
    /// known format.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::open_on(root, FileSystems::Local)
    }

    /// The same, on other file systems, too.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(root: impl AsRef<Path>, allowed: FileSystems) -> Result<Self, StorageError> {
        let root = Root::open(root.as_ref(), allowed)?;
        let path = root.catalog();
        let writer = open::open(&root, &path)?;
        let feed = feed::Feed::new(open::connect(&path)?);
        Ok(Self(Arc::new(Inner {
            path,
            writer: Mutex::new(writer),
            readers: Mutex::default(),
            feed: Mutex::new(feed),
        })))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Tenants of one status by id, at most `max`, after this one: what recovery
    /// asks for. An index holds those that are not active.
    ///
    /// # Errors
    /// When the catalog cannot be asked.
    pub fn page_of_status(
        &self,
        status: TenantStatus,
        after: Option<&TenantId>,
        max: usize,
    ) -> Result<Vec<Tenant>, CatalogError> {
        self.read(|connection| rows::page_of_status(connection, status, after, max))
    }

    /// The tenant of this id.
    pub(crate) fn by_id(&self, id: &TenantId) -> Result<Option<Tenant>, CatalogError> {
        self.read(|connection| rows::by_id(connection, id))
    }

    /// The version of the last write.
    ///
    /// # Errors
    /// When the catalog cannot be asked.
    pub fn version(&self) -> Result<Version, CatalogError> {
        self.read(rows::version)
    }

    /// Runs `f` on a reader, in one snapshot.
    fn read<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T, CatalogError> {
        let idle = self.0.readers.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::connect(&self.0.path).map_err(CatalogError::new)?,
        };
        let out = snapshot(&connection, f);
        let mut readers = self.0.readers.lock();
        if connection.is_autocommit() && readers.len() < MAX_READERS {
            readers.push(connection);
        }
        out.map_err(CatalogError::new)
    }
}

/// Runs `f` in a read transaction: all that it reads is of one version.
fn snapshot<T>(connection: &Connection, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    connection.prepare_cached("BEGIN DEFERRED")?.execute([])?;
    let out = f(connection);
    // Nothing was written; a rollback ends it whatever happened in between.
    let ended = connection.prepare_cached("ROLLBACK")?.execute([]);
    let out = out?;
    ended?;
    Ok(out)
}

impl fmt::Debug for SqliteCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteCatalog({})", self.0.path.display())
    }
}

impl Catalog for SqliteCatalog {
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        self.read(|connection| {
            Ok(Versioned {
                value: rows::find(connection, key)?,
                as_of: rows::version(connection)?,
            })
        })
    }

    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        let changes = self.0.feed.lock().changes(since, max);
        changes.map(Some).map_err(CatalogError::new)
    }
}

//! [`SqliteCatalog`]: the list of all tenants, in one file that several processes share.

mod columns;
mod events;
mod feed;
mod journal;
mod lease;
mod maintenance;
mod names;
mod open;
mod rows;
mod runs;
mod scan;
mod schemas;
mod storage;
mod transaction;
mod undo;
mod warm_pool;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, Result};
use tenancy_core::{
    Catalog, CatalogError, Changes, Tenant, TenantId, TenantKey, TenantStatus, Version, Versioned,
};

use crate::catalog::rows::snapshot;
use crate::disk::locks::RootLock;
use crate::disk::root::Root;
use crate::disk::steps::Steps;
use crate::error::StorageError;

pub use events::{AuditEvent, BrokenChain};
pub use lease::RunLease;
pub(crate) use warm_pool::WarmDatabase;

/// The catalog of a storage root, in the file `catalog.db`. A
/// [`SqliteStorage`](crate::SqliteStorage) opens it. Several processes may have the file open, and
/// several threads may share one value of this type. Cloning is cheap.
///
/// ```
/// use tenancy_core::{Actor, Catalog, CatalogWriter, NewTenant, TenantKey};
/// use tenancy_sqlite::SqliteStorage;
///
/// let root = tempfile::tempdir()?;
/// let catalog = SqliteStorage::create(root.path())?.catalog().clone();
/// let acme = catalog.insert(NewTenant::new("acme".parse()?), &Actor::new("docs"))?;
/// let found = catalog.lookup(TenantKey::Label("acme"))?;
/// assert_eq!(found.value, Some(acme));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqliteCatalog(Arc<Inner>);

struct Inner {
    root: Root,
    steps: Steps,
    path: PathBuf,
    /// The only writing connection of the process, as SQLite allows one writer for each file.
    writer: Mutex<Connection>,
    /// The idle reading connections, at most [`MAX_READERS`].
    readers: Mutex<Vec<Connection>>,
    feed: Mutex<feed::Feed>,
}

/// The most reading connections that stay open. A ninth thread closes its connection after its
/// read.
const MAX_READERS: usize = 8;

impl SqliteCatalog {
    /// Opens the catalog of a storage root, and creates it if the root is new. Refuses a lost
    /// catalog. Upgrades the catalog of an older version of this library; that version refuses it
    /// afterwards.
    pub(crate) fn open(root: &Root, lock: &RootLock, steps: &Steps) -> Result<Self, StorageError> {
        Self::connect(root, open::Lost::Refuse, lock, steps)
    }

    /// Opens the catalog of a storage root to fill it, and creates it if it is missing.
    pub(crate) fn open_or_make(root: &Root, lock: &RootLock) -> Result<Self, StorageError> {
        Self::connect(root, open::Lost::Fill, lock, &Steps::default())
    }

    /// Refuses a directory without a marker, unless its catalog has rows.
    /// Returns the id of the root, if its catalog has recorded one.
    pub(crate) fn refuse_unmarked(root: &Path) -> Result<Option<Box<str>>, StorageError> {
        open::refuse_unmarked(root)
    }

    /// Returns the id of the root that the catalog below `root` has recorded, if any.
    pub(crate) fn recorded(root: &Path) -> Result<Option<Box<str>>, StorageError> {
        open::recorded(root)
    }

    /// Returns whether the catalog of this root has an older format.
    pub(crate) fn is_outdated(root: &Root) -> Result<bool, StorageError> {
        open::is_outdated(&root.catalog())
    }

    fn connect(
        root: &Root,
        lost: open::Lost,
        lock: &RootLock,
        steps: &Steps,
    ) -> Result<Self, StorageError> {
        let path = root.catalog();
        let writer = open::open(root, &path, lost, lock)?;
        let feed = feed::Feed::new(open::connect(&path)?);
        Ok(Self(Arc::new(Inner {
            root: root.clone(),
            steps: steps.clone(),
            path,
            writer: Mutex::new(writer),
            readers: Mutex::default(),
            feed: Mutex::new(feed),
        })))
    }

    /// Returns the path of the catalog's file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Returns at most `max` tenants of one status whose ids are greater than `after`, in the order
    /// of their ids. Every status except `active` has an index, so that a call for one of the
    /// others does not read all rows.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    pub fn page_of_status(
        &self,
        status: TenantStatus,
        after: Option<&TenantId>,
        max: usize,
    ) -> Result<Vec<Tenant>, CatalogError> {
        self.read(|connection| rows::page_of_status(connection, status, after, max))
    }

    /// Returns the tenant with this id.
    pub(crate) fn by_id(&self, id: &TenantId) -> Result<Option<Tenant>, CatalogError> {
        self.read(|connection| rows::by_id(connection, id))
    }

    /// Returns the catalog's version, which is that of the last write.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    pub fn version(&self) -> Result<Version, CatalogError> {
        self.read(rows::version)
    }

    /// Runs `f` on an idle reader or a new one, in one read transaction.
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

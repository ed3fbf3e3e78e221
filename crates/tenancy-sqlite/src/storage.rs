//! [`SqliteStorage`]: one storage root, its driver, its catalog and its fleet.

mod builder;

use std::fmt;
use std::path::Path;

use crate::catalog::SqliteCatalog;
use crate::driver::SqliteDriver;
use crate::error::StorageError;
use crate::fleet::SqliteFleet;

pub use builder::SqliteStorageBuilder;

/// One storage root: the driver of its tenants' files, and the catalog that lists the tenants. Both
/// come from this one value, so that the driver of one root is never combined with the catalog of
/// another. Cloning is cheap.
///
/// ```
/// use tenancy_sqlite::{Migration, Migrations, SqliteStorage, StorageError};
///
/// let dir = tempfile::tempdir()?;
/// let root = dir.path().join("data");
/// // A mistyped path, or a volume that is not mounted, is not taken for a new root.
/// assert!(matches!(SqliteStorage::open(&root), Err(StorageError::NoRoot { .. })));
/// drop(SqliteStorage::create(&root)?);
///
/// let notes = Migration::new("notes", "CREATE TABLE notes (text TEXT) STRICT");
/// let storage = SqliteStorage::builder(&root).migrations(Migrations::new([notes])?).open()?;
/// assert_eq!(storage.driver().migrations().newest(), 1);
/// assert!(storage.catalog().ids(None, 10)?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqliteStorage {
    driver: SqliteDriver,
    catalog: SqliteCatalog,
    warm_pool: Option<usize>,
}

impl SqliteStorage {
    /// Returns a builder that sets the options of a storage root, and then
    /// [creates](SqliteStorageBuilder::create) or [opens](SqliteStorageBuilder::open) it.
    pub fn builder(root: impl AsRef<Path>) -> SqliteStorageBuilder {
        SqliteStorageBuilder::new(root.as_ref())
    }

    /// Creates a storage root and opens it, with the default of every option.
    ///
    /// # Errors
    /// Returns an error if [`SqliteStorageBuilder::create`] does.
    pub fn create(root: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::builder(root).create()
    }

    /// Opens a storage root with the default of every option.
    ///
    /// # Errors
    /// Returns an error if [`SqliteStorageBuilder::open`] does.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::builder(root).open()
    }

    /// Returns the driver of the tenants' files.
    pub fn driver(&self) -> &SqliteDriver {
        &self.driver
    }

    /// Returns the catalog that lists the tenants.
    pub fn catalog(&self) -> &SqliteCatalog {
        &self.catalog
    }

    /// Returns the fleet: the operations on all tenants at once, for operators.
    pub fn fleet(&self) -> SqliteFleet {
        SqliteFleet::new(self.driver.clone(), self.catalog.clone())
    }

    /// Returns the configured size of the warm pool; `None` if
    /// [`SqliteStorageBuilder::warm_pool`] did not set it.
    pub fn warm_pool(&self) -> Option<usize> {
        self.warm_pool
    }
}

impl fmt::Debug for SqliteStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteStorage({})", self.driver.root().display())
    }
}

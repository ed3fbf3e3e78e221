//! [`SqliteFleet`]: the operations on all tenants of a storage root, for operators.
//!
//! Decisions and their reasons: `docs/design/file-life.md`.

mod deep;
mod depth;
mod driver;
mod findings;
mod fix;
mod owners;
mod rebuild;
mod recover;
mod survey;
mod trash;
mod validate;
mod warm_pool;

use std::fmt;
use std::ops::Deref;

use tenancy_fleet::Fleet;

use crate::{SqliteCatalog, SqliteDriver};

pub use depth::{Depth, ValidateOptions};
pub use findings::{Finding, Problem, Validation};
pub use fix::{Fixed, Repair};
pub use rebuild::Rebuilt;
pub use recover::Recovered;
pub use trash::{SnapshotFile, TrashedFile};
pub use warm_pool::WarmPool;

/// The operations on all tenants of a storage root, for operators. It dereferences to a [`Fleet`]
/// of SQLite files, and adds the operations that exist only for files beside a catalog: validation,
/// repair, the trash, snapshots and the warm pool. Cloning is cheap.
///
/// ```
/// use tenancy_core::{Actor, CatalogWriter, NewTenant, Provisioner};
/// use tenancy_fleet::{FleetOptions, RollbackTo};
/// use tenancy_sqlite::{Migration, Migrations, SqliteStorage};
///
/// # let dir = tempfile::tempdir()?;
/// # let root = dir.path();
/// # let storage = SqliteStorage::create(root)?;
/// # let mut acme = NewTenant::new("acme".parse()?);
/// # acme.placement = storage.driver().place(&acme.id)?;
/// # storage.driver().provision(&storage.catalog().insert(acme, &Actor::new("docs"))?)?;
/// let notes = Migration::new("notes", "CREATE TABLE notes (text TEXT NOT NULL) STRICT")
///     .down("DROP TABLE notes");
/// let storage = SqliteStorage::builder(root).migrations(Migrations::new([notes])?).open()?;
/// let fleet = storage.fleet();
/// let report = fleet.migrate(&FleetOptions::new().canary(1), |at| {
///     eprintln!("{} of {}, {} failed", at.done, at.total, at.failed);
/// })?;
/// assert_eq!((report.done.len(), report.is_complete()), (1, true));
///
/// let report = fleet.rollback(RollbackTo::LastRun, &FleetOptions::new(), |_| {})?;
/// assert_eq!((report.done[0].from, report.done[0].to), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqliteFleet(Fleet<SqliteDriver, SqliteCatalog>);

impl SqliteFleet {
    /// Creates the fleet of one root.
    pub(crate) fn new(driver: SqliteDriver, catalog: SqliteCatalog) -> Self {
        Self(Fleet::new(driver, catalog))
    }
}

impl Deref for SqliteFleet {
    type Target = Fleet<SqliteDriver, SqliteCatalog>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for SqliteFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqliteFleet").field(self.driver()).finish()
    }
}

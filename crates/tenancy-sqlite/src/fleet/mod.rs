//! [`Fleet`]: all tenants of a storage root at once, for operators.

mod deep;
mod depth;
mod drift;
mod findings;
mod fix;
mod lease;
mod migrate;
mod options;
mod owners;
mod rebuild;
mod recover;
mod report;
mod restore;
mod rollback;
mod run;
mod seed;
mod status;
mod stock;
mod survey;
mod trash;
mod undo;
mod validate;

use std::fmt;

use crate::{SqliteCatalog, SqliteDriver};

pub use depth::{Depth, ValidateOptions, Validated};
pub use findings::{Finding, Problem, Validation};
pub use fix::{Fixed, Repair};
pub use lease::RunHolder;
pub use migrate::{Plan, Planned};
pub use options::{FleetOptions, Stop};
pub use rebuild::Rebuilt;
pub use recover::Recovered;
pub use report::{FleetReport, LeftOut, Progress, RunEnd, TenantDone, TenantFailed, TenantLeftOut};
pub use restore::KeptCopy;
pub use rollback::{Back, PlannedBack, RollbackPlan};
pub use status::SchemaCounts;
pub use stock::Stock;
pub use trash::{Snapshot, TrashedFile};

/// All tenants of a storage root: the driver of their files with the catalog that
/// lists them. What an operator does to many tenants, or to files and rows together,
/// is here; one tenant's life is the facade's affair. Cloning is cheap.
///
/// ```
/// use tenancy_sqlite::SqliteStorage;
///
/// let root = tempfile::tempdir()?;
/// let fleet = SqliteStorage::create(root.path())?.fleet();
/// # let _ = fleet;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Fleet {
    driver: SqliteDriver,
    catalog: SqliteCatalog,
}

impl Fleet {
    /// The driver and the catalog of one root.
    pub(crate) fn new(driver: SqliteDriver, catalog: SqliteCatalog) -> Self {
        Self { driver, catalog }
    }

    /// The driver of its files.
    pub fn driver(&self) -> &SqliteDriver {
        &self.driver
    }

    /// The catalog that lists its tenants.
    pub fn catalog(&self) -> &SqliteCatalog {
        &self.catalog
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fleet").field(&self.driver).finish()
    }
}

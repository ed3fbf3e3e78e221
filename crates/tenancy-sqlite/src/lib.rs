//! A driver that keeps each tenant in its own SQLite database file.
//!
//! A new file is a copy of a migrated template, stamped with its tenant's id. Its connections are
//! hardened against hostile SQL. The catalog that lists the tenants is a SQLite database, too.
//!
//! Decisions and their reasons: `docs/design/sqlite.md` in the repository; files and tables:
//! `docs/storage-format.md`.
//!
//! ```
//! use tenancy_core::{Actor, CatalogWriter, NewTenant, Provisioner, TenantChange, TenantStatus};
//! use tenancy_pool::TenantPools;
//! use tenancy_sqlite::{Migration, Migrations, SqliteDriver, SqliteStorage};
//!
//! # let dir = tempfile::tempdir()?;
//! # let root = dir.path();
//! let storage = SqliteStorage::builder(root)
//!     .migrations(Migrations::new([
//!         Migration::new("notes", "CREATE TABLE notes (text TEXT NOT NULL) STRICT"),
//!     ])?)
//!     .create()?;
//! let (driver, catalog) = (storage.driver().clone(), storage.catalog());
//! let by = Actor::new("docs");
//!
//! // The catalog knows the place before the file exists, so that after a crash at any point the
//! // remaining steps can be repeated.
//! let mut new = NewTenant::new("acme".parse()?);
//! new.status = TenantStatus::Provisioning;
//! new.placement = driver.place(&new.id)?; // 128 random bits, never the tenant's name
//! let acme = catalog.insert(new, &by)?;
//! driver.provision(&acme)?;
//! let active = TenantChange::status(TenantStatus::Active);
//! let acme = catalog.update(acme.id(), acme.version(), active, &by)?;
//!
//! let pools = TenantPools::<SqliteDriver>::builder().build(driver)?;
//! let connection = pools.checkout(&acme)?;
//! connection.execute("INSERT INTO notes VALUES ('hello')", [])?;
//!
//! // SQL cannot reach another tenant's file.
//! assert!(connection.execute("ATTACH 'other.db' AS other", []).is_err());
//! println!("{}", connection.refusal().expect("it was refused"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layout of a storage root
//! | path below the root | purpose |
//! |---|---|
//! | `tenancy.root` | the marker that distinguishes a root from any other directory |
//! | `catalog.db` | the catalog |
//! | `tenants/<2 hex>/<32 hex>.<epoch>.db` | the tenants' databases |
//! | `staging/` | new files, until they are complete |
//! | `trash/` | files of retired tenants, and files that a rollback replaced |
//! | `snapshots/` | snapshots of tenants' files, taken before migrations and rollbacks |
//! | `quarantine/` | files of no tenant, and damaged files, which a repair moved there |
//! | `tenancy.lock` | locked by every process that uses the root |
//! | `runs.lock` | locked by a process during a run over many tenants |
//!
//! Directories have mode 0700, and files have mode 0600. The path of a tenant's database never gets
//! other data: an operation that replaces a tenant's data gives the tenant another file.
//!
//! # Rules for callers
//! Access a live database only through SQLite. A process that opens and closes the file with
//! `std::fs`, even to copy or hash it, drops the locks that its SQLite connections hold on the
//! file. Commits of other connections are then lost without an error.
//!
//! Keep the storage root on a file system with a journal. On ext4 without a journal, a power cut
//! may damage files that were not being written, and may put rows of one tenant into the file of
//! another. Opening such a root emits the warning `tenancy_core::Event::NoJournal`.

#![deny(missing_docs)]

mod catalog;
mod disk;
mod driver;
mod error;
mod fleet;
mod guard;
#[cfg(test)]
mod hazards;
mod ops;
mod raw;
mod refusal;
mod schema;
mod storage;
mod store;

pub use crate::disk::network::FileSystems;
pub use crate::driver::connection::SqliteConnection;
pub use crate::driver::manager::SqliteManager;
pub use crate::guard::Hardening;
pub use crate::guard::deadline::Deadline;
pub use crate::ops::checkpoint::Checkpointed;
pub use crate::ops::maintenance::{Check, Vacuumed};
pub use crate::refusal::{DenyRule, Refusal};
pub use crate::schema::migrate::{Migration, Migrations};
pub use crate::schema::seeds::Seeds;
pub use crate::store::{Behind, Durability};
pub use catalog::{AuditEvent, BrokenChain, RunLease, SqliteCatalog};
pub use driver::SqliteDriver;
pub use error::{
    FileError, InvalidWarmPool, IoError, MigrateError, MigrationsError, OpenError, RebuildError,
    RepairError, SeedError, SeedsError, StorageError,
};
pub use fleet::{
    Depth, Finding, Fixed, Problem, Rebuilt, Recovered, Repair, SnapshotFile, SqliteFleet,
    TrashedFile, ValidateOptions, Validation, WarmPool,
};
pub use storage::{SqliteStorage, SqliteStorageBuilder};

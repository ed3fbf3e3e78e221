//! One SQLite database file per tenant: made from a migrated template, stamped with
//! whose it is, opened hardened, and listed in a catalog that is SQLite, too.
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
//! // The catalog knows the place before any file is there; a crash at any point is
//! // taken up by doing the rest again.
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
//! // Another tenant's file is out of reach for SQL, whoever wrote it.
//! assert!(connection.execute("ATTACH 'other.db' AS other", []).is_err());
//! println!("{}", connection.refusal().expect("it was refused"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is where
//! `<root>/tenancy.root`, the marker that tells a root from any other directory,
//! `<root>/catalog.db`, `<root>/tenants/<2 hex>/<32 hex>.<epoch>.db`, `<root>/staging/`
//! for files that are being made, `<root>/trash/` for those of retired tenants, `<root>/tenancy.lock`, which every process that
//! uses the root holds, and `<root>/runs.lock`, which a run over many tenants holds. Directories are 0700 and files 0600. No path is ever used
//! again: whatever gives a tenant other data gives it another file.
//!
//! # What a caller keeps to
//! A live database is touched through SQLite alone. Opening and closing one with
//! `std::fs`, if only to copy or hash it, drops the locks that SQLite has on it in
//! this process, and commits of others are lost without an error.
//!
//! The storage root is on a file system with a journal. On ext4 without one a power cut may damage
//! files that were not written to, and put rows of one tenant into the file of another. Such a root
//! is opened, with a warning: `tenancy_core::Event::NoJournal`.

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

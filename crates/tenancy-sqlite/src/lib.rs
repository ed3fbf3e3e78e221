//! One SQLite database file per tenant: made from a migrated template, stamped with
//! whose it is, opened hardened, and listed in a catalog that is SQLite, too.

mod catalog;
mod deadline;
mod driver;
mod error;
mod harden;
mod manager;
mod migrate;
mod provision;
mod root;
mod stamp;
mod template;

pub use catalog::{AuditEvent, BrokenChain, SqliteCatalog};
pub use deadline::Deadline;
pub use driver::{Behind, Durability, SqliteDriver, SqliteDriverBuilder};
pub use error::{FileError, IoError, MigrateError, MigrationsError, OpenError, StorageError};
pub use harden::{Hardening, Refusal, Rule};
pub use manager::{SqliteConnection, SqliteManager};
pub use migrate::{Migration, Migrations};

//! What can go wrong, one type for each operation.

mod file;
mod io_error;
mod migrate;
mod seed;

use std::path::PathBuf;
use std::time::Duration;

use tenancy_core::{CatalogError, WriteError};
use tenancy_fleet::{InvalidJobs, RunHolder};

pub(crate) use file::sqlite;
pub use file::{FileError, MigrateError, OpenError, SeedError};
pub use io_error::IoError;
pub use migrate::MigrationsError;
pub use seed::{InvalidWarmPool, SeedsError};

/// The storage root or its catalog cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// There is no storage root, perhaps because its volume is not mounted.
    #[error(
        "the storage root {} does not exist; mount it, or make it with `SqliteStorage::create` (`tenancy init`)",
        path.display()
    )]
    NoRoot {
        /// Where it should be.
        path: PathBuf,
    },
    /// The directory has no marker, so it is no storage root.
    #[error(
        "{} is no storage root, as it has no tenancy.root; mount the root there, or make it with `SqliteStorage::create` (`tenancy init`)",
        path.display()
    )]
    NotARoot {
        /// The directory.
        path: PathBuf,
    },
    /// A storage root is there, so none is made.
    #[error("{} is a storage root already; open it with `SqliteStorage::open`", path.display())]
    RootExists {
        /// The root.
        path: PathBuf,
    },
    /// The marker of the root cannot be read.
    #[error("{} is {found}; restore it from a backup of the root", path.display())]
    DamagedMarker {
        /// The marker.
        path: PathBuf,
        /// What is wrong with it.
        found: &'static str,
    },
    /// The storage root was made by a newer version of this library.
    #[error("{} has root format {found}, this program knows {known}; use a newer program", path.display())]
    NewerRoot {
        /// The root.
        path: PathBuf,
        /// The format of the root.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// The warm pool is out of bounds.
    #[error(transparent)]
    WarmPool(#[from] InvalidWarmPool),
    /// Something else stands where a directory of ours belongs.
    #[error("{} is {found}; a plain directory is needed there", path.display())]
    NotADirectory {
        /// Where.
        path: PathBuf,
        /// What stands there.
        found: &'static str,
    },
    /// The root is on a network, where SQLite loses commits.
    #[error(
        "{} is on {found}, where locks and store memory do not hold; use a local disk, or allow it by `FileSystems::Any`",
        path.display()
    )]
    NetworkFileSystem {
        /// The root.
        path: PathBuf,
        /// What it is on.
        found: &'static str,
    },
    /// The catalog is missing or has no rows where tenants are. A new, empty one would give their ids
    /// away a second time, and take every file for nobody's.
    #[error(
        "{} is missing or empty, but there are tenants' files in {}; restore it, or make a new one from them with `SqliteFleet::rebuild_catalog` (`tenancy validate --rebuild`)",
        catalog.display(),
        tenants.display()
    )]
    LostCatalog {
        /// Where it was.
        catalog: PathBuf,
        /// Where there are files.
        tenants: PathBuf,
    },
    /// A directory of the root is on another file system than the root, so that no file can be
    /// renamed into it.
    #[error("{} is on another file system than its storage root; mount the whole root instead", path.display())]
    OtherMount {
        /// The directory.
        path: PathBuf,
    },
    /// SQLite takes paths as text.
    #[error("{} is no UTF-8; choose a storage root with a plain name", path.display())]
    NotUtf8 {
        /// The root.
        path: PathBuf,
    },
    /// This SQLite corrupts files under many connections.
    #[error("SQLite {found} has the WAL-reset bug; link 3.51.3 or newer")]
    OldSqlite {
        /// The version that is linked.
        found: &'static str,
    },
    /// A bound on statements or memory that is none.
    #[error("{option} {found} is out of bounds; use {least} to {most}")]
    Limit {
        /// The option of the driver.
        option: &'static str,
        /// What was asked for.
        found: u64,
        /// The least that is taken.
        least: u64,
        /// The most that is taken.
        most: u64,
    },
    /// SQLite did not take the bound on its memory.
    #[error("max_memory could not be set; see the cause")]
    MaxMemory {
        /// Why.
        source: rusqlite::Error,
    },
    /// A page size that SQLite does not have.
    #[error("page size {found} is none; use a power of two from 512 to 65536")]
    PageSize {
        /// What was asked for.
        found: u32,
    },
    /// A busy timeout that SQLite cannot count.
    #[error("a busy timeout of {found:?} is too long; use at most 24 days")]
    BusyTimeout {
        /// What was asked for.
        found: Duration,
    },
    /// A bound on databases that no database can keep.
    #[error(
        "max_bytes {found} is less than one page of {page_size} bytes; say how many bytes a tenant may have"
    )]
    MaxBytes {
        /// What was asked for.
        found: u64,
        /// The page size of new files.
        page_size: u32,
    },
    /// A bound on logs that every busy tenant would reach.
    #[error(
        "max_wal_bytes {found} is less than 2,000 pages, {least} bytes; a log has half of that between two checkpoints"
    )]
    MaxWalBytes {
        /// What was asked for.
        found: u64,
        /// The least that is taken.
        least: u64,
    },
    /// The file is no catalog.
    #[error("{} is {found}, not a catalog; move it away or choose another root", path.display())]
    NotACatalog {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: Box<str>,
    },
    /// The catalog was written by a newer version of this library.
    #[error(
        "{} has catalog format {found}, this program knows {known}; use a newer program",
        path.display()
    )]
    NewerCatalog {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// The catalog was put here from another storage root.
    #[error("{} is the catalog of another storage root; put this root's own one back", path.display())]
    OtherCatalog {
        /// The file.
        path: PathBuf,
        /// Which two do not belong together.
        source: Box<WriteError>,
    },
    /// SQLite failed on the catalog.
    #[error("the catalog {} cannot be opened; see the cause", path.display())]
    Catalog {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

/// What an operator does to files and rows together, and what stopped it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// A run over many tenants is going on; nothing was begun.
    #[error("conflict: {0} is going on; wait for its end, or end that process, and run it again")]
    RunGoesOn(RunHolder),
    /// An option is out of bounds; nothing was begun.
    #[error(transparent)]
    Jobs(#[from] InvalidJobs),
    /// More databases are to be kept ready than there may be; nothing was begun.
    #[error(transparent)]
    WarmPool(#[from] InvalidWarmPool),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A tenant's file refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The catalog cannot be asked.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The catalog refused a write.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A catalog that was not rebuilt; nothing was changed but that a damaged one may be
/// in quarantine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// Somebody uses the root.
    #[error("{} is in use; stop every process that has it open, and drop its drivers in this one", root.display())]
    InUse {
        /// The storage root.
        root: PathBuf,
    },
    /// There is a catalog already.
    #[error("{} is a sound catalog of {tenants} tenants; move it away to make a new one", path.display())]
    CatalogIsSound {
        /// The file.
        path: PathBuf,
        /// How many tenants it has.
        tenants: u64,
    },
    /// The storage root cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The files or the new catalog refused.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// The new catalog refused the rows.
    #[error(transparent)]
    Write(#[from] WriteError),
}

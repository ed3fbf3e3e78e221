//! The errors of a storage root and of its fleet, one type for each operation.

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

/// A failure to create or open a storage root, or to use its catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A call to the operating system failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The path does not exist, perhaps because its volume is not mounted.
    #[error(
        "the storage root {} does not exist; mount it, or make it with `SqliteStorage::create` (`tenancy init`)",
        path.display()
    )]
    NoRoot {
        /// The path that does not exist.
        path: PathBuf,
    },
    /// The directory has no marker, so it is not a storage root.
    #[error(
        "{} is not a storage root, as it has no tenancy.root; mount the root there, or make it with `SqliteStorage::create` (`tenancy init`)",
        path.display()
    )]
    NotARoot {
        /// The path of the directory.
        path: PathBuf,
    },
    /// The directory is already a storage root, so none is created there.
    #[error("{} is a storage root already; open it with `SqliteStorage::open`", path.display())]
    RootExists {
        /// The path of the root.
        path: PathBuf,
    },
    /// The marker of the root cannot be read.
    #[error("{} is {found}; restore it from a backup of the root", path.display())]
    DamagedMarker {
        /// The path of the marker.
        path: PathBuf,
        /// A description of the damage.
        found: &'static str,
    },
    /// A newer version of this library created the storage root.
    #[error("{} has root format {found}, this program knows {known}; use a newer program", path.display())]
    NewerRoot {
        /// The path of the root.
        path: PathBuf,
        /// The format of the root.
        found: u32,
        /// The newest format that this version knows.
        known: u32,
    },
    /// The size of the warm pool is out of bounds.
    #[error(transparent)]
    WarmPool(#[from] InvalidWarmPool),
    /// A file or a link is in the place of a directory of the root.
    #[error("{} is {found}; a plain directory is needed there", path.display())]
    NotADirectory {
        /// The path of the directory.
        path: PathBuf,
        /// The kind of entry that is there.
        found: &'static str,
    },
    /// The root is on a network file system, where SQLite loses commits.
    #[error(
        "{} is on {found}, where locks and shared memory do not hold; use a local disk, or allow it by `FileSystems::Any`",
        path.display()
    )]
    NetworkFileSystem {
        /// The path of the root.
        path: PathBuf,
        /// The name of the file system.
        found: &'static str,
    },
    /// The catalog is missing or has no rows, though there are tenants' files. With a new, empty
    /// catalog other tenants could get the same ids, and every file would count as an orphan.
    #[error(
        "{} is missing or empty, but there are tenants' files in {}; restore it, or rebuild it from them with `SqliteFleet::rebuild_catalog` (`tenancy validate --rebuild`)",
        catalog.display(),
        tenants.display()
    )]
    LostCatalog {
        /// The path of the missing or empty catalog.
        catalog: PathBuf,
        /// The directory that has tenants' files.
        tenants: PathBuf,
    },
    /// A directory of the root is on another file system than the root, so that no file can be
    /// renamed into it.
    #[error("{} is on another file system than its storage root; mount the whole root instead", path.display())]
    OtherMount {
        /// The path of the directory.
        path: PathBuf,
    },
    /// The path is not UTF-8, and SQLite takes paths as text.
    #[error("{} is not UTF-8; choose a storage root with a plain name", path.display())]
    NotUtf8 {
        /// The path of the root.
        path: PathBuf,
    },
    /// The linked SQLite has a bug by which several connections to one file can corrupt it.
    #[error("SQLite {found} has the WAL-reset bug; link 3.51.3 or newer")]
    OldSqlite {
        /// The version that is linked.
        found: &'static str,
    },
    /// The value of an option that limits statements or memory is out of bounds.
    #[error("{option} {found} is out of bounds; use {least} to {most}")]
    Limit {
        /// The name of the option.
        option: &'static str,
        /// The value that was set.
        found: u64,
        /// The least valid value.
        least: u64,
        /// The greatest valid value.
        most: u64,
    },
    /// SQLite did not accept the bound on its memory.
    #[error("max_memory could not be set; see the cause")]
    MaxMemory {
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The page size is not one that SQLite supports.
    #[error("page size {found} is invalid; use a power of two from 512 to 65536")]
    PageSize {
        /// The page size that was set, in bytes.
        found: u32,
    },
    /// The busy timeout is longer than SQLite supports.
    #[error("a busy timeout of {found:?} is too long; use at most 24 days")]
    BusyTimeout {
        /// The busy timeout that was set.
        found: Duration,
    },
    /// The bound on a tenant's database is less than one page.
    #[error(
        "max_bytes {found} is less than one page of {page_size} bytes; give the bytes that a tenant may have"
    )]
    MaxBytes {
        /// The bound that was set, in bytes.
        found: u64,
        /// The page size of new files, in bytes.
        page_size: u32,
    },
    /// The bound on a WAL is so small that every busy tenant would reach it.
    #[error(
        "max_wal_bytes {found} is less than 2,000 pages, {least} bytes; a WAL has half of that between two checkpoints"
    )]
    MaxWalBytes {
        /// The bound that was set, in bytes.
        found: u64,
        /// The least valid bound, in bytes.
        least: u64,
    },
    /// The file at the catalog's path is not a catalog.
    #[error("{} is {found}, not a catalog; move it away or choose another root", path.display())]
    NotACatalog {
        /// The path of the file.
        path: PathBuf,
        /// A description of the file.
        found: Box<str>,
    },
    /// A newer version of this library wrote the catalog.
    #[error(
        "{} has catalog format {found}, this program knows {known}; use a newer program",
        path.display()
    )]
    NewerCatalog {
        /// The path of the file.
        path: PathBuf,
        /// The format of the file.
        found: u32,
        /// The newest format that this version knows.
        known: u32,
    },
    /// The catalog belongs to another storage root.
    #[error("{} is the catalog of another storage root; put this root's own one back", path.display())]
    OtherCatalog {
        /// The path of the file.
        path: PathBuf,
        /// The two roots that differ.
        source: Box<WriteError>,
    },
    /// SQLite failed on the catalog.
    #[error("the catalog {} cannot be opened; see the cause", path.display())]
    Catalog {
        /// The path of the file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
}

/// A failure of an operation on the tenants' files and the catalog together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// A run over many tenants is in progress, so the operation was not begun.
    #[error(
        "conflict: {0} is in progress; wait for its end, or end its process, then run the command again"
    )]
    RunGoesOn(RunHolder),
    /// The number of jobs is out of bounds, so the operation was not begun.
    #[error(transparent)]
    Jobs(#[from] InvalidJobs),
    /// The size of the warm pool is out of bounds, so the operation was not begun.
    #[error(transparent)]
    WarmPool(#[from] InvalidWarmPool),
    /// A call to the operating system failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// An operation on a tenant's file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The catalog refused a write.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A failure to rebuild a catalog. No tenant's data is lost. A damaged catalog may be in quarantine
/// already, and so may files of tenants that have a better file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// Another process, or a driver in this process, has the root open.
    #[error("{} is in use; stop every process that has it open, and drop its drivers in this one", root.display())]
    InUse {
        /// The storage root.
        root: PathBuf,
    },
    /// The root has a sound catalog already.
    #[error("{} is a sound catalog of {tenants} tenants; move it away before you rebuild it", path.display())]
    CatalogIsSound {
        /// The path of the file.
        path: PathBuf,
        /// The number of tenants in it.
        tenants: u64,
    },
    /// The storage root cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A call to the operating system failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// An operation on the files or on the new catalog failed.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// The new catalog refused the rows.
    #[error(transparent)]
    Write(#[from] WriteError),
}

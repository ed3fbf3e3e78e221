//! The errors, one type for each operation.

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

/// An error of opening or creating a storage root and its catalog.
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
        /// The path at which it should be.
        path: PathBuf,
    },
    /// The directory has no marker, so it is no storage root.
    #[error(
        "{} is no storage root, as it has no tenancy.root; mount the root there, or make it with `SqliteStorage::create` (`tenancy init`)",
        path.display()
    )]
    NotARoot {
        /// The path of the directory.
        path: PathBuf,
    },
    /// The directory is a storage root already.
    #[error("{} is a storage root already; open it with `SqliteStorage::open`", path.display())]
    RootExists {
        /// The path of the storage root.
        path: PathBuf,
    },
    /// The marker of the root cannot be read.
    #[error("{} is {found}; restore it from a backup of the root", path.display())]
    DamagedMarker {
        /// The path of the marker.
        path: PathBuf,
        /// The fault of the marker.
        found: &'static str,
    },
    /// The storage root was made by a newer version of this library.
    #[error("{} has root format {found}, this program knows {known}; use a newer program", path.display())]
    NewerRoot {
        /// The path of the storage root.
        path: PathBuf,
        /// The format of the root.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// The warm pool is out of bounds.
    #[error(transparent)]
    WarmPool(#[from] InvalidWarmPool),
    /// Another kind of entry is in the place of a directory of the root.
    #[error("{} is {found}; a plain directory is needed there", path.display())]
    NotADirectory {
        /// The path of the entry.
        path: PathBuf,
        /// The kind of entry that is there.
        found: &'static str,
    },
    /// The root is on a network, where SQLite loses commits.
    #[error(
        "{} is on {found}, where locks and shared memory do not hold; use a local disk, or allow it by `FileSystems::Any`",
        path.display()
    )]
    NetworkFileSystem {
        /// The path of the storage root.
        path: PathBuf,
        /// The file system of the root.
        found: &'static str,
    },
    /// The catalog is missing or has no rows, but there are tenants' files. A new, empty one would
    /// give their ids to other tenants, and treat every file as that of no tenant.
    #[error(
        "{} is missing or empty, but there are tenants' files in {}; restore it, or make a new one from them with `SqliteFleet::rebuild_catalog` (`tenancy validate --rebuild`)",
        catalog.display(),
        tenants.display()
    )]
    LostCatalog {
        /// The path at which it was.
        catalog: PathBuf,
        /// The directory of tenants' files.
        tenants: PathBuf,
    },
    /// A directory of the root is on another file system than the root, so that no file can be
    /// renamed into it.
    #[error("{} is on another file system than its storage root; mount the whole root instead", path.display())]
    OtherMount {
        /// The path of the directory.
        path: PathBuf,
    },
    /// The path is no UTF-8, and SQLite takes paths as text.
    #[error("{} is no UTF-8; choose a storage root with a plain name", path.display())]
    NotUtf8 {
        /// The path of the storage root.
        path: PathBuf,
    },
    /// This SQLite corrupts files under many connections.
    #[error("SQLite {found} has the WAL-reset bug; link 3.51.3 or newer")]
    OldSqlite {
        /// The version that is linked.
        found: &'static str,
    },
    /// A bound on statements or memory is out of range.
    #[error("{option} {found} is out of bounds; use {least} to {most}")]
    Limit {
        /// The name of the option.
        option: &'static str,
        /// The value that was given.
        found: u64,
        /// The least value.
        least: u64,
        /// The greatest value.
        most: u64,
    },
    /// SQLite refused the bound on its memory.
    #[error("max_memory could not be set; see the cause")]
    MaxMemory {
        /// The cause of the failure.
        source: rusqlite::Error,
    },
    /// The page size is none of SQLite's.
    #[error("page size {found} is none; use a power of two from 512 to 65536")]
    PageSize {
        /// The value that was given.
        found: u32,
    },
    /// The busy timeout is longer than SQLite can count.
    #[error("a busy timeout of {found:?} is too long; use at most 24 days")]
    BusyTimeout {
        /// The value that was given.
        found: Duration,
    },
    /// The bound on databases is less than a page.
    #[error(
        "max_bytes {found} is less than one page of {page_size} bytes; say how many bytes a tenant may have"
    )]
    MaxBytes {
        /// The value that was given.
        found: u64,
        /// The page size of new files.
        page_size: u32,
    },
    /// The bound on WALs is so small that every busy tenant would reach it.
    #[error(
        "max_wal_bytes {found} is less than 2,000 pages, {least} bytes; a log has half of that between two checkpoints"
    )]
    MaxWalBytes {
        /// The value that was given.
        found: u64,
        /// The least value.
        least: u64,
    },
    /// The file is no catalog.
    #[error("{} is {found}, not a catalog; move it away or choose another root", path.display())]
    NotACatalog {
        /// The path of the file.
        path: PathBuf,
        /// The kind of file that it is.
        found: Box<str>,
    },
    /// The catalog was written by a newer version of this library.
    #[error(
        "{} has catalog format {found}, this program knows {known}; use a newer program",
        path.display()
    )]
    NewerCatalog {
        /// The path of the file.
        path: PathBuf,
        /// The format of the file.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// The catalog is that of another storage root.
    #[error("{} is the catalog of another storage root; put this root's own one back", path.display())]
    OtherCatalog {
        /// The path of the file.
        path: PathBuf,
        /// The two ids that differ.
        source: Box<WriteError>,
    },
    /// SQLite reported an error of the catalog.
    #[error("the catalog {} cannot be opened; see the cause", path.display())]
    Catalog {
        /// The path of the file.
        path: PathBuf,
        /// The cause of the failure.
        source: rusqlite::Error,
    },
}

/// An error of an operation on files and rows together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// A run over many tenants is going on; nothing was begun.
    #[error("conflict: {0} is going on; wait for its end, or end that process, and run it again")]
    RunGoesOn(RunHolder),
    /// An option is out of bounds; nothing was begun.
    #[error(transparent)]
    Jobs(#[from] InvalidJobs),
    /// The size of the warm pool is out of bounds; nothing was begun.
    #[error(transparent)]
    WarmPool(#[from] InvalidWarmPool),
    /// The operating system refused something.
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

/// An error of rebuilding a catalog; nothing was changed, except that a damaged one may be in
/// quarantine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// A process uses the root.
    #[error("{} is in use; stop every process that has it open, and drop its drivers in this one", root.display())]
    InUse {
        /// The storage root.
        root: PathBuf,
    },
    /// The root has a sound catalog.
    #[error("{} is a sound catalog of {tenants} tenants; move it away to make a new one", path.display())]
    CatalogIsSound {
        /// The path of the file.
        path: PathBuf,
        /// The number of tenants in it.
        tenants: u64,
    },
    /// The storage root cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// An operation on the files or the new catalog failed.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// The new catalog refused the rows.
    #[error(transparent)]
    Write(#[from] WriteError),
}

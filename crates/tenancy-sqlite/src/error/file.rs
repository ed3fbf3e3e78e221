//! The errors of operations on one tenant's file.

use std::fmt;
use std::path::{Path, PathBuf};

use tenancy_core::TenantRef;

use crate::error::IoError;
use crate::refusal::Refusal;

/// A failure to open a tenant's database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The placement is not one that this driver draws.
    #[error(
        "tenant {tenant}: placement {found} is not one of this driver's; draw one with `place`"
    )]
    Placement {
        /// The tenant whose database it is.
        tenant: TenantRef,
        /// The placement, as `kind:shard:locator`.
        found: Box<str>,
    },
    /// The file is missing. An open does not create a new one, as an empty database would then pass
    /// for the tenant's data.
    #[error("tenant {tenant}: {} is missing; provision or restore it", path.display())]
    Missing {
        /// The tenant whose database it is.
        tenant: TenantRef,
        /// The path where the file should be.
        path: PathBuf,
    },
    /// A link, a directory or another entry that is no plain file is in the place of the file.
    #[error("tenant {tenant}: {} is {found}; links are not followed, put the file itself there", path.display())]
    NotAFile {
        /// The tenant whose database it is.
        tenant: TenantRef,
        /// The path of the file.
        path: PathBuf,
        /// The kind of entry that is there.
        found: &'static str,
    },
    /// The file is stamped for another tenant or place, or has no valid stamp.
    #[error("tenant {tenant}: {} is {found}; restore the tenant's own file", path.display())]
    WrongDatabase {
        /// The tenant whose file it should be.
        tenant: TenantRef,
        /// The path of the file.
        path: PathBuf,
        /// A description of the file.
        found: Box<str>,
    },
    /// The file was closed when its tenant was retired.
    #[error("tenant {tenant}: {} was closed when its tenant was retired; revive the tenant", path.display())]
    Retired {
        /// The tenant whose database it is.
        tenant: TenantRef,
        /// The path of the file.
        path: PathBuf,
    },
    /// A rollback restored a snapshot, so the tenant has another file now.
    #[error(
        "tenant {tenant}: {} is no longer its file, as a snapshot was restored; resolve the tenant again",
        path.display()
    )]
    Superseded {
        /// The tenant whose database it is.
        tenant: TenantRef,
        /// The path of the file.
        path: PathBuf,
    },
    /// The schema is older than the newest migration of the program.
    #[error("tenant {tenant}: schema version {found}, the program needs {newest}; migrate it")]
    Behind {
        /// The tenant whose database it is.
        tenant: TenantRef,
        /// The schema version of the file.
        found: u32,
        /// The newest migration.
        newest: u32,
    },
    /// The schema is newer than the newest migration of the program.
    #[error(
        "tenant {tenant}: schema version {found}, the program knows {newest}; use a newer program or roll back"
    )]
    TooNew {
        /// The tenant whose database it is.
        tenant: TenantRef,
        /// The schema version of the file.
        found: u32,
        /// The newest migration.
        newest: u32,
    },
    /// The migration of the database before its use failed.
    #[error("tenant {tenant}: its database could not be migrated before its use; see the cause")]
    Migrate {
        /// The tenant whose database it is.
        tenant: TenantRef,
        /// The error of the migration.
        source: Box<FileError>,
    },
    /// SQLite failed on the file.
    #[error("tenant {tenant}: its database cannot be opened; see the cause")]
    Sqlite {
        /// The tenant whose database it is.
        tenant: TenantRef,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
}

/// A failure of an operation on a tenant's file, such as creating, migrating, retiring or removing
/// it. It is the cause of the [`ProvisionError`](tenancy_core::ProvisionError) of such an
/// operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A call to the operating system failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The file cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A migration of the file failed.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A seed of the file failed.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// A process still has the file open.
    #[error("{} is still in use{}; close its connections first", path.display(), Processes(by))]
    InUse {
        /// The path of the file.
        path: PathBuf,
        /// The ids of the processes that have it open, as far as the system shows them.
        by: Box<[u32]>,
    },
    /// SQLite failed on the file.
    #[error("SQLite failed on {}; see the cause", path.display())]
    Sqlite {
        /// The path of the file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
}

/// A failure to apply migrations. The transaction of the failed migration was rolled back; the
/// migrations before it stay applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database was migrated by scripts that differ from those of the program.
    #[error(
        "migration {version} was applied as {applied:?}, but the program has {known:?}; undo the edit and add a new migration"
    )]
    Diverged {
        /// The number of the migration.
        version: u32,
        /// The name and checksum in the database's history.
        applied: Box<str>,
        /// The name and checksum of the program's migration.
        known: Box<str>,
    },
    /// The database is no longer at the version for which the step was chosen.
    #[error(
        "conflict: its schema was at version {seen} when the step was chosen, and is at {found} now; nothing was changed from there, look at it and run it again"
    )]
    Conflict {
        /// The version for which the step was chosen.
        seen: u32,
        /// The version of the database.
        found: u32,
    },
    /// The schema of the database is newer than the newest migration of the program.
    #[error(
        "schema version {found} is newer than {newest}, the newest migration; use a newer program"
    )]
    TooNew {
        /// The version of the database.
        found: u32,
        /// The newest migration.
        newest: u32,
    },
    /// The wanted version is higher than the newest migration.
    #[error("there is no schema version {wanted}; the newest migration is {newest}")]
    NoSuchVersion {
        /// The version that was wanted.
        wanted: u32,
        /// The newest migration.
        newest: u32,
    },
    /// The migration has no down script.
    #[error("migration {version} {name} has no down script; write {version:04}_{name}.down.sql")]
    Irreversible {
        /// The number of the migration.
        version: u32,
        /// The name of the migration.
        name: Box<str>,
    },
    /// A statement of the script failed.
    #[error("migration {version} {name} failed in statement {statement}; see the cause")]
    Statement {
        /// The number of the migration.
        version: u32,
        /// The name of the migration.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The script has a statement that no migration may run.
    #[error("migration {version} {name}, statement {statement}: {refusal}")]
    Refused {
        /// The number of the migration.
        version: u32,
        /// The name of the migration.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
        /// The refused action and the rule.
        refusal: Refusal,
    },
    /// The script created a table that refers to a table of this library, or has a reserved name.
    #[error(
        "migration {version} {name}: {what}, which belongs to the library; refer to no table but _tenancy_users(id)"
    )]
    Reserved {
        /// The number of the migration.
        version: u32,
        /// The name of the migration.
        name: Box<str>,
        /// A description of the table.
        what: Box<str>,
    },
    /// The script ended the transaction that it runs in.
    #[error(
        "migration {version} {name} left its transaction in statement {statement}; remove transaction control from it"
    )]
    LeftTransaction {
        /// The number of the migration.
        version: u32,
        /// The name of the migration.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
    },
    /// The script left rows that refer to missing rows.
    #[error(
        "migration {version} {name} leaves {rows} rows of {table} without the row they refer to; repair them in the script"
    )]
    ForeignKeys {
        /// The number of the migration.
        version: u32,
        /// The name of the migration.
        name: Box<str>,
        /// The name of a table with such rows.
        table: Box<str>,
        /// The number of such rows in the table.
        rows: i64,
    },
    /// No snapshot could be taken before the first step.
    #[error("no snapshot of it could be taken, so nothing was changed; see the cause")]
    NoSnapshot(#[source] Box<FileError>),
    /// A call to the operating system failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// SQLite failed outside the scripts.
    #[error("the schema version could not be read or written; see the cause")]
    Sqlite(#[from] rusqlite::Error),
}

/// A failure to run a seed. Its transaction was rolled back; the rows of earlier seeds stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// A statement of the script failed.
    #[error("seed {name} failed in statement {statement}; see the cause")]
    Statement {
        /// The name of the seed.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The script has a statement that no seed may run.
    #[error("seed {name}, statement {statement}: {refusal}")]
    Refused {
        /// The name of the seed.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
        /// The refused action and the rule.
        refusal: Refusal,
    },
    /// The script ended the transaction that it runs in.
    #[error(
        "seed {name} left its transaction in statement {statement}; remove transaction control from it"
    )]
    LeftTransaction {
        /// The name of the seed.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
    },
    /// The script created a table that refers to a table of this library, or has a reserved name.
    #[error(
        "seed {name}: {what}, which belongs to the library; refer to no table but _tenancy_users(id)"
    )]
    Reserved {
        /// The name of the seed.
        name: Box<str>,
        /// A description of the table.
        what: Box<str>,
    },
    /// SQL of the tenant renamed another table to `_tenancy_seeds`.
    #[error(
        "seed {name} cannot be recorded, as another table was renamed to _tenancy_seeds; rename it back with a tool of your own, and look for the SQL that did it"
    )]
    NotOurs {
        /// The name of the seed.
        name: Box<str>,
    },
    /// SQLite failed outside the script.
    #[error("seed {name} could not be begun or recorded; see the cause")]
    Sqlite {
        /// The name of the seed.
        name: Box<str>,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
}

/// Returns the error for a failure of SQLite on a file.
pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> FileError {
    FileError::Sqlite {
        path: path.to_owned(),
        source,
    }
}

impl MigrateError {
    /// Returns whether a script caused the error, as opposed to the preparation to run it.
    pub(crate) fn is_from_script(&self) -> bool {
        match self {
            Self::Statement { .. }
            | Self::Refused { .. }
            | Self::LeftTransaction { .. }
            | Self::Reserved { .. }
            | Self::ForeignKeys { .. } => true,
            // A deferred constraint fails at the commit.
            Self::Sqlite(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
            }
            _ => false,
        }
    }
}

/// The processes that hold a file: displays ` by process 7 and 9`, or nothing.
struct Processes<'p>(&'p [u32]);

impl fmt::Display for Processes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, id) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { " by process " } else { " and " })?;
            match *id == std::process::id() {
                true => write!(f, "{id} (this one)")?,
                false => write!(f, "{id}")?,
            }
        }
        Ok(())
    }
}

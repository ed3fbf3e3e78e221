//! The errors of operations on one tenant's file.

use std::fmt;
use std::path::{Path, PathBuf};

use tenancy_core::TenantRef;

use crate::error::IoError;
use crate::refusal::Refusal;

/// A tenant's database that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The placement is of another driver.
    #[error("tenant {tenant}: placement {found} is none of this driver's; draw one with `place`")]
    Placement {
        /// The tenant of the database.
        tenant: TenantRef,
        /// The placement, as `kind:shard:locator`.
        found: Box<str>,
    },
    /// There is no file. An open never makes a new one: that would be an empty database in the place
    /// of the tenant's.
    #[error("tenant {tenant}: {} is missing; provision or restore it", path.display())]
    Missing {
        /// The tenant of the database.
        tenant: TenantRef,
        /// The path at which it should be.
        path: PathBuf,
    },
    /// A link or a directory is in the place of the file.
    #[error("tenant {tenant}: {} is {found}; links are not followed, put the file itself there", path.display())]
    NotAFile {
        /// The tenant of the database.
        tenant: TenantRef,
        /// The path of the entry.
        path: PathBuf,
        /// The kind of entry that is there.
        found: &'static str,
    },
    /// The file has the stamp of another tenant, or none.
    #[error("tenant {tenant}: {} is {found}; restore the tenant's own file", path.display())]
    WrongDatabase {
        /// The tenant that it should belong to.
        tenant: TenantRef,
        /// The path of the file.
        path: PathBuf,
        /// The owner by its stamp.
        found: Box<str>,
    },
    /// The file was closed when its tenant was retired.
    #[error("tenant {tenant}: {} was closed when its tenant was retired; revive the tenant", path.display())]
    Retired {
        /// The tenant of the database.
        tenant: TenantRef,
        /// The path of the file.
        path: PathBuf,
    },
    /// A rollback has replaced the file by a restored snapshot.
    #[error(
        "tenant {tenant}: {} is no longer its file, as a copy was restored; resolve the tenant again",
        path.display()
    )]
    Superseded {
        /// The incarnation that had it.
        tenant: TenantRef,
        /// The path of the file.
        path: PathBuf,
    },
    /// The schema is older than the program.
    #[error("tenant {tenant}: schema version {found}, the program needs {newest}; migrate it")]
    Behind {
        /// The tenant of the database.
        tenant: TenantRef,
        /// The schema version of the file.
        found: u32,
        /// The newest migration.
        newest: u32,
    },
    /// The schema is newer than the program.
    #[error(
        "tenant {tenant}: schema version {found}, the program knows {newest}; use a newer program or roll back"
    )]
    TooNew {
        /// The tenant of the database.
        tenant: TenantRef,
        /// The schema version of the file.
        found: u32,
        /// The newest migration.
        newest: u32,
    },
    /// The migration before the open failed.
    #[error("tenant {tenant}: its database could not be migrated before its use; see the cause")]
    Migrate {
        /// The tenant of the database.
        tenant: TenantRef,
        /// The cause of the failure.
        source: Box<FileError>,
    },
    /// SQLite reported an error.
    #[error("tenant {tenant}: its database cannot be opened; see the cause")]
    Sqlite {
        /// The tenant of the database.
        tenant: TenantRef,
        /// The cause of the failure.
        source: rusqlite::Error,
    },
}

/// An error of making, migrating, retiring or removing a tenant's file; the cause in a
/// [`ProvisionError`](tenancy_core::ProvisionError).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused something.
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
    /// A process still has it open.
    #[error("{} is still in use{}; close its connections first", path.display(), Processes(by))]
    InUse {
        /// The path of the file.
        path: PathBuf,
        /// The processes that have it open, as far as the system tells.
        by: Box<[u32]>,
    },
    /// SQLite reported an error.
    #[error("SQLite failed on {}; see the cause", path.display())]
    Sqlite {
        /// The path of the file.
        path: PathBuf,
        /// The cause of the failure.
        source: rusqlite::Error,
    },
}

/// An error of migrations: the transaction of the one that failed was rolled back, those before it
/// stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database was migrated by other scripts than these.
    #[error(
        "migration {version} was applied as {applied:?}, but {known:?} is at hand; take back the edit and add a new migration"
    )]
    Diverged {
        /// The version that the migration leads to.
        version: u32,
        /// The name and checksum in the history of the database.
        applied: Box<str>,
        /// The name and checksum of the script at hand.
        known: Box<str>,
    },
    /// The database is at another version than the one by which the step was chosen.
    #[error(
        "conflict: its schema was at version {seen} when it was looked at, and is at {found} now; nothing was changed from there, look at it and run it again"
    )]
    Conflict {
        /// The version that it was to be at.
        seen: u32,
        /// The version that it is at.
        found: u32,
    },
    /// The database is newer than the program.
    #[error(
        "schema version {found} is newer than {newest}, the newest migration; use a newer program"
    )]
    TooNew {
        /// The version of the database.
        found: u32,
        /// The newest migration.
        newest: u32,
    },
    /// There is no migration of that number.
    #[error("there is no schema version {wanted}; the newest migration is {newest}")]
    NoSuchVersion {
        /// The version that was requested.
        wanted: u32,
        /// The newest migration.
        newest: u32,
    },
    /// No script undoes the migration.
    #[error("migration {version} {name} has no way back; write {version:04}_{name}.down.sql")]
    Irreversible {
        /// The version that the migration leads to.
        version: u32,
        /// The name of the migration.
        name: Box<str>,
    },
    /// A statement of the script failed.
    #[error("migration {version} {name} failed in statement {statement}; see the cause")]
    Statement {
        /// The version that the migration leads to.
        version: u32,
        /// The name of the migration.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
        /// The cause of the failure.
        source: rusqlite::Error,
    },
    /// A statement is refused in migrations.
    #[error("migration {version} {name}, statement {statement}: {refusal}")]
    Refused {
        /// The version that the migration leads to.
        version: u32,
        /// The name of the migration.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
        /// The statement, and the rule that refuses it.
        refusal: Refusal,
    },
    /// A table that a script made refers to a table of this library, or bears the name of one.
    #[error(
        "migration {version} {name}: {what}, which belongs to the library; refer to no table but _tenancy_users(id)"
    )]
    Reserved {
        /// The version that the migration leads to.
        version: u32,
        /// The name of the migration.
        name: Box<str>,
        /// The table, and its reference or name.
        what: Box<str>,
    },
    /// A script ended the transaction that it runs in.
    #[error(
        "migration {version} {name} left its transaction in statement {statement}; take transaction control out of it"
    )]
    LeftTransaction {
        /// The version that the migration leads to.
        version: u32,
        /// The name of the migration.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
    },
    /// Rows refer to rows that do not exist.
    #[error(
        "migration {version} {name} leaves {rows} rows of {table} without the row they refer to; mend them in the script"
    )]
    ForeignKeys {
        /// The version that the migration leads to.
        version: u32,
        /// The name of the migration.
        name: Box<str>,
        /// The name of a table with such rows.
        table: Box<str>,
        /// The number of such rows.
        rows: i64,
    },
    /// No snapshot could be kept before the first step.
    #[error("no copy of it could be kept, so nothing was changed; see the cause")]
    NoCopyKept(#[source] Box<FileError>),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// SQLite failed outside the scripts.
    #[error("the schema version could not be read or written; see the cause")]
    Sqlite(#[from] rusqlite::Error),
}

/// An error of a seed: its transaction was rolled back, the seeds before it stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// A statement of the script failed.
    #[error("seed {name} failed in statement {statement}; see the cause")]
    Statement {
        /// The name of the script.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
        /// The cause of the failure.
        source: rusqlite::Error,
    },
    /// A statement is refused in seeds.
    #[error("seed {name}, statement {statement}: {refusal}")]
    Refused {
        /// The name of the script.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
        /// The statement, and the rule that refuses it.
        refusal: Refusal,
    },
    /// A script ended the transaction that it runs in.
    #[error(
        "seed {name} left its transaction in statement {statement}; take transaction control out of it"
    )]
    LeftTransaction {
        /// The name of the script.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
    },
    /// A table that a script made refers to a table of this library, or bears the name of one.
    #[error(
        "seed {name}: {what}, which belongs to the library; refer to no table but _tenancy_users(id)"
    )]
    Reserved {
        /// The name of the script.
        name: Box<str>,
        /// The table, and its reference or name.
        what: Box<str>,
    },
    /// SQL of the tenant replaced the table of seeds by another.
    #[error(
        "seed {name} cannot be recorded, as another table was renamed to _tenancy_seeds; rename it back with a tool of your own, and look who did it"
    )]
    NotOurs {
        /// The name of the script.
        name: Box<str>,
    },
    /// SQLite failed outside the script.
    #[error("seed {name} could not be begun or recorded; see the cause")]
    Sqlite {
        /// The name of the script.
        name: Box<str>,
        /// The cause of the failure.
        source: rusqlite::Error,
    },
}

/// Returns the error of SQLite on a file.
pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> FileError {
    FileError::Sqlite {
        path: path.to_owned(),
        source,
    }
}

impl MigrateError {
    /// Returns whether the script itself failed, not the preparation of its run.
    pub(crate) fn is_of_a_step(&self) -> bool {
        match self {
            Self::Statement { .. }
            | Self::Refused { .. }
            | Self::LeftTransaction { .. }
            | Self::Reserved { .. }
            | Self::ForeignKeys { .. } => true,
            // A constraint that was deferred to the commit.
            Self::Sqlite(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
            }
            _ => false,
        }
    }
}

/// The text ` by process 7 and 9`, or nothing.
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

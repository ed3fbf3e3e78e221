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
    /// The placement was not drawn by this driver.
    #[error("tenant {tenant}: placement {found} is none of this driver's; draw one with `place`")]
    Placement {
        /// Whose.
        tenant: TenantRef,
        /// The placement, as `kind:shard:locator`.
        found: Box<str>,
    },
    /// There is no file. It is never made anew on the way: that would hand out
    /// an empty database as if it were the tenant's.
    #[error("tenant {tenant}: {} is missing; provision or restore it", path.display())]
    Missing {
        /// Whose.
        tenant: TenantRef,
        /// Where it should be.
        path: PathBuf,
    },
    /// A link or a directory stands where the file belongs.
    #[error("tenant {tenant}: {} is {found}; links are not followed, put the file itself there", path.display())]
    NotAFile {
        /// Whose.
        tenant: TenantRef,
        /// Where.
        path: PathBuf,
        /// What stands there.
        found: &'static str,
    },
    /// The file says that it is another's, or is none of ours.
    #[error("tenant {tenant}: {} is {found}; restore the tenant's own file", path.display())]
    WrongDatabase {
        /// Whose it should be.
        tenant: TenantRef,
        /// The file.
        path: PathBuf,
        /// What it says it is.
        found: Box<str>,
    },
    /// The file was closed when its tenant was retired.
    #[error("tenant {tenant}: {} was closed when its tenant was retired; revive the tenant", path.display())]
    Retired {
        /// Whose.
        tenant: TenantRef,
        /// The file.
        path: PathBuf,
    },
    /// A rollback has made a copy the tenant's file.
    #[error(
        "tenant {tenant}: {} is no longer its file, as a copy was restored; resolve the tenant again",
        path.display()
    )]
    Superseded {
        /// Who had it.
        tenant: TenantRef,
        /// The file.
        path: PathBuf,
    },
    /// The schema is older than the program.
    #[error("tenant {tenant}: schema version {found}, the program needs {newest}; migrate it")]
    Behind {
        /// Whose.
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
        /// Whose.
        tenant: TenantRef,
        /// The schema version of the file.
        found: u32,
        /// The newest migration.
        newest: u32,
    },
    /// Migrating it on the way failed.
    #[error("tenant {tenant}: its database could not be migrated before its use; see the cause")]
    Migrate {
        /// Whose.
        tenant: TenantRef,
        /// Why.
        source: Box<FileError>,
    },
    /// SQLite failed.
    #[error("tenant {tenant}: its database cannot be opened; see the cause")]
    Sqlite {
        /// Whose.
        tenant: TenantRef,
        /// Why.
        source: rusqlite::Error,
    },
}

/// A tenant's file that could not be made, migrated, retired or removed: the cause in a
/// [`ProvisionError`](tenancy_core::ProvisionError).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// What is there cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A migration failed.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A seed failed.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// Someone still has it open.
    #[error("{} is still in use{}; close its connections first", path.display(), Processes(by))]
    InUse {
        /// The file.
        path: PathBuf,
        /// The processes that have it open, as far as the system tells.
        by: Box<[u32]>,
    },
    /// SQLite failed.
    #[error("SQLite failed on {}; see the cause", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

/// Migrations that could not be applied; the transaction of the one that failed
/// was rolled back, those before it stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database was migrated by other scripts than these.
    #[error(
        "migration {version} was applied as {applied:?}, but {known:?} is at hand; take back the edit and add a new migration"
    )]
    Diverged {
        /// Which.
        version: u32,
        /// What the database's history says: name and checksum.
        applied: Box<str>,
        /// What is known now: name and checksum.
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
    /// The database is ahead of the program.
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
        /// What was asked for.
        wanted: u32,
        /// The newest migration.
        newest: u32,
    },
    /// There is no script for the way back.
    #[error("migration {version} {name} has no way back; write {version:04}_{name}.down.sql")]
    Irreversible {
        /// Which.
        version: u32,
        /// Its name.
        name: Box<str>,
    },
    /// A statement failed.
    #[error("migration {version} {name} failed in statement {statement}; see the cause")]
    Statement {
        /// Which.
        version: u32,
        /// Its name.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
        /// Why.
        source: rusqlite::Error,
    },
    /// A statement that no migration may run.
    #[error("migration {version} {name}, statement {statement}: {refusal}")]
    Refused {
        /// Which.
        version: u32,
        /// Its name.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
        /// What was refused, and why.
        refusal: Refusal,
    },
    /// A table that a script made refers to a table of this library, or bears the name of one.
    #[error(
        "migration {version} {name}: {what}, which belongs to the library; refer to no table but _tenancy_users(id)"
    )]
    Reserved {
        /// Which.
        version: u32,
        /// Its name.
        name: Box<str>,
        /// What it made.
        what: Box<str>,
    },
    /// A script ended the transaction that it runs in.
    #[error(
        "migration {version} {name} left its transaction in statement {statement}; take transaction control out of it"
    )]
    LeftTransaction {
        /// Which.
        version: u32,
        /// Its name.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
    },
    /// Rows point at rows that are not there.
    #[error(
        "migration {version} {name} leaves {rows} rows of {table} without the row they refer to; mend them in the script"
    )]
    ForeignKeys {
        /// Which.
        version: u32,
        /// Its name.
        name: Box<str>,
        /// A table with such rows.
        table: Box<str>,
        /// How many rows in it.
        rows: i64,
    },
    /// No copy could be kept before the first step.
    #[error("no copy of it could be kept, so nothing was changed; see the cause")]
    NoCopyKept(#[source] Box<FileError>),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// SQLite failed outside the scripts.
    #[error("the schema version could not be read or written; see the cause")]
    Sqlite(#[from] rusqlite::Error),
}

/// A seed that could not be run; its transaction was rolled back, those before it stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// A statement failed.
    #[error("seed {name} failed in statement {statement}; see the cause")]
    Statement {
        /// Which.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
        /// Why.
        source: rusqlite::Error,
    },
    /// A statement that no seed may run.
    #[error("seed {name}, statement {statement}: {refusal}")]
    Refused {
        /// Which.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
        /// What was refused, and why.
        refusal: Refusal,
    },
    /// A script ended the transaction that it runs in.
    #[error(
        "seed {name} left its transaction in statement {statement}; take transaction control out of it"
    )]
    LeftTransaction {
        /// Which.
        name: Box<str>,
        /// The statement of the script, counted from 1.
        statement: usize,
    },
    /// A table that a script made refers to a table of this library, or bears the name of one.
    #[error(
        "seed {name}: {what}, which belongs to the library; refer to no table but _tenancy_users(id)"
    )]
    Reserved {
        /// Which.
        name: Box<str>,
        /// What it made.
        what: Box<str>,
    },
    /// A statement of the tenant's put another table in the place of ours.
    #[error(
        "seed {name} cannot be recorded, as another table was renamed to _tenancy_seeds; rename it back with a tool of your own, and look who did it"
    )]
    NotOurs {
        /// Which.
        name: Box<str>,
    },
    /// SQLite failed outside the script.
    #[error("seed {name} could not be begun or recorded; see the cause")]
    Sqlite {
        /// Which.
        name: Box<str>,
        /// Why.
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
    /// Whether it is about what a script did, not about getting to run it.
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

/// ` by process 7 and 9`, or nothing.
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

//! What is wrong with migrations, and why one could not be applied.

use std::path::PathBuf;

use super::{FileError, IoError};
use crate::refusal::Refusal;

/// Migrations that are no set of migrations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationsError {
    /// The directory or a file of it cannot be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A file whose name is no migration's.
    #[error(
        "{} is no name of a migration; use 0001_name.sql and 0001_name.down.sql, letters, digits, - and _",
        path.display()
    )]
    FileName {
        /// The file.
        path: PathBuf,
    },
    /// Two migrations of one number.
    #[error("migration {version} is there twice, as {first} and {second}; renumber one")]
    Twice {
        /// The number.
        version: u32,
        /// One name.
        first: Box<str>,
        /// The other.
        second: Box<str>,
    },
    /// A number is left out.
    #[error("migration {missing} is missing; number them from 1 without gaps")]
    Gap {
        /// The first that is missing.
        missing: u32,
    },
    /// A way back without a way there.
    #[error("{} has no 0001_name.sql of the same number and name beside it", path.display())]
    DownAlone {
        /// The file.
        path: PathBuf,
    },
    /// A script without a statement.
    #[error("migration {name} is empty; write its statements or delete it")]
    Empty {
        /// Which.
        name: Box<str>,
    },
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

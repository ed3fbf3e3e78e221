//! The error of a set of migrations.

use std::path::PathBuf;

use super::IoError;

/// The fault by which files or scripts do not form a set of migrations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationsError {
    /// The directory or a file of it cannot be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The name of a file does not have the form of a migration's name.
    #[error(
        "{} is not the name of a migration; use 0001_name.sql and 0001_name.down.sql, letters, digits, - and _",
        path.display()
    )]
    FileName {
        /// The path of the file.
        path: PathBuf,
    },
    /// Two migrations have the same number.
    #[error("migration {version} is there twice, as {first} and {second}; renumber one")]
    Twice {
        /// The number that both have.
        version: u32,
        /// The name of one migration.
        first: Box<str>,
        /// The name of the other migration.
        second: Box<str>,
    },
    /// A number is missing in the sequence from 1.
    #[error("migration {missing} is missing; number them from 1 without gaps")]
    Gap {
        /// The first missing number.
        missing: u32,
    },
    /// A down script has no up script.
    #[error("{} has no 0001_name.sql of the same number and name beside it", path.display())]
    DownAlone {
        /// The path of the file.
        path: PathBuf,
    },
    /// A script has no statement.
    #[error("migration {name} is empty; write its statements or delete it")]
    Empty {
        /// The name of the migration.
        name: Box<str>,
    },
}

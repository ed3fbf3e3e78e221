//! What is wrong with migrations, and why one could not be applied.

use std::path::PathBuf;

use super::IoError;

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

//! Errors of seeds, and of the stock.

use std::path::PathBuf;

use super::IoError;
use crate::refusal::Refusal;

/// So many databases cannot be kept ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stock of {found} databases is out of bounds; use 0 to 10000")]
#[non_exhaustive]
pub struct InvalidStock {
    /// What was asked for.
    pub found: usize,
}

/// Seeds that are no set of seeds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedsError {
    /// The directory or a file of it cannot be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A file whose name does not end as a seed's does.
    #[error("{} is no name of a seed; let it end in .sql", path.display())]
    FileName {
        /// The file.
        path: PathBuf,
    },
    /// A name with other characters.
    #[error("{name:?} is no name of a seed; use letters, digits, - and _")]
    Name {
        /// The name.
        name: Box<str>,
    },
    /// Two of one name.
    #[error("seed {name} is there twice; rename one")]
    Twice {
        /// The name.
        name: Box<str>,
    },
    /// A script without a statement.
    #[error("seed {name} is empty; write its statements or delete it")]
    Empty {
        /// Which.
        name: Box<str>,
    },
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

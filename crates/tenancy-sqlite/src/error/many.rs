//! Errors of runs over many tenants, and of seeds.

use std::fmt;
use std::path::PathBuf;

use tenancy_core::{CatalogError, TenantId, TenantRef, WriteError};

use super::{FileError, IoError, MigrateError};
use crate::fleet::RunHolder;
use crate::harden::Refusal;

/// So many tenants cannot be worked on at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{found} jobs at a time are out of bounds; use 1 to 256")]
#[non_exhaustive]
pub struct InvalidJobs {
    /// What was asked for.
    pub found: usize,
}

/// So many databases cannot be kept ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stock of {found} databases is out of bounds; use 0 to 10000")]
#[non_exhaustive]
pub struct InvalidStock {
    /// What was asked for.
    pub found: usize,
}

/// An operation on many tenants that could not begin or could not be recorded. What was
/// done until then stays; the next call goes on with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// An option is out of bounds; nothing was begun.
    #[error(transparent)]
    Jobs(#[from] InvalidJobs),
    /// Another run over many tenants is going on; nothing was begun.
    #[error("conflict: {0} is going on; wait for its end, or end that process, and run it again")]
    RunGoesOn(RunHolder),
    /// Another run began after the plan was made; nothing was begun.
    #[error("conflict: run {run} began after this was planned; look again, nothing was changed")]
    PlanIsOld {
        /// The run that has begun since.
        run: u64,
    },
    /// There is no migration of that number; nothing was begun.
    #[error("there is no schema version {wanted}; the newest migration is {newest}")]
    NoSuchVersion {
        /// The version that was asked for.
        wanted: u32,
        /// The newest migration.
        newest: u32,
    },
    /// There are not so many steps to take back; nothing was begun.
    #[error("{steps} steps cannot be taken back, as the tenants are at schema version {version}")]
    TooManySteps {
        /// How many were to be taken back.
        steps: u32,
        /// Where the tenants are.
        version: u32,
    },
    /// Steps back from different versions lead to different versions; nothing was begun.
    #[error(
        "the tenants are at different schema versions: {}; say to which version they are to go back, or which run is to be taken back",
        Versions(found)
    )]
    MixedVersions {
        /// Each version, with how many tenants are at it and the first of them by id.
        found: Vec<(u32, u64, TenantId)>,
    },
    /// The run cannot be taken back; nothing was begun.
    #[error("{0}")]
    NotUndone(NotUndone),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The catalog cannot be asked.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The catalog refused a write, or has no tenant of an id that was named.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The scripts are not those by which the tenants were migrated; nothing was begun.
    #[error(
        "the migrations at hand are not those that {tenant} has, so nothing was begun; see the cause"
    )]
    Diverged {
        /// A tenant that was migrated by others.
        tenant: TenantRef,
        /// Which of them differs.
        source: MigrateError,
    },
    /// The scripts fail on an empty database.
    #[error("the migrations fail on an empty database, so no tenant was touched; see the cause")]
    Migrations(#[source] FileError),
}

/// Why a run is not taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotUndone {
    /// No migration has run over these tenants.
    #[error("there is no migration to take back; say how many steps, or to which version")]
    NoMigration,
    /// There is no run of that number.
    #[error("there is no run {run}; nothing was changed")]
    NoSuchRun {
        /// The number.
        run: u64,
    },
    /// It was another kind of run.
    #[error("run {run} is a {what}, and only migrations can be taken back; nothing was changed")]
    NotAMigration {
        /// The number.
        run: u64,
        /// `rollback` or `seed`.
        what: Box<str>,
    },
    /// Its tasks are no longer kept.
    #[error("the tasks of run {run} are no longer kept; say to which version to go back")]
    Forgotten {
        /// The number.
        run: u64,
    },
    /// It changed none of these tenants.
    #[error(
        "run {run}, the migration to take back, has changed none of these tenants; nothing was changed, name an earlier run or a version to go further back"
    )]
    DidNothing {
        /// The number.
        run: u64,
    },
    /// All that it did was taken back before.
    #[error(
        "run {run} is taken back already{}; nothing was changed, name an earlier run or a version to go further back",
        By(by)
    )]
    Already {
        /// The number.
        run: u64,
        /// The runs that took it back; none if the tenants went back by other ways.
        by: Vec<u64>,
    },
}

/// ` by run 8 and 9`, or nothing.
struct By<'r>(&'r [u64]);

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, run) in self.0.iter().enumerate() {
            let before = if at == 0 { " by run" } else { " and" };
            write!(f, "{before} {run}")?;
        }
        Ok(())
    }
}

/// `997 at 2 (acme, …), 1 at 1 (beta)`.
struct Versions<'v>(&'v [(u32, u64, TenantId)]);

impl fmt::Display for Versions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (version, count, first)) in self.0.iter().enumerate() {
            let before = if at == 0 { "" } else { ", " };
            let more = if *count > 1 { ", …" } else { "" };
            write!(f, "{before}{count} at {version} ({first}{more})")?;
        }
        Ok(())
    }
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

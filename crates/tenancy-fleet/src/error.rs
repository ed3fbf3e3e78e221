//! Errors of runs over many tenants, and of one tenant in a run.

use std::error::Error;
use std::fmt;

use tenancy_core::{CatalogError, TenantId, TenantRef, WriteError};

use crate::jobs::InvalidJobs;
use crate::lease::{LeaseError, RunHolder};

/// An operation on many tenants that could not begin or could not be recorded. The work that
/// was done until then stays; the next call resumes it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// An option is out of bounds; nothing was begun.
    #[error(transparent)]
    Jobs(#[from] InvalidJobs),
    /// Another run over many tenants is going on; nothing was begun.
    #[error("conflict: {0} is going on; wait for its end, or end that process, and run it again")]
    RunGoesOn(RunHolder),
    /// The lease cannot be taken; nothing was begun.
    #[error(transparent)]
    Lease(Box<dyn Error + Send + Sync>),
    /// Another run began after the plan was made; nothing was begun.
    #[error("conflict: run {run} began after this was planned; look again, nothing was changed")]
    PlanIsOld {
        /// The run that has begun since.
        run: u64,
    },
    /// There is no migration of that number; nothing was begun.
    #[error("there is no schema version {wanted}; the newest migration is {newest}")]
    NoSuchVersion {
        /// The version that was given.
        wanted: u32,
        /// The newest migration.
        newest: u32,
    },
    /// The tenants have fewer steps than are to be undone; nothing was begun.
    #[error("{steps} steps cannot be taken back, as the tenants are at schema version {version}")]
    TooManySteps {
        /// The number of steps that were to be undone.
        steps: u32,
        /// The version of the tenants.
        version: u32,
    },
    /// The same number of steps leads from different versions to different ones; nothing was
    /// begun.
    #[error(
        "the tenants are at different schema versions: {}; say to which version they are to go back, or which run is to be taken back",
        Versions(found)
    )]
    MixedVersions {
        /// Each version, with the number of tenants at it and the first of them by id.
        found: Vec<(u32, u64, TenantId)>,
    },
    /// The run cannot be undone; nothing was begun.
    #[error(transparent)]
    Refused(#[from] RollbackRefusal),
    /// The catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The catalog refused a write, or has no tenant of an id that was named.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The steps are not those by which the tenants were migrated; nothing was begun.
    #[error(
        "the migrations at hand are not those that {tenant} has, so nothing was begun; see the cause"
    )]
    Diverged {
        /// A tenant that was migrated by other steps.
        tenant: TenantRef,
        /// The step that differs.
        source: TenantError,
    },
    /// The steps fail on an empty database.
    #[error("the migrations fail on an empty database, so no tenant was touched; see the cause")]
    Migrations(#[source] TenantError),
}

impl From<LeaseError> for FleetError {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Held(holder) => Self::RunGoesOn(holder),
            LeaseError::Failed(error) => Self::Lease(error),
        }
    }
}

/// A reason for which a run is not undone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RollbackRefusal {
    /// No migration has run over these tenants.
    #[error("there is no migration to take back; say how many steps, or to which version")]
    NoMigration,
    /// There is no run of that number.
    #[error("there is no run {run}; nothing was changed")]
    NoSuchRun {
        /// The number of the run.
        run: u64,
    },
    /// The run is of another kind.
    #[error("run {run} is a {what}, and only migrations can be taken back; nothing was changed")]
    NotAMigration {
        /// The number of the run.
        run: u64,
        /// The kind: `rollback` or `seed`.
        what: Box<str>,
    },
    /// The tasks of the run are no longer kept.
    #[error("the tasks of run {run} are no longer kept; say to which version to go back")]
    Forgotten {
        /// The number of the run.
        run: u64,
    },
    /// The run changed none of these tenants.
    #[error(
        "run {run}, the migration to take back, has changed none of these tenants; nothing was changed, name an earlier run or a version to go further back"
    )]
    DidNothing {
        /// The number of the run.
        run: u64,
    },
    /// The run was undone before, for all of these tenants.
    #[error(
        "run {run} is taken back already{}; nothing was changed, name an earlier run or a version to go further back",
        By(by)
    )]
    Already {
        /// The number of the run.
        run: u64,
        /// The runs that undid it; empty if the tenants were rolled back otherwise.
        by: Vec<u64>,
    },
}

/// An operation on one tenant that failed; the others are not affected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// The error of the driver. [`driver_error`](Self::driver_error) returns it by its type.
    #[error(transparent)]
    Driver(Box<dyn Error + Send + Sync>),
    /// The database is at a newer version than the program knows.
    #[error(
        "schema version {found} is newer than {newest}, the newest migration; use a newer program"
    )]
    TooNew {
        /// The version of the database.
        found: u32,
        /// The newest migration.
        newest: u32,
    },
    /// A step has no script that undoes it.
    #[error("migration {version} {name} has no way back; write {version:04}_{name}.down.sql")]
    Irreversible {
        /// The version that the step leads to.
        version: u32,
        /// The name of the step.
        name: Box<str>,
    },
    /// A step has no script that undoes it, and no snapshot leads around it.
    #[error(
        "tenant {tenant}: no copy from before migration {version} is kept that leads to version {to}; restore a backup"
    )]
    NoSnapshot {
        /// The tenant that was to be rolled back.
        tenant: TenantRef,
        /// The version that the step leads to.
        version: u32,
        /// The version to which the tenant was to be rolled back.
        to: u32,
    },
    /// The database could not be read when the run looked at all of them, and can be now.
    #[error(
        "conflict: tenant {tenant} could be read only after the run had begun; nothing was changed, run it again"
    )]
    NotSurveyed {
        /// The tenant that could not be read.
        tenant: TenantRef,
    },
    /// Another operation moved the tenant after the run that is to be undone.
    #[error(
        "conflict: tenant {tenant} is at schema version {found}, and run {run} has left it at {left}; nothing was changed, say to which version it is to go back"
    )]
    MovedSince {
        /// The tenant that was moved.
        tenant: TenantRef,
        /// The run that is to be undone.
        run: u64,
        /// The version at which that run left it.
        left: u32,
        /// The version that it is at.
        found: u32,
    },
    /// The row in the catalog is another incarnation's by now.
    #[error("tenant {tenant} is {current} by now; look at it and try again")]
    Superseded {
        /// The incarnation that was to be changed.
        tenant: TenantRef,
        /// The incarnation of the row.
        current: TenantRef,
    },
    /// The catalog refused to change the row, or cannot be read.
    #[error(transparent)]
    Row(#[from] WriteError),
}

impl TenantError {
    /// Returns an error of a driver.
    pub fn driver(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Driver(error.into())
    }

    /// Returns the driver's error if there is one and it has this type.
    pub fn driver_error<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Driver(error) => error.downcast_ref(),
            _ => None,
        }
    }
}

/// Returns the text of an error and of all its causes, in one line, as journals and reports
/// keep it.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// The text ` by run 8 and 9`, or nothing.
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

/// The text `997 at 2 (acme, …), 1 at 1 (beta)`.
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

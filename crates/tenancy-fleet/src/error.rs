//! The errors of a run, and of one tenant in a run.

use std::error::Error;
use std::fmt;

use tenancy_core::{CatalogError, TenantId, TenantRef, WriteError};

use crate::jobs::InvalidJobs;
use crate::lease::{LeaseError, RunHolder};

/// The error of an operation on many tenants that could not begin or could not be recorded. Work
/// that was done before the error is kept; the next call resumes the operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// An option is out of bounds; nothing was begun.
    #[error(transparent)]
    Jobs(#[from] InvalidJobs),
    /// Another run over many tenants is in progress; nothing was begun.
    #[error(
        "conflict: {0} is in progress; wait for its end, or end its process, then run the command again"
    )]
    RunGoesOn(RunHolder),
    /// The lease cannot be taken; nothing was begun.
    #[error(transparent)]
    Lease(Box<dyn Error + Send + Sync>),
    /// Another run began after the plan was made; nothing was begun.
    #[error(
        "conflict: run {run} began after the rollback was planned; nothing was changed; make a new plan"
    )]
    OutdatedPlan {
        /// The number of the newer run.
        run: u64,
    },
    /// No migration has the given version; nothing was begun.
    #[error("there is no schema version {wanted}; the newest migration is {newest}")]
    NoSuchVersion {
        /// The given version.
        wanted: u32,
        /// The version of the newest migration.
        newest: u32,
    },
    /// The number of steps to undo exceeds the version of the tenants; nothing was begun.
    #[error(
        "{steps} migrations cannot be undone, as the tenants are at schema version {version}; give a smaller number"
    )]
    TooManySteps {
        /// The number of steps to undo.
        steps: u32,
        /// The version of the tenants.
        version: u32,
    },
    /// A number of steps to undo was given, but the tenants are at different schema versions;
    /// nothing was begun.
    #[error(
        "the tenants are at different schema versions: {}; give the version to roll back to, or the run to undo",
        Versions(found)
    )]
    MixedVersions {
        /// The versions, each with the number of its tenants and the first of these by id.
        found: Vec<(u32, u64, TenantId)>,
    },
    /// The run cannot be undone; nothing was begun.
    #[error(transparent)]
    Refused(#[from] RollbackRefusal),
    /// The catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The catalog refused a write, or no tenant has a given id.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The driver's migrations differ from those that were applied to the tenants; nothing was
    /// begun.
    #[error(
        "the migrations differ from those that were applied to tenant {tenant}; nothing was begun; see the cause"
    )]
    Diverged {
        /// A tenant to which other migrations were applied.
        tenant: TenantRef,
        /// The error that names the migration that differs.
        source: TenantError,
    },
    /// The migrations fail on an empty database.
    #[error("the migrations fail on an empty database, so no tenant was changed; see the cause")]
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

/// The reason why a run is not undone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RollbackRefusal {
    /// The journal has no run of migrations.
    #[error("there is no run of migrations to undo; give a number of steps, or a version")]
    NoMigration,
    /// The journal has no run of the given number.
    #[error("there is no run {run}; nothing was changed")]
    NoSuchRun {
        /// The number of the run.
        run: u64,
    },
    /// The run is of another kind than `migrate`.
    #[error("run {run} is a {what}, but only migrations can be undone; nothing was changed")]
    NotAMigration {
        /// The number of the run.
        run: u64,
        /// The kind: `rollback` or `seed`.
        what: Box<str>,
    },
    /// The tasks of the run are no longer kept.
    #[error("the tasks of run {run} are no longer kept; give the version to roll back to")]
    TasksNotKept {
        /// The number of the run.
        run: u64,
    },
    /// The run changed none of the chosen tenants.
    #[error(
        "run {run} has changed none of these tenants; nothing was undone; to roll back further, give an earlier run or a version"
    )]
    NothingToUndo {
        /// The number of the run.
        run: u64,
    },
    /// The run is already undone for all of the chosen tenants.
    #[error(
        "run {run} is already undone{}; nothing was changed; to roll back further, give an earlier run or a version",
        By(by)
    )]
    AlreadyUndone {
        /// The number of the run.
        run: u64,
        /// The runs that undid it; empty if the tenants were rolled back to a version or by a number of
        /// steps.
        by: Vec<u64>,
    },
}

/// The error of an operation on one tenant. Other tenants are not affected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// An error of the driver. [`driver_error`](Self::driver_error) returns it as its own type.
    #[error(transparent)]
    Driver(Box<dyn Error + Send + Sync>),
    /// The database is at a newer schema version than the driver knows.
    #[error(
        "schema version {found} is newer than {newest}, the newest migration; use a newer program"
    )]
    TooNew {
        /// The version of the database.
        found: u32,
        /// The version of the newest migration.
        newest: u32,
    },
    /// A step has no script that undoes it.
    #[error("migration {version} {name} has no down script; write {version:04}_{name}.down.sql")]
    Irreversible {
        /// The version after the step.
        version: u32,
        /// The name of the step.
        name: Box<str>,
    },
    /// A step has no script that undoes it, and no snapshot can be restored instead.
    #[error(
        "tenant {tenant}: migration {version} has no down script, and there is no snapshot to roll back to version {to}; restore a backup"
    )]
    NoSnapshot {
        /// The tenant to roll back.
        tenant: TenantRef,
        /// The version after the step.
        version: u32,
        /// The version to roll back to.
        to: u32,
    },
    /// The database could not be read when the run read the version of each database, but can be
    /// read now.
    #[error(
        "conflict: tenant {tenant} could not be read when the run began; nothing was changed; run the command again"
    )]
    NotSurveyed {
        /// The tenant that could not be read.
        tenant: TenantRef,
    },
    /// Another operation has changed the schema version of the tenant after the run to undo.
    #[error(
        "conflict: tenant {tenant} is at schema version {found}, but run {run} has left it at {left}; nothing was changed; give the version to roll back to"
    )]
    ChangedSince {
        /// The tenant that was changed.
        tenant: TenantRef,
        /// The run to undo.
        run: u64,
        /// The version at which that run left the tenant.
        left: u32,
        /// The version of the tenant now.
        found: u32,
    },
    /// The row in the catalog belongs to another incarnation by now.
    #[error("tenant {tenant} has been replaced by {current}; check it, then try again")]
    Superseded {
        /// The incarnation to change.
        tenant: TenantRef,
        /// The incarnation of the row.
        current: TenantRef,
    },
    /// The catalog cannot be read, or refused to change the row.
    #[error(transparent)]
    Row(#[from] WriteError),
}

impl TenantError {
    /// Converts an error of a driver.
    pub fn driver(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Driver(error.into())
    }

    /// Returns the driver's error if it has the type `E`.
    pub fn driver_error<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Driver(error) => error.downcast_ref(),
            _ => None,
        }
    }
}

/// Returns the text of an error and of all its causes on one line, as journals record it.
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

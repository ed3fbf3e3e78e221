//! The progress and the report of a run.

use std::fmt;

use tenancy_core::{TenantRef, TenantStatus};

use crate::error::TenantError;

/// The result of a run. Each tenant is in one of the lists, or counted in
/// [`current`](Self::current) or [`not_reached`](Self::not_reached).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct FleetReport {
    /// The number of the run in the journal; `None` if there was nothing to do.
    pub run: Option<u64>,
    /// The number of tenants that need no work according to the journal. Their databases were not
    /// opened.
    pub current: u64,
    /// The tenants whose work is done, by id.
    pub done: Vec<TenantDone>,
    /// The tenants that failed, by id.
    pub failed: Vec<TenantFailed>,
    /// The tenants that were skipped, by id.
    pub skipped: Vec<TenantSkipped>,
    /// The number of tenants on which no work was begun, as the run ended before.
    pub not_reached: u64,
    /// The reason for the end of the run.
    pub end: RunEnd,
}

impl FleetReport {
    /// Returns the report of a run that was stopped before it began.
    pub(crate) fn stopped(current: u64, chosen: usize) -> Self {
        Self {
            current,
            not_reached: chosen as u64,
            end: RunEnd::Stopped,
            ..Self::default()
        }
    }

    /// Returns whether no tenant failed and all were reached.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.not_reached == 0
    }

    /// Returns the number of schema steps that were applied or undone, or of seeds that have run.
    pub fn steps(&self) -> u64 {
        let steps = |done: &TenantDone| u64::from(done.from.abs_diff(done.to));
        self.done.iter().map(steps).sum()
    }
}

/// A tenant whose work is done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantDone {
    /// The tenant and its incarnation, which is a new one after a restored snapshot.
    pub tenant: TenantRef,
    /// The schema version before the run. For a run of seeds, the number of seeds that had run.
    pub from: u32,
    /// The schema version after the run. For a run of seeds, the number of seeds that have run.
    pub to: u32,
    /// Whether its database was restored from a snapshot.
    pub restored: bool,
}

/// A tenant that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct TenantFailed {
    /// The tenant that failed.
    pub tenant: TenantRef,
    /// The error of the tenant.
    pub error: TenantError,
}

/// A tenant that was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantSkipped {
    /// The tenant that was skipped.
    pub tenant: TenantRef,
    /// The reason for skipping it.
    pub why: Skipped,
}

/// The reason why a run skips a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skipped {
    /// The options name the tenant as one to skip.
    Requested,
    /// The tenant has this status, `provisioning` or `retiring`: another operation owns its database.
    Status(TenantStatus),
    /// The tenant was destroyed or replaced by another incarnation, either during the run, or after
    /// the run to undo.
    Gone,
    /// The tenant failed in the run to undo, whose number this is. It stays at the version at which
    /// that run left it.
    FailedInRun(u64),
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("skipped on request"),
            Self::Status(status) => write!(f, "it is {status}"),
            Self::Gone => {
                f.write_str("it was destroyed or replaced by another incarnation meanwhile")
            }
            Self::FailedInRun(run) => write!(f, "it failed in run {run}, so it was not changed"),
        }
    }
}

/// The reason why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RunEnd {
    /// All tenants were reached.
    #[default]
    Through,
    /// More tenants failed than [`max_failures`](crate::FleetOptions::max_failures).
    Failures,
    /// A tenant of the canary failed, so no work was begun on the others.
    Canary,
    /// The stop was requested.
    Stopped,
}

/// The progress of an operation over many tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// The number of tenants, rows or files that were processed, including failed ones.
    pub done: u64,
    /// The number of failures or findings so far.
    pub failed: u64,
    /// The number of tenants, rows or files to process.
    pub total: u64,
}

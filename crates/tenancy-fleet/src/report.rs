//! Reports and the progress of a run over many tenants.

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
    /// Tenants that the journal knows to need nothing; their databases were not opened.
    pub current: u64,
    /// Tenants that are done, by id.
    pub done: Vec<TenantDone>,
    /// Tenants that failed, by id.
    pub failed: Vec<TenantFailed>,
    /// Tenants that were skipped, by id.
    pub skipped: Vec<TenantSkipped>,
    /// The number of tenants that were not reached.
    pub not_reached: u64,
    /// The reason for its end.
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

    /// Returns the number of steps that were applied, up or down, or of seeds that were run.
    pub fn steps(&self) -> u64 {
        let steps = |done: &TenantDone| u64::from(done.from.abs_diff(done.to));
        self.done.iter().map(steps).sum()
    }
}

/// A tenant that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantDone {
    /// The tenant; after a restored snapshot, its new incarnation.
    pub tenant: TenantRef,
    /// The schema version before; of seeds, the number that had been run.
    pub from: u32,
    /// The schema version now; of seeds, the number that have been run.
    pub to: u32,
    /// Whether a snapshot became its database.
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

/// A reason for which a run skips a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skipped {
    /// The options name it.
    Requested,
    /// Its creation is not finished, or it is being retired: its database is owned by another
    /// operation.
    Status(TenantStatus),
    /// It was destroyed, or became another incarnation, while the run was at work or since the
    /// run that is undone.
    Gone,
    /// The run that is undone failed for it. It stays at the version at which that run left it.
    FailedInRun(u64),
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("skipped as asked"),
            Self::Status(status) => write!(f, "it is {status}"),
            Self::Gone => f.write_str("it was destroyed or became another incarnation meanwhile"),
            Self::FailedInRun(run) => write!(f, "run {run} has failed for it; it stays as it is"),
        }
    }
}

/// The reason for which a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RunEnd {
    /// All tenants were reached.
    #[default]
    Through,
    /// More tenants failed than may.
    Failures,
    /// A canary failed, so the others were not touched.
    Canary,
    /// The stop was requested.
    Stopped,
}

/// The progress of an operation over many tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Tenants, rows or files that were worked on, failed ones too.
    pub done: u64,
    /// Failures or findings so far.
    pub failed: u64,
    /// The number of all that are to be worked on.
    pub total: u64,
}

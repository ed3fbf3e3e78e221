//! What a run over many tenants says of itself.

use tenancy_core::{TenantRef, TenantStatus};

use crate::error::FileError;

/// What was done to many tenants: each is in one of the lists, or counted in
/// [`current`](Self::current) or [`not_reached`](Self::not_reached).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct FleetReport {
    /// The number of the run in the catalog; `None` when there was nothing to do.
    pub run: Option<u64>,
    /// Tenants that the catalog knows to need nothing; their files were not opened.
    pub current: u64,
    /// Tenants that it is done with, by id.
    pub done: Vec<TenantDone>,
    /// Tenants that it failed for, by id.
    pub failed: Vec<TenantFailed>,
    /// Tenants that were left out, by id.
    pub left_out: Vec<TenantLeftOut>,
    /// Tenants that were to be worked on and were not.
    pub not_reached: u64,
    /// Why it ended.
    pub end: RunEnd,
}

impl FleetReport {
    /// Of a run that was told to stop before it began.
    pub(super) fn stopped(current: u64, chosen: usize) -> Self {
        Self {
            current,
            not_reached: chosen as u64,
            end: RunEnd::Stopped,
            ..Self::default()
        }
    }

    /// Whether everything that was asked for was done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.not_reached == 0
    }

    /// Steps that were taken, up or down, or seeds that were run.
    pub fn steps(&self) -> u64 {
        let steps = |done: &TenantDone| u64::from(done.from.abs_diff(done.to));
        self.done.iter().map(steps).sum()
    }
}

/// A tenant that a run is done with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantDone {
    /// Who; after a restored copy, the new incarnation.
    pub tenant: TenantRef,
    /// The schema version before; of seeds, how many had been run.
    pub from: u32,
    /// The schema version now; of seeds, how many have been run.
    pub to: u32,
    /// Whether a copy took the place of its file.
    pub restored: bool,
}

/// A tenant that a run failed for.
#[derive(Debug)]
#[non_exhaustive]
pub struct TenantFailed {
    /// Who.
    pub tenant: TenantRef,
    /// Why.
    pub error: FileError,
}

/// A tenant that a run left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantLeftOut {
    /// Who.
    pub tenant: TenantRef,
    /// Why.
    pub why: LeftOut,
}

/// Why a run left a tenant out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftOut {
    /// It was told to.
    Skipped,
    /// Its creation is not finished, or it is being taken away: its file is in other
    /// hands.
    Status(TenantStatus),
    /// It was destroyed, or became another incarnation, while the run went on or since the
    /// run that is taken back.
    Gone,
    /// The run that is taken back has failed for it. It stays at the version where that
    /// left it.
    FailedInRun(u64),
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Skipped => f.write_str("skipped as asked"),
            Self::Status(status) => write!(f, "it is {status}"),
            Self::Gone => f.write_str("it was destroyed or became another incarnation meanwhile"),
            Self::FailedInRun(run) => write!(f, "run {run} has failed for it; it stays as it is"),
        }
    }
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RunEnd {
    /// It went through all tenants.
    #[default]
    Through,
    /// More tenants failed than may.
    Failures,
    /// One of the first few failed, so the others were not touched.
    Canary,
    /// It was asked to stop.
    Stopped,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Tenants that it is done with or has failed for.
    pub done: u64,
    /// Those it failed for.
    pub failed: u64,
    /// All that are to be worked on.
    pub total: u64,
}

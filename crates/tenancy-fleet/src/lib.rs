//! One operation over many tenants: migrations, rollbacks and seeds, with workers, a canary, a
//! bound on failures, progress, a report, and resumption after a crash.
//!
//! Decisions and their reasons: `docs/design/fleet.md` in the repository.
//!
//! A [`Fleet`] is generic over a [`FleetDriver`], which works on one tenant's database, and a
//! [`RunJournal`], the catalog that lists the tenants and records the runs. A new kind of
//! database implements the two and gets everything else.
//!
//! ```
//! use tenancy_fleet::{Fleet, FleetDriver, FleetError, FleetOptions, RollbackTo, RunJournal, Stop};
//!
//! fn release<D: FleetDriver, C: RunJournal>(fleet: &Fleet<D, C>) -> Result<(), FleetError> {
//!     let stop = Stop::new(); // a clone of it for the signal handler
//!     let options = FleetOptions::new().jobs(8).canary(5).stop(&stop);
//!     let report = fleet.migrate(&options, |at| {
//!         eprintln!("{} of {}, {} failed", at.done, at.total, at.failed);
//!     })?;
//!     if !report.is_complete() {
//!         for failed in &report.failed {
//!             eprintln!("{}: {}", failed.tenant, failed.error);
//!         }
//!         // Exactly what that run did is undone.
//!         fleet.rollback(RollbackTo::LastRun, &options, |_| {})?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Guarantees
//! - One run at a time, of whatever kind and process; a second one is refused with the holder.
//! - Each step of each tenant is applied exactly once. A database that another operation moved
//!   after the run had looked at it is a conflict of that tenant, never a surprise.
//! - Every task is recorded before it is begun, so that a run that was killed at any point is
//!   resumed by the same call, and can be undone.
//! - A tenant that is being created or retired is skipped and reported.
//!
//! The crate has no features.

#![deny(missing_docs)]

mod cutover;
mod down;
mod draft;
mod driver;
mod error;
mod fleet;
mod jobs;
mod journal;
mod lease;
mod migrate;
mod options;
mod report;
mod rollback;
mod run;
mod schema;
mod seed;
mod status;
mod undo;

pub use cutover::Cutover;
pub use driver::{FleetDriver, Keep, SchemaStep, Seeded, Snapshot};
pub use error::{FleetError, RollbackRefusal, TenantError, with_causes};
pub use fleet::Fleet;
pub use jobs::{InvalidJobs, Jobs};
pub use journal::{
    NewRun, PastRun, PastTask, Run, RunJournal, RunOutcome, Task, TaskState, Unfinished,
};
pub use lease::{LeaseError, RunHolder};
pub use migrate::{MigrationPlan, PlannedMigration};
pub use options::{FleetOptions, Stop};
pub use report::{FleetReport, Progress, RunEnd, Skipped, TenantDone, TenantFailed, TenantSkipped};
pub use rollback::{PlannedRollback, RollbackPlan, RollbackTo};
pub use schema::{KnownSchema, SchemaCounts, SchemaStatus, Selection, TaskFailure};

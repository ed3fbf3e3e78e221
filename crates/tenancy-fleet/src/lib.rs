//! Operations on many tenants: migrations, rollbacks and seeds. A run has several workers, a
//! canary, a bound on failures, progress and a report, and is resumed after a crash.
//!
//! Decisions and their reasons: `docs/design/fleet.md` in the repository.
//!
//! A [`Fleet`] is generic over a [`FleetDriver`], which works on the database of one tenant, and
//! over a [`RunJournal`], the catalog that lists the tenants and records the runs. A new kind of
//! database implements these two traits.
//!
//! ```
//! use tenancy_fleet::{Fleet, FleetDriver, FleetError, FleetOptions, RollbackTo, RunJournal, Stop};
//!
//! fn release<D: FleetDriver, C: RunJournal>(fleet: &Fleet<D, C>) -> Result<(), FleetError> {
//!     let stop = Stop::new(); // a signal handler gets a clone
//!     let options = FleetOptions::new().jobs(8).canary(5).stop(&stop);
//!     let report = fleet.migrate(&options, |at| {
//!         eprintln!("{} of {}, {} failed", at.done, at.total, at.failed);
//!     })?;
//!     if !report.is_complete() {
//!         for failed in &report.failed {
//!             eprintln!("{}: {}", failed.tenant, failed.error);
//!         }
//!         // Undoes exactly what the run did.
//!         fleet.rollback(RollbackTo::LastRun, &options, |_| {})?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Guarantees
//! - Only one run at a time works on a catalog, in all processes. A second run is refused with an
//!   error that names the first.
//! - Each step is applied exactly once to each tenant. If another operation changes the schema of
//!   a database after the run has read its version, the task of that tenant fails with a conflict.
//! - Every task is recorded before the first one begins. A run that was killed at any point is
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

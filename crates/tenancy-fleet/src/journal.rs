//! [`RunJournal`]: the runs over many tenants, as a catalog records them.

use std::collections::HashMap;

use tenancy_core::{Actor, CatalogError, CatalogWriter, Epoch, Tenant, TenantId, WriteError};

use crate::lease::LeaseError;
use crate::schema::{KnownSchema, SchemaCounts, SchemaStatus, Selection};

/// A catalog that records runs over many tenants, and the schema versions that it has seen.
///
/// The journal makes a run resumable and a rollback exact. The [`Fleet`](crate::Fleet) decides
/// what is done; a journal only keeps what it is given:
///
/// 1. [`lease`](Self::lease) excludes other runs, of whatever kind and process.
/// 2. [`begin_run`](Self::begin_run) records every task before the first one is begun.
/// 3. [`record`](Self::record) records results, in the order in which they are ready.
/// 4. [`end_run`](Self::end_run) records the outcome. A run without one was killed, and a run
///    of the same kind and target resumes it.
///
/// A lease that can be lost, such as one that is renewed by heartbeats, is checked by the
/// methods that take it, in their own transaction: they fail once it is lost, so that a run
/// whose lease was taken over records nothing more and begins no further tenant.
pub trait RunJournal: CatalogWriter {
    /// A held lease. It is released when it is dropped, or when its process ends.
    type Lease: Send;

    /// Takes the lease for a run of the kind `what` without waiting.
    ///
    /// # Errors
    /// Returns [`LeaseError::Held`] with the holder if another run has it.
    fn lease(&self, what: &str, by: &Actor) -> Result<Self::Lease, LeaseError>;

    /// Records that a run begins, and its tasks, each [`Pending`](TaskState::Pending) or
    /// settled already; returns the number of the run. Numbers increase.
    ///
    /// If the last run has the same kind and target and did not end with
    /// [`RunOutcome::Done`], it is resumed instead: it keeps its number and its other tasks, and
    /// its end is forgotten. A task that it has already keeps the version at which its first
    /// attempt found the database, provided that the incarnation is the same and the database
    /// is where that attempt left it: at its recorded `left`, or, if none is recorded, between
    /// `found` and the [`version`](NewRun::version) of the run. Otherwise another operation
    /// has moved it, and the task takes the new `found`.
    ///
    /// If the run [changes schemas](NewRun::changes_schemas), the known versions of pending
    /// tasks' tenants become unknown until the task is recorded.
    ///
    /// # Errors
    /// Returns an error if it cannot be recorded; nothing is recorded then.
    fn begin_run(
        &self,
        lease: &mut Self::Lease,
        new: &NewRun<'_>,
        tasks: &[Task],
        by: &Actor,
    ) -> Result<u64, WriteError>;

    /// Records the results of tasks, matched by tenant and epoch. A `found` replaces the recorded
    /// one if it is given. A `left` becomes the known version of the tenant; it is no change of
    /// the tenant's row, and needs no fsync, as the database itself has the version.
    ///
    /// # Errors
    /// Returns an error if they cannot be recorded, or the lease is lost.
    fn record(
        &self,
        lease: &mut Self::Lease,
        run: u64,
        tasks: &[Task],
        by: &Actor,
    ) -> Result<(), WriteError>;

    /// Records the outcome of a run. Tenants of tasks that are still pending get the known
    /// version back with which they were found.
    ///
    /// # Errors
    /// Returns an error if it cannot be recorded, or the lease is lost.
    fn end_run(
        &self,
        lease: &mut Self::Lease,
        run: u64,
        outcome: RunOutcome,
        by: &Actor,
    ) -> Result<(), WriteError>;

    /// Returns the last runs, newest first, at most `max`.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read.
    fn runs(&self, max: usize) -> Result<Vec<Run>, CatalogError>;

    /// Returns the number of the last run, 0 before the first.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read.
    fn last_run(&self) -> Result<u64, CatalogError>;

    /// Returns the last run if it is of this kind and target and did not end with
    /// [`RunOutcome::Done`].
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read.
    fn unfinished(&self, what: &str, target: &str) -> Result<Option<Unfinished>, CatalogError>;

    /// Returns the run of this number, or the last one of kind `migrate`; `None` if there is
    /// none. The tasks of the last migration and of the runs that undid it are kept; those of
    /// other runs may be dropped.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read.
    fn past_run(&self, number: Option<u64>) -> Result<Option<PastRun>, CatalogError>;

    /// Returns a tenant and its known schema; `None` if there is no tenant of this id.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn known_schema(&self, id: &TenantId) -> Result<Option<KnownSchema>, CatalogError>;

    /// Returns the tenants of a selection, by id. Tenants that are not in it should cost
    /// nothing: most have the newest schema.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn known_schemas(&self, which: Selection) -> Result<Vec<KnownSchema>, CatalogError>;

    /// Returns a tenant of the newest known schema that is not `provisioning` or `retiring`;
    /// `None` if no schema is known.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn newest_known(&self) -> Result<Option<Tenant>, CatalogError>;

    /// Returns the number of tenants at, below and above `newest`, and of unknown schema.
    /// Tenants that are `provisioning` or `retiring` count only if they are at `newest`.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn schema_counts(&self, newest: u32) -> Result<SchemaCounts, CatalogError>;

    /// Returns the known schemas of tenants by id, at most `max`, those after `after`.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn schema_page(
        &self,
        after: Option<&TenantId>,
        max: usize,
    ) -> Result<Vec<SchemaStatus>, CatalogError>;
}

/// A run that is about to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRun<'n> {
    /// The kind of run: `migrate`, `rollback` or `seed`.
    pub what: &'n str,
    /// The target in words. Two runs of the same kind and target do the same.
    pub target: &'n str,
    /// The schema version to which all tenants are brought, if there is one.
    pub version: Option<u32>,
    /// The run that this one undoes.
    pub undoes: Option<u64>,
}

impl NewRun<'_> {
    /// Returns whether the run changes the schemas of tenants.
    pub fn changes_schemas(&self) -> bool {
        self.version.is_some() || self.undoes.is_some()
    }
}

/// The task of a run for one tenant.
#[derive(Debug, Clone)]
pub struct Task {
    /// The tenant, of the incarnation that the task is for.
    pub tenant: Tenant,
    /// The state of the task.
    pub state: TaskState,
    /// The schema version at which the run found the database, if it is to be recorded.
    pub found: Option<u32>,
    /// The schema version that the database was seen to have after the work.
    pub left: Option<u32>,
    /// The reason, if the tenant failed or was skipped.
    pub why: Option<String>,
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Not recorded yet. After a run that was killed the database may be at either version.
    Pending,
    /// The work is done.
    Done,
    /// The work failed.
    Failed,
    /// The tenant was skipped.
    Skipped,
}

impl TaskState {
    /// All states of a task.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Done, Self::Failed, Self::Skipped];

    /// Returns its name in the journal: `pending`, `done`, `failed` or `skipped`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// The outcome of a run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// Every task is done or skipped.
    Done,
    /// A task failed or was not reached.
    Failed,
    /// The run was stopped on request.
    Stopped,
}

impl RunOutcome {
    /// All outcomes of a run.
    pub const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::Stopped];

    /// Returns its name in the journal: `done`, `failed` or `stopped`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// A run over many tenants, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The number of the run.
    pub run: u64,
    /// The kind of run: `migrate`, `rollback` or `seed`.
    pub what: Box<str>,
    /// The target in words.
    pub target: Box<str>,
    /// The run that it undid, if it is the rollback of one.
    pub undoes: Option<u64>,
    /// The actor of the run.
    pub actor: Box<str>,
    /// The time of its begin, in milliseconds since 1970.
    pub begun_ms: i64,
    /// The time of its end; `None` while it goes on, and if its process was killed.
    pub ended_ms: Option<i64>,
    /// The outcome, if it has ended.
    pub outcome: Option<RunOutcome>,
    /// Tenants that are done.
    pub done: u64,
    /// Tenants that failed.
    pub failed: u64,
    /// Tenants that were skipped.
    pub skipped: u64,
    /// Tenants that were not reached.
    pub pending: u64,
}

/// A run that did not end with [`RunOutcome::Done`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The schema version to which it brings all tenants, if there is one.
    pub version: Option<u32>,
    /// The tenants that it did not reach or that failed, each with the version at which its
    /// database was found.
    pub left: HashMap<TenantId, Option<u32>>,
}

/// A run that may be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// The number of the run.
    pub run: u64,
    /// The kind of run.
    pub what: Box<str>,
    /// The schema version to which it was to bring all tenants.
    pub version: Option<u32>,
    /// Whether its end is recorded.
    pub ended: bool,
    /// Its tasks by tenant id; empty if they are no longer kept.
    pub tasks: Vec<PastTask>,
    /// The numbers of the rollbacks that undid it, wholly or in part, ascending.
    pub undone_by: Vec<u64>,
}

/// The task of a past run for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastTask {
    /// The tenant of the task.
    pub tenant: TenantId,
    /// The incarnation that the task was for; `None` if it is not recorded.
    pub epoch: Option<Epoch>,
    /// The state of the task.
    pub state: TaskState,
    /// The schema version at which the run found the database.
    pub found: Option<u32>,
    /// The schema version at which the run left it, if that is recorded.
    pub left: Option<u32>,
    /// Whether a rollback of the run is done with this tenant.
    pub undone: bool,
}

impl Task {
    pub(crate) fn new(known: &KnownSchema, state: TaskState, why: Option<String>) -> Self {
        Self {
            tenant: known.tenant.clone(),
            state,
            found: known.schema,
            left: None,
            why,
        }
    }
}

//! [`RunJournal`]: the record of the runs over many tenants.

use std::collections::HashMap;

use tenancy_core::{Actor, CatalogError, CatalogWriter, Epoch, Tenant, TenantId, WriteError};

use crate::lease::LeaseError;
use crate::schema::{KnownSchema, SchemaCounts, SchemaStatus, Selection};

/// A catalog that also records the runs over many tenants, and the last known schema version of each
/// tenant.
///
/// With the journal a run can be resumed, and a rollback undoes exactly one run. The
/// [`Fleet`](crate::Fleet) makes all decisions; the journal stores its records:
///
/// 1. [`lease`](Self::lease) excludes other runs of any kind, in all processes.
/// 2. [`begin_run`](Self::begin_run) records every task before the first one is begun.
/// 3. [`record`](Self::record) records results as soon as they are ready.
/// 4. [`end_run`](Self::end_run) records the outcome. A run without an outcome was killed; a run of
///    the same kind and target resumes it.
///
/// If a lease can be lost, for example because it expires without heartbeats, the methods with a
/// `lease` parameter must check it in their own transaction and return an error once it is lost. A
/// run that has lost its lease then records nothing more and begins no further tenant.
pub trait RunJournal: CatalogWriter {
    /// The guard of a lease. The lease is released when the guard is dropped or its process ends.
    type Lease: Send;

    /// Takes the lease for a run of the kind `what`. Does not wait.
    ///
    /// # Errors
    /// Returns [`LeaseError::Held`] with the holder if another run has the lease, and another error
    /// if it cannot be taken.
    fn lease(&self, what: &str, by: &Actor) -> Result<Self::Lease, LeaseError>;

    /// Records the begin of a run and its tasks, and returns the number of the run. A task is
    /// [`Pending`](TaskState::Pending), or already has a result. The numbers of runs increase. A
    /// run that the lease refuses sees the number from then on.
    ///
    /// If the last run has the same kind and target and did not end with [`RunOutcome::Done`], it is
    /// resumed instead: it keeps its number and its other tasks, and its recorded end is removed.
    /// A task that is already recorded keeps its `found`, the version of the database before the
    /// first attempt, if the tenant has the same epoch and the new `found` is explained by that
    /// attempt: it equals the recorded `left` or, if none is recorded, lies between the recorded
    /// `found` and the [`version`](NewRun::version) of the run. Otherwise another operation has
    /// changed the schema, and the new `found` is recorded.
    ///
    /// If the run [changes schemas](NewRun::changes_schemas), the known version of each tenant with a
    /// pending task becomes unknown until the task is recorded.
    ///
    /// # Errors
    /// Returns an error if the run cannot be recorded, or the lease is lost; no tenant is begun then.
    fn begin_run(
        &self,
        lease: &mut Self::Lease,
        new: &NewRun<'_>,
        tasks: &[Task],
        by: &Actor,
    ) -> Result<u64, WriteError>;

    /// Records the results of tasks, which are identified by tenant and epoch. If `found` is set, it
    /// replaces the recorded one. If `left` is set, it becomes the known version of the tenant. This
    /// does not change the version of the tenant's row, and needs no fsync, as the database itself
    /// has its schema version.
    ///
    /// # Errors
    /// Returns an error if the results cannot be recorded, or the lease is lost.
    fn record(
        &self,
        lease: &mut Self::Lease,
        run: u64,
        tasks: &[Task],
        by: &Actor,
    ) -> Result<(), WriteError>;

    /// Records the outcome of a run. For tasks that are still pending, the `found` of the task becomes
    /// the known version of the tenant again.
    ///
    /// # Errors
    /// Returns an error if the outcome cannot be recorded, or the lease is lost.
    fn end_run(
        &self,
        lease: &mut Self::Lease,
        run: u64,
        outcome: RunOutcome,
        by: &Actor,
    ) -> Result<(), WriteError>;

    /// Returns the last `max` runs, newest first.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read.
    fn runs(&self, max: usize) -> Result<Vec<Run>, CatalogError>;

    /// Returns the number of the last run, or 0 if there is none.
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

    /// Returns the run of this number, or without a number the last run of kind `migrate`. Returns
    /// `None` if there is no such run. The journal must keep the tasks of the last migration and of
    /// the runs that undid it; it may drop the tasks of other runs.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read.
    fn past_run(&self, number: Option<u64>) -> Result<Option<PastRun>, CatalogError>;

    /// Returns a tenant and its known schema version, or `None` if no tenant has this id.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn known_schema(&self, id: &TenantId) -> Result<Option<KnownSchema>, CatalogError>;

    /// Returns the tenants of a selection, sorted by id. The cost should not depend on the tenants
    /// outside the selection, as usually most tenants have the newest schema.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn known_schemas(&self, which: Selection) -> Result<Vec<KnownSchema>, CatalogError>;

    /// Returns a tenant whose known schema version is the newest of all tenants that are neither
    /// `provisioning` nor `retiring`. Returns `None` if none of these has a known version.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn newest_known(&self) -> Result<Option<Tenant>, CatalogError>;

    /// Returns the number of tenants at, below and above the schema version `newest`, and of those
    /// with an unknown version. Tenants that are `provisioning` or `retiring` are counted only if
    /// they are at `newest`.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn schema_counts(&self, newest: u32) -> Result<SchemaCounts, CatalogError>;

    /// Returns the known schemas of at most `max` tenants after the id `after`, sorted by id.
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
    /// The target as text. Runs of the same kind and target do the same work.
    pub target: &'n str,
    /// The schema version that all tenants have after the run, if it is the same for all.
    pub version: Option<u32>,
    /// The number of the run that this run undoes, if any.
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
    /// The tenant, of the incarnation to change.
    pub tenant: Tenant,
    /// The state of the task.
    pub state: TaskState,
    /// The schema version of the database before the work, if it is to be recorded.
    pub found: Option<u32>,
    /// The schema version of the database after the work, if it could be read.
    pub left: Option<u32>,
    /// The reason why the tenant failed or was skipped.
    pub why: Option<String>,
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// No result is recorded. If the run was killed, the database may have the old schema version or
    /// any that the work leads to.
    Pending,
    /// The work is done.
    Done,
    /// The work failed.
    Failed,
    /// The tenant was skipped.
    Skipped,
}

impl TaskState {
    /// The list of all states.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Done, Self::Failed, Self::Skipped];

    /// Returns the name of the state in the journal: `pending`, `done`, `failed` or `skipped`.
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
    /// The list of all outcomes.
    pub const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::Stopped];

    /// Returns the name of the outcome in the journal: `done`, `failed` or `stopped`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// The record of a run over many tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The number of the run.
    pub run: u64,
    /// The kind of run: `migrate`, `rollback` or `seed`.
    pub what: Box<str>,
    /// The target as text.
    pub target: Box<str>,
    /// The number of the run that this run undid, if any.
    pub undoes: Option<u64>,
    /// The actor of the run.
    pub actor: Box<str>,
    /// The time of its begin, in milliseconds since 1970.
    pub begun_ms: i64,
    /// The time of its end, in milliseconds since 1970. `None` while the run is in progress, and if
    /// its process was killed.
    pub ended_ms: Option<i64>,
    /// The outcome, if the run has ended.
    pub outcome: Option<RunOutcome>,
    /// The number of tenants whose work is done.
    pub done: u64,
    /// The number of tenants that failed.
    pub failed: u64,
    /// The number of tenants that were skipped.
    pub skipped: u64,
    /// The number of tenants without a recorded result.
    pub pending: u64,
}

/// A run that did not end with [`RunOutcome::Done`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The schema version that all tenants have after the run, if it is the same for all.
    pub version: Option<u32>,
    /// The tenants that failed or have no recorded result, each with the schema version of its
    /// database before the work.
    pub left: HashMap<TenantId, Option<u32>>,
}

/// A run that may be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// The number of the run.
    pub run: u64,
    /// The kind of run.
    pub what: Box<str>,
    /// The schema version that all tenants were to have after the run.
    pub version: Option<u32>,
    /// Whether the end of the run is recorded.
    pub ended: bool,
    /// The tasks of the run, sorted by tenant id; empty if they are no longer kept.
    pub tasks: Vec<PastTask>,
    /// The numbers of the rollbacks that undid the run completely or in part, ascending.
    pub undone_by: Vec<u64>,
}

/// The task of a past run for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastTask {
    /// The tenant of the task.
    pub tenant: TenantId,
    /// The epoch of the incarnation to change; `None` if it is not recorded.
    pub epoch: Option<Epoch>,
    /// The state of the task.
    pub state: TaskState,
    /// The schema version of the database before the work, if it is recorded.
    pub found: Option<u32>,
    /// The schema version of the database after the work, if it is recorded.
    pub left: Option<u32>,
    /// Whether a rollback has undone the task.
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

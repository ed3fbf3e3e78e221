//! The engine of all operations on many tenants: several workers, and one thread that records the
//! results.

use std::sync::atomic::{AtomicUsize, Ordering};

use tenancy_core::Tenant;

use crate::driver::FleetDriver;
use crate::error::{FleetError, TenantError, with_causes};
use crate::fleet::{Fleet, is_owned_by_another_operation};
use crate::jobs::Jobs;
use crate::journal::{NewRun, RunJournal, RunOutcome, Task, TaskState};
use crate::options::FleetOptions;
use crate::report::{
    FleetReport, Progress, RunEnd, Skipped, TenantDone, TenantFailed, TenantSkipped,
};
use crate::schema::KnownSchema;

/// An operation on many tenants.
pub(crate) struct Operation<'o> {
    /// The kind and the target of the run.
    pub(crate) new: NewRun<'o>,
    pub(crate) options: &'o FleetOptions,
    /// The number of tenants that need no work.
    pub(crate) current: u64,
    /// The tenants to work on, each with the version that the survey read.
    pub(crate) chosen: Vec<KnownSchema>,
    pub(crate) skipped: Vec<(KnownSchema, Skipped)>,
    /// The tenants that are known to fail before the run begins. They are recorded as failed, but do
    /// not count as failures that stop the run.
    pub(crate) refused: Vec<(KnownSchema, TenantError)>,
}

/// The result of an operation on one tenant.
pub(crate) struct Done {
    /// The tenant and its incarnation, which is a new one after a restored snapshot.
    pub(crate) tenant: Tenant,
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// The schema version of its database now; `None` for an operation that changes no schemas.
    pub(crate) schema: Option<u32>,
    pub(crate) restored: bool,
}

impl<D: FleetDriver, C: RunJournal> Fleet<D, C> {
    /// Calls `work` for each chosen tenant, records the results, and reports the progress after each.
    pub(crate) fn run<W>(
        &self,
        lease: &mut C::Lease,
        operation: Operation<'_>,
        work: W,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<FleetReport, FleetError>
    where
        W: Fn(&KnownSchema, u64) -> Result<Done, TenantError> + Sync,
    {
        let mut report = FleetReport {
            current: operation.current,
            ..FleetReport::default()
        };
        let skipped = operation.skipped.iter();
        report.skipped = skipped.map(|(known, why)| skip(known, *why)).collect();
        let tasks = tasks(&operation);
        let Operation { new, options, .. } = operation;
        let (chosen, refused) = (operation.chosen, operation.refused);
        if chosen.is_empty() && refused.is_empty() && !self.is_unfinished(&new)? {
            return Ok(report);
        }
        let run = self.catalog.begin_run(lease, &new, &tasks, &options.by)?;
        report.run = Some(run);
        let refusals = refused.len();
        report.failed = refused.into_iter().map(fail).collect();
        let mut running = Running {
            fleet: self,
            lease,
            options,
            run,
            total: chosen.len(),
            refused: refusals,
            report,
        };
        let work = |known: &KnownSchema| work(known, run);
        let (first, rest) = chosen.split_at(options.canary.min(chosen.len()));
        running.over(first, &work, progress)?;
        if !first.is_empty() && !rest.is_empty() && running.failures() > 0 {
            running.report.end = RunEnd::Canary;
        }
        if running.report.end == RunEnd::Through {
            running.over(rest, &work, progress)?;
        }
        running.finish()
    }

    /// Returns whether the last run has this kind and target, and only its end is missing.
    fn is_unfinished(&self, new: &NewRun<'_>) -> Result<bool, FleetError> {
        let unfinished = self.catalog.unfinished(new.what, new.target)?;
        Ok(unfinished.is_some_and(|run| run.left.is_empty()))
    }

    /// Returns the reason why the work of a tenant is not done. If the tenant was retired, destroyed or
    /// replaced meanwhile, it counts as skipped, not as failed.
    fn miss(&self, known: &KnownSchema, error: TenantError) -> Missed {
        match self.catalog.known_schema(known.tenant.id()) {
            Ok(None) => Missed::Left(Skipped::Gone),
            Ok(Some(now)) if now.tenant.epoch() != known.tenant.epoch() => {
                Missed::Left(Skipped::Gone)
            }
            Ok(Some(now)) if is_owned_by_another_operation(now.tenant.status()) => {
                Missed::Left(Skipped::Status(now.tenant.status()))
            }
            _ => Missed::Failed(error),
        }
    }
}

/// The reason why the work of a chosen tenant is not done.
enum Missed {
    Failed(TenantError),
    Left(Skipped),
}

/// A run that has begun.
struct Running<'r, D, C: RunJournal> {
    fleet: &'r Fleet<D, C>,
    lease: &'r mut C::Lease,
    options: &'r FleetOptions,
    run: u64,
    /// The number of tenants to work on.
    total: usize,
    /// The number of tenants that were known to fail before the run began.
    refused: usize,
    report: FleetReport,
}

impl<D: FleetDriver, C: RunJournal> Running<'_, D, C> {
    fn failures(&self) -> usize {
        self.report.failed.len() - self.refused
    }

    fn reached(&self) -> usize {
        self.report.done.len() + self.failures()
    }

    /// Records the outcome and returns the report.
    fn finish(self) -> Result<FleetReport, FleetError> {
        let left = self.total - self.reached();
        let mut report = self.report;
        report.not_reached = left as u64;
        report.done.sort_by(|a, b| a.tenant.id.cmp(&b.tenant.id));
        report.failed.sort_by(|a, b| a.tenant.id.cmp(&b.tenant.id));
        report.skipped.sort_by(|a, b| a.tenant.id.cmp(&b.tenant.id));
        let outcome = match report.end {
            RunEnd::Stopped => RunOutcome::Stopped,
            _ if report.is_complete() => RunOutcome::Done,
            _ => RunOutcome::Failed,
        };
        let (run, by) = (self.run, &self.options.by);
        self.fleet.catalog.end_run(self.lease, run, outcome, by)?;
        Ok(report)
    }

    /// Processes some of the tenants.
    fn over<W>(
        &mut self,
        chosen: &[KnownSchema],
        work: &W,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FleetError>
    where
        W: Fn(&KnownSchema) -> Result<Done, TenantError> + Sync,
    {
        let options = self.options;
        // The workers count failures, so that none of them begins a tenant after the bound is
        // exceeded.
        let failures = AtomicUsize::new(self.failures());
        let proceed = || {
            !options.stop.is_requested() && failures.load(Ordering::Relaxed) <= options.max_failures
        };
        let fleet = self.fleet;
        let work = |known: &KnownSchema| {
            let result = work(known).map_err(|error| fleet.miss(known, error));
            let failed = matches!(result, Err(Missed::Failed(_)));
            failures.fetch_add(usize::from(failed), Ordering::Relaxed);
            result
        };
        Jobs::clamped(options.jobs).run(chosen, proceed, work, |results| {
            self.record(chosen, results, progress)
        })?;
        let failed = self.failures();
        // A failure of the last tenant or a stop during it leaves no tenant unreached.
        self.report.end = if self.reached() == self.total {
            RunEnd::Through
        } else if failed > options.max_failures {
            RunEnd::Failures
        } else if options.stop.is_requested() {
            RunEnd::Stopped
        } else {
            RunEnd::Through
        };
        Ok(())
    }

    fn record(
        &mut self,
        chosen: &[KnownSchema],
        results: Vec<(usize, Result<Done, Missed>)>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FleetError> {
        let mut tasks = Vec::with_capacity(results.len());
        for (at, result) in results {
            tasks.push(self.settle(&chosen[at], result));
        }
        let (run, by) = (self.run, &self.options.by);
        self.fleet.catalog.record(self.lease, run, &tasks, by)?;
        progress(Progress {
            done: self.reached() as u64,
            failed: self.failures() as u64,
            total: self.total as u64,
        });
        Ok(())
    }

    /// Reports the result of one tenant, and returns its task to be recorded.
    fn settle(&mut self, known: &KnownSchema, result: Result<Done, Missed>) -> Task {
        match result {
            Ok(done) => {
                // The task keeps the epoch of the old incarnation.
                let mut task = Task::new(known, TaskState::Done, None);
                // Another operation has already changed it: this run's `found` is the target.
                let by_others = done.from == done.to && known.schema != Some(done.to);
                let is_seed = done.schema.is_none();
                task.found = (is_seed || by_others).then_some(done.from);
                task.left = done.schema;
                self.report.done.push(TenantDone {
                    tenant: done.tenant.to_ref(),
                    from: done.from,
                    to: done.to,
                    restored: done.restored,
                });
                task
            }
            Err(Missed::Failed(error)) => {
                let mut task = Task::new(known, TaskState::Failed, Some(with_causes(&error)));
                task.found = None;
                // The steps before the failed one stay applied.
                task.left = self.fleet.driver.schema_of(&known.tenant).ok();
                self.report.failed.push(fail((known.clone(), error)));
                task
            }
            Err(Missed::Left(why)) => {
                self.total -= 1;
                self.report.skipped.push(skip(known, why));
                Task::new(known, TaskState::Skipped, Some(why.to_string()))
            }
        }
    }
}

/// Returns the tasks of an operation before anything is done.
fn tasks(operation: &Operation<'_>) -> Vec<Task> {
    let chosen = operation.chosen.iter();
    let pending = chosen.map(|known| Task::new(known, TaskState::Pending, None));
    let skipped = operation.skipped.iter();
    let skipped =
        skipped.map(|(known, why)| Task::new(known, TaskState::Skipped, Some(why.to_string())));
    let refused = operation.refused.iter();
    let failed =
        refused.map(|(known, why)| Task::new(known, TaskState::Failed, Some(with_causes(why))));
    pending.chain(skipped).chain(failed).collect()
}

/// Returns the report of a skipped tenant.
pub(crate) fn skip(known: &KnownSchema, why: Skipped) -> TenantSkipped {
    TenantSkipped {
        tenant: known.tenant.to_ref(),
        why,
    }
}

fn fail((known, error): (KnownSchema, TenantError)) -> TenantFailed {
    TenantFailed {
        tenant: known.tenant.to_ref(),
        error,
    }
}

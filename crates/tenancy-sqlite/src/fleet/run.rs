//! One operation on many tenants: workers that do it, and one thread that writes down
//! what became of each.

use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use tenancy_core::{Tenant, TenantId, TenantStatus, WriteError};

use super::Fleet;
use super::lease::Lease;
use super::options::FleetOptions;
use super::report::{
    FleetReport, LeftOut, Progress, RunEnd, TenantDone, TenantFailed, TenantLeftOut,
};
use crate::catalog::{Known, NewRun, Outcome, State};
use crate::error::{FileError, FleetError};

/// At most so many results are written in one transaction of the catalog.
const RECORDED_AT_ONCE: usize = 64;

/// An operation on many tenants.
pub(super) struct Operation<'o> {
    /// A run that did not come to its end is gone on with by the next one of the same
    /// word and target.
    pub(super) new: NewRun<'o>,
    pub(super) options: &'o FleetOptions,
    pub(super) current: u64,
    /// Those to be worked on, each with the version that its file was found at.
    pub(super) chosen: Vec<Known>,
    pub(super) left_out: Vec<(Known, LeftOut)>,
    /// Those that it cannot be done for, as was found before anything is begun. They
    /// tell nothing about the others and stop nothing.
    pub(super) refused: Vec<(Known, FileError)>,
}

/// What an operation did to a tenant.
pub(super) struct Did {
    pub(super) tenant: Tenant,
    pub(super) from: u32,
    pub(super) to: u32,
    /// The schema version of its file now.
    pub(super) schema: Option<u32>,
    pub(super) restored: bool,
}

impl Fleet {
    /// The tenants of these ids, by id.
    pub(super) fn named(&self, ids: &[TenantId]) -> Result<Vec<Known>, FleetError> {
        let mut ids: Vec<_> = ids.iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let known = self.catalog.known(id)?;
            found.push(known.ok_or_else(|| WriteError::Unknown { id: id.clone() })?);
        }
        Ok(found)
    }

    /// Looks at which version the file of each is; what cannot be read has none, and says
    /// why when it is its turn. None if it was told to stop meanwhile.
    pub(super) fn survey(&self, chosen: &mut [Known], options: &FleetOptions) -> Option<()> {
        let versions = ask_all(chosen, options, |known| {
            self.driver.shared.schema_of(&known.tenant)
        });
        for (known, version) in chosen.iter_mut().zip(versions) {
            known.schema = version?.ok();
        }
        Some(())
    }

    /// The version at which the file of a tenant was found before the run began; else why
    /// it could not be read.
    pub(super) fn surveyed(&self, known: &Known) -> Result<u32, FileError> {
        match known.schema {
            Some(version) => Ok(version),
            None => {
                self.driver.shared.schema_of(&known.tenant)?;
                let tenant = known.tenant.to_ref();
                Err(FileError::NotSurveyed { tenant })
            }
        }
    }

    /// Does `work` for every tenant that was chosen, tells `progress` after each, and
    /// writes down what became of it.
    pub(super) fn run<W>(
        &self,
        lease: &mut Lease,
        operation: Operation<'_>,
        work: W,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<FleetReport, FleetError>
    where
        W: Fn(&Known, u64) -> Result<Did, FileError> + Sync,
    {
        let mut report = FleetReport {
            current: operation.current,
            ..FleetReport::default()
        };
        let left_out = operation.left_out.iter();
        report.left_out = left_out.map(|(known, why)| left(known, *why)).collect();
        let Operation { new, options, .. } = operation;
        let (chosen, refused) = (operation.chosen, operation.refused);
        if chosen.is_empty() && refused.is_empty() && !self.is_unfinished(&new)? {
            return Ok(report);
        }
        let step = |name| self.driver.shared.step(name);
        step("begin a run")?;
        let tasks = tasks(&chosen, &operation.left_out, &refused);
        let run = self.catalog.begin_run(&new, &options.by, &tasks)?;
        lease.is_of(run)?;
        report.run = Some(run);
        let refusals = refused.len();
        report.failed = refused.into_iter().map(failed).collect();
        let mut running = Running {
            fleet: self,
            options,
            run,
            total: chosen.len(),
            refused: refusals,
            report,
        };
        let work = |known: &Known| work(known, run);
        let (first, rest) = chosen.split_at(options.canary.min(chosen.len()));
        running.over(first, &work, progress)?;
        if !first.is_empty() && !rest.is_empty() && running.failures() > 0 {
            running.report.end = RunEnd::Canary;
        }
        if running.report.end == RunEnd::Through {
            running.over(rest, &work, progress)?;
        }
        let report = running.finish();
        let outcome = match report.end {
            RunEnd::Stopped => "stopped",
            _ if report.is_complete() => "done",
            _ => "failed",
        };
        step("end a run")?;
        self.catalog.end_run(run, outcome, &options.by)?;
        Ok(report)
    }

    fn is_unfinished(&self, new: &NewRun<'_>) -> Result<bool, FleetError> {
        let unfinished = self.catalog.unfinished(new.what, new.target)?;
        Ok(unfinished.is_some_and(|run| run.left.is_empty()))
    }

    /// Why a tenant failed; or that it left while it was worked on, which is nobody's
    /// failure.
    fn why(&self, known: &Known, error: FileError) -> Missed {
        match self.catalog.known(known.tenant.id()) {
            Ok(None) => Missed::Left(LeftOut::Gone),
            Ok(Some(now)) if now.tenant.epoch() != known.tenant.epoch() => {
                Missed::Left(LeftOut::Gone)
            }
            Ok(Some(now)) if is_in_other_hands(now.tenant.status()) => {
                Missed::Left(LeftOut::Status(now.tenant.status()))
            }
            _ => Missed::Failed(error),
        }
    }
}

/// Why a tenant that was chosen was not worked on to its end.
enum Missed {
    Failed(FileError),
    Left(LeftOut),
}

struct Running<'r> {
    fleet: &'r Fleet,
    options: &'r FleetOptions,
    run: u64,
    /// Those to be worked on.
    total: usize,
    /// Those that it failed for before it began.
    refused: usize,
    report: FleetReport,
}

impl Running<'_> {
    fn failures(&self) -> usize {
        self.report.failed.len() - self.refused
    }

    fn reached(&self) -> usize {
        self.report.done.len() + self.failures()
    }

    fn finish(self) -> FleetReport {
        let left = self.total - self.reached();
        let mut report = self.report;
        report.not_reached = left as u64;
        report.done.sort_by(|a, b| a.tenant.id.cmp(&b.tenant.id));
        report.failed.sort_by(|a, b| a.tenant.id.cmp(&b.tenant.id));
        report
            .left_out
            .sort_by(|a, b| a.tenant.id.cmp(&b.tenant.id));
        report
    }

    fn over<W>(
        &mut self,
        chosen: &[Known],
        work: &W,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FleetError>
    where
        W: Fn(&Known) -> Result<Did, FileError> + Sync,
    {
        let options = self.options;
        // Asked by the worker itself: what comes after one failure too many is not begun.
        let failures = AtomicUsize::new(self.failures());
        let go_on =
            || !options.stop.is_asked() && failures.load(Ordering::Relaxed) <= options.max_failures;
        let fleet = self.fleet;
        let work = |known: &Known| {
            let result = work(known).map_err(|error| fleet.why(known, error));
            let failed = matches!(result, Err(Missed::Failed(_)));
            failures.fetch_add(usize::from(failed), Ordering::Relaxed);
            result
        };
        in_parallel(chosen, options.jobs, go_on, work, |results| {
            self.record(chosen, results, progress)
        })?;
        let failed = self.failures();
        // What fails or is asked with the last tenant keeps nobody from his turn.
        self.report.end = if self.reached() == self.total {
            RunEnd::Through
        } else if failed > options.max_failures {
            RunEnd::Failures
        } else if options.stop.is_asked() {
            RunEnd::Stopped
        } else {
            RunEnd::Through
        };
        Ok(())
    }

    fn record(
        &mut self,
        chosen: &[Known],
        results: Vec<(usize, Result<Did, Missed>)>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FleetError> {
        let mut outcomes = Vec::with_capacity(results.len());
        for (at, result) in results {
            outcomes.push(self.outcome(&chosen[at], result));
        }
        self.fleet.driver.shared.step("record what was done")?;
        let by = &self.options.by;
        self.fleet.catalog.record(self.run, &outcomes, by)?;
        progress(Progress {
            done: self.reached() as u64,
            failed: self.failures() as u64,
            total: self.total as u64,
        });
        Ok(())
    }

    /// What is written down of one tenant, and reported.
    fn outcome(&mut self, known: &Known, result: Result<Did, Missed>) -> Outcome {
        let shared = &self.fleet.driver.shared;
        match result {
            Ok(did) => {
                // Of the incarnation that the task is of.
                let mut outcome = task(known, State::Done, None);
                // Somebody else brought it there: the run has found it so.
                let by_others = did.from == did.to && known.schema != Some(did.to);
                let is_seed = did.schema.is_none();
                outcome.from = (is_seed || by_others).then_some(did.from);
                outcome.now = did.schema;
                self.report.done.push(TenantDone {
                    tenant: did.tenant.to_ref(),
                    from: did.from,
                    to: did.to,
                    restored: did.restored,
                });
                outcome
            }
            Err(Missed::Failed(error)) => {
                let mut outcome = task(known, State::Failed, Some(with_causes(&error)));
                outcome.from = None;
                // The steps before the one that failed stay.
                outcome.now = shared.schema_of(&known.tenant).ok();
                self.report.failed.push(failed((known.clone(), error)));
                outcome
            }
            Err(Missed::Left(why)) => {
                self.total -= 1;
                self.report.left_out.push(left(known, why));
                task(known, State::Skipped, Some(why.to_string()))
            }
        }
    }
}

/// Does `work` for each item on some threads, as long as `go_on` says so, and hands the
/// results, in whatever order they come, to `each` on this one. What was begun is
/// finished and handed over; when `each` fails, nothing more is begun.
pub(super) fn in_parallel<T: Sync, R: Send, E>(
    items: &[T],
    jobs: usize,
    go_on: impl Fn() -> bool + Sync,
    work: impl Fn(&T) -> R + Sync,
    mut each: impl FnMut(Vec<(usize, R)>) -> Result<(), E>,
) -> Result<(), E> {
    let (next, halt) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        let (next, halt, go_on, work) = (&next, &halt, &go_on, &work);
        for _ in 0..jobs.min(items.len()) {
            let send = send.clone();
            scope.spawn(move || {
                while !halt.load(Ordering::Relaxed)
                    && go_on()
                    && let at = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(item) = items.get(at)
                {
                    // The receiver lives as long as this scope.
                    let _ = send.send((at, work(item)));
                }
            });
        }
        drop(send);
        let mut failed = None;
        while let Ok(first) = receive.recv() {
            let mut results = vec![first];
            results.extend(receive.try_iter().take(RECORDED_AT_ONCE - 1));
            if let Err(error) = each(results) {
                halt.store(true, Ordering::Relaxed);
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    })
}

/// Asks something about each item; `None` where it was told to stop before.
pub(super) fn ask_all<T: Sync, R: Send>(
    items: &[T],
    options: &FleetOptions,
    ask: impl Fn(&T) -> R + Sync,
) -> Vec<Option<R>> {
    let mut answers: Vec<_> = items.iter().map(|_| None).collect();
    let go_on = || !options.stop.is_asked();
    let collect = |some: Vec<(usize, R)>| {
        for (at, answer) in some {
            answers[at] = Some(answer);
        }
        Ok::<_, Infallible>(())
    };
    let Ok(()) = in_parallel(items, options.jobs, go_on, ask, collect);
    answers
}

/// Takes out what is not to be worked on.
pub(super) fn leave_out(
    chosen: Vec<Known>,
    options: &FleetOptions,
) -> (Vec<Known>, Vec<(Known, LeftOut)>) {
    let (mut kept, mut left_out) = (Vec::with_capacity(chosen.len()), Vec::new());
    for known in chosen {
        match known.tenant.status() {
            _ if options.skip.contains(known.tenant.id()) => {
                left_out.push((known, LeftOut::Skipped));
            }
            status if is_in_other_hands(status) => {
                left_out.push((known, LeftOut::Status(status)));
            }
            _ => kept.push(known),
        }
    }
    (kept, left_out)
}

/// Whether its file is being made, taken away, or gone.
fn is_in_other_hands(status: TenantStatus) -> bool {
    matches!(status, TenantStatus::Provisioning | TenantStatus::Retiring)
}

/// What a run is to do, before anything is done.
fn tasks(
    chosen: &[Known],
    left_out: &[(Known, LeftOut)],
    refused: &[(Known, FileError)],
) -> Vec<Outcome> {
    let pending = chosen.iter().map(|known| task(known, State::Pending, None));
    let skipped = left_out.iter();
    let skipped = skipped.map(|(known, why)| task(known, State::Skipped, Some(why.to_string())));
    let failed = refused.iter();
    let failed = failed.map(|(known, why)| task(known, State::Failed, Some(with_causes(why))));
    pending.chain(skipped).chain(failed).collect()
}

pub(super) fn left(known: &Known, why: LeftOut) -> TenantLeftOut {
    TenantLeftOut {
        tenant: known.tenant.to_ref(),
        why,
    }
}

fn failed((known, error): (Known, FileError)) -> TenantFailed {
    TenantFailed {
        tenant: known.tenant.to_ref(),
        error,
    }
}

fn task(known: &Known, state: State, why: Option<String>) -> Outcome {
    Outcome {
        tenant: known.tenant.clone(),
        state,
        from: known.schema,
        now: None,
        why,
    }
}

/// The text of an error and of all its causes.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

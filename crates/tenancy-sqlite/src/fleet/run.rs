//! One operation on many tenants: workers that do it, and one thread that writes down
//! what became of each.

use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use tenancy_core::{Tenant, TenantId, TenantStatus, WriteError};

use super::Fleet;
use super::options::FleetOptions;
use super::report::{
    FleetReport, LeftOut, Progress, RunEnd, TenantDone, TenantFailed, TenantLeftOut,
};
use crate::catalog::{Known, Outcome, State};
use crate::error::{FileError, FleetError};

/// At most so many results are written in one transaction of the catalog.
const RECORDED_AT_ONCE: usize = 64;

/// An operation on many tenants.
pub(super) struct Operation<'o> {
    /// Its word in the catalog.
    pub(super) what: &'static str,
    /// What it is to reach: a run that did not come to its end is gone on with by the
    /// next one of the same word and target.
    pub(super) target: String,
    pub(super) options: &'o FleetOptions,
    pub(super) current: u64,
    pub(super) chosen: Vec<Known>,
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

    /// Does `work` for every tenant that was chosen, tells `progress` after each, and
    /// writes down what became of it.
    pub(super) fn run<W>(
        &self,
        operation: Operation<'_>,
        work: W,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<FleetReport, FleetError>
    where
        W: Fn(&Known) -> Result<Did, FileError> + Sync,
    {
        let Operation {
            what,
            target,
            options,
            current,
            chosen,
        } = operation;
        let mut report = FleetReport {
            current,
            ..FleetReport::default()
        };
        let (chosen, left_out) = leave_out(chosen, options);
        report.left_out = left_out
            .iter()
            .map(|(known, why)| TenantLeftOut {
                tenant: known.tenant.to_ref(),
                why: *why,
            })
            .collect();
        if chosen.is_empty() {
            return Ok(report);
        }
        let step = |name| self.driver.shared.step(name);
        step("begin a run")?;
        let pending = chosen.iter().map(|known| task(known, State::Pending, None));
        let skipped = left_out
            .iter()
            .map(|(known, why)| task(known, State::Skipped, Some(why.to_string())));
        let tasks: Vec<_> = pending.chain(skipped).collect();
        let run = self.catalog.begin_run(what, &target, &options.by, &tasks)?;
        report.run = Some(run);
        let mut running = Running {
            fleet: self,
            options,
            run,
            total: chosen.len(),
            report,
        };
        let (first, rest) = chosen.split_at(options.canary.min(chosen.len()));
        running.over(first, &work, progress)?;
        if !first.is_empty() && !rest.is_empty() && !running.report.failed.is_empty() {
            running.report.end = RunEnd::Canary;
        }
        if running.report.end == RunEnd::Through {
            running.over(rest, &work, progress)?;
        }
        let mut report = running.report;
        let reached = report.done.len() + report.failed.len();
        report.not_reached = (chosen.len() - reached) as u64;
        report.done.sort_by(|a, b| a.tenant.id.cmp(&b.tenant.id));
        report.failed.sort_by(|a, b| a.tenant.id.cmp(&b.tenant.id));
        let outcome = match report.end {
            RunEnd::Stopped => "stopped",
            _ if report.is_complete() => "done",
            _ => "failed",
        };
        step("end a run")?;
        self.catalog.end_run(run, outcome, &options.by)?;
        Ok(report)
    }
}

struct Running<'r> {
    fleet: &'r Fleet,
    options: &'r FleetOptions,
    run: u64,
    total: usize,
    report: FleetReport,
}

impl Running<'_> {
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
        let failures = AtomicUsize::new(self.report.failed.len());
        let go_on =
            || !options.stop.is_asked() && failures.load(Ordering::Relaxed) <= options.max_failures;
        let work = |known: &Known| {
            let result = work(known);
            failures.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
            result
        };
        in_parallel(chosen, options.jobs, go_on, work, |results| {
            self.record(chosen, results, progress)
        })?;
        let failed = self.report.failed.len();
        // What fails or is asked with the last tenant keeps nobody from his turn.
        self.report.end = if failed + self.report.done.len() == self.total {
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
        results: Vec<(usize, Result<Did, FileError>)>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FleetError> {
        let mut outcomes = Vec::with_capacity(results.len());
        for (at, result) in results {
            let known = &chosen[at];
            match result {
                Ok(did) => {
                    outcomes.push(Outcome {
                        // Of the incarnation that the task is of.
                        tenant: known.tenant.clone(),
                        state: State::Done,
                        from: Some(did.from),
                        now: did.schema,
                        why: None,
                    });
                    self.report.done.push(TenantDone {
                        tenant: did.tenant.to_ref(),
                        from: did.from,
                        to: did.to,
                        restored: did.restored,
                    });
                }
                Err(error) => {
                    outcomes.push(Outcome {
                        tenant: known.tenant.clone(),
                        state: State::Failed,
                        from: known.schema,
                        // The steps before the one that failed stay.
                        now: self.fleet.driver.shared.schema_of(&known.tenant).ok(),
                        why: Some(with_causes(&error)),
                    });
                    self.report.failed.push(TenantFailed {
                        tenant: known.tenant.to_ref(),
                        error,
                    });
                }
            }
        }
        self.fleet.driver.shared.step("record what was done")?;
        let by = &self.options.by;
        self.fleet.catalog.record(self.run, &outcomes, by)?;
        let failed = self.report.failed.len();
        progress(Progress {
            done: (self.report.done.len() + failed) as u64,
            failed: failed as u64,
            total: self.total as u64,
        });
        Ok(())
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
            status @ (TenantStatus::Provisioning | TenantStatus::Retiring) => {
                left_out.push((known, LeftOut::Status(status)));
            }
            _ => kept.push(known),
        }
    }
    (kept, left_out)
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

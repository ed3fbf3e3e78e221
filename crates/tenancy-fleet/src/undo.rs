//! The draft of a rollback that undoes exactly one run.

use std::collections::HashMap;

use tenancy_core::{Epoch, TenantId};

use crate::draft::Draft;
use crate::driver::FleetDriver;
use crate::error::{FleetError, RollbackRefusal, TenantError};
use crate::fleet::Fleet;
use crate::journal::{PastRun, PastTask, RunJournal, TaskState, Unfinished};
use crate::options::FleetOptions;
use crate::report::Skipped;
use crate::schema::KnownSchema;

/// The change that a run made to one tenant.
#[derive(Debug, Clone, Copy)]
struct Deed {
    /// The incarnation that the run changed.
    epoch: Option<Epoch>,
    /// The version before the run.
    found: u32,
    left: Left,
}

/// The version at which a run left a tenant.
#[derive(Debug, Clone, Copy)]
enum Left {
    At(u32),
    /// Any version above the one before the run, up to this one: the run was killed before it
    /// recorded the result.
    Upto(u32),
}

impl Left {
    fn may_be(self, found: u32, now: u32) -> bool {
        match self {
            Self::At(version) => now == version,
            Self::Upto(version) => found < now && now <= version,
        }
    }

    fn version(self) -> u32 {
        match self {
            Self::At(version) | Self::Upto(version) => version,
        }
    }
}

impl Deed {
    /// Returns the change of a task, or `None` if it has changed nothing that can be undone.
    fn of(task: &PastTask, run: &PastRun) -> Option<Self> {
        let found = task.found?;
        let left = match task.state {
            TaskState::Done => Left::At(task.left.filter(|left| *left > found)?),
            // Runs of earlier catalog formats have no version here: `?` ignores them.
            TaskState::Pending if !run.ended => Left::Upto(run.version?),
            _ => return None,
        };
        let epoch = task.epoch;
        Some(Self { epoch, found, left })
    }

    /// Returns whether the tenant still is the incarnation that the run changed.
    fn is_of(&self, known: &KnownSchema) -> bool {
        self.epoch == Some(known.tenant.epoch())
    }
}

impl<D: FleetDriver, C: RunJournal> Fleet<D, C> {
    /// Drafts the rollback of the run of this number, or without a number of the last migration.
    pub(crate) fn draft_undo(
        &self,
        number: Option<u64>,
        options: &FleetOptions,
    ) -> Result<Draft, FleetError> {
        let past = self.past_migration(number)?;
        let run = past.run;
        let mut draft = Draft {
            target: format!("run {run}"),
            undoes: Some(run),
            ..Draft::default()
        };
        let chosen = self.named_or_all(options)?.into_iter();
        let mut chosen: HashMap<TenantId, KnownSchema> = chosen
            .map(|known| (known.tenant.id().clone(), known))
            .collect();
        let (mut deeds, mut open) = (HashMap::new(), Vec::new());
        let mut any_undone = false;
        for task in &past.tasks {
            let Some(known) = chosen.remove(&task.tenant) else {
                continue;
            };
            match Deed::of(task, &past) {
                _ if task.undone => {
                    any_undone = true;
                    draft.current += 1;
                }
                _ if task.state == TaskState::Failed => {
                    draft.skipped.push((known, Skipped::FailedInRun(run)));
                }
                None => draft.current += 1,
                Some(deed) => {
                    deeds.insert(task.tenant.clone(), deed);
                    open.push(known);
                }
            }
        }
        let any_open = !open.is_empty();
        let unfinished = self.catalog.unfinished("rollback", &draft.target)?;
        let open = self.choose(&mut draft, open, options);
        let all_skipped = any_open && open.is_empty();
        for known in open {
            let deed = deeds.get(known.tenant.id()).copied();
            any_undone |= deed.is_some_and(|deed| place(&mut draft, known, deed, run, &unfinished));
        }
        let nothing = draft.going.is_empty() && draft.refused.is_empty();
        match nothing && !all_skipped && unfinished.is_none() {
            true => Err(past.refusal(any_undone).into()),
            false => Ok(draft),
        }
    }

    fn past_migration(&self, number: Option<u64>) -> Result<PastRun, FleetError> {
        let past = self.catalog.past_run(number)?;
        let refusal = match (past, number) {
            (None, None) => RollbackRefusal::NoMigration,
            (None, Some(run)) => RollbackRefusal::NoSuchRun { run },
            (Some(past), _) if *past.what != *"migrate" => RollbackRefusal::NotAMigration {
                run: past.run,
                what: past.what,
            },
            (Some(past), _) if past.tasks.is_empty() => {
                RollbackRefusal::TasksNotKept { run: past.run }
            }
            (Some(past), _) => return Ok(past),
        };
        Err(refusal.into())
    }
}

impl PastRun {
    /// Returns the reason why there is nothing to undo.
    fn refusal(self, any_undone: bool) -> RollbackRefusal {
        let run = self.run;
        match any_undone {
            true => RollbackRefusal::AlreadyUndone {
                run,
                by: self.undone_by,
            },
            false => RollbackRefusal::NothingToUndo { run },
        }
    }
}

/// Adds a tenant to the draft, and returns whether it is already rolled back.
fn place(
    draft: &mut Draft,
    known: KnownSchema,
    deed: Deed,
    run: u64,
    unfinished: &Option<Unfinished>,
) -> bool {
    let (found, left) = (deed.found, deed.left);
    let open = unfinished.as_ref();
    let begun = open.and_then(|rollback| rollback.left.get(known.tenant.id()).copied());
    // A rollback that failed or was killed between two steps leaves a version in between.
    let is_on_the_way =
        |now| begun.is_some_and(|began| found < now && now <= began.unwrap_or(left.version()));
    // Another epoch means another incarnation, unless an unfinished rollback restored it.
    let is_gone =
        !deed.is_of(&known) && (begun.is_none() || known.schema.is_some_and(|now| now != found));
    match known.schema {
        _ if is_gone => draft.skipped.push((known, Skipped::Gone)),
        // If an unfinished rollback has not recorded this tenant, it is processed again.
        Some(now) if now == found && begun.is_none() => {
            draft.current += 1;
            return matches!(left, Left::At(_));
        }
        Some(now) if now != found && !left.may_be(found, now) && !is_on_the_way(now) => {
            let error = TenantError::ChangedSince {
                tenant: known.tenant.to_ref(),
                run,
                left: left.version(),
                found: now,
            };
            draft.refused.push((known, error));
        }
        // The error of a database that cannot be read is reported when the run works on it.
        _ => draft.going.push((known, found)),
    }
    false
}

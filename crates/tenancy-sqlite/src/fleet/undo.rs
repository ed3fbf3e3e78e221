//! Taking back what one run did, and nothing else.

use std::collections::HashMap;

use tenancy_core::TenantId;

use super::Fleet;
use super::options::FleetOptions;
use super::report::LeftOut;
use super::rollback::Draft;
use crate::catalog::{Known, PastRun, PastTask, State, Unfinished};
use crate::error::{FileError, FleetError, NotUndone};

/// What a run did to one tenant.
#[derive(Debug, Clone, Copy)]
struct Deed {
    /// Where it found it.
    was: u32,
    left: Left,
}

/// Where a run left a tenant.
#[derive(Debug, Clone, Copy)]
enum Left {
    At(u32),
    /// Anywhere above where it found it: it was killed before it wrote that down.
    Upto(u32),
}

impl Left {
    fn may_be(self, was: u32, found: u32) -> bool {
        match self {
            Self::At(version) => found == version,
            Self::Upto(version) => was < found && found <= version,
        }
    }

    fn version(self) -> u32 {
        match self {
            Self::At(version) | Self::Upto(version) => version,
        }
    }
}

impl PastTask {
    /// What it did, if it may have done anything that is to be taken back.
    fn deed(&self, run: &PastRun) -> Option<Deed> {
        let was = self.was?;
        let left = match self.state {
            State::Done => Left::At(self.now.filter(|now| *now > was)?),
            // Of an earlier format's run it is not known where it found them.
            State::Pending if !run.ended => Left::Upto(run.version?),
            _ => return None,
        };
        Some(Deed { was, left })
    }
}

impl Fleet {
    /// Who goes where if a migration is taken back, the last one or that of this number.
    pub(super) fn draft_undo(
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
        let chosen = match &options.only {
            Some(ids) => self.named(ids)?,
            None => self.catalog.all_known()?,
        };
        let mut chosen: HashMap<TenantId, Known> = chosen
            .into_iter()
            .map(|known| (known.tenant.id().clone(), known))
            .collect();
        let (mut deeds, mut open) = (HashMap::new(), Vec::new());
        let mut back = false;
        for task in &past.tasks {
            let Some(known) = chosen.remove(&task.tenant) else {
                continue;
            };
            let deed = task.deed(&past);
            match deed {
                _ if task.undone => {
                    back = true;
                    draft.current += 1;
                }
                _ if task.state == State::Failed => {
                    draft.left_out.push((known, LeftOut::FailedInRun(run)));
                }
                None => draft.current += 1,
                Some(_) if task.epoch != Some(known.tenant.epoch()) => {
                    draft.left_out.push((known, LeftOut::Gone));
                }
                Some(deed) => {
                    deeds.insert(task.tenant.clone(), deed);
                    open.push(known);
                }
            }
        }
        let any = !open.is_empty();
        let unfinished = self.catalog.unfinished("rollback", &draft.target)?;
        let open = self.chosen(&mut draft, open, options);
        let all_left_out = any && open.is_empty();
        for known in open {
            let deed = deeds.get(known.tenant.id()).copied();
            back |= deed.is_some_and(|deed| place(&mut draft, known, deed, run, &unfinished));
        }
        let nothing = draft.going.is_empty() && draft.refused.is_empty();
        match nothing && !all_left_out && unfinished.is_none() {
            true => Err(FleetError::NotUndone(past.why_not(back))),
            false => Ok(draft),
        }
    }

    fn past_migration(&self, number: Option<u64>) -> Result<PastRun, FleetError> {
        let past = self.catalog.past_run(number)?;
        let why = match (past, number) {
            (None, None) => NotUndone::NoMigration,
            (None, Some(run)) => NotUndone::NoSuchRun { run },
            (Some(past), _) if *past.what != *"migrate" => NotUndone::NotAMigration {
                run: past.run,
                what: past.what,
            },
            (Some(past), _) if past.tasks.is_empty() => NotUndone::Forgotten { run: past.run },
            (Some(past), _) => return Ok(past),
        };
        Err(FleetError::NotUndone(why))
    }
}

impl PastRun {
    fn why_not(self, back: bool) -> NotUndone {
        let run = self.run;
        match back {
            true => NotUndone::Already {
                run,
                by: self.undone_by,
            },
            false => NotUndone::DidNothing { run },
        }
    }
}

/// Puts a tenant where it belongs in the draft; whether it is back already.
fn place(
    draft: &mut Draft,
    known: Known,
    Deed { was, left }: Deed,
    run: u64,
    unfinished: &Option<Unfinished>,
) -> bool {
    let is_open = |known: &Known| {
        let left = unfinished.as_ref().map(|run| &run.left);
        left.is_some_and(|left| left.contains_key(known.tenant.id()))
    };
    match known.schema {
        // A run that was killed before it wrote down that it is back does so now.
        Some(found) if found == was && !is_open(&known) => {
            draft.current += 1;
            return matches!(left, Left::At(_));
        }
        Some(found) if found != was && !left.may_be(was, found) => {
            let error = FileError::MovedSince {
                tenant: known.tenant.to_ref(),
                run,
                left: left.version(),
                found,
            };
            draft.refused.push((known, error));
        }
        // What cannot be read says why when it is its turn.
        _ => draft.going.push((known, was)),
    }
    false
}

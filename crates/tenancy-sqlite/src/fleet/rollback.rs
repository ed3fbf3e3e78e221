//! Going back: what is to be done to whom, and doing it.

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};

use tenancy_core::{SchemaTarget, Tenant, TenantId};

use super::Fleet;
use super::lease::Lease;
use super::options::{FleetOptions, Restore, Trust};
use super::report::{FleetReport, LeftOut, Progress, TenantLeftOut};
use super::restore::KeptCopy;
use super::run::{Did, Operation, leave_out, with_causes};
use crate::catalog::{Known, NewRun};
use crate::error::{FileError, FleetError, MigrateError};
use crate::migrate::{Keep, Migration};

/// How far a rollback goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Back {
    /// Takes back the last migration, and only what that run did: tenants that it has
    /// failed for or has not reached are left alone, and those that somebody moved since
    /// are a conflict. When it is taken back already, that is said and nothing is done.
    LastRun,
    /// Takes back the migration of this number in the same way.
    Run(u64),
    /// Takes back so many steps. Refused while the tenants are at different versions, as
    /// one number would lead them to different ones.
    Steps(u32),
    /// Goes to this schema version; a tenant that is there or before it stays. Refused
    /// beyond the newest.
    To(u32),
}

/// What a rollback would do.
#[derive(Debug)]
#[non_exhaustive]
pub struct RollbackPlan {
    /// The run that it takes back, if it takes back one.
    pub undoes: Option<u64>,
    /// Tenants that would go back, or cannot, by id.
    pub tenants: Vec<PlannedBack>,
    /// Tenants that would be left out, by id.
    pub left_out: Vec<TenantLeftOut>,
    /// Tenants that need nothing.
    pub current: u64,
    draft: Draft,
    /// The last run when this was planned.
    last_run: u64,
}

/// What a rollback would do to one tenant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlannedBack {
    /// The tenant.
    pub tenant: Tenant,
    /// The schema version of its file now; `None` if that cannot be read.
    pub from: Option<u32>,
    /// The schema version that it would go back to; `None` if it would not go back.
    pub to: Option<u32>,
    /// The steps that would be taken back, the newest first, with the versions that they
    /// once led to.
    pub steps: Vec<(u32, Migration)>,
    /// The copy that would become its file. What was written since would be lost.
    pub copy: Option<KeptCopy>,
    /// Why it cannot go back.
    pub problem: Option<Box<str>>,
}

/// Who goes where.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) target: String,
    pub(super) version: Option<u32>,
    pub(super) undoes: Option<u64>,
    pub(super) current: u64,
    pub(super) left_out: Vec<(Known, LeftOut)>,
    /// Those who go back, each with the version that its file was found at.
    pub(super) going: Vec<(Known, u32)>,
    pub(super) refused: Vec<(Known, FileError)>,
    /// Whether it was told to stop before all files were looked at.
    pub(super) stopped: bool,
}

impl Fleet {
    /// Takes the schema of tenants back: by the scripts where every step has one.
    /// Where one has none, and [`restore_copies`](FleetOptions::restore_copies) was
    /// said, the copy that was kept before that step becomes the tenant's file: a new
    /// incarnation, so that pools close what they have of the old one, whose file goes
    /// to the trash. What was written since the copy is lost to the tenant.
    ///
    /// A copy of each file is kept before its first step, as scripts for the way back drop
    /// what only newer tables and columns hold; see
    /// [`without_copies`](FleetOptions::without_copies).
    ///
    /// A call that was interrupted is gone on with by the same call: no tenant goes back
    /// twice. Programs of the newer schema refuse the tenants afterwards as behind, or
    /// migrate them again, as they were told.
    ///
    /// ```
    /// # use tenancy_core::{Actor, CatalogWriter, NewTenant, Provisioner};
    /// use tenancy_sqlite::{Back, FleetOptions, Migration, Migrations, SqliteStorage};
    /// # let dir = tempfile::tempdir()?;
    /// # let root = dir.path();
    /// let notes = Migration::new("notes", "CREATE TABLE notes (text TEXT NOT NULL) STRICT")
    ///     .down("DROP TABLE notes");
    /// let storage = SqliteStorage::builder(root).migrations(Migrations::new([notes])?).create()?;
    /// # let mut acme = NewTenant::new("acme".parse()?);
    /// # acme.placement = storage.driver().place(&acme.id)?;
    /// # storage.driver().provision(&storage.catalog().insert(acme, &Actor::new("docs"))?)?;
    /// let fleet = storage.fleet();
    /// let only = FleetOptions::new().only(["acme".parse()?]);
    /// let report = fleet.rollback(Back::Steps(1), &only, |_| {})?;
    /// assert_eq!((report.done[0].from, report.done[0].to), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if an option is out of bounds, there is no tenant of an id that was
    /// named, another run goes on, that much cannot be taken back, or the catalog cannot
    /// be asked or written. That a tenant failed is in the report.
    pub fn rollback(
        &self,
        back: Back,
        options: &FleetOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<FleetReport, FleetError> {
        self.check_options(options)?;
        let mut lease = self.lease("rollback", &options.by)?;
        let draft = self.draft(back, options)?;
        self.carry_out(&mut lease, draft, options, &mut progress)
    }

    /// What [`rollback`](Self::rollback) would do: which steps to which tenants. Their
    /// files are asked for their versions; nothing is changed.
    ///
    /// # Errors
    /// As [`rollback`](Self::rollback), but for another run that goes on.
    pub fn plan_rollback(
        &self,
        back: Back,
        options: &FleetOptions,
    ) -> Result<RollbackPlan, FleetError> {
        self.check_options(options)?;
        let last_run = self.catalog.last_run()?;
        let draft = self.draft(back, options)?;
        let going = draft.going.iter();
        let going = going.filter(|(known, to)| known.schema.is_none_or(|from| from > *to));
        let mut tenants = Vec::with_capacity(draft.going.len());
        for (known, to) in going {
            tenants.push(self.planned(known, *to, options)?);
        }
        tenants.extend(draft.refused.iter().map(PlannedBack::refused));
        tenants.sort_by(|a, b| a.tenant.id().cmp(b.tenant.id()));
        let left_out = draft.left_out.iter();
        let left_out = left_out.map(|(known, why)| super::run::left(known, *why));
        Ok(RollbackPlan {
            undoes: draft.undoes,
            tenants,
            left_out: left_out.collect(),
            current: draft.current,
            draft,
            last_run,
        })
    }

    /// Does what was planned and nothing else: a tenant that is no longer at the version
    /// that the plan says is a conflict.
    ///
    /// # Errors
    /// As [`rollback`](Self::rollback); also if another run has begun since the plan was
    /// made.
    pub fn rollback_as_planned(
        &self,
        plan: RollbackPlan,
        options: &FleetOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<FleetReport, FleetError> {
        self.check_options(options)?;
        let mut lease = self.lease("rollback", &options.by)?;
        let run = self.catalog.last_run()?;
        if run != plan.last_run {
            return Err(FleetError::PlanIsOld { run });
        }
        self.carry_out(&mut lease, plan.draft, options, &mut progress)
    }

    fn draft(&self, back: Back, options: &FleetOptions) -> Result<Draft, FleetError> {
        match back {
            Back::LastRun => self.draft_undo(None, options),
            Back::Run(run) => self.draft_undo(Some(run), options),
            Back::Steps(steps) => self.draft_steps(steps, options),
            Back::To(version) => self.draft_to(version, options),
        }
    }

    fn carry_out(
        &self,
        lease: &mut Lease,
        draft: Draft,
        options: &FleetOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<FleetReport, FleetError> {
        if draft.stopped {
            return Ok(FleetReport::stopped(draft.current, draft.going.len()));
        }
        let mut targets = HashMap::with_capacity(draft.going.len());
        let mut chosen = Vec::with_capacity(draft.going.len());
        for (known, to) in draft.going {
            targets.insert(known.tenant.id().clone(), to);
            chosen.push(known);
        }
        let operation = Operation {
            new: NewRun {
                what: "rollback",
                target: &draft.target,
                version: draft.version,
                undoes: draft.undoes,
            },
            options,
            current: draft.current,
            chosen,
            left_out: draft.left_out,
            refused: draft.refused,
        };
        let work = |known: &Known, run| {
            let to = targets.get(known.tenant.id()).copied();
            let to = to.unwrap_or(u32::MAX);
            self.roll_back_one(known, to, run, options)
        };
        self.run(lease, operation, work, progress)
    }

    fn draft_to(&self, version: u32, options: &FleetOptions) -> Result<Draft, FleetError> {
        let newest = self.driver.migrations().newest();
        if version > newest {
            let wanted = version;
            return Err(FleetError::NoSuchVersion { wanted, newest });
        }
        let (current, mut chosen) = self.above(version, options)?;
        let mut draft = Draft {
            target: format!("to {version}"),
            version: Some(version),
            current,
            ..Draft::default()
        };
        if options.only.is_none() {
            self.add_unfinished(&mut draft, &mut chosen)?;
        }
        for known in self.chosen(&mut draft, chosen, options) {
            draft.going.push((known, version));
        }
        Ok(draft)
    }

    /// Those that a run to the same version has not come to the end with, though they may
    /// be there: something of them may be left to be put away.
    fn add_unfinished(&self, draft: &mut Draft, chosen: &mut Vec<Known>) -> Result<(), FleetError> {
        let unfinished = self.catalog.unfinished("rollback", &draft.target)?;
        let Some(mut unfinished) = unfinished else {
            return Ok(());
        };
        for known in chosen.iter() {
            unfinished.left.remove(known.tenant.id());
        }
        for id in unfinished.left.keys() {
            if let Some(known) = self.catalog.known(id)? {
                draft.current = draft.current.saturating_sub(1);
                chosen.push(known);
            }
        }
        chosen.sort_by(|a, b| a.tenant.id().cmp(b.tenant.id()));
        Ok(())
    }

    /// All go to one version. It stands in the catalog, so that a run that was interrupted
    /// goes on to it, and not as many steps further.
    fn draft_steps(&self, steps: u32, options: &FleetOptions) -> Result<Draft, FleetError> {
        let mut draft = Draft {
            target: format!("{steps} steps of {}", options.names()),
            ..Draft::default()
        };
        let mut chosen = match &options.only {
            Some(ids) => self.named(ids)?,
            None => self.catalog.all_known()?,
        };
        let unfinished = self.catalog.unfinished("rollback", &draft.target)?;
        let unfinished = unfinished.and_then(|run| run.version.zip(Some(run.left)));
        if let Some((_, left)) = &unfinished {
            chosen.retain(|known| left.contains_key(known.tenant.id()));
        }
        let chosen = self.chosen(&mut draft, chosen, options);
        let version = match unfinished {
            Some((version, _)) => version,
            None => one_version(&chosen, steps)?,
        };
        draft.version = Some(version);
        draft.going = chosen.into_iter().map(|known| (known, version)).collect();
        Ok(draft)
    }

    /// Those of them that can be worked on, each with the version of its file.
    pub(super) fn chosen(
        &self,
        draft: &mut Draft,
        chosen: Vec<Known>,
        options: &FleetOptions,
    ) -> Vec<Known> {
        let (mut chosen, left_out) = leave_out(chosen, options);
        draft.left_out.extend(left_out);
        draft.stopped = self.survey(&mut chosen, options).is_none();
        chosen
    }

    /// Tenants that may be above `version`, and how many are known not to be.
    fn above(&self, version: u32, options: &FleetOptions) -> Result<(u64, Vec<Known>), FleetError> {
        if let Some(ids) = &options.only {
            return Ok((0, self.named(ids)?));
        }
        if options.trust == Trust::Files {
            return Ok((0, self.catalog.all_known()?));
        }
        let counts = self.catalog.schema_counts(version)?;
        let mut chosen = self.catalog.not_at_schema(version)?;
        chosen.retain(|known| known.schema.is_none_or(|schema| schema > version));
        Ok((counts.current + counts.behind, chosen))
    }

    fn planned(
        &self,
        known: &Known,
        to: u32,
        options: &FleetOptions,
    ) -> Result<PlannedBack, FleetError> {
        let shared = &self.driver.shared;
        let mut planned = PlannedBack {
            tenant: known.tenant.clone(),
            from: known.schema,
            to: Some(to),
            steps: Vec::new(),
            copy: None,
            problem: None,
        };
        let from = match self.surveyed(known) {
            Ok(from) => from,
            Err(error) => {
                planned.problem = Some(with_causes(&error).into());
                return Ok(planned);
            }
        };
        let steps = (to + 1..=from).rev();
        let steps = steps.filter_map(|version| Some((version, shared.migrations.step(version)?)));
        planned.steps = steps
            .map(|(version, step)| (version, step.clone()))
            .collect();
        match self.way_back(&known.tenant, from, to, options) {
            Ok(copy) => planned.copy = copy.map(KeptCopy::from),
            Err(error) => planned.problem = Some(with_causes(&error).into()),
        }
        Ok(planned)
    }

    fn roll_back_one(
        &self,
        known: &Known,
        to: u32,
        run: u64,
        options: &FleetOptions,
    ) -> Result<Did, FileError> {
        let shared = &self.driver.shared;
        let tenant = &known.tenant;
        let from = self.surveyed(known)?;
        let did = |tenant: Tenant, from, to, restored| Did {
            tenant,
            from,
            to,
            schema: Some(to),
            restored,
        };
        // What an earlier call had to leave where it was.
        let _ = shared.put_away(tenant, std::time::Duration::ZERO);
        if from <= to {
            return Ok(did(tenant.clone(), from, from, false));
        }
        match self.way_back(tenant, from, to, options)? {
            None => {
                let target = SchemaTarget::Version(to);
                let keep = match options.keep {
                    Keep::Nothing => Keep::Nothing,
                    _ => Keep::OfRun(run),
                };
                let back = shared.migrate_from(tenant, Some(from), target, keep)?;
                Ok(did(tenant.clone(), back.from, to, false))
            }
            // The file itself is kept, in the trash.
            Some(copy) => {
                let next = self.turn_to(&copy, known, to, options)?;
                Ok(did(next, from, to, true))
            }
        }
    }

    /// The copy that is to take the place of the file; none where scripts lead back.
    fn way_back(
        &self,
        tenant: &Tenant,
        from: u32,
        to: u32,
        options: &FleetOptions,
    ) -> Result<Option<crate::copies::Copy>, FileError> {
        let migrations = &self.driver.shared.migrations;
        let newest = migrations.newest();
        match migrations.irreversible(to, from) {
            _ if from > newest => {
                let found = from;
                Err(MigrateError::TooNew { found, newest }.into())
            }
            None => Ok(None),
            Some((version, step)) if options.restore == Restore::Never => {
                let name = step.map_or("", Migration::name).into();
                Err(MigrateError::Irreversible { version, name }.into())
            }
            Some((version, _)) => self.copy_for(tenant, version, to).map(Some),
        }
    }
}

impl PlannedBack {
    fn refused((known, error): &(Known, FileError)) -> Self {
        Self {
            tenant: known.tenant.clone(),
            from: known.schema,
            to: None,
            steps: Vec::new(),
            copy: None,
            problem: Some(with_causes(error).into()),
        }
    }
}

/// The version to which so many steps lead from the one at which all of them are. Those
/// whose files cannot be read do not count: they will fail.
fn one_version(chosen: &[Known], steps: u32) -> Result<u32, FleetError> {
    let mut found: BTreeMap<u32, (u64, &TenantId)> = BTreeMap::new();
    for known in chosen {
        let Some(version) = known.schema else {
            continue;
        };
        match found.entry(version) {
            Entry::Occupied(mut entry) => entry.get_mut().0 += 1,
            Entry::Vacant(entry) => drop(entry.insert((1, known.tenant.id()))),
        }
    }
    match found.len() {
        0 => Ok(0),
        1 => {
            let version = found.keys().next().copied().unwrap_or(0);
            let too_many = FleetError::TooManySteps { steps, version };
            version.checked_sub(steps).ok_or(too_many)
        }
        _ => {
            let found = found.into_iter().rev();
            let found = found.map(|(version, (count, first))| (version, count, first.clone()));
            let found = found.collect();
            Err(FleetError::MixedVersions { found })
        }
    }
}

//! The rollback of many tenants: its plan and its run.

use std::collections::HashMap;

use tenancy_core::Tenant;

use crate::draft::Draft;
use crate::driver::{FleetDriver, SchemaStep, Snapshot};
use crate::error::{FleetError, TenantError, with_causes};
use crate::fleet::Fleet;
use crate::journal::{NewRun, RunJournal};
use crate::options::FleetOptions;
use crate::report::{FleetReport, Progress, TenantSkipped};
use crate::run::{Operation, skip};
use crate::schema::KnownSchema;

/// The extent of a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RollbackTo {
    /// Undoes exactly what the last run of migrations did. Tenants that failed in that run, or that it
    /// did not reach, are not changed. A tenant whose schema another operation has changed after the
    /// run fails with a conflict. A run that is already undone is refused.
    LastRun,
    /// Undoes the run of this number in the same way.
    Run(u64),
    /// Undoes this number of steps of each tenant. Refused if the tenants are at different versions,
    /// as they would be at different versions afterwards.
    Steps(u32),
    /// Rolls back to this schema version. Tenants at this version or below are not changed. A version
    /// above the newest is refused.
    Version(u32),
}

/// A preview of a rollback.
#[derive(Debug)]
#[non_exhaustive]
pub struct RollbackPlan {
    /// The number of the run that the rollback undoes, if any.
    pub undoes: Option<u64>,
    /// The tenants that would be rolled back, and those that cannot be rolled back, by id.
    pub tenants: Vec<PlannedRollback>,
    /// The tenants that would be skipped, by id.
    pub skipped: Vec<TenantSkipped>,
    /// The number of tenants that need no work.
    pub current: u64,
    draft: Draft,
    /// The number of the last run at the time of the plan.
    last_run: u64,
}

/// A preview of the rollback of one tenant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlannedRollback {
    /// The tenant that would be rolled back.
    pub tenant: Tenant,
    /// The schema version of its database; `None` if it cannot be read.
    pub from: Option<u32>,
    /// The schema version after the rollback; `None` if the tenant cannot be rolled back.
    pub to: Option<u32>,
    /// The steps that would be undone, the newest first.
    pub steps: Vec<SchemaStep>,
    /// The snapshot that would be restored. All writes after it would be lost.
    pub snapshot: Option<Snapshot>,
    /// The reason why the tenant cannot be rolled back.
    pub problem: Option<Box<str>>,
}

impl<D: FleetDriver, C: RunJournal> Fleet<D, C> {
    /// Rolls back the schema of tenants. If every step to undo has a down script, the scripts run. If
    /// a step has none, and [`restore_snapshots`](FleetOptions::restore_snapshots) is set, the
    /// snapshot that was taken before that step is restored. The restored database is a new
    /// incarnation of the tenant, so that pools close their connections to the old one. All writes
    /// of the tenant after the snapshot are lost.
    ///
    /// Before the scripts run on a database, a snapshot of it is taken, as they drop the data in newer
    /// tables and columns; see [`without_snapshots`](FleetOptions::without_snapshots).
    ///
    /// A call that was interrupted is resumed by the same call; no tenant is rolled back twice.
    /// Programs with the newer schema afterwards refuse the tenants as behind or migrate them again,
    /// depending on their configuration.
    ///
    /// # Errors
    /// Returns an error if an option is out of bounds, an id has no tenant, another run is in
    /// progress, `to` is refused, or the catalog cannot be read or written. Errors of single tenants
    /// are in the report.
    pub fn rollback(
        &self,
        to: RollbackTo,
        options: &FleetOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<FleetReport, FleetError> {
        self.check_options(options)?;
        let mut lease = self.catalog.lease("rollback", &options.by)?;
        let draft = self.draft(to, options)?;
        self.carry_out(&mut lease, draft, options, &mut progress)
    }

    /// Returns a preview of [`rollback`](Self::rollback): the steps of each tenant. Reads the schema
    /// version of each database, and changes nothing.
    ///
    /// # Errors
    /// Returns the errors of [`rollback`](Self::rollback), except that of another run in progress.
    pub fn plan_rollback(
        &self,
        to: RollbackTo,
        options: &FleetOptions,
    ) -> Result<RollbackPlan, FleetError> {
        self.check_options(options)?;
        let last_run = self.catalog.last_run()?;
        let draft = self.draft(to, options)?;
        let going = draft.going.iter();
        let going = going.filter(|(known, to)| known.schema.is_none_or(|from| from > *to));
        let going = going.map(|(known, to)| self.planned_rollback(known, *to, options));
        let refused = draft.refused.iter().map(PlannedRollback::refused);
        let mut tenants: Vec<_> = going.chain(refused).collect();
        tenants.sort_by(|a, b| a.tenant.id().cmp(b.tenant.id()));
        let skipped = draft.skipped.iter();
        Ok(RollbackPlan {
            undoes: draft.undoes,
            tenants,
            skipped: skipped.map(|(known, why)| skip(known, *why)).collect(),
            current: draft.current,
            draft,
            last_run,
        })
    }

    /// Rolls back the tenants exactly as planned. A tenant that is no longer at the version in the
    /// plan fails with a conflict.
    ///
    /// # Errors
    /// Returns the errors of [`rollback`](Self::rollback), and an error if another run has begun after
    /// the plan was made.
    pub fn rollback_as_planned(
        &self,
        plan: RollbackPlan,
        options: &FleetOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<FleetReport, FleetError> {
        self.check_options(options)?;
        let mut lease = self.catalog.lease("rollback", &options.by)?;
        let run = self.catalog.last_run()?;
        if run != plan.last_run {
            return Err(FleetError::OutdatedPlan { run });
        }
        self.carry_out(&mut lease, plan.draft, options, &mut progress)
    }

    fn draft(&self, to: RollbackTo, options: &FleetOptions) -> Result<Draft, FleetError> {
        match to {
            RollbackTo::LastRun => self.draft_undo(None, options),
            RollbackTo::Run(run) => self.draft_undo(Some(run), options),
            RollbackTo::Steps(steps) => self.draft_steps(steps, options),
            RollbackTo::Version(version) => self.draft_version(version, options),
        }
    }

    fn carry_out(
        &self,
        lease: &mut C::Lease,
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
            skipped: draft.skipped,
            refused: draft.refused,
        };
        let work = |known: &KnownSchema, run| {
            let to = targets.get(known.tenant.id()).copied();
            self.roll_back_one(known, to.unwrap_or(u32::MAX), run, options)
        };
        self.run(lease, operation, work, progress)
    }

    fn planned_rollback(
        &self,
        known: &KnownSchema,
        to: u32,
        options: &FleetOptions,
    ) -> PlannedRollback {
        let mut planned = PlannedRollback {
            tenant: known.tenant.clone(),
            from: known.schema,
            to: Some(to),
            steps: Vec::new(),
            snapshot: None,
            problem: None,
        };
        let way = self.surveyed(known).and_then(|from| {
            let steps = (to.saturating_add(1)..=from).rev();
            planned.steps = steps.filter_map(|v| self.driver.step(v)).collect();
            self.way_down(&known.tenant, (from, to), options)
        });
        match way {
            Ok(snapshot) => planned.snapshot = snapshot,
            Err(error) => planned.problem = Some(with_causes(&error).into()),
        }
        planned
    }
}

impl PlannedRollback {
    fn refused((known, error): &(KnownSchema, TenantError)) -> Self {
        Self {
            tenant: known.tenant.clone(),
            from: known.schema,
            to: None,
            steps: Vec::new(),
            snapshot: None,
            problem: Some(with_causes(error).into()),
        }
    }
}

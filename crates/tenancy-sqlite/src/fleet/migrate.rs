//! Migrating all tenants.

use tenancy_core::{SchemaTarget, Tenant};

use super::Fleet;
use super::options::{FleetOptions, Trust};
use super::report::{FleetReport, Progress};
use super::run::{Did, Operation, leave_out};
use crate::catalog::{Known, NewRun};
use crate::error::{FileError, FleetError, MigrateError};
use crate::migrate::Migration;

/// What a migration would do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// The schema version that tenants would have: the newest.
    pub target: u32,
    /// Tenants that are not there yet, by id.
    pub tenants: Vec<Planned>,
}

/// What a migration would do to one tenant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Planned {
    /// Who.
    pub tenant: Tenant,
    /// Its schema version now: what its file says, or why that cannot be read.
    pub from: Result<u32, Box<str>>,
    /// The steps that would run, with the versions they lead to.
    pub steps: Vec<(u32, Migration)>,
}

impl Fleet {
    /// Brings the schema of all tenants to the newest version, each step of each tenant
    /// exactly once, whoever else is at it. What was not reached is gone on with by the
    /// next call: tenants that are done are known to the catalog and not opened again,
    /// so a call that has nothing to do costs one question.
    ///
    /// First the migrations are tried on an empty database. Before the first step of a
    /// tenant that has no way back, a copy of its file is kept, for
    /// [`rollback`](Self::rollback).
    ///
    /// Tenants that are `provisioning` or `retiring` are left out, and reported.
    ///
    /// ```
    /// use tenancy_core::{Actor, CatalogWriter, NewTenant, Provisioner};
    /// use tenancy_sqlite::{FleetOptions, Migration, Migrations, SqliteStorage};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let root = dir.path();
    /// # let storage = SqliteStorage::create(root)?;
    /// # let mut acme = NewTenant::new("acme".parse()?);
    /// # acme.placement = storage.driver().place(&acme.id)?;
    /// # storage.driver().provision(&storage.catalog().insert(acme, &Actor::new("docs"))?)?;
    /// let notes = Migration::new("notes", "CREATE TABLE notes (text TEXT NOT NULL) STRICT");
    /// let storage = SqliteStorage::builder(root).migrations(Migrations::new([notes])?).open()?;
    /// let fleet = storage.fleet();
    /// let report = fleet.migrate(&FleetOptions::new().canary(1), |at| {
    ///     eprintln!("{} of {}, {} failed", at.done, at.total, at.failed);
    /// })?;
    /// for failed in &report.failed {
    ///     eprintln!("{}: {}", failed.tenant, failed.error);
    /// }
    /// assert_eq!((report.done.len(), report.is_complete()), (1, true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the migrations fail on an empty database, an option is out of bounds, there is
    /// no tenant of an id that was named, or the catalog cannot be asked or written. That a tenant failed is in
    /// the report.
    pub fn migrate(
        &self,
        options: &FleetOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<FleetReport, FleetError> {
        self.check_options(options)?;
        let mut lease = self.lease("migrate", &options.by)?;
        self.check_history()?;
        let shared = &self.driver.shared;
        let target = shared.migrations.newest();
        let (current, chosen) = self.behind(target, options)?;
        if !chosen.is_empty() {
            shared.template().map_err(FleetError::Migrations)?;
        }
        let (mut chosen, left_out) = leave_out(chosen, options);
        if self.survey(&mut chosen, options).is_none() {
            return Ok(FleetReport::stopped(current, chosen.len()));
        }
        let new = NewRun {
            what: "migrate",
            target: &target.to_string(),
            version: Some(target),
            undoes: None,
        };
        let operation = Operation {
            new,
            options,
            current,
            chosen,
            left_out,
            refused: Vec::new(),
        };
        let work = |known: &Known, _| self.migrate_one(known, options);
        self.run(&mut lease, operation, work, &mut progress)
    }

    /// What [`migrate`](Self::migrate) would do: which steps to which tenants. Their
    /// files are asked for their versions; nothing is changed.
    ///
    /// # Errors
    /// As [`migrate`](Self::migrate).
    pub fn plan(&self, options: &FleetOptions) -> Result<Plan, FleetError> {
        self.check_options(options)?;
        self.check_history()?;
        let shared = &self.driver.shared;
        let target = shared.migrations.newest();
        let (_, chosen) = self.behind(target, options)?;
        shared.template().map_err(FleetError::Migrations)?;
        let (chosen, _) = leave_out(chosen, options);
        let plan = |known: Known| {
            let from = shared.schema_of(&known.tenant);
            let steps = from.as_ref().map_or(Vec::new(), |&from| {
                (from + 1..=target)
                    .filter_map(|version| Some((version, shared.migrations.step(version)?.clone())))
                    .collect()
            });
            Planned {
                tenant: known.tenant,
                from: from.map_err(|error| super::run::with_causes(&error).into()),
                steps,
            }
        };
        let tenants = chosen.into_iter().map(plan);
        let not_there = |planned: &Planned| planned.from.as_ref() != Ok(&target);
        Ok(Plan {
            target,
            tenants: tenants.filter(not_there).collect(),
        })
    }

    /// Refuses migrations that are not those that the tenants have, by the history of one
    /// that has most of them: where nothing is to be done, no other file is opened.
    pub(super) fn check_history(&self) -> Result<(), FleetError> {
        let Some(tenant) = self.catalog.newest_known()? else {
            return Ok(());
        };
        match self.driver.shared.check_history(&tenant) {
            Err(FileError::Migrate(source @ MigrateError::Diverged { .. })) => {
                let tenant = tenant.to_ref();
                Err(FleetError::Diverged { tenant, source })
            }
            // What else is wrong with it is found when it is its turn.
            _ => Ok(()),
        }
    }

    /// Tenants that may not be at `target`, and how many are known to be.
    fn behind(&self, target: u32, options: &FleetOptions) -> Result<(u64, Vec<Known>), FleetError> {
        Ok(match (&options.only, options.trust) {
            (Some(ids), _) => (0, self.named(ids)?),
            (None, Trust::Files) => (0, self.catalog.all_known()?),
            (None, Trust::Catalog) => (
                self.catalog.count_at_schema(target)?,
                self.catalog.not_at_schema(target)?,
            ),
        })
    }

    fn migrate_one(&self, known: &Known, options: &FleetOptions) -> Result<Did, FileError> {
        let shared = &self.driver.shared;
        let surveyed = self.surveyed(known)?;
        let latest = SchemaTarget::Latest;
        let migrated = shared.migrate_from(&known.tenant, Some(surveyed), latest, options.keep)?;
        Ok(Did {
            tenant: known.tenant.clone(),
            from: migrated.from,
            to: migrated.to,
            schema: Some(migrated.to),
            restored: false,
        })
    }
}

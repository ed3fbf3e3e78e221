//! Migrating all tenants.

use tenancy_core::{SchemaTarget, Tenant};

use crate::driver::{FleetDriver, Keep, SchemaStep};
use crate::error::{FleetError, TenantError, with_causes};
use crate::fleet::{Fleet, split};
use crate::journal::{NewRun, RunJournal};
use crate::options::{FleetOptions, Trust};
use crate::report::{FleetReport, Progress};
use crate::run::{Done, Operation};
use crate::schema::{KnownSchema, Selection};

/// A preview of a migration.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MigrationPlan {
    /// The schema version after the migration: the newest.
    pub target: u32,
    /// The tenants that are not at this version, by id.
    pub tenants: Vec<PlannedMigration>,
}

/// A preview of the migration of one tenant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlannedMigration {
    /// The tenant that would be migrated.
    pub tenant: Tenant,
    /// The schema version of its database, or the error of reading it.
    pub from: Result<u32, Box<str>>,
    /// The steps that would be applied.
    pub steps: Vec<SchemaStep>,
}

impl<D: FleetDriver, C: RunJournal> Fleet<D, C> {
    /// Migrates the schema of all tenants to the newest version. Each step is applied to each tenant
    /// exactly once, even if other processes migrate at the same time. A call that was stopped,
    /// failed or was killed is resumed by the next call. The journal knows the tenants that are
    /// done, so that their databases are not opened again, and a call without work costs one query.
    ///
    /// The steps are first [rehearsed](FleetDriver::rehearse) on an empty database. If one of a
    /// tenant's steps has no down script, a snapshot of its database is taken first, for
    /// [`rollback`](Self::rollback).
    ///
    /// Tenants that are `provisioning` or `retiring` are skipped and reported.
    ///
    /// # Errors
    /// Returns an error if the steps fail on an empty database or differ from those that were
    /// applied to the tenants, an option is out of bounds, an id has no tenant, another run is in
    /// progress, or the catalog cannot be read or written. Errors of single tenants are in the
    /// report.
    pub fn migrate(
        &self,
        options: &FleetOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<FleetReport, FleetError> {
        self.check_options(options)?;
        let mut lease = self.catalog.lease("migrate", &options.by)?;
        self.check_history()?;
        let target = self.driver.newest_schema();
        let (current, chosen) = self.behind(target, options)?;
        if !chosen.is_empty() {
            self.driver.rehearse().map_err(FleetError::Migrations)?;
        }
        let (mut chosen, skipped) = split(chosen, options);
        if self.survey(&mut chosen, options).is_none() {
            return Ok(FleetReport::stopped(current, chosen.len()));
        }
        let operation = Operation {
            new: NewRun {
                what: "migrate",
                target: &target.to_string(),
                version: Some(target),
                undoes: None,
            },
            options,
            current,
            chosen,
            skipped,
            refused: Vec::new(),
        };
        let work = |known: &KnownSchema, _| self.migrate_one(known, options);
        self.run(&mut lease, operation, work, &mut progress)
    }

    /// Returns a preview of [`migrate`](Self::migrate): the steps of each tenant. Reads the schema
    /// version of each database, and changes nothing.
    ///
    /// # Errors
    /// Returns the errors of [`migrate`](Self::migrate), except that of another run in progress.
    pub fn plan(&self, options: &FleetOptions) -> Result<MigrationPlan, FleetError> {
        self.check_options(options)?;
        self.check_history()?;
        let target = self.driver.newest_schema();
        let (_, chosen) = self.behind(target, options)?;
        self.driver.rehearse().map_err(FleetError::Migrations)?;
        let (chosen, _) = split(chosen, options);
        let tenants = chosen.into_iter().map(|known| self.planned(known, target));
        let is_behind = |planned: &PlannedMigration| planned.from.as_ref() != Ok(&target);
        Ok(MigrationPlan {
            target,
            tenants: tenants.filter(is_behind).collect(),
        })
    }

    fn planned(&self, known: KnownSchema, target: u32) -> PlannedMigration {
        let from = self.driver.schema_of(&known.tenant);
        let first = from
            .as_ref()
            .map_or(u32::MAX, |from| from.saturating_add(1));
        PlannedMigration {
            tenant: known.tenant,
            from: from.map_err(|error| with_causes(&error).into()),
            steps: (first..=target)
                .filter_map(|version| self.driver.step(version))
                .collect(),
        }
    }

    /// Returns an error if the driver's steps differ from those that were applied to a tenant with the
    /// newest known schema. Only this one database is opened, so that a call without work stays
    /// cheap.
    pub(crate) fn check_history(&self) -> Result<(), FleetError> {
        let Some(tenant) = self.catalog.newest_known()? else {
            return Ok(());
        };
        let compared = self.driver.compare_history(&tenant);
        compared.map_err(|source| FleetError::Diverged {
            tenant: tenant.to_ref(),
            source,
        })
    }

    /// Returns the tenants that are not known to be at `target`, and the number of those that are.
    fn behind(
        &self,
        target: u32,
        options: &FleetOptions,
    ) -> Result<(u64, Vec<KnownSchema>), FleetError> {
        Ok(match (&options.only, options.trust) {
            (Some(ids), _) => (0, self.named(ids)?),
            (None, Trust::Databases) => (0, self.catalog.known_schemas(Selection::All)?),
            (None, Trust::Journal) => (
                self.catalog.schema_counts(target)?.current,
                self.catalog.known_schemas(Selection::NotAt(target))?,
            ),
        })
    }

    fn migrate_one(
        &self,
        known: &KnownSchema,
        options: &FleetOptions,
    ) -> Result<Done, TenantError> {
        let from = self.surveyed(known)?;
        let keep = match options.keeps_snapshots {
            true => Keep::IfIrreversible,
            false => Keep::Nothing,
        };
        let (driver, tenant) = (&self.driver, &known.tenant);
        let migrated = driver.migrate_from(tenant, from, SchemaTarget::Latest, keep)?;
        Ok(Done {
            tenant: tenant.clone(),
            from: migrated.from,
            to: migrated.to,
            schema: Some(migrated.to),
            restored: false,
        })
    }
}

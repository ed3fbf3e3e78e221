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
    /// The schema version that tenants would have: the newest.
    pub target: u32,
    /// The tenants that do not have it yet, by id.
    pub tenants: Vec<PlannedMigration>,
}

/// A preview of the migration of one tenant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlannedMigration {
    /// The tenant that would be migrated.
    pub tenant: Tenant,
    /// The schema version of its database, or the error with which that cannot be read.
    pub from: Result<u32, Box<str>>,
    /// The steps that would be applied.
    pub steps: Vec<SchemaStep>,
}

impl<D: FleetDriver, C: RunJournal> Fleet<D, C> {
    /// Brings the schema of all tenants to the newest version, each step of each tenant exactly
    /// once, also beside other processes. A call that stopped, failed or was killed is resumed
    /// by the next one: tenants that are done are known to the journal and not opened again, so
    /// a call that has nothing to do costs one query.
    ///
    /// The steps are first [rehearsed](FleetDriver::rehearse) on an empty database. Before the
    /// first step of a tenant that no script undoes, a snapshot of its database is kept, for
    /// [`rollback`](Self::rollback).
    ///
    /// Tenants that are `provisioning` or `retiring` are skipped, and reported.
    ///
    /// # Errors
    /// Returns an error if the steps fail on an empty database or are not those that the tenants
    /// have, an option is out of bounds, an id has no tenant, another run goes on, or the catalog
    /// cannot be read or written. A tenant that failed is in the report.
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

    /// Returns a preview of [`migrate`](Self::migrate): the steps of each tenant. The schema
    /// versions of their databases are read; nothing is changed.
    ///
    /// # Errors
    /// Returns the errors of [`migrate`](Self::migrate), except for another run that goes on.
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

    /// Refuses steps that are not those that the tenants have, by the history of one tenant
    /// that has most of them: where nothing is to be done, no other database is opened.
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

    /// Returns the tenants that may not be at `target`, and the number that are known to be.
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

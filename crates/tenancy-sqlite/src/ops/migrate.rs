//! The migration of a tenant's file.

use tenancy_core::{Migrated, SchemaTarget, Tenant};
use tenancy_fleet::Keep;

use crate::error::FileError;
use crate::ops::open::{open, open_to_migrate};
use crate::schema::migrate::{Request, check_history, run_request};
use crate::store::Store;

impl Store {
    /// Brings the schema of a tenant's file to `target`.
    pub(crate) fn migrate(
        &self,
        tenant: &Tenant,
        target: SchemaTarget,
        keep: Keep,
    ) -> Result<Migrated, FileError> {
        self.migrate_from(tenant, None, target, keep)
    }

    /// Brings the schema of a tenant's file to `target`. If `surveyed` is set, the file has to be
    /// at that version.
    pub(crate) fn migrate_from(
        &self,
        tenant: &Tenant,
        surveyed: Option<u32>,
        target: SchemaTarget,
        keep: Keep,
    ) -> Result<Migrated, FileError> {
        let (connection, guard, from) = open_to_migrate(self, tenant)?;
        let to = match target {
            SchemaTarget::Latest => self.migrations.newest(),
            SchemaTarget::Version(wanted) => wanted,
        };
        // One snapshot before the first step is enough, as every later version follows from it.
        let keeps_snapshot = match keep {
            Keep::IfIrreversible => self.migrations.irreversible(from, to).is_some(),
            Keep::ForRun(_) => true,
            Keep::Nothing => false,
        };
        let snapshot = || match keeps_snapshot {
            true => self.take_snapshot(tenant, keep).map(drop),
            false => Ok(()),
        };
        let request = Request {
            target,
            surveyed,
            before_first_step: &snapshot,
        };
        let on_step = |name| self.step(name);
        let done = run_request(&connection, &guard, &self.migrations, &request, &on_step)?;
        Ok(done)
    }

    /// Refuses a tenant's file to which other migrations than the program's were applied.
    pub(crate) fn check_history(&self, tenant: &Tenant) -> Result<(), FileError> {
        let (connection, _, schema) = open(self, tenant)?;
        Ok(check_history(&connection, &self.migrations, schema)?)
    }

    /// Returns the schema version of a tenant's file.
    pub(crate) fn schema_of(&self, tenant: &Tenant) -> Result<u32, FileError> {
        let (_, _, schema) = open(self, tenant)?;
        Ok(schema)
    }
}

//! Migrating a tenant's file.

use tenancy_core::{Migrated, SchemaTarget, Tenant};

use super::run;
use crate::driver::Shared;
use crate::error::FileError;
use crate::manager::{open, open_to_migrate};

/// Whether a file is copied before a step that has no way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Copies,
    Nothing,
}

impl Shared {
    /// Brings the schema of a tenant's file to `target`.
    pub(crate) fn migrate(
        &self,
        tenant: &Tenant,
        target: SchemaTarget,
        keep: Keep,
    ) -> Result<Migrated, FileError> {
        let (connection, guard, from) = open_to_migrate(self, tenant)?;
        let to = match target {
            SchemaTarget::Latest => self.migrations.newest(),
            SchemaTarget::Version(wanted) => wanted,
        };
        // Once, before the first step: a way back to any later one leads over it, too.
        if keep == Keep::Copies && self.migrations.irreversible(from, to).is_some() {
            self.keep_copy(tenant)?;
        }
        let on_step = |name| self.step(name);
        Ok(run(
            &connection,
            &guard,
            &self.migrations,
            target,
            &on_step,
        )?)
    }

    /// The schema version of a tenant's file.
    pub(crate) fn schema_of(&self, tenant: &Tenant) -> Result<u32, FileError> {
        let (_, _, schema) = open(self, tenant)?;
        Ok(schema)
    }
}

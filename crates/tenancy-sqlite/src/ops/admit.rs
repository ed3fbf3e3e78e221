//! The admission of a tenant's file by its schema version.

use std::time::Duration;

use tenancy_core::{SchemaTarget, Tenant};
use tenancy_fleet::Keep;

use crate::disk::place::Place;
use crate::error::OpenError;
use crate::ops::open::connect;
use crate::raw::{checkpoint, truncate_wal};
use crate::schema::stamp;
use crate::store::{Behind, Store};

impl Store {
    /// Admits a tenant's file by its schema version, and returns the version afterwards. A newer
    /// schema is refused. An older one is refused, migrated or accepted, by the option [`Behind`].
    pub(crate) fn admit(&self, tenant: &Tenant, schema: u32) -> Result<u32, OpenError> {
        let (found, newest) = (schema, self.migrations.newest());
        let refused = tenant.to_ref();
        if found > newest {
            let tenant = refused;
            return Err(OpenError::TooNew {
                tenant,
                found,
                newest,
            });
        }
        if found == newest {
            return Ok(found);
        }
        match self.behind {
            Behind::Open => Ok(found),
            Behind::Refuse => Err(OpenError::Behind {
                tenant: refused,
                found,
                newest,
            }),
            Behind::Migrate => {
                let migrated = self.migrate(tenant, SchemaTarget::Latest, Keep::IfIrreversible);
                migrated
                    .map(|done| done.to)
                    .map_err(|source| OpenError::Migrate {
                        tenant: refused,
                        source: Box::new(source),
                    })
            }
        }
    }

    /// Completes an eviction: checkpoints and truncates the WAL, unless another connection uses the
    /// file.
    pub(crate) fn finish_eviction(&self, tenant: &Tenant) -> Result<(), OpenError> {
        let path = self.root.file(&Place::of(tenant)?);
        let connection = connect(self, tenant, &path)?;
        stamp::check(&connection, tenant, &path)?;
        let run = || {
            connection.busy_timeout(Duration::ZERO)?;
            // A truncation blocks writers, but after a complete checkpoint it is short.
            if checkpoint(&connection)? {
                truncate_wal(&connection)?;
            }
            Ok(())
        };
        run().map_err(|source| OpenError::Sqlite {
            tenant: tenant.to_ref(),
            source,
        })
    }
}

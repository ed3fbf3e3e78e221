//! A connection at its check-out, and when it is evicted.

use std::time::Duration;

use rusqlite::config::DbConfig;
use tenancy_core::{Clock, SchemaTarget, Tenant};
use tenancy_fleet::Keep;
use tenancy_pool::Eviction;

use crate::disk::place::Place;
use crate::driver::manager::{SqliteConnection, connect};
use crate::driver::{Behind, Shared};
use crate::error::OpenError;
use crate::guard::quota::wal_bytes;
use crate::ops::maintenance::{cut_log, move_log};
use crate::schema::stamp;

/// For this long a connection is lent without its schema version being read again: 4 us,
/// where a check-out with a point select takes 2.6 us.
const SCHEMA_TTL: Duration = Duration::from_millis(500);

/// When the schema version of a connection's file was last read.
#[derive(Debug)]
pub(crate) struct SchemaRead(Duration);

impl SchemaRead {
    pub(crate) fn now() -> Self {
        Self(Clock::system().now())
    }
}

impl Shared {
    /// Refuses a tenant whose schema is not the program's, or migrates it, or opens it as it
    /// is; the schema version then.
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

    /// Does what a new connection would: another process may have migrated the file, or
    /// rolled it back, since this one was opened.
    #[inline]
    pub(crate) fn admit_again(
        &self,
        tenant: &Tenant,
        connection: &mut SqliteConnection,
    ) -> Result<(), OpenError> {
        let now = Clock::system().now();
        if now.saturating_sub(connection.schema_read.0) < SCHEMA_TTL {
            return Ok(());
        }
        let schema = connection.guard.ours(|| stamp::schema(connection));
        let schema = schema.map_err(|source| OpenError::Sqlite {
            tenant: tenant.to_ref(),
            source,
        })?;
        connection.schema = self.admit(tenant, schema)?;
        connection.schema_read = SchemaRead(now);
        Ok(())
    }

    /// Does what [`quick_close`] left, as far as nobody else uses the file.
    pub(crate) fn finish_eviction(&self, tenant: &Tenant) -> Result<(), OpenError> {
        let path = self.root.file(&Place::of(tenant)?);
        let connection = connect(self, tenant, &path)?;
        stamp::check(&connection, tenant, &path)?;
        let run = || {
            connection.busy_timeout(Duration::ZERO)?;
            // Cutting holds up writers: by then there is little left to move.
            if move_log(&connection)? {
                cut_log(&connection)?;
            }
            Ok(())
        };
        run().map_err(|source| OpenError::Sqlite {
            tenant: tenant.to_ref(),
            source,
        })
    }
}

/// Keeps SQLite from a checkpoint when this connection is closed as the file's last: with a
/// WAL of 400 MB that takes seconds. The next connection recovers the WAL.
pub(crate) fn quick_close(connection: &SqliteConnection) -> Eviction {
    // One that is there and empty is the usual case after a rest, and goes with the close.
    if wal_bytes(&connection.path).is_ok_and(|bytes| bytes == 0) {
        return Eviction::Complete;
    }
    let no_checkpoint = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    match connection.set_db_config(no_checkpoint, true) {
        Ok(_) => Eviction::NeedsUpkeep,
        Err(_) => Eviction::Complete,
    }
}

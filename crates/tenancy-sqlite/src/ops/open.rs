//! Opening a tenant's file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tenancy_core::Tenant;

use crate::disk::files::{Entry, look};
use crate::disk::place::Place;
use crate::error::{FileError, OpenError, sqlite};
use crate::guard::cutover::Cutover;
use crate::guard::deadline::DeadlineClock;
use crate::guard::rules::Purpose;
use crate::guard::state::Guard;
use crate::guard::{install, register_functions};
use crate::raw;
use crate::raw::ensure_wal;
use crate::schema::stamp;
use crate::store::Store;

/// Connects to a file that is there, and reads nothing of it yet.
pub(crate) fn connect(
    store: &Store,
    tenant: &Tenant,
    path: &Path,
) -> Result<Connection, OpenError> {
    let connection = raw::connect(path, store.busy_timeout);
    connection.map_err(|source| why_not_open(tenant, path, source))
}

/// Opens a tenant's file and checks that it is the tenant's; its schema version.
/// The connection has its pragmas, but is not guarded yet.
pub(crate) fn open(
    store: &Store,
    tenant: &Tenant,
) -> Result<(Connection, PathBuf, u32), OpenError> {
    let path = store.root.file(&Place::of(tenant)?);
    let connection = connect(store, tenant, &path)?;
    // The stamp is read before anything else is written or set.
    let schema = match stamp::check_and_take(&connection, tenant, &path) {
        Err(OpenError::Retired {
            tenant: whose,
            path,
        }) if Cutover::of(&store.root, tenant, &path).is_done() => {
            let tenant = whose;
            return Err(OpenError::Superseded { tenant, path });
        }
        schema => schema?,
    };
    let set = ensure_wal(&connection).and_then(|()| connection.execute_batch(store.pragmas()));
    set.map_err(|source| OpenError::Sqlite {
        tenant: tenant.to_ref(),
        source,
    })?;
    Ok((connection, path, schema))
}

fn why_not_open(tenant: &Tenant, path: &Path, source: rusqlite::Error) -> OpenError {
    let (tenant, found) = (tenant.to_ref(), look(path));
    let path = path.to_owned();
    let dir = path.parent().map(look);
    if let Some(Ok(Entry::Other(found @ "a symbolic link"))) = dir {
        let path = path.parent().unwrap_or(&path).to_owned();
        return OpenError::NotAFile {
            tenant,
            path,
            found,
        };
    }
    match found {
        Ok(Entry::Missing) => OpenError::Missing { tenant, path },
        Ok(Entry::Other(found)) => OpenError::NotAFile {
            tenant,
            path,
            found,
        },
        _ => OpenError::Sqlite { tenant, source },
    }
}

/// A connection that migrates, guarded for scripts; the schema version at its opening.
pub(crate) fn open_to_migrate(
    store: &Store,
    tenant: &Tenant,
) -> Result<(Connection, Arc<Guard>, u32), FileError> {
    let (mut connection, path, schema) = open(store, tenant)?;
    let prepare = |connection: &mut Connection| {
        let (on_connect, deadline) = (store.on_connect.as_deref(), DeadlineClock::default());
        register_functions(connection, on_connect, &deadline, store.limits)?;
        let (hardening, limits) = (store.hardening, store.limits);
        install(connection, Purpose::Migration, hardening, limits, &deadline)
    };
    match prepare(&mut connection) {
        Ok(guard) => Ok((connection, guard, schema)),
        Err(source) => Err(FileError::Sqlite { path, source }),
    }
}

impl Store {
    /// A connection of our own to a tenant's file, never lent: it has what
    /// `on_connect` registers, as indexes may need it, and no authorizer.
    pub(crate) fn open_to_maintain(
        &self,
        tenant: &Tenant,
    ) -> Result<(Connection, PathBuf), FileError> {
        let (mut connection, path, _) = open(self, tenant)?;
        let (on_connect, deadline) = (self.on_connect.as_deref(), DeadlineClock::default());
        register_functions(&mut connection, on_connect, &deadline, self.limits)
            .map_err(|source| sqlite(&path, source))?;
        Ok((connection, path))
    }
}

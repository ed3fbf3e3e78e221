//! The opening of a tenant's file.

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

/// Connects to an existing file, without reading it.
pub(crate) fn connect(
    store: &Store,
    tenant: &Tenant,
    path: &Path,
) -> Result<Connection, OpenError> {
    let connection = raw::connect(path, store.busy_timeout);
    connection.map_err(|source| open_error(tenant, path, source))
}

/// Opens a tenant's own file, and returns the connection, the path and the schema version. The
/// pragmas of the connection are set, but it is not guarded yet.
pub(crate) fn open(
    store: &Store,
    tenant: &Tenant,
) -> Result<(Connection, PathBuf, u32), OpenError> {
    let path = store.root.file(&Place::of(tenant)?);
    let connection = connect(store, tenant, &path)?;
    // The stamp is checked before any other statement runs.
    let schema = match stamp::check_and_assign(&connection, tenant, &path) {
        Err(OpenError::Retired { path, .. })
            if Cutover::of(&store.root, tenant, &path).is_done() =>
        {
            let tenant = tenant.to_ref();
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

fn open_error(tenant: &Tenant, path: &Path, source: rusqlite::Error) -> OpenError {
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

/// Opens a connection that migrates, guarded for scripts, and returns it with the schema version.
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
    /// Opens a connection of the library to a tenant's file, for maintenance. The connection has
    /// the functions of `on_connect`, as indexes may need them. It has no authorizer, as VACUUM
    /// attaches a file.
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

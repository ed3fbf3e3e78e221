//! [`SqliteManager`]: the opening of guarded connections to a tenant's file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use r2d2::ManageConnection;
use rusqlite::Connection;
use tenancy_core::{Clock, Tenant};

use crate::disk::place::Place;
use crate::driver::connection::{SqliteConnection, reset};
use crate::error::OpenError;
use crate::guard::cutover::Cutover;
use crate::guard::deadline::{ConnectionDeadline, DeadlineClock};
use crate::guard::rules::Purpose;
use crate::guard::settings::Settings;
use crate::guard::wal_bound::WalBound;
use crate::guard::{install, quota, register_functions};
use crate::ops::open::open;
use crate::schema::stamp;
use crate::store::Store;

/// A manager of connections to one incarnation of a tenant, for `tenancy_pool` or any other pool
/// over `r2d2::ManageConnection`.
pub struct SqliteManager {
    store: Arc<Store>,
    tenant: Tenant,
    /// `None` for a placement of another driver: then every connect returns the error.
    path: Option<Box<Path>>,
}

impl SqliteManager {
    pub(crate) fn new(store: Arc<Store>, tenant: Tenant) -> Self {
        let place = Place::of(&tenant).ok();
        let path = place.map(|place| store.root.file(&place).into());
        Self {
            store,
            tenant,
            path,
        }
    }
}

impl fmt::Debug for SqliteManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteManager({})", self.tenant.to_ref())
    }
}

impl ManageConnection for SqliteManager {
    type Connection = SqliteConnection;
    type Error = OpenError;

    fn connect(&self) -> Result<SqliteConnection, OpenError> {
        let store = &*self.store;
        let (mut connection, path, schema) = open(store, &self.tenant)?;
        let schema_read = Clock::system().now();
        let schema = store.admit(&self.tenant, schema)?;
        let tenant = || self.tenant.to_ref();
        let prepare = |connection: &mut Connection| {
            let (on_connect, deadline) = (store.on_connect.as_deref(), DeadlineClock::default());
            register_functions(connection, on_connect, &deadline, store.limits)?;
            reset(connection, store.busy_timeout)?;
            if let Some(bytes) = store.quota.of(&self.tenant) {
                quota::set(connection, bytes)?;
            }
            // Set now, not with the first deadline, so that its replacement by another handler is
            // noticed.
            deadline.watch(connection)?;
            let (hardening, limits) = (store.hardening, store.limits);
            let guard = install(connection, Purpose::Tenant, hardening, limits, &deadline)?;
            if store.max_wal_bytes < u64::MAX {
                let (database, max) = (path.clone(), store.max_wal_bytes);
                guard.commits().set_wal_bound(WalBound { database, max });
            }
            guard.watch_for(Cutover::of(&store.root, &self.tenant, &path));
            Ok((
                guard,
                ConnectionDeadline::of(deadline),
                Settings::of(connection)?,
            ))
        };
        let (guard, deadlines, settings) =
            prepare(&mut connection).map_err(|source| OpenError::Sqlite {
                tenant: tenant(),
                source,
            })?;
        let (opened, prepared) = ((connection, path, schema), (guard, deadlines, settings));
        Ok(SqliteConnection::new(
            opened,
            prepared,
            tenant(),
            schema_read,
        ))
    }

    fn is_valid(&self, connection: &mut SqliteConnection) -> Result<(), OpenError> {
        let own = || stamp::is_own(connection, &self.tenant);
        match connection.guard.ours(own) {
            Ok(true) => Ok(()),
            Ok(false) => Err(OpenError::WrongDatabase {
                tenant: self.tenant.to_ref(),
                path: connection.path.clone(),
                found: "no longer stamped as it was opened".into(),
            }),
            Err(source) => Err(OpenError::Sqlite {
                tenant: self.tenant.to_ref(),
                source,
            }),
        }
    }

    /// Returns whether a connection has to be closed on its return, by the rules of
    /// [`SqliteConnection`]. Other connections are cleaned.
    fn has_broken(&self, connection: &mut SqliteConnection) -> bool {
        // As text, because a comparison of paths parses them.
        let own = self.path.as_deref().map(Path::as_os_str) == Some(connection.path.as_os_str());
        let intact = own && connection.is_intact();
        let clean = intact
            && connection
                .clean(&self.tenant, self.store.busy_timeout)
                .is_ok();
        connection.guard.clear();
        !clean
    }
}

//! [`SqliteManager`] and the [`SqliteConnection`] it lends: one tenant's file, hardened.

use std::ffi::OsStr;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use r2d2::ManageConnection;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::hooks::Action;
use rusqlite::trace::TraceEventCodes;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tenancy_core::{Event, Observers, Tenant, TenantRef};
use tenancy_pool::Access;

use crate::disk::place::Place;
use crate::disk::root::{Found, look};
use crate::driver::Shared;
use crate::driver::lending::SchemaRead;
use crate::error::{FileError, OpenError};
use crate::guard as harden;
use crate::guard::commits;
use crate::guard::deadline::{Deadline, Deadlines, Late};
use crate::guard::quota;
use crate::guard::quota::wal_bytes;
use crate::guard::references::planted;
use crate::guard::wal_bound::WalBound;
use crate::guard::{DEFERRED, Guard, Purpose, Refusal, Seal, TABLES};
use crate::ops::cutover::Turned;
use crate::ops::life::ensure_wal;
use crate::ops::maintenance::{cut_log, move_log};
use crate::schema::stamp;

/// Opens connections to one incarnation of a tenant. Plugs into `tenancy_pool`, and
/// into anything else that takes an `r2d2::ManageConnection`.
pub struct SqliteManager {
    shared: Arc<Shared>,
    tenant: Tenant,
    /// `None` when the placement is not this driver's: then every connect says so.
    path: Option<Box<Path>>,
}

impl SqliteManager {
    pub(crate) fn new(shared: Arc<Shared>, tenant: Tenant) -> Self {
        let place = Place::of(&tenant).ok();
        let path = place.map(|place| shared.root.file(&place).into());
        Self {
            shared,
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
        let shared = &*self.shared;
        let (mut connection, path, schema) = open(shared, &self.tenant)?;
        let schema_read = SchemaRead::now();
        let schema = shared.admit(&self.tenant, schema)?;
        let tenant = || self.tenant.to_ref();
        let prepare = |connection: &mut Connection| {
            let (on_connect, late) = (shared.on_connect.as_deref(), Late::default());
            harden::equip(connection, on_connect, &late, shared.limits)?;
            set_back(connection, shared.busy_timeout)?;
            if let Some(bytes) = shared.quota.of(&self.tenant) {
                quota::set(connection, bytes)?;
            }
            // Always, not only with the first deadline: a handler that replaces it is then
            // noticed.
            late.watch(connection)?;
            let (hardening, limits) = (shared.hardening, shared.limits);
            let guard = harden::guard(connection, Purpose::Tenant, hardening, limits, &late)?;
            if shared.max_wal_bytes < u64::MAX {
                let (database, max) = (path.clone(), shared.max_wal_bytes);
                guard.commits().bind(WalBound { database, max });
            }
            guard.watch_for(Turned::of(&shared.root, &self.tenant, &path));
            Ok((guard, Deadlines::of(late), Seal::of(connection)?))
        };
        let (guard, deadlines, seal) =
            prepare(&mut connection).map_err(|source| OpenError::Sqlite {
                tenant: tenant(),
                source,
            })?;
        Ok(SqliteConnection {
            inner: connection,
            guard,
            deadlines,
            seal,
            tenant: tenant(),
            path,
            schema_read,
            schema,
        })
    }

    fn is_valid(&self, connection: &mut SqliteConnection) -> Result<(), OpenError> {
        let own = || stamp::is_own(&connection.inner, &self.tenant);
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

    /// A connection is broken that [`SqliteConnection`] says is closed on return. One that is
    /// not is cleaned.
    fn has_broken(&self, connection: &mut SqliteConnection) -> bool {
        // As text: comparing paths takes them apart.
        let own = self.path.as_deref().map(Path::as_os_str) == Some(connection.path.as_os_str());
        let intact = own && connection.is_intact();
        let clean = intact
            && connection
                .clean(&self.tenant, self.shared.busy_timeout)
                .is_ok();
        connection.guard.clear();
        !clean
    }
}

/// A connection to one tenant's file: a `rusqlite::Connection` (it derefs to one) that
/// knows what was refused on it.
///
/// Its `transaction()` begins `IMMEDIATE`, so that it waits for another writer at its begin; on a
/// check-out for reading only, and for a savepoint outside of a transaction, `DEFERRED`.
///
/// # What a check-out leaves behind
/// SQL text and Rust code can leave things on a connection. When it is given back:
/// - It is *closed* if it is inside a transaction or savepoint; has rows that were forgotten in
///   mid-step (SQLite itself keeps the file open then until the process ends), a
///   [`Deadline`] that is still set, another limit or switch; if its authorizer, commit, rollback
///   or progress hook was replaced, it was swapped for another connection, or a commit failed on
///   it; if the file then has a table that refers to one of the library's, other than
///   `_tenancy_users(id)`, or that bears a name of the library's, which is an
///   [event](tenancy_core::Event::SchemaRefused) too; if SQL made, changed or removed something in the `temp` database; and, where pragmas are
///   free ([`Hardening::Trusted`](crate::Hardening::Trusted)), if one was given a value.
/// - These are *set back*, also to what they were before `on_connect`: the busy timeout and busy
///   handler, the update hook, the WAL hook, traces and profiles, the behaviour of transactions,
///   a restriction to reading, deferred foreign keys, the bindings of cached statements.
/// - These *stay*, as nothing tells of them: functions, collations and virtual-table modules that
///   Rust code registered, a `collation_needed` callback, a pre-update hook, the capacity of
///   the statement cache, an `InterruptHandle` that was kept, a `Backup` or `Session` that was
///   forgotten, `last_insert_rowid`, `changes` and `total_changes`. Register and set such things in
///   [`on_connect`](crate::SqliteStorageBuilder::on_connect).
pub struct SqliteConnection {
    inner: Connection,
    pub(crate) guard: Arc<Guard>,
    deadlines: Deadlines,
    seal: Seal,
    tenant: TenantRef,
    pub(crate) path: PathBuf,
    pub(crate) schema_read: SchemaRead,
    pub(crate) schema: u32,
}

impl SqliteConnection {
    /// Returns the schema version that the file had when this was lent. It is below the
    /// newest only if the driver was told to [open](crate::Behind::Open) such tenants.
    pub fn schema(&self) -> u32 {
        self.schema
    }

    /// The last statement that a rule refused since the connection was lent, and by
    /// which rule. SQLite's own error says no more than "not authorized".
    pub fn refusal(&self) -> Option<Refusal> {
        self.guard.last()
    }

    /// Returns the rule behind an error of a statement on this connection; `None` where there is
    /// none. SQLite says "not authorized" of what a rule refused, "out of memory" of a statement
    /// with more steps than [`max_statement_steps`](crate::SqliteStorageBuilder::max_statement_steps).
    ///
    /// ```
    /// # use tenancy_core::{Provisioner, Tenant};
    /// # use tenancy_pool::Driver;
    /// # use tenancy_sqlite::SqliteStorage;
    /// # use r2d2::ManageConnection;
    /// # let root = tempfile::tempdir()?;
    /// # let driver = SqliteStorage::create(root.path())?.driver().clone();
    /// # let id = "acme".parse()?;
    /// # let place = driver.place(&id)?;
    /// # let acme = Tenant::builder(id).placement(place).build()?;
    /// # driver.provision(&acme)?;
    /// # let connection = driver.manager(&acme).connect()?;
    /// use tenancy_sqlite::Rule;
    /// let error = connection.execute_batch("SELECT randomblob(100000000)").unwrap_err();
    /// assert_eq!(connection.refusal_of(&error).unwrap().rule, Rule::Length);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refusal_of(&self, error: &rusqlite::Error) -> Option<Refusal> {
        self.guard.refusal_of(error)
    }

    /// Interrupts every statement that runs `after` this moment, until the returned
    /// guard is dropped: for statements whose cost is not known beforehand. It stops
    /// scans, joins, sorts and endless recursion within some microseconds. What SQLite does in
    /// one step, like a function of a long value, ends by itself, within the driver's bounds;
    /// `DESIGN.md` has what each can cost. An earlier
    /// deadline stays; a connection that is given back with one is thrown away, and so is
    /// one whose progress handler was replaced, which would end deadlines.
    ///
    /// ```
    /// # use tenancy_core::{Provisioner, Tenant};
    /// # use tenancy_pool::Driver;
    /// # use tenancy_sqlite::SqliteStorage;
    /// # use r2d2::ManageConnection;
    /// # use std::time::Duration;
    /// # let root = tempfile::tempdir()?;
    /// # let driver = SqliteStorage::create(root.path())?.driver().clone();
    /// # let id = "acme".parse()?;
    /// # let place = driver.place(&id)?;
    /// # let acme = Tenant::builder(id).placement(place).build()?;
    /// # driver.provision(&acme)?;
    /// # let connection = driver.manager(&acme).connect()?;
    /// let report = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    /// let deadline = connection.deadline(Duration::from_millis(20))?;
    /// assert!(connection.query_row(report, [], |row| row.get::<_, i64>(0)).is_err());
    /// drop(deadline);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// None today; SQLite may one day refuse it.
    pub fn deadline(&self, after: Duration) -> rusqlite::Result<Deadline> {
        Ok(self.deadlines.set(after))
    }

    pub(crate) fn restrict(&mut self, access: Access) -> Result<Access, OpenError> {
        match self.guard.restrict(&self.inner, access) {
            Ok(()) => {
                // `BEGIN IMMEDIATE` is refused to who may only read.
                self.inner.set_transaction_behavior(match access {
                    Access::ReadOnly => TransactionBehavior::Deferred,
                    _ => TransactionBehavior::Immediate,
                });
                Ok(access)
            }
            Err(source) => Err(OpenError::Sqlite {
                tenant: self.tenant.clone(),
                source,
            }),
        }
    }

    pub(crate) fn rest(&self, busy_timeout: Duration) -> Result<(), OpenError> {
        let rest = || {
            // A log that is there and empty is the usual case, and costs a look.
            if wal_bytes(&self.path).is_ok_and(|bytes| bytes > 0) {
                self.inner.busy_timeout(Duration::ZERO)?;
                // Cutting holds up writers, if only to move what is left.
                if self.guard.ours(|| move_log(&self.inner))? {
                    self.guard.ours(|| cut_log(&self.inner))?;
                }
                self.inner.busy_timeout(busy_timeout)?;
            }
            self.inner.release_memory()
        };
        rest().map_err(|source| OpenError::Sqlite {
            tenant: self.tenant.clone(),
            source,
        })
    }

    fn is_intact(&self) -> bool {
        self.inner.is_autocommit()
            && self.deadlines.is_clear()
            // Two connections can be swapped through `&mut`.
            && self.inner.path().map(OsStr::new) == Some(self.path.as_os_str())
            && harden::is_intact(&self.inner, &self.guard, &self.seal)
            // Rows that were forgotten in mid-step keep an old state of the database alive.
            && !self.inner.is_busy()
    }

    /// Looks for tables that get in the way of the library's, after statements that may have made
    /// one; an error if there is any, which is told to the observers of the process.
    fn examine(&self, tenant: &Tenant) -> rusqlite::Result<()> {
        // A statement that makes a table would make it in a later check-out without being
        // prepared again.
        self.inner.flush_prepared_statement_cache();
        let found = self.guard.ours(|| planted(&self.inner))?;
        for planted in &found {
            let what = planted.to_string();
            Observers::default().emit(&Event::SchemaRefused {
                tenant,
                what: &what,
            });
        }
        match found.is_empty() {
            true => Ok(()),
            false => Err(rusqlite::Error::InvalidQuery),
        }
    }

    /// Takes back what a check-out may leave on a connection that is intact.
    fn clean(&mut self, tenant: &Tenant, busy_timeout: Duration) -> rusqlite::Result<()> {
        if self.guard.marks.take(TABLES) {
            self.examine(tenant)?;
        }
        if self.guard.marks.take(DEFERRED) {
            let end = "PRAGMA defer_foreign_keys = OFF";
            self.guard.ours(|| self.inner.execute_batch(end))?;
        }
        set_back(&mut self.inner, busy_timeout)
    }
}

/// Sets what Rust code can set and nobody can read.
fn set_back(connection: &mut Connection, busy_timeout: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(busy_timeout)?;
    connection.update_hook(None::<fn(Action, &str, &str, i64)>)?;
    connection.trace_v2(TraceEventCodes::empty(), None);
    // A transaction that began with a read and then writes fails at once, without the busy
    // timeout, if another connection wrote meanwhile.
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    commits::watch_wal(connection);
    Ok(())
}

impl fmt::Debug for SqliteConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteConnection({})", self.path.display())
    }
}

impl Deref for SqliteConnection {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.inner
    }
}

impl DerefMut for SqliteConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.inner
    }
}

/// Never CREATE: a missing file is an error. Never URI: a name is a name.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE
    .union(OpenFlags::SQLITE_OPEN_NO_MUTEX)
    .union(OpenFlags::SQLITE_OPEN_NOFOLLOW);

/// Connects to a file that is there, and reads nothing of it yet.
pub(crate) fn connect(
    shared: &Shared,
    tenant: &Tenant,
    path: &Path,
) -> Result<Connection, OpenError> {
    let connection = connect_plain(path, shared.busy_timeout);
    connection.map_err(|source| why_not_open(tenant, path, source))
}

/// The same, whosever it is.
pub(crate) fn connect_plain(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let manager = SqliteConnectionManager::file(path).with_flags(FLAGS);
    let connection = manager.connect()?;
    harden::set_flags(&connection)?;
    connection.busy_timeout(busy_timeout)?;
    // A WAL may be of another file that stood there: until the stamp is known to be the
    // tenant's, the close of this connection leaves both as they are.
    if wal_bytes(path).is_ok_and(|bytes| bytes > 0) {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    }
    Ok(connection)
}

/// Opens a tenant's file and checks that it is the tenant's; its schema version.
/// The connection has its pragmas, but is not guarded yet.
pub(crate) fn open(
    shared: &Shared,
    tenant: &Tenant,
) -> Result<(Connection, PathBuf, u32), OpenError> {
    let path = shared.root.file(&Place::of(tenant)?);
    let connection = connect(shared, tenant, &path)?;
    // The stamp is read before anything else is written or set.
    let schema = match stamp::check_and_take(&connection, tenant, &path) {
        Err(OpenError::Retired {
            tenant: whose,
            path,
        }) if Turned::of(&shared.root, tenant, &path).has_come() => {
            let tenant = whose;
            return Err(OpenError::Superseded { tenant, path });
        }
        schema => schema?,
    };
    let set = ensure_wal(&connection).and_then(|()| connection.execute_batch(shared.pragmas()));
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
    if let Some(Ok(Found::Other(found @ "a symbolic link"))) = dir {
        let path = path.parent().unwrap_or(&path).to_owned();
        return OpenError::NotAFile {
            tenant,
            path,
            found,
        };
    }
    match found {
        Ok(Found::Nothing) => OpenError::Missing { tenant, path },
        Ok(Found::Other(found)) => OpenError::NotAFile {
            tenant,
            path,
            found,
        },
        _ => OpenError::Sqlite { tenant, source },
    }
}

/// A connection that migrates, guarded for scripts; the schema version at its opening.
pub(crate) fn open_to_migrate(
    shared: &Shared,
    tenant: &Tenant,
) -> Result<(Connection, Arc<Guard>, u32), FileError> {
    let (mut connection, path, schema) = open(shared, tenant)?;
    let prepare = |connection: &mut Connection| {
        let (on_connect, late) = (shared.on_connect.as_deref(), Late::default());
        harden::equip(connection, on_connect, &late, shared.limits)?;
        let (hardening, limits) = (shared.hardening, shared.limits);
        harden::guard(connection, Purpose::Migration, hardening, limits, &late)
    };
    match prepare(&mut connection) {
        Ok(guard) => Ok((connection, guard, schema)),
        Err(source) => Err(FileError::Sqlite { path, source }),
    }
}

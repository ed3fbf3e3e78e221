//! A connection to one tenant's file, hardened.

use std::ffi::OsStr;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::hooks::Action;
use rusqlite::trace::TraceEventCodes;
use rusqlite::{Connection, TransactionBehavior};
use tenancy_core::{Clock, Event, Observers, Tenant, TenantRef};
use tenancy_pool::{Access, Eviction};

use crate::error::OpenError;
use crate::guard::deadline::{ConnectionDeadline, Deadline};
use crate::guard::references::planted;
use crate::guard::settings::Settings;
use crate::guard::side_effects::{DEFERRED, TABLES};
use crate::guard::state::Guard;
use crate::guard::{hooks, is_intact};
use crate::raw::{checkpoint, truncate_wal, wal_bytes};
use crate::refusal::Refusal;
use crate::schema::stamp;
use crate::store::Store;

/// The time for which a read schema version stays valid. A read takes 4 us, while a whole check-out
/// with a point select takes only 2.6 us.
const SCHEMA_TTL: Duration = Duration::from_millis(500);

/// A hardened connection to one tenant's file. It dereferences to a `rusqlite::Connection`, and
/// records the last statement that was refused on it.
///
/// Its `transaction()` begins as `IMMEDIATE`, so that it waits for another writer when it begins,
/// not at its first write. It begins as `DEFERRED` on a connection that is checked out for reading
/// only. A savepoint outside of a transaction is `DEFERRED`, too.
///
/// # State that a check-out leaves behind
/// SQL text and Rust code can change the state of a connection. When a connection is returned:
/// - The connection is *closed* if
///   - it is inside a transaction or savepoint, or a commit failed on it;
///   - it has an unfinished query whose rows were leaked (SQLite then keeps the file open until the
///     process ends);
///   - a [`Deadline`] is still set, or a limit or switch was changed;
///   - its authorizer, its commit, rollback or progress hook, or a function of this library was
///     replaced, or the connection was swapped for another one;
///   - the file then has a table with a reserved name, or one that refers to a table of this
///     library other than `_tenancy_users(id)`: this also emits an
///     [event](tenancy_core::Event::SchemaRefused);
///   - SQL created, changed or removed an object of the `temp` database;
///   - a setting was changed by a pragma, which [`Hardening::Trusted`](crate::Hardening::Trusted)
///     allows.
/// - This state is *reset*, even if `on_connect` has set it: the busy timeout and busy handler, the
///   update hook, the WAL hook, traces and profiles, the behaviour of transactions, a restriction
///   to reading, deferred foreign keys, and the bindings of cached statements.
/// - This state *stays*, because SQLite does not report it: functions, collations and virtual-table
///   modules that Rust code registered, a `collation_needed` callback, a pre-update hook, the
///   capacity of the statement cache, an `InterruptHandle` that was kept, a `Backup` or `Session`
///   that was leaked, `last_insert_rowid`, `changes` and `total_changes`. Register and set such
///   state in [`on_connect`](crate::SqliteStorageBuilder::on_connect) only.
pub struct SqliteConnection {
    inner: Connection,
    pub(super) guard: Arc<Guard>,
    deadline: ConnectionDeadline,
    settings: Settings,
    tenant: TenantRef,
    pub(super) path: PathBuf,
    schema_read: Duration,
    schema: u32,
}

impl SqliteConnection {
    /// Wraps a connection that was prepared for check-outs.
    pub(super) fn new(
        (inner, path, schema): (Connection, PathBuf, u32),
        (guard, deadline, settings): (Arc<Guard>, ConnectionDeadline, Settings),
        tenant: TenantRef,
        schema_read: Duration,
    ) -> Self {
        Self {
            inner,
            guard,
            deadline,
            settings,
            tenant,
            path,
            schema_read,
            schema,
        }
    }

    /// Admits the file again by its schema version, as for a new connection: another process may
    /// have migrated the file, or rolled it back, since this connection was opened.
    #[inline]
    pub(super) fn readmit(&mut self, store: &Store, tenant: &Tenant) -> Result<(), OpenError> {
        let now = Clock::system().now();
        if now.saturating_sub(self.schema_read) < SCHEMA_TTL {
            return Ok(());
        }
        let schema = self.guard.ours(|| stamp::schema(&self.inner));
        let schema = schema.map_err(|source| OpenError::Sqlite {
            tenant: tenant.to_ref(),
            source,
        })?;
        self.schema = store.admit(tenant, schema)?;
        self.schema_read = now;
        Ok(())
    }

    /// Returns the schema version of the file, as read at most 500 ms before the check-out. It is
    /// below the newest version only if the driver [opens](crate::Behind::Open) such tenants.
    pub fn schema(&self) -> u32 {
        self.schema
    }

    /// Returns the last refusal since the check-out: the refused action and the rule. The error of
    /// SQLite has only the text "not authorized".
    pub fn refusal(&self) -> Option<Refusal> {
        self.guard.last()
    }

    /// Returns the refusal that caused an error of a statement on this connection; `None` if no
    /// rule caused it. SQLite reports "not authorized" for a refused action, and "out of memory"
    /// for a statement with more steps than
    /// [`max_statement_steps`](crate::SqliteStorageBuilder::max_statement_steps).
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
    /// use tenancy_sqlite::DenyRule;
    /// let error = connection.execute_batch("SELECT randomblob(100000000)").unwrap_err();
    /// assert_eq!(connection.refusal_of(&error).unwrap().rule, DenyRule::Length);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refusal_of(&self, error: &rusqlite::Error) -> Option<Refusal> {
        self.guard.refusal_of(error)
    }

    /// Sets a deadline for statements whose cost is not known beforehand. Once the time `after` has
    /// passed, every statement on this connection is interrupted, until the returned guard is
    /// dropped.
    ///
    /// Scans, joins, sorts and endless recursion stop within some microseconds. Work that SQLite
    /// does in one step, such as a function of a long value, is not interrupted, but the driver's
    /// options bound it; `docs/design/hostile-sql.md` lists the costs. If a deadline that ends
    /// earlier is already set, it stays in force. A connection that is returned with a deadline is
    /// closed, and so is a connection whose progress handler was replaced, as that disables
    /// deadlines.
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
    /// Returns no error today; the result leaves room for a refusal by SQLite.
    pub fn deadline(&self, after: Duration) -> rusqlite::Result<Deadline> {
        Ok(self.deadline.set(after))
    }

    pub(crate) fn restrict(&mut self, access: Access) -> Result<Access, OpenError> {
        match self.guard.restrict(&self.inner, access) {
            Ok(()) => {
                // `BEGIN IMMEDIATE` is refused on a connection for reading only.
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

    /// Checkpoints the WAL as far as readers allow, truncates it if there are none, and releases
    /// the page cache. Waits for no lock.
    pub(crate) fn maintain_idle(&self, busy_timeout: Duration) -> Result<(), OpenError> {
        let maintain = || {
            // An empty WAL is the usual case, and costs one `stat`.
            if wal_bytes(&self.path).is_ok_and(|bytes| bytes > 0) {
                self.inner.busy_timeout(Duration::ZERO)?;
                // A truncation delays writers, so the checkpoint before it copies all pages.
                if self.guard.ours(|| checkpoint(&self.inner))? {
                    self.guard.ours(|| truncate_wal(&self.inner))?;
                }
                self.inner.busy_timeout(busy_timeout)?;
            }
            self.inner.release_memory()
        };
        maintain().map_err(|source| OpenError::Sqlite {
            tenant: self.tenant.clone(),
            source,
        })
    }

    /// Lets SQLite skip the checkpoint if this connection is closed as the last one of the file:
    /// with a WAL of 400 MB a checkpoint takes seconds. The next connection recovers the WAL.
    pub(super) fn skip_checkpoint_on_close(&self) -> Eviction {
        // An empty WAL is the usual case after idle maintenance; the close removes it.
        if wal_bytes(&self.path).is_ok_and(|bytes| bytes == 0) {
            return Eviction::Complete;
        }
        let no_checkpoint = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        match self.inner.set_db_config(no_checkpoint, true) {
            Ok(_) => Eviction::NeedsUpkeep,
            Err(_) => Eviction::Complete,
        }
    }

    pub(super) fn is_intact(&self) -> bool {
        self.inner.is_autocommit()
            && self.deadline.is_clear()
            // Two connections can be swapped through `&mut`.
            && self.inner.path().map(OsStr::new) == Some(self.path.as_os_str())
            && is_intact(&self.inner, &self.guard, &self.settings)
            // An unfinished query whose rows were leaked keeps an old state of the database alive.
            && !self.inner.is_busy()
    }

    /// Searches the file for tables that conflict with the library's, after statements that may
    /// have created one. Emits an event for each such table, and returns an error if there is any.
    fn refuse_planted(&self, tenant: &Tenant) -> rusqlite::Result<()> {
        // A cached statement that creates a table could do so in a later check-out unnoticed, as it
        // is not prepared again.
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

    /// Resets the state that a check-out may leave on an intact connection.
    pub(super) fn clean(
        &mut self,
        tenant: &Tenant,
        busy_timeout: Duration,
    ) -> rusqlite::Result<()> {
        if self.guard.side_effects.take(TABLES) {
            self.refuse_planted(tenant)?;
        }
        if self.guard.side_effects.take(DEFERRED) {
            let end = "PRAGMA defer_foreign_keys = OFF";
            self.guard.ours(|| self.inner.execute_batch(end))?;
        }
        reset(&mut self.inner, busy_timeout)
    }
}

/// Resets the settings that Rust code can change and that no function reads back.
pub(super) fn reset(connection: &mut Connection, busy_timeout: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(busy_timeout)?;
    connection.update_hook(None::<fn(Action, &str, &str, i64)>)?;
    connection.trace_v2(TraceEventCodes::empty(), None);
    // A transaction that began with a read and then writes fails at once, without the busy
    // timeout, if another connection wrote meanwhile.
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    hooks::watch_wal(connection);
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

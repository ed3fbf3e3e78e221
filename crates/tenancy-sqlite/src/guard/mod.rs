//! What SQL text on a lent connection may do: limits, flags and the authorizer.

pub(crate) mod commits;
pub(crate) mod deadline;
pub(crate) mod functions;
pub(crate) mod limits;
pub(crate) mod marks;
pub(crate) mod memory;
pub(crate) mod quota;
pub(crate) mod references;
pub(crate) mod rules;
pub(crate) mod seal;
pub(crate) mod wal_bound;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, Result};
use tenancy_pool::Access;

use crate::driver::OnConnect;
use crate::guard::commits::Commits;
use crate::guard::deadline::Late;
use crate::hazards::{Hazard, guarded};
use crate::ops::cutover::Turned;
use marks::Marks;
use rules::{Free, judge};

pub(crate) use limits::Limits;
pub(crate) use marks::{DEFERRED, TABLES};
pub(crate) use seal::Seal;

/// How much is refused on a tenant's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Hardening {
    /// Everything that SQL text could leave its file, its transaction or its limits
    /// with: right wherever text of users, plug-ins or reports may get into a statement.
    #[default]
    Strict,
    /// For SQL that only your own code writes: pragmas are free, but for those that write
    /// what this library keeps in the file (`application_id`, `user_version`,
    /// `schema_version`, `journal_mode`) or hold for the whole process (`hard_heap_limit`,
    /// `soft_heap_limit`, `temp_store_directory`, `data_store_directory`). A pragma that is
    /// given a value costs the connection when it is given back. Attaching other
    /// files, writing the schema table, and long values stay refused.
    Trusted,
}

/// Which rule refused a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// ATTACH and DETACH; VACUUM attaches, too.
    Attach,
    /// A PRAGMA that is not on the list, or whose value may only be read.
    Pragma,
    /// A function that reaches out of the database: it loads code, or writes the log of
    /// the process.
    Function,
    /// A function whose time or memory grows with the square of its arguments, where no
    /// deadline is looked at: `json_patch`, `jsonb_patch`, and `highlight`, `snippet`, `offsets` and
    /// `matchinfo` of full-text search. [`Hardening::Trusted`] allows them.
    Cost,
    /// A virtual table of a kind that is not on the list.
    VirtualTable,
    /// A table of this library.
    Reserved,
    /// Transaction control inside a migration.
    Transaction,
    /// A commit while the log is longer than [`max_wal_bytes`], and somebody who reads an
    /// older state keeps it from being moved into the database.
    ///
    /// [`max_wal_bytes`]: crate::SqliteStorageBuilder::max_wal_bytes
    Log,
    /// A commit into a file that is no longer the tenant's, as a copy was restored.
    Superseded,
    /// The deadline passed while a statement was prepared, or while it ran.
    Deadline,
    /// A value or row longer than [`max_value_bytes`], or a statement of more than 1 MiB.
    ///
    /// [`max_value_bytes`]: crate::SqliteStorageBuilder::max_value_bytes
    Length,
    /// A statement whose program has more steps than [`max_statement_steps`].
    ///
    /// [`max_statement_steps`]: crate::SqliteStorageBuilder::max_statement_steps
    Steps,
    /// Something SQLite asks about in a way that this library does not know.
    Unknown,
}

impl Rule {
    const fn why(self) -> &'static str {
        match self {
            Self::Attach => {
                "a tenant's connection sees one file (VACUUM works by attaching, too); maintenance has its own"
            }
            Self::Pragma => {
                "it is not on the list of harmless pragmas; set it in the driver's options"
            }
            Self::Function => "it reaches out of the database; register functions in `on_connect`",
            Self::Cost => {
                "its cost has no bound and no deadline ends it; compute it in the application, or trust the SQL (`Hardening::Trusted`)"
            }
            Self::VirtualTable => "only fts3, fts4, fts5, fts5vocab and rtree are allowed",
            Self::Reserved => "names that begin with _tenancy_ belong to the library",
            Self::Transaction => "a migration already runs in a transaction",
            Self::Log => {
                "the log is longer than `max_wal_bytes`, and who reads an older state keeps it from being moved; end transactions that stay open, then try again"
            }
            Self::Superseded => {
                "a copy was restored, and the tenant has another file by now; resolve it again"
            }
            Self::Deadline => "its deadline has passed; give it more time or ask for less",
            Self::Length => {
                "a value, a row or the statement is too long; raise `max_value_bytes`, store it in parts, or bind it as a parameter"
            }
            Self::Steps => {
                "its program is too long, or memory is used up (SQLite says the same of both); join fewer views and expressions, write fewer values, or raise `max_statement_steps`"
            }
            Self::Unknown => {
                "SQLite gave no name for it; an ATTACH with a parameter looks like this"
            }
        }
    }
}

/// A statement that was refused, as [`SqliteConnection::refusal`] tells it.
///
/// [`SqliteConnection::refusal`]: crate::SqliteConnection::refusal
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// By which rule.
    pub rule: Rule,
    /// What was refused, for example `PRAGMA hard_heap_limit`.
    pub what: Box<str>,
}

impl Refusal {
    fn new(rule: Rule, what: impl Into<Box<str>>) -> Self {
        Self {
            rule,
            what: what.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is refused: {}", self.what, self.rule.why())
    }
}

/// Who a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Lent to the application.
    Tenant,
    /// Runs migration scripts.
    Migration,
}

/// What the authorizer shares with the owner of its connection.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Set while the library runs a statement of its own.
    ours: AtomicBool,
    /// Set while the connection is lent for reading only.
    reading: AtomicBool,
    /// What SQL text left on the connection.
    pub(crate) marks: Marks,
    limits: Limits,
    commits: Commits,
    last: Mutex<Option<Refusal>>,
    /// What says that the tenant has another file by now; none for connections of ours.
    turned: OnceLock<Turned>,
}

impl Guard {
    /// Runs statements of our own, which are not asked about.
    pub(crate) fn ours<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Reset<'g>(&'g AtomicBool);
        impl Drop for Reset<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }
        self.ours.store(true, Ordering::Relaxed);
        let _reset = Reset(&self.ours);
        f()
    }

    /// Runs statements of our own that write our tables: nothing that the file's schema
    /// holds can stop them or run with them.
    pub(crate) fn writes<R>(
        &self,
        connection: &Connection,
        f: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let mut were = [false; OF_THE_SCHEMA.len()];
        for (was, switch) in were.iter_mut().zip(OF_THE_SCHEMA) {
            *was = connection.db_config(switch)?;
            connection.set_db_config(switch, false)?;
        }
        let done = self.ours(f);
        for (was, switch) in were.into_iter().zip(OF_THE_SCHEMA) {
            connection.set_db_config(switch, was)?;
        }
        done
    }

    /// Restricts the connection to reading, or lifts that. `query_only` holds for every
    /// statement that runs, also for those that were prepared before; the authorizer
    /// keeps SQL from switching it off. It does not refuse the writes itself: virtual
    /// tables prepare theirs before they are read.
    pub(crate) fn restrict(&self, connection: &Connection, access: Access) -> Result<()> {
        let reading = access == Access::ReadOnly;
        // Refused until it is known to be lifted.
        self.reading.store(true, Ordering::Relaxed);
        self.ours(|| connection.pragma_update(None, "query_only", reading))?;
        self.reading.store(reading, Ordering::Relaxed);
        Ok(())
    }

    /// From now on what is committed is refused once the tenant has another file.
    pub(crate) fn watch_for(&self, turned: Turned) {
        let _ = self.turned.set(turned);
    }

    /// May this connection commit? Asked while it holds the lock of its file for writing.
    pub(crate) fn may_commit(&self) -> bool {
        let turned = self.turned.get().is_some_and(Turned::has_come);
        if turned {
            self.refuse(Rule::Superseded, "a commit");
        }
        !turned
    }

    pub(crate) fn commits(&self) -> &Commits {
        &self.commits
    }

    pub(crate) fn refuse(&self, rule: Rule, what: &str) {
        *self.last.lock() = Some(Refusal::new(rule, what));
    }

    /// The rule behind an error of a statement.
    pub(crate) fn refusal_of(&self, error: &rusqlite::Error) -> Option<Refusal> {
        use rusqlite::ErrorCode as E;
        // SQLite has no code for a function or a column that the authorizer refused.
        let said = error.to_string();
        if said.starts_with("not authorized") || said.contains(" is prohibited") {
            return self.last();
        }
        let (rule, what) = match error.sqlite_error_code()? {
            E::AuthorizationForStatementDenied => return self.last(),
            E::ConstraintViolation if is_of_commit(error) => return self.last(),
            E::OperationInterrupted => (Rule::Deadline, "a statement".to_owned()),
            E::TooBig => {
                let most = self.limits.value_bytes;
                (Rule::Length, format!("more than {most} bytes"))
            }
            E::OutOfMemory => {
                let most = self.limits.statement_steps;
                (
                    Rule::Steps,
                    format!("a statement of more than {most} steps"),
                )
            }
            _ => return None,
        };
        Some(Refusal::new(rule, what))
    }

    pub(crate) fn last(&self) -> Option<Refusal> {
        self.last.lock().clone()
    }

    pub(crate) fn clear(&self) {
        *self.last.lock() = None;
    }
}

/// The bounds of a connection that runs SQL of others.
const LIMITS: [(Limit, i32); 6] = [
    // No other file, ever. VACUUM needs one: it is maintenance.
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    // The longest statement: what is longer is data that belongs into parameters.
    (Limit::SQLITE_LIMIT_SQL_LENGTH, SQL_LENGTH),
    // LIKE and GLOB take time with the product of the value's length and the pattern's.
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256),
    // `json_remove` and its like take time with the length of the value for each argument.
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 127),
    // Each level of triggers takes stack.
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 100),
    // Threads are the embedder's.
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

const SQL_LENGTH: i32 = 1 << 20;

/// Makes the seal of each lent connection its own, so that two connections of one tenant that
/// were swapped through `&mut` are told apart: their longest statements differ by some bytes.
fn make_unique(connection: &Connection) -> Result<()> {
    static NEXT: AtomicI32 = AtomicI32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) & 0xffff;
    let limit = Limit::SQLITE_LIMIT_SQL_LENGTH;
    connection.set_limit(limit, SQL_LENGTH + number).map(drop)
}

/// Switches of every connection to a tenant's file.
const ALWAYS: [(DbConfig, bool); 2] = [
    (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
];

/// What a file's own schema can make run: on for the SQL of others, off for our own, so that
/// nothing that a schema holds can stop our statements or be run by them. Foreign keys, because
/// `REFERENCES _tenancy_stamp(open)` in any table makes every write of our table an error.
const OF_THE_SCHEMA: [DbConfig; 3] = [
    DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY,
    DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
    DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW,
];

/// Sets the switches of a connection of our own: before anything of the file is read.
pub(crate) fn set_flags(connection: &Connection) -> Result<()> {
    set_switches(connection, false)
}

fn set_switches(connection: &Connection, schema_runs: bool) -> Result<()> {
    for (switch, value) in ALWAYS {
        connection.set_db_config(switch, value)?;
    }
    for switch in OF_THE_SCHEMA {
        connection.set_db_config(switch, schema_runs)?;
    }
    Ok(())
}

/// Sets the bounds and the authorizer: when all that is ours was run.
pub(crate) fn guard(
    connection: &Connection,
    purpose: Purpose,
    hardening: Hardening,
    limits: Limits,
    late: &Late,
) -> Result<Arc<Guard>> {
    // Again, as `on_connect` may have changed them.
    set_switches(connection, true)?;
    for (limit, value) in LIMITS {
        if matches!(limit, Limit::SQLITE_LIMIT_ATTACHED) && !guarded(Hazard::AttachUnlimited) {
            continue;
        }
        connection.set_limit(limit, value)?;
    }
    limits.set(connection, purpose)?;
    let guard = Arc::new(Guard {
        limits,
        ..Guard::default()
    });
    let late = late.clone();
    let shared = guard.clone();
    // Set once: setting it again would expire every prepared statement.
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        commits::forget();
        if shared.ours.load(Ordering::Relaxed) {
            return Authorization::Allow;
        }
        // Views and common table expressions are expanded before the first step.
        if late.has_come() {
            shared.refuse(Rule::Deadline, "preparing a statement");
            return Authorization::Deny;
        }
        // However trusted its SQL is, no pragma may lift a restriction to reading.
        let reading = shared.reading.load(Ordering::Relaxed);
        let pragmas_are_free = hardening == Hardening::Trusted && !reading;
        let free = Free {
            pragmas: purpose == Purpose::Tenant && pragmas_are_free,
            functions: purpose == Purpose::Migration || hardening == Hardening::Trusted,
        };
        match judge(purpose, free, &context.action) {
            Ok(()) => {
                shared.marks.note(&context.action, context.database_name);
                Authorization::Allow
            }
            Err(refusal) => {
                *shared.last.lock() = Some(refusal);
                Authorization::Deny
            }
        }
    }))?;
    if purpose == Purpose::Tenant {
        make_unique(connection)?;
        commits::watch(connection, &guard)?;
    }
    Ok(guard)
}

/// Whether the connection is as it was checked out, or can be made so. Rust code can change
/// anything; what it changed must not reach the next check-out.
pub(crate) fn is_intact(connection: &Connection, guard: &Arc<Guard>, seal: &Seal) -> bool {
    // The authorizer and the hooks own counts: replacing one drops that.
    let guarded = Arc::strong_count(guard) == 2 + commits::HOOKS;
    guarded && guard.marks.are_harmless() && !guard.commits.failed() && seal.holds(connection)
}

/// A commit that our hook refused.
fn is_of_commit(error: &rusqlite::Error) -> bool {
    let hook = rusqlite::ffi::SQLITE_CONSTRAINT_COMMITHOOK;
    error
        .sqlite_error()
        .is_some_and(|e| e.extended_code == hook)
}

/// Registers what the SQL of a tenant's file may call: our own functions, then what `on_connect`
/// adds, which may be another of the same name.
pub(crate) fn equip(
    connection: &mut Connection,
    on_connect: Option<&OnConnect>,
    late: &Late,
    limits: Limits,
) -> Result<()> {
    functions::register(connection, late, limits.value_bytes as usize)?;
    on_connect.map_or(Ok(()), |on_connect| on_connect(connection))
}

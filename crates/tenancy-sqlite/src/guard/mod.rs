//! The bounds of SQL on a checked-out connection: limits, switches and the authorizer.
//!
//! Decisions and their reasons: `docs/design/hostile-sql.md`.

pub(crate) mod commits;
pub(crate) mod cutover;
pub(crate) mod deadline;
pub(crate) mod functions;
pub(crate) mod hooks;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod quota;
pub(crate) mod references;
pub(crate) mod rules;
pub(crate) mod settings;
pub(crate) mod side_effects;
pub(crate) mod state;
pub(crate) mod wal_bound;

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, Result};

use crate::guard::deadline::DeadlineClock;
use crate::guard::rules::Purpose;
use crate::guard::state::Guard;
use crate::raw::{OnConnect, set_switches};
use crate::refusal::DenyRule;
use rules::{Exempt, authorize};

pub(crate) use limits::Limits;
pub(crate) use settings::Settings;

/// The degree to which SQL on a tenant's connections is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Hardening {
    /// Refuses everything by which SQL text could leave its file, its transaction or its limits: for
    /// applications where text of users, plug-ins or reports may get into a statement.
    #[default]
    Strict,
    /// For SQL that only your own code writes: pragmas are allowed, except those that write values
    /// that this library keeps in the file (`application_id`, `user_version`,
    /// `schema_version`, `journal_mode`) or hold for the whole process (`hard_heap_limit`,
    /// `soft_heap_limit`, `temp_store_directory`, `data_store_directory`). A connection on which a
    /// pragma was given a value is closed when it is given back. Attaching other files, writing the
    /// schema table, and long values stay refused.
    Trusted,
}

/// The limits of connections that run SQL of an application.
const LIMITS: [(Limit, i32); 6] = [
    // No other file. VACUUM attaches one, and is left to maintenance.
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    // The longest statement: longer text is data, and belongs into parameters.
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

/// Makes the settings of each checked-out connection unique, so that two connections of one tenant that
/// were swapped through `&mut` can be distinguished: their longest statements differ by some bytes.
fn make_unique(connection: &Connection) -> Result<()> {
    static NEXT: AtomicI32 = AtomicI32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) & 0xffff;
    let limit = Limit::SQLITE_LIMIT_SQL_LENGTH;
    connection.set_limit(limit, SQL_LENGTH + number).map(drop)
}

/// Sets the limits and the authorizer, after the library's own statements and `on_connect`.
pub(crate) fn install(
    connection: &Connection,
    purpose: Purpose,
    hardening: Hardening,
    limits: Limits,
    deadline: &DeadlineClock,
) -> Result<Arc<Guard>> {
    // Again, as `on_connect` may have changed them.
    set_switches(connection, true)?;
    for (limit, value) in LIMITS {
        connection.set_limit(limit, value)?;
    }
    limits.set(connection, purpose)?;
    let guard = Arc::new(Guard::new(limits));
    let deadline = deadline.clone();
    let state = guard.clone();
    // Set once: setting it again would expire every prepared statement.
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        crate::guard::hooks::forget();
        if state.is_ours() {
            return Authorization::Allow;
        }
        // Views and common table expressions are expanded before the first step.
        if deadline.has_passed() {
            state.refuse(DenyRule::Deadline, "preparing a statement");
            return Authorization::Deny;
        }
        // No pragma may lift a restriction to reading, even with trusted SQL.
        let reading = state.is_reading();
        let pragmas_are_free = hardening == Hardening::Trusted && !reading;
        let exempt = Exempt {
            pragmas: purpose == Purpose::Tenant && pragmas_are_free,
            functions: purpose == Purpose::Migration || hardening == Hardening::Trusted,
        };
        match authorize(purpose, exempt, &context.action) {
            Ok(()) => {
                state
                    .side_effects
                    .note(&context.action, context.database_name);
                Authorization::Allow
            }
            Err(refusal) => {
                state.note(refusal);
                Authorization::Deny
            }
        }
    }))?;
    if purpose == Purpose::Tenant {
        make_unique(connection)?;
        crate::guard::hooks::watch(connection, &guard)?;
    }
    Ok(guard)
}

/// Returns whether the connection is as it was checked out, or can be reset to that. Rust code can
/// change anything, and no change may reach the next check-out.
pub(crate) fn is_intact(connection: &Connection, guard: &Arc<Guard>, settings: &Settings) -> bool {
    // The authorizer and the hooks own counts: replacing one drops that.
    let guarded = Arc::strong_count(guard) == 2 + crate::guard::hooks::HOOKS;
    guarded
        && guard.side_effects.are_harmless()
        && !guard.commits().failed()
        && settings.are_those_of(connection)
}

/// Registers the functions that SQL of a tenant's file may call: those of this library, then those of
/// `on_connect`, which may replace one.
pub(crate) fn register_functions(
    connection: &mut Connection,
    on_connect: Option<&OnConnect>,
    deadline: &DeadlineClock,
    limits: Limits,
) -> Result<()> {
    functions::register(connection, deadline, limits.value_bytes as usize)?;
    on_connect.map_or(Ok(()), |on_connect| on_connect(connection))
}

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

/// The strictness with which SQL on a tenant's connections is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Hardening {
    /// Refuses every statement that could reach out of its file, its transaction or its limits. It
    /// is for applications in which text of users, plug-ins or reports may get into a statement.
    #[default]
    Strict,
    /// Also allows pragmas, and the functions of [`DenyRule::Cost`](crate::DenyRule::Cost): for SQL
    /// that only your own code writes. Some pragmas may still only be read: those whose value this
    /// library keeps in the file (`application_id`, `user_version`, `schema_version`,
    /// `journal_mode`), and those that hold for the whole process (`hard_heap_limit`,
    /// `soft_heap_limit`, `temp_store_directory`, `data_store_directory`). A connection on which a
    /// pragma changed a setting is closed when it is returned. Attaching other files, writing the
    /// schema table, and long values stay refused.
    Trusted,
}

/// The limits of connections that run SQL of an application.
const LIMITS: [(Limit, i32); 6] = [
    // No other file may be attached. VACUUM attaches one, so only maintenance runs it.
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    // The longest statement in bytes: longer text is data, which belongs in parameters.
    (Limit::SQLITE_LIMIT_SQL_LENGTH, SQL_LENGTH),
    // The time of LIKE and GLOB grows with the product of the value's and the pattern's lengths.
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256),
    // For each argument, `json_remove` and similar functions go through the whole value.
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 127),
    // Each level of triggers takes stack.
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 100),
    // The embedder decides about threads.
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

const SQL_LENGTH: i32 = 1 << 20;

/// Makes the settings of each connection unique: the bounds on statement length differ by some
/// bytes. So two connections of one tenant that were swapped through `&mut` can be distinguished.
fn make_unique(connection: &Connection) -> Result<()> {
    static NEXT: AtomicI32 = AtomicI32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) & 0xffff;
    let limit = Limit::SQLITE_LIMIT_SQL_LENGTH;
    connection.set_limit(limit, SQL_LENGTH + number).map(drop)
}

/// Sets the limits and the authorizer. It runs after the library's own statements and `on_connect`.
pub(crate) fn install(
    connection: &Connection,
    purpose: Purpose,
    hardening: Hardening,
    limits: Limits,
    deadline: &DeadlineClock,
) -> Result<Arc<Guard>> {
    // The switches are set again, as `on_connect` may have changed them.
    set_switches(connection, true)?;
    for (limit, value) in LIMITS {
        connection.set_limit(limit, value)?;
    }
    limits.set(connection, purpose)?;
    let guard = Arc::new(Guard::new(limits));
    let deadline = deadline.clone();
    let state = guard.clone();
    // The authorizer is set once: a second call would expire every prepared statement.
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

/// Returns whether the connection still has the state of its check-out, or can be reset to it. Rust
/// code can change any state, and no change may reach the next check-out.
pub(crate) fn is_intact(connection: &Connection, guard: &Arc<Guard>, settings: &Settings) -> bool {
    // The authorizer and each hook own a reference, which is dropped with a replaced hook.
    let guarded = Arc::strong_count(guard) == 2 + crate::guard::hooks::HOOKS;
    guarded
        && guard.side_effects.are_harmless()
        && !guard.commits().failed()
        && settings.are_those_of(connection)
}

/// Registers the functions that SQL of a tenant's file may call: first those of this library, then
/// those of `on_connect`, which may replace the former.
pub(crate) fn register_functions(
    connection: &mut Connection,
    on_connect: Option<&OnConnect>,
    deadline: &DeadlineClock,
    limits: Limits,
) -> Result<()> {
    functions::register(connection, deadline, limits.value_bytes as usize)?;
    on_connect.map_or(Ok(()), |on_connect| on_connect(connection))
}

//! The state of a guarded connection.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rusqlite::{Connection, Result};
use tenancy_pool::Access;

use crate::guard::commits::Commits;
use crate::guard::cutover::Cutover;
use crate::guard::limits::Limits;
use crate::guard::side_effects::SideEffects;
use crate::raw::OF_THE_SCHEMA;
use crate::refusal::{DenyRule, Refusal};

/// The state that the hooks and the authorizer share with the owner of their connection.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Set while the library runs its own statement.
    is_ours: AtomicBool,
    /// Set while the connection is checked out for reading only.
    reading: AtomicBool,
    /// The side effects of SQL text on the connection.
    pub(crate) side_effects: SideEffects,
    limits: Limits,
    commits: Commits,
    last: Mutex<Option<Refusal>>,
    /// The check for a cutover of the tenant. Connections of the library have none.
    cutover: OnceLock<Cutover>,
}

impl Guard {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Returns whether the library is running its own statement.
    pub(crate) fn is_ours(&self) -> bool {
        self.is_ours.load(Ordering::Relaxed)
    }

    /// Returns whether the connection is restricted to reading.
    pub(crate) fn is_reading(&self) -> bool {
        self.reading.load(Ordering::Relaxed)
    }

    /// Runs the library's own statements, which the authorizer allows.
    pub(crate) fn ours<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Reset<'g>(&'g AtomicBool);
        impl Drop for Reset<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }
        self.is_ours.store(true, Ordering::Relaxed);
        let _reset = Reset(&self.is_ours);
        f()
    }

    /// Runs the library's own statements that write its tables, with schema objects switched off,
    /// so that no trigger, view or foreign key of the file stops them or runs with them.
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

    /// Restricts the connection to reading, or lifts the restriction. `query_only` holds for every
    /// statement that runs, also for statements that were prepared before. The authorizer only
    /// keeps SQL from switching it off. It cannot refuse the writes, as virtual tables prepare
    /// writes even for a read.
    pub(crate) fn restrict(&self, connection: &Connection, access: Access) -> Result<()> {
        let reading = access == Access::ReadOnly;
        // If the pragma fails, the connection stays restricted.
        self.reading.store(true, Ordering::Relaxed);
        self.ours(|| connection.pragma_update(None, "query_only", reading))?;
        self.reading.store(reading, Ordering::Relaxed);
        Ok(())
    }

    /// Refuses commits from the cutover on.
    pub(crate) fn watch_for(&self, cutover: Cutover) {
        let _ = self.cutover.set(cutover);
    }

    /// Returns whether this connection may commit, while it holds the write lock of its file.
    pub(crate) fn may_commit(&self) -> bool {
        let cutover = self.cutover.get().is_some_and(Cutover::is_done);
        if cutover {
            self.refuse(DenyRule::Superseded, "a commit");
        }
        !cutover
    }

    pub(crate) fn commits(&self) -> &Commits {
        &self.commits
    }

    pub(crate) fn refuse(&self, rule: DenyRule, what: &str) {
        self.note(Refusal::new(rule, what));
    }

    pub(crate) fn note(&self, refusal: Refusal) {
        *self.last.lock() = Some(refusal);
    }

    /// Returns the refusal behind an error of a statement.
    pub(crate) fn refusal_of(&self, error: &rusqlite::Error) -> Option<Refusal> {
        use rusqlite::ErrorCode as E;
        // SQLite has no error code for a refused function or column, only a text.
        let text = error.to_string();
        if text.starts_with("not authorized") || text.contains(" is prohibited") {
            return self.last();
        }
        let (rule, what) = match error.sqlite_error_code()? {
            E::AuthorizationForStatementDenied => return self.last(),
            E::ConstraintViolation if is_of_commit(error) => return self.last(),
            E::OperationInterrupted => (DenyRule::Deadline, "a statement".to_owned()),
            E::TooBig => {
                let most = self.limits.value_bytes;
                (DenyRule::Length, format!("more than {most} bytes"))
            }
            E::OutOfMemory => {
                let most = self.limits.statement_steps;
                (
                    DenyRule::Steps,
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

/// Returns whether the commit hook refused a commit.
fn is_of_commit(error: &rusqlite::Error) -> bool {
    let hook = rusqlite::ffi::SQLITE_CONSTRAINT_COMMITHOOK;
    error
        .sqlite_error()
        .is_some_and(|e| e.extended_code == hook)
}

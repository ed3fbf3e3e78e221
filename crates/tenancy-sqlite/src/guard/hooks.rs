//! Commits that failed. When the system could not make a file durable it may forget
//! what it had not written, and say of the next attempt that all is well. So a
//! connection on which a commit or a checkpoint failed is not lent again.
//!
//! SQLite tells by hooks: one before a commit, and then either the one after it or the
//! one of a rollback. A rollback that was asked for, or that a constraint caused, has no
//! commit before it, and neither has one that is refused here, because the log has become too
//! long. (A commit that had nothing to write ends without a hook; if a cached
//! statement fails right after it, a sound connection is thrown away.)

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use rusqlite::hooks::Wal;
use rusqlite::{Connection, Result};

use crate::guard::state::Guard;
use crate::guard::wal_bound::WalBound;
use crate::raw::is_busy;
use crate::refusal::DenyRule;

/// The hooks of a connection own so many counts of its guard.
pub(crate) const HOOKS: usize = 2;

/// SQLite's own default: the log is moved into the file once it has 1,000 pages.
const CHECKPOINT_AT: i32 = 1_000;

thread_local! {
    /// Whose commit has begun and not ended. The hook after a commit has no state of
    /// its own, so it is found here; it runs on the same thread.
    static PENDING: RefCell<Weak<Guard>> = const { RefCell::new(Weak::new()) };
}

fn take_pending() -> Option<Arc<Guard>> {
    PENDING.take().upgrade()
}

/// A statement is prepared: what was committed before is over. A commit that had
/// nothing to write ends without a hook.
pub(crate) fn forget() {
    PENDING.with_borrow_mut(|pending| {
        if pending.strong_count() > 0 {
            *pending = Weak::new();
        }
    });
}

/// Watches the commits of a connection.
pub(crate) fn watch(connection: &Connection, guard: &Arc<Guard>) -> Result<()> {
    let begins = guard.clone();
    connection.commit_hook(Some(move || {
        if !begins.may_commit() {
            begins.commits().fail();
            // Is rolled back.
            return true;
        }
        if begins.commits().passed().is_some_and(WalBound::is_held) {
            begins.refuse(DenyRule::Wal, "a commit");
            // Rolls back, and that is no commit that failed.
            PENDING.set(Weak::new());
            return true;
        }
        PENDING.set(Arc::downgrade(&begins));
        false
    }))?;
    let rolls_back = guard.clone();
    connection.rollback_hook(Some(move || {
        let pending = take_pending();
        if pending.is_some_and(|pending| Arc::ptr_eq(&pending, &rolls_back)) {
            rolls_back.commits().fail();
        }
    }))?;
    watch_wal(connection);
    Ok(())
}

/// Sets the hook after a commit, which has no state and cannot be compared.
pub(crate) fn watch_wal(connection: &Connection) {
    connection.wal_hook(Some(committed));
}

fn committed(log: &Wal, pages: i32) -> Result<()> {
    let guard = take_pending();
    if let Some(guard) = &guard {
        guard.commits().has_log_of(pages);
    }
    if pages < CHECKPOINT_AT {
        return Ok(());
    }
    let bound = guard.as_ref().and_then(|guard| guard.commits().passed());
    let moved = match bound {
        None => log.checkpoint(),
        Some(bound) => bound.cut(),
    };
    // The commit stands whatever becomes of this: its error is not the statement's.
    match (moved, &guard) {
        (Err(error), Some(guard)) if !is_busy(&error) => guard.commits().fail(),
        _ => {}
    }
    Ok(())
}

//! The hooks that detect failed commits. After a failed fsync the system may drop the unwritten
//! data and report success for the next attempt. So a connection on which a commit or a checkpoint
//! failed is not checked out again.
//!
//! SQLite calls the commit hook before a commit, and then either the WAL hook after the commit or
//! the rollback hook. A rollback right after the commit hook therefore means a failed commit. A
//! rollback that was requested, or that follows a constraint, comes without the commit hook. A
//! commit that is refused here because the WAL is too long does not count as failed. A commit
//! without changes ends without a further hook; if a cached statement fails right after it, a sound
//! connection is closed.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use rusqlite::hooks::Wal;
use rusqlite::{Connection, Result};

use crate::guard::state::Guard;
use crate::guard::wal_bound::WalBound;
use crate::raw::is_busy;
use crate::refusal::DenyRule;

/// The number of references to its guard that the hooks of a connection own.
pub(crate) const HOOKS: usize = 2;

/// The number of pages after which the WAL is checkpointed: SQLite's default.
const CHECKPOINT_AT: i32 = 1_000;

thread_local! {
    /// The guard of the connection whose commit has begun and not ended. The WAL hook cannot have
    /// state, but it runs on the same thread.
    static PENDING: RefCell<Weak<Guard>> = const { RefCell::new(Weak::new()) };
}

fn take_pending() -> Option<Arc<Guard>> {
    PENDING.take().upgrade()
}

/// Forgets a commit that has begun. It is called when a statement is prepared, because a commit
/// without changes ends without a further hook.
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
            // SQLite rolls back.
            return true;
        }
        if begins.commits().exceeded().is_some_and(WalBound::is_held) {
            begins.refuse(DenyRule::Wal, "a commit");
            // SQLite rolls back; this does not count as a failed commit.
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

/// Sets the WAL hook again, as Rust code may have replaced it without a trace.
pub(crate) fn watch_wal(connection: &Connection) {
    connection.wal_hook(Some(committed));
}

fn committed(wal: &Wal, pages: i32) -> Result<()> {
    let guard = take_pending();
    if let Some(guard) = &guard {
        guard.commits().set_wal_pages(pages);
    }
    if pages < CHECKPOINT_AT {
        return Ok(());
    }
    let bound = guard.as_ref().and_then(|guard| guard.commits().exceeded());
    let checkpointed = match bound {
        None => wal.checkpoint(),
        Some(bound) => bound.checkpoint(),
    };
    // The commit is done, so the statement does not fail with an error of the checkpoint.
    match (checkpointed, &guard) {
        (Err(error), Some(guard)) if !is_busy(&error) => guard.commits().fail(),
        _ => {}
    }
    Ok(())
}

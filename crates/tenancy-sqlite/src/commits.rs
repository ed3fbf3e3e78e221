//! Commits that failed. When the system could not make a file durable it may forget
//! what it had not written, and say of the next attempt that all is well. So a
//! connection on which a commit or a checkpoint failed is not lent again.
//!
//! SQLite tells by hooks: one before a commit, and then either the one after it or the
//! one of a rollback. A rollback that was asked for, or that a constraint caused, has no
//! commit before it. (A commit that had nothing to write ends without a hook; if a cached
//! statement fails right after it, a sound connection is thrown away.)

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use rusqlite::hooks::Wal;
use rusqlite::{Connection, Result};

use crate::harden::Guard;
use crate::life::is_busy;

/// The hooks of a connection own so many counts of its guard.
pub(crate) const HOOKS: usize = 2;

/// SQLite's own default: the log is moved into the file once it has 1,000 pages.
const CHECKPOINT_AT: i32 = 1_000;

/// Whether a commit or a checkpoint of a connection failed.
#[derive(Debug, Default)]
pub(crate) struct Commits(AtomicBool);

impl Commits {
    pub(crate) fn failed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn fail(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

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
        PENDING.set(Arc::downgrade(&begins));
        // Goes on.
        false
    }))?;
    let rolls_back = guard.clone();
    connection.rollback_hook(Some(move || {
        let pending = take_pending();
        if pending.is_some_and(|pending| Arc::ptr_eq(&pending, &rolls_back)) {
            rolls_back.commits().fail();
        }
    }))?;
    connection.wal_hook(Some(committed));
    Ok(())
}

fn committed(log: &Wal, pages: i32) -> Result<()> {
    let guard = take_pending();
    if pages < CHECKPOINT_AT {
        return Ok(());
    }
    // The commit stands whatever becomes of this: its error is not the statement's.
    match log.checkpoint() {
        Err(error) if !is_busy(&error) => {
            if let Some(guard) = guard {
                guard.commits().fail();
            }
        }
        _ => {}
    }
    Ok(())
}

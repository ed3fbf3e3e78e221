//! What was seen to go wrong with SQLite files, and a switch for each guard against it.
//!
//! A guard asks [`guarded`] before it does its work. In every build but that of the unit
//! tests the answer is `true` and costs nothing. A test runs twice: with the guard, where
//! all is well, and inside [`without`], where it must see the damage. The switch is of
//! one thread, so tests beside each other do not disturb one another.

/// Something that goes wrong without its guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Hazard {
    /// The schema version that was read outside the transaction is another's past.
    VersionReadOutside,
    /// A target that was chosen by an earlier look takes a file further than was meant.
    SurveyNotChecked,
    /// A script ends the transaction that it runs in.
    CommitInScript,
    /// That it did is not noticed.
    CommitUnnoticed,
    /// Foreign keys are switched off where it does nothing: inside a transaction.
    ForeignKeysInside,
    /// The header of a file does not know what stands in its log.
    VersionFromHeader,
    /// A log that lies beside a new file puts another's rows into it.
    LogLeftBehind,
    /// Who has a file open goes on seeing it when another takes its place.
    PutOverAFile,
    /// What is written after an unlink is acknowledged and vanishes.
    RemovedWhileOpen,
    /// A lock on a WAL database tells nothing of who only reads it.
    AloneByALock,
    /// Who opens and closes a database by himself drops SQLite's locks on it.
    OpenedByItself,
    /// Without a limit, SQL that passes the authorizer attaches any file.
    AttachUnlimited,
    /// What closes that hole breaks VACUUM, too.
    MaintainedAsLent,
    /// Without the authorizer, SQL that passes the limit attaches any file.
    AttachAllowed,
}

#[cfg(not(test))]
pub(crate) const fn guarded(_: Hazard) -> bool {
    true
}

#[cfg(test)]
pub(crate) use switch::{guarded, version_in_header, without};

mod files;
mod migrating;

#[cfg(test)]
mod switch {
    use std::cell::RefCell;

    use super::Hazard;

    thread_local! {
        static OFF: RefCell<Vec<Hazard>> = const { RefCell::new(Vec::new()) };
    }

    pub(crate) fn guarded(hazard: Hazard) -> bool {
        OFF.with_borrow(|off| !off.contains(&hazard))
    }

    /// Runs `f` on this thread without these guards.
    pub(crate) fn without<R>(hazards: &[Hazard], f: impl FnOnce() -> R) -> R {
        struct Restore(Vec<Hazard>);
        impl Drop for Restore {
            fn drop(&mut self) {
                OFF.set(std::mem::take(&mut self.0));
            }
        }
        let _restore = Restore(OFF.replace(hazards.to_vec()));
        f()
    }

    /// `user_version` as a file's header has it, 60 bytes in.
    pub(crate) fn version_in_header(connection: &rusqlite::Connection) -> u32 {
        let bytes = std::fs::read(connection.path().expect("a file")).expect("a readable file");
        u32::from_be_bytes(bytes[60..64].try_into().expect("four bytes"))
    }
}

//! [`WalBound`]: what happens when the log of a database has become too long.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Result;

use crate::raw::{checkpoint, connect, truncate_wal, wal_bytes};

/// So long a commit waits for readers to end when the log is too long. Most do within that;
/// it keeps other writers waiting.
const LOCK_TIMEOUT: Duration = Duration::from_millis(250);

/// The bound of one connection; see `SqliteStorageBuilder::max_wal_bytes`. What it does it
/// does on a connection of its own: the one that commits can run nothing at that moment, and
/// its busy timeout is its owner's.
#[derive(Debug)]
pub(crate) struct WalBound {
    pub(crate) database: PathBuf,
    pub(crate) max: u64,
}

impl WalBound {
    /// By the length of the file: what other connections and processes wrote counts.
    pub(crate) fn is_passed(&self) -> bool {
        wal_bytes(&self.database).is_ok_and(|bytes| bytes > self.max)
    }

    /// Before a commit: does somebody read an older state, and keeps what was committed since
    /// from being moved into the database? If nobody does the log can start over after this
    /// commit. An error is not taken for a reader: the commit will meet it.
    pub(crate) fn is_held(&self) -> bool {
        let began = Instant::now();
        let held = || -> Result<bool> {
            let connection = connect(&self.database, Duration::ZERO)?;
            while !checkpoint(&connection)? {
                if began.elapsed() >= LOCK_TIMEOUT {
                    return Ok(true);
                }
                thread::sleep(Duration::from_millis(5));
            }
            Ok(false)
        };
        held().unwrap_or(false)
    }

    /// After a commit: moves the log and cuts it, unless readers stay.
    pub(crate) fn cut(&self) -> Result<()> {
        let connection = connect(&self.database, LOCK_TIMEOUT)?;
        truncate_wal(&connection).map(drop)
    }
}

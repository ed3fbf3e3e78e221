//! [`WalBound`]: the bound on the WAL of a database.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Result;

use crate::raw;
use crate::raw::{connect, truncate_wal, wal_bytes};

/// The time for which a commit waits for readers when the WAL is too long. Most readers end sooner,
/// and other writers have to wait meanwhile.
const LOCK_TIMEOUT: Duration = Duration::from_millis(250);

/// The bound on the WAL for one connection; see `SqliteStorageBuilder::max_wal_bytes`. A separate
/// connection enforces it: inside its commit hook a connection can run no statement, and its busy
/// timeout belongs to the application.
#[derive(Debug)]
pub(crate) struct WalBound {
    pub(crate) database: PathBuf,
    pub(crate) max: u64,
}

impl WalBound {
    /// Returns whether the WAL, with the commits of all processes, is longer than the bound.
    pub(crate) fn is_exceeded(&self) -> bool {
        wal_bytes(&self.database).is_ok_and(|bytes| bytes > self.max)
    }

    /// Returns whether a reader of an older state prevents a complete checkpoint before a commit.
    /// Without such a reader the WAL can be reset after the commit. An error does not count as a
    /// reader, as the commit will get the same error.
    pub(crate) fn is_held(&self) -> bool {
        let began = Instant::now();
        let held = || -> Result<bool> {
            let connection = connect(&self.database, Duration::ZERO)?;
            while !raw::checkpoint(&connection)? {
                if began.elapsed() >= LOCK_TIMEOUT {
                    return Ok(true);
                }
                thread::sleep(Duration::from_millis(5));
            }
            Ok(false)
        };
        held().unwrap_or(false)
    }

    /// Checkpoints and truncates the WAL after a commit, as far as readers allow.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        let connection = connect(&self.database, LOCK_TIMEOUT)?;
        truncate_wal(&connection).map(drop)
    }
}

//! [`WalBound`]: the bound on the WAL of a database.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Result;

use crate::raw;
use crate::raw::{connect, truncate_wal, wal_bytes};

/// The time that a commit waits for readers to end when the WAL is too long. Most end sooner, and
/// other writers wait meanwhile.
const LOCK_TIMEOUT: Duration = Duration::from_millis(250);

/// The bound of one connection; see `SqliteStorageBuilder::max_wal_bytes`. It is enforced on a
/// separate connection: in the hook of a commit the committing one can run no statement, and its
/// busy timeout belongs to the application.
#[derive(Debug)]
pub(crate) struct WalBound {
    pub(crate) database: PathBuf,
    pub(crate) max: u64,
}

impl WalBound {
    /// Returns whether the WAL is too long, with the commits of all connections and processes.
    pub(crate) fn is_exceeded(&self) -> bool {
        wal_bytes(&self.database).is_ok_and(|bytes| bytes > self.max)
    }

    /// Returns, before a commit, whether a reader of an older state prevents a complete checkpoint.
    /// Without such a reader the WAL can start over after this commit. An error does not count as a
    /// reader: the commit will meet it.
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

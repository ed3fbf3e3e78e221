//! The lease of a run, which excludes other runs.

use std::error::Error;
use std::fmt;

/// The run that holds the lease, as its process describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RunHolder {
    /// The kind of run: `migrate`, `rollback`, `seed` or `fix`; empty if the description cannot be
    /// read.
    pub what: Box<str>,
    /// The number of the run in the journal; `None` until its tasks are recorded.
    pub run: Option<u64>,
    /// The host name of its machine.
    pub host: Box<str>,
    /// The actor of the run.
    pub actor: Box<str>,
    /// The id of its process, as seen in its container.
    pub pid: Option<u32>,
}

impl fmt::Display for RunHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.run {
            Some(run) => write!(f, "run {run}")?,
            None => f.write_str("a run")?,
        }
        if self.what.is_empty() {
            return Ok(());
        }
        write!(f, " ({}) by {} on {}", self.what, self.actor, self.host)?;
        match self.pid {
            Some(pid) => write!(f, ", process {pid},"),
            None => Ok(()),
        }
    }
}

/// An error of [`RunJournal::lease`](crate::RunJournal::lease).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// Another run holds the lease.
    #[error(
        "conflict: {0} is in progress; wait for its end, or end its process, then run the command again"
    )]
    Held(RunHolder),
    /// The lease cannot be taken or renewed.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
}

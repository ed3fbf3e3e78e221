//! One run over many tenants at a time, whatever kind and whichever process.

use std::fmt;
use std::fs::{File, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tenancy_core::Actor;

use super::Fleet;
use crate::error::{FleetError, IoError, RepairError};

/// How often the holder's words are read again while it is writing them down.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// The run that keeps others from beginning, as its process wrote it down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RunHolder {
    /// `migrate`, `rollback`, `seed` or `fix`; empty if it could not be read.
    pub what: Box<str>,
    /// The number of the run in the catalog; `None` until its tasks are written.
    pub run: Option<u64>,
    /// The name of the machine that it runs on, as that machine calls itself.
    pub host: Box<str>,
    /// By whom.
    pub actor: Box<str>,
    /// The id of its process; in a container it is the container's.
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

impl RunHolder {
    fn this_process(what: &str, by: &Actor) -> Self {
        let host = rustix::system::uname();
        Self {
            what: what.into(),
            run: None,
            host: host.nodename().to_string_lossy().into(),
            actor: by.as_str().into(),
            pid: Some(std::process::id()),
        }
    }

    /// A word and its value a line, and an end, so that half of it is told from all.
    fn to_text(&self) -> String {
        let number = |number: Option<u64>| number.map_or(String::new(), |n| n.to_string());
        let (run, pid) = (number(self.run), number(self.pid.map(u64::from)));
        let Self {
            what, host, actor, ..
        } = self;
        format!("what {what}\nrun {run}\nhost {host}\nactor {actor}\npid {pid}\nend\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut holder = Self::default();
        for line in text.lines() {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("what", what) => holder.what = what.into(),
                ("run", run) => holder.run = run.parse().ok(),
                ("host", host) => holder.host = host.into(),
                ("actor", actor) => holder.actor = actor.into(),
                ("pid", pid) => holder.pid = pid.parse().ok(),
                ("end", _) => return Some(holder),
                _ => {}
            }
        }
        None
    }
}

/// The right to run over many tenants. The kernel takes it back when the process ends,
/// however it ends: a lock on a file means the same in every container, as a process id
/// does not.
pub(super) struct Lease {
    file: File,
    path: PathBuf,
    holder: RunHolder,
}

/// Why there is no lease.
pub(super) enum NoLease {
    RunGoesOn(RunHolder),
    Io(IoError),
}

impl From<IoError> for NoLease {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

impl From<NoLease> for FleetError {
    fn from(why: NoLease) -> Self {
        match why {
            NoLease::RunGoesOn(holder) => Self::RunGoesOn(holder),
            NoLease::Io(error) => Self::Io(error),
        }
    }
}

impl NoLease {
    /// The answer to each of several repairs.
    pub(super) fn to_repair_error(&self) -> RepairError {
        match self {
            Self::RunGoesOn(holder) => RepairError::RunGoesOn(holder.clone()),
            Self::Io(error) => RepairError::Io(error.again()),
        }
    }
}

impl Fleet {
    /// Takes the lease, or names the run that has it. It is not waited for: what that run
    /// does may make this one wrong.
    pub(super) fn lease(&self, what: &str, by: &Actor) -> Result<Lease, NoLease> {
        let (file, path) = self.driver.shared.root.run_lock_file()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(NoLease::RunGoesOn(holder_of(&file)));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&path)(error).into()),
        }
        let holder = RunHolder::this_process(what, by);
        let lease = Lease { file, path, holder };
        lease.write()?;
        Ok(lease)
    }
}

impl Lease {
    /// Writes down the number of the run, for those who are refused meanwhile.
    pub(super) fn is_of(&mut self, run: u64) -> Result<(), IoError> {
        self.holder.run = Some(run);
        self.write()
    }

    /// Whoever reads it in between finds no end and reads again.
    fn write(&self) -> Result<(), IoError> {
        let text = self.holder.to_text();
        self.file.set_len(0).map_err(failed(&self.path))?;
        let written = self.file.write_all_at(text.as_bytes(), 0);
        written.map_err(failed(&self.path))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // What is left there by a killed process is nobody's either.
        let _ = self.file.set_len(0);
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> IoError {
    IoError::at(path, "locked")
}

fn holder_of(file: &File) -> RunHolder {
    for _ in 0..TRIES {
        let mut text = [0; 1024];
        let length = file.read_at(&mut text, 0).unwrap_or(0);
        if let Some(holder) = RunHolder::parse(&String::from_utf8_lossy(&text[..length])) {
            return holder;
        }
        std::thread::sleep(PAUSE);
    }
    RunHolder::default()
}

#[cfg(test)]
mod tests {
    use super::RunHolder;

    #[test]
    fn half_of_what_a_holder_wrote_is_not_taken_for_all() {
        let holder = RunHolder {
            what: "migrate".into(),
            run: Some(7),
            host: "web 1".into(),
            actor: "cli:ann".into(),
            pid: Some(4711),
        };
        let text = holder.to_text();
        assert_eq!(RunHolder::parse(&text), Some(holder.clone()));
        for end in 0..text.len() - 4 {
            assert_eq!(RunHolder::parse(&text[..end]), None, "{end}");
        }
        assert_eq!(
            holder.to_string(),
            "run 7 (migrate) by cli:ann on web 1, process 4711,"
        );
        assert_eq!(RunHolder::default().to_string(), "a run");
    }
}

//! The lease of a run over many tenants: a file lock that all processes of a machine see.

use std::fs::{File, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tenancy_core::Actor;
use tenancy_fleet::{LeaseError, RunHolder};

use crate::disk::root::Root;
use crate::error::{IoError, RepairError};

/// The most attempts to read the holder's text, which the holder may be writing.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Returns this process as the holder of a lease.
fn this_process(what: &str, by: &Actor) -> RunHolder {
    let host = rustix::system::uname();
    let mut holder = RunHolder::default();
    holder.what = what.into();
    holder.host = host.nodename().to_string_lossy().into();
    holder.actor = by.as_str().into();
    holder.pid = Some(std::process::id());
    holder
}

/// Formats a holder: a key and its value on each line, then a line `end`, by which a half-written
/// text is recognised.
fn to_text(holder: &RunHolder) -> String {
    let number = |number: Option<u64>| number.map_or(String::new(), |n| n.to_string());
    let (run, pid) = (number(holder.run), number(holder.pid.map(u64::from)));
    let (what, host, actor) = (&holder.what, &holder.host, &holder.actor);
    format!("what {what}\nrun {run}\nhost {host}\nactor {actor}\npid {pid}\nend\n")
}

/// Parses a holder. Returns `None` if the text has no line `end`.
fn parse(text: &str) -> Option<RunHolder> {
    let mut holder = RunHolder::default();
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

/// The lease of a run over many tenants, held until it is dropped.
///
/// The lease is a lock on a file. The kernel releases the lock when the process ends, for whatever
/// reason. The lock also holds between containers that share the file, where process ids would not
/// identify a process.
#[derive(Debug)]
pub struct RunLease {
    file: File,
    path: PathBuf,
    holder: RunHolder,
}

/// A lease that was not taken.
pub(crate) enum NoLease {
    RunGoesOn(RunHolder),
    Io(IoError),
}

impl From<IoError> for NoLease {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

impl From<NoLease> for LeaseError {
    fn from(why: NoLease) -> Self {
        match why {
            NoLease::RunGoesOn(holder) => Self::Held(holder),
            NoLease::Io(error) => Self::Failed(error.into()),
        }
    }
}

impl NoLease {
    /// Returns the error for one of several repairs.
    pub(crate) fn to_repair_error(&self) -> RepairError {
        match self {
            Self::RunGoesOn(holder) => RepairError::RunGoesOn(holder.clone()),
            Self::Io(error) => RepairError::Io(error.duplicate()),
        }
    }
}

impl RunLease {
    /// Takes the lease of a storage root, or returns its holder. It does not wait for another run,
    /// because that run may change what this one has to do.
    pub(super) fn take(root: &Root, what: &str, by: &Actor) -> Result<Self, NoLease> {
        let (file, path) = root.run_lock_file()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(NoLease::RunGoesOn(holder_of(&file)));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&path)(error).into()),
        }
        let holder = this_process(what, by);
        let lease = Self { file, path, holder };
        lease.write()?;
        Ok(lease)
    }

    /// Records the number of the run, for the errors of other processes.
    pub(super) fn set_run(&mut self, run: u64) -> Result<(), IoError> {
        self.holder.run = Some(run);
        self.write()
    }

    /// Writes the holder. A process that reads an incomplete text finds no line `end` and reads
    /// again.
    fn write(&self) -> Result<(), IoError> {
        let text = to_text(&self.holder);
        self.file.set_len(0).map_err(failed(&self.path))?;
        let written = self.file.write_all_at(text.as_bytes(), 0);
        written.map_err(failed(&self.path))
    }
}

impl Drop for RunLease {
    fn drop(&mut self) {
        // A killed process leaves its text, which means nothing without the lock.
        let _ = self.file.set_len(0);
        // Closing the file is not enough: a child process that another thread is forking shares
        // the lock until it executes its program.
        let _ = self.file.unlock();
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> IoError {
    IoError::at(path, "locked")
}

fn holder_of(file: &File) -> RunHolder {
    for _ in 0..TRIES {
        let mut text = [0; 1024];
        let length = file.read_at(&mut text, 0).unwrap_or(0);
        if let Some(holder) = parse(&String::from_utf8_lossy(&text[..length])) {
            return holder;
        }
        std::thread::sleep(PAUSE);
    }
    RunHolder::default()
}

#[cfg(test)]
mod tests {
    use tenancy_core::Actor;
    use tenancy_fleet::RunHolder;

    use super::{parse, to_text};
    use crate::SqliteStorage;

    #[test]
    fn a_lease_ends_with_its_run_also_while_a_child_process_is_forked() {
        let dir = tempfile::tempdir().expect("a directory");
        let storage = SqliteStorage::create(dir.path()).expect("a root");
        let (catalog, by) = (storage.catalog(), Actor::new("test"));
        let Ok(lease) = catalog.take_lease("migrate", &by) else {
            panic!("no other run is in progress");
        };
        assert!(catalog.take_lease("seed", &by).is_err());
        let forked = lease
            .file
            .try_clone()
            .expect("a descriptor of the same lock");
        drop(lease);
        assert!(catalog.take_lease("seed", &by).is_ok());
        drop(forked);
    }

    #[test]
    fn a_half_written_holder_is_not_read_as_a_whole_one() {
        let mut holder = RunHolder::default();
        holder.what = "migrate".into();
        holder.run = Some(7);
        holder.host = "web 1".into();
        holder.actor = "cli:ann".into();
        holder.pid = Some(4711);
        let text = to_text(&holder);
        assert_eq!(parse(&text), Some(holder.clone()));
        for end in 0..text.len() - 4 {
            assert_eq!(parse(&text[..end]), None, "{end}");
        }
        assert_eq!(
            holder.to_string(),
            "run 7 (migrate) by cli:ann on web 1, process 4711,"
        );
        assert_eq!(RunHolder::default().to_string(), "a run");
    }
}

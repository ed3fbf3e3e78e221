//! Locks of files and directories that are waited for no longer than a deadline.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fmt, io};

use tenancy_core::{Event, emit};

use crate::disk::holders::processes_with;
use crate::error::IoError;

/// How long a call without a deadline of its own waits. What is done under a lock takes
/// milliseconds, or as long as the checkpoint of one file.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a lock that is taken is tried again: the kernel knows no deadline.
const RETRY: Duration = Duration::from_millis(5);

/// How long a wait goes on before observers are notified of it.
const NOTIFY_AFTER: Duration = Duration::from_secs(1);

/// Takes the lock of a file, so that nobody else has it.
pub(crate) fn exclusive(file: &File, path: &Path, patience: Duration) -> Result<(), IoError> {
    within(path, patience, || file.try_lock())
}

/// Takes the lock of a file together with others that share it.
pub(crate) fn shared(file: &File, path: &Path, patience: Duration) -> Result<(), IoError> {
    within(path, patience, || file.try_lock_shared())
}

fn within(
    path: &Path,
    patience: Duration,
    try_lock: impl Fn() -> Result<(), TryLockError>,
) -> Result<(), IoError> {
    let began = Instant::now();
    let mut is_notified = false;
    loop {
        match try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(IoError::new(path, "locked", error)),
            Err(TryLockError::WouldBlock) => {}
        }
        let waited = began.elapsed();
        if waited >= patience {
            let by = processes_with(path);
            let held = io::Error::new(ErrorKind::TimedOut, StillLocked { by, patience });
            return Err(IoError::new(path, "locked", held));
        }
        if waited >= NOTIFY_AFTER && !is_notified {
            is_notified = true;
            let by = &processes_with(path);
            emit(&Event::LockWait { path, by });
        }
        std::thread::sleep(RETRY.min(patience - waited));
    }
}

/// The cause of a lock that was not had in time.
#[derive(Debug)]
struct StillLocked {
    by: Box<[u32]>,
    patience: Duration,
}

impl fmt::Display for StillLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is still locked")?;
        for (at, process) in self.by.iter().enumerate() {
            let before = if at == 0 { " by process" } else { "," };
            write!(f, "{before} {process}")?;
        }
        write!(
            f,
            " after {:?}; wait for that to end and try again",
            self.patience
        )
    }
}

impl std::error::Error for StillLocked {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_waited_for_until_its_deadline_and_its_holder_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let open = || File::open(file.path()).expect("it is there");
        let (holder, other) = (open(), open());
        shared(&holder, file.path(), Duration::ZERO).expect("nobody has it");
        shared(&other, file.path(), Duration::ZERO).expect("it is shared");
        drop(other);
        let other = open();
        let began = Instant::now();
        let patience = Duration::from_millis(40);
        let error = exclusive(&other, file.path(), patience).expect_err("it is taken");
        assert!(began.elapsed() >= patience);
        assert_eq!(error.cause().kind(), ErrorKind::TimedOut);
        let said = error.cause().to_string();
        let named = format!("by process {}", std::process::id());
        assert!(
            said.contains(&named) || !Path::new("/proc/locks").exists(),
            "{said}"
        );
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| exclusive(&other, file.path(), PATIENCE));
            std::thread::sleep(Duration::from_millis(20));
            drop(holder);
            waiting.join().expect("no panic").expect("it was let go");
        });
    }
}

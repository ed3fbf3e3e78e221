//! Locks of files and directories, with a timeout.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fmt, io};

use tenancy_core::{Event, emit};

use crate::disk::holders::processes_with;
use crate::error::IoError;

/// The timeout of calls that have no deadline. Work under a lock takes milliseconds, or as long as
/// the checkpoint of one file.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// The interval between two attempts to take a lock, as the kernel's locks have no timeout.
const RETRY: Duration = Duration::from_millis(5);

/// The length of a wait after which observers are notified of it.
const NOTIFY_AFTER: Duration = Duration::from_secs(1);

/// Takes the exclusive lock of a file.
pub(crate) fn exclusive(file: &File, path: &Path, timeout: Duration) -> Result<(), IoError> {
    within(path, timeout, || file.try_lock())
}

/// Takes the shared lock of a file.
pub(crate) fn shared(file: &File, path: &Path, timeout: Duration) -> Result<(), IoError> {
    within(path, timeout, || file.try_lock_shared())
}

fn within(
    path: &Path,
    timeout: Duration,
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
        if waited >= timeout {
            let by = processes_with(path);
            let held = io::Error::new(ErrorKind::TimedOut, StillLocked { by, timeout });
            return Err(IoError::new(path, "locked", held));
        }
        if waited >= NOTIFY_AFTER && !is_notified {
            is_notified = true;
            let by = &processes_with(path);
            emit(&Event::LockWait { path, by });
        }
        std::thread::sleep(RETRY.min(timeout - waited));
    }
}

/// The error of a lock that was not taken in time, with the processes that hold it.
#[derive(Debug)]
struct StillLocked {
    by: Box<[u32]>,
    timeout: Duration,
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
            self.timeout
        )
    }
}

impl std::error::Error for StillLocked {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_times_out_and_names_its_holder() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let open = || File::open(file.path()).expect("it is there");
        let (holder, other) = (open(), open());
        shared(&holder, file.path(), Duration::ZERO).expect("it is free");
        shared(&other, file.path(), Duration::ZERO).expect("it is shared");
        drop(other);
        let other = open();
        let began = Instant::now();
        let timeout = Duration::from_millis(40);
        let error = exclusive(&other, file.path(), timeout).expect_err("it is taken");
        assert!(began.elapsed() >= timeout);
        assert_eq!(error.cause().kind(), ErrorKind::TimedOut);
        let text = error.cause().to_string();
        let named = format!("by process {}", std::process::id());
        assert!(
            text.contains(&named) || !Path::new("/proc/locks").exists(),
            "{text}"
        );
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| exclusive(&other, file.path(), LOCK_TIMEOUT));
            std::thread::sleep(Duration::from_millis(20));
            drop(holder);
            waiting.join().expect("no panic").expect("it was released");
        });
    }
}

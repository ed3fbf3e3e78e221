//! The error of an operation on a file or directory.

use std::io;
use std::path::{Path, PathBuf};

/// A failed call to the operating system, with the path that it was for.
#[derive(Debug, thiserror::Error)]
#[error("{} could not be {done}; see the cause", path.display())]
pub struct IoError {
    /// The path of the file or directory.
    pub path: PathBuf,
    /// The operation that failed, as a participle: `created`, `renamed`, …
    pub done: &'static str,
    source: io::Error,
}

impl IoError {
    pub(crate) fn new(path: impl AsRef<Path>, done: &'static str, source: io::Error) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            done,
            source,
        }
    }

    /// Returns a function for `map_err` that adds the path and the operation to an error.
    pub(crate) fn at(path: &Path, done: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::new(path, done, source)
    }

    /// Copies the error for another tenant: one call may be for the files of several tenants.
    pub(crate) fn duplicate(&self) -> Self {
        let source = match self.source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.source.kind(), self.source.to_string()),
        };
        Self::new(&self.path, self.done, source)
    }

    /// Returns the error of the operating system.
    pub fn cause(&self) -> &io::Error {
        &self.source
    }
}

//! Errors of seeds, and of the warm pool.

use std::path::PathBuf;

use super::IoError;

/// So many databases cannot be kept ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a warm pool of {found} databases is out of bounds; use 0 to 10000")]
#[non_exhaustive]
pub struct InvalidWarmPool {
    /// What was asked for.
    pub found: usize,
}

/// Seeds that are no set of seeds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedsError {
    /// The directory or a file of it cannot be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A file whose name does not end as a seed's does.
    #[error("{} is no name of a seed; let it end in .sql", path.display())]
    FileName {
        /// The file.
        path: PathBuf,
    },
    /// A name with other characters.
    #[error("{name:?} is no name of a seed; use letters, digits, - and _")]
    Name {
        /// The name.
        name: Box<str>,
    },
    /// Two of one name.
    #[error("seed {name} is there twice; rename one")]
    Twice {
        /// The name.
        name: Box<str>,
    },
    /// A script without a statement.
    #[error("seed {name} is empty; write its statements or delete it")]
    Empty {
        /// Which.
        name: Box<str>,
    },
}

//! The errors of a set of seeds, and of the size of the warm pool.

use std::path::PathBuf;

use super::IoError;

/// A size of the warm pool that is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a warm pool of {found} databases is out of bounds; use 0 to 10000")]
#[non_exhaustive]
pub struct InvalidWarmPool {
    /// The number of databases that was set.
    pub found: usize,
}

/// The fault by which files or scripts do not form a set of seeds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedsError {
    /// The directory or a file of it cannot be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The extension of a file is `.sql` in other letters, for example `.SQL`.
    #[error("{} is not the name of a seed; let it end in .sql", path.display())]
    FileName {
        /// The path of the file.
        path: PathBuf,
    },
    /// The name of a seed is empty, or has other characters than letters, digits, `-` and `_`.
    #[error("{name:?} is not the name of a seed; use letters, digits, - and _")]
    Name {
        /// The invalid name.
        name: Box<str>,
    },
    /// Two seeds have the same name.
    #[error("seed {name} is there twice; rename one")]
    Twice {
        /// The name that both seeds have.
        name: Box<str>,
    },
    /// A script has no statement.
    #[error("seed {name} is empty; write its statements or delete it")]
    Empty {
        /// The name of the seed.
        name: Box<str>,
    },
}

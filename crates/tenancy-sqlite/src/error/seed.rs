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

/// Files or scripts that do not form a set of seeds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedsError {
    /// The directory or a file of it cannot be read.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The name of a file does not end in `.sql`.
    #[error("{} is not the name of a seed; let it end in .sql", path.display())]
    FileName {
        /// The path of the file.
        path: PathBuf,
    },
    /// The name of a seed has other characters than letters, digits, `-` and `_`.
    #[error("{name:?} is not the name of a seed; use letters, digits, - and _")]
    Name {
        /// The name in question.
        name: Box<str>,
    },
    /// Two seeds have one name.
    #[error("seed {name} is there twice; rename one")]
    Twice {
        /// The name in question.
        name: Box<str>,
    },
    /// A script has no statement.
    #[error("seed {name} is empty; write its statements or delete it")]
    Empty {
        /// The name of the seed.
        name: Box<str>,
    },
}

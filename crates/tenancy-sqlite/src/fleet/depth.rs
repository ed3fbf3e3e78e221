//! [`ValidateOptions`]: how closely a validation looks.

use tenancy_core::Resolver;

/// How many files are opened at a time unless said.
const JOBS: usize = 4;

/// How closely a validation looks, each more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Depth {
    /// The names of files against the rows, and the audit trail. No file is opened:
    /// 100,000 tenants take about a second.
    #[default]
    Names,
    /// Opens each file for its stamp, its schema version and its history: 100,000 tenants
    /// take most of a minute.
    Stamps,
    /// Also lets SQLite check the pages and rows of each file.
    Quick,
    /// Also the indexes.
    Full,
}

/// What a validation is to look at.
///
/// ```
/// use tenancy_sqlite::{Depth, ValidateOptions};
/// let options = ValidateOptions::new().depth(Depth::Stamps).jobs(4);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "pass it to `SqliteFleet::validate`"]
pub struct ValidateOptions<'r> {
    pub(super) depth: Depth,
    pub(super) jobs: usize,
    pub(super) resolver: Option<&'r Resolver>,
}

impl Default for ValidateOptions<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'r> ValidateOptions<'r> {
    /// Names only.
    pub fn new() -> Self {
        Self {
            depth: Depth::Names,
            jobs: JOBS,
            resolver: None,
        }
    }

    /// How closely to look; [`Depth::Names`] unless said.
    pub fn depth(mut self, depth: Depth) -> Self {
        self.depth = depth;
        self
    }

    /// How many files are opened at a time, 1 to 256, else the validation is an error; 4
    /// unless said, as it reads and others are to go on meanwhile.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs;
        self
    }

    /// Whose reserved labels, central domains, base domains and templates the bound
    /// names are compared with; without one they are not.
    pub fn resolver(mut self, resolver: &'r Resolver) -> Self {
        self.resolver = Some(resolver);
        self
    }
}

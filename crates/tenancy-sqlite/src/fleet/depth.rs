//! [`ValidateOptions`]: the depth of a validation, and its number of workers.

use tenancy_core::Resolver;

/// The default number of files that are open at a time.
const JOBS: usize = 4;

/// The depth of a validation. Each depth includes the checks of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Depth {
    /// Compares the names of files with the rows, and checks the audit trail. No file is opened:
    /// 100,000 tenants take about a second.
    #[default]
    Names,
    /// Opens each file, and checks its stamp, its schema version and its history: 100,000 tenants
    /// take most of a minute.
    Stamps,
    /// Also lets SQLite check the pages and rows of each file, and checks its schema for drift.
    Quick,
    /// Also lets SQLite check that the indexes of each file agree with their tables.
    Full,
}

/// The options of a validation.
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
    /// Returns the default options: the depth [`Depth::Names`], 4 jobs, and no resolver.
    pub fn new() -> Self {
        Self {
            depth: Depth::Names,
            jobs: JOBS,
            resolver: None,
        }
    }

    /// Sets the depth. Defaults to [`Depth::Names`].
    pub fn depth(mut self, depth: Depth) -> Self {
        self.depth = depth;
        self
    }

    /// Sets the number of files that are open at a time, 1 to 256. For another number the
    /// validation returns an error. Defaults to 4, so that the application can work meanwhile.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs;
        self
    }

    /// Sets the resolver whose reserved labels, central domains, base domains and templates are
    /// compared with the bound names. Defaults to no resolver and no comparison.
    pub fn resolver(mut self, resolver: &'r Resolver) -> Self {
        self.resolver = Some(resolver);
        self
    }
}

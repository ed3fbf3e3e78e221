//! [`Steps`]: the named steps at which tests stop the process or let a call fail.

use std::path::Path;
use std::sync::Arc;

use crate::error::IoError;

type OnStep = dyn Fn(&'static str) -> std::io::Result<()> + Send + Sync;

/// The hook for named steps, shared by all that one builder makes; outside of tests there is
/// none.
#[derive(Clone, Default)]
pub(crate) struct Steps(Option<Arc<OnStep>>);

impl Steps {
    pub(crate) fn new(
        hook: impl Fn(&'static str) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Calls the hook before the step of this name below a storage root.
    pub(crate) fn reach(&self, root: &Path, name: &'static str) -> Result<(), IoError> {
        match &self.0 {
            None => Ok(()),
            Some(hook) => hook(name).map_err(|e| IoError::new(root, name, e)),
        }
    }
}

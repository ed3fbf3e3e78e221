//! [`Steps`]: the named steps at which tests kill the process or let a call fail.
//!
//! They are part of production code on purpose: tests can only kill a process at a certain step if
//! the code names the step. Without a hook a step costs one check for `None`.

use std::path::Path;
use std::sync::Arc;

use crate::error::IoError;

type OnStep = dyn Fn(&'static str) -> std::io::Result<()> + Send + Sync;

/// The hook for named steps, shared by all values that one builder creates. Only tests set a hook.
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

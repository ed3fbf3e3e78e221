//! The named steps of the journal and of the driver, at which a test lets a process die or a
//! call fail.

use std::io::{Error, Result};
use std::sync::{Arc, Mutex};

/// The end of a process at a step, or the failure of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// From this step on no step is reached: the process was killed.
    Killed,
    /// This step fails, and no other.
    Failed,
}

type Hook = dyn FnMut(&'static str) + Send;

#[derive(Default)]
struct State {
    reached: Vec<&'static str>,
    fault: Option<(String, usize, Fault)>,
    is_dead: bool,
}

/// The steps of one process.
#[derive(Clone, Default)]
pub struct Steps {
    state: Arc<Mutex<State>>,
    hook: Option<Arc<Mutex<Hook>>>,
}

impl Steps {
    pub fn new() -> Self {
        Self::default()
    }

    /// A process that meets the fault when it reaches the step of this name for the n-th time; of
    /// an empty name every step counts.
    pub fn with_fault(name: &str, count: usize, fault: Fault) -> Self {
        let steps = Self::new();
        steps.state.lock().unwrap().fault = Some((name.to_owned(), count, fault));
        steps
    }

    /// Calls `hook` before each step.
    pub fn with_hook(hook: impl FnMut(&'static str) + Send + 'static) -> Self {
        Self {
            hook: Some(Arc::new(Mutex::new(hook))),
            ..Self::default()
        }
    }

    /// Reaches a step: nothing happens before it that happens after it.
    pub fn reach(&self, name: &'static str) -> Result<()> {
        if let Some(hook) = &self.hook {
            hook.lock().unwrap()(name);
        }
        let mut state = self.state.lock().unwrap();
        if state.is_dead {
            return Err(Error::other("killed"));
        }
        state.reached.push(name);
        let Some((at, left, fault)) = &mut state.fault else {
            return Ok(());
        };
        if !at.is_empty() && at != name {
            return Ok(());
        }
        let fault = *fault;
        match left {
            0 => Ok(()),
            1 => {
                *left = 0;
                state.is_dead = fault == Fault::Killed;
                Err(Error::other("no space left"))
            }
            _ => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// The steps that were reached, in their order.
    pub fn reached(&self) -> Vec<&'static str> {
        self.state.lock().unwrap().reached.clone()
    }
}

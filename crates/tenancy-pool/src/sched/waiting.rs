//! [`Waiting`]: a check-out that waits, and the grants that it may get.

use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{Epoch, TenantId};

use super::seats::Caller;
use super::stamp::Stamp;
use crate::holders::Activity;
use crate::label::Label;
use crate::mailbox::Mailbox;
use crate::sync::Moment;

/// The permit to open a connection in a seat.
pub(crate) struct Permit<C, S> {
    pub(crate) seat: u32,
    /// The connection that has to be closed first.
    pub(crate) to_close: Option<C>,
    /// The way to connect; `None` if this incarnation never connected.
    pub(crate) source: Option<S>,
    /// Whether the database has to be prepared.
    pub(crate) cold: bool,
}

/// The reason for which a check-out is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Closed,
    Superseded {
        current: Epoch,
    },
    Backoff {
        reason: Arc<str>,
        retry_in: Duration,
    },
}

/// The end of a wait, or the request to retry.
pub(crate) enum Grant<C, S> {
    /// A connection is idle, or a connect failed: the waiter retries, and stays in the queue.
    Retry,
    /// A connection that is handed over directly.
    Use {
        seat: u32,
        connection: C,
    },
    Open(Permit<C, S>),
    Refused(Refusal),
    /// The deadline of a task has passed: the connections that it waited for.
    TimedOut(Vec<HeldConnection>),
}

/// The outcome of a retry.
pub(crate) enum Retried<C> {
    Found {
        seat: u32,
        connection: C,
    },
    /// The waiter stays in the queue. In a backoff it has to retry after this time.
    Nothing {
        retry_in: Option<Duration>,
    },
}

/// A check-out that waits. Its grant is written under the scheduler's lock before it is woken, so
/// that the grant can be neither missed nor lost to a time-out.
pub(crate) struct Waiting<C, S> {
    pub(crate) mail: Mailbox<Grant<C, S>>,
    pub(crate) since: Moment,
    pub(crate) caller: Caller,
}

impl<C, S> Waiting<C, S> {
    pub(crate) fn new(caller: Caller) -> Self {
        Self {
            mail: Mailbox::new(),
            since: Moment::now(),
            caller,
        }
    }
}

/// A connection that is not idle.
#[derive(Debug, Clone)]
pub(crate) struct HeldConnection {
    pub(crate) tenant: TenantId,
    pub(crate) label: Label,
    pub(crate) activity: Activity,
    pub(crate) since: Stamp,
    pub(crate) thread: u32,
}

impl HeldConnection {
    /// Returns whether the connection stays as it is until this thread acts. One that is being
    /// closed waits for no thread.
    pub(crate) fn is_held_by(&self, thread: u32) -> bool {
        self.activity != Activity::Closing && self.thread == thread
    }
}
